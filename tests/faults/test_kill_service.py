"""The service is killed again and again while phones upload and a subscriber listens: everything still adds up.

Four times in the short form; `FIELDSVC_FAULT_CYCLES=10` (or more) is the long one.
"""

import asyncio
import os
from pathlib import Path
from random import Random

import pytest

from tests.faults.children import Children
from tests.faults.oracle import Report
from tests.faults.service import scene

pytestmark = pytest.mark.fault
CYCLES, SEED = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "4")), 20261121


async def test_a_service_killed_at_random_moments_loses_repeats_and_inverts_nothing(
    children: Children, tmp_path: Path, report: Report
) -> None:
    rng, back = Random(SEED), []
    async with scene(children, tmp_path, seed=SEED) as town:
        for _ in range(CYCLES):
            await asyncio.sleep(rng.uniform(0.05, 1.5))
            await town.service.kill()
            await town.service.start()
            back.append(await town.fleet.progress())
        verdict = await town.reckon()
        statuses = dict(town.fleet.statuses)
    report(f"service killed {CYCLES} times, answers {statuses}", verdict)
    assert verdict.faults == []
    assert verdict.stored == len(verdict.phones.generated) > 50 * CYCLES
    assert "conflict" not in verdict.phones.acked.values()
