"""Where on its round an event happened: by the thing scanned, by the stop named, else by the fix. It never waits."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from fieldsvc.work.rounds import Learned, RunPlan
from geo import Fix, Stop
from geo.matching import locate
from geo.positions import distance_m, is_plausible

FRESH = timedelta(minutes=10)
NEAR_M, FAR_M = 40.0, 20_000.0
RUNS_KEPT = 100_000
Known = tuple[datetime, float]
_NOT_LEARNED = Learned()
NOWHERE: Mapping[str, Any] = {"stop_id": None, "confidence": 0.0, "method": "none", "status": "unknown"}


@dataclass(frozen=True, slots=True)
class Place:
    """A location, what the phone should be warned of, and the stop it probably is at instead."""

    located: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    nearest_stop_id: str | None = None
    candidates: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # of scanned ids: expected ones that are like them


class Locator:
    """Locates events; remembers for each run how far along its round the last one was, for ten minutes.

    What tracking knows from fixes counts as well: of the two, what is nearer in time to the event.
    """

    def __init__(self, tracked: Callable[[str, datetime], Known | None] | None = None) -> None:
        """`tracked` tells from memory when and how far along its round a run was, near a moment: `Tracker.place`."""
        self._along: OrderedDict[str, Known] = OrderedDict()
        self._tracked = tracked

    def locate(
        self,
        plan: RunPlan | None,
        *,
        scanned: str | None,
        stop_id: str | None,
        fix: Fix | None,
        at: datetime,
        done_at: str | None = None,
    ) -> Place:
        """Locate one event: `scanned` is the stop that the thing itself is expected at; `done_at` a `box`, a `door`, or any."""
        usable = fix if fix is not None and is_plausible(fix.lat, fix.lon) else None
        warnings = ("implausible_fix",) if fix is not None and usable is None else ()
        if plan is None:
            return Place(NOWHERE, warnings)
        for method, name in (("scan", scanned), ("stop", stop_id)):
            stop = plan.stops_by_id.get(name or "")
            if stop is not None:
                along = plan.round.distance_of(stop.stop_id)
                self._remember(plan.run_id, at, along)
                place = _at_stop(plan, stop, method, usable, along, at_box=done_at == "box")
                return replace(place, warnings=(*warnings, *place.warnings)) if warnings else place
        if usable is None or not plan.round.stops:
            return Place(_of_run(plan, NOWHERE), warnings)
        return self._matched(plan, usable, at, at_box=done_at == "box")

    def _matched(self, plan: RunPlan, fix: Fix, at: datetime, *, at_box: bool) -> Place:
        """Project the fix on the planned order, ahead of where the run was less than ten minutes ago.

        Off the round no place is told: neither how far along nor how far beside. Kilometres away it is no fix at all.
        """
        before = self._before(plan.run_id, at)
        after_s = abs((at - before[0]).total_seconds()) if before else 0.0
        match = locate(plan.round, fix, before[1] if before else None, after_s=after_s, mode=plan.round.mode)
        if match.offset_m is not None and abs(match.offset_m) > FAR_M:
            return Place(_of_run(plan, NOWHERE), ("implausible_fix",))
        if match.status not in ("on_round", "at_stop"):
            return Place(_of_run(plan, {**NOWHERE, "method": "match", "status": match.status}))
        self._remember(plan.run_id, at, match.distance_along_m)
        stop = plan.stops_by_id.get(match.stop_id or "")
        door = _to_door_m(plan, fix, stop, at_box=at_box) if stop is not None else None
        located = {
            "stop_id": match.stop_id,
            "door_distance_m": _rounded(door),
            "confidence": round(match.confidence, 3),
            "method": "match",
            "status": match.status,
            "distance_along_m": _rounded(match.distance_along_m),
            "offset_m": _rounded(match.offset_m),
        }
        return Place(_of_run(plan, located))

    def _before(self, run_id: str, at: datetime) -> Known | None:
        """Return when and how far along its round a run was at most ten minutes away, as known nearest in time."""
        known = [self._along.get(run_id), self._tracked(run_id, at) if self._tracked is not None else None]
        fresh = [place for place in known if place is not None and abs(at - place[0]) <= FRESH]
        return min(fresh, key=lambda place: abs(at - place[0])) if fresh else None

    def _remember(self, run_id: str, at: datetime, along_m: float) -> None:
        before = self._along.get(run_id)
        if before is not None and before[0] > at:
            return
        self._along[run_id] = (at, along_m)
        self._along.move_to_end(run_id)
        if len(self._along) > RUNS_KEPT:
            self._along.popitem(last=False)


def _at_stop(plan: RunPlan, stop: Stop, method: str, fix: Fix | None, along_m: float, *, at_box: bool) -> Place:
    door = _to_door_m(plan, fix, stop, at_box=at_box) if fix is not None else None
    tolerance = max(NEAR_M, 2 * (fix.accuracy_m or 0.0)) if fix is not None else NEAR_M
    far = door is not None and door > tolerance
    trust = 0.98 if method == "scan" else 0.95
    located = {
        "stop_id": stop.stop_id,
        "door_distance_m": _rounded(door),
        "confidence": 0.6 if far else trust,
        "method": method,
        "status": "at_stop",
        "distance_along_m": _rounded(along_m),
        "offset_m": None,
    }
    if not far or fix is None:
        return Place(_of_run(plan, located))
    nearest = min(plan.round.stops, key=lambda other: _to_door_m(plan, fix, other))
    near = nearest.stop_id if _to_door_m(plan, fix, nearest) <= tolerance else None
    return Place(_of_run(plan, located), ("wrong_door",), near)


def _to_door_m(plan: RunPlan, fix: Fix, stop: Stop, *, at_box: bool = False) -> float:
    """Measure to the door or to the letterbox, whichever is nearer: in the country they can be far apart.

    What was left in the box is measured to the box alone, where one is known. Each is where proofs say it is, if they do,
    else where it is planned.
    """
    learned = plan.learned.get(stop.stop_id, _NOT_LEARNED)
    door, box = learned.door or (stop.lat, stop.lon), learned.box or stop.box_at
    places = [box] if box is not None and at_box else [door] if box is None else [door, box]
    return min(distance_m(fix.lat, fix.lon, *place) for place in places)


def _of_run(plan: RunPlan, located: Mapping[str, Any]) -> Mapping[str, Any]:
    stop_id = located.get("stop_id")
    return {
        **located,
        "round_id": plan.round_id,
        "run_id": plan.run_id,
        "delivery_point_id": plan.delivery_point_of_stop.get(stop_id) if stop_id else None,
    }


def _rounded(metres: float | None) -> float | None:
    return None if metres is None else round(metres, 1)
