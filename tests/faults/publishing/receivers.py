"""Bad receivers: what each does with a request, byte by byte, and how it must end."""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

from aiohttp.abc import AbstractResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.faults.publishing.scene import Inbox

OK, EMPTY = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
TAKEN, HELD, DISABLED = "taken", "held", "disabled"


@dataclass
class Visit:
    """One request at a raw receiver."""

    inbox: Inbox
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    rng: Random
    message_id: str = ""
    body: bytes = b""

    async def read(self) -> None:
        """Read the whole request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        lines = dict(line.split(": ", 1) for line in head[1:] if line)
        self.message_id = lines["webhook-id"]
        self.body = await self.reader.readexactly(int(lines["content-length"]))

    async def say(self, *parts: bytes, taken: bool = False) -> None:
        """Write an answer; with `taken` the event counts as acknowledged from here on."""
        self.inbox.note(self.message_id, self.body, acknowledged=taken)
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def drip(self, parts: Iterator[bytes] | Any, every_s: float) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(every_s)

    def reset(self) -> None:
        self.writer.transport.abort()


Behaviour = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """A kind of bad receiver: how it ends (taken, held, disabled), what its failed attempts say, and how it answers."""

    name: str
    end: str
    says: str
    act: Behaviour | None = None
    url: str = ""
    tls: str = ""


async def blackhole(_visit: Visit) -> None:
    await asyncio.sleep(600)


async def reset_in_the_request(visit: Visit) -> None:
    await visit.reader.readexactly(40)
    visit.reset()


async def slow_to_accept(visit: Visit) -> None:
    await asyncio.sleep(0.3)
    await visit.read()
    await visit.say(EMPTY, taken=True)


async def forgetful_keeper(visit: Visit) -> None:
    """Close connections at random: unread, read and unanswered, answered."""
    chance = visit.rng.random()
    if chance < 0.15:
        visit.reset()
        return
    await visit.read()
    if chance < 0.3:
        visit.reset()
        return
    await visit.say(EMPTY, taken=True)
    if chance < 0.6:
        visit.writer.close()


def after_reading(*parts: bytes, taken: bool = False, then: str = "", limit: int = 10**9) -> Behaviour:
    """Answer with bytes; from the request `limit` on with 204. `then` resets or closes the connection."""

    async def act(visit: Visit) -> None:
        await visit.read()
        if visit.number >= limit:
            await visit.say(EMPTY, taken=True)
            return
        await visit.say(*parts, taken=taken)
        if then == "reset":
            visit.reset()
        elif then == "close":
            visit.writer.close()

    return act


def dripping(first: bytes, parts: Callable[[], Any], *, every_s: float, taken: bool = False) -> Behaviour:
    """Answer with a beginning and then with parts, without an end."""

    async def act(visit: Visit) -> None:
        await visit.read()
        await visit.say(first, taken=taken)
        await visit.drip(parts(), every_s)

    return act


def status(line: str, *, limit: int = 10**9, wait: Callable[[], str] | None = None) -> Behaviour:
    """Answer with a status line, perhaps with Retry-After."""

    async def act(visit: Visit) -> None:
        more = f"Retry-After: {wait()}\r\n" if wait else ""
        answer = f"HTTP/1.1 {line}\r\n{more}Content-Length: 0\r\n\r\n".encode()
        await after_reading(answer, limit=limit)(visit)

    return act


async def flapping(visit: Visit) -> None:
    """Fail half of the time, in turns of six: a breaker that it opens closes on five successes in a row."""
    await (status("500 Oops") if visit.number // 6 % 2 else after_reading(EMPTY, taken=True))(visit)


def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()


def endless(part: bytes) -> Callable[[], Iterator[bytes]]:
    def parts() -> Iterator[bytes]:
        while True:
            yield part

    return parts


def in_a_second() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


def kinds(elsewhere: str) -> list[Kind]:
    """Return every kind; `elsewhere` is a place on loopback that nobody may be sent to."""
    packed, moved = bomb(), f"Moved\r\nLocation: {elsewhere}"
    chunked, sized = OK + b"Transfer-Encoding: chunked\r\n\r\n", OK + b"Content-Length: "
    return [
        Kind("refuses", HELD, "connect", url="http://127.0.0.1:1/"),
        Kind("blackhole", HELD, "timeout", blackhole),
        Kind("reset in the request", HELD, "reset", reset_in_the_request),
        Kind("reset after the status line", HELD, "reset", after_reading(OK, then="reset")),
        Kind("reset in the body", TAKEN, "", after_reading(sized + b"1000\r\n\r\nhalf", taken=True, then="reset")),
        Kind("slow headers", HELD, "timeout", dripping(OK, endless(b"x"), every_s=0.1)),
        Kind("slow body", TAKEN, "", dripping(sized + b"1000\r\n\r\n", endless(b"x"), every_s=0.1, taken=True)),
        Kind("endless body", TAKEN, "", dripping(chunked, endless(b"2710\r\n" + b"z" * 10_000 + b"\r\n"), every_s=0, taken=True)),
        Kind("gzip bomb", TAKEN, "", after_reading(
            OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed), packed, taken=True)),
        Kind("huge header", HELD, "protocol", dripping(OK + b"X: ", endless(b"y" * 100_000), every_s=0)),
        Kind("endless headers", HELD, "protocol", dripping(OK, endless(b"X: y\r\n" * 10_000), every_s=0)),
        Kind("garbage in the body", TAKEN, "", after_reading(sized + b"64\r\n\r\n" + bytes(range(192, 256)), taken=True)),
        Kind("301 to loopback", HELD, "301", status(f"301 {moved}")),
        Kind("307 to loopback", HELD, "307", status(f"307 {moved}")),
        Kind("410", DISABLED, "410", status("410 Gone")),
        Kind("415", HELD, "415", status("415 What")),
        Kind("401", HELD, "401", status("401 Who")),
        Kind("429 with a date", TAKEN, "429", status("429 Slow", limit=2, wait=in_a_second)),
        Kind("429 with seconds", TAKEN, "429", status("429 Slow", limit=2, wait=lambda: "1")),
        Kind("429 with a negative wait", TAKEN, "429", status("429 Slow", limit=6, wait=lambda: "-30")),
        Kind("429 with garbage", TAKEN, "429", status("429 Slow", limit=6, wait=lambda: "soon, NaN")),
        Kind("500 flapping", TAKEN, "500", flapping),
        Kind("503 with a wait", TAKEN, "503", status("503 Later", limit=2, wait=lambda: "1")),
        Kind("TLS in order", TAKEN, "", after_reading(EMPTY, taken=True), tls="good"),
        Kind("TLS expired", HELD, "tls", after_reading(EMPTY, taken=True), tls="expired"),
        Kind("TLS of another host", HELD, "tls", after_reading(EMPTY, taken=True), tls="other"),
        Kind("HTTP/0.9", HELD, "protocol", after_reading(b"<html>hello</html>\r\n", then="close")),
        Kind("bytes", HELD, "protocol", after_reading(b"\x00\xff" * 100 + b"\r\n\r\n")),
        Kind("1xx for ever", HELD, "protocol", dripping(b"", endless(b"HTTP/1.1 102 Processing\r\n\r\n"), every_s=0.01)),
        Kind("101", HELD, "protocol", after_reading(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")),
        Kind("chunks that lie", TAKEN, "", after_reading(chunked + b"FFFFFFFFFFFFFFFFF\r\nx", taken=True)),
        Kind("a length that lies", TAKEN, "", after_reading(sized + b"9\r\n\r\nab", taken=True, then="close")),
        Kind("a length below nought", HELD, "protocol", after_reading(sized + b"-5\r\n\r\n")),
        Kind("two lengths", HELD, "protocol", after_reading(sized + b"0\r\nContent-Length: 7\r\n\r\nabcdefg")),
        Kind("two answers", TAKEN, "", after_reading(EMPTY + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", taken=True)),
        Kind("no such name", HELD, "dns", url="https://nowhere.example.com/"),
        Kind("slow name", HELD, "connect", url="https://slow.example.com/"),
        Kind("a name of a private address", HELD, "address", url="https://private.example.com/"),
        Kind("slow to accept", TAKEN, "", slow_to_accept),
        Kind("closes kept connections", TAKEN, "reset", forgetful_keeper),
    ]  # fmt: skip


class Names(AbstractResolver):
    """A resolver of three names."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        if host == "slow.example.com":
            await asyncio.sleep(600)
        place = {"localhost": "127.0.0.1", "private.example.com": "10.1.2.3"}.get(host)
        if place is None:
            raise OSError(None, "no such name")
        return [{"hostname": host, "host": place, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@dataclass
class Raw:
    """A TCP server that behaves as its kind does, a request at a time."""

    kind: Kind
    inbox: Inbox
    rng: Random
    count: int = 0
    jobs: set["asyncio.Task[None]"] = field(default_factory=set)

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job = asyncio.current_task()
        assert job is not None
        assert self.kind.act is not None
        self.jobs.add(job)
        try:
            while not writer.is_closing():
                self.count += 1
                await self.kind.act(Visit(self.inbox, reader, writer, self.count - 1, self.rng))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.jobs.discard(job)
            writer.transport.abort()


@asynccontextmanager
async def standing(found: list[Kind], certificates: dict[str, ssl.SSLContext]) -> AsyncIterator[dict[str, Inbox]]:
    """Start a receiver of each kind; yield their inboxes by name."""
    inboxes, raws, servers = {}, [], []
    for kind in found:
        inboxes[kind.name] = Inbox(kind.url)
        if kind.act is None:
            continue
        raw = Raw(kind, inboxes[kind.name], Random(kind.name))
        server = await asyncio.start_server(raw.taken, "127.0.0.1", 0, ssl=certificates.get(kind.tls))
        port = server.sockets[0].getsockname()[1]
        inboxes[kind.name].url = f"https://localhost:{port}/" if kind.tls else f"http://127.0.0.1:{port}/"
        raws.append(raw)
        servers.append(server)
    try:
        yield inboxes
    finally:
        for server in servers:
            server.close()
        jobs = [job for raw in raws for job in raw.jobs]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def certificates(folder: Path) -> dict[str, ssl.SSLContext]:
    """Make an authority of our own in `folder`/ca.pem, and servers' contexts: good, expired, other."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fault tests")])
    root = (
        _certificate(name, name, key.public_key(), ends=now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(Encoding.PEM))
    made = {}
    for kind, host, ends in (
        ("good", "localhost", now + timedelta(days=1)),
        ("expired", "localhost", now - timedelta(hours=1)),
        ("other", "hooks.example.com", now + timedelta(days=1)),
    ):
        own = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        leaf = _certificate(name, x509.Name([]), own.public_key(), ends=ends).add_extension(names, critical=True)
        pem = leaf.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        pem += own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{kind}.pem").write_bytes(pem)
        made[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[kind].load_cert_chain(folder / f"{kind}.pem")
    return made


def _certificate(issuer: x509.Name, subject: x509.Name, key: Any, *, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=2))
        .not_valid_after(ends)
    )
