"""Days with absences for `bench cover`: rounds of a generated town and over real addresses, with work of which some is timed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import hypot
from random import Random

from fieldsvc.bench.assignment import Rows
from fieldsvc.bench.courses import data_folder
from fieldsvc.simulate.town import Town
from fieldsvc.work.cover_layout import lay
from fieldsvc.work.cover_model import NEEDS, Problem, Rules, Work
from fieldsvc.work.cover_runs import Day, present_of, uncovered_of
from geo.address_files import AddressRow, read_addresses
from geo.eta import Today
from geo.layout import lay_out_rounds
from geo.learned_times import Learned
from geo.positions import Plane
from geo.rounds import Round, Stop
from handlers.fields import parse_time

DAY = date(2026, 3, 3)
EIGHT = datetime(2026, 3, 3, 7, tzinfo=UTC)  # eight in Paris
A_ROUND, ADDRESSES = 500, 650
ITEMS, HALF_HOURS = 12, 9
Works = Mapping[str, Sequence[Work]]


@dataclass(frozen=True, slots=True)
class Case:
    """The rounds of a day with their work, and what each carrier is qualified for and knows beside the own round."""

    rounds: Sequence[Round]
    works: Works
    qualifications: Mapping[str, frozenset[str]]

    def without(self, absent: Sequence[str], rules: Rules) -> Problem:
        """Lay out the day on which the carriers of these rounds are absent; each other one knows the next round too."""
        day, ids = Day(EIGHT, EIGHT), [each.round_id for each in self.rounds]
        begins = Today(starts_at=EIGHT, started=False)
        next_to = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
        uncovered, present = [], []
        for each in self.rounds:
            name, tasks = each.round_id, self.works[each.round_id]
            if name in absent:
                uncovered.append(uncovered_of(name, each, Learned(), tasks))
            else:
                knows, skills = frozenset({name, next_to[name]}), self.qualifications[name]
                present.append(
                    present_of(
                        name, each, Learned(), day=day, tasks=tasks, today=begins, qualifications=skills, knows=knows
                    )
                )
        return lay(uncovered, present, rules)


def generated(count: int, seed: int) -> Case:
    """Make a day of the simulated town."""
    town = Town(seed=seed, rounds=count, stops=A_ROUND)
    rounds = [
        Round(
            plan.round_id,
            tuple(plan.line),
            tuple(
                Stop(each.stop_id, each.point.lat, each.point.lon, delivery_point_id=each.point.id)
                for each in plan.stops
            ),
            plan.site,
            plan.mode,
        )
        for plan in town.rounds
    ]
    at = {stop.delivery_point_id: (each.round_id, i) for each in rounds for i, stop in enumerate(each.stops)}
    works = defaultdict[str, list[Work]](list)
    for number, task in enumerate(town.tasks(DAY)):
        round_id, stop = at[task["delivery_point"]]
        window = task.get("window")
        ends = _ends(parse_time(window["from"]), parse_time(window["until"])) if window else None
        works[round_id].append(_work(number, task["service"], stop, ends))
    return Case(rounds, works, {each.round_id: frozenset(each.qualifications) for each in town.carriers})


def over_addresses(rows: Rows, count: int, seed: int) -> Case:
    """Lay rounds out over the real addresses nearest to the middle of the most numerous commune, and give them a day's work."""
    rng, plane = Random(seed), Plane(rows[0].lat, rows[0].lon)  # noqa: S311 - a benchmark's, not a secret's
    places = [plane.xy(row.lat, row.lon) for row in rows]
    town = Counter(row.citycode for row in rows).most_common(1)[0][0]
    inside = [place for row, place in zip(rows, places, strict=True) if row.citycode == town]
    middle = [sorted(float(each[k]) for each in inside)[len(inside) // 2] for k in (0, 1)]
    nearest = sorted(
        range(len(rows)), key=lambda i: hypot(*(float(a) - b for a, b in zip(places[i], middle, strict=True)))
    )
    chosen = [rows[i] for i in nearest[: count * ADDRESSES]]
    rounds = lay_out_rounds(chosen, site="bench", count=count, mode="bike")
    works = {each.round_id: _day_of(each, rng) for each in rounds}
    skills = [frozenset({"visits", "pouches"}), frozenset({"pouches"}), frozenset[str]()]
    return Case(rounds, works, {each.round_id: rng.choice(skills) for each in rounds})


def real_towns() -> dict[str, Rows]:
    """Read the addresses of Bondy, and those of Belfort and the communes around; nothing without the data."""
    folder = data_folder()
    if folder is None:
        return {}
    files = {"bondy": "ban_bondy/adresse_ban_bondy_93010.csv", "belfort": "bano/bano-90.csv"}
    found: dict[str, Rows] = {}
    for name, path in files.items():
        with (folder / path).open(encoding="utf-8", newline="") as lines:
            found[name] = [row for row in read_addresses(lines) if isinstance(row, AddressRow)]
    return found


def _day_of(each: Round, rng: Random) -> list[Work]:
    """Give a round twelve items, one or two pouches and a visit, with windows of two hours."""
    stops = rng.sample(range(len(each.stops)), min(len(each.stops), ITEMS + 3))
    services = ["medication"] * rng.choice((1, 2)) + ["home_visit"] + ["item"] * ITEMS
    found: list[Work] = []
    for stop, service in zip(stops, services, strict=False):
        opens = 1_800.0 * rng.randrange(HALF_HOURS)
        window = (opens, opens + 7_200.0) if service in NEEDS else None
        found.append(_work(len(found), service, stop, window, name=each.round_id))
    return found


def _work(number: int, service: str, stop: int, window: tuple[float, float] | None, *, name: str = "t") -> Work:
    needs = frozenset({NEEDS[service]} if service in NEEDS else ())
    return Work(f"{name}-{number}", service, stop, window, needs)


def _ends(first: datetime, until: datetime) -> tuple[float, float]:
    return (first - EIGHT).total_seconds(), (until - EIGHT).total_seconds()
