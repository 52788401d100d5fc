"""The living notebook: what the regular carrier of a round knows of a delivery point, for whoever walks it today.

Where the hidden box is, the code of the door, the dog. A new note of a kind replaces the one before, and one without text
removes it. What is written is secret: it goes on the sheet of the round and nowhere else. A substitute's note is kept beside
the regular carrier's and shown as such.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, SECRET, Id, Note, Payload, PublicData, Text
from handlers.story import EventType, Fact, Refused, Said, Sealed, Tale, Write, public, titled

Kind = Literal["hidden_box", "code", "dog", "order", "hours", "other"]


class Written(Payload):
    """One thing to know; `text` may be empty: then there is nothing of this kind any more."""

    delivery_point_id: Annotated[Id | None, OPERATIONAL] = None
    kind: Annotated[Kind, OPERATIONAL]
    text: Annotated[Note, SECRET] = ""
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server


class WrittenFact(PublicData):
    """That something was written, for the operator; never what."""

    delivery_point_id: Annotated[str, OPERATIONAL]
    kind: Annotated[str, OPERATIONAL]
    removed: Annotated[bool, OPERATIONAL]


WRITTEN = EventType(
    "notebook.written",
    Written,
    titled("Carnet de tournée complété", "Notebook written"),
    (
        {"delivery_point_id": "dp-118", "kind": "hidden_box", "text": "Boîte derrière le portail vert"},
        {"delivery_point_id": "dp-118", "kind": "code", "text": "A4471"},
        {"delivery_point_id": "dp-118", "kind": "dog", "text": ""},
    ),
    names_carrier=True,
)


class Notebook(Handler):
    name = "notebook"
    title = titled("Carnet de tournée", "Living notebook")
    subject = "notebook/{delivery_point_id}"
    facts_kept = 50
    events = (WRITTEN,)
    publishes = public(WrittenFact, WRITTEN)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the delivery point: the payload's, else the one that intake located."""
        if not data.get("delivery_point_id"):
            raise Refused("no_delivery_point")
        return super().subjects_of(event_type, data)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say that there is a note; keep it where sheets find it, and forget those that no longer hold."""
        del now
        notes = [fact for fact in facts if fact.type == WRITTEN.name]
        standing = {fact.data["kind"]: _text(fact) != "" for fact in notes}
        writes = _writes(notes, new) if new.type == WRITTEN.name else ()
        return Tale(
            [Said(fact, WRITTEN.name, _public(fact)) for fact in notes],
            {"kinds": sorted(kind for kind, stands in standing.items() if stands)},
            writes=writes,
        )


def _text(note: Fact) -> str:
    return str(note.data.get("text") or "").strip()


def _public(note: Fact) -> dict[str, Any]:
    data = note.data
    return {"delivery_point_id": data["delivery_point_id"], "kind": data["kind"], "removed": not _text(note)}


def _writes(notes: Sequence[Fact], new: Fact) -> list[Write]:
    point = new.data["delivery_point_id"]
    rows = [Write("notebook.write", _row(new))] if new in notes else []
    kept = Write("notebook.keep", (point, [UUID(fact.id) for fact in notes]))
    return [kept, *rows, Write("sheet.touch_point", (point,))]


def _row(note: Fact) -> tuple[Any, ...]:
    """Write a note as the sheets read it; on paper, a supervisor writes for the regular carrier."""
    data, text = note.data, _text(note)
    head = UUID(note.id), data["delivery_point_id"], data["kind"], note.occurred_at, not text
    return (*head, Sealed({"text": text}), note.run, data.get("carrier"), note.by == "supervisor")


HANDLER = Notebook()
