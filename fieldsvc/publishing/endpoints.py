"""What subscribers do with their endpoints."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from fieldsvc.errors import Conflict, NotFound
from fieldsvc.ids import uuid7
from fieldsvc.journal.reader import Position, Reader
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.publishing.addresses import checked_url
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.filters import checked
from fieldsvc.publishing.keys import open_keys, seal_key
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from fieldsvc.store import attempts, endpoints
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.endpoints import Endpoint, Health
from fieldsvc.store.viewer import SUBSCRIBER, Viewer
from handlers.base import evt_id, wire_type
from handlers.fields import format_time

log = get_logger()
MOST_ENDPOINTS = 100
OVERLAP_S = 86_400.0


class Endpoints:
    """Endpoints by account; NotFound for another account's."""

    def __init__(self, database: Database, reader: Reader, *, vault: Vault, feed: Feed, settings: Settings) -> None:
        self._database = database
        self._reader = reader
        self._vault = vault
        self._feed = feed
        self._allow_loopback = settings.allow_loopback_endpoints

    async def create(
        self, account: str, url: str, *, types: Sequence[str], start: str | None, thin: bool
    ) -> tuple[Endpoint, str]:
        """Make an endpoint and return it with its signing key, which is not shown again.

        It starts at its creation, at the oldest kept event (`start` = "oldest"), or behind a cursor of the feed.
        BadRequest for a URL, filter or cursor that cannot be used; Conflict beyond 100 endpoints.
        """
        self._check_url(url)
        wanted = checked(types)
        positions = await self._start(start)
        if len(await endpoints.page(self._seen(account), account, after="", limit=MOST_ENDPOINTS)) == MOST_ENDPOINTS:
            raise Conflict("An account has at most 100 endpoints.")
        secret = new_secret()
        endpoint = Endpoint(f"ep_{uuid7().hex}", account, url, wanted, thin, "active", None, 1, datetime.now(UTC))
        sealed = seal_key(self._vault, endpoint.id, secret)
        await endpoints.create(self._database, endpoint, sealed_secret=sealed, start=positions)
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

    async def health(self, endpoint: Endpoint) -> Health:
        """Tell how an endpoint is doing."""
        return await endpoints.health(self._seen(endpoint.account), endpoint.id)

    async def change(
        self, account: str, endpoint_id: str, *, url: str | None, types: Sequence[str] | None, thin: bool | None
    ) -> Endpoint:
        """Change what is given."""
        if url is not None:
            self._check_url(url)
        wanted = None if types is None else checked(types)
        found = await endpoints.change(self._database, account, endpoint_id, url=url, types=wanted, thin=thin)
        if found is None:
            raise NotFound
        return found

    async def pause(self, account: str, endpoint_id: str) -> Endpoint:
        """Stop sending; the cursor stands, and nothing is lost."""
        endpoint = await self.read(account, endpoint_id)
        await endpoints.stop(self._database, endpoint.id, state="paused", reason="paused by the subscriber")
        return await self.read(account, endpoint_id)

    async def resume(self, account: str, endpoint_id: str) -> Endpoint:
        """Go on where it stopped, at once."""
        endpoint = await self.read(account, endpoint_id)
        await endpoints.resume(self._database, endpoint.id)
        return await self.read(account, endpoint_id)

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
        """Send a signed test event now, beside the order of the real ones, and tell how it went."""
        endpoint = await self.read(account, endpoint_id)
        name, body = _test_event(endpoint)
        keys = [key for key, _until in await open_keys(self._database, self._vault, endpoint.id)]
        async with Sender(allow_loopback=self._allow_loopback) as sender:
            outcome = await sender.send(endpoint.url, name, body=body, keys=keys)
        attempt = Attempt(endpoint.id, name, 0, outcome.at, outcome.status, outcome.ms, outcome.error, outcome.body)
        await attempts.add(self._database, [attempt])
        return attempt

    async def attempts(
        self, account: str, endpoint_id: str, *, before: tuple[datetime, str, int], event_id: str | None, limit: int
    ) -> list[Attempt]:
        """List attempts, newest first."""
        endpoint = await self.read(account, endpoint_id)
        return await attempts.page(self._seen(account), endpoint.id, before=before, event_id=event_id, limit=limit)

    def _seen(self, account: str) -> Seen:
        return self._database.seen_by(Viewer(SUBSCRIBER, account))

    def _check_url(self, url: str) -> None:
        checked_url(url, allow_loopback=self._allow_loopback)

    async def _start(self, start: str | None) -> dict[int, Position]:
        if start is None:
            return await self._reader.ends()
        return dict(await self._feed.resolve("" if start == "oldest" else start))


def _test_event(endpoint: Endpoint) -> tuple[str, bytes]:
    name, now = evt_id(uuid7(), 0), format_time(datetime.now(UTC))
    subject = f"endpoint/{endpoint.id}"
    event = {
        "specversion": "1.0", "id": name, "source": "/fieldsvc/server", "type": wire_type("endpoint.tested"),
        "subject": subject, "time": now, "timestamp": now, "recordedtime": now, "partitionkey": subject,
        "sequence": f"{0:020d}", "data": {"endpoint": endpoint.id},
    }  # fmt: skip
    return name, orjson.dumps(event)
