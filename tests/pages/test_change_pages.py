"""T7: a delivery is changed in a real browser without a script, on a small screen, in both languages, and read by axe."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fieldsvc.requests.codes import Codes
from fieldsvc.requests.links import Link, seal_link
from fieldsvc.web.following import LINK_KEY
from handlers.story import Actor
from tests.acceptance.service import fresh
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = (320, 640)
WORDS: dict[str, dict[str, str]] = {
    "fr": {"day": "Entrez une date qui existe", "check": "Vérifiez vos réponses", "made": "Nous avons votre demande.",
           "over": "Demande annulée"},
    "en": {"day": "Enter a date that exists", "check": "Check your answers", "made": "We have your request.",
           "over": "Request cancelled"},
}  # fmt: skip


def changeable(site: Site) -> str:
    """Order an item for tomorrow; return the path where its holder changes it."""
    number, stop = fresh("LL"), site.town.rounds[0].stops[3]
    order: dict[str, Any] = {"task_id": f"tsk_{number}", "service": "item", "subject": f"item/{number}"}
    order |= {"on": (site.day + timedelta(days=1)).isoformat(), "delivery_point": stop.point.id}
    platform = site.service.platform
    site.service.call(platform.commands.send("task.planned", order, actor=Actor("operator"), handler="item"))
    soon = datetime.now(UTC) + timedelta(hours=1)
    link = Link(f"item/{number}", soon, frozenset({"see", "change"}), stop.point.postcode)
    return f"/suivi/{seal_link(site.service.app[LINK_KEY], link)}/modifier"


async def go_on(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        await page.locator(f"#{name}").fill(value)
    await page.locator("main form button").first.click()


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_an_absence_is_told_and_taken_back_without_a_script_at_320_pixels(
    site: Site, page: Open, watch: Watch, lang: str
) -> None:
    watch.forgive("status of 422")
    words = WORDS[lang]
    opened = await page(changeable(site), lang=lang, js=False, size=SMALL)
    assert await opened.locator("h1").count() == 1
    assert await overflow(opened) == []
    await opened.locator("#kind-safe_place").check()
    await go_on(opened)
    await go_on(opened)  # nothing is filled in
    await expect(opened.locator("#faults")).to_be_visible()
    assert re.match("Erreur|Error", await opened.title())
    await opened.locator("main a").first.click()  # back
    await opened.locator("#kind-hold").check()
    await go_on(opened)
    await go_on(opened, until=(site.day + timedelta(days=4)).isoformat())
    await go_on(opened, email="claire@example.org")
    await expect(opened.locator("h1")).to_have_text(words["check"])
    assert await overflow(opened) == []
    await go_on(opened)
    await expect(opened.locator("[role=status]")).to_have_text(words["made"])
    assert re.fullmatch(r"DC-[0-9A-Z]{10}", await opened.locator(".code").inner_text())
    assert await overflow(opened) == []
    await opened.locator("button", has_text=re.compile("Annuler|Cancel")).click()
    await expect(opened.locator("main .notice").first).to_contain_text(words["over"])


async def test_a_date_that_does_not_exist_has_the_focus_leads_to_its_field_and_is_kept(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 422")
    opened = await page(changeable(site))
    await opened.locator("#kind-other_date").check()
    await go_on(opened)
    await opened.locator("#day").evaluate("each => { each.type = 'text'; }")  # a browser without a field for days
    await go_on(opened, day="31/02/2027")
    await expect(opened.locator("#faults")).to_be_focused()
    await expect(opened.locator("#faults")).to_contain_text(WORDS["fr"]["day"])
    assert await opened.locator("#day").get_attribute("value") == "31/02/2027"
    await opened.locator("#faults a").first.click()
    await expect(opened.locator("#day")).to_be_focused()
    assert await violations(opened) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_passes_axe_and_fits(site: Site, page: Open, theme: str) -> None:
    opened = await page(changeable(site), theme=theme, size=SMALL)
    seen = []

    async def judge() -> None:
        assert await violations(opened) == [], opened.url
        assert await overflow(opened) == [], opened.url
        seen.append(await opened.locator("h1").inner_text())

    await judge()
    await opened.locator("#kind-redirect").check()
    await go_on(opened)
    await judge()
    await go_on(opened, names="Mme Martin")
    await judge()
    await go_on(opened, new_address="2 rue B, 69001 Lyon")
    await judge()
    await go_on(opened, **{"from": (site.day + timedelta(days=20)).isoformat()})
    await judge()
    await go_on(opened, email="claire@example.org")
    await judge()
    await go_on(opened)
    await judge()
    reference = await opened.locator(".code").inner_text()
    stop = Codes(site.service.platform.vault).stop_token(reference)
    for path in (f"/suivi/stop/{reference}/{stop}", "/suivi/demandes", "/suivi/reexpedition"):
        await opened.goto(f"{site.url}{path}")
        await judge()
    assert len(set(seen)) == 10
