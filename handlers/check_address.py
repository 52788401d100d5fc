"""Checks of an address: somebody wants to know whether it still holds; the carrier says that all is well, or reports a change.

A report is an `address_change.reported` like any other; its own service tells this one, which closes what was ordered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from handlers import tasks
from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Note, Payload, PublicData
from handlers.story import CARRIER, EventType, Fact, Refused, Said, Tale, public, titled


class Checked(Payload):
    """What was found; `reported` is said by the server, of an address change at this point."""

    delivery_point_id: Annotated[Id | None, PUBLIC] = None
    result: Annotated[Literal["ok", "reported", "not_found", "no_access"], PUBLIC]
    report_id: Annotated[str | None, OPERATIONAL] = None
    note: Annotated[Note | None, PERSONAL] = None


class CheckedFact(PublicData):
    delivery_point_id: Annotated[str, PUBLIC]
    result: Annotated[str, PUBLIC]


CHECKED = EventType(
    "address.checked",
    Checked,
    titled("Adresse vérifiée", "Address checked"),
    (
        {"delivery_point_id": "dp-118", "result": "ok"},
        {"delivery_point_id": "dp-118", "result": "no_access", "note": "Portail fermé"},
    ),
    by=CARRIER | {"server"},
    closes_task=True,
)


class CheckAddress(Handler):
    name = "check_address"
    title = titled("Vérifications d'adresse", "Address checks")
    subject = "delivery_point/{delivery_point_id}"
    events = (CHECKED,)
    publishes = public(CheckedFact, CHECKED)
    takes_tasks = True

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the delivery point: the payload's, else the one that intake located."""
        if event_type not in tasks.TYPES and not data.get("delivery_point_id"):
            raise Refused("no_delivery_point")
        return super().subjects_of(event_type, data)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say what was found of each check."""
        del new, now
        found = [fact for fact in facts if fact.type == CHECKED.name]
        said = [
            Said(fact, CHECKED.name, {name: fact.data[name] for name in CheckedFact.model_fields}) for fact in found
        ]
        return Tale(said, {"result": found[-1].data["result"] if found else None})


HANDLER = CheckAddress()
