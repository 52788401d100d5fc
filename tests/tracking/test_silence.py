"""Silences: when a run on duty is silent for too long, and where that is usual."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.store.database import Database
from fieldsvc.store.learned_time import Row
from fieldsvc.store.silence import Heard
from fieldsvc.tracking.silence import (
    GAP_S,
    PATIENCE_S,
    Silences,
    patience,
    silent_since,
    spans_of,
    stretches_of,
)
from handlers.fields import format_time
from sql import query

DAY = datetime.now(UTC).date()
NINE = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=UTC)


def at(minute: float) -> datetime:
    return NINE + timedelta(minutes=minute)


def body(*intervals: tuple[float, float | None], duty: str = "on", mandate: bool = False) -> bytes:
    spans = [[format_time(at(first)), format_time(at(last)) if last is not None else None] for first, last in intervals]
    return orjson.dumps({"now": {"duty": duty, "state": "started", "mandate": mandate, "intervals": spans}})


def heard(told: bytes | None, newest: datetime | None = None, *, state: str = "started", **more: float) -> Heard:
    known = {"passed": 0, "silent": 0, "gap_s": 0.0} | more
    return Heard("run-1", "T07", "pantin", state, told, newest, is_open=False, **known)  # type: ignore[arg-type]


def test_a_run_is_silent_since_its_newest_moment_or_since_it_began_or_went_on() -> None:
    assert silent_since(heard(body((0, None)), at(20))) == at(20)
    assert silent_since(heard(body((0, None)))) == at(0)
    assert silent_since(heard(body((0, 30), (75, None)), at(29))) == at(75)


@pytest.mark.parametrize(
    "run",
    [
        heard(body((0, 30), duty="paused"), at(20), state="paused"),
        heard(body((0, 30), duty="off"), at(20), state="ended"),
        heard(body((0, None), duty="mandate", mandate=True), at(20)),
        heard(None, at(20), state="planned"),
    ],
)
def test_a_pause_the_end_and_a_mandate_are_no_silence(run: Heard) -> None:
    assert silent_since(run) is None


def test_patience_grows_only_where_most_earlier_runs_were_silent() -> None:
    assert patience(heard(None)) == PATIENCE_S
    assert patience(heard(None, passed=2, silent=2, gap_s=2_000.0)) == PATIENCE_S
    assert patience(heard(None, passed=10, silent=4, gap_s=2_000.0)) == PATIENCE_S
    assert patience(heard(None, passed=4, silent=3, gap_s=1_200.0)) == 1_800.0
    assert patience(heard(None, passed=4, silent=4, gap_s=9_000.0)) == 3_600.0
    assert patience(heard(None, passed=4, silent=4, gap_s=GAP_S)) == PATIENCE_S


def row(minute: float, metres: float | None) -> Row:
    return Row(at(minute), metres, "on_round")


def test_a_gap_is_learned_over_the_way_that_was_silent_and_what_was_heard_as_heard() -> None:
    rows = [row(0, 10), row(1, 150), row(2, 250), row(22, 850), row(23, 1_050), row(24, 1_250)]
    assert stretches_of(rows, [(at(0), at(60))]) == {0: None, 1: 1_200.0, 2: 1_200.0, 3: 1_200.0, 4: 1_200.0, 5: None}


def test_a_pause_between_two_moments_is_no_gap() -> None:
    rows = [row(0, 10), row(1, 150), row(40, 150), row(41, 250)]
    assert stretches_of(rows, [(at(0), at(2)), (at(39), at(60))]) == {0: None}
    assert spans_of(body((0, 2), (39, 60))) == [(at(0), at(2)), (at(39), at(60))]


async def test_what_runs_of_a_round_showed_adds_up_and_another_version_of_the_round_begins_anew(
    database: Database,
) -> None:
    async def learn(version: int, gap_s: float | None) -> tuple[int, int, float]:
        async with database.acquire() as connection:
            await connection.execute(query("silence.learn"), "T07", version, [3], [gap_s])
            known = await connection.fetchrow("select passed, silent, gap_s from silent_stretch")
        assert known is not None
        return known["passed"], known["silent"], known["gap_s"]

    assert await learn(1, 1_000.0) == (1, 1, 1_000.0)
    assert await learn(1, None) == (2, 1, 1_000.0)
    assert await learn(1, 2_000.0) == (3, 2, 1_500.0)
    assert await learn(2, None) == (1, 0, 0.0)


@dataclass
class Said:
    """Commands that do what the journal would: note the alert."""

    database: Database
    said: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, name: str, data: dict[str, Any], **_: Any) -> None:
        self.said.append((name, data["run_id"]))
        statement = "update alert set settled_at = now() where subject = $1"
        if name == "silence.began":
            statement = (
                "insert into alert (id, type, level, service, subject, discreet, event, raised_at, changed_at) values "
                "(gen_random_uuid(), 'silence.began', 'attention', 'silence', $1, false, gen_random_uuid(), now(), now())"
            )
        async with self.database.acquire() as connection:
            await connection.execute(statement, f"run/{data['run_id']}")


async def walked(database: Database, name: str, *, state: str, told: bytes, moments: list[tuple[float, float]]) -> str:
    """Make a run of today on round T07 with its progress: (minute, metres)."""
    run_id = f"run-{DAY}-{name}"
    async with database.acquire() as connection:
        await connection.execute("insert into site values ('pantin', now()) on conflict do nothing")
        for round_id in ("T07", name):
            await connection.execute(
                "insert into round (id, site, mode, line, source, digest, changed_at) values "
                "($1, 'pantin', 'foot', '{}', 'file', ''::bytea, now()) on conflict do nothing", round_id,
            )  # fmt: skip
        await connection.execute(
            "insert into run (id, day, round_id, site, state, state_at, changed_at) "
            "values ($1, $2, $3, 'pantin', $4, now() - interval '1 day', now())",
            *(run_id, DAY, name, state),
        )
        await connection.execute(
            "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)", f"run/{run_id}", told
        )
        for minute, metres in moments:
            await connection.execute(
                "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, 'on_round', now())",
                *(DAY, run_id, NINE + timedelta(minutes=minute), metres),
            )
        await connection.execute(
            "insert into run_state (run, day, matcher, through_at, distance_along_m, status, version, updated_at) "
            "values ($1, $2, ''::bytea, $3, $4, 'on_round', 1, now())",
            *(run_id, DAY, NINE + timedelta(minutes=moments[-1][0]), moments[-1][1]),
        )
    return run_id


async def test_a_silent_run_is_told_once_and_when_it_is_heard_again(database: Database) -> None:
    run_id = await walked(database, "T07", state="started", told=body((0, None)), moments=[(0, 10), (5, 400)])
    commands = Said(database)
    silences = Silences(database, commands, UTC)  # type: ignore[arg-type]
    assert await silences.look(at(19)) == []
    assert await silences.look(at(21)) == [run_id]
    assert await silences.look(at(25)) == []
    async with database.acquire() as connection:
        await connection.execute(
            "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, 500, 'on_round', now())",
            *(DAY, run_id, at(24)),
        )
    assert await silences.look(at(26)) == [run_id]
    assert [name for name, _ in commands.said] == ["silence.began", "silence.ended"]


async def test_where_earlier_runs_of_the_round_were_silent_patience_is_longer_and_elsewhere_it_is_not(
    database: Database,
) -> None:
    silences = Silences(database, Said(database), UTC)  # type: ignore[arg-type]
    zone = [(0.0, 10.0), (5.0, 400.0), (25.0, 900.0), (26.0, 1_050.0), (27.0, 1_250.0)]
    for number in range(3):
        await walked(database, f"T07-{number}", state="ended", told=body((0, 60), duty="off"), moments=zone)
    async with database.acquire() as connection:
        await connection.execute(
            "update run set round_id = 'T07', day = day - 1 - substr(round_id, 5)::integer where round_id <> 'T07'"
        )
        await connection.execute("update progress set day = run.day from run where run.id = progress.run")
    assert await silences.learn(settled_s=0) == 3
    assert await silences.learn(settled_s=0) == 0
    await walked(database, "T07", state="started", told=body((0, None)), moments=[(0, 10), (5, 450)])
    assert await silences.look(at(30)) == []
    assert len(await silences.look(at(36))) == 1
    async with database.acquire() as connection:
        await connection.execute("update alert set settled_at = now()")
        await connection.execute("update run_state set distance_along_m = 1300 where run like '%-T07'")
    assert len(await silences.look(at(30))) == 1
