"""When duty desks are open, as the operator writes it: `mon-fri 08:00-18:00, sat 08:00-12:00`, or `always`."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from fieldsvc.errors import Invalid
from fieldsvc.store.desk import Desk

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN, WEEK_MIN = 1_440, 10_080
_PART = re.compile(r"(?P<first>[a-z]{3})(-(?P<last>[a-z]{3}))? (?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)")
Spans = list[tuple[int, int]]


class BadHours(Invalid):
    """These hours are not valid."""

    code = "bad_hours"


def spans_of(hours: str) -> Spans:
    """Read hours as spans of minutes of the week; one that closes before it opens goes on into the next day. BadHours."""
    if hours == "always":
        return [(0, WEEK_MIN)]
    return sorted(span for part in hours.split(",") for span in _spans(part.strip().lower()))


def _spans(part: str) -> Iterator[tuple[int, int]]:
    found = _PART.fullmatch(part)
    if found is None or found["first"] not in DAYS or (found["last"] or found["first"]) not in DAYS:
        raise BadHours("Hours are written like: mon-fri 08:00-18:00, sat 08:00-12:00; or always.")
    first, last = DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"])
    opens, closes = _minute(found["opens"]), _minute(found["closes"])
    if opens in {closes, DAY_MIN}:
        raise BadHours("A desk is open for some time of the day.")
    for day in range(first, last + 1 if last >= first else last + 8):
        begin = day % 7 * DAY_MIN + opens
        end = begin + (closes - opens) % DAY_MIN if closes < opens else day % 7 * DAY_MIN + closes
        yield begin, min(end, WEEK_MIN)
        if end > WEEK_MIN:
            yield 0, end - WEEK_MIN


def _minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if hour * 60 + minute > DAY_MIN or minute > 59:
        raise BadHours("A time is written from 00:00 to 24:00.")
    return hour * 60 + minute


def is_open(desk: Desk, moment: datetime) -> bool:
    """Tell whether a desk is open at a moment."""
    local = moment.astimezone(ZoneInfo(desk.zone))
    minute = local.weekday() * DAY_MIN + local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in desk.spans)


def covered(desks: Sequence[Desk], moments: Sequence[datetime]) -> bool:
    """Tell whether at each of these moments a desk is open."""
    return all(any(is_open(desk, moment) for desk in desks) for moment in moments)
