"""The chain of custody, by itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handlers.custody import HELD_FOR_REVIEW, Chain, Handover, Link, follow, review
from handlers.story import Fact

GIVE, TAKE, LEND, BACK = Handover("shop", "carrier", "t.take", "t.give"), "t.take", "t.lend", "t.back"
MOVES = (GIVE, Handover("carrier", "reader", LEND), Handover("carrier", "shop", BACK))


def chain(*kinds: str) -> Chain:
    facts = [Fact(f"2026-11-21T08:{number:02d}:00.000Z", str(number), kind, {}) for number, kind in enumerate(kinds)]
    return follow(facts, MOVES, start="shop")


def test_a_thing_stays_with_its_giver_until_the_taker_has_it() -> None:
    assert chain("t.give").place == "shop"
    assert chain("t.give", TAKE).place == "carrier"
    assert chain("t.give", TAKE, LEND).links["2"] == Link()


def test_a_hand_over_that_nobody_said_is_named_and_the_thing_is_where_the_later_fact_says() -> None:
    told = chain(LEND)
    assert told.place == "reader"
    assert told.links["0"].missing == (TAKE,)


def test_a_hand_over_of_which_the_giver_says_nothing_is_one_sided_until_he_does() -> None:
    assert chain(TAKE, LEND).links["1"].unsaid == ("t.give",)
    late = chain(TAKE, LEND, "t.give")
    assert late.links == {"0": Link(), "1": Link()}
    assert late.place == "reader"


def test_a_fact_to_which_nothing_leads_breaks_the_chain_and_moves_nothing() -> None:
    told = chain(TAKE, LEND, LEND, BACK)
    assert (told.links["2"].broken, told.links["3"].broken, told.place) == (True, True, "reader")


RING = (
    Handover("owner", "carrier", TAKE, marks=("signature",), where=("from", "owner")),
    Handover("safe", "carrier", TAKE, where=("from", "safe")),
    Handover("carrier", "safe", BACK),
    Handover("carrier", "owner", LEND, final=True),
)


def ring(*told: tuple[str, dict[str, Any]]) -> Chain:
    facts = [Fact(f"2026-11-21T08:{minute:02d}:00.000Z", str(minute), *each) for minute, each in enumerate(told)]
    return follow(facts, RING, start="owner")


SIGNED = {"from": "owner", "signature": "a drawing"}


def test_what_leaves_our_hands_does_so_once_until_somebody_says_that_it_came_back() -> None:
    told = ring((TAKE, SIGNED), (LEND, {}), (LEND, {}), (TAKE, SIGNED), (LEND, {}))
    assert [told.links[str(minute)].broken for minute in range(5)] == [False, False, True, False, False]
    assert (told.place, told.since) == ("owner", "2026-11-21T08:04:00.000Z")


def test_a_hand_over_without_the_mark_of_the_other_side_is_one_sided() -> None:
    assert ring((TAKE, {"from": "owner"})).links["0"].unsaid == (f"{TAKE}_signature",)
    assert ring((TAKE, SIGNED)).links["0"] == Link()


def test_the_fact_itself_says_which_of_two_hand_overs_it_is() -> None:
    assert ring((TAKE, SIGNED), (TAKE, {"from": "safe"})).links["1"].missing == (BACK,)
    assert ring((TAKE, SIGNED), (TAKE, SIGNED)).links["1"].missing == (LEND,)


def test_a_givers_word_counts_for_one_hand_over_only() -> None:
    assert chain("t.give", TAKE, BACK, TAKE).links["3"].unsaid == ("t.give",)
    assert chain(TAKE, BACK, TAKE, "t.give").links["0"].unsaid == ("t.give",)


def test_what_was_missing_is_forgotten_once_the_thing_is_back_at_its_start() -> None:
    assert chain(BACK, "t.give", TAKE, LEND).links["3"] == Link()


def test_facts_of_other_kinds_move_nothing() -> None:
    assert chain("t.other", "timer.x") == Chain("shop", {})


def test_the_review_says_complete_one_sided_or_held_and_alerts_only_the_last() -> None:
    fact = Fact("2026-11-21T08:00:00.000Z", "1", LEND, {})
    assert review(fact, "book/1", Link()) == ({"chain": "complete"}, [])
    assert review(fact, "book/1", Link(unsaid=("t.give",))) == ({"chain": "one_sided", "missing": ["give"]}, [])
    data, alerts = review(fact, "book/1", Link(missing=(TAKE,)), faults=["no_task", "torn"])
    assert data == {"chain": "held_for_review", "missing": ["task", "take"]}
    assert [(each.type, each.data["reason"]) for each in alerts] == [(HELD_FOR_REVIEW.name, "torn")]


@given(st.lists(st.sampled_from(("t.give", TAKE, LEND, BACK, "t.other")), max_size=12))
def test_a_thing_is_in_one_place_and_every_move_of_it_is_judged(kinds: list[str]) -> None:
    told = chain(*kinds)
    assert told.place in ("shop", "carrier", "reader")
    unjudged = [kind for number, kind in enumerate(kinds) if str(number) not in told.links]
    assert set(unjudged) <= {"t.other", "t.give"}
    if not any(link.broken or link.missing for link in told.links.values()):
        assert kinds.count(LEND) <= kinds.count(TAKE)
