"""`bench publish` under load: the delay at shares of what can be carried, and what a dead endpoint costs the others.

The highest load is what arrives at one endpoint while uploads of twenty events are sent as fast as they are answered: the service
takes, decides and publishes on the same machine. The delay of an event is from the answer to its upload until it is received.
A dead endpoint takes requests and never answers; the others are measured without it and with it, in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from fieldsvc.bench import ingest
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import Load, post, send_all
from fieldsvc.bench.subscribed import Bench, per_s
from handlers.base import evt_id

PER_UPLOAD, CONNECTIONS = 20, 8
TOP_EVENTS, SHARES, LOAD_S = 2_000, (0.1, 0.5, 0.9), 4.0
OTHERS, DEAD_EVENTS_PER_S, DEAD_S, DEAD_TURNS = 99, 12.0, 4.0, 2


@dataclass(frozen=True, slots=True)
class Uploads:
    """Requests, and the public events that each of them leads to."""

    requests: Sequence[bytes]
    names: Sequence[Sequence[str]]

    @property
    def events(self) -> int:
        """How many events these are."""
        return sum(map(len, self.names))


async def run(bench: Bench, alone_s: Sequence[float], *, more: int, show: Show) -> None:
    """Measure and print; `alone_s` are the median delays of a bare client that posts one event at a time."""
    top = await _top(bench, TOP_EVENTS * more)
    for share in SHARES:
        load = await _under(bench, share * top, seconds=LOAD_S * more)
        show(_load_line(share, top, load, alone_s))
    show(_dead_line(*await _beside_the_dead(bench, more=more)))


async def _top(bench: Bench, events: int) -> float:
    """Return the events a second that arrive when uploads come as fast as they are answered."""
    uploads = _uploads(bench, events, PER_UPLOAD)
    async with bench.endpoints(1):
        await _settled(bench, 1)
        await send_all(bench.site.service.url, uploads.requests, connections=CONNECTIONS)
        return per_s(await bench.arrivals(uploads.events))


async def _under(bench: Bench, events_per_s: float, *, seconds: float) -> Load:
    uploads = _uploads(bench, int(events_per_s * seconds), PER_UPLOAD)
    async with bench.endpoints(1):
        await _settled(bench, 1)
        return await _delays(bench, uploads, 1, events_per_s / PER_UPLOAD)


async def _beside_the_dead(bench: Bench, *, more: int) -> tuple[list[Load], list[Load]]:
    """Return the delays of the others without and with a dead endpoint, in turn."""
    without, beside = [], []
    async with bench.endpoints(OTHERS):
        await _settled(bench, OTHERS)
        for _ in range(DEAD_TURNS):
            without.append(await _to_others(bench, more))
            async with bench.endpoints(1, path="/silent"):
                await _to_others(bench, 1)  # until it has failed for a while
                beside.append(await _to_others(bench, more))
    return without, beside


async def _to_others(bench: Bench, more: int) -> Load:
    uploads = _uploads(bench, int(DEAD_EVENTS_PER_S * DEAD_S * more), 1)
    return await _delays(bench, uploads, OTHERS, DEAD_EVENTS_PER_S)


async def _delays(bench: Bench, uploads: Uploads, endpoints: int, requests_per_s: float) -> Load:
    url = bench.site.service.url
    sent = await send_all(url, uploads.requests, connections=CONNECTIONS, per_s=requests_per_s)
    answered = {name: sent.answered_at[number] for number, names in enumerate(uploads.names) for name in names}
    arrivals = await bench.arrivals(uploads.events * endpoints)
    return Load([at - answered[name] for _receiver, name, at in arrivals if name in answered], wall_s=sent.wall_s)


async def _settled(bench: Bench, endpoints: int) -> None:
    """Wait until every endpoint has its lane."""
    await bench.load(1)
    await bench.arrivals(endpoints)


def _uploads(bench: Bench, events: int, per_request: int) -> Uploads:
    walk, now = bench.site.kit.walk, datetime.now(UTC)
    made = [ingest.delivered(walk, number, now) for number in range(max(events, per_request))]
    groups = [made[first : first + per_request] for first in range(0, len(made), per_request)]
    return Uploads(
        [post("/v1/events", walk.token, orjson.dumps(group)) for group in groups],
        [[evt_id(event["id"], 0) for event in group] for group in groups],
    )


def _load_line(share: float, top: float, load: Load, alone_s: Sequence[float]) -> dict[str, Any]:
    value = load.percentile_ms(0.5)
    line = result(
        "publish",
        "committed_to_received_ms",
        [value] * len(alone_s),
        Against("bare_client", [1000 * seconds for seconds in alone_s]),
        shape=f"load_{round(100 * share)}_percent",
        endpoints=1,
        events=len(load.seconds),
        events_per_upload=PER_UPLOAD,
        highest_events_per_s=rounded(top),
        events_per_s=rounded(share * top),
    )
    return {**line, "p50_ms": rounded(value), "p99_ms": rounded(load.percentile_ms(0.99))}


def _dead_line(without: Sequence[Load], beside: Sequence[Load]) -> dict[str, Any]:
    every = Load([seconds for load in beside for seconds in load.seconds])
    line = result(
        "publish",
        "others_p99_ms_beside_a_dead_endpoint",
        [load.percentile_ms(0.99) for load in beside],
        Against("without_it", [load.percentile_ms(0.99) for load in without]),
        endpoints=OTHERS + 1,
        events_per_s=DEAD_EVENTS_PER_S,
        dead="takes requests and never answers",
    )
    return {**line, "p50_ms": rounded(every.percentile_ms(0.5)), "p99_ms": rounded(every.percentile_ms(0.99))}
