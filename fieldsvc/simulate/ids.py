"""Identifiers made outside the server: S10 item ids, UUIDv7 event ids, and seeded randomness."""

import hashlib
import random
from uuid import UUID

S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


def seeded(*parts: object) -> random.Random:
    """Return a generator that depends on nothing but `parts`."""
    return random.Random("|".join(map(str, parts)))  # noqa: S311 - a simulation must repeat itself, not keep a secret


def s10_check_digit(serial: int) -> int:
    """Compute the check digit of an 8-digit UPU S10 serial number."""
    total = sum(weight * int(digit) for weight, digit in zip(S10_WEIGHTS, f"{serial:08d}", strict=True))
    check = 11 - total % 11
    return {10: 0, 11: 5}.get(check, check)


def s10(prefix: str, serial: int, country: str = "FR") -> str:
    """Build a valid 13-character S10 id such as `RK123456785FR`."""
    return f"{prefix}{serial:08d}{s10_check_digit(serial)}{country}"


def uuid7(unix_ms: int, content: bytes) -> str:
    """Build a UUIDv7 (RFC 9562) whose random bits are a hash of `content`.

    The same content at the same millisecond gives the same id, other content gives another one: a simulated phone that
    is started again repeats its events and never contradicts them.
    """
    noise = int.from_bytes(hashlib.sha256(content).digest()[:10], "big")
    high, low = noise >> 62 & 0xFFF, noise & ((1 << 62) - 1)
    value = ((unix_ms & ((1 << 48) - 1)) << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low
    return str(UUID(int=value))
