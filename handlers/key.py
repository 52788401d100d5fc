"""Keys: fetched from their owner or out of the site's safe, given back only to a person named in the order.

No form has a place for a key in a letterbox. A key that is still with its carrier when every shift is over has to lie in the
safe of the site: a person is told at once.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from handlers.custody import HELD_FOR_REVIEW, Carried, CarriedFact, Handover
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Payload, Text
from handlers.story import CARRIER, EventType, public, titled

SIGNED = ("signature", "code_ok")
KEEPERS = CARRIER | {"operator", "counter"}


class Key(Payload):
    key_id: Annotated[Id, PUBLIC]
    signature: Annotated[Text | None, PERSONAL] = None  # of the other side
    code_ok: Annotated[bool | None, PERSONAL] = None
    slot: Annotated[Id | None, OPERATIONAL] = None  # of the safe, scanned


class Collected(Key):
    from_: Annotated[Literal["person", "safe"], PUBLIC] = Field(alias="from")


class Returned(Key):
    handed_to: Annotated[Id, PERSONAL]
    identity: Annotated[Literal["document", "known_to_carrier"], PERSONAL]


class KeyFact(CarriedFact):
    key_id: Annotated[str, PUBLIC]
    from_: Annotated[str | None, PUBLIC] = Field(None, alias="from")
    slot: Annotated[str | None, OPERATIONAL] = None


def _event(name: str, payload: type[Key], fr: str, *, ends: bool, **example: Any) -> EventType:
    title, example = titled(fr, f"Key {name}"), {"key_id": "K-118", **example}
    return EventType(f"key.{name}", payload, title, (example,), KEEPERS, scanned=True, closes_task=ends)


COLLECTED = _event(
    "collected", Collected, "Clé prise en charge", ends=False, signature="sha256 of strokes", **{"from": "person"}
)
DEPOSITED = _event("deposited", Key, "Clé déposée au coffre", ends=True, slot="S-12")
RETURNED = _event("returned", Returned, "Clé rendue", ends=True, handed_to="owner", identity="document", code_ok=True)


class Keys(Carried):
    name = "key"
    title = titled("Clés", "Keys")
    subject = "key/{key_id}"
    events = (COLLECTED, DEPOSITED, RETURNED)
    publishes = (*public(KeyFact, *events), HELD_FOR_REVIEW)
    handovers = (
        Handover("person", "carrier", COLLECTED.name, marks=SIGNED, where=("from", "person")),
        Handover("safe", "carrier", COLLECTED.name, marks=("slot",), where=("from", "safe")),
        Handover("carrier", "safe", DEPOSITED.name, marks=("slot",)),
        Handover("person", "safe", DEPOSITED.name, marks=SIGNED),
        Handover("carrier", "person", RETURNED.name, marks=SIGNED, final=True),
        Handover("safe", "person", RETURNED.name, marks=SIGNED, final=True),
    )
    start = "person"
    model = KeyFact
    longest = timedelta(hours=10)  # longer than a shift, and over before the night
    too_long = "not_in_safe"


HANDLER = Keys()
