"""The postcodes of what events are about, as far as they are known."""

import time
from collections.abc import Sequence

import orjson

from fieldsvc.journal.reader import Row
from fieldsvc.store import endpoints
from fieldsvc.store.database import Database

MOST_KEPT, KEPT_S = 10_000, 60.0
_PREFIX = "delivery_point/"
_Key = tuple[str, str | None]


class Postcodes:
    """Finds postcodes a batch of rows at a time, and remembers for a minute what it found.

    A postcode is that of the delivery point that the event names or is about, else of the newest task of its subject. It is read
    from the address of the point, from what is written there, or from what is written at its stop; what only the order says is
    sealed, and not looked at.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[_Key, tuple[str, float]] = {}

    async def of(self, rows: Sequence[Row]) -> dict[str, str]:
        """Map the ids of events to postcodes; an event of which none is known is left out."""
        keys, now = {row.evt_id: _key(row) for row in rows}, time.monotonic()
        known = {key: kept[0] for key in keys.values() if (kept := self._kept.get(key)) and now - kept[1] < KEPT_S}
        missing = sorted({key for key in keys.values() if key not in known}, key=str)
        if missing:
            found = await endpoints.postcodes(self._database, missing)
            known |= found
            if len(self._kept) + len(found) > MOST_KEPT:
                self._kept.clear()
            self._kept |= {key: (postcode, now) for key, postcode in found.items()}
        return {name: known[key] for name, key in keys.items() if key in known}


def _key(row: Row) -> _Key:
    if row.subject.startswith(_PREFIX):
        return row.subject, row.subject.removeprefix(_PREFIX)
    if b'"delivery_point_id"' in row.public:
        named = orjson.loads(row.public)["public"].get("delivery_point_id")
        return row.subject, named if isinstance(named, str) else None
    return row.subject, None
