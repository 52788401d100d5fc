"""What is remembered of delivery points, as supervisors read it: where they are, when they were served, and what is amiss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from fieldsvc.store import access_case as access_cases
from fieldsvc.store import delivery_point_memory as store
from fieldsvc.store.database import Database
from fieldsvc.store.delivery_point_memory import Listed, Wanted
from fieldsvc.work.rounds import memory_of
from geo.delivery_points import QUIET_DAYS, SERVED_DAYS, PointMemory, has_moved, is_unserved
from geo.positions import Plane

MOVED, UNSERVED = "moved", "unserved"
FLAGS = (MOVED, UNSERVED)
_READ_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Page:
    """Points, and behind which one the next page begins; None at the end."""

    points: Sequence[Mapping[str, Any]]
    more_after: str | None


async def page_of(
    database: Database, site: str | None, *, flag: str | None, after: str, limit: int, today: date
) -> Page:
    """List points of a site, or of all; with a flag only those that have it, so that a page may be short."""
    quiet = today - timedelta(days=QUIET_DAYS) if flag == UNSERVED else None
    wanted = Wanted(site, only_moved=flag == MOVED, not_since=quiet, days=SERVED_DAYS if quiet else 0)
    points: list[Mapping[str, Any]] = []
    read = 0
    while read < _READ_MOST:
        found = await store.page(database, wanted, after=after, limit=limit)
        served = await store.neighbours(database, [(each.round_id, each.stop_id) for each in found])
        cases = await access_cases.states(database, [each.delivery_point_id for each in found])
        read += len(found)
        for each in found:
            if len(points) == limit:
                return Page(points, after)
            shown = _shown(each, served[each.round_id, each.stop_id], today)
            shown["access_case"] = cases.get(each.delivery_point_id)
            after = each.delivery_point_id
            if flag is None or flag in shown["flags"]:
                points.append(shown)
        if len(found) < limit:
            return Page(points, None)
    return Page(points, after)


def _shown(point: Listed, neighbours: Sequence[date], today: date) -> dict[str, Any]:
    door, box = (point.lat, point.lon), _pair(point.box_lat, point.box_lon)
    learned = {"door": _learned(point.door, door), "box": _learned(point.box, box or door)}
    moved = any(each is not None and each["moved_on"] is not None for each in learned.values())
    unserved = is_unserved(point.served_on, neighbours=neighbours, on=today)
    return {
        "delivery_point_id": point.delivery_point_id,
        "round_id": point.round_id,
        "stop_id": point.stop_id,
        "address": point.address,
        "planned": {"door": _place(door), "box": _place(box) if box is not None else None},
        "learned": learned,
        "last_served_on": point.served_on[-1].isoformat(),
        "flags": [name for name, holds in ((MOVED, moved), (UNSERVED, unserved)) if holds],
    }


def _learned(data: bytes | None, planned: tuple[float, float]) -> dict[str, Any] | None:
    memory: PointMemory | None = memory_of(data)
    known = memory.learned if memory is not None else None
    if memory is None or known is None:
        return None
    place = Plane(*memory.planned).latlon(known.east_m, known.north_m)
    moved_on = memory.moved_on if has_moved(memory, planned) else None
    return {
        **_place(place),
        "radius_m": round(known.radius_m, 1),
        "proofs": known.proofs,
        "sure": known.is_sure,
        "moved_on": moved_on.isoformat() if moved_on is not None else None,
    }


def _pair(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    return (lat, lon) if lat is not None and lon is not None else None


def _place(place: tuple[float, float]) -> dict[str, float]:
    return {"lat": round(place[0], 6), "lon": round(place[1], 6)}
