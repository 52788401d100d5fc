"""Runs on another round than their own: noticed beside the taking of fixes, told once, and forgotten."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from fieldsvc.errors import Unavailable
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import open_vault
from fieldsvc.journal.submission import Result
from fieldsvc.journal.writer import Writer
from fieldsvc.store import round as rounds
from fieldsvc.store.database import Database, connect
from fieldsvc.store.progress import Progress
from fieldsvc.tracking import mismatch
from fieldsvc.tracking.mismatch import Watcher
from fieldsvc.tracking.tracker import Tracker, Visit
from fieldsvc.work.rounds import RunPlan
from geo import Fix, Round, Stop
from handlers.registry import Registry
from tests.tracking.conftest import DAY, DEVICE, EIGHT, LAT, LON, METRE_LAT, METRE_LON, NOON, Street, after

RUN = f"run-{DAY}-T07"
MPS = 0.7


def planned(round_id: str, north_m: float) -> Round:
    """A street of 1,500 m walked out and back, so far north of the first."""
    lat, far = LAT + north_m * METRE_LAT, LON + 1_500 * METRE_LON
    stops = tuple(Stop(f"{round_id}-{n}", lat, LON + n * 100 * METRE_LON, sequence=n + 1) for n in range(15))
    return Round(round_id, ((LON, lat), (far, lat), (LON, lat)), stops, "pantin")


TOWN = [planned(f"T{n:02d}", 300.0 * n) for n in range(5, 10)]
OWN, OTHER = TOWN[2], TOWN[4]


def plan_of(run_id: str = RUN) -> RunPlan:
    return RunPlan(run_id, "T07", "pantin", OWN, 1, {}, {}, {})


def walked(rnd: Round, count: int, *, first: int = 0, accuracy_m: float = 8.0) -> list[Fix]:
    places = [rnd.point_at(MPS * 30 * n) for n in range(first, first + count)]
    return [Fix(*place, after(30 * n), accuracy_m) for n, place in enumerate(places, first)]


def seen(fixes: Sequence[Fix], status: str) -> list[Progress]:
    return [Progress(fix.fixed_at, None, status) for fix in fixes]


@dataclass
class Bench:
    database: Database
    commands: Commands

    def watcher(self) -> Watcher:
        return Watcher(self.database, self.commands)

    async def told(self) -> list[dict[str, Any]]:
        async with self.database.acquire() as connection:
            rows = await connection.fetch(
                "select public from event where kind = 'field' and type = 'run.mismatch_suspected' order by pos"
            )
        return [orjson.loads(row["public"]) for row in rows]


@pytest.fixture
async def bench(database: Database, database_url: str, registry: Registry) -> AsyncIterator[Bench]:
    async with database.acquire() as connection:
        vault = await open_vault(connection, bytes(range(32)))
    writer = Writer(lambda: connect(database_url, lock_timeout="5s"), vault, registry, clock=lambda: datetime.now(UTC))
    job = asyncio.create_task(writer.run())
    await rounds.put(database, TOWN, source="file", from_day=DAY)
    yield Bench(database, Commands(writer, vault, registry))
    writer.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await job


async def upload(watcher: Watcher, fixes: Sequence[Fix], status: str, *, size: int = 4, run_id: str = RUN) -> None:
    """Let a watcher hear of uploads of so many fixes each, and follow each before the next."""
    for n in range(0, len(fixes), size):
        watcher.note(plan_of(run_id), fixes[n : n + size], seen(fixes[n : n + size], status))
        await watcher.catch_up()


async def test_a_run_that_serves_another_round_is_told_once(bench: Bench) -> None:
    watcher = bench.watcher()
    await upload(watcher, walked(OTHER, 90), "off_round")
    told = await bench.told()
    assert len(told) == 1
    found = {**told[0]["public"], **told[0]["operational"]}
    assert {name: found[name] for name in ("run_id", "round_id", "suspected_round_id")} == {
        "run_id": RUN, "round_id": "T07", "suspected_round_id": "T09",
    }  # fmt: skip
    assert found["confidence"] > 0.9
    assert not {"lat", "lon", "located", "carrier"} & found.keys()


async def test_another_process_and_the_same_after_a_restart_tell_nothing_twice(bench: Bench) -> None:
    for _ in range(2):
        await upload(bench.watcher(), walked(OTHER, 90), "off_round")
    assert len(await bench.told()) == 1


async def test_processes_that_notice_at_the_same_moment_publish_it_once(bench: Bench) -> None:
    await asyncio.gather(*(upload(bench.watcher(), walked(OTHER, 90), "off_round", size=90) for _ in range(3)))
    async with bench.database.acquire() as connection:
        body = await connection.fetchval("select body from state where handler = 'run' and subject = $1", f"run/{RUN}")
    assert len(orjson.loads(body)["published"]) == 1


async def test_a_run_on_its_own_round_is_never_followed(bench: Bench) -> None:
    watcher = bench.watcher()
    for status in ("on_round", "at_stop"):
        await upload(watcher, walked(OTHER, 60), status)
    await upload(watcher, walked(OTHER, 60), "unknown")
    assert not watcher._followed
    assert not await bench.told()


async def test_being_off_every_round_is_no_wrong_round(bench: Bench) -> None:
    watcher = bench.watcher()
    await upload(watcher, walked(planned("x", -3_000), 90), "off_round")
    assert RUN in watcher._followed
    assert not await bench.told()


async def test_a_stop_served_on_its_own_round_ends_the_suspicion(bench: Bench) -> None:
    watcher = bench.watcher()
    fixes = walked(OTHER, 90)
    await upload(watcher, fixes[:24], "off_round")
    assert RUN in watcher._followed
    watcher.settle(RUN)
    assert RUN not in watcher._followed
    await upload(watcher, fixes[24:33], "off_round")
    assert RUN not in watcher._followed
    assert not await bench.told()


async def test_what_is_kept_is_bounded_and_holds_no_place_of_a_fix(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("RUNS_COUNTED", 5), ("RUNS_FOLLOWED", 3), ("UPLOADS_WAITING", 7)):
        monkeypatch.setattr(mismatch, name, size)
    watcher = bench.watcher()
    for n in range(20):
        fixes = walked(OTHER, 12)
        watcher.note(plan_of(f"run-{DAY}-X{n}"), fixes, seen(fixes, "off_round"))
    assert (len(watcher._counts), len(watcher._waiting)) == (5, 7)
    for plan, fixes in list(watcher._waiting):
        await watcher.follow(plan, fixes)
    assert len(watcher._followed) == 3
    kept = b"".join(each.evidence.to_bytes() for each in watcher._followed.values())
    assert not any(f"{value:.5f}".encode() in kept for fix in walked(OTHER, 12) for value in (fix.lat, fix.lon))


async def test_a_site_without_other_rounds_is_not_followed(bench: Bench) -> None:
    watcher = bench.watcher()
    await watcher.follow(RunPlan(RUN, "T07", "nowhere", OWN, 1, {}, {}, {}), walked(OTHER, 5))
    assert not watcher._followed


async def test_what_the_journal_cannot_take_now_is_told_with_the_next_fixes(bench: Bench) -> None:
    watcher, sent = bench.watcher(), bench.commands

    class Full:
        async def send(self, *_args: object, **_more: object) -> Result:
            raise Unavailable

    watcher._commands = Full()  # type: ignore[assignment]
    fixes = walked(OTHER, 90)
    await upload(watcher, fixes[:70], "off_round")
    assert not await bench.told()
    watcher._commands = sent
    await upload(watcher, fixes[70:], "off_round")
    assert len(await bench.told()) == 1


async def test_the_job_follows_what_it_hears_of(bench: Bench) -> None:
    watcher = bench.watcher()
    job = asyncio.create_task(watcher.run())
    fixes = walked(OTHER, 90)
    watcher.note(plan_of(), fixes, seen(fixes, "off_round"))
    for _ in range(1_000):
        if await bench.told():
            break
        await asyncio.sleep(0.02)
    assert len(await bench.told()) == 1
    job.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await job


async def test_fixes_that_phones_send_lead_to_it_and_a_served_stop_ends_it(bench: Bench) -> None:
    street, watcher = Street(bench.database), bench.watcher()
    street.rounds.planned, street.rounds.runs = OWN, (RUN,)
    await bench.commands.send("run.started", {"run_id": RUN}, run=RUN, occurred_at=EIGHT)
    tracker = Tracker(bench.database, street.rounds, watcher=watcher)  # type: ignore[arg-type]
    fixes = walked(OTHER, 90)
    for n in range(0, 90, 10):
        await tracker.take(DEVICE, fixes[n : n + 10], received_at=NOON)
        await watcher.catch_up()
    assert [each["operational"]["suspected_round_id"] for each in await bench.told()] == ["T09"]
    assert RUN in watcher._followed
    await tracker.anchor(RUN, [Visit("T07-3", after(30 * 91), NOON)])
    assert RUN not in watcher._followed


async def test_fixes_in_a_pause_are_not_followed(bench: Bench) -> None:
    street, watcher = Street(bench.database), bench.watcher()
    street.rounds.planned, street.rounds.runs = OWN, (RUN,)
    for name, at in (("run.started", EIGHT), ("run.paused", after(60))):
        await bench.commands.send(name, {"run_id": RUN}, run=RUN, occurred_at=at)
    tracker = Tracker(bench.database, street.rounds, watcher=watcher)  # type: ignore[arg-type]
    await tracker.take(DEVICE, walked(OTHER, 90), received_at=NOON)
    assert not watcher._waiting
    assert not await bench.told()


def test_a_run_that_is_well_costs_next_to_nothing(note: Any) -> None:
    watcher = Watcher(None, None)  # type: ignore[arg-type]
    plan, fixes = plan_of(), walked(OWN, 1)
    found = seen(fixes, "on_round")
    began, rounds_of_it = time.perf_counter(), 20_000
    for _ in range(rounds_of_it):
        watcher.note(plan, fixes, found)
    cost_us = (time.perf_counter() - began) / rounds_of_it * 1e6
    note(f"mismatch: {cost_us:.1f} us a fix of a run on its own round")
    assert cost_us < 50
