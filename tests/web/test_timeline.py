"""What happened on a run, as a supervisor reads it: in order, with what came late, and nothing of anybody's own."""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from fieldsvc.web.looks import REASONS
from handlers.fields import parse_time
from tests.acceptance.conftest import CARRIER, EXAMPLE_LAT, EXAMPLE_LON
from tests.acceptance.service import ago, fresh
from tests.media.pictures import signature
from tests.web.supervising import Room, a_room

ENTRY = {
    "event_id", "at", "received_at", "late", "type", "title", "service", "subject", "stop_id", "address", "by", "paper", "state",
    "proof", "pictures", "proof_url", "warnings",
}  # fmt: skip
FIX = {"lat": EXAMPLE_LAT, "lon": EXAMPLE_LON, "accuracy_m": 8.0}


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("timeline")) as made:
        yield made


def entries(room: Room, who: str = "supervisor", run: str = "") -> list[dict[str, Any]]:
    answer = room.get(f"/v1/runs/{run or room.run_id}/timeline?limit=1000", who)
    assert answer["run_id"] == (run or room.run_id)
    found: list[dict[str, Any]] = answer["entries"]
    return found


def about(room: Room, subject: str) -> list[dict[str, Any]]:
    return [each for each in entries(room) if each["subject"] == subject]


def delivered(room: Room, **more: Any) -> tuple[str, dict[str, Any]]:
    item = fresh("RK")
    said = room.say("item.delivered", {"item_id": item, "to": "addressee", "stop_id": "st-118", "fix": FIX}, **more)
    return item, said


def test_an_entry_says_what_when_where_and_how_well_it_is_proved(room: Room) -> None:
    picture, item = signature("Zoe"), fresh("RK")
    sha256 = hashlib.sha256(picture).hexdigest()
    data = {"item_id": item, "to": "addressee", "stop_id": "st-118", "fix": FIX, "proof": {"signature": sha256}}
    result = room.say("item.delivered", data)
    (entry,) = about(room, f"item/{item}")
    assert entry.keys() == ENTRY
    at, received_at = parse_time(entry.pop("at")), parse_time(entry.pop("received_at"))
    assert 0 < (received_at - at).total_seconds() < 60
    proof = entry.pop("proof")
    assert proof.keys() == {"score", "words"}
    assert proof["score"] > 50
    assert "signé" in proof["words"]["fr"]
    assert "signed" in proof["words"]["en"]
    assert entry == {
        "event_id": f"evt_{result['id']}",
        "late": False,
        "type": "item.delivered",
        "title": {"fr": "Objet distribué", "en": "Item delivered"},
        "service": "item",
        "subject": f"item/{item}",
        "stop_id": "st-118",
        "address": "118 rue de l'Exemple",
        "by": "device",
        "paper": False,
        "state": "said",
        "pictures": [],
        "proof_url": f"/v1/items/{item}/proof",
        "warnings": ["proof_pending"],
    }
    headers = {**room.phone.headers, "Content-Type": "application/octet-stream"}
    assert room.service.ask("PUT", f"/v1/media/{sha256}", picture, headers=headers).status in (200, 201)
    room.fire(60)
    anew = about(room, f"item/{item}")
    assert [(each["state"], each["pictures"]) for each in anew] == [("superseded", [sha256]), ("said", [sha256])]
    assert anew[1]["warnings"] == []
    assert room.ask(f"/v1/media/{sha256}").status == 200
    assert room.ask(anew[1]["proof_url"]).status == 200


def test_what_arrived_late_stands_where_it_happened_and_says_when_it_came(room: Room) -> None:
    now, _ = delivered(room)
    late, _ = delivered(room, time=ago(minutes=30))
    found = entries(room)
    assert [each["at"] for each in found] == sorted(each["at"] for each in found)
    by_subject = {each["subject"]: each for each in found}
    assert (by_subject[f"item/{now}"]["late"], by_subject[f"item/{late}"]["late"]) == (False, True)
    assert by_subject[f"item/{late}"]["received_at"] > by_subject[f"item/{now}"]["at"]
    assert found.index(by_subject[f"item/{late}"]) < found.index(by_subject[f"item/{now}"])


def test_what_did_not_occur_is_marked_and_not_hidden(room: Room) -> None:
    item, said = delivered(room)
    room.say("event.corrected", {"corrects": said["id"], "kind": "did_not_occur", "reason": "said_twice"})
    first, correction = about(room, f"item/{item}")
    assert (first["type"], first["state"], first["proof_url"]) == ("item.delivered", "corrected", None)
    assert (correction["type"], correction["state"]) == ("event.corrected", "said")


def test_what_was_otherwise_is_said_anew_beside_what_was_said(room: Room) -> None:
    item, said = delivered(room)
    replacement = {"item_id": item, "to": "neighbour", "stop_id": "st-118"}
    change = {"corrects": said["id"], "kind": "incorrect_data", "reason": "typing_error", "replacement": replacement}
    room.enter("event.corrected", change)
    found = about(room, f"item/{item}")
    assert [(each["type"], each["state"]) for each in found] == [
        ("item.delivered", "corrected"),
        ("item.delivered", "said"),
    ]
    assert [each["by"] for each in found] == ["device", "supervisor"]
    assert found[0]["at"] == found[1]["at"]


def test_what_was_entered_from_paper_says_so(room: Room) -> None:
    item = fresh("RK")
    data = {"item_id": item, "to": "mailbox", "stop_id": "st-120", "recorded_from": "paper"}
    room.enter("item.delivered", data, runid=room.run_id)
    (entry,) = about(room, f"item/{item}")
    assert (entry["by"], entry["paper"], entry["stop_id"]) == ("supervisor", True, "st-120")


def test_of_a_discreet_service_it_is_a_timed_task_and_nothing_else(room: Room) -> None:
    pouch = fresh("P")
    room.order("medication", f"pouch/{pouch}", window=room.window())
    before = len(entries(room))
    room.say("medication.picked_up", {"pouch_id": pouch, "seal_intact": True, "stop_id": "st-118"})
    handed = {"seal_intact": True, "handed_to": "patient", "label_matched": True, "identity": "document"}
    said = room.say("medication.delivered", {"pouch_id": pouch, **handed, "stop_id": "st-118", "fix": FIX})
    room.say("event.corrected", {"corrects": said["id"], "kind": "did_not_occur", "reason": "said_twice"})
    for who in ("supervisor", "operator"):
        fresh_ones = [each for each in entries(room, who) if each["service"] == "timed_task"]
        assert len(fresh_ones) >= 3
        assert len(entries(room, who)) > before
        for each in fresh_ones:
            assert each.keys() == ENTRY
            assert (each["type"], each["title"]) == ("timed_task", {"fr": "Mission à l'heure", "en": "Timed task"})
            nothing = ("subject", "stop_id", "address", "proof", "proof_url")
            assert {each[name] for name in nothing} == {None}
            assert (each["pictures"], each["warnings"]) == ([], [])
        text = room.ask(f"/v1/runs/{room.run_id}/timeline?limit=1000", who).body.decode()
        assert pouch not in text
        assert "medication" not in text
        assert "pouch" not in text


def test_nothing_personal_is_in_it_and_ideas_have_no_run(room: Room) -> None:
    visit = fresh("V")
    note = "Zoé Kanari, 17 rue du Kanari"
    proof = {"acceptor": {"surname": "Kanari", "first_name": "Zoé", "capacity": "addressee"}}
    room.say("item.delivered", {"item_id": fresh("RK"), "to": "addressee", "stop_id": "st-117", "proof": proof})
    room.say("home_visit.started", {"visit_id": visit, "stop_id": "st-117"})
    room.say("alarm.raised", {"kind": "sos", "alarm_id": fresh("a"), "note": note, "fix": FIX})
    room.say("idea.submitted", {"text": note})
    text = room.ask(f"/v1/runs/{room.run_id}/timeline?limit=1000").body.decode()
    assert visit in text
    assert "Kanari" not in text
    assert "Zoé" not in text
    assert CARRIER not in text
    assert "idea" not in text
    assert str(EXAMPLE_LAT)[:6] not in text


def test_the_pages_together_are_the_whole_run(room: Room) -> None:
    for _ in range(4):
        delivered(room)
    whole, found, cursor = entries(room), [], ""
    for _ in range(200):
        page = room.get(f"/v1/runs/{room.run_id}/timeline?limit=3{cursor}")
        found += page["entries"]
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
    assert found == whole
    for wrong in ("x", "AAAA", "é", "MjAyNi0xMS0yMQ"):
        answer = room.ask(f"/v1/runs/{room.run_id}/timeline?cursor={wrong.encode().hex() if wrong == 'é' else wrong}")
        assert (answer.status, answer.code) == (400, "bad_request")


def test_a_run_of_another_site_is_not_there_and_other_roles_find_nothing(room: Room) -> None:
    path = f"/v1/runs/{room.run_id}/timeline"
    assert room.ask(path, "stranger").status == 404
    assert room.ask(f"/v1/runs/{room.far_run}/timeline").status == 404
    assert room.ask("/v1/runs/run-2026-01-01-NONE/timeline").status == 404
    assert [room.ask(path, who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.ask(path, "nobody").status == 401
    assert entries(room, "operator", room.far_run) == entries(room, "stranger", room.far_run)


def test_the_past_needs_a_reason_which_is_noted_and_read_by_the_carrier(room: Room) -> None:
    path = f"/v1/runs/{room.past_run}/timeline"
    refused = room.ask(path)
    assert (refused.status, refused.code, refused.json()["reasons"]) == (400, "reason_required", list(REASONS))
    assert room.ask(f"{path}?reason=item_search").status == 200
    looks = room.phone.ask("GET", "/v1/me/export").json()["looks"]
    row = room.fetch("select role, reason, subject, carrier_ref from audit where action = 'run.timeline_seen'")
    assert [(each["role"], each["reason"], each["subject"]) for each in row] == [
        ("supervisor", "item_search", f"run/{room.past_run}")
    ]
    assert any(each["action"] == "run.timeline_seen" and each["reason"] == "item_search" for each in looks)


def test_todays_run_is_read_without_a_note_and_an_event_that_came_a_day_later_belongs_to_its_run(room: Room) -> None:
    noted = room.fetch("select count(*) as n from audit where action = 'run.timeline_seen'")
    item = fresh("RK")
    data = {"item_id": item, "to": "mailbox", "stop_id": "st-119"}
    room.say("item.delivered", data, runid=room.past_run, time=ago(hours=25))
    path = f"/v1/runs/{room.past_run}/timeline?reason=complaint&limit=1000"
    found = {each["subject"]: each for each in room.get(path)["entries"]}
    assert found[f"item/{item}"]["late"] is True
    entries(room)
    assert room.fetch("select count(*) as n from audit where action = 'run.timeline_seen'")[0]["n"] == noted[0]["n"] + 1


def test_a_run_is_found_by_its_index_on_every_day(room: Room) -> None:
    from sql import query

    async def plan() -> str:
        async with room.service.platform.database.acquire() as connection:
            await connection.execute("set plan_cache_mode = force_generic_plan")
            await connection.execute("set enable_seqscan = off")  # a day of one page is read whole, and that is right
            kinds = "text, date, date, timestamptz, uuid, smallint, integer"
            await connection.execute(f"prepare of_run ({kinds}) as {query('event.of_run')}")
            rows = await connection.fetch(
                "explain execute of_run ('run-x', current_date - 31, current_date - 1, '2026-01-01',"
                " '00000000-0000-0000-0000-000000000000', 0::smallint, 100)"
            )
            await connection.execute("deallocate of_run")
            await connection.execute("reset plan_cache_mode")
            await connection.execute("reset enable_seqscan")
        return "\n".join(row[0] for row in rows)

    text = room.service.call(plan())
    assert "Seq Scan" not in text, text
    assert "run_" in text, text
    assert "Subplans Removed" in text, text


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=%00", "cursor=////", "site=nowhere"])
def test_a_bad_query_is_a_typed_problem(room: Room, query: str) -> None:
    answer = room.ask(f"/v1/runs/{room.run_id}/timeline?{query}")
    assert answer.status in (400, 404)
    assert answer.code in ("bad_request", "not_found")


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    answer = document["paths"]["/v1/runs/{id}/timeline"]["get"]["responses"]["200"]["content"]["application/json"]
    described = answer["schema"]["properties"]["entries"]["items"]
    assert set(described["required"]) == ENTRY
    assert set(described["properties"]) == ENTRY | {"text"}


def test_an_instruction_says_its_words_to_those_who_watch_today_and_on_no_other_day(room: Room) -> None:
    for run in (room.run_id, room.past_run):
        given = {"run_id": run, "text": "Sonner chez Zoe"}
        room.enter("instruction.given", given, runid=run)
        wrong = room.enter("instruction.given", {**given, "text": "Passer a gauche"}, runid=run)
        told = {"corrects": wrong["id"], "kind": "incorrect_data", "reason": "typing_error"}
        room.enter("event.corrected", {**told, "replacement": {**given, "text": "Passer a droite"}})
        back = room.enter("instruction.given", given, runid=run)
        room.enter("event.corrected", {"corrects": back["id"], "kind": "did_not_occur", "reason": "said_twice"})
    for who in ("supervisor", "operator"):
        found = [each for each in entries(room, who) if each["type"] == "instruction.given"]
        assert [(each["state"], each["text"]) for each in found] == [
            ("said", "Sonner chez Zoe"), ("said", "Passer a droite"), ("corrected", None),
        ]  # fmt: skip
        assert all(each.keys() == ENTRY | {"text"} for each in found)
    assert [each for each in entries(room) if each["type"] != "instruction.given" and "text" in each] == []
    past = room.ask(f"/v1/runs/{room.past_run}/timeline?reason=complaint&limit=1000").body.decode()
    assert "instruction.given" in past
    assert "text" not in past
    assert "Passer" not in past
