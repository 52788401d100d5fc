"""Which attempts the log keeps: all of them, but of equal failures of an event in a row only some. Pure but for what it counts.

A receiver that is down for days, or refuses one event again and again, must not fill the log: pitfall 12 of sending webhooks. The
first ten equal failures are kept, then every tenth, which says for how many it stands.
"""

from collections import OrderedDict
from dataclasses import replace
from http import HTTPStatus

from fieldsvc.store.attempts import Attempt

ALWAYS, THEN_EVERY, MOST_KNOWN = 10, 10, 10_000
_Kind = tuple[int | None, str | None]


class Repeats:
    """Counts equal failures by endpoint and event; beyond 10,000 events it forgets the oldest, and then keeps more, not less."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], tuple[_Kind, int]] = OrderedDict()

    def kept(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt as it is to be logged; None if a later one will stand for it."""
        key, kind = (attempt.endpoint, attempt.event_id), (attempt.status, attempt.error)
        known, count = self._counts.pop(key, (kind, 0))
        if attempt.status is not None and HTTPStatus.OK <= attempt.status < HTTPStatus.MULTIPLE_CHOICES:
            return attempt
        count = count + 1 if known == kind else 1
        self._counts[key] = kind, count
        if len(self._counts) > MOST_KNOWN:
            self._counts.popitem(last=False)
        if count <= ALWAYS:
            return attempt
        return replace(attempt, repeats=THEN_EVERY) if count % THEN_EVERY == 0 else None
