"""The phone's own modules in a page of the service: what is queued, sent and kept, without any screen."""

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import orjson
from playwright.async_api import Page, Request, Route

from fieldsvc.access import enrolment
from tests.pages.browser import Site

T = TypeVar("T")
PATIENCE_S = 40.0
MODULES = """
  const { open, connect, done, STEPS } = await import('/static/handheld/kept.js');
  const { newId } = await import('/static/handheld/ids.js');
  const { api, onExpired } = await import('/static/handheld/api.js');
  const { outbox } = await import('/static/handheld/outbox.js');
  const { start } = await import('/static/handheld/flush.js');
  const { receiptOf, receiptsSince } = await import('/static/handheld/receipts.js');
"""
# The phone's clock is wrong by what the tab's session storage says, in milliseconds.
SKEWED = """
  const Real = Date;
  const skew = () => Number(sessionStorage.getItem('skew') ?? 0);
  globalThis.Date = class extends Real {
    constructor(...given) { super(...(given.length ? given : [Real.now() + skew()])); }
    static now() { return Real.now() + skew(); }
  };
"""


async def until(check: Callable[[], Awaitable[T | None]], within_s: float = PATIENCE_S) -> T:
    """Wait until a check gives something true, and return that."""
    deadline = time.monotonic() + within_s
    while not (found := await check()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    return found


async def run(page: Page, script: str, given: Any = None) -> Any:
    """Run a script with the phone's modules by their names, and what is given as `given`."""
    return await page.evaluate(f"async (given) => {{ {MODULES} {script} }}", given)


def signal(number: int, object_id: str = "", **more: Any) -> dict[str, Any]:
    """Say something about an object, as a screen queues it: the n-th thing that is said of all, of one object or each its own."""
    name = object_id or f"OB-{number}"
    said = {"object_id": name, "kind": "mailbox", "value": number % 2 == 0}
    return {"type": "object.signalled", "subject": f"object/{name}", "data": said, **more}


@dataclass
class Bed:
    """A tab of a phone that is joined as a device of the site."""

    page: Page
    site: Site
    requests: list[Request] = field(default_factory=list)

    @classmethod
    async def joined(cls, site: Site, page: Page) -> "Bed":
        bed = cls(page, site)
        page.on("request", bed._asked)
        await bed.join()
        return bed

    def _asked(self, request: Request) -> None:
        if request.url.endswith("/v1/events"):
            self.requests.append(request)

    async def join(self, carrier: str = "Camille Essai") -> str:
        """Join as a new device; return its id."""
        made = self.site.service.call(
            enrolment.enrol_device(
                self.site.service.platform.database, self.site.url, carrier=carrier, site=self.site.town.sites[0]
            )
        )
        answer = {**made, "carrier": carrier, "site": self.site.town.sites[0]}  # as /v1/devices/enrol tells the phone
        await self.run("await (await open()).set('device', given)", answer)
        return str(made["device_id"])

    async def run(self, script: str, given: Any = None) -> Any:
        return await run(self.page, script, given)

    async def start(self) -> None:
        """Let this tab send."""
        await self.run("await start()")

    async def queue(self, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.run("return outbox.queueAll(given)", list(wanted))
        return found

    async def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.run("return outbox.entries()")
        return found

    async def states(self) -> list[str]:
        return [each["state"] for each in await self.entries()]

    async def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.run("return outbox.counts()")
        return found

    async def ended(self, *states: str) -> list[dict[str, Any]]:
        """Wait until the entries are in these states, in their order; return them."""

        async def check() -> list[dict[str, Any]] | None:
            found = await self.entries()
            return found if [each["state"] for each in found] == list(states) else None

        try:
            return await until(check)
        except AssertionError:
            raise AssertionError([(each["state"], each["reason"]) for each in await self.entries()]) from None


def sent_ids(requests: Sequence[Request]) -> list[list[str]]:
    """List the ids that each request carried."""
    return [[each["id"] for each in _body(request)] for request in requests]


def _body(request: Request) -> list[dict[str, Any]]:
    data = request.post_data_buffer or b"[]"
    found: list[dict[str, Any]] = orjson.loads(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)
    return found


async def _stored(site: Site, ids: Sequence[str]) -> list[dict[str, Any]]:
    async with site.service.platform.database.acquire() as connection:
        rows = await connection.fetch(
            "select id::text, subject, occurred_at, received_at from event where kind = 'field' and id = any($1::uuid[])"
            " order by shard, pos",
            [UUID(each) for each in ids],
        )
    return [dict(row) for row in rows]


def stored(site: Site, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read which field events of these entries the journal has, in its order: id, subject, occurred_at, received_at."""
    return site.service.call(_stored(site, [each["id"] for each in entries]))


def answering(*answers: dict[str, Any]) -> Callable[[Route], Any]:
    """Answer the first requests like this, and let the others through."""
    left = list(answers)

    async def handle(route: Route) -> None:
        if left:
            await route.fulfill(**left.pop(0))
        else:
            await route.continue_()

    return handle


def problem(status: int, code: str, **headers: str) -> dict[str, Any]:
    body = orjson.dumps({"type": "about:blank", "title": "…", "status": status, "code": code, "detail": "…"})
    return {"status": status, "content_type": "application/problem+json", "body": body, "headers": headers}
