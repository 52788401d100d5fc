"""How far an endpoint is behind: counted where it is near, estimated where it is far, cheap in both cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fieldsvc.journal.reader import Position, Reader, Row
from fieldsvc.publishing.filters import EventFilter
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.store import endpoints
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config

LOOK = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How many events wait behind the cursor, and for how many seconds the oldest that is not acknowledged has been known.

    `is_exact` is false where more rows follow than were looked at: then the count is what the share of wanted ones among them
    lets expect, by the positions still to come.
    """

    backlog: int
    is_exact: bool
    lag_s: float


@dataclass(frozen=True, slots=True)
class _Shard:
    count: int
    is_exact: bool
    oldest: datetime | None


class Standings:
    """Tells how far endpoints are behind."""

    def __init__(self, database: Database, reader: Reader, renderer: Renderer) -> None:
        self._database = database
        self._reader = reader
        self._renderer = renderer

    async def of(self, config: Config) -> Standing:
        """Look at the first rows behind the cursor of every shard, and at the heads of parked subjects."""
        wanted = EventFilter.of(config, renderer=self._renderer, database=self._database)
        places, ends = await endpoints.cursors(self._database, config.id), await self._reader.ends()
        shards = [await self._shard(wanted, shard, place, ends[shard]) for shard, place in places.items()]
        known = [each.oldest for each in shards if each.oldest is not None]
        parked = await endpoints.oldest_parked(self._database, config.id)
        oldest = min([*known, parked] if parked else known, default=None)
        return Standing(
            sum(each.count for each in shards),
            all(each.is_exact for each in shards),
            max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0,
        )

    async def _shard(self, wanted: EventFilter, shard: int, place: Position, end: Position) -> _Shard:
        rows = await self._rows(wanted, shard, place)
        found = [row for row, is_wanted in zip(rows, await wanted.matching(rows), strict=True) if is_wanted]
        oldest = found[0].received_at if found else None
        if len(rows) < LOOK:
            return _Shard(len(found), is_exact=True, oldest=oldest)
        share = (end[1] - rows[0].pos) / max(1, rows[-1].pos - rows[0].pos)
        return _Shard(round(len(found) * max(1.0, share)), is_exact=False, oldest=oldest)

    async def _rows(self, wanted: EventFilter, shard: int, place: Position) -> Sequence[Row]:
        if wanted.view.operator:
            return await self._reader.after(shard, place, limit=LOOK)
        account = wanted.view.account
        found = await endpoints.waiting(self._database, account, shard=shard, place=place, limit=LOOK)
        return [Row(*row) for row in found]
