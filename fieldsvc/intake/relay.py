"""Another phone brings a queue: sealed on the phone that cannot send, carried by one that cannot read it, opened here.

An envelope is, byte for byte (`static/handheld/sealing.js` writes it):

    0    4  "FSR" and the version, 1
    4    8  the key it is sealed for: the first bytes of the SHA-256 of that public key
    12  65  the phone's public key of this one envelope, an uncompressed point of P-256
    77   …  AES-256-GCM over the gzip of two lines, and its tag; the 77 bytes before are its additional data

Key (32 bytes) and nonce (12) are HKDF-SHA-256 of the two keys' ECDH secret, salt = those 77 bytes, info = `INFO`. The first line
is {"device_id", "token", "made_at"}; the second is the body that this phone would have sent to `POST /v1/events`, as it is.

The service's key pair comes from the store's content key, which outlives every master key: what was sealed before a rotation opens
after it. Nothing else opens an envelope: not the phone that carries it, and not the one that sealed it.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fieldsvc.access.callers import Access, Device
from fieldsvc.errors import BadRequest, Invalid, NotFound, NotJson, Revoked, TooLarge, Unauthorized
from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.intake.clocks import parse_phone_time
from fieldsvc.intake.json import parse
from fieldsvc.intake.reasons import STATUSES
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from handlers.story import Actor

log = get_logger()
MAGIC, INFO = b"FSR\x01", b"fieldsvc relay 1"
ID_BYTES, POINT_BYTES, KEY_BYTES, NONCE_BYTES = 8, 65, 32, 12
HEADER_BYTES = len(MAGIC) + ID_BYTES + POINT_BYTES
LONGEST_HEAD = 1_000
_BATCH = "application/cloudevents-batch+json"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (FIPS 186-5)


class UnreadableRelay(BadRequest):
    """This is no sealed queue, or it was cut or changed on the way; have it sealed and handed over again."""

    code = "relay_unreadable"


class ForeignRelay(Invalid):
    """This queue was sealed for another service."""

    code = "relay_foreign"


class UnknownRelayed(Invalid):
    """The phone that sealed this queue has no access here, or no longer."""

    code = "relay_unknown_phone"


@dataclass(frozen=True, slots=True)
class RelayKey:
    """The service's key pair for queues that other phones bring."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, vault: Vault) -> "RelayKey":
        """Derive it from the store's own key: the same for every process, whatever the master key."""
        wide = int.from_bytes(vault.derived_key("relay 1") + vault.derived_key("relay 2"))
        return cls(ec.derive_private_key(wide % (_ORDER - 1) + 1, ec.SECP256R1()))

    @property
    def point(self) -> bytes:
        """The public key as phones import it: an uncompressed point, 65 bytes."""
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def key_id(self) -> bytes:
        """What an envelope calls it: 8 bytes."""
        return hashlib.sha256(self.point).digest()[:ID_BYTES]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an envelope held: whose it says it is, by which token, made when by that phone's clock, and the events' body."""

    device_id: str
    token: str
    made_at: datetime | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Relayed:
    """One envelope as it came, and the site of the phone that brought it."""

    envelope: bytes
    site: str
    received_at: datetime


def open_envelope(key: RelayKey, envelope: bytes, *, most_bytes: int) -> Opened:
    """Open an envelope. UnreadableRelay, ForeignRelay, TooLarge over `most_bytes` unpacked."""
    header, sealed = envelope[:HEADER_BYTES], envelope[HEADER_BYTES:]
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise UnreadableRelay
    if header[len(MAGIC) : len(MAGIC) + ID_BYTES] != key.key_id:
        raise ForeignRelay
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), header[-POINT_BYTES:])
        secret = key.private.exchange(ec.ECDH(), theirs)
        made = HKDF(SHA256(), KEY_BYTES + NONCE_BYTES, salt=header, info=INFO).derive(secret)
        packed = AESGCM(made[:KEY_BYTES]).decrypt(made[KEY_BYTES:], sealed, header)
    except (InvalidTag, ValueError):
        raise UnreadableRelay from None
    return _told(_unpacked(packed, most_bytes + LONGEST_HEAD))


async def take(intake: Intake, access: Access, key: RelayKey, *, relayed: Relayed, most_bytes: int) -> dict[str, Any]:
    """Take a brought queue as if its own phone had sent it; return the answer that it would have got.

    Besides what `accept` raises: UnreadableRelay, ForeignRelay, TooLarge, UnknownRelayed; NotFound for a phone of another site.
    """
    opened = open_envelope(key, relayed.envelope, most_bytes=most_bytes)
    device = await _sealer(access, opened)
    if device.site != relayed.site:
        raise NotFound
    caller = Caller(Actor("device"), device=device, site=device.site)
    answer = await accept(
        intake, Upload(opened.body, _BATCH, None, caller, relayed.received_at, sent_at(opened, relayed.received_at))
    )
    log.info("relay.taken", device=device.id, count=len(answer["results"]))
    return answer


def sent_at(opened: Opened, received_at: datetime) -> datetime | None:
    """Return what can be said of the sealing phone's clock as the time that it sent at; None for nothing.

    Between sealing and arriving lies the way, of unknown length: a clock that seems slow may be right. But a seal made later than
    it arrives proves how fast the clock is at least, and correcting by that much never puts an event before its time.
    """
    return opened.made_at if opened.made_at is not None and opened.made_at > received_at else None


def counts(answer: Mapping[str, Any]) -> dict[str, int]:
    """Count what became of the events: all that the phone that brought them is told."""
    found = [result["status"] for result in answer["results"]]
    return {status: found.count(status) for status in STATUSES}


async def _sealer(access: Access, opened: Opened) -> Device:
    try:
        device = await access.device(opened.token)
    except (Unauthorized, Revoked):
        raise UnknownRelayed from None
    if device.id != opened.device_id:
        raise UnknownRelayed
    return device


def _unpacked(packed: bytes, most: int) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacking.decompress(packed, most + 1)
    except zlib.error:
        raise UnreadableRelay from None
    if len(plain) > most:
        raise TooLarge
    if not unpacking.eof or unpacking.unused_data:
        raise UnreadableRelay
    return plain


def _told(plain: bytes) -> Opened:
    first, line, body = plain.partition(b"\n")
    if not line or len(first) > LONGEST_HEAD:
        raise UnreadableRelay
    try:
        head = parse(first)
    except NotJson:
        raise UnreadableRelay from None
    if not isinstance(head, dict):
        raise UnreadableRelay
    device_id, token, made_at = (head.get(name) for name in ("device_id", "token", "made_at"))
    if not isinstance(device_id, str) or not isinstance(token, str):
        raise UnreadableRelay
    if not (device_id.isascii() and token.isascii()):  # half a surrogate pair has no bytes
        raise UnreadableRelay
    try:
        return Opened(device_id, token, parse_phone_time(made_at), body)
    except ValueError:
        return Opened(device_id, token, None, body)
