"""Uploads that come at once, in pieces, in the wrong order, twice, or from a phone whose clock is wrong."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import orjson

from fieldsvc.bench.faults.children import require, until
from fieldsvc.bench.faults.surroundings import Surroundings, desk
from fieldsvc.bench.load import BATCH, post
from fieldsvc.ids import uuid7
from fieldsvc.simulate.transport import NoAnswer, Transport

CLOCKS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2099, 6, 1, tzinfo=UTC),
)
WITHIN_S, SUBJECTS = 30.0, 5
STORED = "select count(*) from event where kind = 'field' and id = any($1::uuid[])"
STUCK = (
    "select count(*) from pg_stat_activity where state like 'idle in transaction%' and application_name = 'fieldsvc'"
)


@dataclass
class Sender:
    """Makes events of a phone of the town, sends them until they are answered, and keeps them in the town's ledger."""

    around: Surroundings
    rng: Random
    name: str = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        device = self.rng.choice(self.around.town.credentials.devices)
        self.name, self.token = device.device_id, device.token

    def make(self, count: int, *, at: datetime | None = None) -> list[dict[str, Any]]:
        """Make events, and note them as generated."""
        made = []
        for _ in range(count):
            thing = f"shared-{self.rng.randrange(SUBJECTS)}"
            moment = (at or datetime.now(UTC)).isoformat()
            event = {
                "specversion": "1.0",
                "id": str(uuid7()),
                "source": f"/devices/{self.name}",
                "type": "fieldsvc.object.signalled.v1",
                "subject": f"object/{thing}",
                "time": moment,
                "data": {"object_id": thing, "kind": "mailbox", "value": self.rng.random() < 0.5},
            }
            self.around.town.fleet.ledger.generated(self.name, event)
            made.append(event)
        return made

    def transport(self, url: str = "") -> Transport:
        return self.around.town.fleet.transport(self.token, url or self.around.town.service.url)

    def sent(self, events: Sequence[dict[str, Any]]) -> None:
        """Note that events go out."""
        self.around.town.fleet.ledger.sent(self.name, [each["id"] for each in events], first_time=0)

    async def send(
        self, events: Sequence[dict[str, Any]], *, url: str = "", sent_at: datetime | None = None
    ) -> list[dict[str, Any]]:
        """Send until answered; return the results, in order. Nothing is noted as acknowledged here."""
        headers = {"Content-Type": BATCH, **({"Fieldsvc-Sent-At": sent_at.isoformat()} if sent_at else {})}
        transport, body = self.transport(url), orjson.dumps(events)
        async with asyncio.timeout(WITHIN_S):
            while True:
                self.sent(events)
                with contextlib.suppress(NoAnswer):
                    answer = await transport.post("/v1/events", body, headers=headers)
                    if answer.status == 200:
                        results: list[dict[str, Any]] = answer.json()["results"]
                        return results
                await asyncio.sleep(0.05)

    def settle(self, *answers: Sequence[dict[str, Any]]) -> None:
        """Note each event once as acknowledged, with the answer that says most."""
        told: dict[str, dict[str, Any]] = {}
        for each in (result for answer in answers for result in answer):
            if each["id"] not in told or each["status"] == "accepted":
                told[each["id"]] = each
        self.around.town.fleet.ledger.acked(self.name, told.values())


async def race(around: Surroundings, rng: Random) -> float:
    """Send the same events to two processes at once, in several batches, and twice within one."""
    sender, other = Sender(around, rng), await around.beside()
    for _ in range(5):
        events, further = sender.make(3), sender.make(2)
        answers = await asyncio.gather(
            sender.send(events),
            sender.send([*events, *events], url=other.url),
            sender.send([*further, events[0]], url=other.url),
            sender.send([events[2], *further]),
        )
        for event in (*events, *further):
            told = sorted(each["status"] for answer in answers for each in answer if each["id"] == event["id"])
            first, again = told[0], told[1:]
            ok = first == "accepted" and set(again) == {"duplicate"}
            require(ok, f"The same event, sent {len(told)} times at once, was answered {', '.join(told)}.")
        sender.settle(*answers)
    return time.monotonic()


async def two_writers(around: Surroundings, rng: Random) -> float:
    """Let two processes write the same subjects at once: whose transaction began first may end last."""
    other = await around.beside()
    senders = [(Sender(around, rng), url) for url in (around.town.service.url, other.url) for _ in range(3)]

    async def write(sender: Sender, url: str) -> None:
        for _ in range(5):
            sender.settle(await sender.send(sender.make(rng.choice((1, 2, 8))), url=url))

    await asyncio.gather(*(write(*each) for each in senders))
    return time.monotonic()


async def cut_at_a_byte(around: Surroundings, rng: Random) -> float:
    """Cut an upload of three events at any of its bytes: all of it is stored or nothing, and sent again it is whole."""
    sender = Sender(around, rng)
    for _ in range(10):
        events = sender.make(3)
        request = post("/v1/events", sender.token, orjson.dumps(events))
        sender.sent(events)
        await _half(around.town.service.port, request[: rng.randrange(len(request) + 1)])
        await _whole(around.url, [each["id"] for each in events])
        sender.settle(await sender.send(events))
    return time.monotonic()


async def leave_early(around: Surroundings, rng: Random) -> float:
    """Send a whole upload and go away at any moment before its answer; no transaction of the service stays open."""
    sender = Sender(around, rng)
    for _ in range(10):
        events = sender.make(3)
        sender.sent(events)
        request = post("/v1/events", sender.token, orjson.dumps(events))
        await _half(around.town.service.port, request, stay_s=rng.random() * 0.03)
        sender.settle(await sender.send(events))
    connection = await desk(around.url)
    try:
        says = "A transaction of the service stays open."
        await until(lambda: _is_nought(connection), within_s=WITHIN_S, says=says)
    finally:
        await connection.close()
    return time.monotonic()


async def wrong_clocks(around: Surroundings, rng: Random) -> float:
    """Send events of phones whose clock says 1970, 2038 or 2099, or jumps: none is refused for its clock."""
    sender = Sender(around, rng)
    clocks = [*CLOCKS, datetime.now(UTC) + timedelta(hours=rng.uniform(-24 * 400, 24 * 400))]
    for clock in clocks:
        told = await sender.send(events := sender.make(2, at=clock), sent_at=clock + timedelta(seconds=3))
        statuses = [each["status"] for each in told]
        require(set(statuses) <= {"accepted", "duplicate"}, f"A clock of {clock.year} was answered {statuses}.")
        require(len(statuses) == len(events), "An event has no answer of its own.")
        sender.settle(told)
    return time.monotonic()


async def wrong_order(around: Surroundings, rng: Random) -> float:
    """Send what happened in any order, with gaps that are filled later."""
    sender = Sender(around, rng)
    now = datetime.now(UTC)
    events = [event for number in range(12) for event in sender.make(1, at=now - timedelta(minutes=12 - number))]
    rng.shuffle(events)
    for first in range(0, len(events), 4):
        sender.settle(await sender.send(events[first : first + 4]))
    return time.monotonic()


async def _is_nought(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval(STUCK)


async def _half(port: int, data: bytes, *, stay_s: float = 0.0) -> None:
    """Send so many bytes and go away."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(stay_s)
        writer.close()
        await writer.wait_closed()


async def _whole(url: str, ids: list[str]) -> None:
    """Check that of an upload nothing or everything is stored."""
    connection = await desk(url)
    try:
        stored = await connection.fetchval(STORED, ids)
    finally:
        await connection.close()
    require(stored in (0, len(ids)), f"Of an upload of {len(ids)} events {stored} are stored.")
