"""Letters with a one-time code, which prove that somebody lives where they say: a carrier brings them, by hand or to the box.

The code is in the envelope and nowhere else: whoever asked for the letter keeps its hash, no payload of this service has a
field for it, and one that an order names is neither kept here nor on the sheet. That the letter came, or came back, is the
fact.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from handlers.base import Handler
from handlers.fields import PERSONAL, PUBLIC, Id, Located, Note, Payload, PublicData
from handlers.story import CARRIER, EventType, Fact, Said, Tale, public, shown, titled


class Letter(Payload):
    letter_id: Annotated[Id, PUBLIC]


class Delivered(Letter):
    to: Annotated[Literal["addressee", "household", "mailbox"], PUBLIC]


class Returned(Letter):
    reason: Annotated[Literal["unknown_at_address", "moved", "refused", "no_access", "no_box", "other"], PUBLIC]
    note: Annotated[Note | None, PERSONAL] = None


class LetterFact(PublicData):
    letter_id: Annotated[str, PUBLIC]
    to: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None
    located: Located | None = None


DELIVERED = EventType(
    "letter.delivered",
    Delivered,
    titled("Courrier à code remis", "Letter with a code delivered"),
    ({"letter_id": "L-7K2M9QX4", "to": "addressee"}, {"letter_id": "L-7K2M9QX4", "to": "mailbox"}),
    by=CARRIER,
    scanned=True,
    closes_task=True,
)
RETURNED = EventType(
    "letter.returned",
    Returned,
    titled("Courrier à code retourné", "Letter with a code returned"),
    ({"letter_id": "L-7K2M9QX4", "reason": "unknown_at_address"},),
    by=CARRIER,
    scanned=True,
    closes_task=True,
)


class LetterCode(Handler):
    name = "letter_code"
    title = titled("Courriers à code", "Letters with a code")
    subject = "letter/{letter_id}"
    events = (DELIVERED, RETURNED)
    publishes = public(LetterFact, DELIVERED, RETURNED)
    takes_tasks = True
    issues_ids = True

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep no code that an order names: the journal has it, sealed, and nobody decides by it."""
        kept = super().kept(event_type, subject, data)
        details = {name: value for name, value in (kept.get("details") or {}).items() if name != "code"}
        return {**kept, "details": details} if "details" in kept else kept

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say each fact; the newest says where the letter is."""
        del now
        ends = [fact for fact in facts if fact.type in (DELIVERED.name, RETURNED.name)]
        again = new in ends and new != ends[0]
        return Tale(
            [Said(fact, fact.type, shown(LetterFact, fact)) for fact in ends],
            {"state": ends[-1].type.partition(".")[2] if ends else "ordered"},
            warnings=["already_delivered"] if again else (),
        )


HANDLER = LetterCode()
