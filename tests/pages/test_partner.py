"""`/partner` in a real browser: a pharmacist orders without a script, on a narrow screen, in both languages."""

import re

import pytest
from playwright.async_api import Page, expect

from fieldsvc.access import accounts
from tests.pages.browser import Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
NARROW = (320, 640)


@pytest.fixture(scope="module", autouse=True)
def _pharmacist(site: Site) -> None:
    """Sign somebody of a pharmacy in, under the name by which `page` looks a session up."""
    site.sessions["partner", None] = site.service.call(_signed_in(site))


async def _signed_in(site: Site) -> str:
    database = site.service.platform.database
    account = await accounts.create_subscriber(
        database, "Pharmacie", scopes=("health", "order:medication", "order:home_visit")
    )
    made = await accounts.create_person(
        database, site.url, "partner", email="pharmacie@x.invalid", parent=account["account_id"]
    )
    session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    assert session is not None
    return session


async def good(page: Page) -> None:
    """A page is one that everybody can read, and nothing of it is wider than the window."""
    assert await violations(page) == []
    assert await overflow(page) == []
    assert await page.locator("h1").count() == 1


async def test_a_pharmacist_orders_a_pouch_without_a_script_on_a_narrow_screen(
    page: Open, site: Site, watch: Watch
) -> None:
    watch.forgive("status of 422")
    opened = await page("/partner", role="partner", size=NARROW)  # axe needs scripts; the pages have none of their own
    assert await opened.locator("script").count() == 0
    await good(opened)
    await opened.get_by_role("link", name="Portage de médicaments").click()
    await good(opened)
    await opened.get_by_role("button", name="Continuer").click()
    await expect(opened.get_by_role("alert")).to_contain_text("Entrez le nom de la personne.")
    assert (await opened.title()).startswith("Erreur")
    await good(opened)
    await opened.get_by_label("Pour qui").fill("Mme Jeanne Essai")
    point = site.town.rounds[0].stops[5].point
    written = f"{point.number}{point.rep or ''} {point.street}\n{point.postcode} {point.town}"
    await opened.get_by_label("Adresse").fill(written)
    await opened.get_by_label("À garder au frais").check()
    await opened.get_by_role("button", name="Continuer").click()
    await expect(opened.get_by_role("heading", level=1)).to_have_text("Vérifiez vos réponses")
    await good(opened)
    await opened.get_by_role("button", name="Modifier").click()
    assert await opened.get_by_label("À garder au frais").is_checked()
    assert await opened.get_by_label("Adresse").input_value() == written
    await opened.get_by_role("button", name="Continuer").click()
    await opened.get_by_role("button", name="Commander").click()
    await expect(opened.get_by_role("heading", level=1)).to_contain_text(re.compile("P-[0-9A-Z]{12}"))
    await expect(opened.get_by_role("link", name="Imprimer l'étiquette")).to_be_visible()
    await good(opened)
    await opened.get_by_role("button", name="Confier la pochette au facteur").click()
    await expect(opened.locator(".partner-chain")).to_contain_text("par vous")
    await good(opened)


async def test_the_same_works_with_scripts_forbidden_in_english_and_in_the_dark(page: Open, site: Site) -> None:
    opened = await page("/partner/new/home_visit", role="partner", lang="en", theme="dark", js=False)
    await opened.get_by_label("For whom").fill("Mr Test")
    await opened.get_by_label("Address").fill("999 chemin des Inconnus, 00000 Nulle-Part")
    await opened.get_by_role("button", name="Continue").press("Enter")
    await opened.get_by_label("The one that I wrote").check()
    await opened.get_by_role("button", name="Continue").press("Enter")
    await expect(opened.get_by_role("heading", level=1)).to_have_text("Check your answers")
    await opened.get_by_role("button", name="Order").press("Enter")
    await expect(opened.get_by_text("We are still checking which round serves this address.")).to_be_visible()
    await opened.locator("summary").click()
    await opened.get_by_role("button", name="Yes, cancel it").click()
    await expect(opened.get_by_text("Cancelled")).to_be_visible()
    dark = await page("/partner?show=all", role="partner", lang="en", theme="dark", size=NARROW)
    await good(dark)
