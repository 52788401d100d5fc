"""What the matcher remembers between the fixes of one run, and its form in at most 1,000 bytes.

Only places along the round are in it, never a place beside it. Chances are written as 255ths of 16 nats below the most
probable place; of a belief too wide for its share of the bytes the least probable places are left out, of older ones sooner.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geo.belief import NO_CODES, Belief, Link
from geo.compiled import compiled
from geo.course import Ints
from geo.errors import BadState
from geo.motion import STILL
from geo.positions import Array
from geo.sight import Point

STATE_VERSION = 2
MOST_BYTES = 1_000
_HEAD = struct.Struct("<BBffB6d")
_BELIEF = struct.Struct("<dfiBBHif")
_RUN = struct.Struct("<IH")
NATS_PER_STEP = 16 / 255
HEAD_BYTES, RUN_BYTES = _BELIEF.size, _RUN.size
_SHARE_OF_NEWEST = 0.42
_LATEST = 1e11


class Dwell(NamedTuple):
    """Where a carrier stands still, in metres along, and since when, in unix seconds."""

    at_m: float = -1e9
    since: float = 0.0


NO_DWELL = Dwell()


class Known(NamedTuple):
    """One fix that was taken: what was believed after it, and how that followed from the one before.

    `is_anchor`: it was a scan or a served stop. `link` and `point` are not stored: the link is made again when it is needed, the point is gone.
    """

    belief: Belief
    is_sharp: bool
    is_anchor: bool = False
    link: Link | None = None
    point: Point | None = None


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The memory of a run; immutable. Two states are equal when their bytes are.

    `known` holds the last fixes, oldest first. `pace_mps` is what this run walks at, 0 = not yet known. `sure_m` is the last sure place,
    below 0 = none.
    """

    known: tuple[Known, ...] = ()
    pace_mps: float = 0.0
    sure_m: float = -1.0
    off_fixes: int = 0
    standing: Dwell = NO_DWELL
    dwell: Dwell = NO_DWELL
    confirmed_dwell: Dwell = NO_DWELL

    def to_bytes(self) -> bytes:
        """Write the state, with its version, for another process: at most 1,000 bytes."""
        head = _HEAD.pack(
            STATE_VERSION,
            len(self.known),
            self.pace_mps,
            self.sure_m,
            min(self.off_fixes, 255),
            *self.standing,
            *self.dwell,
            *self.confirmed_dwell,
        )
        parts, left = [], MOST_BYTES - len(head)
        for age, known in enumerate(reversed(self.known)):
            older = len(self.known) - 1 - age
            share = left if not older else int(left * (_SHARE_OF_NEWEST if age == 0 else 1 / (older + 1)))
            parts.append(_packed(known, share))
            left -= len(parts[-1])
        return b"".join([head, *reversed(parts)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def state_from_bytes(data: bytes) -> State:
    """Read what `State.to_bytes` wrote; raise BadState."""
    try:
        version, count, pace, sure, off_fixes, *dwells = _HEAD.unpack_from(data)
        if version != STATE_VERSION:
            raise BadState
        at, known = _HEAD.size, []
        for _ in range(count):
            one, at = _unpacked(data, at)
            known.append(one)
        in_order = all(one.belief.at <= other.belief.at for one, other in pairwise(known))
        if at != len(data) or not in_order or not all(map(isfinite, (pace, sure, *dwells))):
            raise BadState
    except (struct.error, ValueError) as error:
        raise BadState from error
    return State(tuple(known), pace, sure, off_fixes, *(Dwell(*dwells[i : i + 2]) for i in (0, 2, 4)))


def _packed(known: Known, share: int) -> bytes:
    belief = known.belief
    fast = compiled()
    body, runs, most = (fast.body_of if fast is not None else _body_of)(belief.codes, belief.mass, share)
    head = _BELIEF.pack(
        belief.at,
        belief.off / most,
        belief.back_to,
        belief.rung,
        known.is_sharp + 2 * known.is_anchor,
        runs,
        belief.top,
        belief.at - belief.since,
    )
    return head + body


def _body_of(codes: Ints, mass: Array, share: int) -> tuple[bytes, int, float]:
    """Write the runs and chances of a belief into a share of bytes: (bytes, runs, the greatest chance)."""
    while True:
        runs = _runs_of(codes)
        size = HEAD_BYTES + len(runs) * RUN_BYTES + len(codes)
        if size <= share or not len(codes):
            break
        spare = max((size - share) // 2, 1)
        order = np.argsort(mass, kind="stable")[spare:] if spare < len(mass) else np.zeros(0, dtype=np.int64)
        order.sort()
        codes, mass = codes[order], mass[order]
    most = float(mass.max()) if len(mass) else 1.0
    steps = np.clip(np.round(-np.log(np.maximum(mass / most, 1e-12)) / NATS_PER_STEP), 0, 255).astype(np.uint8)
    body = b"".join([*(_RUN.pack(int(codes[low]), high - low) for low, high in runs), steps.tobytes()])
    return body, len(runs), most


def _runs_of(codes: Ints) -> list[tuple[int, int]]:
    """Cut sorted codes where one is missing: (first, past the last) of each run."""
    if not len(codes):
        return []
    cuts = (np.flatnonzero(np.diff(codes) != 1) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(codes)], strict=True))


def _unpacked(data: bytes, at: int) -> tuple[Known, int]:
    moment, off, back_to, rung, flags, count, top, lasts = _BELIEF.unpack_from(data, at)
    at += _BELIEF.size
    if len(data) < at + count * RUN_BYTES or not (
        0 <= moment <= _LATEST and 0 <= off < np.inf and 0 <= lasts < np.inf and rung <= STILL
    ):
        raise BadState
    fast, raw = compiled(), np.frombuffer(data, np.uint8)
    codes, mass = fast.read_body(raw, at, count) if fast is not None else _read_body(raw, at, count)
    total = float(mass.sum()) + off
    if not total > 0:
        raise BadState
    belief = Belief(moment, codes, mass / total, off / total, back_to, rung, top, moment - lasts)
    return Known(belief, bool(flags & 1), bool(flags & 2)), at + count * RUN_BYTES + len(codes)


def _read_body(data: npt.NDArray[np.uint8], at: int, runs: int) -> tuple[Ints, Array]:
    """Read codes, and chances as parts of the greatest, from the bytes behind a place; raise ValueError where they end before."""
    begins = at + runs * RUN_BYTES
    found = [_RUN.unpack_from(data.data, place) for place in range(at, begins, RUN_BYTES)]
    if len(data) < begins + sum(length for _, length in found):
        raise ValueError
    codes = np.concatenate([NO_CODES, *(np.arange(first, first + length) for first, length in found)])
    return codes, np.exp(-NATS_PER_STEP * data[begins : begins + len(codes)].astype(np.float64))
