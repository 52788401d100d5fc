"""Disputes, ratings and households in a real browser: without a script, on a small screen, in both languages, read by axe."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fieldsvc.requests.links import Link, seal_link
from fieldsvc.web.following import LINK_KEY
from handlers.story import Actor
from tests.acceptance.service import fresh
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = (320, 640)


def delivered(site: Site) -> str:
    """Order an item and deliver it; return the path of its holder's link."""
    number, stop = fresh("RK"), site.town.rounds[0].stops[5]
    order: dict[str, Any] = {"task_id": f"tsk_{number}", "service": "item", "subject": f"item/{number}"}
    order |= {"on": site.day.isoformat(), "delivery_point": stop.point.id}
    platform, carrier = site.service.platform, Actor("supervisor")
    site.service.call(platform.commands.send("task.planned", order, actor=Actor("operator"), handler="item"))
    site.service.call(platform.commands.send("item.delivered", {"item_id": number, "to": "mailbox"}, actor=carrier))
    soon = datetime.now(UTC) + timedelta(hours=1)
    return f"/suivi/{seal_link(site.service.app[LINK_KEY], Link(f'item/{number}', soon))}"


async def press(page: Page) -> None:
    await page.locator("main form button").first.click()


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_a_case_is_opened_without_a_script_at_320_pixels(site: Site, page: Open, watch: Watch, lang: str) -> None:
    watch.forgive("status of 422")
    opened = await page(f"{delivered(site)}/contester", lang=lang, js=False, size=SMALL)
    assert await overflow(opened) == []
    await press(opened)  # nothing is said
    await expect(opened.locator("#faults")).to_be_visible()
    assert re.match("Erreur|Error", await opened.title())
    await opened.locator("#wrong-damaged").check()
    await opened.locator("#text").fill("Carton ouvert")
    await press(opened)
    await expect(opened.locator("dl.facts")).to_contain_text("Carton ouvert")
    assert await overflow(opened) == []
    await press(opened)
    await expect(opened.locator("h1")).to_contain_text("CT-")
    assert await opened.locator("h1").count() == 1
    assert await overflow(opened) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_of_these_pages_and_all_fit(
    site: Site, page: Open, watch: Watch, theme: str
) -> None:
    watch.forgive("status of 422")
    opened = await page(f"{delivered(site)}/satisfaction", role="customer", theme=theme, size=SMALL)

    async def judge() -> None:
        assert await violations(opened) == [], opened.url
        assert await overflow(opened) == [], opened.url

    await judge()
    await press(opened)
    await judge()
    await opened.locator("#score-9").check()
    await press(opened)
    await judge()
    for path in ("/suivi/visites", "/suivi/foyer", "/suivi/foyer/adresse"):
        await opened.goto(site.url + path)
        await judge()
    point = site.town.rounds[0].stops[7 if theme == "light" else 9].point
    await opened.locator("#address").fill(point.address)
    await press(opened)
    await judge()
    await opened.locator(f"input[value='{point.id}']").check()
    await press(opened)
    await judge()
    await opened.locator("#names").fill("Martin")
    await press(opened)
    await judge()
    await press(opened)
    await expect(opened.locator("main section").last).to_contain_text("Martin")
    await opened.locator("main section").last.locator("button").click()
    await expect(opened.locator("#faults")).to_be_visible()
    await judge()
    code = await _code(site)
    await opened.locator("main section").last.locator("input[name=code]").fill(code)
    await opened.locator("main section").last.locator("button").click()
    for page_of in ("consignes", "boite", "quitter"):
        await opened.goto(f"{site.url}/suivi/foyer")
        await opened.locator(f"main section a[href$={page_of}]").last.click()
        await judge()


async def _code(site: Site) -> str:
    """Read the newest letter with a code."""

    async def read() -> str:
        async with site.service.platform.database.acquire() as connection:
            text = "select sealed from notice where template = 'household_code' order by queued_at desc limit 1"
            sealed = await connection.fetchval(text)
        return str((await site.service.platform.opener.open_blobs([sealed]))[0]["params"]["code"])

    return site.service.call(read())
