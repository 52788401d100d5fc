"""Standard Webhooks 1.0.0: sign and verify over bytes, with shared keys (`whsec_`, v1) and Ed25519 (`whsk_`/`whpk_`, v1a).

Signed is `{id}.{timestamp}.{body}`. A header may list several signatures; the receiver accepts any that matches one of its
keys, so a key is replaced without a gap. See https://www.standardwebhooks.com, specification 1.0.0.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
TOLERANCE_S = 300
_KEY_BYTES = 32
_SEED_BYTES = 32


class BadSignature(Exception):
    """The message is not signed by a known key, or not now."""


def new_secret() -> str:
    """Make a shared key of 32 random bytes, written `whsec_…`."""
    return SHARED + base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def sign(keys: Iterable[str], message_id: str, *, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature a key. ValueError for a key without content."""
    content = _signed(message_id, str(timestamp), body)
    return " ".join(_signature(key, content) for key in keys)


def verify(keys: Iterable[str], headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """Check a message against shared or public keys and return its id; BadSignature otherwise.

    `headers` have lower-case names or ignore case; `now` is in Unix seconds, the tolerance five minutes either way.
    """
    named = [headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature")]
    message_id, timestamp, listed = (value or "" for value in named)
    if not message_id or not timestamp or not listed:
        raise BadSignature("a header is missing")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_S:
        raise BadSignature("the timestamp is not of now")
    content = _signed(message_id, timestamp, body)
    candidates = [token.partition(",")[::2] for token in listed.split(" ")]
    for key in keys:
        if any(_matches(key, version, value, content) for version, value in candidates):
            return message_id
    raise BadSignature("no signature matches")


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _signature(key: str, content: bytes) -> str:
    if key.startswith(PRIVATE):
        private = Ed25519PrivateKey.from_private_bytes(_decoded(key, PRIVATE)[:_SEED_BYTES])
        return "v1a," + base64.b64encode(private.sign(content)).decode()
    return "v1," + base64.b64encode(hmac.digest(_decoded(key, SHARED), content, hashlib.sha256)).decode()


def _matches(key: str, version: str, value: str, content: bytes) -> bool:
    if key.startswith(PUBLIC):
        return version == "v1a" and _ed25519_matches(key, value, content)
    expected = _signature(key, content).partition(",")[2]
    return version == "v1" and hmac.compare_digest(expected.encode(), value.encode())


def _ed25519_matches(key: str, value: str, content: bytes) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(_decoded(key, PUBLIC))
        public.verify(base64.b64decode(value, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(key: str, prefix: str) -> bytes:
    secret = base64.b64decode(key.removeprefix(prefix), validate=True)
    if not secret:
        raise ValueError("the key is empty")
    return secret
