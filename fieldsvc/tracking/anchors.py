"""What the journal tells tracking: scans and served stops put a run at a stop, and duty told late takes progress back.

Every process with the role intake follows the journal; each does the same, and what another has done changes nothing. How far
one came is noted every few seconds, so that a start goes on from there: duty told late is not lost while nobody listens.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.reader import START, Position, Reader, Row, Tail
from fieldsvc.journal.submission import SHARDS
from fieldsvc.logs import get_logger
from fieldsvc.store import progress
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.tracking.tracker import Tracker, Visit

log = get_logger()
CHUNK, WAIT_S, RETRY_S, NOTED_S = 1_000, 5.0, 1.0, 5.0
BACK = timedelta(days=8)
_METHODS = frozenset({"scan", "stop"})
_DUTY = frozenset({"run.started", "run.paused", "run.resumed", "run.ended", "event.corrected"})


class Anchors:
    """Follows the tail for a tracker."""

    def __init__(self, database: Database, reader: Reader, tail: Tail, *, tracker: Tracker) -> None:
        self._database = database
        self._reader = reader
        self._tail = tail
        self._tracker = tracker

    async def run(self) -> None:
        """Follow until cancelled; what the database cannot take now is tried again."""
        positions = noted = await self._begin()
        note_at = time.monotonic() + NOTED_S
        while True:
            since = self._tail.version
            try:
                for shard in range(SHARDS):
                    positions = {**positions, shard: await self._follow(shard, positions[shard])}
                if positions != noted and time.monotonic() >= note_at:
                    await progress.move_cursors(self._database, positions)
                    noted, note_at = positions, time.monotonic() + NOTED_S
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("anchors.interrupted", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                await self._tail.wait(timeout_s=WAIT_S, since=since)

    async def _begin(self) -> dict[int, Position]:
        """Go on where it was noted, eight days back at most; where nothing is, hold all that is known of these days first."""
        first = (datetime.now(UTC) - BACK).date()
        ends, noted = await self._reader.ends(), await progress.cursors(self._database)
        if noted:
            return {shard: max(noted.get(shard, START), (first, 0)) for shard in ends}
        held = [await self._hold(run_id) for run_id in await progress.runs_from(self._database, first)]
        if all(held):
            await progress.move_cursors(self._database, ends)
        return ends

    async def _hold(self, run_id: str) -> bool:
        try:
            await self._tracker.withdraw(run_id)
        except (FieldsvcError, *DATABASE_ERRORS) as error:
            log.warning("anchors.interrupted", error=type(error).__name__)
            return False
        return True

    async def _follow(self, shard: int, position: Position) -> Position:
        """Take what is new in a shard; return its end."""
        while rows := await self._tail.recent(shard, position, limit=CHUNK):
            for run_id, visits in visits_in(rows).items():
                await self._tracker.anchor(run_id, visits)
            await self._tracker.withdraw_several(duties_in(rows))
            position = rows[-1].position
        return position


def visits_in(rows: Iterable[Row]) -> dict[str, list[Visit]]:
    """Find the scans and served stops in public rows, by run."""
    found: defaultdict[str, list[Visit]] = defaultdict(list)
    for row in rows:
        if row.run is None or b'"located"' not in row.public:
            continue
        located = orjson.loads(row.public)["public"].get("located") or {}
        if located.get("method") in _METHODS and isinstance(located.get("stop_id"), str):
            found[row.run].append(Visit(located["stop_id"], row.occurred_at, row.received_at))
    return dict(found)


def duties_in(rows: Iterable[Row]) -> list[str]:
    """Name the runs whose duty may have changed."""
    named = (row.subject.removeprefix("run/") for row in rows if row.type in _DUTY and row.subject.startswith("run/"))
    return list(dict.fromkeys(named))
