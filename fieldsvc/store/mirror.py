"""What is kept about one carrier's own work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from fieldsvc.store.database import Database
from sql import query

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Own:
    """The rows about a carrier, as they are in the database."""

    runs: Rows
    progress: Rows
    tracks: Rows
    devices: Rows
    events: Rows


async def own(database: Database, carrier: str, site: str, *, since: datetime) -> Own:
    """Read them in one moment: of runs, those of the day of `since` and later; of events, those that came since."""
    async with database.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):

        async def read(name: str, *values: Any) -> Rows:
            return [dict(row) for row in await connection.fetch(query(f"mirror.{name}"), *values)]

        runs, devices = await read("runs", carrier, site, since.date()), await read("devices", carrier, site)
        own_runs = [row["day"] for row in runs], [row["id"] for row in runs]
        receipts = await read("receipts", [row["id"] for row in devices])
        return Own(
            runs=runs,
            progress=await read("progress", *own_runs),
            tracks=await read("tracks", *own_runs),
            devices=devices,
            events=await read("events", list(_taken(row["body"] for row in receipts)), since),
        )


def _taken(receipts: Iterable[bytes]) -> set[str]:
    bodies: Iterable[dict[str, Any]] = map(orjson.loads, receipts)
    return {event[0] for body in bodies for event in body["events"]}
