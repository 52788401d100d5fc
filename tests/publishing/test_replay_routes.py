"""The routes of replays over HTTP, and seeking in the feed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

SUBJECTS = [f"item/RK{number}FR" for number in range(8)]
AT = "2026-11-21T09:42:00Z"


@pytest.fixture
async def where(client, receiver, journal) -> str:
    await journal.say_all(SUBJECTS)
    made = await (await client.post("/v1/endpoints", json={"url": receiver.url, "from": "oldest"})).json()
    return f"/v1/endpoints/{made['id']}"


async def post(client: Any, path: str, body: Any, status: int) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_a_replay_is_made_shown_listed_paused_resumed_and_cancelled(client, where):
    asked = {"mode": "side", "from": "oldest", "types": ["item.*"], "only_failed": True, "rate_per_s": 5}
    made = await post(client, f"{where}/replay", asked, 201)
    assert made == made | {"state": "running", "from": "oldest", "to": None, "sent": 0, "failed": 0, "skipped": 0}
    one = f"{where}/replays/{made['id']}"
    assert await (await client.get(one)).json() == made
    assert (await post(client, f"{one}/pause", {}, 200))["state"] == "paused"
    assert (await post(client, f"{one}/resume", {}, 200))["state"] == "running"
    assert (await client.delete(one)).status == 204
    assert (await client.delete(one)).status == 204
    assert (await post(client, f"{one}/resume", {}, 409))["code"] == "replay_settled"
    rewound = await post(client, f"{where}/replay", {"mode": "rewind", "from": AT}, 201)
    assert (rewound["mode"], rewound["state"]) == ("rewind", "done")
    first = await (await client.get(f"{where}/replays", params={"limit": 1})).json()
    rest = await (await client.get(f"{where}/replays", params={"limit": 1, "cursor": first["next"]})).json()
    assert [first["replays"][0]["id"], rest["replays"][0]["id"]] == [rewound["id"], made["id"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("replay", {}),
        ("replay", {"mode": "sideways", "from": "oldest"}),
        ("replay", {"mode": "rewind"}),
        ("replay", {"mode": "rewind", "from": ""}),
        ("replay", {"mode": "rewind", "from": "yesterday"}),
        ("replay", {"mode": "rewind", "from": "99:99"}),
        ("replay", {"mode": "rewind", "from": "\x00"}),
        ("replay", {"mode": "rewind", "from": "oldest", "to": AT}),
        ("replay", {"mode": "side", "from": "oldest", "rate_per_s": 0}),
        ("replay", {"mode": "side", "from": "oldest", "rate_per_s": 0.09}),
        ("replay", {"mode": "side", "from": "oldest", "rate_per_s": 1001}),
        ("replay", {"mode": "side", "from": "oldest", "to": "a" * 401}),
        ("replay", {"mode": "side", "from": "oldest", "types": ["X!"]}),
        ("replay", {"mode": "side", "from": "oldest", "limit": 5}),
        ("recover", {}),
        ("recover", {"since": "2026-11-21"}),
        ("recover", {"since": 5}),
        ("resend", {}),
        ("resend", {"event_id": 5}),
        ("resume", {"from": "oldest"}),
    ],
)
async def test_what_cannot_be_asked_is_400_and_repeats_no_value(client, where, path: str, body: Any):
    problem = await post(client, f"{where}/{path}", body, 400)
    assert problem["code"] in ("bad_request", "bad_cursor", "bad_place")
    assert "yesterday" not in str(problem)


async def test_what_is_not_the_accounts_is_not_there(client, where):
    made = await post(client, f"{where}/replay", {"mode": "side", "from": "oldest"}, 201)
    other = {"Authorization": "Bearer acct-two"}
    one = f"{where}/replays/{made['id']}"
    for method, path, body in (
        ("POST", f"{where}/replay", {"mode": "rewind", "from": "oldest"}),
        ("POST", f"{where}/recover", {"since": AT}),
        ("POST", f"{where}/resend", {"event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"}),
        ("GET", f"{where}/replays", None),
        ("GET", one, None),
        ("DELETE", one, None),
        ("POST", f"{one}/pause", {}),
        ("POST", f"{one}/resume", {}),
    ):
        assert (await client.request(method, path, json=body, headers=other)).status == 404, path
        nobody = {"Authorization": "Bearer nobody"}
        assert (await client.request(method, path, json=body, headers=nobody)).status == 401, path
    for name in ("rpl_x", "%00", "rpl_" + "0" * 32, made["id"] + "0"):
        assert (await client.get(f"{where}/replays/{name}")).status == 404, name
    assert (await (await client.get(one)).json())["state"] == "running"


async def test_an_event_is_resent_and_recovery_says_what_it_found(client, where, receiver, journal, database):
    await database.pool.execute("insert into event_id select id, day, shard, pos, site, '', received_at from event")
    sent = await post(client, f"{where}/resend", {"event_id": journal.ids[3]}, 200)
    assert (sent["event_id"], sent["status"], receiver.got[0].id) == (journal.ids[3], 204, journal.ids[3])
    assert (await client.post(f"{where}/resend", json={"event_id": "evt_x"})).status == 404
    found = await post(client, f"{where}/recover", {"since": AT}, 201)
    assert (found["mode"], found["dead_letters"], found["parked"]) == ("recover", 0, 0)


async def test_an_endpoint_resumes_from_now_only_when_it_was_stopped(client, where):
    assert (await post(client, f"{where}/resume", {"from": "now"}, 409))["code"] == "conflict"
    await client.post(f"{where}/pause")
    resumed = await post(client, f"{where}/resume", {"from": "now"}, 200)
    assert (resumed["state"], resumed["skipped"], resumed["warnings"]) == ("active", len(SUBJECTS), [])
    resumed = await post(client, f"{where}/resume", {}, 200)
    assert (resumed["skipped"], resumed["warnings"]) == (None, [])


# seeking in the feed


async def seek(client: Any, place: str, **more: str) -> Any:
    answer = await client.get("/v1/feed", params={"seek": place, **more})
    return answer.status, await answer.json()


async def test_a_seek_by_time_starts_at_the_first_event_of_that_time(client, journal, database):
    early = await journal.say_all(SUBJECTS)
    await database.pool.execute("update event set received_at = received_at - interval '1 hour'")
    late = await journal.say_all(SUBJECTS)
    before = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    status, page = await seek(client, before)
    assert status == 200
    assert sorted(event["id"] for event in page["events"]) == sorted(late)
    again = await (await client.get("/v1/feed", params={"after": page["from"]})).json()
    assert again["events"] == page["events"]
    _status, whole = await seek(client, "2026-01-01T00:00:00Z")
    assert sorted(event["id"] for event in whole["events"]) == sorted(early + late)
    _status, nothing = await seek(client, (datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert nothing["events"] == []
    fresh = await journal.say(SUBJECTS[0])
    page = await (await client.get("/v1/feed", params={"after": nothing["from"]})).json()
    assert [event["id"] for event in page["events"]] == [fresh]


async def test_a_seek_by_id_starts_at_that_event_and_shows_nobody_elses(client, journal, database):
    await journal.say_all(SUBJECTS * 2)
    theirs = await journal.say("item/other", account="acct-two")
    await database.pool.execute("insert into event_id select id, day, shard, pos, site, '', received_at from event")
    sought = journal.ids[len(SUBJECTS)]
    status, page = await seek(client, sought)
    assert status == 200
    of_subject = [event for event in page["events"] if event["subject"] == SUBJECTS[0]]
    assert [event["id"] for event in of_subject] == [sought]
    for name in (theirs, "evt_x", "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44_7", f"{sought}_1"):
        assert (await seek(client, name))[0] == 404, name


@pytest.mark.parametrize("place", ["", "x", "now", "2026-11-21", "1700000000", "2026-11-21T09:42:00", "\x00"])
async def test_a_place_that_makes_no_sense_is_400(client, journal, place: str):
    status, problem = await seek(client, place)
    assert (status, problem["code"]) == (400, "bad_place")
    assert (await seek(client, AT, after="x"))[0] == 400


async def test_a_seek_behind_what_is_kept_is_410_with_the_oldest_cursor(client, journal, database):
    await journal.say_all(SUBJECTS * 2)
    await database.pool.execute("delete from event where subject_seq = 1")
    for place in ("2026-01-01T00:00:00Z", "evt_01900000-7c11-7d3a-9a51-0c5d8c1f2e44"):  # a UUIDv7 of 2024
        status, problem = await seek(client, place)
        assert (status, problem["code"]) == (410, "cursor_expired")
        rest = await (await client.get("/v1/feed", params={"after": problem["oldest"]})).json()
        assert len(rest["events"]) == len(SUBJECTS)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (await seek(client, today.isoformat()))[0] == 200  # days leave whole: of this one nothing is gone


async def test_a_stream_that_sought_goes_on_behind_its_last_event(client, journal):
    await journal.say_all([SUBJECTS[0]] * 3)
    accept = {"Accept": "text/event-stream"}
    async with client.get("/v1/feed", params={"seek": "2026-01-01T00:00:00Z"}, headers=accept) as stream:
        first = await stream.content.readuntil(b"\n\n")
    last = first.split(b"\n")[0].removeprefix(b"id: ").decode()
    again = {**accept, "Last-Event-ID": last}
    async with client.get("/v1/feed", params={"seek": "2026-01-01T00:00:00Z"}, headers=again) as stream:
        assert journal.ids[1].encode() in await stream.content.readuntil(b"\n\n")
