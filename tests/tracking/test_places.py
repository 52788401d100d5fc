"""Where runs were in the last minutes, in memory."""

from fieldsvc.tracking.places import Places
from tests.tracking.conftest import after


def test_the_last_place_up_to_a_moment_counts_and_else_the_first_after_it() -> None:
    places = Places()
    places.remember("a", [(after(600), 60.0), (after(0), 0.0), (after(300), 30.0)])
    asked = {-599: 0.0, -600: None, 299: 0.0, 300: 30.0, 601: 60.0, 1_199: 60.0, 1_200: None}
    assert {at: (places.near("a", after(at)) or (None, None))[1] for at in asked} == asked
    assert places.near("b", after(0)) is None


def test_twenty_minutes_and_two_dozen_places_of_a_run_are_kept() -> None:
    places = Places()
    places.remember("a", [(after(0), 0.0), (after(1_201), 1.0)])
    assert places.near("a", after(0)) is None
    places.remember("b", [(after(second), float(second)) for second in range(100)])
    assert places.near("b", after(0)) == (after(76), 76.0)


def test_the_run_used_longest_ago_leaves_first() -> None:
    places = Places(runs=2)
    for run in ("a", "b", "a", "c"):
        places.remember(run, [(after(0), 1.0)])
    places.remember("b", [])
    assert [places.near(run, after(0)) is not None for run in "abc"] == [True, False, True]
    places.forget("a")
    places.forget("b")
    assert places.near("a", after(0)) is None
