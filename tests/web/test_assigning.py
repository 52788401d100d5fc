"""An alert is given to somebody: it stays open, they are told, and everybody sees whose it is."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.acceptance.conftest import SITE
from tests.acceptance.service import fresh
from tests.web.supervising import Room, a_room

DESK = {"hours": "always", "contact": {"email": "nuit@demo.invalid"}}


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("assigning")) as made:
        headers = made.people["supervisor"]
        assert made.service.ask("PUT", "/v1/desks/nuit", DESK, headers=headers, to_json=True).status == 200
        yield made


def alarm(room: Room) -> str:
    name = fresh("a")
    room.say("alarm.raised", {"kind": "sos", "alarm_id": name})
    return name


def listed(room: Room, name: str, who: str = "supervisor") -> dict[str, Any]:
    found = room.get("/v1/alerts?limit=1000", who)["alerts"]
    return next(each for each in found if each["id"] == name)


def notices(room: Room, name: str) -> list[tuple[str, str]]:
    rows = room.fetch("select template, way from notice where key like '%' || $1 and template = 'alert_assigned'", name)
    return [(row["template"], row["way"]) for row in rows]


def test_colleagues_are_those_who_watch_over_the_site_with_its_desks_and_without_their_ways(room: Room) -> None:
    found = room.get("/v1/colleagues")
    assert found.keys() == {"people", "desks"}
    people = {each["account_id"]: each for each in found["people"]}
    assert people.keys() == {room.accounts[name] for name in ("supervisor", "colleague", "operator")}
    mine = people[room.accounts["colleague"]]
    assert mine == {
        "account_id": room.accounts["colleague"], "name": "colleague@demo.invalid", "role": "supervisor", "site": SITE,
    }  # fmt: skip
    assert {"to": "desk:nuit", "name": "nuit", "site": SITE, "hours": "always"} in found["desks"]
    assert "desk:duty" in {each["to"] for each in found["desks"]}
    assert b"nuit@demo" not in room.ask("/v1/colleagues").body
    assert room.accounts["stranger"] in {
        each["account_id"] for each in room.get("/v1/colleagues", "operator")["people"]
    }
    assert room.ask("/v1/colleagues?site=site-loin").status == 404
    assert [room.ask("/v1/colleagues", who).status for who in ("adviser", "auditor")] == [404, 404]


@pytest.mark.parametrize("kind", ["alarm", "alert"])
def test_an_alert_that_is_given_stays_open_and_the_newest_who_has_it_is_shown(room: Room, kind: str) -> None:
    if kind == "alarm":
        name = alarm(room)
    else:
        room.tell("run.not_served", {"run_id": room.run_id, "reason": "weather"}, run=room.run_id)
        name = room.get("/v1/alerts?kind=run.not_served&state=open")["alerts"][0]["id"]
    path = f"/v1/alerts/{name}/assign"
    given = room.post(path, {"to": room.accounts["colleague"], "comment": "peux-tu ?"})
    assert given.status == 200, given.body
    told = given.json()
    assert (told["state"], told["assigned_to"], told["comment"]) == ("open", room.accounts["colleague"], "peux-tu ?")
    assert told["assigned_at"] is not None
    assert notices(room, name) == [("alert_assigned", "email")]
    assert room.post(path, {"to": room.accounts["colleague"]}).json()["assigned_at"] == told["assigned_at"]
    assert notices(room, name) == [("alert_assigned", "email")]
    moved = room.post(path, {"to": "desk:nuit"}, "colleague").json()
    assert (moved["assigned_to"], moved["comment"], moved["acknowledged_at"]) == ("desk:nuit", "peux-tu ?", None)
    assert len(notices(room, name)) == 2
    taken = room.post(f"/v1/alerts/{name}/ack", {"comment": "j'y suis"}, "colleague").json()
    assert (taken["state"], taken["assigned_to"], taken["comment"]) == ("acknowledged", "desk:nuit", "j'y suis")
    assert listed(room, name) == taken
    stored = room.fetch("select convert_from(public, 'utf8') as text from event where type = 'alert.assigned'")
    assert not any("peux-tu" in row["text"] or room.accounts["colleague"] in row["text"] for row in stored)


def test_who_gives_an_alert_to_themselves_needs_no_notice(room: Room) -> None:
    name = alarm(room)
    assert room.post(f"/v1/alerts/{name}/assign", {"to": room.accounts["supervisor"]}).status == 200
    assert notices(room, name) == []


def test_an_alert_that_is_over_is_given_to_nobody(room: Room) -> None:
    room.tell("run.uncovered", {"run_id": room.run_id, "reason": "absence"}, run=room.run_id)
    name = room.get("/v1/alerts?kind=run.uncovered&state=open")["alerts"][0]["id"]
    room.tell("run.covered", {"run_id": room.run_id, "substitute": True}, run=room.run_id)
    answer = room.post(f"/v1/alerts/{name}/assign", {"to": "desk:nuit"})
    assert (answer.status, answer.code) == (409, "settled")


@pytest.mark.parametrize(
    "body",
    [{}, {"to": ""}, {"to": 7}, {"to": None}, {"to": "nobody"}, {"to": "desk:none"}, {"to": "x" * 100}, {"to": "a b"},
     {"to": "desk:nuit", "comment": "x" * 281}, {"to": "desk:nuit", "comment": "\x00"}, {"to": "desk:nuit", "told": {}},
     {"to": "desk:nuit", "by": "acc-1"}, {"to": ["desk:nuit"]}],
)  # fmt: skip
def test_a_bad_body_is_a_typed_problem_without_its_values(room: Room, body: dict[str, Any]) -> None:
    name = alarm(room)
    answer = room.post(f"/v1/alerts/{name}/assign", body)
    assert (answer.status, answer.code) == (422, "invalid")
    assert b'nobody"' not in answer.body
    assert listed(room, name)["assigned_to"] is None
    assert room.service.ask("POST", f"/v1/alerts/{name}/assign", b"{", headers=room.people["supervisor"]).status == 415


def test_an_alert_of_another_site_is_not_there_and_its_people_are_not_colleagues(room: Room) -> None:
    name = alarm(room)
    path = f"/v1/alerts/{name}/assign"
    assert room.post(path, {"to": "desk:nuit"}, "stranger").status == 404
    assert [room.post(path, {"to": "desk:nuit"}, who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.post(path, {"to": room.accounts["stranger"]}, "operator").status == 422
    headers = {"Cookie": room.people["supervisor"]["Cookie"]}
    assert room.service.ask("POST", path, {"to": "desk:nuit"}, headers=headers, to_json=True).code == "csrf"


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    described = document["components"]["schemas"]["Alert"]
    assert set(described["required"]) == set(listed(room, alarm(room)))
