"""The one table of the states of delivery changes, and one change as its facts tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from handlers import products
from handlers.fields import parse_time
from handlers.story import Fact

NAME = "delivery_change"
MESSAGE = f"{NAME}.message_written"
EDIT = f"{NAME}.edited"
STATES = (
    "requested", "verified", "accepted", "on_sheet", "seen_by_carrier", "applied",
    "cancelled", "too_late", "refused", "expired", "frozen", "reversed",
)  # fmt: skip
OPEN = ("requested", "verified", "accepted", "on_sheet", "seen_by_carrier")
# what happens -> the states in which it counts, and the one that it leads to
TABLE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "verify": (("requested",), "verified"),
    "accept": (("verified",), "accepted"),
    "send": (("accepted",), "on_sheet"),
    "see": (("accepted", "on_sheet"), "seen_by_carrier"),
    "apply": (("accepted", "on_sheet", "seen_by_carrier"), "applied"),
    "refuse": (("requested", "verified", "seen_by_carrier"), "refused"),
    "edit": (("requested", "accepted", "on_sheet", "seen_by_carrier"), "requested"),
    "miss": (OPEN, "too_late"),
    "expire": (OPEN, "expired"),
    "cancel": (OPEN, "cancelled"),
    "freeze": ((*OPEN, "applied"), "frozen"),
    "reverse": (("applied", "frozen"), "reversed"),
}
WISH = ("from", "to", "details", "ends_at", "on_sheet")  # what an edit asks for anew
CODE_DAYS, CODE_TRIES, COOLING_DAYS = 14, 5, 5  # the last in working days
REMINDERS, REMINDED_EVERY, SIGNED_HELD = 4, timedelta(days=7), timedelta(days=10)
Deadline = tuple[datetime, str, str | None]  # when, what, why


@lru_cache(maxsize=4096)
def read_moment(text: str) -> datetime:
    """Read the moment of a fact; the same ones are read again and again."""
    return parse_time(text)


@dataclass(frozen=True, slots=True)
class Step:
    """One state that a change came to, by which fact; `instead` is what happened to the item, `other` a rival's reference.

    `wish` is what was asked for then.
    """

    state: str
    fact: Fact
    wish: Mapping[str, Any]
    reason: str | None = None
    instead: str | None = None
    other: str | None = None

    @property
    def name(self) -> str:
        """What is said of it: a request that is asked anew under its own reference was edited."""
        return "edited" if self.fact.type == EDIT and self.state == "requested" else self.state


@dataclass(slots=True)
class Change:
    """One change as the facts tell it."""

    id: str
    kind: str
    subject: str
    asked: Fact
    identity: str
    high_risk: bool
    steps: list[Step]
    stops_away: int | None = None
    code: str | None = None
    code_at: datetime | None = None
    tries: int = 0
    code_ok: bool = False
    confirmed_by: set[str] = field(default_factory=set)
    cooled_at: datetime | None = None
    reminded: int = 0
    declined: dict[str, str] = field(default_factory=dict)  # edits that came to nothing, by their fact, and why

    @property
    def edits(self) -> int:
        """How often it was edited."""
        return sum(step.name == "edited" for step in self.steps)

    @property
    def state(self) -> str:
        """The state it is in."""
        return self.steps[-1].state

    @property
    def known(self) -> products.Kind:
        """Its kind."""
        return products.KINDS[self.kind]

    @property
    def lasts(self) -> bool:
        """Whether it holds for all the mail of a place."""
        return self.subject.startswith("delivery_point/")

    @property
    def is_sure(self) -> bool:
        """Whether we are sure enough of who asked."""
        needed = products.identity_needed(self.kind, self.subject, self.asked.data.get("product", "ordinary"))
        return products.is_sure(self.identity, "counter" if self.high_risk else needed)

    @property
    def wants_code(self) -> bool:
        """Whether a code has to go to the old address."""
        return self.state == "requested" and self.known.redirects and self.is_sure and self.code_at is None

    @property
    def step(self) -> str:
        """What it waits for, inside its state."""
        if self.state == "requested":
            waiting = "code_wanted" if self.code_at is None else "code_sent"
            return waiting if self.is_sure and self.known.redirects else "identity_wanted"
        return {"verified": "cooling_off", "applied": "active" if self.lasts else "done"}.get(self.state, self.state)

    def moment(self, name: str) -> datetime | None:
        """Return a moment of its data."""
        text = self.asked.data.get(name)
        return read_moment(text) if text else None

    def came_to(self, state: str) -> datetime | None:
        """Return when it came to a state first."""
        return next((read_moment(each.fact.at) for each in self.steps if each.state == state), None)

    def last_came_to(self, *states: str) -> datetime | None:
        """Return when it came to one of these states last."""
        return next((read_moment(each.fact.at) for each in reversed(self.steps) if each.state in states), None)

    def holds_at(self, now: datetime) -> bool:
        """Tell whether it keeps its rivals out: a draft does not, before we are sure of who asked."""
        if self.state == "requested":
            return self.is_sure
        ends = self.moment("ends_at")
        return self.state in OPEN or (self.state == "applied" and self.lasts and (ends is None or now < ends))

    def deadline(self) -> Deadline | None:
        """Return what happens next by itself: (when, what, why)."""
        ends = None if self.lasts else self.moment("ends_at")
        if self.state == "requested":
            until = (self.code_at or read_moment(self.steps[0].fact.at)) + timedelta(days=CODE_DAYS)
            why = "code_not_used" if self.code_at else "not_verified"
            return min(until, ends or until), "expire", why
        if self.state == "verified":
            return (self.cooled_at, "accept", None) if self.cooled_at else None
        if self.state == "accepted" and self.lasts:
            accepted = read_moment(self.steps[-1].fact.at)
            return max(self.moment("starts_at") or accepted, accepted), "apply", None
        if ends and self.state in OPEN:
            return (ends, "expire", "not_presented") if self.state == "seen_by_carrier" else (ends, "miss", "unseen")
        return None

    def next_reminder(self) -> datetime | None:
        """Return when the old address is reminded next."""
        since = self.came_to("applied") if self.state == "applied" and self.known.redirects else None
        return since + REMINDED_EVERY * (self.reminded + 1) if since and self.reminded < REMINDERS else None
