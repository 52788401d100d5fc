"""The job that sends notices: what is due, by its way, again on a schedule, and in the quiet hours nothing that can wait.

Text messages and calls wait for the morning, and mails of a kind that people may decline; alarms and codes do not, nor do mails
that answer what somebody just asked.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import partial
from typing import Any, Protocol

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.sealed import Opener
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.notices.choices import Choices
from fieldsvc.notices.templates import BadTemplate, render, templates
from fieldsvc.notices.ways import Message, Unsent, Way, letter_to
from fieldsvc.store import notice as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.notice import Notice

log = get_logger()
SCHEDULE_S = (60, 300, 1_800, 7_200, 21_600, 86_400)  # after each attempt in vain
QUIET = time(22), time(7)  # local: from, until
RINGS = frozenset({"mobile", "voice"})
KEPT = timedelta(days=60)
WAITS_FOR_SETTINGS = timedelta(days=3)
TAKEN, HELD_S, EVERY_S, UPKEEP_S = 20, 120.0, 1.0, 3_600.0


class Sender(Protocol):
    """What a letter needs of the journal's commands."""

    async def send(self, type: str, data: Mapping[str, Any], *, handler: str | None = None) -> Any:  # noqa: A002
        """Decide and commit one command."""
        ...


class Notices:
    """Sends what is due. Several processes may do so at once."""

    def __init__(
        self,
        database: Database,
        opener: Opener,
        commands: Sender,
        *,
        ways: Mapping[str, Way],
        zone: tzinfo,
        quiet: tuple[time, time] | None = QUIET,
        choices: Choices | None = None,
        links: Callable[[str], Mapping[str, Any]] | None = None,
    ) -> None:
        """`ways` are those that the settings name: without one its notices are kept as `not_sent`, and counted.

        `quiet` are the local hours in which nothing rings; `choices` know which mails people do not want. `links` makes the words
        for a subject that a notice `follows`: a link lives from when it is sent.
        """
        self._database = database
        self._opener = opener
        self._commands = commands
        self._ways = ways
        self._zone = zone
        self._quiet = quiet
        self._choices = choices
        self._links = links
        self._counts: dict[str, int] = {}

    def watch(self, metrics: Metrics) -> None:
        """Show how many notices there are in each state."""
        for state in ("queued", "sent", "not_sent", "failed"):
            metrics.watch(f"fieldsvc_notices_{state}", f"Notices: {state}.", partial(self._counted, state))

    async def run(self) -> None:
        """Send until cancelled; at the start also what waited for settings that are there now."""
        upkeep_at = 0.0
        while True:
            count = 0
            try:
                if (clock := asyncio.get_running_loop().time()) >= upkeep_at:
                    await self.keep_up(datetime.now(UTC))
                    upkeep_at = clock + UPKEEP_S
                count = await self.send_due(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("notices.failed", error=type(error).__name__)
            if count < TAKEN:
                await asyncio.sleep(EVERY_S)

    async def keep_up(self, now: datetime) -> None:
        """Forget what is old, and queue again what lately had no way to go."""
        await store.forget_before(self._database, now - KEPT)
        await store.try_again(self._database, sorted(self._ways), now - WAITS_FOR_SETTINGS)
        await self._count()

    def _counted(self, state: str) -> float:
        return self._counts.get(state, 0)

    async def _count(self) -> None:
        self._counts.clear()
        for each in await store.counted(self._database):
            self._counts[each.state] = self._counts.get(each.state, 0) + each.count

    async def send_due(self, now: datetime) -> int:
        """Send what is due, one after the other; return how many it was."""
        due = await store.take(self._database, now, count=TAKEN, held_s=HELD_S)
        opened = await self._opener.open_blobs([each.sealed or b"" for each in due]) if due else []
        for notice, content in zip(due, opened, strict=True):
            await self._settle(notice, content, now)
        if due:
            await self._count()
        return len(due)

    async def _settle(self, notice: Notice, content: Any, now: datetime) -> None:
        waits = self._quiet_until(notice, now)
        if waits is not None:
            await store.put_off(self._database, notice, waits, reason="quiet_hours", attempts=notice.attempts - 1)
            return
        try:
            await self._send(notice, content, now)
        except Unsent as error:
            await self._unsent(notice, error, now)
        else:
            await store.sent(self._database, notice.id)
            log.info("notice.sent", type=notice.template, method=notice.way, attempt=notice.attempts)

    async def _unsent(self, notice: Notice, error: Unsent, now: datetime) -> None:
        log.warning(
            "notice.unsent", type=notice.template, method=notice.way, reason=error.reason, attempt=notice.attempts
        )
        if error.reason in ("not_configured", "no_contact", "erased", "declined"):
            await store.give_up(self._database, notice.id, state="not_sent", reason=error.reason)
        elif error.for_good or notice.attempts > len(SCHEDULE_S):
            await store.give_up(self._database, notice.id, state="failed", reason=error.reason)
        else:
            later = now + timedelta(seconds=SCHEDULE_S[notice.attempts - 1])
            await store.put_off(self._database, notice, later, reason=error.reason, attempts=notice.attempts)

    async def _send(self, notice: Notice, content: Any, now: datetime) -> None:
        if content is None:
            raise Unsent("erased", for_good=True)
        if notice.way == "none":
            raise Unsent("no_contact", for_good=True)
        way = self._ways.get(notice.way)
        if way is None:
            raise Unsent("not_configured", for_good=True)
        try:
            words = render(notice.template, notice.lang, self._words(content["params"]))
        except BadTemplate as error:
            raise Unsent(str(error), for_good=True) from None
        message = Message(str(notice.id), content["to"], notice.lang, words, await self._decline(notice, content["to"]))
        if notice.way == "postal":
            await self._give_to_carrier(notice, letter_to(message.to), now)
        await way.send(message)

    def _words(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        subject = params.get("follows")
        return {**params, **self._links(str(subject))} if subject and self._links else params

    async def _give_to_carrier(self, notice: Notice, to: Mapping[str, Any], now: datetime) -> None:
        """Plan the letter on the round of the next working day; asked again, it is the same task."""
        name = hashlib.sha256(notice.key.encode()).hexdigest()
        where = {name: to[name] for name in ("delivery_point_id", "address", "addressee") if to.get(name)}
        if "delivery_point_id" in where:
            where["delivery_point"] = where.pop("delivery_point_id")
            where.pop("address", None)
        on = now.astimezone(self._zone).date() + timedelta(days=1)
        on += timedelta(days=on.weekday() == 6)
        order = {"task_id": f"tsk_{name[:32]}", "service": "letter_code", "subject": f"letter/L-{name[:12].upper()}"}
        try:
            await self._commands.send("task.planned", {**order, "on": on.isoformat(), **where}, handler="letter_code")
        except FieldsvcError as error:
            raise Unsent(f"letter_{error.code}", for_good=400 <= error.status < 500 and error.status != 429) from None

    async def _decline(self, notice: Notice, to: Any) -> str | None:
        """Return where mails of this kind are declined, if they can be; Unsent where they were."""
        kind = _kind(notice)
        if self._choices is None or notice.way != "email" or not kind or not isinstance(to, str):
            return None
        if await self._choices.declined(to, kind):
            raise Unsent("declined", for_good=True)
        return self._choices.link(to, kind)

    def _quiet_until(self, notice: Notice, now: datetime) -> datetime | None:
        """Return when a notice may go; None if it may go now, or is urgent."""
        known = templates().get(notice.template)
        waits = notice.way in RINGS or (notice.way == "email" and bool(_kind(notice)))
        if self._quiet is None or not waits or (known is not None and known.urgent):
            return None
        start, end = self._quiet
        local = now.astimezone(self._zone)
        at = local.time()
        is_quiet = start <= at < end if start < end else at >= start or at < end
        if not is_quiet:
            return None
        day = local.date() + timedelta(days=at >= end)
        return datetime.combine(day, end, self._zone).astimezone(UTC)


def _kind(notice: Notice) -> str:
    known = templates().get(notice.template)
    return known.kind if known is not None else ""
