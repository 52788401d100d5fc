"""Meters: a reading is taken as it is, and said to be plausible or not, by what the meter showed before.

Lower than the last reading, or far above what is usual there, is not plausible: a digit was misread, or the meter was changed.
Both are judged against the last plausible reading and against the one just before, so that one slip does not spoil those that
follow it, and a meter that begins again at nought is believed from its second reading on. What is usual is what the order
says (`details.usual_per_day`), else the median of what the meter used from one reading to the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf
from typing import Annotated, Literal

from pydantic import Field

from handlers import tasks
from handlers.base import Handler
from handlers.custody import ordered
from handlers.fields import PERSONAL, PUBLIC, Id, Located, Payload, PublicData, Text
from handlers.story import EventType, Fact, Said, Tale, public, shown, titled

FAR_TIMES = 5.0
SHORTEST = timedelta(days=1)  # readings of one day say nothing of what is used in a day


class Read(Payload):
    meter_id: Annotated[Id, PUBLIC]
    kind: Annotated[Literal["gas", "electricity", "water"], PUBLIC]
    value: Annotated[float, PERSONAL, Field(ge=0, le=1e9, allow_inf_nan=False)]
    photo: Annotated[Text | None, PERSONAL] = None


class ReadFact(PublicData):
    meter_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    value: Annotated[float, PERSONAL]
    plausible: Annotated[bool, PUBLIC]
    photo: Annotated[str | None, PERSONAL] = None
    located: Located | None = None


READ = EventType(
    "meter.read",
    Read,
    titled("Compteur relevé", "Meter read"),
    ({"meter_id": "PDL-09117", "kind": "electricity", "value": 48211.0},),
    scanned=True,
    closes_task=True,
)


class Meter(Handler):
    name = "meter"
    title = titled("Relevé de compteurs", "Meter reading")
    subject = "meter/{meter_id}"
    takes_tasks = True
    events = (READ,)
    publishes = public(ReadFact, READ)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say every reading, and what is to be thought of it."""
        del now
        plausible = _judged(facts)
        said = [
            Said(fact, fact.type, {**shown(ReadFact, fact), "plausible": plausible[fact.id]})
            for fact in facts
            if fact.type == READ.name
        ]
        return Tale(
            said,
            {"plausible": next(reversed(list(plausible.values())), None)},
            warnings=list(_warnings(new, plausible)),
        )


def _judged(facts: Sequence[Fact]) -> dict[str, bool]:
    """Tell of each reading whether it fits what the meter showed before, by the fact's id; oldest first."""
    found: dict[str, bool] = {}
    before: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.type == READ.name:
            earlier = before.setdefault(fact.data["kind"], [])
            sound = [each for each in earlier if found[each.id]]
            usual = _usual(tasks.order_for(facts, fact), earlier)
            found[fact.id] = not earlier or any(_fits(each, fact, usual) for each in (*sound[-1:], earlier[-1]))
            earlier.append(fact)
    return found


def _fits(before: Fact, fact: Fact, usual: float | None) -> bool:
    used = _used_per_day(before, fact)
    return used >= 0 and (usual is None or used <= FAR_TIMES * usual)


def _usual(order: Fact | None, readings: Sequence[Fact]) -> float | None:
    """Return what is used there in a day: as ordered, else the median so far; None if nothing is known, or nothing was used."""
    said = ordered(order, "usual_per_day", (int, float), 0.0)
    used = sorted(rate for pair in pairwise(readings) if (rate := _used_per_day(*pair)) > 0)
    usual = said if 0 < said < inf else used[len(used) // 2] if used else 0.0
    return usual or None


def _used_per_day(before: Fact, fact: Fact) -> float:
    days = max(fact.occurred_at - before.occurred_at, SHORTEST) / timedelta(days=1)
    return float((fact.data["value"] - before.data["value"]) / days)


def _warnings(new: Fact, plausible: Mapping[str, bool]) -> Iterator[str]:
    if plausible.get(new.id) is False:
        yield "implausible_reading"


HANDLER = Meter()
