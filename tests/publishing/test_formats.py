"""What holds of every format: it covers what it says, says what it loses, and writes the same bytes for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from fieldsvc.ids import uuid7
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import START, Reader, Row
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.submission import SHARDS
from fieldsvc.journal.writer import Writer
from fieldsvc.publishing.formats import cloudevents
from fieldsvc.publishing.formats.catalogue import CLOUDEVENTS, EPCIS, FHIR, FORMATS, SUIVI, Format, Needs
from fieldsvc.publishing.formats.cloudevents import View, sealed_classes, written_time
from fieldsvc.publishing.formats.telling import PUBLISHED, lost, paths
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database, connect
from handlers.fields import HEALTH, OPERATIONAL, PERSONAL, PUBLIC, FieldClass, format_time, split
from handlers.registry import Registry
from sql import query
from tests.rows import ACCOUNT, AT, NURSE, OPERATOR, OWNER, PARIS, THIN, stored, written

ALL = View(ACCOUNT, operator=True, health=True)
ITEM = {"item_id": "RK123456785FR"}
OTHERS = [each for each in FORMATS.values() if each is not CLOUDEVENTS]
COVERED = [(form, name) for form in OTHERS for name in PUBLISHED if form.covers(name)]
SEEN: Sequence[tuple[View, Sequence[FieldClass]]] = (
    (OWNER, (PUBLIC, PERSONAL)),
    (NURSE, (PUBLIC, PERSONAL, HEALTH)),
    (OPERATOR, (PUBLIC, OPERATIONAL)),
    (THIN, ()),
)
VALUES: Mapping[str, tuple[str, str]] = {
    "reason": ("absent", "refused"), "next": ("return", "represent"), "kind": ("did_not_occur", "incorrect_data"),
    "until": ("2026-12-06", "2026-12-07"), "corrects": ("evt_019a8f3e-7c11-7d3a-9a51-000000000001",) * 2,
}  # fmt: skip


def test_the_settings_of_endpoints_name_these_formats() -> None:
    assert list(FORMATS) == ["cloudevents", "epcis", "fhir", "suivi"]
    assert all(name == form.name for name, form in FORMATS.items())


def test_cloudevents_has_every_type_and_loses_nothing(registry: Registry) -> None:
    row, _ = stored("item.loaded", ITEM)
    for name in registry.public:
        assert CLOUDEVENTS.covers(name)
        assert CLOUDEVENTS.lost(name) == ()
        assert CLOUDEVENTS.wants(replace(row, type=name, subject="visit/1"))


@pytest.mark.parametrize("form", OTHERS, ids=lambda form: form.name)
def test_a_correction_is_wanted_where_it_is_about_a_thing_of_the_format(form: Format) -> None:
    row, _ = stored("item.loaded", ITEM)
    assert form.wants(replace(row, type="event.corrected"))
    assert not form.wants(replace(row, type="event.corrected", subject="visit/1"))
    assert not form.wants(replace(row, type="home_visit.started", subject="visit/1"))


# What is lost


@pytest.mark.parametrize(("form", "name"), COVERED, ids=lambda each: getattr(each, "name", each))
def test_every_field_is_either_seen_in_the_body_or_named_as_lost(form: Format, name: str) -> None:
    named = set(form.lost(name))
    for path in paths(PUBLISHED[name]):
        assert _moves(form, name, path) != (path in named), f"{name}: {path}"


def test_a_new_field_is_lost_until_a_writer_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inside(BaseModel):
        deep: int
        stop_id: str

    class Data(BaseModel):
        item_id: str
        colour: str
        located: Inside | None = None

    monkeypatch.setattr("fieldsvc.publishing.formats.telling.PUBLISHED", {"item.loaded": Data})
    assert lost("item.loaded", frozenset({"item_id", "located.stop_id"})) == ("colour", "located.deep")


def _moves(form: Format, name: str, path: str) -> bool:
    """Whether another value of a field makes another body, what is named as lost left aside."""
    own = {"item_id": "subject", "pouch_id": "subject", "corrects": "supersedes"}.get(path)
    before, after = (_written(form, name, _data(name, path, which)) for which in (0, 1))
    return True if own and _says_own(form, name, own) else before != after


def _says_own(form: Format, name: str, what: str) -> bool:
    """Whether the name of the thing, or of what is corrected, which the row itself has, is in the body."""
    data = _data(name, "", 0)
    if what == "subject":
        one, other = (_written(form, name, data, subject=f"item/RK{n}FR") for n in (1, 2))
    else:
        one, other = (_written(form, name, data, supersedes=n) for n in (1, 2))
    return one != other


def _written(
    form: Format, name: str, data: Mapping[str, Any], *, subject: str | None = None, supersedes: int = 1
) -> Any:
    kind = "pouch/P-1" if name.startswith("medication.") else "item/RK9FR"
    first, second = (
        stored("item.loaded", ITEM, number=n, subject=subject or kind, at=AT - timedelta(hours=n)) for n in (1, 2)
    )
    replaced = (first, second)[supersedes - 1][0].evt_id if name == "event.corrected" else None
    one = stored(name, data, number=3, supersedes=replaced, subject=subject or kind)
    return _without_lost(written(form, one, ALL, earlier=(first, second)))


def _data(name: str, path: str, which: int) -> dict[str, Any]:
    names = {each: each.rpartition(".")[2] for each in paths(PUBLISHED[name])}
    values = {each: VALUES.get(last, (f"{last}-1", f"{last}-2")) for each, last in names.items()}
    return _nested({each: pair[which if each == path else 0] for each, pair in values.items()})


def _without_lost(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key != "fieldsvc:lost"}
        return {key: _without_lost(each) for key, each in kept.items()}
    if isinstance(value, list):
        return [_without_lost(each) for each in value if not str(_url(each)).endswith("/lost")]
    return value


def _url(value: Any) -> Any:
    return value.get("url") if isinstance(value, dict) else None


# Who sees what


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_no_format_says_what_its_reader_may_not_see(form: Format, registry: Registry) -> None:
    """Every field has a mark of its own; of those that a view may not see none is in the body."""
    for name in PUBLISHED:
        if not form.covers(name) or name == "event.corrected":
            continue
        marks = {path: f"mark-{number}-" for number, path in enumerate(paths(PUBLISHED[name]))}
        one = stored(name, _nested(marks), subject="item/RK9FR")
        parts = split(registry.public[name].data, _nested(marks))
        for view, seen in SEEN:
            allowed = orjson.dumps([parts.get(each) for each in seen]).decode()
            text = orjson.dumps(written(form, one, view)).decode()
            shown = {path for path, mark in marks.items() if mark in text}
            assert shown <= {path for path, mark in marks.items() if mark in allowed}, (name, view)
            assert form is not CLOUDEVENTS or view.thin or len(shown) == allowed.count("mark-")


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path, value in values.items():
        *outer, last = path.split(".")
        inner = data
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return data


# Shipments and batches


def test_an_item_pushed_as_suivi_is_the_shipment_up_to_that_event() -> None:
    steps = (("announced", {}), ("loaded", {}), ("delivery_attempted", {"reason": "absent", "next": "office_hold"}))
    announced, loaded, tried = (
        stored(f"item.{name}", ITEM | data, number=number, at=AT + timedelta(hours=number))
        for number, (name, data) in enumerate(steps, start=1)
    )
    shipment = written(SUIVI, tried, earlier=(announced, loaded))["shipment"]
    assert [each["code"] for each in shipment["event"]] == ["PB1", "MD2", "DR1"]
    assert shipment["idShip"] == "RK123456785FR"
    assert shipment["url"] == "https://field.test/suivi?code=RK123456785FR"
    assert "Destinataire absent" in orjson.dumps(shipment).decode()
    assert "Destinataire absent" not in orjson.dumps(written(SUIVI, tried, THIN)).decode()


def test_what_was_replaced_or_withdrawn_is_no_longer_in_the_shipment() -> None:
    loaded = stored("item.loaded", ITEM, number=1)
    delivered = stored("item.delivered", ITEM | {"to": "mailbox"}, number=2)
    gone = {"corrects": delivered[0].evt_id, "kind": "did_not_occur", "reason": "other"}
    taken_back = stored("event.corrected", gone, number=3, supersedes=delivered[0].evt_id, subject=loaded[0].subject)
    assert written(SUIVI, delivered, earlier=(loaded,))["shipment"]["isFinal"] is True
    shipment = written(SUIVI, taken_back, earlier=(loaded, delivered))["shipment"]
    assert (shipment["isFinal"], [each["code"] for each in shipment["event"]]) == (False, ["MD2"])


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_a_batch_of_one_format_is_read_as_json_and_keeps_the_order(form: Format) -> None:
    rows = [stored("item.loaded", ITEM | {"item_id": f"RK{n}FR"}, number=n) for n in (3, 1, 2)]
    text = form.join([orjson.dumps(written(form, each)) for each in rows])
    found = [text.index(f"RK{n}FR".encode()) for n in (3, 1, 2)]
    assert orjson.loads(text)
    assert found == sorted(found)


def test_a_word_in_the_data_is_not_taken_for_the_list_of_sealed_parts() -> None:
    row, _ = stored("item.held", ITEM | {"office": "sealed"})
    assert b'"sealed"' in row.public
    assert sealed_classes(row) == frozenset()


@pytest.mark.parametrize("micros", [0, 1, 999, 1_000, 120_000, 999_999])
def test_times_are_written_as_everywhere(micros: int) -> None:
    moment = datetime(2026, 3, 29, 1, 0, 5, micros, UTC)
    assert written_time(moment) == format_time(moment)
    assert written_time(moment.astimezone(PARIS.zone)) == format_time(moment)


# The renderer, on a real journal


@dataclass
class Site:
    """A journal that takes commands, and its public rows."""

    database: Database
    vault: Vault
    commands: Commands

    @property
    def renderer(self) -> Renderer:
        return Renderer(Opener(self.database, self.vault), PARIS)

    async def say(self, type_: str, *, minutes: float = 0, **data: Any) -> list[Row]:
        at = datetime(2026, 11, 20, 9, tzinfo=UTC) + timedelta(minutes=minutes)
        before = {row.evt_id for row in await self.rows()}
        await self.commands.send(type_, data, occurred_at=at)
        return [row for row in await self.rows() if row.evt_id not in before]

    async def rows(self) -> list[Row]:
        reader = Reader(self.database)
        found = [row for shard in range(SHARDS) for row in await reader.after(shard, START)]
        return sorted(found, key=lambda row: (row.subject, row.subject_seq))

    async def bodies(self, rows: Sequence[Row], form: Format, view: View = OPERATOR) -> list[bytes]:
        return await self.renderer.bodies(rows, view, form.name)


@pytest.fixture
async def site(database: Database, database_url: str, vault: Vault, registry: Registry) -> AsyncIterator[Site]:
    writer = Writer(lambda: connect(database_url), vault, registry, clock=lambda: datetime.now(UTC))
    job = asyncio.create_task(writer.run())
    yield Site(database, vault, Commands(writer, vault, registry))
    writer.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await job


async def _day_of_an_item(site: Site) -> list[Row]:
    """Loaded and held; then it comes out that it was presented before, so that it is held until another day."""
    await site.say("item.loaded", **ITEM)
    (held,) = await site.say("item.held", minutes=60, office="Bondy", **ITEM)
    later = await site.say("item.delivery_attempted", minutes=-2_000, reason="absent", next="office_hold", **ITEM)
    assert [row.type for row in later] == ["item.delivery_attempted", "item.held"]
    assert orjson.loads(later[1].public)["supersedes"] == held.evt_id
    return await site.rows()


async def test_bodies_are_the_same_bytes_whatever_is_said_later(site: Site) -> None:
    rows = await _day_of_an_item(site)
    before = {form.name: await site.bodies(rows, form) for form in FORMATS.values()}
    await site.say("item.collected", minutes=120, **ITEM)
    await site.say("item.held", minutes=30, office="Pantin", **ITEM)
    assert len(await site.rows()) > len(rows)
    for form in FORMATS.values():
        assert await site.bodies(rows, form) == before[form.name]
        alone = [(await site.bodies([row], form))[0] for row in rows]
        assert alone == before[form.name], "in a batch or alone"


async def test_what_was_replaced_is_read_from_the_journal(site: Site) -> None:
    rows = await _day_of_an_item(site)
    bodies = [orjson.loads(body) for body in await site.bodies(rows, EPCIS)]
    events = [[event["fieldsvc:type"] for event in body["epcisBody"]["eventList"]] for body in bodies]
    assert events == [["item.loaded"], ["item.held"], ["item.delivery_attempted"], ["item.held", "item.held"]]
    shipments = [orjson.loads(body)["shipment"] for body in await site.bodies(rows, SUIVI)]
    assert [len(each["event"]) for each in shipments] == [1, 2, 3, 3]


async def test_a_batch_costs_one_query_for_what_was_replaced_and_two_for_shipments(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, asked, us = await _day_of_an_item(site), [], asyncio.current_task()
    acquire = Database.acquire

    def counted(database: Database) -> Any:
        if asyncio.current_task() is us:  # others read as well
            asked.append(1)
        return acquire(database)

    monkeypatch.setattr(Database, "acquire", counted)
    for form, most in ((CLOUDEVENTS, 0), (EPCIS, 1), (SUIVI, 2)):
        asked.clear()
        await site.bodies(rows, form)
        assert len(asked) == most, form.name
        assert (most > 0) == (form.needs is not Needs.NOTHING)


async def test_what_was_said_before_is_found_by_keys_alone(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        await connection.execute("set enable_seqscan = off")  # for a table of three rows it would be right
        await connection.execute(f"prepare said (uuid[]) as {query('event.public_of_ids')}")
        plan = await connection.fetch("explain execute said (array['019a8f3e-7c11-7d3a-9a51-000000000001']::uuid[])")
    lines = [row[0].strip() for row in plan]
    conditions = {line for line in lines if line.startswith("Index Cond")}
    assert conditions == {"Index Cond: (id = wanted.id)"}, "\n".join(lines)
    walked = {line for line in lines if "Seq Scan" in line or "Hash" in line or "Merge" in line}
    assert not walked, "\n".join(lines)


async def test_of_an_item_whose_state_was_erased_the_shipment_is_that_event_alone(site: Site) -> None:
    rows = await _day_of_an_item(site)
    async with site.database.acquire() as connection:
        await connection.execute("update person_key set wrapped = null, destroyed_at = now()")
    shipments = [orjson.loads(body)["shipment"] for body in await site.bodies(rows, SUIVI)]
    assert [len(each["event"]) for each in shipments] == [1, 1, 1, 1]


async def test_a_body_is_written_once_for_all_who_see_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, renderer, seen = await _day_of_an_item(site), site.renderer, []
    original = cloudevents.render
    monkeypatch.setattr(cloudevents, "render", lambda *about: seen.append(1) or original(*about))
    first = await renderer.bodies(rows, OPERATOR)
    assert await renderer.bodies(rows, View("another", operator=True)) == first
    assert len(seen) == len(rows)
    assert await renderer.bodies(rows, View("another", operator=True, thin=True)) != first
    assert len(seen) == 2 * len(rows)


@pytest.mark.parametrize("form", [CLOUDEVENTS, EPCIS], ids=lambda form: form.name)
async def test_what_was_opened_is_never_kept_and_erasing_shows_at_once(
    form: Format, journal: Any, vault: Vault
) -> None:
    public = {"pouch_id": "P-1", "proof": {"score": 1, "words": "."}}
    about = {"type_": "medication.delivered", "public": public, "sealed": {"health": {"handed_to": "patient"}}}
    await journal.say("pouch/P-1", **about)
    reader, renderer = Reader(journal.database), Renderer(Opener(journal.database, vault), PARIS)
    (row,) = [row for shard in range(SHARDS) for row in await reader.after(shard, START)]
    assert row.account is not None
    owner, nurse = View(row.account), View(row.account, health=True)
    (told,) = await renderer.bodies([row], nurse, form.name)
    assert b"patient" in told
    (plain,) = await renderer.bodies([row], owner, form.name)
    assert b"patient" not in plain
    async with journal.database.acquire() as connection:
        await connection.execute("update person_key set wrapped = null, destroyed_at = now()")
    (after,) = await renderer.bodies([row], nurse, form.name)
    assert b"patient" not in after
    assert b'erased":true' in after
    assert await renderer.bodies([row], owner, form.name) == [plain]


@pytest.mark.parametrize("form", [EPCIS, FHIR], ids=lambda form: form.name)
async def test_of_what_is_withdrawn_everybody_sees_what_they_may_whoever_asked_first(
    form: Format, journal: Any, vault: Vault
) -> None:
    public = {"pouch_id": "P-1", "proof": {"score": 1, "words": "."}}
    await journal.say(
        "pouch/P-1", type_="medication.delivered", public=public, sealed={"health": {"handed_to": "patient"}}
    )
    async with journal.database.acquire() as connection:
        await connection.execute(
            "insert into event_id (id, day, shard, pos, content_hmac, received_at)"
            " select id, day, shard, pos, '', received_at from event"
        )
    reader, opener = Reader(journal.database), Opener(journal.database, vault)
    (said,) = [row for shard in range(SHARDS) for row in await reader.after(shard, START)]
    assert said.account is not None
    gone = {"public": {"corrects": said.evt_id, "kind": "did_not_occur", "reason": "other"}, "supersedes": said.evt_id}
    withdrawn = replace(said, event_id=uuid7(), type="event.corrected", pos=said.pos + 1, public=orjson.dumps(gone))
    views = View(said.account), View(said.account, health=True), View("op", operator=True)
    bodies = [(await Renderer(opener).bodies([withdrawn], view, form.name))[0] for view in views]
    assert [b"patient" in body for body in bodies] == [False, form is EPCIS, False]
    for order in permutations(range(3)):
        renderer = Renderer(opener)
        for number in (*order, *order):
            assert await renderer.bodies([withdrawn], views[number], form.name) == [bodies[number]]


def test_where_we_are_comes_from_the_settings() -> None:
    settings = Settings(
        timezone="America/Guadeloupe", namespace="https://post.example", public_url="https://p.example/"
    )
    origin = type(PARIS).of(settings)
    assert origin.uri("item", "A/B é") == "https://post.example/item/A%2FB%20%C3%A9"
    assert origin.address == "https://p.example"
    assert origin.time(datetime(2026, 1, 1, tzinfo=UTC)) == "2025-12-31T20:00:00.000-04:00"
    for wrong in ("local", "fieldsvc://", "fieldsvc://a/", "https://a b"):
        with pytest.raises(ValueError, match="namespace"):
            Settings(namespace=wrong)
