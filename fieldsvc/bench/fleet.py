"""`bench fleet`: a national operator's day on one machine, everything switched on, at the rate at which phones really send.

A tenth of a nation's 85,000 phones, with `full` all of them, go on duty, and then each uploads its four fixes of two minutes
when its turn comes, while field events come in singly and in tens; two subscribers get all of them as webhooks, and a supervisor
of each site looks. The loop is open: an answer's time counts from the moment at which the upload was due. Database, service,
receivers, screens and the generator share the machine. With `full` it begins at parts of that rate, goes up until one is
not sustained, measures the real rate, and goes on at multiples of it as long as they are sustained.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from fieldsvc.bench import fleet_town
from fieldsvc.bench.crews import zone_of_the_morning
from fieldsvc.bench.fleet_town import STOPS, Fleet, place, round_of
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import BATCH, JSON, Load, percentile, post, send_all
from fieldsvc.bench.service import Process, running, started
from fieldsvc.bench.subscribed import Arrivals, Subscribed, events_in, first_in
from fieldsvc.bench.watchers import watching
from fieldsvc.ids import uuid7
from handlers.base import evt_id
from handlers.fields import format_time

CARRIERS, FULL_CARRIERS, NATION = 8_500, 85_000, 85_000
FIX_EVERY_S, FIXES_AN_UPLOAD, STRIDE_M = 30.0, 4, 33.0
EVENTS_PER_S, EVENTS_A_BATCH = 1_500.0, 10  # of a whole nation's phones: half of them singly, half in batches
SECONDS, FULL_SECONDS, WARM_S, MULTIPLE_S = 20.0, 120.0, 10.0, 30.0
PARTS, MULTIPLES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5), (1.5, 2.0, 3.0, 4.0)
ANSWERED_MS, PUBLISHED_MS, MEMORY_MIB, WAITING_S = 250.0, 2_000.0, 2_048.0, 2.0
CONNECTIONS = {"fixes": 256, "single": 256, "batch": 64}
RECEIVERS, A_POST, LOOK_S, DRAINED_S = 2, 100, 1.0, 120.0
ON_DUTY = timedelta(hours=2)


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure the morning's start and a window at the real rate (`full`: longer, then multiples of it); print the lines.

    The window is measured once, whatever `cycles` says: what grows must have the time to grow.
    """
    del cycles
    async with _ready(FULL_CARRIERS if full else CARRIERS) as nation:
        show(_morning_line(await _go_on_duty(nation), nation.carriers))
        await _window(nation, PARTS[0] if full else 1.0, WARM_S)
        windows: list[Window] = []
        if full:
            await _rise(nation, PARTS, windows, show)
        windows.append(await _shown(nation, 1.0, FULL_SECONDS if full else SECONDS, show))
        if full and windows[-1].sustained:
            await _rise(nation, MULTIPLES, windows, show)
        if full:
            show(_highest_line(windows))


async def _rise(nation: "Nation", multiples: Iterable[float], windows: "list[Window]", show: Show) -> None:
    """Measure one multiple after the other until one is not sustained."""
    for multiple in multiples:
        windows.append(await _shown(nation, multiple, MULTIPLE_S, show))
        if not windows[-1].sustained:
            return


async def _shown(nation: "Nation", multiple: float, seconds: float, show: Show) -> "Window":
    window = await _window(nation, multiple, seconds)
    for line in window.lines():
        show(line)
    return window


@dataclass
class Nation:
    """The running service with its phones and its subscriber, and how far each phone has walked and told."""

    service: Process
    fleet: Fleet
    subscribed: Subscribed
    walked: int = 0
    told: int = 0

    @property
    def carriers(self) -> int:
        """How many phones there are."""
        return len(self.fleet.tokens)


@asynccontextmanager
async def _ready(carriers: int) -> AsyncIterator[Nation]:
    """Start the service, two receivers, and a screen for a supervisor of each site."""
    make = functools.partial(fleet_town.prepare, carriers=carriers)
    async with (
        running(make, timezone=zone_of_the_morning(), ALLOW_LOOPBACK_ENDPOINTS="1") as site,
        started("fieldsvc.bench.receivers", str(RECEIVERS)) as listening,
        aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        url, fleet = site.service.url, site.kit
        subscribed = Subscribed(url, fleet.api_key, listening.url.split(","), client)
        async with (
            subscribed.endpoints(RECEIVERS, batch=A_POST),
            watching(f"{url}/v1/live?bbox=-180,-90,180,90", list(fleet.sessions)),
        ):
            yield Nation(site.service, fleet, subscribed)


async def _go_on_duty(nation: Nation) -> Load:
    """Let every phone start its run, as fast as the service takes it."""
    said = format_time(datetime.now(UTC) - ON_DUTY)
    requests = (
        _upload(nation, number, [_event(nation, number, "run.started", {"run_id": nation.fleet.run_id(number)}, said)])
        for number in range(nation.carriers)
    )
    load = await send_all(nation.service.url, requests, connections=CONNECTIONS["batch"])
    await _arrived(nation, nation.carriers * RECEIVERS, [])
    return load


@dataclass
class Window:
    """Some seconds at a multiple of the real rate: answers by the way of sending, and what the subscribers got when."""

    carriers: int
    multiple: float
    seconds: float
    began: float
    loads: dict[str, Load] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    arrivals: Arrivals = field(default_factory=list)
    cores: float = 0.0
    generator_cores: float = 0.0
    memory_mib: float = 0.0

    @property
    def delays_ms(self) -> list[float]:
        """From the answer to the upload until a subscriber had it: of the event of each request that waited longest."""
        known = ((self.answered.get(first_in(name)), at) for _receiver, name, at in self.arrivals)
        return [1000 * (at - moment) for moment, at in known if moment is not None]

    def answer_ms(self, share: float) -> float:
        """Return the worst of the ways of sending, at a share of its uploads."""
        return max(load.percentile_ms(share) for load in self.loads.values())

    def waiting(self, share: float) -> int:
        """Count what was committed and not yet with a subscriber at a share of the window, over all subscribers."""
        until = self.began + share * self.seconds
        told = sum(moment <= until for moment in self.answered.values()) * RECEIVERS
        return told - sum(events_in(name) for _receiver, name, at in self.arrivals if at <= until)

    @property
    def grew(self) -> bool:
        """Whether more waits at the end than arrives in two seconds."""
        return self.waiting(1.0) > WAITING_S * self.events_per_s * RECEIVERS

    @property
    def events_per_s(self) -> float:
        """The field events that are sent in a second."""
        return EVENTS_PER_S * self.carriers / NATION * self.multiple

    @property
    def failed(self) -> int:
        """How many uploads were not answered by 200."""
        return sum(len(load.failed) for load in self.loads.values())

    @property
    def sustained(self) -> bool:
        """Whether answers and publishing kept their targets, nothing failed and nothing piled up."""
        in_time = self.answer_ms(0.99) <= ANSWERED_MS and percentile(self.delays_ms, 0.99) <= PUBLISHED_MS
        return in_time and not self.failed and not self.grew

    def lines(self) -> Iterator[dict[str, Any]]:
        """Write the three lines of a window: answers, publishing and memory, each beside its target."""
        shape = f"carriers_{self.carriers}_rate_x{self.multiple:g}"
        shared: dict[str, Any] = {
            "seconds": self.seconds,
            "fixes_per_s": rounded(self.carriers / FIX_EVERY_S * self.multiple),
            "events_per_s": rounded(self.events_per_s),
            "supervisors": fleet_town.SITES,
            "subscribers": RECEIVERS,
            "not_200": self.failed,
            "service_cores": rounded(self.cores),
            "generator_cores": rounded(self.generator_cores),
            "sustained": self.sustained,
        }
        answers = {
            name: {f"p{share:g}_ms": rounded(load.percentile_ms(share / 100)) for share in (50, 99)}
            for name, load in self.loads.items()
        }
        target = Against("target_250_ms", [ANSWERED_MS])
        yield result("fleet", "answer_p99_ms", [self.answer_ms(0.99)], target, shape=shape, **shared, answers=answers)
        delays, waiting = self.delays_ms, [self.waiting(share) for share in (0.25, 0.5, 0.75, 1.0)]
        p99 = percentile(delays, 0.99)
        target = Against("target_2_s", [PUBLISHED_MS])
        line = result("fleet", "answered_to_received_p99_ms", [p99], target, shape=shape, **shared, waiting=waiting)
        yield line | {f"p{share}_ms": rounded(percentile(delays, share / 100)) for share in (50, 95)}
        target = Against("target_2_gib", [MEMORY_MIB])
        yield result("fleet", "service_memory_mib", [self.memory_mib], target, shape=shape, **shared)


async def _window(nation: Nation, multiple: float, seconds: float) -> Window:
    """Send fixes and events at a multiple of the real rate for so long, and wait until the subscribers have them."""
    await nation.subscribed.noted()
    service, share = nation.service, nation.carriers / NATION * multiple
    rates = {
        "fixes": nation.carriers / FIX_EVERY_S / FIXES_AN_UPLOAD * multiple,
        "single": share * EVENTS_PER_S / 2,
        "batch": share * EVENTS_PER_S / 2 / EVENTS_A_BATCH,
    }
    names: dict[str, list[list[str]]] = {"single": [], "batch": []}
    uploads = {
        "fixes": _walking(nation, round(rates["fixes"] * seconds)),
        "single": _telling(nation, round(rates["single"] * seconds), 1, names["single"]),
        "batch": _telling(nation, round(rates["batch"] * seconds), EVENTS_A_BATCH, names["batch"]),
    }
    window, cpu_s, own_s = (
        Window(nation.carriers, multiple, seconds, time.perf_counter()),
        service.cpu_s(),
        time.process_time(),
    )
    collecting = asyncio.create_task(_collected(nation, window.arrivals))
    loads = await asyncio.gather(
        *(
            send_all(service.url, uploads[name], connections=max(4, min(CONNECTIONS[name], round(rate))), per_s=rate)
            for name, rate in rates.items()  # none is idle for so long that the service ends it
        )
    )
    window.loads = dict(zip(rates, loads, strict=True))
    took = time.perf_counter() - window.began
    window.cores, window.generator_cores = (service.cpu_s() - cpu_s) / took, (time.process_time() - own_s) / took
    for name, groups in names.items():
        for number, moment in window.loads[name].answered_at.items():
            window.answered |= dict.fromkeys(groups[number], moment)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    await _arrived(nation, len(window.answered) * RECEIVERS, window.arrivals)
    window.memory_mib = _most_memory_mib(service.pid)
    return window


async def _collected(nation: Nation, arrivals: Arrivals) -> None:
    """Take what the receivers noted, each second, so that no list grows long; until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        arrivals += await asyncio.shield(nation.subscribed.noted())


async def _arrived(nation: Nation, events: int, arrivals: Arrivals) -> None:
    """Wait until so many events have come; what has not after two minutes counts as waiting."""
    ends = time.perf_counter() + DRAINED_S
    while sum(events_in(name) for _receiver, name, _at in arrivals) < events and time.perf_counter() < ends:
        await asyncio.sleep(LOOK_S)
        arrivals += await nation.subscribed.noted()


def _walking(nation: Nation, uploads: int) -> Iterator[bytes]:
    """Write an upload each of the next phones: their last four fixes, each some metres on from the one before."""
    for _ in range(uploads):
        lap, number = divmod(nation.walked, nation.carriers)
        nation.walked += 1
        now, fixes = datetime.now(UTC), []
        for part in range(FIXES_AN_UPLOAD):
            lon, lat = place(number, 100.0 + STRIDE_M * (FIXES_AN_UPLOAD * lap + part))
            at = now - timedelta(seconds=FIX_EVERY_S * (FIXES_AN_UPLOAD - 1 - part))
            fixes.append({"fixed_at": format_time(at), "lat": lat, "lon": lon, "accuracy_m": 6.0})
        yield post("/v1/positions", nation.fleet.tokens[number], orjson.dumps({"fixes": fixes}), media_type=JSON)


def _telling(nation: Nation, uploads: int, events: int, names: list[list[str]]) -> Iterator[bytes]:
    """Write uploads of deliveries, each of the next phone; `names` gets the public events that they lead to."""
    for _ in range(uploads):
        lap, number = divmod(nation.told, nation.carriers)
        nation.told += 1
        said, stop = format_time(datetime.now(UTC)), f"{round_of(number)}-{1 + lap % STOPS}"
        items = [f"F{uuid7().hex[:24]}" for _ in range(events)]
        made = [
            _event(nation, number, "item.delivered", {"item_id": item, "to": "mailbox", "stop_id": stop}, said)
            for item in items
        ]
        names.append([evt_id(event["id"], 0) for event in made])
        yield _upload(nation, number, made)


def _upload(nation: Nation, number: int, events: list[dict[str, Any]]) -> bytes:
    return post("/v1/events", nation.fleet.tokens[number], orjson.dumps(events), media_type=BATCH)


def _event(nation: Nation, number: int, name: str, data: dict[str, Any], said: str) -> dict[str, Any]:
    subject = f"item/{data['item_id']}" if "item_id" in data else f"run/{data['run_id']}"
    return {
        "specversion": "1.0", "id": str(uuid7()), "source": "/devices/bench", "time": said,
        "type": f"fieldsvc.{name}.v1", "subject": subject, "runid": nation.fleet.run_id(number), "data": data,
    }  # fmt: skip


def _most_memory_mib(pid: int) -> float:
    """Return the most memory that a process ever held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _morning_line(load: Load, carriers: int) -> dict[str, Any]:
    rate = len(load.seconds) / load.wall_s
    need = Against("within_half_an_hour_per_s", [carriers / 1_800])
    return result(
        "fleet", "runs_started_per_s", [rate], need, loads=[load], not_200=len(load.failed), carriers=carriers
    )


def _highest_line(windows: list[Window]) -> dict[str, Any]:
    highest = max((window.multiple for window in windows if window.sustained), default=0.0)
    tried = [window.multiple for window in windows]
    return result("fleet", "highest_multiple_sustained", [highest], Against("target_x3", [3.0]), tried=tried)
