"""The phones of the town, all uploading; each keeps a ledger on disk of what it made, sent and was told."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from fieldsvc.bench.faults.children import require, while_moving
from fieldsvc.bench.faults.town import Credentials
from fieldsvc.simulate.duties import light_work, timeline
from fieldsvc.simulate.handset import Desk
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.phones import Habits, Phone
from fieldsvc.simulate.run import Device
from fieldsvc.simulate.transport import Answer, HttpTransport, NoAnswer, Transport
from fieldsvc.simulate.walking import FieldEvent

SHIFT_S = 6 * 3600.0
PAUSE_S = 0.03  # mean, between two uploads of a phone


@dataclass
class Watched:
    """A transport that notes what was answered: statuses (0 is none), receipts, and refusals without a Retry-After."""

    inner: Transport
    statuses: Counter[int]
    receipts: list[str]
    rude: list[str]

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        answer = await self._noted(self.inner.post(path, body, headers=headers))
        if answer.status == 200:
            self.receipts.append(answer.json()["receipt"])
        return answer

    async def get(self, path: str, *, headers: Mapping[str, str]) -> Answer:
        return await self._noted(self.inner.get(path, headers=headers))

    async def _noted(self, asked: Awaitable[Answer]) -> Answer:
        try:
            answer = await asked
        except NoAnswer:
            self.statuses[0] += 1
            raise
        self.statuses[answer.status] += 1
        if answer.status != 200 and (answer.status != 503 or answer.header("Retry-After") is None):
            self.rude.append(f"{answer.status} {answer.body.decode()}")
        return answer


@dataclass
class Fleet:
    """The phones of the town, all uploading as fast as their pauses let them."""

    session: aiohttp.ClientSession
    url: str
    devices: list[Device]
    ledger: Ledger
    seed: int
    patience_s: float
    pause_s: float = PAUSE_S
    over: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: asyncio.Event = field(default_factory=asyncio.Event)
    sending: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    receipts: list[str] = field(default_factory=list)
    rude: list[str] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    desks: list[Desk] = field(default_factory=list)
    working: "asyncio.Future[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.at_work.set()
        self.working = asyncio.ensure_future(self.work())

    async def work(self) -> None:
        """Work until `over`."""
        await asyncio.gather(*(self._carrier(device) for device in self.devices))

    def transport(self, token: str, url: str = "") -> Watched:
        """Return a way to the service for a device, noted with the others."""
        inner = HttpTransport(self.session, url or self.url, token)
        return Watched(inner, self.statuses, self.receipts, self.rude)

    async def _carrier(self, device: Device) -> None:
        transport = self.transport(device.token)
        habits = Habits(twice_rate=0.1, lost_rate=0.05, backoff_s=0.1)
        phone = Phone(device.device_id, transport, ledger=self.ledger, habits=habits, seed=self.seed)
        self.phones.append(phone)
        desk, rng = Desk(transport, phone), Random(f"{self.seed} {device.device_id}")  # noqa: S311 - a seed replays it
        self.desks.append(desk)
        run = await desk.current()
        sheet = await desk.sheet(run["run_id"]) if run else None
        if run is None or sheet is None:
            require(False, f"{device.device_id} has no work.")
            return
        doings = self._doings(sheet, device.device_id)
        while not self.over.is_set():
            await self.at_work.wait()
            self.sending += 1
            try:
                for event in islice(doings, rng.randint(1, 8)):
                    phone.record(event, run_id=run["run_id"])
                wait_s = await phone.send()
            finally:
                self.sending -= 1
            await asyncio.sleep(min(wait_s, self.patience_s) + rng.expovariate(1 / self.pause_s))

    def _doings(self, sheet: Mapping[str, Any], device: str) -> Iterator[FieldEvent]:
        """Yield what a carrier reports: the whole shift, then light work for ever."""
        start_at = time.time() - SHIFT_S
        for moment in timeline(sheet, seed=self.seed, mode=sheet["mode"], start_at=start_at):
            if isinstance(moment, FieldEvent):
                yield moment
        for number in count(1):
            yield from light_work(sheet, seed=self.seed, device=device, number=number, at=time.time(), gap_s=(0, 1))

    def waiting(self) -> set[str]:
        """Return the ids that are still on the phones."""
        return {name for phone in self.phones for name in phone.outbox.waiting}

    async def ask(self) -> None:
        """Ask for the work of the day on every phone, which the database must answer."""
        await asyncio.gather(*(desk.current() for desk in self.desks))

    async def pause(self) -> None:
        """Make nothing new until `at_work` is set again; return when the uploads under way are answered."""
        self.at_work.clear()
        await while_moving(self._paused, self.moved, says=self._stuck)

    def _paused(self) -> bool:
        self._look()
        return not self.sending

    async def rest(self) -> None:
        """End the work after the uploads that are under way."""
        self.over.set()
        self.at_work.set()
        await while_moving(self.working.done, self.moved, says=self._stuck)
        self._look()

    async def flush(self) -> None:
        """Upload what is left, in quiet."""
        flushing = asyncio.ensure_future(self._flush())
        try:
            await while_moving(flushing.done, self.ledger.counts, says=self._stuck)
            await flushing
        finally:
            flushing.cancel()

    async def _flush(self) -> None:
        for phone in self.phones:
            while phone.pending:
                wait_s = await phone.send()
                await asyncio.sleep(min(wait_s, self.patience_s))

    def moved(self) -> int:
        """Count what was answered so far, or was given up."""
        return self.statuses.total()

    def _stuck(self) -> str:
        return f"{len(self.waiting())} events stayed on the phones, {self.sending} uploads under way."

    async def progress(self, *, within_s: float = 30.0) -> float:
        """Wait until events that are made from now on are acknowledged; return how long that took."""
        began, target = time.monotonic(), self.ledger.counts().acked + 5
        async with asyncio.timeout(within_s):
            while self.ledger.counts().acked < target:
                self._look()
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    def _look(self) -> None:
        """Say what ended the work, if anything did."""
        if self.working.done():
            self.working.result()


@asynccontextmanager
async def fleet_of(
    url: str, credentials: Credentials, path: Path, *, seed: int, patience_s: float, pause_s: float = PAUSE_S
) -> AsyncIterator[Fleet]:
    """Let the phones work in the background; leaving, they stop where they are."""
    connector = aiohttp.TCPConnector(limit=64)
    with Ledger(path) as ledger:
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
            fleet = Fleet(session, url, credentials.devices, ledger, seed, patience_s, pause_s)
            try:
                yield fleet
            finally:
                fleet.working.cancel()
                await asyncio.gather(fleet.working, return_exceptions=True)
