"""An alarm from a phone, on duty or not: committed, on the supervisor's screen with its place, and taken by one person."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import orjson
import pytest

from fieldsvc.access import accounts, enrolment, provisioning, tokens
from fieldsvc.intake.apps import event_id
from fieldsvc.intake.formats.phone import Alarm
from fieldsvc.platform import Platform
from fieldsvc.store import alarm as alarms
from fieldsvc.web.reference.bodies import WRITTEN
from fieldsvc.work import imports
from tests.acceptance.conftest import CARRIER, EXAMPLE_LAT, EXAMPLE_LON, SITE, example_round
from tests.acceptance.service import Answer, Caller, Service, ago, field_event, fresh
from tests.databases import drop_database, new_database
from tests.web.json_schema import faults

ELSEWHERE = "site-loin"
Headers = dict[str, str]


@dataclass
class Office:
    """The service with a phone, two sites, and the people who watch over them."""

    service: Service
    phone: Caller
    feed: Caller
    people: dict[str, Headers] = field(default_factory=dict)

    def change_phone(self, carrier: str = CARRIER, *, site: str = SITE) -> Caller:
        """Give somebody a phone that has not called yet."""
        made = enrolment.enrol_device(self.service.platform.database, self.service.url, carrier=carrier, site=site)
        known = self.service.call(made)
        return Caller(self.service, known["device_id"], known["token"])

    def alarm(self, *, phone: Caller | None = None, **said: Any) -> Answer:
        """Call for help as Traccar Client does."""
        values = {"id": "1", "lat": EXAMPLE_LAT, "lon": EXAMPLE_LON, "accuracy": 8.0, "alarm": "sos", **said}
        text = urlencode({key: value for key, value in values.items() if value is not None})
        return self.service.ask("POST", f"/osmand/{(phone or self.phone).secret}?{text}", b"")

    def alerts(self, who: str, asked: str = "") -> list[dict[str, Any]]:
        answer = self.service.ask("GET", f"/v1/alerts?{asked}", headers=self.people[who])
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json()["alerts"]
        return found

    def take(self, who: str, alarm_id: str) -> Answer:
        return self.service.ask("POST", f"/v1/alerts/{alarm_id}/ack", headers=self.people[who])

    def newest(self) -> dict[str, Any]:
        """The alarm that was committed last, whenever its phone says that it was raised."""

        async def last() -> str:
            async with self.service.platform.database.acquire() as connection:
                return str(await connection.fetchval("select id from alarm order by changed_at desc limit 1"))

        return self.named(self.service.call(last()))

    def named(self, alarm_id: str) -> dict[str, Any]:
        return next(each for each in self.alerts("operator", "limit=1000") if each["id"] == alarm_id)


async def _load(platform: Platform, folder: Path) -> None:
    path = folder / "round.geojson"
    path.write_text(example_round(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    await imports.create_site(platform.database, ELSEWHERE)


async def _people(service: Service) -> dict[str, Headers]:
    database, found = service.platform.database, {}
    sites = {"supervisor": SITE, "colleague": SITE, "stranger": ELSEWHERE, "operator": None, "adviser": None}
    for name, site in sites.items():
        role = "supervisor" if site else name
        made = await accounts.create_person(database, service.url, role, email=f"{name}@demo.invalid", site=site)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        found[name] = {
            "Cookie": f"fieldsvc_session={session}",
            "X-CSRF-Token": tokens.csrf_of(session),
            "account": made["account_id"],
        }
    return found


@pytest.fixture(scope="module")
def office(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder, url = tmp_path_factory.mktemp("alarms"), new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, folder))
    database = service.platform.database
    made = service.call(enrolment.enrol_device(database, service.url, carrier=CARRIER, site=SITE, round_id="T07"))
    account = service.call(accounts.create_subscriber(database, "Exploitant", scopes=("operator",)))
    phone = Caller(service, made["device_id"], made["token"])
    feed = Caller(service, account["account_id"], account["api_key"])
    yield Office(service, phone, feed, service.call(_people(service)))
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture(autouse=True)
def _nothing_told(office: Office) -> Iterator[None]:
    start = office.service.log.tell()
    yield
    said = office.service.log.getvalue()[start:]
    for fault in ("request.crashed", "handler.failed", "Traceback", CARRIER, office.phone.secret, str(EXAMPLE_LAT)):
        assert fault not in said, said[-3000:]


def test_an_sos_off_duty_is_on_the_supervisors_screen_with_its_place(office: Office) -> None:
    before = len(office.alerts("supervisor"))
    moment = int((datetime.now(UTC) - timedelta(seconds=5)).timestamp())
    answer = office.alarm(timestamp=moment)
    assert (answer.status, answer.body) == (200, b"")
    found = office.alerts("supervisor")
    assert len(found) == before + 1
    alarm = office.newest()
    assert alarm in found
    assert (alarm["kind"], alarm["state"], alarm["carrier"], alarm["site"]) == ("sos", "open", CARRIER, SITE)
    assert alarm["place"] == {
        "lat": EXAMPLE_LAT, "lon": EXAMPLE_LON, "accuracy_m": 8.0, "fixed_at": alarm["raised_at"],
    }  # fmt: skip
    assert (alarm["stop_id"], alarm["address"]) == ("st-118", "118 rue de l'Exemple")
    assert alarm["run_id"] == f"run-{office.service.platform.runs.today()}-T07"
    assert (alarm["acknowledged_at"], alarm["acknowledged_by"]) == (None, None)


SLOT = 600


def slot(ago: int = 1) -> int:
    """The first second of ten whole minutes of the past."""
    return (int(datetime.now(UTC).timestamp()) // SLOT - ago) * SLOT


def test_an_alarm_sent_again_is_the_same_alarm(office: Office) -> None:
    phone, before = office.change_phone(), len(office.alerts("supervisor"))
    for _ in range(3):
        assert office.alarm(phone=phone, timestamp=slot(), alarm="fallDown").status == 200
    assert office.alarm(phone=phone, timestamp=slot(), alarm="fallDown", batt=3, id="other").status == 200
    assert len(office.alerts("supervisor")) == before + 1
    assert office.newest()["kind"] == "fall"


def test_an_alarm_that_is_held_is_one_alarm_with_its_first_time_and_its_newest_place(office: Office) -> None:
    phone, before, start = office.change_phone(), len(office.alerts("supervisor")), slot()
    for number in range(20):
        lon = EXAMPLE_LON + number * 0.0001
        assert office.alarm(phone=phone, timestamp=start + 30 * number, lon=lon).status == 200
    assert len(office.alerts("supervisor")) == before + 1
    alarm = office.newest()
    assert datetime.fromisoformat(alarm["raised_at"]).timestamp() == start
    assert alarm["place"]["lon"] == pytest.approx(EXAMPLE_LON + 0.0019)
    office.alarm(phone=phone, timestamp=start + 300, alarm="fall")
    office.alarm(phone=phone, timestamp=start - 1)
    office.alarm(phone=office.change_phone(), timestamp=start)
    assert len(office.alerts("supervisor")) == before + 4


def test_one_request_raises_at_most_ten_alarms_the_newest_and_each_once_first(office: Office) -> None:
    phone, before, start = office.change_phone(), len(office.alerts("supervisor")), slot(2_000)
    root = {"device_id": "1", "alarm": "sos,accident,assault,fall"}
    coords = {"latitude": EXAMPLE_LAT, "longitude": EXAMPLE_LON}
    sent = [{**root, "location": {"timestamp": (start + SLOT * n) * 1000, "coords": coords}} for n in range(1_000)]
    answer = office.service.ask("POST", f"/osmand/{phone.secret}", sent, to_json=True)
    assert (answer.status, answer.body) == (200, b"")
    assert len(office.alerts("supervisor", "limit=1000")) == before + 10

    async def kept() -> list[Any]:
        async with office.service.platform.database.acquire() as connection:
            rows = await connection.fetch("select reason from quarantine where device = $1", phone.name)
            return [row["reason"] for row in rows]

    assert office.service.call(kept()) == ["out_of_range"]


def test_a_supervisor_of_another_site_cannot_take_an_alarm_by_an_event(office: Office) -> None:
    alarm_id = fresh("a")
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}))
    said = field_event("alarm.acknowledged", {"alarm_id": alarm_id})
    for who, status in (("stranger", "quarantined"), ("supervisor", "accepted")):
        answer = office.service.ask(
            "POST", "/v1/events", {**said, "id": str(uuid4())}, headers=office.people[who], to_json=True
        )
        (result,) = answer.json()["results"]
        assert (result["status"], result.get("reason")) == (status, "not_allowed" if status == "quarantined" else None)
        assert office.named(alarm_id)["state"] == ("open" if status == "quarantined" else "acknowledged")


def test_a_phone_of_another_site_or_carrier_cannot_take_an_alarm_away(office: Office) -> None:
    alarm_id, far = fresh("a"), office.change_phone("Dominique Essai", site=ELSEWHERE)
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}))
    before = office.named(alarm_id)
    for phone in (far, office.change_phone("Dominique Essai"), office.change_phone(site=ELSEWHERE)):
        for time in (ago(hours=1), ago(seconds=0)):
            (result,) = phone.send(field_event("alarm.raised", {"kind": "fall", "alarm_id": alarm_id}, time=time))
            assert (result["status"], result["reason"]) == ("quarantined", "not_allowed")
    assert office.named(alarm_id) == before
    assert alarm_id not in [each["id"] for each in office.alerts("stranger")]
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}, time=ago(hours=1)))
    assert office.named(alarm_id)["raised_at"] < before["raised_at"]


@pytest.mark.parametrize(
    "limit", ["000000001999999999999999999999", "00001", "1001", "0", "-1", "1.0", "\u0661", "", "1%0A"]
)
def test_a_limit_is_one_to_four_digits_in_range_on_every_list(office: Office, limit: str) -> None:
    for path in ("/v1/alerts", "/v1/runs"):
        answer = office.service.ask(
            "GET", f"{path}?limit={quote(limit, safe='%')}", headers=office.people["supervisor"]
        )
        assert answer.code == "bad_request"
    assert office.phone.ask("GET", f"/v1/me/receipts?limit={quote(limit, safe='%')}").code == "bad_request"
    for good in ("1", "0001", "1000"):
        assert office.phone.ask("GET", f"/v1/me/receipts?limit={good}").status == 200


def test_an_alarm_without_a_place_or_with_a_broken_one_is_raised_all_the_same(office: Office) -> None:
    for said in (
        {"lat": None, "lon": None},
        {"lat": "x"},
        {"timestamp": "never"},
        {"lat": 0, "lon": 0},
        {"mock": "true"},
    ):
        before = len(office.alerts("supervisor"))
        assert office.alarm(phone=office.change_phone(), **{"alarm": "accident", **said}).status == 200
        assert len(office.alerts("supervisor")) == before + 1
        assert (office.newest()["kind"], office.newest()["place"]) == ("accident", None)
    sent = orjson.dumps({"alarm": "sos", "device_id": "1"})
    more = {"Content-Type": "application/json"}
    assert office.service.ask("POST", f"/osmand/{office.change_phone().secret}", sent, headers=more).status == 200
    assert (office.newest()["kind"], office.newest()["place"]) == ("sos", None)


def test_a_devices_own_trouble_is_no_alarm_and_a_name_that_nobody_knows_is_an_sos(office: Office) -> None:
    before = len(office.alerts("supervisor"))
    for name in ("lowBattery", "overspeed", "geofenceExit", "false", ""):
        assert office.alarm(alarm=name, timestamp=int(datetime.now(UTC).timestamp())).status == 200
    assert len(office.alerts("supervisor")) == before
    office.alarm(phone=office.change_phone(), alarm="weiß nicht", timestamp=int(datetime.now(UTC).timestamp()))
    assert len(office.alerts("supervisor")) == before + 1
    assert office.newest()["kind"] == "sos"


def test_the_phone_page_may_leave_the_alarms_name_to_the_server_which_says_whose_phone_it_is(office: Office) -> None:
    fix = {"lat": EXAMPLE_LAT, "lon": EXAMPLE_LON}
    event = field_event("alarm.raised", {"kind": "assault", "carrier": "Somebody Else", "note": "Vite", "fix": fix})
    (result,) = office.phone.send(event)
    assert result["status"] == "accepted"
    alarm = office.newest()
    assert (alarm["id"], alarm["carrier"], alarm["note"], alarm["kind"]) == (event["id"], CARRIER, "Vite", "assault")
    assert office.phone.send(event)[0]["status"] == "duplicate"
    own = field_event("alarm.raised", {"kind": "sos", "alarm_id": fresh("a")})
    office.phone.send(own)
    assert office.newest()["id"] == own["data"]["alarm_id"]


def test_alarms_are_published_to_the_operator_without_name_and_place(office: Office) -> None:
    alarm_id = fresh("a")
    fix = {"lat": EXAMPLE_LAT, "lon": EXAMPLE_LON}
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id, "fix": fix, "note": "Vite"}))
    office.take("supervisor", alarm_id)
    mine = [each for each in office.feed.feed("alarm.*") if each["subject"] == f"alarm/{alarm_id}"]
    assert [each["type"] for each in mine] == ["fieldsvc.alarm.raised.v1", "fieldsvc.alarm.acknowledged.v1"]
    assert mine[0]["data"]["located"]["stop_id"] == "st-118"
    assert not any(word in str(mine) for word in (CARRIER, "Vite", str(EXAMPLE_LAT), "acc_"))
    nobody = office.service.call(accounts.create_subscriber(office.service.platform.database, "Personne"))
    assert Caller(office.service, nobody["account_id"], nobody["api_key"]).feed("alarm.*") == []


def test_the_first_to_take_an_alarm_has_it_and_both_are_told(office: Office) -> None:
    alarm_id = fresh("a")
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}))
    first = office.take("supervisor", alarm_id)
    assert first.status == 200, first.body
    assert (first.json()["state"], first.json()["acknowledged_by"]) == (
        "acknowledged",
        office.people["supervisor"]["account"],
    )
    second = office.take("colleague", alarm_id)
    assert second.json() == first.json()
    assert alarm_id not in [each["id"] for each in office.alerts("supervisor", "state=open")]
    assert alarm_id in [each["id"] for each in office.alerts("supervisor", "state=all")]
    assert len([each for each in office.feed.feed("alarm.acknowledged") if each["subject"].endswith(alarm_id)]) == 1


def test_alarms_are_seen_and_taken_on_their_own_site_and_by_the_operator(office: Office) -> None:
    alarm_id = fresh("a")
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}))
    assert office.alerts("stranger") == []
    assert alarm_id in [each["id"] for each in office.alerts("operator")]
    assert alarm_id in [each["id"] for each in office.alerts("operator", f"site={SITE}")]
    assert office.alerts("operator", f"site={ELSEWHERE}") == []
    assert alarm_id in [each["id"] for each in office.alerts("supervisor", f"site={SITE}")]
    for who, asked in (
        ("stranger", f"site={SITE}"),
        ("supervisor", f"site={ELSEWHERE}"),
        ("adviser", ""),
        ("operator", "site=%00"),
    ):
        assert office.service.ask("GET", f"/v1/alerts?{asked}", headers=office.people[who]).code == "not_found"
    assert office.take("stranger", alarm_id).code == "not_found"
    assert office.take("adviser", alarm_id).code == "not_found"
    assert office.take("supervisor", "no-such-alarm").code == "not_found"
    without = {"Cookie": office.people["supervisor"]["Cookie"]}
    assert office.service.ask("POST", f"/v1/alerts/{alarm_id}/ack", headers=without).code == "csrf"
    assert office.service.ask("GET", "/v1/alerts", headers=office.phone.headers).status == 401
    assert office.take("operator", alarm_id).json()["acknowledged_by"] == office.people["operator"]["account"]


def test_alarms_are_listed_newest_first_page_by_page(office: Office) -> None:
    ids = [fresh("a") for _ in range(5)]
    for number, alarm_id in enumerate(ids):
        event = field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm_id}, time=ago(days=3 + number // 2))
        office.phone.send(event)
    found: list[str] = []
    cursor = ""
    while True:
        answer = office.service.ask(
            "GET", f"/v1/alerts?limit=3&cursor={cursor}", headers=office.people["operator"]
        ).json()
        found += [each["id"] for each in answer["alerts"]]
        if "cursor" not in answer:
            break
        cursor = answer["cursor"]
    everything = office.alerts("operator", "limit=1000")
    assert found == [each["id"] for each in everything]
    moments = [each["raised_at"] for each in everything]
    assert moments == sorted(moments, reverse=True)
    assert set(ids) <= set(found)


@pytest.mark.parametrize(
    "asked", ["state=closed", "limit=0", "limit=x", "cursor=%ff", "cursor=é", "cursor=abcd", "cursor=MjAyNg"]
)
def test_a_list_that_is_asked_for_wrongly_is_a_bad_request(office: Office, asked: str) -> None:
    path = "/v1/alerts?" + asked.replace("é", "%C3%A9")
    assert office.service.ask("GET", path, headers=office.people["supervisor"]).code == "bad_request"


def test_screens_read_what_changed_and_what_is_open(office: Office) -> None:
    alarm_id, database = fresh("a"), office.service.platform.database
    office.phone.send(field_event("alarm.raised", {"kind": "fall", "alarm_id": alarm_id}))
    changed = office.service.call(alarms.changed(database, 30.0))
    assert [each.kind for each in changed if each.id == alarm_id] == ["fall"]
    for site, there in ((SITE, True), (None, True), (ELSEWHERE, False)):
        found = office.service.call(alarms.open_alarms(database, site))
        assert (alarm_id in [each.id for each in found]) is there
    office.take("supervisor", alarm_id)
    assert alarm_id not in [each.id for each in office.service.call(alarms.open_alarms(database, None))]
    (taken,) = [each for each in office.service.call(alarms.changed(database, 30.0)) if each.id == alarm_id]
    assert taken.acknowledged_by == office.people["supervisor"]["account"]


def test_the_place_of_an_alarm_is_in_no_table_in_the_clear(office: Office) -> None:
    lat, lon = 48.9376543, 2.1612345
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "fix": {"lat": lat, "lon": lon}}))
    assert office.newest()["place"]["lat"] == lat

    async def whole() -> list[str]:
        async with office.service.platform.database.acquire() as connection:
            names = [
                row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
            ]
            return [
                row[0] for name in names for row in await connection.fetch(f"select whole::text from {name} as whole")
            ]

    for row in office.service.call(whole()):
        for mark in (str(lat), str(lon)):
            assert mark not in row
            assert mark.encode().hex() not in row


def test_an_alarms_id_says_nothing_of_its_place_and_differs_by_all_that_matters(office: Office) -> None:
    vault, at = office.service.platform.vault, datetime(2026, 11, 21, tzinfo=UTC)
    alarm = Alarm("sos", at, None, b"content")
    names = {
        event_id(vault, device, each)
        for device in ("d-1", "d-2")
        for each in (
            alarm,
            Alarm("fall", at, None, b"content"),
            Alarm("sos", None, None, b"content"),
            Alarm("sos", at, None, b"c"),
        )
    }
    assert len(names) == 8
    assert {(UUID(str(name)).version, UUID(str(name)).variant) for name in names} == {(8, "specified in RFC 4122")}
    assert event_id(vault, "d-1", alarm) in names


def test_an_alarm_is_shown_as_it_is_described(office: Office) -> None:
    document = {"components": {"schemas": WRITTEN}}
    office.phone.send(field_event("alarm.raised", {"kind": "sos", "fix": {"lat": EXAMPLE_LAT, "lon": EXAMPLE_LON}}))
    for alarm in (office.newest(), office.take("supervisor", office.newest()["id"]).json()):
        assert faults(alarm, WRITTEN["Alert"], document) == []


# One code for the phone page and the tracker


def ask_code(office: Office, who: str, body: Any, **headers: str) -> Answer:
    more = {**office.people[who], **headers}
    return office.service.ask("POST", "/v1/devices/codes", body, headers=more, to_json=True)


def test_one_code_serves_the_phone_page_and_the_tracker_under_the_same_device(office: Office) -> None:
    answer = ask_code(office, "supervisor", {"carrier": "Zoé Essai", "round": "T07"})
    assert answer.status == 201, answer.body
    made = answer.json()
    assert made["url"] == f"{office.service.url}/enrol#{made['code']}"
    assert made["qr_svg"] == provisioning.qr_svg(made["url"])
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    enrolled = office.service.ask("POST", "/v1/devices/enrol", {"code": made["code"]}, to_json=True).json()
    assert (enrolled["carrier"], enrolled["site"], enrolled["round"]) == ("Zoé Essai", SITE, "T07")
    assert enrolled["apps"] == provisioning.links(enrolled)
    assert faults(enrolled, WRITTEN["DeviceCredentials"], {"components": {"schemas": WRITTEN}}) == []
    bearer = {"Authorization": f"Bearer {enrolled['token']}"}
    assert office.service.ask("GET", "/v1/services", headers=bearer).status == 200
    assert office.service.ask("POST", "/owntracks", b"", headers=bearer).body == b"[]"
    filled = enrolled["apps"]["osmand"]["url"].removeprefix(office.service.url)
    for number, value in enumerate(
        (EXAMPLE_LAT, EXAMPLE_LON, int(datetime.now(UTC).timestamp() * 1000), 8.0, 35.0, 1.5, 90.0)
    ):
        filled = filled.replace(f"{{{number}}}", str(value))
    before = office.service.counted('fieldsvc_fixes_total{outcome="off_duty_discarded"}')
    assert office.service.ask("GET", filled).status == 200
    assert office.service.counted('fieldsvc_fixes_total{outcome="off_duty_discarded"}') == before + 1


def test_only_a_supervisor_makes_codes_and_only_for_the_own_site(office: Office) -> None:
    assert ask_code(office, "operator", {"carrier": "Zoé"}).code == "not_found"
    assert ask_code(office, "adviser", {"carrier": "Zoé"}).code == "not_found"
    assert ask_code(office, "supervisor", {"carrier": "Zoé"}, **{"X-CSRF-Token": "x"}).code == "csrf"
    other = ask_code(office, "stranger", {"carrier": "Zoé", "round": "T07"})
    assert (other.code, SITE.encode() in other.body) == ("not_found", False)
    assert ask_code(office, "stranger", {"carrier": "Zoé"}).status == 201
    assert office.service.ask("POST", "/v1/devices/codes", {"carrier": "Z"}, to_json=True).status == 401


@pytest.mark.parametrize("body", [{}, {"carrier": ""}, {"carrier": "  "}, {"carrier": 7}, {"carrier": "x" * 201}, {"carrier": "a\x00b"}, {"carrier": "Z", "site": "x"}, {"carrier": "Z", "round": "../x"}, {"carrier": "Z", "round": ""}])  # fmt: skip
def test_a_code_is_for_a_name_and_a_round(office: Office, body: Any) -> None:
    assert ask_code(office, "supervisor", body).code == "invalid"
