"""What becomes of fixes."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import asyncpg
import pytest

from fieldsvc.errors import Unavailable
from fieldsvc.store import progress
from fieldsvc.store.database import DATABASE_ERRORS, Database, is_unreachable
from fieldsvc.store.progress import LockedRun, LockedRuns
from fieldsvc.tracking import turns as turns_module
from fieldsvc.tracking.steps import advance
from fieldsvc.tracking.tracker import Taken
from fieldsvc.tracking.turns import Turn, Turns
from geo import Fix, Matcher, Round
from tests.tracking.conftest import DAY, DEVICE, EIGHT, LAT, LON, NOON, RIGHT_TO_M, Street, after, fix


async def test_fixes_become_metres_along_the_line(street: Street) -> None:
    assert await street.take(fix(0), fix(30), fix(60)) == Taken(taken=3)
    assert await street.places() == [(0, 0, "on_round"), (30, 30, "on_round"), (60, 60, "on_round")]
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["status"], state["day"]) == (after(60), "on_round", DAY)
    assert state["distance_along_m"] == pytest.approx(60, abs=RIGHT_TO_M)


async def test_a_fix_sent_again_is_a_duplicate_and_changes_nothing(street: Street) -> None:
    await street.take(fix(0), fix(30))
    before = await street.state()
    assert await street.take(fix(30), fix(0), fix(30)) == Taken(duplicate=3)
    assert await street.state() == before
    assert await street.take(fix(60), fix(60)) == Taken(taken=1, duplicate=1)


async def test_fixes_closer_than_ten_seconds_are_thinned(street: Street) -> None:
    assert await street.take(*(fix(seconds) for seconds in range(0, 60, 3))) == Taken(taken=5, thinned=15)
    assert await street.moments() == [0, 12, 24, 36, 48]
    assert await street.take(fix(57.9), fix(58)) == Taken(taken=1, thinned=1)


async def test_late_fixes_give_progress_and_move_nothing(street: Street) -> None:
    await street.take(fix(0), fix(600))
    before = await street.state()
    assert await street.take(fix(300), fix(330, 900)) == Taken(late=2)
    assert await street.state() == before
    assert await street.moments() == [0, 300, 330, 600]
    assert await street.take(fix(630)) == Taken(taken=1)


async def test_a_late_fix_is_placed_by_the_progress_before_it(street: Street) -> None:
    half, back = 1_000.0, Round("T07", ((LON, LAT), (LON + 0.0137, LAT), (LON, LAT)), (), "pantin")
    street.rounds.planned = back
    await street.take(fix(0, half - 60), fix(60, half), fix(120, half - 60), fix(600, 500))
    await street.take(fix(240, half - 150))
    on_the_way_back = 2 * 0.0137 * 73_120 - (half - 150)
    assert (await street.progress())[3]["distance_along_m"] == pytest.approx(on_the_way_back, abs=10)


async def test_off_the_round_progress_has_no_distance_and_the_run_keeps_its_last_place(street: Street) -> None:
    await street.take(fix(0), fix(30), fix(60, beside_m=400), fix(90, beside_m=400))
    assert await street.places() == [(0, 0, "on_round"), (30, 30, "on_round"), (60, None, "unknown"), (90, None, "off_round")]  # fmt: skip
    state = await street.state()
    assert state is not None
    assert (state["status"], state["through_at"]) == ("off_round", after(90))
    assert state["distance_along_m"] == pytest.approx(30, abs=RIGHT_TO_M)


async def test_what_is_stored_for_the_matcher_is_small_and_holds_nothing_beside_the_line(street: Street) -> None:
    walked = [fix(seconds, beside_m=17.0 * (seconds % 60 > 0)) for seconds in range(0, 900, 30)]
    for each in walked:
        await street.take(each)
        state = await street.state()
        assert state is not None
        assert len(state["matcher"]) <= 1_024
        for known in Matcher.state_from_bytes(state["matcher"].partition(b" ")[2]).known:
            assert (known.point, known.link) == (None, None)
            assert known.belief.codes.dtype.kind == "i", "places of the line, by number"
            assert len(known.belief.codes) == len(known.belief.mass)


async def test_any_place_on_earth_is_taken(street: Street) -> None:
    places = [(90.0, 180.0), (-90.0, -180.0), (-LAT, LON + 180), (LAT, LON + 90), (0.0, 2.0)]
    for (lat, lon), accuracy_m in product(places, (5.0, 60.0, 3_000.0, None)):
        await street.walk()
        assert await street.take(fix(0), Fix(lat, lon, after(30), accuracy_m), fix(60)) == Taken(taken=3)
        assert (await street.progress())[1]["distance_along_m"] is None


async def test_a_round_without_a_line_gives_progress_without_a_place_or_at_its_one_place(street: Street) -> None:
    for line in ((), ((LON, LAT),), ((LON, LAT), (LON, LAT))):
        await street.walk()
        street.rounds.planned = Round("T07", line, (), "pantin")
        assert await street.take(fix(0), fix(30)) == Taken(taken=2)
        assert {row["distance_along_m"] for row in await street.progress()} <= {None, 0.0}


async def test_only_what_lies_between_start_and_end_and_in_no_pause_counts(street: Street) -> None:
    await street.walk((after(100), after(200)), (after(300), after(400)))
    fixes = [fix(seconds) for seconds in (0, 99, 100, 150, 199, 200, 250, 300, 399, 400, 500)]
    assert await street.take(*fixes) == Taken(taken=5, off_duty_discarded=6)
    assert await street.moments() == [100, 150, 199, 300, 399]


async def test_without_a_start_or_in_a_mandate_nothing_is_stored_at_all(street: Street) -> None:
    street.rounds.runs = (f"run-{DAY}-T08",)  # of which the journal knows nothing
    assert await street.take(fix(0), fix(30)) == Taken(off_duty_discarded=2)
    await street.set_duty()  # a mandate leaves no interval: handlers/run.py
    assert await street.take(fix(0), fix(30)) == Taken(off_duty_discarded=2)
    street.rounds.runs = ()
    assert await street.take(fix(0)) == Taken(off_duty_discarded=1)
    assert await street.fetch("select run from run_state union all select run from progress") == []


async def test_what_a_device_says_after_it_was_lost_does_not_count(street: Street) -> None:
    lost = replace(DEVICE, lost_at=after(60))
    assert await street.take(fix(30), fix(60), fix(90), device=lost) == Taken(taken=1, off_duty_discarded=2)


async def test_a_carrier_with_two_rounds_has_each_fix_on_the_one_that_was_on_duty(street: Street) -> None:
    second = await street.walk((after(1_000), None))
    first = await street.walk((EIGHT, after(900)))
    street.rounds.runs = (second, first)  # an ended run comes last
    assert await street.take(fix(0), fix(950), fix(1_200)) == Taken(taken=2, off_duty_discarded=1)
    told = await street.fetch("select run, at from progress order by at")
    assert [(row["run"], row["at"]) for row in told] == [(first, after(0)), (second, after(1_200))]


async def test_a_time_that_cannot_be_never_stops_the_run(street: Street) -> None:
    tracker = street.tracker()
    ahead = [Fix(LAT, LON, NOON + timedelta(minutes=5, seconds=1)), Fix(LAT, LON, NOON.replace(year=2099))]
    assert await street.take(*ahead, by=tracker) == Taken(off_duty_discarded=2)
    old = [Fix(LAT, LON, NOON - timedelta(days=7, seconds=1)), Fix(LAT, LON, NOON.replace(year=2000))]
    assert await street.take(*old, by=tracker) == Taken(late=2)
    assert await street.progress() == []
    assert await street.take(fix(0), by=tracker) == Taken(taken=1)


async def test_a_fix_of_a_clock_ahead_is_of_now_and_freezes_nobody(street: Street) -> None:
    noon_s = (NOON - EIGHT).total_seconds()
    ahead = [fix(noon_s + seconds, along_m=seconds) for seconds in (60, 280, 200)]
    assert await street.take(fix(noon_s - 30, 0), *ahead) == Taken(taken=2, duplicate=2)
    assert await street.moments() == [noon_s - 30, noon_s]
    assert (await street.places())[-1] == (noon_s, 280, "on_round")
    later = await street.tracker().take(DEVICE, [fix(noon_s + 20, 300)], received_at=NOON + timedelta(seconds=21))
    assert later == Taken(taken=1)
    state = await street.state()
    assert state is not None
    assert (state["through_at"], state["status"]) == (after(noon_s + 20), "on_round")


async def test_many_fixes_at_once_are_taken_like_few(street: Street) -> None:
    fixes = [fix(seconds) for seconds in range(0, 1_980, 20)]
    await street.take(*fixes)
    at_once = await street.places()
    await street.walk()
    for each in fixes:
        await street.take(each)
    assert await street.places() == at_once


async def test_a_changed_round_is_matched_anew(street: Street) -> None:
    await street.take(fix(0), fix(1_000))
    street.rounds.version = 2
    assert await street.take(fix(1_030, 300)) == Taken(taken=1)
    assert (await street.places())[-1] == (1_030, 300, "on_round")


async def test_a_matcher_state_that_cannot_be_read_is_begun_anew(street: Street) -> None:
    await street.take(fix(0), fix(500))
    for bad in (b"", b"1 ", b"1 {}", b"\xff\x00", b'1 {"v":1}'):
        await street.fetch("update run_state set matcher = $1", bad)
        assert await street.take(fix(530), fix(30)) in (Taken(taken=1, late=1), Taken(duplicate=2))
    assert await street.moments() == [0, 30, 500, 530]


async def test_two_processes_take_fixes_of_one_run_at_once(street: Street) -> None:
    trackers = [street.tracker(), street.tracker()]
    uploads = [[fix(seconds), fix(seconds + 10)] for seconds in range(0, 800, 10)]
    answers = await asyncio.gather(*(street.take(*each, by=trackers[n % 2]) for n, each in enumerate(uploads)))
    assert await street.moments() == list(range(0, 810, 10))
    stored = sum(answer.taken + answer.late for answer in answers)
    assert (stored, sum(answer.duplicate for answer in answers)) == (81, 79)
    state = await street.state()
    assert state is not None
    assert state["through_at"] == after(800)
    assert state["distance_along_m"] == pytest.approx(800, abs=RIGHT_TO_M)  # by itself, where it came before all others


async def test_a_run_that_somebody_holds_asks_for_the_upload_again(street: Street) -> None:
    await street.take(fix(0))
    async with street.database.acquire() as connection, connection.transaction():
        await connection.execute("select run from run_state for update")
        with pytest.raises(Unavailable):
            await street.take(fix(30))
    assert await street.take(fix(30)) == Taken(taken=1)


async def _killed(connection: asyncpg.Connection, street: Street) -> None:
    """Find what is written and not committed, and let the server end the session."""
    written = await connection.fetchrow("select max(at), max(version) from progress join run_state using (run)")
    assert written is not None
    assert (written[0], written[1]) == (after(30), 2)
    await street.fetch("select pg_terminate_backend($1)", connection.get_server_pid())
    await connection.fetchval("select pg_sleep(5)")


async def test_a_connection_lost_before_the_commit_leaves_neither_progress_nor_state(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    await street.take(fix(0))
    before = await street.state()

    async def killed_together(runs: LockedRuns) -> None:
        await write(runs)
        await _killed(runs._connection, street)

    async def killed_alone(run: LockedRun, *args: Any, **more: Any) -> None:
        await add(run, *args, **more)
        await _killed(run._connection, street)

    write, add = LockedRuns.write, LockedRun.add
    with monkeypatch.context() as patched:
        patched.setattr(LockedRuns, "write", killed_together)
        patched.setattr(LockedRun, "add", killed_alone)
        with pytest.raises(DATABASE_ERRORS) as fault:
            await street.take(fix(30))
        assert is_unreachable(fault.value)
        assert await street.state() == before
        assert await street.moments() == [0]
        patched.setattr(LockedRun, "add", add)
        assert await street.take(fix(30)) == Taken(taken=1), "alone, once together has failed"
    assert await street.moments() == [0, 30]


async def test_many_runs_are_taken_together_and_give_what_each_gives_alone(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, begun, together = Turns(street.database), list[Database](), progress.locked_together

    def noted(database: Database) -> Any:
        begun.append(database)
        return together(database)

    monkeypatch.setattr(progress, "locked_together", noted)
    names = [await street.walk() for _ in range(40)]
    plans = {name: replace(plan, run_id=name) for name in names if (plan := await street.rounds.bare_plan(street.run))}
    for seconds in (0, 60, 120):
        of_each = [
            Turn(plans[name], DAY, [fix(seconds + part, beside_m=400.0 * (n % 7 == 3 and seconds > 0)) for part in (0, 30)], after(seconds + 30))
            for n, name in enumerate(names)
        ]  # fmt: skip
        told = await asyncio.gather(*(turns.take(turn) for turn in of_each))
        assert [len(each.found.progress) for each in told if each.found] == [2] * 40
        again = await asyncio.gather(*(turns.take(turn) for turn in of_each[:5]))
        assert [each.sifted.duplicate for each in again] == [2] * 5
    assert len(begun) <= 12, "not one for each of 135 uploads"
    rows = await street.fetch("select run, at, distance_along_m, status from progress order by run, at")
    states = await street.fetch("select run, matcher, through_at, distance_along_m, status from run_state order by run")
    await street.fetch("delete from progress")
    await street.fetch("delete from run_state")
    for name in names:
        for seconds in (0, 60, 120):
            n = names.index(name)
            fixes = [fix(seconds + part, beside_m=400.0 * (n % 7 == 3 and seconds > 0)) for part in (0, 30)]
            await turns._alone(Turn(plans[name], DAY, fixes, after(seconds + 30)))
    assert rows == await street.fetch("select run, at, distance_along_m, status from progress order by run, at")
    assert states == await street.fetch(
        "select run, matcher, through_at, distance_along_m, status from run_state order by run"
    )


async def test_one_run_that_is_held_or_cannot_be_matched_keeps_no_other_back(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, names = Turns(street.database), [await street.walk() for _ in range(6)]
    plans = {name: replace(plan, run_id=name) for name in names if (plan := await street.rounds.bare_plan(street.run))}
    await asyncio.gather(*(turns.take(Turn(plans[name], DAY, [fix(0)], after(0))) for name in names))

    def failing(plan: Any, *rest: Any) -> Any:
        if plan.run_id == names[1]:
            raise ZeroDivisionError
        return advance(plan, *rest)

    monkeypatch.setattr(turns_module, "advance", failing)
    async with street.database.acquire() as connection, connection.transaction():
        await connection.execute("select run from run_state where run = $1 for update", names[4])
        told = await asyncio.gather(
            *(turns.take(Turn(plans[name], DAY, [fix(30)], after(30))) for name in names), return_exceptions=True
        )
    assert [type(each).__name__ for each in told] == [
        "Outcome", "ZeroDivisionError", "Outcome", "Outcome", "Unavailable", "Outcome",
    ]  # fmt: skip


async def test_where_a_run_was_is_remembered_for_events_without_a_scan(street: Street) -> None:
    tracker = street.tracker()
    await street.take(fix(0), fix(60), fix(120), fix(400, beside_m=500), by=tracker)
    near = {seconds: tracker.newest(street.run, after(seconds)) for seconds in (-30, 65, 130, 700, 720)}
    told = [metres if metres is None else pytest.approx(metres, abs=RIGHT_TO_M) for metres in near.values()]
    assert told == [0, 60, 120, 120, None]
    assert tracker.newest("run-2026-11-21-T99", EIGHT) is None
    assert street.tracker().newest(street.run, EIGHT) is None
