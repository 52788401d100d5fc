"""Two of everything that outsiders read, one in the north and one in the south, and every query that reads it for them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.store.viewer import EVERY_SITE, Viewer
from sql import query

SIDES = ("north", "south")
TODAY = datetime.now(UTC).date()
LATE, EARLY = datetime(2100, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
EVENTS = {"north": UUID(int=1), "south": UUID(int=2)}

# $1 is the side; its names all have it in them, so that a foreign row is told by its text.
_WORLD = """
insert into site (id, created_at, starts_at) values ($1, now(), '08:00');
insert into round (id, site, mode, line, source, digest, changed_at) values ('round-' || $1, $1, 'foot', '{}', 'file', '', now());
insert into stop (round_id, stop_id, sequence, delivery_point_id, lat, lon, address)
  values ('round-' || $1, 'stop-' || $1, 1, 'point-' || $1, 48, 2, $1 || ' street');
insert into delivery_point (id, address, lat, lon) values ('point-' || $1, $1 || ' street', 48, 2);
insert into run (id, day, round_id, site, carrier) values ('run-{today}-round-' || $1, '{today}', 'round-' || $1, $1, 'carrier-' || $1);
insert into task (id, service, subject, account, day, delivery_point, round_id, requirements, sealed, event)
  select 'task-' || whose || '-' || $1, 'item', 'item/' || whose || '-' || $1, case whose when 'own' then 'acc-' || $1 end, '{today}',
    'point-' || $1, 'round-' || $1, '{}', $1::bytea, gen_random_uuid() from unnest(array['own', 'office']) as whose;
insert into roster (day, round_id, carrier) values ('{today}', 'round-' || $1, 'carrier-' || $1);
insert into absence (day, site, carrier, kind) values ('{today}', $1, 'away-' || $1, 'leave');
insert into carrier_of_site (site, carrier) values ($1, 'carrier-' || $1);
insert into device (id, carrier, site, token_sha256, enrolled_at) values ('dev-' || $1, 'carrier-' || $1, $1, $1::bytea, now());
insert into account (id, kind, name, created_at) values ('acc-' || $1, 'subscriber', $1, now()), ('boss-' || $1, 'supervisor', $1, now());
insert into endpoint (id, account, url, types, created_at) values ('ep_' || md5($1), 'acc-' || $1, 'https://' || $1 || '.example', '{}', now());
insert into lane (endpoint, leased_until) values ('ep_' || md5($1), now());
insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)
  values ('ep_' || md5($1), 'item/own-' || $1, 0, '{today}', 1, 1, now(), $1, now());
insert into dead_letter (endpoint, event_id, subject, shard, day, pos, at, reason, attempts)
  values ('ep_' || md5($1), 'evt-' || $1, 'item/own-' || $1, 0, '{today}', 1, now(), $1, 1);
insert into replay (id, endpoint, mode, state, created_at, leased_until)
  values ('rpl_' || $1, 'ep_' || md5($1), 'side', 'running', now(), now());
insert into attempt (day, endpoint, event_id, n, at, ms, body_4k, subject, replay, event_ids)
  values ('{today}', 'ep_' || md5($1), 'evt-' || $1, 1, now(), 1, $1::bytea, 'item/both', 'rp-both', array['evt-both', 'evt-' || $1]);
insert into attempt (day, endpoint, event_id, n, at, ms, body_4k, subject, replay)
  select '{today}', 'ep_' || md5($1), 'evt-both', n, now(), 1, $1::bytea, 'item/both', 'rp-both' from unnest(array[1, 2]) as n;
insert into event (day, shard, pos, id, part, kind, type, subject, account, site, occurred_at, received_at, public, sealed_sha256, chain)
  select '{today}', 0, nextval('seen_pos'), $2::uuid, part, case part when 0 then 'public' else 'field' end, 'item.delivered',
    'item/own-' || $1, 'acc-' || $1, $1, now(), now(), $1::bytea, '{}', '' from unnest(array[0, -1]) as part;
insert into subject_head (subject, seq, account, touched_on) values ('item/own-' || $1, 1, 'acc-' || $1, '{today}');
insert into alarm (id, kind, run, site, carrier, stop_id, event, raised_at, acknowledged_at, acknowledged_by, changed_at)
  values ('alarm-' || $1, 'help', 'run-{today}-round-' || $1, $1, 'carrier-' || $1, 'stop-' || $1, $2::uuid, now(), now(), 'boss-' || $1, now());
insert into alert (id, type, level, service, subject, discreet, site, event, raised_at, changed_at)
  values ('alert-' || $1, 'late', 'high', 'item', 'item/own-' || $1, false, $1, $2::uuid, now(), now());
insert into address_report (id, delivery_point_id, reported_at, state, change, confidence, sealed)
  values ($2::uuid, 'point-' || $1, now(), 'review', 'moved', 'seen', $1::bytea);
insert into case_file (id, kind, subject, site, state, opened_at, sealed)
  values ('case-' || $1, 'dispute', 'item/own-' || $1, $1, 'open', now(), $1::bytea);
insert into access_case (delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, sealed)
  values ('point-' || $1, $1, 'open', now(), now(), 'dog', $1, $1::bytea);
insert into hazard (id, kind, state, site, lat, lon, radius_m, area, until, reported_at, sealed)
  values ('hazard-' || $1, 'dog', 'reported', $1, 48, 2, 9, box '((0,0),(1,1))', now(), now(), $1::bytea);
insert into idea (id, site, status, votes, submitted_at, sealed) values ('idea-' || $1, $1, 'open', 0, now(), $1::bytea);
insert into request (id, subject, kind, state, step, identity, high_risk, risk_reasons, asked_at, state_at, on_sheet, steps, sealed)
  values ('request-' || $1, case $1 when 'north' then 'item/own-north' else 'delivery_point/point-south' end, 'hold', 'requested', 'asked',
    'none', false, '{}', now(), now(), false, '{}', $1::bytea);
insert into report_cell (month, service, site, account, kpi, numerator, denominator, strength)
  select date_trunc('month', date '{today}'), 'item', $1, account, 'kpi', 1, 1, 9 from unnest(array['', 'acc-' || $1]) as account;
"""

VIEWERS: Mapping[str, Callable[[str], Viewer]] = {
    "subscriber": lambda side: Viewer("subscriber", f"acc-{side}"),
    "member": lambda side: Viewer("member", f"acc-{side}"),
    "carrier": lambda side: Viewer("carrier", site=side, carrier=f"carrier-{side}"),
    "customer": lambda side: Viewer("customer", reference=f"request-{side}"),
    "door": lambda side: Viewer("carrier", site=side),
    **{
        role: (lambda side, role=role: Viewer(role, site=side))
        for role in ("supervisor", "adviser", "counter", "address_quality")
    },
    "operator": lambda side: Viewer("operator", site=side),
    "everywhere": lambda _side: Viewer("operator", site=EVERY_SITE),
}


ATTEMPTS = ("page", "failed", "of_subject", "of_replay")


def endpoint(side: str) -> str:
    """The id of a side's endpoint."""
    return f"ep_{hashlib.md5(side.encode(), usedforsecurity=False).hexdigest()}"


def attempts_of(side: str, event_id: str | None = None) -> list[Any]:
    """What lists of attempts are asked with: both sides' subject, replay and batch, so that the endpoint alone tells them apart."""
    return [endpoint(side), EARLY, LATE, "", 0, 9, None, None, False, event_id, "item/both", "rp-both"]


@dataclass(frozen=True)
class Read:
    """A query that outsiders ask, as whom, with what, and its condition that says whose rows it is about."""

    name: str
    viewers: Sequence[str]
    condition: str
    args: Callable[[str], Sequence[Any]]

    @property
    def text(self) -> str:
        return query(self.name)

    def mutant(self, side: str) -> str:
        """The query without that condition; its arguments are still there, so that it takes the same ones."""
        assert self.text.count(self.condition) == 1, (
            f"{self.name} has not the condition {self.condition}: say which it has now"
        )
        kept = [
            f"coalesce(${number}::{_type(value)}::text, '') is not null"
            for number, value in enumerate(self.args(side), start=1)
            if f"${number}" in self.condition
        ]
        return self.text.replace(self.condition, f"({' and '.join(kept)})")


def _type(value: object) -> str:
    kinds = {UUID: "uuid", date: "date", list: "text[]"}
    return kinds.get(type(value), "text")


_STAFF = ("supervisor", "operator", "adviser")
_WATCHERS = ("supervisor", "operator")
_START = (date(1, 1, 1), "")

READS = (
    Read("task.read", ("subscriber",), "task.id = $1", lambda side: [f"task-own-{side}"]),
    Read("task.read", _STAFF, "task.id = $1", lambda side: [f"task-office-{side}"]),
    Read(
        "task.page",
        ("subscriber",),
        "task.account is not distinct from $1",
        lambda side: [f"acc-{side}", None, None, None, None, date.max, "", 9],
    ),
    Read(
        "task.page",
        _STAFF,
        "task.account is not distinct from $1 and ($2::text is null or round.site = $2)",
        lambda side: [None, side, None, None, None, date.max, "", 9],
    ),
    Read("request.read", ("customer", "door", "counter", *_STAFF), "id = $1", lambda side: [f"request-{side}"]),
    Read("endpoint.page", ("subscriber",), "account = $1", lambda side: [f"acc-{side}", "", 9]),
    Read("endpoint.read", ("subscriber",), "account = $1 and id = $2", lambda side: [f"acc-{side}", endpoint(side)]),
    Read("lane.health", ("subscriber",), "lane.endpoint = $1", lambda side: [endpoint(side)]),
    *(Read(f"attempt.{name}", ("subscriber",), "endpoint = $1", attempts_of) for name in ATTEMPTS),
    Read("attempt.of_event", ("subscriber",), "endpoint = $1", lambda side: attempts_of(side, "evt-both")),
    Read("parked.page", ("subscriber",), "endpoint = $1", lambda side: [endpoint(side), "", 9]),
    Read("dead_letter.page", ("subscriber",), "endpoint = $1", lambda side: [endpoint(side), LATE, "", 9]),
    Read("replay.page", ("subscriber",), "r.endpoint = $1", lambda side: [endpoint(side), "rpl_~", 9]),
    Read("event.public_by_id", ("subscriber",), "id = $1", lambda side: [EVENTS[side], 0, TODAY]),
    Read("subject_head.load", ("subscriber",), "subject = any($1::text[])", lambda side: [[f"item/own-{side}"]]),
    Read(
        "alert.page",
        _WATCHERS,
        "$1::text is null or site = $1",
        lambda side: [side, None, None, None, None, LATE, "", 9],
    ),
    Read("alert.read", _WATCHERS, "alarm.id = $1", lambda side: [f"alarm-{side}"]),
    Read(
        "alarm.of_carrier",
        ("carrier",),
        "alarm.site = $1 and alarm.carrier = $2",
        lambda side: [side, f"carrier-{side}", 9],
    ),
    Read(
        "address_report.page",
        (*_WATCHERS, "address_quality"),
        "$1::text is null or served.site = $1",
        lambda side: [side, None, EARLY, UUID(int=0), 9],
    ),
    Read("address_report.read", (*_WATCHERS, "address_quality"), "report.id = $1", lambda side: [EVENTS[side]]),
    Read("case_file.page", _STAFF, "$1::text is null or site = $1", lambda side: [side, None, None, LATE, "", 9]),
    Read("case_file.read", _STAFF, "id = $1", lambda side: [f"case-{side}"]),
    Read("access_case.page", _WATCHERS, "$1::text is null or site = $1", lambda side: [side, True, EARLY, "", 9]),
    Read("hazard.page", _WATCHERS, "$1::text is null or site = $1", lambda side: [side, True, LATE, "", 9]),
    Read(
        "roster.page", _WATCHERS, "$1::text is null or round.site = $1", lambda side: [side, TODAY, TODAY, *_START, 9]
    ),
    Read("roster.absences", _WATCHERS, "$1::text is null or site = $1", lambda side: [side, TODAY, TODAY]),
    Read("roster.usual_start", _WATCHERS, "id = $1", lambda side: [side]),
    Read(
        "live.run",
        _WATCHERS,
        "run.id = $1 and ($2::text is null or run.site = $2)",
        lambda side: [f"run-{TODAY}-round-{side}", side],
    ),
    Read(
        "report.cells",
        ("member",),
        "account = $1",
        lambda side: [f"acc-{side}", TODAY.replace(day=1), TODAY, None, None, 9],
    ),
    Read(
        "report.cells",
        _WATCHERS,
        "account = $1 and month >= $2 and month <= $3 and ($4::text is null or site = $4)",
        lambda side: ["", TODAY.replace(day=1), TODAY, side, None, 9],
    ),
)


async def fill(connection: asyncpg.Connection) -> None:
    """Make the world, as the owner of the tables."""
    await connection.execute("create temporary sequence seen_pos")
    for side in SIDES:
        for statement in _WORLD.replace("{today}", TODAY.isoformat()).split(";\n"):
            if statement.strip():
                args = (side, EVENTS[side]) if "$2" in statement else (side,)
                await connection.execute(statement.replace("$1", "$1::text"), *args)
    await connection.execute("drop sequence seen_pos")
