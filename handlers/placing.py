"""Where a delivery point is wanted: what the reports that hold say of its round, its letterbox and its written address.

The wish goes to the database as one write (`delivery_point.place`) in the commit of the decision. It is told whole each time,
under a mark of its own, so that telling the same again changes nothing, and nothing wanted puts everything back.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from handlers.story import Fact, Write

MOVING = frozenset({"moved", "wrong_number", "new_delivery_point"})
SHARP_M = 25.0  # how good a fix beside a letterbox must be
Held = tuple[Fact, Fact]  # a report, and the fact by which it holds


def write_of(point: str, effective: Sequence[Held], new: Fact) -> Write:
    """Write where a point is wanted: the newest move, the letterbox since, the newest name of its street."""
    place: dict[str, Any] = {}
    for report, by in effective:
        change, at = report.data["change"], place_of(report, by)
        if change in MOVING and at:
            place = {"move": {**at, "stop_id": f"mv-{hashlib.sha256(report.id.encode()).hexdigest()[:16]}"}}
        elif change == "mailbox_moved" and at:
            place["box"] = {"lat": at["lat"], "lon": at["lon"]}
        elif change == "renamed_street" and (name := name_of(report, by)):
            place["address"] = name
    text = orjson.dumps(place, option=orjson.OPT_SORT_KEYS)
    mark = hashlib.sha256(text).hexdigest()[:16] if place else None
    return Write("delivery_point.place", (point, mark, text.decode() if place else None, new.at[:10]))


def place_of(report: Fact, by: Fact) -> dict[str, Any] | None:
    """Return where a report puts the point: where a person said, else as it was placed or, for a letterbox, seen; or None."""
    found = by.data.get("place") or report.placement or {}
    if report.data["change"] == "mailbox_moved" and not by.data.get("place"):
        fix = report.data.get("fix") or {}
        sharp = "lat" in fix and 0 < (fix.get("accuracy_m") or 0) <= SHARP_M
        return {"lat": fix["lat"], "lon": fix["lon"]} if sharp else None
    if found.get("round_id") is None or found.get("lat") is None:
        return None
    where = {name: found.get(name) for name in ("round_id", "after_stop_id", "before_stop_id", "lat", "lon")}
    return {**where, "address": name_of(report, by)}


def name_of(report: Fact, by: Fact) -> str | None:
    """Return how the new address is written."""
    written = report.data.get("new_address")
    found = (by.data.get("place") or {}).get("normalised") or (report.placement or {}).get("normalised")
    return found or (written if isinstance(written, str) else None)


def new_point_of(report: Fact) -> str:
    """Name the point that a report makes."""
    return report.data.get("new_delivery_point_id") or f"dp-{report.id.replace('-', '')}"
