"""The ways to read an address over a store: which words are the street, and in which streets it may lie.

Readings come in groups, the likeliest first; the geocoder stops at the first group that gives a sure answer. `place` 0..1 says
how well the written postcode and town fit the streets of a reading.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from geo.address_parser import Address, split_last_number, split_number
from geo.address_store import Store, Street
from geo.communes import Communes
from geo.street_words import capitals, city_key, is_street_type, street_key

_CITY_WORDS, _FUZZY_WORDS = 6, 4
_LEAST_LIKE, _FUZZY_TAIL = 0.6, 0.85
_OTHER_POSTCODE, _SAME_DEPARTMENT, _OTHER_DEPARTMENT = 0.97, 0.95, 0.85
_BESIDE_THE_ROUND, _UNKNOWN_TOWN, _FAR_TOWN = 0.93, 0.75, 0.5
_ONE_ERROR, _TWO_ERRORS, _OTHER_TOWN = 0.03, 0.88, 0.85
_ERROR_ALONE, _SHORT_NAME_ALONE = 0.05, 0.88
_SHORT_NAME, _LETTERS_AN_ERROR = 6, 3


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: this number and label, in these streets."""

    wanted: Address
    streets: Sequence[Street]
    place: float


def readings(store: Store, communes: Communes | None, wanted: Address, near: str | None) -> Iterator[list[Reading]]:
    """Give the groups of readings of an address; `near` is the commune assumed where the text names none."""
    for meant in _labels(wanted):
        for group in _groups(store, communes, meant, near):
            yield [*group, *(one for reading in group for one in _with_last_number(reading))]


def _labels(wanted: Address) -> Iterator[Address]:
    """Give the address as parsed, then with the words after the street in its label, then with another line as the street."""
    yield wanted
    if wanted.street and wanted.place:
        yield replace(wanted, street=f"{wanted.street} {wanted.place}", place=None)
    if wanted.street and wanted.house_number is None:
        for line in (wanted.place, *wanted.lines[::-1]):
            if line:
                number, mark, label = split_number(line)
                yield replace(wanted, house_number=number, repetition=mark, street=label)


def _with_last_number(reading: Reading) -> Iterator[Reading]:
    """Read a number at the end of the label as the house's, beside reading it as a part of the name."""
    if reading.wanted.house_number is None and reading.wanted.street:
        number, mark, label = split_last_number(reading.wanted.street)
        if number is not None:
            wanted = replace(reading.wanted, house_number=number, repetition=mark, street=label)
            yield replace(reading, wanted=wanted)


def _groups(store: Store, communes: Communes | None, wanted: Address, near: str | None) -> Iterator[list[Reading]]:
    reader = _Reader(store, communes, near)
    if wanted.postcode and len(wanted.postcode) < 5:
        wanted = replace(wanted, postcode=wanted.postcode.zfill(5))
    if wanted.city:
        yield reader.in_town(wanted, wanted.city)
        yield reader.in_like_town(wanted, wanted.city)
    elif wanted.postcode:
        yield reader.in_postcode(wanted)
        yield reader.town_in_label(wanted, fuzzy=False)
    else:
        if near:
            yield [Reading(wanted, store.streets_of_commune(near), 1.0)]
        yield reader.town_in_label(wanted, fuzzy=False)
        yield reader.town_in_label(wanted, fuzzy=True)
    if near and (wanted.city or wanted.postcode):
        far = wanted.postcode is not None and wanted.postcode[:2] != _department(near)
        yield [Reading(wanted, store.streets_of_commune(near), _FAR_TOWN if far else _UNKNOWN_TOWN)]


@dataclass(frozen=True, slots=True)
class _Reader:
    store: Store
    communes: Communes | None
    near: str | None

    def in_town(self, wanted: Address, city: str) -> list[Reading]:
        """Read in the communes of exactly this name, and, unless their postcode is the written one, in that postcode too."""
        codes = self._named(city_key(city))
        found, agreed = [], False
        for code in codes:
            inside, outside = _by_postcode(self.store.streets_of_commune(code), wanted.postcode)
            agreed = agreed or bool(inside)
            if inside:
                found.append(Reading(wanted, inside, 1.0))
            if outside:
                found.append(
                    Reading(wanted, outside, _OTHER_POSTCODE if inside else _trust_of_town(wanted, city, code))
                )
        if agreed or not wanted.postcode:
            return found
        return found + self.in_postcode(wanted, is_known=bool(codes))

    def in_like_town(self, wanted: Address, city: str) -> list[Reading]:
        """Read in communes of a like name, unless the name is known elsewhere."""
        key = city_key(city)
        if self._named(key):
            return []
        found = []
        for code, alike in self.store.communes_named(key, fuzzy=True):
            streets = self.store.streets_of_commune(code)
            if alike >= _LEAST_LIKE and streets:
                trust = _trust_of_town(wanted, city, code) if wanted.postcode else 1.0
                found.append(Reading(wanted, streets, trust * _alone(key, city_key(streets[0].city))))
        return found

    def in_postcode(self, wanted: Address, *, is_known: bool = False) -> list[Reading]:
        """Read in the streets of the postcode, commune by commune: the likeness of the written town says how well each fits.

        A town that is known (elsewhere) is not one of these misspelt.
        """
        by_commune: dict[str, list[Street]] = defaultdict(list)
        for street in self._streets_of_postcode(wanted):
            by_commune[street.citycode].append(street)
        key = city_key(wanted.city) if wanted.city else None
        found = []
        for code, streets in by_commune.items():
            place = 1.0 if self.near in {None, code} else _BESIDE_THE_ROUND
            if key:
                names = {city_key(streets[0].city), *(self.communes.names_of(code) if self.communes else ())}
                place = max(
                    _OTHER_TOWN * fuzz.ratio(key, name) / 100 if is_known else _inside(key, name) for name in names
                )
            found.append(Reading(wanted, streets, place))
        return found

    def town_in_label(self, wanted: Address, *, fuzzy: bool) -> list[Reading]:
        """Read the last words of the label, or those before its type, as a town: the longest exact name, or the likest."""
        words = (wanted.street or "").split()
        best: tuple[float, Sequence[tuple[str, float]], str, str] = (0.0, (), "", "")
        for head, tail in _splits(words, () if fuzzy else wanted.lines, most=_FUZZY_WORDS if fuzzy else _CITY_WORDS):
            key = city_key(tail)
            if len(key) < 3 or not _names_a_street(head):
                continue
            named = self.store.communes_named(key, fuzzy=True) if fuzzy else [(code, 1.0) for code in self._named(key)]
            good = max((alike for _, alike in named), default=0.0)
            if good >= _FUZZY_TAIL and good > best[0]:
                best = good, [one for one in named if one[1] >= good], head, key
                if not fuzzy:
                    break
        found = []
        for code, _ in best[1]:
            inside, outside = _by_postcode(self.store.streets_of_commune(code), wanted.postcode)
            part, trust = replace(wanted, street=best[2]), _SAME_DEPARTMENT if wanted.postcode else 1.0
            for streets, place in ((inside, 1.0), (outside, trust)):
                if streets:
                    sure = _alone(best[3], city_key(streets[0].city)) if fuzzy else 1.0
                    found.append(Reading(part, streets, place * sure))
        return found

    def _named(self, key: str) -> list[str]:
        codes = [code for code, _ in self.store.communes_named(key, fuzzy=False)]
        return list(dict.fromkeys([*codes, *(self.communes.named(key) if self.communes else ())]))

    def _streets_of_postcode(self, wanted: Address) -> Sequence[Street]:
        postcode = wanted.postcode or ""
        streets = self.store.streets_of_postcode(postcode)
        if streets or not self.communes:
            return streets
        return [
            street for code in self.communes.of_postcode(postcode) for street in self.store.streets_of_commune(code)
        ]


def _inside(written: str, name: str) -> float:
    """Say how a written town fits one of its postcode: misspelt or with a word too many or too few nearly as well, another not."""
    errors = OSA.distance(written, name)
    if errors <= 2 and errors * _LETTERS_AN_ERROR <= len(name):
        return 1 - _ONE_ERROR if errors < 2 else _TWO_ERRORS
    if set(written.split()) < set(name.split()) or set(name.split()) < set(written.split()):
        return 1 - 2 * _ONE_ERROR
    return _OTHER_TOWN * (0.75 + fuzz.ratio(written, name) / 400)


def _alone(written: str, name: str) -> float:
    """Say how a written town fits one of a like name, nothing else being known: one error in a long name leaves little doubt."""
    errors = OSA.distance(written, name)
    if errors > 1:
        return _OTHER_TOWN * fuzz.ratio(written, name) / 100
    return 1 - _ERROR_ALONE * errors if len(name) >= _SHORT_NAME else _SHORT_NAME_ALONE


def _department(citycode: str) -> str:
    return {"2A": "20", "2B": "20"}.get(citycode[:2], citycode[:2])


def _by_postcode(streets: Sequence[Street], postcode: str | None) -> tuple[Sequence[Street], Sequence[Street]]:
    if not postcode:
        return streets, ()
    return [s for s in streets if s.postcode == postcode], [s for s in streets if s.postcode != postcode]


def _trust_of_town(wanted: Address, city: str, code: str) -> float:
    """Say how far a town counts whose postcode is not the written one; a CEDEX has postcodes of its own."""
    if "CEDEX" in city.upper():
        return 1.0
    return _SAME_DEPARTMENT if (wanted.postcode or "")[:2] == _department(code) else _OTHER_DEPARTMENT


def _names_a_street(head: str) -> bool:
    words = street_key(head).split()
    return len(words) > 1 or bool(words and not is_street_type(words[0]))


def _splits(words: Sequence[str], lines: Sequence[str], *, most: int) -> Iterator[tuple[str, str]]:
    """Give (street, town) as the label may be split: the town last, first before the type, in the line above, or before one more word."""
    for count in range(min(most, len(words) - 1), 0, -1):
        yield " ".join(words[:-count]), " ".join(words[-count:])
    for i, word in enumerate(words[1 : most + 1], 1):
        if is_street_type(capitals(word)):
            yield " ".join(words[i:]), " ".join(words[:i])
            break
    if lines:
        yield " ".join(words), lines[-1]
    if most == _CITY_WORDS:
        for count in range(min(most, len(words) - 2), 0, -1):
            yield " ".join(words[: -count - 1]), " ".join(words[-count - 1 : -1])
