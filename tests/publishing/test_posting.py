"""The one HTTP exchange that webhooks need: what is kept open, what is believed, and when it ends."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import DefaultResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from fieldsvc.publishing import posting
from fieldsvc.publishing.addresses import guarded_sockets
from fieldsvc.publishing.posting import Answer, Patience, Poster, PostFault, Target, lines_of, target_of

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
HURRIED = Patience(connect_s=1.5, total_s=1.5, body_s=0.3)


class Peer:
    """A server that answers each request with the next of its scripts, and closes where one is None."""

    def __init__(self, *scripts: Sequence[bytes | None]) -> None:
        self.scripts = list(scripts)
        self.connections = 0
        self.heads: list[bytes] = []
        self.port = 0
        self.ended = 0

    async def start(self, context: ssl.SSLContext | None = None) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.scripts:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                for part in self.scripts.pop(0):
                    if part is None:
                        return
                    writer.write(part)
                    await writer.drain()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()


@pytest.fixture
async def serve(tools) -> AsyncIterator[Callable[..., object]]:
    peers: list[Peer] = []
    servers: list[asyncio.Server] = []

    async def begin(*scripts: Sequence[bytes | None], context: ssl.SSLContext | None = None) -> Peer:
        peer = Peer(*scripts)
        servers.append(await peer.start(context))
        peers.append(peer)
        return peer

    yield begin
    for server in servers:
        server.close()
    await tools.poll(lambda: all(peer.ended == peer.connections for peer in peers))


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    made = Poster(guarded_sockets(allow_loopback=True), resolver=DefaultResolver(), patience=HURRIED)
    yield made
    await made.close()


def at(peer: Peer, *, scheme: str = "http", host: str = "127.0.0.1") -> Target:
    return target_of(URL(f"{scheme}://{host}:{peer.port}/hook?a=1"), {"User-Agent": "us"})


async def post(poster: Poster, peer: Peer) -> Answer:
    return await poster.post(at(peer), lines_of({"X-A": "b"}), b"{}")


async def test_a_connection_serves_one_request_after_the_other(serve, poster):
    peer = await serve([NO_CONTENT], [NO_CONTENT], [NO_CONTENT])
    assert [(await post(poster, peer)).status for _ in range(3)] == [204] * 3
    assert peer.connections == 1
    assert (
        peer.heads[0]
        == (
            f"POST /hook?a=1 HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nUser-Agent: us\r\nX-A: b\r\nContent-Length: 2\r\n\r\n"
        ).encode()
    )


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
        ([b"HTTP/1.1 200 OK\r\nContent-", b"Length: 2\r\n\r\no", b"k"], 200, b"ok"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"], 200, b"ok"),
        ([b"HTTP/1.0 200 OK\r\n\r\nuntil the end", None], 200, b"until the end"),
        (
            [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"],
            202,
            b"",
        ),
        ([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], 500, b""),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", None], 200, b"half"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], 200, b"half"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000], 200, b"x" * 4096),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nthis is no size\r\n"], 200, b""),
    ],
)
async def test_an_answer_is_its_first_final_head_and_what_came_of_its_body(serve, poster, parts, status, body):
    peer = await serve(parts)
    answer = await post(poster, peer)
    assert (answer.status, bytes(answer.body)) == (status, body)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000 + b"\r\n", b"Z: " + b"y" * 40_000], "protocol"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 20], "protocol"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "protocol"),
        ([b"SSH-2.0-x\r\n"], "protocol"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"], "protocol"),
        ([b"HTTP/1.1 20"], "timeout"),
        ([None], "reset"),
    ],
)
async def test_what_is_no_answer_has_a_kind_and_the_connection_is_not_used_again(serve, poster, parts, kind):
    peer = await serve(parts, [NO_CONTENT])
    with pytest.raises(PostFault) as raised:
        await post(poster, peer)
    assert raised.value.kind == kind
    assert (await post(poster, peer)).status == 204
    assert peer.connections == 2


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_connection_that_is_to_end_or_said_too_much_is_not_used_again(serve, poster, part):
    peer = await serve([part], [NO_CONTENT])
    assert (await post(poster, peer)).status == 200
    assert (await post(poster, peer)).status == 204
    assert peer.connections == 2


async def test_an_answer_that_nobody_asked_for_is_never_that_of_the_next_request(serve, poster, tools):
    peer = await serve(
        [NO_CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
    )
    assert (await post(poster, peer)).status == 204
    await tools.poll(lambda: peer.ended)
    assert (await post(poster, peer)).status == 500


@pytest.mark.parametrize("flood", [b"X-A: b\r\n" * 40_000, b"X" * 300_000, b"X: " + b"y" * 300_000])
async def test_what_follows_a_body_says_nothing_and_is_not_read_for_ever(serve, poster, flood):
    peer = await serve(
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRetry-After: 9\r\n",
            flood,
            b"\r\n\r\n",
        ],
        [NO_CONTENT],
    )
    answer = await post(poster, peer)
    assert (answer.status, bytes(answer.body)) == (200, b"ok")
    assert "retry-after" not in answer.headers
    assert len(answer.headers) == 1
    assert (await post(poster, peer)).status == 204
    assert peer.connections == 2


async def test_a_connection_that_nobody_uses_is_closed(serve, monkeypatch, tools):
    monkeypatch.setattr(posting, "IDLE_S", 0.05)
    poster = Poster(guarded_sockets(allow_loopback=True), resolver=DefaultResolver(), patience=HURRIED)
    peer = await serve([NO_CONTENT])
    await post(poster, peer)
    await tools.poll(lambda: peer.ended)
    await poster.close()


async def test_who_gives_up_waiting_leaves_no_connection_behind(serve, poster, tools):
    peer = await serve([b"HTTP/1.1 20"], [NO_CONTENT])
    job = asyncio.create_task(post(poster, peer))
    await tools.poll(lambda: peer.heads)
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    await tools.poll(lambda: peer.ended)


@pytest.mark.parametrize("value", ["a\r\nX-B: c", "a\nb", "a\0b"])
def test_a_header_cannot_end_its_line(value):
    with pytest.raises(ValueError, match="ends its line"):
        lines_of({"X-A": value})


def test_the_host_of_an_address_is_in_brackets_and_the_usual_port_is_not_said():
    assert target_of(URL("https://[2606:4700::1]/a b"), {}).head == b"POST /a%20b HTTP/1.1\r\nHost: [2606:4700::1]\r\n"
    assert target_of(URL("https://x.example:8443"), {}).head == b"POST / HTTP/1.1\r\nHost: x.example:8443\r\n"


def certificate(folder: Path, name: str, *, ends_in: timedelta) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a server's context and one of a client that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + ends_in)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


@pytest.mark.parametrize(
    ("name", "days", "outcome"), [("localhost", 1, 204), ("localhost", -1, "tls"), ("other.example", 1, "tls")]
)
async def test_a_certificate_must_be_valid_now_and_for_the_host(serve, tmp_path, name, days, outcome):
    server, client = certificate(tmp_path, name, ends_in=timedelta(days=days))
    peer = await serve([NO_CONTENT], context=server)
    poster = Poster(
        guarded_sockets(allow_loopback=True), resolver=DefaultResolver(), patience=Patience(connect_s=3.0), tls=client
    )
    try:
        said = (await poster.post(at(peer, scheme="https", host="localhost"), b"", b"{}")).status
    except PostFault as fault:
        said = fault.kind
    assert said == outcome
    await poster.close()


async def test_a_certificate_that_nobody_signed_is_refused(serve, tmp_path, poster):
    server, _ = certificate(tmp_path, "localhost", ends_in=timedelta(days=1))
    peer = await serve([NO_CONTENT], context=server)
    with pytest.raises(PostFault, match="tls"):
        await poster.post(at(peer, scheme="https", host="localhost"), b"", b"{}")


async def test_a_handshake_that_never_comes_is_no_connection(poster):
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(PostFault, match="connect"):
        await poster.post(target_of(URL(f"https://localhost:{port}/"), {}), b"", b"{}")
    listening.close()
