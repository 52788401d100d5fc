"""`POST /v1/positions`: fixes as our own phone page and the simulator send them, `{"fixes": […]}`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fieldsvc.errors import BadRequest, TooLarge, UnsupportedMedia
from fieldsvc.intake.formats.phone import MOST_MEMBERS, MOST_METRES, Decoded, number, place, refused
from fieldsvc.intake.json import Unfit, check, parse
from geo import Fix
from handlers.fields import parse_time

KNOWN = frozenset({"fixed_at", "lat", "lon", "accuracy_m", "speed_mps", "heading_deg", "battery"})
_FASTEST_MPS, _FULL = 400.0, 100.0


def decode(body: bytes, media_type: str, charset: str | None) -> Decoded:
    """Tell the fixes of an upload from what is none; a faulty member fails alone, and only its shape is kept.

    UnsupportedMedia, NotJson, BadRequest for a body that holds no list of fixes, TooLarge over 1,000.
    """
    if media_type != "application/json" or (charset or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia
    value = parse(body)
    members = value.get("fixes") if isinstance(value, dict) else None
    if not isinstance(members, list):
        raise BadRequest('The body is {"fixes": […]}.')
    if len(members) > MOST_MEMBERS:
        raise TooLarge(f"At most {MOST_MEMBERS} fixes in one request.")
    fixes: list[Fix] = []
    unfit = Decoded()
    for member in members:
        try:
            fixes.append(_fix(member))
        except Unfit as fault:
            unfit += refused(fault, "positions", member, known=KNOWN)
    return Decoded(fixes=tuple(fixes)) + unfit


def _fix(member: Any) -> Fix:
    """Read one fix strictly: numbers are no text, and none is beyond what can be."""
    if not isinstance(member, Mapping):
        raise Unfit("not_an_object")
    check(member)
    lat, lon = place(member.get("lat"), member.get("lon"))
    accuracy_m = _known(member, "accuracy_m", MOST_METRES)
    speed_mps, heading_deg = _known(member, "speed_mps", _FASTEST_MPS), _known(member, "heading_deg", 360.0)
    _known(member, "battery", _FULL)
    return Fix(lat, lon, _time(member.get("fixed_at")), accuracy_m or None, speed_mps, heading_deg)


def _known(member: Mapping[str, Any], name: str, high: float) -> float | None:
    value = member.get(name)
    return None if value is None else number(value, 0.0, high)


def _time(value: Any) -> datetime:
    try:
        return parse_time(value)
    except ValueError:
        raise Unfit("bad_time") from None
