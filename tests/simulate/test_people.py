import itertools
import statistics
from datetime import date

import numpy as np
import pytest

from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.people import order_of_work, person, streets_of, swapped_streets
from fieldsvc.simulate.town import Town
from fieldsvc.simulate.walking import COMMUTE_S, Feet, detour, fixes, go_back, walk
from fieldsvc.simulate.way import Way, distance_m
from tests.simulate.conftest import sheet_of

START = 1_795_248_000.0
DAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def town():
    return Town(1, rural=3)


@pytest.fixture(scope="module")
def on_foot(town):
    return [sheet_of(town, n) for n, plan in enumerate(town.rounds) if plan.mode == "foot"]


@pytest.fixture(scope="module")
def rural(town):
    return [sheet_of(town, n) for n in (35, 36, 37)]


def lived(sheet, seed=1):
    return walk(sheet, seed=seed, mode=sheet["mode"], start_at=START)


def speeds(shift, every_s=5):
    """The true speeds on the round, breaks left out."""
    return np.array(
        [
            shift.motion(at)[0]
            for at in np.arange(shift.leave_site_at, shift.back_at, every_s)
            if not shift.is_paused(float(at))
        ]
    )


def test_on_foot_about_half_of_the_time_is_standing_still(on_foot):
    shares = [float((speeds(lived(sheet)) < 0.35).mean()) for sheet in on_foot]
    assert 0.4 < statistics.fmean(shares) < 0.6
    assert all(0.35 < share < 0.65 for share in shares)


def test_walking_paces_are_those_of_people_and_differ_from_one_to_another(on_foot):
    """On foot the design figures (delivery agents) have p50 0.35 and p90 1.6 m/s over all of the time."""
    every = [speeds(lived(sheet)) for sheet in on_foot]
    assert 0.1 < statistics.fmean(float(np.quantile(each, 0.5)) for each in every) < 0.9
    assert 1.1 < statistics.fmean(float(np.quantile(each, 0.9)) for each in every) < 1.8
    moving = [float(np.median(each[each > 0.5])) for each in every]
    assert max(moving) - min(moving) > 0.05


def test_a_van_crawls_between_letterboxes_and_drives_on_the_open_road(rural):
    """Driving delivery agents: p50 5.9, p90 17 m/s."""
    driving = np.concatenate([each[each > 1.8] for each in (speeds(lived(sheet)) for sheet in rural)])
    assert 4 < float(np.quantile(driving, 0.25)) < 11
    assert 9 < float(np.quantile(driving, 0.9)) < 17


def test_a_shift_on_foot_by_bike_or_van_in_town_or_country_is_a_working_day(town):
    for n in (0, 2, 16, 17, 35, 36, 37):
        shift = lived(sheet_of(town, n))
        assert 3.5 * 3600 < shift.end_at - shift.start_at < 6.75 * 3600


def test_between_stops_the_carrier_stays_near_the_planned_line_and_not_inside_blocks(on_foot, rural):
    for sheet in (on_foot[0], rural[0]):
        shift, way = lived(sheet), Way(sheet)
        line = np.array([way.at(metres) for metres in np.arange(0, way.length_m, 10)])
        away = []
        for at in np.arange(shift.leave_site_at, shift.back_at, 60):
            lat, lon = shift.position(float(at))
            off = np.hypot(line[:, 0] - lat, (line[:, 1] - lon) * 0.66) * 111_195
            away.append(off.min())
        assert np.quantile(away, 0.5) < 20
        assert np.quantile(away, 0.8) < 60
        assert max(away) < 4_000, "the way back to the site at the end"


def test_a_detour_leaves_the_round_and_comes_back_to_the_same_place(on_foot):
    way = Way(on_foot[0])
    feet = Feet(way, person("foot", seeded("a person")), START, way.at(500.0), START, 500.0)
    detour(feet, seeded("a detour"))
    assert feet.place == way.at(500.0)
    assert feet.along_m == 500.0
    assert 60 < max(distance_m(feet.place, (lat, lon)) for _, lat, lon in feet.track) < 300
    assert feet.at > START + 100


def test_something_forgotten_is_fetched_some_fifty_metres_back_along_the_line(on_foot):
    way = Way(on_foot[0])
    feet = Feet(way, person("foot", seeded("a person")), START, way.at(500.0), START, 500.0)
    go_back(feet, seeded("forgot"))
    assert distance_m(feet.place, way.at(500.0)) < 1
    assert any(distance_m((lat, lon), way.at(500.0)) > 25 for _, lat, lon in feet.track)


def test_streets_are_told_apart_by_their_names_and_some_days_two_are_exchanged(on_foot):
    stops = on_foot[0]["stops"]
    streets = list(streets_of(stops))
    assert [index for street in streets for index in street] == list(range(len(stops)))
    assert 10 < len(streets) < 60
    days = [swapped_streets(stops, seeded("day", n)) for n in range(60)]
    exchanged = [day for day in days if day != list(range(len(stops)))]
    assert 12 < len(exchanged) < 36
    for day in exchanged:
        assert sorted(day) == list(range(len(stops)))
        assert sum(b != a + 1 for a, b in itertools.pairwise(day)) == 3


def test_what_is_put_off_comes_a_few_stops_later(on_foot):
    order = order_of_work(on_foot[0], seed=1, rng=seeded("a day in order", 3))
    late = [index for previous, index in itertools.pairwise(order) if index < previous - 1]
    assert len(order) == len(set(order))
    assert late


def test_carriers_come_from_home_and_go_home_and_a_phone_may_tell(on_foot):
    shift = lived(on_foot[0])
    site = shift.position(shift.start_at)
    assert distance_m(site, shift.position(shift.start_at - COMMUTE_S)) > 700
    assert distance_m(site, shift.position(shift.end_at)) < 5
    told = [fix.at for fix in fixes(shift, seed=1, off_duty=True, in_breaks=True)]
    assert sum(at < shift.start_at for at in told) > 10
    assert sum(at > shift.end_at for at in told) > 10
    assert any(shift.is_paused(at) for at in told)
    quiet = [fix.at for fix in fixes(shift, seed=1)]
    assert min(quiet) >= shift.start_at
    assert max(quiet) <= shift.end_at
