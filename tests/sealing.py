"""A phone's sealing of its queue, in Python: what `static/handheld/sealing.js` does, from the words of the interface alone."""

import gzip
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def seal(point: bytes, plain: bytes, *, key_id: bytes | None = None, packed: bytes | None = None) -> bytes:
    """Seal for the public key that a point is; `packed` in the place of the gzip of `plain`."""
    own = ec.generate_private_key(ec.SECP256R1())
    public = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    header = b"FSR\x01" + (key_id or hashlib.sha256(point).digest()[:8]) + public
    secret = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    made = HKDF(SHA256(), 44, salt=header, info=b"fieldsvc relay 1").derive(secret)
    return header + AESGCM(made[:32]).encrypt(made[32:], packed if packed is not None else gzip.compress(plain), header)


def queue(device: str, token: str, events: Any, *, made_at: Any = None) -> bytes:
    """Write the two lines of a queue."""
    at = made_at if made_at is not None else datetime.now(UTC).isoformat()
    head: Mapping[str, Any] = {"device_id": device, "token": token, "made_at": at}
    return orjson.dumps(head) + b"\n" + orjson.dumps(events)
