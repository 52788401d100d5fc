"""The ends of an item, as those who asked for a delivery change are told: what happened, and which of it is what they asked."""

import json
from collections.abc import Mapping, Sequence

from handlers import sandbox, tasks
from handlers.notice import notice
from handlers.story import Fact, Write, titled

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
MOST_TOLD = 3
_TO: Mapping[str, Mapping[str, str]] = {
    "addressee": titled("à son destinataire", "to its addressee"),
    "mandate_holder": titled("à une personne mandatée", "to somebody with a mandate"),
    "household": titled("à une personne du foyer", "to somebody of the household"),
    "neighbour": titled("chez un voisin", "to a neighbour"),
    "caretaker": titled("au gardien de l'immeuble", "to the caretaker of the building"),
    "mailbox": titled("dans la boîte aux lettres", "in the letterbox"),
    "safe_place": titled("dans un lieu sûr", "in a safe place"),
}
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


def told_delivered(facts: Sequence[Fact], new: Fact) -> list[Write]:
    """Mail to those whom its order names that the item was delivered, the first time it is said; the sender adds the links.

    Of a text message nobody could decline the next one, so that there is none.
    """
    first = next((fact for fact in facts if fact.type == "item.delivered"), None)
    order = tasks.order_for(facts, new) if first == new else None
    item_id = str(new.data.get("item_id"))
    if order is None or sandbox.is_own(f"item/{item_id}"):
        return []
    named = [each for each in order.data.get("contacts") or () if isinstance(each, Mapping)]
    mails = list(dict.fromkeys(each["email"] for each in named if isinstance(each.get("email"), str)))
    langs = {each.get("email"): each.get("lang") for each in reversed(named)}
    words = {f"to_{lang}": said for lang, said in _TO.get(new.data["to"], titled("", "")).items()}
    params = {"number": item_id, "follows": f"item/{item_id}", **words}
    return [
        notice(new, "item_delivered", {"email": mail}, params, key=str(n), lang="en" if langs[mail] == "en" else "fr")
        for n, mail in enumerate(mails[:MOST_TOLD])
    ]


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
