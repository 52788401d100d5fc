"""One day of every service, told to three stores in three orders: all of them hold the same to be true at its end.

Whoever knew everything at once, in order, is the measure: the second and third store get the same events shuffled, in uploads
of other sizes, so that what is late, what is corrected and what rings comes at another moment. Only a correction stays behind
what it corrects, a word about a published event behind that one, and an item's fate behind the request on it.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.app import Platform
from fieldsvc.journal.timers import Timers
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from handlers.base import wire_type
from handlers.fields import format_time
from handlers.story import Actor
from tests.acceptance.conftest import CARRIER, SITE, World, example_round
from tests.acceptance.service import Service, field_event, fresh
from tests.acceptance.test_who_says_what import post_as, session_of
from tests.databases import drop_database, new_database

Data = dict[str, Any]
SEEDS = (None, 11)  # None: in order of time
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=9)
ITEM, SECOND, THIRD, POUCH, RETURNED, VISIT, MISSED, KEY, PET, LETTER = (
    fresh(name) for name in ("RK", "LL", "CP", "P", "PR", "V", "VM", "K", "A", "L")
)
METER, HAZARD, FALSE_HAZARD, IDEA, RATING, CASE, ALARM, DOCUMENT, OBJECT, REQUEST, COVER, PERSON = (
    fresh(name) for name in ("M", "H", "HF", "I", "R", "C", "AL", "D", "O", "DC", "COV", "ref")
)
FAR = "2099-01-01T00:00:00Z"
TABLES = {
    "task": "service, subject, account is not null as owned, day, delivery_point, round_id, window_from, window_until, state, state_at, identity_at, identity_run, moved_to",
    "run": "id, carrier, state, state_at, risk",
    "alert": "id, type, level, service, subject, discreet, run, site, raised_at, acknowledged_at",
    "alarm": "id, kind, run, site, carrier, stop_id, event, raised_at, acknowledged_at is null as is_open",
    "delivery_point": "id, address, lat, lon, round_id, class, class_at",
    "notebook": "event, delivery_point_id, kind, by_regular, written_at, removed, sealed",
    "hazard": "id, kind, state, site, lat, lon, radius_m, until, reported_at, sealed",
    "access_case": "delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until, decision, decided_at, until, sealed",
    "instruction": "event, run, stop_id, given_at, sealed",
    "idea": "id, site, status, votes, submitted_at, decided_at, sealed",
    "case_file": "id, kind, subject, site, state, opened_at, due_at, closed_at, sealed",
    "request": "id, subject, kind, state, step, reason, instead, asked_by, identity, asked_at, state_at, on_sheet, steps, sealed",
    "run_thing": "run, thing, place",
    "address_report": "id, delivery_point_id, reported_at, state, change, confidence, effective_on, round_id, sealed, decided_by, decided_at",
    "stop": "round_id, stop_id, delivery_point_id, address, box_lat, box_lon",
    "media_want": "sha256, event, handler, subject, field",
}


@dataclass
class Said:
    """One thing that somebody says in the course of the day."""

    who: str
    event: Data
    behind: tuple[str, ...] = ()  # ids of events that have to be known before

    @property
    def id(self) -> str:
        return str(self.event["id"])


@dataclass
class Day:
    """What is said, in order of time."""

    run_id: str
    said: list[Said] = field(default_factory=list)

    def say(self, minute: float, name: str, data: Data, *, who: str = "phone", behind: Sequence[Data] = ()) -> Data:
        """Say one event, with the day's run where a phone says it."""
        at = BEGAN + timedelta(minutes=minute)
        more = {"runid": self.run_id} if who in ("phone", "supervisor") else {}
        event = field_event(name, data, time=format_time(at), **more)
        self.said.append(Said(who, event, tuple(each["id"] for each in behind)))
        return event

    def take_back(self, minute: float, wrong: Data, *, who: str = "phone") -> Data:
        data = {"corrects": wrong["id"], "kind": "did_not_occur", "reason": "said_twice"}
        return self.say(minute, "event.corrected", data, who=who, behind=(wrong,))

    def put_right(self, minute: float, wrong: Data, *, who: str = "phone", **changed: Any) -> Data:
        held = {name: value for name, value in {**wrong["data"], **changed}.items() if value is not None}
        data = {"corrects": wrong["id"], "kind": "incorrect_data", "reason": "typing_error", "replacement": held}
        return self.say(minute, "event.corrected", data, who=who, behind=(wrong,))


def the_day(run_id: str, day: str) -> list[Said]:
    told = Day(run_id)
    for part in (_rounds, _items, _medicines, _people, _things, _places, _words):
        part(told, day)
    return sorted(told.said, key=lambda each: (each.event["time"], each.id))


def _rounds(day: Day, on: str) -> None:
    run = {"run_id": day.run_id}
    day.say(0, "run.started", run)
    pause = day.say(200, "run.paused", run)
    day.say(215, "run.resumed", run)
    day.take_back(230, pause)
    day.say(400, "run.ended", run)
    day.say(12, "sheet.seen", {**run, "version": 1})
    day.say(100, "run.handed_over", {**run, "to_run": f"run-{on}-T08", "counts": {"items": 4}})
    day.say(110, "run.taken_over", {"run_id": f"run-{on}-T08", "from_run": day.run_id, "counts": {"items": 3}})
    day.say(120, "silence.began", {**run, "since": format_time(BEGAN), "patience_s": 900.0}, who="server")
    day.say(130, "silence.ended", run, who="server")
    day.say(20, "cover.confirmed", {"cover_id": COVER, "on": on}, who="server")
    day.say(30, "run.mismatch_suspected", {
        **run, "round_id": "T07", "suspected_round_id": "T12", "confidence": 0.9, "since": format_time(BEGAN)}, who="server")  # fmt: skip
    day.say(35, "person.erased", {"person": PERSON}, who="server")


def _items(day: Day, on: str) -> None:
    del on
    day.say(2, "item.loaded", {"item_ids": [ITEM, SECOND, THIRD]})
    day.say(3, "item.out_for_delivery", {"item_ids": [ITEM, SECOND]})
    neighbour = day.say(60, "item.delivered", {"item_id": ITEM, "to": "neighbour", "stop_id": "st-118"})
    proof = {"identity": {"document_kind": "passport"}, "signature": "a" * 64}
    day.put_right(65, neighbour, to="addressee", proof=proof)
    absent = {"item_id": SECOND, "reason": "absent", "next": "office_hold", "stop_id": "st-119"}
    absent = day.say(70, "item.delivery_attempted", absent)
    wrong = day.say(72, "item.delivered", {"item_id": SECOND, "to": "mailbox", "stop_id": "st-119"})
    day.take_back(80, wrong)
    held = day.say(300, "item.held", {"item_id": SECOND, "office": "Bondy", "shelf": "B-12"})
    fetched = day.say(450, "item.collected", {"item_id": SECOND, "proof": {"signature": "b" * 64}}, who="supervisor")
    moved = day.say(75, "item.delivered", {"item_id": THIRD, "to": "mailbox", "stop_id": "st-120"})
    day.say(90, "rating.given", {"rating_id": RATING, "about": "service/item", "score": 9})
    text = {"case_id": CASE, "event_id": f"evt_{moved['id']}", "text": "Rien reçu"}
    day.say(140, "trust.dispute_opened", text, who="supervisor", behind=(moved,))
    day.say(150, "trust.dispute_closed", {"case_id": CASE, "outcome": "rejected", "reason": "Vu"}, who="supervisor")
    asked = {"request_id": REQUEST, "item_id": SECOND, "kind": "second_presentation", "asked_by": "carrier"}
    request = day.say(69, "delivery_change.requested", asked)
    for each in (absent, wrong, held, fetched):  # a request learns what becomes of its item only from when it is known
        told = next(said for said in day.said if said.event is each)
        told.behind = (*told.behind, request["id"])


def _medicines(day: Day, on: str) -> None:
    del on
    for pouch, start in ((POUCH, 5), (RETURNED, 6)):
        day.say(start, "medication.released", {"pouch_id": pouch}, who="pharmacy")
        day.say(start + 2, "medication.picked_up", {"pouch_id": pouch, "seal_intact": True})
    handed = {"handed_to": "patient", "label_matched": True, "identity": "known_to_carrier", "code_ok": True}
    wrong = day.say(50, "medication.delivered", {"pouch_id": POUCH, "seal_intact": False, **handed})
    day.put_right(55, wrong, seal_intact=True)
    day.say(56, "medication.returned", {"pouch_id": RETURNED, "reason": "absent"})
    day.say(95, "medication.received_back", {"pouch_id": RETURNED}, who="pharmacy")


def _people(day: Day, on: str) -> None:
    later = {"from": FAR.replace("00:00", "08:00"), "until": FAR.replace("00:00", "09:00")}
    day.say(10, "home_visit.rescheduled", {"visit_id": VISIT, "on": on, "window": later, "reason": "asked"})
    day.say(98, "home_visit.started", {"visit_id": VISIT})
    day.say(99, "home_visit.consent_changed", {"visit_id": VISIT, "answers": ["feels_well"], "given_on": on})
    done = {"visit_id": VISIT, "met": "person", "answers": {"feels_well": True, "has_eaten": True}, "presence": "tag"}
    day.say(105, "home_visit.completed", {**done, "urgent": True})
    wrong = day.say(102, "home_visit.missed", {"visit_id": VISIT, "reason": "absent"})
    day.take_back(103, wrong)
    off = day.say(11, "home_visit.rescheduled", {"visit_id": MISSED, "on": "2099-01-02", "reason": "asked"})
    day.say(40, "home_visit.alert", {"visit_id": MISSED, "level": "attention", "reason": "door_open"})
    day.take_back(41, off)


def _things(day: Day, on: str) -> None:
    del on
    day.say(8, "key.collected", {"key_id": KEY, "from": "person", "signature": "c" * 64})
    day.say(180, "key.deposited", {"key_id": KEY, "slot": "S-12"})
    day.say(15, "pet.picked_up", {"pet_id": PET, "code_ok": True})
    vet = {"pet_id": PET, "handed_to": "owner", "contacted_at": format_time(BEGAN), "signature": "d" * 64}
    day.say(45, "pet.handed_over", vet)
    for minute, value in ((20, 100.0), (21, 90.0), (22, 101.0)):
        day.say(minute, "meter.read", {"meter_id": METER, "kind": "gas", "value": value})
    high = day.say(23, "meter.read", {"meter_id": METER, "kind": "gas", "value": 10.0})
    day.put_right(24, high, value=103.0)
    day.say(33, "letter.returned", {"letter_id": LETTER, "reason": "no_box"})
    day.say(34, "letter.delivered", {"letter_id": LETTER, "to": "mailbox"})
    for minute, value in ((1, True), (1.1, True), (50, False)):
        day.say(minute, "object.signalled", {"object_id": OBJECT, "kind": "mailbox", "value": value})
    paper = {
        "document_id": DOCUMENT,
        "kind": "proof",
        "about": f"item/{ITEM}",
        "evidence": "e" * 64,
        "person": "ref-77",
    }
    consent = {"given_on": "2020-01-01", "how": "paper"}
    day.say(160, "document.deposited", {**paper, "safe": "safe-1", "consent": consent}, who="supervisor")


def _places(day: Day, on: str) -> None:
    del on
    moved = {"delivery_point_id": "dp-121", "old_address": "3 rue A", "confidence": "seen", "change": "name_missing"}
    report = day.say(31, "address_change.reported", moved)
    day.say(32, "address_change.rejected", {"delivery_point_id": "dp-121", "report_id": report["id"]}, who="supervisor")
    empty = day.say(36, "address_change.reported", {**moved, "change": "vacant"})
    gone = day.say(37, "address_change.reported", {**moved, "delivery_point_id": "dp-120", "change": "vacant"})
    day.take_back(39, gone)
    told = {"delivery_point_id": "dp-121", "report_id": empty["id"]}
    day.say(38, "address_change.confirmed", told, who="supervisor")
    day.say(42, "address.checked", {"delivery_point_id": "dp-119", "result": "ok"})
    ice = {"kind": "ice", "point": {"lat": 48.93781, "lon": 2.16091}, "radius_m": 80.0, "until": FAR}
    first = day.say(25, "hazard.reported", {**ice, "hazard_id": HAZARD, "note": "Verglas"})
    day.say(26, "hazard.confirmed", {"hazard_id": HAZARD}, who="supervisor")
    day.put_right(28, first, kind="works")
    false = day.say(27, "hazard.reported", {**ice, "hazard_id": FALSE_HAZARD})
    day.say(29, "hazard.confirmed", {"hazard_id": FALSE_HAZARD}, who="supervisor")
    day.take_back(43, false, who="supervisor")
    lamp = {"kind": "streetlight", "point": {"lat": 48.93781, "lon": 2.16091}}
    day.say(44, "place.observed", lamp)
    day.say(46, "place.observed", {**lamp, "point": {"lat": 48.93785, "lon": 2.16091}})


def _words(day: Day, on: str) -> None:
    del on
    day.say(47, "access.refused", {"delivery_point_id": "dp-117", "reason": "dog"})
    asked = {"delivery_point_id": "dp-117", "note": "Plus rien", "contact": {"email": "client@example.org"}}
    day.say(48, "access.questioned", asked, who="supervisor")
    day.say(49, "access.decided", {"delivery_point_id": "dp-117", "decision": "not_served", "reason": "Chien"}, who="supervisor")  # fmt: skip
    note = {"delivery_point_id": "dp-116", "kind": "code", "text": "A4471"}
    wrong = day.say(51, "notebook.written", note)
    day.put_right(52, wrong, text="A4472")
    day.say(53, "notebook.written", {**note, "kind": "dog", "text": "Méchant"})
    day.say(54, "notebook.written", {**note, "kind": "dog", "text": ""})
    elsewhere = day.say(57, "notebook.written", {**note, "kind": "hours", "text": "9 h"})
    day.put_right(58, elsewhere, delivery_point_id="dp-115")
    words = day.say(59, "instruction.given", {"run_id": day.run_id, "text": "Par la cour"}, who="supervisor")
    day.say(61, "instruction.given", {"run_id": day.run_id, "text": "Sonner"}, who="supervisor")
    day.take_back(62, words, who="supervisor")
    idea = day.say(63, "idea.submitted", {"idea_id": IDEA, "text": "Un local"})
    day.say(64, "idea.voted", {"idea_id": IDEA}, who="colleague")
    day.say(66, "idea.voted", {"idea_id": IDEA})
    day.say(67, "idea.decided", {"idea_id": IDEA, "status": "accepted", "answer": "Oui"}, who="supervisor")
    day.put_right(68, idea, text="Un local couvert")
    alarm = day.say(69, "alarm.raised", {"alarm_id": ALARM, "kind": "sos", "stop_id": "st-118"})
    day.say(73, "alarm.acknowledged", {"alarm_id": ALARM}, who="supervisor", behind=(alarm,))


def shuffled(said: Sequence[Said], seed: int | None) -> list[Said]:
    """Return the day in another order; what needs something before it waits for that."""
    if seed is None:
        return list(said)
    order, known, found = list(said), set[str](), list[Said]()
    random.Random(seed).shuffle(order)
    while order:
        ready = next(each for each in order if known.issuperset(each.behind))
        order.remove(ready)
        known.add(ready.id)
        found.append(ready)
    return found


@dataclass
class Store:
    """One store, and everybody who speaks to it."""

    world: World
    supervisor: dict[str, str] = field(default_factory=dict)

    def order_all(self, day: str) -> None:
        """Order the work of the day; orders come from one clock, so they are not shuffled."""
        orders: Sequence[tuple[str, str, Data]] = (
            ("item", f"item/{ITEM}", {"requirements": ["registered", "signature"]}),
            ("item", f"item/{SECOND}", {"requirements": ["signature"], "delivery_point": "dp-119"}),
            ("medication", f"pouch/{POUCH}", {}),
            ("medication", f"pouch/{RETURNED}", {}),
            ("home_visit", f"visit/{VISIT}", {"details": {"consent": {"given_on": "2020-01-01", "answers": []}}}),
            ("home_visit", f"visit/{MISSED}", {"window": {"from": FAR, "until": FAR.replace("00:00", "01:00")}}),
            ("key", f"key/{KEY}", {}),
            ("pet", f"pet/{PET}", {}),
            ("meter", f"meter/{METER}", {}),
            ("letter_code", f"letter/{LETTER}", {}),
            ("check_address", "delivery_point/dp-119", {"delivery_point": "dp-119"}),
        )
        for service, subject, more in orders:
            body = {"service": service, "subject": subject, "on": day, "delivery_point": "dp-118", **more}
            answer = self.world.pharmacy.ask("POST", "/v1/tasks", body)
            assert answer.status == 201, answer.body

    def send(self, order: Sequence[Said], rng: random.Random) -> None:
        """Send the day, what one says in a row in uploads of one to six events."""
        waiting = list(order)
        while waiting:
            who, size = waiting[0].who, rng.randint(1, 6)
            count = next((n for n, each in enumerate(waiting) if each.who != who), len(waiting))
            part, waiting = waiting[: min(count, size)], waiting[min(count, size) :]
            for event, result in zip(part, self._upload(who, [each.event for each in part]), strict=True):
                assert result["status"] == "accepted", (event.event, result)

    def _upload(self, who: str, events: Sequence[Data]) -> Sequence[Mapping[str, Any]]:
        if who == "supervisor":
            answer = post_as(self.world, self.supervisor, *events)
            assert answer.status == 200, answer.body
            results: Sequence[Mapping[str, Any]] = answer.json()["results"]
            return results
        if who == "server":
            return [self._command(each) for each in events]
        return self.world.callers[who].send(*events)

    def _command(self, event: Data) -> Mapping[str, Any]:
        name, at = event["type"].removeprefix("fieldsvc.").removesuffix(".v1"), datetime.fromisoformat(event["time"])
        sent = self.world.service.platform.commands.send(
            name, event["data"], actor=Actor("server"), site=SITE, occurred_at=at
        )
        return {"status": self.world.service.call(sent).status}

    def ring(self) -> None:
        """Let everything ring that is due, and what that sets in turn, until a month from now is over."""
        timers = Timers(self.world.service.platform.database, self.world.service.platform.commands)
        for days in (0, 1, 5, 10, 16, 30):
            while self.world.service.call(timers.fire(datetime.now(UTC) + timedelta(days=days))):
                pass


async def _load(platform: Platform, folder: Path, name: str) -> None:
    path = folder / f"{name}.geojson"
    path.write_text(example_round(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    roster = f"date,round_id,carrier\n{platform.runs.today()},T07,{CARRIER}\n"
    await imports.import_roster(platform.database, roster.splitlines(keepends=True))
    await platform.runs.plan_day(platform.runs.today())
    platform.rounds.forget()


@pytest.fixture(scope="module")
def stores(postgres_url: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder, made, urls = tmp_path_factory.mktemp("shuffled"), list[Store](), list[str]()
    for seed in SEEDS:
        url = new_database(postgres_url)

        async def prepare(platform: Platform, name: str = str(seed)) -> None:
            await _load(platform, folder, name)

        service = Service(url, folder / str(seed), prepare=prepare, log=world.service.log)
        urls.append(url)
        own = World(service, Town(1, rounds=1, stops=5), service.platform.runs.today())
        own.device("phone", CARRIER, SITE, None)  # with a round, the job plans tomorrow's run, now or in five minutes
        own.device("colleague", "Dominique Essai", SITE, None)
        services = ("item", "medication", "home_visit", "key", "pet", "meter", "letter_code", "check_address")
        own.account("pharmacy", "health", *(f"order:{each}" for each in services))
        own.account("operator", "operator")
        made.append(Store(own, session_of(own, "supervisor", SITE)))
    said = the_day(made[0].world.run_id, made[0].world.day.isoformat())
    for store, seed in zip(made, SEEDS, strict=True):
        store.order_all(store.world.day.isoformat())
        store.send(shuffled(said, seed), random.Random(seed))
        store.ring()
    yield made
    for store, url in zip(made, urls, strict=True):
        store.world.service.close()
        drop_database(postgres_url, url)


def of_any_store(value: Any) -> Any:
    """Name the same what every store names itself: its tasks, accounts, own events and the moment of writing."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode()
    return orjson.loads(re.sub(r"tsk_[0-9a-f]+|acc[_-][-0-9a-f]{6,}|evt_[-0-9a-f_]+", "…", text))


def held(store: Store) -> list[Any]:
    """Fold what a subscriber of everything got into what still holds."""
    live: dict[str, Data] = {}
    for event in store.world.operator.feed():
        live.pop(event.get("supersedes", ""), None)
        if event["type"] != wire_type("event.corrected"):
            live[event["id"]] = event
    told = [
        {name: event.get(name) for name in ("type", "subject", "data")} | _time_of(event) for event in live.values()
    ]
    return sorted((of_any_store(each) for each in told), key=repr)


def _time_of(event: Data) -> Data:
    """Return when it happened, if somebody said so: what the server says of itself, it says now."""
    said_then = event["time"] < format_time(BEGAN + timedelta(hours=8))
    return {"time": event["time"]} if said_then and not event["type"].startswith("fieldsvc.task.") else {}


async def _rows(platform: Platform, statement: str, *args: Any) -> list[Data]:
    async with platform.database.acquire() as connection:
        rows = [dict(row) for row in await connection.fetch(statement, *args)]
    blobs = [bytes(row["sealed"]) for row in rows if row.get("sealed") is not None]
    opened = iter(await platform.opener.open_blobs(blobs))
    return [{**row, "sealed": next(opened)} if row.get("sealed") is not None else row for row in rows]


def rows_of(store: Store, table: str) -> list[Any]:
    platform = store.world.service.platform
    standing = " where settled_at is null" if table == "alert" else ""  # those that never were are settled as well
    rows = store.world.service.call(_rows(platform, f"select {TABLES[table]} from {table}{standing}"))
    return sorted((of_any_store(row) for row in rows), key=repr)


async def _states(platform: Platform) -> dict[str, Any]:
    async with platform.database.acquire() as connection:
        found = await connection.fetch("select handler, subject from state order by handler, subject")
        bodies = {}
        for handler, subject in [(row["handler"], row["subject"]) for row in found]:
            (row,) = await connection.fetch(
                "select state.*, person_key.wrapped from state left join person_key using (person, key_id) "
                "where handler = $1 and subject = $2",
                handler,
                subject,
            )
            if row["key_id"] is None:
                bodies[f"{handler} {subject}"] = orjson.loads(row["body"])["now"]
                continue
            key = platform.vault.unwrap(row["person"], row["key_id"], row["wrapped"])
            bodies[f"{handler} {subject}"] = key.open(row["nonce"], row["body"], bound_to=f"{handler}|{subject}")["now"]
    return bodies


def differing(first: Sequence[Any], other: Sequence[Any]) -> str:
    """Write down what only one of two stores has; nothing where they agree."""
    lines = [f"- {each}" for each in first if each not in other] + [f"+ {each}" for each in other if each not in first]
    return "\n".join(lines) or ("" if len(first) == len(other) else "one of them has something twice")


def test_every_store_knows_the_same_of_every_subject(stores: list[Store]) -> None:
    first, *others = [of_any_store(store.world.service.call(_states(store.world.service.platform))) for store in stores]
    assert len({name.partition(" ")[0] for name in first}) >= 27, "a service is missing from the day"
    for other in others:
        assert not (found := differing([*first.items()], [*other.items()])), found


@pytest.mark.parametrize("table", TABLES)
def test_every_store_has_the_same_rows(stores: list[Store], table: str) -> None:
    first, *others = [rows_of(store, table) for store in stores]
    for other in others:
        assert not (found := differing(first, other)), found


def test_every_subscriber_holds_the_same_to_be_true(stores: list[Store]) -> None:
    first, *others = [held(store) for store in stores]
    assert len(first) > 80
    for other in others:
        assert not (found := differing(first, other)), found
