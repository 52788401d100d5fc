"""The stops of a round on its line for `geo.fast`, compiled: the same programme as `geo.rounds.project_in_order`, to the last bit."""

import numba
import numpy as np

from geo.course import Ints
from geo.positions import Array

exact = numba.njit(cache=True, nogil=True)


@exact
def nodes_of(x: Array, y: Array, px: Array, py: Array, most: float) -> Ints:
    """Choose a node for each point: never one before that of the point before, with the least sum of squares up to `most`."""
    many, nodes = len(px), len(x)
    best = np.empty((many, nodes), dtype=np.int32)
    so_far = np.zeros(nodes, dtype=np.float32)
    for i in range(many):
        at_x, at_y = np.float32(px[i]), np.float32(py[i])
        least, where = np.float32(np.inf), 0
        for j in range(nodes):
            dx, dy = np.float32(x[j]) - at_x, np.float32(y[j]) - at_y
            cost = min(dx * dx + dy * dy, np.float32(most)) + so_far[j]
            if cost < least:
                least, where = cost, j
            so_far[j], best[i, j] = least, where
    found, last = np.zeros(many, dtype=np.int64), nodes - 1
    for i in range(many - 1, -1, -1):
        last = best[i, last]
        found[i] = last
    return found


@exact
def slid(x: Array, y: Array, cumulative: Array, nodes: Ints, px: Array, py: Array) -> Array:
    """Slide each point from its node to the nearest place on the two pieces that meet there; metres along, never decreasing."""
    found = cumulative[nodes]
    for i in range(len(nodes)):
        best = np.inf
        for k in range(max(nodes[i] - 1, 0), min(nodes[i] + 1, len(x) - 1)):
            dx, dy = x[k + 1] - x[k], y[k + 1] - y[k]
            length2, part = dx * dx + dy * dy, 0.0
            if length2 > 0:
                part = min(max(((px[i] - x[k]) * dx + (py[i] - y[k]) * dy) / length2, 0.0), 1.0)
            off = np.hypot(x[k] + part * dx - px[i], y[k] + part * dy - py[i])
            if off < best - 1e-9:
                best, found[i] = off, cumulative[k] + part * (cumulative[k + 1] - cumulative[k])
        if i:
            found[i] = max(found[i], found[i - 1])
    return found
