"""A small town for faults: its day is loaded, and the service on it is a process of its own."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fieldsvc.access import accounts, enrolment
from fieldsvc.bench.faults.children import Child, Children, require
from fieldsvc.platform import open_platform
from fieldsvc.process import database_url
from fieldsvc.settings import Settings
from fieldsvc.simulate.run import Device
from fieldsvc.simulate.town import Town
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport

ROUNDS, STOPS = 4, 60
RETRIES = "0,0.2,0.5,1,2,5,10,20,30,60"


@dataclass(frozen=True)
class Credentials:
    """What the phones and the subscriber need."""

    devices: list[Device]
    api_key: str = field(repr=False)


async def prepare(var_dir: Path) -> Credentials:
    """Load a small town and its day, as the commands would, and leave the database stopped."""
    settings, town = Settings(var_dir=var_dir, database_url=None, master_key=None), Town(1, rounds=ROUNDS, stops=STOPS)
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        database, day = platform.database, platform.runs.today()
        await imports.import_addresses(database, town.addresses_csv().splitlines(keepends=True))
        rounds = var_dir / "rounds.geojson"
        rounds.write_text(town.rounds_geojson(), encoding="utf-8")
        await imports.import_rounds(database, rounds, zone=settings.zone)
        await imports.import_roster(database, town.roster_csv(day).splitlines(keepends=True))
        tasks = TaskImport(platform.tasks, opener=platform.opener, registry=platform.registry, zone=settings.zone)
        await tasks.run(town.tasks_jsonl(day).splitlines(keepends=True))
        await platform.runs.plan_day(day)
        devices = [
            await enrolment.enrol_device(
                database, "http://127.0.0.1", carrier=each.name, site=each.site, round_id=each.round_id
            )
            for each in town.carriers
        ]
        account = await accounts.create_subscriber(database, "Oracle", scopes=["operator", "health"])
    return Credentials([Device.from_json(each) for each in devices], account["api_key"])


@dataclass
class Service:
    """`fieldsvc serve` on a var folder; started again it takes the same port. `roles`: all, or some; `more`: settings."""

    var_dir: Path
    children: Children
    child: Child | None = None
    url: str = ""
    starts: int = 0
    roles: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def is_alive(self) -> bool:
        return self.child is not None and self.child.is_alive

    @property
    def process(self) -> Child:
        """Return the process that was started last."""
        require(self.child, "The service was never started.")
        return self.child  # type: ignore[return-value]  # checked above

    async def start(self) -> None:
        """Start it and wait until it listens."""
        port = str(self.port) if self.url else "0"
        env = {
            "FIELDSVC_VAR_DIR": str(self.var_dir),
            "FIELDSVC_ALLOW_LOOPBACK_ENDPOINTS": "1",
            "FIELDSVC_RETRY_SCHEDULE": RETRIES,
            "FIELDSVC_LOG_LEVEL": "warning",
            "FIELDSVC_LOG_FORMAT": "json",
            "FIELDSVC_RATE_LIMITS": "false",
            **self.more,
        }
        arguments = ("-m", "fieldsvc", "serve", "--port", port, *(("--roles", self.roles) if self.roles else ()))
        self.child = await self.children.start(*arguments, env=env, errors=self.var_dir / "service.log")
        line = await self.child.line(within_s=180)
        require(line.startswith("listening http://127.0.0.1:"), f"The service did not start: {self.log()[-2000:]}")
        self.url = line.removeprefix("listening ")
        self.starts += 1

    async def kill(self) -> None:
        """End it as a crash would."""
        self.process.signal(signal.SIGKILL)
        require(await self.process.ended() == -signal.SIGKILL, "The service ended before it was killed.")

    async def stop(self) -> tuple[int, float]:
        """Ask it to stop; return its exit status and how long it took."""
        began = time.monotonic()
        self.process.signal(signal.SIGTERM)
        return await self.process.ended(within_s=60), time.monotonic() - began

    def log(self) -> str:
        """Return what it said so far."""
        return (self.var_dir / "service.log").read_text()


def stop_postgres(var_dir: Path) -> None:
    """Stop the embedded server of a folder that nobody else holds."""
    server = EmbeddedPostgres(var_dir)
    if server.pid() is not None:
        server.acquire()
        server.release()
    require(server.pid() is None, "PostgreSQL is still there.")
