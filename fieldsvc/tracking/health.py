"""How it goes, site by site: what arrives, how late, and who is heard. Of sites alone, never of a carrier or a phone."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fieldsvc.journal.arrivals import Arrivals, Arrived
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.overview import seen_by_site
from handlers.fields import format_time

KEPT_S, RECENT_MIN = 5.0, 5
_NOTHING = Arrived()


class Health:
    """Tells of all sites, or of one, a few seconds old at most."""

    def __init__(
        self, arrivals: Arrivals, quarantine: Quarantine, board: Board, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._arrivals = arrivals
        self._quarantine = quarantine
        self._board = board
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read_at = -KEPT_S
        self._now = datetime.now(UTC)
        self._arrived: Mapping[str | None, Arrived] = {}
        self._aside: Mapping[str | None, int] = {}

    async def of(self, site: str | None) -> dict[str, Any]:
        """Tell one site, or with None all of them with what belongs to none."""
        async with self._lock:
            if self._clock() - self._read_at >= KEPT_S:
                await self._read()
                self._read_at = self._clock()
        arrived = {name: each for name, each in self._arrived.items() if site in (None, name)}
        aside = sum(count for name, count in self._aside.items() if site in (None, name))
        ingest = {**_ingest(arrived.values(), self._now), "quarantined_today": aside}
        return {"at": format_time(self._now), "ingest": ingest, "sites": self._sites(site, arrived)}

    async def _read(self) -> None:
        now = datetime.now(UTC)
        self._arrived = await self._arrivals.of_today(now)
        self._aside = await self._quarantine.counted(self._arrivals.midnight(now))
        self._now = now

    def _sites(self, site: str | None, arrived: Mapping[str | None, Arrived]) -> list[dict[str, Any]]:
        places = [each for each in self._board.places().values() if site in (None, each.run.site)]
        seen = seen_by_site(places, self._now)
        oldest: dict[str, datetime] = {}
        for each in places:
            if each.seen_at is not None and each.status != "paused":
                oldest[each.run.site] = min(oldest.get(each.run.site, each.seen_at), each.seen_at)
        names = sorted({*seen, *(name for name in arrived if name is not None)})
        return [
            {
                "site": name,
                "on_duty": seen[name].total() if name in seen else 0,
                "silent": seen[name]["lost"] if name in seen else 0,
                "oldest_heard_at": format_time(oldest[name]) if name in oldest else None,
                "late_today": arrived.get(name, _NOTHING).late,
                "longest_late_s": round(arrived.get(name, _NOTHING).longest_late_s),
            }
            for name in names
        ]


def _ingest(arrived: Iterable[Arrived], now: datetime) -> dict[str, Any]:
    known = list(arrived)
    recent = [each.within(now, RECENT_MIN) for each in known]
    last_at = max((each.last_at for each in known if each.last_at is not None), default=None)
    return {
        "last_event_at": format_time(last_at) if last_at else None,
        "accepted_5_min": sum(events for events, _ in recent),
        "late_5_min": sum(late for _, late in recent),
    }
