"""The proof of a delivery, from the door to whoever may have it, and checked with the public key alone."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from pypdf import PdfReader

from fieldsvc.work.proof_document import check, key_id, read_key
from handlers.item_ids import s10_check_digit
from tests.acceptance.service import Answer, Caller, field_event, fresh
from tests.media.conftest import Desk, until
from tests.media.pictures import name_of, signature

FIX = {"lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0}
ACCEPTOR = {"surname": "Martin", "first_name": "Jeanne", "capacity": "addressee"}


def registered_id() -> str:
    serial = f"{int(fresh('')[1:], 16) % 100_000_000:08d}"
    return f"RK{serial}{s10_check_digit(serial)}FR"


def whole(sign: bytes, **more: Any) -> dict[str, Any]:
    dates = {"presented_on": "2026-11-21", "handed_over_on": "2026-11-22"}
    identity = {"document_kind": "passport", "number": "X4RTBPFW46"}
    return {"acceptor": ACCEPTOR, "identity": identity, "signature": name_of(sign), **dates, **more}


def hand_over(desk: Desk, item: str, proof: dict[str, Any] | None, *, to: str = "addressee") -> dict[str, Any]:
    data = {"item_id": item, "to": to, "fix": FIX} | ({"proof": proof} if proof else {})
    (result,) = desk.phone.send(field_event("item.delivered", data))
    assert result["status"] == "accepted", result
    return result


def asked(desk: Desk, item: str, by: Caller | dict[str, str], **query: str) -> Answer:
    headers = by.headers if isinstance(by, Caller) else by
    more = "&".join(f"{name}={value}" for name, value in query.items())
    return desk.service.ask("GET", f"/v1/items/{item}/proof?{more}", headers=headers)


def proof_of(desk: Desk, item: str, by: Caller | dict[str, str]) -> dict[str, Any]:
    answer = asked(desk, item, by)
    assert answer.status == 200, answer.body
    key = read_key(desk.service.ask("GET", "/v1/proof-key").body.decode())
    found = check(answer.body, key)
    assert found.faults == ()
    return dict(found.proof or {})


@pytest.fixture(scope="module")
def registered(desk: Desk) -> str:
    """An item that was handed over with everything that the order asks for."""
    item, sign = registered_id(), signature(fresh())
    desk.order(item)
    desk.put(sign)
    result = hand_over(desk, item, whole(sign))
    assert "missing_proof" not in result["warnings"]
    until(lambda: desk.states(item)[-1:] == [("proof_complete", True)])
    return item


def test_the_sender_gets_a_signed_proof_that_names_what_the_order_asks_for_and_no_number(
    desk: Desk, registered: str
) -> None:
    found = proof_of(desk, registered, desk.shop)
    assert found["copy"] == "sender"
    assert found["item"] == {"item_id": registered, "registered": True}
    assert (found["acceptor"], found["identity"]) == (ACCEPTOR, {"document_kind": "passport"})
    assert found["handed_over"] | {"presented_on": "2026-11-21", "handed_over_on": "2026-11-22"} == found["handed_over"]
    assert found["place"] == {"lat": "48.938", "lon": "2.161"}
    assert found["signature"]["state"] == "proof_complete"
    assert found["lacks"] == []
    assert set(found["score"]) == {"score", "fr", "en"}
    assert b"X4RTBPFW46" not in orjson.dumps(found)
    assert "operator" not in found


def test_its_event_is_the_row_of_the_journal(desk: Desk, registered: str) -> None:
    found = proof_of(desk, registered, desk.shop)["event"]
    (row,) = desk.rows("select chain from event where id = $1::uuid and kind = 'field'", found["id"])
    assert found["sha256"] == row["chain"].hex()


def test_who_may_have_it(desk: Desk, registered: str) -> None:
    statuses = [
        asked(desk, registered, by).status for by in (desk.shop, desk.other, desk.people["own"], desk.people["far"])
    ]
    assert statuses == [200, 404, 200, 404]
    assert asked(desk, registered, {}).status == 401
    assert asked(desk, registered, desk.phone).status == 401
    assert proof_of(desk, registered, desk.people["boss"])["operator"]["site"] == "site-pantin"
    assert asked(desk, "nothing-known", desk.shop).code == "not_found"
    assert asked(desk, "a%20b", desk.shop).code == "not_found"


def test_the_pdf_is_chosen_by_format_or_by_accept_and_is_genuine(desk: Desk, registered: str) -> None:
    key = read_key(desk.service.ask("GET", "/v1/proof-key").body.decode())
    by_format = asked(desk, registered, desk.shop, format="pdf", lang="en")
    by_accept = asked(desk, registered, {**desk.shop.headers, "Accept": "application/pdf"})
    for answer in (by_format, by_accept):
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"] == f'attachment; filename="proof-{registered}.pdf"'
        assert check(answer.body, key).faults == ()
    text = PdfReader(io.BytesIO(by_format.body)).pages[0].extract_text()
    assert "Jeanne Martin" in text
    assert key_id(key) in text
    assert asked(desk, registered, desk.shop, format="html").code == "bad_request"
    assert asked(desk, registered, desk.shop, format="pdf", lang="de").code == "bad_request"


def test_the_command_line_checks_it_with_a_key_and_nothing_else(desk: Desk, registered: str, tmp_path: Path) -> None:
    key, file = tmp_path / "key.json", tmp_path / "proof.pdf"
    key.write_bytes(desk.service.ask("GET", "/v1/proof-key").body)
    file.write_bytes(asked(desk, registered, desk.shop, format="pdf").body)
    command = [sys.executable, "-m", "fieldsvc", "verify", "proof", str(file), "--key", str(key), "--json"]
    env = {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)["genuine"] is True
    assert {each.name for each in tmp_path.iterdir()} == {"key.json", "proof.pdf"}  # no database was begun


def test_a_letter_in_the_box_has_a_proof_that_says_only_what_it_shows(desk: Desk) -> None:
    item = fresh("6A")
    desk.order(item, requirements=[])
    hand_over(desk, item, None, to="mailbox")
    found = proof_of(desk, item, desk.shop)
    assert not {"acceptor", "identity", "signature"} & found.keys()
    assert found["item"]["registered"] is False
    assert "does not show who took it" in found["shows"]["en"]
    assert found["lacks"] == []


def test_a_neighbours_name_and_signature_are_in_the_operators_copy_only(desk: Desk) -> None:
    item, sign = fresh("6A"), signature(fresh())
    desk.order(item, requirements=[])
    desk.put(sign)
    hand_over(desk, item, {"acceptor": ACCEPTOR, "signature": name_of(sign)}, to="neighbour")
    until(lambda: desk.states(item)[-1:] == [("proof_complete", True)])
    sender, operator = proof_of(desk, item, desk.shop), proof_of(desk, item, desk.people["boss"])
    assert b"Martin" not in orjson.dumps(sender)
    assert "signature" not in sender
    assert operator["acceptor"] == ACCEPTOR
    assert "image" in operator["signature"]


def test_what_is_missing_is_answered_to_the_phone_and_said_in_the_proof(desk: Desk) -> None:
    item, sign = registered_id(), signature(fresh())
    desk.order(item, point="dp-116")  # nobody showed a document there before
    result = hand_over(desk, item, whole(sign, identity="known_to_carrier"))
    assert result["answer"] == {"missing": ["carrier_signature"]}
    found = proof_of(desk, item, desk.shop)
    assert found["lacks"] == ["carrier_signature", "known_before"]
    assert found["identity"] == "known_to_carrier"
    assert found["signature"] == {"sha256": name_of(sign), "state": "proof_pending"}


def test_the_regular_carrier_vouches_for_whom_he_checked_before_and_a_substitute_does_not(desk: Desk) -> None:
    item, earlier = registered_id(), registered_id()
    proof = whole(signature(fresh()), identity="known_to_carrier", carrier_signature=name_of(signature(fresh())))
    for each in (earlier, item):
        desk.order(each, point="dp-121")
    run_id = f"run-{desk.service.platform.runs.today()}-T07"
    assert desk.phone.ask("GET", "/v1/runs/current").json()["run_id"] == run_id
    desk.phone.send(field_event("item.delivered", {"item_id": item, "to": "addressee", "proof": proof}, runid=run_id))
    assert proof_of(desk, item, desk.shop)["lacks"] == ["known_before"]
    seen = "update task set identity_at = now() - interval '7 days', identity_run = $2 where subject = $1"
    desk.rows(seen, f"item/{earlier}", run_id)
    assert proof_of(desk, item, desk.shop)["lacks"] == []
    desk.rows("update run set carrier = 'a substitute' where id = $1", run_id)
    assert proof_of(desk, item, desk.shop)["lacks"] == ["known_before"]
    desk.rows("update run set carrier = 'A' where id = $1", run_id)


def test_a_misread_id_is_answered_with_the_expected_one_and_taken_all_the_same(desk: Desk) -> None:
    item = f"6A{fresh('')[1:].translate(str.maketrans('ABCDEF', '012345'))[:11]}"
    desk.order(item, requirements=[])
    desk.service.platform.rounds.forget()
    misread = f"{item[:-2]}{item[-1]}{item[-2]}" if item[-1] != item[-2] else f"{item[:-1]}{(int(item[-1]) + 1) % 10}"
    event = field_event("item.delivered", {"item_id": misread, "to": "mailbox"})
    for status in ("accepted", "duplicate"):
        (result,) = desk.phone.send(event)
        assert result["status"] == status
        assert result["answer"] == {"candidates": {misread: [item]}}
        assert status == "duplicate" or "unexpected_item" in result["warnings"]
    (result,) = desk.phone.send(field_event("item.delivered", {"item_id": item, "to": "mailbox"}))
    assert "unexpected_item" not in result["warnings"]


def test_a_photo_is_named_in_the_proof_by_its_hash(desk: Desk) -> None:
    item = fresh("6A")
    desk.order(item, requirements=[])
    hand_over(desk, item, {"photo": "a" * 64, "code_ok": True}, to="addressee")
    found = proof_of(desk, item, desk.shop)
    assert (found["photo"], found["code_ok"]) == ({"sha256": "a" * 64}, True)


def test_a_delivery_that_did_not_occur_has_no_proof_any_more(desk: Desk) -> None:
    item = fresh("6A")
    desk.order(item, requirements=[])
    event = field_event("item.delivered", {"item_id": item, "to": "mailbox"})
    desk.phone.send(event)
    assert asked(desk, item, desk.shop).status == 200
    (result,) = desk.phone.send(field_event("event.corrected", {"corrects": event["id"], "kind": "did_not_occur"}))
    assert result["status"] == "accepted", result
    assert asked(desk, item, desk.shop).code == "not_found"
