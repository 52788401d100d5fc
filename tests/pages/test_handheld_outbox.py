"""The phone's outbox in a real browser: saved before it is sent, in order, once, and what is wrong says why."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from playwright.async_api import Route

from tests.acceptance.service import Caller, field_event, statuses
from tests.pages.browser import Open, Site, Watch
from tests.pages.outbox_bed import SKEWED, Bed, answering, problem, sent_ids, signal, stored, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


# Saved before anything is sent


async def test_five_hundred_at_once_have_ids_of_their_own_in_the_order_of_seq(bed: Any) -> None:
    one = await bed()
    await one.queue(*(signal(n) for n in range(500)))
    entries = await one.entries()
    ids = [each["id"] for each in entries]
    assert len(set(ids)) == 500
    assert ids == sorted(ids)
    assert [each["seq"] for each in entries] == list(range(1, 501))
    assert [each["event"]["subject"] for each in entries] == [f"object/OB-{n}" for n in range(500)]
    assert {UUID(each).version for each in ids} == {7}
    assert all(UUID(each).variant == "specified in RFC 4122" for each in ids)


async def test_ids_keep_their_order_when_the_clock_stands_still_or_goes_back(bed: Any) -> None:
    one = await bed()
    made = await one.run(
        """const ids = [];
           for (let n = 0; n < 6000; n += 1) ids.push(newId(1_763_800_000_000));
           for (let n = 0; n < 10; n += 1) ids.push(newId(1_763_700_000_000));
           return ids;"""
    )
    assert len(set(made)) == len(made)
    assert made == sorted(made)


async def test_a_batch_of_which_one_cannot_be_saved_saves_none_of_it(bed: Any) -> None:
    one = await bed()
    fault = await one.run(
        """const bad = { type: 'object.signalled', subject: 'object/X', data: { value: () => 1 } };
           return outbox.queueAll([given, bad]).then(() => 'saved', (error) => error.name);""",
        signal(1),
    )
    assert fault == "DataCloneError"
    assert await one.entries() == []


async def test_an_event_carries_its_phone_its_run_and_the_time_it_happened(bed: Any) -> None:
    one, run_id = (
        await bed(),
        f"run-{datetime.now(ZoneInfo('Europe/Paris')).date()}-T07",
    )  # a run of another day is over
    await one.run("await (await open()).set('run', { run_id: given, state: 'started' })", run_id)
    (entry,) = await one.queue(signal(1, at=1_763_715_600_000))
    event = entry["event"]
    assert event["specversion"] == "1.0"
    assert event["id"] == entry["id"]
    assert event["type"] == "fieldsvc.object.signalled.v1"
    assert event["time"] == "2025-11-21T09:00:00.000Z"
    assert event["runid"] == run_id
    assert event["source"].startswith("/devices/d-")
    assert entry["state"] == "waiting"


# Undo


async def test_what_is_held_survives_a_reload_and_is_undone_or_goes_when_its_time_is_over(bed: Any) -> None:
    one = await bed()
    first, second = await one.queue(signal(1, holdMs=60_000), signal(2, holdMs=1_500))
    await one.page.reload()
    assert await one.run("return outbox.undo([given])", first["id"])
    await one.start()
    _, gone = await one.ended("undone", "accepted")
    assert gone["id"] == second["id"]
    assert not await one.run("return outbox.undo(given)", [first["id"], second["id"]])
    assert sent_ids(one.requests) == [[second["id"]]]
    assert [each["id"] for each in stored(one.site, [first, second])] == [second["id"]]


async def test_several_are_undone_together_or_not_at_all(bed: Any) -> None:
    one = await bed()
    held, free = await one.queue(signal(1, holdMs=60_000), signal(2))
    assert not await one.run("return outbox.undo(given)", [held["id"], free["id"]])
    assert await one.states() == ["held", "waiting"]


async def test_nothing_overtakes_what_is_held_of_its_own_subject(bed: Any) -> None:
    one = await bed()
    await one.start()
    first, *_ = await one.queue(signal(1, "A", holdMs=60_000), signal(2, "A"), signal(3, "B"))
    await one.ended("held", "waiting", "accepted")
    assert await one.run("return outbox.undo([given])", first["id"])
    await one.ended("undone", "accepted", "accepted")


async def test_what_is_urgent_leaves_first_behind_what_was_said_before_of_its_own_subject(
    bed: Any, watch: Watch
) -> None:
    watch.forgive("status of 503")
    one = await bed()
    await one.page.route("**/v1/events", answering(problem(503, "unavailable", **{"Retry-After": "600"})))
    await one.start()
    await one.queue(signal(1, "A"), signal(2, "B"))

    async def waits() -> bool:
        return bool((await one.counts())["stopped"])

    await until(waits)
    await one.queue(signal(3, "A", holdMs=60_000), signal(4, "C"), signal(5, "A", urgent=True))
    entries = await one.ended("accepted", "waiting", "accepted", "waiting", "accepted")
    assert sent_ids(one.requests)[-1] == [entries[n]["id"] for n in (0, 2, 4)]
    assert (await one.counts())["stopped"]["reason"] == "server_busy"
    assert entries[1]["reason"] == "server_busy"


# T2


async def test_a_503_is_waited_for_and_of_one_batch_the_good_leave_and_the_bad_say_why(
    bed: Any, site: Site, watch: Watch
) -> None:
    watch.forgive("status of 503")
    one = await bed()
    await one.page.route("**/v1/events", answering(problem(503, "unavailable", **{"Retry-After": "1"})))
    wanted = [
        signal(1),
        signal(2),
        {"type": "object.signalled", "subject": "object/OB-3", "data": {"kind": 3}},
        signal(4),
    ]
    queued = await one.queue(*wanted)
    token = await one.run("return (await (await open()).get('device')).token")
    other = field_event(
        "object.signalled", signal(2)["data"], id=queued[1]["id"], subject="object/OB-2", time="2026-11-22T08:00:00Z"
    )
    assert statuses(Caller(site.service, "same", token).send(other)) == ["accepted"]
    await one.start()
    entries = await one.ended("accepted", "refused", "refused", "accepted")
    assert [each["status"] for each in entries] == ["accepted", "conflict", "quarantined", "accepted"]
    assert [each["reason"] for each in entries] == [None, "conflict", "bad_payload", None]
    assert [each["tries"] for each in entries] == [2, 2, 2, 2]
    counts = await one.counts()
    assert (counts["unsent"], counts["refused"], counts["stopped"]) == (0, 2, None)
    assert counts["last_sent_at"] is not None
    receipt = await one.run("return receiptOf(given)", entries[0]["receipt"])
    assert receipt["ids"] == [each["id"] for each in queued]
    assert receipt["receipt"].count(".") == 2


async def test_a_batch_that_is_refused_whole_is_halved_until_the_one_that_is_at_fault_stands_alone(
    bed: Any, watch: Watch
) -> None:
    watch.forgive("status of 413", "status of 400")
    one = await bed()

    async def refuse(route: Route) -> None:
        events = orjson.loads(route.request.post_data_buffer or b"[]")
        if any(each["subject"] == "object/OB-3" for each in events):
            await route.fulfill(**problem(413, "too_large"))
        elif any(each["subject"] == "object/OB-5" for each in events):
            await route.fulfill(**problem(400, "not_json"))
        else:
            await route.continue_()

    await one.page.route("**/v1/events", refuse)
    await one.queue(*(signal(n) for n in range(8)))
    await one.start()
    states = ["refused" if n in (3, 5) else "accepted" for n in range(8)]
    entries = await one.ended(*states)
    assert [each["reason"] for each in entries if each["state"] == "refused"] == ["too_large", "not_json"]
    assert [each["status"] for each in entries if each["state"] == "refused"] == [None, None]
    await one.page.unroute("**/v1/events")
    await one.run("await outbox.retry(null, { refused: false })")  # as a phone that is joined anew
    assert await one.states() == states
    await one.run("await outbox.retry(given)", entries[3]["id"])
    await one.ended(*("refused" if n == 5 else "accepted" for n in range(8)))


async def test_what_was_on_its_way_as_the_page_was_closed_goes_again_and_is_stored_once(bed: Any, site: Site) -> None:
    one = await bed()

    async def lose_the_answer(route: Route) -> None:
        await route.fetch()

    await one.page.route("**/v1/events", lose_the_answer)
    await one.start()
    queued = await one.queue(signal(1), signal(2))

    async def taken() -> bool:
        return len(stored(site, queued)) == 2

    await until(taken)
    assert await one.states() == ["sending", "sending"]
    await one.page.unroute("**/v1/events")
    await one.page.reload()
    await one.start()
    entries = await one.ended("accepted", "accepted")
    assert [each["status"] for each in entries] == ["duplicate", "duplicate"]
    assert len(stored(site, entries)) == 2


async def test_batches_and_waits_are_as_large_as_they_may_be(page: Open) -> None:
    opened = await page("/")
    found = await opened.evaluate(
        """async () => {
          const m = await import('/static/handheld/batches.js');
          const entry = (seq, size) => ({ seq, state: 'waiting', queued_at: 0, event: { subject: `s/${seq}`, data: 'é'.repeat(size / 2) } });
          const sizes = (list) => list.map(({ seq }) => seq);
          return {
            many: m.pick([...Array(500).keys()].map((n) => entry(n, 10)), 1).length,
            bytes: sizes(m.pick([entry(1, 400_000), entry(2, 400_000), entry(3, 400_000)], 1)),
            alone: sizes(m.pick([entry(1, 2_000_000), entry(2, 10)], 1)),
            first: [m.backoff(1, 0), m.backoff(1, 1)],
            last: [m.backoff(8, 0), m.backoff(99, 1)],
            wishes: ['7', '1.5', 'Sun, 22 Nov 2026 08:00:30 GMT', 'soon', '', '999999'].map((each) => m.retryAfter(each, Date.parse('2026-11-22T08:00:00Z'))),
          };
        }"""
    )
    assert found["many"] == 100
    assert found["bytes"] == [1, 2]
    assert found["alone"] == [1]
    assert (found["first"], found["last"]) == ([1000, 2000], [128_000, 300_000])
    assert found["wishes"] == [7000, 1500, 30_000, None, None, 3_600_000]


# T3


async def test_two_tabs_send_everything_once(bed: Any, site: Site) -> None:
    one = await bed()
    other = await one.page.context.new_page()
    await other.goto(site.url)
    second = Bed(other, site, one.requests)
    other.on("request", second._asked)
    await one.queue(*(signal(n, f"T-{n % 20}") for n in range(250)))
    await one.start()
    await second.start()
    await second.queue(*(signal(n, f"T-{n % 20}") for n in range(250, 450)))
    await one.queue(*(signal(n, f"T-{n % 20}") for n in range(450, 460)))
    entries = await second.ended(*["accepted"] * 460)
    assert {each["status"] for each in entries} == {"accepted"}
    sent = [name for each in sent_ids(one.requests) for name in each]
    assert len(sent) == len(set(sent)) == 460
    assert max(len(each) for each in sent_ids(one.requests)) <= 100
    rows = stored(site, entries)
    assert len(rows) == 460
    for subject in {row["subject"] for row in rows}:
        said = [each["id"] for each in entries if each["event"]["subject"] == subject]
        assert [row["id"] for row in rows if row["subject"] == subject] == said


# T4


async def test_a_clock_two_hours_ahead_is_corrected_and_what_it_said_is_kept(bed: Any, page: Open, site: Site) -> None:
    opened = await page("/")
    await opened.context.add_init_script(SKEWED)
    await opened.evaluate("() => sessionStorage.setItem('skew', String(2 * 3600 * 1000))")
    await opened.reload()
    one = await Bed.joined(site, opened)
    await one.queue(signal(1))
    await one.start()
    (entry,) = await one.ended("accepted")
    assert entry["result"]["warnings"] == ["clock_suspect"]
    (row,) = stored(site, [entry])
    now, said = datetime.now(UTC), datetime.fromisoformat(entry["event"]["time"])
    assert timedelta(minutes=119) < said - now < timedelta(minutes=121)
    assert abs(row["occurred_at"] - now) < timedelta(minutes=1)
