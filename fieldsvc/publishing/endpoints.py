"""What subscribers do with their endpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fieldsvc.errors import Conflict, NotFound
from fieldsvc.ids import uuid7
from fieldsvc.journal.reader import Position, Reader
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.logs import get_logger
from fieldsvc.publishing.addresses import checked_url
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.formats.telling import Origin
from fieldsvc.publishing.keys import open_headers, open_keys, seal_headers, seal_key
from fieldsvc.publishing.options import BadOption, applied, has_bearer, headers_after, names_of, same_host
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.resuming import Resumed, Resuming
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.standing import Standing, Standings
from fieldsvc.publishing.trial import trial
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from fieldsvc.store import attempts, endpoints
from fieldsvc.store.attempts import Attempt, Logged, Search, Share
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.endpoints import Endpoint, GivenUp, Health, ParkedSubject
from fieldsvc.store.viewer import SUBSCRIBER, Viewer

log = get_logger()
MOST_ENDPOINTS = 100
OVERLAP_S = 86_400.0
TRIES = 5


@dataclass(frozen=True, slots=True)
class Shown:
    """What is told of the headers of an endpoint: their names, and whether there is a bearer."""

    headers: Sequence[str]
    bearer: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How an endpoint is doing, what waits behind its parked subjects, and its keys: when each was made, and until when it signs."""

    health: Health
    standing: Standing
    keys: Sequence[tuple[datetime, datetime | None]]
    last_success_at: datetime | None
    behind: int = 0


class Endpoints:
    """Endpoints by account; NotFound for another account's."""

    def __init__(self, database: Database, reader: Reader, *, vault: Vault, feed: Feed, settings: Settings) -> None:
        self._database = database
        self._reader = reader
        self._vault = vault
        self._feed = feed
        self._allow_loopback = settings.allow_loopback_endpoints
        self._standings = Standings(database, reader, Renderer(Opener(database, vault)))
        self._origin = Origin.of(settings)

    async def create(
        self,
        account: str,
        url: str,
        *,
        types: Sequence[str] = (),
        start: str | None = None,
        thin: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Endpoint, str]:
        """Make an endpoint and return it with its signing key, which is not shown again.

        It starts at its creation, at the oldest kept event (`start` = "oldest"), or behind a cursor of the feed. `options` are
        members of `Options`, `headers` and `bearer`. BadRequest for what cannot be used; Conflict beyond 100 endpoints.
        """
        self._check_url(url)
        now = datetime.now(UTC)
        blank = Endpoint(
            f"ep_{uuid7().hex}", account, url, [], thin=False, state="active", reason=None, version=1, created_at=now
        )
        endpoint = self._with(blank, {"types": types, "thin": thin, **(options or {})})
        positions = await self._start(start)
        secret = new_secret()
        sealed = seal_key(self._vault, endpoint.id, secret)
        if not await endpoints.create(
            self._database, endpoint, sealed_secret=sealed, start=positions, most=MOST_ENDPOINTS
        ):
            raise Conflict("An account has at most 100 endpoints.")
        log.info("endpoint.created", endpoint=endpoint.id, account=account)
        return endpoint, secret

    async def page(self, account: str, *, after: str, limit: int) -> list[Endpoint]:
        """List endpoints by id."""
        return await endpoints.page(self._seen(account), account, after=after, limit=limit)

    async def read(self, account: str, endpoint_id: str) -> Endpoint:
        """Return one endpoint."""
        found = await endpoints.read(self._seen(account), account, endpoint_id)
        if found is None:
            raise NotFound
        return found

    def shown(self, endpoint: Endpoint) -> Shown:
        """Tell of the headers of an endpoint what may be told."""
        headers = open_headers(self._vault, endpoint.id, endpoint.sealed_headers)
        return Shown(names_of(headers), has_bearer(headers))

    async def status(self, endpoint: Endpoint) -> Status:
        """Tell how an endpoint is doing."""
        seen = self._seen(endpoint.account)
        config = (await endpoints.configs(self._database, [endpoint.id])).get(endpoint.id)
        if config is None:
            raise NotFound
        return Status(
            await endpoints.health(seen, endpoint.id),
            await self._standings.of(config),
            await endpoints.keys(self._database, endpoint.id),
            await attempts.last_success(seen, endpoint.id),
            await endpoints.behind(self._database, endpoint.id),
        )

    async def parked(self, account: str, endpoint_id: str, *, after: str, limit: int) -> list[ParkedSubject]:
        """List the subjects that wait alone, by name."""
        endpoint = await self.read(account, endpoint_id)
        return await endpoints.parked_page(self._seen(account), endpoint.id, after=after, limit=limit)

    async def given_up(
        self, account: str, endpoint_id: str, *, before: tuple[datetime, str], limit: int
    ) -> list[GivenUp]:
        """List the dead letters, newest first."""
        endpoint = await self.read(account, endpoint_id)
        return await endpoints.given_up_page(self._seen(account), endpoint.id, before=before, limit=limit)

    async def change(self, account: str, endpoint_id: str, asked: Mapping[str, Any]) -> Endpoint:
        """Change what is given: `url`, `types`, `thin`, members of `Options`, `headers`, `bearer`; None is the default.

        Its lane goes on with it within a second, from where it stands. At another host the headers and the bearer are dropped, unless
        they are given anew. BadRequest for what cannot be used.
        """
        for _ in range(TRIES):
            changed = await endpoints.change(self._database, self._with(await self.read(account, endpoint_id), asked))
            if changed is not None:
                return changed
        raise Conflict("Others are changing this endpoint.")

    async def pause(self, account: str, endpoint_id: str) -> Endpoint:
        """Stop sending; the cursor stands, and nothing is lost."""
        endpoint = await self.read(account, endpoint_id)
        await endpoints.stop(self._database, endpoint.id, state="paused", reason="paused by the subscriber")
        return await self.read(account, endpoint_id)

    async def resume(
        self, account: str, endpoint_id: str, *, skip: bool = False, by: tuple[str, str] | None = None
    ) -> tuple[Endpoint, Resumed]:
        """Go on where it stopped, at once; with `skip` from now on (Conflict for one that is not stopped).

        `by` is the person who asked and their role, where it was not a program of the account.
        """
        endpoint = await self.read(account, endpoint_id)
        resuming = Resuming(self._database, self._reader, self._feed)
        resumed = await (resuming.skip_to_now(endpoint.id, by=by) if skip else resuming.go_on(endpoint.id))
        return await self.read(account, endpoint_id), resumed

    async def remove(self, account: str, endpoint_id: str) -> None:
        """Delete an endpoint and what waits for it."""
        if not await endpoints.remove(self._database, account, endpoint_id):
            raise NotFound

    async def rotate(self, account: str, endpoint_id: str, *, overlap_s: float = OVERLAP_S) -> str:
        """Return a new signing key; the old ones sign beside it for `overlap_s` seconds."""
        endpoint = await self.read(account, endpoint_id)
        secret = new_secret()
        sealed = seal_key(self._vault, endpoint.id, secret)
        await endpoints.rotate(self._database, endpoint.id, sealed, overlap_s=overlap_s)
        return secret

    async def test(self, account: str, endpoint_id: str) -> Attempt:
        """Send a signed test event now, as the real ones are sent but beside their order, and tell how it went."""
        endpoint = await self.read(account, endpoint_id)
        probe = trial(endpoint, self._origin, now=datetime.now(UTC))
        keys = [key for key, _until in await open_keys(self._database, self._vault, endpoint.id)]
        headers = {**open_headers(self._vault, endpoint.id, endpoint.sealed_headers), "Fieldsvc-Test": "1"}
        async with Sender(allow_loopback=self._allow_loopback) as sender:
            outcome = await sender.send(
                endpoint.url, probe.name, body=probe.body, keys=keys, media_type=probe.media_type, headers=headers
            )
        attempt = Attempt(
            endpoint.id,
            probe.name,
            0,
            outcome.at,
            outcome.status,
            outcome.ms,
            outcome.error,
            outcome.body,
            probe.subject,
        )
        await attempts.add(self._database, [attempt])
        return attempt

    async def attempts(self, account: str, endpoint_id: str, search: Search, *, limit: int) -> list[Logged]:
        """List attempts, newest first."""
        endpoint = await self.read(account, endpoint_id)
        return await attempts.page(self._seen(account), endpoint.id, search, limit=limit)

    async def share(self, endpoint: Endpoint, since: datetime) -> Share:
        """Count what was taken of the newest requests since a moment."""
        return await attempts.share(self._seen(endpoint.account), endpoint.id, since)

    def _with(self, endpoint: Endpoint, asked: Mapping[str, Any]) -> Endpoint:
        """Return an endpoint with what was asked for."""
        made = applied(endpoint, asked)
        if "url" in asked:
            if asked["url"] is None:
                raise BadOption("url", "An endpoint has a URL.")
            self._check_url(asked["url"])
            made = replace(made, url=asked["url"])
        moved = not same_host(endpoint.url, made.url)
        if moved or asked.keys() & {"headers", "bearer"}:
            now = {} if moved else open_headers(self._vault, endpoint.id, endpoint.sealed_headers)
            sealed = seal_headers(self._vault, endpoint.id, headers_after(now, asked))
            made = replace(made, sealed_headers=sealed)
        return made

    def _seen(self, account: str) -> Seen:
        return self._database.seen_by(Viewer(SUBSCRIBER, account))

    def _check_url(self, url: str) -> None:
        checked_url(url, allow_loopback=self._allow_loopback)

    async def _start(self, start: str | None) -> dict[int, Position]:
        if start is None:
            return await self._reader.ends()
        return dict(await self._feed.resolve("" if start == "oldest" else start))
