"""The stage of the matrix of rights: two sites, every kind of caller, and things of each of them, made once."""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.platform import Platform
from fieldsvc.store import cover
from fieldsvc.web import carrier, delivery_changes
from fieldsvc.web.rights_row import ACCOUNT, CUSTOMER, DEVICE, MACHINE, Credential, Row
from fieldsvc.work import imports
from tests.acceptance.conftest import EXAMPLE_LAT, EXAMPLE_LON, SITE, example_round
from tests.acceptance.service import Caller, Service, ago, field_event
from tests.media.conftest import until
from tests.media.pictures import signature

ELSEWHERE, POSTCODE, HEALTH = "site-au-loin", "93500", "HEALTHCANARY"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Who:
    """A caller. `kind` as the table of rights says; `shows`: nothing, a key, or a session; `state`: good, lost, revoked or bad."""

    name: str
    kind: str
    shows: str
    secret: str = ""
    id: str = ""
    csrf: str = ""
    state: str = "good"
    site: str | None = None
    account: str | None = None
    round_id: str | None = None
    scopes: frozenset[str] = frozenset()

    def headers(self, row: Row) -> dict[str, str]:
        """Write what this caller sends to a route."""
        if self.shows == "session":
            return {"Cookie": f"fieldsvc_session={self.secret}", "X-CSRF-Token": self.csrf}
        if row.credential is Credential.OKAPI:
            return {"X-Okapi-Key": self.secret} if self.secret else {}
        if self.shows == "key":
            return {"Authorization": f"Bearer {self.secret}"}
        return {"Request-Token": self.secret} if self.secret else {}


@dataclass(frozen=True)
class Thing:
    """Whose a thing is; None = nobody's in particular."""

    site: str | None = None
    account: str | None = None
    round_id: str | None = None
    device: str | None = None
    token: str | None = None
    known: bool = False


@dataclass(frozen=True)
class Try:
    """One request to a route: the names in its path, its body, whose thing it is about, and the answer to who may."""

    path: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    good: int = 200
    about: Thing | None = None
    query: str = ""
    method: str | None = None


@dataclass(frozen=True)
class Asked:
    """One request and what came back."""

    route: tuple[str, str]
    who: Who
    attempt: int
    status: int
    body: bytes


@dataclass
class Stage:
    """The service, its callers by name, and what there is to ask for."""

    service: Service
    whos: dict[str, Who] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def key(self, name: str) -> Caller:
        return Caller(self.service, self.whos[name].id, self.whos[name].secret)

    def say(self, name: str, kind: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Send an event that is accepted."""
        event = field_event(kind, data, **more)
        who = self.whos[name]
        headers = {**who.headers(Row({})), "Content-Type": "application/cloudevents-batch+json"}
        answer = self.service.ask("POST", "/v1/events", orjson.dumps([event]), headers=headers)
        (result,) = answer.json()["results"]
        assert result["status"] == "accepted", result
        found: dict[str, Any] = result
        return found

    def ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Ask for something that is given."""
        answer = self.service.ask(
            method, path, body, headers=self.whos[name].headers(Row({})), to_json=body is not None
        )
        assert answer.status in (200, 201, 204), (method, path, answer.body)
        return answer.json() if answer.body else None

    async def send(self, asked: Iterable[tuple[tuple[str, str], Row, Who, int, Try]]) -> list[Asked]:
        """Send many requests, eight at a time."""
        many = asyncio.Semaphore(8)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(self.service.url, cookie_jar=jar) as client:

            async def one(route: tuple[str, str], row: Row, who: Who, number: int, attempt: Try) -> Asked:
                headers = {**who.headers(row), **({"X-Forwarded-For": "192.0.2.7"} if MACHINE in row.own else {})}
                body = attempt.body
                if body is not None and not isinstance(body, bytes):
                    body, headers["Content-Type"] = orjson.dumps(body), "application/json"
                url = self.path_of(route[1], row, who, attempt)
                async with (
                    many,
                    client.request(
                        attempt.method or route[0], url, data=body, headers=headers, allow_redirects=False
                    ) as answer,
                ):
                    return Asked(route, who, number, answer.status, await answer.read())

            return await asyncio.gather(*(one(*each) for each in asked))

    def path_of(self, path: str, row: Row, who: Who, attempt: Try) -> str:
        names = dict(attempt.path)
        if row.credential is Credential.PATH:
            names["token"] = who.secret or "nonsense"
        return re.sub(r"\{([^}:]*)[^}]*\}", lambda found: names[found[1]], path) + attempt.query


async def _town(platform: Platform, folder: Path) -> None:
    zone, day = platform.settings.zone, platform.runs.today()
    far = example_round().replace("48.9", "46.9").replace(SITE, ELSEWHERE).replace("T07", "T98")
    far = far.replace('"st-', '"far-st-').replace('"dp-', '"far-dp-')
    for name, text in (("near", example_round()), ("far", far)):
        path = folder / f"{name}.geojson"
        path.write_text(text, encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=zone)
    rows = ["date,round_id,carrier\n", f"{day},T07,Near Carrier\n", f"{day},T98,Far Carrier\n"]
    await imports.import_roster(platform.database, rows)
    await platform.runs.plan_day(day)
    platform.rounds.forget()


async def _callers(stage: Stage) -> None:
    service, database = stage.service, stage.service.platform.database
    made: list[Who] = [Who("nobody", "", "nothing"), Who("bad token", "", "key", "nonsense", state="bad")]
    made += [
        Who("bad key", "", "key", "fsk_nonsense", state="bad"),
        Who("bad session", "", "session", "no", state="bad"),
    ]
    phones = [
        ("phone", SITE, "T07"),
        ("far phone", ELSEWHERE, "T98"),
        ("lost phone", SITE, "T07"),
        ("revoked phone", SITE, "T07"),
    ]
    for name, site, round_id in phones:
        whose = "Far Carrier" if site == ELSEWHERE else "Near Carrier"
        device = await enrolment.enrol_device(database, service.url, carrier=whose, site=site, round_id=round_id)
        made.append(Who(name, DEVICE, "key", device["token"], device["device_id"], site=site, round_id=round_id))
    await enrolment.revoke_device(database, made[-1].id)
    await enrolment.report_lost(database, made[-2].id, lost_at=datetime.now(UTC))
    made[-2:] = [replace(made[-2], state="lost"), replace(made[-1], state="revoked")]
    orders = ("order:item", "order:home_visit")
    scopes = {
        "owner": (*orders, "health"),
        "other": orders,
        "no scope": (),
        "seer": ("operator", "health"),
        "revoked key": orders,
    }
    for name, given in scopes.items():
        new = await accounts.create_subscriber(database, name, scopes=given)
        account, state = new["account_id"], "revoked" if name == "revoked key" else "good"
        made.append(
            Who(name, ACCOUNT, "key", new["api_key"], account, state=state, account=account, scopes=frozenset(given))
        )
        if state == "revoked":
            await accounts.revoke_account(database, account)
    owner = next(each.account for each in made if each.name == "owner")
    people = [("supervisor", SITE), ("far supervisor", ELSEWHERE), ("counter", SITE)]
    people += [(role, None) for role in ("adviser", "address_quality", "operator", "auditor", "partner", "member")]
    people.append(("signed-in customer", None))
    for name, at in people:
        role, parent = (
            name.removeprefix("far ").removeprefix("signed-in "),
            owner if name in ("partner", "member") else None,
        )
        person = await accounts.create_person(
            database, service.url, role, email=f"{name.split()[0]}@x.fr", site=at, parent=parent
        )
        session = await accounts.sign_in(database, person["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        made.append(
            Who(name, role, "session", session, person["account_id"], tokens.csrf_of(session), site=at, account=parent)
        )
    stage.whos.update({each.name: each for each in made})


PLACES = {
    "near": ("phone", "owner", "supervisor", "dp-118"),
    "far": ("far phone", "other", "far supervisor", "far-dp-118"),
}


def _things(stage: Stage) -> None:
    """Have the callers make one thing of each kind, near and far; what can end has ended, so that asking again changes nothing."""
    day = stage.service.platform.runs.today()
    stage.names |= {"near run": f"run-{day}-T07", "far run": f"run-{day}-T98"}
    for place in PLACES:
        _make_orders(stage, place)
        _make_facts(stage, place)
        _make_of_the_office(stage, place)
    until(lambda: sum(bool(each["learned"]["door"]) for each in _learned(stage)) == len(PLACES))
    for case in stage.ask("operator", "GET", "/v1/cases")["cases"]:
        stage.names["near case" if case["site"] == SITE else "far case"] = case["case_id"]
    for place in PLACES:
        _end(stage, place)
    stage.whos["customer"] = Who("customer", CUSTOMER, "nothing", stage.names["near token"])


def _learned(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.ask("operator", "GET", "/v1/delivery-points")["delivery_points"]
    return found


def _make_orders(stage: Stage, place: str) -> None:
    """Order, and ask for changes before the carrier has left: then none of them comes too late."""
    _phone, account, supervisor, point = PLACES[place]
    for name, who, item in (
        ("task", account, "item"),
        ("ended task", account, "ended"),
        ("office task", supervisor, "office"),
        ("ended office task", supervisor, "over"),
        ("asked task", account, "asked"),
        ("wished task", account, "wished"),
    ):
        stage.names[f"{place} {name}"] = _order(stage, who, f"item/{place}-{item}", point)["task_id"]
    wish = {"kind": "safe_place", "details": {"place": "Abri"}}
    change = stage.ask("adviser", "POST", "/v1/delivery-changes", {**wish, "item_id": f"{place}-asked"})
    stage.names[f"{place} change"], stage.names[f"{place} token"] = change["request_id"], change["token"]
    stage.ask("adviser", "POST", "/v1/delivery-changes", {**wish, "item_id": f"{place}-wished"})


def _make_facts(stage: Stage, place: str) -> None:
    (phone, account, _, point), names, run = PLACES[place], stage.names, stage.names[f"{place} run"]

    def say(kind: str, data: dict[str, Any], **more: Any) -> str:
        return str(stage.say(phone, kind, data, runid=run, **more)["id"])

    fix = {"lat": EXAMPLE_LAT - (0 if place == "near" else 2), "lon": EXAMPLE_LON, "accuracy_m": 8.0}
    say("run.started", {"run_id": run}, time=ago(minutes=5))
    say("alarm.raised", {"kind": "sos", "alarm_id": f"{place}-alarm", "note": "x"})
    where = {"point": {"lat": 48.9, "lon": 2.1}, "radius_m": 50, "until": ago(days=-3)}
    say("hazard.reported", {"hazard_id": f"{place}-hazard", "kind": "dog", **where})
    picture = signature(place)
    sha256 = names[f"{place} picture"] = hashlib.sha256(picture).hexdigest()
    headers = {**stage.key(phone).headers, "Content-Type": "image/png"}
    assert stage.service.ask("PUT", f"/v1/media/{sha256}", picture, headers=headers).status == 201
    say(
        "item.delivered", {"item_ids": [f"{place}-item"], "to": "addressee", "proof": {"signature": sha256}, "fix": fix}
    )
    visit = _order(stage, account, None, point, service="home_visit")["subject"].partition("/")[2]
    answers = {"answers": {"feels_well": HEALTH}, "presence": "location", "note": HEALTH}
    say("home_visit.completed", {"visit_id": visit, "met": "person", "fix": fix, **answers})
    change = {"change": "vacant", "old_address": "1 rue A", "confidence": "told"}
    names[f"{place} report"] = say("address_change.reported", {"delivery_point_id": point, **change})
    say("access.refused", {"delivery_point_id": point, "reason": "dog"})
    feed, walked = "/v1/feed?types=item.delivered,home_visit.completed", f"/v1/runs/{run}/replay"
    until(
        lambda: len(stage.ask(account, "GET", feed)["events"]) == 3
    )  # the second of the item says that its proof is whole
    until(lambda: bool(stage.ask("operator", "GET", walked)["points"]))
    for each in stage.ask(account, "GET", feed)["events"]:
        names.setdefault(f"{place} {'visit' if 'visit' in each['type'] else 'event'}", each["id"])


def _make_of_the_office(stage: Stage, place: str) -> None:
    (_, account, supervisor, _), names = PLACES[place], stage.names
    stage.say(account, "trust.dispute_opened", {"event_id": names[f"{place} event"], "text": "x"})
    body = {"url": "http://127.0.0.1:9/hook", "types": ["item.*"]}
    for each in ("endpoint", "ended endpoint"):
        names[f"{place} {each}"] = stage.ask(account, "POST", "/v1/endpoints", body)["id"]
    mine = f"/v1/endpoints/{names[f'{place} endpoint']}"
    for each in ("replay", "ended replay"):
        names[f"{place} {each}"] = stage.ask(account, "POST", f"{mine}/replay", {"mode": "side", "from": "oldest"})[
            "id"
        ]
    stage.ask(account, "POST", f"{mine}/test", {})
    stage.ask(supervisor, "PUT", "/v1/desks/matrix", {"hours": "mon-fri 08:00-18:00"})


def _end(stage: Stage, place: str) -> None:
    (_, account, supervisor, _), names = PLACES[place], stage.names
    stage.ask("operator", "POST", f"/v1/alerts/{place}-alarm/ack", {})
    stage.ask("operator", "POST", f"/v1/cases/{names[f'{place} case']}/close", {"outcome": "settled", "reason": "x"})
    stage.ask("operator", "POST", f"/v1/delivery-changes/{names[f'{place} change']}/cancel", {})
    stage.ask(account, "DELETE", f"/v1/tasks/{names[f'{place} ended task']}")
    stage.ask(supervisor, "DELETE", f"/v1/tasks/{names[f'{place} ended office task']}")


def _order(stage: Stage, who: str, subject: str | None, point: str, **more: Any) -> dict[str, Any]:
    body = {
        "service": "item",
        "delivery_point": point,
        "addressee": "Mme Canari",
        "address": f"1 rue A {POSTCODE} Pantin",
        **more,
    }
    if subject is not None:
        body["subject"] = subject
    if body["service"] == "home_visit":
        body["details"] = {"kind": "wellbeing", "consent": {"given_on": "2026-01-01", "answers": ["feels_well"]}}
    found: dict[str, Any] = stage.ask(who, "POST", "/v1/tasks", body)
    return found


async def _proposals(stage: Stage) -> None:
    database, day = stage.service.platform.database, stage.service.platform.runs.today()
    for place, site in (("near", SITE), ("far", ELSEWHERE)):
        name = stage.names[f"{place} proposal"] = f"cov_{place}"
        await cover.keep(database, cover.Kept(name, site, day, {}, {}, None), forget_before=day)
        await cover.claim(database, name)


def make_stage(service: Service) -> Stage:
    """Make every caller and every thing."""
    stage = Stage(service)
    desk = service.app[delivery_changes.DESK]
    for each in (service.app[carrier.CODE_TRIES], desk._tries):
        each._most = 100_000  # that wrong tries end somewhere is tested elsewhere
    desk._guesses = replace(desk._guesses, most=dict.fromkeys(desk._guesses.most, 100_000))
    service.call(_callers(stage))
    _things(stage)
    service.call(_proposals(stage))
    return stage


def near_and_far(stage: Stage, name: str, **more: Any) -> list[Try]:
    """Ask for the thing of a kind that is near, and for the one that is far."""
    return pair(stage, stage.names[f"near {name}"], stage.names[f"far {name}"], **more)


def pair(stage: Stage, near: str, far: str, *, key: str = "id", **more: Any) -> list[Try]:
    """Ask for a thing that is near and for one that is far, by what stands in the path."""
    named = zip(("near", "far"), (near, far), strict=True)
    return [Try({key: value}, about=_whose(stage, place), **more) for place, value in named]


def _whose(stage: Stage, place: str) -> Thing:
    near = place == "near"
    device = stage.whos["phone" if near else "far phone"].id
    account = stage.whos["owner" if near else "other"].account
    return Thing(
        SITE if near else ELSEWHERE, account, "T07" if near else "T98", device, stage.names.get(f"{place} token")
    )


def prepare(folder: Path) -> Any:
    """Return what loads the town before a service serves."""
    return lambda platform: _town(platform, folder)
