"""Erasing a person: what has to be kept is kept first, then every key goes with the fact that says so, then it is remembered.

What is owed to others although the person is erased: proofs of registered mail, for a year after the hand-over. Both copies are
made while they can still be read, and sealed under a key of their own, which leaves with them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.errors import FieldsvcError, NotFound
from fieldsvc.journal.commands import Commands, Refusal
from fieldsvc.journal.erasures import Erasures, said_of
from fieldsvc.journal.retention import PROOF_DAYS
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.work.proofs import Proofs
from handlers import person as persons
from handlers.story import Refused
from sql import query

log = get_logger()
EVERY_S = 1.0
OWED_FOR = timedelta(days=PROOF_DAYS)


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a person: the keys are gone; whom the tombstone goes to, and what was kept nevertheless."""

    person: str
    event: str
    told: str | None
    kept_proofs: int


class Erasing:
    """Erases persons."""

    def __init__(self, database: Database, commands: Commands, proofs: Proofs, erasures: Erasures) -> None:
        self._database = database
        self._commands = commands
        self._proofs = proofs
        self._erasures = erasures

    async def erase(self, person: str) -> Erased:
        """Erase whoever a key belongs to: `person/<account or operator>/<reference>`, or the subject of an order.

        NotFound if nothing was ever sealed for them; Refusal `on_hold` under a legal hold. It is remembered outside the
        database before this returns.
        """
        async with self._database.acquire() as connection:
            (has_key,) = await connection.fetch(query("erasure.has_key"), person)
            subjects = await connection.fetch(query("erasure.subjects"), person)
        if not has_key["ever"]:
            raise NotFound("Nothing is kept of such a person.")
        data = said_of(person, next((row["account"] for row in subjects if row["account"]), None))
        try:
            kept = await self.prepare(data)
        except Refused as refusal:
            raise Refusal(refusal.code) from None
        anew = {"anew": True} if has_key["live"] else {}
        result = await self._commands.send("person.erased", data | anew)
        await self.remember()
        return Erased(person, str(result.id), data.get("account"), kept)

    async def prepare(self, data: Mapping[str, Any]) -> int:
        """Keep what is owed before `person.erased` is said; return how many proofs. Refused `on_hold`."""
        person = persons.key_of(data)
        async with self._database.acquire() as connection:
            holds = await connection.fetch(query("legal_hold.list"))
            subjects = await connection.fetch(query("erasure.subjects"), person)
        if any(row["person"] == person for row in holds):
            raise Refused("on_hold")
        since = datetime.now(UTC) - OWED_FOR
        items = [(subject.partition("/")[2], account) for subject, account in subjects if subject.startswith("item/")]
        return sum([await self._proofs.keep_owed(item_id, account, since=since) for item_id, account in items])

    async def keep_remembering(self) -> None:
        """Every second, write down what a phone's or an operator's event erased, until cancelled."""
        while True:
            try:
                if await self.remember_new():
                    log.info("erasures.remembered")
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.error("erasures.not_remembered", error=type(error).__name__)  # noqa: TRY400 - its text names a path
            await asyncio.sleep(EVERY_S)

    async def remember_new(self) -> bool:
        """Write erasures down if the database has more of them than the file; tell whether there were any."""
        async with self._database.acquire() as connection:
            known = await connection.fetchval(query("erasure.count"))
        return known > await self._erasures.count() and await self.remember() > 0

    async def remember(self) -> int:
        """Write erasures to the file outside the database; return how many were not there yet."""
        async with self._database.acquire() as connection:
            return await self._erasures.remember(connection)
