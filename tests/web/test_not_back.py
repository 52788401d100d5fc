"""Who is not back, and what is left: runs that were started and did not end, their open work, and what is still out."""

from collections.abc import Iterator
from datetime import time
from typing import Any

import orjson
import pytest

from fieldsvc.web.not_back import NOT_BACK
from handlers.fields import parse_time
from tests.acceptance.conftest import CARRIER, EXAMPLE_LAT, EXAMPLE_LON
from tests.acceptance.service import fresh
from tests.web.supervising import Room, a_room

RUN = {
    "run_id", "round_id", "name", "carrier", "state", "status", "seen_at", "expected_end_at", "expected_early_at",
    "expected_late_at", "ends_at", "stops_left", "tasks_left", "things_out",
}  # fmt: skip
TASK = {"task_id", "service", "stop_id", "address", "window", "overdue"}


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("not_back")) as made:
        yield made


def out(room: Room, who: str = "supervisor") -> list[dict[str, Any]]:
    room.service.app[NOT_BACK]._known.clear()
    found = room.get("/v1/runs/not-back", who)
    assert found.keys() == {"at", "runs"}
    runs: list[dict[str, Any]] = found["runs"]
    return runs


def test_a_run_that_was_not_started_is_not_out(room: Room) -> None:
    assert out(room) == []


def test_a_run_that_was_started_is_there_with_what_is_left(room: Room) -> None:
    item, pouch, visit = fresh("RK"), fresh("P"), fresh("V")
    room.order("item", f"item/{item}", requirements=["registered"])
    room.order("medication", f"pouch/{pouch}", window=room.window(), delivery_point="dp-120")
    room.order("home_visit", f"visit/{visit}", window=room.window(60), delivery_point="dp-119")
    room.say("run.started", {"run_id": room.run_id})
    room.say("item.loaded", {"item_ids": [item]})
    room.say("medication.picked_up", {"pouch_id": pouch, "seal_intact": True})
    (run,) = out(room)
    assert run.keys() == RUN
    assert (run["run_id"], run["round_id"], run["name"]) == (room.run_id, "T07", "Sept")
    assert (run["carrier"], run["state"], run["status"]) == (CARRIER, "started", "unknown")
    assert (run["stops_left"], run["things_out"], run["ends_at"]) == (7, 2, None)
    assert all(each.keys() == TASK for each in run["tasks_left"])
    left = {each["service"]: each for each in run["tasks_left"]}
    assert left.keys() == {"timed_task", "home_visit", "item"}
    assert (left["timed_task"]["stop_id"], left["timed_task"]["address"]) == ("st-120", "120 rue de l'Exemple")
    assert left["home_visit"]["window"].keys() == {"from", "until"}
    assert (left["item"]["window"], left["item"]["overdue"]) == (None, False)
    text = room.ask("/v1/runs/not-back").body.decode()
    assert pouch not in text
    assert "medication" not in text
    assert [each["service"] for each in run["tasks_left"]] == ["home_visit", "timed_task", "item"]


def test_what_is_over_its_window_says_so_and_what_is_done_is_gone(room: Room) -> None:
    (run,) = out(room)
    visit = next(each for each in run["tasks_left"] if each["service"] == "home_visit")
    room.fetch("update task set window_until = now() - interval '1 minute' where id = $1", visit["task_id"])
    (subject,) = (row["subject"] for row in room.fetch("select subject from task where service = 'item'"))
    room.say("item.delivered", {"item_id": subject.partition("/")[2], "to": "addressee", "stop_id": "st-118"})
    (run,) = out(room)
    left = {each["service"]: each["overdue"] for each in run["tasks_left"]}
    assert left == {"home_visit": True, "timed_task": False}
    assert run["things_out"] == 1


def test_it_is_expected_back_with_an_interval_and_when_duty_should_end(room: Room) -> None:
    not_back = room.service.app[NOT_BACK]
    not_back._hours = (time(7), time(14, 30))
    fix = {"lat": EXAMPLE_LAT, "lon": EXAMPLE_LON - 0.003, "accuracy_m": 5.0}
    room.say("item.delivered", {"item_id": fresh("LL"), "to": "mailbox", "stop_id": "st-116", "fix": fix})
    (run,) = out(room)
    not_back._hours = None
    assert parse_time(run["ends_at"]).astimezone(not_back._runs.zone).strftime("%H:%M") == "14:30"
    moments = [run[name] for name in ("expected_early_at", "expected_end_at", "expected_late_at")]
    assert moments == sorted(moments)
    assert run["stops_left"] < 7


def test_of_a_run_in_mandate_nothing_is_seen_or_expected(room: Room) -> None:
    room.say("run.started", {"run_id": room.run_id, "duty": "mandate"})
    (run,) = out(room)
    nothing = ("status", "seen_at", "expected_end_at", "expected_early_at", "expected_late_at")
    assert [run[name] for name in nothing] == [None] * 5
    room.say("run.started", {"run_id": room.run_id})


def test_a_forecast_is_not_made_again_within_half_a_minute(room: Room) -> None:
    out(room)
    not_back, made = room.service.app[NOT_BACK], []
    forecasts = not_back._forecasts.stops_of

    async def counted(*args: Any, **more: Any) -> Any:
        made.append(args)
        return await forecasts(*args, **more)

    not_back._forecasts.stops_of = counted
    room.get("/v1/runs/not-back")
    room.get("/v1/runs/not-back", "operator")
    del not_back._forecasts.stops_of
    assert made == []


def test_pages_follow_each_other_and_a_bad_cursor_is_a_typed_problem(room: Room) -> None:
    room.fetch("update run set state = 'started' where id = $1", room.far_run)
    first = room.get("/v1/runs/not-back?limit=1", "operator")
    second = room.get(f"/v1/runs/not-back?limit=1&cursor={first['cursor']}", "operator")
    assert [each["run_id"] for page in (first, second) for each in page["runs"]] == [room.run_id, room.far_run]
    assert "cursor" not in second
    for query in ("cursor=x", "limit=0", "cursor=%00"):
        assert room.ask(f"/v1/runs/not-back?{query}").code == "bad_request"


def test_everybody_gets_the_runs_that_are_theirs(room: Room) -> None:
    assert [each["run_id"] for each in out(room)] == [room.run_id]
    assert [each["run_id"] for each in out(room, "stranger")] == [room.far_run]
    assert [each["run_id"] for each in out(room, "operator")] == [room.run_id, room.far_run]
    assert room.ask("/v1/runs/not-back?site=site-loin").status == 404
    assert [room.ask("/v1/runs/not-back", who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.ask("/v1/runs/not-back", "nobody").status == 401


def test_who_is_back_is_gone(room: Room) -> None:
    room.say("run.ended", {"run_id": room.run_id})
    assert out(room) == []


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    answer = document["paths"]["/v1/runs/not-back"]["get"]["responses"]["200"]["content"]["application/json"]
    described = answer["schema"]["properties"]["runs"]["items"]
    assert set(described["properties"]) == set(described["required"]) == RUN
    assert set(described["properties"]["tasks_left"]["items"]["required"]) == TASK
