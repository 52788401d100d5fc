"""A new master key: everything that the old one wraps is wrapped anew, while the service runs; no data is touched.

Every process has both keys first (`FIELDSVC_MASTER_KEY`, `FIELDSVC_MASTER_KEY_PREVIOUS`); then `fieldsvc keys rotate` walks every
column that is sealed under the master key, a thousand rows at a time. A row is changed only where it is still what was read, so
that a key destroyed meanwhile stays so. Whatever stops it, it is begun again: what is wrapped anew already is passed over.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidTag

from fieldsvc.journal.sealed import Vault
from fieldsvc.store.database import Database
from sql import query

CHUNK, MOST_WALKS = 1_000, 5


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A column under the master key: the queries that read and write it, the column of their order, what its values are bound to."""

    column: str
    name: str
    order: str
    first: Any
    context: Callable[[Any], str]


WRAPPED = (
    Wrapped(
        "person_key.wrapped",
        "person_keys",
        "key_id",
        UUID(int=0),
        lambda row: f"person|{row['person']}|{row['key_id']}",
    ),
    Wrapped("endpoint_secret.sealed", "endpoints", "place", "", lambda row: f"endpoint|{row['endpoint']}"),
    Wrapped("endpoint.sealed_headers", "headers", "endpoint", "", lambda row: f"endpoint headers|{row['endpoint']}"),
    Wrapped("quarantine.body", "quarantine", "id", UUID(int=0), lambda row: f"quarantine|{row['id']}"),
    Wrapped("media.sealed_key", "media", "sha256", b"", lambda row: f"media|{bytes(row['sha256']).hex()}"),
    Wrapped("report_month.key", "months", "month", date(1, 1, 1), lambda row: f"report|{row['month'].isoformat()}"),
)
OWN = ("store.content_key", "store.signing_key")


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: values wrapped anew, by column, and how many neither key opens."""

    anew: Mapping[str, int]
    foreign: Mapping[str, int]


async def rotate(database: Database, vault: Vault, *, chunk: int = CHUNK) -> Rotated:
    """Wrap everything with the current master key; walk again until a walk finds nothing of the previous one."""
    anew: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    async with database.acquire() as connection:
        anew["store"] += await _own_keys(connection, vault)
    for _ in range(MOST_WALKS):
        before = anew.total()
        foreign.clear()
        for each in WRAPPED:
            await _walk(database, vault, each, chunk=chunk, anew=anew, foreign=foreign)
        if anew.total() == before:
            break
    return Rotated({name: count for name, count in anew.items() if count}, dict(foreign))


async def _walk(
    database: Database, vault: Vault, column: Wrapped, *, chunk: int, anew: Counter[str], foreign: Counter[str]
) -> None:
    place = column.first
    while True:
        async with database.acquire() as connection:
            rows = await connection.fetch(query(f"rotation.{column.name}"), place, chunk)
            if not rows:
                return
            changed = list(_changed(vault, column, rows, foreign))
            if changed:
                columns = [list(values) for values in zip(*changed, strict=True)]
                done = await connection.execute(query(f"rotation.put_{column.name}"), *columns)
                anew[column.column] += int(done.rpartition(" ")[2])
        place = rows[-1][column.order]


def _changed(
    vault: Vault, column: Wrapped, rows: Sequence[asyncpg.Record], foreign: Counter[str]
) -> list[tuple[Any, bytes, bytes]]:
    changed = []
    for row in rows:
        blob = bytes(row["blob"])
        try:
            made = vault.sealed_anew(blob, context=column.context(row))
        except InvalidTag:
            foreign[column.column] += 1
            continue
        if made is not None:
            changed.append((row[column.order], blob, made))
    return changed


async def _own_keys(connection: asyncpg.Connection, vault: Vault) -> int:
    (row,) = await connection.fetch(query("store.read"))
    content, signing = bytes(row["content_key"]), bytes(row["signing_key"])
    made = vault.sealed_anew(content, context="content"), vault.sealed_anew(signing, context="signing")
    if made == (None, None):
        return 0
    await connection.execute(query("rotation.put_store"), content, made[0] or content, signing, made[1] or signing)
    return sum(each is not None for each in made)
