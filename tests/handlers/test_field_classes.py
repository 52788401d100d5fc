"""Every payload field of every service, and every column of every table: its class is declared, or it is personal and sealed."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from fieldsvc.journal.columns import CLEAR_PERSONAL, DIGESTS, SEALED, TYPES, WRAPPED, Lies, columns
from fieldsvc.journal.rotation import OWN
from fieldsvc.journal.rotation import WRAPPED as ROTATED
from fieldsvc.store.database import Database
from handlers import alerting, corrections, tasks
from handlers.fields import OPERATIONAL, PUBLIC, SEALED_CLASSES, FieldClass, Payload, split
from handlers.registry import Registry
from handlers.story import Command, Refused, SetTimer

COLUMNS = """
select class.relname || '.' || attribute.attname as name, format_type(attribute.atttypid, null) as type
from pg_attribute as attribute join pg_class as class on class.oid = attribute.attrelid
where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p') and not class.relispartition
  and attribute.attnum > 0 and not attribute.attisdropped
"""
NAMES_A_PERSON = frozenset(
    "addressee address name names surname first_name phone mobile email contact contacts mandates note notes text comment "
    "signature new_address old_address acceptor lat lon fix point answers needs code_hmac birth_date".split()
)
NAMED_IN_CLEAR = {"HazardFact.point", "Reported.point"}  # a danger on the way is for everyone who passes


def models(registry: Registry) -> Iterator[type[BaseModel]]:
    """Every model of a payload or of public data that anything of the project knows."""
    yield from (kind.payload for kind in registry.kinds.values())
    yield from (said.data for said in registry.public.values())
    yield from (event.payload for event in tasks.EVENTS)
    yield alerting.Acknowledged
    yield corrections.EVENT.payload


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldClass | None]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, next((mark for mark in field.metadata if isinstance(mark, FieldClass)), None)


def test_a_field_without_a_class_and_a_field_that_no_model_knows_are_sealed(registry: Registry) -> None:
    undeclared = 0
    for model in models(registry):
        for name, declared in fields(model):
            parts = split(model, {name: "x"})
            if declared is None:
                undeclared += 1
                assert not parts.keys() & {PUBLIC, OPERATIONAL}, f"{model.__name__}.{name}"
            else:
                assert parts == {declared: {name: "x"}}
        if issubclass(model, Payload):
            assert split(model, {"never_heard_of": "x"}) == {FieldClass.PERSONAL: {"never_heard_of": "x"}}
    assert undeclared > 0


def test_what_a_field_is_called_never_contradicts_its_class(registry: Registry) -> None:
    clear = {
        f"{model.__name__}.{name}"
        for model in models(registry)
        for name, declared in fields(model)
        if declared in (PUBLIC, OPERATIONAL) and name in NAMES_A_PERSON
    }
    assert clear == NAMED_IN_CLEAR


def test_what_one_service_sends_another_and_what_a_timer_carries_is_never_sealed_matter(
    registry: Registry, new_story: Any
) -> None:
    """Timers lie in the clear until they fire: a payload in one may hold only what may lie there."""
    looked_at = 0
    for handler in registry.handlers.values():
        for kind in handler.events:
            for example in kind.examples:
                for subject in handler.subjects_of(kind.name, example):
                    story = new_story(handler.name, subject)
                    try:
                        decision = story.add(kind.name, example, by=next(iter(sorted(kind.by))))
                    except Refused:  # an example that needs others before it
                        continue
                    for each in (*decision.commands, *decision.timers):
                        looked_at += 1
                        assert not sealed_of(registry, each), f"{handler.name}: {each}"
    assert looked_at > 10


def sealed_of(registry: Registry, each: Any) -> set[str]:
    if isinstance(each, Command):
        payload = registry.by_type[each.type][1].payload
        parts = split(payload, orjson.loads(orjson.dumps(dict(each.data))))
        return {name.value for name in SEALED_CLASSES if name in parts}
    return set(each.payload) & NAMES_A_PERSON if isinstance(each, SetTimer) else set()


async def test_every_column_that_could_hold_a_person_says_how_it_lies(database: Database) -> None:
    async with database.acquire() as connection:
        rows = await connection.fetch(COLUMNS)
    known = {row["name"] for row in rows if row["type"] in TYPES}
    declared = columns()
    assert known - declared.keys() == set(), "columns without a line in fieldsvc/journal/columns.py"
    assert declared.keys() - known == set(), "lines of columns that are gone"
    assert {row["name"] for row in rows if row["name"].endswith((".sealed", ".ciphertext"))} <= SEALED | WRAPPED
    assert all(reason for reason in CLEAR_PERSONAL.values())
    assert len(declared) == len(SEALED) + len(WRAPPED) + len(DIGESTS) + len(CLEAR_PERSONAL) + [
        *declared.values()
    ].count(Lies.CLEAR)


def test_everything_under_the_master_key_is_rotated() -> None:
    assert {*(each.column for each in ROTATED), *OWN} == WRAPPED


@pytest.mark.parametrize("name", ["lat", "lon"])
def test_no_place_of_a_carrier_has_a_column_but_the_documented_exception(name: str) -> None:
    carriers = {column for column in CLEAR_PERSONAL if column.endswith(f".{name}")}
    assert carriers == {f"hazard.{name}", f"track.{name}"}
