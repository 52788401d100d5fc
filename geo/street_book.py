"""The streets that rounds serve: which stop has which number, on which side, in which commune.

A commune is known by code on one side and by name on the other, so that every street is found under each name that a stop
gives to its commune; the surest that both sides know is used.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process
from rapidfuzz.distance import DamerauLevenshtein

from geo.address_parser import Address, loose_repetition
from geo.street_words import city_key, is_street_type, street_key

ANYWHERE = "anywhere"
_NAMED = ("code", "name")
_LIKE = 60.0
_MARKS = {"BIS": 0.2, "TER": 0.3, "QUATER": 0.4, "QUINQUIES": 0.5}
_LETTERS_APART = 0.1
_PRIOR_SAME, _PRIOR_AMONG = 19, 20
_TYPO_FROM, _TWO_TYPOS_FROM = 4, 8


@dataclass(frozen=True, slots=True, order=True)
class Served:
    """A number that a stop serves; `number` counts repetitions as tenths, `flat` is the stop's place in the book."""

    number: float
    flat: int


@dataclass(slots=True)
class StreetStops:
    """The stops of one street: odd and even numbers, each rising, and stops without a number."""

    sides: tuple[list[Served], list[Served]] = field(default_factory=lambda: ([], []))
    bare: list[int] = field(default_factory=list)

    def flats(self) -> list[int]:
        """List every stop of the street."""
        return [*(one.flat for one in self.sides[1]), *(one.flat for one in self.sides[0]), *self.bare]


@dataclass(frozen=True, slots=True)
class Bracket:
    """What a side has around a number: the stops of that very number, and the nearest below and above."""

    same: tuple[Served, ...]
    below: Served | None
    above: Served | None


class StreetBook:
    """Streets by commune. Add every stop, then `settle`, then look up."""

    def __init__(self) -> None:
        self._streets: dict[str, dict[str, StreetStops]] = defaultdict(dict)

    def add(self, address: Address, flat: int) -> None:
        """Note that a stop serves an address; one without street or lieu-dit is not noted."""
        name = label_of(address)
        if not name:
            return
        for town in (*towns_of(address), *_postcode_of(address), ANYWHERE):
            street = self._streets[town].setdefault(street_key(name), StreetStops())
            if address.house_number is None:
                street.bare.append(flat)
            else:
                street.sides[address.house_number % 2].append(Served(rank_of(address), flat))

    def settle(self) -> None:
        """Bring every side into the order of its numbers."""
        for streets in self._streets.values():
            for street in streets.values():
                for side in street.sides:
                    side.sort()

    def agreement(self, round_of: Sequence[int]) -> float:
        """Measure how often the two sides of a street are of one round: of each number and the nearest across."""
        same = among = 0
        streets = [
            street for town, of_town in self._streets.items() if town[:4] in _NAMED for street in of_town.values()
        ]
        for street in streets:
            for side, across in (street.sides, street.sides[::-1]):
                for one in side if across else ():
                    here = bracket(across, one.number)
                    near = [each for each in (here.below, here.above) if each is not None]
                    nearest = min(near, key=lambda each: (abs(each.number - one.number), each))
                    among += 1
                    same += round_of[nearest.flat] == round_of[one.flat]
        return (same + _PRIOR_SAME) / (among + _PRIOR_AMONG)

    def knows(self, town: str) -> bool:
        """Tell whether any stop names its commune so."""
        return town in self._streets

    def find(self, town: str, name: str) -> StreetStops | None:
        """Find a street of a commune by its name, however it is abbreviated."""
        return self._streets.get(town, {}).get(street_key(name))

    def find_like(self, town: str, name: str) -> StreetStops | None:
        """Find the one street of a commune that is spelled a little differently; None where there is none, or two."""
        wanted, streets = street_key(name), self._streets.get(town, {})
        near = process.extract(wanted, list(streets), scorer=fuzz.token_set_ratio, limit=None, score_cutoff=_LIKE)
        alike = [key for key, _score, _index in near if _is_alike(wanted.split(), key.split())]
        return streets[alike[0]] if len(alike) == 1 else None


def bracket(side: Sequence[Served], number: float) -> Bracket:
    """Find what a side has at a number and around it."""
    at = bisect_left(side, number, key=lambda one: one.number)
    last = at
    while last < len(side) and side[last].number == number:
        last += 1
    return Bracket(tuple(side[at:last]), side[at - 1] if at else None, side[last] if last < len(side) else None)


def label_of(address: Address) -> str | None:
    """Give the street of an address, or the lieu-dit where it has none."""
    return address.street or address.place


def rank_of(address: Address) -> float:
    """Give the place of a house number among others: 3 < 3 BIS < 3 TER < 5."""
    mark = loose_repetition(address.repetition)
    letter = min((ord(mark) - ord("A") + 1) * _LETTERS_APART, 0.9) if len(mark) == 1 and mark.isalpha() else 0.0
    return round((address.house_number or 0) + _MARKS.get(mark, letter or (0.6 if mark else 0.0)), 3)


def towns_of(address: Address) -> list[str]:
    """List the names of the commune of an address, the surest first; empty where it names none."""
    coded = [f"code {address.citycode}"] if address.citycode else []
    if not address.city:
        return coded
    name = city_key(address.city)
    posted = [f"name {name} {address.postcode}"] if address.postcode else []
    return [*coded, *posted, f"name {name}"]


def towns_to_try(address: Address) -> list[str]:
    """List under which names a street is looked for: by postcode only where no commune is named."""
    return towns_of(address) or _postcode_of(address)


def _postcode_of(address: Address) -> list[str]:
    return [f"post {address.postcode}"] if address.postcode else []


def _is_alike(wanted: Sequence[str], known: Sequence[str]) -> bool:
    """Tell whether two street names may be the same: typing errors, initials, another type, or words left out."""
    if len(wanted) != len(known):
        short, long = sorted((wanted, known), key=len)
        return len(short) > 1 and short[-1] == long[-1] and short[0] == long[0] and set(short) <= set(long)
    differing = [(a, b) for a, b in zip(wanted, known, strict=True) if a != b]
    if not differing or len(differing) == len(wanted) > 1 or len(differing) > 2:
        return False
    if min(len(wanted[-1]), len(known[-1])) == 1 and wanted[-1] != known[-1]:
        return False
    return all(_is_typo(a, b) for a, b in differing) or _only_the_type(wanted, differing)


def _is_typo(a: str, b: str) -> bool:
    if 1 in (len(a), len(b)):
        return a[0] == b[0] and not (a + b).isdigit()
    if min(len(a), len(b)) < _TYPO_FROM or not (a + b).isalpha():
        return False
    return DamerauLevenshtein.distance(a, b) <= (2 if min(len(a), len(b)) >= _TWO_TYPOS_FROM else 1)


def _only_the_type(wanted: Sequence[str], differing: Sequence[tuple[str, str]]) -> bool:
    first = differing[0]
    return len(differing) == 1 and wanted[0] == first[0] and all(map(is_street_type, first))
