"""`bench outage`: what happens now, while a nation's phones bring what they kept during three hours without the service.

Time is scaled: of 85,000 phones one in a hundred is there, each with all of its three hours, so that the queue is that of 108
seconds of the nation; but what happens now comes at the rate at which the machine is asked, in single events from other phones.
Every phone sends as the phone page does: a hundred events a request, the next when the last is answered, and on 503 again when
it was told to. Each item in the queue has two events, and a subscriber checks that all arrive once, in the order of their items.
"""

import asyncio
import functools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson

from fieldsvc.bench import fleet_town
from fieldsvc.bench.fleet_town import Fleet, round_of
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import BATCH, Load, percentile, post, send_all
from fieldsvc.bench.service import running, started
from fieldsvc.bench.subscribed import Arrivals, Subscribed
from fieldsvc.ids import uuid7
from handlers.base import evt_id
from handlers.fields import format_time

PHONES, FULL_PHONES, FRESH_PHONES = 70, 850, 100
OUTAGE, KEPT_EVENTS, A_REQUEST = timedelta(hours=3), 190, 100
FRESH_PER_S, FULL_FRESH_PER_S, CONNECTIONS = 150.0, 500.0, 128
ALONE_S, LOOK_S, DRAINED_S = 4.0, 0.5, 240.0
TARGET_MS = 2_000.0
A_POST = 100


@dataclass
class Queues:
    """What the phones kept: requests by phone, and of each public event that follows its item and which it is of it."""

    requests: list[list[list[dict[str, Any]]]] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class Drain:
    """What was seen while the queues went down."""

    took_s: float = 0.0
    refused: int = 0
    fresh: Load = field(default_factory=Load)
    fresh_names: list[str] = field(default_factory=list)
    arrivals: Arrivals = field(default_factory=list)

    @property
    def delays_s(self) -> list[float]:
        """From the answer to a fresh event until the subscriber had it."""
        came: dict[str, float] = {}
        for _receiver, name, at in self.arrivals:
            came.setdefault(name, at)
        return [came[self.fresh_names[number]] - at for number, at in self.fresh.answered_at.items()]


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure fresh events alone, then ahead of the backlog, once; print the lines."""
    del cycles
    phones, per_s = (FULL_PHONES, FULL_FRESH_PER_S) if full else (PHONES, FRESH_PER_S)
    make = functools.partial(fleet_town.prepare, carriers=phones + FRESH_PHONES)
    async with (
        running(make, ALLOW_LOOPBACK_ENDPOINTS="1") as site,
        started("fieldsvc.bench.receivers", "1") as listening,
        aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        fleet, queues = site.kit, _queues(site.kit, phones)
        subscribed = Subscribed(site.service.url, fleet.api_key, listening.url.split(","), client)
        async with subscribed.endpoints(1, path="/each", batch=A_POST):
            alone = Drain()
            ends = time.perf_counter() + ALONE_S
            await _fresh(site.service.url, fleet, phones, alone, per_s, lambda: time.perf_counter() < ends)
            await _arrived(subscribed, alone, len(alone.fresh_names))
            drain = await _drain(site.service.url, fleet, queues, client, per_s)
            await _arrived(subscribed, drain, len(drain.fresh_names) + len(queues.places))
    check(drain, queues)
    for line in _lines(alone, drain, len(queues.places), phones, per_s):
        show(line)


def _queues(fleet: Fleet, phones: int) -> Queues:
    """Make what each phone kept: of half as many items as events, all loaded first, then delivered one after the other."""
    queues, began = Queues(), datetime.now(UTC) - OUTAGE - timedelta(minutes=15)
    for phone in range(phones):
        items = [f"Q{uuid7().hex[:24]}" for _ in range(KEPT_EVENTS // 2)]
        events = []
        for number, item in enumerate((*items, *items)):
            at = began + OUTAGE * number / KEPT_EVENTS
            name = "item.loaded" if number < len(items) else "item.delivered"
            event = _event(fleet, phone, name, item, at)
            queues.places[evt_id(event["id"], 0)] = item, number // len(items)
            events.append(event)
        queues.requests.append([events[first : first + A_REQUEST] for first in range(0, len(events), A_REQUEST)])
    return queues


def _event(fleet: Fleet, phone: int, name: str, item: str, at: datetime) -> dict[str, Any]:
    data = (
        {"item_id": item}
        if name == "item.loaded"
        else {"item_id": item, "to": "mailbox", "stop_id": f"{round_of(phone)}-1"}
    )
    return {
        "specversion": "1.0", "id": str(uuid7()), "source": "/devices/bench", "time": format_time(at),
        "type": f"fieldsvc.{name}.v1", "subject": f"item/{item}", "runid": fleet.run_id(phone), "data": data,
    }  # fmt: skip


async def _drain(url: str, fleet: Fleet, queues: Queues, client: aiohttp.ClientSession, per_s: float) -> Drain:
    """Let every phone send its queue, and fresh events come until the last of them is through."""
    drain, began = Drain(), time.perf_counter()
    phones = asyncio.gather(
        *(_empty(url, fleet.tokens[phone], requests, client, drain) for phone, requests in enumerate(queues.requests))
    )
    try:
        await _fresh(url, fleet, len(queues.requests), drain, per_s, lambda: not phones.done())
        await phones
    finally:  # also where the seconds of this bench are over
        phones.cancel()
        await asyncio.gather(phones, return_exceptions=True)
    drain.took_s = max(drain.took_s, 0.001) - began
    return drain


async def _empty(
    url: str, token: str, requests: Sequence[Sequence[dict[str, Any]]], client: aiohttp.ClientSession, drain: Drain
) -> None:
    """Send a phone's queue in its order; each request again until it is taken."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH}
    for request in requests:
        body = orjson.dumps(request)
        while True:
            async with client.post(f"{url}/v1/events", data=body, headers=headers) as answer:
                text = await answer.read()
            if answer.status == 200:
                break
            drain.refused += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]) + random.random())  # noqa: S311 - as the phones do
        statuses = {each["status"] for each in orjson.loads(text)["results"]}
        if not statuses <= {"accepted", "duplicate"}:
            raise RuntimeError(f"a queue was answered {statuses}: this measures nothing")
    drain.took_s = time.perf_counter()


async def _fresh(url: str, fleet: Fleet, first: int, drain: Drain, per_s: float, goes_on: Any) -> None:
    """Send what happens now, each event when it is due, as long as asked."""

    def uploads() -> Iterator[bytes]:
        number = 0
        while goes_on():
            phone = first + number % FRESH_PHONES
            event = _event(fleet, phone, "item.delivered", f"F{uuid7().hex[:24]}", datetime.now(UTC))
            drain.fresh_names.append(evt_id(event["id"], 0))
            number += 1
            yield post("/v1/events", fleet.tokens[phone], orjson.dumps([event]))

    connections = min(CONNECTIONS, max(1, round(per_s / 2)))  # or the last of them would be silent for too long
    drain.fresh = await send_all(url, uploads(), connections=connections, per_s=per_s)
    if drain.fresh.failed:
        raise RuntimeError(f"{len(drain.fresh.failed)} fresh events were refused")


async def _arrived(subscribed: Subscribed, drain: Drain, events: int) -> None:
    """Wait until the subscriber has so many different events. RuntimeError where they do not come."""
    ends, names = time.perf_counter() + DRAINED_S, set[str]()
    while len(names) < events:
        if time.perf_counter() > ends:
            raise RuntimeError(f"{len(names)} of {events} events reached the subscriber")
        await asyncio.sleep(LOOK_S)
        found = await subscribed.noted()
        drain.arrivals += found
        names.update(name for _receiver, name, _at in found)


def check(drain: Drain, queues: Queues) -> None:
    """Hold what arrived against what was sent: each event, its item's first before its second. RuntimeError otherwise."""
    reached: dict[str, int] = {}
    names = [name for _receiver, name, _at in drain.arrivals]
    for name in dict.fromkeys(names):
        if name in queues.places:
            item, place = queues.places[name]
            if reached.get(item, 0) != place:
                raise RuntimeError("two events of one item came in the wrong order")
            reached[item] = place + 1
    missing = sum(count != 2 for count in reached.values()) + 2 * len(reached) - len(queues.places)
    if missing or len(names) != len(set(names)):
        raise RuntimeError(f"{missing} items are not whole, {len(names) - len(set(names))} events came twice")


def _lines(alone: Drain, drain: Drain, kept: int, phones: int, per_s: float) -> Iterator[dict[str, Any]]:
    target = Against("target_2_s", [TARGET_MS])
    shared = {
        "phones": phones, "kept_events": kept, "fresh_per_s": per_s, "drained_in_s": rounded(drain.took_s),
        "drained_per_s": rounded(kept / drain.took_s), "told_to_come_again": drain.refused, "scale": "1/100 of 85,000 phones x 3 h",
    }  # fmt: skip
    yield _line("fresh_answer_p99_ms", drain.fresh.seconds, alone.fresh.seconds, target, **shared)
    yield _line("fresh_answered_to_received_p99_ms", drain.delays_s, alone.delays_s, target, **shared)


def _line(
    metric: str, seconds: Sequence[float], alone: Sequence[float], target: Against, **shared: Any
) -> dict[str, Any]:
    parts = {f"p{part}_ms": rounded(1000 * percentile(seconds, part / 100)) for part in (50, 95)}
    quiet = rounded(1000 * percentile(alone, 0.99))
    line = result(
        "outage",
        metric,
        [1000 * percentile(seconds, 0.99)],
        target,
        **shared,
        fresh_events=len(seconds),
        alone_p99_ms=quiet,
    )
    return line | parts
