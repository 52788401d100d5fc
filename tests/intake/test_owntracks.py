"""OwnTracks bodies, as the booklet and the apps write them: every unit to the decimal, and nothing private left."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from fieldsvc.intake.formats.owntracks import PASSED_OVER, decode, open_encrypted
from fieldsvc.intake.json import Unfit
from fieldsvc.intake.reasons import REASONS

LOCATION: dict[str, Any] = {
    "_type": "location", "tid": "JJ", "lat": 48.856826, "lon": 2.292713, "tst": 1772444537, "acc": 10, "alt": 35,
    "vac": 3, "vel": 5, "cog": 56, "batt": 30, "bs": 1, "t": "u", "conn": "m", "m": 1, "created_at": 1772444540,
    "_id": "3c8f8628", "inregions": ["Depot"], "inrids": ["6da9cf"], "SSID": "x", "BSSID": "12:34:56:78",
    "topic": "owntracks/user/phone",
}  # fmt: skip
SECRET = "mysecreTpass01"
SEALED = (
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX3KlRKhRNQuB6tPG9bqGHWtv2hFEi673vdntViQ9cMNc1+D0+oyr0ujPh1H9CxQ22znRarkYCzufJxOjjuo"
    "FiNfESWvjMCZgHMi5JYbTo+gXlyfBYUIHD4fZIzoGb"
)


def body(*parts: Any, **changed: Any) -> bytes:
    if parts:
        return orjson.dumps(parts[0])
    return orjson.dumps({key: value for key, value in {**LOCATION, **changed}.items() if value is not ...})


def sealed(text: bytes, secret: str = SECRET) -> bytes:
    box = SecretBox(secret.encode().ljust(32, b"\0"))
    return orjson.dumps({"_type": "encrypted", "data": base64.b64encode(bytes(box.encrypt(text))).decode()})


def reasons(sent: bytes, **more: Any) -> list[str]:
    found = decode(sent, **more)
    assert not found.fixes
    assert {fault.reason for fault in found.faults} <= REASONS.keys()
    return [fault.reason for fault in found.faults]


def test_a_location_becomes_a_fix_in_our_units() -> None:
    found = decode(body())
    (fix,) = found.fixes
    assert (fix.lat, fix.lon, fix.accuracy_m, fix.heading_deg) == (48.856826, 2.292713, 10.0, 56.0)
    assert fix.speed_mps == pytest.approx(5 / 3.6, abs=1e-12)  # vel is in km/h
    assert fix.fixed_at == datetime(2026, 3, 2, 9, 42, 17, tzinfo=UTC)
    assert (found.alarms, found.faults) == ((), ())


@pytest.mark.parametrize(
    ("vel", "mps"), [(0, 0.0), (36, 10.0), (3.6, 1.0), (90, 25.0), (-1, None), (5000, None), ("5", None)]
)
def test_speed_is_kilometres_an_hour(vel: Any, mps: float | None) -> None:
    speed = decode(body(vel=vel)).fixes[0].speed_mps
    assert speed == (None if mps is None else pytest.approx(mps, abs=1e-9))


def test_what_the_app_leaves_out_because_it_is_0_is_not_known() -> None:
    (fix,) = decode(b'{"_type":"location","tid":"JJ","lat":48.85833,"lon":2.29513,"tst":1497476456}').fixes
    assert (fix.accuracy_m, fix.speed_mps, fix.heading_deg) == (None, None, None)


@pytest.mark.parametrize("acc", [0, 0.0, -1, None, "10", True, [10]])
def test_an_accuracy_of_0_or_of_no_number_is_not_known(acc: Any) -> None:
    assert decode(body(acc=acc)).fixes[0].accuracy_m is None


@pytest.mark.parametrize("digits", [309, 401, 4_000, 4_001])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_any_number_of_digits_is_cut_or_not_known_or_out_of_range(digits: int, sign: int) -> None:
    huge = b"%s%s" % (b"-" if sign < 0 else b"", b"9" * digits)
    sent = {name: body(**{name: "HUGE"}).replace(b'"HUGE"', huge) for name in LOCATION}
    for name in ("vel", "cog", "alt", "vac", "batt", "m", "created_at", "t"):
        (fix,) = decode(sent[name]).fixes
        assert fix.lat == LOCATION["lat"]
    assert decode(sent["acc"]).fixes[0].accuracy_m == (100_000.0 if sign > 0 else None)
    assert decode(sent["vel"]).fixes[0].speed_mps is None
    assert [reasons(sent[name]) for name in ("lat", "lon", "tst")] == [["out_of_range"], ["out_of_range"], ["bad_time"]]


def test_numbers_may_be_floats() -> None:
    (fix,) = decode(body(acc=12.5, tst=1772444537.5, vel=7.2, cog=359.9)).fixes
    assert (fix.accuracy_m, fix.heading_deg) == (12.5, 359.9)
    assert fix.speed_mps == pytest.approx(2.0)
    assert fix.fixed_at == datetime(2026, 3, 2, 9, 42, 17, 500_000, tzinfo=UTC)


def test_unknown_members_of_any_form_change_nothing() -> None:
    more = {"qos": 1, "retained": True, "modeId": 2, "source": "gps", "poi": "home", "image": "aGk=", "tag": {"a": [1]},
            "motionactivities": ["walking"], "tid": "a\x00b", "desc": "\u202e"}  # fmt: skip
    assert decode(body(**more)) == decode(body())


@pytest.mark.parametrize("kind", sorted(PASSED_OVER))
def test_every_other_message_of_the_app_is_passed_over(kind: str) -> None:
    more = {"event": "enter", "desc": "Maison", "rid": "6da9cf", "wtst": 1772444000, "data": "x"}
    found = decode(body({**LOCATION, **more, "_type": kind}))
    assert (found.fixes, found.alarms, found.faults) == ((), (), ())


def test_a_list_of_messages_is_taken_one_by_one() -> None:
    found = decode(body([LOCATION, {"_type": "lwt", "tst": 1}, 7, {**LOCATION, "lat": 99}, LOCATION]))
    assert len(found.fixes) == 2
    assert [fault.reason for fault in found.faults] == ["not_an_object", "out_of_range"]


def test_a_list_of_more_than_a_thousand_is_too_large() -> None:
    assert len(decode(body([LOCATION] * 1_000)).fixes) == 1_000
    assert reasons(body([LOCATION] * 1_001)) == ["too_large"]


@pytest.mark.parametrize("empty", [b"", b"  \r\n", b"[]"])
def test_an_empty_body_is_nothing(empty: bytes) -> None:
    found = decode(empty)
    assert (found.fixes, found.alarms, found.faults) == ((), (), ())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lat": 91}, "out_of_range"),
        ({"lon": -180.5}, "out_of_range"),
        ({"lat": 0, "lon": 0}, "out_of_range"),
        ({"lat": 10**400}, "out_of_range"),
        ({"lat": "48.9"}, "bad_payload"),
        ({"lat": True}, "bad_payload"),
        ({"lat": None}, "bad_payload"),
        ({"lon": ...}, "bad_payload"),
        ({"tst": ...}, "bad_time"),
        ({"tst": "1772444537"}, "bad_time"),
        ({"tst": 1772444537000}, "bad_time"),
        ({"tst": 0}, "bad_time"),
        ({"tst": -1}, "bad_time"),
        ({"tst": 2**80}, "bad_time"),
        ({"_type": "position"}, "unknown_type"),
        ({"_type": ["location"]}, "unknown_type"),
        ({"_type": ...}, "unknown_type"),
    ],
)
def test_a_location_that_cannot_be_taken_says_why(changed: dict[str, Any], reason: str) -> None:
    sent = json.dumps({key: value for key, value in {**LOCATION, **changed}.items() if value is not ...})
    assert reasons(sent.encode()) == [reason]


@pytest.mark.parametrize(
    "broken",
    [b"{", b"nope", b'{"_type":"location","lat":NaN}', '{"_type":"location"}'.encode("utf-16"), b"[" * 60_000,
     b"\xff\xfe", b'{"lat":48.9', b"\x00"],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_json_says_so(broken: bytes) -> None:
    assert reasons(broken) == ["not_json"]


def test_the_vector_of_the_booklets_encryption_opens() -> None:
    assert orjson.loads(open_encrypted(SEALED, SECRET)) == {
        "_type": "location", "lat": 48.85833, "lon": 2.29513, "tst": 1497476456, "tid": "JJ",
    }  # fmt: skip
    (fix,) = decode(orjson.dumps({"_type": "encrypted", "data": SEALED}), passphrase=SECRET).fixes
    assert (fix.lat, fix.lon, fix.fixed_at) == (48.85833, 2.29513, datetime(2017, 6, 14, 21, 40, 56, tzinfo=UTC))


def test_an_encrypted_message_is_taken_like_an_open_one() -> None:
    assert decode(sealed(body()), passphrase=SECRET) == decode(body())
    assert decode(sealed(b""), passphrase=SECRET).faults == ()


@pytest.mark.parametrize("data", [SEALED[:-4] + "AAAA", "AAAA", "", "%%%", 7, None, "é", SEALED[:30]])
def test_what_was_not_sealed_with_the_devices_passphrase_is_kept_as_such(data: Any) -> None:
    assert reasons(orjson.dumps({"_type": "encrypted", "data": data}), passphrase=SECRET) == ["not_decrypted"]


@pytest.mark.parametrize("passphrase", [None, "", "another one", SECRET + "x" * 40])
def test_the_passphrase_is_the_devices_own(passphrase: str | None) -> None:
    assert reasons(orjson.dumps({"_type": "encrypted", "data": SEALED}), passphrase=passphrase) == ["not_decrypted"]


def test_a_message_sealed_twice_is_not_opened_twice() -> None:
    assert reasons(sealed(sealed(body())), passphrase=SECRET) == ["unknown_type"]
    assert reasons(sealed(b"nope"), passphrase=SECRET) == ["not_json"]
    assert reasons(sealed(b"[]"), passphrase=SECRET) == ["not_an_object"]


def test_of_a_faulty_message_only_its_shape_is_kept() -> None:
    (fault,) = decode(body(tst="yesterday", SSID="HomeSweetHome", poi="at the doctor's", lat=48.123456)).faults
    assert orjson.loads(fault.kept) == {
        "app": "owntracks",
        "members": {"_type": "text", "acc": "number", "cog": "number", "created_at": "number", "lat": "number",
                    "lon": "number", "tid": "text", "tst": "text", "vel": "number"},
        "others": 14,
    }  # fmt: skip


def test_equal_faults_are_kept_alike_so_that_a_phone_that_goes_on_says_nothing_new() -> None:
    first, second = (decode(body(tst=None, lat=lat)).faults for lat in (48.1, 49.2))
    assert first == second


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(sorted(LOCATION)) | st.text(max_size=5), inner, max_size=5)
        ),
        max_leaves=25,
    )
)
def test_whatever_is_sent_is_decoded_without_an_error(value: Any) -> None:
    sent = json.dumps(value).encode()
    for fault in decode(sent, passphrase=SECRET).faults:
        assert fault.reason in REASONS


@given(st.binary(max_size=80))
def test_whatever_bytes_are_sent_are_decoded_without_an_error(sent: bytes) -> None:
    decode(sent, passphrase=SECRET)
    with pytest.raises(Unfit):
        open_encrypted(base64.b64encode(sent).decode(), SECRET)
