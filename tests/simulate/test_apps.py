"""The bodies to the letter of what the real apps send (OwnTracks booklet; traccar.org/osmand; Traccar Client 9)."""

import base64
import gzip
from random import Random
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from fieldsvc.simulate.apps import (
    Credentials,
    OsmAnd,
    OwnTracks,
    Reading,
    TraccarClient,
    encrypted,
    positions,
)
from fieldsvc.simulate.gps import Fix

AT = 1_795_248_000.4
WHO = Credentials("d-0042", "tok-canary", None)
READING = Reading(Fix(AT, 48.856826, 2.292713, 10.4, 1.4, 56.2), AT + 600, 83)
STILL = Reading(Fix(AT, 48.856826, 2.292713, 10.4, 0.0, None), AT, 83)


def made(kind, reading=READING, *, wanted, who=WHO):
    """Make messages with the first seed whose app is of the wanted sort."""
    for seed in range(200):
        messages = list(kind(who, Random(seed)).messages(reading))
        if wanted(messages):
            return messages
    raise AssertionError("no seed gives that sort of app")


def location(messages):
    (found,) = [orjson.loads(each.body) for each in messages if each.fixes]
    return found


def test_the_page_posts_fixes_with_the_names_of_the_contract():
    message = positions([READING, STILL], compressed=False)
    assert (message.method, message.path, message.fixes) == ("POST", "/v1/positions", 2)
    assert message.headers == {"Content-Type": "application/json"}
    moving, still = orjson.loads(message.body)["fixes"]
    assert moving == {
        "fixed_at": "2026-11-21T08:00:00.400Z",
        "lat": 48.856826,
        "lon": 2.292713,
        "accuracy_m": 10.4,
        "speed_mps": 1.4,
        "heading_deg": 56.2,
        "battery": 0.83,
    }
    assert "heading_deg" not in still


def test_the_page_can_compress_and_the_same_fixes_give_the_same_bytes():
    one, two = (positions([READING] * 60, compressed=True) for _ in range(2))
    assert one == two
    assert one.headers["Content-Encoding"] == "gzip"
    assert len(orjson.loads(gzip.decompress(one.body))["fixes"]) == 60


def android(messages):
    return "topic" not in location(messages)


def test_owntracks_posts_one_location_with_basic_credentials_and_its_two_headers():
    message = next(each for each in made(OwnTracks, wanted=android) if each.fixes)
    assert (message.method, message.path) == ("POST", "/owntracks")
    assert message.headers["Content-Type"] == "application/json; charset=utf-8"
    assert base64.b64decode(message.headers["Authorization"].removeprefix("Basic ")) == b"d-0042:tok-canary"
    assert message.headers["X-Limit-U"] == "d-0042"
    assert message.headers["X-Limit-D"]


def test_owntracks_says_kilometres_an_hour_whole_degrees_per_cent_and_seconds_since_1970():
    body = location(made(OwnTracks, wanted=android))
    assert body["_type"] == "location"
    assert (body["lat"], body["lon"], body["tst"]) == (48.856826, 2.292713, int(AT))
    assert (body["acc"], body["vel"], body["cog"], body["batt"], body["bs"]) == (10, 5, 56, 83, 1)
    assert body["created_at"] == int(AT) + 600, "the phone's own clock, which may be wrong"
    assert len(body["tid"]) == 2
    assert len(body["_id"]) == 8


def test_owntracks_leaves_out_what_is_zero_and_ios_sends_floats_and_a_topic():
    still = location(made(OwnTracks, STILL, wanted=android))
    assert not {"vel", "cog"} & set(still)
    ios = location(made(OwnTracks, wanted=lambda messages: not android(messages)))
    assert ios["topic"] == "owntracks/d-0042/phone"
    assert ios["vel"] == pytest.approx(5.04)


def test_owntracks_on_wifi_names_a_network_and_a_region_which_the_service_must_drop():
    body = location(made(OwnTracks, wanted=lambda messages: location(messages)["conn"] == "w"))
    assert {"SSID", "BSSID", "inregions"} <= set(body)


def test_owntracks_also_sends_waypoints_transitions_states_and_last_wills():
    app = OwnTracks(WHO, Random(1))
    kinds = [orjson.loads(message.body)["_type"] for _ in range(60) for message in app.messages(READING)]
    assert kinds[:2] == ["waypoint", "location"]
    assert {"location", "status", "transition", "lwt", "waypoint"} == set(kinds)
    assert kinds.count("location") == 60


def test_owntracks_encrypts_as_the_published_vector():
    plain = b'{"_type":"location","lat":48.85833,"lon":2.29513,"tst":1497476456,"tid":"JJ"}'
    body = orjson.loads(encrypted(plain, "mysecreTpass01", nonce=bytes(range(24))))
    assert body == {
        "_type": "encrypted",
        "data": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX3KlRKhRNQuB6tPG9bqGHWtv2hFEi673vdntViQ9cMNc1+D0+oyr0ujPh1H9CxQ22znRarkYC"
        "zufJxOjjuoFiNfESWvjMCZgHMi5JYbTo+gXlyfBYUIHD4fZIzoGb",
    }


def test_only_users_with_a_passphrase_encrypt_and_then_everything_is():
    who = Credentials("d-1", "tok", "secret-pass")
    for seed in range(40):
        kinds = {orjson.loads(each.body)["_type"] for each in OwnTracks(who, Random(seed)).messages(READING)}
        assert kinds in ({"encrypted"}, {"waypoint", "location"})
    assert all(b"encrypted" not in m.body for s in range(40) for m in OwnTracks(WHO, Random(s)).messages(READING))


def old_client(messages):
    return messages[-1].method == "POST"


def query_of(message):
    parts = urlsplit(message.path)
    assert parts.path == "/osmand/tok-canary"
    return dict(parse_qsl(parts.query, strict_parsing=True))


def test_an_old_traccar_client_posts_a_query_with_an_empty_body_in_seconds_and_knots():
    token, fix = made(OsmAnd, wanted=old_client)
    assert fix.body is None
    query = query_of(fix)
    assert query["timestamp"] == str(int(AT))
    assert float(query["speed"]) == pytest.approx(1.4 / 0.514444, abs=0.01)
    assert {"id", "lat", "lon", "bearing", "altitude", "accuracy", "batt"} <= set(query)
    assert "mock" not in query
    assert token.fixes == 0
    assert token.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert set(dict(parse_qsl(token.body.decode()))) == {"id", "notificationToken"}


def test_an_old_traccar_client_says_accuracy_zero_for_what_it_does_not_know_and_charge_only_when_true():
    queries = [query_of(made_of[-1]) for made_of in all_of(OsmAnd) if old_client(made_of)]
    assert {query["accuracy"] for query in queries} == {"0.0", "10.4"}
    assert {query.get("charge") for query in queries} == {None, "true"}


def all_of(kind):
    return [list(kind(WHO, Random(seed)).messages(READING)) for seed in range(60)]


def test_osmand_asks_with_get_in_milliseconds_and_under_the_names_of_its_link():
    (message,) = made(OsmAnd, wanted=lambda messages: not old_client(messages))
    assert (message.method, message.body) == ("GET", None)
    query = query_of(message)
    assert list(query) == ["lat", "lon", "timestamp", "accuracy", "altitude", "speed_mps", "bearing"]
    assert query["timestamp"] == str(int(AT * 1000))
    assert query["speed_mps"] == "1.4"


def test_traccar_client_posts_json_with_metres_a_second_and_a_level_of_nought_to_one():
    (message,) = TraccarClient(WHO, Random(1)).messages(READING)
    assert (message.method, message.path) == ("POST", "/osmand/tok-canary")
    assert message.headers == {"Content-Type": "application/json"}
    body = orjson.loads(message.body)
    assert set(body) == {"location", "device_id"}
    location = body["location"]
    assert location["timestamp"] == "2026-11-21T08:00:00.400Z"
    assert location["coords"] == {
        "latitude": 48.856826,
        "longitude": 2.292713,
        "accuracy": 10.4,
        "speed": 1.4,
        "heading": 56.2,
        "altitude": 32.0,
    }
    assert location["battery"] == {"level": 0.83, "is_charging": False}
    assert {"is_moving", "odometer", "event", "activity", "extras", "_"} <= set(location)


def test_traccar_client_says_minus_one_for_an_unknown_heading_and_now_and_then_sends_no_place_at_all():
    app = TraccarClient(WHO, Random(1))
    bodies = [orjson.loads(message.body)["location"] for _ in range(60) for message in app.messages(STILL)]
    assert bodies[0]["coords"]["heading"] == -1
    beats = [body for body in bodies if "coords" not in body]
    assert len(beats) == 2
    assert all(beat["extras"] == {"heartbeat": True} for beat in beats)


def test_the_same_seed_makes_the_same_messages():
    for kind in (OwnTracks, OsmAnd, TraccarClient):
        one, two = (
            [m for _ in range(30) for m in app.messages(READING)]
            for app in (kind(WHO, Random(3)), kind(WHO, Random(3)))
        )
        assert one == two


def test_credentials_show_in_no_text():
    who = Credentials("d-1", "tok-canary", "pass-canary")
    assert "canary" not in repr(who)
