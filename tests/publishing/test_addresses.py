"""The address guard: a corpus of hostile URLs, registered and dialled; none reaches a listener on loopback."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from fieldsvc.errors import BadRequest
from fieldsvc.publishing.addresses import AddressRefused, checked_url, guarded_sockets, is_public
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.webhooks import Sender

HOSTILE_HOSTS = (
    "127.0.0.1 127.1 127.0.0.2 0.0.0.0 0 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.1. "
    "①②⑦.0.0.1 \uff11\uff12\uff17.0.0.1 127。0。0。1 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] "
    "[::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::] [fe80::1] [fc00::1] [fec0::1] "
    "[ff02::1] [5f00::1] [2001:db8::1] [3fff::1] [100::1] [2600::5efe:7f00:1] 10.0.0.1 172.16.0.1 192.168.1.1 "
    "169.254.169.254 100.64.0.1 198.18.0.1 192.0.0.8 192.0.2.1 224.0.0.1 240.0.0.1 255.255.255.255 168.63.129.16 "
    "localhost LOCALHOST. a.localhost printer.local metadata.google.internal intranet 1.0.0.127.in-addr.arpa"
).split()
HOSTILE_URLS = [
    *(f"https://{host}/" for host in HOSTILE_HOSTS),
    "https://a@example.com/", "https://a:b@example.com/", "https://@127.0.0.1/", "https://a@127.0.0.1/",
    "https://example.com@127.0.0.1/", "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "https://example.com:22/", "https://example.com:80/", "https://example.com:0/", "https://example.com:99999/",
    "https:///path", "https://", "//example.com/", "example.com", "", " https://example.com/", "https://example.com/ x",
    "https://exa\\mple.com/", "https://example.com\r\nX: y/", "https://example.com/#x", "https://[::1", "https://" + "a" * 2100,
    "https://[::1]example.com:@", "https://a|[v1.a]@",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_url_where_webhooks_may_not_go_is_refused_at_registration(url: str):
    with pytest.raises(BadRequest):
        checked_url(url, allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook?x=1", "https://example.com:8443/", "https://93.184.216.34/", "https://[2606:4700::1111]/",
     "https://münchen.example.com/", "https://[64:ff9b::5db8:d822]/"],
)  # fmt: skip
def test_a_public_https_url_is_taken(url: str):
    assert checked_url(url, allow_loopback=False).scheme == "https"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost:8080/", "http://[::1]:81/", "https://127.0.0.1/"]
)
def test_the_setting_for_demo_and_tests_lets_loopback_through_and_nothing_else(url: str):
    assert checked_url(url, allow_loopback=True)
    for private in ("https://10.0.0.1/", "https://169.254.169.254/", "http://example.com/", "https://example.com:81/"):
        with pytest.raises(BadRequest):
            checked_url(private, allow_loopback=True)


class Listener:
    """Counts every connection that reaches loopback."""

    def __init__(self) -> None:
        self.reached = 0
        self.port = 0

    def taken(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    heard = Listener()
    server = await asyncio.start_server(heard.taken, "0.0.0.0", 0)
    heard.port = server.sockets[0].getsockname()[1]
    yield heard
    server.close()
    await server.wait_closed()


class Rebinding(AbstractResolver):
    """Answers every name with an address of the attacker's choice."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        self.asked += 1
        kind = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return [{"hostname": host, "host": self.address, "port": port, "family": kind, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
async def test_the_socket_guard_alone_lets_no_form_of_a_hostile_host_reach_loopback(host: str, listener: Listener):
    connector = aiohttp.TCPConnector(
        socket_factory=guarded_sockets(allow_loopback=False), resolver=Rebinding("127.0.0.1")
    )
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await session.post(f"http://{host}:{listener.port}/", allow_redirects=False)
    assert listener.reached == 0


@pytest.mark.parametrize("url", HOSTILE_URLS)
async def test_the_sender_reaches_no_hostile_url(url: str, listener: Listener):
    async with Sender(allow_loopback=False, resolver=Rebinding("127.0.0.1")) as sender:
        outcome = await sender.send(url, "evt_x", body=b"{}", keys=[new_secret()])
    assert outcome.error == "url"
    assert outcome.unreachable
    assert listener.reached == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "10.1.2.3", "64:ff9b::7f00:1"])
async def test_a_public_name_that_resolves_to_a_private_address_is_refused_when_dialled(
    address: str, listener: Listener
):
    resolver = Rebinding(address)
    async with Sender(allow_loopback=False, resolver=resolver) as sender:
        outcome = await sender.send("https://hooks.example.com/", "evt_x", body=b"{}", keys=[new_secret()])
    assert resolver.asked == 1
    assert outcome.error == "address"
    assert listener.reached == 0


@pytest.mark.parametrize(("port", "allowed"), [(443, True), (8443, True), (22, False), (80, False), (6379, False)])
def test_the_socket_guard_checks_the_port_too(port: int, *, allowed: bool):
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))
    if allowed:
        guarded_sockets(allow_loopback=False)(info).close()
    else:
        with pytest.raises(AddressRefused):
            guarded_sockets(allow_loopback=False)(info)


@pytest.mark.parametrize("text", ["64:ff9b::7f00:1", "2002:7f00:1::", "192.0.0.8", "224.0.0.1", "fec0::1", "ff02::1"])
def test_forms_that_the_standard_library_calls_global_or_forgets_are_not_public(text: str):
    assert not is_public(ipaddress.ip_address(text))
