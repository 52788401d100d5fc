"""Hazards: two pairs of eyes before a sheet shows one, and an end in any case."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hazard import CONFIRMED, ENDED, REPORTED, _row
from handlers.story import DropTimer, Fact, Refused, SetTimer
from tests.handlers.conftest import MORNING, at

HAZARD = "hazard/hz-1"
UNTIL = "2026-11-22T12:00:00Z"
SITE, OTHER = "site-bondy", "site-pantin"


def report(**more: Any) -> dict[str, Any]:
    about = {"hazard_id": "hz-1", "kind": "ice", "point": {"lat": 48.9, "lon": 2.48}, "radius_m": 80.0, "until": UNTIL}
    return {**about, **more}


def saved(decision: Any) -> tuple[Any, ...]:
    (write,) = [each for each in decision.writes if each.query == "hazard.save"]
    return write.args


def test_a_carriers_report_waits_for_a_supervisor_and_alerts(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    first = story.add(REPORTED.name, report(note="Verglas"), site=SITE)
    assert saved(first)[2] == "reported"
    assert [each.args[3] for each in first.writes if each.query == "alert.save"] != []
    second = story.add(CONFIRMED.name, {"hazard_id": "hz-1"}, 5, by="supervisor", site=SITE)
    assert saved(second)[2:4] == ("confirmed", SITE)
    assert [each["hazard_id"] for each in story.said(CONFIRMED.name)] == ["hz-1"]
    assert "Verglas" not in str([each.data for each in story.everything])


def test_what_a_supervisor_reports_stands_at_once(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    assert saved(story.add(REPORTED.name, report(), by="supervisor", site=SITE))[2] == "confirmed"
    assert len(story.said(REPORTED.name)) == len(story.said(CONFIRMED.name)) == 1


def test_a_hazard_ends_by_its_timer_and_says_so_once(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    first = story.add(REPORTED.name, report(), by="supervisor", site=SITE)
    (timer,) = [each for each in first.timers if isinstance(each, SetTimer) and each.kind == "over"]
    assert timer.due_at == MORNING.replace(day=22, hour=12)
    last = story.add("timer.over", {}, (timer.due_at - MORNING) / timedelta(minutes=1), by="server")
    assert saved(last)[2] == "ended"
    assert story.said(ENDED.name) == [{"hazard_id": "hz-1", "reason": "until"}]
    assert DropTimer("over") in last.timers


def test_a_confirmation_may_give_it_another_end_and_a_timer_that_is_too_early_ends_nothing(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    story.add(REPORTED.name, report(until="2026-11-21T09:00:00Z"), site=SITE)
    story.add(CONFIRMED.name, {"hazard_id": "hz-1", "until": UNTIL}, 5, by="supervisor", site=SITE)
    early = story.add("timer.over", {}, 60, by="server")
    assert saved(early)[2] == "confirmed"
    assert story.said(ENDED.name) == []
    over = story.add(ENDED.name, {"hazard_id": "hz-1", "reason": "unfounded"}, 90, by="supervisor", site=SITE)
    assert saved(over)[2] == "ended"
    assert story.said(ENDED.name)[0]["reason"] == "unfounded"


def test_a_supervisor_of_another_site_says_nothing_of_it_whatever_came_first(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    story.add(REPORTED.name, report(), site=SITE)
    with pytest.raises(Refused, match="not_allowed"):
        story.add(CONFIRMED.name, {"hazard_id": "hz-1"}, 5, by="supervisor", site=OTHER)
    early = new_story("hazard", HAZARD)
    early.add(CONFIRMED.name, {"hazard_id": "hz-1"}, 5, by="supervisor", site=OTHER)
    assert saved(early.add(REPORTED.name, report(), 0, site=SITE))[2] == "reported"


def test_a_report_after_its_time_is_over_as_soon_as_its_timer_rings(new_story: Any) -> None:
    story = new_story("hazard", HAZARD)
    first = story.add(REPORTED.name, report(until="2026-11-21T07:00:00Z"), by="supervisor", site=SITE)
    (timer,) = [each for each in first.timers if isinstance(each, SetTimer) and each.kind == "over"]
    assert timer.due_at < at(0)
    assert saved(story.add("timer.over", {}, -60, by="server"))[2] == "ended"


@given(
    lat=st.floats(-80, 80), lon=st.floats(-179, 179), radius_m=st.floats(1, 5000),
    north=st.floats(-1, 1), east=st.floats(-1, 1),
)  # fmt: skip
def test_the_box_holds_every_place_of_the_circle(
    lat: float, lon: float, radius_m: float, north: float, east: float
) -> None:
    from geo.positions import Plane, distance_m

    place = Plane(lat, lon).latlon(east * radius_m, north * radius_m)
    data = {"hazard_id": "hz-1", "kind": "ice", "point": {"lat": lat, "lon": lon}, "radius_m": radius_m, "until": UNTIL}
    west, south, east_, north_ = _row(Fact("2026-11-21T08:00:00.000Z", "x", REPORTED.name, data), state="reported",
                                      until=MORNING, note=None)[7:11]  # fmt: skip
    if distance_m(lat, lon, *place) <= radius_m * 0.999:
        assert west <= place[1] <= east_
        assert south <= place[0] <= north_
