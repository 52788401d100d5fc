"""Who looked: what is noted of looks, the reason that history needs, and what a carrier may read of it."""

import asyncio
import base64
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from fieldsvc import admin
from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.errors import UserMistake
from fieldsvc.simulate.town import Town
from fieldsvc.store import audit as store
from fieldsvc.store.audit import NEWEST, Row, Wanted
from fieldsvc.web.looks import LOOKS, REASONS
from fieldsvc.web.rights import TABLE
from fieldsvc.work import imports
from tests.acceptance.service import Answer, Caller, Service, field_event
from tests.databases import drop_database, new_database

PERSONS = {
    "a": ("supervisor", "site-a"), "b": ("supervisor", "site-b"), "operator": ("operator", None),
    "auditor": ("auditor", None), "auditor-b": ("auditor", "site-b"), "adviser": ("adviser", None),
}  # fmt: skip


@dataclass
class Office:
    """A service with two sites, yesterday's and today's runs, the phones of three carriers, and people who look."""

    service: Service
    town: Town
    today: date
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    phones: list[Caller] = field(default_factory=list)

    @property
    def yesterday(self) -> date:
        return self.today - timedelta(days=1)

    def ask(self, who: str, path: str, **headers: str) -> Answer:
        return self.service.ask("GET", path, headers={**self.people.get(who, {}), **headers})

    def run_id(self, number: int, day: date) -> str:
        return f"run-{day}-{self.town.rounds[number].round_id}"

    def fetch(self, text: str, *args: Any) -> list[Mapping[str, Any]]:
        async def run() -> list[Mapping[str, Any]]:
            async with self.service.platform.database.acquire() as connection:
                return [dict(row) for row in await connection.fetch(text, *args)]

        return self.service.call(run())

    def noted(self, since: int = 0) -> list[Row]:
        """What was noted since, oldest first, without the service's own rows."""
        rows = self.service.call(store.page(self.service.platform.database, Wanted(), before=NEWEST, limit=1000))
        return [row for row in reversed(rows) if row.pos > since and row.role != "service"]

    def mark(self) -> int:
        return max((row.pos for row in self.noted()), default=0)


async def prepare(office: Office, folder: Path) -> None:
    platform, path = office.service.platform, folder / "rounds.geojson"
    path.write_text(office.town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    async with platform.database.acquire() as connection:
        await connection.execute("insert into site values ('site-a', now()), ('site-b', now())")
        await connection.execute(
            "update round set site = case when id = $1 then 'site-b' else 'site-a' end", office.town.rounds[2].round_id
        )
    for day in (office.yesterday, office.today):
        rows = [f"{day},{each.round_id},Camille {n}\n" for n, each in enumerate(office.town.rounds)]
        await imports.import_roster(platform.database, ["date,round_id,carrier\n", *rows])
        await platform.runs.plan_day(day)
    for name, (role, site) in PERSONS.items():
        made = await accounts.create_person(
            platform.database, office.service.url, role, email=f"{name}@x.invalid", site=site
        )
        session = await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        office.people[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
    for n, site in enumerate(("site-a", "site-a", "site-b")):
        made = await enrolment.enrol_device(platform.database, "", carrier=f"Camille {n}", site=site)
        office.phones.append(Caller(office.service, made["device_id"], made["token"]))


@pytest.fixture(scope="module")
def office(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder, url = tmp_path_factory.mktemp("mirror"), new_database(postgres_url)
    service = Service(url, folder)
    made = Office(service, Town(3, rounds=3, stops=12), service.platform.runs.today())
    service.call(prepare(made, folder))
    yield made
    service.close()
    drop_database(postgres_url, url)


def walked(office: Office, number: int, day: date, moments: int = 5) -> None:
    """Put progress of a run where the tracker would."""
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=8)
    body = {"facts": [], "now": {"duty": "off", "intervals": [[f"{day}T06:00:00.000Z", f"{day}T09:30:00.000Z"]]}}
    office.fetch(
        "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)"
        " on conflict (handler, subject) do update set body = excluded.body",
        f"run/{office.run_id(number, day)}", orjson.dumps(body),
    )  # fmt: skip
    office.fetch(
        "insert into progress select $1, $2, $3::timestamptz + n * interval '30 s', n * 10.5, 'on_round', now()"
        " from generate_series(1, $4) as n on conflict do nothing",
        day, office.run_id(number, day), at, moments,
    )  # fmt: skip


HISTORY = (
    *(f"/v1/runs/{{run}}/{part}" for part in ("replay", "stops", "timeline", "requests")),
    "/v1/runs?day={day}",
    "/v1/roster?from={day}",
    "/v1/alerts?run={run}",
)


@pytest.mark.parametrize("path", HISTORY)
def test_what_is_older_than_today_needs_a_reason_which_is_noted(office: Office, path: str) -> None:
    walked(office, 0, office.yesterday)
    since, past = office.mark(), path.format(run=office.run_id(0, office.yesterday), day=office.yesterday)
    for wrong in ("", "because", "COMPLAINT"):
        answer = office.ask("a", f"{past}{'&' if '?' in past else '?'}reason={wrong}")
        assert (answer.status, answer.code, answer.json()["reasons"]) == (400, "reason_required", list(REASONS))
    assert office.noted(since) == []
    assert office.ask("a", f"{past}{'&' if '?' in past else '?'}reason=complaint").status == 200
    (row,) = office.noted(since)
    assert (row.role, row.reason, row.site) == ("supervisor", "complaint", "site-a")
    assert row.subject in (
        f"run/{office.run_id(0, office.yesterday)}",
        f"day/{office.yesterday}",
        f"roster/{office.yesterday}",
        "alerts/site-a",
    )
    assert office.phones[0].ask("GET", "/v1/me/access").json()["looks"][0]["reason"] == "complaint"


@pytest.mark.parametrize("path", HISTORY[:2])
def test_a_run_that_is_not_ones_own_is_not_there_with_or_without_a_reason(office: Office, path: str) -> None:
    since = office.mark()
    for run in (office.run_id(0, office.yesterday), "run-2026-01-01-x", "run-x"):
        for reason in ("", "?reason=complaint"):
            assert office.ask("b", path.format(run=run) + reason).status == 404
    assert office.noted(since) == []


def test_the_day_is_that_of_the_run_whatever_the_query_says(office: Office) -> None:
    path = f"/v1/runs/{office.run_id(0, office.yesterday)}/replay?day={office.today}"
    assert office.ask("a", path).code == "reason_required"


def test_todays_list_is_read_freely_and_a_replay_of_today_is_noted(office: Office) -> None:
    since = office.mark()
    for path in (
        "/v1/runs",
        "/v1/roster",
        f"/v1/runs?day={office.today}",
        f"/v1/runs/{office.run_id(0, office.today)}/stops",
    ):
        assert office.ask("a", path).status == 200
    assert office.noted(since) == []
    assert office.ask("a", f"/v1/runs/{office.run_id(0, office.today)}/replay").status == 200
    (row,) = office.noted(since)
    assert (row.action, row.reason) == ("run.replayed", None)


@pytest.mark.parametrize(
    ("who", "path", "action", "subject"),
    [
        ("adviser", "/v1/tasks", "tasks.listed", "tasks"),
        ("a", "/v1/address-changes", "address_changes.listed", "site/site-a"),
        ("operator", "/v1/access-cases", "access_cases.listed", "site/*"),
        ("a", "/v1/kpis?format=csv", "figures.exported", "figures/*"),
        ("a", "/v1/kpis?format=json", None, None),
        ("a", "/v1/cases", None, None),
        ("a", "/v1/cases/nothing", None, None),
    ],
)
def test_a_look_is_noted_with_what_it_was_at_and_what_is_not_there_is_not(
    office: Office, who: str, path: str, action: str | None, subject: str | None
) -> None:
    since = office.mark()
    assert office.ask(who, path).status == (404 if "nothing" in path else 200)
    wanted = [] if action is None else [(PERSONS[who][0], action, subject)]
    assert [(row.role, row.action, row.subject) for row in office.noted(since)] == wanted


def test_a_carrier_reads_who_looked_at_their_own_work_and_nothing_else(office: Office) -> None:
    for n in range(3):
        walked(office, n, office.yesterday)
    runs = [office.run_id(n, office.yesterday) for n in range(3)]
    for who, run, reason in (("a", 0, "incident"), ("a", 1, "planning"), ("operator", 0, "legal"), ("b", 2, "legal")):
        assert office.ask(who, f"/v1/runs/{runs[run]}/replay?reason={reason}").status == 200
    assert office.ask("b", f"/v1/runs?day={office.yesterday}&reason=item_search").status == 200
    found = office.phones[0].ask("GET", "/v1/me/access").json()["looks"]
    assert found[0] == {
        "at": found[0]["at"], "role": "operator", "office": "site-a", "action": "run.replayed",
        "about": f"run/{runs[0]}", "reason": "legal",
    }  # fmt: skip
    assert {look["about"] for look in found} <= {
        f"run/{runs[0]}",
        f"run/{office.run_id(0, office.today)}",
        f"day/{office.yesterday}",
        f"roster/{office.yesterday}",
        "alerts/site-a",
        f"device/{office.phones[0].name}",
    }
    assert all("acc_" not in str(look) and "@" not in str(look) for look in found)
    other = office.phones[2].ask("GET", "/v1/me/access").json()["looks"]
    assert [(look["about"], look["reason"]) for look in other] == [
        (f"day/{office.yesterday}", "item_search"), (f"run/{runs[2]}", "legal"),
    ]  # fmt: skip
    paged, cursor = [], ""
    while True:
        page = office.phones[0].ask("GET", f"/v1/me/access?limit=2&cursor={cursor}").json()
        paged += page["looks"]
        if "cursor" not in page:
            break
        cursor = page["cursor"]
    assert paged == found
    for wrong in ("cursor=x", "limit=0", f"cursor={base64.urlsafe_b64encode(b'2026-11-22 x').decode()}"):
        assert office.phones[0].ask("GET", f"/v1/me/access?{wrong}").code == "bad_request"


def test_a_carrier_downloads_all_that_is_kept_of_them_as_it_is_in_the_database(
    office: Office, note: Callable[[str], None]
) -> None:
    phone, run = office.phones[1], office.run_id(1, office.yesterday)
    walked(office, 1, office.yesterday, moments=2_000)
    sent = [field_event("idea.submitted", {"text": f"idea {n}"}) for n in range(3)]
    assert all(result["status"] == "accepted" for result in phone.send(*sent))
    office.phones[0].send(field_event("idea.submitted", {"text": "another's"}))
    assert office.ask("a", f"/v1/runs/{run}/replay?reason=planning").status == 200
    began = time.monotonic()
    answer = phone.ask("GET", "/v1/me/export")
    took = time.monotonic() - began
    found = answer.json()
    note(f"a carrier's download of {len(answer.body):,} bytes took {took:.2f} s")
    assert took < 30
    assert answer.headers["content-disposition"] == 'attachment; filename="mine.json"'
    assert (found["carrier"], found["site"]) == ("Camille 1", "site-a")
    assert {each["run_id"] for each in found["runs"]} == {run, office.run_id(1, office.today)}
    mine = next(each for each in found["runs"] if each["run_id"] == run)
    rows = office.fetch(
        "select at, distance_along_m, status, received_at from progress where run = $1 order by at", run
    )
    assert orjson.loads(orjson.dumps(rows, option=orjson.OPT_UTC_Z)) == mine["progress"]
    assert len(rows) == 2_000
    assert mine["geolocation"] == [
        {"from": f"{office.yesterday}T06:00:00.000Z", "until": f"{office.yesterday}T09:30:00.000Z"}
    ]
    assert {event["id"] for event in found["events"]} == {event["id"] for event in sent}
    assert found["looks"][0]["about"] == f"run/{run}"
    assert (
        found["looks"] == office.phones[1].ask("GET", "/v1/me/access").json()["looks"][1:]
    )  # the download is a look too
    assert [each["id"] for each in found["phones"]] == [phone.name]
    assert "Camille 0" not in answer.body.decode()
    assert mine["tracks"] == []


def enrolled(office: Office, carrier: str, **more: str) -> Caller:
    """Have a supervisor make a code for somebody's phone, and use it."""
    body = {"carrier": carrier, **more}
    shown = office.service.ask("POST", "/v1/devices/codes", body, headers=office.people["a"], to_json=True).json()
    made = office.service.ask("POST", "/v1/devices/enrol", {"code": shown["code"]}, to_json=True).json()
    return Caller(office.service, made["device_id"], made["token"])


def test_a_phone_that_a_code_made_reads_nothing_of_before_and_its_carrier_sees_that_it_was_made(office: Office) -> None:
    walked(office, 0, office.yesterday)
    own = office.phones[0]
    assert own.send(field_event("idea.submitted", {"text": "mine"}))[0]["status"] == "accepted"
    other = enrolled(office, "Camille 0")
    found = other.ask("GET", "/v1/me/export").json()
    assert {run["day"] for run in found["runs"]} == {str(office.today)}
    told = [(look["role"], look["action"], look["about"]) for look in own.ask("GET", "/v1/me/access").json()["looks"]]
    assert told[:3] == [
        ("carrier", "carrier.exported", f"device/{other.name}"), ("carrier", "device.enrolled", f"device/{other.name}"),
        ("supervisor", "device.code_issued", "site/site-a"),
    ]  # fmt: skip
    everything = own.ask("GET", "/v1/me/export").json()
    assert str(office.yesterday) in {run["day"] for run in everything["runs"]}
    office.fetch("update device set enrolled_at = enrolled_at + interval '2 days' where id = $1", other.name)
    office.service.platform.access.forget()
    later = other.ask("GET", "/v1/me/export").json()
    assert (later["runs"], later["events"], later["looks"]) == ([], [], [])
    assert other.ask("GET", "/v1/me/access").json()["looks"] == []


def test_a_phone_that_takes_the_place_of_a_broken_one_works_on(office: Office) -> None:
    new = enrolled(office, "Camille 1", replaces=office.phones[1].name)
    sent = field_event("idea.submitted", {"text": "again"})
    assert new.send(sent)[0]["status"] == "accepted"
    found = new.ask("GET", "/v1/me/export").json()
    assert [each["lost_at"] is None for each in found["phones"]] == [False, True]
    assert sent["id"] in {event["id"] for event in found["events"]}


def test_an_auditor_reads_the_log_a_page_at_a_time_and_that_is_noted(office: Office) -> None:
    office.ask("a", f"/v1/runs?day={office.yesterday}&reason=planning")
    office.ask("b", f"/v1/runs?day={office.yesterday}&reason=planning")
    page = office.ask("auditor", "/v1/audit?limit=2").json()
    assert [entry["site"] for entry in page["entries"]] == ["site-b", "site-a"]
    assert page["entries"][0].keys() == {
        "day", "no", "at", "actor", "role", "action", "subject", "reason", "site",
    }  # fmt: skip
    (following,) = office.ask("auditor", f"/v1/audit?limit=1&cursor={page['cursor']}").json()["entries"]
    assert following["no"] == page["entries"][1]["no"] - 1
    assert office.ask("auditor", "/v1/audit?limit=1").json()["entries"][0]["action"] == "audit.read"
    for query, wanted in (("role=adviser", "role"), ("action=runs.listed", "action"), ("site=site-a", "site")):
        found = office.ask("auditor", f"/v1/audit?{query}").json()["entries"]
        assert {entry[wanted] for entry in found} <= {query.partition("=")[2]}
    assert {entry["site"] for entry in office.ask("auditor-b", "/v1/audit").json()["entries"]} == {"site-b"}
    assert office.ask("auditor-b", "/v1/audit?site=site-a").status == 404
    before = office.yesterday - timedelta(days=1)  # the log's days are UTC's, and no later than the zone's
    assert office.ask("auditor", f"/v1/audit?until={before}").json() == {"entries": []}
    for wrong in ("actor=%00", "actor=", "from=x", "cursor=x", "limit=x", "subject=%C3%A9"):
        assert office.ask("auditor", f"/v1/audit?{wrong}").code == "bad_request", wrong
    for other in ("a", "operator", "adviser"):
        assert office.ask(other, "/v1/audit").status == 404


def test_alerts_of_earlier_days_are_noted_where_they_are_shown(office: Office) -> None:
    since = office.mark()
    raised = "insert into alert values ('old', 'x', 'urgent', 'run', 'run/x', false, null, 'site-a', $1, $2, 0, null, null, null, null, now())"
    office.fetch(raised.replace("'old'", "'new'"), uuid4(), datetime.now(UTC))
    assert len(office.ask("a", "/v1/alerts?state=open").json()["alerts"]) == 1
    assert office.noted(since) == []
    office.fetch(raised, uuid4(), datetime.now(UTC) - timedelta(days=1))
    assert len(office.ask("b", "/v1/alerts").json()["alerts"]) == 0
    assert len(office.ask("a", "/v1/alerts?limit=1").json()["alerts"]) == 1
    assert office.noted(since) == []
    assert len(office.ask("a", "/v1/alerts").json()["alerts"]) == 2
    (row,) = office.noted(since)
    assert (row.role, row.action, row.subject, row.reason, row.site) == (
        "supervisor", "alerts.listed", "alerts/site-a", None, "site-a",
    )  # fmt: skip
    assert office.phones[0].ask("GET", "/v1/me/access").json()["looks"][0]["action"] == "alerts.listed"


def test_a_live_page_of_alerts_is_noted_once_a_person_and_day_and_each_time_with_a_reason(office: Office) -> None:
    raised = "insert into alert values ('left', 'x', 'urgent', 'run', 'run/x', false, null, 'site-b', $1, $2, 0, null, null, null, null, now())"
    office.fetch(raised, uuid4(), datetime.now(UTC) - timedelta(days=1))
    since, mine = office.mark(), f"/v1/alerts?state=open&run={office.run_id(2, office.yesterday)}"
    assert [office.ask("b", "/v1/alerts?state=open").status for _ in range(3)] == [200] * 3
    assert office.ask("b", mine).json() == {"alerts": []}
    assert [office.ask("operator", "/v1/alerts?site=site-b").status for _ in range(2)] == [200] * 2
    assert [(row.role, row.reason) for row in office.noted(since)] == [("supervisor", None), ("operator", None)]
    for _ in range(2):
        assert office.ask("b", "/v1/alerts?reason=incident").status == 200
    assert [row.reason for row in office.noted(since)[2:]] == ["incident", "incident"]
    for wrong in ("/v1/alerts?reason=because", mine.replace("open", "settled")):
        assert office.ask("b", wrong).code == "reason_required"
    assert office.ask("auditor-b", "/v1/audit?reason=legal").status == 200
    assert office.noted(since)[-1].reason == "legal"


def test_who_reads_everybodys_events_is_noted_once_a_day_for_the_feed_and_each_time_for_one_event(
    office: Office,
) -> None:
    database, since = office.service.platform.database, office.mark()
    made = [office.service.call(accounts.create_subscriber(database, "O", scopes=each)) for each in (["operator"], [])]
    keys = [{"Authorization": f"Bearer {each['api_key']}"} for each in made]
    assert office.phones[0].send(field_event("idea.submitted", {"text": "seen"}))[0]["status"] == "accepted"
    deadline, events = time.monotonic() + 30, []
    while not events and time.monotonic() < deadline:
        events = office.service.ask("GET", "/v1/feed?wait=1", headers=keys[0]).json()["events"]
    assert office.service.ask("GET", "/v1/feed", headers=keys[0]).status == 200
    assert office.service.ask("GET", "/v1/feed", headers=keys[1]).status == 200
    for _ in range(2):
        assert office.service.ask("GET", f"/v1/events/{events[0]['id']}", headers=keys[0]).status == 200
    office.service.ask("GET", f"/v1/events/{events[0]['id']}", headers=keys[1])
    rows = [row for row in office.noted(since) if row.role == "subscriber"]
    assert [(row.actor, row.action) for row in rows] == [
        (made[0]["account_id"], action) for action in ("feed.read", "event.seen", "event.seen")
    ]


def test_deeds_that_change_rights_are_noted(office: Office) -> None:
    platform, since = office.service.platform, office.mark()

    async def deeds() -> None:
        made = await accounts.create_person(platform.database, "", "adviser", email="new@x.invalid")
        await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        await accounts.revoke_account(platform.database, made["account_id"])
        code = await enrolment.issue_code(platform.database, carrier="Camille 7", site="site-a", created_by="acc_1")
        found = await enrolment.redeem_code(platform.database, "", code.shown)
        await enrolment.revoke_device(platform.database, found["device_id"])
        with pytest.raises(enrolment.BadCode):
            await enrolment.redeem_code(platform.database, "", code.shown)

    office.service.call(deeds())
    rows = office.noted(since)
    assert [(row.role, row.action) for row in rows] == [
        ("operator", "account.created"), ("operator", "account.link_made"), ("adviser", "person.signed_in"),
        ("operator", "account.revoked"), ("supervisor", "device.code_issued"), ("carrier", "device.enrolled"),
        ("operator", "device.revoked"), ("unknown", "device.code_refused"),
    ]  # fmt: skip
    assert {row.actor for row in rows if row.role == "operator"} == {"operator (command line)"}
    assert not any("x.invalid" in row.subject or "Camille" in row.subject for row in rows)


def test_a_look_into_the_quarantine_is_noted(office: Office) -> None:
    (result,) = office.phones[0].send(field_event("idea.submitted", {"text": 3}))
    assert result["status"] == "quarantined"
    (entry,) = office.fetch("select id::text from quarantine order by at desc limit 1")
    since = office.mark()
    office.service.call(admin.quarantine(office.service.platform, "show", entry["id"], settled_too=False))
    (row,) = office.noted(since)
    assert (row.actor, row.action, row.subject) == (
        "operator (command line)", "quarantine.shown", f"quarantine/{entry['id']}",
    )  # fmt: skip


def test_what_cannot_be_noted_is_not_shown(office: Office) -> None:
    office.fetch("alter table audit rename to audit_gone")
    try:
        answer = office.ask("a", f"/v1/runs/{office.run_id(0, office.today)}/replay")
        assert answer.status in (500, 503)
        assert b"points" not in answer.body
    finally:
        office.fetch("alter table audit_gone rename to audit")


# What people or accounts read without its being noted, and why.
NOT_NOTED = {
    "/metrics": "counts", "/basemap.geojson": "ground", "/supervision": "the page alone",
    "/supervision/national": "the page alone",
    "/supervision/morning": "the page alone",
    "/supervision/alerts": "the page alone",
    "/supervision/replay": "the page alone",
    "/supervision/addresses": "the page alone",
    "/supervision/reports": "the page alone",
    "/supervision/health": "the page alone",
    "/supervision/phones": "the page alone", "/v1/desks": "the operator's own contacts",
    "/v1/live": "today's rounds, by every screen", "/v1/rounds": "lines", "/v1/rounds/{id}": "lines",
    "/v1/overview": "counts of sites", "/v1/supervision/health": "counts of sites", "/v1/runs/not-back": "today's rounds",
    "/v1/colleagues": "the operator's own people",
    "/v1/delivery-points": "places", "/v1/hazards": "places", "/v1/cases": "without what was said",
    "/v1/ideas": "told to all colleagues", "/v1/endpoints": "their own", "/v1/endpoints/{id}": "their own",
    "/v1/endpoints/{id}/attempts": "their own", "/v1/endpoints/{id}/replays": "their own",
    "/v1/endpoints/{id}/replays/{rid}": "their own", "/partner/new/{service}": "an empty form",
    "/v1/endpoints/{id}/parked": "their own", "/v1/endpoints/{id}/dead-letters": "their own",
    "/suivi/v2/idships/{ids}": "public states of items",
    "/counter": "a form", "/counter/waits": "figures of an office", "/adviser": "a form",
    "/adviser/cases": "without what was said",
    "/integrations/keys": "their own",
    "/integrations/catalogue": "what there is",
    "/integrations/catalogue/{name}": "what there is",
    "/integrations/feed": "their own",
    "/integrations/audit": "their own",
    "/integrations/sandbox": "made up",
    "/integrations/certify": "their own",
    "/integrations/certify/{id}": "their own",
    "/integrations": "their own", "/integrations/endpoints/new": "the page alone",
    "/integrations/endpoints/{id}": "their own", "/integrations/endpoints/{id}/edit": "their own",
    "/integrations/endpoints/{id}/secret": "their own",
}  # fmt: skip


def test_every_route_that_people_or_accounts_read_is_noted_or_said_not_to_be() -> None:
    read = {
        path
        for (method, path), row in TABLE.items()
        if method == "GET" and row.own.keys() & {"account", *accounts.ROLES}
    }
    assert read - LOOKS.keys() == NOT_NOTED.keys()
    assert LOOKS.keys() - read == {"/v1/me/export"}


def test_the_command_checks_the_log_and_its_signed_links(office: Office) -> None:
    heads = office.service.settings.var_dir / "audit-heads.jsonl"
    assert heads.read_bytes()
    found, good = office.service.call(admin.verify(office.service.platform, "audit", None))
    assert (good, found["faults"]) == (True, [])
    assert found["rows"] > 10
    assert found["heads"] >= 1
    aside = heads.rename(heads.with_suffix(".aside"))
    found, good = office.service.call(admin.verify(office.service.platform, "audit", None))
    assert (good, len(found["faults"])) == (False, 1)
    with pytest.raises(UserMistake):
        office.service.call(admin.verify(office.service.platform, "audit", heads))
    aside.rename(heads)


def test_looks_at_the_same_time_are_all_noted_and_chained(office: Office) -> None:
    since, path = office.mark(), f"/v1/runs/{office.run_id(0, office.today)}/replay"

    async def together() -> list[Answer]:
        return await asyncio.gather(*(asyncio.to_thread(office.ask, "a", path) for _ in range(16)))

    assert [answer.status for answer in asyncio.run(together())] == [200] * 16
    assert len(office.noted(since)) == 16
    found, good = office.service.call(admin.verify(office.service.platform, "audit", None))
    assert good, found["faults"]
