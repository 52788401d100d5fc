"""PostgreSQL is killed again and again under a living service, which starts it again: everything still adds up.

Four times in the short form; `FIELDSVC_FAULT_CYCLES=10` (or more) is the long one.
"""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from random import Random

import asyncpg
import pytest

from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.store.embedded_cluster import Cluster
from tests.faults.children import Children
from tests.faults.oracle import Report
from tests.faults.service import scene

pytestmark = pytest.mark.fault
CYCLES, SEED = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "4")), 20261122
SESSIONS = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


async def kill_sessions(var_dir: Path) -> int:
    """Kill what serves the clients, as the out-of-memory killer would; return how many that were."""
    cluster = Cluster(var_dir)
    port = cluster.saved_port()
    assert port is not None
    connection = await asyncpg.connect(cluster.url(port))
    pids = [row["pid"] for row in await connection.fetch(SESSIONS)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    connection.terminate()
    return len(pids)


async def started_again(server: EmbeddedPostgres, killed: int) -> float:
    """Wait for another server process; return how long that took."""
    began = time.monotonic()
    while (pid := server.pid()) is None or pid == killed:
        assert time.monotonic() - began < 30
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_database_killed_at_random_moments_loses_repeats_and_inverts_nothing(
    children: Children, tmp_path: Path, report: Report
) -> None:
    rng, back = Random(SEED), []
    async with scene(children, tmp_path, seed=SEED, patience_s=3.0) as town:
        server = EmbeddedPostgres(town.service.var_dir)
        for cycle in range(CYCLES):
            await asyncio.sleep(rng.uniform(0.05, 1.0))
            pid = server.pid()
            assert pid is not None
            began = time.monotonic()
            if cycle % 2:
                assert await kill_sessions(town.service.var_dir) > 0
            os.kill(pid, signal.SIGKILL)
            await town.fleet.ask()
            await started_again(server, pid)
            await town.fleet.progress()
            back.append(time.monotonic() - began)
        verdict = await town.reckon()
        statuses = dict(town.fleet.statuses)
    report(f"database killed {CYCLES} times, back in {max(back):.1f} s at most, answers {statuses}", verdict)
    assert verdict.faults == []
    assert verdict.stored == len(verdict.phones.generated) > 50 * CYCLES
    assert town.service.starts == 1
    assert statuses[503] > 0
    assert "conflict" not in verdict.phones.acked.values()
