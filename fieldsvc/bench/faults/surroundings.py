"""What stands around a town while faults are played: a proxy before its database, a second process, a moody subscriber."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import asyncpg
from aiohttp import web

from fieldsvc.bench.faults.children import STILL_S, require
from fieldsvc.bench.faults.oracle import Phones, Verdict, judge, read_journal, read_receptions
from fieldsvc.bench.faults.proxy import Proxy, Weather
from fieldsvc.bench.faults.scene import Scene, created
from fieldsvc.bench.faults.town import Service
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.store.database import open_database

RECOVERS_WITHIN_S = 120.0
LONG_BODY = b"x" * 65_536


class Moody(Subscriber):
    """A subscriber that takes everything in order when it is `well`, and behaves as its mood says otherwise."""

    mood = "well"
    moods = ("refuses", "500", "429", "301", "hangs", "drips", "endless", "resets", "flaps")

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        mood, turn = self.mood, self.counts().requests
        if mood == "well" or (mood == "flaps" and turn % 2):
            return await super()._receive(request)
        self._totals["requests"] += 1
        if mood in {"refuses", "resets"}:
            if mood == "resets":
                await request.read()
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if mood == "301":
            return web.Response(status=301, headers={"Location": "http://127.0.0.1:1/elsewhere"})
        if mood == "429":
            return web.Response(status=429, headers={"Retry-After": "soon, NaN"})
        if mood in {"hangs", "drips", "endless"}:
            return await self._without_end(request, mood)
        return web.Response(status=500)

    async def _without_end(self, request: web.Request, mood: str) -> web.StreamResponse:
        """Answer nothing, a byte at a time, or for ever, until the mood changes. None of it is a 2xx that counts."""
        answer = web.StreamResponse(status=500)
        if mood != "hangs":
            await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while self.mood == mood:
                if mood != "hangs":
                    await answer.write(b"x" if mood == "drips" else LONG_BODY)
                await asyncio.sleep(0.05 if mood != "endless" else 0.001)
        if mood == "hangs":
            return web.Response(status=500)
        return answer


@dataclass
class Surroundings:
    """The further parts; `url` is the database itself, `through` leads to it by a proxy."""

    town: Scene
    url: str
    through: Proxy
    through_port: int
    moody: Moody
    ledger: Path
    other: Service | None = None
    is_through: bool = False

    async def beside(self) -> Service:
        """Return a second process of the service on the same store, started when it is not there."""
        if self.other is None or not self.other.is_alive:
            self.other = self.other or Service(self.town.service.var_dir, self.town.service.children)
            await self.other.start()
        return self.other

    async def lead_through(self, *, wanted: bool) -> None:
        """Let the service reach its database by the proxy, or by itself: it is started again where that changes."""
        if wanted == self.is_through:
            return
        service, parts = self.town.service, urlsplit(self.url)
        status, _ = await service.stop()
        require(status == 0, f"The service ended with {status}: {service.log()[-2000:]}")
        key = (service.var_dir / "keys" / "master.key").read_text().strip()
        place = self.url.replace(f":{parts.port}/", f":{self.through_port}/")
        service.more = {"FIELDSVC_DATABASE_URL": place, "FIELDSVC_MASTER_KEY": key} if wanted else {}
        await service.start()
        self.is_through = wanted

    def calm(self) -> None:
        """End every weather."""
        self.town.proxy.weather, self.through.weather, self.moody.mood = Weather(), Weather(), "well"

    async def moody_verdict(self) -> Verdict:
        """Wait until the moody subscriber, now well, has everything; compare what it got with the journal."""
        before, since = -1, time.monotonic()
        while True:
            received = read_receptions(self.ledger)
            database = await open_database(self.url, size=1)
            try:
                journal = await read_journal(database, chained=False)
            finally:
                await database.close()
            if len(received) > before:
                before, since = len(received), time.monotonic()
            if len(received) == len(journal.public) or time.monotonic() - since > STILL_S:
                break
            await asyncio.sleep(0.2)
        nobody = Phones(set(), set(), {})
        verdict = judge(journal, received, phones=nobody, repeated=self.moody.counts().duplicates)
        verdict.faults += self.moody.violations
        return verdict


@asynccontextmanager
async def surroundings_of(town: Scene, url: str, *, seed: int) -> AsyncIterator[Surroundings]:
    """Put them up; leaving, the second process is told to stop."""
    parts, ledger = urlsplit(url), town.folder / "moody.ledger"
    through = Proxy("127.0.0.1", parts.port or 0, seed=seed)
    moody = Moody(ledger_path=ledger)
    async with through.listening() as port:
        try:
            asked = {"url": await moody.start(), "types": ["*"], "from": "oldest"}
            moody.trust((await created(town.service.url, town.credentials.api_key, asked))["secret"])
            around = Surroundings(town, url, through, port, moody, ledger)
            yield around
            await around.lead_through(wanted=False)
            if around.other is not None and around.other.is_alive:
                status, _ = await around.other.stop()
                require(status == 0, f"The second process ended with {status}.")
        finally:
            await moody.close()


async def desk(url: str) -> asyncpg.Connection:
    """Connect to the database itself, beside the service; wait while it recovers."""
    async with asyncio.timeout(RECOVERS_WITHIN_S):
        while True:
            try:
                return await asyncpg.connect(url, ssl=False)
            except (asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, OSError):
                await asyncio.sleep(0.02)


def open_files(pid: int) -> int:
    """Count the open files of a process of ours (Linux)."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def mean(rng: Random, shortest_s: float, longest_s: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(rng.uniform(shortest_s, longest_s))


def freeze(service: Service, *, on: bool) -> None:
    """Freeze a process, or let it go on."""
    service.process.signal(signal.SIGSTOP if on else signal.SIGCONT)
