"""A phone on the carrier's page: joined by a fresh code, on duty, online or not, looked at from outside and from inside."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, expect

from fieldsvc.access import enrolment
from fieldsvc.web.looks import CARRIER_KEY
from tests.pages.browser import PATIENCE_MS, PHONE, Open, Site

KEPT = """(name) => new Promise((resolve, reject) => {
  const asked = indexedDB.open('fieldsvc-handheld');
  asked.onerror = () => reject(asked.error);
  asked.onsuccess = () => {
    const found = asked.result.transaction('kept').objectStore('kept').get(name);
    found.onsuccess = () => { asked.result.close(); resolve(found.result ?? null); };
  };
})"""
KEEP = """([name, value]) => import('/static/handheld/kept.js').then(({open}) => open()).then((kept) => kept.set(name, value))"""
OFFLINE = ("ERR_INTERNET_DISCONNECTED", "ERR_FAILED", "status of 401", "status of 403")  # what a browser then says
ENTRIES = """() => new Promise((resolve, reject) => {
  const asked = indexedDB.open('fieldsvc-handheld');
  asked.onerror = () => reject(asked.error);
  asked.onsuccess = () => {
    const found = asked.result.transaction('outbox').objectStore('outbox').getAll();
    found.onsuccess = () => { asked.result.close(); resolve(found.result); };
  };
})"""


@dataclass
class Phone:
    """One phone: `await Phone.joined(site, page, "T01")`, or `Phone.on_duty(…)`; `phone.page` is the browser's page."""

    page: Page
    site: Site
    round_id: str | None

    @classmethod
    async def opened(cls, site: Site, page: Open, path: str = "/handheld", **more: Any) -> "Phone":
        """Open the page on a phone that was never joined. Options are those of `page`: lang, theme, size, …"""
        shown = await page(path, **{"size": PHONE, **more})
        phone = cls(shown, site, None)
        await phone.ready()
        return phone

    @classmethod
    async def joined(cls, site: Site, page: Open, round_id: str | None = None, **more: Any) -> "Phone":
        """Join a phone of the round's carrier by a fresh code; the town's first round unless named."""
        name = round_id or site.town.rounds[0].round_id
        phone = await cls.opened(site, page, f"/handheld#{code(site, name)}", **more)
        phone.round_id = name
        await phone.page.locator("#screen button").first.click()
        await phone.welcomed()
        return phone

    @classmethod
    async def on_duty(cls, site: Site, page: Open, round_id: str | None = None, **more: Any) -> "Phone":
        """Join a phone, and begin the service in one tap, or go on where another test's phone of this carrier was."""
        phone = await cls.joined(site, page, round_id, **more)
        await expect(phone.page.locator("#screen [data-act]").first).to_be_visible(timeout=PATIENCE_MS)
        if await phone.page.locator("[data-act=resume]").count():
            await phone.page.locator("[data-act=resume]").click()
        if await phone.page.locator("[data-act=begin]").count():
            await phone.page.locator("[data-act=begin]").click()
        else:
            await phone.go("#/scan")
        await phone.shows("scan")
        return phone

    @property
    def run_id(self) -> str:
        return f"run-{self.site.day}-{self.round_id}"

    async def go(self, hash_: str) -> None:
        """Go to a screen: `#/today`."""
        await self.page.evaluate("(hash) => { location.hash = hash; }", hash_)
        await self.shows(hash_.removeprefix("#/").partition("/")[0].partition("?")[0])

    async def worn(self, lang: str, theme: str) -> None:
        """Show the page in a language and a light; it is loaded anew where the language is another."""
        await self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        if await self.page.locator("html").get_attribute("lang") != lang:
            await self.go("#/me")
            await self.page.locator(f"[data-language={lang}]").click()
            await expect(self.page.locator(f"html[lang={lang}][data-screen=me]")).to_be_attached(timeout=PATIENCE_MS)

    async def shows(self, name: str) -> None:
        """Wait until a screen is shown."""
        await expect(self.page.locator(f"html[data-screen={name}]")).to_be_attached(timeout=PATIENCE_MS)

    async def welcomed(self) -> None:
        """Wait until a carrier is joined: the start of service is shown, or the scanner where this one is on duty already."""
        there = self.page.locator("html[data-screen=start], html[data-screen=scan]")
        await expect(there).to_be_attached(timeout=PATIENCE_MS)

    async def ready(self) -> None:
        """Wait until any screen is shown."""
        await expect(self.page.locator("html[data-screen]")).to_be_attached(timeout=PATIENCE_MS)

    async def scan(self, code_: str) -> None:
        """Scan as a hardware scanner does: typed very fast, then Enter."""
        await self.page.keyboard.type(code_)
        await self.page.keyboard.press("Enter")

    async def offline(self, *, is_off: bool = True) -> None:
        await self.page.context.set_offline(is_off)

    async def controlled(self) -> None:
        """Wait until the service worker has everything and serves this page."""
        await self.page.wait_for_function("() => navigator.serviceWorker.controller !== null", timeout=30_000)

    async def drawn(self, name: str) -> None:
        """Keep a picture for a person to look at, where FIELDSVC_PICTURES names a folder."""
        if folder := os.environ.get("FIELDSVC_PICTURES"):
            await self.page.screenshot(path=f"{folder}/shell-{name}.png")

    async def keep(self, name: str, value: Any) -> None:
        """Keep something under a name, as the page does."""
        await self.page.evaluate(KEEP, [name, value])

    async def kept(self, name: str) -> Any:
        """Read what the phone keeps under a name."""
        return await self.page.evaluate(KEPT, name)

    async def gets(self, name: str) -> Any:
        """Wait until the phone keeps something under a name, and read it."""
        for _ in range(300):
            if (found := await self.kept(name)) is not None:
                return found
            await self.page.wait_for_timeout(100)
        raise AssertionError(f"never kept: {name}")

    async def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """List the outbox in its order; of one short type, such as `item.delivered`, if given."""
        found: list[dict[str, Any]] = await self.page.evaluate(ENTRIES)
        return [each for each in found if not kind or each["event"]["type"] == f"fieldsvc.{kind}.v1"]

    async def unsent(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many events are kept that the service has not answered."""
        for _ in range(300):
            found = [each for each in await self.entries() if each["state"] in ("held", "waiting", "sending")]
            if len(found) >= count:
                return found
            await self.page.wait_for_timeout(100)
        raise AssertionError(f"not {count} unsent: {[each['event']['type'] for each in await self.entries()]}")

    async def settled(self) -> None:
        """Wait until the service has answered everything that was queued."""
        for _ in range(300):
            found = await self.entries()
            if found and all(each["state"] in ("accepted", "refused", "undone") for each in found):
                return
            await self.page.wait_for_timeout(100)
        raise AssertionError(f"not settled: {[(e['event']['type'], e['state']) for e in await self.entries()]}")

    async def sent(self, kind: str = "", count: int = 1) -> list[dict[str, Any]]:
        """Wait until the service has accepted so many events of a type."""
        for _ in range(300):
            found = [each for each in await self.entries(kind) if each["state"] == "accepted"]
            if len(found) >= count:
                return found
            await self.page.wait_for_timeout(100)
        raise AssertionError(
            f"not {count} accepted of {kind or 'all'}: {[(e['state'], e['reason']) for e in await self.entries(kind)]}"
        )


def code(site: Site, round_id: str) -> str:
    """Make a one-time code for a phone of the round's carrier."""
    carrier = next(each for each in site.town.carriers if each.round_id == round_id)
    made = site.service.call(
        enrolment.issue_code(
            site.service.platform.database,
            carrier=carrier.name,
            site=carrier.site,
            round_id=round_id,
            created_by="test",
            ref_key=site.service.app[CARRIER_KEY],
        )
    )
    return made.shown


def stored(site: Site, sent: Sequence[dict[str, Any]]) -> set[str]:
    """Tell which of these entries' events the service has in its journal, by their ids."""
    ids = [each["id"] for each in sent]

    async def found() -> set[str]:
        async with site.service.platform.database.acquire() as connection:
            rows = await connection.fetch("select id::text from event where id = any($1::uuid[])", ids)
            return {row["id"] for row in rows}

    return site.service.call(found())
