"""OwnTracks, OsmAnd and Traccar Client against the real service: what they send is taken or kept, and the answer is 200."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import orjson
import pytest
from nacl.secret import SecretBox

from fieldsvc.access import enrolment
from tests.acceptance.conftest import EXAMPLE_LAT, EXAMPLE_LON
from tests.acceptance.phones import (
    CANARY,
    FORM,
    C,
    Desk,
    Phone,
    client9,
    location,
    nothing_told,
    open_desk,
    query,
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


# What the apps do all day


def test_with_a_run_started_an_owntracks_body_moves_the_carrier(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    before = desk.counted("taken")
    taken(phone.owntracks(location(40)))
    (row,) = phone.progress
    assert row["status"] in ("at_stop", "on_round")
    assert row["distance_along_m"] == pytest.approx(3 * 73, abs=20)  # at st-118, the fourth of stops 73 m apart
    assert desk.counted("taken") == before + 1
    taken(phone.owntracks(location(40)))
    assert len(phone.progress) == 1
    taken(
        phone.owntracks(
            [location(30, lon=EXAMPLE_LON + 0.001), {"_type": "lwt", "tst": 1}, location(5, lon=EXAMPLE_LON + 0.002)]
        )
    )
    assert [each["distance_along_m"] - row["distance_along_m"] for each in phone.progress] == pytest.approx(
        [0, 73, 146], abs=20
    )


def test_without_a_run_nothing_is_stored_and_the_counter_rises(desk: Desk) -> None:
    phone = desk.phone()
    before = desk.counted("off_duty_discarded")
    taken(phone.owntracks(location()))
    taken(phone.osmand(query(20)), b"")
    taken(phone.client9(client9(30)), b"")
    assert desk.counted("off_duty_discarded") == before + 3
    assert (phone.progress, phone.kept) == ([], [])
    assert phone.rows("select run from run_state where run = $1", phone.run_id) == []


def test_every_form_of_the_osmand_protocol_moves_the_carrier(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    taken(phone.osmand(query(75)), b"")  # an old iPhone
    taken(phone.osmand(query(60), b"", method="POST"), b"")  # an old Android: a query and an empty body
    taken(phone.osmand("", query(45).encode(), method="POST", Content_Type=FORM), b"")
    taken(phone.client9(client9(30)), b"")
    at = int((datetime.now(UTC) - timedelta(seconds=15)).timestamp() * 1000)
    own = f"lat={EXAMPLE_LAT}&lon={EXAMPLE_LON}&timestamp={at}&accuracy=8.0&altitude=35.0&speed_mps=1.2&bearing=90.0"
    taken(phone.osmand(own), b"")
    taken(phone.osmand(f"location={EXAMPLE_LAT},{EXAMPLE_LON}&id=1"), b"")
    assert len(phone.progress) == 6
    assert {round(each["distance_along_m"], -2) for each in phone.progress} == {200.0}


def test_an_encrypted_message_is_opened_with_the_devices_passphrase_and_answered_by_the_list(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    box = SecretBox(phone.made["owntracks"]["passphrase"].encode().ljust(32, b"\0"))
    sealed = base64.b64encode(bytes(box.encrypt(orjson.dumps(location())))).decode()
    taken(phone.owntracks({"_type": "encrypted", "data": sealed}))
    assert len(phone.progress) == 1
    foreign = base64.b64encode(bytes(SecretBox(b"x" * 32).encrypt(orjson.dumps(location())))).decode()
    taken(phone.owntracks({"_type": "encrypted", "data": foreign, "more": CANARY}))
    members = {"_type": "text", "data": "text"}
    assert phone.kept == [("not_decrypted", {"app": "owntracks", "members": members, "others": 1})]


@pytest.mark.parametrize(
    "kind", ["transition", "waypoint", "waypoints", "status", "lwt", "card", "steps", "beacon", "cmd", "request"]
)
def test_everything_else_that_the_app_says_is_passed_over(desk: Desk, still: Phone, kind: str) -> None:
    before = len(still.kept)
    taken(still.owntracks(location(_type=kind, desc=CANARY, event="enter")))
    assert len(still.kept) == before


@pytest.mark.parametrize("empty", [b"", b" ", b"[]"])
def test_a_body_of_length_zero_is_answered_with_the_list(still: Phone, empty: bytes) -> None:
    taken(still.owntracks(empty))


def test_a_request_without_a_position_is_answered_with_nothing(still: Phone) -> None:
    taken(still.osmand(), b"")
    taken(still.osmand(f"id={CANARY}&batt=20"), b"")
    taken(still.osmand("", f"id={CANARY}&notificationToken={CANARY}".encode(), method="POST", Content_Type=FORM), b"")


def test_what_is_private_in_a_body_is_in_no_table_afterwards(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    lat, lon = EXAMPLE_LAT + 0.0000317, EXAMPLE_LON + 0.0000219
    marks = (CANARY, f"{lat:.7f}"[:9], f"{lon:.7f}"[:8])
    for number, changed in enumerate(({}, {"tst": CANARY}, {"_type": CANARY}, {"lat": str(lat)})):
        taken(phone.owntracks(location(80 - 15 * number, **{"lat": lat, "lon": lon, **changed})))
    taken(phone.osmand(query(20, lat=lat, lon=lon)), b"")
    taken(phone.osmand(query(20, lat=lat, lon=CANARY)), b"")
    taken(phone.client9({**client9(10), "location": {**client9(10)["location"], "timestamp": CANARY}}), b"")
    assert len(phone.progress) == 2
    assert [reason for reason, _ in phone.kept] == [
        "bad_time",
        "unknown_type",
        "bad_payload",
        "bad_payload",
        "bad_time",
    ]
    assert not any(mark in str(phone.kept) for mark in marks)
    for table in phone.rows(
        "select tablename from pg_tables where schemaname = 'public' and tablename not in ('device', 'run')"
    ):
        name = table["tablename"]
        for row in phone.rows(f"select whole::text as text from {name} as whole"):
            assert not any(mark in row["text"] or mark.encode().hex() in row["text"] for mark in marks), name


# Whose phone it is


def test_the_credentials_are_the_device_whatever_the_app_says(desk: Desk) -> None:
    mine, other = desk.phone(), desk.phone()
    mine.start()
    other.start()
    taken(mine.owntracks(location(), X_Limit_D=other.made["device_id"]))
    taken(mine.osmand(query(30, id=other.made["device_id"])), b"")
    assert (len(mine.progress), len(other.progress)) == (2, 0)


def test_a_bearer_token_is_as_good_as_basic(still: Phone) -> None:
    more = {"Authorization": f"Bearer {still.made['token']}"}
    taken(still.service.ask("POST", "/owntracks", orjson.dumps(location()), headers=more))


def test_bad_credentials_are_401_and_revoked_ones_403(desk: Desk, still: Phone) -> None:
    wrong = {"Authorization": "Basic " + base64.b64encode(f"d-9999:{still.made['token']}".encode()).decode()}
    for headers in ({}, wrong, {"Authorization": "Basic %%%"}, {"Authorization": f"Bearer {CANARY}"}):
        answer = desk.service.ask("POST", "/owntracks", orjson.dumps(location()), headers=headers)
        assert (answer.status, answer.code) == (401, "unauthorized")
    for token in (CANARY, quote("é" * 5), "a" * 300, "%00", "..%2f", "%ff%fe", "x" * 43):
        answer = desk.service.ask("GET", f"/osmand/{token}?{query()}")
        assert answer.status in (401, 404)
        assert C not in answer.body
    gone = desk.phone()
    desk.service.call(enrolment.revoke_device(desk.service.platform.database, gone.made["device_id"]))
    desk.service.platform.access.forget()
    assert gone.owntracks(location()).code == gone.osmand(query()).code == "revoked"


def test_a_lost_phone_is_answered_and_what_it_says_after_its_loss_is_not_taken(desk: Desk) -> None:
    phone = desk.phone()
    phone.start()
    lost_at = datetime.now(UTC) - timedelta(seconds=30)
    desk.service.call(enrolment.report_lost(desk.service.platform.database, phone.made["device_id"], lost_at=lost_at))
    desk.service.platform.access.forget()
    taken(phone.owntracks([location(60), location(10)]))
    assert len(phone.progress) == 1
    taken(phone.osmand(query(10, alarm="sos")), b"")
    assert [reason for reason, _ in phone.kept] == ["device_lost"]
    assert phone.rows("select id from alarm where run = $1", phone.run_id) == []


def test_the_token_is_in_no_metric_and_in_no_problem(desk: Desk, still: Phone) -> None:
    still.osmand(query())
    token = still.made["token"]
    metrics = desk.service.ask("GET", "/metrics").body.decode()
    assert token not in metrics
    assert 'route="/osmand/{token}"' in metrics
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = desk.service.ask(method, f"/osmand/{token}")
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert token not in answer.body.decode()


# When nothing can be committed


def test_a_phone_sends_again_only_when_nothing_can_be_committed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, writer = desk.phone(), desk.service.platform.writer
    sent = query(10, alarm="sos")
    for limit, status in (("_limit", 503), ("_device_limit", 429)):
        with monkeypatch.context() as patch:
            patch.setattr(writer, limit, 0)
            for answer in (phone.osmand(sent), phone.owntracks(b"nope")):
                assert (answer.status, answer.headers["retry-after"]) == (status, "2")
    taken(phone.osmand(sent), b"")
    taken(phone.osmand(sent), b"")
    assert len(phone.rows("select id from alarm where run = $1", phone.run_id)) == 1
    assert phone.kept == []
