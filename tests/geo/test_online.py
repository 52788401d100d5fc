"""Online geocoders, imitated on this machine: what they say is taken as far as it agrees, and nothing they do is an exception."""

import asyncio
import contextlib
import json
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from geo.breaker import Breaker
from geo.errors import BadOnlineGeocoder
from geo.online import MOST_BYTES, OnlineGeocoder

ASKED = "12 bis rue de la Paix, 93140 Bondy"
PLACE = [2.4812, 48.9021]


def feature(coordinates=PLACE, **properties):
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": coordinates}, "properties": properties}


BAN = feature(
    label="12 bis Rue de la Paix 93140 Bondy", score=0.97, housenumber="12bis", id="93010_6750_00012_bis", type="housenumber",
    name="12bis Rue de la Paix", postcode="93140", citycode="93010", city="Bondy", street="Rue de la Paix",
)  # fmt: skip
PHOTON = feature(
    osm_id=1, type="house", countrycode="FR", housenumber="12 bis", street="Rue de la Paix", postcode="93140", city="Bondy",
)  # fmt: skip
NOMINATIM = {
    "lat": "48.9021", "lon": "2.4812", "display_name": "12 bis, Rue de la Paix, Bondy", "importance": 0.01,
    "address": {"house_number": "12 bis", "road": "Rue de la Paix", "town": "Bondy", "postcode": "93140", "country_code": "fr"},
}  # fmt: skip


class Imitation:
    """A geocoder on loopback that answers whatever a test puts into `answer`, and keeps what it was asked."""

    def __init__(self):
        self.asked, self.answer, self.delay_s = [], {"features": [BAN]}, 0.0
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", self._reply)])
        self.server = TestServer(app)

    async def _reply(self, request):
        self.asked.append(request)
        await asyncio.sleep(self.delay_s)
        if isinstance(self.answer, web.Response):
            return self.answer
        return web.Response(text=self.answer if isinstance(self.answer, str) else json.dumps(self.answer))

    @property
    def url(self):
        return str(self.server.make_url("/")).rstrip("/")


@pytest.fixture
async def imitation(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Imitation()
    await made.server.start_server()
    yield made
    await made.server.close()


@contextlib.asynccontextmanager
async def asking(choice, **options):
    async with OnlineGeocoder(choice, user_agent="tests (nobody@example.org)", **options) as geocoder:
        yield geocoder


@pytest.mark.parametrize(
    ("kind", "answer", "path"),
    [
        ("ban@", {"features": [BAN]}, "/search"),
        ("", {"features": [BAN]}, "/search"),
        ("photon@", {"features": [PHOTON]}, "/api"),
        ("nominatim@", [NOMINATIM], "/search"),
    ],
)
async def test_each_form_of_answer_becomes_the_same_candidate(imitation, kind, answer, path):
    imitation.answer = answer
    async with asking(f"{kind}{imitation.url}") as geocoder:
        found = await geocoder.search(ASKED)
    assert found.fault is None
    best = found.found[0]
    assert (best.score, best.kind, best.house_number, best.repetition) == (1.0, "housenumber", 12, "BIS")
    assert (best.street, best.postcode, best.city) == ("Rue de la Paix", "93140", "Bondy")
    assert (best.lat, best.lon) == (48.9021, 2.4812)
    asked = imitation.asked[0]
    assert (asked.path, asked.query["q"]) == (path, ASKED)
    assert asked.headers["User-Agent"] == "tests (nobody@example.org)"


async def test_an_addok_may_live_under_a_path_and_gives_code_and_id(imitation):
    async with asking(f"{imitation.url}/geocodage/") as geocoder:
        best = (await geocoder.search(ASKED)).found[0]
    assert imitation.asked[0].path == "/geocodage/search"
    assert (best.citycode, best.ban_id) == ("93010", "93010_6750_00012_bis")


async def test_the_score_is_how_much_the_answer_agrees_and_not_what_it_says_of_itself(imitation):
    boast = feature(
        score=1.0, type="housenumber", housenumber="14", street="Rue de la Gare", postcode="93140", city="Bondy"
    )
    street = feature(score=1.0, type="street", name="Rue de la Paix", postcode="93140", city="Bondy")
    town = feature(score=1.0, type="municipality", name="Bondy", postcode="93140", city="Bondy")
    imitation.answer = {"features": [boast, town, street, BAN]}
    async with asking(imitation.url) as geocoder:
        found = (await geocoder.search(ASKED)).found
    assert [one.kind for one in found[:2]] == ["housenumber", "street"]
    assert found[0].score == 1.0
    assert 0.6 <= found[1].score < 0.9
    assert all(one.score < 0.6 for one in found[2:])


HOSTILE = {
    "no JSON": "<html>down for repairs</html>",
    "nothing": "",
    "a number": "1",
    "a text": '"Bondy"',
    "an object of another form": {"results": []},
    "features that are no list": {"features": {"0": BAN}},
    "a pit of brackets": "[" * 100_000,
}
USELESS = {
    "swapped coordinates": feature([48.9021, 2.4812], **BAN["properties"]),
    "coordinates beyond the poles": feature([2.48, 489.0], **BAN["properties"]),
    "coordinates of text": feature(["east", "north"], **BAN["properties"]),
    "coordinates that are true": feature([True, True], **BAN["properties"]),
    "one coordinate": feature([2.48], **BAN["properties"]),
    "no coordinates": {"type": "Feature", "geometry": None, "properties": BAN["properties"]},
    "NaN": feature([float("nan"), 48.9], **BAN["properties"]),
    "a number too large": feature([10**400, 48.9], **BAN["properties"]),
    "no properties": feature() | {"properties": None},
    "properties of other kinds": feature(housenumber=12, street=["Rue"], city={"name": "Bondy"}, postcode=93140),
    "another country": feature(**{**PHOTON["properties"], "countrycode": "BE"}),
    "a list in the list": [BAN],
    "nothing in the list": None,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_answer_of_another_form_is_no_answer(imitation, name):
    imitation.answer = HOSTILE[name]
    async with asking(imitation.url) as geocoder:
        found = await geocoder.search(ASKED)
    assert (found.found, found.fault) == ((), "unreadable")


@pytest.mark.parametrize("kind", ["ban", "photon"])
@pytest.mark.parametrize("name", USELESS)
async def test_a_member_that_cannot_be_used_is_left_out_and_the_good_one_stays(imitation, kind, name):
    imitation.answer = {"features": [USELESS[name], PHOTON]}
    async with asking(f"{kind}@{imitation.url}") as geocoder:
        found = await geocoder.search(ASKED)
        assert [one.score for one in found.found] == [1.0]
        imitation.answer = {"features": [USELESS[name]]}
        alone = await geocoder.search("13 rue de la Paix, 93140 Bondy")
    assert alone.found == ()


@pytest.mark.parametrize("lat", ["2.4812", "north", None, "nan", True])
async def test_nominatims_place_is_checked_too(imitation, lat):
    imitation.answer = [NOMINATIM | {"lat": lat, "lon": "48.9021"}]
    async with asking(f"nominatim@{imitation.url}") as geocoder:
        assert (await geocoder.search(ASKED)).found == ()


async def test_control_characters_and_endless_names_do_not_get_through(imitation):
    said = {**BAN["properties"], "street": "Rue \x1b[31mde la\0 Paix" + "x" * 5_000, "city": "Bondy\n\x07"}
    imitation.answer = {"features": [feature(**said)]}
    async with asking(imitation.url) as geocoder:
        best = (await geocoder.search(ASKED)).found[0]
    assert best.city == "Bondy"
    assert best.street.isprintable()
    assert len(best.street) <= 200


async def test_ten_megabytes_are_not_read(imitation):
    imitation.answer = json.dumps({"features": [BAN]}) + " " * 10_000_000
    async with asking(imitation.url) as geocoder:
        assert (await geocoder.search(ASKED)).fault == "too_long"
        imitation.answer = json.dumps({"features": [BAN]}) + " " * (MOST_BYTES - 2_000)
        assert (await geocoder.search(ASKED)).found


async def test_a_redirect_is_not_followed(imitation):
    imitation.answer = web.Response(status=302, headers={"Location": f"{imitation.url}/secret"})
    async with asking(imitation.url) as geocoder:
        assert (await geocoder.search(ASKED)).fault == "redirected"
    assert [request.path for request in imitation.asked] == ["/search"]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_an_error_of_the_other_side_is_told_as_refused(imitation, status):
    imitation.answer = web.Response(status=status, text=ASKED, headers={"Retry-After": "9999"})
    async with asking(imitation.url) as geocoder:
        assert (await geocoder.search(ASKED)).fault == "refused"


async def test_a_late_answer_is_none_and_a_missing_server_too(imitation):
    imitation.delay_s = 5.0
    async with asking(imitation.url, timeout_s=0.2) as geocoder:
        began = time.monotonic()
        assert (await geocoder.search(ASKED)).fault == "timeout"
        assert time.monotonic() - began < 3.0
    imitation.delay_s = 0.0
    gone = imitation.url
    await imitation.server.close()
    async with asking(gone) as geocoder:
        assert (await geocoder.search(ASKED)).fault == "unreachable"


async def test_the_same_address_is_asked_once_however_it_is_written(imitation):
    async with asking(imitation.url) as geocoder:
        first = await geocoder.search(ASKED)
        assert await geocoder.search("12 BIS  RUE DE LA PAIX 93140 BONDY") == first
        imitation.answer = {"features": []}
        assert (await geocoder.search("1 rue Inconnue, 93140 Bondy")).fault is None
        await geocoder.search("1 rue Inconnue, 93140 Bondy")
    assert len(imitation.asked) == 2


async def test_nothing_to_ask_is_not_asked(imitation):
    async with asking(imitation.url) as geocoder:
        assert (await geocoder.search(" ?! ")).fault == "empty"
    assert imitation.asked == []


async def test_after_faults_in_a_row_it_rests_and_one_question_tries_again(imitation):
    now = [0.0]
    imitation.answer = "broken"
    async with asking(imitation.url, breaker=Breaker(faults=3, rest_s=30.0), clock=lambda: now[0]) as geocoder:
        faults = [(await geocoder.search(f"{number} rue A, 93140 Bondy")).fault for number in range(1, 6)]
        assert faults == ["unreadable"] * 3 + ["resting"] * 2
        now[0] = 31.0
        assert (await geocoder.search("7 rue A, 93140 Bondy")).fault == "unreadable"
        assert (await geocoder.search("8 rue A, 93140 Bondy")).fault == "resting"
        now[0], imitation.answer = 62.0, {"features": [BAN]}
        assert (await geocoder.search(ASKED)).fault is None
        assert (await geocoder.search("9 rue A, 93140 Bondy")).fault is None
    assert len(imitation.asked) == 6


async def test_a_question_that_is_given_up_leaves_the_breaker_able_to_try_again(imitation):
    now = [0.0]
    imitation.delay_s = 30.0
    async with asking(imitation.url, breaker=Breaker(faults=1, rest_s=10.0), clock=lambda: now[0]) as geocoder:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(geocoder.search(ASKED), 0.1)
        now[0], imitation.delay_s = 11.0, 0.0
        assert (await geocoder.search(ASKED)).fault is None


async def test_requests_keep_their_distance_and_do_not_pile_up(imitation):
    async with asking(imitation.url) as geocoder:
        began = time.monotonic()
        answers = await asyncio.gather(*(geocoder.search(f"{n} rue A, 93140 Bondy") for n in range(1, 41)))
        took_s = time.monotonic() - began
    asked = len(imitation.asked)
    assert asked == 20
    assert took_s >= (asked - 1) * 0.02
    assert [answer.fault for answer in answers].count("busy") == 40 - asked


@pytest.mark.parametrize(
    "choice",
    ["", "google", "ban@", "ftp://host/x", "https://", "https://user:pass@host", "https://h/?q=1", "http://h:99999"],
)
def test_a_choice_that_is_none_is_named_at_once(choice):
    with pytest.raises(BadOnlineGeocoder):
        OnlineGeocoder(choice, user_agent="tests")


@pytest.mark.parametrize(
    ("choice", "host", "delay_s"),
    [
        ("ban", "data.geopf.fr", 0.02),
        ("nominatim", "nominatim.openstreetmap.org", 1.0),
        ("photon", "photon.komoot.io", 1.0),
    ],
)
def test_the_public_ones_are_known_with_their_pace(choice, host, delay_s):
    made = OnlineGeocoder(choice, user_agent="fieldsvc (https://example.org)")
    assert (made.host, made._ask.min_delay_seconds) == (host, delay_s)
    assert made._geocoder.scheme == "https"
