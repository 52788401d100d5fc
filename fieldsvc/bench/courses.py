"""Planned rounds on real street geometry, of the two kinds that are hardest to match: the same seed gives the same rounds.

`both_sides`: every street of a compact, connected piece of town is walked out and back, one side each way, in one
depth-first tour that goes straight on where it can. `zigzag`: one pass over every street serves both sides; where streets
meet in odd numbers the way between is walked twice, the second time without stops (a Chinese postman's tour, its pairs
chosen greedily). About 10 km with a stop every 18 m; country rounds of a van about 60 km with a stop at each place.

The line is the street's centreline, so the two passes of a street lie on each other to the centimetre. Bondy has no
street graph here: its rounds are laid out over the addresses, odd side up and even side down (`both_sides`), or crossing
from number to number (`zigzag`), and their line is drawn through the doors.
"""

import heapq
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from fieldsvc.bench.streets import Rng, Streets, comb, country, grid, read_graphml
from geo.address_files import AddressRow, read_addresses
from geo.layout import lay_out_rounds
from geo.positions import Array
from geo.rounds import Round, Stop
from geo.street_words import street_key

KINDS = ("both_sides", "zigzag")
GENERATED = ("grid", "comb")
REAL = ("maisons_laffitte", "st_ger", "bondy")
COUNTRY = {"lozere": "bano-48.csv", "hautes_alpes": "bano-05.csv"}
LENGTH_M, COUNTRY_LENGTH_M = 10_000.0, 60_000.0
SPACING_M = 18.0
TO_THE_SIDE_M = 6.0
_BONDY_ROUNDS = 15
_PLACES = 600

Pass = tuple[int, int, bool]  # number of a street, the node one comes from, whether its stops are served


def data_folder() -> Path | None:
    """Find the real data that `FIELDSVC_TEST_DATA` names; None without it."""
    folder = os.environ.get("FIELDSVC_TEST_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


def courses(
    town: str, kind: str, *, count: int, seed: int, sided: bool = False, data: Path | None = None
) -> list[Round]:
    """Lay `count` rounds of one kind in a town.

    Towns: `grid` and `comb` are generated from the seed; `maisons_laffitte`, `st_ger` and `bondy` are real; `lozere` and
    `hautes_alpes` are country rounds of a van over real addresses. `sided` puts the stops 6 m to the side that is served
    and says so in `Stop.side` (`left`, `right`); otherwise they lie on the centreline. Not for Bondy, whose stops are its doors.
    ValueError for an unknown town or kind; FileNotFoundError when a real town is asked for without its data.
    """
    if kind not in KINDS:
        raise ValueError(f"kinds of rounds: {', '.join(KINDS)}")
    if town == "bondy":
        return _over_addresses(
            _rows(_under(data) / "ban_bondy" / "adresse_ban_bondy_93010.csv"), kind, count, seed=seed
        )
    rounds = []
    for number in range(count):
        rng = np.random.default_rng((seed, number, KINDS.index(kind)))
        network = _network(town, seed + number, data)
        round_id = f"{town}-{kind}-{seed}-{number}"
        rounds.append(round_on(network, kind, rng, round_id=round_id, sided=sided, is_country=town in COUNTRY))
    return rounds


def _network(town: str, seed: int, data: Path | None) -> Streets:
    if town in GENERATED:
        return grid(seed) if town == "grid" else comb(seed)
    if town in COUNTRY:
        return country(_rows(_under(data) / "bano" / COUNTRY[town]), name=town, seed=seed, places=_PLACES)
    if town in REAL:
        return _read_once(_under(data) / "streets" / f"{town}.graphml")
    raise ValueError(f"towns: {', '.join((*GENERATED, *REAL, *COUNTRY))}")


def _under(data: Path | None) -> Path:
    folder = data or data_folder()
    if folder is None:
        raise FileNotFoundError("FIELDSVC_TEST_DATA names no folder of real data.")
    return folder


@cache
def _read_once(path: Path) -> Streets:
    return read_graphml(path)


@cache
def _rows(path: Path) -> tuple[AddressRow, ...]:
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(row for row in read_addresses(lines) if isinstance(row, AddressRow))


def round_on(
    network: Streets, kind: str, rng: Rng, *, round_id: str, sided: bool = False, is_country: bool = False
) -> Round:
    """Take a compact piece around a node, and make its tour about as long as a round is: two tries at the length."""
    tour_of = out_and_back if kind == "both_sides" else _postman
    goal_m = COUNTRY_LENGTH_M if is_country else LENGTH_M
    start = int(rng.choice(sorted(network.at_node)))
    metres, tour = goal_m * (0.5 if kind == "both_sides" else 0.75), []
    for _ in range(2):
        piece = compact_piece(network, start, metres)
        tour = tour_of(network, piece, start)
        metres *= goal_m / sum(network.streets[street].length_m for street, _, _ in tour)
    if is_country:
        return drawn(network, tour, round_id, mode="van", stops=_at_nodes(network, tour))
    stops = stops_along(network, tour, rng, alternate=kind == "zigzag", sided=sided)
    return drawn(network, tour, round_id, mode="foot", stops=stops)


def compact_piece(network: Streets, start: int, metres: float) -> list[int]:
    """Take the streets nearest to a node, over the streets themselves, until they are so long together; connected."""
    reached = _distances(network, start, range(len(network.streets)))
    keys = []
    for number, street in enumerate(network.streets):
        near = min(reached.get(street.a, np.inf), reached.get(street.b, np.inf))
        keys.append((near + street.length_m, number))
    piece, total = [], 0.0
    for _, number in sorted(keys):
        if total >= metres:
            break
        piece.append(number)
        total += network.streets[number].length_m
    return piece


def _distances(network: Streets, start: int, piece: Sequence[int]) -> dict[int, float]:
    return {node: metres for node, (metres, _) in _ways(network, start, frozenset(piece)).items()}


def _ways(network: Streets, start: int, piece: frozenset[int]) -> dict[int, tuple[float, int]]:
    """Find the metres to each node of a piece, and the street by which one arrives (-1 at the start)."""
    found: dict[int, tuple[float, int]] = {}
    todo = [(0.0, start, -1)]
    while todo:
        metres, here, by = heapq.heappop(todo)
        if here in found:
            continue
        found[here] = metres, by
        for number in network.at_node[here]:
            street = network.streets[number]
            if number in piece and street.end(here) not in found:
                heapq.heappush(todo, (metres + street.length_m, street.end(here), number))
    return found


def out_and_back(network: Streets, piece: Sequence[int], start: int) -> list[Pass]:
    """Walk a piece depth first, straight on where one can: each street once each way, the second time back."""
    left, known = set(piece), {start}
    tour: list[Pass] = []
    stack: list[tuple[int, int, Iterator[int]]] = [(start, -1, iter(_straight_first(network, start, -1)))]
    while stack:
        here, by, choices = stack[-1]
        number = next((street for street in choices if street in left), None)
        if number is None:
            stack.pop()
            if by >= 0:
                tour.append((by, here, True))
            continue
        left.remove(number)
        there = network.streets[number].end(here)
        tour.append((number, here, True))
        if there in known:
            tour.append((number, there, True))
            continue
        known.add(there)
        stack.append((there, number, iter(_straight_first(network, there, number))))
    return tour


def _straight_first(network: Streets, here: int, by: int) -> list[int]:
    """Order the streets of a node by how little one turns who comes by `by`."""
    if by < 0:
        return network.at_node[here]
    came = -_heading(network, by, here)
    return sorted(network.at_node[here], key=lambda number: (-float(came @ _heading(network, number, here)), number))


def _heading(network: Streets, number: int, start: int) -> Array:
    points = network.streets[number].points_from(start)
    away: Array = points[1] - points[0]
    return away / max(float(np.hypot(*away)), 1e-9)


def _postman(network: Streets, piece: Sequence[int], start: int) -> list[Pass]:
    """Walk a piece in one closed tour (Hierholzer), streets doubled along the shortest ways between odd nodes."""
    copies = Counter(piece)
    degree = Counter(end for number in piece for end in (network.streets[number].a, network.streets[number].b))
    odd = sorted(node for node, count in degree.items() if count % 2)
    inside = frozenset(piece)
    ways = {node: _ways(network, node, inside) for node in odd}
    pairs = sorted((ways[a][b][0], a, b) for i, a in enumerate(odd) for b in odd[i + 1 :])
    for _, a, b in pairs:
        if a in ways and b in ways:
            copies.update(_way_back(network, ways.pop(a), b))
            del ways[b]
    walk, served = _circuit(network, copies, start), set[int]()
    tour = []
    for number, node in walk:
        tour.append((number, node, number not in served))
        served.add(number)
    return tour


def _way_back(network: Streets, ways: dict[int, tuple[float, int]], end: int) -> list[int]:
    found = []
    while (by := ways[end][1]) >= 0:
        found.append(by)
        end = network.streets[by].end(end)
    return found


def _circuit(network: Streets, copies: Counter[int], start: int) -> list[tuple[int, int]]:
    """Walk every copy of every street once, back to the start: (street, node one comes from)."""
    left, stack, done = copies.copy(), [(start, -1)], []
    while stack:
        here, by = stack[-1]
        number = next((n for n in _straight_first(network, here, by) if left[n] > 0), None)
        if number is None:
            done.append(stack.pop())
            continue
        left[number] -= 1
        stack.append((network.streets[number].end(here), number))
    done.reverse()
    return [(by, before) for (before, _), (_, by) in pairwise(done)]


Places = list[tuple[float, float, str | None]]  # x, y, side


def stops_along(network: Streets, tour: Sequence[Pass], rng: Rng, *, alternate: bool, sided: bool) -> Places:
    """Put a stop every 18 m or so along what is served, on the right, or on either side by chance."""
    places: Places = []
    due = float(rng.uniform(0.3, 1.0)) * SPACING_M
    for number, start, is_served in tour:
        if not is_served:
            continue
        points = network.streets[number].points_from(start)
        at = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
        while due < at[-1]:
            right = not (alternate and rng.random() < 0.5)
            k = int(np.searchsorted(at, due, side="right")) - 1
            step = (points[k + 1] - points[k]) / (at[k + 1] - at[k])
            x, y = points[k] + step * (due - at[k])
            aside = (TO_THE_SIDE_M if right else -TO_THE_SIDE_M) if sided else 0.0
            places.append((x + step[1] * aside, y - step[0] * aside, ("right" if right else "left") if sided else None))
            due += float(rng.uniform(0.4, 1.6)) * SPACING_M
        due -= float(at[-1])
    return places


def _at_nodes(network: Streets, tour: Sequence[Pass]) -> Places:
    """Put a stop at each node where one comes for the first time."""
    seen, places = set[int](), Places()
    for number, start, _ in tour:
        for node in (start, network.streets[number].end(start)):
            if node not in seen:
                seen.add(node)
                places.append((*network.nodes[node].tolist(), None))
    return places


def drawn(network: Streets, tour: Sequence[Pass], round_id: str, *, mode: str, stops: Places) -> Round:
    """Make the round of a tour: its line along the middle of the streets, and these stops."""
    points = np.concatenate([network.streets[number].points_from(start) for number, start, _ in tour])
    keep = np.concatenate(([True], np.hypot(*np.diff(points, axis=0).T) > 0.2))
    latlon = network.plane.latlon
    line = tuple((lon, lat) for lat, lon in (latlon(float(x), float(y)) for x, y in points[keep]))
    made = []
    for number, (x, y, side) in enumerate(stops, 1):
        lat, lon = latlon(float(x), float(y))
        made.append(Stop(f"st-{number:04d}", lat, lon, side, sequence=number))
    return Round(round_id, line, tuple(made), network.name, mode, network.name)


def _over_addresses(rows: Sequence[AddressRow], kind: str, count: int, *, seed: int) -> list[Round]:
    """Choose among the laid-out rounds of a town; `zigzag` walks each street of a round by rising number."""
    rounds = _laid_out(tuple(rows))
    chosen = np.random.default_rng(seed).permutation(len(rounds))[:count].tolist()
    if kind == "both_sides":
        return [rounds[i] for i in chosen]
    street = {f"dp-{row.address_id}": (row.street, row.house_number or 0, row.repetition or "") for row in rows}
    return [_crossing(rounds[i], street) for i in chosen]


@cache
def _laid_out(rows: tuple[AddressRow, ...]) -> list[Round]:
    return lay_out_rounds(rows, site="bondy", count=_BONDY_ROUNDS)


def _crossing(rnd: Round, street: dict[str, tuple[str, int, str]]) -> Round:
    def of(stop: Stop) -> tuple[str, int, str]:
        return street.get(stop.delivery_point_id or "", ("", 0, ""))

    stops: list[Stop] = []
    for _, block in groupby(rnd.stops, key=lambda stop: street_key(of(stop)[0])):
        rising = sorted(block, key=lambda stop: of(stop)[1:])
        stops += rising if not stops or _nearer(stops[-1], rising) else rising[::-1]
    places = [(stop.lon, stop.lat) for stop in stops]
    line = tuple(place for i, place in enumerate(places) if i == 0 or place != places[i - 1])
    return Round(f"{rnd.round_id}-zigzag", line, tuple(stops), rnd.site, rnd.mode, rnd.name)


def _nearer(here: Stop, row: Sequence[Stop]) -> bool:
    first, last = (abs(here.lat - end.lat) + 0.66 * abs(here.lon - end.lon) for end in (row[0], row[-1]))
    return first <= last
