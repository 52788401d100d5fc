"""Hostile use of the routes of work: broken bodies, strange names, other people's things, and the same thing at once."""

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
NOBODYS = "00000000-0000-4000-8000-000000000000"
Headers = Mapping[str, str]
PIECES = [
    b"null", b"[]", b"{}", b"true", b"-1.5", b"1e400", b"9223372036854775808", b"9" * 5000, b"1700000000", b'"1700000000"',
    b'"0001-01-01"', b'"9999-12-31"', b'"2026-W47-7"', b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"',
    b'"cAnArY5520\\u0000"', b'"\\ud800cAnArY5520"', b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"a":["cAnArY5520\\u0000"]}', b'"../../cAnArY5520\\r\\nX: 1"', b'"' + b"x" * 10_000 + b'"', b"[" + b'"a",' * 9_999 + b'"a"]',
]  # fmt: skip
WHOLES = [
    (b"", 400), (b"[]", 400), (b"null", 400), (b'"cAnArY5520"', 400), (b"{", 400), (b'{"a":NaN}', 400), (b"\xff\xfe{}", 400),
    (b"\xef\xbb\xbf{}", 400), (b'{"\xe9":1}', 400), (b"[" * 100_000, 400), (b'{"a":' * 300 + b"1" + b"}" * 300, 422),
    (b'{"a":"cAnArY5520\\u0000"}', 422), (b'{"a":"' + b"x" * 1_100_000 + b'"}', 413),
]  # fmt: skip
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
QUERIES = ["", "%00", "%ff", "x" * 6000, "0", "1001", "9" * 400, "%D9%A1", "0001-01-01", "9999-12-31", "2026-02-30", "0001-01", "AAAA", "OTk5OS0xMi0zMSBh", "%C3%A9"]  # fmt: skip


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


def bodies(world: World) -> list[tuple[str, str, str, dict[str, Any]]]:
    """List (who, method, path, a body that is nearly good) of every route of work that takes one."""
    run, day = f"/v1/runs/{world.run_id}", world.day.isoformat()
    counts, change = {"items": 1, "pouches": 1, "keys": 1}, "/v1/delivery-changes/DC-AAAAAAAAAA"
    contact = {"email": "a@b.invalid", "mobile": "+33639980000", "lang": "fr"}
    asked = {
        "postcode": POSTCODE,
        "neighbour": "x",
        "place": "x",
        "pickup_point": "x",
        "proxy": "x",
        "contact": contact,
    }
    place = {"round_id": "T07", "after_stop_id": "st-115", "before_stop_id": "st-116", "lat": 1.0, "lon": 2.0}
    window = {"from": f"{day}T08:00:00Z", "until": f"{day}T09:00:00Z"}
    order = {
        "service": "lesson",
        "subject": "item/x",
        "on": day,
        "window": window,
        "requirements": ["a"],
        "details": {},
    }
    far = (world.day + timedelta(days=300)).isoformat()
    row = {"day": far, "round_id": "T99", "carrier": "x", "qualifications": [], "absence": None, "starts_at": "07:30"}
    roster = {"rows": [row], "absences": [], "carriers": [], "usual_start": "07:30"}
    return [
        ("near", "PUT", "/v1/roster", roster),
        ("near", "POST", f"{run}/reassign", {"to_carrier": "x"}),
        ("near", "POST", f"{run}/split", {"to_run": "x", "stops": {"from": "a", "to": "b"}, "task_ids": None}),
        ("near", "POST", f"{run}/handover", {"to_run": "x", "counts": counts, "taken": counts}),
        ("near", "POST", "/v1/cover/proposals", {"site": SITE, "day": far, "absent": ["x"], "working_time_h": 8}),
        ("adviser", "POST", "/v1/delivery-changes", {"kind": "hold", "item_id": "x", "from": far, "details": asked}),
        ("adviser", "POST", f"{change}/confirm", {"code": "ABCD"}),
        ("adviser", "POST", f"{change}/cancel", {"reason": "asked", "token": "x"}),
        ("adviser", "POST", f"{change}/stop", {"reason": "asked", "token": "x"}),
        ("near", "POST", "/v1/alerts/x/ack", {"comment": "x"}),
        ("near", "PUT", "/v1/desks/hostile", {"hours": "never", "contact": {"email": "x@y.invalid", "mobile": None}}),
        ("operator", "POST", f"/v1/address-changes/{NOBODYS}/confirm", {"reason": "x", "place": place}),
        ("operator", "POST", f"/v1/address-changes/{NOBODYS}/reject", {"reason": "x"}),
        ("near", "POST", "/v1/cases/x/close", {"outcome": "upheld", "reason": "x"}),
        ("near", "POST", "/v1/devices/codes", {"carrier": "x", "round": "T99", "replaces": "d-9999"}),
        ("shop", "POST", "/v1/tasks", order),
    ]


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


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """List the ways to every member inside a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inner:
        yield (name,)
        yield from ((name, *rest) for rest in places(member))


def with_piece(body: dict[str, Any], way: tuple[Any, ...], piece: bytes) -> bytes:
    """Write a body with a piece of JSON at one place."""
    whole = orjson.loads(orjson.dumps(body))
    inner = whole
    for name in way[:-1]:
        inner = inner[name]
    inner[way[-1]] = HERE
    return orjson.dumps(whole).replace(orjson.dumps(HERE), piece)


@pytest.mark.parametrize("number", range(16))
def test_a_broken_body_is_a_problem_with_a_code_and_is_said_nowhere(office: Office, number: int) -> None:
    who, method, path, body = bodies(office.world)[number]
    headers = {**office.headers(who), "Content-Type": JSON}
    missing = path.startswith("/v1/cases/")  # which case it is comes before what is said of it
    wholes = WHOLES[1:] if path.endswith("/ack") else WHOLES  # no body is no comment
    with silent(office.world) as seen:
        for whole, status in wholes:
            answer = seen(office.world.service.ask(method, path, whole, headers=headers))
            assert (answer.status, bool(answer.code)) == (404 if missing else status, True), whole[:30]
        for media_type in ("text/plain", "multipart/form-data; boundary=x", CANARY):
            sent = {**headers, "Content-Type": media_type}
            answer = seen(office.world.service.ask(method, path, orjson.dumps(body), headers=sent))
            assert answer.status == (404 if missing else 415)
        for at, way in enumerate(places(body)):
            for piece in PIECES[at % 4 :: 4]:
                answer = seen(office.world.service.ask(method, path, with_piece(body, way, piece), headers=headers))
                assert answer.status in range(200, 300) or answer.code, piece[:30]


def test_what_could_not_be_kept_is_refused_with_its_reason_before_anybody_works_on_it(office: Office) -> None:
    order = {"service": "item", "subject": f"item/{fresh('RK')}", "address": ADDRESS, "details": {"a": [HERE]}}
    for piece, reason in ((b'"\\u0000"', "nul_character"), (b"[" * 300 + b"]" * 300, "too_deep"), (b"1e19", None)):
        body = orjson.dumps(order).replace(orjson.dumps(HERE), piece)
        for key in ({}, {"Idempotency-Key": fresh()}):
            headers = {**office.world.shop.headers, "Content-Type": JSON, **key}
            answer = office.world.service.ask("POST", "/v1/tasks", body, headers=headers)
            assert answer.status == (422 if reason else 201), answer.body
            assert not reason or answer.json()["reason"] == reason


LISTS = [
    ("near", "/v1/roster"), ("operator", "/v1/roster"), ("near", "/v1/alerts"), ("near", "/v1/desks"), ("near", "/v1/hazards"),
    ("near", "/v1/access-cases"), ("operator", "/v1/address-changes"), ("adviser", "/v1/cases"), ("phone", "/v1/ideas"),
    ("operator", "/v1/kpis"), ("shop", "/v1/tasks"), ("phone", "/v1/me/alarms"), ("shop", "/v1/items/x/proof"), ("customer", "/v1/proof-key"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "path"), LISTS)
def test_a_strange_query_is_answered_or_refused_and_never_a_fault(office: Office, who: str, path: str) -> None:
    headers = office.headers(who)
    with silent(office.world) as seen:
        for name in ("limit", "cursor", "from", "site", "state"):
            for value in QUERIES:
                answer = seen(office.ask(headers, "GET", f"{path}?{name}={value}"))
                assert answer.status in (200, 400, 404, 422), (name, value[:20])
        seen(office.ask(headers, "GET", f"{path}?{CANARY}={CANARY}&site={CANARY}&state={CANARY}&cursor={CANARY}"))
        for method in ("OPTIONS", "TRACE", "PATCH"):
            assert seen(office.ask(headers, method, path)).code == "method_not_allowed"


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


THINGS = [
    ("near", "POST", "/v1/runs/{}/reassign", {"to_carrier": "x"}),
    ("near", "POST", "/v1/runs/{}/split", {"to_run": "x", "task_ids": ["x"]}),
    ("near", "POST", "/v1/runs/{}/handover", {"to_run": "x", "counts": {}}),
    ("near", "POST", "/v1/cover/proposals/{}/confirm", {}),
    ("adviser", "GET", "/v1/delivery-changes/{}", None),
    ("adviser", "POST", "/v1/delivery-changes/{}/stop", {}),
    ("near", "POST", "/v1/alerts/{}/ack", {}),
    ("near", "DELETE", "/v1/desks/{}", None),
    ("operator", "POST", "/v1/address-changes/{}/confirm", {}),
    ("adviser", "GET", "/v1/cases/{}", None),
    ("shop", "GET", "/v1/tasks/{}", None),
    ("shop", "GET", "/v1/items/{}/proof", None),
    ("phone", "GET", "/v1/runs/{}/sheet", None),
]


@pytest.mark.parametrize(("who", "method", "path", "body"), THINGS)
def test_a_strange_name_is_the_name_of_nothing(
    office: Office, who: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    with silent(office.world) as seen:
        for name in [*NAMES, CANARY]:
            answer = seen(office.ask(office.headers(who), method, path.format(name), body))
            assert answer.code == "not_found", name[:20]


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
