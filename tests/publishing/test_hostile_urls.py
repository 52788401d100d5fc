"""Hostile URLs at every door: registered, changed, tried, sent to by a dispatcher; no listener on loopback hears of one.

`test_addresses.py` tries the guard itself. Here each of these forms goes through the routes, and, as if a registration had
let it in, through the sender with the guard's ports widened to the listeners': then only the address stands in the way.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from fieldsvc.publishing import addresses
from fieldsvc.publishing.addresses import checked_url
from fieldsvc.publishing.endpoints import Endpoints
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from tests.faults.publishing.scene import add_endpoint, dispatching, until

# PORT is a listener's own. AT keeps a search for passwords in URLs from finding some here.
AT = "@"
URLS = [
    # other notations of loopback
    "https://127.0.0.1:PORT/", "https://127.1:PORT/", "https://127.0.1:PORT/", "https://0:PORT/", "https://0.0.0.0:PORT/",
    "https://2130706433:PORT/", "https://0x7f000001:PORT/", "https://0x7F.1:PORT/", "https://0177.0.0.01:PORT/",
    "https://017700000001:PORT/", "https://127.0x0.0.01:PORT/", "https://127.000.000.001:PORT/", "https://127.255.0.9:PORT/",
    "https://127.0.0.1.:PORT/", "https://127.0.0.1..:PORT/", "https://00000177.1:PORT/",
    # digits and dots of other alphabets
    "https://①②⑦.⓪.⓪.①:PORT/", "https://𝟏𝟐𝟕.𝟎.𝟎.𝟏:PORT/", "https://127。0。0。1:PORT/", "https://127．0．0．1:PORT/",  # noqa: RUF001
    "https://１２７.0.0.1:PORT/", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/", "https://loc\u00adalhost:PORT/", "https://localhost。:PORT/",  # noqa: RUF001
    # IPv6, and IPv4 inside it
    "https://[::1]:PORT/", "https://[::]:PORT/", "https://[0:0:0:0:0:0:0:1]:PORT/", "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/", "https://[::ffff:0:127.0.0.1]:PORT/", "https://[::127.0.0.1]:PORT/",
    "https://[64:ff9b::127.0.0.1]:PORT/", "https://[64:ff9b:1::7f00:1]:PORT/", "https://[2002:7f00:1::1]:PORT/",
    "https://[::1%25lo]:PORT/", "https://[fe80::1%25lo]:PORT/", "https://[fd00:ec2::254]:PORT/",
    # names of this machine, and of the metadata of clouds
    "https://localhost:PORT/", "https://LOCALHOST.:PORT/", "https://a.localhost:PORT/", "https://ip6-localhost:PORT/",
    "https://metadata.google.internal:PORT/", "https://169.254.169.254:PORT/", "https://0xa9fea9fe:PORT/",
    "https://100.100.100.200:PORT/",
    # who is the host?
    "https://hooks.example.com@127.0.0.1:PORT/", "https://hooks.example.com:443@127.0.0.1:PORT/", "https://@127.0.0.1:PORT/",
    f"https://127.0.0.1:PORT#{AT}hooks.example.com/", f"https://127.0.0.1:PORT\\{AT}hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1:PORT/", "https:\\\\127.0.0.1:PORT/", "https:/\\127.0.0.1:PORT/",
    "https:127.0.0.1:PORT/", "//127.0.0.1:PORT/", "https:///127.0.0.1:PORT/", "https://127.0.0.1:PORT:443/",
    "https://127.0.0.1%00.example.com:PORT/", "https://127.0.0.1%2f.example.com:PORT/", "https://127.0.0.1%23.example.com:PORT/",
    # another line, another scheme, another port
    "https://127.0.0.1:PORT/\r\nHost: hooks.example.com", "https://hooks.example.com\r\n\r\nGET http://127.0.0.1:PORT/",
    "https://127.0.0.1\t:PORT/", "http://127.0.0.1:PORT/", "ws://127.0.0.1:PORT/", "gopher://127.0.0.1:PORT/_x",
    "unix:///run/postgresql/.s.PGSQL.5432", "file:///etc/passwd", "https://127.0.0.1:6379/", "https://hooks.example.com:5432/",
]  # fmt: skip
ADDRESSES = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "10.0.0.1",
    "172.16.0.1", "192.168.0.1", "169.254.169.254", "fd00:ec2::254", "fe80::1", "100.64.0.1", "224.0.0.1",
)  # fmt: skip


class Ears:
    """Listeners on every loopback address that this machine has, all on one port; they count who comes."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.port = 0

    def taken(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(writer.get_extra_info("peername"))
        writer.close()


@pytest.fixture
async def ears(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ears]:
    """The listeners, and their port among those where webhooks may go."""
    listening = Ears()
    first = await asyncio.start_server(listening.taken, "0.0.0.0", 0)
    listening.port = first.sockets[0].getsockname()[1]
    servers = [first]
    if socket.has_ipv6:
        servers.append(await asyncio.start_server(listening.taken, "::1", listening.port))
    monkeypatch.setattr(addresses, "PORTS", frozenset({443, 8443, listening.port}))
    checked_url.cache_clear()
    yield listening
    checked_url.cache_clear()
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
def urls(ears: Ears) -> list[str]:
    return [url.replace("PORT", str(ears.port)) for url in URLS]


@pytest.fixture
def endpoints(database: Any, reader: Any, vault: Any, feed: Any) -> Endpoints:
    """Endpoints as in production: none on loopback. The routes of `client` use them."""
    settings = Settings(allow_loopback_endpoints=False)
    return Endpoints(database, reader, vault=vault, feed=feed, settings=settings)


class Rebinding(AbstractResolver):
    """Answers every name with addresses of the attacker's choice."""

    def __init__(self, *places: str) -> None:
        self.places = places

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        return [
            {"hostname": host, "host": place, "port": port, "proto": 0, "flags": 0,
             "family": socket.AF_INET6 if ":" in place else socket.AF_INET}
            for place in self.places
        ]  # fmt: skip

    async def close(self) -> None:
        pass


async def test_the_ears_hear(ears: Ears):
    for place in ("127.0.0.1", "::1")[: 1 + socket.has_ipv6]:
        _, writer = await asyncio.open_connection(place, ears.port)
        writer.close()
        await writer.wait_closed()
    assert len(ears.heard) == 1 + socket.has_ipv6


async def test_no_hostile_url_can_be_registered_or_changed_to(client: Any, ears: Ears, urls: list[str], note: Any):
    made = await (await client.post("/v1/endpoints", json={"url": "https://hooks.example.com/"})).json()
    for url in urls:
        answer = await client.post("/v1/endpoints", json={"url": url})
        assert answer.status == 400, url
        assert "127.0.0.1" not in await answer.text()
        assert (await client.patch(f"/v1/endpoints/{made['id']}", json={"url": url})).status == 400, url
    assert len((await (await client.get("/v1/endpoints")).json())["endpoints"]) == 1
    assert ears.heard == []
    note(f"hostile URLs: {len(urls)} registered, changed to, tried and sent to: {len(ears.heard)} connections")


async def test_a_trial_of_a_hostile_url_that_was_let_in_reaches_nobody(
    client: Any, database: Any, vault: Any, ears: Ears, urls: list[str]
):
    for url in urls[::5]:
        endpoint = await add_endpoint(database, vault, url)
        answer = await client.post(f"/v1/endpoints/{endpoint}/test")
        assert answer.status == 200, url
        assert (await answer.json())["error"] in ("url", "address"), url
    assert ears.heard == []


async def test_a_dispatcher_with_hostile_urls_reaches_nobody_and_gives_nothing_up(
    database: Any, vault: Any, journal: Any, ears: Ears, urls: list[str]
):
    for url in urls:
        await add_endpoint(database, vault, url)
    await journal.say_all([f"item/RK{number}FR" for number in range(4)])
    places = ("127.0.0.1", "::1")[: 1 + socket.has_ipv6]

    async def all_open() -> bool:
        async with database.acquire() as connection:
            return not await connection.fetchval("select count(*) from lane where opened_at is null")

    async with dispatching(
        database, vault, 0, 0.05, 0.1, sender=Sender(allow_loopback=False, resolver=Rebinding(*places))
    ):
        await until(all_open)
    async with database.acquire() as connection:
        assert not await connection.fetchval("select count(*) from dead_letter")
        said = {row["error"] for row in await connection.fetch("select distinct error from attempt")}
    assert said <= {"url", "address"}
    assert ears.heard == []


@pytest.mark.parametrize("place", ADDRESSES)
async def test_a_public_name_that_is_bound_to_this_address_reaches_nobody(place: str, ears: Ears):
    for places in ((place,), ("10.9.8.7", place), (place, "127.0.0.1")):
        async with Sender(allow_loopback=False, resolver=Rebinding(*places)) as sender:
            url = f"https://hooks.example.com:{ears.port}/"
            outcome = await sender.send(url, "evt_x", body=b"{}", keys=[new_secret()])
        assert outcome.error == "address"
    assert ears.heard == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_a_redirect_to_loopback_is_followed_by_nobody(status: int, ears: Ears):
    async def redirecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        target = f"http://127.0.0.1:{ears.port}/"
        more = f'Location: {target}\r\nRefresh: 0; url={target}\r\nAlt-Svc: h2=":{ears.port}"\r\nContent-Length: 0\r\n'
        writer.write(f"HTTP/1.1 {status} Elsewhere\r\n{more}\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirecting, "127.0.0.1", 0)
    async with server, Sender(allow_loopback=True) as sender:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcome = await sender.send(url, "evt_x", body=b"{}", keys=[new_secret()])
        await sender.send(url, "evt_y", body=b"{}", keys=[new_secret()])
    assert (outcome.status, outcome.ok) == (status, False)
    assert ears.heard == []
