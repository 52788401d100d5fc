"""Public events of items and pouches as GS1 EPCIS 2.0: one ObjectEvent each, in an EPCISDocument. Pure.

An event that replaces another one comes behind that one, which is said again with an `errorDeclaration` that names it: so the
standard wants it. What was withdrawn is said again with an `errorDeclaration` alone. What a subscriber holds is then as of this
event, whether it keeps events by their `eventID` or all of them.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

import orjson

from fieldsvc.journal.reader import Row, parse_evt_id
from fieldsvc.publishing.formats import telling
from fieldsvc.publishing.formats.telling import CORRECTED, Told
from handlers.fields import format_time

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
PREFIX = "fieldsvc"
Step = tuple[str | None, str | None]
STEPS: Mapping[str, Step] = MappingProxyType(  # bizStep and disposition, in the words of the Core Business Vocabulary
    {
        "item.loaded": ("departing", "in_transit"),
        "item.out_for_delivery": ("departing", "in_transit"),
        "item.delivered": ("accepting", None),
        "item.collected": ("accepting", None),
        "item.delivery_attempted": ("holding", None),
        "item.held": ("storing", "available"),
        "item.returned_to_sender": ("shipping", "returned"),
        "item.missing": (None, "unknown"),
        "medication.picked_up": ("departing", "in_transit"),
        "medication.passed_on": ("transporting", "in_transit"),
        "medication.delivered": ("accepting", None),
        "medication.returned": ("shipping", "returned"),
        "medication.received_back": ("receiving", "returned"),
    }
)
CARRIED = frozenset(
    {
        *("item_id", "pouch_id", "to", "handed_to", "office", "located.stop_id"),
        *("temperature.min_c", "temperature.max_c", "corrects", "kind"),
    }
)
REASONS = frozenset({"did_not_occur", "incorrect_data"})


def covers(event_type: str) -> bool:
    """Tell whether there is a business step for such an event, or it withdraws one."""
    return event_type in STEPS or event_type == CORRECTED


@lru_cache(maxsize=64)
def lost(event_type: str) -> tuple[str, ...]:
    """Name what an ObjectEvent has no place for."""
    return telling.lost(event_type, CARRIED) if covers(event_type) else ()


def write(told: Told) -> bytes:
    """Write the document of one event."""
    row, origin = told.row, told.origin
    document = {
        "@context": [CONTEXT, {PREFIX: f"{origin.uri('voc')}/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": format_time(row.received_at),
        "epcisBody": {"eventList": _events(told)},
    }
    return orjson.dumps(document)


def join(bodies: Sequence[bytes]) -> bytes:
    """Make one document of several, in their order."""
    documents = [orjson.loads(body) for body in bodies]
    events = [event for each in documents for event in each["epcisBody"]["eventList"]]
    created = max(each["creationDate"] for each in documents)
    return orjson.dumps({**documents[0], "creationDate": created, "epcisBody": {"eventList": events}})


def event_id(row_id: UUID, part: int) -> str:
    """Name an event: its UUID, of a derived one a UUIDv5 that is always the same."""
    return (uuid5(row_id, str(part)) if part else row_id).urn


def _events(told: Told) -> list[dict[str, Any]]:
    shown, row = told.seen, told.row
    found = [
        {**_event(before), "errorDeclaration": _declared(row, told, shown.data.get("kind"))}
        for before in told.before()
        if before.row.evt_id == shown.supersedes and before.row.type in STEPS
    ]
    return found if row.type == CORRECTED else [*found, _event(told)]


def _declared(row: Row, told: Told, kind: str | None) -> dict[str, Any]:
    declared: dict[str, Any] = {"declarationTime": told.origin.time(row.received_at)}
    if row.type == CORRECTED:
        return {**declared, "reason": kind if kind in REASONS else "did_not_occur"}
    return {**declared, "reason": "incorrect_data", "correctiveEventIDs": [event_id(row.event_id, row.part)]}


def _event(told: Told) -> dict[str, Any]:
    row, origin, shown = told.row, told.origin, told.seen
    step, disposition = STEPS[row.type]
    occurred_at = origin.time(row.occurred_at)
    event: dict[str, Any] = {
        "type": "ObjectEvent",
        "eventID": event_id(row.event_id, row.part),
        "eventTime": occurred_at,
        "eventTimeZoneOffset": occurred_at[-6:],
        "recordTime": origin.time(row.received_at),
        "epcList": [origin.thing(row.subject)],
        "action": "OBSERVE",
        **({"bizStep": step} if step else {}),
        **({"disposition": disposition} if disposition else {}),
        **_places(told, shown.data),
        f"{PREFIX}:type": row.type,
        f"{PREFIX}:sequence": f"{row.subject_seq:020d}",
    }
    if left := telling.left_behind(shown.data, lost(row.type)):
        event[f"{PREFIX}:lost"] = left
    if shown.left_out:
        event[f"{PREFIX}:dataref"] = f"/v1/events/{row.evt_id}"
    if shown.data.get("erased"):
        event[f"{PREFIX}:erased"] = True
    if shown.supersedes and (replaced := parse_evt_id(shown.supersedes)):
        event[f"{PREFIX}:supersedes"] = event_id(*replaced)
    return event


def _places(told: Told, data: Mapping[str, Any]) -> dict[str, Any]:
    """Say where it was read, where it waits, who has it, and how cold it was; nothing that the view does not see."""
    origin, found = told.origin, dict[str, Any]()
    if stop := (data.get("located") or {}).get("stop_id"):
        found["readPoint"] = {"id": origin.uri("stop", stop)}
    if office := data.get("office"):
        found["bizLocation"] = {"id": origin.uri("office", office)}
    if taker := data.get("to") or data.get("handed_to"):
        found["destinationList"] = [{"type": "possessing_party", "destination": origin.uri("party", taker)}]
    if measured := data.get("temperature"):
        limits = {"minValue": measured.get("min_c"), "maxValue": measured.get("max_c")}
        report = {
            "type": "Temperature",
            "uom": "CEL",
            **{name: each for name, each in limits.items() if each is not None},
        }
        time = {"time": origin.time(told.row.occurred_at)}
        found["sensorElementList"] = [{"sensorMetadata": time, "sensorReport": [report]}]
    return found
