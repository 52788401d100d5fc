"""Going on with an endpoint that was stopped: where it stood, or from now on."""

from collections.abc import Mapping
from dataclasses import dataclass

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.rights import sees_event
from fieldsvc.errors import Conflict, NotFound
from fieldsvc.ids import uuid7
from fieldsvc.journal.reader import Position, Reader
from fieldsvc.logs import get_logger
from fieldsvc.publishing.feed import Feed, is_past
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.store import endpoints, replays
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.replays import Asked

log = get_logger()
NOW = "now"


@dataclass(frozen=True, slots=True)
class Resumed:
    """How an endpoint went on: how many events were skipped, None if it went on where it stood.

    `oldest` is the oldest cursor of the feed if retention took events that it had not read, else None.
    """

    skipped: int | None = None
    oldest: str | None = None


class Resuming:
    """Makes stopped endpoints go on."""

    def __init__(self, database: Database, reader: Reader, feed: Feed) -> None:
        self._database = database
        self._reader = reader
        self._feed = feed

    async def go_on(self, endpoint_id: str) -> Resumed:
        """Go on where it stopped, and tell if retention has passed that place."""
        oldest = await self._reader.oldest()
        stood = await endpoints.cursors(self._database, endpoint_id)
        await endpoints.resume(self._database, endpoint_id)
        if any(is_past(oldest[shard], place) for shard, place in stood.items()):
            log.warning("endpoint.resumed_behind_retention", endpoint=endpoint_id)
            return Resumed(oldest=self._feed.cursors.write(oldest))
        return Resumed()

    async def skip_to_now(self, endpoint_id: str, *, by: tuple[str, str] | None = None) -> Resumed:
        """Skip what it has not read, and what waits parked; Conflict for one that is not stopped. `by`: who asked, and their role.

        Counted are events of its account (of every one with the scope operator), of its types, sites and format; a filter or
        postcodes might have passed some of these over. The dead letters stay.
        """
        config = (await endpoints.configs(self._database, [endpoint_id])).get(endpoint_id)
        if config is None:
            raise NotFound
        asked = Asked(f"rpl_{uuid7().hex}", config.id, "skip", state="done", starts=NOW)
        ends = await self._reader.ends()
        skipped = await replays.skip(self._database, asked, to=ends)
        if skipped is None:
            raise Conflict("An endpoint skips to now after it was paused or disabled.")
        stood, parked = skipped
        count = parked + await self._between(config, stood, ends)
        await replays.set_skipped(self._database, asked.id, count)
        actor, role = by or (config.account, "subscriber")
        entry = Entry(actor, role, "replay.skip", f"endpoint/{config.id}", reason=f"{count} events")
        await audit.note(self._database, entry)
        log.warning("endpoint.skipped", endpoint=config.id, count=count)
        return Resumed(skipped=count)

    async def _between(self, config: Config, stood: Mapping[int, Position], ends: Mapping[int, Position]) -> int:
        operator, types = "operator" in config.scopes, TypeFilter(config.types)
        form, account = FORMATS[config.format], None if operator else config.account
        count = 0
        for shard, place in stood.items():
            for row in await replays.passed(self._database, shard, place, ends[shard], account=account):
                count += row["events"] * (
                    sees_event(config.account, operator=operator, owner=row["account"], site=row["site"])
                    and types.matches(row["type"])
                    and form.covers(row["type"])
                    and (not config.sites or row["site"] in config.sites)
                )
        return count
