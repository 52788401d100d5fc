"""Where the geocoder's streets and numbers come from: a small protocol, and a store in memory."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from geo.address_files import AddressRow
from geo.street_words import city_key, street_key, without_type

_NAMES_LIKE = 80.0
_SHORT_NAME = 5


@dataclass(frozen=True, slots=True)
class Number:
    """One numbered place of a street; `position_kind` is the BAN's `type_position` (entrée, bâtiment…) or None."""

    house_number: int | None
    repetition: str | None
    lat: float
    lon: float
    ban_id: str
    position_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Street:
    """One street of one commune; `key` is `street_key(name)`, `lat`/`lon` its middle; `bare` is the key without its type."""

    street_id: str
    name: str
    key: str
    postcode: str
    city: str
    citycode: str
    lat: float
    lon: float
    bare: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bare", without_type(self.key))


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
                Number(r.house_number, r.repetition, r.lat, r.lon, r.address_id, r.position_kind) for r in members
            ]
        return store

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        """List the streets of a postcode."""
        return self.by_postcode.get(postcode, [])

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        """List the streets of a commune by its INSEE code."""
        return self.by_commune.get(citycode, [])

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        """List (citycode, likeness 0..1) of the communes of that name; of a short one, those one typing error away."""
        if not fuzzy:
            return [(code, 1.0) for code in sorted(self.communes.get(key, ()))]
        names = list(self.communes)
        close = process.extract(key, names, scorer=fuzz.ratio, limit=3, score_cutoff=_NAMES_LIKE)
        if not close and len(key) <= _SHORT_NAME:
            near = process.extract(key, names, scorer=OSA.distance, limit=3, score_cutoff=1)
            close = [(name, 100 - 100 / len(key), place) for name, _, place in near]
        return [(code, score / 100) for name, score, _ in close for code in sorted(self.communes[name])]

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        """List the numbers of a street."""
        return self.numbers.get(street_id, [])
