"""The pages of `/suivi` in a real browser: without a script, on a small screen, in both languages, and read by axe."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from handlers import notice_code
from handlers.story import Actor
from tests.acceptance.service import fresh
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = (320, 640)
WORDS: dict[str, dict[str, str]] = {
    "fr": {"find": "Suivre un envoi", "wrong": "Nous ne trouvons pas", "planned": "Votre envoi arrive bientôt"},
    "en": {"find": "Follow an item", "wrong": "We find no item", "planned": "Your item is coming soon"},
}


def ordered(site: Site) -> str:
    """Order an item for a known address of the town today."""
    number = fresh("RK")
    order: dict[str, Any] = {"task_id": f"tsk_{number}", "service": "item", "subject": f"item/{number}"}
    order |= {"on": site.day.isoformat(), "address": "4 rue Haute, 93500 Pantin"}
    platform = site.service.platform
    site.service.call(platform.commands.send("task.planned", order, actor=Actor("operator"), handler="item"))
    return number


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_an_item_is_found_and_followed_without_a_script_at_320_pixels(
    site: Site, page: Open, watch: Watch, lang: str
) -> None:
    watch.forgive("status of 422")
    number, words = ordered(site), WORDS[lang]
    opened = await page("/suivi", lang=lang, js=False, size=SMALL)
    await expect(opened.locator("h1")).to_have_text(words["find"])
    await opened.locator("#number").fill(number)
    await opened.locator("#postcode").fill("75001")
    await opened.locator("main form button").click()
    await expect(opened.locator("#faults")).to_contain_text(words["wrong"])
    assert re.match("Erreur|Error", await opened.title())
    assert await opened.locator("#number").input_value() == number
    await opened.locator("#postcode").fill("93500")
    await opened.locator("main form button").click()
    await expect(opened.locator("h1")).to_have_text(words["planned"])
    assert number not in opened.url
    assert await overflow(opened) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_passes_axe_and_fits(site: Site, page: Open, theme: str) -> None:
    opened = await page("/suivi", theme=theme, size=SMALL)
    await opened.locator("#number").fill(number := ordered(site))
    await opened.locator("#postcode").fill("93500")
    await opened.locator("main form button").click()
    await expect(opened.locator("h1")).to_have_text(WORDS["fr"]["planned"])
    assert number in await opened.content()
    for path in (opened.url, "/suivi", "/suivi/avis", "/suivi/aide", "/suivi/accessibilite", "/suivi/confidentialite"):
        await opened.goto(path if path.startswith("http") else f"{site.url}{path}")
        assert await violations(opened) == [], path
        assert await overflow(opened) == [], path


async def test_the_fault_has_the_focus_and_leads_to_its_field(site: Site, page: Open, watch: Watch) -> None:
    watch.forgive("status of 422")
    opened = await page("/suivi")
    await opened.locator("main form button").click()
    await expect(opened.locator("#faults")).to_be_focused()
    await opened.locator("#faults a").first.click()
    await expect(opened.locator("#number")).to_be_focused()
    assert await violations(opened) == []


async def test_the_phone_makes_codes_of_notices_that_the_service_reads(site: Site, page: Open) -> None:
    opened = await page("/suivi")
    codes = await opened.evaluate(
        "async () => { const made = await import('/static/handheld/notice_code.js');"
        " return Array.from({length: 200}, () => made.newNoticeCode()); }"
    )
    assert len(set(codes)) == 200
    assert all(notice_code.plain(code) == code for code in codes)
