"""Everything at work at once: the service, its phones behind a proxy, and a subscriber that checks what it gets."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from fieldsvc.bench.faults.children import Children, require, while_moving
from fieldsvc.bench.faults.fleet import PAUSE_S, Fleet, fleet_of
from fieldsvc.bench.faults.oracle import Verdict, judge, read_journal, read_phones, read_receptions
from fieldsvc.bench.faults.proxy import Proxy
from fieldsvc.bench.faults.town import Credentials, Service, prepare, stop_postgres
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.store.database import Database, open_database
from fieldsvc.store.embedded import EmbeddedPostgres

COMPARED_WITHIN_S = 60.0
PUBLISHED = "select count(*) from event where kind = 'public'"


@dataclass
class Scene:
    """The service, its phones, and a subscriber that checks signatures, order and repetitions; `proxy` is before the service."""

    service: Service
    fleet: Fleet
    hook: Subscriber
    folder: Path
    proxy: Proxy
    credentials: Credentials

    async def reckon(self) -> Verdict:
        """Let the phones flush, wait until everything is published, stop the service, and compare.

        The offline checks of the command line must be content, too.
        """
        server = EmbeddedPostgres(self.service.var_dir)
        url = await asyncio.to_thread(server.acquire)
        try:
            await self.fleet.rest()
            await self.drain(url)
            status, _ = await self.service.stop()
            require(status == 0, f"The service ended with {status}: {self.service.log()[-2000:]}")
            verdict = await self.judged(url, chained=True)
            await verified(self.service, self.fleet.receipts, self.folder)
        finally:
            await asyncio.to_thread(server.release)
        return verdict

    async def settle(self, url: str) -> Verdict:
        """Let everything come to rest, and compare; the phones go on with `fleet.at_work`."""
        await self.fleet.pause()
        await self.drain(url)
        return await self.judged(url, chained=False, within_s=COMPARED_WITHIN_S)

    async def drain(self, url: str) -> None:
        """Upload what is left on the phones, and wait until all that was published is received."""
        resting = read_phones(self.folder / "phones.ledger")
        waiting = self.fleet.waiting()
        require(waiting == resting.generated - resting.acked.keys(), "A phone forgot an event that was not answered.")
        await self.fleet.flush()
        database = await open_database(url, size=1)
        try:
            await self._received_all(database)
        finally:
            await database.close()

    async def judged(self, url: str, *, chained: bool, within_s: float = 0.0) -> Verdict:
        """Compare what the phones know, what is stored, and what was received.

        A living service's timers publish meanwhile: it is compared again until both sides are as long, or time is up.
        """
        until = time.monotonic() + within_s
        while True:
            received = read_receptions(self.folder / "subscriber.ledger")
            database = await open_database(url, size=1)
            try:
                journal = await read_journal(database, chained=chained)
            finally:
                await database.close()
            phones = read_phones(self.folder / "phones.ledger")
            verdict = judge(journal, received, phones=phones, repeated=self.hook.counts().duplicates)
            if verdict.published == verdict.received or time.monotonic() >= until:
                break
            await asyncio.sleep(0.1)
        verdict.faults += [*self.hook.violations, *self.fleet.rude]
        return verdict

    async def _received_all(self, database: Database) -> None:
        """Wait until as many events were received as the journal has published, and no more follow."""

        async def received_all() -> bool:
            async with database.acquire() as connection:
                published: int = await connection.fetchval(PUBLISHED)
            return self.hook.counts().delivered >= published

        def late() -> str:
            return f"{self.hook.counts().delivered} were received, and no more; {list(self.hook.violations)}"

        await while_moving(received_all, self.hook.counts, says=late)


async def verified(service: Service, receipts: Sequence[str], folder: Path) -> None:
    """Let the command line check the chains and every receipt that a phone was given. FaultFound."""
    kept = folder / "receipts"
    kept.write_text("\n".join(receipts))
    for arguments in (("verify", "journal"), ("verify", "receipts", str(kept))):
        child = await service.children.start(
            "-m", "fieldsvc", *arguments, "--json", env={"FIELDSVC_VAR_DIR": str(service.var_dir)}
        )
        said = orjson.loads(await child.line(within_s=300) or b"null")
        require(await child.ended() == 0, f"`fieldsvc {' '.join(arguments[:2])}` says {said}")


@asynccontextmanager
async def subscriber_of(service: Service, credentials: Credentials, path: Path) -> AsyncIterator[Subscriber]:
    """Listen to every public event there is."""
    hook = Subscriber(ledger_path=path)
    try:
        asked = {"url": await hook.start(), "types": ["*"], "from": "oldest"}
        hook.trust((await created(service.url, credentials.api_key, asked))["secret"])
        yield hook
    finally:
        await hook.close()


async def created(url: str, api_key: str, asked: object) -> dict[str, str]:
    """Make an endpoint; return what the service says of it."""
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.post(f"{url}/v1/endpoints", json=asked, headers=headers) as response,
    ):
        require(response.status == 201, f"The service answered {response.status} to a new endpoint.")
        found: dict[str, str] = await response.json()
        return found


@asynccontextmanager
async def scene(
    children: Children, folder: Path, *, seed: int, patience_s: float = 0.4, pause_s: float = PAUSE_S
) -> AsyncIterator[Scene]:
    """Set the town up and let everybody work; leaving, nothing of it runs any more.

    `patience_s` is the longest that a phone waits before it sends again, whatever it should.
    """
    var_dir = folder / "var"
    var_dir.mkdir(exist_ok=True)
    credentials = await prepare(var_dir)
    service = Service(var_dir, children)
    try:
        await service.start()
        async with AsyncExitStack() as stack:
            proxy = Proxy("127.0.0.1", service.port, trigger=b"POST /v1/events", seed=seed)
            front = await stack.enter_async_context(proxy.listening())
            listening = subscriber_of(service, credentials, folder / "subscriber.ledger")
            hook = await stack.enter_async_context(listening)
            at_work = fleet_of(
                f"http://127.0.0.1:{front}",
                credentials,
                folder / "phones.ledger",
                seed=seed,
                patience_s=patience_s,
                pause_s=pause_s,
            )
            fleet = await stack.enter_async_context(at_work)
            await fleet.progress()
            yield Scene(service, fleet, hook, folder, proxy, credentials)
    finally:
        if service.is_alive:
            await service.kill()
        await asyncio.to_thread(stop_postgres, var_dir)
