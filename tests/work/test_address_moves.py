"""A confirmed address change moves its delivery point between rounds, in the decision's commit, and a rejection puts it back."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.submission import Incoming, Submission
from fieldsvc.work.imports import import_rounds
from handlers.story import Actor
from tests.work.conftest import NOW, PARIS, TODAY, Office, saved

REPORTED, CONFIRMED, REJECTED = (f"address_change.{word}" for word in ("reported", "confirmed", "rejected"))
JUDGE = Actor("address_quality", entered_by="p-1")


async def reported(office: Office, point: str, placement: dict[str, Any] | None, **data: Any) -> str:
    """Report a change as intake does, with its place; return the event's id."""
    handler, kind = office.registry.by_type[REPORTED]
    body = {"delivery_point_id": point, "change": "moved", "old_address": "1 rue A", "confidence": "seen", **data}
    built = office.commands.build(handler, kind.payload, REPORTED, body, actor=Actor("device"))
    names = (
        "id",
        "type",
        "handler",
        "payload",
        "subjects",
        "touches",
        "occurred_at",
        "received_at",
        "data",
        "content_hmac",
    )
    named = {name: getattr(built, name) for name in names}
    outcome = await office.commands.writer.submit(
        Submission([Incoming(**named, actor=built.actor, placement=placement, located=None)])
    )
    assert outcome.results[0].status == "accepted"
    return str(built.id)


async def judged(office: Office, kind: str, point: str, **data: Any) -> None:
    await office.commands.send(kind, {"delivery_point_id": point, **data}, actor=JUDGE)


async def order_of(office: Office, round_id: str) -> list[str]:
    """List the delivery points of a round in the order of its stops, as a phone sees them."""
    known = await office.rounds.known_round(round_id)
    assert known is not None
    return [stop.delivery_point_id or "" for stop in known.stored.round.stops]


async def versions(office: Office) -> dict[str, int]:
    return {row["id"]: row["version"] for row in await office.fetch("select id, version from round")}


def between(office: Office, round_no: int, after: int) -> dict[str, Any]:
    """Write the placement between two stops of a round."""
    stops = office.town.rounds[round_no].stops
    return {
        "normalised": "12 AVENUE PASTEUR, 36960 VALBOURG",
        "lat": stops[after].point.lat,
        "lon": stops[after].point.lon,
        "score": 0.97,
        "round_id": office.town.rounds[round_no].round_id,
        "after_stop_id": stops[after].stop_id,
        "before_stop_id": stops[after + 1].stop_id,
        "cost_m": 12.0,
        "ambiguous": False,
        "confidence": 0.98,
    }


async def planned(office: Office, point: str) -> tuple[str, str]:
    """Order a task at a point for today and make today's runs; return its id and its run."""
    from fieldsvc.work.task_body import TaskBody
    from fieldsvc.work.tasks import Orderer

    body = TaskBody(service="item", subject="item/RK1", delivery_point=point, on=str(TODAY), addressee="Mme Martin")
    made = await office.tasks.create(body, Orderer(Actor("operator")))
    await office.fetch(
        "insert into run (id, day, round_id, site) select 'run-' || $1::text || '-' || id, $1::text::date, id, site from round",
        str(TODAY),
    )
    return made["task_id"], made["run_id"]


async def sheet_version(office: Office, round_id: str) -> int:
    from fieldsvc.store import run as runs

    found = await runs.read(office.database, f"run-{TODAY}-{round_id}")
    assert found is not None
    return found.sheet_version


async def test_a_sure_report_moves_its_point_between_two_stops_of_another_round_with_its_tasks(office: Office) -> None:
    old, new = (plan.round_id for plan in office.town.rounds[:2])
    point, place = office.town.rounds[0].stops[3].point.id, between(office, 1, 10)
    before, old_order = await versions(office), await order_of(office, old)
    new_order = await order_of(office, new)
    task_id, _ = await planned(office, point)
    sheets = {each: await sheet_version(office, each) for each in (old, new)}
    mark = await office.value("select coalesce(sum(version), 0) from round")
    await reported(office, point, place, new_address="12 avenue Pasteur")
    after = await versions(office)
    assert (after[old], after[new]) == (before[old] + 1, before[new] + 1)
    assert await order_of(office, old) == [each for each in old_order if each != point]
    assert await order_of(office, new) == [*new_order[:11], point, *new_order[11:]]
    assert await office.value("select round_id from task where id = $1", task_id) == new
    assert all([await sheet_version(office, each) > known for each, known in sheets.items()])
    assert await office.value("select coalesce(sum(version), 0) from round") != mark
    assert (await office.fetch("select address, lat, round_id from delivery_point where id = $1", point))[0] == (
        place["normalised"],
        place["lat"],
        None,
    )


async def test_a_rejection_puts_everything_back_as_it_was_with_what_proofs_had_taught(office: Office) -> None:
    point = office.town.rounds[0].stops[3].point.id
    columns = "round_id, stop_id, sequence, delivery_point_id, lat, lon, side, address, box_lat, box_lon"
    stops = await office.fetch(f"select {columns} from stop order by round_id, sequence, stop_id")
    row = await office.fetch("select id, address, lat, lon, round_id from delivery_point where id = $1", point)
    await office.fetch(
        "insert into delivery_point_memory (delivery_point_id, door, served_on, last_served_on) values ($1, 'x', $2, $3)",
        point,
        [TODAY],
        TODAY,
    )
    report = await reported(office, point, between(office, 1, 10), new_address="12 avenue Pasteur")
    memory = "select door, last_served_on from delivery_point_memory where delivery_point_id = $1"
    assert (await office.fetch(memory, point))[0] == (None, TODAY)
    before = await versions(office)
    await judged(office, REJECTED, point, report_id=report)
    places = [list(each)[:2] + list(each)[3:] for each in stops]
    again = await office.fetch(f"select {columns} from stop order by round_id, sequence, stop_id")
    assert [list(each)[:2] + list(each)[3:] for each in again] == places
    assert await office.fetch("select id, address, lat, lon, round_id from delivery_point where id = $1", point) == row
    assert (await office.fetch(memory, point))[0] == (b"x", TODAY)
    assert await office.value("select count(*) from moved_point") == 0
    after = await versions(office)
    assert [after[plan.round_id] - before[plan.round_id] for plan in office.town.rounds] == [1, 1, 0]


async def test_what_waits_for_a_person_moves_when_confirmed_once_however_often(office: Office) -> None:
    old, new = (plan.round_id for plan in office.town.rounds[:2])
    point = office.town.rounds[0].stops[3].point.id
    before = await versions(office)
    report = await reported(
        office, point, {**between(office, 1, 4), "ambiguous": True}, new_address="12 avenue Pasteur"
    )
    assert await versions(office) == before
    await judged(office, CONFIRMED, point, report_id=report)
    await judged(office, CONFIRMED, point, report_id=report)
    after = await versions(office)
    assert (after[old], after[new]) == (before[old] + 1, before[new] + 1)
    assert (await order_of(office, new))[5] == point


async def test_a_corrected_report_moves_the_point_back_and_a_future_one_waits_for_its_day(office: Office) -> None:
    point, old = office.town.rounds[0].stops[3].point.id, office.town.rounds[0].round_id
    day = (NOW + timedelta(days=3)).date()
    await reported(office, point, between(office, 1, 4), new_address="12 avenue Pasteur", effective_on=str(day))
    assert point in await order_of(office, old)
    timer = (await office.fetch("select id, due_at, payload from timer where kind = 'effective'"))[0]
    assert timer["due_at"].date() == day
    handler = office.registry.handlers["address_change"]
    from handlers.fields import Payload

    fired = office.commands.build(
        handler, Payload, "timer.effective", orjson.loads(timer["payload"]), subjects=(f"delivery_point/{point}",),
        occurred_at=timer["due_at"], timer=UUID(str(timer["id"])), raw=b"timer",
    )  # fmt: skip
    await office.commands.writer.submit(Submission([fired]))
    assert point not in await order_of(office, old)


async def test_a_new_point_is_made_on_its_round_and_gone_when_it_is_rejected(office: Office) -> None:
    point, new = office.town.rounds[0].stops[3].point.id, office.town.rounds[1].round_id
    report = await reported(
        office, point, between(office, 1, 4), change="new_delivery_point", new_address="12 avenue Pasteur"
    )
    made = f"dp-{report.replace('-', '')}"
    assert (await order_of(office, new))[5] == made
    assert await office.value("select class from delivery_point where id = $1", made) == "created"
    assert await office.value("select count(*) from stop where delivery_point_id = $1", point) == 1
    await judged(office, REJECTED, point, report_id=report)
    assert made not in await order_of(office, new)
    assert await office.value("select count(*) from delivery_point where id = $1", made) == 0


async def test_a_letterbox_moves_where_a_sharp_fix_was_and_only_its_round_changes(office: Office) -> None:
    point, old = office.town.rounds[0].stops[3].point.id, office.town.rounds[0].round_id
    before = await versions(office)
    fix = {"lat": 46.5, "lon": 1.5, "accuracy_m": 5.0}
    await reported(office, point, None, change="mailbox_moved", fix=fix)
    known = await office.rounds.known_round(old)
    assert known is not None
    assert known.stored.round.stops[3].box_at == (46.5, 1.5)
    after = await versions(office)
    assert {each: after[each] - before[each] for each in after if after[each] != before[each]} == {old: 1}


async def test_an_import_that_does_not_know_of_the_move_keeps_it_and_one_that_does_ends_it(
    office: Office, tmp_path: Any
) -> None:
    first, second = office.town.rounds[:2]
    point = first.stops[3].point.id
    await reported(office, point, between(office, 1, 10), new_address="12 avenue Pasteur")
    plan = orjson.loads(office.town.rounds_geojson())
    for each in plan["features"]:
        each["properties"]["name"] = "renamed"
    await import_rounds(office.database, saved(tmp_path, orjson.dumps(plan).decode()), zone=PARIS)
    assert point not in await order_of(office, first.round_id)
    assert (await order_of(office, second.round_id))[11] == point
    for each in plan["features"]:
        if each["properties"].get("delivery_point_id") == point:
            each["properties"] |= {"round_id": second.round_id, "stop_id": "st-new", "sequence": 9_000}
    await import_rounds(office.database, saved(tmp_path, orjson.dumps(plan).decode()), zone=PARIS)
    assert point not in await order_of(office, first.round_id)
    assert (await order_of(office, second.round_id)).count(point) == 1
    assert await office.value("select count(*) from moved_point") == 0
