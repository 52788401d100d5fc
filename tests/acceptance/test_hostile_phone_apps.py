"""Hostile and broken bodies on the routes of phone apps: each is answered with 200, kept by its shape, and echoed nowhere."""

import gzip
import json
import zlib
from collections.abc import Iterator
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.phones import (
    CANARY,
    FORM,
    JSON,
    C,
    Desk,
    Phone,
    client9,
    location,
    nothing_told,
    open_desk,
    taken,
)


@pytest.fixture(scope="module")
def desk(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(postgres_url, tmp_path_factory.mktemp("apps")) as opened:
        yield opened


@pytest.fixture(scope="module")
def still(desk: Desk) -> Phone:
    """A phone that nobody started, for what is sent to it whatever it is."""
    return desk.phone()


@pytest.fixture(autouse=True)
def _nothing_told(desk: Desk) -> Iterator[None]:
    with nothing_told(desk):
        yield


# Hostile and broken bodies


def zipped(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(b"[") + packer.compress(b" " * size) + packer.compress(b"]") + packer.flush()


HOSTILE = [
    ("B01 NUL where text is read", b'{"_type":"loc\\u0000%s"}' % C, "unknown_type"),
    ("B01 a NUL byte", b'\x00{"_type":"location"}', "not_json"),
    ("B02 half a pair", b'{"_type":"\\ud800%s"}' % C, "unknown_type"),
    ("B03 NaN", b'{"_type":"location","lat":NaN,"x":"%s"}' % C, "not_json"),
    ("B03 1e999", b'{"_type":"location","lat":1e999,"lon":2,"tst":1763718137}', "out_of_range"),
    ("B03 infinity by name", b'{"_type":"location","lat":Infinity}', "not_json"),
    ("B04 200 levels", b"[" * 150 + b"]" * 150, "not_an_object"),
    ("B04 60,000 levels", b"[" * 60_000, "not_json"),
    ("B05 2^64", b'{"_type":"location","lat":48,"lon":2,"tst":18446744073709551616}', "bad_time"),
    ("B05 5,000 digits", b'{"_type":"location","lat":48,"lon":2,"tst":%s}' % (b"9" * 5_000), "bad_time"),
    ("B06 the last of two members counts", b'{"_type":"location","_type":"%s"}' % C, "unknown_type"),
    (
        "B07 a time of another kind",
        b'{"_type":"location","lat":48,"lon":2,"tst":"0001-01-01T00:00:00+14:00"}',
        "bad_time",
    ),
    ("B08 out of range", b'{"_type":"location","lat":91,"lon":2,"tst":1763718137}', "out_of_range"),
    ("B08 no place at all", b'{"_type":"location","lat":0,"lon":0,"tst":1763718137}', "out_of_range"),
    ("B09 UTF-16", json.dumps({"_type": CANARY}).encode("utf-16"), "not_json"),
    ("B09 a byte order mark", b"\xef\xbb\xbf{}", "not_json"),
    ("B09 Latin-1", '{"_type":"é'.encode("latin-1") + C + b'"}', "not_json"),
    ("B15 a path as a type", b'{"_type":"../../%s"}' % C, "unknown_type"),
    ("B16 a formula", b'{"_type":"=cmd|\' /C calc\'!A0"}', "unknown_type"),
    ("B17 a type of tomorrow", b'{"_type":"location2","lat":48}', "unknown_type"),
    ("no object", b'"%s"' % C, "not_an_object"),
    ("nothing but a letter", C, "not_json"),
]


@pytest.mark.parametrize(("body", "reason"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
@pytest.mark.parametrize("media_type", [JSON, "text/html", "application/json; charset=utf-16", CANARY])
def test_whatever_owntracks_sends_is_answered_and_kept_with_its_reason(
    desk: Desk, still: Phone, body: bytes, reason: str, media_type: str
) -> None:
    before = desk.service.counted(f'fieldsvc_events_quarantined_total{{reason="{reason}"}}')
    answer = still.owntracks(body, media_type=media_type)
    taken(answer)
    assert CANARY not in str(answer.headers)
    assert desk.service.counted(f'fieldsvc_events_quarantined_total{{reason="{reason}"}}') == before + 1
    assert reason in [kept for kept, _ in still.kept]


@pytest.mark.parametrize("media_type", [JSON, FORM, "text/plain", CANARY])
@pytest.mark.parametrize("body", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_whatever_a_phone_posts_to_osmand_is_answered(still: Phone, body: bytes, media_type: str) -> None:
    before = len(still.kept)
    answer = still.osmand("", body, method="POST", Content_Type=media_type)
    taken(answer, b"")
    assert len(still.kept) <= before + 1  # at most one new shape


HUGE = b"9" * 401


@pytest.mark.parametrize("name", ["lat", "lon", "tst", "acc", "vel", "cog", "alt", "created_at"])
def test_b05_401_digits_from_owntracks_are_answered(still: Phone, name: str) -> None:
    taken(still.owntracks(orjson.dumps(location(**{name: "HUGE"})).replace(b'"HUGE"', HUGE)))


@pytest.mark.parametrize("name", ["latitude", "longitude", "accuracy", "speed", "heading", "altitude"])
def test_b05_401_digits_from_traccar_client_are_answered(still: Phone, name: str) -> None:
    sent = client9()
    sent["location"]["coords"][name] = "HUGE"
    body = orjson.dumps(sent).replace(b'"HUGE"', HUGE)
    taken(still.osmand("", body, method="POST", Content_Type=JSON), b"")
    taken(still.osmand(f"lat=48.9&lon=2.1&{name}={HUGE.decode()}"), b"")


@pytest.mark.parametrize("name", ["lat", "lon", "accuracy_m", "speed_mps", "heading_deg", "battery"])
def test_b05_401_digits_in_our_own_positions_are_answered(still: Phone, name: str) -> None:
    fix = {"fixed_at": "2026-11-21T09:42:12Z", "lat": 48.9, "lon": 2.1, name: "HUGE"}
    body = orjson.dumps({"fixes": [fix]}).replace(b'"HUGE"', HUGE)
    more = {"Authorization": f"Bearer {still.made['token']}", "Content-Type": JSON}
    answer = still.service.ask("POST", "/v1/positions", body, headers=more)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("garbage", ["lat=%zz&lon=%", "%ff%fe=%00", "lat=48.9;lon=2", "&&&", "=", "lat=%00&lon=%00", "timestamp=%f0%9f", "a" * 7_000, "lat=%u0041", "+", "?" * 50, quote("\u202e=x"), "&".join("lat=1" for _ in range(1_000))])  # fmt: skip
def test_garbage_in_a_query_is_answered(still: Phone, garbage: str) -> None:
    taken(still.osmand(garbage), b"")
    taken(still.osmand(garbage, b"", method="POST"), b"")


BIG = b'[{"x":"' + b"x" * 1_100_000 + b'"}]'


def test_b10_a_body_of_more_than_a_mebibyte_is_answered_and_only_its_reason_kept(desk: Desk) -> None:
    phone = desk.phone()
    taken(phone.owntracks(BIG))
    taken(phone.osmand("", BIG, method="POST", Content_Type=JSON), b"")
    more = {**phone.basic, "Content-Type": JSON}
    taken(phone.service.ask("POST", "/owntracks", BIG, headers=more, chunked=True))
    taken(phone.owntracks(zipped(200_000_000), Content_Encoding="gzip"))
    assert phone.kept == [("too_large", {"app": "owntracks"}), ("too_large", {"app": "osmand"})]


def test_b10_a_packed_body_is_unpacked_and_a_broken_one_answered(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    taken(phone.owntracks(gzip.compress(orjson.dumps(location())), Content_Encoding="gzip"))
    assert len(phone.progress) == 1
    for broken in (C * 50, gzip.compress(C)[:-8] + b"\0" * 8):
        taken(phone.owntracks(broken, Content_Encoding="gzip"))
        taken(phone.osmand("", broken, method="POST", Content_Encoding="gzip"), b"")
    assert phone.kept == [("bad_encoding", {"app": "owntracks"}), ("bad_encoding", {"app": "osmand"})]


def test_a_list_of_a_thousand_is_taken_and_a_longer_one_kept_aside(desk: Desk) -> None:
    phone = desk.phone()
    before = desk.counted("off_duty_discarded")
    taken(phone.owntracks([location()] * 1_000))
    taken(phone.client9([client9()] * 300), b"")
    assert desk.counted("off_duty_discarded") == before + 1_300
    taken(phone.owntracks([location()] * 1_001))
    assert phone.kept == [("too_large", {"app": "owntracks"})]


def test_a_phone_that_goes_on_with_one_fault_fills_no_shelf(desk: Desk) -> None:
    phone = desk.phone()
    for number in range(20):
        taken(phone.owntracks(location(tst=None, lat=48 + number / 100)))
    assert len(phone.kept) == 1


def test_b14_there_is_no_websocket_here(still: Phone) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x" * 24,
        "Sec-WebSocket-Version": "13",
    }
    assert still.osmand("", **upgrade).status == 404


def test_b13_other_methods_are_405(desk: Desk) -> None:
    for method in ("GET", "PUT", "TRACE", "PATCH"):
        assert desk.service.ask(method, "/owntracks").status == 405


# Whatever comes

text = st.text(max_size=12).map(lambda word: word + CANARY) | st.sampled_from(
    ["", "\x00", "NaN", "1e999", "location", "sos"]
)
leaf = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | text
keys = st.sampled_from(["_type", "lat", "lon", "tst", "acc", "vel", "data", "location", "coords", "latitude", "longitude", "timestamp", "alarm", "extras", "mock"]) | st.text(max_size=4)  # fmt: skip
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
)
bodies = st.binary(max_size=120) | value.map(lambda each: json.dumps(each).encode()) | st.builds(
    lambda changed: json.dumps(location() | changed).encode(), st.dictionaries(keys, leaf, max_size=3)
)  # fmt: skip
queries = st.lists(st.tuples(keys, text | st.floats().map(str)), max_size=6).map(
    lambda pairs: "&".join(f"{quote(key)}={quote(each)}" for key, each in pairs)
) | st.binary(max_size=30).map(quote)
media = st.sampled_from([JSON, FORM, "text/plain", "application/json; charset=latin-1", "x"])


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies, asked=queries, media_type=media, way=st.sampled_from(["owntracks", "get", "post"]))
def test_with_good_credentials_the_answer_is_200_whatever_comes(
    desk: Desk, still: Phone, body: bytes, asked: str, media_type: str, way: str
) -> None:
    start = desk.service.log.tell()
    if way == "owntracks":
        answer = still.owntracks(body, media_type=media_type)
        taken(answer)
    elif way == "get":
        answer = still.osmand(asked)
        taken(answer, b"")
    else:
        answer = still.osmand(asked, body, method="POST", Content_Type=media_type)
        taken(answer, b"")
    assert CANARY not in str(answer.headers)
    assert CANARY not in desk.service.log.getvalue()[start:]
