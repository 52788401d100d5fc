"""Which round serves an address: the numbers of the street side decide, and say when they cannot."""

import random
from dataclasses import replace

import numpy as np
import pytest

from geo import Round, Stop
from geo.addresses import Address
from geo.assignment import RoundBook
from geo.layout import lay_out_rounds
from geo.positions import Plane

PLANE = Plane(48.9, 2.48)


def stop(number, street, *, x, y=0.0):
    lat, lon = PLANE.latlon(x, y)
    return Stop(f"{street}-{number}", lat, lon, address=f"{number} Rue {street}, 93140 Bondy")


def wanted(number, street="Neuve", mark=None):
    return Address(number, mark, f"Rue {street}", "93140", "Bondy")


@pytest.fixture(scope="module")
def book():
    first = [stop(n, "Neuve", x=10 * n) for n in (1, 3, 7, 9)] + [stop(n, "Neuve", x=10 * n, y=-12) for n in (8, 4, 2)]
    second = [stop(n, "Neuve", x=10 * n) for n in (21, 23)] + [stop(5, "Basse", x=500, y=300)]
    return RoundBook.from_rounds([Round("T01", [], first), Round("T02", [], second)])


def where(placement):
    return placement.round_id, placement.after_stop_id, placement.before_stop_id


def test_number_between_two_of_its_side_comes_between_their_stops(book):
    placement = book.locate_address(wanted(5))
    assert where(placement) == ("T01", "Neuve-3", "Neuve-7")
    assert placement.confidence >= 0.9
    assert not placement.ambiguous
    assert placement.cost_m is None


def test_even_side_walked_down_keeps_its_own_order(book):
    assert where(book.locate_address(wanted(6))) == ("T01", "Neuve-8", "Neuve-4")


def test_known_position_gives_the_metres_that_the_visit_adds(book):
    on_the_way, aside = PLANE.latlon(50, 0), PLANE.latlon(50, 30)
    assert book.locate_address(wanted(5), *on_the_way).cost_m == pytest.approx(0, abs=0.01)
    assert book.locate_address(wanted(5), *aside).cost_m == pytest.approx(2 * (20**2 + 30**2) ** 0.5 - 40, abs=0.1)


def test_street_side_wins_over_a_position_thirty_metres_wrong(book):
    placement = book.locate_address(wanted(5), *PLANE.latlon(210, 4))
    assert placement.round_id == "T01"


def test_brackets_on_two_rounds_go_to_the_nearer_number_and_to_a_person(book):
    low, high = book.locate_address(wanted(11)), book.locate_address(wanted(19))
    assert (low.round_id, high.round_id) == ("T01", "T02")
    assert low.ambiguous
    assert high.ambiguous
    assert max(low.confidence, high.confidence) < 0.8


def test_number_past_the_end_of_its_side_follows_the_last_one(book):
    near, far = book.locate_address(wanted(25)), book.locate_address(wanted(199))
    assert near.round_id == far.round_id == "T02"
    assert near.confidence >= 0.9 > far.confidence


def test_bis_comes_after_its_number_and_a_known_number_is_its_own_stop(book):
    assert where(book.locate_address(wanted(3, mark="BIS"))) == ("T01", "Neuve-3", "Neuve-7")
    assert "Neuve-3" in where(book.locate_address(wanted(3)))


def test_without_a_number_of_its_parity_the_nearest_on_the_street_serves(book):
    placement = book.locate_address(wanted(6, "Basse"))
    assert (placement.round_id, placement.confidence) == ("T02", 0.8)


def test_street_without_a_number_on_two_rounds_is_for_a_person(book):
    assert book.locate_address(wanted(None)).ambiguous
    assert not book.locate_address(wanted(None, "Basse")).ambiguous


def test_unknown_street_takes_the_cheapest_insertion_within_150_metres(book):
    placement = book.locate_address(wanted(1, "Inconnue"), *PLANE.latlon(520, 310))
    assert where(placement) == ("T02", "Basse-5", None)
    assert placement.confidence < 0.8
    assert placement.cost_m == pytest.approx(22.4, abs=0.2)


def test_unknown_street_far_from_everything_or_without_a_position_is_nowhere(book):
    for placement in (
        book.locate_address(wanted(1, "Inconnue"), 48.95, 2.6),
        book.locate_address(wanted(1, "Inconnue")),
    ):
        assert placement.round_id is None
        assert placement.confidence == 0
        assert placement.ambiguous


def test_text_is_parsed_and_structured_addresses_go_before_the_text_of_stops():
    rounds = [Round("T01", [], [replace(stop(1, "Neuve", x=0), delivery_point_id="dp-1"), stop(5, "Neuve", x=40)])]
    assert RoundBook.from_rounds(rounds).locate_address("3 rue Neuve 93140 Bondy").after_stop_id == "Neuve-1"
    renamed = {"dp-1": Address(1, None, "Rue Vieille", "93140", "Bondy", "93010")}
    book = RoundBook.from_rounds(rounds, renamed)
    assert book.locate_address(Address(1, None, "RUE VIEILLE", citycode="93010")).confidence == 0.99
    assert book.locate_address("3 rue Neuve 93140 Bondy").before_stop_id == "Neuve-5"


def test_empty_book_places_nothing():
    assert RoundBook.from_rounds([]).locate_address(wanted(1), 48.9, 2.48).round_id is None


@pytest.mark.parametrize("error_m", [0, 30])
def test_held_out_addresses_go_to_their_round(bondy_or_generated, error_m, note):
    name, rows, count = bondy_or_generated
    rounds, rng = lay_out_rounds(rows, site="site", count=count), random.Random(3)
    truth = {s.delivery_point_id: r.round_id for r in rounds for s in r.stops}
    by_id = {f"dp-{row.address_id}": row for row in rows}
    held = set(rng.sample(sorted(by_id), len(by_id) // 20))
    kept = [replace(r, line=(), stops=tuple(s for s in r.stops if s.delivery_point_id not in held)) for r in rounds]
    book, plane = RoundBook.from_rounds(kept), Plane(rows[0].lat, rows[0].lon)
    stops = [(r.round_id, *plane.xy(s.lat, s.lon)) for r in kept for s in r.stops]
    xs, ys = np.array([s[1] for s in stops]), np.array([s[2] for s in stops])
    rule = nearest = sure = sure_right = 0
    for point in sorted(held):
        x, y = plane.xy(by_id[point].lat, by_id[point].lon)
        x, y = x + rng.gauss(0, error_m), y + rng.gauss(0, error_m)
        placement = book.locate_address(by_id[point].address(), *plane.latlon(x, y))
        right = placement.round_id == truth[point]
        rule += right
        nearest += stops[int(np.argmin((xs - x) ** 2 + (ys - y) ** 2))][0] == truth[point]
        sure += placement.confidence >= 0.9
        sure_right += right and placement.confidence >= 0.9
    note(
        f"round of {len(held)} held-out addresses of {name}, position off by {error_m} m: street rule {rule / len(held):.1%},"
        f" nearest address {nearest / len(held):.1%}; {sure / len(held):.0%} with confidence >= 0.9, of them {sure_right / sure:.1%} right"
    )
    assert rule / len(held) >= 0.97
    assert rule >= nearest
    assert sure_right / sure >= 0.98
