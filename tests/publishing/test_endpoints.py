"""Endpoints over HTTP: what may be asked of them, what is shown, and that what is asked is done."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fieldsvc.errors import Conflict
from fieldsvc.publishing.options import BadOption, headers_after
from fieldsvc.publishing.signing import verify
from fieldsvc.web import endpoints as views
from fieldsvc.web import subscriber
from tests.sizes import sized

SUBJECT = "item/RK1FR"
SECRETS = {"headers": {"X-Tenant": "canary-north", "Accept": "*/*"}, "bearer": "canary-token"}
WISHES = {
    "types": ["item.*"], "thin": False, "mode": "parallel", "batch": 20, "format": "epcis",
    "filter": {"data": {"to": {"$in": ["mailbox", "neighbour"]}}}, "sites": ["site-pantin"], "postcodes": ["93", "75019"],
    "rate_per_s": 12.5, "in_flight": 4, "on_exhausted": "block", "schedule": [0, 1.5, 60], "description": "Dépôt nord",
}  # fmt: skip


async def make(client: Any, receiver: Any, **about: Any) -> dict[str, Any]:
    answer = await client.post("/v1/endpoints", json={"url": receiver.url, "types": ["item.*"], **about})
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    return made


async def test_an_endpoint_is_made_shown_changed_listed_and_deleted(client, receiver):
    made = await make(client, receiver)
    assert made["secret"].startswith("whsec_")
    where = f"/v1/endpoints/{made['id']}"
    shown = await (await client.get(where)).json()
    assert shown["types"] == ["item.*"]
    assert shown["state"] == "active"
    assert "secret" not in shown
    assert shown["health"] == {
        "breaker": "closed", "next_probe_at": None, "held_until": None, "failing_since": None, "last_failure_at": None,
        "last_success_at": None, "backlog": 0, "backlog_is_exact": True, "lag_s": 0.0, "parked": 0, "dead_letters": 0,
    }  # fmt: skip
    assert [each["expires_at"] for each in shown["secrets"]] == [None]
    changed = await (await client.patch(where, json={"types": ["run.*"], "thin": True})).json()
    assert (changed["types"], changed["thin"], changed["url"]) == (["run.*"], True, receiver.url)
    assert (await client.delete(where)).status == 204
    assert (await client.get(where)).status == 404
    assert (await client.delete(where)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"url": 5}',
        b'{"url": "https://10.0.0.1/"}',
        b'{"url": "http://example.com/"}',
        b'{"url": "https://example.com/", "types": ["X!"]}',
        b'{"url": "https://example.com/", "types": "item.*"}',
        b'{"url": "https://example.com/", "account": "acct-two"}',
        b'{"url": "https://example.com/", "from": "yesterday"}',
        b'{"url": "https://example.com/\\u0000"}',
        b'{"url": "https://example.com/", "thin": "yes"}',
        b"\xff\xfe",
    ],
)
async def test_a_registration_that_cannot_be_used_is_400_and_repeats_no_value(client, body: bytes):
    answer = await client.post("/v1/endpoints", data=body)
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    problem = await answer.json()
    assert problem["code"] in ("bad_request", "bad_cursor")
    assert "example.com" not in orjson.dumps(problem).decode()


async def test_every_route_asks_who_is_calling_and_shows_nothing_of_others(client, receiver):
    made = await make(client, receiver)
    for route in (*views.routes, *subscriber.routes):
        path = route.path.replace("{id:ep_[0-9a-f]{32}}", made["id"]).replace("{id}", "evt_x")
        nobody = await client.request(route.method, path, headers={"Authorization": "Bearer nobody"}, json={})
        assert nobody.status == 401, route
        other = await client.request(route.method, path, headers={"Authorization": "Bearer acct-two"}, json={})
        expected = {"/v1/endpoints": 400 if route.method == "POST" else 200, "/v1/feed": 200}.get(path, 404)
        assert other.status == expected, route
    assert (await client.get(f"/v1/endpoints/{made['id']}")).status == 200


async def test_lists_page_by_an_opaque_cursor(client, receiver):
    ids = [(await make(client, receiver))["id"] for _ in range(5)]
    found, cursor = [], ""
    for _ in range(3):
        page = await (await client.get("/v1/endpoints", params={"limit": 2, "cursor": cursor})).json()
        found += [each["id"] for each in page["endpoints"]]
        cursor = page["next"]
    assert found == sorted(ids)
    assert cursor is None
    for bad in ("x", "e30", "W10", "WzFd", "WyJcdTAwMDAiXQ"):
        assert (await client.get("/v1/endpoints", params={"cursor": bad})).status == 400
        assert (await client.get(f"/v1/endpoints/{ids[0]}/attempts", params={"cursor": bad})).status == 400


async def test_a_test_event_is_sent_signed_and_logged(client, receiver):
    made = await make(client, receiver)
    result = await (await client.post(f"/v1/endpoints/{made['id']}/test")).json()
    assert (result["status"], result["error"], result["attempt"]) == (204, None, 0)
    got = receiver.got[0]
    assert got.id == result["event_id"]
    assert verify([made["secret"]], got.headers, got.body, now=time.time()) == got.id
    assert got.headers["fieldsvc-test"] == "1"
    assert (result["subject"], result["events"], result["repeats"]) == (got.subject, 1, 1)
    logged = await (await client.get(f"/v1/endpoints/{made['id']}/attempts")).json()
    assert [each["event_id"] for each in logged["attempts"]] == [got.id]


async def test_the_attempts_page_newest_first_and_by_event(client, receiver):
    made = await make(client, receiver)
    where = f"/v1/endpoints/{made['id']}"
    names = [(await (await client.post(f"{where}/test")).json())["event_id"] for _ in range(5)]
    found, cursor = [], ""
    for _ in range(3):
        page = await (await client.get(f"{where}/attempts", params={"limit": 2, "cursor": cursor})).json()
        found += [each["event_id"] for each in page["attempts"]]
        cursor = page["next"]
    assert found == names[::-1]
    one = await (await client.get(f"{where}/attempts", params={"event_id": names[2]})).json()
    assert [each["event_id"] for each in one["attempts"]] == [names[2]]
    nothing = await (await client.get(f"{where}/attempts?event_id=%00")).json()
    assert len(nothing["attempts"]) == 5


async def test_pause_and_resume_show_in_the_state(client, receiver):
    made = await make(client, receiver)
    where = f"/v1/endpoints/{made['id']}"
    assert (await (await client.post(f"{where}/pause")).json())["state"] == "paused"
    assert (await (await client.post(f"{where}/pause")).json())["state"] == "paused"
    assert (await (await client.post(f"{where}/resume")).json())["state"] == "active"


async def test_a_rotation_gives_a_new_secret_and_bad_overlaps_are_refused(client, receiver):
    made = await make(client, receiver)
    where = f"/v1/endpoints/{made['id']}/secret/rotate"
    new = await (await client.post(where)).json()
    assert new["secret"].startswith("whsec_")
    assert new["secret"] != made["secret"]
    assert new["overlap_s"] == 86_400
    for overlap in (-1, 1e9, "1", None):
        assert (await client.post(where, json={"overlap_s": overlap})).status == 400


async def test_secrets_are_sealed_at_rest(client, receiver, database):
    made = await make(client, receiver)
    async with database.acquire() as connection:
        sealed = await connection.fetchval("select sealed from endpoint_secret where endpoint = $1", made["id"])
    assert made["secret"].encode() not in sealed
    assert made["secret"].removeprefix("whsec_").encode() not in sealed


async def test_an_endpoint_can_start_at_a_cursor_of_the_feed(client, journal, receiver, start, tools):
    await journal.say_all([SUBJECT] * 5)
    page = await (await client.get("/v1/feed", params={"limit": 2})).json()
    await make(client, receiver, **{"from": page["next"]})
    await start()
    await tools.poll(lambda: len(receiver.got) == 3)
    assert [got.sequence for got in receiver.got] == [3, 4, 5]


async def test_what_was_asked_is_shown_and_secrets_are_not(client, receiver, database):
    made = await make(client, receiver, **WISHES, **SECRETS)
    shown = await (await client.get(f"/v1/endpoints/{made['id']}")).json()
    listed = (await (await client.get("/v1/endpoints")).json())["endpoints"][0]
    for found in (made, shown, listed):
        assert {name: found[name] for name in WISHES} == WISHES
        assert (found["headers"], found["bearer"]) == (["Accept", "X-Tenant"], True)
        assert "canary" not in orjson.dumps(found).decode()
    async with database.acquire() as connection:
        kept = await connection.fetchval("select endpoint::text || encode(sealed_headers, 'escape') from endpoint")
    assert "canary" not in kept


async def test_another_host_is_not_sent_the_headers_of_the_one_before(client, receiver):
    made = await make(client, receiver, **SECRETS)
    where, url = f"/v1/endpoints/{made['id']}", receiver.url
    kept = await (await client.patch(where, json={"url": f"{url}/other"})).json()
    assert (kept["headers"], kept["bearer"]) == (["Accept", "X-Tenant"], True)
    moved = await (await client.patch(where, json={"url": url.replace("127.0.0.1", "127.0.0.2")})).json()
    assert (moved["headers"], moved["bearer"]) == ([], False)
    await client.patch(where, json={**SECRETS, "url": url})
    port = "http://127.0.0.1:1/hook"
    moved = await (await client.patch(where, json={"url": port, "bearer": "another"})).json()
    assert (moved["headers"], moved["bearer"]) == ([], True)
    moved = await (await client.patch(where, json={"url": url, "headers": {"X-New": "1"}})).json()
    assert (moved["headers"], moved["bearer"]) == (["X-New"], False)


async def test_endpoints_made_at_once_are_not_more_than_an_account_may_have(
    endpoints, journal, receiver, tools, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fieldsvc.publishing.endpoints.MOST_ENDPOINTS", 5)

    async def ask() -> bool:
        try:
            await endpoints.create(tools.account, receiver.url)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(ask() for _ in range(20)))) == 5


async def test_a_change_leaves_what_it_does_not_name_and_null_is_the_default(client, receiver):
    made = await make(client, receiver, **WISHES, **SECRETS)
    where = f"/v1/endpoints/{made['id']}"
    changed = await (await client.patch(where, json={"batch": 5, "bearer": None})).json()
    assert {name: changed[name] for name in WISHES} == {**WISHES, "batch": 5}
    assert (changed["headers"], changed["bearer"]) == (["Accept", "X-Tenant"], False)
    changed = await (await client.patch(where, json={"bearer": "t", "headers": {"x-other": "1"}})).json()
    assert (changed["headers"], changed["bearer"]) == (["x-other"], True)
    changed = await (await client.patch(where, json={**dict.fromkeys(WISHES), "headers": None})).json()
    assert changed["types"] == changed["sites"] == changed["postcodes"] == changed["headers"] == []
    assert (changed["mode"], changed["batch"], changed["format"], changed["on_exhausted"]) == (
        "subject", 1, "cloudevents", "dead_letter",
    )  # fmt: skip
    assert [changed[name] for name in ("filter", "rate_per_s", "in_flight", "schedule")] == [None] * 4
    assert (changed["description"], changed["bearer"], changed["url"]) == ("", True, made["url"])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mode": "random"}, "mode"),
    ({"batch": 0}, "batch"),
    ({"batch": 101}, "batch"),
    ({"batch": 1.5}, "batch"),
    ({"format": "xml"}, "format"),
    ({"filter": {"data": {"a": {"$regex": "x"}}}}, "filter"),
    ({"filter": {"data": {"a": "\ud800"}}}, "body"),
    ({"filter": {"data": {"a": "\x00"}}}, "filter"),
    ({"filter": {"data": {"a": 10**400}}}, "filter"),
    ({"filter": {"data": "x" * 5000}}, "filter"),
    ({"filter": "x"}, "filter"),
    ({"sites": [""]}, "sites.0"),
    ({"sites": ["a\x00"]}, "sites"),
    ({"sites": ["a"] * 51}, "sites"),
    ({"postcodes": ["7x"]}, "postcodes.0"),
    ({"postcodes": ["123456"]}, "postcodes.0"),
    ({"postcodes": ["\u0667\u0665"]}, "postcodes.0"),
    ({"headers": {"Host": "x"}}, "headers"),
    ({"headers": {"connection": "close"}}, "headers"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "headers"),
    ({"headers": {"Content-Type": "text/plain"}}, "headers"),
    ({"headers": {"webhook-signature": "v1,x"}}, "headers"),
    ({"headers": {"Fieldsvc-Replay": "x"}}, "headers"),
    ({"headers": {"User-Agent": "x"}}, "headers"),
    ({"headers": {"a b": "x"}}, "headers"),
    ({"headers": {"a:": "x"}}, "headers"),
    ({"headers": {"": "x"}}, "headers"),
    ({"headers": {"é": "x"}}, "headers"),
    ({"headers": {"a": "x\r\nb: y"}}, "headers"),
    ({"headers": {"a": ""}}, "headers"),
    ({"headers": {"a": "é"}}, "headers"),
    ({"headers": {"a": "\x00"}}, "headers"),
    ({"headers": {"a": "x" * 2049}}, "headers"),
    ({"headers": {"a": "1", "A": "2"}}, "headers"),
    ({"headers": {f"a{number}": "1" for number in range(21)}}, "headers"),
    ({"headers": {f"a{number}": "1" * 1000 for number in range(9)}}, "headers"),
    ({"headers": {"a": 1}}, "headers"),
    ({"bearer": ""}, "bearer"),
    ({"bearer": "a\nb"}, "bearer"),
    ({"bearer": "t", "headers": {"authorization": "Basic x"}}, "bearer"),
    ({"rate_per_s": 0}, "rate_per_s"),
    ({"rate_per_s": "fast"}, "rate_per_s"),
    ({"in_flight": 65}, "in_flight"),
    ({"on_exhausted": "forget"}, "on_exhausted"),
    ({"schedule": []}, "schedule"),
    ({"schedule": [-1]}, "schedule.0"),
    ({"schedule": [1e9]}, "schedule.0"),
    ({"schedule": [1] * 51}, "schedule"),
    ({"description": "x" * 501}, "description"),
    ({"description": "\x00"}, "description"),
    ({"thin": True, "format": "epcis"}, "thin"),
    ({"thin": True, "filter": {"$or": [{"type": "x"}, {"$not": {"data": {"a": 1}}}]}}, "filter"),
]


async def test_what_cannot_be_asked_is_400_with_the_name_of_the_member(client):
    for asked, member in REFUSED:
        body = orjson.dumps({"url": "https://receiver.example/"})[:-1] + b"," + json.dumps(asked).encode()[1:]
        answer = await client.post("/v1/endpoints", data=body)
        assert answer.status == 400, asked
        assert [each["field"] for each in (await answer.json())["errors"]] == [member], asked
    assert (await (await client.get("/v1/endpoints")).json())["endpoints"] == []


async def test_what_does_not_go_together_is_refused_also_when_it_comes_by_a_change(client, receiver):
    made = await make(client, receiver, thin=True, filter={"type": {"$startsWith": "fieldsvc.item."}})
    where = f"/v1/endpoints/{made['id']}"
    for asked, member in (
        ({"format": "fhir"}, "thin"),
        ({"filter": {"data": {"a": 1}}}, "filter"),
        ({"url": None}, "url"),
        ({"url": "https://10.0.0.1/"}, None),
    ):
        answer = await client.patch(where, json=asked)
        problem = await answer.json()
        assert answer.status == 400, asked
        assert [each["field"] for each in problem.get("errors", [])] == ([member] if member else [])
    shown = await (await client.get(where)).json()
    assert (shown["format"], shown["url"]) == ("cloudevents", made["url"])
    assert (await client.patch(where, json={"thin": False, "format": "fhir"})).status == 200


async def test_two_changes_at_once_are_both_made(client, receiver):
    made = await make(client, receiver)
    where = f"/v1/endpoints/{made['id']}"
    asked = [{"description": "d"}, {"batch": 7}, {"mode": "parallel"}, {"rate_per_s": 3}]
    answers = await asyncio.gather(*(client.patch(where, json=each) for each in asked))
    assert {answer.status for answer in answers} == {200}
    shown = await (await client.get(where)).json()
    assert [shown[name] for name in ("description", "batch", "mode", "rate_per_s")] == ["d", 7, "parallel", 3]


async def test_a_header_of_any_name_is_authorization_when_it_is():
    assert headers_after({}, {"headers": {"AUTHORIZATION": "Basic x"}}) == {"Authorization": "Basic x"}
    assert headers_after({"Authorization": "Bearer a"}, {"headers": {"b": "c"}}) == {
        "b": "c",
        "Authorization": "Bearer a",
    }
    with pytest.raises(BadOption):
        headers_after({"Authorization": "Basic x"}, {"bearer": "t"})


async def test_every_request_carries_the_headers_of_its_endpoint(client, receiver, journal, start, tools):
    await make(client, receiver, **SECRETS)
    await start()
    await journal.say(SUBJECT)
    await tools.poll(lambda: receiver.got)
    headers = receiver.got[0].headers
    assert (headers["x-tenant"], headers["authorization"]) == ("canary-north", "Bearer canary-token")


async def test_a_change_acts_within_a_second_and_loses_nothing(client, receiver, journal, start, tools):
    made = await make(client, receiver, types=[], filter={"data": {"kind": "a"}})
    receiver.delay_s = 0.002
    await start()
    said, lane_of = {"a": [], "b": []}, {}

    async def say(number: int) -> None:
        for kind in said:
            made = await journal.say_all([f"item/{number % 5}"], public={"kind": kind})
            said[kind] += made
            lane_of.update(dict.fromkeys(made, number % 5))

    for number in range(40):
        await say(number)
    before = len(said["a"])
    await tools.poll(lambda: len(receiver.got) >= before)
    changed_at = time.monotonic()
    answer = await client.patch(f"/v1/endpoints/{made['id']}", json={"filter": {"data": {"kind": "b"}}})
    assert answer.status == 200
    await tools.poll(lambda: _sent_after(receiver, say, said["b"]), within_s=20)
    assert time.monotonic() - changed_at < 20
    acted = len(said["b"])
    await asyncio.sleep(1)
    for number in range(40):
        await say(number)
    await tools.poll(lambda: set(said["b"][acted:]) <= {got.id for got in receiver.acknowledged})
    got = {each.id for each in receiver.acknowledged}
    assert set(said["a"][:before]) <= got <= {*said["a"][:acted], *said["b"][before:]}
    for lane in range(5):  # each takes the change up at a moment of its own, and loses nothing from then on
        wanted = [name in got for name in said["b"] if lane_of[name] == lane]
        assert wanted == sorted(wanted), lane
    receiver.assert_in_order_and_same()


async def _sent_after(receiver: Any, say: Any, wanted: list[str]) -> bool:
    await say(0)
    await asyncio.sleep(0.02)
    return any(got.id in set(wanted) for got in receiver.got)


async def test_how_an_endpoint_is_doing(client, receiver, journal, start, tools):
    receiver.answer = lambda got: 500 if got.subject == "item/bad" else 204
    await journal.say_all(["item/bad", "item/bad", "item/good"])
    made = await make(client, receiver, types=[], **{"from": "oldest"}, schedule=[0, 3600])
    where = f"/v1/endpoints/{made['id']}"
    waiting = (await (await client.get(where)).json())["health"]
    assert (waiting["backlog"], waiting["backlog_is_exact"]) == (3, True)
    assert waiting["lag_s"] >= 0
    await start()
    await tools.poll(lambda: _health(client, where, parked=1, backlog=0))
    (parked,) = (await (await client.get(f"{where}/parked")).json())["parked"]
    assert (parked["subject"], parked["attempts"], parked["reason"], parked["behind"]) == (
        "item/bad",
        1,
        "status 500",
        1,
    )
    assert parked["since"] < parked["next_at"]
    health = (await (await client.get(where)).json())["health"]
    assert health["lag_s"] > 0
    await tools.poll(lambda: _was_taken(client, where))
    assert (await (await client.get(f"{where}/dead-letters")).json()) == {"dead_letters": [], "next": None}


async def _was_taken(client: Any, where: str) -> bool:
    return (await (await client.get(where)).json())["health"]["last_success_at"] is not None


async def _health(client: Any, where: str, **wanted: int) -> bool:
    health = (await (await client.get(where)).json())["health"]
    return all(health[name] == value for name, value in wanted.items())


_MANY = """
insert into event select (now() at time zone 'UTC')::date, 0, number, gen_random_uuid(), 0, 'public',
  case when number % 2 = 1 then 'run.ended' else 'item.delivered' end, 'item/1', number,
  case when number <= $1::integer / 2 then 'acct-two' else 'acct-one' end, 'site', null, now(), now(), '{"public":{}}', '{}', ''
from generate_series(1, $1::integer) as number
"""


async def test_a_far_backlog_is_estimated_and_costs_no_more(client, receiver, database, note):
    made, rows = await make(client, receiver), sized(3_000, 1_000_000)
    async with database.acquire() as connection:
        await connection.execute(_MANY, rows)
        await connection.execute("analyze event")
    started = time.perf_counter()
    health = (await (await client.get(f"/v1/endpoints/{made['id']}")).json())["health"]
    took_ms = (time.perf_counter() - started) * 1000
    note(f"an endpoint {rows:,} rows behind is shown in {took_ms:.0f} ms: a backlog of {health['backlog']:,}")
    assert health["backlog_is_exact"] is False
    assert health["backlog"] == pytest.approx(rows / 4, rel=0.02)
    assert health["lag_s"] > 0
    assert took_ms < 5_000


async def test_parked_subjects_and_dead_letters_page(client, receiver, database):
    made = await make(client, receiver)
    where, now = f"/v1/endpoints/{made['id']}", datetime.now(UTC)
    async with database.acquire() as connection:
        await connection.execute(
            "insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)"
            " select $1, 'item/' || n, 0, $2::date, n, 1, $3, 'timeout', $3 from generate_series(1, 5) as n",
            made["id"], now.date(), now,
        )  # fmt: skip
        await connection.execute(
            "insert into dead_letter (endpoint, event_id, subject, shard, day, pos, at, reason, attempts)"
            " select $1, 'evt_' || n, 'item/1', 0, $2::date, n, $3::timestamptz - make_interval(secs => n / 2), 'retention', 3"
            " from generate_series(1, 5) as n",
            made["id"], now.date(), now,
        )  # fmt: skip
    assert await pages(client, f"{where}/parked", "parked", "subject") == [f"item/{n}" for n in range(1, 6)]
    assert await pages(client, f"{where}/dead-letters", "dead_letters", "event_id") == [f"evt_{n}" for n in range(1, 6)]
    for path in ("parked", "dead-letters"):
        for bad in ("x", "W10", "WzFd", "WyJcdTAwMDAiXQ"):
            assert (await client.get(f"{where}/{path}", params={"cursor": bad})).status == 400


async def pages(client: Any, where: str, list_: str, name: str) -> list[str]:
    """Read a whole list, two a page."""
    found, cursor = list[str](), ""
    while cursor is not None:
        page = await (await client.get(where, params={"limit": 2, "cursor": cursor})).json()
        found += [each[name] for each in page[list_]]
        cursor = page["next"]
    return found


async def test_during_a_rotation_both_keys_sign_and_the_old_one_has_an_end(client, receiver, journal, start, tools):
    made = await make(client, receiver)
    where = f"/v1/endpoints/{made['id']}"
    new = (await (await client.post(f"{where}/secret/rotate")).json())["secret"]
    keys = (await (await client.get(where)).json())["secrets"]
    assert [each["expires_at"] is None for each in keys] == [True, False]
    left = datetime.fromisoformat(keys[1]["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    await start()
    await journal.say(SUBJECT)
    await tools.poll(lambda: receiver.got)
    got = receiver.got[0]
    assert len(got.headers["webhook-signature"].split(" ")) == 2
    for secret in (new, made["secret"]):
        assert verify([secret], got.headers, got.body, now=time.time()) == got.id
    assert new not in await (await client.get(where)).text()


@pytest.fixture
async def anything() -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A receiver that takes every body: its URL, and what it got."""
    got = list[tuple[dict[str, str], bytes]]()

    async def take(request: web.Request) -> web.Response:
        got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}/hook", got


@pytest.mark.parametrize("name", ["cloudevents", "epcis", "fhir", "suivi"])
async def test_a_test_is_sent_as_the_endpoint_asked_for_it(client, anything, name: str):
    from fieldsvc.publishing.formats.catalogue import FORMATS

    url, got = anything
    answer = await client.post("/v1/endpoints", json={"url": url, "format": name, **SECRETS})
    made = await answer.json()
    result = await (await client.post(f"/v1/endpoints/{made['id']}/test")).json()
    assert result["status"] == 204
    ((headers, body),) = got
    assert headers["content-type"].partition(";")[0] == FORMATS[name].media_type
    assert (headers["x-tenant"], headers["authorization"]) == ("canary-north", "Bearer canary-token")
    assert verify([made["secret"]], headers, body, now=time.time()) == result["event_id"]
    assert (made["id"] if name == "cloudevents" else "TEST") in body.decode()
    assert "canary" not in orjson.dumps(result).decode()


@pytest.mark.parametrize("change", ["format", "rights"])
async def test_what_waits_and_may_no_longer_be_sent_is_recorded_and_not_sent(
    client, receiver, journal, database, start, tools, change: str
):
    made = await make(client, receiver, types=[], schedule=[0, 0.3])
    async with database.acquire() as connection:
        await connection.execute("update account set scopes = '{operator}' where id = 'acct-one'")
    receiver.answer = lambda got: 500 if got.subject == "run/1" else 204
    await journal.say_all(["run/1"] * 3, type_="run.ended", account="acct-two")
    await start()
    where = f"/v1/endpoints/{made['id']}"
    await tools.poll(lambda: _health(client, where, parked=1))
    if change == "rights":
        await database.pool.execute("update account set scopes = '{}' where id = 'acct-one'")
    else:
        assert (await client.patch(where, json={"format": "suivi"})).status == 200
    await tools.poll(lambda: _health(client, where, parked=0, dead_letters=3))
    letters = (await (await client.get(f"{where}/dead-letters")).json())["dead_letters"]
    assert {each["event_id"] for each in letters} == set(journal.ids)
    assert {each["reason"] for each in letters} <= {"changed", "status 500"}
    assert [each["reason"] for each in letters].count("changed") >= 2
