"""What a stranger tries on the pages of people online: many requests at once, broken forms, and what was ended a moment ago."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.access.tokens import csrf_of
from fieldsvc.errors import TooMany
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import ChangeBody, read_body
from fieldsvc.simulate.town import Town
from fieldsvc.web import delivery_changes
from fieldsvc.web.sign_in import SIGN_IN
from handlers.visit_consent import known_as
from tests.acceptance.service import Answer, Service, fresh
from tests.databases import drop_database, new_database
from tests.media.conftest import until
from tests.web.test_households import FORM, FOYER, House, _customer, _prepare

T = TypeVar("T")
CHANGES = "/v1/delivery-changes"


@pytest.fixture(scope="module")
def house(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A small town whose service sends mail, with a customer, a clerk and an account that orders."""
    url, folder, town = new_database(postgres_url), tmp_path_factory.mktemp("attacked"), Town(2, rounds=1, stops=20)
    mail: dict[str, Any] = {
        "smtp_url": "smtp://127.0.0.1:9",
        "mail_from": "post@demo.invalid",
        "trusted_proxies": ("127.0.0.1",),
    }
    service = Service(url, folder, prepare=lambda platform: _prepare(platform, town, folder), **mail)
    database, carrier = service.platform.database, town.carriers[0]
    device = service.call(
        enrolment.enrol_device(
            database, service.url, carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
        )
    )
    shop = service.call(accounts.create_subscriber(database, "Shop", scopes=("order:item",)))
    customers = {name: service.call(_customer(service, f"{name}@demo.invalid")) for name in ("anne", "gone")}
    customers["clerk"] = service.call(_clerk(service, carrier.site))
    phone, key = ({"Authorization": f"Bearer {each}"} for each in (device["token"], shop["api_key"]))
    yield House(service, town, phone, key, customers)
    service.close()
    drop_database(postgres_url, url)


async def _clerk(service: Service, site: str) -> dict[str, str]:
    database = service.platform.database
    made = await accounts.create_person(database, service.url, "counter", email="clerk@x.invalid", site=site)
    session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    assert session is not None
    return {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": csrf_of(session)}


@pytest.fixture(autouse=True)
def _nothing_crashed(house: House) -> Iterator[None]:
    """Every test begins with nobody having tried anything, and ends without a crash."""
    start = house.service.log.tell()
    desk = house.service.app[delivery_changes.DESK]
    desk._tries._failures.clear()
    value(house, "with gone as (delete from tried returning tries) select count(*) from gone")
    yield
    assert "request.crashed" not in house.service.log.getvalue()[start:]


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    """Do something many times at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def value(house: House, text: str, *args: Any) -> Any:
    async def read() -> Any:
        async with house.service.platform.database.acquire() as connection:
            return await connection.fetchval(text, *args)

    return house.service.call(read())


def send(house: House, path: str, fields: dict[str, str]) -> Answer:
    return house.service.ask("POST", path, urlencode(fields), headers={"Content-Type": FORM})


def test_an_address_that_is_flooded_from_many_places_at_once_gets_four_codes_an_hour(house: House) -> None:
    answers = at_once(12, lambda _: send(house, "/suivi/sign-in", {"email": "victim@demo.invalid"}))
    assert {answer.status for answer in answers} == {303}
    assert value(house, "select count(*) from sign_in_code") == 4
    assert value(house, "select count(*) from notice where template = 'sign_in_code'") == 4


@pytest.mark.parametrize(
    ("email", "plain"),
    [
        ("victim@stra\u00dfe.example", "victim@strasse.example"),
        ("vic\u212aer@demo.invalid", "vicker@demo.invalid"),
        ("\ufb01ona@demo.invalid", "fiona@demo.invalid"),
    ],
)
def test_letters_that_are_only_taken_for_others_make_another_person(house: House, email: str, plain: str) -> None:
    """Whoever owns the domain straße.example is neither the customer nor the relative of strasse.example."""
    customers = house.service.app[SIGN_IN].customers
    assert customers.email_hmac(email) != customers.email_hmac(plain)
    assert customers.email_hmac(f" {plain.upper()}") == customers.email_hmac(plain)
    assert known_as(email) != known_as(plain) == known_as(plain.upper())


def declare(house: House, who: str, number: int) -> int:
    point = house.stop(number).point
    fields = {"address": point.address, "place": point.id, "names": "Martin"}
    return house.post(f"{FOYER}/adresse", fields, who, step="send").status


def test_asking_for_many_letters_at_once_brings_no_more_than_asking_for_one_after_the_other(house: House) -> None:
    same = at_once(6, lambda _: declare(house, "anne", 9))
    assert set(same) == {303}
    assert len(house.letters()) == 1
    assert Counter(at_once(8, lambda number: declare(house, "anne", number))) == {303: 4, 422: 4}
    assert len(house.letters()) == 5


def test_a_double_click_at_the_counter_hands_an_item_over_once(house: House) -> None:
    number = fresh("RK")
    order = {"service": "item", "subject": f"item/{number}", "delivery_point": house.stop(0).point.id}
    made = house.service.ask("POST", "/v1/tasks", order | {"addressee": "X"}, headers=house.shop, to_json=True)
    assert made.status == 201
    house.say("item.delivery_attempted", item_id=number, reason="absent", next="office_hold")
    form = {
        "act": "hand_over",
        "first_name": "Léa",
        "capacity": "addressee",
        "document": "passport",
        "signing": "paper",
    }
    path = f"/counter/items/{number}"
    answers = at_once(6, lambda each: house.post(path, {**form, "surname": f"Martin {each}"}, "clerk"))
    assert {answer.status for answer in answers} == {303}
    text = "select count(*) from event where kind = 'public' and type = 'item.collected' and subject = $1"
    assert value(house, text, f"item/{number}") == 1


def test_a_closed_account_does_nothing_more_from_that_moment_on(house: House) -> None:
    assert house.get("/suivi/compte", "gone").status == 200
    assert house.post("/suivi/compte/close", {}, "gone").status == 200
    assert house.get("/suivi/compte", "gone").status == 303
    letters = len(house.letters())
    assert declare(house, "gone", 12) == 401
    assert len(house.letters()) == letters


def move(house: House, stop: int, **details: str) -> dict[str, Any]:
    """Write a redirection of all the mail of a stop, for somebody who was seen at the counter."""
    whole = {"names": ["Mme Martin"], "new_address": "2 rue B, 69001 Lyon", **details}
    begins = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    about = {"delivery_point_id": house.stop(stop).point.id, "from": begins, "identity": "counter"}
    return {"kind": "redirect_permanent", **about, "details": whole}


def letter(house: House, request_id: str) -> str:
    """Wait for the letter of a request, and read its code."""
    key = f"delivery_change_code {request_id}"
    until(lambda: value(house, "select count(*) from notice where key = $1", key) == 1)
    sealed = value(house, "select sealed from notice where key = $1", key)
    (opened,) = house.service.call(house.service.platform.opener.open_blobs([sealed]))
    return str(opened["params"]["code"])


def test_attack_a_code_that_is_tried_from_forty_places_at_once_is_tried_five_times(house: House) -> None:
    made = house.service.ask("POST", CHANGES, move(house, 14), headers=house.customers["clerk"], to_json=True).json()
    code, path = letter(house, made["request_id"]), f"{CHANGES}/{made['request_id']}/confirm"

    def guess(each: int, typed: str = "") -> Answer:
        headers = {"Request-Token": made["token"], "X-Forwarded-For": f"198.51.100.{each}"}
        return house.service.ask("POST", path, {"code": typed or f"AAA-AAA-{each:03}"}, headers=headers, to_json=True)

    answers = [answer.json() for answer in at_once(40, guess)]
    assert {each["code"] for each in answers} <= {"wrong_code", "request_closed", "not_waiting", "too_many_requests"}
    told = [each["tries_left"] for each in answers if each.get("tries_left")]
    assert sorted(told) == [1, 2, 3, 4]
    assert guess(99, code).status in (409, 429)
    text = "select state || ' ' || reason from request where id = $1"
    assert value(house, text, made["request_id"]) == "expired too_many_tries"


def test_attack_of_twelve_redirections_of_one_address_at_once_one_is_kept(house: House) -> None:
    def ask(each: int) -> int:
        body = move(house, 15, new_address=f"{each + 1} rue C, 69001 Lyon")
        return house.service.ask("POST", CHANGES, body, headers=house.customers["clerk"], to_json=True).status

    assert Counter(at_once(12, ask)) == {201: 1, 409: 11}
    text = "select count(*) from request where subject = $1 and state = 'requested'"
    assert value(house, text, f"delivery_point/{house.stop(15).point.id}") == 1


BROKEN = [
    (b"", "multipart/form-data"),
    (b"x", "multipart/form-data; boundary=a"),
    (b"csrf=\xff\xfe", FORM),
    (b"csrf=1", f"{FORM}; charset=nonsense"),
    (
        b'--a\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\xff\xfe\r\n--a--\r\n',
        "multipart/form-data; boundary=a",
    ),
    (b"{}", "application/json"),
]


@pytest.mark.parametrize(("body", "kind"), BROKEN)
def test_a_broken_form_signs_nobody_out_and_is_refused_in_words(house: House, body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind, "Cookie": house.customers["anne"]["Cookie"], "Accept": "text/html"}
    answer = house.service.ask("POST", "/sign-out", body, headers=headers)
    assert answer.status in (400, 403, 415)
    assert house.get("/suivi/compte", "anne").status == 200


def an_item(house: House, stop: int) -> str:
    """Order an item to a stop."""
    number, point = fresh("LL"), house.stop(stop).point.id
    order = {"service": "item", "subject": f"item/{number}", "delivery_point": point, "addressee": "X"}
    assert house.service.ask("POST", "/v1/tasks", order, headers=house.shop, to_json=True).status == 201
    return number


def wish(house: House, number: str, stop: int, place: int, **contact: str) -> dict[str, Any]:
    """Write the wish of a stranger for an item whose postcode they know."""
    details: dict[str, Any] = {"postcode": house.stop(stop).point.postcode, "place": f"Abri {place}"}
    return {"kind": "safe_place", "item_id": number, "details": details | ({"contact": contact} if contact else {})}


def test_nobody_has_others_flooded_with_mail_through_items_of_their_own(house: House) -> None:
    """Every answer to a request is mailed to the address that it names: an address gets a few of them, not sixty a minute."""
    numbers = [an_item(house, 3) for _ in range(20)]

    def ask(each: int) -> int:
        body = wish(house, numbers[each], 3, each, email="victim@else.invalid")
        return house.service.ask("POST", CHANGES, body, to_json=True).status

    assert Counter(at_once(20, ask)) == {201: 10, 429: 10}


def test_an_item_is_asked_about_ten_times_in_ten_minutes_from_however_many_places(house: House) -> None:
    """What is refused is kept as well, and read again with everything that is said of the item."""
    number = an_item(house, 4)
    answers = at_once(
        20, lambda each: house.service.ask("POST", CHANGES, wish(house, number, 4, each), to_json=True).status
    )
    assert Counter(answers) == {201: 1, 409: 9, 429: 10}


def test_a_request_is_edited_ten_times_in_ten_minutes_as_each_time_mails_go_and_sheets_change(house: House) -> None:
    number, desk = an_item(house, 5), house.service.app[delivery_changes.DESK]
    made = house.service.ask("POST", CHANGES, wish(house, number, 5, 0, email="me@demo.invalid"), to_json=True).json()
    asker = Asker("customer", "192.0.2.7", made["token"])

    async def edit(place: int) -> bool:
        try:
            await desk.edits.edit(made["request_id"], read_body(ChangeBody, wish(house, number, 5, place)), asker)
        except TooMany:
            return False
        return True

    async def edit_often() -> list[bool]:
        return await asyncio.gather(*(edit(place) for place in range(1, 16)))

    assert Counter(house.service.call(edit_often())) == {True: 10, False: 5}
