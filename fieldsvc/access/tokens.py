"""Credentials: random, shown once, kept as hashes."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is read aloud or typed wrongly
_TICKET, _SECRET = 4, 12
_CONFUSED = str.maketrans({"-": "", " ": ""})
API_KEY_PREFIX = "fsk_"


def new_token() -> str:
    """Make a token of 32 random bytes, safe in a URL."""
    return secrets.token_urlsafe(32)


def new_api_key() -> str:
    """Make an API key of 32 random bytes that a scanner for leaked secrets can recognise."""
    return API_KEY_PREFIX + new_token()


def api_key_of(seed: bytes, about: bytes) -> str:
    """Make the API key that belongs to something, from a seed that nobody else has: the same each time."""
    made = hmac.digest(seed, about, hashlib.sha256)
    return API_KEY_PREFIX + base64.urlsafe_b64encode(made).decode().rstrip("=")


def new_account_id() -> str:
    """Make the id of an account."""
    return f"acc_{secrets.token_hex(8)}"


def new_passphrase() -> str:
    """Make a passphrase of 32 characters (24 random bytes), the longest that OwnTracks takes."""
    return secrets.token_urlsafe(24)


def digest(secret: str) -> bytes:
    """Hash a credential of at least 32 random bytes; a slow hash would add nothing to them."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_code() -> tuple[str, str, str]:
    """Make a one-time code: (ticket, secret, the code as it is shown). The secret has 58 random bits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_TICKET + _SECRET))
    return letters[:_TICKET], letters[_TICKET:], "-".join(_groups(letters))


def split_code(code: str) -> tuple[str, str] | None:
    """Read a code as it was typed: (ticket, secret); None if it cannot be one."""
    letters = code.upper().translate(_CONFUSED)
    if len(letters) != _TICKET + _SECRET or any(letter not in _ALPHABET for letter in letters):
        return None
    return letters[:_TICKET], letters[_TICKET:]


def secret_digest(ticket: str, secret: str) -> bytes:
    """Hash the secret of a code; the ticket is its salt."""
    return hashlib.sha256(f"{ticket} {secret}".encode()).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one, other)


def csrf_of(session: str) -> str:
    """Derive the CSRF token of a session, so that none needs keeping."""
    return hmac.new(session.encode(), b"fieldsvc csrf", hashlib.sha256).hexdigest()


def _groups(letters: str, size: int = 4) -> Iterator[str]:
    return (letters[start : start + size] for start in range(0, len(letters), size))
