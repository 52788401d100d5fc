"""Alerts: raised, taken, settled and withdrawn by the facts of a subject, in any order of arrival."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest

from handlers import alerting
from handlers.fields import format_time
from handlers.home_visit import HANDLER as VISITS
from handlers.item import HANDLER as ITEMS
from handlers.medication import HANDLER as MEDICATION
from handlers.registry import discover
from handlers.run import HANDLER as RUNS
from handlers.story import Decision, DropTimer, SetTimer
from tests.handlers.conftest import Story, at, replay

RUN_ID = "run-2026-11-21-T07"
RUN = {"run_id": RUN_ID}
NAMES = ("id", "type", "level", "service", "subject", "discreet", "run", "site", "event", "raised_at", "rung", "told",
         "acknowledged_at", "acknowledged_by", "settled_at", "assigned_to", "assigned_at", "comment_event")  # fmt: skip
WINDOW = {"from": "2026-11-21T08:00:00Z", "until": "2026-11-21T10:00:00Z"}


def rows(*decisions: Decision) -> list[dict[str, Any]]:
    """Return what decisions wrote of alerts, as the table's columns."""
    writes = [write for decision in decisions for write in decision.writes if write.query == "alert.save"]
    return [dict(zip(NAMES, write.args, strict=True)) for write in writes]


def ladder_timers(decision: Decision) -> list[SetTimer | DropTimer]:
    return [each for each in decision.timers if each.kind.startswith("rung.")]


def kept(story: Story) -> Mapping[str, Sequence[Any]]:
    assert story.body is not None
    found: Mapping[str, Sequence[Any]] = story.body.get("alerts", {})
    return found


def run() -> Story:
    return Story(RUNS, f"run/{RUN_ID}")


def test_an_uncovered_run_raises_one_alert_and_its_cover_settles_it() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", {**RUN, "reason": "absence"}, 0, by="server", site="pantin"))
    assert (raised["type"], raised["level"], raised["run"], raised["site"]) == (
        "run.uncovered", "attention", RUN_ID, "pantin",
    )  # fmt: skip
    assert (raised["raised_at"], raised["settled_at"], raised["rung"]) == (at(0), None, 0)
    assert rows(story.add("run.uncovered", {**RUN, "reason": "other"}, 3, by="server")) == []
    (settled,) = rows(story.add("run.covered", {**RUN, "substitute": True}, 5, by="supervisor"))
    assert (settled["id"], settled["settled_at"]) == (raised["id"], at(5))


def test_what_is_raised_again_after_it_was_settled_is_another_alert() -> None:
    story = run()
    (first,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    story.add("run.covered", RUN, 5, by="server")
    (second,) = rows(story.add("run.uncovered", RUN, 9, by="server"))
    assert second["id"] != first["id"]
    assert second["settled_at"] is None


def test_the_first_who_takes_an_alert_has_it() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    (taken,) = rows(story.add("alert.acknowledged", {"alert_id": raised["id"], "by": "acc-1"}, 2, by="supervisor"))
    assert (taken["acknowledged_by"], taken["acknowledged_at"], taken["settled_at"]) == ("acc-1", at(2), None)
    assert rows(story.add("alert.acknowledged", {"alert_id": raised["id"], "by": "acc-2"}, 3, by="supervisor")) == []


def test_a_comment_on_taking_an_alert_stays_out_of_the_story() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    said = {"alert_id": raised["id"], "by": "acc-1", "comment": "Camille is ill"}
    story.add("alert.acknowledged", said, 2, by="supervisor")
    assert "Camille" not in str(story.body)


def test_a_late_fact_that_takes_a_public_event_back_settles_its_alert() -> None:
    story = run()
    story.add("run.planned", {**RUN, "ends_at": "2026-11-21T13:00:00Z"}, -60, by="server")
    (raised,) = rows(story.add("timer.not_served", RUN, 300, by="server"))
    assert (raised["type"], raised["level"]) == ("run.not_served", "urgent")
    (settled,) = rows(story.add("run.started", RUN, 10, late_s=30_000))
    assert settled["id"] == raised["id"]
    assert settled["settled_at"] is not None
    assert kept(story) == {}


def test_a_missing_item_alerts_until_it_is_found() -> None:
    story, item = Story(ITEMS, "item/RK123456785FR"), {"item_id": "RK123456785FR"}
    (raised,) = rows(story.add("item.missing", item, 0, by="server"))
    assert raised["type"] == "item.missing"
    (settled,) = rows(story.add("item.held", {**item, "office": "Bondy", "until": "2026-12-06"}, 30))
    assert (settled["id"], settled["settled_at"]) == (raised["id"], at(30))


def test_a_broken_chain_alerts_and_a_missing_link_that_arrives_late_settles_it() -> None:
    story, item = Story(ITEMS, "item/RK123456785FR"), {"item_id": "RK123456785FR"}
    story.order(requirements=["signature"])
    (raised,) = rows(story.add("item.delivered", {**item, "to": "addressee", "proof": {"signature": "s"}}, 30))
    assert raised["type"] == "custody.held_for_review"
    settled = rows(story.add("item.loaded", item, 5))
    assert [each["settled_at"] is not None for each in settled if each["id"] == raised["id"]] == [True]


def test_a_discreet_service_says_so_for_the_screens() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    (raised,) = rows(story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server"))
    assert (raised["type"], raised["discreet"]) == ("medication.at_risk", True)


def test_alerts_come_out_the_same_in_any_order_of_arrival() -> None:
    story = run()
    story.add("run.uncovered", RUN, 0, by="server")
    (alert_id,) = kept(story)
    source = run()
    events = [
        source.event("run.uncovered", RUN, 0, by="server", late_s=0.0),
        source.event("alert.acknowledged", {"alert_id": alert_id, "by": "acc-1"}, 2, by="supervisor", late_s=0.0),
        source.event("run.covered", RUN, 5, by="server", late_s=0.0),
        source.event("run.uncovered", RUN, 9, by="server", late_s=0.0),
    ]
    found = [kept(replay(RUNS, f"run/{RUN_ID}", order)) for order in permutations(events)]
    assert all(each == found[0] for each in found)
    assert len(found[0]) == 2


def test_a_danger_that_is_over_settles_and_a_new_one_alerts_again() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    (first,) = rows(story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server"))
    (over,) = rows(story.add("timer.relieved", {"reason": "uncovered"}, 9, by="server"))
    assert (over["id"], over["settled_at"]) == (first["id"], at(9))
    (second,) = rows(story.add("timer.threatened", {"reason": "delay"}, 20, by="server"))
    assert second["id"] != first["id"]
    assert [each["reason"] for each in story.said("medication.at_risk")] == ["uncovered", "delay"]


def test_a_danger_that_never_was_is_taken_back() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    story.add("timer.relieved", {"reason": "uncovered", "withdrawn": True}, 9, by="server")
    assert story.said("medication.at_risk") == []
    assert kept(story) == {}


def test_nobody_answers_and_the_desk_is_called_once() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    decision = story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server", late_s=0.0)
    (set_timer,) = ladder_timers(decision)
    assert isinstance(set_timer, SetTimer)
    assert (set_timer.kind, set_timer.due_at, set_timer.payload["rung"]) == ("rung.medication.at_risk", at(15), 1)
    fired = story.add(f"timer.{set_timer.kind}", set_timer.payload, 15, by="server", late_s=1.0)
    (row,) = rows(fired)
    assert (row["rung"], row["told"]) == (1, "desk")
    assert [write.args[:2] for write in fired.writes if write.query == "desk.call"] == [("medication", "pouch/P-1")]
    assert ladder_timers(fired) == [DropTimer("rung.medication.at_risk")]
    again = story.add(f"timer.{set_timer.kind}", set_timer.payload, 16, by="server", late_s=1.0)
    assert [write.query for write in again.writes] == []


def test_the_desks_notice_names_no_medicine_and_goes_out_only_while_nobody_has_it() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    (raised,) = rows(story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server", late_s=0.0))
    called = {"alert_id": raised["id"], "desk": "night", "contact": {"mobile": "+33639980001"}}
    told = [write for write in story.add("timer.desk", called, 16, by="server").writes if write.query == "notice.queue"]
    assert len(told) == 1
    assert "medic" not in str(told).lower()
    assert "pouch" not in str(told).lower()
    story.add("alert.acknowledged", {"alert_id": raised["id"], "by": "acc-1"}, 17, by="supervisor")
    assert not [write for write in story.add("timer.desk", called, 18, by="server").writes if "notice" in write.query]


def test_of_an_urgent_visit_the_contacts_are_told_in_their_order_and_then_the_desk() -> None:
    story, told = Story(VISITS, "visit/V-1"), []
    story.order(
        contacts=[{"name": "A", "phone": "+33639980001"}, {"name": "B"}, {"name": "C", "email": "c@demo.invalid"}]
    )
    report = {"visit_id": "V-1", "met": "person", "answers": {"a": True}, "presence": "tag", "urgent": True}
    decision = story.add("home_visit.completed", report, 0, late_s=0.0)
    minute = 0.0
    while timers := [each for each in ladder_timers(decision) if isinstance(each, SetTimer)]:
        minute = (timers[0].due_at - at(0)).total_seconds() / 60
        decision = story.add(f"timer.{timers[0].kind}", timers[0].payload, minute, by="server", late_s=0.0)
        told += [(rows(decision)[0]["told"], [write.query for write in decision.writes if write.query != "alert.save"])]
    assert told == [("contact_1", ["notice.queue"]), ("contact_2", ["notice.queue"]), ("desk", ["desk.call"])]
    assert minute == 20


@pytest.mark.parametrize("kind", ["alert.acknowledged", "timer.threatened", "timer.relieved", "timer.desk"])
def test_every_service_takes_what_the_office_and_the_timers_say_of_its_subject(kind: str) -> None:
    for handler in discover().handlers.values():
        story = Story(handler, handler.subject.partition("/")[0] + "/X-1")
        decision = story.add(kind, {"alert_id": "al_1", "reason": "uncovered", "task_id": "tsk_1"}, 5, by="server")
        assert {each.type for each in decision.public_events} <= {"medication.at_risk", "home_visit.alert"}


def test_of_types_that_alert_the_level_is_known_and_what_settles_them_exists() -> None:
    registry = discover()
    for handler in registry.handlers.values():
        for each in handler.publishes:
            assert each.alert in (None, "attention", "urgent")
            for name in (settled.rpartition(":")[2] for settled in each.settled_by):
                assert name in registry.public or name == alerting.RELIEVED, (each.name, name)


def test_what_plays_in_the_sandbox_alerts_nobody() -> None:
    story = Story(MEDICATION, "pouch/SBX-1")
    story.order(window=WINDOW)
    decision = story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    assert (rows(decision), ladder_timers(decision)) == ([], [])
    assert len(story.said("medication.at_risk")) == 1


def assigned(alert_id: str, to: str, **more: Any) -> dict[str, Any]:
    return {"alert_id": alert_id, "to": to, **more}


def test_who_is_given_an_alert_has_not_taken_it_and_the_newest_word_of_it_holds() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    assert (raised["assigned_to"], raised["assigned_at"], raised["comment_event"]) == (None, None, None)
    (given,) = rows(story.add("alert.assigned", assigned(raised["id"], "acc-1"), 2, by="supervisor"))
    assert (given["assigned_to"], given["assigned_at"], given["acknowledged_at"]) == ("acc-1", at(2), None)
    assert (given["settled_at"], given["rung"], given["comment_event"]) == (None, 0, None)
    (moved,) = rows(story.add("alert.assigned", assigned(raised["id"], "desk:nuit", comment="x"), 5, by="operator"))
    assert (moved["assigned_to"], moved["assigned_at"]) == ("desk:nuit", at(5))
    assert moved["comment_event"] is not None
    late = story.add("alert.assigned", assigned(raised["id"], "acc-3"), 3, by="supervisor", late_s=600)
    assert rows(late) == []
    (taken,) = rows(story.add("alert.acknowledged", {"alert_id": raised["id"], "by": "acc-1"}, 9, by="supervisor"))
    assert (taken["acknowledged_by"], taken["assigned_to"]) == ("acc-1", "desk:nuit")


def test_a_ladder_climbs_on_while_the_one_who_was_given_an_alert_has_not_taken_it() -> None:
    story = Story(MEDICATION, "pouch/P-1")
    story.order(window=WINDOW)
    raised = story.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    (row,) = rows(raised)
    (due,) = ladder_timers(raised)
    given = story.add("alert.assigned", assigned(row["id"], "acc-1"), 6, by="supervisor")
    assert ladder_timers(given) == []
    assert isinstance(due, SetTimer)
    (climbed,) = rows(story.add(f"timer.{due.kind}", dict(due.payload), 60, by="server"))
    assert (climbed["rung"], climbed["assigned_to"]) == (1, "acc-1")


def test_a_comment_on_an_assignment_stays_out_of_the_story_and_its_notice_goes_to_whom_it_names() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    told = {"contact": {"email": "duty@demo.invalid"}, "words": {"kind": "run.uncovered"}}
    said = assigned(raised["id"], "acc-1", comment="Camille is ill", told=told)
    decision = story.add("alert.assigned", said, 2, by="supervisor")
    assert "Camille" not in str(story.body)
    assert "duty@demo" not in str(story.body)
    (notice,) = [write for write in decision.writes if write.query == "notice.queue"]
    assert notice.args[1:3] == ("alert_assigned", "email")
    again = story.add("alert.acknowledged", {"alert_id": raised["id"], "by": "acc-1"}, 3, by="supervisor")
    assert [write for write in again.writes if write.query == "notice.queue"] == []


def test_assignments_come_out_the_same_in_any_order_of_arrival() -> None:
    story = run()
    story.add("run.uncovered", RUN, 0, by="server")
    (alert_id,) = kept(story)
    source = run()
    events = [
        source.event("run.uncovered", RUN, 0, by="server", late_s=0.0),
        source.event("alert.assigned", assigned(alert_id, "acc-1", comment="a"), 1, by="supervisor", late_s=0.0),
        source.event("alert.assigned", assigned(alert_id, "acc-2"), 2, by="supervisor", late_s=0.0),
        source.event("alert.acknowledged", {"alert_id": alert_id, "by": "acc-1"}, 3, by="supervisor", late_s=0.0),
        source.event("alert.assigned", assigned(alert_id, "desk:nuit"), 3, by="operator", late_s=0.0),
    ]
    found = [kept(replay(RUNS, f"run/{RUN_ID}", order)) for order in permutations(events)]
    assert all(each == found[0] for each in found)
    (row,) = found[0].values()
    told = alerting.Alert(*row)
    assert (told.assigned_to, told.assigned_at, told.acknowledged_by) == ("desk:nuit", format_time(at(3)), "acc-1")
    assert told.comment_event == str(events[1].id)


def test_an_alert_that_goes_to_and_fro_pushes_nothing_out_of_its_story() -> None:
    story = run()
    (raised,) = rows(story.add("run.uncovered", RUN, 0, by="server"))
    for number in range(RUNS.facts_kept + 5):
        said = assigned(raised["id"], f"acc-{number % 2}", **({"comment": "x"} if number == 7 else {}))
        story.add("alert.assigned", said, 1 + number / 100, by="supervisor")
    assert story.body is not None
    assert [row[2] for row in story.body["facts"]] == ["run.uncovered", "alert.assigned", "alert.assigned"]
    (settled,) = rows(story.add("run.covered", {**RUN, "substitute": True}, 60, by="server"))
    assert (settled["settled_at"], settled["comment_event"] is not None) == (at(60), True)


def test_alerts_that_were_kept_before_there_were_assignments_are_read() -> None:
    story = run()
    story.add("run.uncovered", RUN, 0, by="server")
    assert story.body is not None
    (name, row) = next(iter(kept(story).items()))
    story.body["alerts"] = {name: list(row)[:14]}
    (given,) = rows(story.add("alert.assigned", assigned(name, "acc-1"), 2, by="supervisor"))
    assert given["assigned_to"] == "acc-1"
