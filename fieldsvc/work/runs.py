"""Runs: made from the roster each day, and told to the journal; and the end of tasks that nobody did."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Protocol

from fieldsvc.errors import Conflict, Invalid, NotFound
from fieldsvc.journal.submission import Result
from fieldsvc.logs import get_logger
from fieldsvc.store import progress, roster
from fieldsvc.store import run as store
from fieldsvc.store import task as tasks
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.store.run import Counted, Run, SaidRun, run_id_of
from fieldsvc.store.task import UndoneTask
from fieldsvc.work.errors import NoRunToday
from fieldsvc.work.rounds import run_of_id
from handlers.fields import format_time
from handlers.story import Actor

log = get_logger()
SERVER = Actor("server")
IN_WORK = ("started", "paused")
_AT_ONCE = 2  # each holds a connection of the pool while its command is decided
_NEAR = timedelta(days=1)
_CHUNK = 500


class Sender(Protocol):
    """What planned work needs of the journal's commands."""

    async def send(
        self,
        type: str,  # noqa: A002 - the field's own name
        data: Mapping[str, Any],
        *,
        actor: Actor = ...,
        site: str | None = None,
        run: str | None = None,
        occurred_at: datetime | None = None,
        handler: str | None = None,
    ) -> Result:
        """Decide and commit one command."""
        ...


class Runs:
    """The runs of the days, for phones and for the daily job."""

    def __init__(
        self, database: Database, commands: Sender, zone: tzinfo, *, hours: tuple[time, time] | None = None
    ) -> None:
        """`hours` of duty: runs start with them where neither their roster row nor their site says when."""
        self._database = database
        self._commands = commands
        self._zone = zone
        self._starts_at = hours[0] if hours else None
        self._telling = asyncio.Semaphore(_AT_ONCE)

    @property
    def zone(self) -> tzinfo:
        """The zone of the days."""
        return self._zone

    def today(self, now: datetime | None = None) -> date:
        """Give the local day of a moment."""
        return (now or datetime.now(UTC)).astimezone(self._zone).date()

    async def plan_day(self, day: date) -> int:
        """Make the runs of a day and tell the journal what it does not know of them; return how many that were.

        Runs come from the roster, and from the devices' own rounds where the roster names neither round nor carrier.
        Running it again, or in two processes at once, says nothing twice.
        """
        await store.plan_day(self._database, day, self._starts_at)
        waiting = await store.unsaid(self._database, day)
        await asyncio.gather(*(self.tell(run_id) for run_id in waiting))
        return len(waiting)

    async def tell_changes(self, days: Iterable[date], now: datetime | None = None) -> int:
        """Tell the journal at once what a change of the roster means for today and tomorrow; return how many runs that were."""
        near = {self.today(now) + timedelta(days=ahead) for ahead in (0, 1)}
        return sum([await self.plan_day(day) for day in sorted(near & set(days))])

    async def expire_tasks(self, now: datetime | None = None) -> int:
        """End what was not done: at the midnight that ends its day, or the end of its window if that is later.

        Return how many that were. One process does it at a time, and what a service refuses is left as it is.
        """
        at, after, ended = now or datetime.now(UTC), (date.min, ""), 0
        async with tasks.expiring(self._database) as ours:
            while ours:
                found = await tasks.undone(self._database, self.today(at), at, after=after, limit=_CHUNK)
                done = await asyncio.gather(*(self._expire(each) for each in found))
                ended += sum(done)
                if len(found) < _CHUNK:
                    break
                after = found[-1].day, found[-1].id
        return ended

    async def forget_before(self, day: date) -> int:
        """Forget absences, moves and what runs took out, before a day."""
        await roster.forget_before(self._database, day)
        return 0

    async def _expire(self, task: UndoneTask) -> bool:
        data = {"task_id": task.id, "service": task.service, "subject": task.subject, "reason": "not_done"}
        try:
            await self._commands.send("task.expired", data, actor=SERVER, handler=task.service)
        except (Conflict, Invalid) as error:
            log.warning("task.not_expired", code=error.code)
            return False
        return True

    async def keep_hours(self, hours: tuple[time, time], now: datetime | None = None) -> int:
        """Start and end today's covered runs at the local hours of duty, where nobody has; return how many changes it was.

        For phones that cannot say so. The events say the hour, however late it is done. Again, or in two processes at
        once, it says nothing twice.
        """
        at = now or datetime.now(UTC)
        day, said = self.today(at), 0
        for name, hour, states in zip(("run.started", "run.ended"), hours, (("planned",), IN_WORK), strict=True):
            moment = datetime.combine(day, hour, self._zone)
            if at >= moment:
                waiting = await store.kept_by_hours(self._database, day, states)
                done = [self._say_hour(run_id, name, moment, states) for run_id in waiting]
                said += sum(await asyncio.gather(*done))
        return said

    async def _say_hour(self, run_id: str, name: str, moment: datetime, states: Sequence[str]) -> bool:
        async with self._telling, store.saying(self._database, run_id, plan=False) as run:
            if run is None or run.state not in states or run.cover != "covered":
                return False
            await self._commands.send(
                name, {"run_id": run_id}, actor=SERVER, site=run.site, run=run_id, occurred_at=moment.astimezone(UTC)
            )
        return True

    async def current_run(self, device: Device, now: datetime | None = None) -> Run:
        """Find the run that a device's carrier walks today, making it if the day was not planned with it. NoRunToday."""
        day = self.today(now)
        rounds = await roster.rounds_of(self._database, device, day)
        if not rounds:
            raise NoRunToday
        return await self._made(device, day, rounds[0])

    async def told(self, run: Run) -> tuple[datetime | None, Counted | None]:
        """Tell its carrier when the newest position was taken, and what became of what the run took, if it was reconciled."""
        heard = await progress.heard_at(self._database, run.run_id, run.day)
        return heard, await store.counted(self._database, run.run_id) if run.state == "ended" else None

    async def own_run(self, device: Device, run_id: str, now: datetime | None = None) -> Run:
        """Find a run if it is one of the device's own, of yesterday, today or tomorrow. NotFound otherwise."""
        named = run_of_id(run_id)
        if named is None or abs(named[0] - self.today(now)) > _NEAR:
            raise NotFound
        day, round_id = named
        if round_id not in await roster.rounds_of(self._database, device, day):
            raise NotFound
        return await self._made(device, day, round_id)

    async def _made(self, device: Device, day: date, round_id: str) -> Run:
        run_id = run_id_of(day, round_id)
        found = await store.read(self._database, run_id)
        if found is None:
            await store.add(self._database, day, round_id, carrier=device.carrier, starts_at=self._starts_at)
            await self.tell(run_id)
            found = await store.read(self._database, run_id)
        if found is None:
            raise NoRunToday
        return found

    async def tell(self, run_id: str) -> None:
        """Tell the journal about a run; if the process dies in between, the next one tells it again."""
        async with self._telling, store.saying(self._database, run_id) as run:
            if run is None or run.is_known:
                return
            for name, data in self._facts(run):
                await self._commands.send(name, data, actor=SERVER, site=run.site, run=run.run_id)

    def _facts(self, run: SaidRun) -> list[tuple[str, dict[str, Any]]]:
        """List what is new: a run is planned, again when its start changes, then covered or not."""
        facts: list[tuple[str, dict[str, Any]]] = []
        if run.is_planned_anew:
            facts.append(("run.planned", self._plan(run)))
        if run.said == run.cover:
            return facts
        if run.carrier is None:
            facts.append(("run.uncovered", {"run_id": run.run_id, "reason": "absence"}))
        elif run.said == "uncovered":
            facts.append(("run.covered", {"run_id": run.run_id, "substitute": True}))
        return facts

    def _plan(self, run: SaidRun) -> dict[str, Any]:
        """Write the plan of a run; one of a day that is over has no times that could still ring."""
        plan = {"run_id": run.run_id, "round_id": run.round_id, "on": run.day.isoformat()}
        midnight = datetime.combine(run.day + timedelta(days=1), time(), self._zone)
        if datetime.now(UTC) < midnight:
            plan["ends_at"] = format_time(midnight)
            if run.starts_at is not None:
                plan["starts_at"] = format_time(datetime.combine(run.day, run.starts_at, self._zone))
        return plan | ({"carrier": run.carrier} if run.carrier else {})
