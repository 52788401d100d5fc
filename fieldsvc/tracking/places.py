"""Where runs were along their rounds in the last minutes, in memory: what the next event without a scan begins from."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

FRESH = timedelta(minutes=10)
_KEPT = timedelta(minutes=20)
_MOST_PER_RUN = 24
Place = tuple[datetime, float]


class Places:
    """The last places on the line of each run, 20 minutes of them and at most 24; the run used longest ago leaves first."""

    def __init__(self, *, runs: int = 20_000) -> None:
        self._size = runs
        self._runs: OrderedDict[str, list[Place]] = OrderedDict()

    def remember(self, run_id: str, places: Iterable[Place]) -> None:
        """Add places of a run, metres along it."""
        known = sorted({**dict(self._runs.get(run_id, ())), **dict(places)}.items())
        if not known:
            return
        self._runs[run_id] = [place for place in known[-_MOST_PER_RUN:] if known[-1][0] - place[0] <= _KEPT]
        self._runs.move_to_end(run_id)
        while len(self._runs) > self._size:
            self._runs.popitem(last=False)

    def forget(self, run_id: str) -> None:
        """Forget a run."""
        self._runs.pop(run_id, None)

    def near(self, run_id: str, at: datetime) -> Place | None:
        """Return the last place up to a moment, else the first after it; None if it is ten minutes away or more."""
        known = self._runs.get(run_id, [])
        after = bisect_right(known, at, key=lambda place: place[0])
        found = known[after - 1] if after else next(iter(known), None)
        return found if found is not None and abs(at - found[0]) < FRESH else None
