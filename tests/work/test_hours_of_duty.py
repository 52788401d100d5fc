"""Runs that start and end by the clock, for phones that cannot say so."""

import asyncio
from datetime import UTC, datetime, time, timedelta

import orjson
import pytest
from pydantic import ValidationError

from fieldsvc.settings import Settings, read_hours
from fieldsvc.tracking.duty import read_duty
from fieldsvc.work.imports import import_roster
from fieldsvc.work.runs import Runs
from tests.work.conftest import PARIS, TODAY, Office

HOURS = time(7, 0), time(14, 30)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime.combine(TODAY, time(hour, minute), PARIS).astimezone(UTC)


def run(round_id: str) -> str:
    return f"run-{TODAY}-{round_id}"


async def _planned(office: Office, *rows: str) -> None:
    await import_roster(office.database, ["date,round_id,carrier\n", *(f"{TODAY},{row}\n" for row in rows)])
    await office.runs.plan_day(TODAY)


async def _duty(office: Office, round_id: str) -> list[tuple[datetime, datetime]]:
    body = await office.value("select body from state where handler = 'run' and subject = $1", f"run/{run(round_id)}")
    assert isinstance(body, bytes)
    return list(read_duty(body).intervals)


async def _state(office: Office, round_id: str) -> object:
    return await office.value("select state from run where id = $1", run(round_id))


async def test_covered_runs_start_and_end_at_the_hours_and_others_do_not(office: Office) -> None:
    await _planned(office, "T01,Zoé", "T02,")
    assert await office.runs.keep_hours(HOURS, at(6, 59)) == 0
    assert await office.runs.keep_hours(HOURS, at(7, 3)) == 1
    assert await office.runs.keep_hours(HOURS, at(14, 29)) == 0
    assert (await _state(office, "T01"), await _state(office, "T02")) == ("started", "planned")
    assert await office.runs.keep_hours(HOURS, at(14, 34)) == 1
    assert await office.said(f"run/{run('T01')}") == ["run.planned", "run.started", "run.ended"]
    assert await _duty(office, "T01") == [(at(7), at(14, 30))]
    assert (await _state(office, "T01"), await _state(office, "T02")) == ("ended", "planned")


async def test_a_service_that_was_down_all_day_says_both_hours_at_once(office: Office) -> None:
    await _planned(office, "T01,Zoé")
    assert await office.runs.keep_hours(HOURS, at(20)) == 2
    assert await _duty(office, "T01") == [(at(7), at(14, 30))]


async def test_what_a_phone_has_said_is_not_said_again(office: Office) -> None:
    await _planned(office, "T01,Zoé", "T02,Léo")
    for name, round_id, hour in (("run.started", "T01", 6), ("run.started", "T02", 6), ("run.ended", "T02", 13)):
        await office.commands.send(name, {"run_id": run(round_id)}, run=run(round_id), occurred_at=at(hour))
    assert await office.runs.keep_hours(HOURS, at(15)) == 1
    assert await _duty(office, "T01") == [(at(6), at(14, 30))]
    assert await _duty(office, "T02") == [(at(6), at(13))]


async def test_two_processes_say_an_hour_once(office: Office) -> None:
    await _planned(office, "T01,Zoé", "T02,Léo")
    processes = [Runs(office.database, office.commands, PARIS) for _ in range(4)]
    assert sum(await asyncio.gather(*(each.keep_hours(HOURS, at(8)) for each in processes))) == 2
    assert await office.said(f"run/{run('T01')}") == ["run.planned", "run.started"]


async def test_the_state_of_a_run_is_written_with_the_moment_of_the_write(office: Office) -> None:
    await _planned(office, "T01,Zoé")
    before = await office.value("select changed_at from run where id = $1", run("T01"))
    await office.runs.keep_hours(HOURS, at(8))
    after = await office.value("select changed_at from run where id = $1", run("T01"))
    assert isinstance(before, datetime)
    assert isinstance(after, datetime)
    assert before < after < datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.parametrize(
    "text", ["7", "07:00", "07:00-", "14:30-07:00", "07:00-07:00", "07:00-25:00", "a-b", "07:00Z-08:00Z"]
)
def test_hours_that_are_none_are_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(duty_hours=text)


def test_hours_are_empty_or_a_start_and_an_end() -> None:
    assert read_hours("") is None
    assert read_hours(" 07:00 - 14:30 ") == Settings(duty_hours="07:00-14:30").hours == HOURS


def test_a_run_without_facts_has_no_duty() -> None:
    for body in (None, b"{}", orjson.dumps({"now": {}}), orjson.dumps({"now": {"intervals": []}})):
        assert read_duty(body).intervals == ()
