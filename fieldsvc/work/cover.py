"""Cover: a proposal for the rounds of a day that nobody walks, and its confirmation, which tells everybody at once."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fieldsvc.errors import Conflict, Invalid, NotFound
from fieldsvc.faults import said
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.submission import Incoming, Submission
from fieldsvc.sites import Sites
from fieldsvc.store import cover as store
from fieldsvc.store import roster
from fieldsvc.store.cover import DayRun, Kept
from fieldsvc.store.database import Database
from fieldsvc.store.roster import Absence, Change
from fieldsvc.work.cover_answer import Telling
from fieldsvc.work.cover_day import CoverDay, ReadDay
from fieldsvc.work.cover_layout import lay
from fieldsvc.work.cover_model import Rules
from fieldsvc.work.cover_solver import solve
from fieldsvc.work.roster import Carrier
from fieldsvc.work.rounds import RoundStore
from fieldsvc.work.runs import Runs
from handlers.base import validated
from handlers.fields import Id, parse_day
from handlers.story import Actor

LIMIT_S, USUAL_START, REGULAR_H = 5.0, time(8), 7.0
_GONE = ("started", "paused", "ended")


class BadCover(Invalid):
    """This question about cover is not valid."""

    code = "bad_cover"


class NothingUncovered(Conflict):
    """Every run of that day has somebody."""

    code = "nothing_uncovered"


class ProposalStale(Conflict):
    """The day is no longer as it was when this was proposed; ask for a new proposal."""

    code = "proposal_stale"


class ProposalConfirmed(Conflict):
    """This proposal was confirmed already."""

    code = "proposal_confirmed"


class CoverAsked(BaseModel):
    """Which day, and who else will be away; how long a carrier may work that day."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    site: Id | None = None
    day: Annotated[date, BeforeValidator(parse_day)]
    absent: list[Carrier] = Field(default_factory=list, max_length=200)
    working_time_h: float = Field(default=8.0, ge=1.0, le=12.0, allow_inf_nan=False)


def read_asked(body: object) -> CoverAsked:
    """Check a decoded JSON body; BadCover names the members that are wrong, never their values."""
    try:
        return CoverAsked.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        raise BadCover(said(CoverAsked, error)) from None


@dataclass(frozen=True, slots=True)
class Cover:
    """Proposes and confirms. The model is made and solved in a thread; what is kept is about runs."""

    database: Database
    commands: Commands
    rounds: RoundStore
    runs: Runs
    zone: tzinfo
    limit_s: float = LIMIT_S
    solving: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))  # one core at a time

    async def propose(self, asked: CoverAsked, *, site: str, now: datetime | None = None) -> dict[str, Any]:
        """Propose who does what of the uncovered runs of a day. NothingUncovered, BadCover for a day that is over."""
        moment = now or datetime.now(UTC)
        if asked.day < self.runs.today(moment):
            raise BadCover("This day is over.")
        every = await store.runs_of(self.database, site, asked.day)
        day = await self._read(every, asked, now=moment)
        if not day.uncovered:
            raise NothingUncovered
        rules = Rules(
            most_s=3_600.0 * asked.working_time_h,
            regular_s=3_600.0 * min(REGULAR_H, asked.working_time_h),
            now_s=(moment - day.origin).total_seconds(),
        )
        async with self.solving:
            found, solved_s, method = await asyncio.to_thread(_proposed, day, rules, self.limit_s)
        kept = Kept(
            f"cov_{secrets.token_hex(12)}",
            site,
            asked.day,
            _without_names(found) | {"absent_runs": [each.id for each in every if each.carrier in asked.absent]},
            {},
            None,
        )
        marks = _marks(every, kept, [each["run_id"] for each in found["pieces"] + found["undone"]])
        today = self.runs.today(moment)
        await store.keep(self.database, Kept(kept.id, site, asked.day, kept.body, marks, None), forget_before=today)
        return {
            "proposal_id": kept.id,
            "day": asked.day.isoformat(),
            "site": site,
            **found,
            "begun": list(day.begun),
            "method": method,
            "solved_in_s": solved_s,
        }

    async def confirm(self, proposal_id: str, *, by: Actor, sites: Sites) -> dict[str, Any]:
        """Tell everybody. NotFound, ProposalConfirmed; ProposalStale with `changed`, what is different of which run."""
        kept = await store.read(self.database, proposal_id)
        if kept is None or kept.site not in sites:
            raise NotFound
        if kept.confirmed_at is not None:
            raise ProposalConfirmed
        if not await store.claim(self.database, proposal_id):
            now = await store.read(self.database, proposal_id)
            if now is not None and now.confirmed_at is None:
                raise ProposalStale(changed=[{"what": "another_confirmed"}])
            raise ProposalConfirmed
        try:
            every = await store.runs_of(self.database, kept.site, kept.day)
            _check(every, kept, today=self.runs.today())
            await self._note_absences(every, kept)
            return await self._tell(kept, by=by)
        except BaseException:
            await store.release(self.database, proposal_id)
            raise

    async def _read(self, every: Sequence[DayRun], asked: CoverAsked, *, now: datetime) -> CoverDay:
        ids = [each.round_id for each in every]
        known = await self.rounds.known_rounds(ids)
        read = ReadDay(
            day=asked.day,
            now=now,
            zone=self.zone,
            usual_start=USUAL_START,
            runs=[each for each in every if each.round_id in known],
            rounds={name: each.stored.round for name, each in known.items()},
            tasks=await store.tasks_of(self.database, ids, asked.day),
            moved=await store.moved(self.database, ids, asked.day),
            known_by=await store.known_by(self.database, ids, asked.day),
            absent=frozenset(asked.absent),
        )
        return await asyncio.to_thread(read.read)

    async def _note_absences(self, every: Sequence[DayRun], kept: Kept) -> None:
        """Write down who is away, so that their runs are uncovered before they are given to others."""
        away = {each.carrier for each in every if each.id in kept.body["absent_runs"] and each.carrier}
        if away:
            absences = [Absence(kept.day, kept.site, carrier, "other") for carrier in sorted(away)]
            await roster.change(self.database, Change(absences=absences))
            await self.runs.plan_day(kept.day)

    async def _tell(self, kept: Kept, *, by: Actor) -> dict[str, Any]:
        """Say every part in one request, so that it is decided in one commit; commands to the runs follow within a second."""
        pieces = kept.body["pieces"]
        left = {each["run_id"] for each in kept.body["undone"] if each["stops"] or each["reason"] == "no_stop"}
        given = {each["run_id"] for each in pieces}
        splits = [("run.split", {name: each[name] for name in ("run_id", "to_run")} | _what(each)) for each in pieces]
        names = ("run_id", "to_run", "stop_ids", "known_face")
        told = {
            "cover_id": kept.id,
            "on": kept.day.isoformat(),
            "pieces": [{name: each[name] for name in names} for each in pieces if each["stop_ids"]],
            "covered": sorted(given - left),
            "not_served": sorted(left),
        }
        items = [self._command(kept, *each, by=by) for each in [*splits, ("cover.confirmed", told)]]
        outcome = await self.commands.writer.submit(Submission(items))
        refused = [each for each in outcome.results if each.status != "accepted"]
        if refused:
            raise ProposalStale(changed=[{"what": each.reason or each.status} for each in refused])
        return {
            "proposal_id": kept.id,
            "covered": told["covered"],
            "not_served": told["not_served"],
            "pieces": len(pieces),
            "undone": kept.body["undone"],
        }

    def _command(self, kept: Kept, name: str, data: Mapping[str, Any], *, by: Actor) -> Incoming:
        handler, kind = self.commands.registry.by_type[name]
        clean = validated(kind.payload, orjson.dumps(data))
        return self.commands.build(handler, kind.payload, name, clean, actor=by, site=kept.site, run=data.get("run_id"))


def _what(piece: Mapping[str, Any]) -> dict[str, Any]:
    return {"stop_ids": piece["stop_ids"]} if piece["stop_ids"] else {"task_ids": piece["tasks"]}


def _proposed(day: CoverDay, rules: Rules, limit_s: float) -> tuple[dict[str, Any], float, str]:
    """Lay out, solve and tell; how long it took is the solver's own word."""
    problem = lay(day.uncovered, day.present, rules)
    found = solve(problem, limit_s=limit_s)
    told = Telling(problem, found.plan, day.origin, day.carriers).answer(day.without_stop)
    return told, round(found.seconds, 3), found.method


def _without_names(found: Mapping[str, Any]) -> dict[str, Any]:
    pieces = [{name: value for name, value in each.items() if name != "carrier"} for each in found["pieces"]]
    return {"pieces": pieces, "undone": found["undone"]}


def _marks(every: Sequence[DayRun], kept: Kept, uncovered: Sequence[str]) -> dict[str, Any]:
    """Note how the runs stand: of uncovered ones the sheet, of the others only that the same person walks them."""
    takers = {each["to_run"] for each in kept.body["pieces"]}
    return {
        "uncovered": {each.id: each.sheet_version for each in every if each.id in set(uncovered)},
        "taking": {each.id: _mark(kept.id, each) for each in every if each.id in takers},
    }


def _mark(proposal_id: str, run: DayRun) -> str:
    return hashlib.sha256(f"{proposal_id} {run.id} {run.carrier}".encode()).hexdigest()[:16]


def _check(every: Sequence[DayRun], kept: Kept, *, today: date) -> None:
    changed = _changed(every, kept) if kept.day >= today else [{"what": "day_over"}]
    if changed:
        raise ProposalStale(changed=changed)


def _changed(every: Sequence[DayRun], kept: Kept) -> list[dict[str, str]]:
    """List what is different since the proposal, by run."""
    now, found = {each.id: each for each in every}, []
    for run_id, version in kept.marks["uncovered"].items():
        run = now.get(run_id)
        if run is None:
            found.append({"run_id": run_id, "what": "gone"})
        elif run.state in _GONE:
            found.append({"run_id": run_id, "what": "started"})
        elif run.carrier is not None and run_id not in kept.body["absent_runs"]:
            found.append({"run_id": run_id, "what": "covered"})
        elif run.sheet_version != version:
            found.append({"run_id": run_id, "what": "sheet_changed"})
    for run_id, mark in kept.marks["taking"].items():
        run = now.get(run_id)
        if run is None or run.state == "ended":
            found.append({"run_id": run_id, "what": "ended" if run else "gone"})
        elif _mark(kept.id, run) != mark:
            found.append({"run_id": run_id, "what": "carrier_changed"})
    return found
