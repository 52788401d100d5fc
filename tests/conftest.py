"""One PostgreSQL for each process of the run, one clean migrated database for each test that asks for it.

Figures that tests measure go to the end of the run, whichever process measured them.
"""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from fieldsvc.store.database import Database, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from geo import Fix, Matcher, Round, Stop
from handlers.registry import Registry, discover
from tests import databases
from tests.long_files import longest_first
from tests.sizes import is_long

# A service that a test starts matches in numpy: making the compiled matcher ready costs each process seconds.
os.environ["FIELDSVC_FAST_MATCHING"] = "false"
FIGURES = pytest.StashKey[list[str]]()
# Nothing need outlive a test; and statistics that come when nobody asked for them would change plans between two runs.
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",  # each connection is a process that maps them
    "max_connections": "300",
}

# State machines take the profile's size; `pytest --hypothesis-profile=long` walks more than 100,000 steps of each.
settings.register_profile("quick", deadline=None, max_examples=60, stateful_step_count=40)
settings.register_profile("long", deadline=None, max_examples=2_500, stateful_step_count=50)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)  # before the limit of each test is read
def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []
    if is_long() and config.option.timeout is None:
        config.option.timeout = 0
    # A shell that runs us in the background ignores Ctrl-C, and every process that a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """One process of a fresh checkout compiles the tests; the others wait, and read what it wrote."""
    with Path(__file__).open() as lock:
        if _is_one_of_many(session.config) and not sys.dont_write_bytecode:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(lock, fcntl.LOCK_SH)
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _is_one_of_many(config):
        items.sort(key=longest_first(items))


def _is_one_of_many(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand this worker's figures to the process that tells them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash[FIGURES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[FIGURES].extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in sorted(config.stash[FIGURES]):
        terminalreporter.write_line(line)
    if not os.environ.get("FIELDSVC_TEST_DATA"):
        terminalreporter.write_line("FIELDSVC_TEST_DATA names no folder: floors on real data ran on generated towns.")


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a measured figure to the summary of the run."""
    return request.config.stash[FIGURES].append


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Start the server of this test run, with a migrated template; fsync off, for speed (fault tests start their own)."""
    folder = Path(tempfile.mkdtemp(prefix="fieldsvc-tests-"))
    server = EmbeddedPostgres(folder, options=QUICK)
    try:
        url = server.acquire()
        databases.make_template(url)
        yield url
        databases.close(url)
    finally:
        server.release()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test's own."""
    url = await databases.take(postgres_url)
    yield url
    await databases.give_back(postgres_url, url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a migrated database of this test's own."""
    opened = await open_database(database_url, size=8)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The compiled filter, ready: half a minute of compiling for the first process that asks, for which the others wait."""
    rnd = Round("T01", [(2.48, 48.9), (2.49, 48.9)], [Stop("st-1", 48.9, 2.485)])
    at = [datetime(2026, 11, 21, 8, tzinfo=UTC) + timedelta(seconds=9 * n) for n in range(9)]
    with (tmp_path_factory.getbasetemp().parent / "compiling").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Matcher(rnd, engine="fast").replay([Fix(48.9, 2.481 + n * 1e-4, moment, 8.0) for n, moment in enumerate(at)])


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The services of the project."""
    return discover()
