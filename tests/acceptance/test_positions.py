"""`POST /v1/positions` as a phone sees it, and what tracking makes of a day on the real service."""

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.access import enrolment
from fieldsvc.store import device as devices
from handlers.fields import format_time
from tests.acceptance.conftest import World
from tests.acceptance.service import PATIENCE_S, Answer, Caller, field_event, fresh

COUNTS = ("taken", "duplicate", "late", "off_duty_discarded", "thinned", "quarantined")
URL, JSON = "/v1/positions", "application/json"
NOW = datetime.now(UTC)


def counts(**some: int) -> dict[str, int]:
    return {name: some.get(name, 0) for name in COUNTS}


class Walker:
    """A carrier of the town with a phone, on the round of the town that no other test walks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.carrier = world.town.carriers[1]
        self.plan = world.town.rounds[1]
        self.run_id = f"run-{world.day}-{self.carrier.round_id}"
        self.phone = self.enrol("walker")

    def enrol(self, name: str) -> Caller:
        return self.world.device(name, self.carrier.name, self.carrier.site, self.carrier.round_id)

    def fix(self, ago_s: float, stop: int = 0, **more: Any) -> dict[str, Any]:
        """A fix so many seconds ago, at the point of the line that is that far in the list of its points."""
        lon, lat = self.plan.line[stop]
        at = format_time(NOW - timedelta(seconds=ago_s))
        return {"fixed_at": at, "lat": lat, "lon": lon, "accuracy_m": 6.0, **more}

    def send(self, *fixes: Any, by: Caller | None = None, **headers: str) -> dict[str, int]:
        answer = (by or self.phone).ask("POST", URL, {"fixes": fixes}, headers=headers)
        assert answer.status == 200, answer.body
        found: dict[str, int] = answer.json()
        return found

    def say(self, name: str, ago_s: float, **data: Any) -> dict[str, Any]:
        at = format_time(NOW - timedelta(seconds=ago_s))
        (result,) = self.phone.send(field_event(name, data, time=at, runid=self.run_id))
        assert result["status"] == "accepted", result
        return result

    def rows(self, text: str, *args: Any) -> list[Any]:
        async def fetch() -> list[Any]:
            async with self.world.service.platform.database.acquire() as connection:
                return await connection.fetch(text, *args)

        return self.world.service.call(fetch())

    def progress(self) -> list[tuple[float, str]]:
        found = self.rows("select at, status from progress where run = $1 order by at", self.run_id)
        return [(round((NOW - row["at"]).total_seconds()), row["status"]) for row in found]

    def state(self) -> Any:
        return next(iter(self.rows("select * from run_state where run = $1", self.run_id)), None)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def walker(world: World) -> Walker:
    return Walker(world)


def test_a_day_of_fixes_from_the_start_to_a_late_pause(walker: Walker) -> None:
    before = walker.world.service.counted('fieldsvc_fixes_total{outcome="off_duty_discarded"}')
    assert walker.send(walker.fix(3_000)) == counts(off_duty_discarded=1)
    assert walker.world.service.counted('fieldsvc_fixes_total{outcome="off_duty_discarded"}') == before + 1
    assert walker.state() is None

    walker.say("run.started", 2_400, run_id=walker.run_id)
    assert walker.send(walker.fix(2_500), walker.fix(2_300), walker.fix(2_270)) == counts(taken=2, off_duty_discarded=1)
    assert walker.send(walker.fix(2_270), walker.fix(2_265), walker.fix(2_285)) == counts(
        duplicate=1, thinned=1, late=1
    )
    assert [ago_s for ago_s, _status in walker.progress()] == [2_300, 2_285, 2_270]

    stop = walker.plan.stops[20]
    walker.say("item.delivered", 2_200, item_id=fresh("RK"), to="mailbox", stop_id=stop.stop_id)
    until(lambda: (2_200, "at_stop") in walker.progress())
    state = walker.state()
    assert (state["status"], round((NOW - state["through_at"]).total_seconds())) == ("at_stop", 2_200)
    assert state["distance_along_m"] > 0

    assert walker.send(walker.fix(1_000, 3), walker.fix(900, 3))["taken"] == 2
    walker.say("run.paused", 1_100, run_id=walker.run_id)
    until(lambda: walker.progress()[-1][0] == 2_200)
    assert walker.send(walker.fix(950, 3)) == counts(off_duty_discarded=1)
    walker.say("run.resumed", 800, run_id=walker.run_id)
    assert walker.send(walker.fix(700, 3)) == counts(taken=1)


def test_an_event_without_a_scan_is_located_ahead_of_the_fixes(walker: Walker) -> None:
    walker.say("run.started", 2_400, run_id=walker.run_id)
    tracker_knows = walker.fix(500, 12)
    assert walker.send(tracker_knows)["taken"] == 1
    place = {name: tracker_knows[name] for name in ("lat", "lon", "accuracy_m")}
    located = walker.say("item.delivered", 490, item_id=fresh("RK"), to="mailbox", fix=place)["located"]
    assert (located["method"], located["status"]) == ("match", "on_round")
    assert located["distance_along_m"] == pytest.approx(walker.state()["distance_along_m"], abs=60)


def test_the_phones_clock_corrects_its_fixes(walker: Walker) -> None:
    walker.say("run.started", 2_400, run_id=walker.run_id)
    ahead = timedelta(hours=2)
    fix = {**walker.fix(0, 5), "fixed_at": format_time(datetime.now(UTC) + ahead - timedelta(seconds=60))}
    assert walker.send(fix) == counts(off_duty_discarded=1)
    sent_at = format_time(datetime.now(UTC) + ahead)
    assert walker.send(fix, **{"Fieldsvc-Sent-At": sent_at}) == counts(taken=1)
    assert abs((datetime.now(UTC) - walker.state()["through_at"]).total_seconds() - 60) < 10


def test_what_is_no_fix_is_kept_once_without_its_values_and_the_others_count(walker: Walker) -> None:
    walker.say("run.started", 2_400, run_id=walker.run_id)
    home = {"fixed_at": "2026-11-21T22:10:00Z", "lat": 48.765432, "lon": "2.3", "accuracy_m": 5}
    waiting = "select count(*) from quarantine where device = $1"
    for _ in range(3):
        assert walker.send(home, None, walker.fix(650, 4), {**home, "lat": 48.7}) in (
            counts(taken=1, quarantined=3),
            counts(late=1, quarantined=3),
            counts(duplicate=1, quarantined=3),
        )
        assert walker.rows(waiting, walker.phone.name)[0][0] == 2


def test_a_lost_phone_tells_only_what_was_before_its_loss(walker: Walker) -> None:
    walker.say("run.started", 2_400, run_id=walker.run_id)
    phone = walker.enrol("lost walker")
    database = walker.world.service.platform.database
    walker.world.service.call(devices.report_lost(database, phone.name, NOW - timedelta(seconds=1_500)))
    assert walker.send(walker.fix(1_550, 4), walker.fix(1_450, 4), by=phone) == counts(late=1, off_duty_discarded=1)
    assert walker.world.service.call(enrolment.revoke_device(database, phone.name)) is None
    until(lambda: phone.ask("POST", URL, {"fixes": []}).status == 403)
    assert phone.ask("POST", URL, {"fixes": []}).code == "revoked"


def test_a_phone_without_a_round_is_thanked_and_nothing_is_kept(world: World, walker: Walker) -> None:
    assert walker.send(walker.fix(100), by=world.colleague) == counts(off_duty_discarded=1)
    assert walker.send(by=world.colleague) == counts()


def post(caller: Caller, body: bytes, media: str = JSON, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.service.ask("POST", URL, body, headers={**caller.headers, "Content-Type": media, **named})


def test_a_body_may_be_packed_but_not_be_a_bomb(world: World) -> None:
    assert post(world.colleague, gzip.compress(b'{"fixes":[]}'), Content_Encoding="gzip").json() == counts()
    bomb = gzip.compress(b'{"fixes":[' + b" " * 5_000_000 + b"]}")
    assert post(world.colleague, bomb, Content_Encoding="gzip").status == 413
    assert post(world.colleague, b"x", Content_Encoding="br").code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b"", JSON, 400, "not_json"),
        (b'{"fixes":[NaN]}', JSON, 400, "not_json"),
        (b'{"fixes":[' + b"[" * 5_000, JSON, 400, "not_json"),
        (b"[]", JSON, 400, "bad_request"),
        (b'{"fixes":7}', JSON, 400, "bad_request"),
        (b'{"fixes":[]}', "text/plain", 415, "unsupported_media_type"),
        (b'{"fixes":[]}', "application/json; charset=utf-16", 415, "unsupported_media_type"),
        (orjson.dumps({"fixes": [{}] * 1_001}), JSON, 413, "too_large"),
        (b'{"fixes":["' + b"x" * 1_100_000 + b'"]}', JSON, 413, "too_large"),
    ],
)
def test_a_request_that_cannot_be_taken_apart_is_refused(
    world: World, body: bytes, media: str, status: int, code: str
) -> None:
    answer = post(world.colleague, body, media)
    assert (answer.status, answer.code) == (status, code)
