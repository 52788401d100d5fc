"""Side replays, recovery and single events: nothing lost, nothing inverted, and nothing hidden."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from fieldsvc.errors import Conflict, NotFound
from fieldsvc.journal.sealed import Opener
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replay_run import RunLimits
from fieldsvc.publishing.replaying import EmptyWindow, Settled, Wanted
from fieldsvc.publishing.replays import ReplayPace, Replays
from fieldsvc.store import replays as store
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.attempts import add as add_attempts
from tests.replay_tools import (
    all_arrived,
    assert_in_order,
    count,
    ended,
    is_empty,
    of_replay,
    remember_ids,
    state_of,
)

SUBJECTS = [f"item/RK{number}FR" for number in range(12)]
FAST = 1000.0
StartReplays = Callable[..., Awaitable[Replays]]


@pytest.fixture
async def start_replays(database, reader, vault, tools) -> AsyncIterator[StartReplays]:
    """Start what works at replays; it is killed at the end of the test."""
    running: list[Any] = []

    async def begin(*schedule: float, lease_s: float = 0.6, **limits: Any) -> Replays:
        pace = ReplayPace(
            lease_s=lease_s, margin_s=lease_s / 4, renew_s=lease_s / 8, look_s=0.05, save_s=0.02, grace_s=1.0,
            run=RunLimits(**limits),
        )  # fmt: skip
        replays = Replays(
            database, reader, renderer=Renderer(Opener(database, vault)), vault=vault, settings=tools.settings(*schedule), pace=pace
        )  # fmt: skip
        replays.job = asyncio.create_task(replays.run())  # type: ignore[attr-defined]
        running.append(replays.job)  # type: ignore[attr-defined]
        return replays

    yield begin
    for job in running:
        await tools.stop(job)


@pytest.fixture
async def endpoint(endpoints, journal, receiver, tools):
    made, _secret = await endpoints.create(tools.account, receiver.url, start="oldest")
    return SimpleNamespace(id=made.id, account=tools.account)


async def test_a_side_replay_sends_its_window_again_marked_and_leaves_the_live_lane_alone(
    endpoint, replaying, start, start_replays, journal, receiver, tools
):
    await journal.say_all(SUBJECTS * 3)
    await start()
    await tools.poll(all_arrived(receiver, journal))
    old, before = list(journal.ids), len(receiver.got)
    await remember_ids(journal.database)
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    assert (replay.state, replay.sent) == ("running", 0)
    await start_replays()
    await journal.say_all(SUBJECTS)
    await tools.poll(ended(replaying, replay, endpoint))
    await tools.poll(all_arrived(receiver, journal))
    done = await state_of(replaying, replay, endpoint)
    assert (done.sent, done.failed, done.skipped) == (len(old), 0, 0)
    replayed = of_replay(receiver, replay)
    assert Counter(got.id for got in replayed) == Counter(old)
    assert_in_order(replayed)
    live = [got for got in receiver.got[before:] if "fieldsvc-replay" not in got.headers]
    assert Counter(got.id for got in live) == Counter(journal.ids[len(old) :])
    receiver.assert_in_order_and_same()


async def test_a_side_replay_goes_on_after_crashes_with_at_most_a_span_again_and_exact_counts(
    endpoint, endpoints, replaying, start_replays, crash, journal, receiver, tools
):
    await journal.say_all(SUBJECTS * 25)
    receiver.delay_s, span, kills = 0.002, 30, 2
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    for _ in range(kills):
        working, seen = await start_replays(lease_s=0.4, span=span), len(receiver.got)
        await tools.poll(lambda seen=seen: len(receiver.got) > seen + 60)
        await crash(working)
    await start_replays(lease_s=0.4, span=span)
    await tools.poll(ended(replaying, replay, endpoint), within_s=30)
    done = await state_of(replaying, replay, endpoint)
    assert done.sent == len(journal.ids)
    assert {got.id for got in receiver.got} == set(journal.ids)
    assert len(receiver.got) - len(journal.ids) <= kills * (span + 4)
    assert_in_order(receiver.got)


async def test_connections_that_break_cost_a_replay_nothing(
    endpoint, replaying, start_replays, journal, receiver, tools, postgres_url
):
    await journal.say_all(SUBJECTS * 20)
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    await start_replays(lease_s=2.0, span=40)
    for seen in (30, 100, 160):
        await tools.poll(lambda seen=seen: len(receiver.got) > seen)
        await _cut_connections(journal.database, postgres_url)
    await tools.poll(lambda: len({got.id for got in receiver.got}) == len(journal.ids), within_s=20)
    await tools.poll(ended_patiently(replaying, replay, endpoint), within_s=20)
    assert (await state_of(replaying, replay, endpoint)).sent == len(journal.ids)
    assert_in_order(receiver.got)


def ended_patiently(replaying: Any, replay: Any, endpoint: Any) -> Any:
    """As `ended`, on connections of which some may be broken."""

    async def is_done() -> bool:
        try:
            return (await state_of(replaying, replay, endpoint)).state == "done"
        except store.STORE_FAULTS:
            return False

    return is_done


async def _cut_connections(database: Any, postgres_url: str) -> None:
    import asyncpg

    admin = await asyncpg.connect(postgres_url)
    try:
        name = database.url.rsplit("/", 1)[1].split("?")[0]
        await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    finally:
        await admin.close()


async def test_a_replay_has_one_owner_and_a_stale_one_saves_nothing(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    database = journal.database
    await journal.say_all(SUBJECTS * 20)
    receiver.delay_s = 0.02
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    first, second = await start_replays(), await start_replays()
    await tools.poll(lambda: first.owned or second.owned)
    assert len(first.owned) + len(second.owned) == 1
    owner = first if first.owned else second
    stolen: list[Any] = []
    while not stolen:  # until the other of the two is not faster
        await database.pool.execute("update replay set leased_until = now() - interval '1 second'")
        stolen = await store.claim(database, thief := uuid4(), lease_s=60, most=9, of_account=5)
    epoch = stolen[0].epoch
    stale = store.Progress(replay.id, endpoint.id, epoch - 1, 99, 99, 99)
    assert not await store.save(database, owner.owner, stale)
    assert not await store.save(database, thief, stale)
    await store.release(database, thief, replay.id, epoch)
    await tools.poll(ended(replaying, replay, endpoint))
    assert (await state_of(replaying, replay, endpoint)).sent == len(journal.ids)
    assert_in_order(receiver.got)


async def test_types_and_a_window_of_time_choose_what_is_sent_again(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    database = journal.database
    await journal.say_all(SUBJECTS, type_="item.held")
    await database.pool.execute("update event set received_at = received_at - interval '1 hour'")
    inside = await journal.say_all(SUBJECTS, type_="item.held")
    await journal.say_all(SUBJECTS, type_="item.loaded")
    until = datetime.now(UTC)
    await journal.say_all(SUBJECTS, type_="item.held")
    start = (until - timedelta(minutes=30)).isoformat()
    wanted = Wanted(start, until.isoformat(), ["item.held"], rate_per_s=FAST)
    replay = await replaying.side(endpoint.account, endpoint.id, wanted)
    await start_replays()
    await tools.poll(ended(replaying, replay, endpoint))
    assert sorted(got.id for got in receiver.got) == sorted(inside)
    with pytest.raises(EmptyWindow):
        await replaying.side(endpoint.account, endpoint.id, Wanted(until.isoformat(), start))


async def test_only_failed_sends_dead_letters_and_what_was_refused_last(
    endpoint, replaying, start, start_replays, journal, receiver, tools
):
    database, bad = journal.database, {SUBJECTS[0], SUBJECTS[1]}
    receiver.answer = lambda got: 500 if got.subject in bad else 204
    dead = (await journal.say_all([SUBJECTS[0], SUBJECTS[1]]))[:2]
    well = await journal.say_all(SUBJECTS[2:])
    await start(0, 0.01)
    await tools.poll(lambda: count(database, "dead_letter having count(*) = 2"))
    # What is refused below must be the last that is written of it.
    await tools.poll(lambda: count(database, f"attempt where status = 204 having count(*) = {len(well)}"))
    refused, taken = journal.ids[4], journal.ids[5]
    now = datetime.now(UTC)
    await add_attempts(database, [_attempt(endpoint, refused, now, 500), _attempt(endpoint, taken, now, 500)])
    await add_attempts(
        database, [_attempt(endpoint, f"{taken}_b2", now + timedelta(seconds=1), 204, [refused + "x", taken])]
    )
    await add_attempts(database, [_attempt(endpoint, "evt_of no kind", now, 500)])
    await remember_ids(database)
    bad.clear()
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", only_failed=True, rate_per_s=FAST))
    await start_replays()
    await tools.poll(ended(replaying, replay, endpoint))
    assert sorted(got.id for got in of_replay(receiver, replay)) == sorted([*dead, refused])
    assert await count(database, "dead_letter") == 0
    assert await count(database, "replay_event") == 0


def _attempt(endpoint: Any, name: str, at: datetime, status: int, event_ids: Any = ()) -> Attempt:
    return Attempt(endpoint.id, name, 1, at, status, 1, None, b"", event_ids=event_ids)


async def test_an_event_that_fails_in_a_replay_is_counted_and_found_in_the_log_by_the_replay(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    bad = {SUBJECTS[0]}
    receiver.answer = lambda got: 500 if got.subject in bad and got.sequence == 1 else 204
    await journal.say_all(SUBJECTS * 3)
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    await start_replays(0, 0.01, 0.01, 0.01, 0.01)
    await tools.poll(ended(replaying, replay, endpoint))
    done = await state_of(replaying, replay, endpoint)
    assert (done.sent, done.failed) == (len(journal.ids) - 1, 1)
    refused = await journal.database.pool.fetch(
        "select event_id, n from attempt where replay = $1 and status = 500 order by n", replay.id
    )
    assert [(row["event_id"], row["n"]) for row in refused] == [(journal.ids[0], n) for n in (1, 2, 3)]
    assert await count(journal.database, "dead_letter") == 0
    assert_in_order(receiver.got)


async def test_a_replay_waits_for_its_endpoint_and_can_be_paused_and_cancelled(
    endpoint, endpoints, replaying, start_replays, journal, receiver, tools
):
    database, ids = journal.database, (endpoint.account, endpoint.id)
    await journal.say_all(SUBJECTS * 4)
    await database.pool.execute("update lane set opened_at = now()")
    replay = await replaying.side(*ids, Wanted("oldest", rate_per_s=20))
    working = await start_replays()
    assert (await state_of(replaying, replay, endpoint)).waits_for == "endpoint_open"
    await database.pool.execute("update lane set opened_at = null")
    await tools.poll(lambda: receiver.got)
    await endpoints.pause(*ids)
    await tools.poll(lambda: not working.owned)
    assert (await state_of(replaying, replay, endpoint)).waits_for == "endpoint_paused"
    await endpoints.resume(*ids)
    await tools.poll(lambda: working.owned)
    await replaying.pause(*ids, replay.id)
    await tools.poll(lambda: not working.owned)
    sent = len(receiver.got)
    paused = await state_of(replaying, replay, endpoint)
    assert (paused.state, paused.waits_for) == ("paused", None)
    await replaying.resume(*ids, replay.id)
    await tools.poll(lambda: len(receiver.got) > sent)
    await replaying.cancel(*ids, replay.id)
    await tools.poll(lambda: not working.owned)
    assert (await state_of(replaying, replay, endpoint)).state == "cancelled"
    with pytest.raises(Settled):
        await replaying.resume(*ids, replay.id)
    assert await count(database, "dead_letter") == 0


async def test_a_receiver_that_is_down_stops_a_replay_and_fails_no_event(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    await journal.say_all(SUBJECTS * 2)
    await receiver.stop()
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    await start_replays(0, 0.02, 0.05)
    await tools.poll(lambda: count(journal.database, "attempt where n = 0"))
    await receiver.start()
    await tools.poll(ended(replaying, replay, endpoint))
    done = await state_of(replaying, replay, endpoint)
    assert (done.sent, done.failed) == (len(journal.ids), 0)


async def test_what_retention_takes_before_it_is_read_is_counted(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    database = journal.database
    await journal.say_all(SUBJECTS * 5)
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    await database.pool.execute("delete from event where subject_seq < 4")
    await database.pool.execute("update replay_cursor set day = day - 1")  # as if a day had been dropped
    await start_replays()
    await tools.poll(ended(replaying, replay, endpoint))
    done = await state_of(replaying, replay, endpoint)
    assert (done.sent, done.skipped) == (2 * len(SUBJECTS), 3 * len(SUBJECTS))


async def test_a_replay_sends_what_the_account_may_see_now(
    endpoints, replaying, start_replays, journal, receiver, tools
):
    database = journal.database
    await tools.add_account(database, "acct-op", "operator")
    made, _secret = await endpoints.create("acct-op", receiver.url)
    mine = SimpleNamespace(id=made.id, account="acct-op")
    await journal.say_all(SUBJECTS * 4)
    replay = await replaying.side("acct-op", made.id, Wanted("oldest", rate_per_s=30))
    await start_replays()
    await tools.poll(lambda: receiver.got)
    await database.pool.execute("update account set scopes = '{}' where id = 'acct-op'")
    await tools.poll(ended(replaying, replay, mine))
    assert 0 < (await state_of(replaying, replay, mine)).sent < len(journal.ids)


# what was given up, and one event


async def test_recovery_sends_dead_letters_again_in_order_and_tries_parked_subjects_at_once(
    endpoint, replaying, start, start_replays, journal, receiver, tools
):
    database, since = journal.database, datetime.now(UTC) - timedelta(minutes=1)
    bad = {SUBJECTS[0], SUBJECTS[1]}
    receiver.answer = lambda got: 500 if got.subject in bad else 204
    dispatcher = await start(0, 0.01)
    dead = [await journal.say(SUBJECTS[0]) for _ in range(3)]
    await journal.say_all(SUBJECTS[2:])
    await tools.poll(lambda: count(database, "dead_letter having count(*) = 3"))
    await dispatcher.stop()
    parked = [await journal.say(SUBJECTS[1]) for _ in range(3)]
    await start(0, 3600)
    await tools.poll(lambda: count(database, "lane_backlog having count(*) = 2"))
    bad.clear()
    before = len(receiver.got)
    found = await replaying.recover(endpoint.account, endpoint.id, since)
    assert (found.dead_letters, found.parked, found.replay.mode) == (3, 1, "recover")
    await start_replays()
    await tools.poll(ended(replaying, found.replay, endpoint))
    await tools.poll(lambda: len(receiver.got) == before + 6)
    again = receiver.got[before:]
    assert [got.id for got in again if got.subject == SUBJECTS[0]] == dead
    assert [got.id for got in again if got.subject == SUBJECTS[1]] == parked
    for table in ("dead_letter", "replay_event"):
        assert await count(database, table) == 0
    await tools.poll(lambda: is_empty(database, "parked"))


async def test_one_event_is_sent_again_with_its_own_id_and_another_accounts_is_not_there(
    endpoint, endpoints, replaying, journal, receiver, tools
):
    database = journal.database
    mine = await journal.say(SUBJECTS[0])
    theirs = await journal.say(SUBJECTS[1], account="acct-other")
    await remember_ids(database)
    await endpoints.pause(endpoint.account, endpoint.id)
    attempt = await replaying.resend(endpoint.account, endpoint.id, mine)
    assert (attempt.status, attempt.event_id) == (204, mine)
    assert [got.headers["webhook-id"] for got in receiver.got] == [mine]
    assert receiver.got[0].headers["fieldsvc-replay"] == "resend"
    for name in (theirs, "evt_x", "\x00", mine + "_7"):
        with pytest.raises(NotFound):
            await replaying.resend(endpoint.account, endpoint.id, name)
    with pytest.raises(NotFound):
        await replaying.resend("acct-other", endpoint.id, mine)
    notes = await database.pool.fetch("select actor, action, subject, reason from audit")
    assert [tuple(row) for row in notes] == [(endpoint.account, "event.resent", f"endpoint/{endpoint.id}", mine)]


async def test_a_replay_keeps_its_pace_and_that_of_its_endpoint(
    endpoint, endpoints, replaying, start_replays, journal, receiver, tools
):
    await endpoints.change(endpoint.account, endpoint.id, {"rate_per_s": 40.0})
    await journal.say_all(SUBJECTS * 2)
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", rate_per_s=FAST))
    started = time.monotonic()
    await start_replays()
    await tools.poll(ended(replaying, replay, endpoint))
    assert time.monotonic() - started > (len(journal.ids) - 5) / 40


async def test_the_list_of_what_failed_is_made_in_slices_by_the_owner_and_goes_on_after_a_crash(
    endpoint, replaying, start_replays, journal, receiver, tools
):
    database = journal.database
    dead = await journal.say_all(SUBJECTS[:7])
    refused = await journal.say_all(SUBJECTS[:7])
    taken = await journal.say_all(SUBJECTS[:7])
    await remember_ids(database)
    await database.pool.execute(
        "insert into dead_letter select $1, 'evt_' || id, subject, shard, day, pos, now(), 'x', 1 from event"
        " where 'evt_' || id = any($2::text[])",
        endpoint.id, dead,
    )  # fmt: skip
    now = datetime.now(UTC)
    await add_attempts(database, [_attempt(endpoint, name, now, 500) for name in (*dead, *refused, *taken)])
    await add_attempts(database, [_attempt(endpoint, each, now + timedelta(seconds=1), 204) for each in taken])
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", only_failed=True, rate_per_s=FAST))
    assert (replay.state, replay.waits_for) == ("running", "turn")
    assert await count(database, "replay_event") == 0  # the request lists nothing
    (lease,) = await store.claim(database, uuid4(), lease_s=0, most=1, of_account=1)
    assert (await state_of(replaying, replay, endpoint)).waits_for == "list"
    listed = []
    for _ in range(5):
        assert await store.list_some(database, lease.id, lease.epoch, limit=3) is True
        listed.append(await count(database, "replay_event"))
    assert listed[:3] == [3, 6, 7]
    (again,) = await store.claim(database, uuid4(), lease_s=0, most=1, of_account=1)
    assert await store.list_some(database, lease.id, lease.epoch, limit=3) is None
    while await store.list_some(database, again.id, again.epoch, limit=3):
        assert await count(database, "replay_event") >= listed[-1]
    assert await count(database, "replay_event") == 14
    await start_replays()
    await tools.poll(ended(replaying, replay, endpoint))
    assert sorted(got.id for got in of_replay(receiver, replay)) == sorted([*dead, *refused])


async def test_what_an_ended_replay_had_listed_is_forgotten_in_slices(
    endpoint, replaying, journal, monkeypatch: pytest.MonkeyPatch
):
    database = journal.database
    replay = await replaying.side(endpoint.account, endpoint.id, Wanted("oldest", only_failed=True))
    await database.pool.execute(
        "insert into replay_event select $1, 0, now(), n from generate_series(1, 5) n", replay.id
    )
    monkeypatch.setattr(store, "FORGET_SLICE", 3)
    assert not await store.forget_lists(database)
    await replaying.cancel(endpoint.account, endpoint.id, replay.id)
    assert [await store.forget_lists(database), await count(database, "replay_event")] == [True, 2]
    assert [await store.forget_lists(database), await count(database, "replay_event")] == [False, 0]


async def test_one_accounts_slow_replays_do_not_keep_anothers_waiting(
    endpoint, endpoints, replaying, start_replays, journal, receiver, tools
):
    await journal.say_all(SUBJECTS)
    await tools.add_account(journal.database, "acct-other")
    await journal.say_all(SUBJECTS, account="acct-other")
    second, _secret = await endpoints.create(endpoint.account, receiver.url)
    for name in (endpoint.id, second.id):
        for _ in range(10):
            await replaying.side(endpoint.account, name, Wanted("oldest", rate_per_s=0.1))
    working = await start_replays()
    await tools.poll(lambda: len(working.owned) == 5)
    others, _secret = await endpoints.create("acct-other", receiver.url)
    theirs = SimpleNamespace(id=others.id, account="acct-other")
    replay = await replaying.side(theirs.account, theirs.id, Wanted("oldest", rate_per_s=FAST))
    await tools.poll(ended(replaying, replay, theirs))
    assert len(working.owned) == 5


async def test_an_accounts_first_replay_needs_no_free_place_and_the_fewest_come_first(
    endpoint, endpoints, replaying, journal, receiver, tools
):
    database, owner = journal.database, uuid4()
    await tools.add_account(database, "acct-other")
    others, _secret = await endpoints.create("acct-other", receiver.url)
    mine = {(await replaying.side(endpoint.account, endpoint.id, Wanted("oldest"))).id for _ in range(9)}
    first = {each.id for each in await store.claim(database, owner, lease_s=60, most=3, of_account=5)}
    assert first < mine
    assert len(first) == 3
    theirs = [(await replaying.side("acct-other", others.id, Wanted("oldest"))).id for _ in range(2)]
    assert [each.id for each in await store.claim(database, owner, lease_s=60, most=0, of_account=5)] == theirs[:1]
    assert [each.id for each in await store.claim(database, owner, lease_s=60, most=1, of_account=5)] == theirs[1:]
    rest = {each.id for each in await store.claim(database, owner, lease_s=60, most=9, of_account=5)}
    assert len(rest) == 2
    assert rest < mine - first


async def test_replays_asked_for_at_once_are_ten_and_no_more(endpoint, replaying, journal):
    async def ask() -> bool:
        try:
            await replaying.side(endpoint.account, endpoint.id, Wanted("oldest"))
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(ask() for _ in range(30)))) == 10
    with pytest.raises(Conflict):
        await replaying.recover(endpoint.account, endpoint.id, datetime.now(UTC))


async def test_an_endpoint_has_ten_open_replays_and_anothers_are_not_there(endpoint, replaying, journal):
    made = [await replaying.side(endpoint.account, endpoint.id, Wanted("oldest")) for _ in range(10)]
    with pytest.raises(Conflict):
        await replaying.side(endpoint.account, endpoint.id, Wanted("oldest"))
    first = await replaying.page(endpoint.account, endpoint.id, before="", limit=6)
    rest = await replaying.page(endpoint.account, endpoint.id, before=first[-1].id, limit=6)
    assert [each.id for each in (*first, *rest)] == [each.id for each in reversed(made)]
    with pytest.raises(NotFound):
        await replaying.read("acct-other", endpoint.id, made[0].id)
    with pytest.raises(NotFound):
        await replaying.cancel("acct-other", endpoint.id, made[0].id)
