"""The chances of a belief as bytes for `geo.fast`, compiled: the same form as `geo.state` writes and reads."""

from math import exp, log
from typing import Any

import numpy as np

from geo.course import Ints
from geo.fast_rounds import exact
from geo.positions import Array
from geo.state import HEAD_BYTES, NATS_PER_STEP, RUN_BYTES


@exact
def _runs(codes: Ints, kept: Any) -> int:
    """Count the runs of codes that follow on each other, of those that are kept."""
    runs, before = 0, -2
    for j in range(len(codes)):
        if kept[j]:
            runs += codes[j] != before + 1
            before = codes[j]
    return runs


@exact
def _chosen(codes: Ints, mass: Array, share: int) -> Any:
    """Keep the most probable codes for which there is room: (which, how many, in how many runs)."""
    size = len(codes)
    kept = np.ones(size, dtype=np.bool_)
    runs = _runs(codes, kept)
    if HEAD_BYTES + runs * RUN_BYTES + size <= share or not size:
        return kept, size, runs
    order, dropped = np.argsort(mass, kind="mergesort"), 0
    while size and HEAD_BYTES + runs * RUN_BYTES + size > share:
        spare = max((HEAD_BYTES + runs * RUN_BYTES + size - share) // 2, 1)
        for j in range(dropped, min(dropped + spare, len(codes))):
            kept[order[j]] = False
        dropped += spare
        size, runs = max(size - spare, 0), _runs(codes, kept)
    return kept, size, runs


@exact
def _written(codes: Ints, mass: Array, share: int) -> Any:
    kept, size, runs = _chosen(codes, mass, share)
    found, most = np.zeros(runs * RUN_BYTES + size, dtype=np.uint8), 0.0
    for j in range(len(codes)):
        if kept[j]:
            most = max(most, mass[j])
    if not size:
        most = 1.0
    run, step, before = -RUN_BYTES, runs * RUN_BYTES, -2
    for j in range(len(codes)):
        if not kept[j]:
            continue
        if codes[j] != before + 1:
            run += RUN_BYTES
            for place in range(4):
                found[run + place] = (codes[j] >> (8 * place)) & 255
        before = codes[j]
        length = found[run + 4] + 256 * found[run + 5] + 1
        found[run + 4], found[run + 5] = length & 255, length >> 8
        found[step] = min(max(round(-log(max(mass[j] / most, 1e-12)) / NATS_PER_STEP), 0), 255)
        step += 1
    return found, runs, most


def body_of(codes: Ints, mass: Array, share: int) -> tuple[bytes, int, float]:
    """Write the runs and chances of a belief into a share of bytes: (bytes, runs, the greatest chance)."""
    found, runs, most = _written(codes, mass, share)
    return found.tobytes(), runs, most


@exact
def read_body(data: Any, at: int, runs: int) -> tuple[Ints, Array]:
    """Read codes, and chances as parts of the greatest, from the bytes behind a place; raise ValueError where they end before."""
    size, begins = 0, at + runs * RUN_BYTES
    for run in range(at, begins, RUN_BYTES):
        size += data[run + 4] + 256 * data[run + 5]
    if len(data) < begins + size:
        raise ValueError
    codes, j = np.empty(size, dtype=np.int64), 0
    for run in range(at, begins, RUN_BYTES):
        first = 0
        for place in range(3, -1, -1):
            first = 256 * first + data[run + place]
        for k in range(data[run + 4] + 256 * data[run + 5]):
            codes[j] = first + k
            j += 1
    mass = np.empty(size)
    for k in range(size):
        mass[k] = exp(-NATS_PER_STEP * data[begins + k])
    return codes, mass
