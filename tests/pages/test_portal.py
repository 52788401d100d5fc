"""T11 in the browser: an integrator makes an endpoint, sees it fail and mends it; T12 needs none (tests/web/test_portal.py)."""

import time
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from fieldsvc.access import accounts
from fieldsvc.publishing.signing import verify
from tests.acceptance.conftest import CARRIER, SITE
from tests.acceptance.service import field_event, fresh
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.web.test_portal import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shop(site: Site) -> Site:
    """The service with an account that orders items, its person, and a phone that tells of them."""
    database = site.service.platform.database
    site.account("portal", "order:item")
    site.device("portal-phone", CARRIER, SITE, "T07")

    async def sign_in() -> str:
        parent = site.callers["portal"].name
        made = await accounts.create_person(
            database, site.url, "member", email=f"{fresh('m').lower()}@demo.invalid", parent=parent
        )
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        return session

    site.sessions["member", None] = site.service.call(sign_in())
    return site


def say(site: Site) -> str:
    item = fresh("RK")
    site.order("portal", "item", f"item/{item}")
    (result,) = site.callers["portal-phone"].send(field_event("item.loaded", {"item_id": item}, runid=site.run_id))
    assert result["status"] == "accepted", result
    return item


async def is_sound(page: Page) -> None:
    """No fault of accessibility, and nothing wider than the page."""
    assert await violations(page) == []
    assert await overflow(page) == []


async def test_t11_an_integrator_makes_an_endpoint_sees_it_fail_mends_it_and_replays(
    shop: Site, page: Open, receiver: Receiver, watch: Watch
) -> None:
    watch.forgive("status of 422")
    tab = await page("/integrations", role="member", lang="en")
    await tab.get_by_role("link", name="New endpoint").first.click()
    await tab.get_by_label("URL", exact=True).fill("https://192.168.1.10/hook")
    await tab.get_by_role("button", name="Create the endpoint").click()
    await expect(tab.get_by_role("alert")).to_be_focused()
    await expect(tab.get_by_role("alert")).to_contain_text("private network")
    await tab.get_by_label("URL", exact=True).fill(receiver.url)
    await tab.get_by_role("button", name="Create the endpoint").click()
    secret = str(await tab.locator("#secret").text_content()).strip()
    await tab.get_by_role("link", name="I have kept the key").click()

    item = say(shop)
    row = tab.locator("#attempts tr", has_text=f"item/{item}").filter(has_text="item.loaded")
    await expect(row).to_contain_text("200")  # came by itself: the page is live
    headers, body = next(each for each in receiver.came if item.encode() in each[1])
    assert verify([secret], headers, body, now=time.time()) == headers["webhook-id"]
    await row.get_by_role("link").click()
    await expect(tab.locator("#body")).to_contain_text(item)
    await tab.go_back()
    await row.get_by_role("button", name="Resend").click()
    await expect(tab.get_by_role("status").first).to_contain_text("sent again and taken")
    sent = [each["webhook-id"] for each, _ in receiver.came if "fieldsvc-replay" in each]
    assert [each["webhook-id"] for each, _ in receiver.came].count(sent[0]) == 2

    receiver.status = 410
    missed = say(shop)
    await expect(tab.locator("#doing")).to_contain_text("disabled by us")
    receiver.status = 200
    await tab.get_by_role("button", name="Send an example").click()
    await expect(tab.get_by_role("status").first).to_contain_text("sent and taken")
    await tab.get_by_role("button", name="Go on where it stopped").click()
    await expect(tab.locator("#attempts tr", has_text=f"item/{missed}").filter(has_text="200").first).to_be_visible()
    receiver.came.clear()
    await tab.get_by_label("Everything, beside the live events").check()
    await tab.get_by_role("button", name="Send again").click()
    await expect(tab.locator("#replays")).to_contain_text("done")
    assert any(each[0].get("fieldsvc-replay", "").startswith("rpl_") for each in receiver.came)


async def test_the_pages_have_no_fault_and_fit_a_narrow_screen(
    shop: Site, page: Open, receiver: Receiver, watch: Watch
) -> None:
    watch.forgive("status of 422")
    tab = await page("/integrations/endpoints/new", role="member", size=(320, 700), theme="light")
    await tab.get_by_role("button", name="Créer le point d'accès").click()
    await is_sound(tab)  # with faults
    await tab.get_by_label("Adresse (URL)").fill(receiver.url)
    await tab.get_by_role("button", name="Créer le point d'accès").click()
    await is_sound(tab)
    await tab.get_by_role("link", name="J'ai gardé la clé").click()
    path = tab.url
    receiver.status = 500
    item = say(shop)
    row = tab.locator("#attempts tr", has_text=f"item/{item}").first
    await expect(row).to_contain_text("500", timeout=30_000)
    event = await row.get_by_role("link").get_attribute("href")
    for each in (path, f"{path}/edit", f"{path}/secret", f"{shop.url}{event}", f"{shop.url}/integrations"):
        await tab.goto(each)
        await is_sound(tab)
    dark = await page("/integrations", role="member", size=(320, 700), theme="dark")
    for each in (f"{shop.url}/integrations", path, f"{shop.url}{event}"):
        await dark.goto(each)
        await is_sound(dark)
