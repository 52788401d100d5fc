"""What subscribers ask to be sent again: the live cursor moved back, a replay beside it, one event, or what was given up.

Every one of these is a deed that the audit log names, and all but a single event have a record that the subscriber can read.
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.errors import BadRequest, Conflict, Invalid, NotFound
from fieldsvc.ids import uuid7
from fieldsvc.journal.reader import START, Reader
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.publishing.feed import Feed, Positions, viewer_of_view
from fieldsvc.publishing.filters import checked, view_of
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.keys import open_headers, open_keys
from fieldsvc.publishing.rendering import Renderer, may_hold_sealed
from fieldsvc.publishing.replay_run import HEADER
from fieldsvc.publishing.webhooks import Outcome, Sender
from fieldsvc.settings import Settings
from fieldsvc.store import attempts, endpoints
from fieldsvc.store import replays as store
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.endpoints import Config
from fieldsvc.store.replays import Asked, Replay
from fieldsvc.store.viewer import SUBSCRIBER, Viewer

log = get_logger()
RESENT = "resend"  # in the header, in the place of a replay
_NAME = re.compile(r"rpl_[0-9a-f]{32}\Z")
LAST = "rpl_g"  # after every id, which is hexadecimal
DEEDS = {"paused": "replay.paused", "running": "replay.resumed", "cancelled": "replay.cancelled"}


class EmptyWindow(BadRequest):
    """The window ends before it starts."""

    code = "empty_window"


class NoSuchForm(Invalid):
    """The format of this endpoint cannot say this event."""

    code = "no_such_form"


class Settled(Conflict):
    """This replay has ended, or is none that runs beside the live cursor."""

    code = "replay_settled"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a side replay is to send: from a place of the feed to another one (None: all that there is now)."""

    start: str
    end: str | None = None
    types: Sequence[str] = ()
    only_failed: bool = False
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is recovered: a replay of so many dead letters, and so many parked subjects that are tried at once."""

    replay: Replay
    dead_letters: int
    parked: int


class Replaying:
    """Replays by account; NotFound for another account's endpoints. Places are those of `Feed.find`, with its errors."""

    def __init__(
        self, database: Database, reader: Reader, *, vault: Vault, feed: Feed, renderer: Renderer, settings: Settings
    ) -> None:
        self._database = database
        self._reader = reader
        self._vault = vault
        self._feed = feed
        self._renderer = renderer
        self._allow_loopback = settings.allow_loopback_endpoints
        self.by: tuple[str, str] | None = None

    def noted_as(self, actor: str, role: str) -> "Replaying":
        """Return the same for somebody of the account: the audit log names them, where it would name the account."""
        same = copy(self)
        same.by = actor, role
        return same

    async def rewind(self, account: str, endpoint_id: str, start: str) -> Replay:
        """Move the live cursor back to a place; where it stands before that already, it stays.

        What is parked behind the place is freed, to be read again in order; what is parked before it stays parked. Nobody sends
        until the lease of the lane's owner has run out, at most ten seconds.
        """
        config = await self._config(account, endpoint_id)
        to = await self._feed.find(start, view_of(config))
        asked = Asked(_name(), config.id, "rewind", state="done", starts=start)
        moved = await store.rewind(self._database, asked, to=to)
        await self._note(config, "replay.rewind", asked.id)
        log.warning("endpoint.rewound", endpoint=config.id, status="moved" if moved else "stood before")
        return await self.read(account, endpoint_id, asked.id)

    async def side(self, account: str, endpoint_id: str, wanted: Wanted) -> Replay:
        """Begin a replay beside the live cursor. EmptyWindow; Conflict beyond ten that have not ended."""
        config = await self._config(account, endpoint_id)
        types, view = checked(wanted.types), view_of(config)
        start = await self._feed.find(wanted.start, view)
        ends = await self._reader.ends()
        end = ends if wanted.end is None else await self._feed.find(wanted.end, view)
        if all(end[shard] <= place for shard, place in start.items()) and end != start:
            raise EmptyWindow
        end = {shard: max(place, end[shard]) for shard, place in start.items()}
        asked = Asked(
            _name(), config.id, "side", starts=wanted.start, ends=wanted.end, types=types, only_failed=wanted.only_failed,
            rate_per_s=wanted.rate_per_s,
        )  # fmt: skip
        await store.add_window(self._database, asked, start=start, end=end)
        await self._note(config, "replay.side", asked.id)
        return await self.read(account, endpoint_id, asked.id)

    async def recover(self, account: str, endpoint_id: str, since: datetime) -> Recovered:
        """Send again, in order per subject, the dead letters since a moment, and try at once what was parked since then.

        Conflict beyond ten replays that have not ended.
        """
        config = await self._config(account, endpoint_id)
        ends = await self._reader.ends()
        start: Positions = dict.fromkeys(ends, START)
        asked = Asked(_name(), config.id, "recover", starts=since.isoformat())
        dead_letters, parked = await store.recover(self._database, asked, since, start=start, end=ends)
        await self._note(config, "replay.recover", asked.id)
        return Recovered(await self.read(account, endpoint_id, asked.id), dead_letters, parked)

    async def resend(self, account: str, endpoint_id: str, event_id: str) -> Attempt:
        """Send one event once now, with its own id and beside the order, also if the endpoint is stopped or would filter it out.

        NotFound for an event that the account may not see, NoSuchForm for one that the endpoint's format cannot say.
        """
        config = await self._config(account, endpoint_id)
        view, form = view_of(config), FORMATS[config.format]
        row = await self._reader.event(event_id, viewer_of_view(view))
        if row is None or not view.sees(row):
            raise NotFound
        if not form.wants(row):
            raise NoSuchForm
        body = (await self._renderer.readable([row], view, config.format))[0]
        if not body:
            raise NoSuchForm
        outcome = await self._send(config, row.evt_id, body)
        attempt = Attempt(
            config.id,
            row.evt_id,
            0,
            outcome.at,
            outcome.status,
            outcome.ms,
            outcome.error,
            None if may_hold_sealed(row, view, config.format) else outcome.body,
            subject=row.subject,
        )
        await attempts.add(self._database, [attempt])
        if outcome.ok:
            await store.delivered(self._database, config.id, row.evt_id)
        await self._note(config, "event.resent", row.evt_id)
        return attempt

    async def page(self, account: str, endpoint_id: str, *, before: str, limit: int) -> list[Replay]:
        """List the replays of an endpoint, newest first."""
        await self._config(account, endpoint_id)
        return await store.page(self._seen(account), endpoint_id, before=before or LAST, limit=limit)

    async def read(self, account: str, endpoint_id: str, replay_id: str) -> Replay:
        """Return one replay."""
        if not _NAME.match(replay_id):
            raise NotFound
        found = await store.page(self._seen(account), endpoint_id, before=f"{replay_id}0", limit=1)
        if not found or found[0].id != replay_id:
            raise NotFound
        return found[0]

    async def pause(self, account: str, endpoint_id: str, replay_id: str) -> Replay:
        """Let a replay stand still; one that stands already does so."""
        return await self._settle(account, endpoint_id, replay_id, state="paused", was=("running", "paused"))

    async def resume(self, account: str, endpoint_id: str, replay_id: str) -> Replay:
        """Let a replay go on where it stood."""
        return await self._settle(account, endpoint_id, replay_id, state="running", was=("running", "paused"))

    async def cancel(self, account: str, endpoint_id: str, replay_id: str) -> Replay:
        """End a replay where it stands. What is in flight arrives."""
        was = ("running", "paused", "cancelled")
        return await self._settle(account, endpoint_id, replay_id, state="cancelled", was=was)

    async def _settle(
        self, account: str, endpoint_id: str, replay_id: str, *, state: str, was: Sequence[str]
    ) -> Replay:
        config = await self._config(account, endpoint_id)
        await self.read(account, endpoint_id, replay_id)
        if not await store.settle(self._database, config.id, replay_id, state=state, was=was):
            raise Settled
        await self._note(config, DEEDS[state], replay_id)
        return await self.read(account, endpoint_id, replay_id)

    async def _config(self, account: str, endpoint_id: str) -> Config:
        if await endpoints.read(self._seen(account), account, endpoint_id) is None:
            raise NotFound
        config = (await endpoints.configs(self._database, [endpoint_id])).get(endpoint_id)
        if config is None:
            raise NotFound
        return config

    async def _send(self, config: Config, name: str, body: bytes) -> Outcome:
        keys = [key for key, _until in await open_keys(self._database, self._vault, config.id)]
        headers = {**open_headers(self._vault, config.id, config.sealed_headers), HEADER: RESENT}
        async with Sender(allow_loopback=self._allow_loopback) as sender:
            media_type = FORMATS[config.format].media_type
            return await sender.send(config.url, name, body=body, keys=keys, media_type=media_type, headers=headers)

    async def _note(self, config: Config, action: str, name: str) -> None:
        actor, role = self.by or (config.account, "subscriber")
        entry = Entry(actor, role, action, f"endpoint/{config.id}", reason=name)
        await audit.note(self._database, entry)

    def _seen(self, account: str) -> Seen:
        return self._database.seen_by(Viewer(SUBSCRIBER, account))


def _name() -> str:
    return f"rpl_{uuid7().hex}"
