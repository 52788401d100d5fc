"""Silent runs: an alert when nothing was heard of a run on duty for a quarter of an hour, and longer where that is usual.

Usual is what earlier runs of the same round showed: on which 200 m of its line they were silent for minutes, and how long. Of a
carrier nothing is learned. A pause, the end of duty and a mandate are no silence.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.hearing import Hearing
from fieldsvc.logs import get_logger
from fieldsvc.store import silence as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.learned_time import Row
from fieldsvc.store.live import duty_of
from fieldsvc.store.silence import Heard
from fieldsvc.tracking.eta import ROWS_MOST
from handlers.fields import format_time, parse_time

log = get_logger()
PATIENCE_S, LONGEST_S = 900.0, 3_600.0
GAP_S, BUCKET_M = 420.0, 200.0  # phones that stand still send every five minutes
RUNS_LEAST, SHARE_LEAST, MARGIN = 3, 0.5, 1.5
EVERY_S, LEARN_EVERY_S, SETTLED_S, AT_ONCE = 60.0, 900.0, 10_800.0, 200
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Silences:
    """Watches over runs at work, and learns from those that ended."""

    database: Database
    commands: Commands
    zone: tzinfo
    hearing: Hearing = field(default_factory=Hearing)

    async def run(self) -> None:
        """Look once a minute until cancelled, when phones have been heard for a while."""
        while True:
            try:
                if self.hearing.is_settled:
                    await self.look(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("silence.not_watched", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def keep_learning(self) -> None:
        """Take in what ended, again and again, until cancelled."""
        while True:
            try:
                await self.learn(settled_s=SETTLED_S)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("silence.not_learned", error=type(error).__name__)
            await asyncio.sleep(LEARN_EVERY_S)

    async def look(self, now: datetime) -> list[str]:
        """Say which runs fell silent and which were heard again; return them."""
        first_day = now.astimezone(self.zone).date() - timedelta(days=1)
        told = []
        for each in await store.at_work(self.database, first_day):
            patience_s, since = patience(each), silent_since(each)
            silent = since is not None and (now - since).total_seconds() > patience_s
            if silent == each.is_open:
                continue
            data: dict[str, Any] = {"run_id": each.run_id}
            if silent and since is not None:
                data |= {"since": format_time(since), "patience_s": patience_s}
            name = "silence.began" if silent else "silence.ended"
            await self.commands.send(name, data, site=each.site, run=each.run_id)
            told.append(each.run_id)
        return told

    async def learn(self, *, settled_s: float) -> int:
        """Take in the runs that ended so long ago, each once; return how many taught something."""
        taught = 0
        while waiting := await store.waiting(self.database, settled_s, AT_ONCE):
            for run_id in waiting:
                taught += await self._learn_run(run_id)
        return taught

    async def _learn_run(self, run_id: str) -> bool:
        async with store.claimed(self.database, run_id) as claimed:
            if claimed is None or claimed.version is None:
                return False
            stretches = stretches_of(await claimed.rows(limit=ROWS_MOST), spans_of(claimed.body))
            if not stretches:
                return False
            await claimed.learn(stretches)
        return True


def silent_since(run: Heard) -> datetime | None:
    """Return since when nothing was heard of a run whose carrier is on duty; None of any other."""
    if duty_of(run.state, run.body) != "on":
        return None
    begun = _intervals(run.body)[-1:]
    moments = [parse_time(first) for first, until in begun if until is None] + ([run.at] if run.at else [])
    return max(moments, default=None)


def patience(run: Heard) -> float:
    """Return how many seconds of silence are usual where the run was last: more where most earlier runs were silent too."""
    if run.silent < RUNS_LEAST or run.silent < SHARE_LEAST * run.passed:
        return PATIENCE_S
    return round(min(LONGEST_S, max(PATIENCE_S, MARGIN * run.gap_s)), 1)


def stretches_of(rows: Sequence[Row], spans: Iterable[Span]) -> dict[int, float | None]:
    """Return each stretch that a run passed on duty, with how long it was silent from there on; None where it was heard.

    A silence is counted where it began and over the whole way until the run was heard again, for all that way was silent.
    """
    found: dict[int, float | None] = {}
    for first, last in spans:
        known = [
            (row.at, row.distance_along_m)
            for row in rows
            if first <= row.at <= last and row.distance_along_m is not None
        ]
        for (at, metres), (then, beyond) in pairwise(known):
            gap_s = (then - at).total_seconds()
            here, there = int(metres // BUCKET_M), int(beyond // BUCKET_M)
            silent = gap_s if gap_s >= GAP_S else None
            for bucket in range(here, max(here, there) + 1) if silent else (here,):
                before = found.get(bucket)
                found[bucket] = max(silent or 0.0, before or 0.0) or None
    return found


def spans_of(body: bytes | None) -> list[Span]:
    """Read when a run was on duty, from what the journal decided."""
    ended = [(first, until) for first, until in _intervals(body) if until is not None]
    return [(parse_time(first), parse_time(until)) for first, until in ended]


def _intervals(body: bytes | None) -> Sequence[tuple[str, str | None]]:
    state: Mapping[str, Any] = orjson.loads(body) if body else {}
    found: Sequence[tuple[str, str | None]] = state.get("now", {}).get("intervals", ())
    return found
