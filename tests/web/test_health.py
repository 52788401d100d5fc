"""How it goes: what arrived, how late, who is heard, and which endpoints fail; of sites alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.journal.arrivals import Arrivals, Arrived
from fieldsvc.tracking.health import KEPT_S
from fieldsvc.web.health import FAILING, HEALTH
from handlers.fields import parse_time
from tests.acceptance.conftest import CARRIER, SITE
from tests.acceptance.service import ago, field_event, fresh
from tests.web.supervising import ELSEWHERE, Room, a_room

SITE_KEYS = {"site", "on_duty", "silent", "oldest_heard_at", "late_today", "longest_late_s"}
INGEST = {"last_event_at", "accepted_5_min", "late_5_min", "quarantined_today"}
ENDPOINT = {"endpoint_id", "account", "state", "since", "why", "backlog"}


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("health")) as made:
        yield made


def health(room: Room, who: str = "supervisor", query: str = "") -> Any:
    """Ask anew, as if some seconds had passed."""
    room.service.app[HEALTH]._read_at = -KEPT_S
    room.service.app[FAILING]._made_at = -60.0
    return room.get(f"/v1/supervision/health{query}", who)


def test_what_arrives_is_counted_as_it_comes_and_what_is_late_with_how_late(room: Room) -> None:
    before = health(room)
    assert before.keys() == {"at", "ingest", "sites"}
    assert before["ingest"].keys() == INGEST
    for _ in range(3):
        room.say("item.delivered", {"item_id": fresh("LL"), "to": "mailbox", "stop_id": "st-118"})
    room.say("item.delivered", {"item_id": fresh("LL"), "to": "mailbox", "stop_id": "st-118"}, time=ago(minutes=50))
    after = health(room)
    grown = {name: after["ingest"][name] - before["ingest"][name] for name in INGEST - {"last_event_at"}}
    assert grown == {"accepted_5_min": 4, "late_5_min": 1, "quarantined_today": 0}
    assert parse_time(after["ingest"]["last_event_at"]) <= datetime.now(UTC)
    (site,) = (each for each in after["sites"] if each["site"] == SITE)
    assert site.keys() == SITE_KEYS
    assert site["late_today"] == 1
    assert 2_990 <= site["longest_late_s"] <= 3_060
    assert health(room)["ingest"]["accepted_5_min"] == after["ingest"]["accepted_5_min"]


def test_what_was_kept_aside_is_counted_for_its_site(room: Room) -> None:
    before = health(room)["ingest"]["quarantined_today"]
    (result,) = room.phone.send(field_event("item.delivered", {"to": "nowhere"}))
    assert result["status"] == "quarantined"
    assert health(room)["ingest"]["quarantined_today"] == before + 1
    assert health(room, "stranger")["ingest"]["quarantined_today"] == 0
    assert health(room, "operator")["ingest"]["quarantined_today"] == before + 1


def test_who_is_on_duty_and_who_is_silent_is_counted(room: Room) -> None:
    room.say("run.started", {"run_id": room.run_id})
    room.fetch(
        "insert into run_state (run, day, through_at, status, updated_at) values ($1, $2, $3, 'on_round', clock_timestamp())"
        " on conflict (run) do update set through_at = excluded.through_at, status = 'on_round', updated_at = excluded.updated_at",
        room.run_id, room.day, datetime.now(UTC) - timedelta(minutes=20),
    )  # fmt: skip
    board = room.service.app[HEALTH]._board
    room.service.call(board.read())
    (site,) = (each for each in health(room)["sites"] if each["site"] == SITE)
    assert (site["on_duty"], site["silent"]) == (1, 1)
    assert parse_time(site["oldest_heard_at"]) < datetime.now(UTC) - timedelta(minutes=19)


def test_nothing_of_a_carrier_a_phone_or_a_run_is_in_it(room: Room) -> None:
    for who in ("supervisor", "operator"):
        text = orjson.dumps(health(room, who)).decode()
        assert CARRIER not in text
        assert room.phone.name not in text
        assert room.run_id not in text


def test_an_operator_of_every_site_learns_which_endpoints_need_somebody(room: Room) -> None:
    hook = {"url": "http://127.0.0.1:9/", "types": ["item.delivered"]}
    first, second = (room.shop.ask("POST", "/v1/endpoints", hook).json()["id"] for _ in range(2))
    assert room.shop.ask("POST", f"/v1/endpoints/{first}/pause", {}).status == 200
    item = fresh("RK")
    room.order("item", f"item/{item}")
    room.say("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-118"})
    found = {each["endpoint_id"]: each for each in health(room, "operator")["endpoints"]}
    assert found[first].keys() == ENDPOINT
    assert (found[first]["account"], found[first]["state"], found[first]["backlog"]) == (room.shop.name, "paused", 1)
    assert parse_time(found[first]["since"]) <= datetime.now(UTC)
    assert found.get(second, {"state": "failing"})["state"] in ("open", "failing")
    assert "endpoints" not in health(room)
    assert "127.0.0.1" not in orjson.dumps(found).decode()


def test_everybody_gets_the_sites_that_are_theirs(room: Room) -> None:
    assert {each["site"] for each in health(room)["sites"]} == {SITE}
    assert {each["site"] for each in health(room, "stranger")["sites"]} <= {ELSEWHERE}
    assert {each["site"] for each in health(room, "operator", f"?site={SITE}")["sites"]} == {SITE}
    assert room.ask(f"/v1/supervision/health?site={ELSEWHERE}").status == 404
    assert [room.ask("/v1/supervision/health", who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.ask("/v1/supervision/health", "nobody").status == 401


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    answer = document["paths"]["/v1/supervision/health"]["get"]["responses"]["200"]["content"]["application/json"]
    described = answer["schema"]["properties"]
    assert set(described["ingest"]["required"]) == INGEST
    assert set(described["sites"]["items"]["required"]) == SITE_KEYS
    assert set(described["endpoints"]["items"]["required"]) == ENDPOINT


def test_what_came_before_the_first_question_is_counted_a_piece_at_a_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        room.say("item.delivered", {"item_id": fresh("LL"), "to": "mailbox", "stop_id": "st-118"}, time=ago(minutes=9))
    platform, now = room.service.platform, datetime.now(UTC)
    monkeypatch.setattr("fieldsvc.journal.arrivals.MINUTES_KEPT", 0)

    def late(arrivals: Arrivals) -> int:
        return room.service.call(arrivals.of_today(now)).get(SITE, Arrived()).late

    def made() -> Arrivals:
        return Arrivals(platform.database, platform.reader, platform.settings.zone, late_s=120.0)

    whole = late(made())
    assert whole >= 4
    monkeypatch.setattr("fieldsvc.journal.arrivals.PIECE", 3)
    by_pieces = made()
    found = [late(by_pieces) for _ in range(200)]
    assert found[0] < whole
    assert found == sorted(found)
    assert found[-1] == whole
