"""`bench rounds`: is the right round found among its neighbours, and is a carrier on another round noticed, and nobody else.

A town is cut into adjacent rounds that share no street, only crossings (35 or so of 7 km on the streets of
Saint-Germain; a generated grid where there is no real data), and simulated runs are walked on them (walks.py). For the
alarms a run also has what runs have: the way from the depot to the first stop along other rounds' streets, on foot or by
bike, and a meal of 40 minutes some streets away. Beside each figure stands what one would write first: the round whose
line is nearest, and an alarm after ten fixes in a row that are near another round and out of reach of one's own.

Seeds as in locate.py: below 1,000 for tuning, from 7,000 here, from 9,000 in tests.
"""

import asyncio
import heapq
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from fieldsvc.bench.courses import compact_piece, data_folder, drawn, out_and_back, stops_along
from fieldsvc.bench.lines import Show, rounded
from fieldsvc.bench.locate import REPORTING
from fieldsvc.bench.streets import Rng, Streets, grid, read_graphml
from fieldsvc.bench.walks import PLANS, START_AT, TO_68_PERCENT, Noise, errors, walk
from geo.positions import Array, Fix
from geo.rounds import Round, nearest_on, project
from geo.which_round import RoundFinder, reach_m

LENGTH_M = 3_500.0  # of streets; walked out and back it is twice that
AFTER = (1, 3, 10, 20, 40)
EVERY_S, ALARM_EVERY_S = 8.5, 30.0
MEAL_S, MEAL_WITHIN_M = 2_400.0, (300.0, 900.0)
WAY_MPS = (1.3, 4.0)
NAIVE_FIXES = 10
RUNS = 12


@dataclass(frozen=True, eq=False)
class Town:
    """A network, its adjacent rounds, and the node where all of them start from."""

    streets: Streets
    rounds: Sequence[Round]
    depot: int


def town_of(*, seed: int = REPORTING) -> Town:
    """Cut Saint-Germain into rounds; without the real data a generated grid."""
    folder = data_folder()
    streets = read_graphml(folder / "streets" / "st_ger.graphml") if folder is not None else grid(seed)
    rounds = adjacent_rounds(streets, seed=seed)
    x, y = streets.nodes.mean(axis=0).tolist()
    return Town(streets, rounds, _node_at(streets, x, y))


def adjacent_rounds(streets: Streets, *, seed: int, length_m: float = LENGTH_M) -> list[Round]:
    """Cut a network into rounds that walk each street out and back, beginning in the west; slivers belong to nobody."""
    rng, left = np.random.default_rng(seed), set(range(len(streets.streets)))
    rounds: list[Round] = []
    while left:
        start = min((end for i in left for end in _ends(streets, i)), key=lambda node: float(streets.nodes[node][0]))
        numbers = sorted(_connected(streets, start, left))
        part = Streets(streets.name, streets.plane, streets.nodes, [streets.streets[i] for i in numbers])
        total_m = sum(street.length_m for street in part.streets)
        piece = compact_piece(part, start, total_m if total_m < 1.4 * length_m else length_m)
        left -= {numbers[i] for i in piece}
        if sum(part.streets[i].length_m for i in piece) > 0.3 * length_m:
            tour = out_and_back(part, piece, start)
            stops = stops_along(part, tour, rng, alternate=False, sided=False)
            rounds.append(drawn(part, tour, f"R{len(rounds):02d}", mode="foot", stops=stops))
    return rounds


def _ends(streets: Streets, number: int) -> tuple[int, int]:
    return streets.streets[number].a, streets.streets[number].b


def _connected(streets: Streets, start: int, among: set[int]) -> set[int]:
    found, seen, todo = set[int](), {start}, [start]
    while todo:
        here = todo.pop()
        for number in streets.at_node[here]:
            if number in among:
                found.add(number)
                there = streets.streets[number].end(here)
                if there not in seen:
                    seen.add(there)
                    todo.append(there)
    return found


def _node_at(streets: Streets, x: float, y: float) -> int:
    nodes = np.array(sorted(streets.at_node))
    return int(nodes[np.argmin(np.hypot(streets.nodes[nodes, 0] - x, streets.nodes[nodes, 1] - y))])


def _way(streets: Streets, start: int, end: int) -> Array:
    """Find the shortest way along the streets, as points."""
    known: dict[int, tuple[int, int]] = {}
    todo = [(0.0, start, start, -1)]
    while todo and end not in known:
        metres, here, before, by = heapq.heappop(todo)
        if here in known:
            continue
        known[here] = before, by
        for number in streets.at_node[here]:
            street = streets.streets[number]
            if street.end(here) not in known:
                heapq.heappush(todo, (metres + street.length_m, street.end(here), here, number))
    points: list[Array] = [streets.nodes[[start]]]
    here = end
    pieces = []
    while here != start:
        here, by = known[here]
        pieces.append(streets.streets[by].points_from(here))
    return np.concatenate([*points, *reversed(pieces)])


@dataclass(frozen=True, slots=True)
class Phone:
    """How a phone sees: noise on each axis, seconds between fixes."""

    sigma_m: float
    every_s: float

    def sees(self, streets: Streets, places: Array, from_at: datetime, rng: Rng) -> list[Fix]:
        """Give a fix for each place, one every `every_s` after a moment."""
        at: Array = np.arange(1.0, len(places) + 1) * self.every_s
        wrong = errors(rng, at, self.sigma_m) if len(places) else places
        degrees = (streets.plane.latlon(x, y) for x, y in np.add(places, wrong).tolist())
        return [
            Fix(lat, lon, from_at + timedelta(seconds=second), self.sigma_m * TO_68_PERCENT)
            for second, (lat, lon) in zip(at.tolist(), degrees, strict=True)
        ]


def _walked(points: Array, mps: float, every_s: float) -> Array:
    """Give the places of somebody who walks along points, one every so many seconds."""
    metres = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    at = np.arange(every_s, metres[-1] / mps, every_s) * mps
    return np.column_stack((np.interp(at, metres, points[:, 0]), np.interp(at, metres, points[:, 1])))


def whole_run(town: Town, rnd: Round, *, seed: int, phone: Phone, plan: str, mps: float) -> list[Fix]:
    """Simulate a run with the way from the depot and a meal some streets away."""
    rng, streets = np.random.default_rng((seed, 99)), town.streets
    fixes = walk(rnd, seed=seed, noise=Noise(phone.sigma_m), every_s=phone.every_s, plan=plan).fixes
    half = int(rng.integers(len(fixes) // 4, 3 * len(fixes) // 4))
    begin, middle = (_node_of(streets, fixes[i]) for i in (0, half))
    apart = np.hypot(*(streets.nodes - streets.nodes[middle]).T)
    tables = [node for node in streets.at_node if MEAL_WITHIN_M[0] < apart[node] < MEAL_WITHIN_M[1]]
    table = int(rng.choice(tables)) if tables else middle
    there = _walked(_way(streets, middle, table), mps, phone.every_s)
    still = np.repeat(streets.nodes[[table]], int(MEAL_S / phone.every_s), axis=0)
    parts: list[Array | list[Fix]] = [
        _walked(_way(streets, town.depot, begin), mps, phone.every_s),
        fixes[:half],
        np.concatenate((there, still, there[::-1])),
        fixes[half:],
    ]
    return list(_in_a_row(streets, parts, phone, rng))


def _node_of(streets: Streets, fix: Fix) -> int:
    return _node_at(streets, *streets.plane.xy(fix.lat, fix.lon))


def _in_a_row(streets: Streets, parts: Sequence[Array | list[Fix]], phone: Phone, rng: Rng) -> Iterator[Fix]:
    """Put parts of a run one after the other in time."""
    now = START_AT
    for part in parts:
        seen = part if isinstance(part, list) else phone.sees(streets, part, now, rng)
        if seen:
            late = now + timedelta(seconds=phone.every_s) - seen[0].fixed_at
            for fix in seen:
                yield replace(fix, fixed_at=fix.fixed_at + late)
            now = seen[-1].fixed_at + late


@dataclass(slots=True)
class Tally:
    """Of so many runs: how often the first of the ranking was right, was sure, was sure and wrong, and the nearest right."""

    runs: int = 0
    right: int = 0
    sure: int = 0
    sure_and_wrong: int = 0
    nearest: int = 0


def rightness(town: Town, *, sigma_m: float, from_middle: bool, runs: int, seed: int) -> dict[int, Tally]:
    """Count how often the right round is named after 1, 3, 10, 20 and 40 fixes, without any assignment."""
    finder, tallies = RoundFinder.from_rounds(town.rounds), {many: Tally() for many in AFTER}
    lines = _Lines(town)
    for number in range(runs):
        rnd = town.rounds[number % len(town.rounds)]
        fixes = walk(rnd, seed=seed * 1000 + number, noise=Noise(sigma_m), every_s=EVERY_S).fixes
        first = int(np.random.default_rng((seed, number)).integers(len(fixes) // 4, len(fixes) // 2)) * from_middle
        evidence, squares = finder.start(), np.zeros(len(town.rounds))
        for many, fix in enumerate(fixes[first : first + max(AFTER)], 1):
            evidence = finder.update(evidence, fix)
            squares += np.minimum(lines.distances_m(fix), 250.0) ** 2
            if many in tallies:
                nearest = town.rounds[int(np.argmin(squares))].round_id
                _count(tallies[many], evidence.ranking(), evidence.likeliest()[0], nearest, rnd.round_id)
    return tallies


def _count(tally: Tally, ranking: Sequence[tuple[str, float]], named: str | None, nearest: str, truth: str) -> None:
    tally.runs += 1
    tally.right += bool(ranking) and ranking[0][0] == truth
    tally.sure += named is not None
    tally.sure_and_wrong += named not in (None, truth)
    tally.nearest += nearest == truth


class _Lines:
    """The lines of a town's rounds one after the other, to measure the way to all of them at once."""

    def __init__(self, town: Town) -> None:
        points = [np.array(each.drawn_line) for each in town.rounds]
        every = np.concatenate(points)
        self._plane = town.streets.plane
        self._x, self._y = self._plane.xy(every[:, 1], every[:, 0])
        self._starts = np.cumsum([0, *(len(each) for each in points)])[:-1]

    def distances_m(self, fix: Fix) -> Array:
        """Measure how far each round's line is from a fix."""
        px, py = self._plane.xy(fix.lat, fix.lon)
        x, y = self._x, self._y
        part = project(x, y, px, py)
        off = np.hypot(x[:-1] + part * np.diff(x) - px, y[:-1] + part * np.diff(y) - py)
        off[self._starts[1:] - 1] = np.inf  # from the end of one line to the start of the next nobody walks
        return np.asarray(np.minimum.reduceat(off, self._starts))


def _distance_m(rnd: Round, fix: Fix) -> float:
    return nearest_on(rnd.vertices, *rnd.plane.xy(fix.lat, fix.lon))[1]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was said of a run: when the finder first suspected which round, and when the naive rule did; minutes."""

    hours: float
    after_min: float | None
    round_id: str | None
    naive_min: float | None


def watched(finder: RoundFinder, rounds: Sequence[Round], fixes: Sequence[Fix], assigned: str) -> Alarm:
    """Follow a run that was assigned a round, and note the first alarm of each rule."""
    evidence, after, named, naive, row = finder.start(assigned), None, None, None, 0
    own = next(each for each in rounds if each.round_id == assigned)
    for fix in fixes:
        minutes = (fix.fixed_at - fixes[0].fixed_at).total_seconds() / 60
        if after is None:
            evidence = finder.update(evidence, fix)
            if suspected := finder.mismatch(evidence):
                after, named = minutes, suspected.round_id
        if naive is None:
            is_away = _distance_m(own, fix) > reach_m(fix) and any(each != assigned for each in finder.near(fix))
            row = row + 1 if is_away else 0
            naive = minutes if row == NAIVE_FIXES else None
    return Alarm((fixes[-1].fixed_at - fixes[0].fixed_at).total_seconds() / 3600, after, named, naive)


def on_right_rounds(town: Town, *, sigma_m: float, runs: int, seed: int) -> list[Alarm]:
    """Follow runs on the round that they were assigned, by every plan, with ways and meals: every alarm is false."""
    finder, phone, alarms = RoundFinder.from_rounds(town.rounds), Phone(sigma_m, ALARM_EVERY_S), []
    for number in range(runs):
        rnd = town.rounds[int(np.random.default_rng((seed, number)).integers(len(town.rounds)))]
        fixes = whole_run(
            town,
            rnd,
            seed=seed * 1000 + number,
            phone=phone,
            plan=PLANS[number % len(PLANS)],
            mps=WAY_MPS[number // len(PLANS) % 2],
        )
        alarms.append(watched(finder, town.rounds, fixes, rnd.round_id))
    return alarms


def on_wrong_rounds(town: Town, *, sigma_m: float, runs: int, seed: int) -> list[tuple[str, Alarm]]:
    """Follow runs on another round than the assigned one, half of them on a neighbour of it; (true round, alarm)."""
    finder, found = RoundFinder.from_rounds(town.rounds), []
    for number in range(runs):
        true, assigned = _wrongly(town, np.random.default_rng((seed, number)), neighbours=bool(number % 2))
        fixes = walk(true, seed=seed * 1000 + number, noise=Noise(sigma_m), every_s=ALARM_EVERY_S).fixes
        found.append((true.round_id, watched(finder, town.rounds, fixes, assigned.round_id)))
    return found


def _wrongly(town: Town, rng: Rng, *, neighbours: bool) -> tuple[Round, Round]:
    i = int(rng.integers(len(town.rounds)))
    true = town.rounds[i]
    others = [each for each in town.rounds if each.round_id != true.round_id]
    if neighbours:
        others.sort(key=lambda each: float(np.hypot(each.plane.lat - true.plane.lat, each.plane.lon - true.plane.lon)))
        others = others[:4]
    return true, others[int(rng.integers(len(others)))]


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print the lines: about twelve runs a figure and cycle, or with `full` two on each round."""
    town = town_of()
    runs = 2 * len(town.rounds) if full else RUNS * max(1, cycles)
    for sigma_m in (10.0, 20.0):
        for from_middle in (False, True):
            tallies = rightness(town, sigma_m=sigma_m, from_middle=from_middle, runs=runs, seed=REPORTING)
            await asyncio.sleep(0)  # the seconds of this bench may be over
            for many, tally in tallies.items():
                show(_line_of_rightness(town, tally, sigma_m=sigma_m, fixes=many, from_middle=from_middle))
        for line in _lines_of_alarms(town, sigma_m=sigma_m, runs=runs):
            show(line)
    show(_line_of_speed(town))


def _line(metric: str, value: float, against: tuple[str, float], **conditions: Any) -> dict[str, Any]:
    name, other = against
    return {
        "bench": "rounds",
        "metric": metric,
        "value": rounded(value),
        "ratio_to": name,
        "ratio": rounded(value / other) if other else None,
        "conditions": {**conditions, name: rounded(other)},
    }


def _line_of_rightness(town: Town, tally: Tally, *, sigma_m: float, fixes: int, from_middle: bool) -> dict[str, Any]:
    def percent(count: int) -> float:
        return rounded(100.0 * count / tally.runs)

    return _line(
        "right_round_percent",
        percent(tally.right),
        ("nearest_round_percent", percent(tally.nearest)),
        town=town.streets.name,
        rounds=len(town.rounds),
        sigma_m=sigma_m,
        every_s=EVERY_S,
        fixes=fixes,
        begun="within the round" if from_middle else "at its start",
        sure_percent=percent(tally.sure),
        sure_and_wrong_percent=percent(tally.sure_and_wrong),
        runs=tally.runs,
    )


def _lines_of_alarms(town: Town, *, sigma_m: float, runs: int) -> Iterator[dict[str, Any]]:
    conditions: dict[str, Any] = {"town": town.streets.name, "sigma_m": sigma_m, "every_s": ALARM_EVERY_S, "runs": runs}
    right = on_right_rounds(town, sigma_m=sigma_m, runs=runs, seed=REPORTING)
    hours = sum(each.hours for each in right)
    false, naive = (
        1000 * sum(each is not None for each in said) / hours
        for said in ([each.after_min for each in right], [each.naive_min for each in right])
    )
    yield _line("false_alarms_per_1000_h", false, ("ten_fixes_rule", naive), **conditions, hours=rounded(hours))
    wrong = on_wrong_rounds(town, sigma_m=sigma_m, runs=runs, seed=REPORTING + 1)
    after = [alarm.after_min for true, alarm in wrong if alarm.after_min is not None and alarm.round_id == true]
    told = {"noticed_and_named_percent": rounded(100 * len(after) / runs)}
    by_rule = [alarm.naive_min for _true, alarm in wrong if alarm.naive_min is not None]
    if after and by_rule:
        told["p90_min"] = rounded(float(np.percentile(after, 90)))
        minutes, other = statistics.median(after), statistics.median(by_rule)
        yield _line("noticed_after_minutes", minutes, ("ten_fixes_rule", other), **conditions, **told)


def _line_of_speed(town: Town) -> dict[str, Any]:
    """Measure the fixes a second of one suspect, beside those of the filter of its own round alone."""
    rnd = town.rounds[0]
    fixes = walk(rnd, seed=REPORTING, noise=Noise(10.0), every_s=EVERY_S).fixes[:600]
    rates = []
    for rounds in (town.rounds, [rnd]):
        finder = RoundFinder.from_rounds(rounds)
        finder.replay(fixes[:20], assigned=rnd.round_id)
        began = time.perf_counter()
        finder.replay(fixes, assigned=rnd.round_id)
        rates.append(len(fixes) / (time.perf_counter() - began))
    return _line("fixes_per_s", rates[0], ("one_round_fixes_per_s", rates[1]), rounds=len(town.rounds), cores=1)
