"""What accounts are told about their endpoints: once, never lost, never a flood."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from fieldsvc.journal import holds
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Tail
from fieldsvc.journal.retention import WARNED_BEFORE, first_day_kept
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.writer import Writer
from fieldsvc.metrics import Metrics
from fieldsvc.notices.templates import render
from fieldsvc.publishing.operational import Operational, words_of
from fieldsvc.publishing.outage import Patience
from fieldsvc.publishing.watch import Watch
from fieldsvc.store import endpoints as endpoint_store
from fieldsvc.store import told as store
from fieldsvc.store.database import BY_KEY_ONLY, Database, connect
from handlers.fields import format_time, parse_time
from handlers.registry import discover

NOW = datetime.now(UTC)
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0)
ACCOUNT, ENDPOINT = "acct-one", "ep_one"


def ago(**how: float) -> datetime:
    return NOW - timedelta(**how)


@dataclass
class House:
    """A store with one account and one endpoint, and short ways to change and to read it."""

    database: Database
    vault: Vault
    operational: Operational

    async def run(self, text: str, *values: Any) -> Any:
        async with self.database.acquire() as connection:
            return await connection.fetch(text, *values)

    async def add_endpoint(self, name: str, account: str = ACCOUNT) -> None:
        await self.run(
            "insert into endpoint (id, account, url, types, created_at) values ($1, $2, 'https://hook.example/a', '{}', now())",
            name, account,
        )  # fmt: skip
        await self.run("insert into lane (endpoint, leased_until) values ($1, now())", name)

    async def bury(self, count: int, *, subject: str = "item/A", at: datetime = NOW, endpoint: str = ENDPOINT) -> None:
        """Give events up."""
        await self.run(
            "insert into dead_letter (endpoint, event_id, subject, shard, day, pos, at, reason, attempts)"
            " select $1, 'evt_' || gen_random_uuid(), $2, 1, $3, n, $4, 'status 500', 10 from generate_series(1, $5) n",
            endpoint, subject, at.date(), at, count,
        )  # fmt: skip

    async def event(self) -> tuple[str, Any]:
        """Commit one event as the service does; return its id and its place."""
        data = {"run_id": "run-1", "since": "2026-11-21T09:12:00Z", "patience_s": 900.0}
        result = await self.operational.commands.send("silence.began", data)
        (row,) = await self.run("select shard, day, pos from event where kind = 'public' and id = $1", result.id)
        return f"evt_{result.id}", row

    async def told(self, endpoint: str = ENDPOINT) -> list[tuple[str, dict[str, Any]]]:
        """Return what was said about an endpoint, in order, without its id."""
        rows = await self.run(
            "select type, account, public from event where subject = $1 and kind = 'public' order by day, pos",
            f"endpoint/{endpoint}",
        )
        assert {row["account"] for row in rows} <= {ACCOUNT}
        said = [(row["type"], orjson.loads(row["public"])["public"]) for row in rows]
        assert all(data.pop("endpoint_id") == endpoint for _type, data in said)
        return said

    async def mails(self) -> list[tuple[str, str, str]]:
        """Return the template, the address and the subject of the mails that are queued, by their key."""
        rows = await self.run("select template, way, lang, sealed from notice order by key")
        opened = await Opener(self.database, self.vault).open_blobs([row["sealed"] for row in rows])
        assert {row["way"] for row in rows} <= {"email"}
        return [
            (row["template"], content["to"], render(row["template"], row["lang"], content["params"]).subject)
            for row, content in zip(rows, opened, strict=True)
        ]


@pytest.fixture
async def house(database: Database, vault: Vault, tail: Tail, tools: Any) -> AsyncIterator[House]:
    registry = discover()
    writer = Writer(lambda: connect(database.url, **BY_KEY_ONLY), vault, registry, wake=tail)
    writing = asyncio.create_task(writer.run())
    await tools.add_account(database, ACCOUNT)
    found = House(database, vault, Operational(database, vault, Commands(writer, vault, registry), 10))
    for number, revoked in enumerate((False, False, True)):
        await found.run(
            "insert into account (id, kind, name, email, parent, created_at, revoked_at)"
            " values ($1, 'member', $1, $2, $3, now(), case when $4 then now() end)",
            f"acc-m{number}", f"m{number}@pharmacy.example", ACCOUNT, revoked,
        )  # fmt: skip
    await found.add_endpoint(ENDPOINT)
    yield found
    writer.stop()
    await asyncio.wait([writing], timeout=5)
    await tools.stop(writing)


async def test_an_opening_and_its_end_are_each_told_once(house: House):
    opened_at = ago(seconds=40)
    await house.run("update lane set opened_at = $1", opened_at)
    await house.run(
        "insert into attempt (day, endpoint, event_id, n, at, status, ms, error, body_4k)"
        " values ($1, $2, 'evt_1', 1, $3, 503, 5, null, '')",
        opened_at.date(), ENDPOINT, opened_at - timedelta(milliseconds=1),
    )  # fmt: skip
    assert [await house.operational.sweep(NOW) for _ in range(3)] == [1, 0, 0]
    await house.run("update lane set opened_at = null")
    assert [await house.operational.sweep(NOW) for _ in range(3)] == [1, 0, 0]
    since = format_time(opened_at)
    assert await house.told() == [
        ("endpoint.open", {"since": since, "error": "status 503"}),
        ("endpoint.recovered", {"after": "open", "since": since}),
    ]
    assert await house.mails() == []


async def test_a_breaker_that_a_person_reset_did_not_recover(house: House):
    await house.run("update lane set opened_at = $1", ago(hours=1))
    await house.operational.sweep(NOW)
    await endpoint_store.resume(house.database, ENDPOINT)
    assert await house.operational.sweep(NOW) == 0


async def test_each_step_of_an_outage_is_told_once_with_a_mail_to_every_person_of_the_account(house: House):
    since = ago(days=4)
    for step in (50, 70, 90):
        await house.run("update lane set failing_since = $1, last_failed_at = $2, warned = $3", since, NOW, step)
        assert [await house.operational.sweep(NOW) for _ in range(2)] == [1, 0]
    told = await house.told()
    assert [(name, data["percent"]) for name, data in told] == [("endpoint.degraded", step) for step in (50, 70, 90)]
    assert {data["disabled_at"] for _name, data in told} == {format_time(since + Patience().after)}
    mails = await house.mails()
    assert len(mails) == 6
    assert {address for _template, address, _subject in mails} == {"m0@pharmacy.example", "m1@pharmacy.example"}
    assert all("hook.example" in subject for _template, _address, subject in mails)


@pytest.mark.parametrize(("reason", "template"), [("gone", "endpoint_gone"), ("failing", "endpoint_failing")])
async def test_a_disabled_endpoint_is_told_as_often_as_it_is_disabled(house: House, reason: str, template: str):
    for _ in range(2):
        await endpoint_store.stop(house.database, ENDPOINT, state="disabled", reason=reason)
        assert [await house.operational.sweep(NOW) for _ in range(2)] == [1, 0]
        await endpoint_store.resume(house.database, ENDPOINT)
        assert await house.operational.sweep(NOW) == 0
    assert [(name, data["reason"]) for name, data in await house.told()] == [("endpoint.disabled", reason)] * 2
    assert [template for template, *_ in await house.mails()] == [template] * 4


async def test_what_a_process_told_and_could_not_note_is_told_again_and_heard_once(house: House):
    await house.run("update lane set failing_since = $1, warned = 50", ago(days=3))
    await endpoint_store.stop(house.database, ENDPOINT, state="disabled", reason="gone")
    await house.bury(2)
    await house.operational.sweep(NOW)
    once, mails = await house.told(), await house.mails()
    await house.run("delete from told")
    await house.run("update dead_letter set told = false")
    await house.operational.sweep(NOW)
    assert await house.told() == once
    assert await house.mails() == mails
    assert sorted(name for name, _data in once) == ["attempt.exhausted", "attempt.exhausted", "endpoint.disabled"]


async def test_dead_letters_are_told_one_by_one_and_what_is_said_about_endpoints_never(house: House):
    await house.bury(2)
    await house.bury(3, subject=f"endpoint/{ENDPOINT}")
    assert [await house.operational.sweep(NOW) for _ in range(2)] == [2, 0]
    told = await house.told()
    assert {(name, data["about"], data["reason"], data["attempts"]) for name, data in told} == {
        ("attempt.exhausted", "item/A", "status 500", 10)
    }
    assert len({data["event_id"] for _name, data in told}) == 2


async def test_a_flood_of_dead_letters_becomes_a_few_events_and_a_number_and_goes_on_the_next_hour(house: House):
    await house.bury(5_000)
    assert [await house.operational.sweep(NOON) for _ in range(2)] == [20, 0]
    await house.bury(7, subject="item/B", at=NOW + timedelta(seconds=1))
    assert [await house.operational.sweep(NOON + timedelta(minutes=minute)) for minute in (10, 59)] == [0, 0]
    assert house.operational.held_back == 1
    assert await house.operational.sweep(NOON + timedelta(minutes=60)) == 7
    told = await house.told()
    assert [data["more"] for _name, data in told if "more" in data] == [5_000 - 19]
    assert len([data for _name, data in told if data.get("event_id")]) == 19 + 7


async def test_an_endpoint_that_opens_and_closes_all_the_time_is_told_as_it_stands_when_the_hour_allows(house: House):
    house.operational.most_an_hour = 4
    for number in range(10):
        await house.run("update lane set opened_at = $1", None if number % 2 else ago(seconds=100 - number))
        await house.operational.sweep(NOON)
    assert len(await house.told()) == 4
    await house.run("update lane set opened_at = $1", ago(seconds=1))
    await house.operational.sweep(NOON + timedelta(hours=1))
    assert (await house.told())[4:] == [("endpoint.open", {"since": format_time(ago(seconds=1))})]


async def test_a_flood_about_one_endpoint_leaves_the_hour_of_another_alone(house: House):
    await house.add_endpoint("ep_two")
    await house.bury(100)
    await house.bury(1, endpoint="ep_two")
    await house.operational.sweep(NOON)
    assert len(await house.told("ep_two")) == 1


async def test_a_subject_that_blocks_is_told_once_for_each_event_it_stands_at(house: House):
    event, row = await house.event()
    await house.run("update endpoint set on_exhausted = 'block'")
    await house.run(
        "insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)"
        " values ($1, 'item/A', $2, $3, $4, 9, now(), 'timeout', now())",
        ENDPOINT, row["shard"], row["day"], row["pos"],
    )  # fmt: skip
    assert await house.operational.sweep(NOW) == 0
    await house.run("update parked set attempts = 10")
    assert [await house.operational.sweep(NOW) for _ in range(2)] == [1, 0]
    ((name, data),) = await house.told()
    assert (name, data["event_id"], data["about"], data["attempts"]) == ("attempt.exhausted", event, "item/A", 10)


async def test_two_processes_that_sweep_at_once_are_heard_once(house: House):
    await house.run("update lane set opened_at = $1", ago(seconds=5))
    await house.bury(10)
    other = Operational(house.database, house.vault, house.operational.commands, 10)
    await asyncio.gather(house.operational.sweep(NOW), other.sweep(NOW))
    assert len(await house.told()) == 11


async def test_the_job_tells_soon_after_it_is_woken(house: House, tools: Any):
    job = asyncio.create_task(house.operational.run())
    await house.run("update lane set opened_at = $1", ago(seconds=5))
    house.operational.tell(None, "endpoint.open")  # type: ignore[arg-type]
    await tools.poll(house.told)
    await tools.stop(job)


def test_of_an_outage_that_grew_meanwhile_only_the_last_step_is_told():
    row = store.News(
        ENDPOINT, ACCOUNT, "active", None, None, None, ago(days=4.6), 90, None, None, 0, None, None, 0, None, None, "u"
    )
    assert [(word.type, word.data["percent"]) for word in words_of(row, Patience())] == [("endpoint.degraded", 90)]


@pytest.fixture
def watch(house: House) -> Watch:
    return Watch(house.database, house.operational, 900.0)


async def test_an_endpoint_that_falls_behind_is_told_once_and_when_it_caught_up(house: House, watch: Watch):
    now = datetime.now(UTC)
    await house.run(
        "insert into cursor (endpoint, shard, day, pos) select $1, id, $2, 0 from shard", ENDPOINT, NOW.date()
    )
    await watch.look(now)
    await house.event()
    for minutes in (1, 14, 16, 30):
        await watch.look(now + timedelta(minutes=minutes))
    await house.run("update cursor set pos = 1000000")
    for minutes in (40, 50):
        await watch.look(now + timedelta(minutes=minutes))
    (high, over) = await house.told()
    assert high[0] == "lag.high"
    assert high[1]["reason"] == "unacknowledged"
    assert over == ("endpoint.recovered", {"after": "lag", "since": high[1]["since"]})
    metrics = Metrics()
    watch.show(metrics)
    text = metrics.text().decode()
    assert "fieldsvc_endpoints_active 1.0" in text
    assert "fieldsvc_lag_seconds 0.0" in text


async def test_a_parked_event_counts_and_a_paused_endpoint_does_not(house: House, watch: Watch):
    now = datetime.now(UTC)
    _event, row = await house.event()
    await house.run(
        "insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)"
        " values ($1, 'item/A', $2, $3, $4, 1, now(), 'timeout', now())",
        ENDPOINT, row["shard"], row["day"], row["pos"],
    )  # fmt: skip
    await house.run("update endpoint set state = 'paused', stopped_at = now()")
    await watch.look(now + timedelta(hours=1))
    assert await house.told() == []
    await house.run("update endpoint set state = 'active', stopped_at = null")
    await watch.look(now + timedelta(hours=1))
    assert [name for name, _data in await house.told()] == ["lag.high"]


def in_danger_from(day: date) -> datetime:
    """Return the first noon at which a day's events are dropped within a week."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    while first_day_kept((noon + WARNED_BEFORE).date()) <= day:
        noon += timedelta(days=1)
    return noon


async def test_retention_that_is_about_to_pass_a_cursor_is_announced_a_week_before(house: House, watch: Watch):
    """The endpoint is paused: what it has not read is in danger all the same."""
    await house.event()
    await house.run(
        "insert into cursor (endpoint, shard, day, pos) select $1, id, $2, 0 from shard", ENDPOINT, NOW.date()
    )
    await house.run("update endpoint set state = 'paused', stopped_at = now()")
    moment = in_danger_from(NOW.date())
    await watch.look(moment - timedelta(days=1))
    assert await house.told() == []
    held = await holds.put(house.database, uuid4(), purpose="journal", person=None, reference="file 7")
    await watch.look(moment)
    assert await house.told() == []
    await holds.end(house.database, held)
    for hours in (0, 1, 30):
        await watch.look(moment + timedelta(hours=hours))
    ((name, data),) = await house.told()
    assert (name, data["reason"]) == ("lag.high", "retention")
    gone_at = parse_time(data["dropped_at"])
    assert first_day_kept(gone_at.date()) > NOW.date() >= first_day_kept(gone_at.date() - timedelta(days=1))
    assert timedelta(days=6) < gone_at - moment <= timedelta(days=7)
    assert {template for template, *_ in await house.mails()} == {"endpoint_retention"}


async def test_an_endpoint_that_has_read_what_leaves_is_not_warned(house: House, watch: Watch):
    await house.event()
    await house.run(
        "insert into cursor (endpoint, shard, day, pos) select $1, id, $2, 9 from shard", ENDPOINT, NOW.date()
    )
    await house.run("update endpoint set state = 'paused', stopped_at = now()")
    await watch.look(in_danger_from(NOW.date()) + timedelta(days=3))
    assert await house.told() == []
    assert await house.mails() == []


async def test_an_endpoint_that_refuses_what_is_said_about_it_hears_no_more_of_that(
    house: House, endpoints: Any, receiver: Any, start: Any, tools: Any
):
    """An event is given up, that is told, the telling is refused and given up too: there it ends."""
    await house.run("update endpoint set state = 'paused', stopped_at = now()")
    await house.run("update account set scopes = '{operator}' where id = $1", ACCOUNT)
    endpoint, _ = await endpoints.create(ACCOUNT, receiver.url, types=["*"], start="oldest")
    receiver.answer = lambda _got: 500
    event, _place = await house.event()
    await start()

    async def given_up(subject: str) -> list[Any]:
        await house.operational.sweep(NOW)
        return await house.run("select from dead_letter where endpoint = $1 and subject = $2", endpoint.id, subject)

    await tools.poll(lambda: given_up("run/run-1"))
    await tools.poll(lambda: given_up(f"endpoint/{endpoint.id}"))
    assert await house.operational.sweep(NOW) == 0
    ((name, data),) = await house.told(endpoint.id)
    assert (name, data["event_id"]) == ("attempt.exhausted", event)


async def test_what_is_said_about_a_dead_endpoint_reaches_the_accounts_other_one(
    house: House, endpoints: Any, receiver: Any, start: Any, tools: Any
):
    await house.run("update endpoint set state = 'paused', stopped_at = now()")
    dead, _ = await endpoints.create(ACCOUNT, "http://127.0.0.1:9/hook", types=["item.*"], start="oldest")
    await endpoints.create(ACCOUNT, receiver.url, types=["endpoint.*", "attempt.*"], start="oldest")
    await house.run("update lane set opened_at = $1 where endpoint = $2", ago(seconds=1), dead.id)
    await house.operational.sweep(NOW)
    await start()
    await tools.poll(lambda: receiver.acknowledged)
    (got,) = receiver.acknowledged
    said = orjson.loads(got.body)
    assert (said["type"], said["subject"], said["sequence"]) == (
        "fieldsvc.endpoint.open.v1", f"endpoint/{dead.id}", f"{1:020d}",
    )  # fmt: skip
    assert said["data"]["endpoint_id"] == dead.id
