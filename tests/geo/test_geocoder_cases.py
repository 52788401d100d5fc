"""The cases of geocoder-tester whose département is in the data; without the data a few of the same form stand in."""

import pytest

from fieldsvc.bench.geocode import invented_district
from fieldsvc.bench.geocode_cases import Case, ask, covered, geocoder_of, read_cases
from geo.addresses import Geocoder, MemoryStore

HEADER = "query,lon,lat,limit,expected_housenumber,expected_street,expected_city,expected_postcode"


@pytest.fixture(scope="module")
def loaded(data_folder):
    """The geocoder, its rows and all cases: real ones, or triplets over the invented district."""
    if data_folder:
        cases = [case for path in sorted((data_folder / "geocoder_cases").glob("*.csv")) for case in read_cases(path)]
        return *geocoder_of(data_folder), cases
    rows, seen = list(invented_district()), {}
    for row in rows:
        seen.setdefault((row.citycode, row.street), row)
    cases = []
    for row in seen.values():
        start, expected = f"{row.house_number} {row.street}", (row.house_number, None, row.street)
        cases.append(Case(f"{start} {row.city}", "addresses", *expected, "", row.postcode, None))
        cases.append(Case(start, "addresses", *expected, "", row.postcode, (row.lat, row.lon)))
    return Geocoder(MemoryStore.from_rows(rows)), rows, cases


def test_cases_that_name_a_place_are_right_and_bare_ones_are_with_the_commune_of_the_round(loaded, note):
    geocoder, rows, cases = loaded
    here = covered(cases, rows)
    asked = list(ask(geocoder, here, rows))
    note(f"geocoder cases: {len(here)} of {len(cases)} lie in the départements at hand")
    for how, floor in (("with a place", 0.96), ("bare, commune of the round", 0.96)):
        group = [one for one in asked if one.how == how]
        right = sum(one.case.is_met_by(one.best) for one in group)
        near = [one.case.is_near(one.best) for one in group if one.case.position]
        note(f"geocoder cases, {how}: {right} of {len(group)} right, {sum(near)} of {len(near)} within 50 m")
        assert group
        assert right >= floor * len(group)
        assert sum(near) >= floor * len(near)


def test_no_case_has_a_wrong_answer_with_a_score_of_0_9(loaded):
    geocoder, rows, cases = loaded
    here = covered(cases, rows)
    wrong = [
        one.case.query
        for one in ask(geocoder, here, rows)
        if one.best and one.best.score >= 0.9 and not one.case.is_met_by(one.best)
    ]
    assert wrong == []
    elsewhere = [case.query for case in cases if case not in here]
    assert [text for text in elsewhere if any(one.score >= 0.9 for one in geocoder.search(text))] == []


def test_case_files_are_read_with_their_zero_back_and_by_category(tmp_path):
    path = tmp_path / "test_from_user_input.csv"
    path.write_text(
        f"{HEADER}\n9TER Rue Haute 1000,5.2,46.2,,9TER,Rue Haute,Bourg,1000\n9 Rue Haute,,,,9,Rue Haute,,1000\n"
    )
    first, second = read_cases(path)
    assert (first.house_number, first.repetition, first.postcode, first.position) == (9, "TER", "01000", (46.2, 5.2))
    assert (first.category, first.names_a_place, second.names_a_place) == ("user input", True, False)
