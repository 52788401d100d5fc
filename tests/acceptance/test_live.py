"""`GET /v1/live` as a supervisor's browser sees it: the real service, real uploads, a stream over HTTP."""

import gzip
import http.client
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.platform import Platform
from fieldsvc.store.live import Moved, RunNow
from fieldsvc.web.live import BOARD, SEATS
from fieldsvc.work import imports
from handlers.fields import format_time
from tests.acceptance.conftest import CARRIER, EXAMPLE_LAT, EXAMPLE_LON, SITE, World, example_round
from tests.acceptance.service import Caller, Service, ago, field_event, fresh, statuses
from tests.databases import drop_database, new_database

BONDY = "site-bondy"
ROUNDS = ("T07", "T08", "T09")
Data = dict[str, Any]
LINE_LAT = EXAMPLE_LAT + 0.00003  # the example's round runs along a parallel


def lon_of(stop: int) -> float:
    return EXAMPLE_LON + 0.0001 + (stop - 118) * 0.001


class Watch:
    """A stream as it arrives; `event` waits for the next one."""

    def __init__(self, service: Service, headers: Mapping[str, str], path: str = "/v1/live", **more: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        self._connection.request("GET", path, headers={**headers, **more})
        self._answer = self._connection.getresponse()
        self.status, self.headers = self._answer.status, {k.lower(): v for k, v in self._answer.getheaders()}
        packed = self.headers.get("content-encoding") == "gzip"
        self._unpack = zlib.decompressobj(31) if packed else None
        self._text, self.last_id, self.raw = b"", "", b""

    def read(self) -> bytes:
        """Read what comes next; empty at the end."""
        part = self._answer.read1(65_536)
        self.raw += part
        return self._unpack.decompress(part) if self._unpack and part else part

    def part(self) -> dict[str, str] | None:
        """Return the fields of the next block, None at the end."""
        while b"\n\n" not in self._text:
            found = self.read()
            if not found:
                return None
            self._text += found
        block, _, self._text = self._text.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
        self.last_id = fields.get("id", self.last_id)
        return fields

    def event(self) -> tuple[str, Data]:
        deadline = time.monotonic() + 10
        while True:
            assert time.monotonic() < deadline, "nothing came"
            fields = self.part()
            assert fields is not None, "the stream has ended"
            if "event" in fields:
                return fields["event"], orjson.loads(fields["data"])

    def until(self, wanted: Callable[[Data], Any], seen: list[Data] | None = None) -> Data:
        """Return the first data that is wanted; what came before goes to `seen` as well."""
        deadline = time.monotonic() + 10
        while True:
            assert time.monotonic() < deadline, "it did not come"
            _, data = self.event()
            if seen is not None:
                seen.append(data)
            if wanted(data):
                return data

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@dataclass
class Town:
    """A service with three rounds at Pantin and one at Bondy, a phone for each, and people who look."""

    service: Service
    day: date
    phones: dict[str, Caller] = field(default_factory=dict)
    people: dict[str, dict[str, str]] = field(default_factory=dict)

    def run_id(self, round_id: str = "T07") -> str:
        return f"run-{self.day}-{round_id}"

    def say(self, name: str, round_id: str = "T07", *, ago_s: float = 0, **data: Any) -> None:
        run_id, phone = self.run_id(round_id), self.phones[round_id]
        event = field_event(name, {"run_id": run_id, **data}, runid=run_id, time=ago(seconds=ago_s))
        assert statuses(phone.send(event)) == ["accepted"]

    def walk(self, stop: float, round_id: str = "T07", *, at: datetime | None = None) -> Data:
        """Upload a fix on the line, at a stop or between two."""
        lon = EXAMPLE_LON + 0.0001 + (stop - 118) * 0.001
        fix = {"fixed_at": format_time(at or datetime.now(UTC)), "lat": LINE_LAT, "lon": lon, "accuracy_m": 5.0}
        answer = self.phones[round_id].ask("POST", "/v1/positions", {"fixes": [fix]})
        assert answer.status == 200, answer.body
        counted: Data = answer.json()
        return counted

    def shown(self, run_id: str, wanted: Callable[[Data | None], Any] = bool) -> Data:
        """Look until a run is shown as wanted: what was committed is on the board within a second."""
        picture: dict[str, Data] = {}
        with closing(self.watch("operator")) as screen:
            screen.until(lambda data: wanted(drawn(picture, data).get(run_id)))
        return picture.get(run_id, {})

    def watch(self, who: str = "supervisor", path: str = "/v1/live", **more: str) -> Watch:
        return Watch(self.service, self.people[who], path, **more)

    def ask(self, who: str, path: str, **headers: str) -> Any:
        return self.service.ask("GET", path, headers={**self.people[who], **headers})

    async def person(self, name: str, role: str, site: str | None) -> dict[str, str]:
        database = self.service.platform.database
        made = await accounts.create_person(database, self.service.url, role, email=f"{name}@demo.invalid", site=site)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        self.people[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
        return made


def rounds() -> str:
    """Write the example's round three times for Pantin and once for Bondy."""
    features = []
    for name in (*ROUNDS, "B01"):
        for each in orjson.loads(example_round())["features"]:
            about = each["properties"] | {"round_id": name}
            about |= {"site": BONDY if name == "B01" else SITE} if "site" in about else {}
            about |= {"delivery_point_id": f"{name}-{about['delivery_point_id']}"} if "stop_id" in about else {}
            features.append(each | {"properties": about})
    return orjson.dumps({"type": "FeatureCollection", "features": features}).decode()


async def load(platform: Platform, folder: Path) -> None:
    path = folder / "rounds.geojson"
    path.write_text(rounds(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    day = platform.runs.today()
    rows = "".join(f"{day},{name},{CARRIER if name == 'T07' else name}\n" for name in (*ROUNDS, "B01"))
    await imports.import_roster(platform.database, f"date,round_id,carrier\n{rows}".splitlines(keepends=True))
    await platform.runs.plan_day(day)


@pytest.fixture(scope="module")
def town(world: World, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder, url = tmp_path_factory.mktemp("live"), new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: load(platform, folder), log=world.service.log)
    made = Town(service, service.platform.runs.today())
    service.app[SEATS]._most = 64
    database = service.platform.database
    for name in (*ROUNDS, "B01"):
        carrier, site = CARRIER if name == "T07" else name, BONDY if name == "B01" else SITE
        device = service.call(enrolment.enrol_device(database, service.url, carrier=carrier, site=site, round_id=name))
        made.phones[name] = Caller(service, device["device_id"], device["token"])
    people = (("supervisor", SITE), ("bondy", BONDY), ("operator", None), ("adviser", None))
    for name, site in people:
        service.call(made.person(name, "supervisor" if name == "bondy" else name, site))
    yield made
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture
def live(town: Town) -> Iterator[Callable[..., Watch]]:
    """Open streams, and close them at the end."""
    opened: list[Watch] = []

    def open_one(*args: Any, **more: Any) -> Watch:
        opened.append(town.watch(*args, **more))
        assert opened[-1].status == 200
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def drawn(picture: dict[str, Data], data: Data) -> dict[str, Data]:
    """Draw a snapshot or a delta into a picture as a page does."""
    if "runs" in data:
        picture.clear()
    for each in (*data.get("runs", ()), *data.get("n", ())):
        picture[each["run_id"]] = each
    for name, *row in data.get("m", ()):
        seen_at = data.get("s", {}).get(name, data["t"])
        picture[name] |= dict(zip(("lon", "lat", "distance_along_m", "status"), row, strict=True), seen_at=seen_at)
    for name in data.get("x", ()):
        picture.pop(name, None)
    return picture


def moves(run_id: str) -> Callable[[Data], Any]:
    return lambda data: [row for row in data.get("m", ()) if row[0] == run_id]


def of(run_id: str, snapshot: Data) -> Data | None:
    return next((each for each in snapshot["runs"] if each["run_id"] == run_id), None)


def test_with_a_run_started_an_upload_moves_the_carrier_on_the_line_and_the_end_takes_them_off(
    town: Town, live: Any
) -> None:
    run_id = town.run_id()
    screen = live()
    assert screen.headers["content-type"] == "text/event-stream"
    assert (screen.headers["cache-control"], screen.headers["x-accel-buffering"]) == ("no-store", "no")
    name, snapshot = screen.event()
    assert (name, of(run_id, snapshot)) == ("snapshot", None)
    assert town.walk(115)["off_duty_discarded"] == 1
    town.say("run.started")
    new = screen.until(lambda data: data.get("n"))["n"][0]
    assert new.keys() == {"run_id", "round_id", "carrier", "lon", "lat", "distance_along_m", "status", "seen_at"}
    assert (new["run_id"], new["carrier"], new["round_id"]) == (run_id, CARRIER, "T07")
    assert town.walk(116)["taken"] == 1
    data = screen.until(moves(run_id))
    row = moves(run_id)(data)[0]
    assert row[2] == pytest.approx(LINE_LAT, abs=1e-6)
    assert row[1] == pytest.approx(lon_of(116), abs=0.0002)
    assert row[3] == pytest.approx(73.1, abs=12)
    assert row[4] in ("on_round", "at_stop")
    whole = town.shown(run_id)
    assert [whole[name] for name in ("run_id", "lon", "lat", "distance_along_m", "status")] == row
    assert snapshot["t"] < whole["seen_at"] <= data["t"]
    town.say("run.paused")
    assert moves(run_id)(screen.until(moves(run_id)))[0] == [*row[:4], "paused"]
    town.say("run.resumed")
    screen.until(lambda data: any(each[4] != "paused" for each in moves(run_id)(data)))
    town.say("run.ended")
    assert run_id in screen.until(lambda data: data["x"])["x"]
    assert of(run_id, live().event()[1]) is None


def test_late_and_repeated_uploads_never_move_a_carrier_back(town: Town, live: Any) -> None:
    run_id, now = town.run_id("T08"), datetime.now(UTC)
    town.say("run.started", "T08", ago_s=120)
    at = [now - timedelta(seconds=seconds) for seconds in (100, 75, 50, 25)]
    town.walk(116.4, "T08", at=at[2])
    before = town.shown(run_id, lambda found: found and found["seen_at"])
    screen = live()
    assert of(run_id, screen.event()[1]) == before
    assert before["seen_at"] == format_time(at[2])
    assert town.walk(116.4, "T08", at=at[2])["duplicate"] == 1
    town.walk(115.2, "T08", at=at[0])
    town.walk(115.8, "T08", at=at[1])
    town.walk(116.8, "T08", at=at[3])
    rows = moves(run_id)(screen.until(moves(run_id)))
    assert [row[3] > before["distance_along_m"] for row in rows] == [True]
    after = town.shown(run_id)
    assert (after["distance_along_m"], after["seen_at"]) == (rows[0][3], format_time(at[3]))
    points = town.ask("supervisor", f"/v1/runs/{run_id}/replay").json()["points"]
    assert [each["at"] for each in points] == sorted(each["at"] for each in points)
    assert len(points) == 4


def test_a_mandate_of_staff_representatives_is_seen_by_nobody(town: Town, live: Any) -> None:
    run_id = town.run_id("T09")
    town.say("run.started", "T09")
    town.walk(116, "T09")
    assert town.shown(run_id, lambda found: found and found["seen_at"])
    screen = live()
    assert of(run_id, screen.event()[1])
    town.say("run.started", "T09", duty="mandate")
    assert run_id in screen.until(lambda data: data["x"])["x"]
    assert town.walk(117, "T09")["off_duty_discarded"] == 1
    town.say("run.paused", "T09")
    assert of(run_id, live().event()[1]) is None
    listed = town.ask("supervisor", "/v1/runs").json()["runs"]
    about = next(each for each in listed if each["run_id"] == run_id)
    assert (about["status"], about["seen_at"], about["distance_along_m"]) == (None, None, None)


def test_a_mandate_told_only_in_the_pause_takes_the_carrier_off_the_screen(town: Town, live: Any) -> None:
    run_id = town.run_id("T09")
    town.say("run.started", "T09")
    between = datetime.now(UTC)
    assert town.shown(run_id)
    town.say("run.paused", "T09")
    assert town.shown(run_id, lambda found: found and found["status"] == "paused")
    screen = live()
    assert of(run_id, screen.event()[1])
    town.say("run.started", "T09", duty="mandate", ago_s=(datetime.now(UTC) - between).total_seconds())
    assert run_id in screen.until(lambda data: data["x"])["x"]


def test_after_a_cut_exactly_the_missing_deltas_come_and_elsewhere_a_snapshot(town: Town, live: Any) -> None:
    now, run_id = datetime.now(UTC), town.run_id("B01")
    town.say("run.started", "B01", ago_s=200)
    town.shown(run_id)
    stays, leaves = live("bondy"), live("bondy")
    for screen in (stays, leaves):
        assert screen.event()[0] == "snapshot"
    leaves.close()
    seen = []
    for stop, seconds in ((115.5, 150), (116.0, 100), (116.5, 50)):
        town.walk(stop, "B01", at=now - timedelta(seconds=seconds))
        stays.until(moves(run_id), seen)
    assert len(seen) >= 3
    for more in ({"Last-Event-ID": leaves.last_id}, {}):
        path = "/v1/live" if more else f"/v1/live?last_event_id={leaves.last_id}"
        back = live("bondy", path, **more)
        found = []
        while len(found) < len(seen):
            found.append(back.event()[1])
        assert back.last_id == stays.last_id
        assert found == seen
    other = live("bondy", **{"Last-Event-ID": f"0123456789ab-{stays.last_id.rpartition('-')[2]}"})
    assert other.event()[0] == "snapshot"


def test_a_packed_stream_is_read_event_by_event_as_it_arrives(town: Town, live: Any) -> None:
    plain, packed = live(), live(**{"Accept-Encoding": "br;q=1.0, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.raw == b""
    assert packed.event()[1]["runs"] == plain.event()[1]["runs"]
    run_id = town.run_id()
    town.say("run.started")
    for screen in (plain, packed):
        screen.until(lambda data: data.get("n"))
    town.walk(117)
    assert moves(run_id)(packed.until(moves(run_id))) == moves(run_id)(plain.until(moves(run_id)))
    refused = live(**{"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in refused.headers


def test_everyone_sees_their_site_only_and_the_operator_any(town: Town, live: Any) -> None:
    for round_id in ("T08", "B01"):
        town.say("run.started", round_id)
        town.shown(town.run_id(round_id))
    pantin, bondy = live(path=f"/v1/live?site={SITE}").event()[1], live("bondy").event()[1]
    assert {each["round_id"] for each in bondy["runs"]} == {"B01"}
    assert "B01" not in {each["round_id"] for each in pantin["runs"]}
    everything = live("operator").event()[1]
    assert {each["run_id"] for each in everything["runs"]} == {
        each["run_id"] for data in (pantin, bondy) for each in data["runs"]
    }
    assert live("operator", f"/v1/live?site={BONDY}").event()[1]["runs"] == bondy["runs"]
    far = live("operator", "/v1/live?bbox=5,40,6,41").event()[1]
    assert far["runs"] == []
    near = live("operator", f"/v1/live?bbox={EXAMPLE_LON - 1},48,{EXAMPLE_LON + 1},49").event()[1]
    assert len(near["runs"]) == len(everything["runs"])
    for who, path in (
        ("bondy", f"site={SITE}"),
        ("supervisor", f"site={BONDY}"),
        ("operator", "site=none"),
        ("operator", "site=%00"),
    ):
        answer = town.ask(who, f"/v1/live?{path}")
        assert (answer.status, answer.code) == (404, "not_found"), (who, path)
    assert town.ask("adviser", "/v1/live").status == 404


@pytest.mark.parametrize(
    "box", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,1,2,3", "3,2,1,4", "1,4,3,2", "0,0,inf,1", "0,0,999,1"]
)
def test_a_box_that_is_none_is_refused(town: Town, box: str) -> None:
    answer = town.ask("operator", f"/v1/live?bbox={box}")
    assert (answer.status, answer.code) == (400, "bad_request")
    assert box not in answer.json()["detail"] or box == ""


def test_an_alarm_is_on_the_screen_within_two_seconds_and_so_is_who_took_it(town: Town, live: Any) -> None:
    screen, other = live(), live("bondy")
    screen.event()
    other.event()
    assert statuses(town.phones["T07"].send(field_event("alarm.raised", {"kind": "sos"}, runid=town.run_id()))) == [
        "accepted"
    ]
    began = time.monotonic()
    alert = screen.until(lambda data: data["a"])["a"][0]
    assert time.monotonic() - began < 2
    assert alert.keys() == {"id", "kind", "level", "state", "rung", "run_id", "raised_at", "acknowledged_at"}
    assert (alert["kind"], alert["acknowledged_at"]) == ("sos", None)
    late = live()
    assert [late.event()[0], late.event()[1]["a"]] == ["snapshot", [alert]]
    taken = town.service.ask(
        "POST", f"/v1/alerts/{alert['id']}/ack", {}, headers=town.people["supervisor"], to_json=True
    )
    assert taken.status == 200, taken.body
    assert screen.until(lambda data: data["a"])["a"][0]["acknowledged_at"] is not None
    town.say("run.paused", "B01")
    assert other.until(moves(town.run_id("B01")))["a"] == []


def test_a_session_that_ends_ends_its_streams_within_five_seconds(town: Town) -> None:
    for name in ("leaves", "revoked"):
        made = town.service.call(town.person(name, "supervisor", SITE))
        with closing(town.watch(name)) as screen:
            assert screen.event()[0] == "snapshot"
            database = town.service.platform.database
            if name == "leaves":
                session = town.people[name]["Cookie"].partition("=")[2]
                town.service.call(accounts.sign_out(database, session))
            else:
                town.service.call(accounts.revoke_account(database, made["account_id"]))
            began = time.monotonic()
            while screen.part() is not None:
                assert time.monotonic() - began < 6
            assert time.monotonic() - began < 5.5


def test_a_session_has_eight_streams_and_a_place_is_given_back(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.service.call(town.person("many", "supervisor", SITE))
    seats = town.service.app[SEATS]
    monkeypatch.setattr(seats, "_most", 8)
    opened = [town.watch("many") for _ in range(8)]
    assert {each.status for each in opened} == {200}
    refused = town.ask("many", "/v1/live")
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert town.ask("many", "/v1/runs").status == 200
    for each in opened:
        assert each.event()[0] == "snapshot"
        each.close()
    deadline = time.monotonic() + 10
    while any(count for name, count in seats._taken.items() if name in town.people["many"]["Cookie"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with closing(town.watch("many")) as again:
        assert again.status == 200


def test_a_question_for_the_head_of_the_stream_is_answered_and_over(town: Town) -> None:
    answer = town.service.ask("HEAD", "/v1/live", headers=town.people["supervisor"])
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "text/event-stream")


def many(town: Town, count: int) -> list[RunNow]:
    return [
        RunNow(f"run-x-{n}", town.day, "T07", 1, "site-x", None, "started", "on", None, 0.0, "on_round")
        for n in range(count)
    ]


def test_a_reader_that_never_reads_is_dropped_and_little_is_held_for_it(town: Town) -> None:
    service = town.service
    board, seats = service.app[BOARD], service.app[SEATS]
    seats.slow_reader_s, before = 0.5, service.counted('fieldsvc_live_dropped_total{why="slow"}')
    runs = many(town, 5_000)

    async def say(metres: float) -> int:
        board.take(runs, [Moved(each.run_id, None, metres, "on_round") for each in runs], [])
        return board.seq

    others = service.counted("fieldsvc_live_streams")
    try:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(10)
            reader.connect(("127.0.0.1", service.port))
            cookie = town.people["operator"]["Cookie"]
            reader.sendall(f"GET /v1/live HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
            deadline, metres, produced = time.monotonic() + 20, 0.0, 0
            while service.counted('fieldsvc_live_dropped_total{why="slow"}') == before:
                assert time.monotonic() < deadline
                metres += 1
                service.call(say(metres))
                produced += 1
            assert service.counted("fieldsvc_live_streams") <= others
            taken = 0
            try:
                while part := reader.recv(65_536):
                    taken += len(part)
            except ConnectionError:
                pass
        assert taken < 1_000_000
        assert produced >= 3
    finally:
        seats.slow_reader_s = 10.0
        service.call(leave(town, [each.run_id for each in runs]))


async def leave(town: Town, run_ids: list[str]) -> None:
    gone = [RunNow(name, town.day, "T07", 1, "site-x", None, "ended", None, None, None, None) for name in run_ids]
    town.service.app[BOARD].take(gone, [], [])


def test_a_service_that_stops_ends_its_streams_at_once_and_whole(
    world: World, postgres_url: str, tmp_path: Path
) -> None:
    url = new_database(postgres_url)
    service = Service(url, tmp_path, prepare=lambda platform: load(platform, tmp_path), log=world.service.log)
    town = Town(service, service.platform.runs.today())
    service.call(town.person("supervisor", "supervisor", SITE))
    with closing(town.watch(**{"Accept-Encoding": "gzip"})) as screen:
        assert screen.event()[0] == "snapshot"
        began = time.monotonic()
        service.call(service.stop())
        assert time.monotonic() - began < 1.5
        while screen.part() is not None:
            pass
        assert gzip.decompress(screen.raw).startswith(b"retry: 2000\n\nid: ")
    service.close()
    drop_database(postgres_url, url)


def test_a_reader_that_never_reads_does_not_hold_up_the_end(world: World, postgres_url: str, tmp_path: Path) -> None:
    url = new_database(postgres_url)
    service = Service(url, tmp_path, prepare=lambda platform: load(platform, tmp_path), log=world.service.log)
    town = Town(service, service.platform.runs.today())
    service.call(town.person("operator", "operator", None))
    board, runs = service.app[BOARD], many(town, 5_000)

    async def say(metres: float) -> None:
        board.take(runs, [Moved(each.run_id, None, metres, "on_round") for each in runs], [])

    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", service.port))
        cookie = town.people["operator"]["Cookie"]
        reader.sendall(f"GET /v1/live HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        for metres in range(8):
            service.call(say(float(metres)))
        began = time.monotonic()
        service.call(service.stop())
        assert time.monotonic() - began < 2.5
    service.close()
    drop_database(postgres_url, url)


def test_an_item_delivered_counts_as_done_at_once_and_leaves_the_sheet(town: Town) -> None:
    account = town.service.call(
        accounts.create_subscriber(town.service.platform.database, "Shop", scopes=("order:item",))
    )
    shop, phone = Caller(town.service, account["account_id"], account["api_key"]), town.phones["T08"]
    run_id, items = town.run_id("T08"), [fresh("RK") for _ in range(3)]
    made = []
    for item in items:
        body = {"service": "item", "subject": f"item/{item}", "on": str(town.day), "delivery_point": "T08-dp-118"}
        body |= {"window": {"from": ago(hours=2), "until": ago(hours=1)}} if item == items[2] else {}
        made.append(shop.ask("POST", "/v1/tasks", body))
        assert made[-1].status == 201, made[-1].body
    tasks = [each.json()["task_id"] for each in made]

    def counts() -> Data:
        listed = town.ask("supervisor", "/v1/runs").json()["runs"]
        found: Data = next(each["tasks"] for each in listed if each["run_id"] == run_id)
        return found

    def sheet() -> tuple[int, set[str]]:
        found = phone.ask("GET", f"/v1/runs/{run_id}/sheet").json()
        return found["version"], {task["task_id"] for stop in found["stops"] for task in stop["tasks"]}

    assert counts() == {"total": 3, "done": 0, "overdue": 1}
    version, on_sheet = sheet()
    assert on_sheet == set(tasks)
    delivered = field_event("item.delivered", {"item_ids": items[:1], "to": "addressee"}, runid=run_id)
    late = field_event(
        "item.delivery_attempted", {"item_id": items[2], "reason": "absent", "next": "represent"}, runid=run_id
    )
    assert statuses(phone.send(delivered, late, delivered)) == ["accepted", "accepted", "duplicate"]
    assert counts() == {"total": 3, "done": 2, "overdue": 0}
    newer, on_sheet = sheet()
    assert (newer > version, on_sheet) == (True, {tasks[1]})
    assert shop.ask("GET", f"/v1/tasks/{tasks[0]}").json()["state"] == "done"
    for method, body in (("PATCH", {"notes": "x"}), ("DELETE", None)):
        closed = shop.ask(method, f"/v1/tasks/{tasks[0]}", body)
        assert (closed.status, closed.code, closed.json()["state"]) == (409, "task_closed", "done")
    assert shop.ask("PATCH", f"/v1/tasks/{tasks[1]}", {"order_ref": "42"}).status == 200
    assert shop.ask("DELETE", f"/v1/tasks/{tasks[1]}").status == 204
    assert counts() == {"total": 2, "done": 2, "overdue": 0}
