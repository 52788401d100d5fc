"""Proofs of registered mail that outlive the person who was erased: what each copy says, sealed under a key of the item's proof."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldsvc.journal.sealed import Opener, Vault, person_keys
from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a proof: whose it is, where it was handed over, and what it says without its signature."""

    copy: str
    account: str | None
    site: str | None
    handed_over_at: datetime
    content: Mapping[str, Any]


async def keep(database: Database, vault: Vault, subject: str, kept: Copy) -> None:
    """Keep a copy for as long as it is owed; one that is kept already stays as it is."""
    person = f"proof/{subject}"
    async with database.acquire() as connection, connection.transaction():
        sealed = (await person_keys(connection, vault, [person])).of(person).seal_blob(dict(kept.content))
        row = (subject, kept.copy, kept.account, kept.site, kept.handed_over_at, sealed)
        await connection.execute(query("kept_proof.keep"), *row)


async def read(database: Database, opener: Opener, subject: str, copy: str) -> Copy | None:
    """Open a copy that is kept; None if there is none."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("kept_proof.read"), subject, copy)
    content = (await opener.open_blobs([row["sealed"]]))[0] if row is not None else None
    if row is None or content is None:
        return None
    return Copy(copy, row["account"], row["site"], row["handed_over_at"], content)
