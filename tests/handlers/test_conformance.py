"""What every service has to hold to; a new file in `handlers/` is tested here without an edit."""

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import handlers
from handlers.base import Handler, validated
from handlers.fields import OPERATIONAL, PUBLIC, SEALED_CLASSES, FieldClass, PublicData, split
from handlers.registry import FaultyHandler, Registry, discover
from handlers.story import Actor, Decision, Event, EventType, State
from tests.sizes import sized

REGISTRY = discover()
SERVICES = list(REGISTRY.handlers.values())
TYPES = [(handler, each) for handler, each in REGISTRY.by_type.values()]
GOLDEN = Path(__file__).parent.parent / "golden"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SPACE = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
ALLOWED_IMPORTS = {
    "abc", "bisect", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "importlib", "itertools",
    "json", "math", "orjson", "pathlib", "pydantic", "re", "sys", "types", "typing", "unicodedata", "uuid", "zoneinfo",
    "handlers", "geo",
}  # fmt: skip
PLACES = (
    None,
    {
        "stop_id": "st-118",
        "door_distance_m": 8.2,
        "confidence": 0.97,
        "method": "scan",
        "status": "at_stop",
        "run_id": "r",
    },
    {
        "stop_id": "st-119",
        "door_distance_m": 130.0,
        "confidence": 0.4,
        "method": "match",
        "delivery_point_id": "dp-119",
    },
    {"method": "none"},
)
PLACEMENTS = (None, {"score": 0.95, "ambiguous": False, "round_id": "T07"}, {"score": 0.7, "ambiguous": True})
PLAN = {
    "task_id": "tsk_1",
    "on": "2026-11-21",
    "window": {"from": "2026-11-21T08:00:00Z", "until": "2026-11-21T13:00:00Z"},
    "requirements": ["signature"],
    "details": {"consent": {"given_on": "2026-11-01", "answers": ["feels_well"]}},
}


def named(value: Any) -> str:
    return value[1].name if isinstance(value, tuple) else value.name


def event_of(handler: Handler, each: EventType, example: Mapping[str, Any], subject: str | None = None) -> Event:
    data = validated(each.payload, orjson.dumps(example))
    by = min(each.by)
    subject = subject or handler.subjects_of(each.name, data)[0]
    return Event(uuid5(SPACE, each.name), each.name, subject, NOON, data, Actor(by), located=PLACES[1])


def golden(each: EventType) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in corpus(each.name)]


@cache
def corpus(name: str) -> list[bytes]:
    return (GOLDEN / f"{name}.v1.json").read_bytes().splitlines()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def open_part(registry: Registry, kind: str, data: Mapping[str, Any]) -> dict[FieldClass, dict[str, Any]]:
    parts = split(registry.public[kind].data, data)
    return {name: part for name, part in parts.items() if name in (PUBLIC, OPERATIONAL)}


def check_decision(registry: Registry, handler: Handler, decision: Decision) -> None:
    """Hold a decision to what the journal relies on."""
    declared = {each.name for each in handler.publishes} | {"event.corrected", "task.planned"}
    for public in decision.public_events:
        assert public.type in declared
        validated(registry.public[public.type].data, orjson.dumps(public.data))
    orjson.dumps(decision.new_state)
    orjson.dumps(decision.answer)


def check_examples(registry: Registry, handler: Handler) -> None:
    """Every example is valid, decided the same way twice, and changes nothing that it was given."""
    for each in handler.events:
        for example in each.examples:
            event = event_of(handler, each, example)
            before = copy.deepcopy(event)
            first = handler.decide(State(), event, NOON)
            assert first == handler.decide(State(), event, NOON)
            assert event == before
            body = copy.deepcopy(first.new_state)
            handler.decide(State(body), replace(event, id=uuid5(SPACE, "another")), NOON)
            assert body == first.new_state
            check_decision(registry, handler, first)
            assert all(command.subject != event.subject for command in first.commands)


@pytest.mark.parametrize("handler", SERVICES, ids=named)
def test_examples_are_valid_decided_purely_and_published_as_declared(handler: Handler) -> None:
    check_examples(REGISTRY, handler)


@pytest.mark.parametrize("handler", SERVICES, ids=named)
def test_everything_has_a_title_in_french_and_english(handler: Handler) -> None:
    titles = [handler.title, *(each.title for each in handler.events), *(each.title for each in handler.publishes)]
    assert all(title["fr"].strip() and title["en"].strip() for title in titles)


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_payload_gives_a_json_schema_for_the_phones_form(case: tuple[Handler, EventType]) -> None:
    schema = case[1].payload.model_json_schema()
    assert schema["type"] == "object"
    assert set(case[1].examples[0]) <= set(schema["properties"])
    orjson.dumps(schema)


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_payload_refuses_what_is_not_an_object_of_its_fields(case: tuple[Handler, EventType]) -> None:
    for body in (b"[]", b"null", b'"text"', b'{"stop_id": 7}', b'{"stop_id": "no spaces"}'):
        with pytest.raises(ValueError, match=r".+"):
            validated(case[1].payload, body)


def leaves(model: type[BaseModel]) -> dict[str, FieldClass | None]:
    return {
        field.alias or name: next((mark for mark in field.metadata if isinstance(mark, FieldClass)), None)
        for name, field in model.model_fields.items()
    }


@pytest.mark.parametrize("handler", SERVICES, ids=named)
def test_every_field_of_public_data_says_its_class_or_is_a_model_that_does(handler: Handler) -> None:
    for public in handler.publishes:
        for name, marked in leaves(public.data).items():
            parts = split(public.data, {name: {"inside": 1}})
            assert marked is not None or any(isinstance(part[name], dict) for part in parts.values()), (
                public.name,
                name,
            )
            assert not (marked is None and PublicData not in _inner_bases(public.data, name)), (public.name, name)


def _inner_bases(model: type[BaseModel], name: str) -> tuple[type, ...]:
    """Return the bases of the nested model of a field; ours are public data, or say all their classes themselves."""
    from handlers.fields import _inner

    inner = _inner(model.model_fields[name].annotation)
    assert inner is not None
    marked = all(leaves(inner).values())
    return (PublicData, *inner.__mro__) if marked else inner.__mro__


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_sealed_fields_of_a_payload_are_sealed_or_absent_in_what_is_published(case: tuple[Handler, EventType]) -> None:
    _, each = case
    payload = leaves(each.payload)
    published = leaves(REGISTRY.public[each.name].data)
    for name, marked in payload.items():
        if marked in SEALED_CLASSES and name != "proof":  # a proof is published as its score: another thing
            assert published.get(name, marked) in SEALED_CLASSES, name


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_no_sealed_word_of_any_known_body_is_in_the_open_part_of_what_is_published(
    case: tuple[Handler, EventType],
) -> None:
    handler, each = case
    for body in golden(each):
        data = validated(each.payload, orjson.dumps(body["data"]))
        parts = split(each.payload, data)
        sealed = {text for name in SEALED_CLASSES for text in strings(parts.get(name, {}))}
        sealed -= {text for name in (PUBLIC, OPERATIONAL) for text in strings(parts.get(name, {}))}
        decision = handler.decide(State(), event_of(handler, each, body["data"]), NOON)
        for public in decision.public_events:
            told = set(strings(open_part(REGISTRY, public.type, public.data)))
            assert not told & sealed, (public.type, told & sealed)


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_a_field_that_the_payload_does_not_declare_is_never_published(case: tuple[Handler, EventType]) -> None:
    handler, each = case
    declared = set(leaves(each.payload))
    surprises = {name for public in handler.publishes for name in leaves(public.data)} - declared | {"surprise"}
    example = {**each.examples[0], **dict.fromkeys(surprises, "a neighbour's name")}
    decision = handler.decide(State(), event_of(handler, each, example), NOON)
    assert "a neighbour's name" not in set(strings([dict(public.data) for public in decision.public_events]))
    check_decision(REGISTRY, handler, decision)


def test_services_import_no_clock_no_chance_and_no_input_or_output() -> None:
    for file in Path(handlers.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= ALLOWED_IMPORTS, file.name
            called = node.func if isinstance(node, ast.Call) else None
            clock = isinstance(called, ast.Attribute) and called.attr in ("now", "utcnow", "today", "uuid4", "uuid1")
            assert not clock, f"{file.name}:{getattr(node, 'lineno', 0)}"
            opens = isinstance(called, ast.Name) and called.id in ("open", "print", "input")
            assert not opens, file.name


@st.composite
def days(draw: st.DrawFn, handler: Handler) -> tuple[str, list[Event]]:
    """Draw what may happen to one subject in a day, with its order and its timers."""
    first = handler.events[0]
    subject = handler.subjects_of(first.name, validated(first.payload, orjson.dumps(first.examples[0])))[0]
    kinds: list[tuple[str, Mapping[str, Any], str]] = []
    for each in handler.events:
        bodies = [body["data"] for body in golden(each)]
        chosen = draw(st.lists(st.sampled_from(bodies), max_size=2))
        kinds += [(each.name, validated(each.payload, orjson.dumps(data)), min(each.by)) for data in chosen]
    kinds += [(f"timer.{kind}", {}, "server") for kind in draw(st.lists(st.sampled_from(TIMERS), max_size=2))]
    if handler.takes_tasks and draw(st.booleans()):
        kinds.append(("task.planned", {**PLAN, "subject": subject, "service": handler.name}, "subscriber"))
    minutes = draw(st.lists(st.integers(0, 30), min_size=len(kinds), max_size=len(kinds)))
    events = [
        Event(
            uuid5(SPACE, f"{number}"),
            kind,
            subject,
            NOON + timedelta(minutes=minute),
            data,
            Actor(by, "acc-1" if by == "subscriber" else None),
            located=draw(st.sampled_from(PLACES)),
            placement=draw(st.sampled_from(PLACEMENTS)),
            clock_suspect=draw(st.booleans()),
            late_s=draw(st.sampled_from((None, 5.0, 7200.0))),
        )
        for number, (minute, (kind, data, by)) in enumerate(zip(minutes, kinds, strict=True))
    ]
    return subject, events


TIMERS = ("at_risk", "return_due", "not_served", "of_another_service")


@pytest.mark.parametrize("handler", SERVICES, ids=named)
@settings(max_examples=sized(30, 300), deadline=None)
@given(data=st.data())
def test_any_order_of_arrival_reaches_the_same_state_and_the_same_published_truth(
    handler: Handler, tell_again: Any, data: st.DataObject
) -> None:
    subject, events = data.draw(days(handler))
    other = data.draw(st.permutations(events))
    first, second = tell_again(handler, subject, events), tell_again(handler, subject, other)
    assert (first.body or {}).get("facts") == (second.body or {}).get("facts")
    assert (first.body or {}).get("now") == (second.body or {}).get("now")
    assert first.contents() == second.contents()
    for public in (*first.everything, *second.everything):
        validated(REGISTRY.public[public.type].data, orjson.dumps(public.data))


@pytest.mark.parametrize("handler", SERVICES, ids=named)
@settings(max_examples=sized(15, 150), deadline=None)
@given(data=st.data())
def test_commands_go_only_to_other_subjects_of_known_types(handler: Handler, data: st.DataObject) -> None:
    _, events = data.draw(days(handler))
    body = None
    for event in events:
        decision = handler.decide(State(body), event, NOON)
        body = decision.new_state
        check_decision(REGISTRY, handler, decision)
        for command in decision.commands:
            receiver, kind = REGISTRY.by_type[command.type]
            assert command.subject != event.subject
            sent = validated(kind.payload, orjson.dumps(command.data))
            assert receiver.subjects_of(command.type, sent) == (command.subject,)


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_every_body_of_the_golden_corpus_is_still_taken_and_on_the_same_subject(
    case: tuple[Handler, EventType],
) -> None:
    handler, each = case
    bodies = golden(each)
    assert bodies
    for body in bodies:
        assert body["type"] == f"fieldsvc.{each.name}.v1"
        data = validated(each.payload, orjson.dumps(body["data"]))
        subjects = handler.subjects_of(each.name, data)
        assert body["subject"] == subjects[0]
        for subject in subjects:
            check_decision(
                REGISTRY, handler, handler.decide(State(), event_of(handler, each, body["data"], subject), NOON)
            )


def test_the_golden_corpus_has_no_type_that_nobody_takes_any_more() -> None:
    assert {file.name.removesuffix(".v1.json") for file in GOLDEN.glob("*.json")} == set(REGISTRY.by_type)


NEW_SERVICE = """
from typing import Annotated
from handlers.base import Handler
from handlers.fields import PUBLIC, Id, Payload, PublicData
from handlers.story import EventType, Said, Tale, public, shown, titled

class Counted(Payload):
    swan_id: Annotated[Id, PUBLIC]
    swans: Annotated[int, PUBLIC]

class CountedFact(PublicData):
    swan_id: Annotated[str, PUBLIC]
    swans: Annotated[int, PUBLIC]

COUNTED = EventType("swan.counted", Counted, titled("Cygnes", "Swans"), ({"swan_id": "s-1", "swans": 2},))

class Swans(Handler):
    name = "swan"
    title = titled("Cygnes", "Swans")
    subject = "swan/{swan_id}"
    events = (COUNTED,)
    publishes = public(CountedFact, COUNTED)

    def tell(self, facts, new, now):
        return Tale([Said(fact, fact.type, shown(CountedFact, fact)) for fact in facts], {"swans": new.data["swans"]})

HANDLER = Swans()
"""


def test_one_new_file_in_a_folder_is_a_working_service(tmp_path: Path) -> None:
    (tmp_path / "swan.py").write_text(NEW_SERVICE)
    registry = discover(tmp_path)
    handler, each = registry.by_type["swan.counted"]
    check_examples(registry, handler)
    assert set(registry.handlers) == {*REGISTRY.handlers, "swan"}
    assert each.payload.model_json_schema()["properties"]["swans"]["type"] == "integer"
    decision = handler.decide(State(), event_of(handler, each, {"swan_id": "s-9", "swans": 3}), NOON)
    assert [(public.type, public.data) for public in decision.public_events] == [
        ("swan.counted", {"swan_id": "s-9", "swans": 3})
    ]


FAULTS = {
    "is not Python": ("def (", "SyntaxError"),
    "binds nothing": ("x = 1", "HANDLER"),
    "has a broken import": ("import no_such_module_at_all", "no_such_module_at_all"),
    "has no tell": (NEW_SERVICE.replace("def tell", "def sell"), "tell"),
    "has the name of another service": (NEW_SERVICE.replace('name = "swan"', 'name = "item"'), "item"),
    "has the type of another service": (NEW_SERVICE.replace('"swan.counted"', '"item.held"'), "item.held"),
    "has the type of a task": (NEW_SERVICE.replace('"swan.counted"', '"task.planned"'), "task.planned"),
    "has no example": (NEW_SERVICE.replace('({"swan_id": "s-1", "swans": 2},)', "()"), "example"),
    "has an example that is not valid": (NEW_SERVICE.replace('"swans": 2', '"swans": "two"'), "swans"),
    "has no French": (NEW_SERVICE.replace('titled("Cygnes", "Swans")', '{"en": "Swans"}'), "French"),
    "has a payload that is none": (
        NEW_SERVICE.replace("class Counted(Payload)", "class Counted(PublicData)"),
        "payload",
    ),
    "publishes a model that is none": (
        NEW_SERVICE.replace("class CountedFact(PublicData)", "class CountedFact(Payload)"),
        "public data",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_refuses_to_start_and_is_named_with_its_fault(tmp_path: Path, fault: str) -> None:
    text, word = FAULTS[fault]
    file = tmp_path / f"swan_that_{fault.replace(' ', '_')}.py"
    file.write_text(text)
    with pytest.raises(FaultyHandler) as refused:
        discover(tmp_path)
    assert str(file) in str(refused.value)
    assert word in str(refused.value)


def test_two_files_with_one_service_refuse_to_start_and_the_second_is_named(tmp_path: Path) -> None:
    (tmp_path / "swan.py").write_text(NEW_SERVICE)
    (tmp_path / "swan_again.py").write_text(NEW_SERVICE)
    with pytest.raises(FaultyHandler, match="swan_again"):
        discover(tmp_path)
