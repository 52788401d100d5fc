"""Classes of payload fields, and the small types that payload models are made of.

A field says its class as an annotation: `pouch_id: Annotated[Id, PUBLIC]`. What says nothing is personal, and so is every
field that a model does not know.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


class FieldClass(StrEnum):
    """Who a field may reach, from everyone entitled to nobody at all."""

    PUBLIC = "public"  # every subscriber entitled to the event
    OPERATIONAL = "operational"  # the operator's own readers
    PERSONAL = "personal"  # sealed; the account whose order it is
    HEALTH = "health"  # sealed; the account whose order it is, with scope `health`
    SECRET = "secret"  # noqa: S105 - a class of fields; sealed, leaves to nobody


PUBLIC, OPERATIONAL, PERSONAL, HEALTH, SECRET = FieldClass
SEALED_CLASSES = (PERSONAL, HEALTH, SECRET)

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
_DAY = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TITLES = frozenset({"m", "mr", "mme", "mlle", "mrs", "ms", "dr", "monsieur", "madame", "mademoiselle", "famille"})
_PLAIN_LETTERS = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def parse_time(text: object) -> datetime:
    """Read an RFC 3339 time with an offset, years 2000 to 2100, as UTC.

    Digits beyond microseconds are cut. ValueError otherwise: numbers, `24:00`, `:60`, a missing offset.
    """
    if isinstance(text, datetime) and text.tzinfo is not None:
        return text.astimezone(UTC)
    if not isinstance(text, str) or not _TIME.match(text):
        raise ValueError("not an RFC 3339 time")
    try:
        moment = datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", text) if len(text) > 27 else text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("time out of range") from error
    if not EARLIEST <= moment < LATEST:
        raise ValueError("time out of range")
    return moment


def format_time(moment: datetime) -> str:
    """Write a time as RFC 3339 UTC with milliseconds."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def plain_mail(address: str) -> str:
    """Write a mail address as it is compared: only the case of plain letters is nothing, as ß and ss are two domains."""
    return address.strip().translate(_PLAIN_LETTERS)


def name_words(name: str) -> set[str]:
    """Return the words of a person's name, without accents, capitals and titles."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    words = re.findall(r"[^\W\d_]+", "".join(each for each in plain if not unicodedata.combining(each)))
    return {each for each in words if each not in _TITLES}


def _no_control(text: str) -> str:
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in text):
        raise ValueError("control character")
    return text


def parse_day(text: object) -> date:
    """Read a day written as 2026-11-21, years 2000 to 2099. ValueError otherwise: numbers, times, weeks."""
    if not isinstance(text, str) or not _DAY.match(text):
        raise ValueError("not a day")
    day = date.fromisoformat(text)
    if not EARLIEST.date() <= day < LATEST.date():
        raise ValueError("day out of range")
    return day


def _calendar_day(text: str) -> str:
    parse_day(text)
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_no_control)]
Note = Annotated[str, StringConstraints(max_length=280), AfterValidator(_no_control)]
Time = Annotated[datetime, BeforeValidator(parse_time)]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_calendar_day)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Metres = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class Fix(BaseModel):
    """Where the phone was: degrees WGS 84, `accuracy_m` the 68 % radius (0 or missing = unknown)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    lat: Latitude
    lon: Longitude
    accuracy_m: Metres | None = None
    fixed_at: Time | None = None


class Payload(BaseModel):
    """Base of what a field event carries in `data`; unknown fields are kept, and are personal."""

    model_config = ConfigDict(extra="allow", frozen=True)
    stop_id: Annotated[Id | None, OPERATIONAL] = None
    recorded_from: Annotated[Literal["paper"] | None, OPERATIONAL] = None  # entered later, by a person


class PublicData(BaseModel):
    """Base of what a public event carries in `data`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Located(PublicData):
    """Where it was: the stop for everyone, the place along the round for the operator."""

    stop_id: Annotated[str | None, PUBLIC] = None
    door_distance_m: Annotated[float | None, PUBLIC] = None
    confidence: Annotated[float | None, PUBLIC] = None
    method: Annotated[str | None, PUBLIC] = None
    status: Annotated[str | None, PUBLIC] = None
    round_id: Annotated[str | None, OPERATIONAL] = None
    run_id: Annotated[str | None, OPERATIONAL] = None
    delivery_point_id: Annotated[str | None, OPERATIONAL] = None
    distance_along_m: Annotated[float | None, OPERATIONAL] = None
    offset_m: Annotated[float | None, OPERATIONAL] = None


def split(model: type[BaseModel], data: Mapping[str, Any]) -> dict[FieldClass, dict[str, Any]]:
    """Cut `data` by the class of its fields; nested models are cut inside, lists go whole. Absent classes have no key."""
    parts: dict[FieldClass, dict[str, Any]] = {}
    for key, value in data.items():
        declared, inner = _declared(model, key)
        if declared is None and inner is not None and isinstance(value, Mapping):
            for field_class, part in split(inner, value).items():
                parts.setdefault(field_class, {})[key] = part
        else:
            parts.setdefault(declared or PERSONAL, {})[key] = value
    return parts


def classes(model: type[BaseModel]) -> frozenset[FieldClass]:
    """Name the classes that a model and the models inside it declare."""
    found: set[FieldClass] = set()
    for name in model.model_fields:
        declared, inner = _declared(model, name)
        if declared is not None:
            found.add(declared)
        elif inner is not None:
            found |= classes(inner)
    return frozenset(found)


def join(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Put parts of one payload together again; nested objects are merged."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            known = whole.get(key)
            whole[key] = join(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return whole


@lru_cache(maxsize=4096)
def _declared(model: type[BaseModel], key: str) -> tuple[FieldClass | None, type[BaseModel] | None]:
    """Return the class that a model's field says, and the model inside it; asked for every field of every event."""
    fields = model.model_fields
    field = fields.get(key) or next((each for each in fields.values() if each.alias == key), None)
    if field is None:
        return None, None
    declared = next((mark for mark in field.metadata if isinstance(mark, FieldClass)), None)
    return declared, _inner(field.annotation)


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next((found for arm in get_args(annotation) if (found := _inner(arm))), None)
    return None
