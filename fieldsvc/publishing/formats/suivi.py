"""La Poste's Suivi v2: the shipment that its customers' systems already read, from the public events of an item. Pure.

The shape is that of its public documentation and of answers published by its users: events newest first, times with the local
offset, five steps of which each has been reached if a later one has. A step's `type` is 1 when all is well, 0 for a setback and
-1 for a failure. The steps here are those of the last mile: what happens before an item reaches its site is not told to us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import orjson

from fieldsvc.publishing.formats import telling
from fieldsvc.publishing.formats.telling import CORRECTED, Told
from handlers import item_ids
from handlers.fields import parse_time
from handlers.item_codes import PRINTED, code_of

LANGUAGES: Mapping[str, str] = {"fr": "fr_FR", "en": "en_GB"}
MOST_IDS = 10
MAIL, FOREIGN_MAIL, PARCEL = 1, 2, 4  # 3 is an express company's
FINAL = frozenset({"item.delivered", "item.collected", "item.returned_to_sender"})
GIVEN = frozenset({"item.delivered", "item.collected"})
WAITS = frozenset({"item.held", "item.delivery_attempted"})
CARRIED: Mapping[str, frozenset[str]] = MappingProxyType(  # by type, beside the item's own number
    {
        "item.delivery_attempted": frozenset({"reason", "next"}),
        "item.held": frozenset({"office", "until"}),
        CORRECTED: frozenset({"corrects"}),
    }
)
_LEVEL = {"item.announced": 1, "item.loaded": 4, "item.out_for_delivery": 4, "item.delivery_attempted": 4}
_ARRIVED = 3  # whatever else is said of an item, it has reached the site
_STEPS: tuple[Mapping[str, str], ...] = (
    {"fr": "Annoncé par l'expéditeur", "en": "Announced by the sender"},
    {"fr": "Entre nos mains", "en": "In our hands"},
    {"fr": "Arrivé au site de distribution", "en": "Arrived at the delivery site"},
    {"fr": "En cours de distribution", "en": "Out for delivery"},
    {"fr": "Distribué", "en": "Delivered"},
)
_RETURNED = {"fr": "Retourné à l'expéditeur", "en": "Returned to the sender"}
_SETBACK = {"fr": "Présenté, non distribué", "en": "Delivery attempted"}
_KEPT = {"fr": "À retirer", "en": "Waiting for collection"}
_HELD = {"fr": "À retirer à {office}", "en": "Waiting at {office}"}
_UNTIL = {"fr": "{held} jusqu'au {until}", "en": "{held} until {until}"}
_MISSING = {"fr": "Recherche en cours", "en": "Being searched for"}
_PRODUCTS: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "R": (MAIL, {"fr": "Lettre recommandée", "en": "Registered letter"}),
    "L": (MAIL, {"fr": "Lettre suivie", "en": "Tracked letter"}),
    "V": (MAIL, {"fr": "Lettre assurée", "en": "Insured letter"}),
    "C": (PARCEL, {"fr": "Colis", "en": "Parcel"}),
    "H": (PARCEL, {"fr": "Colis", "en": "Parcel"}),
    "E": (PARCEL, {"fr": "Envoi express", "en": "Express item"}),
}
_OTHER: tuple[int, Mapping[str, str]] = (MAIL, {"fr": "Courrier suivi", "en": "Tracked mail"})
_WRONG: Mapping[int, Mapping[str, str]] = {
    400: {"fr": "Ce numéro n'est pas valide.", "en": "This number is not valid."},
    404: {"fr": "Ce numéro n'est pas connu.", "en": "This number is not known."},
}


def covers(event_type: str) -> bool:
    """Tell whether such an event changes what is said of an item."""
    return event_type in telling.PUBLISHED and event_type.startswith(("item.", CORRECTED))


@lru_cache(maxsize=64)
def lost(event_type: str) -> tuple[str, ...]:
    """Name what a shipment has no place for."""
    return telling.lost(event_type, CARRIED.get(event_type, frozenset()) | {"item_id"}) if covers(event_type) else ()


def write(told: Told) -> bytes:
    """Write the item's shipment as it stood with this event: what is said of it up to there, and holds. In French."""
    rows = [*told.before(), told]
    gone = {shown.supersedes for each in rows if (shown := each.seen).supersedes}
    held = [each for each in rows if each.row.evt_id not in gone]
    events = [ItemEvent(each.row.type, each.row.occurred_at, each.seen.data) for each in held]
    reader = Reader("fr", told.origin.zone, f"{told.origin.address}/suivi?code=")
    return orjson.dumps(found(told.row.subject.partition("/")[2], events, reader))


def join(bodies: Sequence[bytes]) -> bytes:
    """Make one list of several answers, as several numbers are answered."""
    return b"[%s]" % b",".join(bodies)


@dataclass(frozen=True, slots=True)
class ItemEvent:
    """One public event of an item that holds."""

    type: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: in which language, in which zone, and under which address the item is followed on a page."""

    lang: str
    zone: tzinfo
    url: str

    def time(self, at: datetime | None) -> str | None:
        """Write a moment with its local offset."""
        return at.astimezone(self.zone).isoformat(timespec="seconds") if at else None


def language_of(asked: str | None) -> str:
    """Read `lang` (fr_FR, en_GB, …): English for every language that we have no words of, French where none is asked for."""
    short = (asked or "fr").replace("-", "_").partition("_")[0].lower()
    return short if short in LANGUAGES else "en"


def found(item_id: str, events: Sequence[ItemEvent], reader: Reader) -> dict[str, Any]:
    """Write the answer for one item, from its public events in any order."""
    return {**_head(reader, 200), "shipment": shipment(item_id, events, reader)}


def wrong(item_id: str | None, status: int, reader: Reader) -> dict[str, Any]:
    """Write the answer for a number that is not valid (400, and not repeated) or not known to the caller (404)."""
    return {**_head(reader, status), "returnMessage": _WRONG[status][reader.lang], "idShip": item_id}


def _head(reader: Reader, status: int) -> dict[str, Any]:
    return {"lang": LANGUAGES[reader.lang], "scope": "open", "returnCode": status}


def shipment(item_id: str, events: Sequence[ItemEvent], reader: Reader) -> dict[str, Any]:
    """Write the shipment."""
    told = sorted((each for each in events if each.type.startswith("item.")), key=lambda each: each.at)
    last = told[-1] if told else None
    taken = next((each.at for each in told if each.type != "item.announced"), None)
    given = last.at if last and last.type in GIVEN else None
    holder, product = _product(item_id)
    return {
        "idShip": item_id,
        "holder": holder,
        "product": product[reader.lang],
        "isFinal": last is not None and last.type in FINAL,
        "entryDate": reader.time(taken),
        "deliveryDate": reader.time(given),
        "contextData": _context(item_id, last),
        "timeline": _timeline(told, reader),
        "event": [_event(each, reader) for each in reversed(told) if code_of(each.type, each.data)],
        "url": f"{reader.url}{item_id}",
    }


def _product(item_id: str) -> tuple[int, Mapping[str, str]]:
    holder, product = _PRODUCTS.get(item_id[:1], _OTHER) if item_ids.is_s10(item_id) else _OTHER
    return (FOREIGN_MAIL if holder == MAIL and _origin(item_id) != "FR" else holder), product


def _origin(item_id: str) -> str:
    return item_id[-2:] if item_ids.is_s10(item_id) else "FR"


def _context(item_id: str, last: ItemEvent | None) -> dict[str, Any]:
    """Say where it waits; a choice of delivery may be made (1) as long as the item is announced only, else not (0)."""
    may_choose = last is None or last.type == "item.announced"
    office = last.data.get("office") if last and last.type == "item.held" else None
    return {
        "deliveryChoice": {"deliveryChoice": int(may_choose)},
        "removalPoint": {"name": office, "type": "office"} if office else None,
        "originCountry": _origin(item_id),
        "arrivalCountry": "FR",
    }


def _event(each: ItemEvent, reader: Reader) -> dict[str, Any]:
    code = code_of(each.type, each.data)
    if code is None:
        raise ValueError("an event that has no code")
    label, reason = getattr(code, reader.lang), PRINTED.get(str(each.data.get("reason")))
    if reason is not None and each.type == "item.delivery_attempted":
        label = f"{label} : {reason['fr']}" if reader.lang == "fr" else f"{label}: {reason['en']}"
    return {"date": reader.time(each.at), "label": label, "code": code.suivi}


def _timeline(told: Sequence[ItemEvent], reader: Reader) -> list[dict[str, Any]]:
    """Write the five steps: each is reached when the first event came that is as far or farther."""
    last = told[-1] if told else None
    now = max((_level(each) for each in told), default=0)
    steps = []
    for number, label in enumerate(_STEPS, start=1):
        reached = next((each.at for each in told if _level(each) >= number), None)
        kind, words = _kind(last) if number == now else (1, None)
        steps.append(
            {
                "id": number,
                "shortLabel": (words or label)[reader.lang],
                "longLabel": _long(last, reader) if number == now else "",
                "status": reached is not None,
                "type": kind,
                "date": reader.time(reached),
            }
        )
    return steps


def _level(each: ItemEvent) -> int:
    return len(_STEPS) if each.type in FINAL else _LEVEL.get(each.type, _ARRIVED)


def _kind(last: ItemEvent | None) -> tuple[int, Mapping[str, str] | None]:
    """Tell how the step that was reached last went, and its own words where it did not go well."""
    if last is None or last.type not in (*WAITS, "item.returned_to_sender", "item.missing"):
        return 1, None
    if last.type == "item.missing":
        return -1, _MISSING
    if last.type == "item.returned_to_sender":
        return -1, _RETURNED
    return 0, _SETBACK if last.type == "item.delivery_attempted" else _KEPT


def _long(last: ItemEvent | None, reader: Reader) -> str:
    """Say where an item waits, and until when."""
    if last is None or last.type != "item.held" or not last.data.get("office"):
        return ""
    held = _HELD[reader.lang].format(office=last.data["office"])
    until = last.data.get("until")
    return _UNTIL[reader.lang].format(held=held, until=_day(str(until), reader)) if until else held


def _day(until: str, reader: Reader) -> str:
    """Write a day, or the local day of a moment."""
    try:
        day = parse_time(until).astimezone(reader.zone).date().isoformat() if "T" in until else until
    except ValueError:
        return until
    return "/".join(reversed(day.split("-"))) if reader.lang == "fr" else day
