"""Places of a book of rounds on one plane: planned lines cut at their stops, and whose stops lie around a place."""

from collections.abc import Sequence

import numpy as np

from geo.positions import Array
from geo.rounds import Round, nearest_on

_SAMPLES, _FEWEST = 400, 40
_REACH_M, _SIGMA_M = 100.0, 30.0


class CutLine:
    """The planned line of a round, cut at its stops."""

    def __init__(self, points: tuple[Array, Array], rnd: Round) -> None:
        """Take the vertices of the line on the plane of the book."""
        self._points = points
        self._along = rnd.vertices[2]
        self._cuts = np.concatenate(([0.0], rnd.stop_distances_m, [rnd.length_m]))

    def off(self, gap: int, here: tuple[float, float]) -> float:
        """Measure from a place to the part of the line before the stop number `gap`."""
        low, high = self._cuts[gap], self._cuts[gap + 1]
        inner = (self._along > low) & (self._along < high)
        x, y = (
            np.concatenate(([np.interp(low, self._along, v)], v[inner], [np.interp(high, self._along, v)]))
            for v in self._points
        )
        steps = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
        return nearest_on((x, y, steps), *here)[1]


class Around:
    """Whose stops lie around a place.

    `agreement` is how often the nearest stop of another street is of the same round: 95 % and more where rounds are sectors
    that cut streets anywhere, some 80 % where they are made of blocks, less where they are whole streets or their sides.
    """

    def __init__(self, xy: tuple[Array, Array], round_of: Sequence[int], streets: Sequence[str]) -> None:
        self._xy = xy
        self._round_of = np.array(round_of, dtype=np.intp)
        names = {name: number for number, name in enumerate(dict.fromkeys(streets))}
        self.agreement = self._measured(np.array([names[name] for name in streets], dtype=np.intp))

    def _measured(self, street_of: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> float:
        same = among = 0
        for i in range(0, len(street_of), max(len(street_of) // _SAMPLES, 1)):
            off = np.hypot(self._xy[0] - self._xy[0][i], self._xy[1] - self._xy[1][i])
            off[street_of == street_of[i]] = np.inf
            nearest = int(np.argmin(off))
            if np.isfinite(off[nearest]):
                among += 1
                same += bool(self._round_of[nearest] == self._round_of[i])
        return same / among if among >= _FEWEST else 0.0

    def votes(self, place: tuple[float, float], flats: Sequence[int]) -> dict[int, float]:
        """Give the share of each round among stops near a place; nearer ones count more, as if it were 30 m uncertain."""
        some = np.array(flats, dtype=np.intp)
        off2 = (self._xy[0][some] - place[0]) ** 2 + (self._xy[1][some] - place[1]) ** 2
        weights = np.where(off2 <= _REACH_M**2, np.exp(-off2 / (2 * _SIGMA_M**2)), 0.0)
        total = float(weights.sum())
        rounds = np.bincount(self._round_of[some], weights) if total else np.zeros(0)
        return {int(k): float(rounds[k]) / total for k in np.flatnonzero(rounds)}
