"""When the carrier will be there: an interval, and near the door how many stops come before it; never where the carrier is.

Told only while the run is on duty and the item is in the bag. The interval is rounded outwards to a quarter of an hour, and the
stops are told only from the tenth on, as at most 3, about 5 or about 10: who follows learns when to be at home, and no walk.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.requests.knowing import Knowledge
from fieldsvc.store.request import KnownItem
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.work.rounds import RoundStore
from geo.visits import AHEAD
from handlers.fields import parse_time

OUT = ("started", "paused")
QUARTER_S = 900
FORECAST_HOLDS_S, MOST_RUNS = 20.0, 500
ABOUT = {0: 3, 1: 3, 2: 3, 3: 3, 4: 5, 5: 5, 6: 5, 7: 10, 8: 10, 9: 10, 10: 10}


@dataclass(frozen=True, slots=True)
class Approach:
    """Between when and when it is expected, and about how many stops come before; None where nobody can tell or should."""

    early_at: datetime
    late_at: datetime
    stops_before: int | None = None

    def is_half_day(self, noon: datetime) -> str | None:
        """Name the half of the day in which it falls whole: `morning`, `afternoon` or None."""
        return "morning" if self.late_at <= noon else "afternoon" if self.early_at >= noon else None


class Approaches:
    """Forecasts for who follows; one forecast of a run serves everybody who asks within some seconds."""

    def __init__(
        self,
        forecasts: Forecasts,
        knowledge: Knowledge,
        rounds: RoundStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forecasts = forecasts
        self._known = knowledge
        self._rounds = rounds
        self._clock = clock
        self._told: OrderedDict[str, tuple[float, dict[str, Any] | None]] = OrderedDict()

    async def of(self, item: KnownItem, *, loaded: bool) -> Approach | None:
        """Tell when an item's door is reached today; before the run begins without any stops."""
        if item.run_id is None or item.round_id is None or item.state != "planned":
            return None
        out = item.run_state in OUT
        if (out and not loaded) or item.run_state not in (*OUT, "planned"):
            return None
        stop = await self._stop(item)
        if stop is None or stop["state"] != AHEAD or not stop["eta_early_at"]:
            return None
        early, late = _rounded(parse_time(stop["eta_early_at"]), parse_time(stop["eta_late_at"]))
        if late <= datetime.now(UTC):
            return None
        before = await self._known.stops_away(item) if out else None
        return Approach(early, late, ABOUT.get(before - 1) if before else None)

    async def _stop(self, item: KnownItem) -> dict[str, Any] | None:
        known = await self._rounds.known_round(str(item.round_id))
        stop_id = known.stop_of_point.get(f"delivery_point/{item.delivery_point}") if known else None
        told = await self._forecast(str(item.run_id)) if stop_id else None
        return next((each for each in told["stops"] if each["stop_id"] == stop_id), None) if told else None

    async def _forecast(self, run_id: str) -> dict[str, Any] | None:
        now, kept = self._clock(), self._told.get(run_id)
        if kept is not None and now - kept[0] < FORECAST_HOLDS_S:
            return kept[1]
        told = await self._forecasts.stops_of(run_id, site=None)
        self._told[run_id] = (now, told)
        self._told.move_to_end(run_id)
        while len(self._told) > MOST_RUNS:
            self._told.popitem(last=False)
        return told


def _rounded(early: datetime, late: datetime) -> tuple[datetime, datetime]:
    """Round an interval outwards to quarters of an hour."""
    first = int(early.timestamp()) // QUARTER_S * QUARTER_S
    last = -(-int(late.timestamp()) // QUARTER_S) * QUARTER_S
    begin = datetime.fromtimestamp(first, UTC)
    return begin, max(datetime.fromtimestamp(last, UTC), begin + timedelta(seconds=QUARTER_S))
