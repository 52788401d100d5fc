"""`fieldsvc explain fix`, as an operator types it."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from geo.positions import Plane
from geo.round_files import write_rounds_geojson
from geo.rounds import Round, Stop
from tests.cli import inside
from tests.cli.inside import Done
from tests.databases import drop_database, new_database

PLANE = Plane(48.9, 2.48)
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
Explain = Callable[..., Done]


def there_and_back() -> Round:
    """A street of 500 m, served on both sides."""
    line = [PLANE.latlon(x, 0.0)[::-1] for x in (0, 500, 0)]
    bare = Round("T07", line, ())  # type: ignore[arg-type]
    places = [bare.point_at(20.0 + 40 * n) for n in range(25)]
    stops = tuple(
        Stop(f"st-{n}", *place, delivery_point_id=f"dp-{n}", address=f"{n} rue Simone Veil", sequence=n + 1)
        for n, place in enumerate(places)
    )
    return Round("T07", bare.line, stops, "pantin", "foot", "Rue Simone Veil")


def fix(along_m: float, seconds: float = 0.0, *, north_m: float = 0.0) -> dict[str, object]:
    x, y = PLANE.xy(*there_and_back().point_at(along_m))
    lat, lon = PLANE.latlon(x, y + north_m)
    at = (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"fixed_at": at, "lat": lat, "lon": lon, "accuracy_m": 8.0}


def place(along_m: float, *, north_m: float = 0.0) -> tuple[str, ...]:
    made = fix(along_m, north_m=north_m)
    return "--lat", str(made["lat"]), "--lon", str(made["lon"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("explain")
    (made / "rounds.geojson").write_text(write_rounds_geojson([there_and_back()]), encoding="utf-8")
    walk = [json.dumps(fix(1.0 * second, second)) for second in range(0, 900, 10)]
    (made / "fixes.jsonl").write_text("\n".join([*walk[:80], '{"fixes": [' + ",".join(walk[80:]) + "]}", ""]))
    return made


@pytest.fixture
def explain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Explain:
    monkeypatch.chdir(folder)
    settings = inside.environment(folder / "var")

    def run(*words: str, on: tuple[str, ...] = ("--round", "T07", "--rounds", "rounds.geojson")) -> Done:
        return inside.fieldsvc(("explain", "fix", *on, *words), settings)

    return run


def test_a_fix_is_explained_with_the_passes_that_are_near_and_what_chose_among_them(explain: Explain) -> None:
    done = explain(*place(300), "--accuracy", "8", "--after", "280")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Round T07 (Rue Simone Veil): 1.0 km by foot, 25 stops."
    assert "Known before: 280 m along the round." in lines[1]
    assert lines[2].startswith("Status: on the round. Confidence: 0.9")
    passes = [line for line in lines if "m along, heading" in line]
    assert len(passes) == 2
    assert [("east" in line, "<- chosen" in line) for line in passes if "300 m along" in line] == [(True, True)]
    assert [("west" in line, "<- chosen" in line) for line in passes if "700 m along" in line] == [(True, False)]
    assert any(line.startswith("Nearest stop: st-7, 7 rue Simone Veil, ") for line in lines)


def test_the_order_decides_where_distance_cannot(explain: Explain) -> None:
    found = [
        json.loads(explain(*place(300), "--accuracy", "8", "--after", after, "--json").stdout)["distance_along_m"]
        for after in ("280", "680")
    ]
    assert found == [pytest.approx(300, abs=15), pytest.approx(700, abs=15)]


def test_the_object_has_all_that_is_said(explain: Explain) -> None:
    found = json.loads(explain(*place(300), "--accuracy", "8", "--json", "--at", "2026-11-21T09:42:12Z").stdout)
    assert (found["round_id"], found["status"], found["fix"]["fixed_at"]) == (
        "T07", "on_round", "2026-11-21T09:42:12.000Z",
    )  # fmt: skip
    assert sum(each["probability"] or 0 for each in found["passes"]) + found["off_round_probability"] == pytest.approx(
        1.0, abs=0.01
    )
    assert any("Nothing was known before" in each for each in found["why"])


def test_a_fix_far_from_the_line_and_a_bad_one_say_so(explain: Explain) -> None:
    far = explain(*place(300, north_m=250), "--accuracy", "8").stdout
    assert "Status: off the round." in far
    assert "The line is 250 m away, farther than the fix can be wrong (35 m)." in far
    bad = explain(*place(300), "--accuracy", "400").stdout
    assert "Status: unknown." in bad
    assert "With an accuracy of 400 m (over 100 m) no place on the round is claimed." in bad


def test_a_whole_run_is_replayed_and_drawn(explain: Explain, folder: Path) -> None:
    done = explain("--fixes", "fixes.jsonl", "--svg", "run.svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("90 fixes: 90 on the round. This is the last of them.")
    assert "Drawn in run.svg." in done.stdout
    root = ET.parse(folder / "run.svg").getroot()
    assert root.findtext("{http://www.w3.org/2000/svg}title") == (
        "Round T07 (Rue Simone Veil), replayed 2026-11-21 08:00 to 08:14 UTC"
    )


def test_the_round_of_a_run_is_read_from_the_database(folder: Path, postgres_url: str) -> None:
    url = new_database(postgres_url)
    settings = inside.environment(folder / "var", **inside.on_database(url))
    assert inside.fieldsvc(("import", "rounds", str(folder / "rounds.geojson")), settings).returncode == 0
    done = inside.fieldsvc(("explain", "fix", "--run", "run-2026-11-21-T07", *place(300), "--json"), settings)
    drop_database(postgres_url, url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["round_id"] == "T07"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give a fix with --lat and --lon, or a file of fixes with --fixes."),
        (("--lat", "48.9"), "Give a fix with --lat and --lon, or a file of fixes with --fixes."),
        (("--lat", "nan", "--lon", "2.4"), "This latitude and longitude cannot be a real place."),
        (("--lat", "148", "--lon", "2.4"), "This latitude and longitude cannot be a real place."),
        (("--lat", "48.9", "--lon", "2.48", "--accuracy", "-1"), "--accuracy is a number from 0 to 1,000,000."),
        (("--lat", "48.9", "--lon", "2.48", "--after", "inf"), "--after is a number from 0 to 10,000,000."),
        (("--lat", "48.9", "--lon", "2.48", "--at", "noon"), "--at is a time with its offset, as 2026-11-21T09:42:12Z."),
        (("--fixes", "nowhere.jsonl"), "The file nowhere.jsonl cannot be read."),
        (("--fixes", "rounds.geojson"), "rounds.geojson, line 1: this is no fix (bad_payload)."),
        (("--fixes", "fixes.jsonl", "--lat", "48.9"), "Give one fix with --lat and --lon, or a file with --fixes: not both."),
        (("--lat", "48.9", "--lon", "2.48", "--svg", "no/such/folder.svg"), "The file no/such/folder.svg cannot be written."),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_plain_line_and_exit_status_2(
    explain: Explain, words: tuple[str, ...], said: str
) -> None:
    done = explain(*words)
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"fieldsvc: {said}"])


def test_files_that_are_no_rounds_are_refused_with_the_place(explain: Explain, folder: Path) -> None:
    (folder / "bad.json").write_text("{", encoding="utf-8")
    for name, said in (
        ("bad.json", "bad.json: line 1: this is not JSON (Expecting property name enclosed in double quotes)."),
        ("fixes.jsonl", "fixes.jsonl: line 2: this is not JSON (Extra data)."),
        ("nowhere.csv", "The file nowhere.csv cannot be read."),
    ):
        done = explain(*place(300), on=("--round", "T07", "--rounds", name))
        assert (done.returncode, done.stderr.splitlines()) == (2, [f"fieldsvc: {said}"])
    done = explain(*place(300), on=("--round", "T99", "--rounds", "rounds.geojson"))
    assert done.stderr.strip() == "fieldsvc: There is no round T99 in rounds.geojson."
    done = explain(*place(300), on=("--run", "monday", "--rounds", "rounds.geojson"))
    assert done.stderr.strip() == "fieldsvc: There is no run monday: its form is run-<date>-<round>."
