"""The files of one embedded PostgreSQL: its data, password, port, configuration, process file and log."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fieldsvc.store.embedded_launch import EmbeddedPostgresError, Installation

USER = DATABASE = "fieldsvc"
HOST = "127.0.0.1"
LOG_CAP_BYTES = 8 * 1024 * 1024
# Below every system's range of outgoing ports, so that no client connection ever sits on ours between two starts.
_PORTS = range(15_000, 32_000)
_NO_PROCESS = 2**30
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "shared_buffers": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    "log_error_verbosity": "terse",  # a DETAIL line may quote a row
}
# A Mac's plain fsync leaves data in the drive's cache.
_MAC_SETTINGS: Mapping[str, str] = {"wal_sync_method": "fsync_writethrough"} if sys.platform == "darwin" else {}


@dataclass(frozen=True)
class ProcessFile:
    """What postmaster.pid says: the server's process, its port, and whether it takes connections yet."""

    pid: int
    port: int | None
    status: str


@dataclass(frozen=True)
class Cluster:
    """The var folder of one embedded server, seen as files; `postgres` inside it holds the data."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "postgres"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def url(self, port: int) -> str:
        return f"postgresql://{USER}:{self.password()}@{HOST}:{port}/{DATABASE}"

    def password(self) -> str:
        try:
            return (self.folder / "postgres.password").read_text().strip()
        except FileNotFoundError:
            missing = self.folder / "postgres.password"
            raise EmbeddedPostgresError(f"{missing} is gone; without it nobody can open {self.data}.") from None

    def saved_port(self) -> int | None:
        try:
            return int((self.folder / "postgres.port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def choose_port(self) -> int:
        """Return the port of the last start if nothing listens there now, else a free one taken at random."""
        last = self.saved_port()
        if last is not None and port_is_free(last):
            return last
        for _ in range(200):
            port = secrets.choice(_PORTS)
            if port_is_free(port):
                return port
        raise EmbeddedPostgresError(f"No free port was found on {HOST} between {_PORTS.start} and {_PORTS.stop}.")

    def clear_leftovers(self) -> None:
        """Remove what killed first starts left behind."""
        for left in self.folder.glob("postgres.new.*"):
            shutil.rmtree(left, ignore_errors=True)

    def create(self, installation: Installation) -> None:
        """Make the data folder with its database, or leave nothing: it is built aside and renamed when whole."""
        # A name of its own: an initdb that outlived its killed command may still be writing into the last one.
        aside = self.folder / f"postgres.new.{secrets.token_hex(4)}"
        aside.mkdir(mode=0o700)
        secret = self.folder / "postgres.password"
        if not secret.exists():
            _write(secret, secrets.token_urlsafe(24) + "\n")
        handed = self.folder / "postgres.password.new"
        _write(handed, secret.read_text())
        installation.identity.own(aside)
        installation.identity.own(handed)
        try:
            _initialise(installation, aside, handed)
        except EmbeddedPostgresError as error:
            raise EmbeddedPostgresError(f"PostgreSQL could not make its data folder {self.data}: {error}") from error
        finally:
            handed.unlink(missing_ok=True)
        aside.rename(self.data)

    def configure(self, installation: Installation, port: int, options: Mapping[str, str]) -> None:
        """Write postgresql.conf anew and remember the port."""
        settings = {**_SETTINGS, **_MAC_SETTINGS, "port": str(port), **options}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        conf = self.data / "postgresql.conf"
        _write(conf, "# Written at every start by fieldsvc/store/embedded_cluster.py.\n" + "\n".join(lines) + "\n")
        installation.identity.own(conf)
        _write(self.folder / "postgres.port", f"{port}\n")

    def process(self) -> ProcessFile | None:
        """Return the living server of this folder, or None; a file left behind by a dead one counts for nothing."""
        found = self._read_process_file()
        return found if found is not None and self.serves(found.pid) else None

    def serves(self, pid: int) -> bool:
        """Tell whether the process lives and is a server that works in this data folder."""
        if not _alive(pid):
            return False
        if sys.platform == "linux":
            try:
                return Path(f"/proc/{pid}/cwd").samefile(self.data)
            except OSError:
                return False
        listed = subprocess.run(  # noqa: S603 - a fixed command and a number
            ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return str(self.data) in listed.stdout

    def forget_stranger(self) -> None:
        """Let PostgreSQL start although the process number it left behind was given to another program since.

        The file itself stays: its other lines let PostgreSQL see that workers of the dead server still live.
        """
        found = self._read_process_file()
        if found is None or not _alive(found.pid) or self.serves(found.pid):
            return
        lines = self._pid_file.read_text().splitlines(keepends=True)
        self._pid_file.write_text("".join([f"{_NO_PROCESS}\n", *lines[1:]]))

    def _read_process_file(self) -> ProcessFile | None:
        try:
            lines = [line.strip() for line in self._pid_file.read_text().splitlines()]
        except FileNotFoundError:
            return None
        if not lines or not lines[0].isdigit():
            return None
        port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else None
        return ProcessFile(int(lines[0]), port, lines[7] if len(lines) > 7 else "starting")

    def open_log(self) -> BinaryIO:
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def cap_log(self) -> None:
        """Keep at most twice LOG_CAP_BYTES of log: the current file and the one before it.

        The server appends, so its file is copied and emptied, never renamed.
        """
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size <= LOG_CAP_BYTES:
                return
            with self.log.open("r+b") as current:
                current.seek(-LOG_CAP_BYTES, os.SEEK_END)
                (self.folder / "postgres.log.1").write_bytes(current.read(LOG_CAP_BYTES))
                current.truncate(0)


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _initialise(installation: Installation, data: Path, password_file: Path) -> None:
    utf8 = "C.UTF-8" if sys.platform == "linux" else "C"
    locale = [f"--locale={utf8}"]
    if installation.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = installation.program("initdb")
    access = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password_file}"]
    layout = [f"--pgdata={data}", "--encoding=UTF8", *locale, "--data-checksums", "--no-sync", "--no-instructions"]
    identity = installation.identity
    identity.run([initdb, *layout, *access])
    said = identity.run(
        [installation.program("postgres"), "--single", "-D", data, "-c", "log_checkpoints=off", "template1"],
        stdin=f"create database {DATABASE};\n",
    )
    if "ERROR" in said or "FATAL" in said:
        raise EmbeddedPostgresError(said.strip())
    identity.run([initdb, f"--pgdata={data}", "--sync-only"])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
