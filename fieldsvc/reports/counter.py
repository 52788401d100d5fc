"""The job that counts: it follows the public events of the journal, and adds to the figures what has company.

It reads behind a cursor of its own, which moves in the transaction that counts: however often a process is stopped, and however
many count, an event counts once. What one thing adds is told from its public events that hold, so late truth and corrections
change the figures by the difference, and in any order of arrival to the same end. The name of a carrier is looked up to tell
three apart, and goes no further (see the migration `0017_reports.sql`).
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.reader import Reader, Tail, parse_evt_id
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import SHARDS
from fieldsvc.logs import get_logger
from fieldsvc.reports import kpis
from fieldsvc.reports.cells import CellKey, Step, Waiting, mark, step
from fieldsvc.reports.kpis import Told, contributions
from fieldsvc.store import report as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.report import Counting, Position, PublicRow, Subject
from handlers import sandbox
from handlers.base import evt_id
from handlers.fields import format_time

log = get_logger()
CHUNK, EVERY_S, RETRY_S, IDLE_S = 500, 2.0, 5.0, 60.0
FIRST_DAYS, FORGOTTEN = 60, timedelta(days=60)
OPEN_FOR = timedelta(days=7)  # a phone may be offline for seven days
FACTS_KEPT, KEY_BYTES = 100, 32
ABOUT = frozenset({"rating", "case"})  # their events are counted with the thing that they are about
Read = Mapping[int, tuple[Position, Sequence[PublicRow]]]


@dataclass(frozen=True, slots=True)
class Change:
    """What one thing changes in one cell, and the event whose carrier is concerned."""

    cell: CellKey
    subject: str
    source: UUID
    numerator: int
    denominator: int


class Counter:
    """Follows the journal for the figures."""

    def __init__(self, database: Database, tail: Tail, reader: Reader, *, vault: Vault, zone: tzinfo) -> None:
        """`zone` tells to which month a moment belongs."""
        self._database = database
        self._tail = tail
        self._reader = reader
        self._vault = vault
        self._zone = zone

    async def run(self) -> None:
        """Count until cancelled; what the database cannot take now is tried again."""
        while True:
            since = self._tail.version
            try:
                await self.close(datetime.now(UTC))
                await self.take()
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("reports.interrupted", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                await self._tail.wait(timeout_s=IDLE_S, since=since)
                await asyncio.sleep(EVERY_S)  # many events at once cost less than one by one

    async def close(self, now: datetime) -> None:
        """Close the months that are over for seven days, and forget the things that nobody speaks of any more."""
        last = (now.astimezone(self._zone) - OPEN_FOR).date()
        if closed := await store.close_months(self._database, last.replace(day=1)):
            log.info("reports.closed", count=closed)
        await store.forget_subjects(self._database, now.date() - FORGOTTEN)

    async def take(self) -> int:
        """Count everything that is new; return how many events were read."""
        first = datetime.now(UTC).date() - timedelta(days=FIRST_DAYS)
        await store.begin(self._database, range(SHARDS), first)
        taken = 0
        while True:
            read = await self._read()
            if not any(rows for _, rows in read.values()) or not await self._count(read):
                return taken
            taken += sum(len(rows) for _, rows in read.values())

    async def _read(self) -> dict[int, tuple[Position, list[PublicRow]]]:
        """Read the next events of every shard, with where each was read from."""
        found = {}
        for shard, position in (await store.cursors(self._database)).items():
            rows = await store.events_after(self._database, shard, position, types=kpis.TYPES, limit=CHUNK)
            found[shard] = position, rows
        return found

    async def _count(self, read: Read) -> bool:
        """Count events of all shards in one transaction; False, and nothing is changed, if another has done so."""
        said = [await self._said(row) for _, rows in read.values() for row in rows if row.public is not None]
        async with store.counting(self._database) as counting:
            if counting.cursors != {shard: position for shard, (position, _) in read.items()}:
                return False
            await counting.move({shard: (new[-1].day, new[-1].pos) for shard, (_, new) in read.items() if new})
            if said:
                await self._take_in(counting, said)
        return True

    async def _said(self, row: PublicRow) -> tuple[str, str | None, Told | None]:
        """Tell about which thing a row is, which event it replaces, and what it says; nothing for a withdrawal."""
        content = orjson.loads(row.public or b"{}")
        data, gone, about = content["public"], content.get("supersedes"), row.subject
        if row.subject.partition("/")[0] in ABOUT:
            about = data.get("about") or await self._about(gone) or row.subject
        if row.type == kpis.WITHDRAWN:
            return _thing(about, row.subject), gone, None
        kept = {name: data[name] for name in kpis.KEPT if data.get(name) is not None}
        name = evt_id(row.event_id, row.part)
        told = Told(format_time(row.occurred_at), name, row.type, row.site, row.account, kept)
        return _thing(about, row.subject), gone, told

    async def _about(self, name: str | None) -> str | None:
        """Find what an event that is replaced was about."""
        row = await self._reader.event(name) if name else None
        return orjson.loads(row.public)["public"].get("about") if row else None

    async def _take_in(self, counting: Counting, said: Sequence[tuple[str, str | None, Told | None]]) -> None:
        known = await counting.subjects({about for about, _, _ in said})
        changed: defaultdict[str, dict[str, Told]] = defaultdict(dict)
        for about, gone, told in said:
            facts = changed.get(about)
            if facts is None:
                facts = changed[about] = {row[1]: Told(*row) for row in known[about].facts} if about in known else {}
            facts.pop(gone or "", None)
            if told is not None:
                facts[told.evt] = told
        saved, changes = [], list[Change]()
        for about, facts in changed.items():
            kept = sorted(facts.values())[-FACTS_KEPT:]
            before = known[about].counted if about in known else []
            counted = self._counted(kept)
            saved.append(Subject(about, [_row(each) for each in kept], counted))
            changes += _changes(about, before, counted)
        await counting.save_subjects(saved, datetime.now(UTC).date())
        await self._let_wait(counting, changes)

    def _counted(self, facts: Iterable[Told]) -> list[list[Any]]:
        """Sum what a thing adds, by cell: [account, month, site, service, kpi, source, numerator, denominator]."""
        sums: dict[tuple[str, ...], list[Any]] = {}
        for each in contributions(facts):
            if each.source.site in (None, sandbox.SITE):
                continue
            month = datetime.fromisoformat(each.source.at).astimezone(self._zone).date().replace(day=1).isoformat()
            for account in {"", each.source.account or ""}:
                key = account, month, each.source.site, each.service, each.kpi
                row = sums.setdefault(key, [*key, "", 0, 0])
                row[5:] = [each.source.evt, row[6] + each.numerator, row[7] + each.denominator]
        return [sums[key] for key in sorted(sums)]

    async def _let_wait(self, counting: Counting, changes: Sequence[Change]) -> None:
        """Let the differences wait under the marks of their carriers, then take the steps that have company."""
        keys = await self._keys(counting, {change.cell.month for change in changes})
        changes = [change for change in changes if keys.get(change.cell.month)]
        if not changes:
            return
        carriers = await counting.carriers_of({change.source for change in changes})
        rows = []
        for each in changes:
            carrier = carriers.get(each.source)
            own = mark(keys[each.cell.month] or b"", each.cell, carrier) if carrier else None
            rows.append((*cell_key(each.cell), each.subject, own, each.numerator, each.denominator))
        await counting.wait(rows)
        await take_steps(counting, sorted({change.cell for change in changes}))

    async def _keys(self, counting: Counting, months: set[date]) -> dict[date, bytes | None]:
        """Open the keys of months, making those that are missing; None for a month that is closed."""
        known = await counting.months(months)
        for month in sorted(months - known.keys()):
            await counting.add_month(
                month, self._vault.seal_secret(os.urandom(KEY_BYTES), context=month_context(month))
            )
        known = await counting.months(months)
        return {
            name: self._vault.open_secret(month.key, context=month_context(name)) if month.key is not None else None
            for name, month in known.items()
        }


async def take_steps(counting: Counting, cells: Sequence[CellKey]) -> None:
    """Add to each cell what waits for it if it has company; make the cell in any case, so that it is listed as too small."""
    waiting = await counting.waiting([cell_key(cell) for cell in cells])
    steps = {key: step([Waiting(*row) for row in rows]) for key, rows in waiting.items()}
    keys = [cell_key(cell) for cell in cells]
    found = {key: steps.get(key) or Step(0, 0, 0) for key in keys}
    rows = [(*key, each.numerator, each.denominator, each.strength) for key, each in found.items()]
    await counting.add_to_cells(rows, emptied=[key for key in keys if steps.get(key)])


def _changes(subject: str, before: Sequence[Sequence[Any]], after: Sequence[Sequence[Any]]) -> list[Change]:
    """Compare what a thing added with what it adds now."""
    old = {tuple(row[:5]): row[5:] for row in before}
    new = {tuple(row[:5]): row[5:] for row in after}
    changes = []
    for key in sorted(old.keys() | new.keys()):
        source, numerator, denominator = new.get(key) or (old[key][0], 0, 0)
        _, was_numerator, was_denominator = old.get(key) or ("", 0, 0)
        if (numerator, denominator) == (was_numerator, was_denominator):
            continue
        parsed = parse_evt_id(source)
        account, month, site, service, kpi = key
        if parsed is not None:
            cell = CellKey(account, date.fromisoformat(month), site, service, kpi)
            changes.append(Change(cell, subject, parsed[0], numerator - was_numerator, denominator - was_denominator))
    return changes


def _thing(about: str, own: str) -> str:
    """Name the thing that is counted: what an opinion is about, but a rating of a service on its own."""
    return own if about.startswith("service/") else about


def _row(told: Told) -> list[Any]:
    return [told.at, told.evt, told.type, told.site, told.account, dict(told.data)]


def cell_key(cell: CellKey) -> tuple[str, date, str, str, str]:
    """Return the key under which a cell is kept."""
    return cell.account, cell.month, cell.site, cell.service, cell.kpi


def month_context(month: date) -> str:
    """Name what the key of a month is sealed for."""
    return f"report|{month.isoformat()}"
