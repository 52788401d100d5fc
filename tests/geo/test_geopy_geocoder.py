"""Our geocoder where a geopy user expects one of geopy's own."""

import asyncio
import pickle

import pytest
from geopy.distance import geodesic
from geopy.exc import GeocoderQueryError
from geopy.extra.rate_limiter import RateLimiter
from geopy.geocoders.base import Geocoder as GeopyGeocoder
from geopy.location import Location
from geopy.point import Point

from geo.address_files import AddressRow
from geo.addresses import MemoryStore, one_line
from geo.geopy_geocoder import LocalGeocoder

MEMBERS = {
    "score", "kind", "house_number", "repetition", "street", "postcode", "city", "citycode", "lat", "lon", "ban_id", "quality",
}  # fmt: skip


def row(
    number, street="Rue de la Paix", *, mark=None, lat=48.9, lon=2.48, city="Bondy", citycode="93010", postcode="93140"
):
    return AddressRow(
        f"{citycode}_1_{number}{mark or ''}", number, mark, street, postcode, city, citycode, lat, lon, "entrée"
    )


@pytest.fixture(scope="module")
def bondy():
    rows = [
        row(2, lat=48.9000), row(6, lat=48.9004), row(6, mark="BIS", lat=48.9005),
        row(3, "Rue de la Gare", lat=48.91), row(3, "Rue de la Gare", city="Pantin", citycode="93055", lat=48.89),
    ]  # fmt: skip
    return LocalGeocoder.from_rows(rows)


def test_it_is_one_of_geopys(bondy):
    assert isinstance(bondy, GeopyGeocoder)
    with bondy as opened:
        found = opened.geocode("6 bis rue de la Paix, 93140 Bondy")
    assert isinstance(found, Location)
    assert (found.latitude, found.longitude) == (48.9005, 2.48)
    assert found.address == str(found) == "6 bis Rue de la Paix, 93140 Bondy"
    assert found.raw.keys() >= MEMBERS
    assert (found.raw["score"], found.raw["kind"], found.raw["ban_id"]) == (1.0, "housenumber", "93010_1_6BIS")
    assert (found.raw["house_number"], found.raw["repetition"], found.raw["quality"]) == (6, "BIS", "entrée")
    assert pickle.loads(pickle.dumps(found)) == found


def test_several_answers_are_a_list_and_none_is_none(bondy):
    several = bondy.geocode("3 rue de la Gare 93140", exactly_one=False)
    assert {one.raw["citycode"] for one in several} == {"93010", "93055"}
    assert len(bondy.geocode("3 rue de la Gare 93140", exactly_one=False, limit=1)) == 1
    for text in ("", "?", "1 rue Inconnue, 13001 Marseille", "x" * 5_000, "\0"):
        assert bondy.geocode(text) is None
        assert bondy.geocode(text, exactly_one=False) is None


def test_a_structured_query_has_the_words_of_nominatim_or_ours(bondy):
    whole = bondy.geocode("6 bis rue de la Paix, 93140 Bondy")
    for query in (
        {"street": "6 bis rue de la Paix", "city": "Bondy", "postalcode": "93140", "country": "France"},
        {"house_number": 6, "repetition": "bis", "street": "rue de la Paix", "postcode": "93140"},
        {"lines": ["Mme Rose Petit", "6 BIS RUE DE LA PAIX", "93140 BONDY"]},
    ):
        assert bondy.geocode(query) == whole, query
    assert bondy.geocode({"street": "6 bis rue de la Paix", "city": "Bondy", "country": "Belgium"}) is None
    assert bondy.geocode({}) is None
    with pytest.raises(GeocoderQueryError):
        bondy.geocode(12)


def test_a_rate_limiter_and_a_timeout_change_nothing(bondy):
    limited = RateLimiter(bondy.geocode, min_delay_seconds=0.001)
    found = [limited(text, timeout=1) for text in ("2 rue de la Paix, Bondy", "6 rue de la Paix, Bondy")]
    assert [one.raw["house_number"] for one in found] == [2, 6]
    assert bondy.geocode("2 rue de la Paix, Bondy", timeout=None) == found[0]


def test_what_is_unlikely_is_no_answer_unless_it_is_asked_for(bondy):
    text = "6 rue du Pavot, 93140 Bondy"
    sure = bondy.geocode(text)
    assert sure is None or sure.raw["score"] >= 0.6
    guess = LocalGeocoder.from_rows([row(2), row(6)], least_score=0.0).geocode(text)
    assert guess.raw["score"] < 0.9


def test_the_commune_of_a_round_answers_what_names_no_place():
    rows = [row(3, "Rue de la Gare"), row(3, "Rue de la Gare", city="Pantin", citycode="93055", lat=48.89)]
    at = LocalGeocoder.from_rows(rows, citycode="93055")
    assert at.geocode("3 rue de la Gare").raw["citycode"] == "93055"


@pytest.mark.parametrize("query", [(48.90049, 2.48), "48.90049, 2.48", Point(48.90049, 2.48)])
def test_reverse_gives_the_nearest_known_address(bondy, query):
    found = bondy.reverse(query)
    assert found.raw["ban_id"] == "93010_1_6BIS"
    assert found.raw["distance_m"] == pytest.approx(geodesic((48.90049, 2.48), (48.9005, 2.48)).m, abs=0.1)
    assert 0.9 < found.raw["score"] <= 1.0
    near = bondy.reverse(query, exactly_one=False)
    assert [one.raw["house_number"] for one in near] == [6, 6, 2]
    distances = [one.raw["distance_m"] for one in near]
    assert distances == sorted(distances)


def test_reverse_far_from_everything_or_without_places_is_none(bondy):
    assert bondy.reverse((0.5, 0.5)) is None
    assert bondy.reverse((0, 0), exactly_one=False) is None
    assert LocalGeocoder(MemoryStore.from_rows([row(2)])).reverse((48.9, 2.48)) is None
    with pytest.raises(ValueError, match="Latitude"), pytest.warns(UserWarning, match="Latitude"):
        bondy.reverse((148.9, 2.48))


async def test_nothing_leaves_the_machine_and_async_use_is_refused_as_by_any_sync_geocoder(bondy):
    with pytest.raises(TypeError):
        await bondy.__aenter__()
    found = await asyncio.to_thread(bondy.geocode, "2 rue de la Paix, Bondy")
    assert found.raw["house_number"] == 2


def test_real_addresses_are_found_by_text_and_by_place(department_or_generated):
    name, rows = department_or_generated
    known = [one for one in rows if one.house_number][:: max(1, len(rows) // 300)]
    geocoder = LocalGeocoder.from_rows(rows)
    by_text = sum(
        (found := geocoder.geocode(one_line(one.address()))) is not None and found.raw["ban_id"] == one.address_id
        for one in known
    )
    by_place = [geocoder.reverse((one.lat, one.lon)) for one in known]
    assert by_text >= 0.97 * len(known), name
    assert all(one is not None and one.raw["distance_m"] == 0.0 for one in by_place)
