"""What a carrier reports: the field events of a shift and of its tasks, with the payload fields of the services. Pure."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from fieldsvc.simulate import further
from fieldsvc.simulate.gps import Fix, noisy
from fieldsvc.simulate.ids import s10, seeded
from fieldsvc.simulate.names import FIRST_NAMES, STREET_NAMES, SURNAMES
from fieldsvc.simulate.walking import FieldEvent, Visit, Walk, fixes, merge, walk
from fieldsvc.simulate.way import Sheet

ATTEMPT_REASONS = ("absent", "absent", "absent", "refused", "no_access", "address_incomplete", "dog", "too_big")
NEXT_OF = {"absent": "office_hold", "no_access": "represent", "dog": "represent", "too_big": "pickup_point"}
CHANGES = (
    "moved",
    "vacant",
    "wrong_number",
    "renamed_street",
    "mailbox_moved",
    "name_missing",
    "new_delivery_point",
    "deceased",
)
CHANGE_WEIGHTS = (30, 15, 15, 5, 10, 15, 8, 2)
CHANGE_AT_PLAIN_STOP = 0.008
NUMBER = re.compile(r"^(\d+)((?: (?:bis|ter|quater))?) (.*)$")
STREET = re.compile(r"^(\d+(?: (?:bis|ter|quater))?) (.+?)(,? \d{5} .*)$")


def timeline(sheet: Sheet, *, seed: int, mode: str, start_at: float) -> Iterator[Fix | FieldEvent]:
    """Yield what the carrier does, in order of time: fixes and field events; `start_at` in unix seconds."""
    shift = walk(sheet, seed=seed, mode=mode, start_at=start_at)
    return merge(fixes(shift, seed=seed), iter(field_events(sheet, shift, seed=seed)))


def field_events(sheet: Sheet, shift: Walk, *, seed: int) -> list[FieldEvent]:
    """Return the field events of a shift in order of time."""
    rng = seeded("duties", seed, sheet["run_id"])
    events = [*run_events(sheet["run_id"], shift, rng), *loading(sheet, shift, rng)]
    addresses = [visit.stop["address"] for visit in shift.visits if visit.stop.get("address")]
    kept: list[str] = []
    events += seen_on_the_way(sheet["run_id"], shift, seed=seed)
    for visit in shift.visits:
        own = seeded("duty", seed, sheet["run_id"], visit.stop["stop_id"])
        for task in visit.stop["tasks"]:
            events += at_the_door(task, visit, shift=shift, addresses=addresses, kept=kept, rng=own)
        if not visit.stop["tasks"] and own.random() < CHANGE_AT_PLAIN_STOP:
            events += address_change(visit.stop, None, at=visit.arrive_at, shift=shift, addresses=addresses, rng=own)
    events += [
        make(
            "medication.returned",
            f"pouch/{pouch}",
            {"pouch_id": pouch, "reason": "absent"},
            at=shift.end_at - 60 + n,
            shift=shift,
            rng=rng,
        )
        for n, pouch in enumerate(kept)
    ]
    return sorted(events, key=lambda event: event.at)


def make(
    kind: str, subject: str, data: Mapping[str, Any], *, at: float, shift: Walk, rng: Random, stop_id: str | None = None
) -> FieldEvent:
    """Make one event with a fix some seconds old; now and then without its stop, rarely without its fix."""
    fix = shift.fix(at - rng.uniform(0, 6)) if rng.random() > 0.03 else None
    return FieldEvent(at, kind, subject, data, fix, stop_id if rng.random() > 0.2 or fix is None else None)


def run_events(run_id: str, shift: Walk, rng: Random) -> Iterator[FieldEvent]:
    """Yield the run's own events."""
    marks = [("run.started", shift.start_at), ("run.ended", shift.end_at)]
    for start, until in shift.breaks:
        marks += [("run.paused", start), ("run.resumed", until)]
    for kind, at in marks:
        yield make(kind, f"run/{run_id}", {"run_id": run_id}, at=at, shift=shift, rng=rng)


def loading(sheet: Sheet, shift: Walk, rng: Random) -> Iterator[FieldEvent]:
    """Yield what happens before the first stop: the signed items in one event, then each pouch at its pharmacy."""
    tasks = [task for stop in sheet["stops"] for task in stop["tasks"]]
    items = [thing(task) for task in tasks if task["service"] == "item"]
    at = shift.start_at + 120
    if items:
        yield make("item.loaded", f"item/{items[0]}", {"item_ids": items}, at=at, shift=shift, rng=rng)
    for task in tasks:
        if task["service"] == "medication":
            at += rng.uniform(30, 90)
            data = {"pouch_id": thing(task), "seal_intact": True}
            yield make(
                "medication.picked_up", task["subject"], data, at=min(at, shift.leave_site_at), shift=shift, rng=rng
            )


def at_the_door(
    task: Mapping[str, Any], visit: Visit, *, shift: Walk, addresses: Sequence[str], kept: list[str], rng: Random
) -> Iterator[FieldEvent]:
    """Yield the outcome of one task; a pouch that stays in the bag is added to `kept`."""
    at = visit.arrive_at + min(20.0, (visit.leave_at - visit.arrive_at) / 2)
    stop_id, service = visit.stop["stop_id"], task["service"]
    if service == "address_change":
        yield from address_change(visit.stop, task.get("addressee"), at=at, shift=shift, addresses=addresses, rng=rng)
        return
    if service in further.OUTCOMES:
        for kind, data, moment in further.OUTCOMES[service](thing(task), at, shift.end_at, rng):
            yield make(kind, task["subject"], data, at=moment, shift=shift, rng=rng, stop_id=stop_id)
        return
    outcomes = {"item": item, "medication": medication, "home_visit": home_visit}
    if service not in outcomes:
        return
    said = list(outcomes[service](task, at, visit.leave_at, rng))
    for kind, data, moment in said:
        yield make(kind, task["subject"], data, at=moment, shift=shift, rng=rng, stop_id=stop_id)
    if service == "medication" and not said:
        kept.append(thing(task))


Outcome = Iterator[tuple[str, dict[str, Any], float]]


def seen_on_the_way(run_id: str, shift: Walk, *, seed: int) -> Iterator[FieldEvent]:
    """Yield what the carrier notices beside the tasks."""
    if len(shift.visits) < 3:
        return
    rng = seeded("noticed", seed, run_id)
    stops = [visit.stop for visit in shift.visits]
    for kind, subject, data, number in further.seen(stops, seed=seed, run_id=run_id, at=shift.start_at):
        visit = shift.visits[number]
        at = visit.arrive_at + rng.uniform(0, 5)
        yield make(kind, subject, data, at=at, shift=shift, rng=rng, stop_id=visit.stop["stop_id"])


def item(task: Mapping[str, Any], at: float, leave_at: float, rng: Random) -> Outcome:
    """Hand over a signed item, or leave a notice."""
    del leave_at
    if rng.random() < 0.15:
        yield attempt(thing(task), at, rng)
        return
    yield "item.delivered", {"item_ids": [thing(task)], "to": "addressee", "proof": proof(task, at, rng)}, at


def attempt(item_id: str, at: float, rng: Random) -> tuple[str, dict[str, Any], float]:
    """Say that an item was not handed over."""
    reason = rng.choice(ATTEMPT_REASONS)
    data = {"item_id": item_id, "reason": reason, "next": NEXT_OF.get(reason, "return")}
    return "item.delivery_attempted", data, at


def proof(task: Mapping[str, Any], at: float, rng: Random) -> dict[str, Any]:
    """Make the proof of a registered item."""
    first, _, surname = addressee_name(task).partition(" ")
    day = datetime.fromtimestamp(at, UTC).date().isoformat()
    return {
        "acceptor": {"surname": surname or first, "first_name": first, "capacity": "addressee"},
        "identity": {"document_kind": rng.choice(("identity_card", "passport", "residence_permit", "driving_licence"))},
        "presented_on": day,
        "handed_over_on": day,
        "signature": hashlib.sha256(f"{task['subject']} {at}".encode()).hexdigest(),
    }


def medication(task: Mapping[str, Any], at: float, leave_at: float, rng: Random) -> Outcome:
    """Hand over a pouch; when nobody may take it nothing is said at the door, and it goes back to the pharmacy."""
    if rng.random() < 0.1:
        return
    data = {
        "pouch_id": thing(task),
        "seal_intact": True,
        "handed_to": rng.choice(("patient", "patient", "patient", "named_relative", "named_carer")),
        "label_matched": True,
        "identity": rng.choice(("document", "known_to_carrier")),
        "code_ok": True,
    }
    yield "medication.delivered", data, max(at, leave_at - 5)


def home_visit(task: Mapping[str, Any], at: float, leave_at: float, rng: Random) -> Outcome:
    """Visit, or find nobody."""
    visit_id = thing(task)
    if rng.random() < 0.1:
        yield "home_visit.missed", {"visit_id": visit_id, "reason": "nobody"}, at
        return
    yield "home_visit.started", {"visit_id": visit_id}, at
    data = {
        "visit_id": visit_id,
        "met": rng.choice(("person", "person", "person", "relative")),
        "answers": {"eats_well": rng.random() < 0.9, "warm_enough": rng.random() < 0.95, "mood": rng.randint(2, 5)},
        "presence": rng.choice(("tag", "signature", "code", "location")),
        "urgent": False,
    }
    if rng.random() < 0.8:
        data["signature"] = hashlib.sha256(visit_id.encode()).hexdigest()
    else:
        data["cannot_sign"] = True
    yield "home_visit.completed", data, leave_at


def address_change(
    stop: Mapping[str, Any],
    addressee: str | Mapping[str, Any] | None,
    *,
    at: float,
    shift: Walk,
    addresses: Sequence[str],
    rng: Random,
) -> Iterator[FieldEvent]:
    """Report what is wrong with an address, if the stop has one in words."""
    data = address_change_data(stop, addressee, addresses=addresses, rng=rng)
    if data:
        subject = f"delivery_point/{stop['delivery_point_id']}"
        yield make("address_change.reported", subject, data, at=at, shift=shift, rng=rng, stop_id=stop["stop_id"])


def address_change_data(
    stop: Mapping[str, Any], addressee: str | Mapping[str, Any] | None, *, addresses: Sequence[str], rng: Random
) -> dict[str, Any] | None:
    """Make the payload of a reported change; None when the stop has no address in words."""
    old = stop.get("address")
    if not old:
        return None
    change = rng.choices(CHANGES, CHANGE_WEIGHTS)[0]
    data: dict[str, Any] = {
        "delivery_point_id": stop["delivery_point_id"],
        "change": change,
        "old_address": old,
        "confidence": rng.choice(("seen", "seen", "seen", "told", "guessed")),
    }
    new = new_address(change, old, addresses, rng)
    if new:
        data["new_address"] = new
    if change in ("moved", "name_missing", "deceased"):
        data["addressee"] = addressee or f"{rng.choice(FIRST_NAMES)} {rng.choice(SURNAMES)}"
    return data


def new_address(change: str, old: str, addresses: Sequence[str], rng: Random) -> str | None:
    """Return an address near by for the changes that have one."""
    numbered, street = NUMBER.match(old), STREET.match(old)
    if change == "moved":
        return rng.choice(addresses) if addresses else None
    if change == "wrong_number" and numbered:
        return f"{int(numbered[1]) + 2} {numbered[3]}"
    if change == "new_delivery_point" and numbered:
        return f"{numbered[1]} {'ter' if numbered[2] else 'bis'} {numbered[3]}"
    if change == "renamed_street" and street:
        return f"{street[1]} Rue {rng.choice(STREET_NAMES)}{street[3]}"
    return None


def light_work(
    sheet: Sheet,
    *,
    seed: int,
    device: str,
    number: int,
    at: float,
    gap_s: tuple[float, float] = (15, 45),
    near: Sequence[Mapping[str, Any]] = (),
) -> list[FieldEvent]:
    """Return the `number`-th piece of work beside the sheet's: a changed address, a signal, or a fresh item.

    It happens from `at` on, at one of the stops `near` the carrier, else at any.
    """
    rng = seeded("light work", seed, device, sheet["run_id"], number, round(at))
    stop = rng.choice(near or sheet["stops"])
    place = (stop["lat"], stop["lon"])
    if rng.random() < 0.4:
        addresses = [each["address"] for each in sheet["stops"] if each.get("address")]
        data = address_change_data(stop, None, addresses=addresses, rng=rng)
        if data:
            subject = f"delivery_point/{stop['delivery_point_id']}"
            return [FieldEvent(at, "address_change.reported", subject, data, noisy(at, place, rng), stop["stop_id"])]
    if rng.random() < 0.15:
        signal = {"object_id": f"mb-{stop['delivery_point_id']}", "kind": "mailbox", "value": rng.random() < 0.5}
        return [
            FieldEvent(
                at, "object.signalled", f"object/{signal['object_id']}", signal, noisy(at, place, rng), stop["stop_id"]
            )
        ]
    item_id = s10("L" + rng.choice("ABCDEFGHLMNPQSTUVW"), rng.randrange(10**8))
    loaded = FieldEvent(at, "item.loaded", f"item/{item_id}", {"item_ids": [item_id]}, noisy(at, place, rng))
    later = at + rng.uniform(*gap_s)
    if rng.random() < 0.3:
        kind, data, _ = attempt(item_id, later, rng)
    else:
        kind, data = "item.delivered", {"item_ids": [item_id], "to": rng.choice(("mailbox", "household", "neighbour"))}
        data["proof"] = {"handed_over_on": datetime.fromtimestamp(later, UTC).date().isoformat()}
    return [loaded, FieldEvent(later, kind, f"item/{item_id}", data, noisy(later, place, rng), stop["stop_id"])]


def thing(task: Mapping[str, Any]) -> str:
    """Return the id of what a task is about: `item/RK…` gives `RK…`."""
    return str(task["subject"]).partition("/")[2]


def addressee_name(task: Mapping[str, Any]) -> str:
    """Return the addressee in words, whether the sheet gives text or parts."""
    addressee = task.get("addressee")
    if isinstance(addressee, Mapping):
        addressee = " ".join(str(addressee[key]) for key in ("first_name", "surname", "name") if addressee.get(key))
    return addressee or "Occupant Inconnu"
