"""The feed and single events over HTTP."""

import asyncio

import orjson
import pytest

SUBJECT = "item/RK1FR"


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
