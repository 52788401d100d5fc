"""Households: who proved, by the code of a letter, that they live at a delivery point, and what their carriers should know there.

Names on the box, where it is, the floor, the door code and standing instructions go on the sheet of the round and nowhere else;
they hold until they are told anew or taken back. No standing instruction counts for a signed item. Only the server says these
events, for a signed-in customer or for an adviser who was called: a code is checked against its keyed digest, five times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, SECRET, Id, Note, Payload, PublicData, Text
from handlers.story import EventType, Fact, Said, Sealed, Tale, Write, public, timer, titled

CODE_LIVES, CODE_TRIES = timedelta(days=21), 5
STANDING = ("ring_twice", "neighbour", "safe_place", "never_neighbour", "never_left")
"""Standing instructions; `neighbour` and `safe_place` have words of their own."""
SERVER = frozenset({"server"})


class Household(Payload):
    household_id: Annotated[Id, OPERATIONAL]


class Asked(Household):
    delivery_point_id: Annotated[Id, OPERATIONAL]
    account: Annotated[Id, OPERATIONAL]
    letter_id: Annotated[Id, OPERATIONAL]
    names: Annotated[list[Note], PERSONAL] = Field(min_length=1, max_length=10)
    code_hmac: Annotated[Text, SECRET]


class Proved(Household):
    code_hmac: Annotated[Text, SECRET]


class Told(Household):
    """The whole of what is told: it replaces what was told before."""

    names: Annotated[list[Note], SECRET] = Field(min_length=1, max_length=10)
    box: Annotated[Note | None, SECRET] = None
    floor: Annotated[Note | None, SECRET] = None
    code: Annotated[Note | None, SECRET] = None
    standing: Annotated[dict[Id, Note], SECRET] = Field(default_factory=dict, max_length=len(STANDING))


class HouseholdFact(PublicData):
    """That there is a household, for the operator; never whose, and never what it tells."""

    household_id: Annotated[str, OPERATIONAL]
    delivery_point_id: Annotated[str | None, OPERATIONAL] = None


_ID = {"household_id": "HH-7K2M9QX4AB"}
ASKED = EventType(
    "household.asked",
    Asked,
    titled("Foyer déclaré", "Household declared"),
    (
        {
            **_ID,
            "delivery_point_id": "dp-118",
            "account": "acc_0c5d8c1f2e44",
            "letter_id": "L-7K2M9QX4AB",
            "names": ["Martin"],
            "code_hmac": "5f2c",
        },
    ),
    SERVER,
)
PROVED = EventType(
    "household.proved", Proved, titled("Foyer confirmé", "Household proved"), ({**_ID, "code_hmac": "5f2c"},), SERVER
)
TOLD = EventType(
    "household.told",
    Told,
    titled("Consignes du foyer", "Household's instructions"),
    ({**_ID, "names": ["Martin", "Lopez"], "box": "Sous le porche", "standing": {"neighbour": "Mme Petit, au 2"}},),
    SERVER,
)
LEFT = EventType("household.left", Household, titled("Foyer quitté", "Household left"), (_ID,), SERVER)


@dataclass(frozen=True, slots=True)
class Standing:
    """A household as its facts tell it; `state`: asked, closed (the code was not used, or tried too often), proved, left."""

    asked: Fact
    state: str = "asked"
    tries: int = 0
    proved: Fact | None = None
    told: Fact | None = None
    ended: Fact | None = None


class Households(Handler):
    name = "household"
    title = titled("Foyers", "Households")
    subject = "household/{household_id}"
    correctable = False
    events = (ASKED, PROVED, TOLD, LEFT)
    publishes = public(HouseholdFact, ASKED, PROVED, TOLD, LEFT)
    stories = (
        (
            (ASKED.name, ASKED.examples[0], "server", 0.0),
            (PROVED.name, PROVED.examples[0], "server", 1.0),
            (TOLD.name, TOLD.examples[0], "server", 2.0),
            (LEFT.name, LEFT.examples[0], "server", 3.0),
        ),
    )

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Walk the facts to how the household stands; what it tells is on the sheet while it is proved."""
        del now
        found, said = None, list[Said]()
        for fact in facts:
            was, found = found, _after(found, fact)
            if found is not None and found is not was and fact.type in _TYPES and _is_public(was, found, fact):
                said.append(Said(fact, fact.type, _public(found)))
        if found is None:
            return Tale([], {"state": None})
        waits = found.asked.occurred_at + CODE_LIVES if found.state == "asked" else None
        point = found.asked.data["delivery_point_id"]
        return Tale(
            said,
            {"state": found.state},
            timers=timer(facts, "unused", waits),
            writes=[Write("household.save", _row(found, facts[-1])), Write("sheet.touch_point", (point,))],
            answer={"state": found.state, "tries_left": CODE_TRIES - found.tries} if new.type == PROVED.name else None,
        )


_TYPES = frozenset(each.name for each in Households.events)


def _after(found: Standing | None, fact: Fact) -> Standing | None:
    """Take a fact in."""
    if fact.type == ASKED.name:
        return found if found and found.state == "proved" else Standing(fact)
    if found is None:
        return None
    asked, tries = found.asked, found.tries
    if fact.type == LEFT.name:
        return found if found.state == "left" else Standing(asked, "left", tries, found.proved, None, fact)
    if found.state == "asked" and fact.occurred_at >= asked.occurred_at + CODE_LIVES:
        return Standing(asked, "closed", tries, ended=fact)
    if fact.type == PROVED.name and found.state == "asked":
        if fact.data["code_hmac"] == asked.data["code_hmac"]:
            return Standing(asked, "proved", tries, fact)
        tries += 1
        is_over = tries >= CODE_TRIES
        return Standing(asked, "closed" if is_over else "asked", tries, ended=fact if is_over else None)
    if fact.type == TOLD.name and found.state == "proved":
        return Standing(asked, "proved", tries, found.proved, fact)
    return found


def _is_public(was: Standing | None, found: Standing, fact: Fact) -> bool:
    """Tell whether a fact is said: a wrong code is nobody's business."""
    return fact.type != PROVED.name or (found.state == "proved" and (was is None or was.state != "proved"))


def _public(found: Standing) -> dict[str, Any]:
    data = found.asked.data
    return {"household_id": data["household_id"], "delivery_point_id": data["delivery_point_id"]}


def _row(found: Standing, last: Fact) -> tuple[Any, ...]:
    """Write the household as its page and the sheets read it; all that it tells is sealed."""
    data, told = found.asked.data, _sealed(found)
    ended = found.ended.occurred_at if found.ended else None
    head = data["household_id"], data["delivery_point_id"], data["account"], data["letter_id"], found.state, found.tries
    proved = found.proved.occurred_at if found.proved else None
    return (*head, found.asked.occurred_at, proved, last.occurred_at, ended, Sealed(told))


def _sealed(found: Standing) -> Mapping[str, Any]:
    if found.state == "left":
        return {}
    kept = ("names", "box", "floor", "code", "standing")
    source = found.told.data if found.told else {"names": found.asked.data["names"]}
    return {name: source[name] for name in kept if source.get(name)}


HANDLER = Households()
