"""A town whose carriers walk as a test says, and a gate in front of its service that a test can close."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Page, Route

from fieldsvc.platform import Platform
from fieldsvc.simulate.basemap import basemap
from fieldsvc.simulate.layout import Point
from fieldsvc.simulate.town import Town
from fieldsvc.web.live import SEATS
from fieldsvc.work import imports
from handlers.fields import format_time
from tests.acceptance.conftest import _load
from tests.acceptance.service import Service, field_event, statuses
from tests.databases import drop_database, new_database
from tests.pages.browser import Open, Site

EMPTY_SITE = "villeneuve-vide"
SET_OUT_S = 780.0


@dataclass(repr=False)
class Supervised(Site):
    """The service with a small town on a basemap; its carriers start, walk and call for help."""

    steps: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return self.town.sites[0]

    @property
    def rounds(self) -> list[str]:
        """The rounds of the supervisor's site."""
        return [plan.round_id for plan in self.town.rounds if plan.site == self.place]

    def run_of(self, round_id: str) -> str:
        return f"run-{self.day}-{round_id}"

    def say(self, name: str, round_id: str, *, ago_s: float = 0.0, **data: Any) -> None:
        """Send an event from the round's phone."""
        carrier = next(each for each in self.town.carriers if each.round_id == round_id)
        if round_id not in self.callers:
            self.device(round_id, carrier.name, carrier.site, round_id)
        run = self.run_of(round_id)
        event = field_event(name, {"run_id": run, **data}, runid=run, time=_ago(ago_s))
        assert statuses(self.callers[round_id].send(event)) == ["accepted"]

    def clock_of(self, round_id: str) -> float:
        """Return the unix seconds of the round's last fix."""
        return datetime.now(UTC).timestamp() - SET_OUT_S + 40 * self.steps[round_id]

    def walk(self, round_id: str) -> Point:
        """Go on by two points of the round's line, some 80 m in 40 s, and upload where that is; lon, lat.

        Everybody set out 13 minutes ago, so that a test need not wait for a carrier's pace.
        """
        line = next(plan.line for plan in self.town.rounds if plan.round_id == round_id)
        steps = self.steps[round_id] = self.steps.get(round_id, 0) + 1
        lon, lat = line[2 * steps]
        fix = {"fixed_at": _ago(SET_OUT_S - 40 * steps), "lat": lat, "lon": lon, "accuracy_m": 5.0}
        answer = self.callers[round_id].ask("POST", "/v1/positions", {"fixes": [fix]})
        assert answer.status == 200, answer.body
        assert answer.json()["taken"] == 1, answer.body
        return lon, lat

    def listed(self, role: str = "supervisor") -> dict[str, dict[str, Any]]:
        """What the API says of the day's runs, by round."""
        runs = self.service.ask("GET", "/v1/runs?limit=1000", headers=self.headers(role)).json()["runs"]
        return {run["round_id"]: run for run in runs}

    @property
    def streams(self) -> int:
        return self.service.app[SEATS].count


def _ago(seconds: float) -> str:
    return format_time(datetime.now(UTC) - timedelta(seconds=seconds))


def open_supervised(postgres_url: str, folder: Path) -> tuple[Supervised, Callable[[], None]]:
    """Start the service; what ends it."""
    town = Town(2, rounds=9, stops=40)
    service, close = open_town(postgres_url, folder, town, _load)
    return Supervised(service, town, service.platform.runs.today()), close


def open_town(
    postgres_url: str, folder: Path, town: Town, load: Callable[[Platform, Town, Path], Awaitable[None]]
) -> tuple[Service, Callable[[], None]]:
    """Start the service of a town, with its ground and a site that has no rounds; what ends it."""
    ground = folder / "basemap.geojson"
    ground.write_bytes(basemap(town))

    async def prepare(platform: Platform) -> None:
        await load(platform, town, folder)
        await imports.create_site(platform.database, EMPTY_SITE)

    url = new_database(postgres_url)
    service = Service(url, folder, prepare=prepare, basemap=ground)

    def close() -> None:
        service.close()
        drop_database(postgres_url, url)

    return service, close


async def bare(route: Route) -> None:
    """Leave the ground out: drawing it takes longer than everything else, and one test of each page draws it."""
    await route.fulfill(content_type="application/geo+json", body='{"type": "FeatureCollection", "features": []}')


async def open_bare(page: Open, path: str, **more: Any) -> Page:
    """Open a page of supervision without the ground under its map."""
    opened = await page("/", **{"role": "supervisor", **more})
    await opened.route("**/basemap.geojson*", bare)
    await opened.goto(opened.url.rstrip("/") + path)
    return opened


@dataclass
class Gate:
    """Passes bytes to a port of loopback; closed, it cuts what is open and lets nothing in."""

    port: int
    is_open: bool = True
    asked: list[bytes] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def close(self) -> None:
        self.is_open = False
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        self.is_open = True

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen; give the address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            self.close()
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.transport.abort()
            return
        there_reads, there_writes = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers |= {writer, there_writes}
        await asyncio.gather(self._pass(reader, there_writes, keep=True), self._pass(there_reads, writer))
        self._writers -= {writer, there_writes}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool = False) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65_536):
                if keep:
                    self.asked.append(part)
                writer.write(part)
                await writer.drain()
        writer.transport.abort()
