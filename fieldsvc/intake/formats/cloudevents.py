"""CloudEvents 1.0 JSON, one or a batch, as our phone page and the simulator send it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.errors import TooLarge, UnsupportedMedia
from fieldsvc.intake.clocks import parse_phone_time
from fieldsvc.intake.json import Unfit, canonical, check, parse, text_of
from handlers.base import short_type

MEDIA_TYPES = frozenset({"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")


@dataclass(frozen=True, slots=True)
class Sent:
    """One member of an upload. With a `reason` it cannot be taken; otherwise everything below is sound."""

    raw: bytes
    sent_id: str | None
    reason: str | None = None
    id: UUID = field(default=UUID(int=0))
    type: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    time: datetime | None = None
    said_time: str | None = None
    run: str | None = None
    subject: str | None = None
    source: str | None = None
    content: bytes = b""


def decode(body: bytes, media_type: str, charset: str | None, *, most: int) -> list[Sent]:
    """Tell the members of an upload apart.

    UnsupportedMedia, TooLarge over `most` events, NotJson when no event can be told apart. A faulty member fails alone.
    """
    if media_type not in MEDIA_TYPES or (charset or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia
    value = parse(body)
    members = value if isinstance(value, list) else [value]
    if len(members) > most:
        raise TooLarge(f"At most {most} events in one request.")
    return [_member(member) for member in members]


def decode_header_time(text: str | None) -> datetime | None:
    """Read the header Fieldsvc-Sent-At; None if it is missing or no time: a phone is never refused for its clock."""
    try:
        return None if text is None else parse_phone_time(text)
    except ValueError:
        return None


def _member(member: Any) -> Sent:
    if not isinstance(member, dict):
        return Sent(text_of(member), None, "not_an_object")
    sent_id = _id_of(member.get("id"))
    try:
        check(member)
    except Unfit as unfit:
        return Sent(text_of(member), sent_id, unfit.reason)
    raw = orjson.dumps(member)
    try:
        return _sound(member, raw, sent_id)
    except Unfit as unfit:
        return Sent(raw, sent_id, unfit.reason)


def _sound(member: Mapping[str, Any], raw: bytes, sent_id: str | None) -> Sent:
    if sent_id is None:
        raise Unfit("bad_id")
    if member.get("specversion") != "1.0":
        raise Unfit("bad_specversion")
    name = member.get("type")
    short = short_type(name) if isinstance(name, str) else None
    if short is None:
        raise Unfit("unknown_type")
    data = member.get("data")
    if not isinstance(data, dict) or "data_base64" in member:
        raise Unfit("bad_payload")
    subject, run, source = (_text(member.get(key)) for key in ("subject", "runid", "source"))
    if run is not None and not _RUN.fullmatch(run):
        raise Unfit("bad_run")
    time = member.get("time")
    return Sent(
        raw=raw,
        sent_id=sent_id,
        id=UUID(sent_id),
        type=short,
        data=data,
        time=_time(time),
        said_time=time,
        run=run,
        subject=subject,
        source=source,
        content=canonical([name, subject, time, data]),
    )


def _id_of(value: Any) -> str | None:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= 200):
        return value
    raise Unfit("bad_envelope")


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_phone_time(value)
    except ValueError:
        raise Unfit("bad_time") from None
