"""Calls for help on the screens of this process before they are committed: a slow disk costs nobody a second.

What is sounded is not yet kept. The board reads each again from the database, which decides; a call that was never committed
stays on the screen, for its phone sends it again.
"""

from collections.abc import Callable, Iterable

from fieldsvc.journal.submission import Incoming, Rejected
from fieldsvc.store.alarm import Alarm
from handlers.alarm import RAISED
from handlers.fields import format_time, parse_time


class Siren:
    """Passes alarms on to whoever listens in this process."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Alarm], None]] = []

    def listen(self, listener: Callable[[Alarm], None]) -> None:
        """Have a listener called for each alarm that arrives."""
        self._listeners.append(listener)

    def sound(self, items: Iterable[Incoming | Rejected]) -> None:
        """Pass on the alarms among what a request brought."""
        for item in items if self._listeners else ():
            if isinstance(item, Incoming) and item.type == RAISED.name and item.data.get("alarm_id"):
                for listener in self._listeners:
                    listener(alarm_of(item))


def alarm_of(incoming: Incoming) -> Alarm:
    """Write an alarm as it will be read once it is committed."""
    data = incoming.data
    return Alarm(
        id=data["alarm_id"],
        kind=data["kind"],
        run=data.get("run_id") or incoming.run,
        site=incoming.site,
        carrier=data.get("carrier"),
        stop_id=(incoming.located or {}).get("stop_id"),
        raised_at=parse_time(format_time(incoming.occurred_at)),
        acknowledged_at=None,
        acknowledged_by=None,
        event=incoming.id,
    )
