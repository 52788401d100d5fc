"""What proofs teach about delivery points: where box and door really are, and when a point was last served.

The journal's field events are read behind a cursor of our own, which moves in the transaction that writes what was learned:
however often a process is stopped, and however many learn, an event counts once. A proof is an event of a type that keeps its
fix, located by a scan or by the stop that was named; its fix is opened, taken as metres from the planned place, and gone.
What was served counts without a fix as well. Of the carrier, the run and the hour nothing goes on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.reader import Tail
from fieldsvc.journal.sealed import Opener
from fieldsvc.journal.submission import SHARDS
from fieldsvc.logs import get_logger
from fieldsvc.store import delivery_point_memory as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.delivery_point_memory import FieldEvent, Position, Remembered
from fieldsvc.work.rounds import KnownRound, RoundStore, memory_of
from geo.delivery_points import learn, planned_at, proof_of, remember_at
from geo.rounds import Stop
from handlers.fields import parse_time
from handlers.registry import Registry

log = get_logger()
CHUNK, EVERY_S, RETRY_S, SERVED_KEPT = 500, 5.0, 5.0, 16
FIELD_PART = -1  # of the event as the phone said it, which holds the fix
FIRST_DAYS, FORGOTTEN = 60, timedelta(days=400)
FRESH, EARLY, LATE = timedelta(seconds=60), timedelta(days=1), timedelta(days=31)
_METHODS = frozenset({"scan", "stop"})
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Visit:
    """A point was served on a day: what was done there, `box` or `door`, and the fix with its accuracy if it is a proof."""

    point_id: str
    day: date
    planned: Mapping[str, Place]
    done_at: str | None = None
    fix: tuple[float, float, float] | None = None


class PointLearner:
    """Follows the journal for the memory of delivery points."""

    def __init__(
        self, database: Database, tail: Tail, opener: Opener, *, rounds: RoundStore, registry: Registry
    ) -> None:
        self._database = database
        self._tail = tail
        self._opener = opener
        self._rounds = rounds
        every = [each for handler in registry.handlers.values() for each in handler.events]
        self._done_at = {each.name: each.done_at for each in every if each.done_at or each.closes_task}
        self._proofs = {each.name for each in every if each.done_at and each.keeps_fix}

    async def run(self) -> None:
        """Learn until cancelled; what the database cannot take now is tried again."""
        forgot_on: date | None = None
        while True:
            since, today = self._tail.version, datetime.now(UTC).date()
            try:
                if forgot_on != today:
                    await store.forget(self._database, today - FORGOTTEN)
                    forgot_on = today
                await self.take()
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("points.interrupted", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                await self._tail.wait(timeout_s=EVERY_S * 12, since=since)
                await asyncio.sleep(EVERY_S)  # many events at once cost less than one by one

    async def take(self) -> int:
        """Learn from everything that is new; return how many events that was."""
        first = datetime.now(UTC).date() - timedelta(days=FIRST_DAYS)
        await store.begin(self._database, range(SHARDS), first)
        taken = 0
        while True:
            read = await self._read()
            if not any(events for _, events in read.values()) or not await self._learn(read):
                return taken
            taken += sum(len(events) for _, events in read.values())

    async def _read(self) -> dict[int, tuple[Position, list[FieldEvent]]]:
        """Read the next events of every shard, with where each was read from."""
        found = {}
        for shard, position in (await store.cursors(self._database)).items():
            types = self._done_at.keys()
            events = await store.events_after(self._database, shard, position, types=types, limit=CHUNK)
            found[shard] = position, events
        return found

    async def _learn(self, read: Mapping[int, tuple[Position, Sequence[FieldEvent]]]) -> bool:
        """Learn from events of all shards in one transaction; False, and nothing is changed, if another has done so."""
        visits = await self._visits([event for _, events in read.values() for event in events])
        async with store.learning(self._database) as learning:
            if learning.cursors != {shard: position for shard, (position, _) in read.items()}:
                return False
            await learning.move({shard: (new[-1].day, new[-1].pos) for shard, (_, new) in read.items() if new})
            if visits:
                known = await learning.of_points({visit.point_id for visit in visits})
                await learning.put(await asyncio.to_thread(remember, known, visits))
        return True

    async def _visits(self, events: Iterable[FieldEvent]) -> list[Visit]:
        told = [(event, located) for event in events if (located := _located(event)) is not None]
        wanted = [(event.event_id, FIELD_PART) for event, _ in told if event.type in self._proofs]
        opened = await self._opener.open_parts(wanted) if wanted else {}
        known = await self._rounds.known_rounds(str(located.get("round_id")) for _, located in told)
        found = [self._visit(event, located, known, opened) for event, located in told]
        return [visit for visit in found if visit is not None]

    def _visit(
        self,
        event: FieldEvent,
        located: Mapping[str, Any],
        rounds: Mapping[str, KnownRound],
        opened: Mapping[tuple[UUID, int], Mapping[str, Any]],
    ) -> Visit | None:
        known = rounds.get(str(located.get("round_id")))
        stop = known.stops_by_id.get(str(located.get("stop_id"))) if known is not None else None
        if stop is None or not event.received_at - LATE <= event.occurred_at <= event.received_at + EARLY:
            return None
        point_id, day = stop.delivery_point_id or stop.stop_id, self._rounds.day_of(event.occurred_at)
        clear = orjson.loads(event.public or b"{}")
        tells = self._done_at.get(event.type)
        done_at = tells(clear.get("public", {})) if tells is not None else None
        personal = (opened.get((event.event_id, FIELD_PART)) or {}).get("personal") or {}
        fix = _fix_of(personal, _said_at(clear) or event.occurred_at) if done_at is not None else None
        return Visit(point_id, day, _planned(stop), done_at, fix)


def remember(known: Mapping[str, Remembered], visits: Sequence[Visit]) -> list[Remembered]:
    """Add visits to what is remembered of their points."""
    by_point: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        by_point[visit.point_id].append(visit)
    return [_with(known.get(point_id), point_id, some) for point_id, some in by_point.items()]


def _with(known: Remembered | None, point_id: str, visits: Sequence[Visit]) -> Remembered:
    door = _learned(known.door if known else None, [each for each in visits if each.done_at == "door"], "door")
    box = _learned(known.box if known else None, [each for each in visits if each.done_at == "box"], "box")
    moved = [each.moved_on for each in map(memory_of, (door, box)) if each is not None and each.moved_on is not None]
    days = {visit.day for visit in visits}.union(known.served_on if known else ())
    return Remembered(point_id, door, box, max(moved, default=None), sorted(days)[-SERVED_KEPT:])


def _learned(data: bytes | None, visits: Sequence[Visit], name: str) -> bytes | None:
    """Add the proofs of a letterbox or a door to what is remembered of it."""
    if not any(visit.fix for visit in visits):
        return data
    planned = visits[-1].planned[name]
    known = memory_of(data)
    memory = planned_at(known, *planned) if known is not None else remember_at(*planned)
    proofs = [
        proof_of(memory.planned, visit.fix[0], visit.fix[1], accuracy_m=visit.fix[2], day=visit.day)
        for visit in visits
        if visit.fix is not None
    ]
    memory = learn(memory, (proof for proof in proofs if proof is not None))
    return memory.to_bytes() if memory.proofs else data


def _planned(stop: Stop) -> Mapping[str, Place]:
    door = (stop.lat, stop.lon)
    return {"door": door, "box": stop.box_at or door}


def _located(event: FieldEvent) -> Mapping[str, Any] | None:
    """Return the place of an event that was located by a scan or by its stop."""
    if event.public is None or b'"located"' not in event.public:
        return None
    located = _envelope(orjson.loads(event.public)).get("located") or {}
    return located if located.get("method") in _METHODS else None


def _envelope(clear: Mapping[str, Any]) -> Mapping[str, Any]:
    return (clear.get("operational") or {}).get("_envelope") or {}


def _said_at(clear: Mapping[str, Any]) -> datetime | None:
    """Return the phone's own time of an event: its fix was timed by the same clock."""
    try:
        return parse_time(_envelope(clear).get("time"))
    except ValueError:
        return None


def _fix_of(personal: Mapping[str, Any], at: datetime) -> tuple[float, float, float] | None:
    """Return (lat, lon, accuracy_m) of a fix that the phone itself took at that moment; None without one."""
    fix = personal.get("fix") or {}
    if "entered_by" in (personal.get("_envelope") or {}) or not fix.get("accuracy_m"):
        return None
    try:
        fixed_at = parse_time(fix["fixed_at"]) if fix.get("fixed_at") else at
        place = float(fix["lat"]), float(fix["lon"]), float(fix["accuracy_m"])
    except (KeyError, TypeError, ValueError):
        return None
    return place if abs(fixed_at - at) <= FRESH else None
