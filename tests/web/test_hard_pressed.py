"""Under pressure the service answers 503 or 429 with a time to come again, and leaves nothing half done behind.

By hand, at the size of trust.md F19: FIELDSVC_STORM=2000 FIELDSVC_STORM_PHONES=1000 pytest -k storm tests/web/test_hard_pressed.py
"""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest
from aiohttp import ClientConnectionError, ClientSession, TCPConnector

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from fieldsvc.work.imports import create_site
from tests.acceptance.service import BATCH, Caller, Service, field_event, fresh
from tests.databases import drop_database, new_database
from tests.web.slow_clients import opened

ANSWERS_WITHIN_S, SITE = 2.0, "site-pantin"
STORM, PHONES = int(os.environ.get("FIELDSVC_STORM", "300")), int(os.environ.get("FIELDSVC_STORM_PHONES", "20"))
QUEUED = 200 if PHONES > 20 else 40


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)

    async def prepare(platform: Platform) -> None:
        await create_site(platform.database, SITE)

    made = Service(
        url, tmp_path_factory.mktemp("pressed"), prepare=prepare, rate_limits=True, operations_port=0,
        answer_timeout_s=ANSWERS_WITHIN_S, reply_stall_s=1.0, pool_size=3,
    )  # fmt: skip
    yield made
    made.close()
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def phone(service: Service) -> Caller:
    return device(service, "Camille Essai")


def device(service: Service, carrier: str) -> Caller:
    database = service.platform.database
    made = service.call(enrolment.enrol_device(database, service.url, carrier=carrier, site=SITE))
    return Caller(service, made["device_id"], made["token"])


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[asyncpg.Connection]:
    assert service.settings.database_url is not None
    connection = await asyncpg.connect(service.settings.database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def left_open(service: Service) -> int:
    """Count the sessions of the service that wait inside a transaction, once what is under way has ended."""
    async with connected(service) as connection:
        text = "select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()"
        end = time.monotonic() + 3
        while (found := int(await connection.fetchval(text))) and time.monotonic() < end:  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.05)
        return found


async def test_a_row_that_is_locked_for_long_is_answered_503_in_time_and_works_afterwards(service: Service) -> None:
    made = await asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(
            enrolment.issue_code(service.platform.database, carrier="C", site=SITE), service._loop
        )
    )
    async with connected(service) as connection, ClientSession(service.url) as session:
        async with connection.transaction():
            await connection.execute("select * from enrolment for update")
            began = time.monotonic()
            answers = await asyncio.gather(*(redeem(session, made.shown) for _ in range(8)))  # more than the pool has
            assert time.monotonic() - began < ANSWERS_WITHIN_S + 2
        assert [status for status, _ in answers] == [503] * 8
        assert all(int(wait or 0) >= 1 for _, wait in answers)
        assert (await redeem(session, made.shown))[0] == 201
    assert await left_open(service) == 0


async def redeem(session: ClientSession, code: str) -> tuple[int, str | None]:
    async with session.post("/v1/devices/enrol", json={"code": code}) as answer:
        await answer.read()
        return answer.status, answer.headers.get("Retry-After")


async def test_a_caller_who_leaves_at_any_moment_leaves_nothing_half_done(service: Service, phone: Caller) -> None:
    """F21: after each byte that was sent, and at once or a little later; the same upload then says what became of it."""
    event = field_event("item.loaded", {"item_id": fresh("LL")})
    body = orjson.dumps([event])
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {phone.secret}\r\n"
        f"Content-Type: {BATCH}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    whole = head + body
    for cut in (*range(1, len(whole), 29), len(whole), len(whole), len(whole)):
        async with opened(service.port) as (_, writer):
            writer.write(whole[:cut])
            await writer.drain()
            await asyncio.sleep(0.001 * (cut % 3))
    assert await left_open(service) == 0
    assert await asyncio.to_thread(lambda: phone.send(event)[0]["status"]) == "duplicate"
    async with connected(service) as connection:
        assert (
            await connection.fetchval("select count(*) from event where kind = 'field' and id = $1", event["id"]) == 1
        )


async def test_a_storm_of_sockets_and_phones_is_drained(service: Service, note: Any) -> None:
    """F19: sockets that say nothing come at once, and phones with what they kept; all of it is stored once."""
    phones = [await asyncio.to_thread(device, service, f"Carrier {number}") for number in range(PHONES)]
    sockets = [socket.socket() for _ in range(STORM)]
    statuses: Counter[int] = Counter()
    sent: list[str] = []
    began = time.monotonic()
    try:
        for each in sockets:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", service.port))
        async with ClientSession(service.url, connector=TCPConnector(limit=PHONES)) as session:
            await asyncio.gather(*(drain(session, each, statuses, sent=sent) for each in phones))
    finally:
        for each in sockets:
            each.close()
    note(
        f"{STORM} sockets and {PHONES} phones with {QUEUED} events: drained in {time.monotonic() - began:.1f} s, {statuses}"
    )
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] == PHONES * 4
    assert await left_open(service) == 0
    async with connected(service) as connection:
        stored = await connection.fetchval("select count(*) from event where kind = 'field' and id = any($1)", sent)
    assert stored == len(sent) == PHONES * QUEUED


async def drain(session: ClientSession, phone: Caller, statuses: Counter[int], *, sent: list[str]) -> None:
    """Upload what a phone kept in four batches, coming again as it is told."""
    for _ in range(4):
        events = [field_event("item.loaded", {"item_id": fresh("LL")}) for _ in range(QUEUED // 4)]
        sent += [each["id"] for each in events]
        while True:
            try:
                async with session.post(
                    "/v1/events", data=orjson.dumps(events), headers={**phone.headers, "Content-Type": BATCH}
                ) as answer:
                    found = await answer.json()
            except ClientConnectionError:
                continue
            statuses[answer.status] += 1
            if answer.status == 200:
                assert {each["status"] for each in found["results"]} <= {"accepted", "duplicate"}
                break
            assert int(answer.headers["Retry-After"]) >= 1
            await asyncio.sleep(int(answer.headers["Retry-After"]))


def test_metrics_are_on_the_operations_port_alone(service: Service) -> None:
    port = next(int(each) for line in service.log.getvalue().splitlines()[::-1] for each in ports_of(line))
    assert service.ask("GET", "/metrics").status == 404
    assert service.ask("GET", "/healthz").status == 200
    other = Service.__new__(Service)
    other.port = port
    assert other.ask("GET", "/metrics").body.startswith(b"# HELP")
    assert other.ask("GET", "/readyz").status == 200
    assert other.ask("GET", "/metrics", headers={"X-Forwarded-For": "198.51.100.7"}).status == 401
    for path in ("/", "/v1/events", "/v1/feed", "/docs", "/openapi.json"):
        assert other.ask("GET", path).status == 404


def ports_of(line: str) -> list[int]:
    return [orjson.loads(line)["port"]] if '"serve.operations"' in line else []


async def test_a_stream_that_nobody_reads_is_cut_and_holds_no_more_than_a_little(
    service: Service, phone: Caller
) -> None:
    made = service.call(accounts.create_subscriber(service.platform.database, "Reader", scopes=("operator",)))
    for _ in range(20):
        phone.send(*(field_event("item.loaded", {"item_id": fresh("LL")}) for _ in range(100)))
    before = counted(service, "reply")
    async with opened(service.port, limit=4_096) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(
            f"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {made['api_key']}\r\n\r\n".encode()
        )
        end = time.monotonic() + 30
        while counted(service, "reply") == before and time.monotonic() < end:  # noqa: ASYNC110 - nor does a counter
            await asyncio.sleep(0.05)
    assert counted(service, "reply") == before + 1


def counted(service: Service, why: str) -> float:
    from fieldsvc.web.middlewares import METRICS

    return float(service.app[METRICS].closed_early.labels(why)._value.get())
