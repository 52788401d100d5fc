"""The live board of one process: it reads once a second what was committed, and tells every screen the same.

What it reads are states (`run_state`, `run`, `alarm`, `alert`), each written in the commit that made it true; rows of the last seconds
are read again and again, so a row in flight is never missed, and what says nothing new costs nothing. Whether a carrier may be
seen is the committed duty of the run. A place is metres along the planned line: `run_state` holds no other, and the newest fix
(`through_at`) decides it, so what arrives late moves nobody.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from http import HTTPStatus
from itertools import islice

from fieldsvc.errors import FieldsvcError, Unavailable
from fieldsvc.logs import get_logger
from fieldsvc.store import alarm as alarms
from fieldsvc.store import alert as alerts
from fieldsvc.store import live
from fieldsvc.store.alarm import Alarm
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.live import Moved, RunNow
from fieldsvc.tracking.frames import Frame, Frames, frame
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.sight import Alert, Change, LiveRun, Place, Raised, Sight, Tick, status_of

log = get_logger()
EVERY_S, OVERLAP_S, PING_S = 1.0, 5.0, 15.0
TICKS_KEPT, CHANGES_KEPT = 600, 400_000  # ten minutes, or what some 120 MB hold
READY_WITHIN_S, RETRY_S = 10.0, 2
_DECIMALS = 6  # of a degree: 0.1 m
RETRY = frame(b"retry: %d\n\n" % (RETRY_S * 1000))
Check = Callable[[], Awaitable[object]]


class Ring:
    """The newest ticks without a gap: as many as fit."""

    def __init__(self, *, ticks: int, changes: int) -> None:
        self._most_ticks, self._most_changes = ticks, changes
        self._ticks: deque[Tick] = deque()
        self._changes = 0

    def add(self, tick: Tick) -> None:
        """Append a tick, letting the oldest go."""
        self._ticks.append(tick)
        self._changes += len(tick.changes)
        while len(self._ticks) > self._most_ticks or (self._changes > self._most_changes and len(self._ticks) > 1):
            self._changes -= len(self._ticks.popleft().changes)

    def after(self, seq: int, *, limit: int) -> list[Tick] | None:
        """Return the first ticks behind a number; None if some of them are gone, or never were."""
        first = self._ticks[0].seq if self._ticks else None
        if first is None or not first - 1 <= seq <= self._ticks[-1].seq:
            return None
        return list(islice(self._ticks, seq - first + 1, seq - first + 1 + limit))


@dataclass(slots=True)
class Seen:
    """A run whose carrier may be seen, its duty, and (newest fix, metres along the line, status) as read."""

    run: LiveRun
    duty: str
    at: tuple[datetime | None, float | None, str | None]


class Board:
    """Who is where now, and what changed since. `take` is the whole of its logic; `run` feeds it from the database."""

    def __init__(
        self,
        database: Database,
        lines: Lines,
        zone: tzinfo,
        *,
        every_s: float = EVERY_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        ring: Ring | None = None,
    ) -> None:
        self._database = database
        self._lines = lines
        self._zone = zone
        self._every_s = every_s
        self._now = now
        self._clock = clock
        self._seen: dict[str, Seen] = {}
        self._places: dict[str, Place] = {}
        self._alarms: dict[str, Raised] = {}
        self._ring = ring or Ring(ticks=TICKS_KEPT, changes=CHANGES_KEPT)
        self._moved, self._ready = asyncio.Event(), asyncio.Event()
        self._early: set[str] = set()
        self._read_at: float | None = None
        self._first_day = date.min
        self._closing = False
        self.epoch = secrets.token_hex(6)
        self.seq = 0
        self.frames = Frames(self.epoch)

    async def run(self) -> None:
        """Read once a second until cancelled. Faults of the database are logged, and what was missed is read later."""
        while True:
            began = self._clock()
            try:
                await self.read()
            except DATABASE_ERRORS as error:
                log.warning("live.interrupted", error=type(error).__name__)
            await asyncio.sleep(max(0.05, self._every_s - (self._clock() - began)))

    async def read(self) -> None:
        """Read what changed since the last time; the first time, everything."""
        began, first_day = self._clock(), self._today() - timedelta(days=1)
        if self._read_at is None:
            runs, moves = await live.running(self._database, first_day), []
            raised: list[Raised] = [*await alarms.open_alarms(self._database, None)]
            raised += await alerts.open_alerts(self._database, None)
        else:
            within_s = began - self._read_at + OVERLAP_S
            runs = await live.changed_runs(self._database, first_day, within_s)
            moves = await live.moved(self._database, within_s)
            raised = [*await alarms.changed(self._database, within_s), *await alerts.changed(self._database, within_s)]
        raised += await self._read_early()
        versions = {each.round_id: each.round_version for each in moves if each.round_id and each.run_id in self._seen}
        await self._lines.load(versions | {run.round_id: run.round_version for run in runs if run.duty})
        self.take(runs, moves, raised, first_day=first_day)
        self._read_at = began
        self._ready.set()

    def take(
        self, runs: Iterable[RunNow], moves: Iterable[Moved], raised: Sequence[Raised], *, first_day: date = date.min
    ) -> None:
        """Take what was read into the board; if anything is new it becomes the next tick, and every screen is woken."""
        touched = self._outdated(first_day) + self._take_runs(runs) + self._take_moves(moves)
        changes = [self._changed(run_id) for run_id in dict.fromkeys(touched)]
        alerts = self._take_alarms(raised)
        kept = tuple(change for change in changes if change.before != change.after)
        if kept or alerts:
            self.seq += 1
            self._ring.add(Tick(self.seq, self._now(), kept, alerts))
            self._wake()

    def show_early(self, alarm: Alarm) -> None:
        """Put an alarm on the screens that is not committed yet; the next read says how it stands."""
        self._early.add(alarm.id)
        if alarm.id not in self._alarms:
            self.take((), (), [alarm], first_day=self._first_day)

    async def _read_early(self) -> list[Raised]:
        """Read what was shown early; once it is committed it is told again, for a screen that asked for it in between."""
        found = [await alarms.read(self._database, each) for each in sorted(self._early)]
        for each in found:
            if each is not None:
                self._early.discard(each.id)
                self._alarms.pop(each.id, None)
        return [replace(each, address=None) for each in found if each is not None]

    def places(self) -> Mapping[str, Place]:
        """Give the places of all runs whose carriers may be seen, as they are now; to be read and not kept."""
        return self._places

    def close(self) -> None:
        """End every stream, now."""
        self._closing = True
        self._ready.set()
        self._wake()

    async def stream(self, sight: Sight, last_id: str, check: Check) -> AsyncGenerator[Frame, None]:
        """Yield a snapshot and then deltas, or only the deltas behind `last_id`; a ping after 15 quiet seconds.

        Ends when the board closes or `check` refuses, which is asked every second. Unavailable before the first read.
        """
        await self._wait_until_ready()
        yield RETRY
        seq = self._seq_of(last_id)
        spoke_at = self._clock()
        while not self._closing and await _allowed(check):
            ticks = self._ring.after(seq, limit=16) if seq is not None and seq < self.seq else []
            if seq is None or ticks is None:
                seq, spoke_at = self.seq, self._clock()
                for each in self._everything(sight):
                    yield each
                continue
            for tick in ticks:
                seq = tick.seq
                if made := self.frames.delta(tick, sight):
                    yield made
                    spoke_at = self._clock()
            if seq < self.seq:
                continue
            if self._clock() - spoke_at >= PING_S:
                yield frame(b": ping\nid: %s-%d\n\n" % (self.epoch.encode(), seq))
                spoke_at = self._clock()
            await self._wait(seq)

    def _everything(self, sight: Sight) -> list[Frame]:
        """Make the snapshot, and a delta with the open alarms if there are any."""
        now = self._now()
        made = [self.frames.snapshot(sight, self.seq, at=now, places=self._places.values())]
        alerts = tuple(self._alert(each) for each in self._alarms.values() if each.state == "open")
        if seen := list(Tick(self.seq, now, alerts=alerts).alarms(sight)):
            made.append(self.frames.alerts(seen, self.seq, at=now))
        return made

    def _take_runs(self, runs: Iterable[RunNow]) -> list[str]:
        touched = []
        for run in runs:
            touched.append(run.run_id)
            known = self._seen.pop(run.run_id, None)
            if run.duty is not None:
                whose = LiveRun(run.run_id, run.day, run.round_id, run.site, run.carrier)
                at = (run.through_at, run.distance_along_m, run.status)
                self._seen[run.run_id] = Seen(known.run if known and known.run == whose else whose, run.duty, at)
        return touched

    def _take_moves(self, moves: Iterable[Moved]) -> list[str]:
        touched = []
        for move in moves:
            seen, at = self._seen.get(move.run_id), (move.through_at, move.distance_along_m, move.status)
            if seen is not None and seen.at != at:
                seen.at = at
                touched.append(move.run_id)
        return touched

    def _outdated(self, first_day: date) -> list[str]:
        if first_day == self._first_day:
            return []
        self._first_day = first_day
        old = [run_id for run_id, seen in self._seen.items() if seen.run.day < first_day]
        for run_id in old:
            del self._seen[run_id]
        return old

    def _changed(self, run_id: str) -> Change:
        seen, before = self._seen.get(run_id), self._places.pop(run_id, None)
        after = self._placed(seen) if seen else None
        if after:
            self._places[run_id] = after
        return Change(before, after)

    def _placed(self, seen: Seen) -> Place | None:
        line = self._lines.get(seen.run.round_id)
        if line is None:
            return None
        through_at, metres, status = seen.at
        lon, lat = line.point_at(metres or 0.0)
        return Place(
            run=seen.run,
            lon=round(lon, _DECIMALS),
            lat=round(lat, _DECIMALS),
            distance_along_m=None if metres is None else round(metres, 1),
            status=status_of(seen.duty, status),
            seen_at=through_at,
        )

    def _take_alarms(self, raised: Sequence[Raised]) -> tuple[Alert, ...]:
        read = {each.id: each for each in raised}
        fresh = [each for each in read.values() if self._alarms.get(each.id) != each]
        self._alarms |= {each.id: each for each in fresh}
        for each in [old for old in self._alarms.values() if old.state != "open" and old.id not in read]:
            del self._alarms[each.id]
        return tuple(self._alert(each) for each in fresh)

    def _alert(self, alarm: Raised) -> Alert:
        return Alert(alarm, self._places.get(alarm.run) if alarm.run else None)

    def _seq_of(self, last_id: str) -> int | None:
        """Read the id of an event of this board; None for anything else."""
        epoch, _, number = last_id.rpartition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        return int(number) if int(number) <= self.seq else None

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._ready.wait()
        except TimeoutError:
            raise Unavailable(retry_after_s=RETRY_S) from None

    async def _wait(self, seq: int) -> None:
        if seq == self.seq and not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _today(self) -> date:
        return self._now().astimezone(self._zone).date()


async def _allowed(check: Check) -> bool:
    """Ask whether the caller may still look; while the database is away there is nothing new to see, so they may."""
    try:
        await check()
    except FieldsvcError as error:
        return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    except DATABASE_ERRORS:
        return True
    return True
