"""The ends of an item, as those who asked for a delivery change are told: what happened, and which of it is what they asked."""

import json
from collections.abc import Mapping, Sequence

from handlers.story import Fact, Write

FINAL = ("delivered", "collected", "returned_to_sender")
# which end of an item is what was asked: what happened, and to whom or where next; None: any
_DONE: Mapping[str, Mapping[str, frozenset[str] | None]] = {
    "neighbour": {"delivered": frozenset({"neighbour", "caretaker"})},
    "safe_place": {"delivered": frozenset({"safe_place"})},
    "proxy": {"delivered": frozenset({"mandate_holder"})},
    "second_presentation": {"delivered": None, "delivery_attempted": None},
    "hold": {"held": None, "collected": None, "delivery_attempted": frozenset({"office_hold"})},
    "pickup_point": {"held": None, "collected": None, "delivery_attempted": frozenset({"pickup_point"})},
    "other_date": {"moved": None},
}
_FATES = {"delivered": "to", "delivery_attempted": "next", "held": None, "collected": None, "returned_to_sender": None}
IN_PERSON = ("addressee", "household", "mandate_holder")


def item_told(new: Fact, *, stands: bool = True) -> list[Write]:
    """Tell the requests on an item that it is out, or what became of it: from the decision about the item.

    With `stands` False it did not occur after all; the newest word about an event holds.
    """
    item_id = new.data.get("item_id")
    what = new.type.removeprefix("item.")
    if not new.type.startswith("item.") or what not in (*_FATES, "loaded"):
        return []
    where = new.data.get(_FATES.get(what) or "")
    said = {} if what == "loaded" else {"what": what, **({"where": where} if where else {})}
    payload = {"event": new.id, **(said if stands else {"withdrawn": True})}
    kind = "loaded" if what == "loaded" else "ended"
    return [Write("request.item_told", (f"item/{item_id}", kind, new.id, new.occurred_at, json.dumps(payload)))]


def standing(facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts of a request's story without what items took back: of each of their events, its newest word."""
    words = {fact.data["event"]: fact for fact in sorted(facts, key=lambda each: each.id) if _is_word(fact)}
    return [
        fact
        for fact in facts
        if not _is_word(fact) or (words[fact.data["event"]] is fact and "withdrawn" not in fact.data)
    ]


def _is_word(fact: Fact) -> bool:
    return fact.type in ("timer.loaded", "timer.ended") and "event" in fact.data


def written(what: str, where: str | None) -> str:
    """Write an end with its place: `delivered:mailbox`."""
    return f"{what}:{where}" if where else what


def is_done(kind: str, what: str, where: str | None) -> bool:
    """Tell whether this end is what a change of this kind asked for."""
    if what not in _DONE[kind]:
        return False
    wanted = _DONE[kind][what]
    return wanted is None or where in wanted
