"""The counter and the adviser's desk in a real browser: by scanner and keyboard, on a narrow screen, with and without a script."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from fieldsvc.simulate.town import Town
from tests.acceptance.conftest import SITE
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.web.desks import Desks, open_desks

pytestmark = pytest.mark.asyncio(loop_scope="session")
NARROW, TABLET = (320, 700), (820, 1180)


@pytest.fixture(scope="module")
def desks(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    with open_desks(postgres_url, tmp_path_factory.mktemp("desks")) as made:
        yield made


@pytest.fixture(scope="module")
def site(desks: Desks) -> Site:
    """The service of the desks, for the browser."""
    return Site(desks.service, Town(2, rounds=2, stops=4), desks.service.platform.runs.today())


async def hand_over(opened: Page) -> None:
    """Fill in who takes the item, by keyboard."""
    await opened.get_by_label("The addressee").check()
    await opened.get_by_label("First name").fill("Léa")
    await opened.get_by_label("Surname").fill("Martin")
    await opened.get_by_label("Passport").check()


async def test_a_scanner_types_the_number_and_the_person_signs_on_the_screen(page: Open, desks: Desks) -> None:
    number = desks.waiting()
    opened = await page("/counter", lang="en", role="counter", at=SITE, size=TABLET)
    await expect(opened.get_by_label("Item number or the customer's code")).to_be_focused()
    await opened.keyboard.type(number)
    await opened.keyboard.press("Enter")
    await expect(opened.locator(".code")).to_have_text("B-12")
    await hand_over(opened)
    await expect(opened.locator("canvas")).to_be_hidden()
    await opened.get_by_label("On the screen").check()
    pad = opened.locator("canvas")
    await pad.scroll_into_view_if_needed()
    box = await pad.bounding_box()
    assert box is not None
    await opened.mouse.move(box["x"] + 20, box["y"] + 40)
    await opened.mouse.down()
    await opened.mouse.move(box["x"] + 200, box["y"] + 120, steps=8)
    await opened.mouse.up()
    assert await violations(opened) == []
    await opened.get_by_role("button", name="Hand the item over").click()
    await expect(opened.get_by_role("status")).to_contain_text("Collected")
    assert desks.published(number)[-1] == "item.collected"


async def test_the_counter_works_without_a_script_on_a_narrow_screen_in_french(
    page: Open, watch: Watch, desks: Desks
) -> None:
    watch.forgive("status of 422")
    number = desks.waiting()
    opened = await page("/counter", role="counter", at=SITE, js=False, size=NARROW)
    await opened.locator("#code").fill(number)
    await opened.keyboard.press("Enter")
    await expect(opened.locator(".code")).to_have_text("B-12")
    assert await overflow(opened) == []
    await opened.get_by_role("button", name="Remettre l'objet").click()
    await expect(opened.locator("#faults")).to_be_focused()
    await expect(opened).to_have_title("Erreur : Objet " + number + " · fieldsvc")
    for name in ("Le destinataire", "Carte d'identité", "Sur papier"):
        await opened.get_by_label(name, exact=True).check()
    await opened.get_by_label("Prénom").fill("Léa")
    await opened.get_by_label("Nom", exact=True).fill("Martin")
    await opened.get_by_role("button", name="Remettre l'objet").click()
    await expect(opened.get_by_role("status")).to_contain_text("Retiré")


async def test_the_desks_pages_have_nothing_that_axe_finds_and_fit_a_narrow_screen(page: Open, desks: Desks) -> None:
    number = desks.waiting()
    here = desks.led("nobody", f"{desks.link(number)}/ici")
    item = f"/adviser/items/{number}"
    pages = {
        "counter": ("/counter", "/counter/returns", "/counter/waits"),
        "adviser": (
            "/adviser",
            f"{item}?reason=complaint",
            f"{item}/change?reason=complaint&kind=hold",
            "/adviser/cases",
        ),
    }
    opened = await page(here, size=NARROW)
    for role, paths in pages.items():
        assert await violations(opened) == [], opened.url
        assert await overflow(opened) == [], opened.url
        opened = await page(paths[0], role=role, at=SITE if role == "counter" else None, size=NARROW, theme="dark")
        for path in paths:
            await opened.goto(f"{desks.service.url}{path}")
            assert await violations(opened) == [], path
            assert await overflow(opened) == [], path
