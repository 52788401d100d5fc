"""V01, V02, V18: nothing off duty, in a pause or on a mandate is stored, whatever a phone sends.

`FIELDSVC_POINTS=1000000 pytest tests/privacy/test_duty.py` runs the long form.
"""

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.tracking.duty import read_duty
from handlers.alerting import NAME as ALERT_TAKEN
from handlers.registry import Registry
from handlers.run import PAUSED, RESUMED
from handlers.story import Actor, Event, State
from tests.tracking.conftest import EIGHT, Street, after, fix

POINTS, UPLOAD = int(os.environ.get("FIELDSVC_POINTS", "20000")), 1_000
SHIFT = ((600, 3_600), (4_500, 7_200), (7_201, 7_260), (9_000, 12_600))  # seconds after eight, pauses between
EDGES = [edge for interval in SHIFT for edge in interval]


def moments(rng: random.Random, count: int) -> list[int]:
    """Milliseconds after eight: most within seconds of an edge, on it or one beside it; the rest anywhere in the day."""
    beside = (-1, 0, 1)
    return [
        rng.choice(EDGES) * 1_000 + rng.choice((*beside, rng.randint(-20_000, 20_000)))
        if rng.random() < 0.8
        else rng.randint(0, 13_500_000)
        for _ in range(count)
    ]


def on_duty(ms: int) -> bool:
    return any(first * 1_000 <= ms < until * 1_000 for first, until in SHIFT)


async def test_of_many_fixes_around_the_edges_of_duty_none_is_stored_outside_it(
    street: Street, note: Callable[[str], None]
) -> None:
    rng, sent, outside, counted = random.Random(8), 0, 0, 0
    async with street.database.acquire() as connection:
        await make_partitions(connection, datetime.now(UTC), keep_tracks_days=1)
    tracker = street.tracker(keep_tracks_days=1)  # the operator's exception, so that every fix on duty leaves a row
    expected: set[int] = set()
    for _ in range(0, POINTS, UPLOAD):
        walked = moments(rng, UPLOAD)
        if sent % 50_000 == 0:
            await street.walk(*((after(first), after(until)) for first, until in SHIFT))
            expected.clear()
        taken = await street.take(*(fix(ms / 1_000, ms / 13_500) for ms in walked), by=tracker)
        expected |= {ms for ms in walked if on_duty(ms)}
        sent, outside = sent + len(walked), outside + sum(not on_duty(ms) for ms in walked)
        counted += taken.off_duty_discarded
        assert await _stored(street, "track") == expected
        assert await _stored(street, "progress") <= expected
    assert counted == outside > POINTS // 4
    note(f"V01: of {sent:,} fixes around the edges of duty {outside:,} were off duty; stored of these: 0")


async def _stored(street: Street, table: str) -> set[int]:
    rows = await street.fetch(f"select at from {table} where run = $1", street.run)
    return {round((row["at"] - EIGHT) / timedelta(milliseconds=1)) for row in rows}


def say(run: Any, known: dict[str, Any] | None, name: str, minute: int, **data: Any) -> Any:
    at = EIGHT + timedelta(minutes=minute)
    said = {"run_id": "run-2026-11-21-T07", **data}
    event = Event(UUID(int=minute + 1), name, "run/run-2026-11-21-T07", at, said, Actor("device"), site="pantin")
    return run.decide(State(known), event, at)


def test_a_pause_asks_for_no_reason_keeps_its_times_and_alerts_nobody(registry: Registry) -> None:
    run, body, said = registry.handlers["run"], None, []
    for minute, name in enumerate(("run.started", "run.paused", "run.resumed", "run.paused", "run.ended")):
        decision = say(run, body, name, minute * 30)
        body = dict(decision.new_state)
        said += decision.public_events
        if name == "run.paused":
            assert not decision.timers or all(each.kind != "rung" for each in decision.timers)
            assert not [write for write in decision.writes if write.query.startswith(("alert.", "alarm."))]
    alerting = {each.name for each in run.publishes if each.alert}
    assert not alerting & {each.type for each in said}
    assert ALERT_TAKEN not in {each.type for each in said}
    for pause in (PAUSED, RESUMED):
        assert set(pause.payload.model_fields) == {"run_id", "stop_id", "recorded_from"}, "no reason can be given"
    assert body is not None
    times = [[first[11:16], until[11:16]] for first, until in body["now"]["intervals"]]
    assert times == [["08:00", "08:30"], ["09:00", "09:30"]]


async def test_on_a_mandate_every_fix_is_dropped(street: Street, registry: Registry) -> None:
    decision = say(registry.handlers["run"], None, "run.started", 0, duty="mandate")
    body = orjson.dumps(decision.new_state)
    assert read_duty(body).intervals == ()
    await street.fetch("update state set body = $1 where subject = $2", body, f"run/{street.run}")
    taken = await street.take(*(fix(seconds) for seconds in range(0, 3_600, 30)))
    assert taken.off_duty_discarded == 120
    assert await street.progress() == []
    assert await street.state() is None
