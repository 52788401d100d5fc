"""Access: one case a delivery point, with a reason, a place for the mail and a day for the answer; a person closes it."""

from datetime import timedelta
from typing import Any

import pytest

from handlers.access import ASKED, DECIDED, OVERDUE, REFUSED
from handlers.access_case import ANSWER_IN
from handlers.story import DropTimer, Refused, Sealed, SetTimer
from tests.handlers.conftest import MORNING

POINT = {"delivery_point_id": "dp-118"}
DAY = 24 * 60.0
DUE = ANSWER_IN / timedelta(minutes=1)


@pytest.fixture
def case(new_story: Any) -> Any:
    return new_story("access", "access/dp-118")


def row(decision: Any) -> tuple[Any, ...]:
    (write,) = [each for each in decision.writes if each.query == "access_case.save"]
    return write.args


def refuse(case: Any, minute: float = 0, reason: str = "dog", **more: Any) -> Any:
    return case.add(REFUSED.name, {**POINT, "reason": reason, **more}, minute, site="Bondy")


def decide(case: Any, minute: float, decision: str = "held_at_office", **more: Any) -> Any:
    data = {**POINT, "decision": decision, "reason": "La boîte est derrière le chien", **more}
    return case.add(DECIDED.name, data, minute, by="supervisor", site="Bondy")


def due(decision: Any, kind: str) -> Any:
    found = [each for each in decision.timers if each.kind == kind]
    return found[0].due_at if found and isinstance(found[0], SetTimer) else found[0] if found else None


def test_a_refusal_says_why_where_the_mail_waits_until_when_and_when_there_is_an_answer(case: Any) -> None:
    decision = refuse(case, note="Chien méchant de M. Dupont")
    told = {
        **POINT,
        "reason": "dog",
        "opened_at": "2026-11-21T08:00:00.000Z",
        "answer_due_at": "2026-11-28T08:00:00.000Z",
        "mail_waits_at": "Bondy",
        "mail_waits_until": "2026-12-06",
    }
    assert case.said(REFUSED.name) == [told]
    assert decision.answer == told
    assert row(decision)[:3] == ("dp-118", "Bondy", "open")
    assert due(decision, "answer_due") == MORNING + ANSWER_IN


def test_carrier_and_customer_speak_of_one_case(case: Any) -> None:
    refuse(case)
    case.add(ASKED.name, {**POINT, "note": "Pourquoi ?"}, 3 * DAY, by="adviser")
    decision = refuse(case, 4 * DAY, reason="closed_gate")
    assert row(decision)[3] == MORNING
    assert row(decision)[5:7] == ("closed_gate", "device")
    assert {each["opened_at"] for each in case.said(ASKED.name)} == {"2026-11-21T08:00:00.000Z"}
    assert due(decision, "answer_due") == MORNING + ANSWER_IN


def test_an_answer_that_does_not_come_alerts_and_a_decision_settles_it(case: Any) -> None:
    case.add(ASKED.name, POINT, 0, by="customer")
    late = case.add("timer.answer_due", {}, DUE, by="server")
    assert [each["reason"] for each in case.said(OVERDUE)] == ["unserved"]
    assert any(each.query == "alert.save" for each in late.writes)
    decided = decide(case, DUE + 5, until="2026-12-20")
    assert any(each.query == "alert.save" for each in decided.writes)
    assert due(decided, "answer_due") == DropTimer("answer_due")
    assert row(decided)[2] == "decided"


def test_an_answer_in_time_alerts_nobody_even_if_the_timer_rings(case: Any) -> None:
    refuse(case)
    decide(case, DAY)
    case.add("timer.answer_due", {}, DUE, by="server")
    assert case.said(OVERDUE) == []


def test_a_decision_that_arrives_late_takes_back_that_the_answer_was_overdue(case: Any) -> None:
    refuse(case)
    case.add("timer.answer_due", {}, DUE, by="server")
    assert len(case.said(OVERDUE)) == 1
    decide(case, DAY)
    assert case.said(OVERDUE) == []


def test_what_was_decided_holds_until_its_last_day_and_then_the_case_is_gone(case: Any) -> None:
    refuse(case)
    decided = decide(case, DAY, until="2026-12-20")
    assert due(decided, "lapsed") == MORNING.replace(month=12, day=21, hour=0)
    assert row(refuse(case, 2 * DAY, reason="distance"))[2] == "decided"
    over = case.add("timer.lapsed", {}, (due(decided, "lapsed") - MORNING) / timedelta(minutes=1), by="server")
    assert ("access_case.drop", ("dp-118",)) in [(each.query, each.args) for each in over.writes]
    assert over.new_state["now"] == {"state": None}


def test_a_box_that_is_served_again_is_on_sheets_for_two_weeks(case: Any) -> None:
    refuse(case)
    assert due(decide(case, DAY, "served_again"), "lapsed") == MORNING + timedelta(days=15)


def test_a_customer_who_asks_again_after_the_decision_opens_a_new_case(case: Any) -> None:
    refuse(case)
    decide(case, DAY)
    again = case.add(ASKED.name, POINT, 2 * DAY, by="customer")
    assert row(again)[2:4] == ("open", MORNING + timedelta(days=2))
    assert due(again, "answer_due") == MORNING + timedelta(days=9)


def test_who_asked_is_told_that_there_is_a_case_and_what_was_decided(case: Any) -> None:
    refuse(case)
    contact = {"email": "client@example.org", "lang": "fr"}
    asked = case.add(ASKED.name, {**POINT, "contact": contact}, DAY, by="customer")
    decided = decide(case, 2 * DAY)
    notices = [each.args for each in (*asked.writes, *decided.writes) if each.query == "notice.queue"]
    assert [args[1] for args in notices] == ["access_opened", "access_decided"]
    sealed = notices[1][-1]
    assert isinstance(sealed, Sealed)
    assert sealed.value["to"] == "client@example.org"
    assert sealed.value["params"]["answer"] == "La boîte est derrière le chien"
    assert "client@example.org" not in str([each.data for each in case.everything])


def test_notices_have_templates_with_all_their_words(case: Any) -> None:
    from fieldsvc.notices.templates import render

    refuse(case)
    contact = {"email": "client@example.org"}
    asked = case.add(ASKED.name, {**POINT, "contact": contact}, DAY, by="customer")
    for decision in (asked, decide(case, 2 * DAY)):
        for args in (each.args for each in decision.writes if each.query == "notice.queue"):
            for lang in ("fr", "en"):
                assert "Bondy" in render(args[1], lang, args[-1].value["params"]).text


def test_a_supervisor_of_another_site_does_not_decide(case: Any) -> None:
    refuse(case)
    with pytest.raises(Refused, match="not_allowed"):
        case.add(DECIDED.name, {**POINT, "decision": "not_served", "reason": "x"}, 5, by="supervisor", site="Pantin")


def test_a_point_that_is_found_unserved_may_be_decided_without_anybody_asking(case: Any) -> None:
    assert row(decide(case, 0, "served_again"))[2] == "decided"


def test_without_a_delivery_point_there_is_no_case(registry: Any) -> None:
    with pytest.raises(Refused, match="no_delivery_point"):
        registry.handlers["access"].subjects_of(REFUSED.name, {"reason": "dog"})
