"""The parts of the core that are simulated, each a world that a seed makes; and the phone's queue, which runs in its own language."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import structlog
from playwright._impl._driver import compute_driver_executable

from fieldsvc.logs import configure
from tests.simulation import breakers, journal, publishing, redirects
from tests.simulation.loop import simulated

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "fieldsvc" / "web" / "pages" / "static" / "handheld"
WORLDS: dict[str, Any] = {
    "journal": journal.World,
    "publishing": publishing.World,
    "breakers": breakers.World,
    "redirects": redirects.World,
}


@contextmanager
def simulation() -> Iterator[None]:
    """Let schedules run: made-up clocks, and no log lines."""
    configure(level="critical")
    try:
        with simulated():
            yield
    finally:
        structlog.reset_defaults()


def run(part: str, seed: int) -> str:
    """Run one schedule; give its trace. The fault names the seed."""
    try:
        trace: str = WORLDS[part](seed).run()
    except Exception as fault:
        fault.add_note(f"To replay: python -m tests.simulation {part} {seed}")
        raise
    return trace


def phone(first: int, count: int, planted: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Run schedules of the phone's own modules; give what was broken, and at last the trace of them all."""
    node = compute_driver_executable()[0]  # the browser's driver brings its own JavaScript engine
    command = [str(node), str(HERE / "phone.mjs"), str(MODULES), str(first), str(count), *planted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [orjson.loads(line) for line in done.stdout.splitlines()]
