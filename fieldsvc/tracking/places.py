"""Where runs were along their rounds in the last minutes, in memory: what the next event without a scan begins from."""

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

FRESH = timedelta(minutes=10)
_KEPT_S, _FRESH_S = 1_200.0, FRESH.total_seconds()
_MOST_PER_RUN = 24
Place = tuple[datetime, float]


class Places:
    """The last places on the line of each run, 20 minutes of them and at most 24; the run used longest ago leaves first.

    A nation's runs of a day fit: what is kept of each are two rows of numbers.
    """

    def __init__(self, *, runs: int = 100_000) -> None:
        self._size = runs
        self._runs: OrderedDict[str, tuple[array[float], array[float]]] = OrderedDict()  # unix seconds, metres

    def remember(self, run_id: str, places: Iterable[Place]) -> None:
        """Add places of a run, metres along it."""
        known = dict(zip(*self._runs.get(run_id, ((), ())), strict=True))
        known.update((at.timestamp(), metres) for at, metres in places)
        if not known:
            return
        newest = sorted(known)[-_MOST_PER_RUN:]
        moments = array("d", (at for at in newest if newest[-1] - at <= _KEPT_S))
        self._runs[run_id] = moments, array("d", (known[at] for at in moments))
        self._runs.move_to_end(run_id)
        while len(self._runs) > self._size:
            self._runs.popitem(last=False)

    def forget(self, run_id: str) -> None:
        """Forget a run."""
        self._runs.pop(run_id, None)

    def near(self, run_id: str, at: datetime) -> Place | None:
        """Return the last place up to a moment, else the first after it; None if it is ten minutes away or more."""
        known = self._runs.get(run_id)
        if known is None:
            return None
        moments, metres = known
        found = max(bisect_right(moments, at.timestamp()) - 1, 0)
        if abs(at.timestamp() - moments[found]) >= _FRESH_S:
            return None
        return datetime.fromtimestamp(moments[found], UTC), metres[found]
