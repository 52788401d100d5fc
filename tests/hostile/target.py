"""The service as a process of its own, with callers of every kind: its memory and its log are its own too."""

import asyncio
import base64
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from fieldsvc.platform import open_platform
from fieldsvc.settings import Settings, without_settings
from tests.acceptance.service import JSON, PATIENCE_S, Answer
from tests.databases import drop_database, new_database
from tests.hostile import everybody
from tests.hostile.everybody import Headers

REPOSITORY = Path(__file__).parents[2]
FAULTS = (
    "request.crashed",
    "Traceback",
    "handler.failed",
    "journal.failed",
    "journal.bisected",
    "job.failed",
    "exception",
)
_ENDED = (http.client.HTTPException, ConnectionError)


@dataclass
class Line:
    """One connection, kept open; opened anew where the service closed it."""

    port: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def close(self) -> None:
        self.connection.close()

    def ask(self, headers: Headers, method: str, path: str, body: Any = None, *, chunked: bool = False) -> Answer:
        """Send a request; a body that is not bytes goes as JSON."""
        try:
            return self._once(headers, method, path, body, chunked=chunked)
        except _ENDED:
            self.close()
            return self._once(headers, method, path, body, chunked=chunked)

    def _once(self, headers: Headers, method: str, path: str, body: Any, *, chunked: bool) -> Answer:
        sent: Any = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        more = {} if sent is None else {"Content-Type": JSON}
        if chunked:
            sent = iter([sent[n : n + 65_536] for n in range(0, len(sent), 65_536)])
        try:
            self.connection.request(method, path, sent, {**more, **headers}, encode_chunked=chunked)
        except ConnectionError:
            if self.connection.sock is None:
                raise
        found = self.connection.getresponse()
        return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())


@dataclass
class Target:
    """What is fuzzed: where it listens, who may call it, and one thing of each kind that is theirs."""

    url: str
    process: subprocess.Popen[bytes]
    log_path: Path
    who: dict[str, Headers]
    names: dict[str, str] = field(default_factory=dict)

    def line(self) -> Line:
        return Line(urlsplit(self.url).port or 0)

    def rss_mb(self) -> float:
        """Read how much memory the process holds now."""
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in said.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def faults(self) -> list[str]:
        """List the lines of the log that tell of a fault of ours."""
        return [line for line in self.log().splitlines() if any(fault in line for fault in FAULTS)]


@contextmanager
def target(postgres_url: str, folder: Path) -> Iterator[Target]:
    """Start `fieldsvc serve` on a database with one small round."""
    url = new_database(postgres_url)
    settings = Settings(database_url=url, master_key=base64.b64encode(os.urandom(32)).decode(), var_dir=folder)
    who, day = asyncio.run(_prepared(settings, url, folder))
    log = folder / "service.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "fieldsvc", "serve", "--port", "0"],
            stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY, env=_environment(settings, url, folder),
        )  # fmt: skip
    try:
        assert process.stdout is not None
        heard = process.stdout.readline().decode().strip()
        assert heard.startswith("listening http://127.0.0.1:"), log.read_text()
        made = Target(heard.removeprefix("listening "), process, log, who)
        line = made.line()
        made.names = everybody.things(line.ask, who, day)
        line.close()
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        drop_database(postgres_url, url)


async def _prepared(settings: Settings, url: str, folder: Path) -> tuple[dict[str, Headers], Any]:
    async with open_platform(settings, url) as platform:
        await everybody.load(platform, folder)
        return await everybody.callers(platform, "http://127.0.0.1"), platform.runs.today()


def _environment(settings: Settings, url: str, folder: Path) -> dict[str, str]:
    assert settings.master_key is not None
    ours = {"DATABASE_URL": url, "MASTER_KEY": settings.master_key.get_secret_value(), "VAR_DIR": str(folder)}
    ours |= {
        "ALLOW_LOOPBACK_ENDPOINTS": "1",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "RETRY_SCHEDULE": "0,60",
        "RATE_LIMITS": "false",
        "REFUSES_AFTER_S": "0",
    }
    return without_settings() | {f"FIELDSVC_{name}": value for name, value in ours.items()}
