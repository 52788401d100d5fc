"""How long people wait at a counter, by the hour in which they came: figures of an office, and of no clerk.

The same cells as all figures: what is to be counted waits until at least five waits of three clerks are there for an hour, and
is added in one step; then what told the clerks apart is deleted.
"""

import os
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from fieldsvc.journal.sealed import Vault
from fieldsvc.reports.cells import Cell, CellKey, mark
from fieldsvc.reports.counter import KEY_BYTES, cell_key, month_context, take_steps
from fieldsvc.store import report as store
from fieldsvc.store.database import Database

SERVICE = "counter"
HOURS = range(24)


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait: for what, since when, how long, and who served."""

    subject: str
    site: str
    arrived_at: datetime
    waited_s: int
    clerk: str


@dataclass(frozen=True, slots=True)
class Hour:
    """The mean wait of those who came in an hour of the day, in minutes; None with too little company."""

    hour: int
    minutes: float | None
    waits: int | None


class Waits:
    """Counts waits, and reads what may be said of them."""

    def __init__(self, database: Database, vault: Vault, zone: tzinfo) -> None:
        self._database = database
        self._vault = vault
        self._zone = zone

    async def count(self, wait: Wait) -> None:
        """Let a wait be counted once it has company; none of a month that is closed."""
        local = wait.arrived_at.astimezone(self._zone)
        cell = CellKey("", local.date().replace(day=1), wait.site, SERVICE, f"wait_{local.hour:02d}")
        async with store.counting(self._database) as counting:
            if not await counting.months({cell.month}):
                sealed = self._vault.seal_secret(os.urandom(KEY_BYTES), context=month_context(cell.month))
                await counting.add_month(cell.month, sealed)
            month = (await counting.months({cell.month}))[cell.month]
            if month.key is None:
                return
            key = self._vault.open_secret(month.key, context=month_context(cell.month))
            row = (*cell_key(cell), wait.subject, mark(key, cell, wait.clerk), wait.waited_s, 1)
            await counting.wait([row])
            await take_steps(counting, [cell])

    async def by_hour(self, site: str, month: date) -> list[Hour]:
        """Tell the mean wait of each hour of the day in which anybody came that month."""
        cells = [Cell(*row) for row in await store.cells_of(self._database, site, SERVICE, month)]
        return [_hour(each) for each in cells]


def _hour(cell: Cell) -> Hour:
    hour = int(cell.kpi.removeprefix("wait_"))
    if not cell.is_shown:
        return Hour(hour, None, None)
    return Hour(hour, round(cell.numerator / cell.denominator / 60, 1), cell.denominator)
