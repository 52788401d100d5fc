"""The sheet: stops in order with today's tasks, as one JSON object for the phone."""

from collections.abc import Sequence
from typing import Any, Protocol

from fieldsvc.errors import NotFound
from fieldsvc.store import task as tasks
from fieldsvc.store.database import Database
from fieldsvc.store.run import Run
from fieldsvc.store.task import TaskRow
from fieldsvc.work.rounds import RoundStore
from geo.rounds import Stop
from handlers.fields import format_time

STATES = ("planned", "started", "paused", "ended")
_ALSO = ("notes", "contacts", "mandates", "address")


class BlobOpener(Protocol):
    """What reads sealed write arguments back; None for one that was erased."""

    async def open_blobs(self, blobs: Sequence[bytes]) -> list[Any]:
        """Open blobs in order."""
        ...


class Sheets:
    """Builds sheets; the version is `Run.sheet_version`, so an unchanged sheet need not be built."""

    def __init__(self, database: Database, rounds: RoundStore, opener: BlobOpener) -> None:
        self._database = database
        self._rounds = rounds
        self._opener = opener

    async def sheet(self, run: Run) -> dict[str, Any]:
        """Build the sheet of a run. Erased persons' tasks stay, without what was personal."""
        known = await self._rounds.known_round(run.round_id)
        if known is None:
            raise NotFound
        planned = await tasks.of_run(self._database, run.day, run.round_id)
        opened = await self._opener.open_blobs([row.sealed for row in planned]) if planned else []
        by_stop: dict[str | None, list[dict[str, Any]]] = {}
        for row, personal in zip(planned, opened, strict=True):
            stop_id = known.stop_of_point.get(f"delivery_point/{row.delivery_point}")
            by_stop.setdefault(stop_id, []).append(_task(row, personal))
        planned_round = known.stored.round
        return {
            "run_id": run.run_id,
            "round_id": run.round_id,
            "site": run.site,
            "mode": planned_round.mode,
            "version": run.sheet_version,
            "state": run.state if run.state in STATES else "planned",
            "line": planned_round.drawn_line,
            "stops": [_stop(stop, by_stop.get(stop.stop_id, [])) for stop in planned_round.stops],
            "tasks_without_stop": by_stop.get(None, []),
            "instructions": [],
            "hazards": [],
            "requests": [],
            "mandates": [],
            "forms": {},
        }


def _stop(stop: Stop, planned: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "stop_id": stop.stop_id,
        "sequence": stop.sequence,
        "delivery_point_id": stop.delivery_point_id,
        "address": stop.address,
        "lat": stop.lat,
        "lon": stop.lon,
        "side": stop.side,
        "box_at": list(reversed(stop.box_at)) if stop.box_at else None,
        "tasks": planned,
    }


def _task(row: TaskRow, personal: Any) -> dict[str, Any]:
    known = personal if isinstance(personal, dict) else {"details": {"erased": True}}
    more = {name: known[name] for name in _ALSO if known.get(name)}
    return {
        "task_id": row.id,
        "service": row.service,
        "subject": row.subject,
        "addressee": known.get("addressee"),
        "window": window_of(row),
        "requirements": row.requirements,
        "details": {**more, **(known.get("details") or {})},
    }


def window_of(row: TaskRow) -> dict[str, str] | None:
    """Write a task's window; None without one."""
    if row.window_from is None or row.window_until is None:
        return None
    return {"from": format_time(row.window_from), "until": format_time(row.window_until)}
