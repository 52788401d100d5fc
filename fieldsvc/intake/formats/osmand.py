"""OsmAnd's protocol, as OsmAnd, Traccar Client and many trackers speak it: a query, a form, or JSON.

The query and the form (OsmAnd; Traccar Client up to 8, which posts an empty body): `lat` and `lon`, or `location=lat,lon`;
`timestamp` in epoch seconds, milliseconds, ISO 8601, or `yyyy-MM-dd HH:mm:ss` in the server's zone, now if there is none;
`speed` in knots, `bearing` or `heading` in degrees, `accuracy` in metres, of which 0 means that it is not known. Of a name
that comes twice the last one counts. `speed_mps` is ours: OsmAnd itself measures metres per second, and the address that we
give it says so. `hdop` is left alone: the protocol means a dilution, OsmAnd puts metres there.

JSON (Traccar Client from 9): `location` with `coords`, speed in m/s, -1 for what is not known; one or a list of them.

`id` says nothing here: the token in the path is the device. What is not named here (battery, cells, Wi-Fi, the driver's id)
is not read. Sources: traccar.org/osmand, and the decoder of Traccar's server.

An `alarm` is taken whatever is wrong with the rest. Known names of danger become the four kinds, names of the device's own
troubles are no alarm, and a name that nobody knows is an `sos`: one call too many is better than one too few.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from fieldsvc.errors import NotJson
from fieldsvc.intake.formats.phone import (
    MOST_MEMBERS,
    Alarm,
    Decoded,
    maybe,
    moment,
    number_of,
    place,
    positive,
    refused,
)
from fieldsvc.intake.json import Unfit, parse, text_of
from geo import Fix

APP = "osmand"
MPS_PER_KNOT = 1852 / 3600
FASTEST_MPS = 300.0
SAME_ALARM_S = 600  # an alarm that says no time is the same as one of the same ten minutes
MOST_FIELDS = 200
_MILLISECONDS_FROM = 2**31 - 1
_KNOWN = frozenset(
    "id deviceid deviceId timestamp lat lon location speed speed_mps bearing heading accuracy altitude hdop batt charge "
    "valid mock alarm notificationToken driverUniqueId".split()
)
_KNOWN_JSON = frozenset("location timestamp coords uuid alarm mock event device_id extras battery".split())
_SAID_IN_ALARM = ("timestamp", "lat", "lon", "location", "speed", "bearing", "accuracy", "alarm")
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "sos": "sos",
        "panic": "sos",
        "accident": "accident",
        "falldown": "fall",
        "fall": "fall",
        "mandown": "fall",
        "assault": "assault",
    }
)
NO_ALARMS = frozenset(
    "vibration movement lowspeed overspeed lowpower lowbattery fault poweroff poweron door lock unlock geofence "
    "geofenceenter geofenceexit gpsantennacut tow idle highrpm hardacceleration hardbraking hardcornering lanechange "
    "fatiguedriving powercut powerrestored jamming temperature parking bonnet footbrake fuelleak oilleak tampering "
    "removing shock 0 false no none null".split()
)


def decode(query: Sequence[tuple[str, str]], body: bytes, media_type: str, *, now: datetime, zone: tzinfo) -> Decoded:
    """Read one request: fixes, alarms, and what cannot be taken. `now` is when it arrived, `zone` the server's.

    A request without a position is legal: it registers for notices, or tells of the phone alone.
    """
    said = body.strip()
    if said and (media_type.endswith("json") or said[:1] in (b"{", b"[")):
        return _json(said, now)
    try:
        values = dict([*query, *_form(said)])
    except Unfit as unfit:
        return refused(unfit, APP)
    if said and not values.keys() & _KNOWN:
        return refused(Unfit("bad_payload"), APP)
    return _point(values, now, zone)


def kinds_of(said: Any) -> list[str]:
    """Name the kinds of an alarm, as Traccar writes several: with commas between."""
    words = [word.strip().lower() for word in said.split(",")] if isinstance(said, str) else []
    words += ["sos"] if said is True else []
    kinds = (KINDS.get(word, "sos") for word in words if word and word not in NO_ALARMS)
    return list(dict.fromkeys(kinds))


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Unfit("bad_payload") from None


def _point(values: Mapping[str, str], now: datetime, zone: tzinfo) -> Decoded:
    """Read one point of the query form."""
    said_time = values.get("timestamp") or None
    faults, said_at, fix = Decoded(), None, None
    try:
        said_at = None if said_time is None else _time(said_time, zone)
        fix = _fix(values, said_at or now)
    except Unfit as unfit:
        faults = refused(unfit, APP, values, known=_KNOWN)
    said = [values.get(name) for name in _SAID_IN_ALARM]
    alarms = _alarms(values.get("alarm"), said_at, fix, content=_content(said, said_at, now))
    is_valid = values.get("valid", "true").lower() in ("true", "1", "")
    return faults + _weighed(
        Decoded((fix,) if fix is not None and is_valid else (), alarms),
        is_mock=values.get("mock", "").lower() in ("true", "1"),
        member=values,
        known=_KNOWN,
    )


def _fix(values: Mapping[str, str], at: datetime) -> Fix | None:
    lat, lon = values.get("lat"), values.get("lon")
    if values.get("location"):
        lat, _, lon = values["location"].partition(",")
    if not lat and not lon:
        return None
    knots, mps = (number_of(values.get(name)) for name in ("speed", "speed_mps"))
    speed_mps = maybe(mps if knots is None else knots * MPS_PER_KNOT, 0.0, FASTEST_MPS)
    heading = maybe(number_of(values.get("bearing", values.get("heading"))), 0.0, 360.0)
    found = place(number_of(lat), number_of(lon and lon.strip()))
    return Fix(
        lat=found[0],
        lon=found[1],
        fixed_at=at,
        accuracy_m=positive(number_of(values.get("accuracy"))),
        speed_mps=speed_mps,
        heading_deg=heading if heading or speed_mps else None,  # 0 and 0: a phone that stands still, heading nowhere
    )


def _time(text: str, zone: tzinfo) -> datetime:
    """Read a time in any of the forms that there are. Unfit `bad_time`."""
    seconds = number_of(text)
    if seconds is not None:
        return moment(seconds if seconds < _MILLISECONDS_FROM else seconds / 1000)
    if not text.isascii():
        raise Unfit("bad_time")
    try:
        if "T" in text:
            read = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in a query is a space
            return moment((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
        return moment(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        raise Unfit("bad_time") from None


def _json(body: bytes, now: datetime) -> Decoded:
    try:
        value = parse(body)
    except NotJson:
        return refused(Unfit("not_json"), APP)
    members = list(_members(value))
    if len(members) > MOST_MEMBERS:
        return refused(Unfit("too_large"), APP)
    found = Decoded()
    for root, location in members:
        found += _located(root, location, now)
    return found


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each location with the object that holds it."""
    for root in value if isinstance(value, list) else [value]:
        inner = root.get("location") if isinstance(root, Mapping) else None
        for location in inner if isinstance(inner, list) else [inner]:
            yield root, location


def _located(root: Any, location: Any, now: datetime) -> Decoded:
    """Read one location of the JSON form."""
    if not isinstance(root, Mapping):
        return refused(Unfit("not_an_object"), APP, root)
    member: Mapping[str, Any] = location if isinstance(location, Mapping) else {}
    said_time = member.get("timestamp")
    faults, said_at, fix = Decoded(), None, None
    try:
        said_at = None if said_time is None else _json_time(said_time)
        fix = _json_fix(root, location, said_at or now)
    except Unfit as unfit:
        faults = refused(unfit, APP, member or root, known=_KNOWN_JSON)
    alarm = _json_alarm(member, member.get("extras"), root)
    content = _content(member.get("uuid") or [said_time, member.get("coords"), alarm], said_at, now)
    found = Decoded((fix,) if fix is not None else (), _alarms(alarm, said_at, fix, content=content))
    return faults + _weighed(found, is_mock=member.get("mock") is True, member=member, known=_KNOWN_JSON)


def _json_alarm(*holders: Any) -> Any:
    """Find the alarm where it may be: in the location, in its extras, or beside it."""
    said = (holder.get("alarm") for holder in holders if isinstance(holder, Mapping))
    return next((alarm for alarm in said if alarm), None)


def _json_fix(root: Mapping[str, Any], location: Any, at: datetime) -> Fix | None:
    if location is None and root.keys() & {"device_id", "alarm"}:
        return None
    if not isinstance(location, Mapping):
        raise Unfit("bad_payload")
    coords = location.get("coords")
    if coords is None:
        return None
    if not isinstance(coords, Mapping):
        raise Unfit("bad_payload")
    lat, lon = place(coords.get("latitude"), coords.get("longitude"))
    return Fix(
        lat=lat,
        lon=lon,
        fixed_at=at,
        accuracy_m=positive(coords.get("accuracy")),
        speed_mps=maybe(coords.get("speed"), 0.0, FASTEST_MPS),
        heading_deg=maybe(coords.get("heading"), 0.0, 360.0),
    )


def _json_time(said: Any) -> datetime:
    if isinstance(said, str) and len(said) <= 40:
        return _time(said, UTC)
    if isinstance(said, int | float) and not isinstance(said, bool):
        return moment(said if said < _MILLISECONDS_FROM else said / 1000 if said < 1e15 else -1)
    raise Unfit("bad_time")


def _content(said: Any, said_at: datetime | None, now: datetime) -> bytes:
    return text_of([said, None if said_at is not None else int(now.timestamp()) // SAME_ALARM_S])


def _alarms(said: Any, at: datetime | None, fix: Fix | None, *, content: bytes) -> tuple[Alarm, ...]:
    return tuple(Alarm(kind, at, fix, content) for kind in kinds_of(said))


def _weighed(found: Decoded, *, is_mock: bool, member: Mapping[str, Any], known: frozenset[str]) -> Decoded:
    """Take no made-up position; an alarm stands without it."""
    if not is_mock or not (found.fixes or found.alarms):
        return found
    alarms = tuple(replace(alarm, fix=None) for alarm in found.alarms)
    return Decoded(alarms=alarms) + refused(Unfit("mock_position"), APP, member, known=known)
