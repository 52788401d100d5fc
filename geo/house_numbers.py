"""A house number on a known street: the number itself, a place between its neighbours, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

from geo.address_parser import loose_repetition
from geo.address_store import Number
from geo.positions import distance_m
from geo.street_words import capitals

# From the best place of a letterbox or door to the vaguest (the BAN's `type_position`); unknown lies in the middle.
_QUALITIES = (
    "ENTREE",
    "DELIVRANCE POSTALE",
    "BATIMENT",
    "CAGE D ESCALIER",
    "LOGEMENT",
    "PARCELLE",
    "",
    "SERVICE TECHNIQUE",
    "SEGMENT",
)
_SAME_PLACE_M = 100.0
_LOOSE, _OTHER_MARK, _TWO_PLACES = 0.98, 0.88, 0.85
_BETWEEN, _FAR_BETWEEN = 0.85, 0.75
_NEAR_NUMBERS, _NEAR_M = 20, 300.0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a number was found: `certain` 0..1, `number` None if the place was interpolated."""

    certain: float
    lat: float
    lon: float
    number: Number | None


def spot_of(numbers: Sequence[Number], house_number: int, repetition: str | None) -> Spot | None:
    """Find a house number: as it is, by a loosely equal mark, without its mark, or between its neighbours; None beyond them."""
    same = [number for number in numbers if number.house_number == house_number]
    if not same:
        return _between(numbers, house_number)
    for mark, certain in ((repetition, 1.0), (loose_repetition(repetition), _LOOSE)):
        fitting = [n for n in same if (n.repetition if certain == 1.0 else loose_repetition(n.repetition)) == mark]
        if fitting:
            return _best(fitting, certain)
    return _best([min(same, key=lambda number: number.repetition or "")], _OTHER_MARK)


def _best(numbers: Sequence[Number], certain: float) -> Spot:
    """Take the place of the best quality; two places far apart under one number leave doubt."""
    best = min(numbers, key=_quality)
    apart = any(distance_m(best.lat, best.lon, other.lat, other.lon) > _SAME_PLACE_M for other in numbers)
    return Spot(min(certain, _TWO_PLACES) if apart else certain, best.lat, best.lon, best)


def _quality(number: Number) -> int:
    kind = capitals(number.position_kind or "")
    return _QUALITIES.index(kind) if kind in _QUALITIES else _QUALITIES.index("")


def _between(numbers: Sequence[Number], wanted: int) -> Spot | None:
    """Interpolate between the neighbours of the same parity, else between those of either side of the street."""
    known = sorted((n.house_number, n.lat, n.lon) for n in numbers if n.house_number is not None)
    for side, certain in (([one for one in known if one[0] % 2 == wanted % 2], _BETWEEN), (known, _FAR_BETWEEN)):
        below = [one for one in side if one[0] < wanted]
        above = [one for one in side if one[0] > wanted]
        if below and above:
            low, high = below[-1], above[0]
            part = (wanted - low[0]) / (high[0] - low[0])
            far = high[0] - low[0] > _NEAR_NUMBERS or distance_m(low[1], low[2], high[1], high[2]) > _NEAR_M
            lat, lon = low[1] + part * (high[1] - low[1]), low[2] + part * (high[2] - low[2])
            return Spot(_FAR_BETWEEN if far else certain, lat, lon, None)
    return None
