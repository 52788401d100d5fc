import itertools
import math
import statistics
from random import Random

import pytest

from fieldsvc.simulate.gps import CANYON_ACCURACY_M, sky_over
from fieldsvc.simulate.walking import fixes, walk
from fieldsvc.simulate.way import offset_m

START = 1_795_248_000.0
HERE = (48.9, 2.1)
SPANS = range(40)


@pytest.fixture(scope="module")
def skies():
    return [sky_over(START, START + 6 * 3600, Random(seed)) for seed in SPANS]


def errors(sky, every_s=30):
    for at in range(int(START), int(START) + 6 * 3600, every_s):
        fix = sky.fix(at, HERE)
        yield (*offset_m(HERE, (fix.lat, fix.lon)), fix.accuracy_m)


def test_errors_are_spread_like_those_of_real_vehicle_fixes(skies):
    """The lateral residuals of FCD Hof (14,651 hand-corrected fixes): p50 3.3, p90 11, p95 16, p99 36 m."""
    found = sorted(abs(axis) for sky in skies for north, east, _ in errors(sky) for axis in (north, east))
    for share, metres in ((0.5, 3.3), (0.9, 11), (0.95, 16), (0.99, 36)):
        assert found[int(share * len(found))] == pytest.approx(metres, rel=0.25)


def test_errors_have_no_bias_and_a_heavier_tail_than_a_gaussian(skies):
    found = [axis for sky in skies for north, east, _ in errors(sky) for axis in (north, east)]
    assert abs(statistics.fmean(found)) < 0.5
    spread = statistics.pstdev(found)
    assert sum((each / spread) ** 4 for each in found) / len(found) > 5, "a Gaussian has 3"


def test_the_error_of_one_fix_tells_something_of_the_next_and_little_of_one_minutes_later(skies):
    def correlation(lag):
        pairs = []
        for sky in skies:
            series = [north for north, _, _ in errors(sky, every_s=5)]
            pairs += list(zip(series, series[lag:], strict=False))
        first, second = zip(*pairs, strict=True)
        return statistics.correlation(first, second)

    assert correlation(2) > 0.6
    assert correlation(60) < 0.15


def test_the_reported_accuracy_holds_about_two_thirds_of_the_fixes(skies):
    inside = [math.hypot(north, east) <= accuracy for sky in skies for north, east, accuracy in errors(sky)]
    assert 0.6 < sum(inside) / len(inside) < 0.76


def test_now_and_then_there_are_minutes_of_fifty_metres_between_high_walls(skies):
    walls = [[accuracy == CANYON_ACCURACY_M for _, _, accuracy in errors(sky)] for sky in skies]
    assert 0.005 < sum(map(sum, walls)) / sum(map(len, walls)) < 0.05
    assert max(len(list(run)) for each in walls for wall, run in itertools.groupby(each) if wall) >= 4


def test_the_first_fix_is_a_cold_one_and_says_so(sheet):
    shift = walk(sheet, seed=1, mode="foot", start_at=START)
    first, second, *_ = fixes(shift, seed=1)
    assert math.hypot(*offset_m(shift.position(first.at), (first.lat, first.lon))) > 60
    assert first.accuracy_m > 95
    assert second.accuracy_m < 60


def test_a_moving_phone_knows_its_speed_and_heading_and_a_still_one_no_heading(sheet):
    shift = walk(sheet, seed=1, mode="foot", start_at=START)
    for fix in list(fixes(shift, seed=1))[1:]:
        assert fix.speed_mps >= 0
        assert (fix.heading_deg is None) == (fix.speed_mps <= 0.5)
        assert fix.heading_deg is None or 0 <= fix.heading_deg <= 360
