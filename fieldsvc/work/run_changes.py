"""Changes of the day: a run or part of it goes to somebody else, and what is carried is handed over with its counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fieldsvc.errors import NotFound
from fieldsvc.faults import said
from fieldsvc.sites import Sites
from fieldsvc.store import roster
from fieldsvc.store import run as store
from fieldsvc.store import task as tasks
from fieldsvc.store.database import Database
from fieldsvc.store.run import ChangedRun
from fieldsvc.work.errors import BadMove, CarrierAway, NothingToMove, RunOver
from fieldsvc.work.roster import Carrier
from fieldsvc.work.runs import Runs, Sender
from handlers.fields import Id
from handlers.handover import Counts
from handlers.run_change import MOST
from handlers.story import Actor

_KNOWN_SINCE = timedelta(days=60)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Reassign(_Body):
    """Who walks the run from now on."""

    to_carrier: Carrier


class Between(_Body):
    """The first and the last stop of a part, in planned order."""

    from_: Id = Field(alias="from")
    to: Id


class Split(_Body):
    """What goes to another run of the same day: the stops of a part with their open work, or single open tasks."""

    to_run: Id
    stops: Between | None = None
    task_ids: list[Id] | None = Field(default=None, min_length=1, max_length=MOST)

    @model_validator(mode="after")
    def _names_one(self) -> "Split":
        if (self.stops is None) == (self.task_ids is None):
            raise ValueError("one of stops and task_ids is needed")
        return self


class HandOver(_Body):
    """What the giver counted, and perhaps what the taker counted; to another run, or to the run's next carrier."""

    to_run: Id | None = None
    to_carrier: Carrier | None = None
    counts: Counts
    taken: Counts | None = None

    @model_validator(mode="after")
    def _names_one(self) -> "HandOver":
        if (self.to_run is None) == (self.to_carrier is None):
            raise ValueError("one of to_run and to_carrier is needed")
        return self


Asked = TypeVar("Asked", Reassign, Split, HandOver)


def read_change(model: type[Asked], body: object) -> Asked:
    """Check a decoded JSON body; BadMove names the members that are wrong, never their values."""
    try:
        return model.model_validate_json(orjson.dumps(body), strict=True)
    except ValidationError as error:
        raise BadMove(said(model, error)) from None


@dataclass(frozen=True, slots=True)
class RunChanges:
    """Moves work between the runs of today and tomorrow. `sites` are those whose runs they see who ask."""

    database: Database
    commands: Sender
    runs: Runs

    async def reassign(self, run_id: str, to_carrier: str, *, by: Actor, sites: Sites) -> dict[str, Any]:
        """Give a run to another carrier of its site. NotFound, RunOver, BadMove for an unknown carrier, CarrierAway."""
        run = await self._open(run_id, sites)
        await self._check_carrier(run, to_carrier)
        if run.carrier != to_carrier:
            await self._send("run.reassigned", {"run_id": run_id, "to_carrier": to_carrier}, run, by=by)
            await self.runs.tell(run_id)
        return await self._versions(run_id)

    async def split(
        self,
        run_id: str,
        to_run: str,
        *,
        stop_ids: Sequence[str] = (),
        task_ids: Sequence[str] = (),
        by: Actor,
        sites: Sites,
    ) -> dict[str, Any]:
        """Give stops with their open work, or single open tasks, of a run to another run of its day and site.

        NotFound, RunOver, BadMove for runs that do not fit, NothingToMove where none of it is the run's.
        """
        giver = await self._open(run_id, sites)
        taker = await self._open(to_run, sites)
        if giver.run_id == taker.run_id or (giver.day, giver.site) != (taker.day, taker.site):
            raise BadMove("Work goes to another run of the same day and site.", members=["to_run"])
        own = await self._own_tasks(giver, task_ids) if task_ids else []
        if not stop_ids and not own:
            raise NothingToMove
        data = {"run_id": run_id, "to_run": to_run, "stop_ids": list(stop_ids), "task_ids": own}
        await self._send("run.split", data, giver, by=by)
        return {"giver": await self._versions(run_id), "taker": await self._versions(to_run)}

    async def split_as(self, run_id: str, asked: Split, *, by: Actor, sites: Sites) -> dict[str, Any]:
        """Split a run as somebody asked. NothingToMove where a part has no stop that the run still does itself."""
        stops: list[str] = []
        if asked.stops is not None:
            run, ends = await self._open(run_id, sites), (asked.stops.from_, asked.stops.to)
            stops = await store.stops_between(self.database, run.day, run.round_id, first=ends[0], last=ends[1])
        return await self.split(run_id, asked.to_run, stop_ids=stops, task_ids=asked.task_ids or (), by=by, sites=sites)

    async def hand_over(self, run_id: str, asked: HandOver, *, by: Actor, sites: Sites) -> dict[str, Any]:
        """Note what one side counted, or both. NotFound, RunOver; BadMove for a run of another day or an unknown carrier."""
        giver = await self._open(run_id, sites)
        if asked.to_carrier is not None:
            await self._check_carrier(giver, asked.to_carrier)
        taker = await self._open(asked.to_run, sites) if asked.to_run else giver
        if (giver.day, giver.site) != (taker.day, taker.site):
            raise BadMove("Things go to a run of the same day and site.", members=["to_run"])
        named = {"to_run": asked.to_run, "to_carrier": asked.to_carrier}
        given = {"run_id": run_id, "counts": asked.counts.model_dump()}
        await self._send("run.handed_over", given | {name: each for name, each in named.items() if each}, giver, by=by)
        if asked.taken is not None:
            taken = {"run_id": taker.run_id, "counts": asked.taken.model_dump()}
            await self._send("run.taken_over", taken | {"from_run": run_id}, taker, by=by)
        return {"given": asked.counts.model_dump(), "taken": asked.taken.model_dump() if asked.taken else None}

    async def _open(self, run_id: str, sites: Sites) -> ChangedRun:
        found = await store.change_of(self.database, run_id)
        if found is None or found.site not in sites:
            raise NotFound
        today = self.runs.today(datetime.now(UTC))
        if found.state == "ended" or found.day not in (today, today + timedelta(days=1)):
            raise RunOver
        return found

    async def _own_tasks(self, run: ChangedRun, task_ids: Sequence[str]) -> list[str]:
        """Keep of these the open tasks of a run."""
        known = await tasks.read_many(self.database, task_ids)
        return [
            each.id
            for each in known.values()
            if (each.day, each.round_id, each.state) == (run.day, run.round_id, "planned")
        ]

    async def _check_carrier(self, run: ChangedRun, carrier: str) -> None:
        known = await roster.carriers(self.database, run.site, run.day - _KNOWN_SINCE)
        if carrier not in {each.carrier for each in known}:
            raise BadMove("The site knows no such carrier.", members=["to_carrier"])
        away = await roster.absences(self.database, run.site, (run.day, run.day))
        if carrier in {each.carrier for each in away}:
            raise CarrierAway

    async def _send(self, name: str, data: Mapping[str, Any], run: ChangedRun, *, by: Actor) -> None:
        await self.commands.send(name, data, actor=by, site=run.site, run=run.run_id)

    async def _versions(self, run_id: str) -> dict[str, Any]:
        run = await store.read(self.database, run_id)
        if run is None:
            raise NotFound
        return {"run_id": run.run_id, "carrier": run.carrier, "state": run.state, "sheet_version": run.sheet_version}
