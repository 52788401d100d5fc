"""Var folders in which an embedded PostgreSQL of the test's own can be started."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldsvc.store.embedded import EmbeddedPostgres


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder with a space in its name that any user can reach."""
    root = Path(tempfile.mkdtemp(prefix="fieldsvc test "))
    root.chmod(0o755)
    try:
        yield root / "var"
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def nothing_left_running(folder: Path) -> Iterator[Path]:
    yield folder
    left = EmbeddedPostgres(folder)
    running = left.pid()
    left.kill()
    assert running is None, "a server outlived its test"


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A var folder in which no server was ever started."""
    with place() as folder, nothing_left_running(folder):
        yield folder


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with place() as folder:
        server = EmbeddedPostgres(folder)
        server.acquire()
        server.release()
        yield folder


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A var folder whose first start is behind it, shared by the tests that leave it whole."""
    with nothing_left_running(made):
        yield made


@pytest.fixture
def copied(fresh: Path, made: Path) -> Path:
    """A copy of such a folder, to be damaged."""
    return Path(shutil.copytree(made, fresh))
