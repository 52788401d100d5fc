"""The score of a proof: several factors, never one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.proof import ProofScore, weigh, words
from handlers.story import Fact

AT_DOOR = {"stop_id": "st-1", "door_distance_m": 6.0, "method": "scan"}
SIGNED = {"signature": "strokes", "photo": "picture", "identity": "document"}


def fact(*, located: Any = AT_DOOR, accuracy_m: float | None = 6.0, **more: Any) -> Fact:
    data = {"fix": {"accuracy_m": accuracy_m}} if accuracy_m else {}
    return Fact("2026-11-21T09:42:17.120Z", "1", "item.delivered", data, located=located, **more)


def test_everything_there_and_in_time_is_a_hundred() -> None:
    assert weigh(fact(), evidence=SIGNED)["score"] == 100


def test_no_single_factor_makes_a_good_proof() -> None:
    assert weigh(fact(located=None, accuracy_m=None), evidence=SIGNED)["score"] <= 40
    assert weigh(fact(), evidence={})["score"] <= 75
    assert weigh(fact(located={"stop_id": "st-1", "method": "scan"}, accuracy_m=None), evidence={})["score"] <= 50


@pytest.mark.parametrize(
    ("changes", "evidence", "code"),
    [
        ({"located": {**AT_DOOR, "door_distance_m": 41.0}}, SIGNED, "near_door"),
        ({"located": {**AT_DOOR, "door_distance_m": 500.0}}, SIGNED, "far_from_door"),
        ({"located": None}, SIGNED, "place_unknown"),
        ({"clock_suspect": True}, SIGNED, "clock_suspect"),
        ({"late_s": 7200.0}, SIGNED, "reported_late"),
        ({}, {"photo": "picture"}, "photo"),
        ({}, {}, "nothing_taken"),
    ],
)
def test_each_weakness_costs_points_and_is_said(changes: dict[str, Any], evidence: dict[str, Any], code: str) -> None:
    weaker = weigh(fact(**changes), evidence=evidence)
    assert weaker["score"] < 100
    assert code in weaker["factors"]


def test_a_vague_fix_is_near_within_twice_its_accuracy_and_scores_less_than_a_sharp_one() -> None:
    place = {**AT_DOOR, "door_distance_m": 90.0}
    vague, sharp = weigh(fact(located=place, accuracy_m=50.0), evidence={}), weigh(fact(located=place), evidence={})
    assert "at_door" in vague["factors"]
    assert "near_door" in sharp["factors"]


def test_after_the_ordered_window_is_said() -> None:
    late = weigh(fact(), evidence=SIGNED, until=datetime(2026, 11, 21, 9, 0, tzinfo=UTC))
    assert "after_window" in late["factors"]


def test_the_words_exist_in_french() -> None:
    assert words(["at_door", "scanned", "signed"], "fr") == "À la porte prévue, scanné, signé."


@given(
    distance=st.none() | st.floats(0, 5000),
    accuracy=st.none() | st.floats(0.1, 5000),
    method=st.sampled_from(["scan", "stop", "match", "geocode", "none"]),
    evidence=st.dictionaries(
        st.sampled_from(["signature", "photo", "code_ok", "identity", "known_to_carrier"]), st.just("x")
    ),
    to=st.sampled_from(["addressee", "mailbox", "safe_place", None]),
    late=st.none() | st.floats(0, 1e6),
    suspect=st.booleans(),
)
def test_the_score_is_always_between_nought_and_a_hundred_and_has_words(
    distance: float | None, accuracy: float | None, method: str, evidence: dict[str, str], to: str | None,
    late: float | None, suspect: bool,
) -> None:  # fmt: skip
    located = {"stop_id": "st-1", "door_distance_m": distance, "method": method}
    told = weigh(
        fact(located=located, accuracy_m=accuracy, late_s=late, clock_suspect=suspect), evidence=evidence, to=to
    )
    assert ProofScore.model_validate(told).words
    assert 0 <= told["score"] <= 100
