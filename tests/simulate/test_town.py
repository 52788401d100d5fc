import csv
import io
import itertools
import math
import re
import time
from collections import Counter
from datetime import date, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from fieldsvc.simulate.ids import s10, s10_check_digit, uuid7
from fieldsvc.simulate.town import BAN_COLUMNS, LABEL, Town, lambert93

DAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(1)


def metres(a, b):
    east = (b[0] - a[0]) * math.cos(math.radians(a[1]))
    return math.hypot(east, b[1] - a[1]) * 111_195


def distance_to_line(point, line):
    def to_segment(a, b):
        scale = math.cos(math.radians(point[1]))
        (px, py), (ax, ay), (bx, by) = ((x * scale, y) for x, y in (point, a, b))
        length = (bx - ax) ** 2 + (by - ay) ** 2
        share = max(0.0, min(1.0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length)) if length else 0.0
        return math.hypot(px - ax - share * (bx - ax), py - ay - share * (by - ay)) * 111_195

    return min(to_segment(a, b) for a, b in itertools.pairwise(line))


def test_the_whole_town_and_its_files_are_made_in_under_three_seconds():
    began = time.perf_counter()
    town = Town(3)
    texts = (town.addresses_csv(), town.rounds_geojson(), town.roster_csv(DAY), town.tasks_jsonl(DAY))
    assert all(texts)
    assert time.perf_counter() - began < 3


def test_the_town_has_three_sites_and_thirty_five_balanced_rounds(town):
    sizes = [len(plan.stops) for plan in town.rounds]
    assert len(sizes) == 35
    assert min(sizes) >= 470
    assert max(sizes) <= 530
    assert 17_000 <= sum(sizes) <= 18_000
    assert len(town.sites) == 3
    assert min(Counter(plan.site for plan in town.rounds).values()) >= 8
    assert set(Counter(plan.mode for plan in town.rounds)) == {"foot", "bike", "van"}


def test_every_identifier_in_the_town_is_unique(town):
    points = list(town.delivery_points())
    assert len({point.id for point in points}) == len(points)
    assert len({point.address for point in points}) == len(points)
    stops = [(plan.round_id, stop.stop_id) for plan in town.rounds for stop in plan.stops]
    assert len(set(stops)) == len(stops)
    assert len({carrier.name for carrier in town.carriers}) == 35


def test_the_contracts_example_event_happens_at_a_door_of_the_town(town):
    (plan,) = [each for each in town.rounds if each.round_id == "T07"]
    (stop,) = [each for each in plan.stops if each.stop_id == "st-118"]
    assert (stop.point.lat, stop.point.lon) == pytest.approx((48.93781, 2.16091), abs=2e-5)


def test_the_same_seed_gives_the_same_texts_and_another_seed_gives_others():
    one, two, other = (Town(seed, rounds=4, stops=60) for seed in (5, 5, 6))
    assert one.addresses_csv() == two.addresses_csv()
    assert one.rounds_geojson() == two.rounds_geojson()
    assert one.tasks_jsonl(DAY) == two.tasks_jsonl(DAY)
    assert one.addresses_csv() != other.addresses_csv()


def test_addresses_are_read_back_from_the_official_form_with_the_points_of_the_rounds(town):
    rows = list(csv.DictReader(io.StringIO(town.addresses_csv()), delimiter=";"))
    assert list(rows[0]) == BAN_COLUMNS
    by_id = {row["id"]: row for row in rows}
    features = orjson.loads(town.rounds_geojson())["features"]
    points = [each for each in features if each["geometry"]["type"] == "Point"]
    assert len(points) == len(by_id)
    for each in points:
        row = by_id[each["properties"]["delivery_point_id"]]
        assert metres((float(row["lon"]), float(row["lat"])), each["geometry"]["coordinates"]) < 0.5
        assert each["properties"]["address"].startswith(row["numero"])
        assert row["nom_voie"] in each["properties"]["address"]
    assert re.fullmatch(r"99\d{3}_\d{4}_\d{5}(_bis)?", rows[0]["id"])


def test_a_round_is_one_line_that_passes_every_one_of_its_stops_in_order(town):
    collection = orjson.loads(town.rounds_geojson())
    assert collection["description"] == LABEL
    assert "fictional" in LABEL
    lines = {
        each["properties"]["round_id"]: each["geometry"]["coordinates"]
        for each in collection["features"]
        if each["geometry"]["type"] == "LineString"
    }
    assert len(lines) == 35
    for plan in town.rounds[::6]:
        assert [stop.sequence for stop in plan.stops] == list(range(1, len(plan.stops) + 1))
        assert max(distance_to_line((s.point.lon, s.point.lat), lines[plan.round_id]) for s in plan.stops) < 16
        hops = sorted(
            metres((a.point.lon, a.point.lat), (b.point.lon, b.point.lat))
            for a, b in zip(plan.stops, plan.stops[1:], strict=False)
        )
        assert hops[len(hops) // 2] < 60
        assert hops[-1] < 400


def test_rounds_serve_both_sides_of_their_streets_odd_left_and_even_right(town):
    for plan in town.rounds[::7]:
        assert {stop.side for stop in plan.stops} == {"left", "right"}
        assert all((stop.point.number % 2 == 1) == (stop.side == "left") for stop in plan.stops)


def test_lambert_93_agrees_with_a_row_of_the_real_ban():
    x, y = lambert93(48.893506, 2.48875)
    assert x == pytest.approx(662514.51, abs=0.5)
    assert y == pytest.approx(6866065.47, abs=0.5)


def test_the_roster_names_one_qualified_carrier_for_each_round(town):
    rows = list(csv.DictReader(io.StringIO(town.roster_csv(DAY))))
    assert [row["round_id"] for row in rows] == [plan.round_id for plan in town.rounds]
    assert all({"visits", "pouches"} <= set(row["qualifications"].split()) for row in rows)
    assert {row["date"] for row in rows} == {"2026-11-21"}


def test_each_round_has_the_planned_mixture_of_tasks_at_its_own_points(town):
    tasks = [orjson.loads(line) for line in town.tasks_jsonl(DAY).splitlines()]
    round_of = {stop.point.id: plan.round_id for plan in town.rounds for stop in plan.stops}
    mixture = Counter((round_of[task["delivery_point"]], task["service"]) for task in tasks)
    for plan in town.rounds:
        assert mixture[plan.round_id, "item"] == 12
        assert mixture[plan.round_id, "medication"] in (1, 2)
        assert mixture[plan.round_id, "home_visit"] == 1
        assert mixture[plan.round_id, "address_change"] == 1
    assert len({task["subject"] for task in tasks}) == len(tasks)


def test_timed_tasks_have_a_window_of_two_hours_and_contacts_with_fictional_numbers(town):
    timed = [task for task in town.tasks(DAY) if task["service"] in ("medication", "home_visit")]
    for task in timed:
        opens, closes = (datetime.fromisoformat(task["window"][end]) for end in ("from", "until"))
        assert closes - opens == timedelta(hours=2)
        assert all(re.fullmatch(r"\+3363998\d{4}", contact["phone"]) for contact in task["contacts"])


def test_items_have_valid_s10_ids_that_do_not_come_again_the_next_day(town):
    days = [{task["subject"] for task in town.tasks(DAY + timedelta(days=n))} for n in range(2)]
    items = [[each.removeprefix("item/") for each in day if each.startswith("item/")] for day in days]
    for item in items[0]:
        assert re.fullmatch(r"RK\d{9}FR", item)
        total = sum(w * int(d) for w, d in zip((8, 6, 4, 2, 3, 5, 9, 7), item[2:10], strict=True))
        assert int(item[10]) == {10: 0, 11: 5}.get(11 - total % 11, 11 - total % 11)
    assert not set(items[0]) & set(items[1])


def test_s10_ids_agree_with_published_ones():
    assert s10("RR", 47312482, "GB") == "RR473124829GB"
    assert s10("CB", 66217370, "US") == "CB662173705US"
    assert s10("RK", 12345678) == "RK123456785FR"
    assert (s10_check_digit(8), s10_check_digit(15)) == (0, 5)


def test_event_ids_are_version_7_uuids_of_their_moment_and_content():
    made = UUID(uuid7(1_763_000_000_123, b"one"))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 1_763_000_000_123
    assert uuid7(1, b"one") == uuid7(1, b"one") != uuid7(1, b"two")
