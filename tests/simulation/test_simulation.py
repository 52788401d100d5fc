"""Thousands of schedules of the core, each from a seed: every rule holds in all of them, and every planted bug is found.

`FIELDSVC_TEST_FULL=1` runs twenty times as many, from other seeds on; `python -m tests.simulation <part> <seed>` replays one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation import parts
from tests.simulation.planted import BUGS, PHONE_BUGS, Bug, planted
from tests.sizes import sized

# How many schedules of each part in the short form: 20,000 in all. A piece is what one test runs.
SCHEDULES = {"journal": 1_000, "publishing": 1_000, "breakers": 8_000, "redirects": 8_000, "phone": 2_000}
PIECE = {"journal": 250, "publishing": 250, "breakers": 4_000, "redirects": 2_000, "phone": 500}
TIMES = sized(1, 20)
FIND_WITHIN = {"journal": 150, "publishing": 150, "breakers": 150, "redirects": 500, "phone": 500}
PIECES = [(part, n * PIECE[part]) for part, count in SCHEDULES.items() for n in range(TIMES * count // PIECE[part])]
ROOT = Path(__file__).parents[2]


def test_twenty_thousand_schedules_are_run() -> None:
    assert sum(PIECE[part] for part, _first in PIECES) >= 20_000 * TIMES


@pytest.mark.parametrize(("part", "first"), PIECES)
def test_no_schedule_breaks_a_rule(part: str, first: int, note: Callable[[str], None]) -> None:
    started, count = time.process_time() + os.times().children_user, PIECE[part]
    if part == "phone":
        *broken, _all = parts.phone(first, count)
        assert not broken
    else:
        with parts.simulation():
            for seed in range(first, first + count):
                parts.run(part, seed)
    spent = time.process_time() + os.times().children_user - started
    note(f"simulation {part} {first:6}: {count} schedules in {spent:.1f} s of a core, 0 broken")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.title)
def test_every_planted_bug_is_found(bug: Bug, note: Callable[[str], None]) -> None:
    with parts.simulation(), planted(bug):
        for seed in range(FIND_WITHIN[bug.part]):
            try:
                parts.run(bug.part, seed)
            except Exception as found:  # noqa: BLE001 - whatever it breaks, it is found
                note(f"simulation: found by seed {seed} of {bug.part}: {bug.title} ({found})")
                return
    pytest.fail(f"{bug.title}: not found in {FIND_WITHIN[bug.part]} schedules")


@pytest.mark.parametrize("bug", PHONE_BUGS, ids=lambda bug: bug[0])
def test_every_bug_planted_in_the_phone_is_found(bug: tuple[str, str, str, str], note: Callable[[str], None]) -> None:
    title, *edit = bug
    found = parts.phone(0, FIND_WITHIN["phone"], edit)[0]
    assert found["broken"], f"{title}: not found"
    note(f"simulation: found by seed {found['seed']} of phone: {title} ({found['broken']})")


@pytest.mark.parametrize("part", [*parts.WORLDS, "phone"])
def test_a_seed_replays_exactly_also_in_another_process_with_other_hashes(part: str) -> None:
    if part == "phone":
        assert parts.phone(40, 30) == parts.phone(40, 30)
        return
    with parts.simulation():
        here = [parts.run(part, seed) for seed in range(40, 70)]
        assert [parts.run(part, seed) for seed in range(40, 70)] == here
    command = [sys.executable, "-m", "tests.simulation", part, "40", "30"]
    env = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in told.splitlines()] == here
