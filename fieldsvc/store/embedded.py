"""The embedded PostgreSQL: one server per var folder, shared by every command that works there.

Each holder keeps a shared lock on `postgres.lock`. Starting and stopping happen under `postgres.start.lock`; whoever
releases and then gets `postgres.lock` for itself alone stops the server. Locks die with their process, so nothing needs
repair after a kill -9: the next holder adopts the server that is still there, and the last one stops it.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import asyncpg

from fieldsvc.store.embedded_cluster import Cluster, port_is_free
from fieldsvc.store.embedded_launch import EmbeddedPostgresError, Installation, find_installation, last_line

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_LOCK_WAIT_S = 180.0
_START_WAIT_S = 300.0  # after a crash PostgreSQL first replays its log
_STOP_WAIT_S = 120.0
_ORPHANS_WAIT_S = 60.0
_PORT_WAIT_S = 20.0
_GREETING_WAIT_S = 60.0
_POLL_S = 0.02
_TRIES = 6
_WORTH_A_RETRY = ("lock file", "could not bind", "Address already in use")


class EmbeddedPostgres:
    """A holder of the server of one var folder. The calls block (use a thread) and may come from any thread."""

    def __init__(self, folder: Path, *, options: Mapping[str, str] | None = None) -> None:
        """`folder` holds everything; `options` are postgresql.conf settings, used by the holder that starts it."""
        self._cluster = Cluster(folder.absolute())
        self._options = dict(options or {})
        self._guard = threading.RLock()
        self._held: int | None = None
        self._url = ""

    def acquire(self) -> str:
        """Start the server or adopt the one that runs, and return its URL; a second call returns the same one."""
        with self._guard, _plain_errors(self._cluster):
            if self._held is not None:
                return self._url
            self._cluster.folder.mkdir(parents=True, exist_ok=True)
            with self._start_lock():
                held = _open_lock(self._cluster.folder / "postgres.lock")
                try:
                    fcntl.flock(held, fcntl.LOCK_SH)
                    self._url = self._cluster.url(self._bring_up(self._cluster.choose_port))
                except BaseException:
                    self._let_go(held)
                    raise
                self._held = held
            return self._url

    def release(self) -> None:
        """Give the server up; stop it, and wait until it is gone, when nobody else holds it."""
        with self._guard, _plain_errors(self._cluster):
            if self._held is None:
                return
            with self._start_lock():
                held, self._held = self._held, None
                self._let_go(held)

    def ensure_running(self) -> bool:
        """Start the server again, on the same port, if it has died; True if it had. Also keeps its log short."""
        with self._guard, _plain_errors(self._cluster):
            if self._held is None:
                raise EmbeddedPostgresError("The embedded PostgreSQL must be acquired before it is watched.")
            self._cluster.cap_log()
            if self._cluster.process() is not None:
                return False
            with self._start_lock():
                self._bring_up(self._same_port)
            return True

    def pid(self) -> int | None:
        """Return the server's process number, or None when it does not run."""
        found = self._cluster.process()
        return None if found is None else found.pid

    def kill(self) -> None:
        """Kill the server as a crash would (SIGKILL) and wait until it is gone: for fault tests."""
        found = self._cluster.process()
        if found is not None:
            self._signal(found.pid, signal.SIGKILL, _STOP_WAIT_S)

    def _bring_up(self, choose_port: Callable[[], int]) -> int:
        """Return the port of the server once it answers; the caller has the start lock."""
        orphans_until = time.monotonic() + _ORPHANS_WAIT_S
        said, tries = "it went away as it was adopted", 0
        while tries < _TRIES:
            tries += 1
            found = self._cluster.process()
            if found is None:
                said = self._start(choose_port())
                found = self._cluster.process()
            port = None if found is None else self._await_ready(found.pid)
            if port is not None:
                self._greet(port)
                return port
            if "shared memory block" in said and time.monotonic() < orphans_until:
                tries -= 1  # workers of a killed server are still leaving
                time.sleep(0.1)
            elif found is None and not any(words in said for words in _WORTH_A_RETRY):
                break
        raise EmbeddedPostgresError(f"PostgreSQL did not start: {_reason(said)} (see {self._cluster.log})")

    def _start(self, port: int) -> str:
        """Start the server; return what it said once it takes connections or has ended."""
        cluster = self._cluster
        installation = find_installation(cluster.folder, cluster.data)
        self._prepare(installation, port)
        with cluster.open_log() as log:
            began_at = log.tell()
            server = installation.identity.spawn([installation.program("postgres"), "-D", cluster.data], log)
        # Reaped the moment it dies: a zombie would look alive to the other holders.
        threading.Thread(target=server.wait, name="postgres-reaper", daemon=True).start()
        deadline = time.monotonic() + _START_WAIT_S
        while server.returncode is None and time.monotonic() < deadline:
            found = cluster.process()
            if found is not None and found.pid == server.pid and found.status == "ready":
                break
            time.sleep(_POLL_S)
        with cluster.log.open("rb") as log:
            log.seek(began_at)
            return log.read().decode(errors="replace")

    def _prepare(self, installation: Installation, port: int) -> None:
        self._cluster.clear_leftovers()
        if not (self._cluster.data / "PG_VERSION").exists():
            self._cluster.create(installation)
        installation.identity.own(self._cluster.data)
        self._cluster.configure(installation, port, self._options)
        self._cluster.forget_stranger()
        self._cluster.cap_log()

    def _await_ready(self, pid: int) -> int | None:
        """Return the port once the server takes connections, None if it went away instead."""
        deadline = time.monotonic() + _START_WAIT_S
        while time.monotonic() < deadline:
            found = self._cluster.process()
            if found is None or found.pid != pid:
                return None
            if found.status == "ready" and found.port is not None:
                return found.port
            time.sleep(_POLL_S)
        raise EmbeddedPostgresError(f"PostgreSQL (process {pid}) is not ready after {_START_WAIT_S:.0f} s.")

    def _same_port(self) -> int:
        port = self._cluster.saved_port()
        if port is None:
            return self._cluster.choose_port()
        deadline = time.monotonic() + _PORT_WAIT_S
        while not port_is_free(port):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"Port {port} of the embedded PostgreSQL was taken by another program.")
            time.sleep(_POLL_S)
        return port

    def _greet(self, port: int) -> None:
        """Sign in and check that the server works on our data: the password is this folder's own."""
        try:
            directory = asyncio.run(_data_directory(self._cluster.url(port)))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise EmbeddedPostgresError(f"PostgreSQL on port {port} runs but does not answer: {error}") from error
        if not self._cluster.data.samefile(directory):
            raise EmbeddedPostgresError(f"The PostgreSQL on port {port} serves {directory}, not {self._cluster.data}.")

    def _let_go(self, held: int) -> None:
        """Drop the shared lock, and stop the server if that was the last; the caller has the start lock."""
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._stop()
        except BlockingIOError:
            pass
        finally:
            os.close(held)

    def _stop(self) -> None:
        found = self._cluster.process()
        if found is None:
            return
        for number, wait_s in ((signal.SIGINT, _STOP_WAIT_S), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if self._signal(found.pid, number, wait_s):
                return
        raise EmbeddedPostgresError(f"PostgreSQL (process {found.pid}) would not stop.")

    def _signal(self, pid: int, number: signal.Signals, wait_s: float) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        while self._cluster.serves(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[None]:
        lock = _open_lock(self._cluster.folder / "postgres.start.lock")
        deadline = time.monotonic() + _LOCK_WAIT_S
        try:
            while not _lock_now(lock):
                if time.monotonic() > deadline:
                    folder = self._cluster.folder
                    raise EmbeddedPostgresError(
                        f"Another command is still starting or stopping PostgreSQL in {folder}."
                    )
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(lock)


def _reason(said: str) -> str:
    """Pick out of a server's log the line that says why it gave up."""
    fatal = [line for line in said.splitlines() if "FATAL:" in line or "PANIC:" in line]
    return last_line(fatal[0] if fatal else said)


@contextlib.contextmanager
def _plain_errors(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(f"The embedded PostgreSQL cannot use {cluster.folder}: {error}") from error


def _open_lock(path: Path) -> int:
    # Read access is enough to lock, so a plain user and root can share a folder.
    return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _lock_now(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _data_directory(url: str) -> str:
    """Ask the server where it works, waiting while it recovers from a crash of one of its workers."""
    async with asyncio.timeout(_GREETING_WAIT_S):
        while True:
            try:
                connection = await asyncpg.connect(url, ssl=False)
            except asyncpg.CannotConnectNowError:
                await asyncio.sleep(_POLL_S)
            else:
                break
        try:
            return str(await connection.fetchval("show data_directory"))
        finally:
            await connection.close()
