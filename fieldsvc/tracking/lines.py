"""Lines of rounds for the screens: a place on the line from the metres along it, a microsecond each."""

import asyncio
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice

from fieldsvc.store import live
from fieldsvc.store.database import Database
from geo.errors import EmptyRound
from geo.rounds import Round

LINES_KEPT, POINTS_KEPT = 100_000, 12_000_000  # 24 bytes each
_AT_ONCE = 100  # so that the loop is never held for long


class Line:
    """The line of one version of a round: the same places as `Round.point_at` gives, without its arrays of objects."""

    __slots__ = ("_lats", "_lons", "_metres", "version")

    def __init__(self, planned: Round, version: int) -> None:
        """EmptyRound if the round has neither a line nor stops."""
        self._metres = array("d", planned.vertices[2])
        points = planned.drawn_line if len(planned.drawn_line) > 1 else planned.drawn_line * 2
        self._lons, self._lats = (array("d", values) for values in zip(*points, strict=True))
        self.version = version

    @property
    def points(self) -> int:
        """How many points it has."""
        return len(self._metres)

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return self._metres[-1]

    def point_at(self, distance_m: float) -> tuple[float, float]:
        """Give `(lon, lat)` of the place that many metres along the line; beyond the ends, the end."""
        metres = self._metres
        if distance_m <= 0.0:
            return self._lons[0], self._lats[0]
        after = bisect_right(metres, distance_m)
        if after >= len(metres):
            return self._lons[-1], self._lats[-1]
        start = metres[after - 1]
        part = (distance_m - start) / (metres[after] - start)
        lon, lat = self._lons[after - 1], self._lats[after - 1]
        return lon + part * (self._lons[after] - lon), lat + part * (self._lats[after] - lat)


class Lines:
    """The lines that were asked for lately, of their newest versions; bounded."""

    def __init__(self, database: Database, *, size: int = LINES_KEPT, points: int = POINTS_KEPT) -> None:
        self._database = database
        self._size, self._most, self._points = size, points, 0
        self._lines: OrderedDict[str, Line] = OrderedDict()

    def get(self, round_id: str) -> Line | None:
        """Return a line that was loaded."""
        return self._lines.get(round_id)

    async def load(self, versions: Mapping[str, int | None]) -> None:
        """Load the lines of these versions of rounds; None is a round that was removed, of which the old line stays."""
        missing = iter([each for each, version in versions.items() if version and self._version(each) != version])
        while part := list(islice(missing, _AT_ONCE)):
            for round_id, (version, planned) in (await live.lines(self._database, part)).items():
                self._keep(round_id, planned, version)
            await asyncio.sleep(0)

    def _version(self, round_id: str) -> int | None:
        known = self._lines.get(round_id)
        if known is None:
            return None
        self._lines.move_to_end(round_id)
        return known.version

    def _keep(self, round_id: str, planned: Round, version: int) -> None:
        try:
            line = Line(planned, version)
        except EmptyRound:
            return
        self._points += line.points - (self._lines[round_id].points if round_id in self._lines else 0)
        self._lines[round_id] = line
        while len(self._lines) > self._size or self._points > self._most:
            self._points -= self._lines.popitem(last=False)[1].points
