"""The body of `POST /v1/tasks`, checked at the border: nothing unknown is taken."""

import re
import secrets
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fieldsvc.faults import faults_of, said
from fieldsvc.work.errors import BadTask, SandboxSubject, SubjectRequired, UnknownService
from handlers import sandbox
from handlers.base import Handler
from handlers.fields import Id, Note, Text, Time, format_time, parse_day
from handlers.registry import Registry

_SUBJECT = re.compile(r"^([a-z][a-z_]*)/[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_KEPT = (
    "address",
    "addressee",
    "person",
    "requirements",
    "form",
    "mandates",
    "contacts",
    "notes",
    "order_ref",
    "details",
)


class WindowBody(BaseModel):
    """When it must be done."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    from_: Time = Field(alias="from")
    until: Time

    @model_validator(mode="after")
    def _in_order(self) -> "WindowBody":
        if self.from_ >= self.until:
            raise ValueError("the window ends before it begins")
        return self


class TaskBody(BaseModel):
    """Planned work as it is ordered."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    service: Id
    subject: Annotated[str, Field(pattern=_SUBJECT.pattern)] | None = None
    on: Annotated[date, BeforeValidator(parse_day)] | None = None
    delivery_point: Id | None = None
    address: Text | dict[str, Any] | None = None
    addressee: Text | dict[str, Any] | None = None
    person: Id | None = None
    window: WindowBody | None = None
    requirements: list[Id] = Field(default_factory=list, max_length=50)
    form: dict[str, Any] | None = None
    mandates: list[Any] | None = Field(default=None, max_length=50)
    contacts: list[Any] | None = Field(default=None, max_length=50)
    notes: Note | None = None
    order_ref: Text | None = None
    details: dict[str, Any] | None = None


def read_body(body: object) -> TaskBody:
    """Check a decoded JSON body; BadTask names the members that are wrong, never their values."""
    if not isinstance(body, Mapping):
        raise BadTask("A task is a JSON object.")
    try:
        return TaskBody.model_validate_json(orjson.dumps(dict(body)), strict=True)
    except ValidationError as error:
        members = sorted({fault.member for fault in faults_of(TaskBody, error)})
        raise BadTask(said(TaskBody, error), members=members) from None


def handler_of(registry: Registry, service: str) -> Handler:
    """Find the service that takes such tasks; UnknownService."""
    handler = registry.task_handler(service)
    if handler is None:
        raise UnknownService
    return handler


def subject_of(handler: Handler, body: TaskBody, *, issued: str | None = None) -> str:
    """Name the task's subject: as ordered, its delivery point, or an id issued by the server.

    `issued` is the id to issue; by default a random one. BadTask for a subject of another kind; SubjectRequired.
    """
    kind = kind_of(handler)
    if body.subject is not None:
        if body.subject.partition("/")[0] != kind:
            raise BadTask(f"The subject of service {handler.name} is {kind}/…", members=["subject"])
        return body.subject
    if kind == "delivery_point" and body.delivery_point:
        return f"delivery_point/{body.delivery_point}"
    if handler.issues_ids:
        return f"{kind}/{kind[0].upper()}-{issued or _random()}"
    raise SubjectRequired


def sandbox_subject(handler: Handler, body: TaskBody) -> str:
    """Name the subject of a task in the sandbox: as ordered if it is a sandbox's own, else issued. BadTask, SandboxSubject."""
    if body.subject is None:
        return f"{kind_of(handler)}/{sandbox.PREFIX}{_random()}"
    subject = subject_of(handler, body)
    if not sandbox.is_own(subject):
        raise SandboxSubject
    return subject


def kind_of(handler: Handler) -> str:
    """Name the kind of a service's subjects: `item` of `item/…`."""
    return handler.subject.partition("/")[0]


def day_of(body: TaskBody, zone: tzinfo, now: datetime) -> date:
    """Choose the task's day: as ordered, the local day of its window, or today."""
    moment = body.window.from_ if body.window else now
    return body.on or moment.astimezone(zone).date()


def order_of(task_id: str, subject: str, body: TaskBody, *, on: date, delivery_point: str | None) -> dict[str, Any]:
    """Write the data of `task.planned`; what was not ordered is left out."""
    sent = body.model_dump(mode="json", by_alias=True, exclude_none=True)
    order: dict[str, Any] = {"task_id": task_id, "service": body.service, "subject": subject, "on": on.isoformat()}
    order |= {name: sent[name] for name in _KEPT if sent.get(name)}
    if delivery_point:
        order["delivery_point"] = delivery_point
    if body.window:
        order["window"] = {"from": format_time(body.window.from_), "until": format_time(body.window.until)}
    return order


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))
