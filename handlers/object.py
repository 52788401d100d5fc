"""Connected objects: a mailbox, a button, a lock or a sensor says something. The smallest service there is.

A radio sends what it has to say several times: the same word again within seconds is one signal.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from handlers.base import Handler
from handlers.fields import PUBLIC, Id, Located, Note, Payload, PublicData
from handlers.story import EventType, Fact, Said, Tale, public, shown, titled

ECHO = timedelta(seconds=10)


class Signalled(Payload):
    object_id: Annotated[Id, PUBLIC]
    kind: Annotated[Literal["mailbox", "button", "lock", "sensor"], PUBLIC]
    value: Annotated[bool | float | Note, PUBLIC]


class SignalledFact(PublicData):
    object_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    value: Annotated[bool | float | str, PUBLIC]
    located: Located | None = None


SIGNALLED = EventType(
    "object.signalled",
    Signalled,
    titled("Objet signalé", "Object signalled"),
    ({"object_id": "mb-204", "kind": "mailbox", "value": True},),
    by=frozenset({"device", "subscriber"}),
)


class Object(Handler):
    name = "object"
    title = titled("Objets connectés", "Connected objects")
    subject = "object/{object_id}"
    facts_kept = 50  # a sensor says much, and each signal stands alone
    events = (SIGNALLED,)
    publishes = public(SignalledFact, SIGNALLED)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say every signal once."""
        del new, now
        said = [Said(fact, fact.type, shown(SignalledFact, fact)) for fact in _signals(facts)]
        return Tale(said, {"value": said[-1].data["value"] if said else None})


def _signals(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Leave out what only repeats the word before it."""
    before: Fact | None = None
    for fact in facts:
        if fact.type == SIGNALLED.name:
            if before is None or _word(fact) != _word(before) or fact.occurred_at - before.occurred_at > ECHO:
                yield fact
            before = fact


def _word(fact: Fact) -> tuple[str, str, object]:
    return fact.data["kind"], type(fact.data["value"]).__name__, fact.data["value"]


HANDLER = Object()
