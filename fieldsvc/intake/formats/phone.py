"""What the bodies of phone apps have in common: fixes, alarms, what is at fault, and how little of that is kept.

Everything here is pure. A member that is at fault is never kept as it came: a place, a home's Wi-Fi or a photograph may be in
it. What is kept is its shape: which known members it had, and of what kind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from fieldsvc.intake.json import Unfit
from geo import Fix
from geo.positions import is_plausible
from handlers.fields import EARLIEST, LATEST

MOST_MEMBERS = 1_000
MOST_METRES = 100_000.0
_EARLIEST_S, _LATEST_S = EARLIEST.timestamp(), LATEST.timestamp()
_NUMBER = re.compile(r"[+-]?([0-9]{1,16}(\.[0-9]{0,32})?|\.[0-9]{1,32})([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Alarm:
    """Somebody asks for help. `content` tells this alarm from every other one: sent again, it is the same."""

    kind: str
    said_at: datetime | None
    fix: Fix | None
    content: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """A member that cannot be taken, and what may be kept of it."""

    reason: str
    kept: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one request of an app holds."""

    fixes: tuple[Fix, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    faults: tuple[Fault, ...] = ()

    def __add__(self, other: "Decoded") -> "Decoded":
        return Decoded(self.fixes + other.fixes, self.alarms + other.alarms, self.faults + other.faults)


def refused(unfit: Unfit, app: str, member: Any = None, *, known: frozenset[str] = frozenset()) -> Decoded:
    """Keep aside a member, or with none the whole request: the reason, the app, and the shape of what is known."""
    kept: dict[str, Any] = {"app": app}
    if isinstance(member, Mapping):
        kept["members"] = {name: _kind(member[name]) for name in sorted(known) if name in member}
        kept["others"] = sum(name not in known for name in member)
    elif member is not None:
        kept["is"] = _kind(member)
    return Decoded(faults=(Fault(unfit.reason, orjson.dumps(kept)),))


def number(value: Any, low: float, high: float) -> float:
    """Return a JSON number between two limits. Unfit otherwise: `bad_payload`, `out_of_range`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("bad_payload")
    if not low <= value <= high:  # of any size, and no NaN is between anything
        raise Unfit("out_of_range")
    return float(value)


def maybe(value: Any, low: float, high: float) -> float | None:
    """Return a number between two limits; anything else is not known."""
    try:
        return number(value, low, high)
    except Unfit:
        return None


def number_of(text: str | None) -> float | None:
    """Read a number as apps write it; None for anything else, also for words such as `nan`."""
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def positive(value: Any, high: float = MOST_METRES) -> float | None:
    """Return a number above 0, cut at `high`. Apps write 0, -1 or nothing for what they do not know."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return float(min(value, high))  # cut first: an integer of hundreds of digits is no float


def place(lat: Any, lon: Any) -> tuple[float, float]:
    """Return a place in degrees. Unfit if it cannot be one; 0/0 is what a phone says that knows none."""
    found = number(lat, -90.0, 90.0), number(lon, -180.0, 180.0)
    if not is_plausible(*found):
        raise Unfit("out_of_range")
    return found


def moment(epoch_s: Any) -> datetime:
    """Return the time of epoch seconds. Unfit `bad_time` outside the years 2000 to 2099."""
    if isinstance(epoch_s, bool) or not isinstance(epoch_s, int | float) or not _EARLIEST_S <= epoch_s < _LATEST_S:
        raise Unfit("bad_time")
    return datetime.fromtimestamp(epoch_s, UTC)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"
