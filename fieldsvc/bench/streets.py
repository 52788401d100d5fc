"""Networks of streets to lay rounds on: real towns, generated ones, and country roads over real addresses. Pure but for the reading.

A real town is an OSMnx GraphML file (nodes, edges with their geometry) cut to the streets that a carrier serves. The
generated ones need no data: `grid` is a jittered grid with missing blocks, bends and dead ends, `comb` is parallel
streets off one main street, each a dead end. `country` joins addresses by the relative neighbourhood graph (two places
are joined when none is nearer to both), which looks like the roads of a valley, and bends what is longer than 120 m.
"""

import ast
import xml.etree.ElementTree as ET
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from geo.address_files import AddressRow
from geo.positions import Array, Plane

SERVED = frozenset(
    "residential living_street unclassified tertiary secondary primary pedestrian road tertiary_link".split()
)
_GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"
_FIELDS = {"x", "y", "highway", "name", "service", "geometry"}
_BEND_FROM_M = 120.0
_SAME_PLACE_M, _LONGEST_ROAD_M = 25.0, 12_000.0
_BLOCK_M, _STUB_M = (130.0, 90.0), (40.0, 110.0)

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Street:
    """One piece of street between two nodes; `points` is k x 2 metres, from node `a` to node `b`."""

    a: int
    b: int
    points: Array

    @cached_property
    def length_m(self) -> float:
        """Length along the points."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    def end(self, start: int) -> int:
        """Find the other end."""
        return self.b if start == self.a else self.a

    def points_from(self, start: int) -> Array:
        """Give the points in the order of somebody who comes from `start`."""
        return self.points if start == self.a else self.points[::-1]


@dataclass(frozen=True, eq=False)
class Streets:
    """A connected network: metres on a plane, and streets by number."""

    name: str
    plane: Plane
    nodes: Array
    streets: Sequence[Street]

    @cached_property
    def at_node(self) -> dict[int, list[int]]:
        """The numbers of the streets that meet at each node."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, street in enumerate(self.streets):
            for node in {street.a, street.b}:
                found[node].append(number)
        return found


def read_graphml(path: Path) -> Streets:
    """Read an OSMnx GraphML file: the largest connected part of the streets that are served, each once."""
    root = ET.parse(path).getroot()  # noqa: S314 - a file of our own, and the parser expands no external entity
    keys = {key.get("id"): key.get("attr.name") for key in root.iter(f"{_GRAPHML}key")}
    nodes = {node.get("id"): _values(node, keys) for node in root.iter(f"{_GRAPHML}node")}
    ids = list(nodes)
    lats, lons = (np.array([float(nodes[i][name]) for i in ids]) for name in "yx")
    plane = Plane(float(lats.mean()), float(lons.mean()))
    places = np.column_stack(plane.xy(lats, lons))
    number = {i: k for k, i in enumerate(ids)}
    streets, seen = [], set()
    for edge in root.iter(f"{_GRAPHML}edge"):
        values = _values(edge, keys)
        a, b = number[edge.get("source")], number[edge.get("target")]
        if not _is_served(values):
            continue
        street = Street(a, b, _shape(values.get("geometry"), plane, places[[a, b]]))
        mark = (min(a, b), max(a, b), round(street.length_m))
        if mark not in seen and street.length_m > 1:
            seen.add(mark)
            streets.append(street)
    return largest(Streets(path.stem, plane, places, streets))


def _values(element: ET.Element, keys: dict[str | None, str | None]) -> dict[str, str]:
    found = ((keys[data.get("key")], data.text) for data in element.iter(f"{_GRAPHML}data"))
    return {name: text for name, text in found if name in _FIELDS and text}


def _is_served(values: dict[str, str]) -> bool:
    kind = values.get("highway", "")
    kinds = set(ast.literal_eval(kind)) if kind.startswith("[") else {kind}
    return bool(kinds & SERVED) or (
        "service" in kinds and "name" in values and "parking" not in values.get("service", "")
    )


def _shape(text: str | None, plane: Plane, ends: Array) -> Array:
    if not text:
        return ends
    pairs = text[text.index("(") + 1 : text.rindex(")")].split(",")
    points = np.array([pair.split() for pair in pairs], dtype=np.float64)
    return np.column_stack(plane.xy(points[:, 1], points[:, 0]))


def largest(network: Streets) -> Streets:
    """Keep the connected part with the most streets."""
    part = np.full(len(network.nodes), -1)
    for start in network.at_node:
        if part[start] < 0:
            for node in _reached(network, start):
                part[node] = start
    sizes = np.bincount([part[street.a] for street in network.streets])
    kept = [street for street in network.streets if part[street.a] == int(np.argmax(sizes))]
    return Streets(network.name, network.plane, network.nodes, kept)


def _reached(network: Streets, start: int) -> set[int]:
    found, todo = {start}, deque([start])
    while todo:
        here = todo.popleft()
        for number in network.at_node[here]:
            there = network.streets[number].end(here)
            if there not in found:
                found.add(there)
                todo.append(there)
    return found


def grid(seed: int, *, columns: int = 11, rows: int = 13) -> Streets:
    """Make a town of jittered blocks of 130 x 90 m: one block side in seven is missing, one in three bends, dead ends."""
    rng = np.random.default_rng((seed, 1))
    across, up = np.meshgrid(np.arange(columns), np.arange(rows))
    nodes = np.column_stack((across.ravel() * _BLOCK_M[0], up.ravel() * _BLOCK_M[1]))
    nodes = nodes + rng.normal(0, 11, nodes.shape)
    pairs = [(k, k + 1) for k in range(len(nodes)) if (k + 1) % columns]
    pairs += [(k, k + columns) for k in range(len(nodes) - columns)]
    kept = [pair for pair in pairs if rng.random() > 1 / 7]
    streets = [Street(a, b, _bent(nodes[[a, b]], rng, 9.0 if rng.random() < 1 / 3 else 0.0)) for a, b in kept]
    return largest(_with_dead_ends(Streets("grid", Plane(46.5, 1.5), nodes, streets), rng, every=6))


def comb(seed: int, *, teeth: int = 34) -> Streets:
    """Make a town of one main street with a dead end of 180-420 m on either side each 45-80 m."""
    rng = np.random.default_rng((seed, 2))
    x = np.cumsum(rng.uniform(45, 80, teeth))
    ends = rng.uniform(180, 420, teeth) * np.where(np.arange(teeth) % 2, 1, -1)
    nodes = np.concatenate((np.column_stack((x, rng.normal(0, 5, teeth))), np.column_stack((x, ends))))
    pairs = [*pairwise(range(teeth)), *((k, k + teeth) for k in range(teeth))]
    streets = [Street(a, b, _bent(nodes[[a, b]], rng, 6.0)) for a, b in pairs]
    return Streets("comb", Plane(46.5, 1.5), nodes, streets)


def _with_dead_ends(network: Streets, rng: Rng, *, every: int) -> Streets:
    nodes, streets = list(network.nodes), list(network.streets)
    for start in rng.choice(len(nodes), len(nodes) // every, replace=False).tolist():
        turn, long_m = rng.uniform(0, 2 * np.pi), rng.uniform(*_STUB_M)
        nodes.append(nodes[start] + long_m * np.array([np.cos(turn), np.sin(turn)]))
        streets.append(Street(start, len(nodes) - 1, _bent(np.array([nodes[start], nodes[-1]]), rng, 6.0)))
    return Streets(network.name, network.plane, np.array(nodes), streets)


def _bent(ends: Array, rng: Rng, by_m: float) -> Array:
    """Put three points between two ends, off the straight line."""
    if by_m <= 0:
        return ends
    inner = ends[0] + (ends[1] - ends[0]) * np.array([[0.25], [0.5], [0.75]])
    return np.concatenate((ends[:1], inner + rng.normal(0, by_m, inner.shape), ends[1:]))


def country(rows: Sequence[AddressRow], *, name: str, seed: int, places: int = 450) -> Streets:
    """Join the addresses around one of them by roads; within 25 m of each other they are one place; no road of 12 km or more."""
    rng = np.random.default_rng((seed, 3))
    middle = rows[int(rng.integers(len(rows)))]
    plane = Plane(middle.lat, middle.lon)
    xy = np.column_stack(plane.xy(np.array([r.lat for r in rows]), np.array([r.lon for r in rows])))
    nearest = xy[np.argsort(np.hypot(*xy.T), kind="stable")]
    nodes = _thinned(nearest, places)
    streets = [
        Street(a, b, _road(nodes[[a, b]], rng))
        for a, b in _neighbours(nodes)
        if np.hypot(*(nodes[a] - nodes[b])) < _LONGEST_ROAD_M
    ]
    return largest(Streets(name, plane, nodes, streets))


def _thinned(points: Array, at_most: int) -> Array:
    kept: list[Array] = []
    for point in points:
        if not kept or np.hypot(*(np.array(kept) - point).T).min() >= _SAME_PLACE_M:
            kept.append(point)
        if len(kept) == at_most:
            break
    return np.array(kept)


def _neighbours(nodes: Array) -> Iterator[tuple[int, int]]:
    """Yield the pairs of the relative neighbourhood graph (Toussaint 1980)."""
    apart = np.hypot(*(nodes[:, None] - nodes[None]).transpose(2, 0, 1))
    for a in range(len(nodes)):
        between = np.maximum(apart[a][:, None], apart).min(
            axis=0, where=np.arange(len(nodes))[:, None] != a, initial=1e12
        )
        for b in range(a + 1, len(nodes)):
            if apart[a, b] <= between[b]:
                yield a, b


def _road(ends: Array, rng: Rng) -> Array:
    """Bend a road: halve it while its pieces are long, each middle off the line by a tenth of the piece."""
    points = ends
    while (pieces := np.hypot(*np.diff(points, axis=0).T)).max() > _BEND_FROM_M:
        middles = (points[:-1] + points[1:]) / 2 + rng.normal(0, 0.1, (len(points) - 1, 2)) * pieces[:, None]
        points = np.insert(points, np.arange(1, len(points)), middles, axis=0)
    return points
