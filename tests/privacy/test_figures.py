"""V05: the carrier is served, never watched: nothing is counted, ranked or listed by carrier."""

import re
from collections.abc import Iterator
from typing import Any

from fieldsvc.reports.kpis import KPIS
from fieldsvc.reports.tables import COLUMNS
from fieldsvc.web.documents import openapi

WORD = re.compile(r"(^|_)carriers?($|_)|employee|staff|facteur")
COUNTED = re.compile(
    r"(^|_)(score|rate|rank|average|mean|median|count|per_hour|productivity|performance|pace|speed|percent|worst|best)(_|$)"
)
NAMED = {
    # where a carrier is named, and why that is no figure
    "get /v1/runs runs": "whose round it is today, with the state of the round",
    "get /v1/runs/not-back runs": "who is still out, with what is left of the round",
    "get /v1/runs/{id}/replay": "whose round it was, with the way of that one run",
    "get /v1/roster rows": "the plan",
    "get /v1/roster carriers": "who may walk: qualifications",
    "get /v1/roster absences": "who is away",
    "post /v1/runs/{id}/reassign": "who has the round now",
    "post /v1/runs/{id}/split giver": "the same",
    "post /v1/runs/{id}/split taker": "the same",
    "post /v1/cover/proposals pieces": "who could stand in tomorrow: planned minutes, not worked ones",
    "post /v1/cover/proposals pieces critical": "the same",
    "get /v1/me/export": "the carrier's own download",
    "get /v1/alerts alerts": "who calls for help",
    "post /v1/alerts/{id}/ack": "the same",
    "post /v1/alerts/{id}/assign": "the same",
    "post /v1/devices/enrol": "whose phone this is",
}


def objects(schema: Any, document: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk the objects of an answer, each by where it stands."""
    if name := schema.get("$ref"):
        yield from objects(document["components"]["schemas"][name.rpartition("/")[2]], document, place)
        return
    if "properties" in schema:
        yield place, schema["properties"]
    for name, inner in schema.get("properties", {}).items():
        yield from objects(inner, document, f"{place} {name}")
    arms = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ()), schema.get("items")]
    for arm in filter(None, arms):
        yield from objects(arm, document, place)


def answers(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    if "public." not in str(content.get("schema", {})):
                        yield from objects(content.get("schema", {}), document, f"{method} {path}")


def test_no_route_parameter_or_answer_counts_by_carrier() -> None:
    document = openapi()
    for path, operations in document["paths"].items():
        assert not re.search(r"carriers?\b|rank|\bleague|performance|productivity", path), path
        for operation in operations.values():
            asked = {each["name"] for each in operation.get("parameters", ())}
            assert not [name for name in asked if WORD.search(name)], path
            assert not asked & {"sort", "order_by", "group_by"}, path
    named = {place: fields for place, fields in answers(document) if "carrier" in fields}
    assert named.keys() == NAMED.keys()
    for place, fields in named.items():
        assert not [name for name in fields if COUNTED.search(name)], place


def test_no_column_and_no_figure_of_the_reports_is_by_carrier() -> None:
    assert not [name for name in COLUMNS if WORD.search(name) or name in ("run", "device", "round")]
    for kpi in KPIS:
        assert not re.search(r"(by|per) (carrier|employee)|par facteur", " ".join(kpi.definition.values())), kpi.name


def test_what_would_be_a_figure_by_carrier_is_found() -> None:
    schema = {"type": "object", "properties": {"carrier": {}, "average_min": {}}}
    document = {"paths": {"/x": {"get": {"responses": {"200": {"content": {"json": {"schema": schema}}}}}}}}
    ((_, fields),) = answers(document)
    assert [name for name in fields if COUNTED.search(name)] == ["average_min"]
