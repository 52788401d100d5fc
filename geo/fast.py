"""The filter of `geo.belief` compiled, over a whole run or on from a state by some fixes: what the optional extra `fast` (numba) is for.

It is the same model with the same figures, and tests hold the two against each other. What is believed after the last fixes is kept
in a ring of `lag` + 1 rows: codes, chances, and what is needed to go back from each to the one before. A round is read by its vertices
(`geo.fast_line`): its places are never laid out.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import local
from typing import Any, NamedTuple

import numpy as np

from geo.belief import Belief
from geo.course import cut
from geo.fast_parts import AT, EVIDENCE, GONE, ROOM, SEEN, SINCE, X, Y
from geo.fast_rounds import nodes_of, slid
from geo.fast_run import FIGURES, go_on
from geo.fast_state import body_of, read_body
from geo.motion import Model, tables
from geo.positions import Array, Fix
from geo.rounds import Round
from geo.sight import Point, heading_of, is_sharp, sigma_of
from geo.state import Dwell, Known, State
from geo.telling import Place

__all__ = ["body_of", "follow", "nodes_of", "read_body", "rehearse", "slid"]

_LONG_AGO_S = 1e12
_NO_HEADING = 0.0, 0.0
_SOURCES = "belief", "course", "motion", "positions", "sight", "state"  # whose figures are compiled in
_rooms = local()


class How(NamedTuple):
    """How a run is followed: the figures, the lag in fixes, the usual pace; without `keeps` nothing of the new state is wanted."""

    model: Model
    lag: int
    usual_mps: float
    keeps: bool = True


class Followed(NamedTuple):
    """What some fixes gave: for each the place believed then (with its evidence in nats) and that of the fix `lag` earlier, if any.

    `known` are the rows of the new state that are new, and `pace_mps` to `standing` its members.
    """

    now: list[tuple[Place, float]]
    later: list[Place | None]
    known: list[Known]
    pace_mps: float
    sure_m: float
    standing: Dwell


def follow(rnd: Round, how: How, state: State, fixes: Sequence[Fix], *, before: float | None = None) -> Followed:
    """Go on from a state by usable fixes in order of time, all newer than it; `before` is the moment of the fix before them.

    The state holds `lag` fixes at most (1 without a lag), and is of this line.
    """
    (step_m, n), plane, lag, held = cut(rnd.length_m), rnd.plane, how.lag, len(state.known)
    rows = _rows_of(fixes, how.model, before)
    room, ring = _room(n, max(lag, 1) + 1, max([ROOM, *(len(known.belief.codes) for known in state.known)]))
    _load(ring, state.known)
    carried = np.array((state.pace_mps, state.sure_m, *state.standing))
    sizes = plane.lat, plane.lon, step_m, rnd.length_m, how.usual_mps, n
    walked, prepared = rnd.walked, _prepared(how.model, step_m)
    now, others, later, later_others, slots = go_on(rows, walked, sizes, prepared, ring, room, (held, lag), carried)
    seen = [*map(_seen, state.known), *zip(rows[:, 0].tolist(), rows[:, 3].tolist(), map(is_sharp, fixes), strict=True)]
    told = [
        (_place(row, more, *seen[held + k]), row[EVIDENCE])
        for k, (row, more) in enumerate(zip(now.tolist(), others.tolist(), strict=True))
    ]
    confirmed: list[Place | None] = [None] * len(fixes)
    if lag:
        rest, more = later.tolist(), later_others.tolist()
        for k in range(max(lag - held, 0), len(fixes)):
            confirmed[k] = _place(rest[k], more[k], *seen[held + k - lag])
    newest = range(max(len(fixes) - max(lag, 1), 0), len(fixes)) if how.keeps else ()
    known = [_known(ring, int(slots[k]), fixes[k], seen[held + k][1]) for k in newest]
    pace_mps, sure_m, *standing = carried.tolist()
    return Followed(told, confirmed, known, pace_mps, sure_m, Dwell(*standing))


def rehearse() -> None:
    """Have everything compiled, or read what was compiled before: a short walk, its state written and read, and off the round."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rnd = Round("rehearsal", ((2.0, 48.0), (2.01, 48.0)), ())
    state = State()
    for lon in (2.001, 2.0015, 2.9):
        at += timedelta(seconds=30)
        found = follow(rnd, How(Model(), 1, 1.0), state, [Fix(48.0, lon, at, 6.0)])
        body, _runs, _most = body_of(found.known[0].belief.codes, found.known[0].belief.mass, 10)
        read_body(np.frombuffer(body, np.uint8), 0, 0)
        state = State(tuple(found.known))
    x, y, cumulative = rnd.vertices
    slid(x, y, cumulative, nodes_of(x, y, x, y, 1.0), x, y)


def _forget_stale() -> None:
    """Drop what was compiled before a source of it changed: numba looks at the module of each function alone."""
    here = Path(__file__).parent
    newest = max(each.stat().st_mtime for each in (*here.glob("fast*.py"), *(here / f"{name}.py" for name in _SOURCES)))
    for kept in Path(go_on.stats.cache_path or here).glob("fast*.nb?"):
        with suppress(OSError):  # another process did, or nobody may
            if kept.stat().st_mtime < newest:
                kept.unlink()


@lru_cache(maxsize=64)
def _prepared(model: Model, step_m: float) -> tuple[Array, Array, Array]:
    table = tables(model, step_m)
    return table.step, table.back, np.array([getattr(model, name) for name in FIGURES], dtype=np.float64)


def _rows_of(fixes: Sequence[Fix], model: Model, before: float | None) -> Array:
    """Write fixes as rows: at, degrees, sigma, seconds since the one before, heading x and y (0, 0 = unknown)."""
    rows = []
    for fix in fixes:
        at = fix.fixed_at.timestamp()
        gap_s = at - before if before is not None else _LONG_AGO_S
        rows.append((at, fix.lat, fix.lon, sigma_of(fix, model), gap_s, *(heading_of(fix) or _NO_HEADING)))
        before = at
    return np.array(rows)


def _room(n: int, rows: int, width: int) -> tuple[Any, Any]:
    """Give this thread's room to work in: for the places seen, and for the ring of beliefs."""
    size = getattr(_rooms, "size", (0, 0, 0))
    if size[0] < n or size[1] != rows or size[2] < width:
        n, width = max(n, size[0], 8_000), max(width, size[2])
        _rooms.size = n, rows, width
        _rooms.room = (
            np.zeros(n, dtype=np.int64),
            np.zeros((2, n)),
            np.zeros(2 * n, dtype=np.int64),
            np.zeros(2 * n),
            np.zeros(2 * n),
            np.zeros(max(2 * n, width) + 1, dtype=np.int64),
            np.zeros(width),
            np.zeros(width),
        )
        _rooms.ring = (
            np.zeros((rows, width), dtype=np.int64),
            np.zeros((rows, width)),
            np.zeros((rows, width)),
            np.zeros((rows, 4), dtype=np.int64),
            np.zeros((rows, 13)),
        )
    return _rooms.room, _rooms.ring


def _load(ring: Any, known: Sequence[Known]) -> None:
    codes, masses, _, whole, links = ring
    for i, one in enumerate(known):
        belief, point, size = one.belief, one.point, len(one.belief.codes)
        codes[i, :size], masses[i, :size] = belief.codes, belief.mass
        whole[i] = size, belief.top, belief.rung, belief.back_to
        links[i, AT], links[i, GONE], links[i, SINCE] = belief.at, belief.off, belief.since
        links[i, SEEN:] = (1.0, point.x, point.y) if point else 0.0


def _known(ring: Any, slot: int, fix: Fix, sigma_m: float) -> Known:
    codes, masses, _, whole, links = ring
    size, top, rung, back_to = whole[slot].tolist()
    link = links[slot].tolist()
    belief = Belief(
        link[AT], codes[slot, :size].copy(), masses[slot, :size].copy(), link[GONE], back_to, rung, top, link[SINCE]
    )
    sharp = is_sharp(fix)
    return Known(belief, sharp, point=Point(link[AT], link[X], link[Y], sigma_m, sharp, heading_of(fix)))


def _seen(known: Known) -> tuple[float, float | None, bool]:
    """Tell of a fix of the state its moment, its noise where it is still known, and whether it is sharp."""
    return known.belief.at, known.point.sigma_m if known.point else None, known.is_sharp


def _place(
    row: Sequence[float],
    others: Sequence[tuple[float, float]],
    moment: float,
    sigma_m: float | None,
    is_sharp: bool,
) -> Place:
    along_m, confidence, backwards, off, offset_m, _evidence = row
    more = tuple((metres, chance) for metres, chance in others if chance > 0)
    offset = offset_m if sigma_m is not None else None
    return Place(moment, along_m, confidence, backwards > 0, more, off, offset, sigma_m or 0.0, is_sharp)


_forget_stale()
