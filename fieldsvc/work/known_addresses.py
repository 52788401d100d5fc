"""The reference addresses in PostgreSQL as the geocoder's store: communes by name, then their streets, then a few numbers.

A search runs in a thread over what is known. Where it lacks the streets of a commune it is stopped, where it lacks numbers it
goes on to the end of its choice of streets; what it lacked is read, together, and it runs again: three times for a new place.
Streets and numbers that were used lately are kept, bounded by their count (about 60 MB when all is full), until an import
changes them.
"""

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from fieldsvc.store import address as addresses
from fieldsvc.store.address import Commune, Label
from fieldsvc.store.database import Database
from geo.address_files import AddressRow
from geo.addresses import Address, Candidate, Geocoder, MemoryStore, Number, Store, Street, city_key, street_key
from geo.reverse import Near, nearest

CHECK_S = 30.0
STREETS_KEPT, NUMBERS_KEPT = 40_000, 100_000
_PASSES = 20
Weighed = TypeVar("Weighed", bound=Sized)


class Kept(Generic[Weighed]):
    """Values by name, at most `most` members in all of them; the one used longest ago leaves first. Threads may share it."""

    def __init__(self, most: int) -> None:
        self._most, self._weight, self._guard = most, 0, threading.Lock()
        self._values: OrderedDict[str, Weighed] = OrderedDict()

    @property
    def weight(self) -> int:
        """How many members are kept; each value counts as one more."""
        return self._weight

    def get(self, key: str) -> Weighed | None:
        """Return a value and count it as used."""
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: Weighed) -> None:
        """Keep a value; one that alone is more than the bound stays until the next comes."""
        with self._guard:
            self._drop(key)
            self._values[key] = value
            self._weight += len(value) + 1
            while self._weight > self._most and len(self._values) > 1:
                self._drop(next(iter(self._values)))

    def _drop(self, key: str) -> None:
        if key in self._values:
            self._weight -= len(self._values.pop(key)) + 1

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._values.clear()
            self._weight = 0


class _Stopped(Exception):
    """The search cannot go on without what it lacked."""


class _Gazetteer:
    """Every commune of which there are addresses, by name and by postcode."""

    def __init__(self, communes: Iterable[Commune]) -> None:
        self.by_code = {each.citycode: each for each in communes}
        self.by_postcode: dict[str, list[str]] = defaultdict(list)
        names: dict[str, set[str]] = defaultdict(set)
        for each in self.by_code.values():
            names[city_key(each.city)].add(each.citycode)
            for postcode in each.postcodes:
                self.by_postcode[postcode].append(each.citycode)
        self.named = MemoryStore(communes=names).communes_named


class _Streets:
    """The streets of one commune; `labels` says how each is written in the reference, by its id."""

    def __init__(self, written: Iterable[Label]) -> None:
        grouped: dict[tuple[str, str], list[Label]] = defaultdict(list)
        for label in sorted(written, key=lambda each: each.first_id):
            grouped[label.postcode, street_key(label.street)].append(label)
        self.every: list[Street] = []
        self.by_postcode: dict[str, list[Street]] = defaultdict(list)
        self.labels: dict[str, list[Label]] = {}
        for (postcode, key), members in grouped.items():
            street = _street(key, members)
            self.every.append(street)
            self.by_postcode[postcode].append(street)
            self.labels[street.street_id] = members

    def __len__(self) -> int:
        return len(self.every)


def _street(key: str, members: Sequence[Label]) -> Street:
    first, count = members[0], sum(each.addresses for each in members)
    return Street(
        street_id=f"{first.citycode}/{first.postcode}/{key}",
        name=first.street,
        key=key,
        postcode=first.postcode,
        city=first.city,
        citycode=first.citycode,
        lat=sum(each.lat * each.addresses for each in members) / count,
        lon=sum(each.lon * each.addresses for each in members) / count,
    )


@dataclass
class _View:
    """The store of one search: what is kept and what was read for it, held until it ends; and what it lacked."""

    gazetteer: _Gazetteer
    kept_streets: Kept[_Streets]
    kept_numbers: Kept[Sequence[Number]]
    streets: dict[str, _Streets] = field(default_factory=dict)
    numbers: dict[str, Sequence[Number]] = field(default_factory=dict)
    lacked_communes: set[str] = field(default_factory=set)
    lacked_numbers: set[str] = field(default_factory=set)

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        loaded = self._loaded(self.gazetteer.by_postcode.get(postcode, ()))
        return [street for streets in loaded for street in streets.by_postcode.get(postcode, ())]

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        loaded = self._loaded([citycode] if citycode in self.gazetteer.by_code else [])
        return loaded[0].every if loaded else []

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        return self.gazetteer.named(key, fuzzy=fuzzy)

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        found = self.numbers.get(street_id)
        if found is None:
            found = self.kept_numbers.get(street_id)
            if found is None:
                self.lacked_numbers.add(street_id)
                return ()
            self.numbers[street_id] = found
        return found

    def _loaded(self, citycodes: Sequence[str]) -> Sequence[_Streets]:
        """Return the streets of communes; stop the search when any are not known, or numbers of the last choice are not."""
        for code in citycodes:
            found = None if code in self.streets else self.kept_streets.get(code)
            if found is not None:
                self.streets[code] = found
            elif code not in self.streets:
                self.lacked_communes.add(code)
        if self.lacked_communes or self.lacked_numbers:
            raise _Stopped
        return [self.streets[code] for code in citycodes]


class KnownAddresses:
    """Search the imported addresses, by text and by place. Ranking runs in a thread."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._gazetteer: _Gazetteer | None = None
        self._mark: tuple[int, datetime | None] | None = None
        self._checked_at, self._generation = float("-inf"), 0
        self._streets: Kept[_Streets] = Kept(STREETS_KEPT)
        self._numbers: Kept[Sequence[Number]] = Kept(NUMBERS_KEPT)
        self._checking, self._reading = asyncio.Lock(), asyncio.Lock()

    async def search(
        self,
        wanted: Address,
        *,
        citycode: str | None = None,
        limit: int = 5,
        through: Callable[[Store], Store] = lambda store: store,
    ) -> list[Candidate]:
        """Search one address, as `Geocoder.search` does; `through` may put something between it and its store."""
        view = _View(await self._communes(), self._streets, self._numbers)
        found: list[Candidate] = []
        for _ in range(_PASSES):
            view.lacked_communes, view.lacked_numbers = set(), set()
            with contextlib.suppress(_Stopped):
                geocoder = Geocoder(through(view))
                found = await asyncio.to_thread(geocoder.search, wanted, citycode=citycode, limit=limit)
            if not view.lacked_communes and not view.lacked_numbers:
                break
            if view.lacked_communes:
                view.streets |= await self._streets_of(sorted(view.lacked_communes))
            if view.lacked_numbers:
                view.numbers |= await self._numbers_of(sorted(view.lacked_numbers), view.streets)
        return found

    async def nearest(self, lat: float, lon: float, *, within_m: float = 100.0, limit: int = 5) -> list[Near]:
        """Find the known addresses nearest to a place."""
        rows = await addresses.around(self._database, lat, lon, within_m=within_m)
        return nearest(rows, lat, lon, within_m=within_m, limit=limit)

    async def commune(self, citycode: str) -> Commune | None:
        """Return a commune of which there are addresses."""
        return (await self._communes()).by_code.get(citycode)

    async def any(self) -> bool:
        """Tell whether any address was imported."""
        return bool((await self._communes()).by_code)

    async def _communes(self) -> _Gazetteer:
        """Return the communes; every half minute see whether an import changed anything, and then forget what was read."""
        async with self._checking:
            if self._gazetteer is not None and self._clock() - self._checked_at < CHECK_S:
                return self._gazetteer
            checked_at, mark = self._clock(), await addresses.mark(self._database)
            if self._gazetteer is None or mark != self._mark:
                communes = await addresses.communes(self._database)
                self._gazetteer, self._mark = await asyncio.to_thread(_Gazetteer, communes), mark
                self._streets.clear()
                self._numbers.clear()
                self._generation += 1
            self._checked_at = checked_at
            return self._gazetteer

    async def _streets_of(self, citycodes: Sequence[str]) -> dict[str, _Streets]:
        """Read the streets of communes; many may ask for one at once, and the first of them reads it."""
        async with self._reading:
            kept = {code: self._streets.get(code) for code in citycodes}
            found = {code: streets for code, streets in kept.items() if streets is not None}
            missing = [code for code in citycodes if code not in found]
            if missing:
                generation = self._generation
                read = await asyncio.to_thread(_by_commune, await addresses.streets_of(self._database, missing))
                for code in missing:
                    found[code] = read.get(code) or _Streets(())
                    if generation == self._generation:
                        self._streets.put(code, found[code])
        return found

    async def _numbers_of(
        self, street_ids: Sequence[str], streets: Mapping[str, _Streets]
    ) -> dict[str, Sequence[Number]]:
        generation = self._generation
        labels = [label for street_id in street_ids for label in _labels(street_id, streets)]
        wanted = [(label.citycode, label.postcode, label.street) for label in labels]
        read = _numbers_by_street(await addresses.numbers_of(self._database, wanted))
        found: dict[str, Sequence[Number]] = {street_id: read.get(street_id, ()) for street_id in street_ids}
        if generation == self._generation:
            for street_id, numbers in found.items():
                self._numbers.put(street_id, numbers)
        return found


def _by_commune(labels: Iterable[Label]) -> dict[str, _Streets]:
    grouped: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        grouped[label.citycode].append(label)
    return {citycode: _Streets(members) for citycode, members in grouped.items()}


def _labels(street_id: str, streets: Mapping[str, _Streets]) -> Sequence[Label]:
    loaded = streets.get(street_id.split("/", 1)[0])
    return loaded.labels.get(street_id, ()) if loaded else ()


def _numbers_by_street(rows: Iterable[AddressRow]) -> dict[str, list[Number]]:
    found: dict[str, list[Number]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: each.address_id):
        number = Number(row.house_number, row.repetition, row.lat, row.lon, row.address_id, row.position_kind)
        found[f"{row.citycode}/{row.postcode}/{street_key(row.street)}"].append(number)
    return found
