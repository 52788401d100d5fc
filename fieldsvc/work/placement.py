"""Where a new address lies, and between which stops of which round it falls."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fieldsvc.store import round as rounds
from fieldsvc.store.database import Database
from fieldsvc.store.recent import Recent
from fieldsvc.work.known_addresses import KnownAddresses
from geo.address_parts import address_of
from geo.addresses import Address, Candidate, Store, one_line, parse
from geo.assignment import NOWHERE, Placement, RoundBook

BOOK_CHECK_S = 30.0


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


class Placer:
    """Place addresses. What is costly runs in a thread; the book of rounds is kept while it holds."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self.known = KnownAddresses(database, clock=clock)
        self._checked: Recent[str, bool] = Recent(size=1, ttl_s=BOOK_CHECK_S, clock=clock)
        self._book: tuple[int, RoundBook] | None = None
        self._building: asyncio.Task[RoundBook] | None = None

    async def warm(self) -> None:
        """Build the book of rounds before the first address asks for it."""
        try:
            await self._rounds()
        except asyncio.CancelledError:
            if self._building is not None:
                self._building.cancel()
            raise

    async def place(self, new_address: str | Mapping[str, Any], *, citycode: str | None = None) -> dict[str, Any]:
        """Place an address given as text or in parts; `citycode` is the commune assumed when it names none.

        Returns normalised, lat, lon, score, round_id, after_stop_id, before_stop_id, cost_m, ambiguous, confidence.
        """
        return (await self.find(new_address, citycode=citycode)).as_mapping()

    async def find(self, new_address: str | Mapping[str, Any], *, citycode: str | None = None) -> Placed:
        """Place an address and keep the geocoder's best answer."""
        return (await self.find_all(new_address, citycode=citycode))[0]

    async def find_all(
        self,
        new_address: str | Mapping[str, Any],
        *,
        citycode: str | None = None,
        limit: int = 5,
        through: Callable[[Store], Store] = lambda store: store,
    ) -> tuple[Placed, list[Candidate]]:
        """Place an address and keep every answer; `through` may put something between the geocoder and its store."""
        wanted = parse(new_address) if isinstance(new_address, str) else address_of(new_address)
        found = await self.known.search(wanted, citycode=citycode, limit=limit, through=through)
        best = found[0] if found else None
        if best is None or best.kind == "municipality":
            return Placed(wanted, best, NOWHERE), found
        book = await self._rounds()
        placement = await asyncio.to_thread(book.locate_address, best.address(), best.lat, best.lon)
        return Placed(wanted, best, placement), found

    async def _rounds(self) -> RoundBook:
        if self._book is not None and self._checked.get(""):
            return self._book[1]
        if self._building is None or self._building.done():
            self._building = asyncio.create_task(self._built())
            self._building.add_done_callback(lambda built: built.cancelled() or built.exception())
        return await asyncio.shield(self._building)  # who gives up waiting does not make the next one begin again

    async def _built(self) -> RoundBook:
        since = self._clock()
        mark = await rounds.mark(self._database)
        if self._book is None or self._book[0] != mark:
            every = await rounds.read_all(self._database)
            self._book = (mark, await asyncio.to_thread(RoundBook.from_rounds, every))
        self._checked.put("", True, since=since)
        return self._book[1]
