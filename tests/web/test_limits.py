"""Nobody asks too often, nobody is locked out, and guessing from five hundred addresses is guessing once.

By hand, with as many guesses as trust.md S17: FIELDSVC_GUESSES=1000 pytest tests/web/test_limits.py
"""

import asyncio
import os
import re
import statistics
import time
from collections import Counter as Count
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from fieldsvc.access import enrolment
from fieldsvc.access.tokens import digest
from fieldsvc.platform import Platform
from fieldsvc.simulate.town import Town
from fieldsvc.web.rates import CHANGES, DEVICE, ENROL, PERSON, RATED, RATES, REFUSED, SIGN_IN, TRIALS
from fieldsvc.work import imports
from tests.acceptance.conftest import SITE, World, example_round
from tests.acceptance.service import Caller, Service, field_event, fresh
from tests.access.conftest import Clock
from tests.databases import drop_database, new_database

EVEN_S, POSTCODE = 0.1, "93500"
CHANGE = "/v1/delivery-changes"
TURNS = int(os.environ.get("FIELDSVC_TURNS", "8"))  # of each side; no item takes ten wrong guesses
GUESSES = int(os.environ.get("FIELDSVC_GUESSES", "200"))  # from half as many addresses; by hand 1000
Asking = tuple[str, str, dict[str, str], Any]
Side = Callable[[int], Asking]
POLICY, LIMIT = re.compile(r'"([a-z-]+)";q=\d+;w=\d+'), re.compile(r'"([a-z-]+)";r=(\d+);t=(\d+)')


@pytest.fixture(scope="module")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url, folder = new_database(postgres_url), tmp_path_factory.mktemp("limits")

    async def prepare(platform: Platform) -> None:
        path = folder / "round.geojson"
        path.write_text(example_round().replace("de l'Exemple", f"de l'Exemple, {POSTCODE} Pantin"), encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=platform.settings.zone)

    service = Service(url, folder, prepare=prepare, rate_limits=True, refuses_after_s=EVEN_S)
    made = World(service, Town(2, rounds=1, stops=12), service.platform.runs.today())
    made.account("shop", "order:item")
    made.account("rival", "order:item")
    made.device("phone", "Camille Essai", SITE, "T07")
    yield made
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture
def clock(world: World) -> Clock:
    """Let the buckets' time stand still, however slow the machine is."""
    made = Clock()
    for limits in world.service.app[RATED]._limits.values():
        limits._clock = made
        limits._buckets.clear()
    return made


def from_elsewhere(number: int) -> dict[str, str]:
    """Say as a proxy on this machine does that somebody else asks."""
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


def test_too_many_tries_to_sign_in_are_refused_with_a_wait_and_others_go_on(world: World, clock: Clock) -> None:
    here, there = from_elsewhere(1), from_elsewhere(2)
    answers = [world.service.ask("GET", "/sign-in/nonsense", headers=here) for _ in range(SIGN_IN.most + 3)]
    assert [answer.status for answer in answers] == [410] * SIGN_IN.most + [429] * 3
    for answer, left in zip(answers, range(SIGN_IN.most - 1, 0, -1), strict=False):
        assert POLICY.fullmatch(answer.headers["ratelimit-policy"])
        assert LIMIT.fullmatch(answer.headers["ratelimit"])[2] == str(left)  # type: ignore[index]
    wait = int(answers[-1].headers["retry-after"])
    assert 1 <= wait <= 2 * SIGN_IN.window_s / SIGN_IN.most + 1
    assert LIMIT.fullmatch(answers[-1].headers["ratelimit"])[2] == "0"  # type: ignore[index]
    assert world.service.ask("GET", "/sign-in/nonsense", headers=there).status == 410


def test_a_phone_that_sends_too_much_is_told_when_and_is_never_blocked_for_good(world: World, clock: Clock) -> None:
    phone, mine = world.device("busy", "Alex Essai", SITE, None), world.service.app[RATED]._limits[DEVICE]
    assert phone.ask("GET", "/v1/services").status == 200
    mine._buckets[next(reversed(mine._buckets))] = (0.0, clock.now)  # as after DEVICE.most requests
    refused = [phone.ask("GET", "/v1/services") for _ in range(5)]
    assert {(each.status, each.code, each.json()["limit"]) for each in refused} == {
        (429, "too_many_requests", "device")
    }
    assert refused[0].headers["ratelimit-policy"] == DEVICE.policy
    assert world.phone.ask("GET", "/v1/services").status == 200
    clock.now += int(refused[0].headers["retry-after"])
    assert phone.ask("GET", "/v1/services").status == 200


def test_requests_that_the_service_makes_at_once_have_a_limit_of_their_own(world: World, clock: Clock) -> None:
    missing = f"/v1/endpoints/ep_{2:032x}"
    asked = [world.rival.ask("POST", f"{missing}/test").status for _ in range(TRIALS.most + 2)]
    assert Count(asked) == {404: TRIALS.most, 429: 2}
    assert world.rival.ask("POST", f"{missing}/resend", {"event_id": "evt_x"}).status == 429
    assert world.rival.ask("GET", missing).status == 404
    clock.now += TRIALS.window_s
    assert world.rival.ask("POST", f"{missing}/test").status == 404


def test_guessed_credentials_shut_nobody_out_who_was_let_in_before(world: World, clock: Clock) -> None:
    here = from_elsewhere(3)
    phone, new = world.device("known", "Sasha Essai", SITE, None), world.device("new", "Noor Essai", SITE, None)
    assert phone.ask("GET", "/v1/services", headers=here).status == 200
    guesses = Count(
        Caller(world.service, "nobody", f"guess-{number}").ask("GET", "/v1/services", headers=here).status
        for number in range(REFUSED.most + 5)
    )
    assert guesses == {401: REFUSED.most, 429: 5}
    assert phone.ask("GET", "/v1/services", headers=here).status == 200
    assert new.ask("GET", "/v1/services", headers=here).status == 429  # a neighbour who was never seen waits a little
    assert new.ask("GET", "/v1/services", headers=from_elsewhere(4)).status == 200


@pytest.mark.parametrize("name", ["X-Okapi-Key", "Authorization", "Cookie"])
def test_made_up_credentials_are_no_new_callers_where_none_are_needed(world: World, clock: Clock, name: str) -> None:
    here, word = from_elsewhere(5), {"Authorization": "Bearer {}", "Cookie": "fieldsvc_session={}"}.get(name, "{}")
    body = {"kind": "hold", "item_id": fresh("RK"), "postcode": POSTCODE}
    asked = [
        world.service.ask("POST", CHANGE, body, headers={**here, name: word.format(f"k{number}")}, to_json=True).status
        for number in range(CHANGES.most + 5)
    ]
    assert asked[-5:] == [429] * 5
    known = world.service.app[RATED]
    assert not any(known.knows(digest(f"k{number}").hex()) for number in range(CHANGES.most))


def test_every_limit_is_named_once_and_lets_a_person_work() -> None:
    assert len({rate.name for rate in RATES}) == len(RATES)
    assert DEVICE.most / DEVICE.window_s >= 50  # a phone with a week of events is through in minutes
    assert PERSON.most / PERSON.window_s >= 10
    for rate in (SIGN_IN, ENROL, CHANGES):
        assert rate.most / rate.window_s <= 1


async def test_wrong_codes_from_many_addresses_stop_at_the_sixth(world: World) -> None:
    code = await on_service(world, issue(world))
    wrong = code[:-4] + ("2222" if code[-4:] != "2222" else "3333")
    async with crowd(world) as session:
        statuses = await asyncio.gather(
            *(try_code(session, wrong, number % (GUESSES // 2)) for number in range(GUESSES))
        )
        assert set(statuses) == {401}
        assert await try_code(session, code, 501) == 401  # the right one is lost too: its five tries are used up
    noted = await counted(world, "device.code_refused")
    assert noted >= GUESSES + 1


async def test_a_code_is_used_once_in_its_time_and_gives_one_phone_one_key(world: World) -> None:
    before = await counted(world, "device.code_refused")
    code = await on_service(world, issue(world))
    late = await on_service(world, issue(world))
    async with world_database(world) as connection:
        await connection.execute(
            "update enrolment set expires_at = now() - interval '1 second' where ticket = $1", late.replace("-", "")[:4]
        )
    async with crowd(world) as session:
        both = await asyncio.gather(*(try_code(session, code, 600 + number) for number in range(8)))
        assert sorted(both) == [201] + [401] * 7
        assert await try_code(session, code, 610) == 401
        assert await try_code(session, late, 611) == 401
    assert await counted(world, "device.code_refused") == before + 9


async def test_wrong_postcodes_from_many_addresses_at_once_stop_at_the_tenth(world: World) -> None:
    item = fresh("LL")
    world.order("shop", "item", f"item/{item}")
    async with crowd(world) as session:
        answers = Count(
            await asyncio.gather(
                *(find(session, item, f"{number:05}", 1_000 + number % (GUESSES // 2)) for number in range(GUESSES))
            )
        )
    assert answers == {404: 10, 429: GUESSES - 10}


async def test_what_is_unknown_wrong_or_anothers_looks_the_same_and_takes_as_long(world: World, note: Any) -> None:
    item, rival = fresh("LL"), world.rival.headers
    world.order("shop", "item", f"item/{item}")
    world.phone.send(field_event("item.handed_over", {"item_id": item, "acceptor": "addressee"}))
    made = world.shop.ask("POST", "/v1/endpoints", {"url": f"{world.service.url}/x", "types": ["*"]})
    endpoint = made.json()["id"]
    event = next(each["id"] for each in world.shop.feed() if item in each["subject"])
    key = {"X-Okapi-Key": world.rival.secret}
    codes = [await on_service(world, issue(world)) for _ in range(TURNS)]
    pairs: dict[str, tuple[Side, Side]] = {
        "find": (lambda _: finding(item), lambda _: finding(fresh("LL"))),
        "code": (lambda turn: redeeming(codes[turn][:-4] + "2222"), lambda _: redeeming("AAAA-BBBB-CCCC-DDDD")),
        "proof": (lambda _: get(f"/v1/items/{item}/proof", rival), lambda _: get(f"/v1/items/{fresh('LL')}/proof", rival)),
        "endpoint": (lambda _: get(f"/v1/endpoints/{endpoint}", rival), lambda _: get(f"/v1/endpoints/ep_{1:032x}", rival)),
        "event": (lambda _: get(f"/v1/events/{event}", rival), lambda _: get(f"/v1/events/{event[:-4]}ffff", rival)),
        "picture": (lambda _: get(f"/v1/media/{1:064x}", rival), lambda turn: get(f"/v1/media/{turn + 2:064x}", rival)),
        "tracking": (lambda _: get(f"/suivi/v2/idships/{item}", key), lambda _: get(f"/suivi/v2/idships/{fresh('LL')}", key)),
        "link": (lambda _: get("/sign-in/AAAA"), lambda turn: get(f"/sign-in/{turn}" + "B" * 42)),
    }  # fmt: skip
    async with crowd(world) as session:
        found = await asyncio.gather(*(both_ways(session, *sides) for sides in pairs.values()))
    for name, (times, looks) in zip(pairs, found, strict=True):
        medians, fastest = [statistics.median(each) for each in times], [min(each) for each in times]
        note(f"{name}: wrong or another's {medians[0] * 1000:.1f} ms, unknown {medians[1] * 1000:.1f} ms")
        assert len(looks) == 1, name
        assert min(fastest) >= EVEN_S - 0.005  # timers count in milliseconds
        assert 0.9 < fastest[0] / fastest[1] < 1.1, name  # a busy machine moves the medians of so few, not these


def get(path: str, headers: Mapping[str, str] = MappingProxyType({})) -> Asking:
    return "GET", path, dict(headers), None


def finding(item: str) -> Asking:
    return (
        "POST",
        CHANGE,
        {},
        {"kind": "neighbour", "item_id": item, "details": {"postcode": "00000", "neighbour": "3"}},
    )


def redeeming(code: str) -> Asking:
    return "POST", "/v1/devices/enrol", {}, {"code": code}


async def both_ways(session: ClientSession, one: Side, other: Side) -> tuple[list[list[float]], set[Any]]:
    """Ask both by turns; return the times of each, and the different answers that came."""
    times: list[list[float]] = [[], []]
    looks = set()
    for turn in range(TURNS):
        for which, side in enumerate((one, other)):
            method, path, headers, body = side(turn)
            sent = {**from_elsewhere(2_000 + 2 * turn + which), **headers}
            began = time.perf_counter()
            async with session.request(method, path, headers=sent, json=body) as answer:
                text = await answer.read()
            times[which].append(time.perf_counter() - began)
            for part in path.split("/")[3:]:  # Suivi says again what was asked
                text = text.replace(part.encode(), b"ID")
            looks.add((answer.status, text, kept(answer.headers)))
    return times, looks


def kept(headers: Any) -> tuple[tuple[str, str], ...]:
    """Keep what an answer says in its headers, but for what differs from one request to the next."""
    differ = {"date", "x-request-id", "ratelimit", "content-length"}
    return tuple(sorted((name, value) for name, value in headers.items() if name.lower() not in differ))


def crowd(world: World) -> ClientSession:
    return ClientSession(world.service.url, connector=TCPConnector(limit=40))


async def try_code(session: ClientSession, code: str, number: int) -> int:
    async with session.post("/v1/devices/enrol", json={"code": code}, headers=from_elsewhere(3_000 + number)) as answer:
        return answer.status


async def find(session: ClientSession, item: str, postcode: str, number: int) -> int:
    body = {"kind": "neighbour", "item_id": item, "details": {"postcode": postcode, "neighbour": "3"}}
    async with session.post(CHANGE, json=body, headers=from_elsewhere(number)) as answer:
        return answer.status


async def issue(world: World) -> str:
    made = await enrolment.issue_code(world.service.platform.database, carrier="Camille Essai", site=SITE)
    return made.shown


async def on_service(world: World, work: Any) -> Any:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, world.service._loop))


async def counted(world: World, action: str) -> int:
    async with world_database(world) as connection:
        return int(await connection.fetchval("select count(*) from audit where action = $1", action))


def world_database(world: World) -> Any:
    from contextlib import asynccontextmanager

    import asyncpg

    @asynccontextmanager
    async def opened() -> Any:
        url = world.service.settings.database_url
        assert url is not None
        connection = await asyncpg.connect(url.get_secret_value())
        try:
            yield connection
        finally:
            await connection.close()

    return opened()
