"""V03: screens see carriers on the planned line, never beside it, and nobody's speed."""

import random
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fieldsvc.store import live
from fieldsvc.store.database import Database
from fieldsvc.store.viewer import Viewer
from fieldsvc.tracking import replay
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.lines import Lines
from fieldsvc.web.documents import openapi
from tests.tracking.conftest import DAY, LAT, ROUND, Street, fix

SUPERVISOR = Viewer("supervisor", site="pantin")
SPEED = re.compile(r"(^|_)(speed|velocity|pace|kmh|mps|knots)(_|$)")


def names_in(schema: Any) -> Iterator[str]:
    """Name every property of every schema in a document."""
    if isinstance(schema, dict):
        yield from (str(name) for name in schema.get("properties", {}))
        for inner in schema.values():
            yield from names_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names_in(inner)


@pytest.fixture
async def planned(street: Street) -> Street:
    """The street's round and run as screens know them."""
    await street.fetch("insert into site values ('pantin', now())")
    await street.fetch(
        "insert into round (id, site, mode, line, source, digest, changed_at)"
        " values ('T07', 'pantin', 'foot', $1, 'file', ''::bytea, now())",
        [value for point in ROUND.line for value in point],
    )
    await street.fetch(
        "insert into run (id, day, round_id, site, state, carrier) values ($1, $2, 'T07', 'pantin', 'started', 'Camille')",
        street.run, DAY,
    )  # fmt: skip
    return street


async def shown(street: Street) -> list[tuple[float, float]]:
    """Give every place that the live map and the replay show of the run."""
    lines = Lines(street.database)
    board = Board(street.database, lines, ZoneInfo("UTC"))
    await board.read()
    way = await replay.way_of(street.database.seen_by(SUPERVISOR), lines, street.run, site="pantin")
    assert way is not None
    found = [(place.lon, place.lat) for place in board._places.values()]
    return found + [(each["lon"], each["lat"]) for each in way["points"] if each["lon"] is not None]


async def test_every_place_of_the_live_map_and_of_a_replay_is_on_the_planned_line(planned: Street) -> None:
    rng, tracker, seen = random.Random(3), planned.tracker(), 0
    for second in range(0, 1_800, 30):
        beside = rng.choice((0.0, rng.uniform(-25, 25), rng.uniform(-25, 25), rng.uniform(150, 900)))
        await planned.take(fix(second, beside_m=beside, accuracy_m=rng.choice((4.0, 15.0, 40.0))), by=tracker)
        if second % 300 == 0:
            seen += _all_on_the_line(await shown(planned))
    seen += _all_on_the_line(await shown(planned))
    assert seen > 50
    off = [row for row in await planned.progress() if row["status"] == "off_round"]
    assert off, "some of the way was off the round"
    assert {row["distance_along_m"] for row in off} == {None}


def _all_on_the_line(places: list[tuple[float, float]]) -> int:
    first, last = ROUND.line[0][0], ROUND.line[-1][0]
    for lon, lat in places:
        assert lat == pytest.approx(LAT, abs=2e-6), "the line runs due east: all of it has one latitude"
        assert first - 1e-6 <= lon <= last + 1e-6
    return len(places)


async def test_no_answer_and_no_table_has_a_speed(database: Database) -> None:
    document = openapi()
    answers = [operation["responses"] for each in document["paths"].values() for operation in each.values()]
    sent = [document["components"]["schemas"][name] for name in document["components"]["schemas"] if "public." in name]
    assert len(sent) > 90
    assert [name for name in names_in([answers, sent]) if SPEED.search(name)] == []
    async with database.acquire() as connection:
        columns = await connection.fetch(
            "select table_name || '.' || column_name as name from information_schema.columns where table_schema = 'public'"
        )
    assert len(columns) > 300
    assert [row["name"] for row in columns if SPEED.search(row["name"].partition(".")[2])] == []
    assert "speed" not in {each.name for each in live.Progress.__dataclass_fields__.values()}
