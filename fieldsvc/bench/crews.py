"""Phones, people and rounds that benchmarks of the live screens are set up with."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from handlers.story import Actor

BASE_URL = "http://127.0.0.1"
Place = tuple[float, float]


async def enrolled(platform: Platform, number: int, *, site: str, round_id: str) -> str:
    """Enrol a phone for a round; its token."""
    device = await enrolment.enrol_device(
        platform.database, BASE_URL, carrier=f"Carrier {number}", site=site, round_id=round_id
    )
    return str(device["token"])


async def signed_in(platform: Platform, role: str, email: str, *, site: str | None) -> str:
    """Make a person and sign them in; their session. RuntimeError if they could not."""
    person = await accounts.create_person(platform.database, BASE_URL, role, email=email, site=site)
    session = await accounts.sign_in(platform.database, person["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    if session is None:
        raise RuntimeError(f"the {role} could not sign in")
    return session


async def started(platform: Platform, run_id: str, *, site: str, at: datetime) -> None:
    """Put a run on duty."""
    actor = Actor("operator", entered_by="bench")
    await platform.commands.send("run.started", {"run_id": run_id}, actor=actor, site=site, run=run_id, occurred_at=at)


async def all_covered(platform: Platform) -> None:
    """Let nothing be told of the runs themselves: a service that starts late in the day would tell of each of them."""
    async with platform.database.acquire() as connection:
        await connection.execute("update run set said = 'covered'")


def zone_of_the_morning() -> str:
    """Name the zone in which it is ten o'clock now (eleven at most): the shift lies within one local day."""
    ahead_h = max(10 - datetime.now(UTC).hour, -12)
    return f"Etc/GMT{-ahead_h:+d}" if ahead_h else "Etc/UTC"


def straight_round(
    round_id: str, line: Sequence[Place], *, site: str, name: str, stops: int
) -> Iterator[dict[str, Any]]:
    """Write a round as GeoJSON features: its line of [lon, lat], and so many stops evenly along it."""
    line_string = {"type": "LineString", "coordinates": line}
    yield _feature(line_string, round_id=round_id, site=site, mode="foot", name=name)
    for sequence in range(1, stops + 1):
        stop = f"{round_id}-{sequence}"
        place = {"type": "Point", "coordinates": line[sequence * (len(line) - 1) // (stops + 1)]}
        yield _feature(place, round_id=round_id, stop_id=stop, sequence=sequence, delivery_point_id=stop)


def _feature(geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}
