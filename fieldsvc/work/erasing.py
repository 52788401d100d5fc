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
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.store import audit
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.work.proofs import Proofs
from handlers import person as persons
from handlers.story import Actor, Refused
from sql import query

log = get_logger()
EVERY_S = 1.0
OWED_FOR = timedelta(days=PROOF_DAYS)
COMMAND_LINE = Actor("operator", entered_by="operator (command line)")


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a person: the keys are gone; whom the tombstone goes to, and what was kept nevertheless.

    `places` are the doors of their orders under whose own keys something lies: redirections, contacts, address reports.
    """

    person: str
    event: str
    told: str | None
    kept_proofs: int
    places: tuple[str, ...] = ()


class Erasing:
    """Erases persons."""

    def __init__(
        self, database: Database, vault: Vault, commands: Commands, *, proofs: Proofs, erasures: Erasures
    ) -> None:
        self._database = database
        self._vault = vault
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
            places = await connection.fetch(query("erasure.places"), person)
        if not has_key["ever"]:
            raise NotFound("Nothing is kept of such a person.")
        data = said_of(person, next((row["account"] for row in subjects if row["account"]), None))
        try:
            kept = await self.prepare(data, actor=COMMAND_LINE, site=None)
        except Refused as refusal:
            raise Refusal(refusal.code) from None
        anew = {"anew": True} if has_key["live"] else {}
        result = await self._commands.send("person.erased", data | anew)
        await self.remember()
        return Erased(person, str(result.id), data.get("account"), kept, tuple(row["place"] for row in places))

    async def prepare(self, data: Mapping[str, Any], *, actor: Actor, site: str | None) -> int:
        """Keep what is owed before `person.erased` is said, and note who says it; return how many proofs.

        Refused `on_hold`, and `not_allowed` for whoever belongs to one site, or says what the server alone says.
        """
        if site is not None:
            raise Refused("not_allowed")
        persons.refuse_unless_own(data, actor)
        person = persons.key_of(data)
        async with self._database.acquire() as connection:
            holds = await connection.fetch(query("legal_hold.list"))
            subjects = await connection.fetch(query("erasure.subjects"), person)
        if any(row["person"] == person for row in holds):
            raise Refused("on_hold")
        since = datetime.now(UTC) - OWED_FOR
        items = [(subject.partition("/")[2], account) for subject, account in subjects if subject.startswith("item/")]
        kept = sum([await self._proofs.keep_owed(item_id, account, since=since) for item_id, account in items])
        digest = self._vault.person_digest(person).hex()  # the log cannot forget: it never has the reference itself
        who = (actor.entered_by or actor.kind, actor.kind)
        await audit.note(self._database, (*who, "person.erased", f"person/{digest}", None, None, None))
        return kept

    async def keep_remembering(self) -> None:
        """Every second, write down what a phone's or an operator's event erased, until cancelled."""
        while True:
            try:
                await self.remember_new()
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
