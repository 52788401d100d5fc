"""Who sees what: worked out by the code that sends, so that a page about it cannot promise anything else.

Of every public type an event with every field of its model is cut by class and rendered for each kind of subscriber, by the very
functions that do so for a real one. What people read beside that are screens: who may is in the table of rights, and what is on
them are the fields of the answers of those routes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.cloudevents import View, render
from fieldsvc.web.reference.bodies import WRITTEN
from fieldsvc.web.reference.events import receivable, services_of
from fieldsvc.web.reference.examples import EVENT_ID, MORNING
from fieldsvc.web.reference.operation import Content
from fieldsvc.web.reference.operations import OPERATIONS
from fieldsvc.web.reference.supervision import LIVE
from fieldsvc.web.reference.webhooks import BODIES
from fieldsvc.web.rights import TABLE
from fieldsvc.web.rights_row import Own
from handlers.fields import OPERATIONAL, PUBLIC, SEALED_CLASSES, FieldClass, split
from handlers.registry import Registry
from handlers.story import EventType, PublicType

Route = tuple[str, str]
_OWNER = "the account whose order it is"
_VALUE = "x"
_NAMED: Mapping[str, Content] = {**WRITTEN, **BODIES}


class Reader(StrEnum):
    """Who may receive an event itself."""

    FULL = "full"  # an endpoint of the account whose order it is
    HEALTH = "health"  # the same with the scope `health`
    THIN = "thin"  # an endpoint that asked for thin events
    OPERATOR = "operator"  # an account with the scope `operator`
    OTHER = "other"  # any other account
    LOGS = "logs"  # tests/hostile shows it; no view leads there


VIEWS: Mapping[Reader, View | None] = {
    Reader.FULL: View(_OWNER),
    Reader.HEALTH: View(_OWNER, health=True),
    Reader.THIN: View(_OWNER, thin=True),
    Reader.OPERATOR: View("the operator", operator=True, health=True),
    Reader.OTHER: View("somebody else", health=True),
    Reader.LOGS: None,
}
ORDERED, ALERTING = "all that are ordered", "all that alert"
SCREENS: Mapping[Route, tuple[str, ...]] = {
    ("GET", "/v1/runs/{id}/sheet"): (
        ORDERED,
        "instruction",
        "hazard",
        "notebook",
        "delivery_change",
        "access",
        "household",
    ),
    ("GET", "/v1/runs/current"): ("run",),
    ("GET", "/v1/me/alarms"): ("alarm",),
    ("GET", "/v1/ideas"): ("idea",),
    ("GET", "/v1/alerts"): (ALERTING, "alarm"),
    ("GET", "/v1/live"): ("run", "alarm"),
    ("GET", "/v1/runs"): ("run",),
    ("GET", "/v1/roster"): ("run",),
    ("GET", "/v1/runs/{id}/replay"): ("run",),
    ("GET", "/v1/runs/{id}/stops"): ("run", "item"),
    ("GET", "/v1/runs/not-back"): ("run", ORDERED),
    ("GET", "/v1/overview"): ("run", ORDERED, ALERTING),
    ("GET", "/v1/runs/{id}/requests"): ("delivery_change",),
    ("GET", "/v1/runs/{id}/timeline"): (
        ORDERED,
        ALERTING,
        "run",
        "instruction",
        "notebook",
        "hazard",
        "address_change",
    ),
    ("GET", "/v1/hazards"): ("hazard",),
    ("GET", "/v1/access-cases"): ("access",),
    ("GET", "/v1/address-changes"): ("address_change",),
    ("GET", "/v1/delivery-points"): ("address_change",),
    ("GET", "/v1/cases"): ("trust",),
    ("GET", "/v1/cases/{id}"): ("trust",),
    ("GET", "/v1/kpis"): ("item", "medication", "home_visit", "delivery_change", "rating", "trust"),
    ("GET", "/v1/tasks"): (ORDERED,),
    ("GET", "/v1/tasks/{id}"): (ORDERED,),
    ("GET", "/v1/items/{item_id}/proof"): ("item",),
    ("GET", "/v1/delivery-changes/{id}"): ("delivery_change",),
    ("GET", "/suivi/v2/idships/{ids}"): ("item",),
}
"""Which services' events can be read where, beside the feed: a test finds a route of rights that is missing here."""


@dataclass(frozen=True, slots=True)
class Cannot:
    """A question about carriers that no query can answer, and the tests that try to get an answer."""

    question: str  # its words: `council.cannot.<question>`
    tests: tuple[str, ...]


CANNOT = (
    Cannot(
        "off_duty",
        (
            "tests/privacy/test_duty.py::test_of_many_fixes_around_the_edges_of_duty_none_is_stored_outside_it",
            "tests/tracking/test_taking.py::test_only_what_lies_between_start_and_end_and_in_no_pause_counts",
        ),
    ),
    Cannot(
        "pause",
        ("tests/privacy/test_duty.py::test_a_pause_asks_for_no_reason_keeps_its_times_and_alerts_nobody",),
    ),
    Cannot(
        "beside",
        (
            "tests/privacy/test_precision.py::test_every_place_of_the_live_map_and_of_a_replay_is_on_the_planned_line",
            "tests/tracking/test_dump.py::test_after_a_day_no_place_of_a_carrier_is_in_the_database",
        ),
    ),
    Cannot("speed", ("tests/privacy/test_precision.py::test_no_answer_and_no_table_has_a_speed",)),
    Cannot(
        "ranking",
        (
            "tests/privacy/test_figures.py::test_no_route_parameter_or_answer_counts_by_carrier",
            "tests/reports/test_service.py::test_no_answer_of_the_interface_groups_anything_by_carrier",
            "tests/reports/test_service.py::test_a_carrier_who_works_alone_is_in_no_figure_of_any_answer",
        ),
    ),
    Cannot("stops", ("tests/privacy/test_tables.py::test_no_table_holds_a_carrier_beside_a_duration",)),
    Cannot(
        "mandate",
        (
            "tests/privacy/test_duty.py::test_on_a_mandate_every_fix_is_dropped",
            "tests/acceptance/test_live.py::test_a_mandate_of_staff_representatives_is_seen_by_nobody",
        ),
    ),
    Cannot("past", ("tests/tracking/test_upkeep.py::test_progress_and_the_newest_of_runs_are_gone_after_sixty_days",)),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One public type: the class of each field, and what each reader gets of it."""

    said: PublicType
    services: Sequence[str]
    fields: Mapping[str, FieldClass]
    seen: Mapping[Reader, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sent:
    """One type of field event and the class of each field."""

    kind: EventType
    service: str | None
    fields: Mapping[str, FieldClass]


@dataclass(frozen=True, slots=True)
class Screen:
    """One route: who may call it, the fields of its answer, and which services' events can be read there."""

    route: Route
    readers: Mapping[str, Own]
    fields: Sequence[str]
    services: Sequence[str]


def public_types(registry: Registry) -> list[Shown]:
    """Work out for every type that a subscriber can receive what each reader gets."""
    return [
        Shown(
            said,
            services_of(registry, said.name),
            classes_of(said.data),
            {reader: read_by(said, view) if view else () for reader, view in VIEWS.items()},
        )
        for said in receivable(registry)
    ]


def field_types(registry: Registry) -> list[Sent]:
    """List what phones and people send, with the classes of the fields."""
    services = {name: handler.name for name, (handler, _) in registry.by_type.items()}
    return [Sent(kind, services.get(name), classes_of(kind.payload)) for name, kind in registry.kinds.items()]


def screens(registry: Registry) -> list[Screen]:
    """List the routes on which events can be read, with the services that there are."""
    return [
        Screen(
            route,
            TABLE[route].own,
            fields_of(route),
            [name for name in registry.handlers if _tags(registry, name) & set(services)],
        )
        for route, services in SCREENS.items()
    ]


def fields_of(route: Route) -> list[str]:
    """Name the fields of a route's good answers, each by its path."""
    bodies: list[Content] = [body for each in OPERATIONS[route].answers.values() for body in each.content.values()]
    bodies += LIVE if route == ("GET", "/v1/live") else ()
    return list(dict.fromkeys(path for body in bodies for path in _paths(body)))


def classes_of(model: type[BaseModel]) -> dict[str, FieldClass]:
    """Map each field of a model, by its path, to the class by which it is cut."""
    whole = _filled(model)
    by_path = {path: name for name, part in split(model, whole).items() for path in _leaves(part)}
    return {path: by_path[path] for path in _leaves(whole)}


def read_by(said: PublicType, view: View) -> list[str]:
    """Render an event that has every field, as a subscriber with this view receives it; name what is in its data."""
    parts = split(said.data, _filled(said.data))
    row = _row(said, parts)
    if not view.sees(row):
        return []
    opened: dict[str, Mapping[str, Any] | None] = {
        each.value: parts[each] for each in SEALED_CLASSES if each in parts and each.value in view.wanted(row)
    }
    return list(_leaves(orjson.loads(render(row, opened, view))["data"]))


def _tags(registry: Registry, name: str) -> set[str]:
    handler = registry.handlers[name]
    alerts = any(each.alert for each in handler.publishes)
    return {name} | ({ORDERED} if handler.takes_tasks else set()) | ({ALERTING} if alerts else set())


def _row(said: PublicType, parts: Mapping[FieldClass, Mapping[str, Any]]) -> Row:
    sealed = [each.value for each in SEALED_CLASSES if each in parts]
    content = {"public": parts.get(PUBLIC, {}), "operational": parts.get(OPERATIONAL, {}), "sealed": sealed}
    return Row(
        day=MORNING.date(),
        shard=0,
        pos=1,
        event_id=UUID(EVENT_ID.format(1)),
        part=0,
        type=said.name,
        subject="thing/1",
        subject_seq=1,
        account=_OWNER,
        site="site",
        run=None,
        occurred_at=MORNING,
        received_at=MORNING,
        public=orjson.dumps(content),
    )


def _filled(model: type[BaseModel]) -> dict[str, Any]:
    """Make an object of a model with every field that it declares, models inside it too."""
    whole: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = None if any(isinstance(mark, FieldClass) for mark in field.metadata) else _inner(field.annotation)
        whole[field.alias or name] = _VALUE if inner is None else _filled(inner)
    return whole


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next((found for arm in get_args(annotation) if (found := _inner(arm))), None)
    return None


def _leaves(whole: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in whole.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _paths(body: Content, prefix: str = "") -> Iterator[str]:
    """Walk the schema of an answer down to what has no names of its own."""
    schema = body.model_json_schema() if isinstance(body, type) else body or {}
    if name := schema.get("$ref"):
        yield from _paths(_NAMED.get(str(name).rpartition("/")[2], {}), prefix)
        return
    arms = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    inner = [arm for arm in [*arms, schema.get("items")] if arm and arm != {"type": "null"}]
    for name, shown in schema.get("properties", {}).items():
        yield from _paths(shown, f"{prefix}{name}.")
    for arm in inner:
        yield from _paths(arm, prefix)
    if prefix and not inner and not schema.get("properties"):
        yield prefix.rstrip(".")
