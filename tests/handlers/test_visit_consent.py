"""Relatives of a visited person: whom she named, until she says otherwise, and that they are told before a visit fails."""

from typing import Any

import pytest

from handlers.story import Decision
from handlers.visit_consent import known_as

VISIT = {"visit_id": "V-2041"}
CONSENT = {"given_on": "2026-11-01", "answers": ["feels_well"], "relatives": ["Claire@Example.org ", "not an address"]}


@pytest.fixture
def visit(new_story: Any) -> Any:
    return new_story("home_visit", "visit/V-2041")


def followers(decision: Decision) -> list[str] | None:
    """Name the digests of who may follow from now on; None if nothing was written of them."""
    written = [each for each in decision.writes if each.query.startswith("visit_relative.")]
    return [each.args[1].person for each in written if each.query.endswith(".save")] if written else None


def notices(decision: Decision) -> list[str]:
    return [each.args[1] for each in decision.writes if each.query == "notice.queue"]


def test_who_is_named_may_follow_and_nothing_is_written_where_nobody_is(visit: Any, new_story: Any) -> None:
    assert followers(visit.order(details={"consent": CONSENT})) == [known_as("claire@example.org")]
    other = new_story("home_visit", "visit/V-9")
    assert followers(other.order(details={"consent": {"given_on": "2026-11-01", "answers": ["feels_well"]}})) is None


@pytest.mark.parametrize("change", [{"answers": []}, {"answers": ["feels_well"], "relatives": []}])
def test_what_she_says_next_replaces_whom_she_named(visit: Any, change: dict[str, Any]) -> None:
    visit.order(details={"consent": CONSENT})
    said = {**VISIT, "given_on": "2026-11-21", **change}
    assert followers(visit.add("home_visit.consent_changed", said, 5, by="adviser")) == []
    again = {**VISIT, "answers": [], "given_on": "2026-11-21", "relatives": ["luc@example.org"], "until": "2026-11-30"}
    assert followers(visit.add("home_visit.consent_changed", again, 6)) == [known_as("luc@example.org")]


def test_a_consent_that_is_over_names_nobody(visit: Any) -> None:
    assert followers(visit.order(details={"consent": {**CONSENT, "until": "2026-11-20"}})) == []


def test_relatives_are_told_once_before_a_visit_fails_and_only_while_they_may_know(visit: Any) -> None:
    window = {"from": "2026-11-21T09:00:00Z", "until": "2026-11-21T10:00:00Z"}
    visit.order(details={"consent": CONSENT}, window=window)
    danger = visit.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    assert notices(danger) == ["visit_in_danger"]
    assert notices(visit.add("timer.threatened", {"reason": "uncovered"}, 6, by="server")) == []
    visit.add("home_visit.consent_changed", {**VISIT, "answers": []}, 7)
    visit.add("timer.relieved", {}, 8, by="server")
    assert notices(visit.add("timer.threatened", {"reason": "delay"}, 9, by="server")) == []
