"""The log of attempts: appended in batches, kept by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from fieldsvc.store.database import Database, Seen
from sql import query

DAYS_AHEAD, DAYS_KEPT = 8, 30
_COLUMNS = (
    "day", "endpoint", "event_id", "n", "at", "status", "ms", "error", "body_4k", "subject", "replay", "event_ids", "repeats",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to an endpoint; `n` counts from 1, and is 0 for a probe and for a test.

    `event_ids` are those of a batch, whose own id is `event_id`; `replay` is the side replay that it belonged to. `repeats` says
    for how many equal failures in a row the record stands. `body` is None where the answer is not kept, as it may repeat what was
    sealed.
    """

    endpoint: str
    event_id: str
    n: int
    at: datetime
    status: int | None
    ms: int
    error: str | None
    body: bytes | None
    subject: str | None = None
    replay: str | None = None
    event_ids: Sequence[str] = ()
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Logged:
    """An attempt as it is listed; `events` says how many were in it, `event_ids` which ones if it was a batch."""

    event_id: str
    n: int
    at: datetime
    status: int | None
    ms: int
    error: str | None
    body: bytes | None
    subject: str | None
    replay: str | None
    events: int
    repeats: int
    event_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which attempts: `status` a range of statuses, `failed` those that nobody acknowledged, `before` the place in the list."""

    since: datetime
    before: tuple[datetime, str, int]
    status: tuple[int, int] | None = None
    failed: bool = False
    event_id: str | None = None
    subject: str | None = None
    replay: str | None = None

    @property
    def query(self) -> str:
        """The query whose index finds the fewest."""
        if self.event_id is not None:
            return "attempt.of_event"
        if self.subject is not None:
            return "attempt.of_subject"
        if self.replay is not None:
            return "attempt.of_replay"
        return "attempt.failed" if self.failed else "attempt.page"


async def add(database: Database, attempts: Sequence[Attempt]) -> None:
    """Append attempts."""
    rows = [
        (
            a.at.astimezone(UTC).date(), a.endpoint, a.event_id, a.n, a.at, a.status, a.ms, a.error, a.body, a.subject,
            a.replay, a.event_ids or None, a.repeats,
        )
        for a in attempts
    ]  # fmt: skip
    async with database.acquire() as connection:
        await connection.copy_records_to_table("attempt", records=rows, columns=_COLUMNS)


async def page(seen: Seen, endpoint: str, search: Search, *, limit: int) -> list[Logged]:
    """List attempts, newest first."""
    lowest, highest = search.status or (None, None)
    async with seen.acquire() as connection:
        rows = await connection.fetch(
            query(search.query), endpoint, search.since, *search.before, limit, lowest, highest, search.failed,
            search.event_id, search.subject, search.replay,
        )  # fmt: skip
    return [Logged(*row) for row in rows]


async def last_success(seen: Seen, endpoint: str) -> datetime | None:
    """Tell when an endpoint last took something; None if none of its newest thousand attempts was taken."""
    async with seen.acquire() as connection:
        found: datetime | None = await connection.fetchval(query("attempt.last_success"), endpoint)
    return found


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the newest requests since a moment were taken, of how many."""

    taken: int
    sent: int


async def share(seen: Seen, endpoint: str, since: datetime) -> Share:
    """Count the newest ten thousand requests to an endpoint since a moment; equal failures count each."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("attempt.share"), endpoint, since)
    return Share(row["taken"], row["sent"]) if row else Share(0, 0)


async def keep_days(database: Database, today: date) -> None:
    """Make the partitions of the next days and drop those that are no longer kept."""
    async with database.acquire() as connection:
        await connection.execute(query("attempt.make_days"), today - timedelta(days=1), DAYS_AHEAD + 1)
        await connection.execute(query("attempt.drop_days"), today - timedelta(days=DAYS_KEPT))
