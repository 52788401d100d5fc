"""Ladders under random raises, acknowledgements, restarts, clock moves and late uploads.

`pytest --hypothesis-profile=long tests/handlers/test_ladder.py` walks more than 100,000 steps of each machine.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Annotated, Any
from uuid import UUID

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from handlers.alarm import HANDLER as ALARMS
from handlers.alarm import LADDER as ALARM_LADDER
from handlers.alerting import Alert, known_at
from handlers.base import Handler
from handlers.fields import PUBLIC, Id, Payload, PublicData, format_time, parse_time
from handlers.ladder import Climb, Ladder, Rung, Step, climb, length
from handlers.story import Actor, Decision, DropTimer, Event, EventType, Fact, Said, State, Tale, Write, public, titled

LADDER = (Step("contact", 60.0), Step("pharmacy", 0.0), Step("desk", 300.0))
BEGUN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def rung(number: int, seconds: float, *, late_s: float = 0.0) -> Rung:
    return Rung(number, format_time(after(seconds)), after(seconds + late_s))


def test_the_first_step_is_due_after_its_time_and_the_next_after_the_telling_of_the_one_before() -> None:
    assert climb(LADDER, begun=BEGUN, rungs=(), stopped_at=None) == Climb(0, after(60))
    assert climb(LADDER, begun=BEGUN, rungs=(rung(1, 60, late_s=7),), stopped_at=None) == Climb(1, after(67))
    up = (rung(1, 60), rung(2, 60), rung(3, 360))
    assert climb(LADDER, begun=BEGUN, rungs=up, stopped_at=None) == Climb(3, None)
    assert length(LADDER) == timedelta(minutes=6)


def test_a_rung_that_was_due_after_somebody_had_it_does_not_count() -> None:
    stopped = format_time(after(30))
    assert climb(LADDER, begun=BEGUN, rungs=(rung(1, 60),), stopped_at=stopped) == Climb(0, None)
    assert climb(LADDER, begun=BEGUN, rungs=(rung(1, 60),), stopped_at=format_time(after(90))) == Climb(1, None)


@pytest.mark.parametrize("twice", [1, 2])
def test_a_rung_that_comes_twice_counts_once(twice: int) -> None:
    up = (rung(1, 60), rung(2, 61), rung(twice, 62))
    assert climb(LADDER, begun=BEGUN, rungs=up, stopped_at=None).rung == 2


class Named(Payload):
    thing_id: Annotated[Id, PUBLIC]


class NamedFact(PublicData):
    thing_id: Annotated[str, PUBLIC]


def _type(name: str) -> EventType:
    return EventType(f"thing.{name}", Named, titled(name, name), ({"thing_id": "T-1"},), frozenset({"device"}))


RAISED, SETTLED = _type("raised"), _type("settled")


class Things(Handler):
    """A service with a ladder of three steps."""

    name = "thing"
    title = titled("Choses", "Things")
    subject = "thing/{thing_id}"
    events = (RAISED, SETTLED)
    publishes = (
        *public(NamedFact, RAISED, alert="urgent", settled_by=(SETTLED.name,)),
        *public(NamedFact, SETTLED),
    )

    def ladder(self, kind: str, level: str, facts: Sequence[Fact]) -> Ladder:
        del kind, level, facts
        return LADDER

    def reach(self, facts: Sequence[Fact], alert: Alert, who: str) -> Sequence[Write]:
        del facts
        return [Write("desk.call", (who, self.name, alert.id))]

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        del new, now
        own = [fact for fact in facts if fact.type.startswith("thing.")]
        return Tale([Said(fact, fact.type, {"thing_id": "T-1"}) for fact in own])


class Machine(RuleBasedStateMachine):
    """One subject in a journal of its own: its state survives as JSON, its timers fire while the service is up."""

    handler: Handler = Things()
    subject = "thing/T-1"
    raised, settled = RAISED.name, SETTLED.name
    ladder: Ladder = LADDER

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGUN
        self.up = True
        self.body: Mapping[str, Any] | None = None
        self.timers: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self.events: list[Event] = []
        self.told: dict[tuple[str, int], list[datetime]] = {}
        self.climbed: dict[str, list[datetime]] = {}

    def data(self, kind: str) -> dict[str, Any]:
        return {"thing_id": "T-1"} | ({"alert_id": self.newest() or "al_0", "by": "acc-1"} if "alert." in kind else {})

    def newest(self) -> str | None:
        known = (self.body or {}).get("alerts", {})
        return max(known, key=lambda name: known[name][6], default=None)

    def say(self, kind: str, data: Mapping[str, Any], *, ago_s: float = 0, by: str = "device") -> Decision:
        """Decide an event that happened some seconds ago and arrives now."""
        event = Event(
            UUID(int=len(self.events) + 1), kind, self.subject, self.now - timedelta(seconds=ago_s), data, Actor(by),
            site="pantin", late_s=float(ago_s),
        )  # fmt: skip
        self.events.append(event)
        stopped = self.stopped()
        decision = self.handler.decide(State(self.body), event, self.now)
        self.body = orjson.loads(orjson.dumps(decision.new_state))
        for timer in decision.timers:
            self.timers.pop(timer.kind, None)
            if not isinstance(timer, DropTimer):
                self.timers[timer.kind] = (timer.due_at, timer.payload)
        for write in decision.writes:
            if write.query == "desk.call":
                alert_id = write.args[2]
                assert alert_id not in stopped, "told although somebody had it"
                self.told.setdefault((alert_id, data["rung"]), []).append(self.now)
                self.climbed.setdefault(alert_id, []).append(self.now)
        return decision

    def stopped(self) -> set[str]:
        """Name the alerts that are known to be taken or over."""
        return {name for name, row in (self.body or {}).get("alerts", {}).items() if row[9] or row[11]}

    def fire(self) -> None:
        """Fire what is due, like the journal: one command a timer, which deletes it."""
        while self.up and (due := [each for each in self.timers.items() if each[1][0] <= self.now]):
            kind, (due_at, payload) = min(due, key=lambda each: each[1][0])
            del self.timers[kind]
            self.say(f"timer.{kind}", payload, ago_s=(self.now - due_at).total_seconds(), by="server")

    @rule(ago_s=st.integers(0, 7_200))
    def raise_it(self, ago_s: int) -> None:
        if self.up:
            self.say(self.raised, self.data(self.raised), ago_s=ago_s)
            self.fire()

    @rule(ago_s=st.integers(0, 7_200))
    def settle_it(self, ago_s: int) -> None:
        if self.up:
            self.say(self.settled, self.data(self.settled), ago_s=ago_s)
            self.fire()

    @rule(ago_s=st.integers(0, 7_200))
    def take_it(self, ago_s: int) -> None:
        if self.up and self.newest():
            self.say("alert.acknowledged", self.data("alert.acknowledged"), ago_s=ago_s, by="supervisor")
            self.fire()

    @rule(seconds=st.sampled_from((1, 30, 59, 60, 61, 300, 3_600)))
    def wait(self, seconds: int) -> None:
        for _ in range(min(seconds, 12)):  # a timer is fired within seconds of its moment
            self.now += timedelta(seconds=seconds / min(seconds, 12))
            self.fire()

    @precondition(lambda self: self.up)
    @rule()
    def go_down(self) -> None:
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def come_back(self) -> None:
        self.up = True
        self.fire()

    @rule(seconds=st.integers(-120, 120))
    def move_the_clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.fire()

    @invariant()
    def each_rung_is_told_once(self) -> None:
        assert all(len(moments) == 1 for moments in self.told.values())

    @invariant()
    def rungs_are_told_one_after_the_other(self) -> None:
        for alert_id, moments in self.climbed.items():
            assert [(alert_id, number) in self.told for number in range(1, len(moments) + 1)] == [True] * len(moments)
            for number, (first, second) in enumerate(pairwise(moments), start=1):
                assert (second - first).total_seconds() >= self.ladder[number].after_s

    def teardown(self) -> None:
        self.come_back_for_good()
        self.in_another_order()

    def come_back_for_good(self) -> None:
        """If nobody answers, the last rung is reached."""
        self.up = True
        for _ in range(len(self.ladder) + 1):
            self.now = max([self.now, *(due for due, _ in self.timers.values())])
            self.fire()
        assert not self.timers
        for name, row in (self.body or {}).get("alerts", {}).items():
            if name not in self.stopped():
                assert row[8] == len(self.ladder)
                assert (name, len(self.ladder)) in self.told

    def in_another_order(self) -> None:
        """The same facts in another order of arrival come out the same."""
        shuffled, body = list(self.events), None
        Random(len(self.events)).shuffle(shuffled)
        for event in shuffled:
            body = self.handler.decide(State(body), event, self.now).new_state
        assert self.outcome(body) == self.outcome(self.body)

    def outcome(self, body: Mapping[str, Any] | None) -> Any:
        known = orjson.loads(orjson.dumps(body or {})).get("alerts", {})
        return {name: [*row[:4], *row[5:]] for name, row in known.items()}


class Alarm(Machine):
    """A call for help: it has a state and a ladder of its own on the same module."""

    handler = ALARMS
    subject = "alarm/T-1"
    raised, settled = "alarm.raised", "alarm.acknowledged"
    ladder = ALARM_LADDER

    def data(self, kind: str) -> dict[str, Any]:
        return {"alarm_id": "T-1"} | ({"kind": "sos", "carrier": "Camille"} if kind == self.raised else {})

    def newest(self) -> str | None:
        return None

    def stopped(self) -> set[str]:
        return {"T-1"} if (self.body or {}).get("now", {}).get("state") == "acknowledged" else set()

    def outcome(self, body: Mapping[str, Any] | None) -> Any:
        return (body or {}).get("now")

    def come_back_for_good(self) -> None:
        self.up = True
        for _ in range(2):
            self.now = max([self.now, *(due for due, _ in self.timers.values())])
            self.fire()
        if self.events and (self.body or {}).get("now", {}).get("state") == "open":
            assert ("T-1", 1) in self.told


TestLadder = Machine.TestCase
TestAlarmLadder = Alarm.TestCase


def test_what_a_phone_tells_hours_late_has_its_minute_from_its_arrival() -> None:
    machine = Alarm()
    machine.say("alarm.raised", machine.data("alarm.raised"), ago_s=7_200)
    ((due_at, _),) = machine.timers.values()
    assert due_at == machine.now + timedelta(seconds=60)


def test_when_a_fact_was_known_is_when_it_arrived() -> None:
    assert parse_time(known_at(Fact(format_time(BEGUN), "1", "x", {}, late_s=90.0))) == after(90)
