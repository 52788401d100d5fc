"""Places for the town hall: what is near and of one kind is one case."""

from collections.abc import Mapping, Sequence
from math import cos, radians
from typing import Any
from uuid import uuid5

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handlers.base import evt_id, validated
from handlers.place import HANDLER, M_PER_DEGREE, NEAR_M, Observed
from tests.handlers.conftest import NAMES, Story

LAT, LON = 48.935, 2.165  # the middle of a square
DAY = 24 * 60
M_EAST = M_PER_DEGREE * cos(radians(LAT))


def point(north_m: float, east_m: float, *, lat: float = LAT, lon: float = LON) -> dict[str, float]:
    return {"lat": lat + north_m / M_PER_DEGREE, "lon": lon + east_m / M_EAST}


class Town:
    """All squares of the map, as the journal would decide on them."""

    def __init__(self) -> None:
        self.squares: dict[str, Story] = {}
        self.count = 0

    def see(self, place: Mapping[str, float], day: float = 0, kind: str = "pothole", number: int | None = None) -> str:
        """Report a place; return the id of the report."""
        self.count += 1
        name = uuid5(NAMES, f"report {self.count if number is None else number}")
        data = validated(Observed, orjson.dumps({"kind": kind, "point": place}))
        for subject in HANDLER.subjects_of("place.observed", data):
            story = self.squares.setdefault(subject, Story(HANDLER, subject))
            story.take(story.event("place.observed", data, day * DAY, id=name))
        return str(name)

    def cases(self) -> dict[str, str]:
        """Map each report that is public to its case."""
        found: dict[str, str] = {}
        for story in self.squares.values():
            names = {known[0]: name.partition(" ")[0] for name, known in (story.body or {})["published"].items()}
            for event_id, public in story.live.items():
                assert names[event_id] not in found, "a report is said in two squares"
                found[names[event_id]] = public.data["case_id"]
        return found


def test_two_reports_of_one_kind_within_30_m_and_30_days_are_one_case() -> None:
    town = Town()
    first = town.see(point(0, 0))
    again = town.see(point(20, 20), 29)
    assert town.cases() == {first: first, again: first}
    (story,) = town.squares.values()
    assert [each["reports"] for each in story.said("place.observed")] == [1, 2]


@pytest.mark.parametrize(
    ("place", "day", "kind"),
    [(point(0, 31), 1, "pothole"), (point(0, 5), 31, "pothole"), (point(0, 5), 1, "streetlight")],
)
def test_what_is_farther_later_or_of_another_kind_is_another_case(place: Any, day: float, kind: str) -> None:
    town = Town()
    first = town.see(point(0, 0))
    other = town.see(place, day, kind)
    assert town.cases() == {first: first, other: other}


def test_reports_that_hang_together_through_a_third_are_one_case_when_it_arrives_and_say_so_anew() -> None:
    town = Town()
    first, last = town.see(point(0, 0)), town.see(point(0, 50), 2)
    assert len(set(town.cases().values())) == 2
    between = town.see(point(0, 25), 1)
    assert set(town.cases().values()) == {first}
    (story,) = town.squares.values()
    assert [each.supersedes for each in story.everything if each.supersedes] == [evt_id(last, 0)]
    assert between in town.cases()


@pytest.mark.parametrize("corner", [(48.94, 2.165), (48.935, 2.17), (48.94, 2.17), (-21.11, 55.53), (0.0, 0.0)])
def test_a_case_goes_across_the_borders_of_the_map(corner: tuple[float, float]) -> None:
    lat, lon = corner
    town = Town()
    first = town.see(point(-6, -6, lat=lat, lon=lon))
    other = town.see(point(6, 6, lat=lat, lon=lon), 1)
    assert town.cases() == {first: first, other: first}


@given(
    spots=st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 80)), min_size=1, max_size=7),
    corner=st.sampled_from([(LAT, LON), (48.94, 2.17)]),
    data=st.data(),
)
def test_cases_are_what_is_near_each_other_whatever_arrives_first_and_wherever_the_borders_are(
    spots: Sequence[tuple[int, int, int]], corner: tuple[float, float], data: st.DataObject
) -> None:
    town = Town()
    numbered = data.draw(st.permutations(list(enumerate(spots))))
    ids = {
        number: town.see(point(north, east, lat=corner[0], lon=corner[1]), day, number=number)
        for number, (north, east, day) in numbered
    }
    groups = {number: {number} for number in ids}
    for one, (north, east, day) in enumerate(spots):
        for other, (north2, east2, day2) in enumerate(spots):
            if (north - north2) ** 2 + (east - east2) ** 2 <= NEAR_M**2 and abs(day - day2) <= 30:
                whole = groups[one] | groups[other]
                groups |= dict.fromkeys(whole, whole)
    found = town.cases()
    for number, group in groups.items():
        first = min(group, key=lambda each: (spots[each][2], ids[each]))
        assert found[ids[number]] == ids[first]


def test_a_square_with_many_reports_forgets_whole_cases_and_changes_the_id_of_none() -> None:
    town = Town()
    for number in range(HANDLER.facts_kept // 2 + 10):
        place = point(-380 + 40 * (number % 20), -180 + 40 * (number // 20))
        town.see(place, number / 10)
        town.see(place, number / 10 + 1)
    (story,) = town.squares.values()
    assert len(story.body["facts"]) <= HANDLER.facts_kept
    assert [each for each in story.everything if each.supersedes] == []


def test_nothing_of_who_saw_it_is_said_and_the_phones_own_place_is_not_kept() -> None:
    (seen,) = HANDLER.events
    assert not seen.keeps_fix
    town = Town()
    town.see(point(0, 0))
    (story,) = town.squares.values()
    assert set(story.said("place.observed")[0]) == {"case_id", "kind", "point", "reports"}


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "dog"}, {"point": None}, {"point": {"lat": 91, "lon": 2}}, {"point": {"lat": 48}}, {"point": [48, 2]}],
)
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Observed, orjson.dumps({"kind": "tree", "point": point(0, 0), **wrong}))
