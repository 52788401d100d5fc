"""The embedded server on real PostgreSQL binaries, with real processes that hold it, crash and come back."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from fieldsvc.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from fieldsvc.store.embedded_cluster import LOG_CAP_BYTES, Cluster

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import signal, sys
from pathlib import Path
from fieldsvc.store.embedded import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell begin with it ignored
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.acquire(), flush=True)
sys.stdin.readline()
server.release()
print("released", flush=True)
"""


def query(url: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def keep(url: str, number: int) -> None:
    query(url, "drop table if exists kept")
    query(url, f"create table kept as select {number} as n")


def until(condition: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def start_holder(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    )


def url_of(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def test_committed_rows_and_address_survive_a_clean_restart(fresh: Path, note: Callable[[str], None]) -> None:
    server = EmbeddedPostgres(fresh)
    began = time.monotonic()
    url = server.acquire()
    first_s = time.monotonic() - began
    keep(url, 41)
    server.release()
    assert server.pid() is None

    began = time.monotonic()
    assert server.acquire() == url
    second_s = time.monotonic() - began
    try:
        assert query(url, "select n from kept") == 41
    finally:
        server.release()
    note(f"embedded PostgreSQL: first start {first_s:.2f} s, second {second_s:.2f} s")
    assert first_s < 30
    assert second_s < 10


def test_server_is_durable_utf8_checksummed_and_reachable_from_this_machine_with_a_password_only(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.acquire()
    try:
        for setting, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "wal_level": "minimal",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "server_encoding": "UTF8",
        }.items():
            assert query(url, f"select current_setting('{setting}')") == value, setting
        assert query(url, "select lower('ÉTÉ')") == "été"
        for extension in ("pg_trgm", "unaccent"):
            query(url, f"create extension if not exists {extension}")
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(url.replace(Cluster(folder).password(), "wrong"), "select 1")
    finally:
        server.release()
    assert (folder / "postgres.password").stat().st_mode & 0o777 == 0o600
    assert (folder / "postgres").stat().st_mode & 0o777 == 0o700
    assert (folder / "postgres").stat().st_uid == os.geteuid()


def test_options_reach_the_server_and_quotes_in_them_do_no_harm(folder: Path) -> None:
    server = EmbeddedPostgres(folder, options={"fsync": "off", "cluster_name": "it's ours"})
    url = server.acquire()
    try:
        assert (
            query(url, "select current_setting('fsync') || ' ' || current_setting('cluster_name')") == "off it's ours"
        )
    finally:
        server.release()


def test_first_holder_to_leave_keeps_the_server_and_the_last_stops_it(fresh: Path) -> None:
    holders = [start_holder(fresh) for _ in range(3)]
    urls = {url_of(holder) for holder in holders}
    assert len(urls) == 1
    watcher = EmbeddedPostgres(fresh)
    pid = watcher.pid()
    assert pid is not None
    for holder in holders:
        assert watcher.pid() == pid
        assert query(urls.copy().pop(), "select 1") == 1
        out, _ = holder.communicate("\n", timeout=30)
        assert out.strip() == "released"
    assert watcher.pid() is None


def test_server_of_a_killed_holder_is_adopted_by_the_next_who_stops_it(folder: Path) -> None:
    holder = start_holder(folder)
    url = url_of(holder)
    keep(url, 42)
    server = EmbeddedPostgres(folder)
    pid = server.pid()
    holder.kill()
    holder.communicate()
    assert server.pid() == pid

    assert server.acquire() == url
    assert server.pid() == pid
    assert query(url, "select n from kept") == 42
    server.release()
    assert server.pid() is None


def test_interrupt_of_the_holders_process_group_does_not_reach_the_server(folder: Path) -> None:
    holder = start_holder(folder)
    url = url_of(holder)
    server = EmbeddedPostgres(folder)
    pid = server.pid()
    assert pid is not None
    assert os.getsid(pid) == pid
    os.killpg(holder.pid, signal.SIGINT)
    holder.communicate(timeout=20)
    assert holder.returncode != 0
    assert query(url, "select 1") == 1
    server.acquire()
    assert server.pid() == pid
    server.release()


@pytest.mark.fault
def test_killed_server_comes_back_on_its_port_with_every_committed_row(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.acquire()
    try:
        assert server.ensure_running() is False
        keep(url, 0)
        for n in range(1, 4):
            query(url, f"insert into kept values ({n})")
            server.kill()
            assert server.pid() is None
            assert server.ensure_running() is True
            assert query(url, "select array_agg(n order by n) from kept") == list(range(n + 1))
        assert server.ensure_running() is False
    finally:
        server.release()


@pytest.mark.fault
def test_restart_waits_for_workers_that_outlive_a_killed_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.acquire()

    async def scenario() -> bool:
        connection = await asyncpg.connect(url)
        worker = await connection.fetchval("select pg_backend_pid()")
        os.kill(worker, signal.SIGSTOP)
        try:
            server.kill()
            restart = asyncio.create_task(asyncio.to_thread(server.ensure_running))
            done, _ = await asyncio.wait([restart], timeout=1)
            assert not done, "it started beside a living worker of the old server"
        finally:
            os.kill(worker, signal.SIGCONT)
        restarted = await asyncio.wait_for(restart, 30)
        connection.terminate()
        return restarted

    try:
        assert asyncio.run(scenario())
        assert query(url, "select 1") == 1
    finally:
        server.release()


@pytest.mark.fault
def test_one_of_many_holders_that_all_see_the_server_die_restarts_it(folder: Path) -> None:
    servers = [EmbeddedPostgres(folder) for _ in range(4)]
    urls = {server.acquire() for server in servers}
    servers[0].kill()

    async def watch_all() -> None:
        await asyncio.gather(*(asyncio.to_thread(server.ensure_running) for server in servers))

    asyncio.run(watch_all())
    assert query(urls.pop(), "select 1") == 1
    for server in servers:
        server.release()
    assert servers[0].pid() is None


def test_process_file_whose_number_belongs_to_another_program_now_is_no_obstacle(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.acquire()
    keep(url, 43)
    pid_file = folder / "postgres" / "postmaster.pid"
    running = pid_file.read_text()
    server.kill()
    pid_file.write_text("".join([f"{os.getppid()}\n", *running.splitlines(keepends=True)[1:]]))
    assert server.pid() is None
    assert server.ensure_running() is True
    assert query(url, "select n from kept") == 43
    server.release()


def test_port_taken_by_another_program_between_two_starts_is_given_up(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    first = server.acquire()
    server.release()
    port = Cluster(folder).saved_port()
    assert port is not None
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        second = server.acquire()
        assert second != first
        assert query(second, "select 1") == 1
        server.release()


def test_two_folders_never_disturb_each_other(folder: Path, copied: Path) -> None:
    servers = [EmbeddedPostgres(at) for at in (folder, copied)]
    urls = [server.acquire() for server in servers]
    assert urls[0] != urls[1]
    servers[0].release()
    assert query(urls[1], "select 1") == 1
    servers[1].release()


def test_half_made_data_folder_of_an_interrupted_first_start_is_made_again(fresh: Path) -> None:
    half = fresh / "postgres.new.1f"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(fresh)
    assert query(server.acquire(), "select 1") == 1
    server.release()
    assert not half.exists()


def test_damaged_data_folder_is_reported_in_one_sentence_and_not_tried_for_ever(copied: Path) -> None:
    server = EmbeddedPostgres(copied)
    server.acquire()
    server.release()
    (copied / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*pg_control"):
        server.acquire()
    assert server.pid() is None


def test_data_of_another_version_is_refused_by_name(fresh: Path) -> None:
    (fresh / "postgres").mkdir(parents=True)
    (fresh / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match="version 12, which wrote"):
        EmbeddedPostgres(fresh).acquire()


def test_log_is_cut_when_it_is_long_and_the_server_writes_on(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.acquire()
    log = folder / "postgres.log"
    with log.open("ab") as file:
        file.write(b"x" * (LOG_CAP_BYTES + 1))
    server.ensure_running()
    assert log.stat().st_size == 0
    assert (folder / "postgres.log.1").stat().st_size == LOG_CAP_BYTES
    with pytest.raises(asyncpg.DivisionByZeroError):
        query(url, "select 1 / 0")
    until(lambda: "division by zero" in log.read_text())
    server.release()


def test_watching_a_server_that_was_never_acquired_is_an_error(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="must be acquired"):
        EmbeddedPostgres(folder).ensure_running()
