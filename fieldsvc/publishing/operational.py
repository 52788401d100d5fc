"""Operational events: what the account of an endpoint is told about it, as events of its own and by mail to its persons.

The record is the message. Lanes, endpoints and dead letters say what happened, `told` what the account knows of it; the difference
is told, and marked afterwards. So nothing is lost with a process; told twice, the service says it once, and a mail has its own
key. More than a number an hour waits for the next one: states are then told as they are, dead letters beyond it are counted.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Vault, person_keys
from fieldsvc.logs import get_logger
from fieldsvc.publishing.entries import subject_of
from fieldsvc.publishing.outage import STEPS, Patience
from fieldsvc.store import lanes
from fieldsvc.store import notice as notices
from fieldsvc.store import told as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.told import Blocked, Letter, Letters, News
from handlers.base import evt_id
from handlers.fields import format_time

log = get_logger()
MOST_AN_HOUR, EVERY_S = 20, 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """What an account knows of an endpoint."""

    opened_at: datetime | None
    failing_since: datetime | None
    warned: int
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class Word:
    """One thing to tell: an event, perhaps a mail from a template, and what is known of the endpoint afterwards."""

    type: str
    data: Mapping[str, Any]
    known: Known
    template: str = ""


@dataclass(slots=True)
class Operational:
    """Tells accounts about their endpoints; `schedule` is how many attempts the service's own has. Several may do so at once."""

    database: Database
    vault: Vault
    commands: Commands
    schedule: int
    patience: Patience = field(default_factory=Patience)
    most_an_hour: int = MOST_AN_HOUR
    held_back: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, config: Config, type: str, **data: Any) -> None:  # noqa: A002 - the name of the field
        """Say that something happened: the job looks at once. What it tells is in the records alone."""
        del config, type, data
        self._wake.set()

    async def run(self) -> None:
        """Tell what is not told until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.sweep(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("operational.failed", error=type(error).__name__)
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
                await asyncio.sleep(EVERY_S / 10)  # what is being saved just now
            except TimeoutError:
                continue

    async def sweep(self, now: datetime) -> int:
        """Tell everything that is not told; return how many events it was."""
        said = self.held_back = 0
        for row in await store.news(self.database):
            said += await self._tell_news(row, now)
        for waiting in await store.letters(self.database):
            said += await self._tell_letters(waiting, now)
        for blocked in await store.blocked(self.database, self.schedule):
            said += await self._tell_blocked(blocked, now)
        return said

    async def say(self, endpoint: str, account: str, type: str, **data: Any) -> bool:  # noqa: A002 - as above
        """Commit one event about an endpoint; False if it is refused, which no repetition would change."""
        try:
            await self.commands.send(type, {"endpoint_id": endpoint, "account": account, **data})
        except FieldsvcError as error:
            if error.status >= 500 or error.status == 429:
                raise
            log.error("operational.refused", endpoint=endpoint, type=type, error=error.code)  # noqa: TRY400
            return False
        log.info("operational.told", endpoint=endpoint, type=type)
        return True

    async def mail(self, template: str, endpoint: str, account: str, *, url: str, words: Mapping[str, Any]) -> None:
        """Queue a mail to every person of an account, once for the same words."""
        params = {
            "endpoint": endpoint,
            "host": urlsplit(url).hostname or "",
            **{k: _shown(v) for k, v in words.items()},
        }
        about = " ".join(str(each) for each in words.values())
        for person, address in await notices.members(self.database, account):
            name = f"account/{person}"
            async with self.database.acquire() as connection:
                key = (await person_keys(connection, self.vault, [name])).of(name)
            await notices.queue(
                self.database,
                f"{template} {endpoint} {about} {person}",
                template,
                way="email",
                lang="fr",
                due_at=None,
                sealed=key.seal_blob({"to": address, "params": params}),
            )

    def left(self, hour: datetime | None, said: int, now: datetime) -> int:
        """Return how many events about an endpoint may still be told in this hour, from what was told in an `hour`."""
        left = self.most_an_hour - (said if hour == hour_of(now) else 0)
        self.held_back += left <= 0
        return max(0, left)

    async def _tell_news(self, row: News, now: datetime) -> int:
        said = 0
        for word in islice(words_of(row, self.patience), self.left(row.hour, row.said, now)):
            if word.template:
                await self.mail(word.template, row.endpoint, row.account, url=row.url, words=word.data)
            said += await self.say(row.endpoint, row.account, word.type, **word.data)
            known = word.known
            await store.mark(
                self.database,
                row.endpoint,
                opened_at=known.opened_at,
                failing_since=known.failing_since,
                warned=known.warned,
                stopped_at=known.stopped_at,
                hour=hour_of(now),
            )
        return said

    async def _tell_letters(self, waiting: Letters, now: datetime) -> int:
        """Tell dead letters one by one as far as the hour goes, of the rest the number."""
        left = self.left(waiting.hour, waiting.said, now)
        if not left:
            return 0
        singles = waiting.waiting if waiting.waiting <= left else left - 1
        letters = await store.oldest_letters(self.database, waiting, most=singles) if singles else []
        said = 0
        for letter in letters:
            said += await self.say(waiting.endpoint, waiting.account, "attempt.exhausted", **_of_letter(letter))
        more = waiting.waiting - len(letters)
        if more:
            data = {"since": format_time(waiting.newest), "more": more}
            said += await self.say(waiting.endpoint, waiting.account, "attempt.exhausted", **data)
        named = None if more else [letter.event_id for letter in letters]
        await store.mark_letters(self.database, waiting, named, hour=hour_of(now), count=len(letters) + (more > 0))
        return said

    async def _tell_blocked(self, row: Blocked, now: datetime) -> int:
        if not self.left(row.hour, row.said, now):
            return 0
        head = await lanes.event_at(self.database, row.shard, (row.day, row.pos))
        name = evt_id(head["id"], head["part"]) if head["id"] is not None else f"gone-{row.shard}-{row.day}-{row.pos}"
        letter = Letter(name, row.subject, row.since, row.reason, row.attempts)
        said = await self.say(row.endpoint, row.account, "attempt.exhausted", **_of_letter(letter))
        await store.mark_blocked(self.database, row.endpoint, row.subject, hour=hour_of(now))
        return said


def words_of(row: News, patience: Patience) -> Iterator[Word]:
    """Compare an endpoint with what its account knows of it: what is to be told, in order."""
    known = Known(row.told_opened_at, row.told_failing_since, row.told_warned, row.told_stopped_at)
    if row.opened_at != known.opened_at and known.opened_at is not None:
        since, known = known.opened_at, replace(known, opened_at=None)
        yield Word("endpoint.recovered", {"after": "open", "since": format_time(since)}, known)
    if row.opened_at != known.opened_at and row.opened_at is not None:
        known = replace(known, opened_at=row.opened_at)
        error = row.error or (f"status {row.status}" if row.status is not None else None)
        why = {"error": error} if error else {}
        yield Word("endpoint.open", {"since": format_time(row.opened_at), **why}, known)
    step = min(row.warned, STEPS[-2])
    if row.state == "active" and row.failing_since is not None and step > _told_step(row):
        known = replace(known, failing_since=row.failing_since, warned=step)
        data = {
            "percent": step,
            "failing_since": format_time(row.failing_since),
            "disabled_at": format_time(patience.ends_at(row.failing_since)),
        }
        yield Word("endpoint.degraded", data, known, "endpoint_degraded")
    if row.state == "disabled" and row.stopped_at is not None and row.stopped_at != known.stopped_at:
        known = replace(known, stopped_at=row.stopped_at)
        reason = "gone" if row.reason == "gone" else "failing"
        yield Word(
            "endpoint.disabled", {"reason": reason, "since": format_time(row.stopped_at)}, known, f"endpoint_{reason}"
        )


def hour_of(now: datetime) -> datetime:
    """Return the hour of a moment."""
    return now.replace(minute=0, second=0, microsecond=0)


def _told_step(row: News) -> int:
    return row.told_warned if row.told_failing_since == row.failing_since else 0


def _of_letter(letter: Letter) -> dict[str, Any]:
    return {
        "event_id": letter.event_id,
        "about": subject_of(letter.subject),
        "reason": letter.reason[:64],
        "attempts": letter.attempts,
        "since": format_time(letter.at),
    }


def _shown(value: Any) -> Any:
    """Write a moment for people, to the minute."""
    return f"{value[:10]} {value[11:16]} UTC" if isinstance(value, str) and value[10:11] == "T" else value
