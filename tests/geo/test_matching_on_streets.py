"""The matcher on simulated runs over street geometry: the floors of what was measured, on seeds that nobody tunes to.

Real towns where FIELDSVC_TEST_DATA names them, generated ones always. Each run has two skipped stretches, two backtracks,
two detours and a long break (fieldsvc/bench/walks.py); the line is the centreline, so both passes of a street coincide.
Each town is walked on one kind of round, the kinds taking turns; FIELDSVC_TEST_FULL=1 walks both kinds in each.
"""

import time
import zipfile
from functools import cache

import numpy as np
import pytest

from fieldsvc.bench.courses import KINDS, courses, round_on
from fieldsvc.bench.figures import figures_of
from fieldsvc.bench.locate import Case, matched_runs
from fieldsvc.bench.noise import Noise
from fieldsvc.bench.streets import country
from fieldsvc.bench.tracks import Track, correlations, lateral_errors_m, matched, movements, read_tracks, sigmas_m
from fieldsvc.bench.walks import walk
from geo import Matcher, Round
from tests.sizes import IS_FULL

pytestmark = pytest.mark.usefixtures("compiled")

YARDSTICK_STEPS = 2_000
SEED = 9_000
FLOORS = [(5.0, 96, 97), (10.0, 95.5, 96.5), (20.0, 92, 93.5), (50.0, 60, 66)]
FLOORS_AT_30_S = [(5.0, 96, 97), (10.0, 95, 96.5), (20.0, 90, 93.5), (50.0, 60, 70)]
OUT_OF_ORDER = ("swapped", "wrapped", "postponed", "block_backwards")


@pytest.fixture(scope="module")
def towns(data_folder):
    return ("maisons_laffitte", "st_ger", "bondy", "grid") if data_folder else ("grid", "comb")


@pytest.fixture(scope="module")
def figures(towns):
    """Measure a case over the towns and both kinds, unless a kind is named; once for all tests."""
    each = 8 // (2 * len(towns))

    @cache
    def measured(kinds=KINDS, **conditions):
        runs, seconds = [], 0.0
        for number, town in enumerate(towns):
            for kind in kinds if IS_FULL else (kinds[number % len(kinds)],):
                found, took_s = matched_runs(Case(town, kind, **conditions), runs=each, seed=SEED + number)
                runs += found
                seconds += took_s
        return figures_of(runs, seconds)

    return measured


def told(found):
    now, then = found.provisional, found.confirmed
    return (
        f"{found.runs} runs, {found.fixes} fixes: right pass {now.right_pass:.1f} %, confirmed {then.right_pass:.1f} %,"
        f" nearest point {found.nearest:.1f} %, forward window {found.window:.1f} %; along p95 {now.error_p95_m:.0f} m,"
        f" stop +-1 {now.stop_1:.1f} %, of confidence >= 0.9 right {now.sure_90.right or 0:.1f} %"
    )


@pytest.mark.parametrize(("sigma_m", "provisional", "confirmed"), FLOORS)
def test_right_pass_each_eight_and_a_half_seconds(figures, note, sigma_m, provisional, confirmed):
    found = figures(sigma_m=sigma_m)
    note(f"right pass, both kinds, sigma {sigma_m:.0f} m, every 8.5 s, {told(found)}")
    assert found.provisional.right_pass >= provisional
    assert found.confirmed.right_pass >= confirmed
    assert found.provisional.right_pass >= found.nearest + 20
    assert found.provisional.right_pass >= found.window + 3 or sigma_m > 20, "at 50 m the two may meet"


@pytest.mark.parametrize(("sigma_m", "provisional", "confirmed"), FLOORS_AT_30_S)
def test_right_pass_each_thirty_seconds(figures, note, sigma_m, provisional, confirmed):
    found = figures(sigma_m=sigma_m, every_s=30.0)
    note(f"right pass, both kinds, sigma {sigma_m:.0f} m, every 30 s, {told(found)}")
    assert found.provisional.right_pass >= provisional
    assert found.confirmed.right_pass >= confirmed


def test_right_pass_by_bike(figures, note):
    found = figures(sigma_m=10.0, mode="bike")
    note(f"right pass, both kinds, by bike, sigma 10 m, every 8.5 s, {told(found)}")
    assert found.provisional.right_pass >= 94.5
    assert found.confirmed.right_pass >= 95.5


@pytest.mark.parametrize(("sigma_m", "share"), [(5.0, 60), (10.0, 50), (20.0, 20)])
def test_confidence_is_honest_and_not_shy(figures, sigma_m, share):
    found = figures(sigma_m=sigma_m)
    for quality in (found.provisional, found.confirmed):
        assert quality.sure_90.share >= share
        assert quality.sure_90.right >= 97
        assert quality.sure_90.right >= (quality.sure_50.right or 0)


@pytest.mark.parametrize("sigma_m", [5.0, 10.0])
def test_off_the_round_is_seen_and_not_imagined(figures, note, sigma_m):
    quality = figures(sigma_m=sigma_m).provisional
    note(
        f"off the round, sigma {sigma_m:.0f} m: precision {quality.off_precision:.1f} %, recall {quality.off_recall:.1f} %,"
        f" {quality.off_false:.2f} % of the fixes on the round called off it"
    )
    assert quality.off_precision >= 90
    assert quality.off_recall >= 85
    assert quality.off_false <= 0.6


def test_poor_fixes_never_say_off_the_round(figures):
    assert figures(sigma_m=50.0).provisional.off_false == 0


def test_round_done_backwards_is_recognised(figures, note):
    found = figures(kinds=("both_sides",), sigma_m=10.0, plan="reversed", detours=False)
    note(f"reversed, both sides, sigma 10 m, {told(found)}")
    assert found.confirmed.right_pass >= 94


def test_blocks_out_of_order(figures, note):
    """One run's break may stand on the wrong side of a turn, an eighth of its fixes: the plans are averaged."""
    confirmed = []
    for plan in OUT_OF_ORDER:
        found = figures(kinds=("both_sides",), sigma_m=10.0, plan=plan, detours=False)
        note(f"{plan}, both sides, sigma 10 m, {told(found)}")
        confirmed.append(found.confirmed.right_pass)
    assert np.mean(confirmed) >= 93.5
    assert min(confirmed) >= 88


@pytest.mark.parametrize(("mode", "stop_1"), [("foot", 93), ("bike", 90)])
def test_served_stop_or_its_neighbour_is_named(figures, mode, stop_1):
    found = figures(sigma_m=10.0) if mode == "foot" else figures(sigma_m=10.0, mode="bike")
    assert found.provisional.stop_1 >= stop_1


def test_compiled_filter_outruns_the_plain_one_and_both_serve_a_department(note):
    """Processor time, the better of three, against a yardstick of the same machine: a step of plain array work."""
    rnd = courses("grid", "both_sides", count=1, seed=SEED)[0]
    fixes = walk(rnd, seed=SEED, noise=Noise(10.0), every_s=8.5).fixes
    speed = {}
    for engine in ("numpy", "fast"):
        matcher = Matcher(rnd, lag_fixes=0, engine=engine)
        matcher.replay(fixes[:20])
        speed[engine] = len(fixes) / min(_processor_s(matcher, fixes) for _ in range(3))
    steps = YARDSTICK_STEPS / min(_yardstick_s() for _ in range(3))
    note(
        f"matching, sigma 10 m, without lag: numpy {speed['numpy']:.0f} fixes/s, compiled {speed['fast']:.0f}, "
        f"steps of the yardstick {steps:.0f}/s"
    )
    assert speed["numpy"] >= 0.1 * steps  # 2,500 fixes/s where a step takes 40 µs
    assert speed["fast"] >= 2 * speed["numpy"]


def _yardstick_s():
    """Time steps over 4,096 metres with numpy: weigh, normalise, blur a part, find the best."""
    grid, begun = np.linspace(0, 1, 4096), time.process_time()
    for _ in range(YARDSTICK_STEPS):
        weights = np.exp(-3.0 * grid) * grid
        weights /= weights.sum()
        np.convolve(weights[:512], weights[:9], "same")
        weights.argmax()
    return time.process_time() - begun


def _processor_s(matcher, fixes):
    begun = time.process_time()
    matcher.replay(fixes)
    return time.process_time() - begun


def test_country_rounds_of_a_van(data_folder, generated_town, note):
    """No road map here: roads are drawn between real addresses, and 85 m lie between two fixes."""
    runs, seconds = [], 0.0
    for number, town in enumerate(("lozere", "hautes_alpes")):
        case = Case(town, mode="van")
        rounds = () if data_folder else [van_round(generated_town, seed=number)]
        found, took_s = matched_runs(case, runs=1, seed=SEED + number, rounds=rounds)
        runs, seconds = runs + found, seconds + took_s
    figures = figures_of(runs, seconds)
    where = "60 km over BANO 48 and 05" if data_folder else "over generated addresses"
    note(f"van, {where}, sigma 10 m, every 8.5 s, {told(figures)}")
    assert figures.provisional.right_pass >= 85
    assert figures.confirmed.right_pass >= 88
    assert figures.provisional.right_pass >= max(figures.nearest, figures.window) + 5


def van_round(rows, *, seed):
    network = country(rows, name="generated", seed=seed, places=400)
    return round_on(network, "both_sides", np.random.default_rng(seed), round_id="van", is_country=True)


@pytest.fixture(scope="module")
def tracks(data_folder):
    """The vehicle tracks of Hof; without them, simulated ones with errors made after theirs, accuracy unknown."""
    if data_folder:
        return read_tracks(data_folder / "traces_hof")
    noise = Noise(4.75, told="unknown", heavy=True)
    rounds = courses("grid", "zigzag", count=4, seed=SEED)
    walks = [walk(rnd, seed=SEED, noise=noise, every_s=7.5, mode="van", detours=False) for rnd in rounds]
    return [Track(Round("track", rnd.line, ()), one.fixes[:400]) for rnd, one in zip(rounds, walks, strict=True)]


def test_real_errors_are_mostly_small_with_a_heavy_tail_and_last(tracks, data_folder, note):
    errors = lateral_errors_m(tracks)
    p50, p90, p95, p99 = np.percentile(errors, (50, 90, 95, 99)).tolist()
    sigmas = {p: round(s, 1) for p, s in sigmas_m(errors).items()}
    alike = correlations(tracks, (7.5, 30.0))
    note(
        f"lateral errors of {len(errors)} fixes of tracks: p50 {p50:.1f}, p90 {p90:.1f}, p95 {p95:.1f}, p99 {p99:.1f} m"
    )
    note(
        f"sigma of a normal error by percentile: {sigmas}; correlation after 7.5 s {alike[0]:.2f}, after 30 s {alike[1]:.2f}"
    )
    assert 2 <= p50 <= 4.5
    assert 7 <= p90 <= 14
    assert sigmas[99] > (2.0 if data_folder else 1.3) * sigmas[50], "one sigma does not fit: the tail is wider"
    assert alike[0] > 0.4
    assert alike[1] > 0.15


def test_tracks_are_matched_to_the_routes_they_took(tracks, note):
    found = matched(tracks)
    note(
        f"{found.tracks} tracks, {found.fixes} fixes, accuracy unknown: {found.provisional:.1f} % right, confirmed"
        f" {found.confirmed:.1f} %, nearest point {found.nearest:.1f} %; {found.off_round:.1f} % not said to be on the round"
    )
    assert found.provisional >= 94.5
    assert found.confirmed >= 95
    assert found.provisional > found.nearest - 0.5


@pytest.fixture(scope="module")
def agents(data_folder, tmp_path_factory):
    """The delivery agents; without them, simulated carriers written in the same form."""
    if data_folder:
        return data_folder / "traces_agents" / "trajectories.zip"
    path = tmp_path_factory.mktemp("agents") / "trajectories.zip"
    (rnd,) = courses("grid", "both_sides", count=1, seed=SEED)
    with zipfile.ZipFile(path, "w") as archive:
        for label, mode in (("OnFoot", "foot"), ("Driving", "van")):
            walked = walk(rnd, seed=SEED, noise=Noise(5), every_s=5, mode=mode)
            places = zip(walked.fixes, walked.x.tolist(), walked.y.tolist(), strict=True)
            lines = [f"{fix.fixed_at:%Y-%m-%d %H:%M:%S.%f},{x},{y},{label}" for fix, x, y in places]
            archive.writestr(f"{label}.csv", "\n".join(["timestamp,x,y,groundtruth", *lines]))
    return path


def test_carriers_on_foot_stand_or_crawl_much_of_their_time(agents, data_folder, note):
    moves = movements(agents)
    for label, found in moves.items():
        note(
            f"{label} agents: speed p50 {found.speed_p50_mps:.2f}, p90 {found.speed_p90_mps:.2f} m/s, {found.still_share:.0%}"
            f" of steps under 0.5 m/s, stays p50 {found.stay_p50_s:.0f}, p90 {found.stay_p90_s:.0f} s"
        )
    on_foot = moves["OnFoot"]
    assert 0.25 <= on_foot.speed_p50_mps <= (0.45 if data_folder else 1.1)
    assert 1.2 <= on_foot.speed_p90_mps <= 1.8
    assert on_foot.still_share >= (0.5 if data_folder else 0.25)
    assert moves["Driving"].speed_p90_mps > 2 * on_foot.speed_p90_mps
