"""What real tracks say about the simulation and the matcher: vehicles with hand-corrected routes, and delivery agents.

`traces_hof`: 263 vehicle tracks of Hof with the route that each really took. Their fixes beside that route give the
lateral error of real GPS; the route taken as a round without stops gives a matching test on real noise. Where a fix is
along the route nobody wrote down: the reference is the placing of all its fixes in order with the least squared distance,
which sees the whole track. `traces_agents`: six-minute pieces of delivery agents, on foot or driving, for speed and dwell.
"""

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from fieldsvc.bench.walks import OFF_M, SAME_PASS_M, nearest_places
from geo.matching import AT_STOP, ON_ROUND, Matcher
from geo.positions import Array, Fix
from geo.rounds import Round, project_in_order

PERCENTILES = (50, 90, 95, 99)
# Of the distance from a line when the error of each axis is normal: percentile over sigma.
NORMAL = {50: 0.6745, 90: 1.6449, 95: 1.96, 99: 2.5758}
STILL_MPS = 0.5
_LONGEST_CELL = 10_000_000


@dataclass(frozen=True, eq=False)
class Track:
    """The fixes of one vehicle, and the route it took as a round without stops."""

    route: Round
    fixes: Sequence[Fix]

    def places(self) -> tuple[Array, Array]:
        """Put the fixes on the plane of the route."""
        lats, lons = np.array([fix.lat for fix in self.fixes]), np.array([fix.lon for fix in self.fixes])
        return self.route.plane.xy(lats, lons)


@dataclass(frozen=True, slots=True)
class Matched:
    """Percentages of real fixes within 50 m along the route of where the order of all fixes puts them."""

    tracks: int
    fixes: int
    provisional: float
    confirmed: float
    nearest: float
    off_round: float


@dataclass(frozen=True, slots=True)
class Movement:
    """How somebody moves, from fixes five seconds apart: m/s, share of time under 0.5 m/s, seconds of a stay."""

    fixes: int
    speed_p50_mps: float
    speed_p90_mps: float
    still_share: float
    stay_p50_s: float
    stay_p90_s: float


def read_tracks(folder: Path) -> list[Track]:
    """Read the vehicle tracks of Hof; a track of fewer than two fixes is left out."""
    csv.field_size_limit(_LONGEST_CELL)
    with (folder / "ground_truth.csv").open(encoding="utf-8", newline="") as lines:
        routes = {row["id"]: _line(row["WKT"]) for row in csv.DictReader(lines)}
    with (folder / "points.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    tracks = []
    for track_id, points in groupby(rows, key=itemgetter("id")):
        fixes = sorted((_fix(row) for row in points), key=lambda fix: fix.fixed_at)
        if track_id in routes and len(fixes) > 1:
            tracks.append(Track(Round(f"hof-{track_id}", tuple(routes[track_id]), (), mode="van"), fixes))
    return tracks


def _fix(row: dict[str, str]) -> Fix:
    ((lon, lat),) = _line(row["geometry"])
    return Fix(lat, lon, datetime.fromisoformat(row["time"]))


def _line(text: str) -> list[tuple[float, float]]:
    """Read the positions of a WKT point or of its line strings, one after the other; the same place twice is one."""
    pairs = text[text.index("(") :].replace("(", "").replace(")", "").split(",")
    places = [(float(lon), float(lat)) for lon, lat in (pair.split() for pair in pairs)]
    return [place for i, place in enumerate(places) if i == 0 or place != places[i - 1]]


def lateral_errors_m(tracks: Sequence[Track]) -> Array:
    """Measure the distance of every fix from the route really taken."""
    return np.concatenate([nearest_places(track.route, *track.places())[1] for track in tracks])


def sigmas_m(errors_m: Array) -> dict[int, float]:
    """Say which sigma of a normal error each percentile would mean: all the same if the errors were normal."""
    return {p: float(np.percentile(errors_m, p)) / NORMAL[p] for p in PERCENTILES}


def correlations(tracks: Sequence[Track], gaps_s: Sequence[float]) -> list[float]:
    """Measure how alike the signed lateral errors of one track are so many seconds apart (within 2.5 s of each gap).

    Errors beyond 40 m are cut to it: a few wrong stretches would else be all that is seen. 0 where there are no such pairs.
    """
    pairs: list[list[tuple[float, float]]] = [[] for _ in gaps_s]
    for track in tracks:
        errors = signed_errors_m(track)
        at = np.array([fix.fixed_at.timestamp() for fix in track.fixes])
        for i, gap_s in enumerate(gaps_s):
            for k in range(len(at) - 1):
                other = int(np.searchsorted(at, at[k] + gap_s - 2.5))
                if other < len(at) and abs(at[other] - at[k] - gap_s) <= 2.5:
                    pairs[i].append((errors[k], errors[other]))
    return [float(np.corrcoef(np.array(each).T)[0, 1]) if len(each) > 1 else 0.0 for each in pairs]


def signed_errors_m(track: Track) -> Array:
    """Measure how far to the right of its route each fix is, at most 40 m either way."""
    x, y = track.places()
    vx, vy, cumulative = track.route.vertices
    k = np.clip(np.searchsorted(cumulative, nearest_places(track.route, x, y)[0], side="right") - 1, 0, len(vx) - 2)
    dx, dy = vx[k + 1] - vx[k], vy[k + 1] - vy[k]
    return np.clip(((x - vx[k]) * dy - (y - vy[k]) * dx) / np.maximum(np.hypot(dx, dy), 1e-9), -OFF_M, OFF_M)


def matched(tracks: Sequence[Track], *, accuracy_m: float | None = None) -> Matched:
    """Match every track to its own route, the reported accuracy unknown or as given."""
    parts = [_matched(track, accuracy_m) for track in tracks]
    provisional, confirmed, nearest, off = (np.concatenate(each) for each in zip(*parts, strict=True))
    percents = [100 * float(each.mean()) for each in (provisional, confirmed, nearest, off)]
    return Matched(len(tracks), len(provisional), *percents)


def _matched(track: Track, accuracy_m: float | None) -> tuple[Array, Array, Array, Array]:
    fixes = [Fix(fix.lat, fix.lon, fix.fixed_at, accuracy_m) for fix in track.fixes]
    found = Matcher(track.route, mode="van").replay(fixes)
    x, y = track.places()
    truth = project_in_order(track.route.vertices, (x, y))[0]
    by_time = {fix.fixed_at: place for fix, place in zip(fixes, truth.tolist(), strict=True)}
    answers = [
        [(match.status in {ON_ROUND, AT_STOP}, match.distance_along_m - by_time[match.fixed_at]) for match in matches]
        for matches in (
            [one.provisional for one in found if one.provisional],
            [one.confirmed for one in found if one.confirmed],
        )
    ]
    provisional, confirmed = (np.array([on and abs(by) <= SAME_PASS_M for on, by in each]) for each in answers)
    nearest = np.abs(nearest_places(track.route, x, y)[0] - truth) <= SAME_PASS_M
    off = np.array([not on for on, _ in answers[0]])
    return provisional.astype(float), confirmed.astype(float), nearest.astype(float), off.astype(float)


def movements(archive: Path) -> dict[str, Movement]:
    """Measure speed and stays of the delivery agents by label, `OnFoot` and `Driving`."""
    speeds: dict[str, list[float]] = defaultdict(list)
    stays: dict[str, list[float]] = defaultdict(list)
    for pieces in _pieces(archive):
        for label, steps in groupby(pieces, key=itemgetter(0)):
            held = list(steps)
            speeds[label] += [speed for _, speed, _ in held]
            for is_still, still in groupby(held, key=lambda step: step[1] < STILL_MPS):
                if is_still:
                    stays[label].append(sum(seconds for _, _, seconds in still))
    return {label: _movement(speeds[label], stays[label]) for label in sorted(speeds)}


def _movement(speeds: Sequence[float], stays: Sequence[float]) -> Movement:
    values = np.array(speeds)
    p50, p90 = np.percentile(values, (50, 90)).tolist()
    stay_p50, stay_p90 = np.percentile(stays, (50, 90)).tolist()
    return Movement(len(values), p50, p90, float((values < STILL_MPS).mean()), stay_p50, stay_p90)


def _pieces(archive: Path) -> Iterator[list[tuple[str, float, float]]]:
    """Yield each piece as steps (label, m/s, seconds); steps of more than 15 s are gaps and left out."""
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if not name.endswith(".csv"):
                continue
            rows = list(csv.DictReader(io.TextIOWrapper(opened.open(name), encoding="utf-8", newline="")))
            places = [
                (
                    datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp(),
                    float(row["x"]),
                    float(row["y"]),
                )
                for row in rows
            ]
            labels = [row["groundtruth"] for row in rows]
            steps = np.diff(np.array(places), axis=0)
            yield [
                (label, float(np.hypot(dx, dy) / dt), float(dt))
                for label, (dt, dx, dy) in zip(labels[1:], steps.tolist(), strict=True)
                if 0 < dt <= 15
            ]
