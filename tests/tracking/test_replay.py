"""How a run went: every moment on the line, however it arrived."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fieldsvc.store.database import Database, Seen
from fieldsvc.store.viewer import EVERY_SITE, Viewer
from fieldsvc.tracking import replay
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.sight import status_of
from geo.rounds import Round

DAY = datetime.now(UTC).date()
EIGHT = datetime(DAY.year, DAY.month, DAY.day, 8, tzinfo=UTC)
LINE = ((2.0, 48.9), (2.02, 48.9))
RUN = f"run-{DAY}-T07"


async def execute(database: Database, text: str, *args: Any) -> None:
    async with database.acquire() as connection:
        await connection.execute(text, *args)


@pytest.fixture
async def planned(database: Database) -> Database:
    """One round of two stops and a run of today."""
    await execute(database, "insert into site values ('pantin', now())")
    await execute(
        database,
        "insert into round (id, site, mode, line, source, digest, changed_at)"
        " values ('T07', 'pantin', 'bike', $1, 'file', ''::bytea, now())",
        [value for point in LINE for value in point],
    )
    await execute(database, "insert into run (id, day, round_id, site) values ($1, $2, 'T07', 'pantin')", RUN, DAY)
    return database


async def progress(
    database: Database, seconds: float, metres: float | None, status: str = "on_round", late_s: float = 1
) -> None:
    at = EIGHT + timedelta(seconds=seconds)
    await execute(
        database,
        "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, $5, $6)",
        DAY, RUN, at, metres, status, at + timedelta(seconds=late_s),
    )  # fmt: skip


def seen(database: Database) -> Seen:
    return database.seen_by(Viewer("operator", site=EVERY_SITE))


async def way(database: Database, site: str | None = "pantin") -> dict[str, Any] | None:
    return await replay.way_of(seen(database), Lines(database), RUN, site=site)


async def test_moments_are_told_in_their_order_and_say_when_they_were_received(planned: Database) -> None:
    await progress(planned, 60, 60.0)
    await progress(planned, 30, 30.0, late_s=7_200)
    await progress(planned, 45, None, "off_round")
    found = await way(planned)
    assert found is not None
    assert [(each["distance_along_m"], each["status"]) for each in found["points"]] == [
        (30.0, "on_round"),
        (None, "off_round"),
        (60.0, "on_round"),
    ]
    assert found["points"][0]["received_at"].endswith("T10:00:30.000Z")
    lat, lon = Round("T07", LINE, ()).point_at(30.0)
    assert (found["points"][0]["lon"], found["points"][0]["lat"]) == pytest.approx((lon, lat), abs=1e-6)
    assert (found["points"][1]["lon"], found["points"][1]["lat"]) == (None, None)
    assert (found["mode"], found["length_m"]) == ("bike", pytest.approx(Round("T07", LINE, ()).length_m, abs=0.1))


async def test_a_run_of_another_site_is_none_and_so_is_an_unknown_one(planned: Database) -> None:
    assert await way(planned, "bondy") is None
    assert await way(planned, None) is not None
    assert await replay.way_of(seen(planned), Lines(planned), "run-x", site=None) is None


async def test_a_round_that_was_removed_leaves_distances_without_places(planned: Database) -> None:
    await progress(planned, 30, 30.0)
    await execute(planned, "delete from round")
    found = await way(planned)
    assert found is not None
    assert (found["mode"], found["length_m"]) == (None, None)
    assert [(each["distance_along_m"], each["lon"]) for each in found["points"]] == [(30.0, None)]
    listed = await replay.runs_of(planned, Lines(planned), DAY, site="pantin", after="", limit=9)
    assert [(each["run_id"], each["name"], each["stops"], each["length_m"]) for each in listed] == [
        (RUN, None, 0, None)
    ]


async def test_only_a_carrier_on_duty_has_a_status(planned: Database) -> None:
    assert [status_of(*each) for each in (("on", "at_stop"), ("paused", "at_stop"), ("on", None))] == [
        "at_stop",
        "paused",
        "unknown",
    ]
    (about,) = await replay.runs_of(planned, Lines(planned), DAY, site=None, after="", limit=9)
    assert (about["status"], about["seen_at"]) == (None, None)
    assert await replay.runs_of(planned, Lines(planned), date(2020, 1, 1), site=None, after="", limit=9) == []
