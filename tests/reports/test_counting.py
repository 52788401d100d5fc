"""From the journal to the figures: exactly once, whatever restarts; late truth and corrections change them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from fieldsvc.reports import counter as counter_module
from fieldsvc.reports.counter import Counter
from fieldsvc.store import report as store
from handlers.story import Actor
from tests.reports.conftest import MONTH_FIRST, PARIS, SITE, Town, item, later, until

CREW = ("Alex", "Bo", "Cam", "Dom", "Eli", "Fred")


async def a_day(town: Town, count: int = 6, first: int = 0) -> list[str]:
    """Let a crew deliver as many items, one after the other."""
    return [await town.deliver(item(first + n), CREW[n % len(CREW)]) for n in range(count)]


async def withdraw(town: Town, event: str, name: str) -> None:
    """Take a delivery back, as `event.corrected` of a supervisor does: what was said of it is withdrawn."""
    body = await town.fetch("select public from event where id = $1 and kind = 'public'", event.removeprefix("evt_"))
    assert body
    async with town.database.acquire() as connection:
        await connection.execute(
            "insert into event select day, shard, pos + 1000, gen_random_uuid(), 0, 'public', 'event.corrected', subject, "
            "subject_seq + 1, account, site, run, occurred_at, received_at, $2::bytea, sealed_sha256, chain "
            "from event where id = $1 and kind = 'public'",
            event.removeprefix("evt_"),
            f'{{"public":{{"corrects":"{event}","kind":"did_not_occur","reason":"{name}"}},"supersedes":"{event}"}}'.encode(),
        )


async def test_items_of_three_carriers_are_shown_and_of_two_are_not(town: Town) -> None:
    counter = town.counter()
    for number, carrier in enumerate(("Alex", "Bo") * 4):
        await town.deliver(item(number), carrier)
    await counter.take()
    assert await town.shown() is None
    assert (SITE, "first_presentation") in await town.cells()
    await town.deliver(item(8), "Cam")
    await counter.take()
    assert await town.shown() == (9, 9)


async def test_an_event_counts_once_whoever_counts_and_how_often(town: Town) -> None:
    await a_day(town, 12)
    await asyncio.gather(*(town.counter().take() for _ in range(3)))
    await town.counter().take()
    assert await town.shown() == (12, 12)
    await a_day(town, 6, first=12)
    await town.counter().take()
    assert await town.shown() == (18, 18)


async def test_what_is_stopped_in_the_middle_of_a_count_is_counted_by_the_next(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_day(town, 10)

    async def stopped(*_args: Any, **_more: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(store.Counting, "add_to_cells", stopped)
        with pytest.raises(asyncio.CancelledError):
            await town.counter().take()
    assert await town.cells() == {}
    await town.counter().take()
    assert await town.shown() == (10, 10)


async def test_the_job_counts_what_comes_in_while_it_runs(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_module, "EVERY_S", 0.01)
    jobs = [asyncio.create_task(town.tail.run()), asyncio.create_task(town.counter().run())]
    try:
        await a_day(town, 6)
        await until(town.shown)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def test_late_truth_changes_a_figure_in_company(town: Town) -> None:
    counter = town.counter()
    await a_day(town, 12)
    await counter.take()
    attempted = {"reason": "absent", "next": "represent"}
    for number in range(4):  # a phone that was away had tried before
        data = {"item_id": item(number), **attempted}
        await town.say("item.delivery_attempted", data, carrier=CREW[number], occurred_at=later(minutes=-1))
    await counter.take()
    assert await town.shown() == (12, 12)  # four changes are too few to be seen
    data = {"item_id": item(4), **attempted}
    await town.say("item.delivery_attempted", data, carrier=CREW[4], occurred_at=later(minutes=-1))
    await counter.take()
    assert await town.shown() == (7, 12)


async def test_withdrawn_deliveries_leave_the_figures_and_a_cell_that_gets_too_small_is_hidden(town: Town) -> None:
    counter = town.counter()
    events = await a_day(town, 18)
    await counter.take()
    assert await town.shown() == (18, 18)
    for event in events[:6]:
        await withdraw(town, event, "said_twice")
    await town.fetch(
        "update report_cursor set pos = 0"
    )  # the rows were put in by hand; the counted ones count once all the same
    await counter.take()
    assert await town.shown() == (12, 12)
    for event in events[6:16]:
        await withdraw(town, event, "said_twice")
    await town.fetch("update report_cursor set pos = 0")
    await counter.take()
    assert await town.shown() is None


async def test_ratings_and_disputes_count_with_the_thing_that_they_are_about(town: Town) -> None:
    events = await a_day(town, 6)
    for number in range(6):
        rating = {"rating_id": f"r{number}", "about": f"item/{item(number)}", "score": 10 if number else 2}
        await town.say("rating.given", rating, actor=Actor("adviser"), site=None)
    case = {"case_id": "c1", "event_id": events[0], "about": f"item/{item(0)}", "text": "Rien reçu", "about_site": SITE}
    await town.say("trust.dispute_opened", case, actor=Actor("adviser"), site=None)
    await town.counter().take()
    assert await town.shown("nps") == (4, 6)
    assert await town.shown("disputes") == (1, 6)
    for number in range(6):  # six think better or worse of it
        rating = {"rating_id": f"r{number}", "about": f"item/{item(number)}", "score": 0 if number else 9}
        await town.say("rating.given", rating, actor=Actor("adviser"), site=None)
    await town.counter().take()
    assert await town.shown("nps") == (-4, 6)


async def test_what_phones_say_of_a_service_counts_apart_from_customers(town: Town) -> None:
    for number, carrier in enumerate(CREW):
        rating = {"rating_id": f"p{number}", "about": "service/medication", "score": 9}
        await town.say("rating.given", rating, carrier=carrier)
    await town.counter().take()
    assert await town.shown("carriers_nps") == (6, 6)
    assert await town.shown("nps") is None


async def test_months_are_local_and_close_seven_days_after_their_end(town: Town) -> None:
    counter = town.counter()
    await a_day(town, 4)
    await counter.take()
    assert len(await town.fetch("select mark from report_waiting")) >= 4
    ends = (MONTH_FIRST + timedelta(days=32)).replace(day=1)
    await counter.close(later(days=(ends - later().astimezone(PARIS).date()).days + 6))
    assert await town.fetch("select 1 from report_waiting")
    await counter.close(later(days=(ends - later().astimezone(PARIS).date()).days + 8))
    assert not await town.fetch("select 1 from report_waiting")
    (month,) = await town.fetch("select key, closed_at from report_month")
    assert month["key"] is None
    assert month["closed_at"] is not None
    await a_day(town, 12, first=50)
    await counter.take()
    assert await town.shown() is None  # the month is over: late truth of it changes nothing any more


async def test_an_account_has_the_figures_of_its_own_orders_only(town: Town) -> None:
    for number in range(12):
        task = {
            "task_id": f"tsk_{number}",
            "service": "item",
            "subject": f"item/{item(number)}",
            "on": later().date().isoformat(),
            "delivery_point": "dp-1",
        }
        account = "acc-1" if number < 7 else "acc-2"
        await town.commands.send("task.planned", task, actor=Actor("subscriber", account), handler="item")
    await a_day(town, 12)
    await town.counter().take()
    own = (await town.cells("acc-1"))[SITE, "first_presentation"]
    assert (own.is_shown, own.denominator) == (True, 7)
    other = (await town.cells("acc-2"))[SITE, "first_presentation"]
    assert (other.is_shown, other.denominator) == (True, 5)
    assert await town.shown() == (12, 12)


async def test_no_carrier_device_or_run_is_in_any_table_of_the_figures(town: Town) -> None:
    """By the columns, and by every value, while the month is still open."""
    await a_day(town, 8)
    await town.say("rating.given", {"rating_id": "r", "about": "service/item", "score": 3}, carrier="Alex")
    await town.counter().take()
    columns = await town.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'public' "
        "and (table_name like 'report%' or table_name in ('case_file', 'idea', 'pilot'))"
    )
    names = {(row["table_name"], row["column_name"]) for row in columns}
    assert len(names) > 40
    forbidden = ("carrier", "device", "run", "round", "person", "voice", "author")
    assert not [pair for pair in names if any(word in pair[1] for word in forbidden)]
    tables = ("cursor", "month", "subject", "cell", "waiting")
    dump = str([await town.fetch(f"select t::text as row from report_{name} t") for name in tables])
    assert "IT0001" in dump
    assert not [name for name in (*CREW, "run-") if name in dump]


async def test_after_the_month_nothing_that_is_left_links_a_figure_to_anybody(town: Town) -> None:
    counter: Counter = town.counter()
    await a_day(town, 4)  # these never find company
    await a_day(town, 12, first=20)
    await counter.take()
    await counter.close(later(days=45))
    for table in ("cell", "subject", "waiting", "month"):
        rows = await town.fetch(f"select * from report_{table}")
        assert not [row for row in rows for value in row.values() if isinstance(value, bytes)], table
    cells = (await town.cells()).values()
    assert {cell.denominator for cell in cells if cell.is_shown} == {16}
