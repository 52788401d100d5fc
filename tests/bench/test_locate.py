"""The harness that the matcher is measured with: is its truth true, is its noise as told, is it as hard as it says?"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fieldsvc.bench import locate
from fieldsvc.bench.courses import GENERATED, KINDS, courses, data_folder
from fieldsvc.bench.figures import figures_of, nearest_of
from fieldsvc.bench.locate import Case, evaluate, matched_runs, plane_of
from fieldsvc.bench.noise import HEAVY_LASTING, LASTING, Noise, correlation, errors
from fieldsvc.bench.streets import grid, read_graphml
from fieldsvc.bench.tracks import read_tracks
from fieldsvc.bench.walks import (
    OFF_M,
    PLANS,
    Walk,
    _skipped,
    distances_to_line,
    legs_of,
    nearest_places,
    walk,
)
from geo import Round

pytestmark = pytest.mark.usefixtures("compiled")

NO_NOISE = Noise(0.01)


@pytest.fixture(scope="module")
def rnd() -> Round:
    return courses("grid", "both_sides", count=1, seed=41)[0]


def on_line(rnd: Round, walked: Walk) -> np.ndarray:
    x, y, cumulative = rnd.vertices
    return np.hypot(
        np.interp(walked.along_m, cumulative, x) - walked.x, np.interp(walked.along_m, cumulative, y) - walked.y
    )


@pytest.mark.parametrize("town", GENERATED)
@pytest.mark.parametrize("kind", KINDS)
def test_rounds_are_ten_kilometres_long_and_can_be_walked_as_they_are(town: str, kind: str) -> None:
    for rnd in courses(town, kind, count=3, seed=5):
        assert 8_500 <= rnd.length_m <= 11_500
        assert 240 <= len(rnd.stops) <= 620
        assert rnd.problems() == []
        assert np.median(np.diff(rnd.stop_distances_m)) == pytest.approx(18, abs=3)
        assert len({stop.stop_id for stop in rnd.stops}) == len(rnd.stops)


def test_both_sides_walks_every_street_once_each_way(rnd: Round) -> None:
    """So the second half of the line's visits mirrors the first: every place is passed an even number of times, exactly."""
    middles = np.arange(7.0, rnd.length_m - 7, 31.0)
    x, y, cumulative = rnd.vertices
    dx, dy = np.diff(x), np.diff(y)
    passes = []
    for px, py in zip(np.interp(middles, cumulative, x), np.interp(middles, cumulative, y), strict=True):
        part = np.clip(((px - x[:-1]) * dx + (py - y[:-1]) * dy) / (dx * dx + dy * dy), 0, 1)
        off = np.hypot(x[:-1] + part * dx - px, y[:-1] + part * dy - py)
        passes.append(int(((off < 0.01) & (part > 0) & (part < 1)).sum()))
    assert np.mean(np.array(passes) == 2) > 0.97


def test_zigzag_serves_each_street_in_one_pass_and_walks_little_twice() -> None:
    (rnd,) = courses("grid", "zigzag", count=1, seed=41)
    apart = np.hypot(*(np.array(places(rnd))[:, None] - np.array(places(rnd))[None]).T)
    np.fill_diagonal(apart, 99)
    assert (apart.min(axis=0) > 1).mean() > 0.98, "two stops at one place would be a street served twice"
    assert len(rnd.stops) * 18 / rnd.length_m > 0.6


def places(rnd: Round) -> list[tuple[float, float]]:
    return [rnd.plane.xy(stop.lat, stop.lon) for stop in rnd.stops]


def test_same_seed_gives_the_same_rounds_and_walks_and_another_seed_others(rnd: Round) -> None:
    assert courses("grid", "both_sides", count=1, seed=41)[0].line == rnd.line
    assert courses("grid", "both_sides", count=1, seed=42)[0].line != rnd.line
    first, again, other = (walk(rnd, seed=seed, noise=Noise(10), every_s=30) for seed in (3, 3, 4))
    assert first.fixes == again.fixes
    assert first.along_m.tolist() == again.along_m.tolist()
    assert first.fixes != other.fixes


def test_stops_lie_on_the_side_that_is_served_where_that_is_asked_for() -> None:
    for kind, sides in (("both_sides", {"right"}), ("zigzag", {"left", "right"})):
        (sided,) = courses("grid", kind, count=1, seed=41, sided=True)
        assert {stop.side for stop in sided.stops} == sides
        x, y = (np.array(each) for each in zip(*places(sided), strict=True))
        assert np.median(distances_to_line(sided, x, y)) == pytest.approx(6, abs=0.1)
        assert sided.stop_offsets_m.max() < 15
        walked = walk(sided, seed=1, noise=NO_NOISE, every_s=5, detours=False, alternate=kind == "zigzag")
        served = walked.stop >= 0
        off_right = signed(sided, walked)[served]
        wanted = np.array([1 if sided.stops[i].side == "right" else -1 for i in walked.stop[served]])
        assert (np.sign(off_right) == wanted).mean() > 0.97


def signed(rnd: Round, walked: Walk) -> np.ndarray:
    """Metres to the right of the line at the true place."""
    x, y, cumulative = rnd.vertices
    k = np.clip(np.searchsorted(cumulative, walked.along_m, side="right") - 1, 0, len(x) - 2)
    dx, dy = x[k + 1] - x[k], y[k + 1] - y[k]
    return ((walked.x - x[k]) * dy - (walked.y - y[k]) * dx) / np.hypot(dx, dy)


@pytest.mark.parametrize("plan", PLANS)
def test_truth_is_beside_the_line_wherever_it_is_judged_and_off_only_far_from_it(rnd: Round, plan: str) -> None:
    walked = walk(rnd, seed=7, noise=NO_NOISE, every_s=5, plan=plan)
    far = on_line(rnd, walked)
    on = walked.is_judged & ~walked.is_off
    assert (far[on] <= OFF_M).all()
    assert (far[on & (walked.stop >= 0)] <= 6.5).all()
    assert (distances_to_line(rnd, walked.x, walked.y)[walked.is_off] > OFF_M).all()
    assert (distances_to_line(rnd, walked.x, walked.y)[~walked.is_off] <= OFF_M).all()
    assert walked.is_judged[walked.is_off].all()
    assert 0.9 < walked.is_judged.mean() <= 1


def test_served_stop_is_where_the_truth_says(rnd: Round) -> None:
    walked = walk(rnd, seed=7, noise=NO_NOISE, every_s=5)
    served = walked.stop >= 0
    assert served.mean() > 0.1
    assert len(set(walked.stop[served].tolist())) > 150
    assert walked.along_m[served] == pytest.approx(rnd.stop_distances_m[walked.stop[served]], abs=0.01)


def test_a_run_is_four_hours_with_skips_backtracks_detours_and_a_break(rnd: Round) -> None:
    for seed in range(5):
        walked = walk(rnd, seed=seed, noise=NO_NOISE, every_s=5)
        minutes = (walked.fixes[-1].fixed_at - walked.fixes[0].fixed_at).total_seconds() / 60
        assert 220 <= minutes <= 275
        steps = np.diff(walked.along_m)
        assert -steps[steps < -0.01].sum() > 60, "two backtracks"
        still = np.hypot(np.diff(walked.x), np.diff(walked.y)) < 0.01
        assert longest(still) * 5 >= 1_190, "a long break"
        assert 0.005 <= walked.is_off.mean() <= 0.12


def test_skipped_stretches_are_cut_out_of_the_legs() -> None:
    for seed in range(20):
        legs = _skipped([(9_000.0, 0.0)], np.random.default_rng(seed))
        gaps = [before[1] - after[0] for before, after in pairwise(legs)]
        assert len(gaps) == 2
        assert all(100 <= gap <= 300 for gap in gaps)
    assert _skipped([(0.0, 200.0)], np.random.default_rng(1)) == [(0.0, 200.0)], "too short to skip any of it"


def longest(flags: np.ndarray) -> int:
    best = now = 0
    for flag in flags.tolist():
        now = now + 1 if flag else 0
        best = max(best, now)
    return best


def test_detours_go_far_from_the_line_and_may_be_left_out(rnd: Round) -> None:
    walked = walk(rnd, seed=7, noise=NO_NOISE, every_s=5)
    assert distances_to_line(rnd, walked.x, walked.y).max() > 60
    without = walk(rnd, seed=7, noise=NO_NOISE, every_s=5, detours=False)
    assert without.is_off.mean() < walked.is_off.mean()


def test_plans_walk_the_parts_they_say() -> None:
    rng = np.random.default_rng(1)
    assert legs_of("planned", 600, rng) == [(0, 600)]
    assert legs_of("reversed", 600, rng) == [(600, 0)]
    assert legs_of("wrapped", 600, rng) == [(240, 600), (0, 240)]
    for plan in PLANS:
        legs = legs_of(plan, 600, np.random.default_rng(2))
        covered = sorted((min(leg), max(leg)) for leg in legs)
        assert covered[0][0] == 0
        assert covered[-1][1] == 600
        assert sum(high - low for low, high in covered) == pytest.approx(600)
    backwards = legs_of("block_backwards", 600, np.random.default_rng(2))
    assert sum(a - b for a, b in backwards if a > b) == pytest.approx(100)
    late = legs_of("postponed", 600, np.random.default_rng(2))
    assert any(after[0] < before[1] for before, after in pairwise(late))
    with pytest.raises(ValueError, match="plans:"):
        legs_of("sideways", 600, rng)


def test_reversed_goes_back_on_the_same_side(rnd: Round) -> None:
    walked = walk(rnd, seed=7, noise=NO_NOISE, every_s=5, plan="reversed", detours=False)
    assert walked.along_m[0] > 0.98 * rnd.length_m
    assert walked.along_m[-1] < 0.02 * rnd.length_m
    assert np.median(signed(rnd, walked)) > 0.5


@pytest.mark.parametrize("sigma_m", [5.0, 20.0])
def test_errors_have_the_sigma_asked_for_and_last(sigma_m: float) -> None:
    at = np.arange(0, 400_000, 10.0)
    found = errors(np.random.default_rng(1), at, sigma_m)
    assert found.std(axis=0) == pytest.approx([sigma_m, sigma_m], rel=0.03)
    alike = [float(np.corrcoef(found[:-lag, 0], found[lag:, 0])[0, 1]) for lag in (1, 3, 20)]
    assert alike == pytest.approx([0.6 * np.exp(-10 / 30), 0.6 * np.exp(-1), 0.0], abs=0.03)


def test_heavy_errors_last_longer_and_have_bad_spells(rnd: Round) -> None:
    at = np.arange(0, 400_000, 10.0)
    found = errors(np.random.default_rng(1), at, 5.0, HEAVY_LASTING)
    assert found.std(axis=0) == pytest.approx([5.0, 5.0], rel=0.05)
    assert float(np.corrcoef(found[:-6, 0], found[6:, 0])[0, 1]) == pytest.approx(
        correlation(60, HEAVY_LASTING), abs=0.04
    )
    assert correlation(60, HEAVY_LASTING) > 2 * correlation(60, LASTING)
    spells = []
    for seed in range(6):
        walked = walk(rnd, seed=seed, noise=replace(Noise(5), heavy=True), every_s=10)
        x, y = plane_of(rnd, walked)
        spells.append(np.hypot(x - walked.x, y - walked.y) > 20)
        assert {fix.accuracy_m for fix in walked.fixes} == {5 * 1.515}
    assert 0.03 < np.concatenate(spells).mean() < 0.15


def test_fixes_are_as_wrong_as_they_say(rnd: Round) -> None:
    walked = walk(rnd, seed=7, noise=Noise(10), every_s=5)
    x, y = plane_of(rnd, walked)
    error = np.hypot(x - walked.x, y - walked.y)
    accuracy = walked.fixes[0].accuracy_m
    assert accuracy == pytest.approx(15.15)
    assert np.mean(error <= accuracy) == pytest.approx(0.68, abs=0.06)
    assert {fix.speed_mps for fix in walked.fixes} == {None}


def test_fixes_may_know_less_or_say_otherwise(rnd: Round) -> None:
    def told(**more: object) -> Walk:
        return walk(rnd, seed=7, noise=replace(Noise(10), **more), every_s=30)  # type: ignore[arg-type]

    assert {fix.accuracy_m for fix in told(told="unknown").fixes} == {None}
    assert {round(fix.accuracy_m or 0, 2) for fix in told(told="modest").fixes} == {5.05}
    wrong = [fix.accuracy_m or 0 for fix in told(told="wrong").fixes]
    assert 7 < min(wrong) < 12
    assert 20 < max(wrong) < 31
    moving = told(with_motion=True).fixes
    assert all(fix.speed_mps is not None and fix.speed_mps >= 0 for fix in moving)
    assert any(fix.heading_deg is not None for fix in moving)
    assert any(fix.heading_deg is None for fix in moving)
    plain, wild = (plane_of(rnd, told(outliers=share)) for share in (0.0, 0.05))
    assert np.mean(np.hypot(plain[0] - wild[0], plain[1] - wild[1]) > 5) == pytest.approx(0.05, abs=0.03)
    with pytest.raises(ValueError, match="told is"):
        told(told="perhaps")


def test_nearest_point_is_the_nearest_of_the_library(rnd: Round) -> None:
    from geo.rounds import nearest_on

    walked = walk(rnd, seed=7, noise=Noise(10), every_s=200)
    x, y = plane_of(rnd, walked)
    along, off = nearest_places(rnd, x, y)
    for i in range(len(x)):
        assert (along[i], off[i]) == pytest.approx(nearest_on(rnd.vertices, float(x[i]), float(y[i])), abs=0.01)
    assert nearest_of(rnd, x, y).along_m.tolist() == along.tolist()


def test_figures_of_a_perfect_matcher_are_perfect(rnd: Round) -> None:
    (run,), _ = matched_runs(Case("grid"), runs=1, seed=41, rounds=[rnd])
    truth = run.walk
    perfect = replace(
        run.provisional,
        along_m=truth.along_m,
        is_on=~truth.is_off,
        is_off=truth.is_off,
        stop=truth.stop,
        confidence=np.ones(len(truth.along_m)),
    )
    quality = figures_of([replace(run, provisional=perfect)], 1.0).provisional
    assert (quality.right_pass, quality.right_pass_all, quality.leg, quality.stop, quality.stop_1) == (100,) * 5
    assert (quality.off_precision, quality.off_recall, quality.off_false) == (100, 100, 0)
    assert (quality.error_p95_m, quality.sure_90.right) == (0, 100)
    shifted = replace(perfect, along_m=truth.along_m + 51, stop=truth.stop + 2)
    quality = figures_of([replace(run, provisional=shifted)], 1.0).provisional
    assert (quality.right_pass, quality.stop_1, quality.sure_90.right, quality.error_p50_m) == (0, 0, 0, 51)


def test_evaluate_is_the_same_each_time_and_beats_what_one_writes_first() -> None:
    first, again = (evaluate("both_sides", sigma_m=10.0, every_s=30.0, runs=1, seed=41) for _ in range(2))
    assert replace(first, fixes_per_s=0) == replace(again, fixes_per_s=0)
    assert first.provisional.right_pass > first.nearest
    assert first.fixes > 400


async def test_bench_prints_lines_in_the_form_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        locate, "cases", lambda full: [Case("grid", every_s=60.0), Case("comb", "zigzag", every_s=60.0)]
    )
    monkeypatch.delenv("FIELDSVC_TEST_DATA", raising=False)
    lines: list[dict[str, object]] = []
    await locate.run(cycles=1, full=False, show=lines.append)
    speed = [line for line in lines if line["metric"] == "matched_fixes_per_s"]
    online = [line for line in lines if line["metric"] == "online_us_per_fix"]
    assert len(lines) == 10 + len(speed) + len(online)
    assert [line["conditions"]["engine"] for line in online] == ["numpy", "compiled"]  # type: ignore[index]
    assert len(speed) == 2 * 2 * 3
    for line in lines:
        assert line.keys() == {"bench", "metric", "value", "ratio_to", "ratio", "conditions"}
        assert line["bench"] == "locate"
        assert line["ratio_to"] in line["conditions"]  # type: ignore[operator]
    json.dumps(lines, allow_nan=False)


def test_cases_need_no_data_and_use_it_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FIELDSVC_TEST_DATA", raising=False)
    assert {case.town for case in locate.cases(full=True)} == {"grid", "comb"}
    monkeypatch.setenv("FIELDSVC_TEST_DATA", str(tmp_path))
    assert {case.town for case in locate.cases(full=True)} > {"maisons_laffitte", "st_ger", "bondy", "lozere"}
    with pytest.raises(ValueError, match="towns:"):
        courses("atlantis", "zigzag", count=1, seed=1)
    with pytest.raises(ValueError, match="kinds of rounds:"):
        courses("grid", "spiral", count=1, seed=1)
    monkeypatch.delenv("FIELDSVC_TEST_DATA")
    with pytest.raises(FileNotFoundError):
        courses("bondy", "zigzag", count=1, seed=1)


def test_one_case_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    locate.main(["--runs", "1", "--every", "60", "--kind", "zigzag", "--motion"])
    row = json.loads(capsys.readouterr().out)
    assert row.keys() >= {"provisional_right_pass", "confirmed_right_pass", "nearest", "window", "fixes_per_s"}


def test_reported_seeds_are_no_tuning_seeds() -> None:
    assert locate.TUNING + 1_000 <= locate.REPORTING


def test_graphml_gives_served_streets_once_each(tmp_path: Path) -> None:
    path = tmp_path / "tiny.graphml"
    path.write_text(GRAPHML, encoding="utf-8")
    network = read_graphml(path)
    assert sorted(round(street.length_m) for street in network.streets) == [75, 111]
    assert max(len(street.points) for street in network.streets) == 3


def test_generated_grid_has_dead_ends_and_is_connected() -> None:
    network = grid(3)
    ends = [node for node, streets in network.at_node.items() if len(streets) == 1]
    assert len(ends) > 8
    assert len(network.streets) > 150


def test_tracks_are_read_with_their_routes(tmp_path: Path) -> None:
    (tmp_path / "ground_truth.csv").write_text(
        'id,WKT\n0,"MULTILINESTRING ((11.9 50.3,11.91 50.3),(11.91 50.3,11.91 50.31))"\n', encoding="utf-8"
    )
    (tmp_path / "points.csv").write_text(
        "id,time,geometry\n0,2019-03-11 08:33:29+00:00,POINT (11.905 50.3001)\n0,2019-03-11 08:33:24+00:00,POINT (11.901 50.3)\n"
        "7,2019-03-11 08:33:24+00:00,POINT (11.9 50.3)\n",
        encoding="utf-8",
    )
    (track,) = read_tracks(tmp_path)
    assert len(track.route.line) == 3
    assert [fix.lon for fix in track.fixes] == [11.901, 11.905]


def test_real_towns_and_country_rounds() -> None:
    if data_folder() is None:
        return
    for town, kind in (
        ("maisons_laffitte", "both_sides"),
        ("st_ger", "zigzag"),
        ("bondy", "both_sides"),
        ("bondy", "zigzag"),
    ):
        (rnd,) = courses(town, kind, count=1, seed=5)
        assert 8_000 <= rnd.length_m <= 22_000
        assert rnd.problems() == []
    (van,) = courses("lozere", "both_sides", count=1, seed=5)
    assert 40_000 <= van.length_m <= 90_000
    assert van.mode == "van"


GRAPHML = """<?xml version='1.0' encoding='utf-8'?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="x" for="node" attr.name="x"/><key id="y" for="node" attr.name="y"/>
<key id="h" for="edge" attr.name="highway"/><key id="g" for="edge" attr.name="geometry"/><key id="s" for="edge" attr.name="service"/>
<graph edgedefault="directed">
<node id="1"><data key="x">2.0</data><data key="y">48.0</data></node>
<node id="2"><data key="x">2.001</data><data key="y">48.0</data></node>
<node id="3"><data key="x">2.001</data><data key="y">48.001</data></node>
<node id="4"><data key="x">2.1</data><data key="y">48.1</data></node>
<node id="5"><data key="x">2.1001</data><data key="y">48.1</data></node>
<edge source="1" target="2"><data key="h">residential</data><data key="g">LINESTRING (2 48, 2.0005 48, 2.001 48)</data></edge>
<edge source="2" target="1"><data key="h">residential</data><data key="g">LINESTRING (2.001 48, 2.0005 48, 2 48)</data></edge>
<edge source="2" target="3"><data key="h">['residential', 'service']</data></edge>
<edge source="3" target="1"><data key="h">motorway</data></edge>
<edge source="4" target="5"><data key="h">residential</data></edge>
</graph></graphml>
"""
