"""The sheet: stops in order with the work of the day and what is known of each, as one JSON object for the phone.

Everything is read from one moment of the database, so that a version always has the same content: whatever changes a sheet
raises its version in the same commit. A phone that has an older version gets what differs (sheet_delta.py).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from fieldsvc.errors import NotFound, Unavailable
from fieldsvc.store import request as requests
from fieldsvc.store import sheet as store
from fieldsvc.store.access_case import CaseRow
from fieldsvc.store.database import Database
from fieldsvc.store.hazard import HazardRow
from fieldsvc.store.household import ToldRow
from fieldsvc.store.request import SheetRow
from fieldsvc.store.run import Run
from fieldsvc.store.sheet import IdentityRow, InstructionRow, NoteRow
from fieldsvc.store.task import TaskRow
from fieldsvc.work import sheet_parts as parts
from fieldsvc.work import sheet_requests
from fieldsvc.work.rounds import KnownRound, RoundStore
from fieldsvc.work.sheet_delta import delta_of, digests_of
from geo.rounds import Stop

STATES = ("planned", "started", "paused", "ended")
_TRIES = 3
window_of = parts.window_of


class BlobOpener(Protocol):
    """What reads sealed write arguments back; None for one that was erased."""

    async def open_blobs(self, blobs: Sequence[bytes]) -> list[Any]:
        """Open blobs in order."""
        ...


@dataclass(frozen=True, slots=True)
class _Material:
    """What one moment of the database holds for a sheet."""

    run: Run
    stops: Sequence[tuple[Stop, str]]
    tasks: Sequence[TaskRow]
    notes: Sequence[NoteRow]
    cases: Sequence[CaseRow]
    hazards: Sequence[HazardRow]
    given: Sequence[InstructionRow]
    is_regular: bool
    identities: Sequence[IdentityRow]
    requests: Sequence[SheetRow]
    households: Sequence[ToldRow]


@dataclass(frozen=True, slots=True)
class _Opened:
    """The sealed parts of the material, in its order."""

    tasks: Sequence[Any]
    notes: Sequence[Any]
    hazards: Sequence[Any]
    given: Sequence[Any]
    identities: Sequence[Any]
    requests: Sequence[Any]
    households: Sequence[Any]


class Sheets:
    """Builds sheets; the version is `Run.sheet_version`, so an unchanged sheet need not be built."""

    def __init__(self, database: Database, rounds: RoundStore, opener: BlobOpener) -> None:
        self._database = database
        self._rounds = rounds
        self._opener = opener

    async def since(self, run: Run, version: int | None, *, carrier: str | None = None) -> dict[str, Any]:
        """Give what differs from a version that a phone has (`delta` is true), or the whole sheet if that is not known."""
        sheet = await self.sheet(run, carrier=carrier)
        kept = await store.digests(self._database, run.run_id, version) if version is not None else None
        delta = delta_of(sheet, version, kept) if version is not None and kept is not None else None
        await store.keep_digests(self._database, run.run_id, sheet["version"], day=run.day, digests=digests_of(sheet))
        return sheet if delta is None else delta

    async def sheet(self, run: Run, *, carrier: str | None = None) -> dict[str, Any]:
        """Build the sheet of a run as `carrier` may see it, by default whoever walks it.

        Erased persons' tasks stay, without what was personal. NotFound for a round or run that is gone.
        """
        for _ in range(_TRIES):
            known = await self._rounds.known_round(run.round_id)
            if known is None:
                raise NotFound
            material = await self._read(run, known, carrier)
            if material is not None:
                return await self._build(known, material)
        raise Unavailable("The round changes all the time; ask again.")

    async def _read(self, run: Run, known: KnownRound, carrier: str | None) -> _Material | None:
        """Read everything at one moment; None if the round in memory is not the one of that moment."""
        async with store.snapshot(self._database) as seen:
            found = await seen.run(run.run_id)
            if found is None:
                raise NotFound
            if found.round_version != known.stored.version:
                return None
            stops = parts.stops_of(known.stored.round, await seen.moved_stops(found.day, found.round_id))
            planned = await seen.tasks(found.day, found.round_id)
            points = sorted(
                {stop.delivery_point_id or stop.stop_id for stop, _ in stops}
                | {row.delivery_point for row in planned if row.delivery_point}
            )
            who = carrier or found.carrier or ""
            is_regular = who == found.carrier and await seen.is_regular(who, found.round_id, found.day)
            return _Material(
                run=found,
                stops=stops,
                tasks=planned,
                notes=await seen.notes(points),
                cases=await seen.cases(points),
                hazards=await seen.hazards(found.round_id),
                given=await seen.instructions(found.run_id),
                is_regular=is_regular,
                identities=await seen.identities(points, who, found.day) if is_regular else (),
                requests=await requests.on_sheet(seen.connection, run.run_id, points, *self._rounds.span_of(found.day)),
                households=await seen.households(points),
            )

    async def _open(self, material: _Material) -> _Opened:
        groups: Sequence[Sequence[Any]] = (
            *(material.tasks, material.notes, material.hazards, material.given, material.identities),
            material.requests,
            material.households,
        )
        blobs = [row.sealed for group in groups for row in group]
        opened = iter(await self._opener.open_blobs(blobs) if blobs else [])
        return _Opened(*(list(islice(opened, len(group))) for group in groups))

    async def _build(self, known: KnownRound, material: _Material) -> dict[str, Any]:
        opened = await self._open(material)
        codes = await _hashed(material.tasks, opened.tasks)
        run, planned = material.run, known.stored.round
        stop_of = {stop.delivery_point_id or stop.stop_id: stop.stop_id for stop, _ in reversed(material.stops)}
        notes = _notebooks(material, opened)
        by_stop: dict[str | None, list[dict[str, Any]]] = {}
        for row, task in zip(material.tasks, _tasks(material, opened, codes), strict=True):
            point = row.delivery_point or ""
            if point not in stop_of:
                task |= {"delivery_point_id": row.delivery_point, "notebook": notes.get(point, [])}
            by_stop.setdefault(stop_of.get(point), []).append(task)
        return {
            "run_id": run.run_id,
            "round_id": run.round_id,
            "site": run.site,
            "mode": planned.mode,
            "version": run.sheet_version,
            "state": run.state if run.state in STATES else "planned",
            "line": planned.drawn_line,
            "stops": list(_stops(material, by_stop, notes)),
            "tasks_without_stop": by_stop.get(None, []),
            "instructions": parts.instructions(material.given, opened.given, material.cases, stop_of),
            "hazards": parts.hazards(material.hazards, opened.hazards, planned),
            "requests": sheet_requests.written(material.requests, opened.requests, stop_of),
            "mandates": list(_mandates(material, opened, stop_of)),
            "forms": parts.forms(opened.tasks),
        }


def _tasks(material: _Material, opened: _Opened, codes: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Write the tasks in their order."""
    acquaintances = _acquaintances(material, opened)
    for row, personal, code in zip(material.tasks, opened.tasks, codes, strict=True):
        knows = _knows(row, personal, acquaintances) if material.is_regular else None
        yield parts.task_on_sheet(row, personal, known_to_you=knows, code=code)


def _mandates(material: _Material, opened: _Opened, stop_of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for row, personal in zip(material.tasks, opened.tasks, strict=True):
        yield from parts.mandates(row, personal, stop_id=stop_of.get(row.delivery_point or ""), day=material.run.day)
    for asked, sealed in zip(material.requests, opened.requests, strict=True):
        yield from parts.proxy(asked, sealed, stop_id=stop_of.get(asked.delivery_point or ""))


def _stops(
    material: _Material, by_stop: Mapping[str | None, Sequence[Any]], notes: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    for stop, round_id in material.stops:
        known = notes.get(stop.delivery_point_id or stop.stop_id, [])
        yield parts.stop_on_sheet(stop, round_id, tasks=by_stop.get(stop.stop_id, []), notes=known)


def _notebooks(material: _Material, opened: _Opened) -> dict[str, list[dict[str, Any]]]:
    """Write the notebook of each delivery point that has one, with what the households there tell."""
    found: dict[str, list[tuple[NoteRow, Any]]] = {}
    for note, secret in zip(material.notes, opened.notes, strict=True):
        found.setdefault(note.delivery_point_id, []).append((note, secret))
    books = {point: parts.notebook(*zip(*pairs, strict=True)) for point, pairs in found.items()}
    for told, words in zip(material.households, opened.households, strict=True):
        books.setdefault(told.delivery_point_id, []).extend(parts.household(told, words))
    return books


def _acquaintances(material: _Material, opened: _Opened) -> dict[str, list[parts.Named]]:
    """Map each delivery point to those who showed this carrier a document there."""
    found: dict[str, list[parts.Named]] = {}
    for row, personal in zip(material.identities, opened.identities, strict=True):
        found.setdefault(row.delivery_point, []).append(parts.named(row.account, personal))
    return found


def _knows(row: TaskRow, personal: Any, acquaintances: Mapping[str, Sequence[parts.Named]]) -> bool:
    wanted = parts.named(row.account, personal)
    return any(wanted.is_same(each) for each in acquaintances.get(row.delivery_point or "", ()))


async def _hashed(rows: Sequence[TaskRow], opened: Sequence[Any]) -> list[dict[str, Any] | None]:
    """Hash the codes of tasks, in a thread where there are any."""
    codes = [parts.code_of(row, personal) for row, personal in zip(rows, opened, strict=True)]
    if not any(codes):
        return [None] * len(codes)
    pairs = list(zip(rows, codes, strict=True))
    return await asyncio.to_thread(lambda: [parts.hashed_code(row, code) if code else None for row, code in pairs])
