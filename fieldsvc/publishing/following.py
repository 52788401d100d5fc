"""What follows from an attempt: the next event, a retry, parking, a dead letter, or a breaker that opens or closes."""

from datetime import UTC, datetime, timedelta
from functools import partial
from random import random

from fieldsvc.logs import get_logger
from fieldsvc.publishing.breaker import Breaker
from fieldsvc.publishing.entries import Entry, subject_of
from fieldsvc.publishing.progress import After, Progress
from fieldsvc.publishing.retry import next_delay_s
from fieldsvc.publishing.taking import Taking
from fieldsvc.publishing.tools import Tools, patiently
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.store.endpoints import Config

log = get_logger()
SPEAKS_FOR_ALL = (429, 503)  # what Retry-After means there, it means for the whole endpoint
OWN_SUBJECTS = "endpoint/"


class Following:
    """Decides for one endpoint what becomes of an event after an attempt."""

    def __init__(self, config: Config, breaker: Breaker, progress: Progress, *, taking: Taking, tools: Tools) -> None:
        self._config = config
        self._breaker = breaker
        self._progress = progress
        self._taking = taking
        self._tools = tools
        self._schedule = tuple(config.schedule) if config.schedule else tools.schedule

    async def succeeded(self, subject: str) -> None:
        """Leave the acknowledged head of a subject behind."""
        self.reached(subject)
        await self._go_on(subject)

    def reached(self, subject: str) -> None:
        """Note that the endpoint acknowledged something; it may be back."""
        was_open = self._breaker.succeeded(subject_of(subject), datetime.now(UTC))
        if was_open is not None:
            self._progress.shift(was_open)
            seconds = round(was_open.total_seconds())
            log.info("endpoint.recovered", endpoint=self._config.id, seconds=seconds)
            self._tools.tell(self._config, "endpoint.recovered", seconds=seconds)

    def refused(self, subject: str, outcome: Outcome) -> bool:
        """Note that an attempt failed; return whether the endpoint now counts as failing as a whole."""
        now, was_closed = datetime.now(UTC), self._breaker.is_closed
        self._breaker.failed(subject_of(subject), now, unreachable=outcome.unreachable)
        is_open = not self._breaker.is_closed
        if outcome.retry_after_s and (is_open or outcome.status in SPEAKS_FOR_ALL):
            self._breaker.hold(now + timedelta(seconds=outcome.retry_after_s))
        if was_closed and is_open:
            log.warning("endpoint.open", endpoint=self._config.id, error=outcome.error, status=outcome.status)
            self._tools.tell(self._config, "endpoint.open", error=outcome.error, status=outcome.status)
        return is_open

    async def failed(self, entry: Entry, outcome: Outcome, *, attempts: int) -> None:
        """Leave a head that a broken endpoint refused as it is; park another one, or give it up."""
        reason = outcome.error or f"status {outcome.status}"
        if outcome.final:
            self.reached(entry.subject)
            await self.give_up(entry, reason=f"{reason}, no retry wanted", attempts=attempts)
            return
        if self.refused(entry.subject, outcome):
            self._progress.put_back(entry.subject)
            return
        delay_s = self._delay_s(attempts, outcome)
        if delay_s is None:
            await self.give_up(entry, reason=reason, attempts=attempts)
            return
        if attempts == len(self._schedule):
            self._tell_exhausted(entry, reason=reason, attempts=attempts)
        now = datetime.now(UTC)
        next_at = now + timedelta(seconds=delay_s)
        self._progress.park(entry.subject, attempts=attempts, next_at=next_at, reason=reason, now=now)

    async def give_up(self, entry: Entry, *, reason: str, attempts: int) -> None:
        """Record the head of a subject as dead, and leave it behind."""
        self._progress.give_up(entry.subject, event_id=entry.evt_id, reason=reason, attempts=attempts)
        self._tell_exhausted(entry, reason=reason, attempts=attempts)
        await self._go_on(entry.subject)

    def _delay_s(self, attempts: int, outcome: Outcome) -> float | None:
        """Return how long to wait; where the subject blocks, the last step of the schedule for ever."""
        if self._config.on_exhausted == "block":
            attempts = min(attempts, len(self._schedule) - 1)
        chance = random()  # noqa: S311 - jitter
        return next_delay_s(self._schedule, attempts, chance=chance, retry_after_s=outcome.retry_after_s)

    def _tell_exhausted(self, entry: Entry, *, reason: str, attempts: int) -> None:
        endpoint, subject = self._config.id, subject_of(entry.subject)
        log.error("attempt.exhausted", endpoint=endpoint, evt_id=entry.evt_id, attempt=attempts, reason=reason)
        if not subject.startswith(OWN_SUBJECTS):  # what is said about endpoints says nothing about itself
            told = {"event": entry.evt_id, "subject": subject, "attempts": attempts, "reason": reason}
            self._tools.tell(self._config, "attempt.exhausted", **told)

    async def _go_on(self, subject: str) -> None:
        """Leave the head behind; read on in the backlog where the subject was parked."""
        after = self._progress.acknowledged(subject, datetime.now(UTC))
        while after is After.LOAD:
            after = await patiently(partial(self._taking.refill, subject))
