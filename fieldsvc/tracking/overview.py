"""Sites at a glance: how many runs are out, seen, done or in trouble. Counts alone, of sites alone.

It is worked out once for all who ask within a few seconds, whatever their number; each is given what is theirs of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fieldsvc.store import live
from fieldsvc.store import overview as store
from fieldsvc.store.database import Database
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.sight import Place
from fieldsvc.work.runs import Runs
from handlers.fields import format_time

KEPT_S, PLACES_KEPT_S = 5.0, 60.0
NO_SIGNAL_S = 900.0
RUNS = ("planned", "uncovered", "started", "paused", "ended", "not_served")
LIVE = ("on", "lost", "off", "vague", "paused")
TASKS, ALERTS = ("all", "done", "overdue"), ("open", "urgent")
_DECIMALS = 5
_SEEN = {"paused": "paused", "off_round": "off", "unknown": "vague"}


class Overview:
    """Tells all sites, or one, from the database and from the live board of this process."""

    def __init__(
        self, database: Database, board: Board, runs: Runs, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._board = board
        self._runs = runs
        self._clock = clock
        self._lock = asyncio.Lock()
        self._made_at, self._made = -KEPT_S, ("", dict[str, dict[str, Any]]())
        self._placed_at, self._mark = -PLACES_KEPT_S, ""
        self._places: Mapping[str, tuple[float, float]] = {}

    async def of(self, site: str | None) -> dict[str, Any]:
        """Tell one site, or with None all of them, as they were a few seconds ago at most."""
        async with self._lock:
            if self._clock() - self._made_at >= KEPT_S:
                self._made = await self._make()
                self._made_at = self._clock()
        at, sites = self._made
        return {"t": at, "sites": [told for name, told in sites.items() if site in (None, name)]}

    async def _make(self) -> tuple[str, dict[str, dict[str, Any]]]:
        now, day = datetime.now(UTC), self._runs.today()
        runs, tasks = await store.runs(self._database, day), await store.tasks(self._database, day)
        alerts, seen = await store.alerts(self._database), seen_by_site(self._board.places().values(), now)
        await self._place()
        names = sorted({*runs, *tasks, *alerts, *seen, *self._places})
        return format_time(now), {name: self._site(name, runs, tasks, alerts, seen) for name in names}

    def _site(
        self, name: str, runs: store.Counts, tasks: store.Counts, alerts: store.Counts, seen: store.Counts
    ) -> dict[str, Any]:
        lon, lat = self._places.get(name, (None, None))
        states = _counted(runs, name, RUNS)
        return {
            "site": name,
            "lon": None if lon is None else round(lon, _DECIMALS),
            "lat": None if lat is None else round(lat, _DECIMALS),
            "runs": {"all": sum(states.values()), **states},
            "live": _counted(seen, name, LIVE),
            "alerts": _counted(alerts, name, ALERTS),
            "tasks": _counted(tasks, name, TASKS),
        }

    async def _place(self) -> None:
        """Find the places of sites anew where rounds were imported, changed or removed."""
        if self._clock() - self._placed_at < PLACES_KEPT_S:
            return
        mark = await live.mark_of(self._database, None)
        if mark != self._mark:
            self._places, self._mark = await store.places(self._database), mark
        self._placed_at = self._clock()


def seen_by_site(places: Iterable[Place], now: datetime) -> dict[str, Counter[str]]:
    """Count the runs whose carriers may be seen by how they are seen; without a signal for 15 minutes they are lost."""
    found: dict[str, Counter[str]] = {}
    for place in places:
        found.setdefault(place.run.site, Counter())[_seen(place, now)] += 1
    return found


def _seen(place: Place, now: datetime) -> str:
    is_lost = place.seen_at is None or (now - place.seen_at).total_seconds() > NO_SIGNAL_S
    return "lost" if is_lost and place.status != "paused" else _SEEN.get(place.status, "on")


def _counted(counts: store.Counts, name: str, kinds: tuple[str, ...]) -> dict[str, int]:
    found = counts.get(name, {})
    return {kind: found.get(kind, 0) for kind in kinds}
