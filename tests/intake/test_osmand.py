"""Bodies of OsmAnd and Traccar Client, as their own sources write them: knots, m/s, four forms of time, alarms."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.intake.formats.osmand import KINDS, NO_ALARMS, decode, kinds_of
from fieldsvc.intake.formats.phone import Decoded
from fieldsvc.intake.reasons import REASONS

NOW = datetime(2026, 11, 21, 9, 42, 17, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ANDROID = (
    "id=123456&timestamp=1377177267&lat=60.0&lon=30.0&speed=0.0&bearing=0.0&altitude=0.0&accuracy=0.0&batt=87.0"
    "&charge=true"
)
CLIENT: dict[str, Any] = {
    "location": {
        "timestamp": "2025-06-15T13:45:12.862Z",
        "coords": {"latitude": 37.42, "longitude": -122.08, "accuracy": 5, "speed": 0, "heading": -1, "altitude": 5},
        "is_moving": False, "odometer": 0, "event": "motionchange", "battery": {"level": 1, "is_charging": False},
        "activity": {"type": "still"}, "extras": {"heartbeat": True}, "_": "&id=48241179&lat=1.0&lon=2.0&",
    },
    "device_id": "48241179",
}  # fmt: skip


def asked(query: str = "", body: bytes = b"", media_type: str = "application/octet-stream") -> Decoded:
    pairs = parse_qsl(query, keep_blank_values=True)
    found = decode(pairs, body, media_type, now=NOW, zone=PARIS)
    assert {fault.reason for fault in found.faults} <= REASONS.keys()
    return found


def posted(value: Any) -> Decoded:
    return asked(body=json.dumps(value).encode(), media_type=JSON)


def client(**changed: Any) -> dict[str, Any]:
    return {**CLIENT, "location": {**CLIENT["location"], **changed}}


def reasons(found: Decoded) -> list[str]:
    assert not found.fixes
    return [fault.reason for fault in found.faults]


def test_traccar_client_8_posts_a_query_and_an_empty_body() -> None:
    (fix,) = asked(ANDROID).fixes
    assert (fix.lat, fix.lon) == (60.0, 30.0)
    assert fix.fixed_at == datetime(2013, 8, 22, 13, 14, 27, tzinfo=UTC)
    assert fix.accuracy_m is None  # it says 0.0 of every fix of the satellites
    assert (fix.speed_mps, fix.heading_deg) == (0.0, None)  # a phone that stands still heads nowhere


def test_a_form_in_the_body_is_read_as_well() -> None:
    assert asked(body=ANDROID.encode(), media_type=FORM) == asked(ANDROID)
    assert asked(body=ANDROID.encode(), media_type="text/plain") == asked(ANDROID)


@pytest.mark.parametrize(("knots", "mps"), [("1", 0.514444), ("10.0", 5.144444), ("1.94384449", 1.0), ("-1", None), ("fast", None), ("nan", None), ("9999", None)])  # fmt: skip
def test_speed_of_the_query_is_in_knots(knots: str, mps: float | None) -> None:
    (fix,) = asked(f"lat=48.9&lon=2.1&speed={knots}").fixes
    assert fix.speed_mps == (None if mps is None else pytest.approx(mps, abs=1e-6))


def test_speed_of_osmand_itself_is_in_metres_a_second_under_our_name() -> None:
    query = "lat=48.9378&lon=2.1609&timestamp=1763718137000&accuracy=8.0&altitude=35.0&speed_mps=1.5&bearing=90.0"
    (fix,) = asked(query).fixes
    assert (fix.speed_mps, fix.heading_deg, fix.accuracy_m) == (1.5, 90.0, 8.0)
    assert fix.fixed_at == datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1763718137", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),
        ("1763718137.5", datetime(2025, 11, 21, 9, 42, 17, 500_000, tzinfo=UTC)),
        ("1763718137250", datetime(2025, 11, 21, 9, 42, 17, 250_000, tzinfo=UTC)),
        ("2147483646", datetime(2038, 1, 19, 3, 14, 6, tzinfo=UTC)),
        ("2025-11-21T09:42:17Z", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),
        ("2025-11-21T09:42:17.862Z", datetime(2025, 11, 21, 9, 42, 17, 862_000, tzinfo=UTC)),
        ("2025-11-21T10:42:17%2B01:00", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),
        ("2025-11-21T10:42:17+01:00", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),  # the plus becomes a space
        ("2025-11-21T09:42:17", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),
        ("2025-11-21 10:42:17", datetime(2025, 11, 21, 9, 42, 17, tzinfo=UTC)),  # the server's zone, in winter
        ("2025-07-21 10:42:17", datetime(2025, 7, 21, 8, 42, 17, tzinfo=UTC)),  # and in summer
        ("", NOW),
    ],
)
def test_times_have_four_forms_and_none_is_now(written: str, moment: datetime) -> None:
    (fix,) = asked(f"lat=48.9&lon=2.1&timestamp={written}").fixes
    assert fix.fixed_at == moment
    assert asked("lat=48.9&lon=2.1").fixes[0].fixed_at == NOW


@pytest.mark.parametrize("written", ["soon", "0", "-5", "2147483647", "99999999999999999", "1e30", "2025-13-45T00:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01 00:00:00", "2025-02-30 10:00:00", "T", "%00", "٢٠٢٥-11-21 10:00:00"])  # fmt: skip
def test_a_time_that_cannot_be_read_is_a_bad_time(written: str) -> None:
    assert reasons(asked(f"lat=48.9&lon=2.1&timestamp={written}")) == ["bad_time"]


def test_a_place_may_be_one_field() -> None:
    (fix,) = asked("location=48.93781,2.16091").fixes
    assert (fix.lat, fix.lon) == (48.93781, 2.16091)
    (spaced,) = asked("location=48.93781,%202.16091").fixes
    assert spaced.lon == 2.16091


@pytest.mark.parametrize("query", ["", "id=1", "id=1&batt=50", "id=1&timestamp=1763718137&driverUniqueId=7", "id=1&notificationToken=abc", "interval=30&id=d-0042", "lat=&lon=", "location=,"])  # fmt: skip
def test_a_request_without_a_position_is_legal(query: str) -> None:
    assert asked(query) == Decoded()


def test_the_token_for_notices_is_a_form_without_a_position() -> None:
    assert asked(body=b"id=123456&notificationToken=dGhlIHRva2Vu", media_type=FORM) == Decoded()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("lat=48.9", "bad_payload"),
        ("lat=48,9&lon=2,1", "bad_payload"),
        ("lat=48.9&lon=NaN", "bad_payload"),
        ("lat=48.9&lon=inf", "bad_payload"),
        ("lat=0x30&lon=2", "bad_payload"),
        ("lat=4_8&lon=2", "bad_payload"),
        ("location=48.9", "bad_payload"),
        ("lat=91&lon=2", "out_of_range"),
        ("lat=48&lon=1e300", "out_of_range"),
        ("lat=0&lon=0", "out_of_range"),
        ("lat=%zz&lon=%", "bad_payload"),
    ],
)
def test_a_place_that_is_none_says_why(query: str, reason: str) -> None:
    assert reasons(asked(query)) == [reason]


def test_of_a_name_that_comes_twice_the_last_one_counts() -> None:
    (fix,) = asked("lat=1&lat=48.9&lon=2.1").fixes
    assert fix.lat == 48.9


@pytest.mark.parametrize("valid", ["false", "0", "False"])
def test_a_position_that_is_not_valid_is_not_taken(valid: str) -> None:
    assert asked(f"lat=48.9&lon=2.1&valid={valid}") == Decoded()
    assert len(asked("lat=48.9&lon=2.1&valid=1").fixes) == len(asked("lat=48.9&lon=2.1&valid=true").fixes) == 1


def test_a_position_that_is_made_up_is_not_taken() -> None:
    assert reasons(asked("lat=48.9&lon=2.1&mock=true")) == ["mock_position"]
    assert reasons(posted(client(mock=True))) == ["mock_position"]


def test_what_else_is_said_is_not_read() -> None:
    more = "&hdop=1.2&cell=208,1,10,20&wifi=aa-bb-cc-dd-ee-ff,-60&wifi=11-22,x&driverUniqueId=7&anything=%F0%9F%90%B4&x"
    assert asked(ANDROID + more) == asked(ANDROID)


def test_hdop_is_no_accuracy() -> None:
    assert asked("lat=48.9&lon=2.1&hdop=5").fixes[0].accuracy_m is None


def test_a_body_of_a_form_without_a_name_that_we_know_is_a_bad_payload() -> None:
    assert reasons(asked(body=b"\xff\xfe<\x00x\x00>\x00", media_type="text/xml")) == ["bad_payload"]
    assert reasons(asked(body=b"&".join(b"a=%d" % n for n in range(300)), media_type=FORM)) == ["bad_payload"]


# JSON


def test_traccar_client_9_posts_json() -> None:
    (fix,) = posted(CLIENT).fixes
    assert (fix.lat, fix.lon, fix.accuracy_m, fix.speed_mps, fix.heading_deg) == (37.42, -122.08, 5.0, 0.0, None)
    assert fix.fixed_at == datetime(2025, 6, 15, 13, 45, 12, 862_000, tzinfo=UTC)


@pytest.mark.parametrize(("speed", "mps"), [(1.5, 1.5), (0, 0.0), (-1, None), (None, None), ("2", None)])
def test_speed_of_the_json_is_in_metres_a_second(speed: Any, mps: float | None) -> None:
    coords = {**CLIENT["location"]["coords"], "speed": speed, "heading": 359.5}
    (fix,) = posted(client(coords=coords)).fixes
    assert (fix.speed_mps, fix.heading_deg) == (mps, 359.5)


@pytest.mark.parametrize("said", ["2025-06-15T13:45:12.862Z", 1749995112862, 1749995112.862])
def test_a_time_in_json_is_text_or_a_number(said: Any) -> None:
    (fix,) = posted(client(timestamp=said)).fixes
    assert abs(fix.fixed_at - datetime(2025, 6, 15, 13, 45, 12, 862_000, tzinfo=UTC)) < timedelta(milliseconds=1)


def test_json_is_known_by_its_first_letter_too_and_may_come_beside_a_query() -> None:
    sent = json.dumps(CLIENT).encode()
    assert asked("id=1", b"\n" + sent, "text/plain") == posted(CLIENT)


def test_locations_may_come_as_lists() -> None:
    place = CLIENT["location"]
    assert len(posted({"location": [place, place], "device_id": "1"}).fixes) == 2
    assert len(posted([CLIENT, CLIENT, CLIENT]).fixes) == 3
    assert reasons(posted([CLIENT] * 1_001)) == ["too_large"]
    assert reasons(posted({"location": [place] * 1_001})) == ["too_large"]


def test_json_without_coordinates_or_without_a_location_is_legal() -> None:
    assert posted(client(coords=None)) == posted({"device_id": "1"}) == Decoded()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, "not_an_object"),
        ([None], "not_an_object"),
        ({}, "bad_payload"),
        ({"location": 7}, "bad_payload"),
        ({"location": [7]}, "bad_payload"),
        (client(coords=[1, 2]), "bad_payload"),
        (client(coords={}), "bad_payload"),
        (client(coords={"latitude": "37.4", "longitude": 2}), "bad_payload"),
        (client(coords={"latitude": True, "longitude": 2}), "bad_payload"),
        (client(coords={"latitude": 91, "longitude": 2}), "out_of_range"),
        (client(coords={"latitude": 10**400, "longitude": 2}), "out_of_range"),
        (client(timestamp="yesterday"), "bad_time"),
        (client(timestamp=True), "bad_time"),
        (client(timestamp=10**400), "bad_time"),
        (client(timestamp={}), "bad_time"),
    ],
)
def test_json_that_cannot_be_taken_says_why(value: Any, reason: str) -> None:
    assert reasons(posted(value)) == [reason]


@pytest.mark.parametrize("digits", [309, 401, 4_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_hundreds_of_digits_is_cut_or_not_known_or_out_of_range(digits: int, sign: int) -> None:
    huge, coords = sign * (10**digits - 1), CLIENT["location"]["coords"]
    for name, field, known in (
        ("accuracy", "accuracy_m", 100_000.0 if sign > 0 else None),
        ("speed", "speed_mps", None),
        ("heading", "heading_deg", None),
        ("altitude", "lat", 37.42),
    ):
        (fix,) = posted(client(coords={**coords, name: huge})).fixes
        assert getattr(fix, field) == known
    for name in ("latitude", "longitude"):
        sent = {**client(coords={**coords, name: huge}), "alarm": "sos"}
        found = posted(sent)
        assert (reasons(found), found.alarms) == (["out_of_range"], posted(sent).alarms)
        assert [alarm.kind for alarm in found.alarms] == ["sos"]
    assert reasons(posted(client(timestamp=huge))) == ["bad_time"]
    for name in ("uuid", "odometer", "battery", "mock", "extras"):
        assert len(posted(client(**{name: huge})).fixes) == 1


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_of_hundreds_of_digits_in_a_query_is_not_known(sign: str) -> None:
    huge = sign + "9" * 401
    for name in ("speed", "speed_mps", "bearing", "heading", "accuracy", "altitude", "hdop", "batt", "id"):
        (fix,) = asked(f"lat=48.9&lon=2.1&{name}={huge}").fixes
        assert (fix.accuracy_m, fix.speed_mps, fix.heading_deg) == (None, None, None)
    for query in (f"lat={huge}&lon=2.1", f"lat=48.9&lon={huge}", f"location=48.9,{huge}"):
        assert reasons(asked(query)) == ["bad_payload"]
    assert reasons(asked(f"lat=48.9&lon=2.1&timestamp={huge}")) == ["bad_time"]


@pytest.mark.parametrize("broken", [b"{", b'{"location":NaN}', json.dumps(CLIENT).encode("utf-16"), b"[" * 50_000])
def test_what_is_no_json_says_so(broken: bytes) -> None:
    assert reasons(asked(body=broken, media_type=JSON)) == ["not_json"]


def test_of_what_is_at_fault_only_the_shape_is_kept() -> None:
    (fault,) = asked("id=7&lat=48.123456&lon=x2.98765&wifi=aa-bb&secret=me&timestamp=1763718137").faults
    assert orjson.loads(fault.kept) == {
        "app": "osmand",
        "members": {"id": "text", "lat": "text", "lon": "text", "timestamp": "text"},
        "others": 2,
    }


# Alarms


def test_an_sos_has_its_place_and_its_time() -> None:
    found = asked(ANDROID + "&alarm=sos")
    (alarm,) = found.alarms
    assert (alarm.kind, alarm.fix) == ("sos", found.fixes[0])
    assert alarm.said_at == datetime(2013, 8, 22, 13, 14, 27, tzinfo=UTC)


@pytest.mark.parametrize("where", ["root", "location", "extras"])
def test_an_alarm_of_the_json_may_be_in_three_places(where: str) -> None:
    sent = {
        "root": {**CLIENT, "alarm": "sos"},
        "location": client(alarm="sos"),
        "extras": client(extras={"alarm": "sos"}),
    }
    (alarm,) = posted(sent[where]).alarms
    assert (alarm.kind, alarm.fix) == ("sos", posted(CLIENT).fixes[0])


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("sos", ["sos"]), ("SOS", ["sos"]), ("accident", ["accident"]), ("fallDown", ["fall"]), ("fall", ["fall"]),
        ("assault", ["assault"]), ("something new", ["sos"]), ("general", ["sos"]), (True, ["sos"]),
        ("sos,lowBattery", ["sos"]), ("accident, fallDown,accident", ["accident", "fall"]), ("lowBattery", []),
        ("overspeed", []), ("geofenceExit", []), ("", []), (",", []), ("false", []), (None, []), (False, []), (7, []),
    ],
)  # fmt: skip
def test_names_of_alarms_become_kinds_and_a_devices_own_troubles_are_none(said: Any, kinds: list[str]) -> None:
    assert kinds_of(said) == kinds
    assert not NO_ALARMS & KINDS.keys()


@pytest.mark.parametrize(
    "wrong", ["lat=91&lon=2", "lat=x", "timestamp=never&lat=48.9&lon=2.1", "valid=false", "id=1", ""]
)
def test_an_alarm_is_taken_whatever_is_wrong_with_the_rest(wrong: str) -> None:
    (alarm,) = asked(f"{wrong}&alarm=sos").alarms
    assert (alarm.kind, alarm.fix, alarm.said_at) == ("sos", None, None)


def test_an_alarm_of_the_json_is_taken_whatever_is_wrong_with_the_rest() -> None:
    for sent in ({"alarm": "sos"}, {"location": 7, "alarm": "sos"}, {**client(coords={}), "alarm": "sos"}):
        assert [alarm.kind for alarm in posted(sent).alarms] == ["sos"]


def test_an_alarm_keeps_the_last_place_that_the_phone_was_sure_of() -> None:
    found = asked("lat=48.9&lon=2.1&valid=false&alarm=sos")
    assert found.fixes == ()
    assert found.alarms[0].fix is not None


def test_an_alarm_with_a_made_up_place_stands_without_it() -> None:
    found = asked("lat=48.9&lon=2.1&mock=true&alarm=sos")
    assert (found.fixes, found.alarms[0].fix) == ((), None)


def test_an_alarm_sent_again_is_the_same_and_one_that_says_no_time_is_the_same_for_ten_minutes() -> None:
    assert asked(ANDROID + "&alarm=sos").alarms == asked(ANDROID + "&alarm=sos&batt=12").alarms
    assert posted(client(alarm="sos")).alarms == posted(client(alarm="sos", battery={"level": 0.2})).alarms
    at = [NOW, NOW + timedelta(minutes=2), NOW + timedelta(minutes=20)]
    contents = [decode([("alarm", "sos")], b"", FORM, now=now, zone=PARIS).alarms[0].content for now in at]
    assert contents[0] == contents[1] != contents[2]


def test_an_alarm_whose_time_cannot_be_read_is_the_same_for_ten_minutes_too() -> None:
    said = [("alarm", "sos"), ("timestamp", "never")]
    at = [NOW, NOW + timedelta(minutes=2), NOW + timedelta(minutes=20)]
    contents = [decode(said, b"", FORM, now=now, zone=PARIS).alarms[0].content for now in at]
    assert contents[0] == contents[1] != contents[2]


def test_two_alarms_of_json_are_told_apart_by_their_uuid() -> None:
    one, two = (posted(client(alarm="sos", uuid=f"u-{n}")).alarms[0].content for n in (1, 2))
    assert one != two


words = st.sampled_from(
    ["lat", "lon", "location", "timestamp", "speed", "alarm", "mock", "valid", "accuracy", "id"]
) | st.text(max_size=5)
values = st.text(max_size=20) | st.sampled_from(
    ["48.9", "1e999", "-1", "nan", "1763718137", "sos", "true", "T", "1" * 400]
)


@given(st.lists(st.tuples(words, values), max_size=12), st.binary(max_size=60), st.sampled_from([FORM, JSON, "x/y"]))
def test_whatever_is_sent_is_decoded_without_an_error(
    query: list[tuple[str, str]], body: bytes, media_type: str
) -> None:
    for fault in decode(query, body, media_type, now=NOW, zone=PARIS).faults:
        assert fault.reason in REASONS


leaf = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just("2025-06-15T13:45:12Z")
names = st.sampled_from(["location", "coords", "latitude", "longitude", "timestamp", "alarm", "extras", "uuid", "mock"])


@given(
    st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=25
    )
)
def test_whatever_json_is_sent_is_decoded_without_an_error(value: Any) -> None:
    for fault in posted(value).faults:
        assert fault.reason in REASONS
