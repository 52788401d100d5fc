"""Stops of a run as supervisors see them, and what ended runs teach: once each, and nothing of anybody."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.store import learned_time
from fieldsvc.store.database import Database
from fieldsvc.tracking.eta import Forecasts, sightings, today_of
from fieldsvc.tracking.learning import Learning
from fieldsvc.work.rounds import RoundStore
from geo.learned_times import Learned
from geo.rounds import Round, Stop
from handlers.fields import format_time, parse_time

NOW = datetime.now(UTC)
DAY = NOW.date()
LAT, LON, METRE_LON = 48.9, 2.16, 1 / 73_170.0
LINE = ((LON, LAT), (LON + 1_000 * METRE_LON, LAT))
STOPS = tuple(Stop(f"s{n}", LAT, LON + (n + 0.5) * 50 * METRE_LON, delivery_point_id=f"p{n}") for n in range(20))
ROUND = Round("T07", LINE, STOPS)
RUN = f"run-{DAY}-T07"
DAMAGE = "the disk is full"


async def execute(database: Database, text: str, *args: Any) -> None:
    async with database.acquire() as connection:
        await connection.execute(text, *args)


async def fetch(database: Database, text: str, *args: Any) -> list[Any]:
    async with database.acquire() as connection:
        return await connection.fetch(text, *args)


@pytest.fixture
async def planned(database: Database) -> Database:
    """A round of twenty stops, planned for today."""
    await execute(database, "insert into site values ('pantin', now())")
    await execute(
        database,
        "insert into round (id, site, mode, line, source, digest, changed_at)"
        " values ('T07', 'pantin', 'foot', $1, 'file', ''::bytea, now())",
        [value for point in LINE for value in point],
    )
    for n, stop in enumerate(STOPS):
        await execute(
            database,
            "insert into stop (round_id, stop_id, sequence, delivery_point_id, lat, lon, address)"
            " values ('T07', $1, $2, $3, $4, $5, $6)",
            stop.stop_id, n + 1, stop.delivery_point_id, stop.lat, stop.lon, f"{n} rue A, 93500 Pantin",
        )  # fmt: skip
    await execute(database, "insert into run (id, day, round_id, site) values ($1, $2, 'T07', 'pantin')", RUN, DAY)
    return database


async def decided(
    database: Database, run: str = RUN, *, state: str, began: datetime, duty: str = "on", **more: Any
) -> None:
    """Write what the journal decided: since when the run is on duty, and what it is now."""
    until = format_time(more["until"]) if "until" in more else None
    now = {"duty": duty, "state": state, "mandate": duty == "mandate", "intervals": [[format_time(began), until]]}
    body = orjson.dumps({"facts": more.get("facts", []), "published": {}, "now": now})
    await execute(
        database,
        "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)"
        " on conflict (handler, subject) do update set body = excluded.body",
        f"run/{run}", body,
    )  # fmt: skip
    state_at = more.get("until", began)
    await execute(database, "update run set state = $2, state_at = $3 where id = $1", run, state, state_at)


async def walked(
    database: Database, until_m: float, *, began: datetime, run: str = RUN, every_s: float = 30.0
) -> datetime:
    """Write the progress of a walk of a metre a second up to a place; return its last moment."""
    count = int(until_m / every_s) + 1
    for n in range(count):
        await execute(
            database,
            "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, 'on_round', $3)",
            DAY, run, began + timedelta(seconds=every_s * n), every_s * n,
        )  # fmt: skip
    return began + timedelta(seconds=every_s * (count - 1))


def forecasts(database: Database) -> Forecasts:
    return Forecasts(database, RoundStore(database, UTC), UTC)


async def test_a_run_under_way_tells_what_was_passed_and_when_the_rest_is_expected(planned: Database) -> None:
    began = NOW - timedelta(minutes=10)
    await decided(planned, state="started", began=began)
    last = await walked(planned, 480, began=began)
    found = await forecasts(planned).stops_of(RUN, site="pantin", now=last)
    assert found is not None
    assert [stop["stop_id"] for stop in found["stops"]] == [stop.stop_id for stop in STOPS]
    states = [stop["state"] for stop in found["stops"]]
    assert states == ["passed"] * 9 + ["ahead"] * 11
    assert found["stops"][3]["address"] == "3 rue A, 93500 Pantin"
    assert (parse_time(found["stops"][4]["passed_at"]) - began).total_seconds() == pytest.approx(225, abs=10)
    expected = [parse_time(stop["eta_at"]) for stop in found["stops"][9:]]
    assert expected == sorted(expected)
    assert expected[0] >= last
    assert parse_time(found["end_early_at"]) < parse_time(found["end_eta_at"]) < parse_time(found["end_late_at"])
    assert all(stop["eta_at"] is None for stop in found["stops"][:9])


async def test_a_scan_at_a_stop_is_known_by_its_exact_place(planned: Database) -> None:
    began = NOW - timedelta(minutes=10)
    await decided(planned, state="started", began=began)
    last = await walked(planned, 480, began=began)
    metres = round(float(ROUND.stop_distances_m[5]), 1)
    await execute(
        planned,
        "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, 'at_stop', $3)",
        DAY, RUN, began + timedelta(seconds=metres), metres,
    )  # fmt: skip
    found = await forecasts(planned).stops_of(RUN, site=None, now=last)
    assert found is not None
    assert found["stops"][5]["state"] == "served"
    rows = await learned_time.rows_of(planned, DAY, RUN, limit=100)
    assert [row.stop_id for row in sightings(ROUND, rows) if row.stop_id] == ["s5"]


async def test_nobody_is_forecast_off_duty_and_a_run_of_another_site_is_none(planned: Database) -> None:
    began = NOW - timedelta(minutes=10)
    assert await forecasts(planned).stops_of(RUN, site="bondy") is None
    assert await forecasts(planned).stops_of("run-x", site=None) is None
    await decided(planned, state="started", began=began, duty="mandate")
    await execute(planned, "insert into run_state (run, day, distance_along_m, status, updated_at) values ($1, $2, 5, 'on_round', now())", RUN, DAY)  # fmt: skip
    found = await forecasts(planned).stops_of(RUN, site="pantin")
    assert found is not None
    assert (found["distance_along_m"], found["status"], found["seen_at"], found["end_eta_at"]) == (None,) * 4
    assert all(stop["eta_at"] is None for stop in found["stops"])
    await decided(planned, state="ended", began=began, duty="off", until=NOW)
    found = await forecasts(planned).stops_of(RUN, site="pantin")
    assert found is not None
    assert {stop["state"] for stop in found["stops"]} == {"not_reached"}
    assert found["end_eta_at"] is None


async def test_a_run_that_is_planned_has_times_only_where_its_start_is_known(planned: Database) -> None:
    found = await forecasts(planned).stops_of(RUN, site="pantin", now=NOW)
    assert found is not None
    assert found["end_eta_at"] is None
    starts = NOW + timedelta(hours=1)
    fact = [format_time(NOW), "id", "run.planned", {"run_id": RUN, "starts_at": format_time(starts)}, "server"]
    body = orjson.dumps({"facts": [fact], "now": {"duty": "off", "state": "planned", "intervals": []}})
    await execute(
        planned, "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)", f"run/{RUN}", body
    )
    found = await forecasts(planned).stops_of(RUN, site="pantin", now=NOW)
    assert found is not None
    assert parse_time(found["stops"][0]["eta_at"]) > starts - timedelta(seconds=1)


async def test_a_window_that_will_be_missed_is_said(planned: Database) -> None:
    began = NOW - timedelta(minutes=5)
    await decided(planned, state="started", began=began)
    last = await walked(planned, 200, began=began)
    for n, (point, minutes) in enumerate((("p18", 1), ("p19", 600))):
        await execute(
            planned,
            "insert into task (id, service, subject, day, delivery_point, round_id, window_until, requirements, sealed, event)"
            " values ($1, 'item', $1, $2, $3, 'T07', $4, '{}', '', gen_random_uuid())",
            f"t{n}", DAY, point, last + timedelta(minutes=minutes),
        )  # fmt: skip
    found = await forecasts(planned).stops_of(RUN, site="pantin", now=last)
    assert found is not None
    assert (found["stops"][18]["late"], found["stops"][18]["open_tasks"]) == ("likely", 1)
    assert found["stops"][19]["late"] is None
    assert "late" not in found["stops"][17]


def test_pauses_are_read_from_what_was_decided() -> None:
    first, second = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    spans = [[format_time(first), format_time(first + timedelta(minutes=30))], [format_time(second), None]]
    today = today_of(orjson.dumps({"now": {"intervals": spans}}), NOW)
    assert today.started
    assert len(today.pauses) == 1
    assert (today.pauses[0][1] - today.pauses[0][0]) == timedelta(minutes=30)
    paused = today_of(orjson.dumps({"now": {"intervals": spans[:1]}}), NOW, paused=True)
    assert paused.pauses[-1][1] == NOW
    assert not today_of(None, NOW).started


async def ended(database: Database, run: str = RUN, *, until_m: float = 1_000, hours: float = 5.0) -> None:
    began = NOW - timedelta(hours=hours)
    last = await walked(database, until_m, began=began, run=run)
    await decided(database, run, state="ended", began=began, duty="off", until=last)


async def learned(database: Database) -> Learned | None:
    body = await learned_time.read(database, "T07")
    return Learned.from_bytes(body) if body else None


async def test_an_ended_run_is_taken_in_once_however_often_and_by_whomever_it_is_tried(planned: Database) -> None:
    await ended(planned)
    rounds = RoundStore(planned, UTC)
    taken = await asyncio.gather(*(Learning(planned, rounds).take() for _ in range(4)))
    assert sum(taken) == 1
    known = await learned(planned)
    assert known is not None
    assert known.days == 1
    assert await Learning(planned, rounds).take() == 0
    assert await learned(planned) == known
    assert known.service.keys() == {f"p{n}" for n in range(20)}
    total = sum(figure.mean for figure in known.service.values()) + sum(each.mean for _, each in known.travel.values())
    assert total == pytest.approx(950, abs=40)


async def test_a_run_that_ended_lately_waits_for_what_phones_have_still_to_tell(planned: Database) -> None:
    await ended(planned, hours=1.0)
    assert await Learning(planned, RoundStore(planned, UTC)).take() == 0
    assert await learned(planned) is None
    assert await Learning(planned, RoundStore(planned, UTC), settled_s=60.0).take() == 1


async def test_a_run_hardly_seen_or_of_a_plan_that_changed_meanwhile_teaches_nothing_and_is_not_looked_at_again(
    planned: Database,
) -> None:
    await ended(planned, until_m=200)
    assert await Learning(planned, RoundStore(planned, UTC)).take() == 0
    assert await learned(planned) is None
    await execute(planned, "insert into run (id, day, round_id, site) values ($1, $2, 'T07', 'pantin')", f"run-{DAY - timedelta(days=1)}-T07", DAY - timedelta(days=1))  # fmt: skip
    await execute(planned, "update round set version = 2, changed_at = now()")
    await execute(planned, "update run set learned = false, state = 'ended', state_at = now() - interval '4 hours'")
    assert await Learning(planned, RoundStore(planned, UTC)).take() == 0
    assert await fetch(planned, "select 1 from run where not learned") == []


async def test_what_is_learned_has_no_carrier_no_run_and_no_date(planned: Database) -> None:
    await execute(planned, "update run set carrier = 'Camille Essai'")
    await ended(planned)
    await Learning(planned, RoundStore(planned, UTC)).take()
    (row,) = await fetch(planned, "select learned_time::text as text, body from learned_time")
    told = row["text"] + row["body"].decode()
    for word in ("Camille", "run-", str(DAY), str(DAY.year) + "-"):
        assert word not in told
    await execute(planned, "delete from round")
    assert await fetch(planned, "select 1 from learned_time") == []


async def test_a_fault_in_the_middle_loses_nothing(planned: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await ended(planned)
    learning = Learning(planned, RoundStore(planned, UTC))

    async def broken(*_args: object) -> None:
        raise OSError(DAMAGE)

    with monkeypatch.context() as patched:
        patched.setattr(learned_time.Claimed, "save", broken)
        with pytest.raises(OSError, match=DAMAGE):
            await learning.take_run(RUN)
    assert await learned(planned) is None
    assert await learning.take_run(RUN)
    known = await learned(planned)
    assert known is not None
    assert known.days == 1
