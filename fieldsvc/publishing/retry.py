"""When a failed event is tried again: a schedule with jitter, and what the receiver asked for."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

JITTER = 0.2
LONGEST_WAIT_S = 86_400.0
_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?\Z")


def next_delay_s(
    schedule: Sequence[float], attempts: int, *, chance: float, retry_after_s: float | None = None
) -> float | None:
    """Return the seconds to wait after `attempts` failures; None when the schedule is exhausted.

    `schedule[n]` comes before attempt n + 1. `chance` in [0, 1) spreads the delay over ±20 %. A receiver that asks for more
    time gets it to the second; one that asks for less does not shorten the schedule.
    """
    if attempts >= len(schedule):
        return None
    delay_s = schedule[attempts] * (1 + JITTER * (2 * chance - 1))
    return max(delay_s, retry_after_s or 0.0)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from now: at least 0, at most a day; None if garbage.

    Whole seconds and fractions; a date in any of the three forms of RFC 9110, which is not given more than it says.
    """
    text = (value or "").strip(" \t")
    wait_s = float(text) if _SECONDS.match(text) else _until(text, now)
    return None if wait_s is None else min(max(wait_s, 0.0), LONGEST_WAIT_S)


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
