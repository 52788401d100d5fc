"""How many fixes a second one process takes, each upload committed with fsync: `python -m tests.tracking.speed`.

Forty carriers on a round of ten kilometres send uploads of 1, 20 or 200 fixes, eight at a time; PostgreSQL is on the same
machine. Printed as JSON lines, for each fix: the time, the processor time of this process without PostgreSQL's, and the
processor time of matching alone.
"""

import asyncio
import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import orjson

from fieldsvc.store.database import migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.store.progress import RunState
from fieldsvc.tracking.steps import advance
from geo import Fix, Round, Stop
from tests.tracking.conftest import DAY, DEVICE, EIGHT, LAT, LON, METRE_LAT, METRE_LON, Rounds, Street

CARRIERS, AT_ONCE, APART_S = 40, 8, 10
LINE = tuple((LON + math.sin(n / 8) * 300 * METRE_LON, LAT + n * 18 * METRE_LAT) for n in range(500))
ROUND = Round("T07", LINE, tuple(Stop(f"s{n}", lat, lon) for n, (lon, lat) in enumerate(LINE)), "pantin")


def fixes(count: int) -> Iterator[Fix]:
    """Walk the line, some metres beside it."""
    for n in range(count):
        lon, lat = LINE[n * len(LINE) // 2_000 % len(LINE)]
        yield Fix(lat + (n % 7) * METRE_LAT, lon, EIGHT + timedelta(seconds=n * APART_S), 6.0)


async def _measure(street: Street, size: int, uploads: int) -> dict[str, float]:
    runs = [f"run-{DAY}-T{size}.{n}" for n in range(CARRIERS)]
    rounds = [Rounds((run,), planned=ROUND) for run in runs]
    streets = [Street(street.database, each) for each in rounds]
    for each in streets:
        await each.set_duty((EIGHT, None))
    walk = list(fixes(size * uploads))
    gate = asyncio.Semaphore(AT_ONCE)

    async def carrier(walked: Street) -> None:
        tracker = walked.tracker()
        for first in range(0, len(walk), size):
            async with gate:
                received_at = walk[first + size - 1].fixed_at
                answer = await tracker.take(DEVICE, walk[first : first + size], received_at=received_at)
            assert answer.taken == size, answer

    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(carrier(each) for each in streets))
    count, took_s = CARRIERS * len(walk), time.perf_counter() - began
    own_us = (time.process_time() - busy) / count * 1e6
    return {
        "fixes_per_s": round(count / took_s),
        "us_per_fix": round(took_s / count * 1e6),
        "own_cpu_us": round(own_us),
    }


async def main(url: str) -> None:
    first = await asyncpg.connect(url)
    await migrate(first)
    await first.close()
    database = await open_database(url, size=AT_ONCE)
    street = Street(database, Rounds())
    plan = await Rounds(("run",), planned=ROUND).run_plan("run")
    assert plan is not None
    began = time.process_time()
    advance(plan, RunState(), list(fixes(1_000)), [])
    match_us = (time.process_time() - began) * 1_000
    for size, uploads in ((1, 50), (20, 12), (200, 3)):
        found = await _measure(street, size, uploads)
        print(orjson.dumps({"bench": "fixes", "upload": size, **found, "match_us": round(match_us)}).decode())
    await database.close()


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="fieldsvc-speed-"))
    server = EmbeddedPostgres(folder, options={"max_connections": "30"})
    try:
        asyncio.run(main(server.acquire()))
    finally:
        server.release()
        shutil.rmtree(folder, ignore_errors=True)
