"""Locating one event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fieldsvc.intake.location import Locator, Place
from fieldsvc.work.rounds import Learned, RunPlan
from geo import Fix, Round, Stop

LAT, LON = 48.9378, 2.1609
NOW = datetime(2026, 11, 21, 9, 42, tzinfo=UTC)
METRE_LAT, METRE_LON = 1 / 111_200, 1 / 73_120  # degrees at this latitude


def plan_of(*stops: Stop) -> RunPlan:
    planned = Round("T07", tuple((stop.lon, stop.lat) for stop in stops), stops, "pantin")
    by_id = {stop.stop_id: stop for stop in stops}
    points = {stop.stop_id: f"dp-{stop.stop_id}" for stop in stops}
    return RunPlan("run-2026-11-21-T07", "T07", "pantin", planned, 1, by_id, {"item/A": "s3"}, points)


ROW = plan_of(*(Stop(f"s{n}", LAT, LON + n * 100 * METRE_LON) for n in range(1, 8)))


def fix(east_m: float = 0.0, north_m: float = 0.0, accuracy_m: float | None = 8.0) -> Fix:
    """A fix so many metres from stop s3."""
    return Fix(LAT + north_m * METRE_LAT, LON + (300 + east_m) * METRE_LON, NOW, accuracy_m)


def locate(locator: Locator | None = None, plan: RunPlan | None = ROW, **said: Any) -> Place:
    asked = {"scanned": None, "stop_id": None, "fix": None, "at": NOW, **said}
    return (locator or Locator()).locate(plan, **asked)


def test_a_scan_counts_more_than_a_named_stop_and_that_more_than_a_fix() -> None:
    found = [
        locate(scanned="s3", stop_id="s4", fix=fix(200)),
        locate(scanned="gone", stop_id="s4", fix=fix(200)),
        locate(stop_id="gone", fix=fix(200)),
        locate(stop_id="gone"),
    ]
    assert [place.located["method"] for place in found] == ["scan", "stop", "match", "none"]
    assert [place.located["stop_id"] for place in found] == ["s3", "s4", "s5", None]
    trust = [place.located["confidence"] for place in (locate(scanned="s3"), locate(stop_id="s3"), locate())]
    assert trust == sorted(trust, reverse=True)


def test_a_place_names_the_run_the_round_and_the_delivery_point() -> None:
    located = locate(stop_id="s3").located
    assert (located["run_id"], located["round_id"]) == (ROW.run_id, "T07")
    assert located["delivery_point_id"] == "dp-s3"
    assert located["distance_along_m"] == pytest.approx(200, abs=1)
    assert locate(plan=None, stop_id="s3", fix=fix()).located == {"stop_id": None, "confidence": 0.0, "method": "none", "status": "unknown"}  # fmt: skip


@pytest.mark.parametrize(
    ("away_m", "accuracy_m", "warned"),
    [(39, 8, False), (41, 8, True), (59, 30, False), (61, 30, True), (41, None, True)],
)
def test_farther_than_40_m_or_twice_the_accuracy_is_the_wrong_door(
    away_m: float, accuracy_m: float | None, warned: bool
) -> None:
    place = locate(stop_id="s3", fix=fix(0, away_m, accuracy_m))
    assert place.located["door_distance_m"] == pytest.approx(away_m, abs=0.5)
    assert place.warnings == (("wrong_door",) if warned else ())
    assert (place.located["confidence"] < 0.9) == warned


def test_at_the_wrong_door_the_nearest_stop_is_named_if_the_fix_is_at_one() -> None:
    assert locate(stop_id="s3", fix=fix(190)).nearest_stop_id == "s5"
    assert locate(stop_id="s3", fix=fix(150)).nearest_stop_id is None
    assert locate(stop_id="s3", fix=fix(10)).nearest_stop_id is None


def test_a_letterbox_far_from_the_house_is_a_right_place_too() -> None:
    house = plan_of(*(replace(stop, box_at=(LAT, stop.lon - 90 * METRE_LON)) for stop in ROW.round.stops))
    for east_m in (-90, 0):
        place = locate(plan=house, stop_id="s3", fix=fix(east_m))
        assert place.warnings == ()
        assert place.located["door_distance_m"] < 1


def test_where_proofs_say_that_a_door_is_counts_instead_of_the_plan() -> None:
    learned = replace(ROW, learned={"s3": Learned(door=(LAT, ROW.stops_by_id["s3"].lon + 60 * METRE_LON))})
    assert locate(plan=learned, stop_id="s3", fix=fix(60)).located["door_distance_m"] < 1
    assert locate(plan=learned, stop_id="s3", fix=fix()).warnings == ("wrong_door",)
    assert locate(stop_id="s3", fix=fix(60)).warnings == ("wrong_door",)
    assert locate(plan=learned, stop_id="s3", fix=fix(200)).nearest_stop_id == "s5"
    assert locate(plan=learned, fix=fix(4)).located["door_distance_m"] == pytest.approx(56, abs=0.5)


def test_what_is_left_in_the_box_is_measured_to_the_box() -> None:
    house = plan_of(*(replace(stop, box_at=(LAT, stop.lon - 90 * METRE_LON)) for stop in ROW.round.stops))
    assert locate(plan=house, stop_id="s3", fix=fix(), done_at="box").warnings == ("wrong_door",)
    assert locate(plan=house, stop_id="s3", fix=fix(-90), done_at="box").warnings == ()
    assert locate(plan=house, stop_id="s3", fix=fix(-90), done_at="door").warnings == ()
    assert locate(stop_id="s3", fix=fix(), done_at="box").warnings == ()  # without a box of its own
    moved = replace(house, learned={"s3": Learned(box=(LAT, ROW.stops_by_id["s3"].lon))})
    assert locate(plan=moved, stop_id="s3", fix=fix(), done_at="box").warnings == ()


def test_the_same_fix_is_matched_near_where_the_run_was_less_than_ten_minutes_ago() -> None:
    there_and_back = plan_of(*(Stop(f"s{n}", LAT, LON + min(n, 14 - n) * 100 * METRE_LON) for n in range(1, 14)))
    fresh, stale = Locator(), Locator()
    for locator, before in ((fresh, NOW - timedelta(minutes=9)), (stale, NOW - timedelta(minutes=11))):
        locate(locator, there_and_back, stop_id="s10", at=before)
    assert locate(fresh, there_and_back, fix=fix(), at=NOW).located["stop_id"] == "s11"
    assert locate(stale, there_and_back, fix=fix(), at=NOW).located["stop_id"] == "s3"
    locate(fresh, there_and_back, stop_id="s1", at=NOW - timedelta(minutes=30))
    assert locate(fresh, there_and_back, fix=fix(), at=NOW).located["stop_id"] == "s11"


def test_off_the_round_no_place_is_told() -> None:
    located = locate(fix=fix(0, 400)).located
    assert (located["method"], located["status"], located["stop_id"]) == ("match", "off_round", None)
    assert {"distance_along_m", "offset_m", "door_distance_m"}.isdisjoint(located)


@pytest.mark.parametrize("place", [(0.0, 0.0), (-0.0, 0.0), (-33.9, 18.4), (2.1609, 48.9378), (90.0, 180.0)])
def test_a_fix_that_cannot_be_is_not_used(place: tuple[float, float]) -> None:
    found = locate(fix=Fix(*place, NOW, 8.0))
    assert found.warnings == ("implausible_fix",)
    assert found.located["method"] == "none"


def test_a_round_without_stops_locates_nothing() -> None:
    empty = replace(ROW, round=Round("T07", (), (), "pantin"), stops_by_id={})
    assert locate(plan=empty, stop_id="s3", fix=fix()).located["method"] == "none"


def test_what_tracking_knows_counts_where_it_is_nearer_in_time() -> None:
    there_and_back = plan_of(*(Stop(f"s{n}", LAT, LON + min(n, 14 - n) * 100 * METRE_LON) for n in range(1, 14)))
    back = there_and_back.round.distance_of("s10")
    for seconds, stop_id in ((60, "s11"), (599, "s11"), (601, "s3")):
        tracked = Locator(lambda run_id, at, ago=seconds: (at - timedelta(seconds=ago), back) if run_id else None)
        assert locate(tracked, there_and_back, fix=fix()).located["stop_id"] == stop_id
    for seconds, stop_id in ((60, "s11"), (180, "s3")):
        both = Locator(lambda run_id, at, ago=seconds: (at - timedelta(seconds=ago), back) if run_id else None)
        locate(both, there_and_back, stop_id="s2", at=NOW - timedelta(seconds=120))
        assert locate(both, there_and_back, fix=fix()).located["stop_id"] == stop_id
    nothing = Locator(lambda _run_id, _at: None)
    assert locate(nothing, there_and_back, fix=fix()).located["stop_id"] == "s3"
