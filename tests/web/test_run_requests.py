"""The requests that a run meets, as a supervisor sees them: what is asked, without names, and what may be done about it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.requests.of_run import may
from handlers.change_states import OPEN, STATES, TABLE
from tests.acceptance.service import fresh
from tests.web.supervising import Room, a_room

REQUEST = {
    "request_id", "kind", "title", "state", "subject", "stop_id", "address", "what", "asked_at", "from", "to", "cut_off", "can",
}  # fmt: skip
ADDRESS, POSTCODE = "118 rue de l'Exemple, 93500 Pantin", "93500"


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("requests")) as made:
        yield made


def asked(room: Room, who: str = "supervisor") -> dict[str, dict[str, Any]]:
    found = room.get(f"/v1/runs/{room.run_id}/requests", who)
    assert found.keys() == {"requests"}
    return {each["request_id"]: each for each in found["requests"]}


def wish(room: Room, kind: str, item: str = "", **more: Any) -> str:
    body = {"kind": kind, **({"item_id": item} if item else {}), **more}
    answer = room.post("/v1/delivery-changes", body, "adviser")
    assert answer.status == 201, answer.body
    return str(answer.json()["request_id"])


def test_a_request_about_an_item_says_where_and_what_without_names(room: Room) -> None:
    item = fresh("RK")
    room.order("item", f"item/{item}", address=ADDRESS)
    name = wish(room, "neighbour", item, details={"neighbour": "Zoé Kanari", "postcode": POSTCODE})
    found = asked(room)[name]
    assert found.keys() == REQUEST
    assert isinstance(found.pop("asked_at"), str)
    assert found == {
        "request_id": name,
        "kind": "neighbour",
        "title": {"fr": "chez un voisin", "en": "neighbour"},
        "state": "on_sheet",
        "subject": f"item/{item}",
        "stop_id": "st-118",
        "address": "118 rue de l'Exemple",
        "what": {
            "fr": "En cas d'absence, remettre au voisin désigné.",
            "en": "If nobody is there, hand to the named neighbour.",
        },
        "from": None,
        "to": None,
        "cut_off": None,
        "can": ["cancel"],
    }
    assert b"Kanari" not in room.ask(f"/v1/runs/{room.run_id}/requests").body


def test_what_took_an_item_to_another_day_is_still_shown_with_the_run_on_whose_sheet_it_was(room: Room) -> None:
    item, later = fresh("RK"), (room.day + timedelta(days=3)).isoformat()
    room.order("item", f"item/{item}", address=ADDRESS)
    name = wish(room, "second_presentation", item, details={"postcode": POSTCODE}, **{"from": later})
    for _ in range(40):
        room.fire(5.0)
        if room.fetch("select from task where subject = $1 and day = $2::text::date", f"item/{item}", later):
            break
    found = asked(room)[name]
    assert (found["stop_id"], found["from"], found["state"]) == ("st-118", later, "on_sheet")


def test_what_is_finished_is_gone_from_the_list(room: Room) -> None:
    item = fresh("RK")
    room.order("item", f"item/{item}", address=ADDRESS)
    name = wish(room, "safe_place", item, details={"place": "Abri", "postcode": POSTCODE})
    assert "cancel" in asked(room)[name]["can"]
    answer = room.post(f"/v1/delivery-changes/{name}/cancel", {"reason": "mistake"})
    assert (answer.status, answer.json()["state"]) == (200, "cancelled")
    assert name not in asked(room)


def test_a_request_about_a_door_holds_for_its_days_and_is_stopped_or_reversed_by_what_it_says(room: Room) -> None:
    days = {"from": room.day.isoformat(), "to": (room.day + timedelta(days=9)).isoformat()}
    name = wish(room, "hold", delivery_point_id="dp-119", **days, identity="counter")
    found = asked(room)[name]
    assert (found["subject"], found["stop_id"], found["from"]) == ("delivery_point/dp-119", "st-119", days["from"])
    assert found["can"] == (["cancel", "stop"] if found["state"] in OPEN else ["reverse", "stop"])
    answer = room.post(f"/v1/delivery-changes/{name}/stop", {"reason": "fraud"})
    assert (answer.status, answer.json()["state"]) == (200, "frozen")
    assert asked(room)[name]["can"] == ["reverse"]
    assert room.post(f"/v1/delivery-changes/{name}/cancel", {"reason": "mistake"}).json()["state"] == "reversed"
    assert name not in asked(room)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("lasts", [True, False])
def test_what_may_be_done_is_what_the_table_of_changes_has(state: str, lasts: bool) -> None:
    routes = {"cancel": "cancel", "reverse": "reverse", "stop": "freeze"}
    for done in may(state, lasts=lasts):
        assert state in TABLE[routes[done]][0]
    assert ("cancel" in may(state, lasts=lasts)) == (state in OPEN)


def test_a_run_of_another_site_is_not_there_and_other_roles_find_nothing(room: Room) -> None:
    path = f"/v1/runs/{room.run_id}/requests"
    assert room.ask(path, "stranger").status == 404
    assert room.ask(f"/v1/runs/{room.far_run}/requests").status == 404
    assert [room.ask(path, who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.ask(path, "nobody").status == 401
    assert asked(room, "operator").keys() == asked(room).keys()
    assert room.get(f"/v1/runs/{room.far_run}/requests", "stranger") == {"requests": []}


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    answer = document["paths"]["/v1/runs/{id}/requests"]["get"]["responses"]["200"]["content"]["application/json"]
    described = answer["schema"]["properties"]["requests"]["items"]
    assert set(described["properties"]) == set(described["required"]) == REQUEST
