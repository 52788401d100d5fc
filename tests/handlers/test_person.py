"""Persons: the tombstone that tells a subscriber whom to forget."""

from typing import Any

import pytest

from handlers.fields import PUBLIC, split
from handlers.person import HANDLER, ErasedFact
from handlers.story import Refused

ERASED = {"person": "ref-77", "account": "acc-1"}
KIND = "person.erased"


@pytest.fixture
def person(new_story: Any) -> Any:
    return new_story("person", "person/acc-1/ref-77")


def test_the_tombstone_is_the_orderers_own_reference_and_since_when(person: Any) -> None:
    decision = person.add(KIND, ERASED, by="operator")
    (said,) = person.said(KIND)
    assert split(ErasedFact, said) == {PUBLIC: {"person": "ref-77", "since": "2026-11-21T08:00:00.000Z"}}
    assert decision.account == "acc-1"


def test_it_is_about_the_person_whose_key_seals_what_is_known_of_them(new_story: Any) -> None:
    story = new_story("item", "item/RK1")
    order = {"task_id": "tsk_1", "service": "item", "subject": "item/RK1", "on": "2026-11-21", "person": "ref-77"}
    sealed_for = story.add("task.planned", order, by="subscriber", account="acc-1").person
    assert HANDLER.subjects_of(KIND, ERASED) == (sealed_for,)
    assert HANDLER.subjects_of(KIND, {"person": "ref-77"}) == ("person/operator/ref-77",)


def test_erased_again_says_nothing_new_and_an_earlier_erasure_that_arrives_late_is_the_one(person: Any) -> None:
    person.add(KIND, ERASED, 30, by="operator")
    assert not person.add(KIND, ERASED, 40, by="server").public_events
    (public,) = person.add(KIND, ERASED, 10, by="server").public_events[:1]
    assert public.data["since"] == "2026-11-21T08:10:00.000Z"
    assert len(person.said(KIND)) == 1


def test_the_state_outlives_the_persons_key_and_names_nobody(person: Any) -> None:
    assert not HANDLER.sealed_state
    person.add(KIND, {**ERASED, "name": "Mme Martin"}, by="operator")
    assert "Martin" not in str(person.body)
    assert "Martin" not in str(person.everything)


def test_only_the_operator_and_the_server_erase() -> None:
    assert HANDLER.events[0].by == {"operator", "server"}


@pytest.mark.parametrize("said", ["anew", "replayed"])
def test_that_it_is_done_already_or_anew_is_for_the_server_alone_to_say(person: Any, said: str) -> None:
    with pytest.raises(Refused, match="not_allowed"):
        person.add(KIND, {**ERASED, said: True}, by="operator")
    person.add(KIND, {**ERASED, said: False}, by="operator")
    assert person.add(KIND, {**ERASED, said: True}, 5, by="server").public_events
