"""The words of the table of routes: operations, their answers, faults and parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from fieldsvc import errors as e
from fieldsvc.web.reference.bodies import INTEGER, STRING
from fieldsvc.web.reference.schemas import Schema

Security = Sequence[Mapping[str, Sequence[str]]]
Fault = type[e.FieldsvcError] | tuple[int, str]
Content = Schema | type[BaseModel] | None  # a schema, a model, or a body that has none

JSON, HTML = "application/json", "text/html"
EVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
OPEN: Security = ()
DEVICE: Security = ({"device": ()}, {"device_basic": ()})
KEY: Security = ({"api_key": ()},)
PERSON: Security = ({"session": ()},)
ACTING: Security = ({"session": (), "csrf": ()},)


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: what it is, its media types, and its own headers with a sentence each."""

    says: str
    content: Mapping[str, Content] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be known of a route beside its method, its path and the first line of its view's docstring."""

    tag: str
    fr: str  # that first line, in French
    answers: Mapping[int, Answer]
    security: Security = OPEN
    faults: Sequence[Fault] = ()
    body: Mapping[str, Content] | None = None
    body_required: bool = True
    parameters: Sequence[Schema] = ()
    path: Mapping[str, str] = field(default_factory=dict)  # what each part of the path is
    description: str = ""


def one(status: int, says: str, schema: Content, **headers: str) -> dict[int, Answer]:
    """Answer with JSON."""
    named = {name.replace("_", "-"): words for name, words in headers.items()}
    return {status: Answer(says, {JSON: schema}, named)}


def parameter(where: str, name: str, description: str, schema: Schema = STRING) -> dict[str, Any]:
    """Describe an optional parameter of the query or a header."""
    return {"name": name, "in": where, "description": description, "schema": schema}


def limit(most: int = 1000) -> dict[str, Any]:
    """Describe how many a page may have."""
    return parameter("query", "limit", "How many.", {**INTEGER, "minimum": 1, "maximum": most, "default": 100})


def grouped(faults: Sequence[Fault]) -> dict[int, list[str]]:
    """Map each status to its codes, in order."""
    found: dict[int, list[str]] = {}
    for fault in faults:
        status, code = fault if isinstance(fault, tuple) else (fault.status, fault.code)
        codes = found.setdefault(int(status), [])
        if code not in codes:
            codes.append(code)
    return dict(sorted(found.items()))


def phrase(status: int) -> str:
    """Name a status."""
    return HTTPStatus(status).phrase


CURSOR = parameter("query", "cursor", "Where the page before ended; opaque.")
Table = Mapping[tuple[str, str], Operation]
