"""The roster and the changes of a day, in the journal: who is away, what is in danger, what moves, and what comes to an end."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.errors import NotFound
from fieldsvc.journal.timers import Timers
from fieldsvc.sites import Sites
from fieldsvc.store import roster as store
from fieldsvc.store import run as runs
from fieldsvc.store.database import Seen
from fieldsvc.store.viewer import Viewer
from fieldsvc.work.errors import BadImport, BadMove, BadRoster, CarrierAway, NoRunToday, NothingToMove, RunOver
from fieldsvc.work.imports import import_roster, import_rounds, roster_days
from fieldsvc.work.roster import Rosters, read_roster
from fieldsvc.work.run_changes import Between, HandOver, RunChanges, Split, read_change
from fieldsvc.work.runs import Runs
from fieldsvc.work.task_body import read_body
from fieldsvc.work.tasks import Orderer
from handlers.registry import Registry
from handlers.story import Actor
from tests.work.conftest import PARIS, TODAY, Office, in_hours, lines, saved

SITE = "site-pantin"
BY = {"by": Actor("supervisor", entered_by="acc"), "sites": Sites(SITE)}
WINDOW = {"from": in_hours(1), "until": in_hours(2)}
ALL_DAY = (TODAY, TODAY)


def run_id(round_id: str) -> str:
    return f"run-{TODAY}-{round_id}"


@pytest.fixture
async def town(office: Office) -> Office:
    """The three rounds of the town at one site, walked by Zoé, Léo and nobody."""
    async with office.database.acquire() as connection:
        await connection.execute("insert into site values ($1, now()) on conflict do nothing", SITE)
        await connection.execute("update round set site = $1", SITE)
    await import_roster(
        office.database, lines(f"date,round_id,carrier\n{TODAY},T01,Zoé\n{TODAY},T02,Léo\n{TODAY},T03,\n")
    )
    await office.runs.plan_day(TODAY)
    return office


def seen(office: Office) -> Seen:
    return office.database.seen_by(Viewer("supervisor", site=SITE))


def rosters(office: Office) -> Rosters:
    return Rosters(office.database, office.runs)


def changes(office: Office) -> RunChanges:
    return RunChanges(office.database, office.commands, office.runs)


async def put(office: Office, **body: Any) -> dict[str, int]:
    return await rosters(office).change(read_roster(body), SITE)


def row(round_id: str, carrier: str | None, **more: Any) -> dict[str, Any]:
    return {"day": str(TODAY), "round_id": round_id, "carrier": carrier, **more}


async def order(office: Office, service: str, name: str, *, stop: int = 3, on: date = TODAY, **more: Any) -> str:
    body = {
        "service": service,
        "subject": name,
        "delivery_point": office.town.rounds[0].stops[stop].point.id,
        "on": str(on),
    }
    made = await office.tasks.create(read_body({**body, **more}), Orderer(Actor("supervisor"), site=SITE))
    return str(made["task_id"])


async def ring(office: Office, minutes: float = 0.1) -> None:
    """Fire what is due within some minutes, and what that makes due."""
    for _ in range(4):
        await Timers(office.database, office.commands).fire(datetime.now(UTC) + timedelta(minutes=minutes))


async def last_fact(office: Office, subject: str) -> str:
    return (await office.said(subject))[-1]


async def version(office: Office, round_id: str) -> int:
    found = await runs.read(office.database, run_id(round_id))
    assert found is not None
    return found.sheet_version


async def test_an_absence_leaves_the_rounds_of_that_day_without_a_carrier_at_once(town: Office) -> None:
    device, _ = await town.device("Zoé", site=SITE)
    assert (await town.runs.current_run(device)).round_id == "T01"
    assert await put(town, absences=[{"day": str(TODAY), "carrier": "Zoé", "kind": "sick"}]) == {"rows": 0, "told": 1}
    assert await town.said(f"run/{run_id('T01')}") == ["run.planned", "run.uncovered"]
    with pytest.raises(NoRunToday):
        await town.runs.current_run(device)
    found, _ = await rosters(town).read(seen(town), SITE, ALL_DAY, after=(date.min, ""), limit=10)
    assert found["rows"][0] == {
        "day": TODAY,
        "round_id": "T01",
        "carrier": "Zoé",
        "qualifications": [],
        "absence": "sick",
    }
    assert found["absences"] == [{"site": SITE, "day": TODAY, "carrier": "Zoé", "kind": "sick"}]
    await put(town, rows=[row("T01", "Zoé")])
    assert await last_fact(town, f"run/{run_id('T01')}") == "run.covered"


async def test_the_roster_is_changed_row_by_row_and_read_in_pages(town: Office) -> None:
    known = [{"carrier": "Awa", "qualifications": ["pouches", "keys"]}]
    await put(town, rows=[row("T03", "Awa", qualifications=["visits"], starts_at="06:45")], carriers=known)
    assert await last_fact(town, f"run/{run_id('T03')}") == "run.covered"
    first, following = await rosters(town).read(seen(town), SITE, ALL_DAY, after=(date.min, ""), limit=2)
    assert [each["round_id"] for each in first["rows"]] == ["T01", "T02"]
    assert {"site": SITE, "carrier": "Awa", "qualifications": ["pouches", "keys"]} in first["carriers"]
    assert following is not None
    rest, none = await rosters(town).read(seen(town), SITE, ALL_DAY, after=following, limit=2)
    assert rest["rows"] == [
        {"day": TODAY, "round_id": "T03", "carrier": "Awa", "qualifications": ["visits"], "starts_at": "06:45"}
    ]
    assert (none, rest.keys()) == (None, {"rows"})
    with pytest.raises(NotFound):
        await rosters(town).change(read_roster({"rows": [row("T01", "Zoé")]}), "another")
    with pytest.raises(BadRoster):
        await rosters(town).read(seen(town), SITE, (TODAY, TODAY - timedelta(days=1)), after=(date.min, ""), limit=2)


@pytest.mark.parametrize(
    "body",
    [
        [], {"rows": [{"day": "2026-11-21"}]}, {"rows": [row("T01", "Zoé", absence="tired")]}, {"rows": [row("T01", "  ")]},
        {"rows": [row("T01", "a\x00b")]}, {"rows": [row("T01", "Zoé", starts_at="7h30")]}, {"usual_start": "25:00"},
        {"rows": [{**row("T01", "Zoé"), "day": "today"}]}, {"surprise": 1}, {"usual_start": "07:30:00+01:00"},
    ],
)  # fmt: skip
def test_a_roster_that_is_wrong_is_refused_without_its_values(body: Any) -> None:
    with pytest.raises(BadRoster) as refused:
        read_roster(body)
    assert not any(word in refused.value.detail for word in ("tired", "7h30", "Zoé", "a\x00b"))


async def test_a_file_may_say_who_is_away_and_when_runs_start(town: Office) -> None:
    text = f"date,round_id,carrier,qualifications,absence,starts_at\n{TODAY},T01,Zoé,,leave,\n{TODAY},T02,Léo,keys,,07:15\n"
    await town.runs.tell_changes(await roster_days(town.database, lines(text)))
    assert await last_fact(town, f"run/{run_id('T01')}") == "run.uncovered"
    assert (await town.said(f"run/{run_id('T02')}")).count("run.planned") == 2
    await import_roster(town.database, lines(f"date,round_id,carrier\n{TODAY},T01,Zoé\n"))
    assert [each.kind for each in await store.absences(town.database, SITE, ALL_DAY)] == ["leave"]
    for bad in ("Zoé,,tired,", ",,sick,", "Zoé,,,7h"):
        with pytest.raises(BadImport, match="line 2"):
            await import_roster(town.database, [text.splitlines(keepends=True)[0], f"{TODAY},T01,{bad}\n"])


async def test_a_run_starts_when_its_row_says_else_its_site_else_the_hours_of_duty(town: Office) -> None:
    async def starts() -> list[object]:
        rows = await town.fetch("select starts_at from run where day = $1 order by id", TODAY)
        return [each["starts_at"] for each in rows]

    assert await starts() == [None, None, None]
    await put(town, rows=[row("T01", "Zoé", starts_at="05:30")], usual_start="07:30")
    assert await starts() == [time(5, 30), time(7, 30), time(7, 30)]
    by_hours = Runs(town.database, town.commands, PARIS, hours=(time(8), time(15)))
    await put(town, usual_start=None)
    await by_hours.plan_day(TODAY)
    assert await starts() == [time(5, 30), time(8), time(8)]


async def test_an_uncovered_run_tells_each_open_window_once_and_a_new_one_too(town: Office) -> None:
    with_window = await order(town, "item", "item/RK1", window=WINDOW)
    await order(town, "item", "item/RK2")
    await put(town, rows=[row("T01", None)])
    await ring(town)
    assert await town.said("item/RK1") == ["task.planned", "timer.threatened"]
    assert await town.said("item/RK2") == ["task.planned"]
    await order(town, "item", "item/RK3", window=WINDOW)
    await town.commands.send("run.uncovered", {"run_id": run_id("T01")}, run=run_id("T01"))
    await ring(town)
    assert await town.said("item/RK3") == ["task.planned", "timer.threatened"]
    assert await town.said("item/RK1") == ["task.planned", "timer.threatened"]
    shown = await town.tasks.read(with_window, Orderer(Actor("supervisor"), site=SITE))
    assert shown["at_risk"] == "uncovered"
    await put(town, rows=[row("T01", "Zoé")])
    await ring(town)
    assert await last_fact(town, "item/RK1") == "timer.relieved"
    assert (await town.tasks.read(with_window, Orderer(Actor("supervisor"), site=SITE)))["at_risk"] is None


async def payload_of(office: Office, kind: str) -> dict[str, Any]:
    return dict(orjson.loads(str(await office.value("select payload from timer where kind = $1", kind))))


async def test_what_will_not_be_served_is_told_to_every_open_task_and_a_start_ends_it(
    town: Office,
) -> None:
    name = run_id("T01")
    task_id = await order(town, "item", "item/RK1")
    await town.commands.send(
        "run.not_served", {"run_id": name, "reason": "weather"}, run=name, actor=Actor("supervisor")
    )
    assert await payload_of(town, "threatened") == {"reason": "run_not_served", "task_id": task_id, "run_id": name}
    await ring(town)
    assert await last_fact(town, "item/RK1") == "timer.threatened"
    await town.commands.send("run.started", {"run_id": name}, run=name)
    assert (await payload_of(town, "relieved"))["withdrawn"] is False
    await ring(town)
    assert await last_fact(town, "item/RK1") == "timer.relieved"


async def test_a_run_that_did_not_start_in_time_is_late_without_anybody_asking(town: Office) -> None:
    await order(town, "item", "item/RK1", window=WINDOW)
    await put(town, usual_start="00:00")
    await ring(town)
    now = datetime.now(UTC).astimezone(PARIS)
    late = now.hour > 0 or now.minute >= 10
    assert ("timer.threatened" in await town.said("item/RK1")) == late
    assert await town.value("select risk from run where id = $1", run_id("T01")) == ("late_start" if late else None)
    begun = datetime.now(UTC) - timedelta(hours=1)
    await town.commands.send("run.started", {"run_id": run_id("T01")}, run=run_id("T01"), occurred_at=begun)
    assert await town.value("select risk from run where id = $1", run_id("T01")) is None
    if late:
        assert (await payload_of(town, "relieved"))["withdrawn"] is True


async def test_every_service_that_takes_tasks_lives_with_a_danger_and_its_end(registry: Registry) -> None:
    from tests.handlers.conftest import Story

    for handler in registry.handlers.values():
        if handler.takes_tasks:
            story = Story(handler, f"{handler.subject.partition('/')[0]}/X-1")
            story.order(
                window={"from": "2026-11-21T08:00:00Z", "until": "2026-11-21T13:00:00Z"}, requirements=["signature"]
            )
            about = {"reason": "late_start", "task_id": "tsk_1", "run_id": "run-2026-11-21-T07"}
            story.add("timer.threatened", about, 5, by="server")
            story.add("timer.relieved", {**about, "withdrawn": True}, 6, by="server")
            assert len(story.said("task.planned")) == 1, handler.name


async def test_a_run_that_goes_to_another_carrier_is_on_their_phone_with_a_new_version(town: Office) -> None:
    zoe, _ = await town.device("Zoé", site=SITE)
    awa, _ = await town.device("Awa", site=SITE, round_id="T03")
    await town.runs.current_run(zoe)
    before = await version(town, "T03")
    moved = await changes(town).reassign(run_id("T03"), "Zoé", **BY)
    assert moved["carrier"] == "Zoé"
    assert moved["sheet_version"] > before
    assert (await town.runs.own_run(zoe, run_id("T03"))).round_id == "T03"
    assert await town.said(f"run/{run_id('T03')}") == ["run.planned", "run.uncovered", "run.reassigned", "run.covered"]
    assert await town.runs.plan_day(TODAY) == 0
    await changes(town).reassign(run_id("T01"), "Awa", **BY)
    with pytest.raises(NotFound):
        await town.runs.own_run(zoe, run_id("T01"))
    assert set(await store.rounds_of(town.database, awa, TODAY)) == {"T01"}


async def test_who_has_no_roster_keeps_their_own_run_beside_the_one_they_get(town: Office) -> None:
    async with town.database.acquire() as connection:
        await connection.execute("delete from roster where round_id = 'T03'")
        await connection.execute("delete from run where round_id = 'T03'")
    awa, _ = await town.device("Awa", site=SITE, round_id="T03")
    await town.runs.plan_day(TODAY)
    await changes(town).reassign(run_id("T01"), "Awa", **BY)
    await town.runs.plan_day(TODAY)
    assert set(await store.rounds_of(town.database, awa, TODAY)) == {"T01", "T03"}


async def test_a_run_goes_to_nobody_who_is_unknown_or_away_and_no_run_that_is_over_goes(town: Office) -> None:
    with pytest.raises(BadMove):
        await changes(town).reassign(run_id("T01"), "Nobody Known", **BY)
    await put(town, absences=[{"day": str(TODAY), "carrier": "Léo", "kind": "training"}])
    with pytest.raises(CarrierAway):
        await changes(town).reassign(run_id("T01"), "Léo", **BY)
    for wrong, site in ((run_id("T99"), SITE), (run_id("T01"), "another")):
        with pytest.raises(NotFound):
            await changes(town).reassign(wrong, "Zoé", by=BY["by"], sites=Sites(site))  # type: ignore[arg-type]
    for name in ("run.started", "run.ended"):
        await town.commands.send(name, {"run_id": run_id("T01")}, run=run_id("T01"))
    with pytest.raises(RunOver):
        await changes(town).reassign(run_id("T01"), "Zoé", **BY)


async def test_part_of_the_stops_moves_with_its_open_work_and_stays_moved(town: Office, tmp_path: Any) -> None:
    stops = town.town.rounds[0].stops
    inside, outside = await order(town, "item", "item/RK1", stop=3), await order(town, "item", "item/RK2", stop=20)
    async with town.database.acquire() as connection:
        await connection.execute("update task set seen_at = now()")
    before = [await version(town, name) for name in ("T01", "T02")]
    asked = read_change(Split, {"to_run": run_id("T02"), "stops": {"from": stops[2].stop_id, "to": stops[5].stop_id}})
    moved = await changes(town).split_as(run_id("T01"), asked, **BY)
    after = [moved[side]["sheet_version"] for side in ("giver", "taker")]
    assert all(new > old for new, old in zip(after, before, strict=True))
    rows = {each["id"]: each for each in await town.fetch("select id, round_id, seen_at from task")}
    assert (rows[inside]["round_id"], rows[inside]["seen_at"]) == ("T02", None)
    assert (rows[outside]["round_id"], rows[outside]["seen_at"] is None) == ("T01", False)
    part = [each.stop_id for each in stops[2:6]]
    assert (await stops_on_sheet(town, "T02"))[-4:] == part
    assert not set(part) & set(await stops_on_sheet(town, "T01"))
    await order(town, "item", "item/RK3", stop=4)
    assert await town.value("select round_id from task where subject = 'item/RK3'") == "T02"
    await import_rounds(town.database, saved(tmp_path, town.town.rounds_geojson().replace("Rue", "rue")), zone=PARIS)
    assert await town.value("select round_id from task where id = $1", inside) == "T02"
    for subject in (f"run/{run_id('T01')}", f"run/{run_id('T02')}"):
        said = await town.fetch("select type from event where kind = 'public' and subject = $1", subject)
        assert "run.split" in {each["type"] for each in said}


async def stops_on_sheet(office: Office, round_id: str) -> list[str]:
    run = await runs.read(office.database, run_id(round_id))
    assert run is not None
    return [each["stop_id"] for each in (await office.sheets.sheet(run))["stops"]]


async def test_chosen_tasks_move_alone_and_a_change_of_the_order_leaves_them_there(town: Office) -> None:
    task_id = await order(town, "item", "item/RK1", notes="first")
    await changes(town).split(run_id("T01"), run_id("T02"), task_ids=[task_id], **BY)
    stop_id = town.town.rounds[0].stops[3].stop_id
    assert (await stops_on_sheet(town, "T02"))[-1] == stop_id
    assert stop_id in await stops_on_sheet(town, "T01")
    supervisor = Orderer(Actor("supervisor"), site=SITE)
    assert (await town.tasks.change(task_id, {"notes": "ring twice"}, supervisor))["run_id"] == run_id("T02")
    tomorrow = str(TODAY + timedelta(days=1))
    assert (await town.tasks.change(task_id, {"on": tomorrow}, supervisor))["run_id"] == f"run-{tomorrow}-T01"
    for ids in (["tsk_unknown"], [task_id]):
        with pytest.raises(NothingToMove):
            await changes(town).split(run_id("T01"), run_id("T02"), task_ids=ids, **BY)
    with pytest.raises(BadMove):
        await changes(town).split(run_id("T01"), run_id("T01"), task_ids=[task_id], **BY)
    with pytest.raises(NothingToMove):
        await changes(town).split_as(
            run_id("T01"), Split(to_run=run_id("T02"), stops=Between.model_validate({"from": "x", "to": "y"})), **BY
        )


async def test_work_that_moves_to_a_run_in_good_order_is_out_of_danger_and_the_other_way_round(town: Office) -> None:
    task_id = await order(town, "item", "item/RK1", window=WINDOW)
    await changes(town).split(run_id("T01"), run_id("T03"), task_ids=[task_id], **BY)
    await ring(town)
    assert await last_fact(town, "item/RK1") == "timer.threatened"
    await changes(town).split(run_id("T03"), run_id("T02"), task_ids=[task_id], **BY)
    await ring(town)
    assert await last_fact(town, "item/RK1") == "timer.relieved"


async def test_a_hand_over_has_two_sides_in_the_journal(town: Office) -> None:
    asked = {"to_run": run_id("T02"), "counts": {"items": 3, "pouches": 1}, "taken": {"items": 2, "pouches": 1}}
    found = await changes(town).hand_over(run_id("T01"), read_change(HandOver, asked), **BY)
    assert found["taken"] == {"items": 2, "pouches": 1, "keys": 0}
    said = await town.fetch("select subject, type from event where kind = 'public' and type like 'run.%over%'")
    counted = sorted((each["type"], each["subject"][-3:]) for each in said if "cover" not in each["type"])
    assert counted == [
        ("run.handed_over", "T01"), ("run.handed_over", "T02"), ("run.handover_differs", "T01"), ("run.taken_over", "T01"),
        ("run.taken_over", "T02"),
    ]  # fmt: skip
    for wrong in ({"counts": {}}, {**asked, "to_carrier": "Léo"}, {**asked, "counts": {"items": -1}}):
        with pytest.raises(BadMove):
            read_change(HandOver, wrong)


async def test_the_server_counts_what_a_run_took_and_where_it_is_now(town: Office) -> None:
    name = run_id("T01")

    async def say(kind: str, **data: Any) -> None:
        await town.commands.send(kind, data, run=name, actor=Actor("device"))

    for number in range(1, 5):
        await order(town, "item", f"item/RK{number}", requirements=["signature"])
    await order(town, "item", "item/RK5")
    begun = datetime.now(UTC) - timedelta(hours=1)
    await town.commands.send("run.started", {"run_id": name}, run=name, occurred_at=begun)
    await say("item.loaded", item_ids=[f"RK{number}" for number in range(1, 6)])
    await say("item.delivered", item_id="RK1", to="addressee")
    await say("item.held", item_id="RK2", office="Pantin")
    await say("medication.picked_up", pouch_id="P-1", seal_intact=True)
    await say("run.ended", run_id=name)
    things = await town.fetch("select thing, place from run_thing where run = $1", name)
    assert {each["thing"]: each["place"] for each in things} == {
        "item/RK1": "addressee", "item/RK2": "office", "item/RK3": "carrier", "item/RK4": "carrier", "pouch/P-1": "carrier",
    }  # fmt: skip
    await ring(town, minutes=16)
    assert await counted(town, name) == {
        "taken": ["item/RK1", "item/RK2", "item/RK3", "item/RK4", "pouch/P-1"], "delivered": ["item/RK1"],
        "held": ["item/RK2"], "brought_back": [], "missing": ["item/RK3", "item/RK4", "pouch/P-1"],
    }  # fmt: skip
    assert await last_fact(town, "item/RK3") == "item.missing"
    await say("item.delivered", item_id="RK3", to="addressee")
    await ring(town, minutes=3)
    assert (await counted(town, name))["missing"] == ["item/RK4", "pouch/P-1"]


async def counted(office: Office, name: str) -> dict[str, Any]:
    """Return what the journal's state of a run says of its newest reconciliation."""
    body = await office.value("select body from state where handler = 'run' and subject = $1", f"run/{name}")
    assert isinstance(body, bytes)
    found = [fact[3] for fact in orjson.loads(body)["facts"] if fact[2] == "run.reconciled"]
    return {key: value for key, value in found[-1].items() if key != "run_id"}


async def test_what_was_not_done_expires_at_midnight_and_a_phone_that_tells_later_takes_it_back(town: Office) -> None:
    yesterday = TODAY - timedelta(days=1)
    old = await order(town, "item", "item/RK1", on=yesterday)
    await order(town, "item", "item/RK2", on=yesterday, window=WINDOW)
    await order(town, "item", "item/RK3")
    assert await town.runs.expire_tasks() == 1
    assert await town.runs.expire_tasks() == 0
    assert await town.value("select state from task where id = $1", old) == "expired"
    assert await town.runs.expire_tasks(datetime.now(UTC) + timedelta(days=2)) == 2
    done = datetime.combine(yesterday, time(12), PARIS).astimezone(UTC)
    name = f"run-{yesterday}-T01"
    await town.commands.send("item.delivered", {"item_id": "RK1", "to": "mailbox"}, run=name, occurred_at=done)
    assert await town.value("select state from task where id = $1", old) == "done"
    told = await town.fetch("select type from event where kind = 'public' and subject = 'item/RK1' order by pos")
    assert [each["type"] for each in told].count("event.corrected") == 1


async def test_an_orderer_lists_their_own_tasks_in_pages(town: Office) -> None:
    account, _ = await town.subscriber("order:item")
    own = Orderer(Actor("subscriber", account=account), scopes=frozenset({"order:item"}))
    body = {"service": "item", "delivery_point": town.town.rounds[0].stops[1].point.id, "on": str(TODAY)}
    ids = {
        (await town.tasks.create(read_body({**body, "subject": f"item/RK{number}"}), own))["task_id"]
        for number in range(5)
    }
    await order(town, "item", "item/RK9")
    seen: list[str] = []
    after = None
    for _ in range(3):
        page, after = await town.tasks.page(own, {"on": TODAY, "state": "planned"}, after=after, limit=2)
        seen += [each["task_id"] for each in page]
    assert (set(seen), len(seen), after) == (ids, 5, None)
    assert (await town.tasks.page(own, {"service": "pet"}, after=None, limit=2))[0] == []
    supervisor = Orderer(Actor("supervisor"), site=SITE)
    assert [each["subject"] for each in (await town.tasks.page(supervisor, {}, after=None, limit=9))[0]] == ["item/RK9"]


async def test_absences_moves_and_things_are_forgotten_after_some_weeks(town: Office) -> None:
    old = TODAY - timedelta(days=40)
    async with town.database.acquire() as connection:
        await connection.execute("insert into absence values ($1, $2, 'Zoé', 'sick')", old, SITE)
        await connection.execute("insert into stop_move values ($1, 'T01', 'st-1', 'T02')", old)
        await connection.execute("insert into run_thing values ('run-x', 'key/K-1', 'carrier', $1::date)", old)
    await town.runs.forget_before(TODAY - timedelta(days=35))
    for table in ("absence", "stop_move", "run_thing"):
        assert await town.value(f"select count(*) from {table}") == 0
