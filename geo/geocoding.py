"""A geocoder over a small store: the commune first, then its streets, then the number.

Text is never matched against a whole country: postcode, commune code or commune name choose the streets, and rapidfuzz
ranks those. This is a first version behind the names of the geo design; its own issue brings the final ranking.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rapidfuzz import fuzz, process

from geo.address_files import AddressRow
from geo.address_parser import Address, loose_repetition, parse
from geo.street_words import city_key, is_street_type, street_key

ACCEPT_SCORE = 0.9
REVIEW_SCORE = 0.6
_STREETS_RANKED = 12
_CITY_WORDS = 5
_UNSURE_SCORE = 0.89


@dataclass(frozen=True, slots=True)
class Number:
    """One numbered place of a street."""

    house_number: int | None
    repetition: str | None
    lat: float
    lon: float
    ban_id: str


@dataclass(frozen=True, slots=True)
class Street:
    """One street of one commune; `key` is `street_key(name)`, `lat`/`lon` its middle."""

    street_id: str
    name: str
    key: str
    postcode: str
    city: str
    citycode: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: `score` 0..1, `kind` is housenumber, interpolated, street or municipality."""

    score: float
    kind: str
    house_number: int | None
    repetition: str | None
    street: str | None
    postcode: str | None
    city: str
    citycode: str
    lat: float
    lon: float
    ban_id: str | None

    def address(self) -> Address:
        """Give the normalised address of this answer."""
        return Address(self.house_number, self.repetition, self.street, self.postcode, self.city, self.citycode)


class Store(Protocol):
    """Where streets and numbers come from; every method answers an empty sequence for what it does not know."""

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        """List the streets of a postcode."""
        ...

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        """List the streets of a commune by its INSEE code."""
        ...

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        """List (citycode, likeness 0..1) of the communes whose `city_key` is, or with `fuzzy` is close to, this one."""
        ...

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        """List the numbers of a street."""
        ...


@dataclass
class MemoryStore:
    """A store in memory, for tests, tools and single communes."""

    by_postcode: dict[str, list[Street]] = field(default_factory=lambda: defaultdict(list))
    by_commune: dict[str, list[Street]] = field(default_factory=lambda: defaultdict(list))
    communes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    numbers: dict[str, list[Number]] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, rows: Iterable[AddressRow]) -> "MemoryStore":
        """Group reference addresses into streets (same commune, postcode and street key)."""
        grouped: dict[tuple[str, str, str], list[AddressRow]] = defaultdict(list)
        for row in rows:
            grouped[row.citycode, row.postcode, street_key(row.street)].append(row)
        store = cls()
        for (citycode, postcode, key), members in grouped.items():
            lat, lon = sum(r.lat for r in members) / len(members), sum(r.lon for r in members) / len(members)
            street = Street(
                f"{citycode}/{postcode}/{key}", members[0].street, key, postcode, members[0].city, citycode, lat, lon
            )
            store.by_postcode[postcode].append(street)
            store.by_commune[citycode].append(street)
            store.communes[city_key(street.city)].add(citycode)
            store.numbers[street.street_id] = [
                Number(r.house_number, r.repetition, r.lat, r.lon, r.address_id) for r in members
            ]
        return store

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        """List the streets of a postcode."""
        return self.by_postcode.get(postcode, [])

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        """List the streets of a commune by its INSEE code."""
        return self.by_commune.get(citycode, [])

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        """List (citycode, likeness 0..1) of the communes of that name."""
        if not fuzzy:
            return [(code, 1.0) for code in sorted(self.communes.get(key, ()))]
        close = process.extract(key, self.communes.keys(), scorer=fuzz.ratio, limit=3, score_cutoff=80)
        return [(code, score / 100) for name, score, _ in close for code in sorted(self.communes[name])]

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        """List the numbers of a street."""
        return self.numbers.get(street_id, [])


@dataclass(frozen=True, slots=True)
class _Guess:
    """One reading of the text: this street label, in these streets, with this much of the place understood."""

    label: str
    streets: Sequence[Street]
    place: float


class Geocoder:
    """Find addresses in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def search(self, text: str | Address, *, citycode: str | None = None, limit: int = 5) -> list[Candidate]:
        """Search one address; best first, at most `limit` answers.

        `citycode` is the commune assumed when the text names none. Accept a score of 0.9 or more, review from 0.6,
        reject below. Two answers of one score in different streets are both held under 0.9: a person decides.
        """
        wanted = parse(text) if isinstance(text, str) else text
        guesses = self._guesses(wanted, citycode or wanted.citycode)
        if not wanted.street:
            return self._municipalities(guesses)[:limit]
        best: dict[str, Candidate] = {}
        for guess in guesses:
            for street, likeness in _ranked(guess):
                found = self._numbered(wanted, street, likeness * guess.place)
                if street.street_id not in best or best[street.street_id].score < found.score:
                    best[street.street_id] = found
        ordered = sorted(best.values(), key=lambda c: (-c.score, c.citycode, c.street or ""))
        return _held_if_tied(ordered)[:limit]

    def _guesses(self, wanted: Address, citycode: str | None) -> list[_Guess]:
        label = wanted.street or ""
        named = self._by_city(label, wanted) if wanted.city else []
        by_postcode = self.store.streets_of_postcode(wanted.postcode) if wanted.postcode else []
        if named:
            return named + ([_Guess(label, by_postcode, 0.9)] if by_postcode else [])
        if by_postcode:
            return [_Guess(label, by_postcode, 0.95 if wanted.city else 1.0), *self._by_trailing_city(label, wanted)]
        if citycode:
            near = _Guess(label, self.store.streets_of_commune(citycode), 1.0 if not wanted.city else 0.8)
            return [near, *self._by_trailing_city(label, wanted)]
        return self._by_trailing_city(label, wanted)

    def _by_city(self, label: str, wanted: Address) -> list[_Guess]:
        key = city_key(wanted.city or "")
        exact = self.store.communes_named(key, fuzzy=False)
        found = exact or self.store.communes_named(key, fuzzy=True)
        guesses = []
        for code, likeness in found:
            streets = self.store.streets_of_commune(code)
            in_postcode = [street for street in streets if street.postcode == wanted.postcode]
            place = 0.5 + 0.5 * likeness
            if wanted.postcode and in_postcode:
                guesses.append(_Guess(label, in_postcode, place))
            guesses.append(_Guess(label, streets, place * (0.95 if wanted.postcode and not _cedex(wanted) else 1.0)))
        return guesses

    def _by_trailing_city(self, label: str, wanted: Address) -> list[_Guess]:
        """Read the last words of the label as a commune: the longest exact name first, then one with a typing error."""
        words = label.split()
        for fuzzy in (False, True):
            for count in range(min(_CITY_WORDS, len(words) - 1), 0, -1):
                key = city_key(" ".join(words[-count:]))
                head = " ".join(words[:-count])
                if len(key) < 3 or not street_key(head):
                    continue
                found = self.store.communes_named(key, fuzzy=fuzzy)
                guesses = [_Guess(head, self.store.streets_of_commune(c), 0.5 + 0.5 * p) for c, p in found if p >= 0.85]
                if guesses:
                    return guesses
            if wanted.postcode:
                break
        return []

    def _municipalities(self, guesses: Sequence[_Guess]) -> list[Candidate]:
        found: dict[str, Candidate] = {}
        for guess in guesses:
            communes: dict[str, list[Street]] = defaultdict(list)
            for street in guess.streets:
                communes[street.citycode].append(street)
            for code, streets in communes.items():
                lat, lon = sum(s.lat for s in streets) / len(streets), sum(s.lon for s in streets) / len(streets)
                one = Candidate(
                    guess.place,
                    "municipality",
                    None,
                    None,
                    None,
                    streets[0].postcode,
                    streets[0].city,
                    code,
                    lat,
                    lon,
                    None,
                )
                if code not in found or found[code].score < one.score:
                    found[code] = one
        return _held_if_tied(sorted(found.values(), key=lambda c: (-c.score, c.citycode)))

    def _numbered(self, wanted: Address, street: Street, likeness: float) -> Candidate:
        """Place the number on the street: as known, between its neighbours, or the street alone."""
        base = Candidate(
            likeness,
            "street",
            None,
            None,
            street.name,
            street.postcode,
            street.city,
            street.citycode,
            street.lat,
            street.lon,
            None,
        )
        if wanted.house_number is None:
            return base
        numbers = self.store.numbers_of(street.street_id)
        exact = _exact(numbers, wanted)
        if exact:
            number, certain = exact
            known = replace(base, kind="housenumber", house_number=number.house_number, repetition=number.repetition)
            return replace(known, score=likeness * certain, lat=number.lat, lon=number.lon, ban_id=number.ban_id)
        between = _between(numbers, wanted.house_number)
        if between:
            lat, lon = between
            asked = replace(base, kind="interpolated", house_number=wanted.house_number, repetition=wanted.repetition)
            return replace(asked, score=likeness * 0.85, lat=lat, lon=lon)
        return replace(base, score=likeness * 0.7)


def _cedex(wanted: Address) -> bool:
    return "CEDEX" in (wanted.city or "").upper()


def _ranked(guess: _Guess) -> list[tuple[Street, float]]:
    """Rank the streets of a guess: likeness of the whole key, or of the key without its type at 0.95."""
    key = street_key(guess.label)
    if not key:
        return []
    bare = _without_type(key)
    keys = [street.key for street in guess.streets]
    near = {i: score / 100 for _, score, i in process.extract(key, keys, scorer=fuzz.ratio, limit=_STREETS_RANKED)}
    bare_keys = [_without_type(one) for one in keys]
    for _, score, i in process.extract(bare, bare_keys, scorer=fuzz.token_sort_ratio, limit=_STREETS_RANKED):
        near[i] = max(near.get(i, 0.0), 0.95 * score / 100)
    return [(guess.streets[i], likeness) for i, likeness in near.items()]


def _without_type(key: str) -> str:
    head, _, rest = key.partition(" ")
    return rest if rest and is_street_type(head) else key


def _exact(numbers: Sequence[Number], wanted: Address) -> tuple[Number, float] | None:
    same = [number for number in numbers if number.house_number == wanted.house_number]
    for number in same:
        if number.repetition == wanted.repetition:
            return number, 1.0
    for number in same:
        if loose_repetition(number.repetition) == loose_repetition(wanted.repetition):
            return number, 0.98
    return (min(same, key=lambda n: n.repetition or ""), 0.88) if same else None


def _between(numbers: Sequence[Number], wanted: int) -> tuple[float, float] | None:
    side = sorted(
        (n.house_number, n.lat, n.lon)
        for n in numbers
        if n.house_number is not None and n.house_number % 2 == wanted % 2
    )
    below = [one for one in side if one[0] < wanted]
    above = [one for one in side if one[0] > wanted]
    if not below or not above:
        return None
    low, high = below[-1], above[0]
    part = (wanted - low[0]) / (high[0] - low[0])
    return low[1] + part * (high[1] - low[1]), low[2] + part * (high[2] - low[2])


def _held_if_tied(ordered: list[Candidate]) -> list[Candidate]:
    """Hold equal best answers under the acceptance score: the text does not tell them apart."""
    if len(ordered) < 2 or ordered[0].score < ACCEPT_SCORE or ordered[0].score - ordered[1].score > 0.001:
        return ordered
    return [replace(one, score=min(one.score, _UNSURE_SCORE)) for one in ordered]
