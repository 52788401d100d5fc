"""The primary dies or falls silent: the service goes on at the standby by itself, and nothing that was acknowledged is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from fieldsvc.bench.faults.children import until
from fieldsvc.bench.faults.oracle import Report, Verdict, judge, read_journal, read_phones, read_receptions
from fieldsvc.bench.faults.proxy import Proxy
from fieldsvc.bench.faults.scene import subscriber_of
from fieldsvc.errors import Unavailable
from fieldsvc.store import database as databases
from fieldsvc.store.database import Database, connect, open_database
from tests.faults.conftest import Workers
from tests.faults.nodes import phones_at, prepared
from tests.faults.pairs import Pair, pair_of
from tests.journal.conftest import open_journal, trial_registry
from tests.sizes import sized

pytestmark = pytest.mark.fault
WITHIN_S, PROMOTIONS = 60.0, sized(2, 30)
PUBLISHED = "select count(*) from event where kind = 'public'"


def of_both(pair: Pair, other: str) -> str:
    """Write the URL as an operator does: both hosts, and that it takes writes."""
    first, second = urlsplit(pair.url), urlsplit(other)
    return (
        f"{first._replace(netloc=f'{first.netloc},127.0.0.1:{second.port}').geturl()}?target_session_attrs=read-write"
    )


async def test_at_every_promotion_the_service_goes_on_by_itself_and_has_all_that_it_acknowledged(
    children: Workers, tmp_path: Path, report: Report, note: Callable[[str], None]
) -> None:
    nodes, took = await prepared(children, tmp_path), []
    async with pair_of(tmp_path / "town") as pair:
        await pair.follow()
        nodes.url = of_both(pair, await asyncio.to_thread(pair.standby.acquire))
        node, epoch = await nodes.start("node", ""), await pair.desk.fetchval("select epoch from store")
        try:
            async with (
                subscriber_of(node, nodes.credentials, tmp_path / "hook.ledger") as hook,
                phones_at([node], nodes.credentials, tmp_path / "phones.ledger", seed=7, pause_s=0.05) as fleet,
            ):
                for _ in range(PROMOTIONS):
                    await pair.promote()
                    took.append(await fleet.progress(within_s=WITHIN_S))
                    await pair.follow()
                    await fleet.progress(within_s=WITHIN_S)  # with the standby, as the next one has to have it all
                await fleet.rest()
                await fleet.flush()

                async def is_received() -> bool:
                    return bool(await pair.desk.fetchval(PUBLISHED) == hook.counts().delivered)

                await until(is_received, within_s=WITHIN_S, says="Something was not received.")
                wrong = [*hook.violations, *fleet.rude]
            assert node.starts == 1
            assert await nodes.stop() == [0]
            assert await pair.desk.fetchval("select epoch from store") == epoch
            verdict = await judged(pair.url, tmp_path)
        finally:
            await nodes.end()
    report(f"primary killed and standby promoted {PROMOTIONS} times", verdict)
    note(f"failover: acknowledged again {', '.join(f'{each:.1f}' for each in took)} s after the promotion")
    assert verdict.faults + wrong == []
    assert verdict.stored == len(verdict.phones.generated) == len(verdict.phones.held) > 20


async def judged(url: str, folder: Path) -> Verdict:
    database = await open_database(url, size=2)
    try:
        journal = await read_journal(database)
    finally:
        await database.close()
    return judge(journal, read_receptions(folder / "hook.ledger"), phones=read_phones(folder / "phones.ledger"))


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """A port that takes connections and says nothing, as a server that stands still does."""

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_a_host_that_is_silent_or_takes_no_writes_is_passed_over_for_the_one_that_does(
    durable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(durable_url)
    user, _, place = parts.netloc.rpartition("@")
    async with silence() as silent:
        several = f"{user}@127.0.0.1:1,127.0.0.1:{silent},{place}"
        url = parts._replace(netloc=several, query="target_session_attrs=read-write").geturl()
        connection = await connect(url)
        assert await connection.fetchval("select 1") == 1
        found = connection._transport.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        await connection.close()
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(f"{durable_url}?target_session_attrs=standby")


async def test_a_server_that_stands_still_in_the_middle_of_a_batch_is_given_up_and_the_phone_sends_it_again(
    durable_database: Database, durable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "COMMAND_TIMEOUT_S", 1.0)
    parts = urlsplit(durable_url)
    assert parts.hostname is not None
    proxy = Proxy(parts.hostname, parts.port or 0)
    async with proxy.listening() as port:
        through = durable_url.replace(f"@{parts.hostname}:{parts.port}/", f"@127.0.0.1:{port}/")
        journal = await open_journal(durable_database, through, trial_registry())
        assert [each.status for each in (await journal.send(journal.note("a", 1))).results] == ["accepted"]
        event = journal.note("a", 2)
        assert proxy.swallow() == 1
        with pytest.raises(Unavailable):
            await journal.send(event)
        assert [each.status for each in (await journal.send(event)).results] == ["accepted"]
        await journal.stop()
