"""`make screenshots`: every screen as people see it, drawn from the demo at work into a folder that git ignores.

The demo runs for itself, on a free port and with data of its own, until its carriers are under way; then a browser goes from
page to page, in French and English, by day, by night and, on the phone, in the sun. `FIELDSVC_SHOTS` names a demo that runs
already by its folder (the one with demo.json), and arguments choose pictures by parts of their names.
"""

import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from playwright.async_api import Browser, Error, Page, async_playwright

from fieldsvc.web.pages.page import LANGUAGE_COOKIE, THEME_COOKIE
from tests.pages.browser import DESKTOP, FLAGS, PHONE, find_browser

FOLDER = Path("screenshots")
WIDE = (1920, 1080)
YOURS = "T19"  # the round that the demo leaves to whoever looks
OFFICE = "villeneuve-centre"  # where the clerk of the demo is
CUSTOMER = "claire"  # who signs in with the demo's own provider
TAKEN_IN = re.compile(rb"in ([0-9,]+) ")
EVENTS, LONGEST_S, SETTLE_MS, MAP_MS = 250, 300.0, 1_500, 6_000  # a map without a graphics card takes its time


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: of which page, as whom, how large; `do` is done first: an element is pressed, or a text put into it."""

    name: str
    path: str
    role: str | None = "supervisor"
    size: tuple[int, int] = DESKTOP
    lang: str = "fr"
    theme: str = "light"
    do: Sequence[str | tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's own file, the sheet of the round that is left to you, and that of a round of the clerk's office."""

    url: str
    people: Mapping[str, Mapping[str, str]]
    customer: Mapping[str, str]
    device: Mapping[str, Any]
    sheet: Mapping[str, Any]
    office_sheet: Mapping[str, Any]

    def first(self, service: str) -> Mapping[str, Any]:
        """Return the round's first task of a service, with its stop."""
        return _first(self.sheet, service)

    def item(self, *, office: bool = False) -> str:
        """Return the number of an item of your round, or of one of the clerk's office."""
        return str(_first(self.office_sheet if office else self.sheet, "item")["subject"]).removeprefix("item/")


def shots(demo: Demo) -> Iterator[Shot]:
    """List every picture."""
    yield Shot("home", "/", role=None)
    yield Shot("home-phone", "/", role=None, size=PHONE)
    yield from _of_supervision()
    yield from _of_customers(demo)
    yield from _of_desks(demo)
    yield from _of_phone(demo)


def _of_supervision() -> Iterator[Shot]:
    first = "#rounds tbody tr:nth-child(3) button"
    yield Shot("live", "/supervision")
    yield Shot("live-wide", "/supervision", size=WIDE)
    yield Shot("live-dark", "/supervision", theme="dark")
    yield Shot("live-en", "/supervision", lang="en")
    yield Shot("live-round", "/supervision", size=WIDE, do=(first,))
    yield Shot("live-narrow", "/supervision", size=PHONE)
    for name in ("morning", "alerts", "replay", "addresses", "reports", "health", "phones"):
        yield Shot(name, f"/supervision/{name}")
        yield Shot(f"{name}-wide", f"/supervision/{name}", size=WIDE)
        yield Shot(f"{name}-dark-en", f"/supervision/{name}", lang="en", theme="dark")
        yield Shot(f"{name}-narrow", f"/supervision/{name}", size=PHONE)
    yield Shot("national", "/supervision/national", role="operator")
    yield Shot("national-dark-en", "/supervision/national", role="operator", lang="en", theme="dark")


def _of_customers(demo: Demo) -> Iterator[Shot]:
    button, away = "main form button >> nth=0", datetime.now(UTC).date() + timedelta(days=4)
    found = (("#number", demo.customer["item_id"]), ("#postcode", demo.customer["postcode"]), button)
    changing = (("#number", demo.item()), ("#postcode", demo.customer["postcode"]), button, "main a.button >> nth=0")
    hold = (*changing, "#kind-hold", button, ("#until", away.isoformat()), button)
    check = (*hold, ("#email", "claire@example.org"), button)
    for end, how in (("", {}), ("-dark-en", {"lang": "en", "theme": "dark"}), ("-narrow", {"size": PHONE})):
        yield Shot(f"suivi{end}", "/suivi", role=None, **how)
        yield Shot(f"suivi-fault{end}", "/suivi", role=None, do=(button,), **how)
        yield Shot(f"suivi-status{end}", "/suivi", role=None, do=found, **how)
        yield Shot(f"suivi-change{end}", "/suivi", role=None, do=changing, **how)
        yield Shot(f"suivi-change-check{end}", "/suivi", role=None, do=check, **how)
        for name in ("avis", "aide", "reexpedition", "sign-in", "demandes", "accessibilite", "confidentialite"):
            yield Shot(f"suivi-{name}{end}", f"/suivi/{name}", role=None, **how)
        for name in ("compte", "foyer", "foyer/adresse", "visites", "demandes", "reexpedition"):
            yield Shot(f"suivi-my-{name.replace('/', '-')}{end}", f"/suivi/{name}", role="customer", **how)
    yield Shot("suivi-request", "/suivi", role=None, do=(*check, button))


def _of_desks(demo: Demo) -> Iterator[Shot]:
    about, order = f"/adviser/items/{demo.item()}", ".partner-list a >> nth=0"
    pages: Mapping[str, tuple[str, str]] = {
        "partner": ("partner", "/partner"),
        "partner-form": ("partner", "/partner/new/medication"),
        "counter": ("counter", "/counter"),
        "counter-item": ("counter", f"/counter/items/{demo.item(office=True)}"),
        "counter-returns": ("counter", "/counter/returns"),
        "counter-waits": ("counter", "/counter/waits"),
        "adviser": ("adviser", "/adviser"),
        "adviser-item": ("adviser", f"{about}?reason=complaint"),
        "adviser-change": ("adviser", f"{about}/change?reason=complaint&kind=neighbour"),
        "adviser-cases": ("adviser", "/adviser/cases"),
        "integrations": ("member", "/integrations"),
        "integrations-new": ("member", "/integrations/endpoints/new"),
        **{
            f"integrations-{name}": ("member", f"/integrations/{name}")
            for name in ("keys", "catalogue", "feed", "audit", "sandbox", "certify")
        },
    }
    for end, how in (("", {}), ("-dark-en", {"lang": "en", "theme": "dark"}), ("-narrow", {"size": PHONE})):
        for name, (role, path) in pages.items():
            yield Shot(name + end, path, role=role, **how)
        yield Shot(f"partner-order{end}", "/partner?show=all", role="partner", do=(order,), **how)


def _of_phone(demo: Demo) -> Iterator[Shot]:
    item, visit, pouch = (demo.first(name) for name in ("item", "home_visit", "medication"))
    screens = {
        "start": "#/start", "scan": "#/scan", "today": "#/today", "stop": f"#/stop/{item['stop_id']}",
        "proof": f"#/proof/{item['subject']}", "visit": f"#/visit/{visit['subject'].partition('/')[2]}",
        "pouch": f"#/pouch/{pouch['subject'].partition('/')[2]}", "address": f"#/address/{item['stop_id']}",
        "change": f"#/change/{item['stop_id']}", "other": "#/other", "form": "#/form/meter.read", "outbox": "#/outbox",
        "carry": "#/carry", "end": "#/end", "urgent": "#/urgent", "me": "#/me",
    }  # fmt: skip
    yield Shot("phone-join", "/handheld", role=None, size=PHONE)
    for name, place in screens.items():
        yield Shot(f"phone-{name}", f"/handheld{place}", role="carrier", size=PHONE)
    for name in ("scan", "today", "proof", "urgent"):
        yield Shot(
            f"phone-{name}-dark-en", f"/handheld{screens[name]}", role="carrier", size=PHONE, lang="en", theme="dark"
        )
        yield Shot(f"phone-{name}-sun", f"/handheld{screens[name]}", role="carrier", size=PHONE, theme="sun")


class Studio:
    """A browser with a page for each kind of reader: who they are, in which language and light, on how large a screen."""

    def __init__(self, browser: Browser, demo: Demo) -> None:
        self._browser, self._demo = browser, demo
        self._pages: dict[tuple[object, ...], Page] = {}

    async def draw(self, shot: Shot) -> None:
        """Draw one picture."""
        kind = shot.role, shot.size, shot.lang, shot.theme
        page = self._pages.get(kind)
        if page is None:
            page = self._pages[kind] = await self._prepared(shot)
        if shot.role == "carrier":
            await page.evaluate("(hash) => { location.hash = hash; }", shot.path.partition("#")[2])
        else:
            await page.goto(self._demo.url + shot.path)
        for each in shot.do:
            if isinstance(each, str):
                await page.locator(each).click()
            else:
                await page.locator(each[0]).fill(each[1])
        await page.wait_for_timeout(MAP_MS if "/supervision" in shot.path else SETTLE_MS)
        await page.screenshot(path=FOLDER / f"{shot.name}.png", full_page="/supervision" not in shot.path)

    async def _prepared(self, shot: Shot) -> Page:
        context = await self._browser.new_context(
            viewport={"width": shot.size[0], "height": shot.size[1]},
            locale="fr-FR" if shot.lang == "fr" else "en-GB",
            timezone_id="Europe/Paris",
            color_scheme="dark" if shot.theme == "dark" else "light",
            reduced_motion="reduce",
        )
        kept = {LANGUAGE_COOKIE: shot.lang, THEME_COOKIE: shot.theme}
        await context.add_cookies(
            [{"name": name, "value": value, "url": self._demo.url} for name, value in kept.items()]
        )
        page = await context.new_page()
        page.set_default_timeout(30_000)
        if shot.role == "carrier":
            await self._on_duty(page, shot.theme)
        elif shot.role == "customer":
            await self._with_provider(page)
        elif shot.role is not None:
            await page.goto(self._demo.people[shot.role]["sign_in_url"])
            await page.locator("main button").first.click()
            await page.wait_for_url("**/signed-in")
        return page

    async def _with_provider(self, page: Page) -> None:
        """Sign a customer in with the demo's own provider, whose people have their names twice for a password."""
        await page.goto(f"{self._demo.url}/suivi/sign-in/provider")
        for name, text in (("login", CUSTOMER), ("password", f"{CUSTOMER}-{CUSTOMER}")):
            await page.locator(f"input[name={name}]").fill(text)
            await page.keyboard.press("Enter")
        await page.wait_for_url(f"{self._demo.url}/**")

    async def _on_duty(self, page: Page, theme: str) -> None:
        """Become the phone of the round that the demo leaves to you; the first one draws the start before it begins."""
        device = orjson.dumps(dict(self._demo.device)).decode()
        await page.context.add_init_script(
            f"localStorage.setItem('fieldsvc.device', {orjson.dumps(device).decode()});"
            f"localStorage.setItem('fieldsvc.handheld.look', '{theme}');"
        )
        await page.goto(f"{self._demo.url}/handheld#/start")
        await page.locator("#screen [data-act]").first.wait_for()
        begin = page.locator("[data-act=begin]")
        if await begin.count():
            await page.screenshot(path=FOLDER / "phone-before.png", full_page=True)
            await begin.click()


async def _read(folder: Path) -> Demo:
    found = orjson.loads((folder / "demo.json").read_bytes())
    yours = next(each for each in found["devices"] if each["round"] == YOURS)
    theirs = next(each for each in found["devices"] if each["site"] == OFFICE and each["round"] != YOURS)
    sheets = [await _sheet(found["url"], device["token"]) for device in (yours, theirs)]
    return Demo(found["url"], found["people"], found["customer"], yours, *sheets)


async def _sheet(url: str, token: str) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(url, headers=headers, trust_env=False) as client:
        async with client.get("/v1/runs/current") as answer:
            run_id = (await answer.json())["run_id"]
        async with client.get(f"/v1/runs/{run_id}/sheet") as answer:
            return dict(await answer.json())


def _first(sheet: Mapping[str, Any], service: str) -> Mapping[str, Any]:
    for stop in sheet["stops"]:
        for task in stop["tasks"]:
            if task["service"] == service:
                return {**task, "stop_id": stop["stop_id"]}
    raise LookupError(f"no {service} on {sheet['run_id']}")


@asynccontextmanager
async def _running() -> AsyncIterator[Path]:
    """Start the demo in a folder of its own and wait until its carriers are under way; give the folder."""
    if known := os.environ.get("FIELDSVC_SHOTS"):
        yield Path(known)
        return
    with tempfile.TemporaryDirectory(prefix="fieldsvc-shots-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fieldsvc", "demo", "--port", str(_free_port())),
            env={**os.environ, "FIELDSVC_VAR_DIR": folder},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST_S):
                await _under_way(process)
            drain = asyncio.create_task(_drained(process))
            yield Path(folder)
            drain.cancel()
        finally:
            process.terminate()
            await process.wait()


async def _under_way(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        count = TAKEN_IN.match(line)
        if count and int(count[1].replace(b",", b"")) >= EVENTS:
            return
    raise RuntimeError("the demo ended")


async def _drained(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


async def main(wanted: Sequence[str]) -> int:
    """Draw the pictures whose names have one of these parts, or all; 1 if one of them could not be drawn."""
    failed = []
    async with _running() as folder, async_playwright() as playwright:
        demo = await _read(folder)
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        studio = Studio(browser, demo)
        for shot in shots(demo):
            if not wanted or any(part in shot.name for part in wanted):
                try:
                    await studio.draw(shot)
                except Error as error:
                    failed.append(f"{shot.name}: {error.message.splitlines()[0]}")
        await browser.close()
    sys.stdout.write("".join(f"{line}\n" for line in (*failed, f"pictures in {FOLDER}/")))
    return 1 if failed else 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.exit(asyncio.run(main(sys.argv[1:])))
