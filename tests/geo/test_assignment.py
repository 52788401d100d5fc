"""Which round serves an address: the numbers of the street side decide, and say when they cannot."""

from dataclasses import replace

import pytest

from fieldsvc.bench import assignment as held_out
from geo import Round, Stop
from geo.addresses import Address
from geo.assignment import RoundBook
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
    assert placement.round_id == "T02"
    assert 0.75 <= placement.confidence < 0.9


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


def test_other_side_tells_how_far_a_round_reaches():
    first = [stop(n, "Neuve", x=10 * n) for n in (1, 3, 5, 15)] + [stop(n, "Neuve", x=10 * n, y=-12) for n in (2, 4)]
    second = [stop(n, "Neuve", x=10 * n, y=-12) for n in (6, 8, 10, 12, 14, 16, 18)] + [stop(17, "Neuve", x=170)]
    gone = {5, 15}
    kept = [replace(r, stops=tuple(s for s in r.stops if s.stop_id not in {f"Neuve-{n}" for n in gone}))
            for r in (Round("T01", [], first[:3] + first[4:]), Round("T02", [], second))]  # fmt: skip
    book = RoundBook.from_rounds(kept)
    assert book.locate_address(wanted(15)).round_id == "T02"
    assert (
        book.locate_address(wanted(7)).round_id == "T02"
    )  # by the numbers alone it would be nearer to the first round
    assert book.locate_address(wanted(4)).round_id == "T01"


def test_two_rounds_on_the_two_sides_of_every_street_stay_on_their_sides():
    sides = [
        [stop(n, name, x=10 * n, y=y) for y, name in ((0, "Neuve"), (90, "Basse")) for n in range(side, 40, 2)]
        for side in (1, 2)
    ]
    book = RoundBook.from_rounds([Round("ODD", [], sides[0][:-3]), Round("EVEN", [], sides[1])])
    past = book.locate_address(wanted(39, "Basse"), *PLANE.latlon(390, 90))
    assert (past.round_id, past.ambiguous) == ("ODD", False)
    only_even = RoundBook.from_rounds(
        [Round("ODD", [], [s for s in sides[0] if "Neuve" in s.stop_id]), Round("EVEN", [], sides[1])]
    )
    assert only_even.locate_address(wanted(11, "Basse")).confidence < 0.9


def test_a_number_served_by_two_rounds_goes_to_the_nearer_and_to_a_person():
    book = RoundBook.from_rounds([Round(name, [], [stop(3, "Neuve", x=x)]) for name, x in (("T01", 0), ("T02", 800))])
    found = book.locate_address(wanted(3), *PLANE.latlon(780, 5))
    assert found.round_id == "T02"
    assert found.ambiguous


def test_a_street_numbered_anew_goes_by_its_position_and_to_a_person(book):
    far = book.locate_address(wanted(3), *PLANE.latlon(600, 0))
    assert far.round_id == "T01"
    assert far.ambiguous
    street = [stop(n, "Longue", x=100 * n) for n in range(1, 31)]
    cut = RoundBook.from_rounds([Round("T01", [], street[:15]), Round("T02", [], street[15:])])
    assert cut.locate_address(wanted(4, "Longue"), *PLANE.latlon(2_600, 0)).round_id == "T02"
    assert cut.locate_address(wanted(4, "Longue"), *PLANE.latlon(2_600, 0)).ambiguous
    assert not cut.locate_address(wanted(4, "Longue"), *PLANE.latlon(430, 20)).ambiguous


def test_a_lieu_dit_without_numbers_is_a_street_of_its_own():
    places = [
        Stop(f"s{n}", *PLANE.latlon(300 * n, 0), address=f"{name}, 93140 Bondy")
        for n, name in enumerate(("Le Moulin", "La Ferme Neuve", "Le Gué"))
    ]
    book = RoundBook.from_rounds([Round("T01", [], places)])
    found = book.locate_address(Address(None, None, "La Ferme Neuve", "93140", "Bondy"))
    assert "s1" in where(found)
    assert (found.confidence, found.ambiguous) == (0.85, False)
    assert "s2" in where(book.locate_address(Address(None, None, None, "93140", "Bondy", place="LE GUE")))
    assert book.locate_address(Address(7, None, "Le Moulin", "93140", "Bondy")).round_id == "T01"


def test_streets_of_one_name_in_two_communes_are_two_streets():
    here, there = (stop(1, "Neuve", x=0), replace(stop(1, "Neuve", x=9_000), address="1 Rue Neuve, 93320 Pavillons"))
    book = RoundBook.from_rounds([Round("T01", [], [here]), Round("T02", [], [there])])
    assert book.locate_address(Address(3, None, "Rue Neuve", "93320", "Pavillons")).round_id == "T02"
    assert book.locate_address(Address(3, None, "Rue Neuve", city="BONDY CEDEX")).round_id == "T01"
    assert book.locate_address(Address(3, None, "Rue Neuve"), *PLANE.latlon(9_050, 0)).round_id == "T02"
    assert book.locate_address(Address(3, None, "Rue Neuve")).round_id is None
    assert book.locate_address(Address(3, None, "Rue Neuve", "75001", "Paris")).round_id is None


def test_a_commune_known_by_code_here_and_by_name_there_is_found_by_its_position_or_as_the_only_one(book):
    coded = Address(5, None, "Rue Neuve", citycode="93010")
    assert where(book.locate_address(coded, *PLANE.latlon(50, 0))) == ("T01", "Neuve-3", "Neuve-7")
    alone = book.locate_address(coded)
    assert alone.round_id == "T01"
    assert alone.confidence < 0.8


@pytest.mark.parametrize(
    "street", ["Rue Anatole Frnace", "Rue A. France", "Avenue Anatole France", "RUE ANATOLLE FRANCE", "Rue France"]
)
def test_a_street_spelled_a_little_differently_counts_less(street):
    stops = [replace(stop(n, "X", x=10 * n), address=f"{n} Rue Anatole France, 93140 Bondy") for n in (1, 3, 7)]
    book = RoundBook.from_rounds([Round("T01", [], [*stops, stop(2, "Basse", x=400)])])
    asked = Address(5, None, street, "93140", "Bondy")
    assert book.locate_address(asked).round_id == "T01"
    assert book.locate_address(asked).confidence < 0.8
    assert 0.8 <= book.locate_address(asked, *PLANE.latlon(50, 5)).confidence <= 0.9
    assert book.locate_address(asked, *PLANE.latlon(3_000, 0)).round_id is None


def test_a_street_of_another_name_is_not_a_spelling(book):
    for street in ("Rue Vieille", "Rue 8", "Rue", "Rue N", "Impasse Haute"):
        assert book.locate_address(Address(5, None, street, "93140", "Bondy")).round_id is None, street


@pytest.mark.parametrize(
    "place", [(float("nan"), 2.48), (2.48, 48.9), (91.0, 2.48), (0.0, 0.0), (-33.9, 18.4), (float("inf"), float("inf"))]
)
def test_a_position_that_cannot_be_counts_as_none(book, place):
    assert book.locate_address(wanted(5), *place) == book.locate_address(wanted(5))
    assert book.locate_address(wanted(5, "Inconnue"), *place).round_id is None


def test_strange_addresses_and_poor_books_give_an_answer():
    bare = RoundBook.from_rounds([Round("T01", [], [Stop("s1", *PLANE.latlon(0, 0))]), Round("T02", [], [])])
    for address in (
        "",
        "   ",
        ",",
        "0",
        "99999 Rue Neuve",
        Address(),
        Address(-3, "Z9", "", "x", ""),
        Address(5, "BIS", "Rue Neuve"),
    ):
        assert bare.locate_address(address).round_id is None, address
        assert where(bare.locate_address(address, *PLANE.latlon(20, 0)))[0] == "T01", address
    one = RoundBook.from_rounds([Round("T01", [], [stop(3, "Neuve", x=0)])])
    assert where(one.locate_address(wanted(9))) == ("T01", "Neuve-3", None)
    assert where(one.locate_address(wanted(1))) == ("T01", None, "Neuve-3")


def test_a_visit_costs_the_way_from_the_planned_line_and_back():
    corner = tuple(
        (lon, lat)
        for lat, lon in (PLANE.latlon(0, 0), PLANE.latlon(0, 100), PLANE.latlon(100, 100), PLANE.latlon(100, 0))
    )
    round_a_block = Round("T01", corner, [stop(1, "Neuve", x=0, y=10), stop(3, "Neuve", x=100, y=10)])
    book = RoundBook.from_rounds([round_a_block])
    behind_the_wall = PLANE.latlon(50, 80)
    assert book.locate_address(wanted(2), *behind_the_wall).cost_m == pytest.approx(40, abs=0.5)
    found = book.locate_address(wanted(5, "Inconnue"), *behind_the_wall)
    assert (where(found), found.cost_m) == (("T01", "Neuve-1", "Neuve-3"), pytest.approx(40, abs=0.5))


LAYOUTS = [("blocks", 98.5, 99.0), ("whole_streets", 99.0, 99.0), ("sides", 96.0, 98.5), ("sectors", 95.5, 96.5)]


@pytest.fixture(scope="module")
def towns():
    return held_out.towns()


@pytest.mark.parametrize("error_m", [0.0, 30.0])
@pytest.mark.parametrize(("layout", "floor", "unflagged_floor"), LAYOUTS, ids=[each[0] for each in LAYOUTS])
def test_held_out_addresses_go_to_their_round_however_rounds_are_laid_out(
    data_folder, towns, layout, floor, unflagged_floor, error_m, note
):
    for town, rows in towns.items():
        found = held_out.measure(rows, layout, seeds=(9_001,), error_m=error_m)
        note(
            f"round of {found.placed} held-out addresses of {town}, rounds in {layout}, position off by {error_m:.0f} m: right"
            f" {found.percent('right'):.1f} %, nearest address {found.percent('nearest'):.1f} %, five nearest {found.percent('of_five'):.1f} %;"
            f" place ±2 {found.percent('right_index'):.1f} %; flagged {found.percent('flagged'):.1f} %, of the others right"
            f" {found.unflagged_right_percent:.1f} %"
        )
        loss = 2.0 if data_folder is None else 0.0  # the generated town has a border on every street
        assert found.percent("right") >= floor - loss, town
        assert found.percent("right_index") >= 93.0 - loss, town
        assert found.unflagged_right_percent >= unflagged_floor, town
