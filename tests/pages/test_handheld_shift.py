"""An offline shift of 200 events: reloads, a service that is killed twice, a new version of the app; each is stored once, in order."""

import asyncio
import base64
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from fieldsvc.access import enrolment
from fieldsvc.bench.faults.children import Child, Children
from fieldsvc.platform import open_platform
from fieldsvc.settings import Settings
from fieldsvc.simulate.town import Town
from tests.acceptance.conftest import _load
from tests.databases import drop_database, new_database
from tests.pages.browser import PHONE
from tests.pages.outbox_bed import run, until
from tests.sizes import IS_FULL

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVENTS, ITEMS = 200, 24
PATIENCE_MS = 30_000
STORED = (
    "select id::text, subject, subject_seq from event where kind = 'field' and id = any($1::uuid[]) order by shard, pos"
)
NEWER = """
from fieldsvc.cli import main
from fieldsvc.web import handheld_page
handheld_page._SHARED = (*handheld_page._SHARED, "discretion.css")  # one file more
main()
"""
HOLD = (
    "insert into event_id (id, day, shard, pos, content_hmac, received_at) values ($1, current_date, 0, -1, '', now())"
)


@dataclass(repr=False)
class Served:
    """`fieldsvc serve` on a database of its own; started again it takes the same port."""

    database_url: str
    var_dir: Path
    children: Children
    code: str
    key: str
    child: Child | None = None
    port: str = "0"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, newer: bool = False) -> None:
        """Start it; a newer one gives another version of the app to the phones."""
        env = {
            "FIELDSVC_DATABASE_URL": self.database_url,
            "FIELDSVC_MASTER_KEY": self.key,
            "FIELDSVC_VAR_DIR": str(self.var_dir),
            "FIELDSVC_LOG_LEVEL": "warning",
            "FIELDSVC_RATE_LIMITS": "false",
        }
        program = ("-c", NEWER) if newer else ("-m", "fieldsvc")
        errors = self.var_dir / "service.log"
        self.child = await self.children.start(*program, "serve", "--port", self.port, env=env, errors=errors)
        line = await self.child.line(within_s=60)
        assert line.startswith("listening "), (self.var_dir / "service.log").read_text()[-2000:]
        self.port = line.rsplit(":", 1)[1]

    async def kill(self) -> None:
        assert self.child is not None
        self.child.signal(signal.SIGKILL)
        assert await self.child.ended() == -signal.SIGKILL

    def freeze(self) -> None:
        """Let it hear nothing from now on, though its port still takes connections."""
        assert self.child is not None
        self.child.signal(signal.SIGSTOP)

    @asynccontextmanager
    async def holding(self, event_id: str) -> AsyncIterator[None]:
        """Let no transaction through that stores this event: it waits for one that is never committed."""
        connection = await asyncpg.connect(self.database_url)
        held = connection.transaction()
        await held.start()
        try:
            await connection.execute(HOLD, UUID(event_id))
            yield
        finally:
            await held.rollback()
            await connection.close()

    async def stored(self, ids: list[str]) -> list[dict[str, Any]]:
        """Read which of these events the journal has, in its order."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [dict(row) for row in await connection.fetch(STORED, [UUID(each) for each in ids])]
        finally:
            await connection.close()


@pytest.fixture
def town_ready(postgres_url: str, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A database with a small town: its URL, the master key, and a code for the first round's phone."""
    url, key, town = new_database(postgres_url), base64.b64encode(os.urandom(32)).decode(), Town(1, rounds=1, stops=30)
    settings = Settings(database_url=url, master_key=key, var_dir=tmp_path)
    yield url, key, asyncio.run(_prepared(settings, url, town, tmp_path))
    drop_database(postgres_url, url)


async def _prepared(settings: Settings, url: str, town: Town, folder: Path) -> str:
    async with open_platform(settings, url) as platform:
        await _load(platform, town, folder)
        carrier = town.carriers[0]
        made = await enrolment.issue_code(
            platform.database, carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
        )
        return made.shown


@pytest_asyncio.fixture(loop_scope="session")
async def served(town_ready: tuple[str, str, str], tmp_path: Path) -> AsyncIterator[Served]:
    url, key, code = town_ready
    children = Children()
    made = Served(url, tmp_path, children, code, key)
    try:
        await made.start()
        yield made
    finally:
        await children.end()


@dataclass
class Shift:
    """The phone of the shift, and what is still to be done on it."""

    page: Page
    served: Served
    left: list[dict[str, Any]]
    faults: list[str] = field(default_factory=list)

    async def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await run(self.page, "return outbox.entries()")
        return found

    async def unsent(self) -> list[str]:
        return [each["id"] for each in await self.entries() if each["state"] in ("held", "waiting", "sending")]

    async def is_sending(self) -> bool:
        return any(each["state"] == "sending" for each in await self.entries())

    async def work(self, events: int) -> None:
        """Do some more, as the screens do, and open the page again as a phone does that was put away."""
        now, self.left = self.left[:events], self.left[events:]
        await run(self.page, "for (const each of given) await outbox.queue(each)", now)
        await self.page.reload()
        await self.opened()

    async def opened(self) -> None:
        await expect(self.page.locator("html[data-screen]")).to_be_attached(timeout=PATIENCE_MS)

    async def network(self, *, on: bool) -> None:
        await self.page.context.set_offline(not on)

    async def version(self) -> list[str]:
        """Name the versions of the app that the phone keeps."""
        names: list[str] = await self.page.evaluate("() => caches.keys()")
        return sorted(each for each in names if len(each) == len("fieldsvc-handheld-") + 16)


def doings() -> list[dict[str, Any]]:
    """List what is done: items from the office to the door, step by step, between things that are noticed on the way."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("loaded", {}),
        ("out_for_delivery", {}),
        ("delivered", {"to": "mailbox"}),
    ]
    items = [f"2C0000000{n:04d}" for n in range(ITEMS)]
    every = [
        {"type": f"item.{step}", "subject": f"item/{item}", "data": {"item_ids": [item], **more}}
        for step, more in steps
        for item in items
    ]
    seen = (
        {"type": "object.signalled", "subject": f"object/OB-{n % 10}", "data": {"object_id": f"OB-{n % 10}", "kind": "mailbox", "value": n % 3 == 0}}
        for n in range(EVENTS)
    )  # fmt: skip
    return [each for step in every for each in (step, next(seen))] + list(seen)[: EVENTS - 2 * len(every)]


@pytest_asyncio.fixture(loop_scope="session")
async def shift(browser: Browser, served: Served) -> AsyncIterator[Shift]:
    """A phone that was joined, is on duty, and has everything that it needs without a network."""
    width, height = PHONE
    context = await browser.new_context(viewport={"width": width, "height": height}, locale="fr-FR")
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    made = Shift(page, served, doings())
    page.on("pageerror", lambda error: made.faults.append(str(error)))
    await page.goto(f"{served.url}/handheld#{served.code}")
    await made.opened()
    await page.locator("#screen button").first.click()
    await page.locator("[data-act=begin]").click()
    await expect(page.locator("html[data-screen=scan]")).to_be_attached(timeout=PATIENCE_MS)
    await page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    yield made
    await context.close()


async def test_an_offline_shift_of_200_events_is_stored_whole_once_and_in_order(
    shift: Shift, served: Served, note: Callable[[str], None]
) -> None:
    began = time.monotonic()
    await shift.network(on=False)
    for _ in range(4):
        await shift.work(25)
    assert len(await shift.unsent()) >= 100
    await shift.work(30)
    if IS_FULL:
        await _killed_unheard(shift, served)
        await served.start()
    stored_at_kill = await _killed_in_the_middle(shift, served)
    await shift.work(30)
    await _another_version(shift, served)
    await shift.work(EVENTS)
    entries = await _everything_sent(shift)
    assert {each["status"] for each in entries} <= {"accepted", "duplicate"}
    await _stored_once_in_order(served, entries)
    assert shift.faults == []
    again = sum(each["status"] == "duplicate" for each in entries)
    note(
        f"phone: offline shift of {EVENTS} events, the service killed with {stored_at_kill} of them stored, a new version of the app: {EVENTS} stored once, "
        f"{again} answered duplicate, {time.monotonic() - began:.1f} s"
    )


async def _killed_unheard(shift: Shift, served: Served) -> None:
    """The phone sends, and the service dies before it looked at any of it."""
    before = await shift.unsent()
    served.freeze()
    await shift.network(on=True)
    await until(shift.is_sending)
    await served.kill()
    assert await served.stored(before) == []
    await shift.network(on=False)
    assert await shift.unsent() == before


async def _killed_in_the_middle(shift: Shift, served: Served) -> int:
    """The service dies when a part is stored and the next request hangs in its database; return how much that was."""
    ids = await shift.unsent()
    async with served.holding(ids[-1]):
        await shift.network(on=True)
        await until(lambda: _is_halfway(shift, served, ids))
        await served.kill()
        found = len(await served.stored(ids))
        assert 0 < found < len(ids)
    await shift.network(on=False)
    assert set(await shift.unsent()) >= set(ids[found:])
    return found


async def _is_halfway(shift: Shift, served: Served, ids: list[str]) -> bool:
    last = next(each for each in await shift.entries() if each["id"] == ids[-1])
    return last["state"] == "sending" and bool(await served.stored(ids))


async def _another_version(shift: Shift, served: Served) -> None:
    """A new version of the app is taken while the outbox is full: another tab sends, and does not come to an end."""
    before, known = await shift.unsent(), await shift.version()
    tab = await shift.page.context.new_page()
    await served.start(newer=True)
    await shift.network(on=True)
    await tab.goto(served.url)
    lock = "() => new Promise(has => navigator.locks.request('fieldsvc-handheld-events', () => (has(), new Promise(() => {}))))"
    await tab.evaluate(lock)
    waiting = await shift.unsent()
    await shift.page.evaluate(
        "() => navigator.serviceWorker.getRegistration('/handheld').then(found => found.update())"
    )
    async with shift.page.expect_navigation():
        await shift.page.locator("[data-act=update]").click()
    await shift.opened()
    assert await shift.unsent() == waiting
    assert set(waiting) <= set(before)

    async def is_newer() -> bool:
        found = await shift.version()
        return len(found) == 1 and found != known

    await until(is_newer)
    await tab.close()


async def _everything_sent(shift: Shift) -> list[dict[str, Any]]:
    async def check() -> list[dict[str, Any]] | None:
        found = await shift.entries()
        return found if {each["state"] for each in found} == {"accepted"} else None

    return await until(check, within_s=60)


async def _stored_once_in_order(served: Served, entries: list[dict[str, Any]]) -> None:
    """Compare the journal with the outbox: each once, and of every subject in the order of seq."""
    rows = await served.stored([each["id"] for each in entries])
    assert len(rows) == len({row["id"] for row in rows}) == len(entries)
    said, kept = defaultdict(list), defaultdict(list)
    for entry in entries:
        said[entry["event"]["subject"]].append(entry["id"])
    for row in rows:
        kept[row["subject"]].append(row["id"])
    assert kept == said
    work = [
        name for name in said if name.startswith(("item/", "object/"))
    ]  # beside the start of duty and the sheets seen
    assert len(work) == ITEMS + 10
    assert sum(len(said[name]) for name in work) == EVENTS
