"""Signing in by a code in a real browser: without a script, on a small screen, in both languages, read by axe."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from fieldsvc.access.mail_codes import MailCodes
from fieldsvc.web.sign_in import SIGN_IN
from tests.acceptance.identity import code_of
from tests.acceptance.service import fresh
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = (320, 640)


@pytest.fixture(autouse=True)
def _mails(site: Site) -> Iterator[None]:
    """Let the service offer codes, as one with a mail server does."""
    signing, platform = site.service.app[SIGN_IN], site.service.platform
    object.__setattr__(signing, "codes", MailCodes(platform.database, platform.vault, signing.customers))
    yield
    object.__setattr__(signing, "codes", None)


@pytest.mark.parametrize(("lang", "theme", "title"), [("fr", "light", "Mon compte"), ("en", "dark", "My account")])
async def test_a_customer_signs_in_by_a_code_without_a_script_at_320_pixels(
    site: Site, page: Open, watch: Watch, lang: str, theme: str, title: str
) -> None:
    watch.forgive("status of 422")
    email = f"{fresh('c').lower()}@demo.invalid"
    opened = await page("/suivi/compte", lang=lang, theme=theme, js=False, size=SMALL)
    assert await overflow(opened) == []
    await opened.locator("main form button").click()  # nothing is filled in
    await expect(opened.locator("#faults")).to_be_visible()
    assert re.match("Erreur|Error", await opened.title())
    assert await overflow(opened) == []
    await opened.locator("#email").fill(email)
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#code")).to_be_visible()
    assert await overflow(opened) == []
    await opened.locator("#code").fill(await asyncio.to_thread(code_of, site.service, email))
    await opened.keyboard.press("Enter")
    await expect(opened.locator("h1")).to_have_text(title)
    await expect(opened.locator("main")).to_contain_text(email)
    assert await overflow(opened) == []
    await opened.locator("main form button").first.click()
    await expect(opened.locator("h1")).to_have_text(re.compile("déconnecté|signed out"))


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page_of_signing_in(site: Site, page: Open, watch: Watch, theme: str) -> None:
    watch.forgive("status of 422", "status of 401")
    opened = await page("/suivi/sign-in", theme=theme, size=SMALL)
    assert await violations(opened) == []
    await opened.locator("main form button").click()
    assert await violations(opened) == []
    await opened.locator("#email").fill(f"{fresh('c').lower()}@demo.invalid")
    await opened.locator("main form button").click()
    await expect(opened.locator("#code")).to_be_visible()
    assert await violations(opened) == []
    for path, role in (("/suivi/compte", "customer"), ("/suivi/sign-in/callback", None), ("/staff/sign-in", None)):
        assert await violations(await page(path, theme=theme, size=SMALL, role=role)) == [], path
