"""The embedded geocoder: right numbers on real addresses, doubt where the text leaves doubt."""

import random
import string

import pytest

from geo.address_files import AddressRow
from geo.addresses import Address, Geocoder, MemoryStore, format_lines, one_line, street_key


def row(number, street, *, city="Bondy", postcode="93140", citycode="93010", lat=48.9, lon=2.48, mark=None):
    return AddressRow(f"{citycode}_{street}_{number}", number, mark, street, postcode, city, citycode, lat, lon)


@pytest.fixture(scope="module")
def small():
    rows = [
        row(2, "Rue de la Paix", lat=48.9000),
        row(6, "Rue de la Paix", lat=48.9004),
        row(6, "Rue de la Paix", lat=48.9005, mark="BIS"),
        row(3, "Rue de la Gare"),
        row(3, "Rue de la Gare", city="Pantin", citycode="93055"),
        row(1, "Avenue Jean Moulin", city="Pantin", citycode="93055", postcode="93500"),
    ]
    return Geocoder(MemoryStore.from_rows(rows))


def test_answer_has_the_fields_that_outsiders_rely_on(small):
    best = small.search("6 rue de la paix 93140 Bondy")[0]
    assert (best.score, best.kind, best.house_number, best.street) == (1.0, "housenumber", 6, "Rue de la Paix")
    assert (best.postcode, best.city, best.citycode, best.lat, best.lon) == ("93140", "Bondy", "93010", 48.9004, 2.48)
    assert best.ban_id == "93010_Rue de la Paix_6"
    assert best.address() == Address(6, None, "Rue de la Paix", "93140", "Bondy", "93010")


def test_missing_number_lies_between_its_neighbours_and_is_for_review(small):
    best = small.search("4 rue de la paix, Bondy")[0]
    assert (best.kind, best.ban_id) == ("interpolated", None)
    assert best.lat == pytest.approx(48.9002, abs=1e-6)
    assert 0.6 <= best.score < 0.9


def test_number_beyond_the_street_gives_the_street_only(small):
    best = small.search("98 rue de la paix, Bondy")[0]
    assert (best.kind, best.house_number) == ("street", None)
    assert best.score < 0.9


def test_letter_b_finds_the_bis(small):
    assert small.search("6 B rue de la Paix, Bondy")[0].repetition == "BIS"
    assert small.search("2 ter rue de la Paix, Bondy")[0].score < 0.9


def test_one_street_name_in_two_communes_of_a_postcode_is_held_for_a_person(small):
    first, second = small.search("3 rue de la Gare 93140")[:2]
    assert {first.citycode, second.citycode} == {"93010", "93055"}
    assert first.score == second.score < 0.9
    assert small.search("3 rue de la Gare, Pantin")[0].score >= 0.9


def test_text_without_a_place_is_answered_in_the_commune_of_the_round(small):
    assert small.search("3 rue de la Gare") == []
    best = small.search("3 rue de la Gare", citycode="93055")[0]
    assert (best.citycode, best.score) == ("93055", 1.0)


def test_commune_is_found_at_the_end_without_a_comma(small):
    best = small.search("1 av J Moulin Pantin")[0]
    assert (best.street, best.citycode) == ("Avenue Jean Moulin", "93055")


def test_postcode_and_commune_alone_give_the_municipality(small):
    best = small.search("93500 Pantin")[0]
    assert (best.kind, best.citycode, best.street) == ("municipality", "93055", None)


def test_unknown_place_has_no_answer(small):
    assert small.search("1 rue Inconnue, 13001 Marseille") == []
    assert small.search("") == []


def test_limit_is_kept(small):
    assert len(small.search("rue de la Gare 93140", limit=1)) == 1


def typing_error(text, rng):
    at = rng.randrange(min(5, len(text) - 1), len(text))
    letter = rng.choice(string.ascii_lowercase)
    return rng.choice([text[:at] + text[at + 1 :], text[:at] + letter + text[at + 1 :], text[:at] + letter + text[at:]])


def forms(address, rng):
    number, mark, street, postcode, city = (
        address.house_number,
        address.repetition,
        address.street,
        address.postcode,
        address.city,
    )
    return {
        "exact": one_line(address),
        "norm lines": "\n".join(format_lines(address)),
        "no postcode": f"{one_line(Address(number, mark, street))} {city}",
        "typo in street": one_line(Address(number, mark, typing_error(street, rng), postcode, city)),
        "typos in street and city": one_line(
            Address(number, mark, typing_error(street, rng), postcode, typing_error(city, rng))
        ),
    }


FLOORS = {
    "exact": 0.98,
    "norm lines": 0.98,
    "no postcode": 0.96,
    "typo in street": 0.93,
    "typos in street and city": 0.92,
}


def test_real_addresses_get_their_own_number(department_or_generated, note):
    name, rows = department_or_generated
    geocoder, rng = Geocoder(MemoryStore.from_rows(rows)), random.Random(4)
    sample = rng.sample([one for one in rows if one.house_number], 400)
    right, wrong_but_sure = dict.fromkeys(FLOORS, 0), 0
    for one in sample:
        for form, text in forms(one.address(), rng).items():
            best = next(iter(geocoder.search(text)), None)
            same = best is not None and (
                best.citycode,
                best.house_number,
                best.repetition,
                street_key(best.street or ""),
            ) == (
                one.citycode,
                one.house_number,
                one.repetition,
                street_key(one.street),
            )
            right[form] += same
            wrong_but_sure += best is not None and not same and best.score >= 0.9
    figures = {form: count / len(sample) for form, count in right.items()}
    note(
        f"geocoder on {name}: "
        + ", ".join(f"{form} {part:.1%}" for form, part in figures.items())
        + f"; wrong with score >= 0.9: {wrong_but_sure}"
    )
    assert [form for form, part in figures.items() if part < FLOORS[form]] == []
    assert wrong_but_sure <= 0.01 * len(sample) * len(FLOORS)
