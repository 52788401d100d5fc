"""Join pictures that are there with the facts that name them, whichever came first, and let each subject's story be told again.

In one commit: the picture's key is sealed with the key of the fact's person, the master key's copy of it is forgotten, and the
timer `media` of the subject is set, due now. It becomes a command of a later batch, as every timer does.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from fieldsvc.ids import uuid7
from fieldsvc.journal.sealed import Vault, open_blob, person_keys
from fieldsvc.store.database import Database
from sql import query

CHUNK = 200
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
TIMER = "media"


class Connection(Protocol):
    """What is needed of a connection to the database."""

    async def fetchrow(self, text: str, *args: Any) -> Any:
        """Run a query for one row."""
        ...


def context_of(sha256: bytes) -> str:
    """Name what a picture's key is bound to while the master key holds it."""
    return f"media|{sha256.hex()}"


async def key_of(connection: Connection, vault: Vault, sha256: bytes, *, sealed_key: bytes | None) -> bytes | None:
    """Open a picture's key: with the master key while nothing names it, else with a person's; None if all were erased."""
    if sealed_key is not None:
        return vault.open_secret(sealed_key, context=context_of(sha256))
    row = await connection.fetchrow(query("media.live_key"), sha256)
    if row is None:
        return None
    key = vault.unwrap(row["person"], row["key_id"], row["wrapped"])
    return bytes.fromhex(open_blob(key, bytes(row["sealed_key"])))


async def link(database: Database, vault: Vault, sha256: bytes | None = None) -> int:
    """Join what belongs together, of one picture or of any; return how many facts got theirs."""
    async with database.acquire() as connection, connection.transaction():
        rows = await connection.fetch(query("media.to_link"), sha256, CHUNK)
        opened = {
            row["sha256"]: await key_of(connection, vault, row["sha256"], sealed_key=row["sealed_key"]) for row in rows
        }
        rows = [row for row in rows if opened[row["sha256"]] is not None]
        if not rows:
            return 0
        # what happened before an erasure gets no key, and nothing a new one: the picture is joined, and nobody can open it
        persons = {row["person"]: LONG_AGO for row in rows}
        keys = await person_keys(connection, vault, persons, newest=persons)
        links = [
            (row["sha256"], row["event"], row["subject"], row["field"], key.key_id, key.seal_blob(_text(opened, row)))
            for row in rows
            for key in [keys.of(row["person"], row["occurred_at"] or LONG_AGO)]
        ]
        await connection.execute(query("media.link"), *_columns(links))
        await connection.execute(query("media.forget_keys"), list({row["sha256"] for row in rows}))
        await connection.execute(query("timer.set"), *_columns(_timers(rows)))
    return len(rows)


def _text(opened: dict[bytes, bytes | None], row: Any) -> str:
    return (opened[row["sha256"]] or b"").hex()


def _timers(rows: Sequence[Any]) -> list[tuple[UUID, datetime, str, str, str, str, str]]:
    """Make one timer for each subject and picture."""
    now, told = datetime.now(UTC), dict[tuple[str, str, str], str]()
    for row in rows:
        name = row["sha256"].hex()
        told[(row["handler"], row["subject"], name)] = orjson.dumps({"sha256": name}).decode()
    return [
        (uuid7(), now, handler, TIMER, subject, name, payload) for (handler, subject, name), payload in told.items()
    ]


def _columns(records: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*records, strict=True)]
