"""What the journal tells tracking: scans and served stops, and duty that was told late."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from fieldsvc.journal.reader import Row
from fieldsvc.store import progress
from fieldsvc.store.progress import LockedRun, LockedRuns
from fieldsvc.tracking import turns
from fieldsvc.tracking.anchors import duties_in, visits_in
from fieldsvc.tracking.tracker import Taken, Visit
from tests.tracking.conftest import DAY, EIGHT, NOON, RIGHT_TO_M, Street, after, fix


def visit(seconds: float, stop_id: str) -> Visit:
    return Visit(stop_id, after(seconds), NOON)


def row(type_: str = "item.delivered", subject: str = "item/A", run: str | None = "run-1", **located: Any) -> Row:
    public = orjson.dumps({"public": {"located": located} if located else {}})
    return Row(DAY, 0, 1, uuid4(), 0, type_, subject, 1, None, "pantin", run, EIGHT, NOON, public)


async def test_a_scan_puts_the_run_at_its_stop(street: Street) -> None:
    await street.take(fix(0), fix(60))
    assert await street.tracker().anchor(street.run, [visit(120, "s5")]) == 1
    assert (await street.places())[-1] == (120, 500, "at_stop")
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["status"]) == (after(120), "at_stop")
    assert state["distance_along_m"] == pytest.approx(500, abs=RIGHT_TO_M)
    await street.take(fix(150, 510))
    assert (await street.places())[-1] == (150, 510, "on_round")


async def test_an_older_scan_gives_progress_and_does_not_move_the_run_back(street: Street) -> None:
    await street.take(fix(0), fix(600))
    assert await street.tracker().anchor(street.run, [visit(310, "s3")]) == 1
    assert (310, 300, "at_stop") in await street.places()
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["status"]) == (after(600), "on_round")
    assert await street.take(fix(630)) == Taken(taken=1)


async def test_a_scan_counts_more_than_a_fix_of_the_same_moment(street: Street) -> None:
    await street.take(fix(0), fix(60))
    await street.tracker().anchor(street.run, [visit(60, "s2")])
    assert await street.places() == [(0, 0, "on_round"), (60, 200, "at_stop")]


async def test_the_same_visits_told_by_two_processes_change_nothing_more(street: Street) -> None:
    visits = [visit(seconds, f"s{seconds // 100}") for seconds in range(0, 1_000, 100)]
    first, second = street.tracker(), street.tracker()
    told = await asyncio.gather(first.anchor(street.run, visits), second.anchor(street.run, visits))
    assert sum(told) == len(visits)
    before = await street.state()
    assert await first.anchor(street.run, reversed(visits)) == 0
    assert await street.state() == before
    assert await street.moments() == list(range(0, 1_000, 100))


async def test_visits_off_duty_of_other_days_or_at_unknown_stops_are_not_kept(street: Street) -> None:
    await street.walk((after(100), after(200)))
    tracker = street.tracker()
    fit = visit(150, "s1")
    unfit = [
        visit(50, "s1"),
        visit(200, "s1"),
        visit(150, "s99"),
        replace(fit, received_at=EIGHT + timedelta(days=7, seconds=151)),
        replace(fit, received_at=EIGHT - timedelta(minutes=3)),
    ]
    assert await tracker.anchor(street.run, unfit) == 0
    assert await tracker.anchor("run-2099-01-01-T07", [fit]) == await tracker.anchor("no run", [fit]) == 0
    street.rounds.runs += ("run-2099-01-01-T07",)  # a phone may name any day
    assert await tracker.anchor("run-2099-01-01-T07", [fit]) == 0
    assert await street.state() is None
    assert await tracker.anchor(street.run, [fit]) == 1


async def test_where_a_scan_was_is_remembered_like_a_fix(street: Street) -> None:
    tracker = street.tracker()
    await tracker.anchor(street.run, [visit(60, "s3")])
    assert tracker.place(street.run, after(90)) == (after(60), pytest.approx(300, abs=1))


async def test_progress_in_a_pause_that_is_told_late_is_taken_back(street: Street) -> None:
    tracker = street.tracker(keep_tracks_days=1)
    await street.fetch("select make_days_of('track', $1, 2)", DAY)
    await street.take(*(fix(seconds) for seconds in range(0, 300, 30)), by=tracker)
    await street.set_duty((EIGHT, after(120)))
    assert await tracker.withdraw(street.run) == 6
    assert await street.moments() == [0, 30, 60, 90]
    assert len(await street.fetch("select at from track")) == 4
    state = await street.state()
    assert state is not None
    assert (state["distance_along_m"], state["through_at"]) == (pytest.approx(90, abs=RIGHT_TO_M), after(90))
    assert tracker.newest(street.run, after(200)) is None
    await street.set_duty((EIGHT, after(120)), (after(280), None))
    assert await street.take(fix(285, 281), by=tracker) == Taken(taken=1)
    assert (await street.places())[-1] == (285, 280, "on_round")


async def test_what_is_taken_back_leaves_the_newest_moment_that_remains_also_one_off_the_round(street: Street) -> None:
    await street.take(fix(0), fix(30), fix(60, beside_m=400), fix(90, beside_m=400), fix(300), fix(330))
    await street.set_duty((EIGHT, after(120)), (after(200), after(250)))
    assert await street.tracker().withdraw(street.run) == 2
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["distance_along_m"]) == (after(90), pytest.approx(30, abs=RIGHT_TO_M))
    await street.set_duty((EIGHT, after(120)), (after(200), None))
    assert await street.take(fix(210)) == Taken(taken=1)
    await street.set_duty()
    assert await street.tracker().withdraw(street.run) == 5
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["distance_along_m"], state["status"]) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("first", "step", "too_many"),
    [
        ("fixes", "unknown", 0),
        ("fixes", "begin", 0),
        ("fixes", "write", 16),
        ("fixes alone", "begin", 0),
        ("fixes alone", "with_duty", 16),
        ("fixes alone", "add", 16),
        ("visits", "begin", 0),
        ("visits", "move", 16),
    ],
)
async def test_an_end_told_while_the_first_of_a_run_is_taken_leaves_nothing_off_duty(
    street: Street, monkeypatch: pytest.MonkeyPatch, first: str, step: str, too_many: int
) -> None:
    one, other = street.tracker(), street.tracker()
    locked: type[Any] = LockedRuns if first == "fixes" else LockedRun
    there, go_on, real = asyncio.Event(), asyncio.Event(), getattr(locked, step)

    async def held(run: Any, *args: Any, **more: Any) -> Any:
        """Hold before there is a row, or else with what was read and written and is not committed."""
        found = None if step == "begin" else await real(run, *args, **more)
        there.set()
        await go_on.wait()
        return await real(run, *args, **more) if step == "begin" else found

    monkeypatch.setattr(locked, step, held)
    if first == "fixes alone":
        monkeypatch.setattr(turns, "IN_A_THREAD", 0)
    moments = range(0, 600, 30)
    taking: asyncio.Task[Any] = asyncio.create_task(
        one.anchor(street.run, [visit(seconds, f"s{seconds // 30}") for seconds in moments])
        if first == "visits"
        else street.take(*map(fix, moments), by=one)
    )
    await asyncio.wait_for(there.wait(), 5)
    await street.set_duty((EIGHT, after(120)))
    taking_back = asyncio.create_task(other.withdraw(street.run))
    await _one_waits(street)
    monkeypatch.undo()
    go_on.set()
    await taking
    assert await taking_back == too_many
    assert await street.moments() == [0, 30, 60, 90]
    state = await street.state()
    assert state is not None
    assert state["through_at"] == after(90)


async def _one_waits(street: Street) -> None:
    """Wait until a connection waits for a lock that another holds."""
    asked = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(4):  # PostgreSQL ends the one that holds it, idle as it is, after five seconds
        while not await street.fetch(asked):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.01)


async def test_a_run_of_which_nothing_is_known_is_not_begun_by_taking_back(street: Street) -> None:
    assert await street.tracker().withdraw(street.run) == 0
    assert await street.state() is None


async def test_where_duty_is_as_it_was_nothing_is_taken_back(street: Street) -> None:
    await street.take(fix(0), fix(30))
    before = await street.state()
    assert await street.tracker().withdraw(street.run) == 0
    assert await street.state() == before
    for run_id in ("no run", f"run-{DAY}-T99", "run-2099-01-01-T07"):
        assert await street.tracker().withdraw(run_id) == 0


def test_only_scans_and_named_stops_of_a_run_are_visits() -> None:
    rows = [
        row(stop_id="s1", method="scan"),
        row(stop_id="s2", method="stop", run="run-2"),
        row(stop_id="s3", method="match"),
        row(stop_id="s4", method="geocode"),
        row(stop_id=None, method="scan"),
        row(stop_id="s5", method="scan", run=None),
        row(),
        row(stop_id="s6", method="stop"),
    ]
    found = visits_in(rows)
    assert {run: [each.stop_id for each in visits] for run, visits in found.items()} == {"run-1": ["s1", "s6"], "run-2": ["s2"]}  # fmt: skip
    assert (found["run-2"][0].at, found["run-2"][0].received_at) == (EIGHT, NOON)


def test_the_facts_of_duty_name_their_runs_once() -> None:
    rows = [
        row("run.started", "run/a"),
        row("run.paused", "run/b"),
        row("run.ended", "run/a"),
        row("run.planned", "run/c"),
    ]
    rows += [row("event.corrected", "run/d"), row("event.corrected", "item/A"), row("item.delivered", "item/A")]
    assert duties_in(rows) == ["a", "b", "d"]


async def test_duty_of_many_runs_is_held_at_once_where_nothing_is_known_and_taken_back_where_something_is(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = street.run
    await street.take(*map(fix, range(0, 300, 30)))
    await street.set_duty((EIGHT, after(120)))
    began, alone = [f"run-{DAY}-T07.{900 + number}" for number in range(40)], list[str]()
    real = progress.locked

    def noted(database: Any, run_id: str, day: Any) -> Any:
        alone.append(run_id)
        return real(database, run_id, day)

    monkeypatch.setattr(progress, "locked", noted)
    await street.tracker().withdraw_several([*began, known])
    assert alone == [known]
    assert await street.moments() == [0, 30, 60, 90]
    await street.tracker().withdraw_several([])


async def test_an_end_of_many_that_is_told_while_the_first_of_one_is_taken_waits_for_it(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = street.tracker(), street.tracker()
    there, go_on, real = asyncio.Event(), asyncio.Event(), LockedRuns.write

    async def held(runs: LockedRuns) -> None:
        await real(runs)
        there.set()
        await go_on.wait()

    monkeypatch.setattr(LockedRuns, "write", held)
    taking = asyncio.create_task(street.take(*map(fix, range(0, 600, 30)), by=one))
    await asyncio.wait_for(there.wait(), 5)
    await street.set_duty((EIGHT, after(120)))
    taking_back = asyncio.create_task(other.withdraw_several([f"run-{DAY}-T07.999", street.run]))
    await _one_waits(street)
    monkeypatch.undo()
    go_on.set()
    await asyncio.gather(taking, taking_back)
    assert await street.moments() == [0, 30, 60, 90]
