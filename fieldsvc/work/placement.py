"""Where a new address lies, and between which stops of which round it falls."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz, process

from fieldsvc.store import address as addresses
from fieldsvc.store import round as rounds
from fieldsvc.store.address import Commune
from fieldsvc.store.database import Database
from fieldsvc.store.recent import Recent
from geo.addresses import Address, Candidate, Geocoder, MemoryStore, Number, Street, city_key, one_line, parse
from geo.assignment import NOWHERE, Placement, RoundBook

BOOK_CHECK_S = 30.0
_COMMUNES_KEPT = 64
_PASSES = 3
_LIKE = 80.0


@dataclass(frozen=True, slots=True)
class Placed:
    """An address that was looked for: the best answer, if any, and its place between stops."""

    wanted: Address
    candidate: Candidate | None
    placement: Placement

    def as_mapping(self) -> dict[str, Any]:
        """Write it as decisions read it; without an answer the score is 0 and nothing is certain."""
        found = self.candidate
        return {
            "normalised": one_line(found.address()) if found else None,
            "lat": found.lat if found else None,
            "lon": found.lon if found else None,
            "score": round(found.score, 3) if found else 0.0,
            "round_id": self.placement.round_id,
            "after_stop_id": self.placement.after_stop_id,
            "before_stop_id": self.placement.before_stop_id,
            "cost_m": round(self.placement.cost_m, 1) if self.placement.cost_m is not None else None,
            "ambiguous": self.placement.ambiguous,
            "confidence": round(self.placement.confidence, 3),
        }


@dataclass
class _LoadedCommunes:
    """The store of one search: names and postcodes of every commune, streets of those loaded; notes which it lacked."""

    communes: Sequence[Commune]
    loaded: dict[str, MemoryStore]
    lacked: set[str]

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        codes = [each.citycode for each in self.communes if postcode in each.postcodes]
        return [street for code in codes for street in self._of(code).streets_of_postcode(postcode)]

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        return self._of(citycode).streets_of_commune(citycode)

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        named = [(city_key(each.city), each.citycode) for each in self.communes]
        if not fuzzy:
            return [(code, 1.0) for name, code in named if name == key]
        close = process.extract(key, [name for name, _ in named], scorer=fuzz.ratio, limit=3, score_cutoff=_LIKE)
        return [(named[index][1], score / 100) for _, score, index in close]

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        return self._of(street_id.split("/", 1)[0]).numbers_of(street_id)

    def _of(self, citycode: str) -> MemoryStore:
        found = self.loaded.get(citycode)
        if found is None and any(each.citycode == citycode for each in self.communes):
            self.lacked.add(citycode)
        return found or MemoryStore()


class Placer:
    """Place addresses. What is costly runs in a thread; communes and the book of rounds are kept while they hold."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._loaded: Recent[str, MemoryStore] = Recent(size=_COMMUNES_KEPT, ttl_s=600.0, clock=clock)
        self._communes: Recent[str, Sequence[Commune]] = Recent(size=1, ttl_s=BOOK_CHECK_S, clock=clock)
        self._checked: Recent[str, bool] = Recent(size=1, ttl_s=BOOK_CHECK_S, clock=clock)
        self._book: tuple[int, RoundBook] | None = None
        self._building = asyncio.Lock()

    async def warm(self) -> None:
        """Build the book of rounds before the first address asks for it."""
        await self._rounds()

    async def place(self, new_address: str | Mapping[str, Any], *, citycode: str | None = None) -> dict[str, Any]:
        """Place an address given as text or in parts; `citycode` is the commune assumed when it names none.

        Returns normalised, lat, lon, score, round_id, after_stop_id, before_stop_id, cost_m, ambiguous, confidence.
        """
        return (await self.find(new_address, citycode=citycode)).as_mapping()

    async def find(self, new_address: str | Mapping[str, Any], *, citycode: str | None = None) -> Placed:
        """Place an address and keep the geocoder's best answer."""
        wanted = parse(new_address) if isinstance(new_address, str) else address_of(new_address)
        found = await self._search(wanted, citycode)
        best = found[0] if found else None
        if best is None or best.kind == "municipality":
            return Placed(wanted, best, NOWHERE)
        book = await self._rounds()
        placement = await asyncio.to_thread(book.locate_address, best.address(), best.lat, best.lon)
        return Placed(wanted, best, placement)

    async def _search(self, wanted: Address, citycode: str | None) -> list[Candidate]:
        """Search, load the communes that turned out to be needed, and search again."""
        loaded: dict[str, MemoryStore] = {}
        found: list[Candidate] = []
        for _ in range(_PASSES):
            store = _LoadedCommunes(await self._every_commune(), loaded, set())
            found = await asyncio.to_thread(Geocoder(store).search, wanted, citycode=citycode)
            if not store.lacked:
                break
            for code in sorted(store.lacked):
                loaded[code] = await self._commune(code)
        return found

    async def _every_commune(self) -> Sequence[Commune]:
        known = self._communes.get("")
        if known is None:
            since = self._clock()
            known = await addresses.communes(self._database)
            self._communes.put("", known, since=since)
        return known

    async def _commune(self, citycode: str) -> MemoryStore:
        known = self._loaded.get(citycode)
        if known is None:
            since = self._clock()
            rows = await addresses.of_commune(self._database, citycode)
            known = await asyncio.to_thread(MemoryStore.from_rows, rows)
            self._loaded.put(citycode, known, since=since)
        return known

    async def _rounds(self) -> RoundBook:
        if self._book is not None and self._checked.get(""):
            return self._book[1]
        async with self._building:
            since = self._clock()
            mark = await rounds.mark(self._database)
            if self._book is None or self._book[0] != mark:
                every = await rounds.read_all(self._database)
                self._book = (mark, await asyncio.to_thread(RoundBook.from_rounds, every))
            self._checked.put("", True, since=since)
            return self._book[1]


def address_of(parts: Mapping[str, Any]) -> Address:
    """Read an address in parts: `lines`, or house_number, repetition, street, postcode, city, citycode."""
    lines = parts.get("lines")
    if isinstance(lines, list) and lines:
        return parse([str(line) for line in lines])
    number = parts.get("house_number", parts.get("number"))
    text = {
        name: str(parts[name]).strip() or None for name in ("street", "postcode", "city", "citycode") if parts.get(name)
    }
    street = parse(f"{number or ''} {text.get('street') or ''}".strip())
    mark = parts.get("repetition")
    return Address(
        house_number=street.house_number,
        repetition=str(mark).upper() if mark else street.repetition,
        street=street.street or text.get("street"),
        postcode=text.get("postcode"),
        city=text.get("city"),
        citycode=text.get("citycode"),
    )
