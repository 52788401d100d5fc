"""Three clocks: when the phone says it happened, when it says it sent it, and when it arrived."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handlers.fields import EARLIEST, LATEST, parse_time

SUSPECT_SKEW = timedelta(minutes=5)
SUSPECT_AGE = timedelta(days=30)
NOISE = timedelta(seconds=2)
_NEVER_SET = re.compile(r"19[7-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:(\.\d{1,6})\d{0,3})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clocks give: the corrected moment, and whether a person should doubt it."""

    occurred_at: datetime
    suspect: bool


def parse_phone_time(text: object) -> datetime:
    """Read what a phone's clock says: a time of the years 2000 to 2099, or 1970 to 1999 from a clock that was never set.

    ValueError for anything else.
    """
    never_set = _NEVER_SET.fullmatch(text) if isinstance(text, str) else None
    if never_set is None:
        return parse_time(text)
    whole = f"{text[:19]}{never_set[1] or ''}{never_set[2]}"  # type: ignore[index]  # it is a string: it matched
    return datetime.fromisoformat(whole).astimezone(UTC)


def read(
    time: datetime | None, *, sent_at: datetime | None, received_at: datetime, unreadable: bool = False
) -> Reading:
    """Correct the phone's time by its skew, measured as `sent_at - received_at` at this very attempt.

    Suspect: more than 5 minutes of skew, in the future, older than 30 days, or a phone that says when it sends in a way
    that is `unreadable`. Without a time, or with one of a clock that was never set, it happened when it arrived.
    """
    skew = sent_at - received_at if sent_at is not None else timedelta()
    if time is None:
        return Reading(received_at, suspect=unreadable)
    occurred_at = time
    if abs(skew) > NOISE:
        corrected = time - skew
        occurred_at = corrected if EARLIEST <= corrected < LATEST else time
    if occurred_at < EARLIEST:
        return Reading(received_at, suspect=True)
    wrong = abs(skew) > SUSPECT_SKEW or occurred_at > received_at + SUSPECT_SKEW
    return Reading(occurred_at, suspect=unreadable or wrong or occurred_at < received_at - SUSPECT_AGE)
