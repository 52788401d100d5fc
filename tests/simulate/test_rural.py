import hashlib
from collections import Counter
from datetime import date

import orjson
import pytest

from fieldsvc.simulate.town import Town
from fieldsvc.simulate.way import distance_m
from geo.round_files import read_rounds_geojson

DAY = date(2026, 11, 21)
DENSE = {  # what the town of seed 1 was before there were rural rounds: installations keep it in their databases
    "addresses_csv": "6bee4dbf321f",
    "rounds_geojson": "7564213d9c50",
    "roster_csv": "2136a32097f1",
    "tasks_jsonl": "c590d5525bab",
}


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(1, rural=3)


@pytest.fixture(scope="module")
def rounds(town):
    return {each.round_id: each for each in read_rounds_geojson(town.rounds_geojson())}


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_dense_town_is_what_it_was():
    town = Town(1)
    texts = (town.addresses_csv(), town.rounds_geojson(), town.roster_csv(DAY), town.tasks_jsonl(DAY))
    assert {name: short(text) for name, text in zip(DENSE, texts, strict=True)} == DENSE


def test_rural_rounds_are_added_behind_the_town_and_change_nothing_in_it(town):
    dense = Town(1)
    assert town.rounds[:35] == dense.rounds
    assert town.carriers[:35] == dense.carriers
    assert [plan.round_id for plan in town.rounds[35:]] == ["R01", "R02", "R03"]
    for name in ("addresses_csv", "roster_csv", "tasks_jsonl"):
        days = () if name == "addresses_csv" else (DAY,)
        assert getattr(town, name)(*days).startswith(getattr(dense, name)(*days))


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_rural_round_is_forty_to_ninety_kilometres_long_with_a_hundred_and_twenty_to_two_hundred_and_fifty_stops(
    seed,
):
    country = Town(seed, rounds=1, stops=20, rural=3)
    for plan in read_rounds_geojson(country.rounds_geojson())[1:]:
        assert plan.mode == "van"
        assert plan.site in {"villeneuve-ouest", "villeneuve-centre", "villeneuve-est"}
        assert 40_000 <= plan.length_m <= 90_000
        assert 120 <= len(plan.stops) <= 250
        assert plan.problems() == []


def test_rural_stops_lie_along_their_line_in_order_and_letterboxes_can_be_far_from_the_house(rounds):
    away, shared = [], Counter()
    for name in ("R01", "R02", "R03"):
        plan = rounds[name]
        along = plan.stop_distances_m.tolist()
        assert along == sorted(along)
        assert plan.stop_offsets_m.max() < 60
        own = [distance_m((stop.lat, stop.lon), stop.box_at) for stop in plan.stops if stop.box_at]
        assert len(own) > 60
        away += own
        shared += Counter(stop.box_at for stop in plan.stops if stop.box_at)
    assert max(away) > 150
    assert max(shared.values()) >= 4, "letterboxes that stand together"


def test_the_country_is_thinner_than_the_town_and_has_dead_ends(rounds):
    for name in ("R01", "R02", "R03"):
        plan = rounds[name]
        assert plan.length_m / len(plan.stops) > 150
        x, y, _ = plan.vertices
        turns = sum(abs(x[i - 1] - x[i + 1]) + abs(y[i - 1] - y[i + 1]) < 1 for i in range(1, len(x) - 1))
        assert turns > 10, "lanes out and back"
    assert rounds["T18"].length_m / len(rounds["T18"].stops) < 30


def test_every_identifier_of_town_and_country_is_unique_and_no_real_commune_is_named(town):
    points = list(town.delivery_points())
    assert len({point.id for point in points}) == len({point.address for point in points}) == len(points)
    assert len({carrier.name for carrier in town.carriers}) == 38
    villages = {point.town: point.postcode for plan in town.country for point in (s.point for s in plan.stops)}
    assert len(villages) == 3
    assert all(point.id.startswith("999") for point in points)
    tasks = list(town.tasks(DAY))
    assert len({task["subject"] for task in tasks}) == len(tasks)


def test_rural_carriers_have_the_same_mixture_of_work(town):
    round_of = {stop.point.id: plan.round_id for plan in town.rounds for stop in plan.stops}
    mixture = Counter((round_of[task["delivery_point"]], task["service"]) for task in town.tasks(DAY))
    for plan in town.country:
        assert mixture[plan.round_id, "item"] == 12
        assert mixture[plan.round_id, "medication"] in (1, 2)
        assert mixture[plan.round_id, "home_visit"] == 1
        assert mixture[plan.round_id, "address_change"] == 1


def test_the_same_seed_gives_the_same_country_and_another_one_another():
    one, two, other = (Town(seed, rounds=1, stops=20, rural=2).rounds_geojson() for seed in (4, 4, 5))
    assert one == two != other


def test_a_letterbox_away_from_the_house_is_in_the_file_as_longitude_and_latitude(town):
    points = [each for each in orjson.loads(town.rounds_geojson())["features"] if each["properties"].get("box_at")]
    lon, lat = points[0]["properties"]["box_at"]
    assert 1 < lon < 4
    assert 48 < lat < 50
