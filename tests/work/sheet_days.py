"""Helpers for tests of sheets: walk a round for some days, order, say, and look at the sheet."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from fieldsvc.store import run as runs
from fieldsvc.store.run import Run
from fieldsvc.work.imports import import_roster
from handlers.fields import format_time
from handlers.story import Actor
from tests.work.conftest import NOW, TODAY, Office

RUN = f"run-{TODAY}-T01"
DEVICE, SUPERVISOR = Actor("device"), Actor("supervisor", entered_by="p-1")
TOMORROW = NOW + timedelta(days=1)


async def walked(office: Office, *carriers: str, days: int = 10) -> Run:
    """Plan today for the last of the carriers; before, the first walked T01 day by day."""
    first = [f"{TODAY - timedelta(days=back)},T01,{carriers[0]}\n" for back in range(1, days + 1)]
    await import_roster(office.database, ["date,round_id,carrier\n", *first, f"{TODAY},T01,{carriers[-1]}\n"])
    for back in (1, 0):
        await office.runs.plan_day(TODAY - timedelta(days=back))
    return await run_now(office)


async def run_now(office: Office, run_id: str = RUN) -> Run:
    found = await runs.read(office.database, run_id)
    assert found is not None
    return found


def point_of(office: Office, stop: int, round_: int = 0) -> str:
    return office.town.rounds[round_].stops[stop].point.id


async def order(office: Office, subject: str, *, stop: int = 3, on: Any = TODAY, **more: Any) -> None:
    body = {
        "task_id": f"tsk_{uuid4().hex}",
        "service": subject.partition("/")[0],
        "subject": subject,
        "on": str(on),
        **more,
    }
    body.setdefault("delivery_point", point_of(office, stop))
    await office.commands.send("task.planned", body, actor=Actor("operator"), handler=body["service"])


async def send(office: Office, name: str, data: Mapping[str, Any], *, actor: Actor = DEVICE, **more: Any) -> Any:
    return await office.commands.send(
        name, data, actor=actor, **{"run": RUN, "site": office.town.rounds[0].site, **more}
    )


async def sheet(office: Office, carrier: str | None = None) -> dict[str, Any]:
    return await office.sheets.sheet(await run_now(office), carrier=carrier)


async def signed(office: Office, item: str, *, run: str, identity: Any, to: str = "addressee") -> None:
    acceptor = {"surname": "Martin", "first_name": "Claire", "capacity": "addressee"}
    proof = {"acceptor": acceptor, "identity": identity, "signature": "a" * 64}
    await send(office, "item.delivered", {"item_id": item, "to": to, "proof": proof}, run=run)


def tasks_of(found: Mapping[str, Any]) -> dict[str, Any]:
    return {task["subject"]: task for stop in found["stops"] for task in stop["tasks"]}


async def known(office: Office, carrier: str | None = None) -> dict[str, Any]:
    return {subject: task["known_to_you"] for subject, task in tasks_of(await sheet(office, carrier)).items()}


async def write_note(office: Office, kind: str, text: str, carrier: str, *, stop: int = 3, **more: Any) -> None:
    data = {"delivery_point_id": point_of(office, stop), "kind": kind, "text": text, "carrier": carrier}
    await send(office, "notebook.written", data, **more)


async def report_hazard(office: Office, name: str, *, round_: int = 0, stop: int = 3, **more: Any) -> dict[str, Any]:
    place = office.town.rounds[round_].stops[stop].point
    until = more.pop("until", TOMORROW)
    data = {
        "hazard_id": name,
        "kind": "ice",
        "point": {"lat": place.lat, "lon": place.lon},
        "radius_m": 30.0,
        "until": format_time(until),
        **more,
    }
    await send(office, "hazard.reported", data)
    return data
