"""How an item or a pouch stands, for who follows it: from what its service says of it, without a name, a place or a carrier. Pure.

Of a pouch only that it is on its way, handed over or back is said: what it holds is nobody's business, and the page has no word
for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType

from handlers.fields import parse_time
from handlers.story import Fact, Said

OVER = frozenset({"delivered", "collected", "returned"})
_ITEM: Mapping[str, str] = MappingProxyType(
    {
        "item.announced": "announced",
        "item.loaded": "out",
        "item.out_for_delivery": "out",
        "item.delivered": "delivered",
        "item.delivery_attempted": "attempted",
        "item.held": "held",
        "item.collected": "collected",
        "item.returned_to_sender": "returned",
        "item.missing": "missing",
    }
)
_POUCH: Mapping[str, str] = MappingProxyType(
    {
        "medication.released": "announced",
        "medication.picked_up": "out",
        "medication.delivered": "delivered",
        "medication.returned": "not_given",
        "medication.received_back": "returned",
    }
)
_TOLD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"delivered": ("to",), "attempted": ("reason", "next", "on"), "held": ("office", "until"), "returned": ()}
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `data` are its public words, such as `to`, `reason` or `office`."""

    at: datetime
    state: str
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands: the steps newest first, and what was ordered."""

    subject: str
    state: str
    steps: Sequence[Step] = ()
    day: date | None = None
    window: tuple[datetime, datetime] | None = None

    @property
    def is_pouch(self) -> bool:
        """Whether it is one of the things of which less is said."""
        return self.subject.startswith("pouch/")

    @property
    def number(self) -> str:
        """The number under which it was found."""
        return self.subject.partition("/")[2]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in OVER

    @property
    def newest(self) -> Step | None:
        """What happened last."""
        return self.steps[0] if self.steps else None


def status_of(
    subject: str, said: Sequence[Said], facts: Sequence[Fact], *, day: date | None, today: date, open_task: bool
) -> Status:
    """Tell how a subject stands. `day`: of its newest task, `open_task` whether that one is still to be done."""
    states = _POUCH if subject.startswith("pouch/") else _ITEM
    steps: list[Step] = []
    for each in said:
        state = states.get(each.type)
        if state is None or (steps and steps[-1].state == state == "out" and not _later_day(steps[-1], each)):
            continue
        data = (
            {}
            if states is _POUCH
            else {name: str(each.data[name]) for name in _TOLD.get(state, ()) if each.data.get(name)}
        )
        steps.append(Step(each.fact.occurred_at, state, data))
    state = steps[-1].state if steps else "planned" if open_task else "unknown"
    waits = open_task and state in ("announced", "attempted", "planned", "not_given") and day is not None
    planned = day if waits and day is not None and day >= today else None
    if planned is not None and state in ("announced", "not_given"):
        state = "planned"
    return Status(subject, state, steps[::-1], planned, _window(facts) if open_task else None)


def _later_day(step: Step, said: Said) -> bool:
    return said.fact.occurred_at.date() > step.at.date()


def _window(facts: Sequence[Fact]) -> tuple[datetime, datetime] | None:
    """Read the window of the newest order."""
    orders = [fact for fact in facts if fact.type == "task.planned"]
    window = orders[-1].data.get("window") if orders else None
    return (parse_time(window["from"]), parse_time(window["until"])) if window else None
