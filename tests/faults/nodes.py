"""Several processes of the service, each with its roles and a folder of its own, on one database and one NATS server."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import aiohttp

from fieldsvc.bench.faults.children import Children
from fieldsvc.bench.faults.fleet import Fleet, Watched
from fieldsvc.bench.faults.town import Credentials, Service, prepare, stop_postgres
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.transport import Answer, HttpTransport, Transport
from fieldsvc.store.embedded import EmbeddedPostgres


@dataclass
class Nodes:
    """The machines of one installation: what they share is the database, the master key and the folder of erasures."""

    folder: Path
    children: Children
    credentials: Credentials
    url: str
    key: str
    shared: Mapping[str, str] = field(default_factory=dict)
    started: list[Service] = field(default_factory=list)

    async def start(self, name: str, roles: str) -> Service:
        """Start a node that does not see the others' folders."""
        var_dir = self.folder / name
        var_dir.mkdir()
        more = {
            "FIELDSVC_DATABASE_URL": self.url,
            "FIELDSVC_MASTER_KEY": self.key,
            "FIELDSVC_ERASURES_DIR": str(self.folder / "erasures"),
            **self.shared,
        }
        node = Service(var_dir, self.children, roles=roles, more=more)
        self.started.append(node)
        await node.start()
        return node

    async def stop(self) -> list[int]:
        """Tell every living node to stop; return how they ended."""
        return [(await node.stop())[0] for node in self.started if node.is_alive]

    async def end(self) -> None:
        """Kill what is left."""
        for node in self.started:
            if node.is_alive:
                await node.kill()


async def prepared(children: Children, folder: Path) -> Nodes:
    """Load a town into the folder `town`, as the store of nodes that have no database yet."""
    town = folder / "town"
    town.mkdir()
    credentials = await prepare(town)
    (town / "erasures").rename(folder / "erasures")
    return Nodes(folder, children, credentials, "", (town / "keys" / "master.key").read_text().strip())


@asynccontextmanager
async def nodes_of(children: Children, folder: Path, shared: Mapping[str, str] | None = None) -> AsyncIterator[Nodes]:
    """Load a town into a database that no node owns; leaving, nothing of it runs any more."""
    nodes, server = await prepared(children, folder), EmbeddedPostgres(folder / "town")
    nodes.url, nodes.shared = await asyncio.to_thread(server.acquire), shared or {}
    try:
        yield nodes
    finally:
        await nodes.end()
        await asyncio.to_thread(server.release)
        await asyncio.to_thread(stop_postgres, folder / "town")


class InTurns:
    """A load balancer as a phone sees it: each request goes to the next node."""

    def __init__(self, ways: Sequence[Transport]) -> None:
        self._ways = cycle(ways)

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        return await next(self._ways).post(path, body, headers=headers)

    async def get(self, path: str, *, headers: Mapping[str, str]) -> Answer:
        return await next(self._ways).get(path, headers=headers)


@dataclass
class Balanced(Fleet):
    """Phones of which each alternates between all nodes; `url` names them with spaces between."""

    def transport(self, token: str, url: str = "") -> Watched:
        ways = [HttpTransport(self.session, each, token) for each in (url or self.url).split()]
        return Watched(InTurns(ways), self.statuses, self.receipts, self.rude)


@asynccontextmanager
async def phones_at(
    nodes: Sequence[Service], credentials: Credentials, path: Path, *, seed: int, pause_s: float
) -> AsyncIterator[Balanced]:
    """Let the phones work in the background; leaving, they stop where they are."""
    urls = " ".join(node.url for node in nodes)
    with Ledger(path) as ledger:
        async with aiohttp.ClientSession(trust_env=False) as session:
            fleet = Balanced(session, urls, credentials.devices, ledger, seed, patience_s=0.4, pause_s=pause_s)
            try:
                await fleet.progress()
                yield fleet
            finally:
                fleet.working.cancel()
                await asyncio.gather(fleet.working, return_exceptions=True)
