"""Pets: fetched, and handed only to a person named in the order who was spoken to before; never long on the way."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any

from handlers import tasks
from handlers.custody import HELD_FOR_REVIEW, Carried, CarriedFact, Handover, ordered
from handlers.fields import PERSONAL, PUBLIC, Id, Payload, Text, Time, parse_time
from handlers.story import EventType, Fact, public, titled

SIGNED = ("signature", "code_ok")
LONGEST_H, MOST_H = 4.0, 12.0


class Pet(Payload):
    pet_id: Annotated[Id, PUBLIC]
    signature: Annotated[Text | None, PERSONAL] = None  # of the other side
    code_ok: Annotated[bool | None, PERSONAL] = None
    photo: Annotated[Text | None, PERSONAL] = None


class HandedOver(Pet):
    handed_to: Annotated[Id, PERSONAL]
    contacted_at: Annotated[Time | None, PERSONAL] = None  # when the receiver was reached


class PetFact(CarriedFact):
    pet_id: Annotated[str, PUBLIC]


PICKED_UP = EventType(
    "pet.picked_up",
    Pet,
    titled("Animal pris en charge", "Pet picked up"),
    ({"pet_id": "A-204", "code_ok": True},),
    scanned=True,
)
HANDED: dict[str, Any] = {"handed_to": "vet", "contacted_at": "2026-11-21T08:05:00Z", "signature": "sha256 of strokes"}
HANDED_OVER = EventType(
    "pet.handed_over",
    HandedOver,
    titled("Animal remis", "Pet handed over"),
    ({"pet_id": "A-204", **HANDED},),
    scanned=True,
    closes_task=True,
)


class Pets(Carried):
    name = "pet"
    title = titled("Animaux", "Pets")
    subject = "pet/{pet_id}"
    events = (PICKED_UP, HANDED_OVER)
    publishes = (*public(PetFact, *events), HELD_FOR_REVIEW)
    handovers = (
        Handover("person", "carrier", PICKED_UP.name, marks=SIGNED),
        Handover("carrier", "person", HANDED_OVER.name, marks=SIGNED, final=True),
    )
    start = "person"
    model = PetFact
    too_long = "too_long_on_the_way"

    def limit(self, facts: Sequence[Fact]) -> timedelta:
        """Return the hours that the order allows, 12 at most; 4 where it says nothing."""
        hours = ordered(tasks.planned(facts), "most_hours", (int, float), LONGEST_H)
        return timedelta(hours=hours if 0 < hours <= MOST_H else LONGEST_H)

    def faults(self, fact: Fact, order: Fact | None) -> Iterator[str]:
        """Ask for a talk with the receiver before the hand-over as well."""
        yield from super().faults(fact, order)
        reached = fact.data.get("contacted_at")
        if fact.type == HANDED_OVER.name and not (reached and parse_time(reached) <= fact.occurred_at):
            yield "no_contact"


HANDLER = Pets()
