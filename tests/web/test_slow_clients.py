"""Who is too slow is closed, whatever they do slowly, and nobody else notices. By hand, at the size of trust.md F20:

python -m tests.web.slow_clients
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession, web

from fieldsvc.errors import FieldsvcError
from fieldsvc.web.connections import Credit, Doors, Patience
from fieldsvc.web.problems import from_error
from fieldsvc.web.server import make_runner
from tests.web.slow_clients import HEAD, KINDS, closed_after_s, crowd, drip, opened, percentile

PATIENCE = Patience(head_s=0.8, stall_s=0.8, reply_s=0.8, body_s=6.0, idle_s=1.5, bytes_per_s=1_000.0)
PAGE = bytes(900_000)  # most of it the kernel takes at once, and gives on as the peer reads
LARGE = bytes(8_000_000)  # more than the kernel holds


@web.middleware
async def problems(request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
    try:
        return await handler(request)  # type: ignore[misc,no-any-return]
    except FieldsvcError as error:
        return from_error(error)


async def take(request: web.Request) -> web.Response:
    return web.json_response({"bytes": len(await request.read())})


async def take_late(request: web.Request) -> web.Response:
    await asyncio.sleep(1.2)  # longer than a body may stand still
    return await take(request)


async def large(_request: web.Request) -> web.Response:
    return web.Response(body=LARGE)


async def page(_request: web.Request) -> web.Response:
    return web.Response(body=PAGE)


async def never_read(_request: web.Request) -> web.Response:
    return web.Response(status=401)


class Server:
    """A small app on the service's own server, with little patience."""

    def __init__(self) -> None:
        self.why: Counter[str] = Counter()
        self.doors = Doors(most=400, most_each=3, exempt=())
        self.port = 0

    async def __call__(self, *, doors: Doors | None = None) -> web.AppRunner:
        app = web.Application(middlewares=[problems], client_max_size=2**21)
        app.add_routes(
            [
                web.post("/take", take),
                web.post("/late", take_late),
                web.get("/large", large),
                web.get("/page", page),
                web.post("/no", never_read),
            ]
        )
        runner = make_runner(
            app,
            shutdown_timeout_s=1,
            patience=PATIENCE,
            doors=doors,
            closed=lambda why: self.why.update([why]),
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.port = runner.addresses[0][1]
        return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = await made()
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_slow_client_is_closed(server: Server, kind: str) -> None:
    assert await closed_after_s(server.port, kind, most_s=6) < 3.5
    assert sum(server.why.values()) == 1


async def test_a_body_that_stands_still_is_answered_408_and_the_connection_ends(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        writer.write(HEAD % (b"/take", b"Content-Length: 100") + b"x")
        said = await said_until_the_end(reader, within_s=4)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in said
    assert b"Connection: close" in said


async def test_a_drip_into_a_request_that_was_answered_already_is_closed(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        writer.write(HEAD % (b"/no", b"Content-Length: 100000"))
        dripping = asyncio.create_task(drip(writer, b"x", every_s=0.1))
        said = await said_until_the_end(reader, within_s=5)
        dripping.cancel()
    assert said.startswith(b"HTTP/1.1 401 ")


async def test_bytes_sent_fast_buy_no_time_to_drip_afterwards(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        writer.write(HEAD % (b"/take", b"Content-Length: 1000000") + bytes(500_000))
        dripping = asyncio.create_task(drip(writer, b"x", every_s=0.1))
        said = await said_until_the_end(reader, within_s=4)
        dripping.cancel()
    assert said.startswith(b"HTTP/1.1 408 ")


async def test_a_phone_on_a_poor_network_gets_its_upload_through(server: Server) -> None:
    """A tenth of the real times: 80 kB/s where patience is 0.8 s, and pauses of 0.3 s. By hand in real time."""
    size = 150_000
    async with opened(server.port) as (reader, writer):
        writer.write(HEAD % (b"/take", b"Content-Length: %d" % size))
        for start in range(0, size, 8_000):
            writer.write(bytes(min(8_000, size - start)))
            await writer.drain()
            await asyncio.sleep(0.3 if start % 40_000 == 0 else 0.1)
        said = await asyncio.wait_for(reader.readuntil(b"}"), 4)
    assert said.endswith(b'{"bytes": 150000}')
    assert not server.why


async def test_a_body_that_never_ends_has_its_time_and_no_more(server: Server) -> None:
    """Bytes come fast enough for ever; the whole body has six seconds here."""
    async with opened(server.port) as (reader, writer):
        dripping = asyncio.create_task(
            drip(writer, bytes(2_000), every_s=0.1, first=HEAD % (b"/take", b"Content-Length: 2000000"))
        )
        said = await said_until_the_end(reader, within_s=12)
        dripping.cancel()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert server.why == {"body": 1}


async def test_who_reads_slowly_and_steadily_gets_the_whole_answer(server: Server) -> None:
    """A tenth of the real times: what the kernel still holds moves on, although it makes room in lumps that take longer."""
    async with opened(server.port, limit=16_384) as (reader, writer):
        writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = 0
        while part := await asyncio.wait_for(reader.read(14_000), 4):
            got += len(part)
            await asyncio.sleep(0.1)
    assert got > len(PAGE)
    assert not server.why


async def test_a_view_that_does_not_read_yet_is_no_fault_of_who_sends(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/late"
    async with ClientSession() as session, session.post(url, data=bytes(1_000_000)) as answer:
        assert await answer.json() == {"bytes": 1_000_000}
    assert not server.why


async def test_a_quiet_connection_is_kept_for_its_next_request_and_not_for_ever(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD % (b"/take", b"Content-Length: 1") + b"x")
            assert (await asyncio.wait_for(reader.readuntil(b"}"), 2)).endswith(b'{"bytes": 1}')
            await asyncio.sleep(1.0)  # longer than the patience for a head
        assert await asyncio.wait_for(reader.read(), 4) == b""
    assert not server.why


async def test_a_second_request_has_its_own_patience(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        writer.write(HEAD % (b"/take", b"Content-Length: 1") + b"x")
        await asyncio.wait_for(reader.readuntil(b"}"), 2)
        dripping = asyncio.create_task(drip(writer, b"X-A: b\r\n", every_s=0.2, first=b"POST /take HTTP/1.1\r\n"))
        assert await said_until_the_end(reader, within_s=6) == b""
        dripping.cancel()
    await until(lambda: server.why == {"head": 1}, within_s=5)


async def test_pipelined_requests_are_all_answered(server: Server) -> None:
    async with opened(server.port) as (reader, writer):
        writer.write((HEAD % (b"/take", b"Content-Length: 1") + b"x") * 50)
        for _ in range(50):
            assert (await asyncio.wait_for(reader.readuntil(b"}"), 2)).endswith(b'{"bytes": 1}')
    assert not server.why


async def test_an_answer_that_ends_the_connection_does_not_wait_for_who_never_reads(server: Server) -> None:
    async with opened(server.port, limit=1_024) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /large HTTP/1.0\r\n\r\n")
        await until(lambda: server.why == {"reply": 1}, within_s=5)


async def test_a_crowd_of_slow_clients_is_gone_and_honest_ones_do_not_notice(server: Server) -> None:
    async def honest(session: ClientSession) -> float:
        began = asyncio.get_running_loop().time()
        async with session.post(f"http://127.0.0.1:{server.port}/take", data=b"x" * 500) as answer:
            assert answer.status == 200
        return asyncio.get_running_loop().time() - began

    async with ClientSession() as session, crowd(server.port, each=20) as slow:
        times = [await honest(session) for _ in range(300)]
        await slow.all_gone(within_s=8)
    assert percentile(times, 95) < 0.1
    # the honest one's own connection may have stood idle for too long meanwhile
    await until(lambda: sum(server.why.values()) >= 20 * len(KINDS), within_s=5)


async def test_one_address_and_all_together_have_so_many_connections() -> None:
    made = Server()
    runner = await made(doors=made.doors)
    try:
        kept = [await asyncio.open_connection("127.0.0.1", made.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert (await asyncio.wait_for(reader.read(), 2)).startswith(b"HTTP/1.1 503 ")
        writer.close()
        assert made.why == {"full": 1}
        for _, each in kept:
            each.close()
        await until(lambda: made.doors.count == 0, within_s=2)
        async with opened(made.port) as (reader, writer):
            writer.write(HEAD % (b"/take", b"Content-Length: 1") + b"x")
            assert (await asyncio.wait_for(reader.readuntil(b"}"), 2)).startswith(b"HTTP/1.1 200 ")
    finally:
        await runner.cleanup()


def test_credit_is_earned_by_bytes_and_never_saved() -> None:
    credit = Credit(100.0, most_s=8.0, bytes_per_s=1_000.0)
    credit.earn(1_000_000, 101.0)
    assert credit.due == 109.0
    credit.earn(1, 105.0)
    assert credit.due == pytest.approx(109.001)
    credit.earn(3_000, 106.0)
    assert credit.due == pytest.approx(112.001)
    credit.renew(120.0)
    assert credit.due == 128.0


async def said_until_the_end(reader: asyncio.StreamReader, *, within_s: float) -> bytes:
    """Read until the other side ends; that it resets a connection into which bytes still come takes nothing back."""
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(within_s):
            while part := await reader.read(65_536):
                said += part
    return said


async def until(found: Callable[[], bool], *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not found():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.02)
