"""What is told of a place that is believed: the match, with its stop, the next one, and whether the carrier is at it."""

from bisect import bisect_left
from datetime import datetime
from typing import NamedTuple

from geo.match import AT_STOP, FORWARD, OFF_ROUND, ON_ROUND, REVERSED, UNKNOWN, Match
from geo.rounds import Round
from geo.state import NO_DWELL, Dwell

OFF = 0.5
_DWELL_M, _DWELL_S = 10.0, 15.0
_BESIDE_M = 15.0
_TOLD = 0.5


class Place(NamedTuple):
    """What is believed of one moment (unix seconds): metres along, or the last sure ones off the round, and how far beside the line.

    `sigma_m` is the noise of the fix, 0 where it is not known any more; `is_sharp`: it can say that the carrier is off the round.
    """

    moment: float
    along_m: float
    confidence: float
    reversed: bool = False
    others: tuple[tuple[float, float], ...] = ()
    off: float = 0.0
    offset_m: float | None = None
    sigma_m: float = 0.0
    is_sharp: bool = True


class Teller:
    """Makes the matches of one round."""

    __slots__ = ("_length_m", "_planned", "_round")

    def __init__(self, rnd: Round) -> None:
        self._round = rnd
        self._planned = rnd.stop_distances_m.data
        self._length_m = rnd.length_m

    def tell(
        self, place: Place, at: datetime, dwell: Dwell = NO_DWELL, *, is_doubted: bool = False
    ) -> tuple[Match, Dwell]:
        """Say in a match what is believed; `at_stop` after 15 s within 10 m of one place beside a stop.

        `is_doubted`: that he is off the round was said by one fix alone.
        """
        if place.off >= OFF:
            return self.told(place, at, OFF_ROUND if place.is_sharp and not is_doubted else UNKNOWN), NO_DWELL
        along, status = place.along_m, ON_ROUND
        if abs(along - dwell.at_m) >= _DWELL_M:
            dwell = Dwell(along, place.moment)
        elif place.moment - dwell.since >= _DWELL_S and place.confidence >= _TOLD and self._planned:
            _ahead, near = self._near(along)
            if abs(self._planned[near] - along) <= max(_BESIDE_M, place.sigma_m):
                status = AT_STOP
        return self.told(place, at, status), dwell

    def told(self, place: Place, at: datetime, status: str) -> Match:
        """Make a match; off the round no stop is named, only the next one."""
        stops, along = self._round.stops, place.along_m
        stop_id = next_stop_id = None
        if stops:
            ahead, near = self._near(along)
            following = ahead - 1 if place.reversed else ahead
            if place.confidence >= _TOLD and status in (ON_ROUND, AT_STOP):
                stop_id = stops[near].stop_id
            if 0 <= following < len(stops):
                next_stop_id = stops[following].stop_id
        return Match(
            self._round.round_id,
            stop_id,
            next_stop_id,
            along,
            along / self._length_m if self._length_m else 0.0,
            place.offset_m,
            place.confidence,
            status,
            place.others,
            at,
            REVERSED if place.reversed else FORWARD,
        )

    def _near(self, along: float) -> tuple[int, int]:
        """Find the first stop ahead (their number behind the last), and the nearest one."""
        stops = self._planned
        ahead = bisect_left(stops, along)
        if ahead and (ahead == len(stops) or along - stops[ahead - 1] <= stops[ahead] - along):
            return ahead, ahead - 1
        return ahead, ahead
