"""What the public events of one thing add to each figure."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.reports.kpis import BY_NAME, DONE, FAILED, KPIS, TYPES, Told, contributions
from handlers.registry import Registry

WINDOW = {"from": "2026-11-21T08:00:00.000Z", "until": "2026-11-21T10:00:00.000Z"}
PLANNED = ("task.planned", "07:00", {"task_id": "tsk_1", "window": WINDOW})


def told(kind: str, clock: str, data: dict[str, Any] | None = None, *, account: str | None = None) -> Told:
    at = f"2026-11-21T{clock}:00.000Z"
    return Told(at, f"evt {kind} {clock}", kind, "site-pantin", account, data or {})


def figures(*facts: Sequence[Any]) -> dict[str, tuple[int, int]]:
    found = contributions([told(*fact) for fact in facts])
    return {each.kpi: (each.numerator, each.denominator) for each in found}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([("item.delivered", "09:00")], {"first_presentation": (1, 1), "disputes": (0, 1)}),
        ([("item.delivery_attempted", "09:00")], {"first_presentation": (0, 1)}),
        (
            [("item.delivery_attempted", "09:00"), ("item.delivered", "12:00")],
            {"first_presentation": (0, 1), "disputes": (0, 1)},
        ),
        (
            [("item.delivery_attempted", "09:00"), ("item.collected", "12:00")],
            {"first_presentation": (0, 1), "disputes": (0, 1)},
        ),
        (
            [("item.delivered", "09:00"), ("trust.dispute_opened", "11:00", {"about": "item/R"})],
            {"first_presentation": (1, 1), "disputes": (1, 1)},
        ),
        ([("home_visit.completed", "09:00")], {"visits_done": (1, 1), "visits_moved": (0, 1)}),
        ([("home_visit.missed", "09:00")], {"visits_done": (0, 1), "visits_moved": (0, 1)}),
        ([("home_visit.rescheduled", "09:00")], {"visits_moved": (1, 1)}),
        (
            [("home_visit.missed", "09:00"), ("home_visit.rescheduled", "10:00"), ("home_visit.completed", "12:00")],
            {"visits_done": (1, 1), "visits_moved": (1, 1)},
        ),
        ([("medication.delivered", "09:00", {"chain": "complete"})], {"chain_complete": (1, 1)}),
        ([("medication.delivered", "09:00", {"chain": "one_sided"})], {"chain_complete": (0, 1)}),
        ([PLANNED, ("medication.delivered", "09:00")], {"on_time": (1, 1)}),
        ([PLANNED, ("medication.delivered", "11:00")], {"on_time": (0, 1)}),
        ([PLANNED, ("medication.returned", "09:00")], {"on_time": (0, 1)}),
        ([PLANNED], {}),
        ([PLANNED, ("task.cancelled", "07:30", {"task_id": "tsk_1"}), ("medication.delivered", "09:00")], {}),
        ([("delivery_change.applied", "09:00", {"request_id": "c1"})], {"changes_applied": (1, 1)}),
        ([("delivery_change.too_late", "09:00", {"request_id": "c1"})], {"changes_applied": (0, 1)}),
    ],
)
def test_one_thing_counts_once_in_each_figure_that_it_ends_in(
    facts: list[Any], expected: dict[str, tuple[int, int]]
) -> None:
    assert figures(*facts) == expected


def test_a_change_counts_where_its_item_was_presented() -> None:
    facts = [told("delivery_change.applied", "12:00", {"request_id": "c1"}), told("item.delivered", "11:59")]
    (found,) = (each for each in contributions(facts) if each.kpi == "changes_applied")
    assert (found.source.type, found.service) == ("item.delivered", "delivery_change")


@pytest.mark.parametrize(("score", "promotes"), [(10, 1), (9, 1), (8, 0), (7, 0), (6, -1), (0, -1)])
def test_ratings_9_and_10_promote_and_0_to_6_detract(score: int, promotes: int) -> None:
    rating = ("rating.given", "12:00", {"about": "item/R", "score": score, "said_by": "customer"})
    assert figures(("item.delivered", "09:00"), rating)["nps"] == (promotes, 1)


def test_a_rating_counts_where_and_when_the_service_was_rendered() -> None:
    facts = [
        told("item.delivered", "09:00"),
        told("rating.given", "12:00", {"about": "item/R", "score": 10, "said_by": "customer"}),
    ]
    (nps,) = (each for each in contributions(facts) if each.kpi == "nps")
    assert (nps.service, nps.source.type) == ("item", "item.delivered")
    assert not [each for each in contributions(facts[1:]) if each.kpi == "nps"]


def test_a_rating_of_another_accounts_item_counts_nowhere() -> None:
    rating = {"about": "item/R", "score": 0, "said_by": "customer"}
    facts = [told("item.delivered", "09:00", account="acc-1"), told("rating.given", "12:00", rating, account="acc-2")]
    assert not [each for each in contributions(facts) if each.kpi == "nps"]


def test_a_phone_rates_the_service_and_not_a_delivery() -> None:
    rating = ("rating.given", "12:00", {"about": "service/medication", "score": 9, "said_by": "carrier"})
    assert figures(rating) == {"carriers_nps": (1, 1)}
    (found,) = contributions([told(*rating)])
    assert found.service == "medication"


FACTS = st.lists(
    st.sampled_from(
        [
            ("item.delivered", "09:00", {"chain": "complete"}),
            ("item.delivered", "12:00", {"chain": "one_sided"}),
            ("item.delivery_attempted", "08:30", {}),
            ("item.collected", "15:00", {}),
            ("trust.dispute_opened", "16:00", {"about": "item/R"}),
            ("rating.given", "17:00", {"about": "item/R", "score": 3}),
            ("rating.given", "18:00", {"about": "item/R", "score": 9}),
            PLANNED,
        ]
    ),
    unique_by=lambda each: each[:2],
)


@given(facts=FACTS, order=st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_figure(facts: list[Any], order: Any) -> None:
    shuffled = list(facts)
    order.shuffle(shuffled)
    assert figures(*facts) == figures(*shuffled)
    for numerator, denominator in figures(*facts).values():
        assert denominator == 1
        assert -1 <= numerator <= 1


def test_a_value_is_a_share_in_percent_or_for_a_thousand() -> None:
    assert BY_NAME["nps"].value(3, 10) == 30.0
    assert BY_NAME["disputes"].value(1, 3) == 333.3
    assert BY_NAME["on_time"].value(2, 3) == 66.7


def test_every_figure_is_defined_in_french_and_english() -> None:
    for each in KPIS:
        assert set(each.title) == set(each.definition) == {"fr", "en"}
        assert all(text.strip() for text in (*each.title.values(), *each.definition.values()))


def test_the_types_that_are_counted_are_types_that_services_publish(registry: Registry) -> None:
    assert registry.public.keys() >= TYPES
    assert {*DONE, *FAILED} <= TYPES
