"""A radio-off day: a town works a whole day with the service down; in the evening everything drains, in order, once."""

import asyncio
import base64
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from fieldsvc.bench.faults.children import while_moving
from fieldsvc.bench.faults.fleet import Watched
from fieldsvc.bench.faults.nursery import Nursery
from fieldsvc.bench.faults.oracle import judge, read_journal, read_phones, read_receptions
from fieldsvc.bench.faults.scene import PUBLISHED, created, verified
from fieldsvc.bench.faults.town import Service
from fieldsvc.settings import Settings
from fieldsvc.simulate.ledger import Ledger, read_ledger
from fieldsvc.simulate.phones import Habits, Phone
from fieldsvc.simulate.run import Device
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.simulate.transport import EPOCH_HEADER, Answer, HttpTransport
from fieldsvc.store.database import open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from tests.acceptance.test_shuffled_day import TABLES, differing
from tests.databases import drop_database, new_database
from tests.faults import radio
from tests.simulate.test_real_service import evening

pytestmark = pytest.mark.fault
SIZE: dict[str, int] = {"rounds": 3, "stops": 60, "rural": 1}
SEED = 8


HABITS = Habits(lost_rate=0.15, batch=25, flush_batch=25, backoff_s=0.2)
AGAIN = 3  # every third phone sends everything once more
LATER = timedelta(hours=1)  # until what the evening sets has rung as well


class Timeless(Watched):
    """A phone that does not say when it sends: on a busy machine the seconds on the way would pass for a wrong clock."""

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        return await super().post(path, body, headers={k: v for k, v in headers.items() if k != "Fieldsvc-Sent-At"})


@dataclass
class Day:
    """The same day in two stores, and what was seen of the evening."""

    folder: Path
    devices: list[Device] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    known: dict[str, radio.Known] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    receipts: list[str] = field(default_factory=list)
    rude: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        return self.folder / "phones.ledger"

    async def live(self, late: Settings, live: Settings, children: Nursery) -> None:
        """Live through the day with the radio off and then, to compare, with the radio on."""
        town, clock = radio.Families(11, timezone=late.timezone, **SIZE), radio.Clock(radio.wall())
        clock.at = datetime.fromtimestamp(radio.began(late), UTC) - timedelta(hours=1)
        async with radio.opened(late) as platform, radio.on(platform, clock):
            morning = await radio.morning(platform, town, self.folder)
        said = await self._radio_off(morning, late, children)
        ids, until = read_phones(self.ledger).generated, radio.wall() + LATER
        async with radio.opened(late) as platform:
            await radio.ring(platform, until)
            self.known["late"] = await radio.known(platform, morning.api_keys[0], ids)
        clock.at = datetime.fromtimestamp(radio.began(late), UTC) - timedelta(hours=1)
        async with radio.opened(live) as platform, radio.on(platform, clock):
            again = await radio.morning(platform, town, self.folder)
            said = [(again.devices[morning.devices.index(device)], body) for device, body in said]
            answers = await radio.live(platform, clock, said, until)
            self.answers = {each["id"]: str(each.get("reason") or each["status"]) for each in answers}
            self.known["live"] = await radio.known(platform, again.api_keys[0], ids)

    async def _radio_off(
        self, morning: radio.Morning, settings: Settings, children: Nursery
    ) -> list[tuple[Device, bytes]]:
        """Work all day, start the service, and let the phones upload; return what was made."""
        self.devices = morning.devices
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        service = Service(settings.var_dir, children, url=url, more={"FIELDSVC_TIMEZONE": settings.timezone})
        connector = aiohttp.TCPConnector(limit=0)
        with Ledger(self.ledger) as ledger:
            async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
                said = self._work(morning, session, url, ledger, started_at=radio.began(settings))
                await asyncio.gather(*(phone.send() for phone in self.phones))
                assert self.statuses == {0: self.statuses[0]}, "somebody answered"
                server = EmbeddedPostgres(settings.var_dir)
                database = await asyncio.to_thread(server.acquire)
                try:
                    await service.start()
                    await self._evening(service, morning, database, ledger)
                finally:
                    await asyncio.to_thread(server.release)
        return said

    def _work(
        self, morning: radio.Morning, session: aiohttp.ClientSession, url: str, ledger: Ledger, *, started_at: float
    ) -> list[tuple[Device, bytes]]:
        said = []
        for number, (device, sheet) in enumerate(zip(morning.devices, morning.sheets, strict=True)):
            way = Timeless(HttpTransport(session, url, device.token), self.statuses, self.receipts, self.rude)
            phone = Phone(device.device_id, way, ledger=ledger, habits=HABITS, seed=SEED)
            self.phones.append(phone)
            for deed in radio.deeds(sheet, device.device_id, seed=SEED, start_at=started_at + 60.0 * number):
                phone.record(deed, run_id=sheet["run_id"])
            said += [(device, entry.body) for entry in phone.outbox.waiting.values()]
        return said

    async def _evening(self, service: Service, morning: radio.Morning, database: str, ledger: Ledger) -> None:
        """Let all phones upload at once, and some once more; wait for the subscribers, stop, and compare."""
        began, hooks = time.monotonic(), [Subscriber(ledger_path=self.folder / f"hook.{n}") for n in (0, 1)]
        try:
            for hook, api_key in zip(hooks, morning.api_keys, strict=True):
                asked = {"url": await hook.start(), "types": ["*"], "from": "oldest"}
                hook.trust((await created(service.url, api_key, asked))["secret"])
            await asyncio.gather(*(drained(phone) for phone in self.phones))
            self.figures["drained_s"] = time.monotonic() - began
            for phone in self.phones[::AGAIN]:
                phone.see_epoch(Answer(200, {EPOCH_HEADER: "of another store"}, b""))
            await asyncio.gather(*(drained(phone) for phone in self.phones))
            await self._heard(hooks, database)
            self.figures["heard_s"] = time.monotonic() - began
            status, _ = await service.stop()
            assert status == 0, service.log()[-2000:]
        finally:
            for hook in hooks:
                await hook.close()
        opened = await open_database(database, size=1)
        try:
            journal = await read_journal(opened)
        finally:
            await opened.close()
        phones = read_phones(self.ledger)
        for number, hook in enumerate(hooks):
            verdict = judge(journal, read_receptions(self.folder / f"hook.{number}"), phones=phones)
            self.wrong += [*verdict.faults, *hook.violations]
        self.figures |= {"published": len(journal.public), "sent_again": ledger.counts().sent_again}
        await verified(service, self.receipts, self.folder)

    async def _heard(self, hooks: list[Subscriber], url: str) -> None:
        """Wait until both subscribers have everything that is published."""
        database = await open_database(url, size=1)

        async def is_all() -> bool:
            async with database.acquire() as connection:
                published = await connection.fetchval(PUBLISHED)
            return all(hook.counts().delivered >= published for hook in hooks)

        try:
            await while_moving(is_all, lambda: [hook.counts() for hook in hooks], says=lambda: "They heard no more.")
        finally:
            await database.close()


async def drained(phone: Phone) -> None:
    """Upload until nothing is left, as patiently as a phone."""
    while phone.pending:  # noqa: ASYNC110 - it is what the phone waits
        await asyncio.sleep(min(5.0, await phone.send()))


@pytest.fixture(scope="module")
def day(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder, url = tmp_path_factory.mktemp("radio-off"), new_database(postgres_url)
    (folder / "var").mkdir()
    zone, key = evening(datetime.now(UTC)), base64.b64encode(os.urandom(32)).decode()
    late = Settings(var_dir=folder / "var", timezone=zone, port=0)
    live = Settings(var_dir=folder / "live", timezone=zone, port=0, database_url=url, master_key=key)

    async def lived() -> Day:
        children, found = Nursery(folder=folder), Day(folder)
        try:
            await found.live(late, live, children)
        finally:
            await children.end()
        return found

    try:
        yield asyncio.run(lived())
    finally:
        drop_database(postgres_url, url)


def test_every_event_of_the_day_is_answered_as_it_would_have_been_live_and_is_stored_once(day: Day) -> None:
    book = read_phones(day.ledger)
    assert len(book.generated) > 100
    assert book.generated == book.acked.keys() == day.answers.keys()
    late = {name: each["reason"] or each["status"] for name, each in read_ledger(day.ledger).items()}
    assert {
        name: (told, late[name]) for name, told in day.answers.items() if late[name] not in (told, "duplicate")
    } == {}
    assert set(day.statuses) <= {0, 200, 503}
    assert (day.rude, day.wrong) == ([], [])


def test_nobody_is_told_of_a_silence_that_the_phones_then_contradict(day: Day) -> None:
    told = {
        name: Counter((each["template"], each["way"]) for each in known.notices) for name, known in day.known.items()
    }
    assert not told["late"] - told["live"]


def test_every_subject_ends_as_if_it_had_been_told_live(day: Day) -> None:
    live, late = day.known["live"], day.known["late"]
    assert not (found := differing([*live.states.items()], [*late.states.items()])), found


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_as_if_it_had_been_told_live(day: Day, table: str) -> None:
    live, late = day.known["live"].rows[table], day.known["late"].rows[table]
    assert not (found := differing(live, late)), found


def test_every_subscriber_holds_the_same_to_be_true(day: Day, note: Callable[[str], None]) -> None:
    live, late = day.known["live"].public, day.known["late"].public
    assert [each for each in late if each not in live] == []
    unsaid = [each for each in live if each not in late]
    assert {each["type"] for each in unsaid} <= radio.PAST_DANGERS, unsaid
    assert len(late) == len(live) - len(unsaid)
    note(f"radio off: {len(day.phones)} phones, {len(day.answers)} events, {day.figures}, {dict(day.statuses)}")
