"""A task ends by what was done, whatever arrives first, late or twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import tasks
from handlers.base import Handler
from handlers.registry import discover
from handlers.story import Decision, Event, State
from tests.handlers.conftest import MORNING, NAMES, Story, at

REGISTRY = discover()
ENDS = {
    "item.delivered": {"item_id": "RK1", "to": "addressee"},
    "item.delivery_attempted": {"item_id": "RK1", "reason": "absent", "next": "office_hold"},
    "item.collected": {"item_id": "RK1"},
    "item.returned_to_sender": {"item_id": "RK1", "reason": "not_collected"},
    "medication.delivered": {
        "pouch_id": "P-1",
        "seal_intact": True,
        "handed_to": "patient",
        "label_matched": True,
        "identity": "known_to_carrier",
    },
    "medication.returned": {"pouch_id": "P-1", "reason": "absent"},
    "medication.received_back": {"pouch_id": "P-1"},
    "home_visit.completed": {"visit_id": "V-1", "met": "person", "answers": {}, "presence": "tag"},
    "home_visit.missed": {"visit_id": "V-1", "reason": "absent"},
    "address_change.reported": {
        "delivery_point_id": "dp-1",
        "change": "vacant",
        "old_address": "3 rue des Lilas",
        "confidence": "seen",
    },
    "address.checked": {"delivery_point_id": "dp-1", "result": "ok"},
    "letter.delivered": {"letter_id": "L-1", "to": "addressee"},
    "letter.returned": {"letter_id": "L-1", "reason": "moved"},
    "key.deposited": {"key_id": "K-1"},
    "key.returned": {"key_id": "K-1", "handed_to": "owner", "identity": "document"},
    "pet.handed_over": {"pet_id": "A-1", "handed_to": "vet"},
    "meter.read": {"meter_id": "W-3", "kind": "water", "value": 12.0},
}
GOES_ON = {
    "item.loaded": {"item_id": "RK1"},
    "item.held": {"item_id": "RK1", "office": "Bondy"},
    "item.missing": {"item_id": "RK1"},
    "medication.released": {"pouch_id": "P-1"},
    "medication.picked_up": {"pouch_id": "P-1", "seal_intact": True},
    "medication.at_risk": {"pouch_id": "P-1", "reason": "delay"},
    "home_visit.started": {"visit_id": "V-1"},
    "home_visit.rescheduled": {"visit_id": "V-1", "on": "2026-11-23"},
    "home_visit.alert": {"visit_id": "V-1", "level": "attention", "reason": "door_open"},
    "address_change.rejected": {"delivery_point_id": "dp-1"},
    "key.collected": {"key_id": "K-1", "from": "person"},
    "pet.picked_up": {"pet_id": "A-1"},
}


class Rows(dict[str, tuple[str, Any]]):
    """The task rows as the writes leave them: `task.plan` and `task.close` of sql/queries/task.sql."""

    changes = 0

    def write(self, decision: Decision) -> None:
        for write in decision.writes:
            if write.query == "task.plan":
                self.setdefault(write.args[0], ("planned", None))
            elif write.query == "task.close" and write.args[0] in self:
                name, *end = write.args
                self.changes += self[name] != tuple(end)
                self[name] = (end[0], end[1])


def story(kind: str, body: Mapping[str, Any]) -> Story:
    handler, each = REGISTRY.by_type[kind]
    return Story(handler, handler.subjects_of(each.name, body)[0])


def order(told: Story, task_id: str, minute: float, on: str = "2026-11-21") -> Event:
    data = {"task_id": task_id, "service": told.handler.name, "subject": told.subject, "on": on}
    return told.event("task.planned", data, minute, by="subscriber", account="acc-1")


def cancel(told: Story, task_id: str, minute: float, kind: str = "task.cancelled") -> Event:
    data = {"task_id": task_id, "service": told.handler.name, "subject": told.subject}
    return told.event(kind, data, minute, by="subscriber", account="acc-1")


def rows_of(handler: Handler, events: Iterable[Event]) -> Rows:
    rows, body = Rows(), None
    for event in events:
        decision = handler.decide(State(body), event, MORNING)
        body = decision.new_state
        rows.write(decision)
    return rows


def test_exactly_these_events_end_a_task() -> None:
    declared = {name for name, (_handler, each) in REGISTRY.by_type.items() if each.closes_task}
    assert declared == set(ENDS)
    assert all(REGISTRY.by_type[name][0].takes_tasks for name in declared)


@pytest.mark.parametrize("kind", ENDS)
def test_what_was_done_ends_the_task_when_it_happened_and_a_second_time_changes_nothing(kind: str) -> None:
    told = story(kind, ENDS[kind])
    first, second = told.event(kind, ENDS[kind], 30), told.event(kind, ENDS[kind], 45)
    rows = rows_of(told.handler, [order(told, "tsk_1", -60), first, second])
    assert rows == {"tsk_1": ("done", at(30))}
    assert rows.changes == 1


@pytest.mark.parametrize("kind", GOES_ON)
def test_what_is_only_on_the_way_leaves_the_task_open(kind: str) -> None:
    told = story(kind, GOES_ON[kind])
    rows = rows_of(told.handler, [order(told, "tsk_1", -60), told.event(kind, GOES_ON[kind], 30)])
    assert rows == {"tsk_1": ("planned", None)}


def test_an_earlier_end_that_arrives_later_is_the_end() -> None:
    told = story("item.delivered", ENDS["item.delivered"])
    early = told.event("item.delivery_attempted", ENDS["item.delivery_attempted"], 10)
    late = told.event("item.delivered", ENDS["item.delivered"], 50)
    assert rows_of(told.handler, [order(told, "tsk_1", -60), late, early]) == {"tsk_1": ("done", at(10))}


@pytest.mark.parametrize("kind", ["task.cancelled", "task.expired"])
def test_a_task_that_ended_undone_before_stays_so_and_one_that_was_done_before_is_done(kind: str) -> None:
    told = story("item.delivered", ENDS["item.delivered"])
    for minute, state in ((10, ("done", at(10))), (50, (kind.partition(".")[2], at(30)))):
        events = [order(told, "tsk_1", -60), cancel(told, "tsk_1", 30, kind)]
        events.append(told.event("item.delivered", ENDS["item.delivered"], minute))
        for arrival in (events, [events[0], events[2], events[1]]):
            assert rows_of(told.handler, arrival) == {"tsk_1": state}


def test_todays_attempt_ends_todays_task_and_not_the_one_ordered_for_tomorrow() -> None:
    told = story("item.delivered", ENDS["item.delivered"])
    attempt = told.event("item.delivery_attempted", ENDS["item.delivery_attempted"], 60)
    again = order(told, "tsk_2", 300, "2026-11-22")
    early = order(told, "tsk_2", -300, "2026-11-22")
    for tomorrow in (again, early):
        rows = rows_of(told.handler, [order(told, "tsk_1", -60), attempt, tomorrow])
        assert rows == {"tsk_1": ("done", at(60)), "tsk_2": ("planned", None)}
    delivered = told.event("item.delivered", ENDS["item.delivered"], 60 + 24 * 60, run="run-2026-11-22-T07")
    rows = rows_of(told.handler, [order(told, "tsk_1", -60), attempt, again, delivered])
    assert rows == {"tsk_1": ("done", at(60)), "tsk_2": ("done", at(60 + 24 * 60))}


def test_a_second_presentation_ordered_after_the_attempt_is_open() -> None:
    told = story("item.delivered", ENDS["item.delivered"])
    attempt = told.event("item.delivery_attempted", ENDS["item.delivery_attempted"], 60)
    rows = rows_of(told.handler, [order(told, "tsk_1", -60), attempt, order(told, "tsk_2", 120)])
    assert rows == {"tsk_1": ("done", at(60)), "tsk_2": ("planned", None)}


def test_an_order_entered_after_the_fact_is_done_by_what_happened_on_its_day() -> None:
    told = story("home_visit.completed", ENDS["home_visit.completed"])
    done = told.event("home_visit.completed", ENDS["home_visit.completed"], 0)
    rows = rows_of(told.handler, [done, order(told, "tsk_1", 600), order(told, "tsk_2", 601, "2026-11-24")])
    assert rows == {"tsk_1": ("done", at(0)), "tsk_2": ("planned", None)}


def test_the_day_of_the_run_counts_and_not_that_of_greenwich() -> None:
    told = story("item.delivered", ENDS["item.delivered"])
    late = replace(told.event("item.delivered", ENDS["item.delivered"], 15 * 60 + 30), run="run-2026-11-22-T07")
    assert late.occurred_at.day == 21
    rows = rows_of(told.handler, [order(told, "tsk_1", -60), order(told, "tsk_2", -30, "2026-11-22"), late])
    assert rows["tsk_2"] == ("done", late.occurred_at)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Handler, list[Event]]:
    """Draw orders, changes, ends and deeds of one subject over two days."""
    kind = draw(st.sampled_from(sorted(ENDS)))
    told = story(kind, ENDS[kind])
    deeds = [name for name in ENDS if REGISTRY.by_type[name][0] is told.handler]
    events = []
    for task_id in ("tsk_1", "tsk_2")[: draw(st.integers(1, 2))]:
        for _ in range(draw(st.integers(1, 2))):
            on = draw(st.sampled_from(("2026-11-21", "2026-11-22")))
            events.append(order(told, task_id, draw(st.integers(-300, 600)), on))
        if draw(st.booleans()):
            events.append(cancel(told, task_id, draw(st.integers(601, 900))))
    for number in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(deeds))
        day = draw(st.sampled_from((None, "run-2026-11-21-T07", "run-2026-11-22-T07")))
        minute = draw(st.integers(0, 1500))
        events.append(told.event(name, ENDS[name], minute, id=uuid5(NAMES, f"deed {number}"), run=day))
    return told.handler, events


@settings(max_examples=150, deadline=None)
@given(life=lives(), data=st.data())
def test_any_order_of_arrival_leaves_the_same_rows(life: tuple[Handler, list[Event]], data: st.DataObject) -> None:
    handler, events = life
    shuffled = data.draw(st.permutations(events))
    assert rows_of(handler, sorted(events, key=_when)) == rows_of(handler, _orders_first(shuffled))


def _when(event: Event) -> Any:
    return event.occurred_at, str(event.id)


def _orders_first(events: Sequence[Event]) -> list[Event]:
    """Put the end of a task behind its first order: before it, it is refused."""
    ends = [event for event in events if event.type in tasks.TYPES and event.type != "task.planned"]
    return [event for event in events if event not in ends] + ends
