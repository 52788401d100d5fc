"""What the matcher answers."""

from dataclasses import dataclass
from datetime import datetime

ON_ROUND, AT_STOP, OFF_ROUND, UNKNOWN = "on_round", "at_stop", "off_round", "unknown"
FORWARD, REVERSED = "forward", "reversed"


@dataclass(frozen=True, slots=True)
class Match:
    """A place along a round: metres from its start, `progress` 0..1, `offset_m` positive to the right of the planned way.

    `stop_id` is the nearest stop along the round (None under 0.5 confidence), `next_stop_id` the first one ahead.
    `alternatives` holds up to three other passes as (distance_along_m, chance). Off the round the distance is that of the last
    sure place on it. `offset_m` is None where the fix itself is no longer known: confirmed from a state that was stored.
    `direction` is `reversed` while the round is walked backwards.
    """

    round_id: str
    stop_id: str | None
    next_stop_id: str | None
    distance_along_m: float
    progress: float
    offset_m: float | None
    confidence: float
    status: str
    alternatives: tuple[tuple[float, float], ...]
    fixed_at: datetime
    direction: str = FORWARD


@dataclass(frozen=True, slots=True)
class Found:
    """What a fix told: `provisional` for this fix, `confirmed` for the fix `lag_fixes` earlier, knowing those since.

    `evidence` is the natural logarithm of the density per m² with which this round, with all fixes before, foresaw this one: rounds
    are compared by the sums over the same fixes.
    """

    provisional: Match | None
    confirmed: Match | None
    evidence: float = 0.0
