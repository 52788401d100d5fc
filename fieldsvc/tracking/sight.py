"""What one screen sees: places on planned lines, changes of a second, and the filter between them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from fieldsvc.store import alert as alerts
from fieldsvc.store.alarm import Alarm

Raised = Alarm | alerts.Alert


@dataclass(frozen=True, slots=True)
class LiveRun:
    """Whose place it is."""

    run_id: str
    day: date
    round_id: str
    site: str
    carrier: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: always a point of its planned line. Without any fix yet: the start of the line, no distance."""

    run: LiveRun
    lon: float
    lat: float
    distance_along_m: float | None
    status: str
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What a screen shows: a site, a box (least lon, least lat, most lon, most lat), both, or everything."""

    site: str | None = None
    box: tuple[float, float, float, float] | None = None

    def shows(self, place: Place) -> bool:
        """Tell whether a place is in sight."""
        if self.site is not None and place.run.site != self.site:
            return False
        if self.box is None:
            return True
        west, south, east, north = self.box
        return west <= place.lon <= east and south <= place.lat <= north


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one run; None = not on the board."""

    before: Place | None
    after: Place | None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alarm, or another alert, as it stands, and where its run was."""

    alarm: Raised
    place: Place | None


@dataclass(frozen=True, slots=True)
class Tick:
    """What changed in one second."""

    seq: int
    at: datetime
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()
    _by_site: dict[str, list[Change]] = field(default_factory=dict, compare=False, repr=False)

    def of(self, sight: Sight) -> Iterable[Change]:
        """Return the changes that may be in sight: sorted by site once, not for each screen."""
        if sight.site is None:
            return self.changes
        if not self._by_site:
            for change in self.changes:
                for site in {place.run.site for place in (change.before, change.after) if place}:
                    self._by_site.setdefault(site, []).append(change)
        return self._by_site.get(sight.site, ())

    def alarms(self, sight: Sight) -> Iterator[Raised]:
        """Yield the alarms that are in sight. One whose run is nowhere on the board is in every box."""
        for alert in self.alerts:
            right_site = sight.site is None or alert.alarm.site == sight.site
            if right_site and (alert.place is None or Sight(box=sight.box).shows(alert.place)):
                yield alert.alarm


def status_of(duty: str | None, status: str | None) -> str:
    """Say how the run of a carrier on duty is doing."""
    return "paused" if duty == "paused" else status or "unknown"
