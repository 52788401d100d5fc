"""The drawn ground of the fictional town."""

import itertools
from typing import Any

import orjson
import pytest

from fieldsvc.simulate.basemap import basemap
from fieldsvc.simulate.town import Town

Feature = dict[str, Any]


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(3, rounds=6, stops=60, rural=1)


@pytest.fixture(scope="module")
def drawn(town: Town) -> list[Feature]:
    found: list[Feature] = orjson.loads(basemap(town))["features"]
    return found


def of_kind(drawn: list[Feature], kind: str) -> list[Feature]:
    return [each for each in drawn if each["properties"]["kind"] == kind]


def inside(point: tuple[float, float], ring: list[list[float]]) -> bool:
    x, y = point
    crossed = False
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            crossed = not crossed
    return crossed


def test_the_same_town_has_the_same_ground_and_another_seed_another_one(town: Town) -> None:
    assert basemap(town) == basemap(Town(3, rounds=6, stops=60, rural=1))
    assert basemap(town) != basemap(Town(4, rounds=6, stops=60, rural=1))


def test_the_ground_of_the_demo_is_small_and_says_that_it_is_fictional() -> None:
    raw = basemap(Town(rural=3))
    assert len(raw) < 6_000_000
    assert orjson.loads(raw)["attribution"] == {"fr": "Données fictives", "en": "Fictional data"}


def test_every_door_has_a_house_and_every_street_its_name(town: Town, drawn: list[Feature]) -> None:
    houses = sum(len(each["geometry"]["coordinates"]) for each in of_kind(drawn, "building"))
    assert houses == sum(len(plan.stops) for plan in town.rounds)
    named = {each["properties"].get("name") for each in of_kind(drawn, "street")}
    assert {stop.point.street for plan in town.rounds for stop in plan.stops} <= named


def test_every_planned_line_lies_on_a_street(town: Town, drawn: list[Feature]) -> None:
    points = {tuple(point) for each in of_kind(drawn, "street") for point in each["geometry"]["coordinates"]}
    for plan in town.rounds:
        for lon, lat in plan.line:
            assert min(abs(lon - x) + abs(lat - y) for x, y in points) < 3e-6


def test_no_door_of_the_town_stands_in_water_or_in_a_park(town: Town, drawn: list[Feature]) -> None:
    rings = [
        ring for kind in ("water", "park") for each in of_kind(drawn, kind) for ring in each["geometry"]["coordinates"]
    ]
    assert len(rings) > 20
    boxes = [(min(x for x, _ in r), min(y for _, y in r), max(x for x, _ in r), max(y for _, y in r), r) for r in rings]
    for plan in town.dense:
        for stop in plan.stops:
            at = stop.point.lon, stop.point.lat
            for west, south, east, north, ring in boxes:
                if west <= at[0] <= east and south <= at[1] <= north:
                    assert not inside(at, ring), stop.stop_id


def test_every_ring_is_closed_and_every_feature_is_known(drawn: list[Feature]) -> None:
    assert {each["properties"]["kind"] for each in drawn} == {"water", "park", "building", "street", "label"}
    for each in drawn:
        shape, coordinates = each["geometry"]["type"], each["geometry"]["coordinates"]
        rings = coordinates if shape == "Polygon" else itertools.chain(*coordinates) if shape == "MultiPolygon" else ()
        for ring in rings:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4
