"""What was: the way of a run along its line, moment by moment, and the lists that screens start from."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from fieldsvc.store import live
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.live import DayRun, Progress
from fieldsvc.tracking.lines import Line, Lines
from fieldsvc.tracking.sight import status_of
from handlers.fields import format_time

POINTS_MOST = 50_000
_DECIMALS = 6


async def way_of(seen: Seen, lines: Lines, run_id: str, *, site: str | None) -> dict[str, Any] | None:
    """Tell how a run went: its points in the order of their moments, each on the line; None for a run out of reach.

    A point off the round, or of which nothing is known, has neither distance nor place.
    """
    run = await live.run(seen, run_id, site=site)
    if run is None:
        return None
    await lines.load({run.round_id: run.round_version})
    line = lines.get(run.round_id)
    progress = await live.progress_of(seen.database, run.day, run.run_id, limit=POINTS_MOST)
    return {
        "run_id": run.run_id,
        "round_id": run.round_id,
        "day": run.day.isoformat(),
        "carrier": run.carrier,
        "mode": run.mode,
        "length_m": _metres(line.length_m if line else None),
        "points": [_point(each, line) for each in progress],
    }


async def runs_of(
    database: Database, lines: Lines, day: date, *, site: str | None, after: str, limit: int
) -> list[dict[str, Any]]:
    """List the runs of a day with their work and where they are, in the order of their ids."""
    found = await live.runs_of_day(database, day, site=site, after=after, limit=limit)
    await lines.load({each.now.round_id: each.now.round_version for each in found})
    return [_listed(each, lines.get(each.now.round_id)) for each in found]


def _listed(each: DayRun, line: Line | None) -> dict[str, Any]:
    run = each.now
    seen = run.duty is not None or run.state == "ended"
    return {
        "run_id": run.run_id,
        "round_id": run.round_id,
        "name": each.name,
        "site": run.site,
        "mode": each.mode,
        "carrier": run.carrier,
        "state": run.state,
        "state_at": _time(each.state_at),
        "length_m": _metres(line.length_m if line else None),
        "stops": each.stops,
        "tasks": {"total": each.total, "done": each.done, "overdue": each.overdue},
        "distance_along_m": _metres(run.distance_along_m) if seen else None,
        "status": status_of(run.duty, run.status) if run.duty else None,
        "seen_at": _time(run.through_at) if seen else None,
        **({"mismatch": each.mismatch} if seen and each.mismatch else {}),
        **({"risk": each.risk} if each.risk else {}),
    }


def _point(each: Progress, line: Line | None) -> dict[str, Any]:
    place: Sequence[float | None] = (None, None)
    if line is not None and each.distance_along_m is not None:
        place = line.point_at(each.distance_along_m)
    return {
        "at": format_time(each.at),
        "distance_along_m": _metres(each.distance_along_m),
        "status": each.status,
        "lon": place[0] if place[0] is None else round(place[0], _DECIMALS),
        "lat": place[1] if place[1] is None else round(place[1], _DECIMALS),
        "received_at": format_time(each.received_at),
    }


def _metres(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
