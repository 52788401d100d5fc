"""Where an event happened, as the phone is answered and subscribers are told."""

from typing import Any

from tests.acceptance.conftest import EXAMPLE_LAT, EXAMPLE_LON, World
from tests.acceptance.service import Caller, ago, field_event, fresh

STEP = 0.001  # degrees of longitude between two stops of T07


def send(caller: Caller, name: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    (result,) = caller.send(field_event(name, data, **more))
    assert result["status"] == "accepted", result
    return result


def fix(lat: float = EXAMPLE_LAT, lon: float = EXAMPLE_LON, accuracy_m: float = 8.0) -> dict[str, float]:
    return {"lat": lat, "lon": lon, "accuracy_m": accuracy_m}


def test_a_scanned_thing_is_located_at_the_stop_where_it_is_expected(world: World) -> None:
    run = world.stranger.ask("GET", "/v1/runs/current").json()
    sheet = world.stranger.ask("GET", f"/v1/runs/{run['run_id']}/sheet").json()
    stop, task = next((stop, task) for stop in sheet["stops"] for task in stop["tasks"] if task["service"] == "item")
    other = next(each for each in sheet["stops"] if each["stop_id"] != stop["stop_id"])
    data = {"item_id": task["subject"].removeprefix("item/"), "to": "addressee", "stop_id": other["stop_id"]}
    located = send(world.stranger, "item.delivered", data)["located"]
    assert (located["method"], located["stop_id"], located["status"]) == ("scan", stop["stop_id"], "at_stop")
    assert located["run_id"] == run["run_id"]
    assert located["delivery_point_id"] == stop["delivery_point_id"]


def test_a_named_stop_locates_and_its_distance_comes_from_the_fix(world: World) -> None:
    data = {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118"}
    result = send(world.phone, "item.delivered", {**data, "fix": fix()}, runid=world.run_id)
    assert result["located"]["method"] == "stop"
    assert 5 < result["located"]["door_distance_m"] < 10
    assert "wrong_door" not in result["warnings"]
    without = send(world.phone, "item.delivered", {**data, "item_id": fresh("RK")}, runid=world.run_id)
    assert without["located"]["door_distance_m"] is None


def test_far_from_the_named_stop_the_phone_is_warned_and_told_the_nearest_one(world: World) -> None:
    data = {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118", "fix": fix(lon=EXAMPLE_LON + 2 * STEP)}
    result = send(world.phone, "item.delivered", data, runid=world.run_id)
    assert result["warnings"][0] == "wrong_door"
    assert result["located"]["stop_id"] == "st-118"
    assert result["located"]["nearest_stop_id"] == "st-120"
    public = world.operator.event(f"evt_{result['id']}").json()
    assert "nearest_stop_id" not in public["data"]["located"]
    blurred = {**data, "item_id": fresh("RK"), "fix": fix(lon=EXAMPLE_LON + 2 * STEP, accuracy_m=90.0)}
    assert "wrong_door" not in send(world.phone, "item.delivered", blurred, runid=world.run_id)["warnings"]
    nowhere = {**data, "item_id": fresh("RK"), "fix": fix(lat=EXAMPLE_LAT + 0.01)}
    far = send(world.phone, "item.delivered", nowhere, runid=world.run_id)
    assert far["warnings"][0] == "wrong_door"
    assert "nearest_stop_id" not in far["located"]


def test_a_fix_alone_is_matched_to_the_planned_order(world: World) -> None:
    data = {"item_ids": [fresh("RK")], "fix": fix(lon=EXAMPLE_LON + STEP)}
    result = send(world.phone, "item.loaded", data, runid=world.run_id)
    located = result["located"]
    assert (located["method"], located["stop_id"], located["status"]) == ("match", "st-119", "on_round")
    assert abs(located["distance_along_m"] - 4 * 73) < 20
    assert abs(located["offset_m"]) < 10
    kept = [world.operator.event(f"evt_{result['id']}{part}") for part in ("", "_1")]
    published = next(answer.json() for answer in kept if answer.status == 200)
    assert published["data"]["located"]["stop_id"] == "st-119"
    assert published["data"]["located"].get("offset_m") is None  # how far beside the line is for proofs alone


def test_without_stop_scan_or_fix_the_place_is_said_to_be_unknown(world: World) -> None:
    on_run = send(world.phone, "item.loaded", {"item_id": fresh("RK")}, runid=world.run_id)["located"]
    assert (on_run["method"], on_run["stop_id"], on_run["run_id"]) == ("none", None, world.run_id)
    no_run = send(world.colleague, "item.loaded", {"item_id": fresh("RK")}, time=ago(days=40))["located"]
    assert (no_run["method"], no_run.get("run_id")) == ("none", None)


def test_a_run_that_is_not_named_is_the_one_that_the_carrier_walks_that_day(world: World) -> None:
    assert send(world.phone, "run.started", {})["located"]["run_id"] == world.run_id
    unknown = send(world.phone, "item.loaded", {"item_id": fresh("RK")}, runid="run-2026-01-01-NONE")
    assert unknown["located"]["run_id"] == world.run_id


def test_an_implausible_fix_is_not_used_and_said_so(world: World) -> None:
    data = {"item_id": fresh("RK"), "fix": fix(lat=0.0, lon=0.0)}
    result = send(world.phone, "item.loaded", data, runid=world.run_id)
    assert result["warnings"] == ["implausible_fix"]
    assert result["located"]["method"] == "none"
    cape = {"item_id": fresh("RK"), "fix": fix(lat=-33.9, lon=18.4)}
    far = send(world.phone, "item.loaded", cape, runid=world.run_id)
    assert far["warnings"] == ["implausible_fix"]
    assert far["located"]["method"] == "none"


def test_off_the_round_nothing_is_told_of_where(world: World) -> None:
    data = {"item_id": fresh("RK"), "fix": fix(lat=EXAMPLE_LAT + 0.005)}
    located = send(world.phone, "item.loaded", data, runid=world.run_id)["located"]
    assert (located["method"], located["status"], located["stop_id"]) == ("match", "off_round", None)
    assert "offset_m" not in located
    assert "distance_along_m" not in located


def test_an_address_change_is_answered_with_the_address_its_round_its_stops_and_the_cost(world: World) -> None:
    """It takes the stop off T07: so it is one that no other test of this service looks at."""
    plan = world.town.rounds[1]
    wanted = plan.stops[10].point
    data = {
        "stop_id": "st-116",
        "change": "moved",
        "addressee": "Mme Martin",
        "old_address": "116 rue de l'Exemple",
        "new_address": wanted.address,
        "confidence": "seen",
    }
    answer = send(world.phone, "address_change.reported", data, runid=world.run_id)["answer"]
    assert answer["round_id"] == plan.round_id
    assert str(wanted.number) in answer["normalised"]
    assert abs(answer["lat"] - wanted.lat) + abs(answer["lon"] - wanted.lon) < 1e-4
    assert answer["score"] >= 0.9
    stops = [stop.stop_id for stop in plan.stops]
    assert stops.index(answer["before_stop_id"]) - stops.index(answer["after_stop_id"]) in (1, 2)
    assert 0 <= answer["cost_m"] < 200
    assert answer["decision"] in ("accepted", "review")
    (public,) = world.ears["operator"].about("delivery_point/dp-116")
    assert public["data"] == {"delivery_point_id": "dp-116", "class": "moved"}


def test_an_address_that_cannot_be_found_is_taken_and_left_to_a_person(world: World) -> None:
    data = {"delivery_point_id": fresh("dp"), "change": "moved", "old_address": "1 rue A", "confidence": "seen"}
    data["new_address"] = "12 quai de Nulle Part, 00000 Utopie"
    answer = send(world.phone, "address_change.reported", data, runid=world.run_id)["answer"]
    assert answer["decision"] == "review"
    assert answer["round_id"] is None
