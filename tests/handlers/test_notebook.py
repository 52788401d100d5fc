"""The living notebook: what is written goes where sheets find it, sealed, and never out."""

from typing import Any

from handlers.fields import SECRET, split
from handlers.notebook import WRITTEN, Written, WrittenFact
from handlers.story import Sealed

POINT = "notebook/dp-118"


def note(kind: str, text: str) -> dict[str, Any]:
    return {"delivery_point_id": "dp-118", "kind": kind, "text": text, "carrier": "Zoé"}


def writes(decision: Any) -> dict[str, tuple[Any, ...]]:
    return {each.query: each.args for each in decision.writes}


def test_a_note_is_kept_sealed_with_who_wrote_it_on_which_run_and_only_the_fact_is_said(new_story: Any) -> None:
    story = new_story("notebook", POINT)
    decision = story.add(WRITTEN.name, note("code", " A4471 "), run="run-2026-11-21-T07")
    row = writes(decision)["notebook.write"]
    assert row[1:3] == ("dp-118", "code")
    assert row[4:] == (False, Sealed({"text": "A4471"}), "run-2026-11-21-T07", "Zoé", False)
    assert story.said(WRITTEN.name) == [{"delivery_point_id": "dp-118", "kind": "code", "removed": False}]
    assert "A4471" not in str([public.data for public in decision.public_events])
    assert decision.new_state["now"] == {"kinds": ["code"]}


def test_the_text_is_secret_and_what_is_said_is_for_the_operator(new_story: Any) -> None:
    assert split(Written, note("code", "A4471"))[SECRET] == {"text": "A4471"}
    told = split(WrittenFact, {"delivery_point_id": "dp-118", "kind": "code", "removed": False})
    assert [each.value for each in told] == ["operational"]


def test_an_empty_text_removes_and_raises_the_sheets_again(new_story: Any) -> None:
    story = new_story("notebook", POINT)
    story.add(WRITTEN.name, note("dog", "Gentil"), 0)
    decision = story.add(WRITTEN.name, note("dog", "  "), 5)
    assert writes(decision)["notebook.write"][4] is True
    assert writes(decision)["sheet.touch_point"] == ("dp-118",)
    assert decision.new_state["now"] == {"kinds": []}


def test_a_supervisor_writes_for_the_regular_carrier(new_story: Any) -> None:
    story = new_story("notebook", POINT)
    decision = story.add(WRITTEN.name, note("hours", "9 h à 17 h"), by="supervisor")
    assert writes(decision)["notebook.write"][-1] is True


def test_only_the_newest_fifty_notes_of_a_point_are_kept(new_story: Any) -> None:
    story = new_story("notebook", POINT)
    for minute in range(60):
        decision = story.add(WRITTEN.name, note("other", f"note {minute}"), minute)
    assert len(decision.new_state["facts"]) == 50
    assert len(writes(decision)["notebook.keep"][1]) == 51
