"""The service with a subscriber, its receivers in a process of their own, and a client: what the benches of publishing share."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from fieldsvc.access import accounts
from fieldsvc.bench import ingest
from fieldsvc.bench.ingest import Shape, Walk
from fieldsvc.bench.load import send_all
from fieldsvc.bench.service import Site, running, started
from fieldsvc.platform import Platform

PATIENCE_S, LOOK_S, PAGE = 90.0, 0.1, 1_000
_BATCH = re.compile(r"_b(\d+)(_[0-9a-f]{8})?$")
Arrival = tuple[int, str, float]
Arrivals = list[Arrival]


@dataclass(frozen=True, slots=True)
class Kit:
    """A phone that sends, and the key of a subscriber who may see everything."""

    walk: Walk
    api_key: str


class Subscribed:
    """A subscriber of a service: its receivers, and a client with its key."""

    def __init__(self, url: str, api_key: str, receivers: Sequence[str], client: aiohttp.ClientSession) -> None:
        self.url, self.receivers, self.client = url, receivers, client
        self._key = {"Authorization": f"Bearer {api_key}"}

    @asynccontextmanager
    async def endpoints(
        self, count: int, *, path: str = "/hook", start: str = "", batch: int = 1
    ) -> AsyncIterator[None]:
        """Have so many endpoints, spread over the receivers, from a cursor or from now on."""
        url, made = f"{self.url}/v1/endpoints", []
        for number in range(count):
            receiver = self.receivers[number % len(self.receivers)]
            body = {"url": receiver + path, "types": ["*"], "batch": batch, **({"from": start} if start else {})}
            async with self.client.post(url, json=body, headers=self._key) as answer:
                answer.raise_for_status()
                made.append((await answer.json())["id"])
        try:
            yield
        finally:
            for each in made:
                async with self.client.delete(f"{url}/{each}", headers=self._key) as answer:
                    answer.raise_for_status()
            await self.noted()

    async def noted(self) -> Arrivals:
        """Take what the receivers noted since the last time."""
        async with self.client.get(f"{self.receivers[0]}/noted") as answer:
            return [(number, name, at) for number, name, at in await answer.json()]

    async def arrivals(self, count: int) -> Arrivals:
        """Wait until so many events have come. TimeoutError after a minute and a half."""
        found: Arrivals = []
        async with asyncio.timeout(PATIENCE_S):
            while sum(events_in(name) for _receiver, name, _at in found) < count:
                await asyncio.sleep(LOOK_S)
                found += await self.noted()
        return found

    async def pages(self, after: str = "") -> AsyncIterator[dict[str, Any]]:
        """Read the feed to its end, a page at a time; the last one is empty."""
        while True:
            url = f"{self.url}/v1/feed?limit={PAGE}&after={after}"
            async with self.client.get(url, headers=self._key) as answer:
                answer.raise_for_status()
                page = orjson.loads(await answer.read())
            yield page
            after = page["next"]
            if not page["events"]:
                return


class Bench(Subscribed):
    """The running service with its subscriber, and a phone that sends."""

    def __init__(self, site: Site[Kit], receivers: Sequence[str], client: aiohttp.ClientSession) -> None:
        super().__init__(site.service.url, site.kit.api_key, receivers, client)
        self.site = site

    async def load(self, events: int) -> None:
        """Have events committed, as fast as they are taken."""
        shape = Shape("", 100, 8, events)
        await send_all(self.url, list(ingest.uploads(self.site.kit.walk, shape)), connections=8)


def events_in(name: str) -> int:
    """Tell how many events a request carried, by its id."""
    found = _BATCH.search(name)
    return int(found[1]) if found else 1


def first_in(name: str) -> str:
    """Name the first event that a request carried, by its id: the one that waited longest."""
    return _BATCH.sub("", name)


def per_s(arrivals: Arrivals) -> float:
    """Return the events a second between the first tenth of them and the last: when all is under way and nothing is done yet."""
    ordered = sorted((at, events_in(name)) for _receiver, name, at in arrivals)
    total, seen, began = sum(count for _at, count in ordered), 0, 0.0
    for at, count in ordered:
        if seen < total / 10 <= seen + count:
            began, before = at, seen + count
        if seen < total * 9 / 10 <= seen + count:
            return (seen + count - before) / (at - began)
        seen += count
    raise ValueError("nothing arrived")


@asynccontextmanager
async def ready(receivers: int) -> AsyncIterator[Bench]:
    """Start the service, so many receivers, and a client."""
    async with (
        running(_prepare, ALLOW_LOOPBACK_ENDPOINTS="1") as site,
        started("fieldsvc.bench.receivers", str(receivers)) as listening,
        aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        yield Bench(site, listening.url.split(","), client)


async def _prepare(platform: Platform) -> Kit:
    subscriber = await accounts.create_subscriber(platform.database, "bench", scopes=["operator"])
    return Kit(await ingest.prepare(platform), subscriber["api_key"])
