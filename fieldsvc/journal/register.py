"""The register of processing: why anything about persons is kept, by which queries it is used, and how old it is.

Retention's catalogue is the part with limits. What is kept as long as it is in use, whatever its age, is named here, so that every
table of the schema has its purpose or is said to be about nobody; and every file of `sql/queries` names one of these purposes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from fieldsvc.journal.retention import Purpose, ages, purposes
from sql import catalogue, query

_EVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InUse:
    """Rows of one table that stay as long as they are used: what they hold, until when, and since when they count."""

    table: str
    fields: tuple[str, ...]
    limit: str
    since: str | None = None  # SQL of the table's row, where it has a moment


@dataclass(frozen=True, slots=True)
class Standing:
    """A purpose whose data do not age."""

    name: str
    basis: str
    recipients: tuple[str, ...]
    tables: tuple[InUse, ...]


STANDING = (
    Standing(
        "who is calling",
        "contract of employment, contract: only who is entitled may see or say anything",
        ("nobody outside", "the operator"),
        (
            InUse("device", ("carrier", "site", "hash of a token"), "as long as the carrier has a phone", "enrolled_at"),
            InUse("account", ("name", "e-mail, also for news of their endpoints", "site", "role"), "as long as they may sign in", "created_at"),
            InUse("api_key", ("name", "hash of a key", "day of its last use"), "30 days after it was revoked", "created_at"),
            InUse("session", ("hash of a token", "how strongly and when they proved who they are"), "a day after its end", "expires_at"),
            InUse("sign_in_code", ("digests of an address and of a code",), "a day after it was made", "made_at"),
            InUse("tried", ("keyed digest of who or what was tried", "how often"), "a day after it was made", "since"),
            InUse("sign_in_answer", ("hash of a state",), "an hour", "expires_at"),
            InUse("sign_in", ("hash of a link",), "a day after its end", "expires_at"),
            InUse("carrier_of_site", ("carrier", "qualifications"), "as long as the carrier works at the site"),
            InUse("enrolment", ("carrier", "hash of a code"), "a day after its end", "expires_at"),
        ),
    ),
    Standing(
        "who looked",
        "legal obligation: accountability; a carrier can read who looked at their work",
        ("the carrier, of looks at their work", "auditors"),
        (
            InUse("audit", ("who", "when", "what they looked at or did", "why"), "13 months, whole months at a time", "at"),
            InUse("audit_end", ("the last link of the chain",), "one row", "at"),
            InUse("audit_head", ("signed links",), "for good: digests alone", "at"),
        ),
    ),
    Standing(
        "rights of persons",
        "legal obligation: access, erasure, and proof of both",
        ("the person", "the operator"),
        (
            InUse("person_key", ("keys, wrapped",), "until the person is erased"),
            InUse("erasure", ("when somebody was erased; a digest, no name",), "as long as the store", "at"),
            InUse("legal_hold", ("reference of a file",), "as long as the store", "since"),
        ),
    ),
    Standing(
        "what people do not want",
        "consent: mails of a kind are sent until somebody says no; the no is kept so that it holds",
        ("nobody outside",),
        (InUse("unwanted_mail", ("a keyed digest of an address", "kind of mail"), "until they want it again", "at"),),
    ),
    Standing(
        "figures",
        "legitimate interest: how a service works at a site; never by carrier",
        ("supervisors and members, from five answers of three carriers on",),
        (
            InUse("report_cell", ("sums by month, service and site",), "as long as the store: nobody can be told from them"),
            InUse("report_waiting", ("a mark that tells carriers apart in one month",), "until there is company; 7 days after the month"),
            InUse("report_subject", ("what was counted of a thing",), "60 days after the last word of it", "touched_on"),
            InUse("report_month", ("a key",), "7 days after the month"),
        ),
    ),
    Standing(
        "safety of rounds",
        "legal obligation: safety of carriers; contract: windows that are in danger",
        ("supervisors of the site", "carriers whose round crosses it"),
        (
            InUse("alert", ("what somebody has to look at",), "60 days after somebody took it", "raised_at"),
            InUse("hazard", ("place and kind of a danger",), "60 days after its end", "reported_at"),
            InUse("window_threat", ("which window is in danger",), "as long as its task"),
        ),
    ),
    Standing(
        "pictures",
        "contract: proof of what was done",
        ("who may see the event that names them",),
        (InUse("media", ("re-encoded, sealed; without the place and the camera",), "as long as the event's sealed part; 7 days without one", "arrived_at"),),
    ),
    Standing(
        "tracks",
        "the operator's documented exception, off by default: FIELDSVC_KEEP_TRACKS_DAYS",
        ("the carrier", "the operator"),
        (InUse("track", ("positions on duty",), "as many days as the operator set; 0 by default", "day"),),
    ),
)  # fmt: skip
PLACES = frozenset(
    "address commune delivery_point delivery_point_cursor delivery_point_memory learned_time moved_point progress_cursor round silence_learned "
    "silent_stretch site stop stop_move run_thing".split()
)
"""Tables about addresses, rounds and things: whoever lives or works there is not named in them."""
MACHINERY = frozenset(
    "certificate cursor dead_letter desk dispatcher endpoint endpoint_secret event_id idempotency lane lane_backlog migration parked pilot "
    "replay replay_cursor replay_event report_cursor sealed shard store stream_lane timer told".split()
)
"""Tables with which the service works: ids, positions, sums, and parts that are sealed under other purposes."""
IMPERSONAL = ("places", "operation")


@dataclass(frozen=True, slots=True)
class Line:
    """One table of the register; ages are those of now."""

    purpose: str
    table: str
    fields: tuple[str, ...]
    limit: str
    oldest: datetime | None
    over: int


def register() -> tuple[Purpose | Standing, ...]:
    """List every purpose."""
    return (*purposes(), *STANDING)


def tables() -> dict[str, set[str]]:
    """Map each table to the purposes for which it is kept."""
    found: dict[str, set[str]] = {}
    for purpose in register():
        for kept in purpose.tables:
            found.setdefault(kept.table, set()).add(purpose.name)
    for name, impersonal in zip(IMPERSONAL, (PLACES, MACHINERY), strict=True):
        for table in impersonal:
            found.setdefault(table, set()).add(name)
    return found


def queries() -> dict[str, int]:
    """Count the statements of each purpose."""
    found: dict[str, int] = {}
    for entry in catalogue().values():
        found[entry.purpose] = found.get(entry.purpose, 0) + 1
    return found


async def lines(connection: asyncpg.Connection, now: datetime) -> list[Line]:
    """Tell of every table that is kept for a purpose its oldest row and how many are over the limit."""
    aged = {(each.purpose, each.table): each for each in await ages(connection, now)}
    found = [
        Line(purpose.name, kept.table, kept.fields, kept.limit, age.oldest, age.over)
        for purpose in purposes()
        for kept in purpose.tables
        if (age := aged.get((purpose.name, kept.table))) is not None
    ]
    for standing in STANDING:
        for used in standing.tables:
            oldest = await _oldest(connection, used)
            found.append(Line(standing.name, used.table, used.fields, used.limit, oldest, 0))
    return found


async def report(connection: asyncpg.Connection, now: datetime) -> dict[str, Any]:
    """Write the privacy report: each purpose with its basis, recipients, statements and tables, and what is over its limit."""
    found, counted = await lines(connection, now), queries()
    return {
        "at": now.isoformat(timespec="seconds"),
        "over_limit": sum(line.over for line in found),
        "purposes": [
            {
                "purpose": each.name,
                "basis": each.basis,
                "recipients": list(each.recipients),
                "queries": counted.get(each.name, 0),
                "tables": [_row(line) for line in found if line.purpose == each.name],
            }
            for each in register()
        ],
    }


def in_words(found: Mapping[str, Any]) -> Sequence[str]:
    """Write the report for a terminal."""
    said = [f"{found['over_limit']} rows are over their limit."]
    for each in found["purposes"]:
        said += [
            "",
            each["purpose"].upper(),
            f"  basis: {each['basis']}",
            f"  recipients: {', '.join(each['recipients'])}",
        ]
        said += [
            f"  {row['table']}: {', '.join(row['fields'])} | {row['limit']} | oldest {row['oldest'] or 'none'} | over {row['over']}"
            for row in each["tables"]
        ]
    return said


async def _oldest(connection: asyncpg.Connection, used: InUse) -> datetime | None:
    if used.since is None:
        return None
    row = await connection.fetchrow(query("retention.ages"), used.table, used.since, _EVER)
    return row["oldest"] if row is not None else None


def _row(line: Line) -> dict[str, Any]:
    oldest = line.oldest.isoformat(timespec="seconds") if line.oldest is not None else None
    return {"table": line.table, "fields": list(line.fields), "limit": line.limit, "oldest": oldest, "over": line.over}
