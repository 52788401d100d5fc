"""What the fault tests of the sender share: its ledger line, and its processes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from fieldsvc.bench.faults.children import Child, Children
from fieldsvc.store.database import Database
from tests.faults.publishing.oracle import Report, Verdict

Launch = Callable[..., Awaitable[Child]]


@pytest.fixture
def report(note: Callable[[str], None]) -> Report:
    """Tell the ledger line of a run at its end."""

    def shown(name: str, verdict: Verdict) -> None:
        note(f"faults: sender: {name}: {verdict.line}")

    return shown


@pytest.fixture
def launch(children: Children, database: Database, tmp_path: Path) -> Launch:
    """Start a dispatcher in a process of its own, and wait until it is ready."""

    async def started(*schedule: float, **order: object) -> Child:
        what = {"url": database.url, "schedule": schedule, **order}
        errors = tmp_path / "dispatchers.err"
        child = await children.start("-m", "tests.faults.publishing.worker", orjson.dumps(what).decode(), errors=errors)
        assert await child.line() == "ready", errors.read_text()
        return child

    return started
