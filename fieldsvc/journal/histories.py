"""What was said of subjects before: public rows by the ids of their events, without an index over subjects.

The state of a service has the facts of a subject, with the id of the event that brought each: what is public came with them.
"""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from fieldsvc.journal.reader import Row
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.stories import opened_state
from fieldsvc.store.database import Database
from sql import query


class Histories:
    """Reads the public rows of subjects."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def of_events(self, ids: Collection[UUID]) -> list[Row]:
        """Read what events said, in order per subject; what retention took is left out."""
        async with self._database.acquire() as connection:
            found = await connection.fetch(query("event.public_of_ids"), sorted(ids))
        return sorted((Row(*row) for row in found), key=lambda row: (row.subject, row.subject_seq))

    async def newest_of(self, account: str, *, since: date, limit: int) -> list[Row]:
        """Read the newest rows of an account since a day, so many of each shard, in the order in which they were recorded."""
        async with self._database.acquire() as connection:
            found = await connection.fetch(query("event.newest_of_account"), account, since, limit)
        return [Row(*row) for row in found]

    async def of_subjects(self, service: str, subjects: Sequence[str]) -> list[Row]:
        """Read what was said of subjects of a service; of one whose state was erased, nothing."""
        names = list(dict.fromkeys(subjects))
        async with self._database.acquire() as connection:
            states = await connection.fetch(query("state.load"), [service] * len(names), names)
        bodies = [opened_state(row, self._vault) for row in states]
        ids = {UUID(fact[1]) for body in bodies if body for fact in body["facts"]}
        wanted = frozenset(names)
        return [row for row in await self.of_events(ids) if row.subject in wanted] if ids else []
