"""Ended runs teach how long the stops of their round take: each run once, some hours after its end, whatever restarts.

By then a phone that was away has told its way. A run that was seen too badly, or whose round was changed since it began,
teaches nothing; it is marked as taken in all the same.
"""

import asyncio

from fieldsvc.errors import FieldsvcError
from fieldsvc.logs import get_logger
from fieldsvc.store import learned_time as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.learned_time import Claimed, Row
from fieldsvc.tracking.eta import ROWS_MOST, known, sightings, today_of
from fieldsvc.work.rounds import RoundStore, run_of_id
from geo.errors import EmptyRound
from geo.learning import learn
from geo.rounds import Round
from geo.visits import course_of

log = get_logger()
SETTLED_S, EVERY_S, AT_ONCE = 10_800.0, 300.0, 500


class Learning:
    """Takes ended runs in."""

    def __init__(self, database: Database, rounds: RoundStore, *, settled_s: float = SETTLED_S) -> None:
        self._database = database
        self._rounds = rounds
        self._settled_s = settled_s

    async def run(self) -> None:
        """Take in what ended, again every five minutes, until cancelled."""
        while True:
            try:
                taught = await self.take()
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("times.not_learned", error=type(error).__name__)
            else:
                if taught:
                    log.info("times.learned", count=taught)
            await asyncio.sleep(EVERY_S)

    async def take(self) -> int:
        """Take in what ended long enough ago, one run after the other; return from how many something was learned."""
        taught = 0
        while waiting := await store.waiting(self._database, self._settled_s, AT_ONCE):
            for run_id in waiting:
                taught += await self.take_run(run_id)
        return taught

    async def take_run(self, run_id: str) -> bool:
        """Take one run in, unless that is done; tell whether something was learned from it."""
        named = run_of_id(run_id)
        planned = await self._rounds.known_round(named[1]) if named else None
        async with store.claimed(self._database, run_id) as claimed:
            if claimed is None or planned is None or not claimed.is_as_planned:
                return False
            rows = await claimed.rows(limit=ROWS_MOST)
            body = await asyncio.to_thread(_learned, planned.stored.round, claimed, rows)
            if body is None:
                return False
            await claimed.save(body)
        return True


def _learned(planned: Round, claimed: Claimed, rows: list[Row]) -> bytes | None:
    """Return what is known of a round with one more day; None if that day teaches nothing."""
    if not rows:
        return None
    try:
        course = course_of(planned, sightings(planned, rows), ended=True)
        moved = learn(planned, known(claimed.learned), course, today_of(claimed.duty, rows[-1].at))
    except EmptyRound:
        return None
    return moved.to_bytes() if moved else None
