"""Verify Standard Webhooks 1.0.0 signatures, over raw bytes, as a subscriber would."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

TOLERANCE_S = 300
PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Decode a secret, `whsec_` + base64 or bare base64. ValueError when it is empty or not base64."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("the secret is not base64") from error
    if not key:
        raise ValueError("the secret is empty")
    return key


def sign(key: bytes, *, message_id: str, timestamp: str, body: bytes) -> str:
    """Return `v1,` + base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`."""
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def fault_of(headers: Mapping[str, str], body: bytes, *, keys: Iterable[bytes], now: float) -> str | None:
    """Return what is wrong with a webhook's headers in words, None when one of its signatures fits one of the keys."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not (message_id and timestamp and given):
        return "a webhook-id, webhook-timestamp or webhook-signature is missing"
    if not (timestamp.isascii() and timestamp.isdigit()):
        return "the webhook-timestamp is not a number"
    if abs(now - int(timestamp)) > TOLERANCE_S:
        return "the webhook-timestamp is more than five minutes off"
    expected = [sign(key, message_id=message_id, timestamp=timestamp, body=body).encode() for key in keys]
    fits = [hmac.compare_digest(one.encode(errors="replace"), other) for one in given for other in expected]
    return None if any(fits) else "no signature fits"
