"""Walkable rounds over imported addresses, when an operator has none to bring.

Streets are cut into blocks of neighbouring numbers; blocks are divided into equal, compact areas by recursive bisection
(widest side first); in an area, blocks follow a cheap tour (nearest neighbour, then 2-opt), each walked odd numbers up
and even numbers down, or the other way round where that is nearer. No randomness: the same addresses give the same rounds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from statistics import median

import numpy as np

from geo.address_files import AddressRow
from geo.address_parser import one_line
from geo.errors import TooFewAddresses
from geo.positions import Array, Plane
from geo.rounds import Round, Stop
from geo.street_words import street_key

_BLOCK_STOPS = 36
_GAP_M = 150.0
_TWO_OPT_PASSES = 12


@dataclass(frozen=True, slots=True)
class _Door:
    row: AddressRow
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _Block:
    """Doors walked together, in their order; `cut` is the middle of the block."""

    doors: tuple[_Door, ...]
    x: float
    y: float

    @property
    def gates(self) -> tuple[_Door, _Door]:
        return self.doors[0], self.doors[-1]


def lay_out_rounds(
    addresses: Iterable[AddressRow], *, site: str, count: int, mode: str = "foot", prefix: str = "T"
) -> list[Round]:
    """Divide addresses into `count` rounds of about equal size; every address is one stop of one round.

    Rounds are named `T01`…; `stop_id` and `delivery_point_id` come from the address id, so that a second layout keeps
    them. Raise TooFewAddresses when there are fewer addresses than rounds.
    """
    rows = sorted(addresses, key=_sort_key)
    if count < 1 or len(rows) < count:
        raise TooFewAddresses(f"{len(rows)} addresses cannot make {count} rounds.")
    plane = Plane(median(row.lat for row in rows), median(row.lon for row in rows))
    blocks = _blocks([_Door(row, *plane.xy(row.lat, row.lon)) for row in rows], at_most=max(len(rows) // count // 4, 1))
    areas = _areas(blocks, count)
    areas.sort(key=lambda area: (-round(_middle(area)[1] / 500), _middle(area)[0]))
    width = max(2, len(str(count)))
    seen: Counter[str] = Counter()
    return [
        _as_round(_walk(area), f"{prefix}{i:0{width}d}", seen=seen, site=site, mode=mode)
        for i, area in enumerate(areas, 1)
    ]


def _sort_key(row: AddressRow) -> tuple[str, str, int, str, str]:
    return row.citycode, street_key(row.street), row.house_number or 0, row.repetition or "", row.address_id


def _blocks(doors: Sequence[_Door], *, at_most: int) -> list[_Block]:
    streets: dict[tuple[str, str], list[_Door]] = defaultdict(list)
    for door in doors:
        streets[door.row.citycode, street_key(door.row.street)].append(door)
    size = min(_BLOCK_STOPS, at_most)
    return [_block(part) for street in streets.values() for run in _runs(street) for part in _parts(run, size)]


def _runs(street: Sequence[_Door]) -> list[list[_Door]]:
    """Cut a street, sorted by number, where a side jumps: both sides are walked together only where both are near."""
    runs: list[list[_Door]] = []
    for door in street:
        for run in reversed(runs):
            if any(hypot(door.x - other.x, door.y - other.y) <= _GAP_M for other in run[-6:]):
                run.append(door)
                break
        else:
            runs.append([door])
    return runs


def _parts(run: Sequence[_Door], size: int) -> list[Sequence[_Door]]:
    pieces = -(-len(run) // size)
    edges = [len(run) * i // pieces for i in range(pieces + 1)]
    return [run[low:high] for low, high in pairwise(edges)]


def _block(doors: Sequence[_Door]) -> _Block:
    """Order the doors of a block: odd numbers up, then even numbers down; doors without a number first, by place."""
    bare = sorted((d for d in doors if d.row.house_number is None), key=lambda d: (d.x, d.y))
    odd = [d for d in doors if d.row.house_number is not None and d.row.house_number % 2]
    even = [d for d in doors if d.row.house_number is not None and d.row.house_number % 2 == 0]
    ordered = (*bare, *odd, *reversed(even))
    return _Block(ordered, sum(d.x for d in ordered) / len(ordered), sum(d.y for d in ordered) / len(ordered))


def _weight(blocks: Sequence[_Block]) -> int:
    return sum(len(block.doors) for block in blocks)


def _middle(blocks: Sequence[_Block]) -> tuple[float, float]:
    total = _weight(blocks)
    return sum(b.x * len(b.doors) for b in blocks) / total, sum(b.y * len(b.doors) for b in blocks) / total


def _areas(blocks: list[_Block], count: int) -> list[list[_Block]]:
    """Divide blocks into `count` areas of nearly equal weight: halve across the wider side, again and again."""
    if count == 1:
        return [blocks]
    xs, ys = np.array([b.x for b in blocks]), np.array([b.y for b in blocks])
    weights = np.array([len(b.doors) for b in blocks])
    across = xs if _spread(xs, weights) >= _spread(ys, weights) else ys
    order = np.lexsort((ys, xs, across))
    left = count // 2
    before = np.cumsum(weights[order])
    goal = before[-1] * left / count
    at = int(np.argmin(np.abs(before[:-1] - goal))) + 1 if len(blocks) > 1 else 1
    at = min(max(at, left), len(blocks) - (count - left))
    first, second = [blocks[i] for i in order[:at]], [blocks[i] for i in order[at:]]
    return [*_areas(first, left), *_areas(second, count - left)]


def _spread(values: Array, weights: Array) -> float:
    middle = np.average(values, weights=weights)
    return float(np.average((values - middle) ** 2, weights=weights))


def _walk(blocks: Sequence[_Block]) -> list[_Door]:
    """Order the blocks of an area and turn each the way that makes the steps between blocks short."""
    order = _two_opt(_gaps(blocks), _nearest_neighbours(_gaps(blocks), _north_west(blocks)))
    turned = _turned([blocks[i] for i in order])
    return [door for doors in turned for door in doors]


def _north_west(blocks: Sequence[_Block]) -> int:
    return min(range(len(blocks)), key=lambda i: (blocks[i].x - blocks[i].y, i))


def _gaps(blocks: Sequence[_Block]) -> Array:
    """Measure the step between the nearest ends of each two blocks."""
    ends = np.array([[(gate.x, gate.y) for gate in block.gates] for block in blocks])
    steps = np.hypot(*np.moveaxis(ends[:, None, :, None] - ends[None, :, None, :], -1, 0))
    return np.asarray(steps.min(axis=(2, 3)), dtype=np.float64)


def _nearest_neighbours(gaps: Array, start: int) -> list[int]:
    left = gaps.copy()
    left[:, start] = np.inf
    order = [start]
    for _ in range(len(gaps) - 1):
        order.append(int(np.argmin(left[order[-1]])))
        left[:, order[-1]] = np.inf
    return order


def _two_opt(gaps: Array, order: list[int]) -> list[int]:
    """Reverse stretches of an open tour while that shortens it, for a bounded number of passes."""
    for _ in range(_TWO_OPT_PASSES):
        better = False
        for i in range(len(order) - 2):
            tour = np.array(order)
            here, ahead = tour[i], tour[i + 1]
            ends = tour[i + 2 :]
            gain = gaps[here, ahead] - gaps[here, ends]
            gain[:-1] += gaps[ends[:-1], ends[1:]] - gaps[ahead, ends[1:]]
            best = int(np.argmax(gain))
            if gain[best] > 1e-6:
                last = i + 2 + best
                order[i + 1 : last + 1] = reversed(order[i + 1 : last + 1])
                better = True
        if not better:
            break
    return order


def _ways(block: _Block) -> list[tuple[_Door, ...]]:
    """List the ways to walk a block: odd up and even down from either end; one side alone, up or down."""
    odd_up = [d for d in block.doors if (d.row.house_number or 1) % 2]
    even_down = [d for d in block.doors if not (d.row.house_number or 1) % 2]
    if not odd_up or not even_down:
        return [block.doors, block.doors[::-1]]
    return [block.doors, (*even_down, *odd_up)]


def _turned(blocks: Sequence[_Block]) -> list[tuple[_Door, ...]]:
    """Choose the way of each block that makes the walk shortest: a dynamic programme over the ways of the one before."""
    ways = [_ways(block) for block in blocks]
    cost, back = [0.0] * len(ways[0]), []
    for before, here in pairwise(ways):
        steps = [[cost[i] + _step(a, b) for i, a in enumerate(before)] for b in here]
        back.append([min(range(len(row)), key=row.__getitem__) for row in steps])
        cost = [min(row) for row in steps]
    chosen = [min(range(len(cost)), key=cost.__getitem__)]
    for row in reversed(back):
        chosen.append(row[chosen[-1]])
    return [options[i] for options, i in zip(ways, reversed(chosen), strict=True)]


def _step(before: Sequence[_Door], after: Sequence[_Door]) -> float:
    return hypot(before[-1].x - after[0].x, before[-1].y - after[0].y)


def _as_round(doors: Sequence[_Door], round_id: str, *, seen: Counter[str], site: str, mode: str) -> Round:
    stops = []
    for i, door in enumerate(doors, 1):
        row = door.row
        seen[row.address_id] += 1
        again = f".{seen[row.address_id]}" if seen[row.address_id] > 1 else ""
        name = f"{row.address_id}{again}"
        text = one_line(row.address())
        stops.append(Stop(f"st-{name}", row.lat, row.lon, delivery_point_id=f"dp-{name}", address=text, sequence=i))
    line = tuple(
        (s.lon, s.lat) for i, s in enumerate(stops) if i == 0 or (s.lon, s.lat) != (stops[i - 1].lon, stops[i - 1].lat)
    )
    streets = Counter(door.row.street for door in doors)
    return Round(
        round_id, line if len(line) > 1 else (), tuple(stops), site, mode, min(streets, key=lambda s: (-streets[s], s))
    )
