"""What the office does for requests, again and again: letters with codes, work moved to another day, contacts that were proved.

Each step can be done twice without harm: a process may die between two of them.
"""

import asyncio
import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener, Vault, person_keys
from fieldsvc.journal.submission import Submission
from fieldsvc.logs import get_logger
from fieldsvc.requests.codes import Codes
from fieldsvc.store import notice as notices
from fieldsvc.store import request as store
from fieldsvc.store import task as tasks
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.request import RequestRow
from fieldsvc.store.task import TaskRow
from fieldsvc.work.task_body import order_of, read_body
from fieldsvc.work.tasks import ordered
from handlers.change_states import CODE_DAYS, NAME
from handlers.fields import Payload
from handlers.story import Actor

log = get_logger()
EVERY_S, AT_ONCE, UPKEEP_S = 2.0, 50, 3_600.0
KEPT = timedelta(days=400)  # a year of earlier requests counts when the next one is judged
_REDIRECTS = ("redirect_temporary", "redirect_permanent")
_LASTING = (*_REDIRECTS, "hold")
_TAKEN = ("accepted", "on_sheet", "seen_by_carrier")
_NEW_CONTACT = timedelta(days=1)


class Office:
    """The job. Several processes may run it."""

    def __init__(self, database: Database, vault: Vault, opener: Opener, commands: Commands, *, base_url: str) -> None:
        self._database = database
        self._vault = vault
        self._codes = Codes(vault)
        self._opener = opener
        self._commands = commands
        self._base_url = base_url

    async def run(self) -> None:
        """Work until cancelled."""
        upkeep_at = 0.0
        while True:
            try:
                if (clock := asyncio.get_running_loop().time()) >= upkeep_at:
                    await store.forget_before(self._database, datetime.now(UTC) - KEPT)
                    upkeep_at = clock + UPKEEP_S
                await self.work(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("requests.failed", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def work(self, now: datetime) -> None:
        """Do everything that waits."""
        for row in await self._waiting(("code_wanted", "code_sent"), _REDIRECTS):
            if row.letters == 0:
                await self._write_letter(row, now)
        for row in await self._waiting(_TAKEN, ("other_date", "second_presentation")):
            await self._move_work(row)
        for row in await self._waiting(("active",), _LASTING):
            if row.identity in ("substantial", "counter") and row.state_at > now - _NEW_CONTACT:
                await self._keep_contact(row)

    async def _waiting(self, steps: tuple[str, ...], kinds: tuple[str, ...]) -> list[RequestRow]:
        return await store.at_step(self._database, steps, kinds, limit=AT_ONCE)

    async def _write_letter(self, row: RequestRow, now: datetime) -> None:
        """Make a code, let its digest be known, and queue the letter; without a letter yet, a code is made anew."""
        key = f"delivery_change_code {row.id}"
        if not await notices.has(self._database, key):
            code, point = self._codes.new_code(), row.subject.partition("/")[2]
            about = {"request_id": row.id, "delivery_point_id": point}
            await self._commands.send(f"{NAME}.code_sent", about | {"code_hmac": self._codes.code_digest(row.id, code)})
            words = {
                "reference": row.id,
                "code": code,
                "until": (now + timedelta(days=CODE_DAYS)).date().isoformat(),
                "stop_url": f"{self._base_url}/suivi/stop/{row.id}/{self._codes.stop_token(row.id)}",
            }
            details = await self._details(row)
            to = {"delivery_point_id": point, "addressee": ", ".join(details.get("names") or ())}
            lang = (details.get("contact") or {}).get("lang", "fr")
            sealed = await self._sealed(row.subject, {"to": to, "params": words}, row.asked_at)
            await notices.queue(
                self._database, key, "delivery_change_code", way="postal", lang=lang, due_at=None, sealed=sealed
            )
        await store.letter_written(self._database, row.id)

    async def _move_work(self, row: RequestRow) -> None:
        """Plan the item on the day that was asked for: its own task, or a further one if that is closed."""
        item = await store.item(self._database, row.subject)
        if item is None or row.from_day is None:
            return
        task = await tasks.read(self._database, item.id)
        if task is None:
            return
        if task.state == "planned" and task.day != row.from_day:
            await self._plan(task, task.id, row.from_day)
        elif task.state != "planned" and row.kind == "second_presentation":
            await self._plan(task, f"tsk_{hashlib.sha256(row.id.encode()).hexdigest()[:32]}", row.from_day)
        if row.kind == "other_date" and task.state == "planned":
            await self._tell(row, "timer.moved")

    async def _plan(self, task: TaskRow, task_id: str, on: date) -> None:
        personal = (await self._opener.open_blobs([task.sealed]))[0]
        body = ordered(task, personal if isinstance(personal, dict) else {})
        body = {name: value for name, value in body.items() if name != "window"} | {"on": on.isoformat()}
        order = order_of(task_id, task.subject, read_body(body), on=on, delivery_point=task.delivery_point)
        actor = Actor("server", account=task.account)
        await self._commands.send("task.planned", order, actor=actor, handler=task.service)

    async def _tell(self, row: RequestRow, name: str) -> None:
        commands = self._commands
        data = {"request_id": row.id}
        told = commands.build(commands.registry.handlers[NAME], Payload, name, data, subjects=(row.subject,))
        await commands.writer.submit(Submission([told]))

    async def _keep_contact(self, row: RequestRow) -> None:
        """Keep how to reach who proved to live there: whoever asks for this address next, they are warned."""
        contact = (await self._details(row)).get("contact") or {}
        ways = {name: contact[name] for name in ("email", "mobile", "voice") if contact.get(name)}
        if not ways:
            return
        digest = self._codes.contact(" ".join(ways.values()))
        sealed = await self._sealed(row.subject, {**ways, "lang": contact.get("lang", "fr")}, row.state_at)
        point = row.subject.partition("/")[2]
        await store.keep_contact(self._database, point, digest, sealed=sealed, verified_at=row.state_at)

    async def _details(self, row: RequestRow) -> dict[str, Any]:
        opened = (await self._opener.open_blobs([row.sealed]))[0]
        return dict(opened.get("details") or {}) if isinstance(opened, dict) else {}

    async def _sealed(self, person: str, value: Any, at: datetime) -> bytes:
        async with self._database.acquire() as connection:
            keys = await person_keys(connection, self._vault, [person], newest={person: at})
        return keys.of(person, at).seal_blob(value)
