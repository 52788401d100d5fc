"""Runs that seem to be on another round than their own: noticed beside the taking of fixes, and told to the journal.

Taking fixes only counts how many of a run's were off its round. When many were, the run is followed: its next fixes wait
here, in memory and for seconds, until they were held against the other rounds of its site (`geo.which_round`), and are
forgotten. What stays of them are distances along planned lines and sums; a restart loses these, without harm.

Everything is bounded, and nobody waits for it: when there is too much to follow, the oldest is let go. Whoever notices it,
and however often, the run's own story says it once for each other round.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.logs import get_logger
from fieldsvc.store import live
from fieldsvc.store import run as runs
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.progress import Progress
from fieldsvc.store.recent import Recent
from fieldsvc.work.rounds import RunPlan
from fieldsvc.work.runs import Sender
from geo import Fix
from geo.matching import AT_STOP, OFF_ROUND, ON_ROUND
from geo.round_evidence import Evidence
from geo.which_round import RoundFinder, Suspected
from handlers.fields import format_time

log = get_logger()
OFF_FROM = 10
_OFF_MOST, _ON_MOST = 30, 60
_ON_NATS = 3.0  # what a fix on its own round speaks for it, about
RUNS_COUNTED, RUNS_FOLLOWED = 100_000, 500
UPLOADS_WAITING, FIXES_OF_ONE = 1_000, 240
SITES_KEPT, SITE_S, ROUNDS_MOST = 16, 600.0, 600


@dataclass(slots=True)
class _Count:
    """How many fixes of a run were on its round, and off it lately: each on it takes one of those away."""

    on: int = 0
    off: int = 0

    def add(self, found: Sequence[Progress]) -> None:
        for each in found:
            if each.status in (ON_ROUND, AT_STOP):
                self.on, self.off = min(self.on + 1, _ON_MOST), max(self.off - 1, 0)
            elif each.status == OFF_ROUND:
                self.off = min(self.off + 1, _OFF_MOST)


@dataclass(slots=True)
class _Followed:
    """What is known of a run that is followed, and which other rounds were suspected already."""

    finder: RoundFinder
    evidence: Evidence
    told: set[str] = field(default_factory=set)


class Watcher:
    """Notices wrong rounds for a tracker; `run` is its job."""

    def __init__(self, database: Database, commands: Sender) -> None:
        self._database = database
        self._commands = commands
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._followed: OrderedDict[str, _Followed] = OrderedDict()
        self._waiting: deque[tuple[RunPlan, Sequence[Fix]]] = deque(maxlen=UPLOADS_WAITING)
        self._finders: Recent[str, RoundFinder] = Recent(size=SITES_KEPT, ttl_s=SITE_S, clock=monotonic)
        self._something = asyncio.Event()

    def note(self, plan: RunPlan, fixes: Sequence[Fix], found: Sequence[Progress]) -> None:
        """Hear of fixes that were taken and what became of each; never waits."""
        count = self._counts.get(plan.run_id)
        if count is None:
            count = self._counts[plan.run_id] = _Count()
            if len(self._counts) > RUNS_COUNTED:
                self._counts.popitem(last=False)
        count.add(found)
        if count.off >= OFF_FROM or (count.off and plan.run_id in self._followed):
            self._waiting.append((plan, fixes[-FIXES_OF_ONE:]))
            self._something.set()
        elif not count.off:
            self._followed.pop(plan.run_id, None)

    def settle(self, run_id: str) -> None:
        """Hear that a run served a stop of its own round: it is not on another one."""
        count = self._counts.get(run_id)
        if count is not None:
            count.off = 0
        self._followed.pop(run_id, None)

    async def run(self) -> None:
        """Follow what was noted, until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Follow what waits; what cannot be told now is told with a later fix."""
        while self._waiting:
            plan, fixes = self._waiting.popleft()
            try:
                await self.follow(plan, fixes)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("mismatch.not_followed", run=plan.run_id, error=type(error).__name__)

    async def follow(self, plan: RunPlan, fixes: Sequence[Fix]) -> None:
        """Hold fixes of a run against the rounds of its site, and tell the journal when another round is suspected."""
        finder = await self._finder(plan.site)
        if plan.round_id not in finder or len(finder) < 2:
            return
        known = self._known(plan, finder)
        evidence, suspected = await asyncio.to_thread(_followed_on, finder, known.evidence, fixes)
        known.evidence = evidence
        if suspected is not None and suspected.round_id not in known.told and evidence.at is not None:
            await self._tell(plan, suspected, evidence.at)
            known.told.add(suspected.round_id)

    def _known(self, plan: RunPlan, finder: RoundFinder) -> _Followed:
        """Find what is known of a run, or begin with what spoke for its own round so far; anew after an import."""
        known = self._followed.get(plan.run_id)
        if known is None or known.finder is not finder:
            count = self._counts.get(plan.run_id) or _Count()
            told = known.told if known is not None else set()
            begun = finder.start(plan.round_id, known_nats=_ON_NATS * count.on)
            known = self._followed[plan.run_id] = _Followed(finder, begun, told)
        self._followed.move_to_end(plan.run_id)
        while len(self._followed) > RUNS_FOLLOWED:
            self._followed.popitem(last=False)
        return known

    async def _finder(self, site: str) -> RoundFinder:
        """Find the rounds of a site, read anew after ten minutes; none of a site with more than 600."""
        finder = self._finders.get(site)
        if finder is None:
            since = monotonic()
            rounds = await live.rounds_of(self._database, site)
            finder = await asyncio.to_thread(RoundFinder.from_rounds, rounds if len(rounds) <= ROUNDS_MOST else ())
            self._finders.put(site, finder, since=since)
        return finder

    async def _tell(self, plan: RunPlan, suspected: Suspected, at: datetime) -> None:
        """Say it, unless the run's story has said it: another process may have, or this one before it was started again."""
        if suspected.round_id in _suspected_in(await runs.decided(self._database, plan.run_id)):
            return
        data = {
            "run_id": plan.run_id,
            "round_id": plan.round_id,
            "suspected_round_id": suspected.round_id,
            "confidence": round(suspected.confidence, 3),
            "since": format_time(suspected.since),
        }
        await self._commands.send("run.mismatch_suspected", data, site=plan.site, run=plan.run_id, occurred_at=at)
        log.info("mismatch.suspected", run=plan.run_id)


def _followed_on(finder: RoundFinder, evidence: Evidence, fixes: Sequence[Fix]) -> tuple[Evidence, Suspected | None]:
    """Take fixes one after the other; return the evidence, and what was suspected at any of them."""
    suspected = None
    for fix in fixes:
        evidence = finder.update(evidence, fix)
        suspected = suspected or finder.mismatch(evidence)
    return evidence, suspected


def _suspected_in(body: bytes | None) -> set[str]:
    """Name the rounds that a run's story has as suspected."""
    facts = orjson.loads(body)["facts"] if body is not None else []
    return {row[3]["suspected_round_id"] for row in facts if row[2] == "run.mismatch_suspected"}
