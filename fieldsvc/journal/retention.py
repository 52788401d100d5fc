"""How long everything is kept, and why: one catalogue of purposes, from which old rows leave, and which the privacy report reads.

What grows with the events leaves by dropping partitions: days of the journal, months of what is sealed and of receipts. The rest
is deleted row by row, some thousand at a time. A limit is the most that a row is kept, and after each run nothing is over it:
days are counted back from today, months are those of the calendar, the one that runs among them. Purposes that a job of their
own keeps short are named here too, with that job's limit. A purpose under a legal hold stands still, and says so.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import asyncpg

from fieldsvc.logs import get_logger
from sql import query

log = get_logger()
CHUNK, LOCK_TIMEOUT = 5_000, "2s"
PATIENCE_S = 3_600.0  # to look through millions of rows for what is too old takes longer than a request may
WARNED_BEFORE = timedelta(days=7)
PROOF_DAYS = 365
HEALTH_SERVICES = ("home_visit", "medication")
_OF_HEALTH = "('" + "', '".join(HEALTH_SERVICES) + "')"
_TOUCHED = "(select head.touched_on from subject_head as head where head.subject = state.subject)"
_REPLACED = (
    "case when exists (select from notebook as newer where newer.delivery_point_id = notebook.delivery_point_id"
    " and newer.kind = notebook.kind and newer.by_regular = notebook.by_regular and newer.written_at > notebook.written_at)"
    " then notebook.written_at end"
)


class How(StrEnum):
    """How rows of a table leave."""

    DAYS = "by dropping days"
    MONTHS = "by dropping months"
    ROWS = "row by row"
    OWN_JOB = "by a job of its own"


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of one table that are kept for a purpose: what they hold, since when they count, and for how long."""

    table: str
    fields: tuple[str, ...]
    since: str  # SQL of the table's row: a time or a day; null for what this does not concern
    days: int = 0
    months: int = 0
    how: How = How.ROWS

    @property
    def limit(self) -> str:
        """The limit in words."""
        return f"{self.months} calendar months" if self.months else f"{self.days} day{'s' if self.days != 1 else ''}"

    def oldest(self, today: date) -> date:
        """Return the first day that is still kept."""
        if not self.months:
            return today - timedelta(days=self.days)
        months = today.year * 12 + today.month - 1 - (self.months - 1)
        return date(months // 12, months % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why something is kept: on what basis, of which tables, for whom."""

    name: str
    basis: str
    recipients: tuple[str, ...]
    tables: tuple[Kept, ...]

    @property
    def can_be_held(self) -> bool:
        """Whether a legal hold stops it: not what a job of its own keeps short."""
        return all(each.how is not How.OWN_JOB for each in self.tables)


@dataclass(frozen=True, slots=True)
class Age:
    """How old the rows of one table are."""

    purpose: str
    table: str
    limit: str
    oldest: datetime | None
    over: int


_JOURNAL = Purpose(
    "journal",
    "contract: what was done for an order, and proof of it for claims of one year",
    ("the account whose order it is", "the operator"),
    (
        Kept("event", ("public and operational fields of every event",), "day", months=13, how=How.DAYS),
        Kept("receipt", ("ids and digests of what a phone sent",), "at", months=13, how=How.MONTHS),
        Kept("subject_head", ("how many events a thing had, and whose it is",), "touched_on", months=25),
    ),
)
_ORDERS = Purpose(
    "orders",
    "contract: to do what was ordered, and to answer for it for one year",
    ("the account whose order it is", "the carrier of the day, on the sheet", "the operator"),
    (
        Kept("sealed_personal", ("personal fields of events",), "month", months=13, how=How.MONTHS),
        Kept("state", ("the story of each thing",), f"case when state.handler not in {_OF_HEALTH} then {_TOUCHED} end", months=13),
        Kept("task", ("address", "addressee", "contacts", "mandates", "notes", "details"),
             f"case when task.service not in {_OF_HEALTH} then task.day end", months=13),
        Kept("address_report", ("old and new address", "addressee", "note"), "reported_at", months=13),
        Kept("case_file", ("what was said and answered",), "closed_at", months=13),
        Kept("access_case", ("note",), "decided_at", months=13),
        Kept("notebook", ("notes of a delivery point with door codes, as long as no newer one replaces them",), _REPLACED, months=13),
        Kept("household", ("names, door code and standing instructions of a household, since it last confirmed them",), "touched_at", months=13),
        Kept("idea", ("text", "answer"), "decided_at", months=13),
        Kept("notice_code", ("digests of the codes of paper notices",), "left_at", days=60),
        Kept("quarantine", ("what could not be taken, as it was sent, once it is settled",), "settled_at", days=30),
    ),
)  # fmt: skip
_HEALTH = Purpose(
    "visits and medicines",
    "contract and explicit consent: care at home; kept 90 days so that the visited person can read it",
    ("the account whose order it is, with scope health", "the carrier at the door"),
    (
        Kept("sealed_health", ("answers, needs, notes of visits; who received a pouch",), "month", days=90),
        Kept("state", ("the story of each visit and pouch",), f"case when state.handler in {_OF_HEALTH} then {_TOUCHED} end", days=90),
        Kept("task", ("address", "addressee", "contacts", "form", "notes"), f"case when task.service in {_OF_HEALTH} then task.day end", days=90),
        Kept("visit_relative", ("who may follow which visit, by a digest",), "day", days=90),
        Kept("media_want", ("which picture belongs to which visit",), "case when purpose <> 'personal' then wanted_at end", days=90),
    ),
)  # fmt: skip
_CODES = Purpose(
    "codes and door codes",
    "contract: to check who asks for a change, and to get in",
    ("nobody outside",),
    (Kept("sealed_secret", ("codes of letters, door codes",), "month", days=90),),
)
_PROOFS = Purpose(
    "proofs of registered mail",
    "legal obligation: order of 7 February 2007; owed for one year, also of a person who was erased",
    ("the sender", "the operator"),
    (Kept("kept_proof", ("who accepted", "identity shown", "signatures"), "handed_over_at", days=PROOF_DAYS),),
)
_UNSETTLED = Purpose(
    "what could not be taken",
    "contract: nothing that a phone sent is lost before somebody looked at it",
    ("the operator",),
    (Kept("quarantine", ("what could not be taken, as it was sent, until somebody settles it",), "at", months=13),),
)
_ROUNDS = Purpose(
    "rounds",
    "legitimate interest: where a round is, for its windows and its carrier's safety; 61 days at most",
    ("supervisors of the site",),
    (
        Kept("progress", ("metres along the planned line, without a place",), "day", days=60, how=How.OWN_JOB),
        Kept("run_state", ("the newest of it",), "day", days=60, how=How.OWN_JOB),
        Kept("alarm", ("which calls for help are open; the place is sealed in the journal",), "raised_at", days=61, how=How.OWN_JOB),
        Kept("instruction", ("what a supervisor told a carrier",), "given_at", days=60),
    ),
)  # fmt: skip
_NOTICES = Purpose(
    "notices",
    "contract: to tell persons what happens to their mail; address and words are forgotten when it is sent",
    ("the mail server or gateway of the operator",),
    (Kept("notice", ("address", "words"), "settled_at", days=61, how=How.OWN_JOB),),
)
_CHANGES = Purpose(
    "delivery changes",
    "contract, and against fraud: a year of earlier requests counts when the next one is judged",
    ("who asked", "the operator"),
    (
        Kept("request", ("what was asked, by whom, new address",), "closed_at", days=401, how=How.OWN_JOB),
        Kept("contact", ("ways to reach people of an address, once proved",), "replaced_at", days=401, how=How.OWN_JOB),
    ),
)
_CUSTOMERS = Purpose(
    "accounts of customers",
    "contract: who asks for something again is known again; forgotten at their word, or two years after they came last",
    ("nobody outside",),
    (Kept("customer", ("e-mail", "digests of it and of the provider's name for them"), "seen_on", months=25),),
)
_PLANNING = Purpose(
    "planning of work",
    "contract of employment: who walks which round on which day, and who stands in",
    ("the carrier", "supervisors of the site", "the operator"),
    (
        Kept("run", ("whose round it was on a day, and its state",), "day", months=13),
        Kept("roster", ("who was planned for it",), "day", months=13),
        Kept("absence", ("who is away on a day: sick, leave, training, other",), "day", days=36, how=How.OWN_JOB),
        Kept("cover_proposal", ("who could stand in, and how long it would take",), "day", days=1),
        Kept("sheet_shown", ("which version of a sheet a phone showed",), "day", days=3, how=How.OWN_JOB),
    ),
)
_DELIVERIES = Purpose(
    "answers of receivers",
    "legitimate interest: to find out why a webhook failed",
    ("the account whose endpoint it is",),
    (Kept("attempt", ("the first 4 kB of an answer",), "day", days=31, how=How.OWN_JOB),),
)


def purposes() -> tuple[Purpose, ...]:
    """List every purpose for which something about persons is kept."""
    return (
        _JOURNAL,
        _ORDERS,
        _HEALTH,
        _CODES,
        _PROOFS,
        _UNSETTLED,
        _ROUNDS,
        _PLANNING,
        _NOTICES,
        _CHANGES,
        _CUSTOMERS,
        _DELIVERIES,
    )


async def ages(connection: asyncpg.Connection, now: datetime) -> list[Age]:
    """Tell, purpose by purpose, the oldest row of each table and how many are over the limit."""
    today = now.astimezone(UTC).date()
    found = []
    for purpose in purposes():
        for kept in purpose.tables:
            if await _is_there(connection, kept.table):
                before = _midnight(kept.oldest(today))
                (row,) = await connection.fetch(query("retention.ages"), kept.table, kept.since, before)
                found.append(Age(purpose.name, kept.table, kept.limit, row["oldest"], row["over"]))
    return found


async def apply(connection: asyncpg.Connection, now: datetime) -> dict[str, int]:
    """Let go of everything that is over its limit and under no hold; return how many partitions and rows of each table left."""
    usual = await connection.fetchval("show statement_timeout")
    await _limit(connection, f"{PATIENCE_S:.0f}s")
    try:
        return await _apply(connection, now.astimezone(UTC).date())
    finally:
        if not connection.is_closed():
            await _limit(connection, usual)


async def _limit(connection: asyncpg.Connection, statement_timeout: str) -> None:
    await connection.execute("select set_config('statement_timeout', $1, false)", statement_timeout)


async def _apply(connection: asyncpg.Connection, today: date) -> dict[str, int]:
    await _announce(connection, first_day_kept(today + WARNED_BEFORE))
    held = await _held(connection)
    gone: dict[str, int] = {}
    for purpose in purposes():
        if purpose.name in held:
            log.info("retention.held", reason=purpose.name)
            continue
        for kept in purpose.tables:
            if kept.how is not How.OWN_JOB and await _is_there(connection, kept.table):
                gone[kept.table] = gone.get(kept.table, 0) + await _let_go(connection, kept, kept.oldest(today))
    await connection.execute(query("kept_proof.keys_over"), timeout=PATIENCE_S)
    return {table: count for table, count in gone.items() if count}


def first_day_kept(today: date) -> date:
    """Return the first day of events that is kept today."""
    return _JOURNAL.tables[0].oldest(today)


async def events_held(connection: asyncpg.Connection) -> bool:
    """Tell whether a legal hold keeps every event."""
    return _JOURNAL.name in await _held(connection)


async def _let_go(connection: asyncpg.Connection, kept: Kept, oldest: date) -> int:
    if kept.how is not How.ROWS:
        return await _drop(connection, kept.table, oldest, days=kept.how is How.DAYS)
    gone = 0
    while True:
        given = kept.table, kept.since, _midnight(oldest), CHUNK
        count: int = await connection.fetchval(query("retention.forget"), *given, timeout=PATIENCE_S)
        gone += count
        if count < CHUNK:
            break
    if kept.table in ("sealed_health", "sealed_secret"):  # what is left of their months is empty
        gone += await _drop(connection, kept.table, oldest, days=False)
    return gone


async def _drop(connection: asyncpg.Connection, table: str, oldest: date, *, days: bool) -> int:
    """Drop partitions; a reader or writer that holds the table for long is not disturbed: the next run drops them."""
    name = "retention.drop_days" if days else "retention.drop_months"
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            return int(await connection.fetchval(query(name), table, oldest))
    except asyncpg.LockNotAvailableError:
        log.warning("retention.waits", table=table)
        return 0


async def _announce(connection: asyncpg.Connection, before: date) -> None:
    """Warn of endpoints that have not read what is dropped within a week."""
    for row in await connection.fetch(query("retention.near_cursors"), before, timeout=PATIENCE_S):
        log.warning("retention.near_cursor", endpoint=row["endpoint"], day=row["day"].isoformat())


async def _held(connection: asyncpg.Connection) -> set[str]:
    return {row["purpose"] for row in await connection.fetch(query("legal_hold.list"))}


async def _is_there(connection: asyncpg.Connection, table: str) -> bool:
    return bool(await connection.fetchval("select to_regclass($1) is not null", table))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def find(name: str) -> Purpose | None:
    """Find a purpose by its name."""
    return next((each for each in purposes() if each.name == name), None)
