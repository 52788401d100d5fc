"""`bench assign`: which round serves a new address, and where on it, beside the nearest address and the five nearest.

Five addresses in a hundred are taken out of the rounds of a town and placed again, with their exact position and with 30 m of
geocoding error on each axis. Rounds are laid out in four ways, because operators lay them out in more than one: compact
blocks (`geo.layout`), whole streets, sectors that cut streets wherever they happen to lie, and the two sides of every street
on two rounds. The rounds are made first and the addresses taken out after, so that the truth is what the plan said.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import numpy as np

from fieldsvc.bench.courses import data_folder
from fieldsvc.bench.lines import Show, rounded
from geo.address_files import AddressRow, read_addresses
from geo.address_parser import one_line
from geo.assignment import Placement, RoundBook
from geo.layout import lay_out_rounds
from geo.positions import Array, Plane
from geo.rounds import Round, Stop
from geo.street_words import street_key

A_ROUND, HELD_OUT, ERRORS_M = 530, 0.05, (0.0, 30.0)
REPORTING = 7_000
_NEIGHBOURS, _INDEX_WITHIN = 5, 2
_SECTOR_STEPS = 15
Rows = Sequence[AddressRow]
Layout = Callable[[Rows, int, int], list[Round]]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over addresses that were placed; of one flagged as ambiguous nobody is told that it is certain."""

    placed: int = 0
    right: int = 0
    right_index: int = 0
    nearest: int = 0
    of_five: int = 0
    flagged: int = 0
    flagged_right: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def percent(self, name: str) -> float:
        """Give a count as a percentage of the addresses."""
        return float(100 * getattr(self, name) / max(self.placed, 1))

    @property
    def unflagged_right_percent(self) -> float:
        """How many of those that were not flagged were right."""
        return 100 * (self.right - self.flagged_right) / max(self.placed - self.flagged, 1)


def held_out(rows: Rows, rounds: Sequence[Round], *, seed: int, error_m: float) -> Score:
    """Take addresses out of rounds and place them again; `seed` chooses which, and the errors of their positions."""
    rng, by_point = np.random.default_rng(seed), {f"dp-{row.address_id}": row for row in rows}
    names = sorted(by_point)
    gone = {names[i] for i in rng.permutation(len(names))[: int(len(names) * HELD_OUT)]}
    kept, truth = _without(rounds, gone)
    book, plane = RoundBook.from_rounds(kept), Plane(rows[0].lat, rows[0].lon)
    stops = [(number, *plane.xy(s.lat, s.lon)) for number, r in enumerate(kept) for s in r.stops]
    of_round = np.array([each[0] for each in stops])
    x, y = np.array([each[1] for each in stops]), np.array([each[2] for each in stops])
    index = [{stop.stop_id: i for i, stop in enumerate(r.stops)} for r in kept]
    total = Score()
    for name in sorted(gone & truth.keys()):
        row, (number, at) = by_point[name], truth[name]
        east, north = (each + rng.normal(0.0, 1.0) * error_m for each in plane.xy(row.lat, row.lon))
        place = plane.latlon(float(east), float(north))
        began = time.perf_counter()
        found = book.locate_address(row.address(), *place)
        took_s = time.perf_counter() - began
        near = of_round[np.argsort(np.hypot(x - east, y - north))[:_NEIGHBOURS]]
        right = found.round_id == kept[number].round_id
        total += Score(
            placed=1,
            right=right,
            right_index=right and abs(_gap(found, index[number]) - at) <= _INDEX_WITHIN,
            nearest=bool(near[0] == number),
            of_five=bool(np.bincount(near).argmax() == number),
            flagged=found.ambiguous,
            flagged_right=found.ambiguous and right,
            seconds=took_s,
        )
    return total


def _without(rounds: Sequence[Round], gone: set[str]) -> tuple[list[Round], dict[str, tuple[int, int]]]:
    """Take stops out of rounds; tell of each its round, and before which of the stops that stay it was."""
    kept, truth = [], {}
    for number, each in enumerate(rounds):
        stays = [stop.delivery_point_id not in gone for stop in each.stops]
        before = [0, *accumulate(stays)]
        for stop, at in zip(each.stops, before, strict=False):
            if stop.delivery_point_id in gone:
                truth[str(stop.delivery_point_id)] = (number, at)
        left = tuple(stop for stop, stay in zip(each.stops, stays, strict=True) if stay)
        kept.append(replace(each, line=(), stops=left))
    return kept, truth


def _gap(found: Placement, index: Mapping[str, int]) -> int:
    return index[found.after_stop_id] + 1 if found.after_stop_id is not None else 0


def in_blocks(rows: Rows, count: int, seed: int) -> list[Round]:
    """Lay rounds out as `layout rounds` does."""
    del seed
    return lay_out_rounds(rows, site="bench", count=count)


def in_whole_streets(rows: Rows, count: int, seed: int) -> list[Round]:
    """Lay rounds out of whole streets that lie near each other."""
    del seed
    streets: dict[tuple[str, str], list[AddressRow]] = defaultdict(list)
    for row in rows:
        streets[row.citycode, street_key(row.street)].append(row)
    groups: list[list[AddressRow]] = [[]]
    for _, street in sorted(streets.items(), key=lambda each: (_band(each[1]), _mean_lon(each[1]), each[0])):
        if len(groups[-1]) > len(rows) / count:
            groups.append([])
        groups[-1] += street
    return _rounds(groups)


def in_sectors(rows: Rows, count: int, seed: int) -> list[Round]:
    """Lay rounds out as sectors around seeds (Lloyd's rounds of nearest middles), whatever streets they cut."""
    plane, rng = Plane(rows[0].lat, rows[0].lon), np.random.default_rng(seed)
    places = np.column_stack(plane.xy(np.array([r.lat for r in rows]), np.array([r.lon for r in rows])))
    middles: Array = places[rng.choice(len(places), count, replace=False)]
    nearest = np.zeros(len(places), dtype=np.intp)
    for _ in range(_SECTOR_STEPS):
        nearest = np.argmin(((places[:, None] - middles) ** 2).sum(axis=2), axis=1)
        middles = np.array(
            [places[nearest == k].mean(axis=0) if (nearest == k).any() else middles[k] for k in range(count)]
        )
    return _rounds([[rows[i] for i in np.flatnonzero(nearest == k).tolist()] for k in range(count)])


def in_sides(rows: Rows, count: int, seed: int) -> list[Round]:
    """Lay rounds out of whole streets, and give the even side of each to another round."""
    by_point = {f"dp-{row.address_id}": row for row in rows}
    whole = in_whole_streets(rows, max(count // 2, 1), seed)
    groups = [[by_point[str(stop.delivery_point_id)] for stop in each.stops] for each in whole]
    sides = [[row for row in group if (row.house_number or 0) % 2 == side] for group in groups for side in (1, 0)]
    return _rounds(sides)


LAYOUTS: Mapping[str, Layout] = {
    "blocks": in_blocks,
    "whole_streets": in_whole_streets,
    "sectors": in_sectors,
    "sides": in_sides,
}


def _rounds(groups: Sequence[Sequence[AddressRow]]) -> list[Round]:
    return [
        Round(f"T{number:02d}", (), tuple(map(_stop, sorted(group, key=_walking))), "bench")
        for number, group in enumerate((group for group in groups if group), 1)
    ]


def _stop(row: AddressRow) -> Stop:
    point_id = f"dp-{row.address_id}"
    return Stop(f"st-{row.address_id}", row.lat, row.lon, delivery_point_id=point_id, address=one_line(row.address()))


def _walking(row: AddressRow) -> tuple[str, bool, int, str]:
    """Order a street odd numbers up, then even numbers down."""
    number = row.house_number or 0
    return street_key(row.street), number % 2 == 0, number if number % 2 else -number, row.repetition or ""


def _band(street: Rows) -> int:
    return round(sum(row.lat for row in street) / len(street) * 300)


def _mean_lon(street: Rows) -> float:
    return sum(row.lon for row in street) / len(street)


def towns() -> dict[str, Rows]:
    """Read Bondy (BAN) and Belfort (BANO 90, commune 90010); without the data, make a town."""
    folder = data_folder()
    if folder is None:
        return {"generated": generated_rows()}
    every = {
        name: _rows(folder / path)
        for name, path in (("bondy", "ban_bondy/adresse_ban_bondy_93010.csv"), ("belfort", "bano/bano-90.csv"))
    }
    return {name: [row for row in rows if name != "belfort" or row.citycode == "90010"] for name, rows in every.items()}


def _rows(path: Any) -> list[AddressRow]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in read_addresses(lines) if isinstance(row, AddressRow)]


def generated_rows() -> list[AddressRow]:
    """Make a town of 24 crossing streets of 180 numbers."""
    plane, rows = Plane(46.5, 1.5), []
    for street in range(24):
        for number in range(1, 181):
            along, aside = 10.0 + number // 2 * 16, 6.0 if number % 2 else -6.0
            across = street % 12 * 120 + aside
            lat, lon = plane.latlon(*((along, across) if street < 12 else (across, along)))
            name, code = f"Rue {chr(65 + street)}{street * 37 % 100:02d}", "36990"
            rows.append(
                AddressRow(f"36990_{street:04d}_{number:05d}", number, None, name, "36960", "Valbourg", code, lat, lon)
            )
    return rows


def measure(rows: Rows, layout: str, *, seeds: Sequence[int], error_m: float) -> Score:
    """Measure one town, one way to lay rounds out, and one geocoding error."""
    total, count = Score(), max(2, round(len(rows) / A_ROUND))
    for seed in seeds:
        rounds = LAYOUTS[layout](rows, count, seed)
        total += held_out(rows, rounds, seed=seed, error_m=error_m)
    return total


def lines(*, cycles: int, full: bool) -> Iterator[dict[str, Any]]:
    """Write the figures of every town, layout and error; `cycles` sets of addresses, with `full` ten."""
    seeds = range(REPORTING, REPORTING + (10 if full else max(cycles, 1)))
    for town, rows in towns().items():
        for layout in LAYOUTS:
            for error_m in ERRORS_M:
                yield from _lines(
                    measure(rows, layout, seeds=seeds, error_m=error_m), town, layout, error_m, len(seeds)
                )


def _lines(found: Score, town: str, layout: str, error_m: float, sets: int) -> Iterator[dict[str, Any]]:
    conditions = {
        "town": town,
        "layout": layout,
        "error_m": error_m,
        "addresses": found.placed,
        "sets": sets,
        "cores": 1,
    }
    conditions |= {
        "right_index_percent": rounded(found.percent("right_index")),
        "nearest_percent": round(found.percent("nearest"), 2),
        "of_five_percent": round(found.percent("of_five"), 2),
        "flagged_percent": round(found.percent("flagged"), 2),
        "flagged_right_percent": round(100 * found.flagged_right / max(found.flagged, 1), 2),
        "unflagged_right_percent": round(found.unflagged_right_percent, 2),
    }
    right, nearest = round(found.percent("right"), 2), found.percent("nearest")
    yield {"bench": "assign", "metric": "right_round_percent", "value": right, "ratio_to": "nearest_percent",
           "ratio": rounded(right / max(nearest, 1e-9)), "conditions": conditions}  # fmt: skip
    speed = found.placed / max(found.seconds, 1e-9)
    yield {"bench": "assign", "metric": "queries_per_s", "value": rounded(speed), "ratio_to": "needed_per_s",
           "ratio": rounded(speed / 1_000), "conditions": {**conditions, "needed_per_s": 1_000}}  # fmt: skip


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print the lines."""
    for line in lines(cycles=cycles, full=full):
        show(line)
