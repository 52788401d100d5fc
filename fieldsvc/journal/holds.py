"""Legal holds: what stands still although its time is over, or although somebody asks for it. Each is set and ended by a person."""

from typing import Any
from uuid import UUID

from fieldsvc.errors import UserMistake
from fieldsvc.journal.retention import find, purposes
from fieldsvc.store.database import Database
from sql import query

MOST_CHARACTERS = 80


async def put(
    database: Database, hold: UUID, *, purpose: str | None, person: str | None, reference: str | None
) -> UUID:
    """Hold one purpose or one person. UserMistake for both or neither, without a reference, or for what cannot be held."""
    if (purpose is None) == (person is None):
        raise UserMistake("Name a purpose or a person to be held.")
    if not reference or len(reference) > MOST_CHARACTERS:
        raise UserMistake("Name the file that the hold is for, in at most 80 characters.")
    if purpose is not None:
        known = find(purpose)
        if known is None or not known.can_be_held:
            names = ", ".join(each.name for each in purposes() if each.can_be_held)
            raise UserMistake(f"What can be held is: {names}.")
    async with database.acquire() as connection:
        await connection.execute(query("legal_hold.set"), hold, purpose, person, reference)
    return hold


async def end(database: Database, hold: UUID) -> None:
    """End a hold. UserMistake if there is none that stands."""
    async with database.acquire() as connection:
        done: str = await connection.execute(query("legal_hold.end"), hold)
    if done.endswith(" 0"):
        raise UserMistake("No such hold stands.")


async def standing(database: Database) -> list[dict[str, Any]]:
    """List the holds that stand."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("legal_hold.list"))
    return [dict(row) for row in rows]
