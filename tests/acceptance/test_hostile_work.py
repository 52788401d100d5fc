"""Hostile use of the routes of work: other people's things, what could not be kept, and the same thing at once."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, tokens
from fieldsvc.work import imports
from tests.acceptance.conftest import SITE, World, example_round
from tests.acceptance.service import JSON, Answer, Caller, field_event, fresh

CANARY, HERE, ELSEWHERE = "cAnArY5520", "@@", "site-au-loin"
POSTCODE, ADDRESS = "93500", "12 rue du Moulin, 93500 Pantin"
Headers = Mapping[str, str]
NAMES = [
    "..%2f..%2fetc",
    "a%00b",
    "%0d%0aX:1",
    "x" * 6000,
    "%ff",
    "%ed%a0%80",
    "%e2%80%ae",
    "'%20or%20''='",
    "9" * 400,
    "%C3%A9",
]


@dataclass
class Office:
    """The world with people of two sites, and a phone of the other site."""

    world: World
    people: dict[str, Headers] = field(default_factory=dict)
    far_phone: Caller = field(init=False)

    def ask(self, who: Headers, method: str, path: str, body: Any = None) -> Answer:
        return self.world.service.ask(method, path, body, headers=who, to_json=body is not None)

    def item(self, account: str = "shop") -> str:
        """Order an item at st-118; return its id."""
        item = fresh("RK")
        self.world.order(account, "item", f"item/{item}", address=ADDRESS)
        return item

    def headers(self, who: str) -> Headers:
        return {} if who == "customer" else self.people.get(who) or self.world.callers[who].headers


async def _prepare(office: Office, folder: Path) -> None:
    service, database = office.world.service, office.world.service.platform.database
    path = folder / "far.geojson"  # a round far away from the others
    text = example_round().replace("48.9", "46.9").replace(SITE, ELSEWHERE).replace("T07", "T98")
    path.write_text(text.replace('"st-', '"far-st-').replace('"dp-', '"far-dp-'), encoding="utf-8")
    await imports.import_rounds(database, path, zone=service.platform.settings.zone)
    day = office.world.day
    await imports.import_roster(database, ["date,round_id,carrier\n", f"{day},T98,Sacha Loin\n"])
    await service.platform.runs.plan_day(day)
    service.platform.rounds.forget()
    roles = {"near": ("supervisor", SITE), "near too": ("supervisor", SITE), "far": ("supervisor", ELSEWHERE)}
    for name, (role, site) in {**roles, "operator": ("operator", None), "adviser": ("adviser", None)}.items():
        email = f"hostile-{name.replace(' ', '-')}@demo.invalid"
        made = await accounts.create_person(database, service.url, role, email=email, site=site)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        office.people[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}


@pytest.fixture(scope="module")
def office(world: World, tmp_path_factory: pytest.TempPathFactory) -> Office:
    made = Office(world)
    world.service.call(_prepare(made, tmp_path_factory.mktemp("hostile")))
    made.far_phone = world.device("far phone", "Sacha Loin", ELSEWHERE, None)
    return made


@contextmanager
def silent(world: World) -> Iterator[Callable[[Answer], Answer]]:
    """Nothing that was sent is in an answer or in the log, and no answer is a fault of ours."""
    start = world.service.log.tell()

    def seen(answer: Answer) -> Answer:
        assert answer.status < 500
        assert CANARY.encode() not in answer.body
        assert CANARY not in str(answer.headers)
        return answer

    yield seen
    assert CANARY not in world.service.log.getvalue()[start:]


def test_what_could_not_be_kept_is_refused_with_its_reason_before_anybody_works_on_it(office: Office) -> None:
    order = {"service": "item", "subject": f"item/{fresh('RK')}", "address": ADDRESS, "details": {"a": [HERE]}}
    for piece, reason in ((b'"\\u0000"', "nul_character"), (b"[" * 300 + b"]" * 300, "too_deep"), (b"1e19", None)):
        body = orjson.dumps(order).replace(orjson.dumps(HERE), piece)
        for key in ({}, {"Idempotency-Key": fresh()}):
            headers = {**office.world.shop.headers, "Content-Type": JSON, **key}
            answer = office.world.service.ask("POST", "/v1/tasks", body, headers=headers)
            assert answer.status == (422 if reason else 201), answer.body
            assert not reason or answer.json()["reason"] == reason


def test_the_days_of_a_roster_are_days_of_this_century(office: Office) -> None:
    for day in ("0001-01-01", "1999-12-31", "2100-01-01", "9999-12-31", "20261122", "2026-W47-7"):
        assert office.ask(office.people["near"], "GET", f"/v1/roster?from={day}").code == "bad_request"
        away = {"absences": [{"day": day, "carrier": "x", "kind": "sick"}]}
        assert office.ask(office.people["near"], "PUT", "/v1/roster", away).code == "bad_roster"
        asked = {"site": SITE, "day": day}
        assert office.ask(office.people["near"], "POST", "/v1/cover/proposals", asked).code == "bad_cover"
        order = {"service": "item", "subject": f"item/{fresh('RK')}", "address": ADDRESS, "on": day}
        assert office.world.shop.ask("POST", "/v1/tasks", order).code == "bad_task"
        hold = {"kind": "hold", "item_id": "x", "from": day, "to": day}
        assert office.ask(office.people["adviser"], "POST", "/v1/delivery-changes", hold).code == "bad_change"


def test_a_picture_of_a_strange_name_or_length_is_refused(office: Office) -> None:
    with silent(office.world) as seen:
        for method in ("PUT", "GET"):
            for name in [*NAMES, CANARY, "AB" * 32, "ab" * 33]:
                code = seen(office.ask(office.world.phone.headers, method, f"/v1/media/{name}")).code
                assert code == ("not_found" if "%00" in name else "bad_name"), name[:20]
        for said in ("bytes 0-1/999999999999", "bytes 5-1/3", "bytes 0-0/1", CANARY, "bytes 0-1/" + "9" * 400):
            headers = {**office.world.phone.headers, "Content-Range": said}
            answer = seen(office.world.service.ask("PUT", f"/v1/media/{'ab' * 32}", b"xy", headers=headers))
            assert answer.status in (413, 416), said


def test_what_is_of_another_site_or_account_looks_like_what_does_not_exist(office: Office) -> None:
    world, near, far = office.world, office.people["near"], office.people["far"]
    item, alarm = office.item(), fresh("a")
    world.phone.send(field_event("alarm.raised", {"kind": "sos", "alarm_id": alarm}))
    task = world.shop.ask("GET", "/v1/tasks?limit=1").json()["tasks"][0]["task_id"]
    body = {"kind": "safe_place", "item_id": item, "details": {"postcode": POSTCODE, "place": "Abri"}}
    change = office.ask(office.people["adviser"], "POST", "/v1/delivery-changes", body).json()["request_id"]
    far_phone, dispensary = office.far_phone.headers, world.dispensary.headers
    tries: list[tuple[Headers, str, str, str, Any]] = [
        (far, "POST", "/v1/alerts/{}/ack", alarm, {}),
        (far, "POST", "/v1/runs/{}/reassign", world.run_id, {"to_carrier": "Sacha Loin"}),
        (far, "POST", "/v1/runs/{}/split", world.run_id, {"to_run": world.run_id, "task_ids": [task]}),
        (far, "POST", "/v1/runs/{}/handover", world.run_id, {"to_run": world.run_id, "counts": {}}),
        (far_phone, "GET", "/v1/runs/{}/sheet?since=1", world.run_id, None),
        (far, "GET", "/v1/delivery-changes/{}", change, None),
        (far, "POST", "/v1/delivery-changes/{}/cancel", change, {}),
        (far_phone, "GET", "/v1/delivery-changes/{}", change, None),
        (far_phone, "POST", "/v1/delivery-changes/{}/confirm", change, {"answer": "confirms"}),
        (far_phone, "POST", "/v1/delivery-changes/{}/stop", change, {}),
        ({}, "GET", "/v1/delivery-changes/{}", change, None),
        (dispensary, "GET", "/v1/tasks/{}", task, None),
        (dispensary, "PATCH", "/v1/tasks/{}", task, {"notes": "x"}),
        (dispensary, "DELETE", "/v1/tasks/{}", task, None),
        (far, "GET", "/v1/tasks/{}", task, None),
        (dispensary, "GET", "/v1/items/{}/proof", item, None),
        ({"X-Okapi-Key": world.dispensary.secret}, "GET", "/suivi/v2/idships/{}", item, None),
    ]
    for who, method, path, name, sent in tries:
        there, nowhere = (office.ask(who, method, path.format(each), sent) for each in (name, "X" + name[1:]))
        assert (there.status, nowhere.status) == (404, 404), path
        assert there.body.replace(name.encode(), b"") == nowhere.body.replace(b"X" + name[1:].encode(), b""), path
    for path in ("/v1/alerts", "/v1/desks", "/v1/roster", "/v1/hazards", "/v1/access-cases", "/v1/address-changes"):
        assert SITE not in office.ask(far, "GET", path).body.decode()
        assert office.ask(far, "GET", f"{path}?site={SITE}").code == "not_found"
    assert alarm in office.ask(near, "GET", "/v1/alerts").body.decode()


def test_a_carrier_reads_how_a_redirection_stands_and_never_where_it_leads(office: Office) -> None:
    where = "7 impasse du Silence, 69001 Lyon"
    details = {"new_address": where, "names": ["Mme Martin"], "contact": {"email": "martin@demo.invalid"}}
    start = (office.world.day + timedelta(days=30)).isoformat()
    body = {"kind": "redirect_permanent", "delivery_point_id": "dp-120", "from": start, "details": details}
    made = office.ask(office.people["adviser"], "POST", "/v1/delivery-changes", body)
    assert made.status == 201, made.body
    path = f"/v1/delivery-changes/{made.json()['request_id']}"
    for who in ("phone", "near"):
        shown = office.ask(office.headers(who), "GET", path)
        assert shown.status == 200
        assert "impasse" not in shown.body.decode()
        assert "martin" not in shown.body.decode()
    assert office.ask(office.people["adviser"], "GET", path).json()["details"]["new_address"] == where
    assert office.ask(office.people["near"], "POST", f"{path}/stop", {}).json()["state"] == "frozen"


def test_customers_behind_one_address_do_not_get_each_others_requests_by_a_key_that_both_thought_of(
    office: Office,
) -> None:
    def ask(item: str) -> Answer:
        body = {"kind": "safe_place", "item_id": item, "details": {"postcode": POSTCODE, "place": "Abri"}}
        headers = {"Content-Type": JSON, "Idempotency-Key": key}
        return office.world.service.ask("POST", "/v1/delivery-changes", orjson.dumps(body), headers=headers)

    key, mine, theirs = fresh("key"), office.item(), office.item()
    made = ask(theirs)
    assert made.status == 201, made.body
    assert ask(theirs).body == made.body
    assert ask(mine).code == "idempotency_key_reused"
    _forget(office.world, key)  # as after a day
    own = ask(mine).json()
    assert own["subject"] == f"item/{mine}"
    assert own["token"] != made.json()["token"]
    assert ask(mine).json() == own
    _forget(office.world, key)
    assert ask(mine).json()["request_id"] == own["request_id"]


def _forget(world: World, key: str) -> None:
    async def work() -> None:
        async with world.service.platform.database.acquire() as connection:
            await connection.execute("delete from idempotency where key = $1", key)

    world.service.call(work())


def at_once(*asks: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(asks)) as pool:
        return [each.result() for each in [pool.submit(ask) for ask in asks]]


def test_the_same_thing_asked_at_once_happens_once(office: Office) -> None:
    world, item, alarm = office.world, fresh("RK"), fresh("a")
    order = {"service": "item", "subject": f"item/{item}", "delivery_point": "dp-118", "address": ADDRESS}
    keyed = {"Idempotency-Key": fresh()}
    made = at_once(*[lambda: world.shop.ask("POST", "/v1/tasks", order, headers=keyed)] * 6)
    assert {each.status for each in made} <= {201, 409}
    assert len({each.json()["task_id"] for each in made if each.status == 201}) == 1
    world.phone.send(field_event("alarm.raised", {"kind": "fall", "alarm_id": alarm}))
    both = office.people["near"], office.people["near too"]
    taken = at_once(*[lambda who=who: office.ask(who, "POST", f"/v1/alerts/{alarm}/ack", {}) for who in both * 3])
    assert {each.status for each in taken} == {200}
    assert len({(each.json()["acknowledged_by"], each.json()["acknowledged_at"]) for each in taken}) == 1
    hold = {"kind": "safe_place", "item_id": item, "details": {"postcode": POSTCODE, "place": "Abri"}}
    rivals = at_once(*[lambda: office.ask(office.people["adviser"], "POST", "/v1/delivery-changes", hold)] * 4)
    assert sorted(each.status for each in rivals) == [201, 409, 409, 409]
    path = next(f"/v1/delivery-changes/{each.json()['request_id']}" for each in rivals if each.status == 201)
    ended = at_once(*[lambda: office.ask(office.people["adviser"], "POST", f"{path}/cancel", {})] * 4)
    assert {each.status for each in ended} <= {200, 409}
    states = [step["state"] for step in office.ask(office.people["adviser"], "GET", path).json()["history"]]
    assert states.count("cancelled") == 1


def test_two_proposals_of_one_day_confirmed_at_once_tell_everybody_once(office: Office) -> None:
    far, run = office.people["far"], f"run-{office.world.day}-T98"
    asked = {"day": office.world.day.isoformat()}
    away = {"absences": [{**asked, "carrier": "Sacha Loin", "kind": "sick"}]}
    assert office.ask(far, "PUT", "/v1/roster", away).status == 200
    made = [office.ask(far, "POST", "/v1/cover/proposals", asked) for _ in range(2)]
    assert [each.status for each in made] == [200, 200], made[0].body
    paths = [f"/v1/cover/proposals/{each.json()['proposal_id']}/confirm" for each in made]
    assert {office.ask(office.people["near"], "POST", path, {}).code for path in paths} == {"not_found"}
    told = at_once(*[lambda path=path: office.ask(far, "POST", path, {}) for path in paths * 2])
    assert sorted(each.status for each in told) == [200, 409, 409, 409]
    assert {each.code for each in told if each.status == 409} <= {"proposal_confirmed", "proposal_stale"}
    confirmed = [each for each in office.world.operator.feed("cover.confirmed") if run in each["data"]["not_served"]]
    assert len(confirmed) == 1


def test_a_case_that_two_people_close_at_once_has_one_answer(office: Office) -> None:
    world, item = office.world, office.item()
    world.phone.send(field_event("item.delivered", {"item_id": item, "to": "addressee", "stop_id": "st-118"}))
    event = next(each for each in world.shop.feed("item.delivered") if each["subject"] == f"item/{item}")
    (case,) = world.shop.send(field_event("trust.dispute_opened", {"event_id": event["id"], "text": "x"}))
    path, who = f"/v1/cases/{case['id']}", (office.people["near"], office.people["adviser"])
    for method, sent in (("GET", None), ("POST", {"outcome": "upheld", "reason": "x"})):
        far = office.ask(office.people["far"], method, path if method == "GET" else f"{path}/close", sent)
        assert far.code == "not_found"
    closing = [{"outcome": "upheld", "reason": "one"}, {"outcome": "rejected", "reason": "two"}]
    closed = at_once(*[lambda n=n: office.ask(who[n % 2], "POST", f"{path}/close", closing[n % 2]) for n in range(4)])
    assert {each.status for each in closed} <= {200, 409}
    assert len({each.json()["reason"] for each in closed if each.status == 200}) == 1
    told = [each for each in world.shop.feed("trust.dispute_closed") if each["subject"] == case_subject(world, case)]
    assert len(told) == 1


def case_subject(world: World, case: Mapping[str, Any]) -> str:
    opened = world.shop.event(f"evt_{case['id']}").json()
    return str(opened["subject"])
