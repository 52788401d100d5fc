"""`fieldsvc explain address`, as an operator types it, on one database."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fieldsvc.simulate.town import Town
from tests.cli import inside
from tests.cli.inside import Done
from tests.databases import drop_database, new_database

Explain = Callable[..., Done]


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(seed=5, rounds=2, stops=30)


@pytest.fixture(scope="module")
def fieldsvc(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explain]:
    url = new_database(postgres_url)
    settings = inside.environment(tmp_path_factory.mktemp("var"), **inside.on_database(url))
    yield lambda *words, **more: inside.fieldsvc(words, {**settings, **more})
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def empty_says(fieldsvc: Explain) -> Done:
    """What the command says before any address is imported."""
    return fieldsvc("explain", "address", "1 rue A, 93140 Bondy")


@pytest.fixture(scope="module")
def explain(fieldsvc: Explain, town: Town, empty_says: object, tmp_path_factory: pytest.TempPathFactory) -> Explain:
    folder = tmp_path_factory.mktemp("files")
    (folder / "addresses.csv").write_text(town.addresses_csv())
    (folder / "rounds.geojson").write_text(town.rounds_geojson())
    for what, name in (("addresses", "addresses.csv"), ("rounds", "rounds.geojson")):
        done = fieldsvc("import", what, str(folder / name))
        assert done.returncode == 0, done.stderr
    return lambda *words, **more: fieldsvc("explain", "address", *words, **more)


def test_a_known_address_is_explained_with_its_round_and_stops(explain: Explain, town: Town) -> None:
    plan = town.rounds[0]
    stop = plan.stops[7]
    done = explain(stop.point.address, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["read"]["house_number"] == stop.point.number
    assert (said["verdict"], said["round_id"], said["ambiguous"]) == ("accept", plan.round_id, False)
    assert stop.stop_id in {said["after_stop_id"], said["before_stop_id"]}
    assert said["answers"][0]["score"] >= 0.9
    assert said["communes"][0]["streets"] > 0
    assert said["why"][-1] == "It can be used as it is."
    assert said["online"] is None


def test_the_words_say_how_it_was_read_and_why_a_person_decides(explain: Explain, town: Town) -> None:
    point = town.rounds[0].stops[7].point
    done = explain(f"4711 {point.street}, 99910 Villeneuve-sur-Arve")
    assert done.returncode == 0, done.stderr
    for words in (
        f"Read as: house number 4711, street {point.street}, postcode 99910, city Villeneuve-sur-Arve.",
        "Villeneuve-sur-Arve (99901): the name", "streets compared", "Verdict: for a person to review.",
        "the number is not known, and not between known ones", "A person with the right address_quality decides.",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout


def test_the_commune_may_be_given_and_another_country_has_no_answer(explain: Explain, town: Town) -> None:
    point = town.rounds[0].stops[7].point
    text = f"{point.number} {point.rep} {point.street}"
    assert json.loads(explain(text, "--citycode", "99901", "--json").stdout)["verdict"] == "accept"
    abroad = explain("10 Downing Street, London, United Kingdom")
    assert (abroad.returncode, "It names another country." in abroad.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((" ?! ",), "Give an address"),
        (("1 rue A", "--citycode", "12345"), "There are no addresses of a commune 12345."),
        (("1 rue A", "--online"), "FIELDSVC_GEOCODER_ONLINE is not set"),
    ],
)
def test_a_users_mistake_is_one_plain_line(explain: Explain, words: tuple[str, ...], says: str) -> None:
    done = explain(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr


def test_without_addresses_it_says_how_to_import_them(empty_says: Done) -> None:
    assert (empty_says.returncode, empty_says.stderr.count("\n")) == (2, 1)
    assert "fieldsvc import addresses FILE" in empty_says.stderr


def test_a_setting_that_names_no_geocoder_is_a_mistake(explain: Explain) -> None:
    done = explain("1 rue A", FIELDSVC_GEOCODER_ONLINE="google")
    assert done.returncode == 2
    assert "FIELDSVC_GEOCODER_ONLINE" in done.stderr


@pytest.fixture
def addok(town: Town) -> Iterator[str]:
    """A BAN-compatible geocoder on loopback that knows one address of the town."""
    point = town.rounds[0].stops[7].point
    words = {
        "label": point.address, "type": "housenumber", "housenumber": f"{point.number} {point.rep}".strip(),
        "street": point.street, "postcode": "99910", "city": "Villeneuve-sur-Arve", "score": 0.9,
    }  # fmt: skip
    said = {"features": [{"geometry": {"coordinates": [point.lon, point.lat]}, "properties": words}]}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_words: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_online_gives_a_second_opinion_and_its_distance(explain: Explain, town: Town, addok: str) -> None:
    point = town.rounds[0].stops[7].point
    done = explain(point.address, "--online", "--json", FIELDSVC_GEOCODER_ONLINE=addok, no_proxy="127.0.0.1")
    assert done.returncode == 0, done.stderr
    online = json.loads(done.stdout)["online"]
    assert (online["fault"], online["found"]["score"]) == (None, 1.0)
    assert online["apart_m"] < 1.0
    gone = explain(point.address, "--online", FIELDSVC_GEOCODER_ONLINE="http://127.0.0.1:9", no_proxy="127.0.0.1")
    assert (gone.returncode, "Online: no answer, it cannot be reached." in gone.stdout) == (0, True)
