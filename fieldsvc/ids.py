"""Identifiers made by the server."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Make a UUIDv7: 48 bits of Unix milliseconds, 12 bits of the fraction of one, then random bits.

    RFC 9562, method 3 of section 6.2: ids made one after the other by a process sort in that order.
    """
    ms, ns = divmod(time.time_ns(), 1_000_000)
    value = ms << 80 | 0x7 << 76 | (ns * 4096 // 1_000_000) << 64
    return UUID(int=value | 0x2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2)
