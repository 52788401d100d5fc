"""The log of attempts: what it keeps, and how it is searched."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fieldsvc.publishing.repeats import ALWAYS, MOST_KNOWN, Repeats
from fieldsvc.store import attempts
from fieldsvc.store.attempts import Attempt, Search
from fieldsvc.store.viewer import Viewer
from tests.sizes import sized

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ROWS = sized(20_000, 2_000_000)


def failed(number: int = 1, **about: Any) -> Attempt:
    fields: dict[str, Any] = {
        "endpoint": "ep_1", "event_id": "evt_1", "n": number, "at": NOW, "status": 500, "ms": 1, "error": None, "body": b"",
    }  # fmt: skip
    return Attempt(**{**fields, **about})


def test_the_first_ten_equal_failures_are_kept_and_then_every_tenth_says_for_how_many_it_stands():
    repeats = Repeats()
    kept = [each for number in range(1, 46) if (each := repeats.kept(failed(number))) is not None]
    assert [each.n for each in kept] == [*range(1, 11), 20, 30, 40]
    assert [each.repeats for each in kept] == [1] * ALWAYS + [10] * 3


def test_a_failure_of_another_kind_or_event_and_every_success_are_kept():
    repeats = Repeats()
    for _ in range(15):
        repeats.kept(failed())
    assert repeats.kept(failed(status=503)) is not None
    assert repeats.kept(failed(event_id="evt_2")) is not None
    assert repeats.kept(failed(endpoint="ep_2")) is not None
    assert all(repeats.kept(failed(event_id="evt_3", status=204)) is not None for _ in range(50))
    assert repeats.kept(failed(status=None, error="timeout")) is not None
    for _ in range(15):
        repeats.kept(failed())
    assert repeats.kept(failed(status=204)) is not None
    assert repeats.kept(failed()) is not None, "a success begins the count anew"


def test_what_is_counted_is_bounded():
    repeats = Repeats()
    for number in range(MOST_KNOWN + 5):
        assert repeats.kept(failed(event_id=f"evt_{number}")) is not None
    assert len(repeats._counts) == MOST_KNOWN


@pytest.fixture
async def logged(client, receiver, database) -> str:
    """An endpoint with attempts of every kind, a minute apart; returns its id."""
    made = await (await client.post("/v1/endpoints", json={"url": receiver.url})).json()
    now, name = datetime.now(UTC) - timedelta(minutes=10), made["id"]
    kinds = [
        {"status": 204, "subject": "item/1", "event_id": "evt_a"},
        {"status": 500, "subject": "item/1", "event_id": "evt_b"},
        {"status": 503, "subject": "item/1", "event_id": "evt_b", "n": 2},
        {"status": None, "error": "timeout", "subject": "item/2", "event_id": "evt_c"},
        {"status": 200, "event_id": "evt_d_b3", "event_ids": ["evt_d", "evt_e", "evt_b"]},
        {"status": 301, "subject": "item/2", "event_id": "evt_c", "replay": "rp_1"},
    ]
    rows = [
        failed(**{"endpoint": name, "n": 1, "at": now + timedelta(minutes=n), **kind}) for n, kind in enumerate(kinds)
    ]
    await attempts.add(database, [*rows, failed(endpoint="ep_other", event_id="evt_b", at=now)])
    return str(name)


SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "301 200 None 503 500 204"),
    ({"status": "ok"}, "200 204"),
    ({"status": "failed"}, "301 None 503 500"),
    ({"status": "503"}, "503"),
    ({"status": "404"}, ""),
    ({"subject": "item/1"}, "503 500 204"),
    ({"subject": "item/1", "status": "failed"}, "503 500"),
    ({"event_id": "evt_b"}, "200 503 500"),
    ({"event_id": "evt_e"}, "200"),
    ({"event_id": "evt_d_b3"}, "200"),
    ({"event_id": "evt_b", "status": "ok"}, "200"),
    ({"event_id": "evt_z"}, ""),
    ({"replay": "rp_1"}, "301"),
    ({"replay": "rp_1", "status": "ok"}, ""),
    ({"since": -8}, "301 200 None 503"),
    ({"until": -8}, "503 500 204"),
    ({"since": -9, "until": -8}, "503 500"),
    ({"since": -9, "subject": "item/2"}, "301 None"),
]


async def test_attempts_are_found_by_what_is_known_of_them(client, logged, database):
    async with database.acquire() as connection:
        first = await connection.fetchval("select min(at) from attempt where endpoint = $1", logged)
    for asked, found in SEARCHES:
        times = {
            name: (first + timedelta(minutes=10 + asked[name])).isoformat()
            for name in {"since", "until"} & asked.keys()
        }
        for limit in (100, 2):
            statuses, cursor = list[str](), ""
            while cursor is not None:
                params = {**asked, **times, "limit": limit, "cursor": cursor}
                page = await (await client.get(f"/v1/endpoints/{logged}/attempts", params=params)).json()
                statuses += [str(each["status"]) for each in page["attempts"]]
                cursor = page["next"]
            assert " ".join(statuses) == found, (asked, limit)


async def test_an_attempt_says_how_many_events_it_carried(client, logged):
    page = await (await client.get(f"/v1/endpoints/{logged}/attempts", params={"event_id": "evt_e"})).json()
    (attempt,) = page["attempts"]
    assert (attempt["event_id"], attempt["events"], attempt["subject"]) == ("evt_d_b3", 3, None)


async def test_a_search_that_makes_no_sense_is_400(client, logged):
    for query in (
        "status=fine", "status=20", "status=0200", "status=", "since=yesterday", "until=2026-13-01T00:00:00Z", "cursor=x",
    ):  # fmt: skip
        assert (await client.get(f"/v1/endpoints/{logged}/attempts?{query}")).status == 400, query


async def test_searches_stay_fast_in_a_long_log(database, journal, client, receiver, note):
    made = await (await client.post("/v1/endpoints", json={"url": receiver.url})).json()
    async with database.acquire() as connection:
        await connection.execute(_LONG, made["id"], ROWS)
        await connection.execute("analyze attempt")
    seen = database.seen_by(Viewer("subscriber", "acct-one"))
    newest = datetime(9000, 1, 1, tzinfo=UTC), "", 0
    middle = datetime.now(UTC) - timedelta(hours=12), "", 0
    took = {}
    for name, about in {
        "newest": {}, "from the middle on": {"before": middle}, "failed": {"failed": True}, "event": {"event_id": "evt_77"},
        "event of a batch": {"event_id": "in_1010"}, "subject": {"subject": "item/7"}, "one status": {"status": (503, 503), "failed": True},
        "replay": {"replay": "rp_1"},
    }.items():  # fmt: skip
        search = Search(**{"since": datetime(2000, 1, 1, tzinfo=UTC), "before": newest, **about})
        started = time.perf_counter()
        found = await attempts.page(seen, made["id"], search, limit=100)
        took[name] = (time.perf_counter() - started) * 1000
        assert found, name
    started = time.perf_counter()
    assert await attempts.last_success(seen, made["id"]) is not None
    took["last success"] = (time.perf_counter() - started) * 1000
    note(f"attempts: searched among {ROWS:,}, ms: " + ", ".join(f"{name} {ms:.0f}" for name, ms in took.items()))
    assert max(took.values()) < 5_000


_LONG = """
insert into attempt (day, endpoint, event_id, n, at, status, ms, body_4k, subject, event_ids, replay)
select (at at time zone 'UTC')::date, case when number % 2 = 0 then $1 else 'ep_other' end, 'evt_' || number / 2, 1, at,
  case when number % 200 = 0 then 503 else 204 end, 5, '', 'item/' || number / 2 % 1000,
  case when number % 1000 = 20 then array(select 'in_' || number - 20 + part from generate_series(1, 100) as part) end,
  case when number % 500 = 4 then 'rp_1' end
from (select number, now() - make_interval(secs => number * 86400.0 / $2::integer) as at from generate_series(1, $2::integer) as number) as made
"""
