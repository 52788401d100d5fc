"""Public events of pouches and items as HL7 FHIR R4: one SupplyDelivery each. Pure.

Nobody's name and no medicine is in it: what is supplied is a sealed bag with a number, and `MedicationDispense` stays the
pharmacy's own resource. An event that replaces another one is a Bundle: that one, `entered-in-error`, and the new one.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import orjson

from fieldsvc.publishing.formats import telling
from fieldsvc.publishing.formats.telling import CORRECTED, Told

SUPPLY_TYPE = "http://terminology.hl7.org/CodeSystem/supply-item-type"
IN_PROGRESS, COMPLETED, ABANDONED, IN_ERROR = "in-progress", "completed", "abandoned", "entered-in-error"
STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "item.loaded": IN_PROGRESS,
        "item.out_for_delivery": IN_PROGRESS,
        "item.delivered": COMPLETED,
        "item.collected": COMPLETED,
        "item.delivery_attempted": IN_PROGRESS,
        "item.held": IN_PROGRESS,
        "item.returned_to_sender": ABANDONED,
        "medication.picked_up": IN_PROGRESS,
        "medication.passed_on": IN_PROGRESS,
        "medication.delivered": COMPLETED,
        "medication.returned": ABANDONED,
        "medication.received_back": ABANDONED,
    }
)
CARRIED = frozenset({"item_id", "pouch_id", "office", "located.stop_id", "corrects"})
_SUPPLIED = {"pouch": "sealed bag", "item": "postal item"}


def covers(event_type: str) -> bool:
    """Tell whether such an event is a state of a supply, or withdraws one."""
    return event_type in STATUSES or event_type == CORRECTED


@lru_cache(maxsize=64)
def lost(event_type: str) -> tuple[str, ...]:
    """Name what a SupplyDelivery has no place for, or what we keep out of it."""
    return telling.lost(event_type, CARRIED) if covers(event_type) else ()


def write(told: Told) -> bytes:
    """Write one event: a SupplyDelivery; a Bundle where it replaces or withdraws another one."""
    shown = told.seen
    if shown.supersedes is None and told.row.type != CORRECTED:
        return orjson.dumps(_delivery(told))
    replaced = [each for each in told.before() if each.row.evt_id == shown.supersedes and each.row.type in STATUSES]
    resources = [_delivery(each) | {"status": IN_ERROR} for each in replaced]
    return orjson.dumps(_bundle(resources if told.row.type == CORRECTED else [*resources, _delivery(told)]))


def join(bodies: Sequence[bytes]) -> bytes:
    """Make one Bundle of several bodies, in their order."""
    found: list[Any] = []
    for resource in map(orjson.loads, bodies):
        whole = resource["resourceType"] == "Bundle"
        found += [each["resource"] for each in resource.get("entry", ())] if whole else [resource]
    return orjson.dumps(_bundle(found))


def _bundle(resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collect resources; FHIR has no empty lists, so that a Bundle of nothing has no entries."""
    entries = {"entry": [{"resource": each} for each in resources]} if resources else {}
    return {"resourceType": "Bundle", "type": "collection", **entries}


def _delivery(told: Told) -> dict[str, Any]:
    row, origin, data = told.row, told.origin, told.seen.data
    kind, _, number = row.subject.partition("/")
    delivery: dict[str, Any] = {
        "resourceType": "SupplyDelivery",
        "id": f"{row.event_id}-{row.part}" if row.part else str(row.event_id),
        "extension": _extensions(told),
        "identifier": [
            {"system": origin.uri("event"), "value": row.evt_id},
            {"system": origin.uri(kind), "value": number},
        ],
        "status": STATUSES[row.type],
    }
    if kind == "pouch":
        delivery["type"] = {"coding": [{"system": SUPPLY_TYPE, "code": "medication"}]}
    supplied = {"text": f"{_SUPPLIED.get(kind, kind)} {number}"}
    delivery["suppliedItem"] = {"quantity": {"value": 1}, "itemCodeableConcept": supplied}
    delivery["occurrenceDateTime"] = origin.time(row.occurred_at)
    if place := _place(told, data):
        delivery["destination"] = place
    return delivery


def _place(told: Told, data: Mapping[str, Any]) -> dict[str, Any]:
    stop, office = (data.get("located") or {}).get("stop_id"), data.get("office")
    found: dict[str, Any] = {"identifier": {"system": told.origin.uri("stop"), "value": stop}} if stop else {}
    return found | ({"display": office} if office else {})


def _extensions(told: Told) -> list[dict[str, Any]]:
    row, shown, origin = told.row, told.seen, told.origin
    said = {
        "type": row.type,
        "sequence": f"{row.subject_seq:020d}",
    }
    said |= {"lost": ", ".join(left)} if (left := telling.left_behind(shown.data, lost(row.type))) else {}
    said |= {"supersedes": shown.supersedes} if shown.supersedes else {}
    said |= {"dataref": f"/v1/events/{row.evt_id}"} if shown.left_out else {}
    found: list[dict[str, Any]] = [{"url": origin.uri("voc", name), "valueString": text} for name, text in said.items()]
    return found + ([{"url": origin.uri("voc", "erased"), "valueBoolean": True}] if shown.data.get("erased") else [])
