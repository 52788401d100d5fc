"""Instructions: kept sealed for the sheet, and gone when they are taken back."""

from typing import Any

from handlers.instruction import GIVEN
from handlers.story import Fact, Sealed


def test_the_words_are_sealed_and_only_the_fact_is_said(new_story: Any) -> None:
    story = new_story("instruction", "run/run-2026-11-21-T07")
    decision = story.add(GIVEN.name, {"run_id": "run-2026-11-21-T07", "text": "Passer par la cour"}, by="supervisor")
    (row,) = [each.args for each in decision.writes if each.query == "instruction.write"]
    assert row[1:3] == ("run-2026-11-21-T07", None)
    assert row[-1] == Sealed({"text": "Passer par la cour"})
    assert story.said(GIVEN.name) == [{"run_id": "run-2026-11-21-T07"}]


def test_one_that_was_taken_back_is_not_kept(registry: Any) -> None:
    data = {"run_id": "run-2026-11-21-T07", "text": "x"}
    gone = Fact("2026-11-21T08:00:00.000Z", "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", GIVEN.name, data)
    tale = registry.handlers["instruction"].tell([], gone, gone.occurred_at)
    assert [(each.query, each.args) for each in tale.writes] == [("instruction.keep", ("run-2026-11-21-T07", []))]
