"""The routes of subscribers over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access.callers import Account
from fieldsvc.errors import Unauthorized
from fieldsvc.journal.sealed import Opener
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.web import rights, subscriber
from fieldsvc.web.auth import ACCESS, admitted

SUBJECT = "item/RK1FR"
KEY = {"Authorization": "Bearer acct-one"}


@pytest.fixture
async def client(middleware, endpoints, feed, reader, vault, journal, tools) -> AsyncIterator[TestClient[Any, Any]]:
    scopes = {"acct-one": frozenset[str](), "acct-two": frozenset[str](), "acct-op": frozenset({"operator"}),
              "acct-med": frozenset({"health"})}  # fmt: skip
    database = journal.database
    await tools.add_account(database, "acct-two")

    class Known:
        """The accounts of this file, in place of those of the database."""

        def __init__(self) -> None:
            self.database = database

        async def account(self, name: str) -> Account:
            if name not in scopes:
                raise Unauthorized
            return Account(name, "subscriber", scopes[name], None)

    app = web.Application(middlewares=[middleware, admitted])
    app[ACCESS] = Known()
    app.add_routes(subscriber.routes)
    rights.bind(app, complete=False)
    app[subscriber.ENDPOINTS] = endpoints
    app[subscriber.FEED] = feed
    app[subscriber.READER] = reader
    app[subscriber.RENDERER] = Renderer(Opener(database, vault))
    async with TestClient(TestServer(app), headers=KEY) as opened:
        yield opened


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
        "breaker": "closed", "next_probe_at": None, "held_until": None, "parked": 0, "dead_letters": 0,
    }  # fmt: skip
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
    for route in subscriber.routes:
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
    import time

    from fieldsvc.publishing.signing import verify

    assert verify([made["secret"]], got.headers, got.body, now=time.time()) == got.id
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


async def test_the_feed_pages_over_http(client, journal):
    await journal.say_all([SUBJECT] * 5)
    first = await (await client.get("/v1/feed", params={"limit": 3})).json()
    second = await (await client.get("/v1/feed", params={"after": first["next"]})).json()
    sequences = [int(event["sequence"]) for event in first["events"] + second["events"]]
    assert sequences == [1, 2, 3, 4, 5]
    empty = await (await client.get("/v1/feed", params={"after": second["next"]})).json()
    assert empty == {"events": [], "next": second["next"]}


@pytest.mark.parametrize(
    "query",
    ["after=x", "limit=0", "limit=1001", "limit=x", "limit=", "wait=61", "wait=-1", "wait=1e1", "types=X", "types=%00"],
)
async def test_a_feed_request_that_makes_no_sense_is_400(client, query: str):
    answer = await client.get(f"/v1/feed?{query}")
    assert answer.status == 400


async def test_an_endpoint_can_start_at_a_cursor_of_the_feed(client, journal, receiver, start, tools):
    await journal.say_all([SUBJECT] * 5)
    page = await (await client.get("/v1/feed", params={"limit": 2})).json()
    await make(client, receiver, **{"from": page["next"]})
    await start()
    await tools.poll(lambda: len(receiver.got) == 3)
    assert [got.sequence for got in receiver.got] == [3, 4, 5]


async def test_the_stream_resumes_behind_the_last_event_id(client, journal):
    await journal.say_all([SUBJECT] * 3)
    accept = {"Accept": "text/event-stream"}
    async with client.get("/v1/feed", headers=accept) as stream:
        assert stream.content_type == "text/event-stream"
        first = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5)
    last = first.split(b"\n")[0].removeprefix(b"id: ").decode()
    async with client.get("/v1/feed", headers=accept | {"Last-Event-ID": last}) as stream:
        second = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5)
    event = orjson.loads(second.split(b"data: ")[1])
    assert event["sequence"].endswith("2")


async def test_an_expired_cursor_is_410_with_the_oldest_one(client, journal, database):
    await journal.say_all([SUBJECT] * 4)
    page = await (await client.get("/v1/feed", params={"limit": 1})).json()
    async with database.acquire() as connection:
        await connection.execute("delete from event where subject_seq < 3")
    answer = await client.get("/v1/feed", params={"after": page["next"]})
    assert answer.status == 410
    problem = await answer.json()
    assert problem["code"] == "cursor_expired"
    rest = await (await client.get("/v1/feed", params={"after": problem["oldest"]})).json()
    assert [int(event["sequence"]) for event in rest["events"]] == [3, 4]


async def test_one_event_is_shown_cut_to_the_rights_of_the_caller(client, journal, database):
    health = {"personal": {"name": "N"}, "health": {"drug": "D"}}
    name = await journal.say(
        "pouch/P-1", account="acct-med", public={"pouch_id": "P-1"}, operational={"round": "T"}, sealed=health
    )
    await database.pool.execute("insert into event_id select id, day, shard, pos, site, '', received_at from event")
    seen = {}
    for who in ("acct-med", "acct-op", "acct-one"):
        answer = await client.get(f"/v1/events/{name}", headers={"Authorization": f"Bearer {who}"})
        seen[who] = (answer.status, orjson.loads(await answer.read()))
    assert seen["acct-med"][1]["data"] == {"pouch_id": "P-1", "name": "N", "drug": "D"}
    assert seen["acct-op"][1]["data"] == {"pouch_id": "P-1", "round": "T"}
    assert seen["acct-op"][1]["dataref"] == f"/v1/events/{name}"
    assert seen["acct-one"][0] == 404
    await database.pool.execute("update person_key set wrapped = null, destroyed_at = now()")
    answer = await client.get(f"/v1/events/{name}", headers={"Authorization": "Bearer acct-med"})
    assert orjson.loads(await answer.read())["data"] == {"pouch_id": "P-1", "erased": True}
    for unknown in ("evt_x", "x", "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", "evt_%00", "..%2f"):
        assert (await client.get(f"/v1/events/{unknown}")).status == 404
