"""Rewinding the live cursor, and skipping to now: nothing lost, nothing inverted, and nothing hidden."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import pytest

from fieldsvc.errors import Conflict
from fieldsvc.publishing.feed import CursorExpired
from fieldsvc.publishing.replaying import Wanted
from fieldsvc.store import lanes
from fieldsvc.store.endpoints import cursors as endpoint_cursors
from fieldsvc.store.lanes import Changes
from tests.replay_tools import all_arrived, assert_in_order, at_end, count, remember_ids

SUBJECTS = [f"item/RK{number}FR" for number in range(12)]


@pytest.fixture
async def endpoint(endpoints, journal, receiver, tools):
    made, _secret = await endpoints.create(tools.account, receiver.url, start="oldest")
    return SimpleNamespace(id=made.id, account=tools.account)


async def test_a_rewind_sends_everything_since_again_in_order_while_more_comes(
    endpoint, replaying, start, journal, receiver, tools
):
    await journal.say_all(SUBJECTS * 8)
    await start(lease_s=0.6)
    await tools.poll(all_arrived(receiver, journal))
    receiver.delay_s = 0.01
    await journal.say_all(SUBJECTS * 4)
    await tools.poll(lambda: len(receiver.got) > len(SUBJECTS) * 9)
    replay = await replaying.rewind(endpoint.account, endpoint.id, "oldest")
    assert (replay.mode, replay.state) == ("rewind", "done")
    first = await journal.database.pool.fetchval("select leased_until from lane")
    before = len(receiver.got)
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: sum(got.sequence == 1 for got in receiver.got) == 2 * len(SUBJECTS))
    assert datetime.now(UTC) > first  # nobody sends before the lease of the one who did has run out
    again = next(index for index, got in enumerate(receiver.got[before:], before) if got.sequence == 1)
    await tools.poll(lambda: {got.id for got in receiver.got[again:]} >= set(journal.ids))
    assert_in_order(receiver.got[again:])
    assert receiver.overlaps == 0


async def test_rewinds_among_kills_and_failures_lose_and_invert_nothing(
    endpoint, replaying, start, crash, journal, receiver, tools
):
    random = Random(11)
    receiver.answer = lambda _got: 204 if random.random() < 0.8 else 500
    for _ in range(3):
        await journal.say_all([random.choice(SUBJECTS) for _ in range(40)])
        await remember_ids(journal.database)
        dispatcher, seen = await start(0, *[0.02] * 40, lease_s=0.4, span=30), len(receiver.got)
        await tools.poll(lambda seen=seen: len(receiver.got) >= seen + 20)
        await replaying.rewind(endpoint.account, endpoint.id, random.choice(["oldest", *journal.ids]))
        await tools.poll(lambda seen=seen: len(receiver.got) >= seen + 40)
        await crash(dispatcher)
    await replaying.rewind(endpoint.account, endpoint.id, "oldest")
    before = len(receiver.got)
    await start(0, *[0.02] * 40, lease_s=0.4)
    await tools.poll(lambda: {got.id for got in receiver.got[before:] if got.acknowledged} >= set(journal.ids))
    assert_in_order([got for got in receiver.got[before:] if got.acknowledged])
    assert await count(journal.database, "dead_letter") == 0


async def test_a_rewind_frees_what_is_parked_behind_it_and_leaves_what_is_parked_before(
    endpoint, replaying, start, journal, receiver, tools
):
    database, bad = journal.database, {SUBJECTS[0], SUBJECTS[1]}
    receiver.answer = lambda got: 500 if got.subject in bad else 204
    early = await journal.say(SUBJECTS[0])
    await start(0, 3600)
    await tools.poll(lambda: count(database, "parked"))
    middle = await journal.say(SUBJECTS[2])
    await journal.say_all([SUBJECTS[0], SUBJECTS[1], SUBJECTS[1], *SUBJECTS[2:]])
    await tools.poll(lambda: count(database, "lane_backlog having count(*) = 2"))
    await tools.poll(lambda: at_end(journal, endpoint))
    await database.pool.execute(
        "update event set received_at = received_at - interval '1 hour' where id = $1", _uuid(early)
    )
    await remember_ids(database)
    bad.clear()
    before = len(receiver.got)
    await replaying.rewind(endpoint.account, endpoint.id, middle)
    assert [row["subject"] for row in await database.pool.fetch("select subject from parked")] == [SUBJECTS[0]]
    await tools.poll(lambda: len({got.id for got in receiver.got[before:]} & set(journal.ids)) == 1 + 2 + 10)
    assert early not in {got.id for got in receiver.got[before:]}
    assert await count(database, "lane_backlog") == 1
    await replaying.recover(endpoint.account, endpoint.id, datetime.now(UTC) - timedelta(hours=1))
    await tools.poll(all_arrived(receiver, journal))
    receiver.assert_in_order_and_same()


def _uuid(event_id: str) -> str:
    return event_id.removeprefix("evt_")


async def test_a_rewind_never_moves_a_cursor_forward(endpoint, replaying, journal):
    await journal.say_all(SUBJECTS)
    await replaying.rewind(endpoint.account, endpoint.id, (datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert await count(journal.database, "cursor where pos > 0") == 0


async def test_what_the_owner_of_before_still_saves_does_not_undo_a_rewind(
    endpoint, replaying, start, journal, receiver, tools
):
    await journal.say_all(SUBJECTS * 3)
    dispatcher = await start(lease_s=5.0)
    await tools.poll(lambda: at_end(journal, endpoint))
    lane = await journal.database.pool.fetchrow("select owner, epoch from lane")
    late = Changes(endpoint.id, lane["epoch"], cursors=await endpoint_cursors(journal.database, endpoint.id))
    await replaying.rewind(endpoint.account, endpoint.id, "oldest")
    assert await lanes.save(journal.database, lane["owner"], [late]) == set()
    await tools.poll(lambda: not dispatcher.owned)
    assert await count(journal.database, "cursor where pos > 0") == 0
    await journal.database.pool.execute("update lane set leased_until = now()")  # as if its lease had run out
    await tools.poll(lambda: len(receiver.got) == 2 * len(journal.ids))
    assert set(Counter(got.id for got in receiver.got).values()) == {2}


async def test_dead_letters_behind_a_rewind_are_tried_again_and_recorded_again(
    endpoint, replaying, start, journal, receiver, tools
):
    receiver.answer = lambda got: 500 if got.subject == SUBJECTS[0] else 204
    await journal.say_all(SUBJECTS)
    await start(0, 0.01, lease_s=0.6)
    await tools.poll(lambda: count(journal.database, "dead_letter"))
    await replaying.rewind(endpoint.account, endpoint.id, "oldest")
    assert await count(journal.database, "dead_letter") == 0
    await tools.poll(lambda: count(journal.database, "dead_letter"))
    assert len([got for got in receiver.got if got.subject == SUBJECTS[0]]) == 4


async def test_a_rewind_behind_what_is_kept_is_refused_with_the_oldest_cursor(endpoint, replaying, journal, feed):
    await journal.say_all(SUBJECTS * 2)
    await journal.database.pool.execute("delete from event where subject_seq = 1")
    with pytest.raises(CursorExpired) as refused:
        await replaying.rewind(endpoint.account, endpoint.id, "2020-01-01T00:00:00Z")
    assert await feed.resolve(str(refused.value.extra["oldest"])) == await feed.resolve("")
    with pytest.raises(CursorExpired):
        await replaying.side(endpoint.account, endpoint.id, Wanted("2020-01-01T00:00:00Z"))
    assert await replaying.page(endpoint.account, endpoint.id, before="", limit=9) == []


# skipping to now


async def test_a_stopped_endpoint_may_skip_to_now_and_is_told_how_much(
    endpoint, endpoints, replaying, start, journal, receiver, tools
):
    receiver.answer = lambda got: 500 if got.subject == SUBJECTS[0] else 204
    await journal.say_all([SUBJECTS[0], *SUBJECTS])
    dispatcher = await start(0, 3600)
    await tools.poll(lambda: count(journal.database, "lane_backlog"))
    await tools.poll(lambda: at_end(journal, endpoint))
    with pytest.raises(Conflict):
        await endpoints.resume(endpoint.account, endpoint.id, skip=True)
    await endpoints.pause(endpoint.account, endpoint.id)
    await tools.poll(lambda: not dispatcher.owned)
    await journal.say_all(SUBJECTS)
    await journal.say_all(SUBJECTS, account="acct-other")
    before = len(receiver.got)
    resumed, how = await endpoints.resume(endpoint.account, endpoint.id, skip=True)
    assert (resumed.state, how.skipped, how.oldest) == ("active", 2 + len(SUBJECTS), None)
    (record,) = await replaying.page(endpoint.account, endpoint.id, before="", limit=9)
    assert (record.mode, record.state, record.skipped) == ("skip", "done", how.skipped)
    receiver.answer = lambda _got: 204
    late = await journal.say(SUBJECTS[0])
    await tools.poll(lambda: len(receiver.got) > before)
    assert [got.id for got in receiver.got[before:]] == [late]


async def test_who_resumes_behind_retention_is_warned(endpoint, endpoints, journal, feed):
    await journal.say_all(SUBJECTS * 2)
    await endpoints.pause(endpoint.account, endpoint.id)
    _endpoint, how = await endpoints.resume(endpoint.account, endpoint.id)
    assert (how.skipped, how.oldest) == (None, None)
    await endpoints.pause(endpoint.account, endpoint.id)
    await journal.database.pool.execute("delete from event where subject_seq = 1")
    _endpoint, how = await endpoints.resume(endpoint.account, endpoint.id)
    assert await feed.resolve(how.oldest) == await feed.resolve("")
