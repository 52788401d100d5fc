"""Telling the fixes of `POST /v1/positions` from what is none."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from fieldsvc.errors import BadRequest, NotJson, TooLarge, UnsupportedMedia
from fieldsvc.intake.formats.phone import Decoded
from fieldsvc.intake.formats.positions import decode
from geo import Fix

GOOD: dict[str, Any] = {"fixed_at": "2026-11-21T09:42:12Z", "lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0}
AT = datetime(2026, 11, 21, 9, 42, 12, tzinfo=UTC)


def decoded(*members: Any) -> Decoded:
    return decode(orjson.dumps({"fixes": members}), "application/json", None)


def test_a_fix_is_read_with_all_that_the_contract_names() -> None:
    full = {**GOOD, "speed_mps": 1.5, "heading_deg": 90, "battery": 0.8}
    assert decoded(full).fixes == (Fix(48.93781, 2.16091, AT, 8.0, 1.5, 90.0),)


def test_unknown_accuracy_is_null_zero_or_nothing() -> None:
    bare = {name: GOOD[name] for name in ("fixed_at", "lat", "lon")}
    for member in (bare, {**bare, "accuracy_m": None}, {**bare, "accuracy_m": 0}):
        assert decoded(member).fixes == (Fix(48.93781, 2.16091, AT),)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (None, "not_an_object"), (7, "not_an_object"), ([GOOD], "not_an_object"), ("x", "not_an_object"),
        ({}, "bad_payload"), ({**GOOD, "lat": None}, "bad_payload"), ({**GOOD, "lat": "48.9"}, "bad_payload"),
        ({**GOOD, "lon": True}, "bad_payload"), ({**GOOD, "accuracy_m": "8"}, "bad_payload"),
        ({**GOOD, "speed_mps": []}, "bad_payload"), ({**GOOD, "battery": {}}, "bad_payload"),
        ({**GOOD, "lat": 90.01}, "out_of_range"), ({**GOOD, "lon": -180.5}, "out_of_range"),
        ({**GOOD, "lat": 0, "lon": 0.0}, "out_of_range"), ({**GOOD, "accuracy_m": -1}, "out_of_range"),
        ({**GOOD, "heading_deg": 361}, "out_of_range"), ({**GOOD, "lat": 2**63}, "out_of_range"),
        ({**GOOD, "fixed_at": None}, "bad_time"), ({**GOOD, "fixed_at": 1_700_000_000}, "bad_time"),
        ({**GOOD, "fixed_at": "2026-11-21T09:42:12"}, "bad_time"), ({**GOOD, "fixed_at": "1999-12-31T23:59:59Z"}, "bad_time"),
        ({**GOOD, "fixed_at": "2026-11-21T09:42:60Z"}, "bad_time"), ({**GOOD, "fixed_at": ""}, "bad_time"),
        ({**GOOD, "note": "a\u0000b"}, "nul_character"),
    ],
)  # fmt: skip
def test_what_is_no_fix_is_told_apart_alone_with_its_reason(member: Any, reason: str) -> None:
    found = decoded(GOOD, member, GOOD)
    assert len(found.fixes) == 2
    assert [fault.reason for fault in found.faults] == [reason]


def test_numbers_beyond_all_numbers_and_half_characters_are_one_members_fault() -> None:
    for value, reason in ((b"1e999", "out_of_range"), (b'"\\ud800"', "bad_payload"), (b"9" * 400, "out_of_range")):
        body = b'{"fixes":[{"fixed_at":"2026-11-21T09:42:12Z","lon":2.1,"lat":' + value + b"}]}"
        reasons = [fault.reason for fault in decode(body, "application/json", "utf-8").faults]
        assert reasons in ([reason], ["bad_unicode"])


@pytest.mark.parametrize(
    "name", ["lat", "lon", "accuracy_m", "speed_mps", "heading_deg", "battery", "fixed_at", "more"]
)
@pytest.mark.parametrize("huge", [b"9" * 401, b"-" + b"9" * 401, b"9" * 4_000, b"9" * 4_001])
def test_a_number_of_hundreds_of_digits_is_out_of_range_in_every_member(name: str, huge: bytes) -> None:
    body = orjson.dumps({"fixes": [GOOD, {**GOOD, name: "HUGE"}]}).replace(b'"HUGE"', huge)
    found = decode(body, "application/json", None)
    assert len(found.fixes) == 1
    assert [fault.reason for fault in found.faults] == ["out_of_range"]


def test_nothing_of_the_values_is_kept_of_what_is_no_fix() -> None:
    home = {
        "fixed_at": "2026-11-21T22:13:14Z",
        "lat": 48.876543,
        "lon": "2.345678",
        "ssid": "Famille Martin",
        "battery": 71,
    }
    (fault,) = decoded(home).faults
    kept = orjson.loads(fault.kept)
    assert kept == {
        "app": "positions",
        "members": {"battery": "number", "fixed_at": "text", "lat": "number", "lon": "text"},
        "others": 1,
    }
    assert decoded({**home, "lat": 1.5, "fixed_at": "x"}).faults == (fault,)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"7", b'"x"', b"null", b'{"fixes":{}}', b'{"fixes":null}', b'{"Fixes":[]}']
)
def test_a_body_without_a_list_of_fixes_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode(body, "application/json", None)
    assert refusal.value.code == "bad_request"


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"fixes":[NaN]}', b'{"fixes":[{"lat":Infinity}]}', b"\xff\xfe{\x00}\x00", b"[" * 5_000]
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        decode(body, "application/json", None)


def test_other_media_and_more_than_a_thousand_fixes_are_refused() -> None:
    for media, charset in (("text/plain", None), ("application/json", "utf-16")):
        with pytest.raises(UnsupportedMedia):
            decode(b'{"fixes":[]}', media, charset)
    assert len(decoded(*[GOOD] * 1_000).fixes) == 1_000
    with pytest.raises(TooLarge):
        decoded(*[GOOD] * 1_001)
