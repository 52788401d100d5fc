"""The pages of an account beside its endpoints, in a real browser: no violation, no sideways scroll, nothing from elsewhere."""

import re

import pytest
from playwright.async_api import expect

from fieldsvc.access import accounts
from fieldsvc.web.auth import SESSION_COOKIE
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATHS = ("keys", "catalogue", "catalogue/item.delivered", "feed", "audit", "sandbox", "certify")


def signed_in(site: Site, *, is_sandbox: bool = False) -> list[dict[str, str]]:
    """The cookies of a member of an account that was made for this test."""
    database = site.service.platform.database
    made = site.service.call(
        accounts.create_subscriber(database, "Pharmacie du Moulin", scopes=("order:item",), is_sandbox=is_sandbox)
    )
    address = f"lina@{made['account_id']}.invalid"
    person = site.service.call(
        accounts.create_person(database, site.url, "member", email=address, parent=made["account_id"])
    )
    token = person["sign_in_url"].rpartition("/")[2]
    session = site.service.call(accounts.sign_in(database, token, loopback=True))
    assert session is not None
    return [{"name": SESSION_COOKIE, "value": session, "url": site.url}]


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_every_page_of_an_account_is_without_violations_and_fits_a_small_screen(
    site: Site, page: Open, lang: str
) -> None:
    opened = await page("/", lang=lang, theme="dark" if lang == "en" else "light", size=(320, 640))
    await opened.context.add_cookies(signed_in(site, is_sandbox=lang == "en"))  # type: ignore[arg-type]
    faults = {}
    for path in PATHS:
        await opened.goto(f"{site.url}/integrations/{path}")
        await expect(opened.locator("h1")).to_have_count(1)
        if found := [*await violations(opened), *await overflow(opened)]:
            faults[path] = found
    assert faults == {}


async def test_a_key_is_made_by_keyboard_shown_once_and_revoked_without_a_script(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 422")  # of the form without a name
    opened = await page("/", js=False)
    await opened.context.add_cookies(signed_in(site))  # type: ignore[arg-type]
    await opened.goto(f"{site.url}/integrations/keys")
    await opened.get_by_label("Quel programme va l'utiliser ?").press("Enter")
    await expect(opened).to_have_title(re.compile("^Erreur"))
    await opened.get_by_label("Quel programme va l'utiliser ?").fill("Essais de Lina")
    await opened.get_by_label("Commander : Objets").press("Space")
    await opened.get_by_role("button", name="Créer la clé").press("Enter")
    secret = await opened.locator("#secret").inner_text()
    assert secret.startswith("fsk_")
    await opened.goto(f"{site.url}/integrations/keys")
    assert secret not in await opened.content()
    row = opened.get_by_role("row", name=re.compile("Essais de Lina"))
    await row.locator("summary").press("Enter")
    await row.get_by_role("button", name="Révoquer cette clé").press("Enter")
    await expect(opened.get_by_role("status")).to_have_text("La clé est révoquée.")
