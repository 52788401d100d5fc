"""The same request twice has one effect: a key, the digest of its body, and the answer, kept for 24 hours."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from fieldsvc.store import task as store
from fieldsvc.store.database import Database
from fieldsvc.work.errors import BadKey, KeyInUse, KeyReused

Answer = tuple[int, bytes]


async def once(
    database: Database,
    account: str,
    key: str,
    *,
    body: bytes,
    act: Callable[[], Awaitable[tuple[int, Mapping[str, Any]]]],
) -> Answer:
    """Act once for a key of an account: the same key and body get the first answer again.

    A refused request gives its key back. BadKey, KeyReused for another body, KeyInUse while the first is being answered.
    """
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise BadKey
    digest = hashlib.sha256(b"\n".join((account.encode(), key.encode(), body))).digest()
    if not await store.claim_key(database, account, key, digest):
        return await _earlier(database, account, key, digest=digest)
    try:
        status, answer = await act()
    except BaseException:
        await store.release_key(database, account, key)
        raise
    kept = orjson.dumps(answer, option=orjson.OPT_UTC_Z)
    await store.settle_key(database, account, key, status=status, answer=kept)
    return status, kept


async def _earlier(database: Database, account: str, key: str, *, digest: bytes) -> Answer:
    held = await store.held_key(database, account, key)
    if held is not None and held.digest != digest:
        raise KeyReused
    if held is None or held.status is None or held.answer is None:
        raise KeyInUse(retry_after_s=1)
    return held.status, held.answer
