"""Rounds as GeoJSON: written and packed once for each version of them."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fieldsvc.sites import Sites
from fieldsvc.store import live
from fieldsvc.store.database import Database
from fieldsvc.work.rounds import RoundStore
from geo.round_files import write_rounds_geojson
from geo.rounds import Round

BYTES_KEPT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A body, as text and packed, and the tag of its content."""

    tag: str
    text: bytes
    packed: bytes


class Geometry:
    """The documents of sites and of single rounds; bounded. `written` counts what was made."""

    def __init__(self, database: Database, rounds: RoundStore, *, bytes_kept: int = BYTES_KEPT) -> None:
        self._database = database
        self._rounds = rounds
        self._bytes_kept = bytes_kept
        self._kept: OrderedDict[tuple[str, str | None], tuple[str, Document]] = OrderedDict()
        self.written = 0

    async def of_site(self, site: str | None) -> Document:
        """Give the lines of a site's rounds, or of all."""

        async def read() -> list[Round]:
            return await live.rounds_of(self._database, site)

        return await self._made(("site", site), await live.mark_of(self._database, site), read)

    async def of_round(self, round_id: str, *, sites: Sites) -> Document | None:
        """Give the line of a round and its stops; None if there is no such round at these sites."""
        known = await self._rounds.known_round(round_id)
        if known is None or known.stored.round.site not in sites:
            return None
        planned = known.stored.round

        async def read() -> list[Round]:
            return [planned]

        return await self._made(("round", round_id), str(known.stored.version), read)

    async def _made(
        self, key: tuple[str, str | None], mark: str, read: Callable[[], Awaitable[list[Round]]]
    ) -> Document:
        kept = self._kept.get(key)
        if kept is not None and kept[0] == mark:
            self._kept.move_to_end(key)
            return kept[1]
        made = document(await read())
        self.written += 1
        self._kept[key] = (mark, made)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(len(each.text) + len(each.packed) for _, each in self._kept.values()) > (
            self._bytes_kept
        ):
            self._kept.popitem(last=False)
        return made


def document(rounds: list[Round]) -> Document:
    """Write rounds in the form that people bring them in."""
    text = write_rounds_geojson(rounds).encode()
    return Document(hashlib.sha256(text).hexdigest()[:32], text, gzip.compress(text, 6, mtime=0))
