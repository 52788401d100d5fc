"""Places: what a carrier sees on the way and the town hall mends. Two reports of one kind that are near each other are one case.

Near is within 30 m and 30 days; a case is the reports that hang together so, and bears the id of its first one. A report is
decided in the square of the map that it lies in, which publishes it, and known in those whose border is near: so cases go
across borders. The story has the place and the kind: no person, and nothing of who saw it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from math import cos, floor, hypot, radians
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from handlers.base import Handler
from handlers.fields import PERSONAL, PUBLIC, Latitude, Longitude, Payload, PublicData, Text
from handlers.story import Decision, Event, EventType, Fact, Said, State, Tale, public, titled

NEAR_M, NEAR_FOR = 30.0, timedelta(days=30)
SQUARE = 0.01  # degrees: 1.1 km from south to north
BORDER_M = 4 * NEAR_M  # so far beyond its border a square knows what was seen
M_PER_DEGREE = 111_195.0


class Point(BaseModel):
    """Where it is, degrees WGS 84."""

    lat: Annotated[Latitude, PUBLIC]
    lon: Annotated[Longitude, PUBLIC]


class Observed(Payload):
    kind: Annotated[Literal["streetlight", "pothole", "tree", "sign"], PUBLIC]
    point: Point
    photo: Annotated[Text | None, PERSONAL] = None


class ObservedFact(PublicData):
    case_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    point: Point
    reports: Annotated[int, PUBLIC]  # of this case, this one among them
    photo: Annotated[str | None, PERSONAL] = None


OBSERVED = EventType(
    "place.observed",
    Observed,
    titled("Lieu signalé à la mairie", "Place reported to the town hall"),
    ({"kind": "streetlight", "point": {"lat": 48.93781, "lon": 2.16091}},),
)


class Place(Handler):
    name = "place"
    title = titled("Signalements à la mairie", "Reports to the town hall")
    subject = "place/{square}"
    facts_kept = 100
    events = (OBSERVED,)
    publishes = public(ObservedFact, OBSERVED)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the square of the map, then those whose border is near."""
        del event_type
        return tuple(f"place/{data['kind']}.{square}" for square in _squares(data["point"]))

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; where many are known, whole cases are forgotten, so that none changes its id."""
        return super().decide(replace(state, body=_thinned(state.body, self.facts_kept)), event, now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say each report of this square with its case."""
        del new, now
        seen = [fact for fact in facts if fact.type == OBSERVED.name]
        said, cases = list[Said](), set[str]()
        for case in _cases(seen):
            for number, fact in enumerate(case, start=1):
                if fact.data["square"].endswith(f".{next(_squares(fact.data['point']))}"):
                    cases.add(case[0].id)
                    told = {name: fact.data[name] for name in ("kind", "point", "photo") if name in fact.data}
                    said.append(Said(fact, fact.type, {"case_id": case[0].id, **told, "reports": number}))
        return Tale(said, {"cases": len(cases)})


def _squares(point: Mapping[str, float]) -> Iterator[str]:
    """Name the square of a point, then its neighbours within reach of the border; counted from the south and west."""
    lat, lon = point["lat"], point["lon"]
    reach = BORDER_M / M_PER_DEGREE
    wide = min(reach / max(cos(radians(lat)), 1e-3), SQUARE)
    own = floor((lat + 90) / SQUARE), floor((lon + 180) / SQUARE)
    near = product(
        *(sorted({floor((x + by) / SQUARE) for by in (-r, 0.0, r)}) for x, r in ((lat + 90, reach), (lon + 180, wide)))
    )
    yield from dict.fromkeys(f"{south}-{west}" for south, west in (own, *near))


def _cases(reports: Sequence[Fact]) -> list[list[Fact]]:
    """Put reports together that are near each other, directly or through others; each case oldest first, so are the cases."""
    cases = list[list[Fact]]()
    for fact in reports:
        joined, apart = [fact], list[list[Fact]]()
        for case in cases:
            if any(_near(each, fact) for each in case):
                joined += case
            else:
                apart.append(case)
        cases = [*apart, joined]
    return sorted(sorted(case) for case in cases)


def _near(one: Fact, other: Fact) -> bool:
    here, there = one.data["point"], other.data["point"]
    north = (there["lat"] - here["lat"]) * M_PER_DEGREE
    if abs(north) > NEAR_M:  # most are not: asked of every pair
        return False
    east = (there["lon"] - here["lon"]) * M_PER_DEGREE * cos(radians(here["lat"]))
    return hypot(north, east) <= NEAR_M and other.occurred_at - one.occurred_at <= NEAR_FOR


def _thinned(body: Mapping[str, Any] | None, most: int) -> Mapping[str, Any] | None:
    """Make room for one more report: the case that was seen longest ago goes as a whole."""
    if body is None or len(body["facts"]) < most:
        return body
    cases = _cases([fact for row in body["facts"] if (fact := Fact(*row)).type == OBSERVED.name])
    gone = {fact.id for fact in min(cases, key=lambda case: case[-1])}
    return {**body, "facts": [row for row in body["facts"] if row[1] not in gone]}


HANDLER = Place()
