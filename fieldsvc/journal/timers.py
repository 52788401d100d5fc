"""Durable timers: when one is due it becomes a command that carries the timer's own id, and is deleted in its commit."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.hearing import Hearing
from fieldsvc.journal.submission import Incoming, Submission
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS, Database
from handlers.fields import Payload, format_time, parse_time
from handlers.story import UNSAID, Actor
from sql import query

log = get_logger()
CHUNK, LONGEST_WAIT_S = 200, 1.0


class Timers:
    """Fires what is due. Several processes may do so at once: a second firing is a duplicate."""

    def __init__(self, database: Database, commands: Commands, hearing: Hearing | None = None) -> None:
        self._database = database
        self._commands = commands
        self._hearing = hearing or Hearing()

    async def run(self) -> None:
        """Fire timers until cancelled; what rings for want of a word from a phone waits until phones had the time to speak."""
        while True:
            fired = 0
            with contextlib.suppress(FieldsvcError, *DATABASE_ERRORS, asyncpg.InternalClientError):
                waiting = () if self._hearing.is_settled else sorted(UNSAID)
                fired = await self.fire(datetime.now(UTC), waiting)
                self._hearing.note()
            if fired < CHUNK:
                await asyncio.sleep(LONGEST_WAIT_S)

    async def fire(self, now: datetime, waiting: Sequence[str] = ()) -> int:
        """Fire what is due at `now`, in order, but the kinds that are `waiting`; return how many."""
        async with self._database.acquire() as connection:
            due = await connection.fetch(query("timer.due"), now, CHUNK, list(waiting))
        if due:
            await self._commands.writer.submit(Submission([_command(self._commands, row) for row in due]))
        return len(due)


def _command(commands: Commands, row: asyncpg.Record) -> Incoming:
    """Make the command of a due timer; `raw` is what quarantine would keep of it."""
    said = {
        "timer": str(row["id"]),
        "handler": row["handler"],
        "kind": row["kind"],
        "subject": row["subject"],
        "due_at": format_time(row["due_at"]),
        "payload": orjson.loads(row["payload"]),
    }
    return command_of(commands, said)


def command_of(commands: Commands, said: Mapping[str, Any]) -> Incoming:
    """Make a timer's command from what is kept of it: others ring, `command` timers carry an event.

    Such a payload is `{type, data}`, and where it matters the site, who says it (`by`), and where it was (`located`).
    """
    payload = said["payload"]
    is_command = said["kind"] == "command"
    name = payload["type"] if is_command else f"timer.{said['kind']}"
    built = commands.build(
        commands.registry.handlers[said["handler"]],
        commands.registry.by_type[name][1].payload if is_command else Payload,
        name,
        payload["data"] if is_command else payload,
        actor=Actor(payload.get("by", "server") if is_command else "server"),
        site=payload.get("site") if is_command else None,
        subjects=(said["subject"],),
        occurred_at=parse_time(said["due_at"]),
        timer=UUID(said["timer"]),
        raw=orjson.dumps(dict(said)),
    )
    return replace(built, located=payload.get("located")) if is_command else built
