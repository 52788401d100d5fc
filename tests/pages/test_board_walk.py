"""Every page beside the live one, in each of its states: no violation in either language and theme, and room on a small window."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.pages.boarded import Boarded, count_figures, open_boarded, order_visits, walk_yesterday
from tests.pages.browser import Open, Watch, heal_by_pressing, overflow, refuse, violations
from tests.pages.supervised import EMPTY_SITE, bare

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL, ZOOMED = (320, 640), (640, 400)
PATIENCE_MS = 30_000
NAMES = ("morning", "alerts", "replay", "addresses", "reports", "health")
LISTS = {"morning": "/v1/roster**", "alerts": "/v1/alerts**", "addresses": "/v1/address-changes**"} | {
    "reports": "/v1/kpis**", "health": "/v1/supervision/health**"
}  # fmt: skip
BRIGHT: tuple[Literal["light"]] = ("light",)
DARK: tuple[Literal["dark"]] = ("dark",)
Step = Callable[[Page], Awaitable[None]]


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boarded]:
    """A town in which every page has something to show."""
    made, close = open_boarded(postgres_url, tmp_path_factory.mktemp("walk"))
    first, second, third = made.rounds[:3]
    made.service.call(walk_yesterday(made, made.rounds[:3], late=second))
    made.service.call(count_figures(made.service.platform, made.place, made.day.replace(day=1)))
    order_visits(made, first, (4,))
    made.tell("alarm.raised", second, {"kind": "fall", "alarm_id": "alarm-walk"})
    there = next(plan for plan in made.town.rounds if plan.round_id == third).stops[12]
    made.report(first, 6, new_address=there.point.address, note="Le voisin l'a dit.")
    away = {"day": made.tomorrow.isoformat(), "carrier": made.carrier_of(first), "kind": "sick"}
    made.call("PUT", f"/v1/roster?site={made.place}", {"absences": [away]})
    yield made
    close()


async def uncovered(opened: Page) -> None:
    await opened.locator('[data-day="1"]').click()
    await expect(opened.locator("#missing-list .missing__timed")).to_be_visible(timeout=PATIENCE_MS)
    await opened.locator("[data-carrier] button[aria-expanded]").first.click()


async def proposed(opened: Page) -> None:
    await opened.locator("#propose").click()
    await expect(opened.locator("#proposal")).to_be_visible(timeout=PATIENCE_MS)


async def form_open(opened: Page) -> None:
    await expect(opened.locator("[data-alert]").first).to_be_visible(timeout=PATIENCE_MS)
    await opened.locator('[data-do="more"]').first.click()


async def replayed(opened: Page) -> None:
    await opened.locator('[data-by="-1"]').click()
    await opened.locator('[value="incident"]').check()
    await opened.locator("#ask .buttons button").click()
    await opened.locator("#boxes input").first.wait_for()
    await opened.locator("#go").click()
    await expect(opened.locator("#show")).to_be_visible(timeout=PATIENCE_MS)


async def shown(opened: Page) -> None:
    await expect(opened.locator('[data-five="list"]').first).to_be_visible(timeout=PATIENCE_MS)


STEPS: dict[str, tuple[Step, ...]] = {
    "morning": (uncovered, proposed),
    "alerts": (form_open,),
    "replay": (replayed,),
    "addresses": (shown,),
    "reports": (shown,),
    "health": (shown,),
}


async def stages(opened: Page, site: Boarded) -> AsyncIterator[str]:
    """Walk one browser through every page: what it shows, and what it says when its list cannot be read."""
    for name in NAMES:
        await opened.goto(f"{site.url}/supervision/{name}")
        for step in STEPS[name]:
            await step(opened)
            yield f"{name}, {step.__name__}"
    for name, path in LISTS.items():
        await opened.route(f"**{path}", refuse)
        await opened.goto(f"{site.url}/supervision/{name}")
        await expect(opened.locator('[data-five="fault"]').first).to_be_visible(timeout=PATIENCE_MS)
        yield f"{name}, fault"
        await heal_by_pressing(opened, f"**{path}", '[data-five="retry"]')
        await expect(opened.locator('[data-five="fault"]').first).to_be_hidden(timeout=PATIENCE_MS)
        await opened.unroute(f"**{path}")


@pytest.mark.parametrize("lang", ["fr", "en"] if os.environ.get("FIELDSVC_TEST_FULL") else ["fr"])
async def test_axe_finds_nothing_on_any_page_in_any_state_in_light_and_dark_and_nothing_is_cut(
    page: Open, site: Boarded, watch: Watch, lang: str
) -> None:
    watch.forgive("status of 503")
    opened = await page("/", role="supervisor", lang=lang, theme=None, color_scheme="light", reduced_motion="reduce")
    size, seen, faults = opened.viewport_size, 0, list[object]()
    assert size is not None
    await opened.route("**/basemap.geojson*", bare)
    async for name in stages(opened, site):
        for theme in BRIGHT if "fault" in name else (*BRIGHT, *DARK):
            await opened.emulate_media(color_scheme=theme)
            faults += [(name, theme, each) for each in await violations(opened)]
        assert await opened.locator("h1").count() == 1, name
        for small in (SMALL, ZOOMED):
            await opened.set_viewport_size({"width": small[0], "height": small[1]})
            faults += [(name, small, each) for each in await overflow(opened)]
        await opened.set_viewport_size(size)
        seen += 1
    assert faults == []
    assert seen == sum(len(each) for each in STEPS.values()) + len(LISTS)


async def test_a_site_with_nothing_says_on_every_page_what_to_do_next_in_english(page: Open, site: Boarded) -> None:
    opened = await page("/", role="supervisor", lang="en", at=EMPTY_SITE, reduced_motion="reduce")
    for name in ("morning", "alerts", "addresses", "reports"):
        await opened.goto(f"{site.url}/supervision/{name}")
        await expect(opened.locator('[data-five="empty"]')).to_be_visible(timeout=PATIENCE_MS)
        assert await violations(opened) == [], name
        assert await opened.get_attribute("html", "lang") == "en"


async def test_a_list_that_was_shown_stays_with_its_age_when_the_service_does_not_answer(
    page: Open, site: Boarded, watch: Watch
) -> None:
    watch.forgive("status of 503")
    opened = await page("/supervision/alerts", role="supervisor")
    await expect(opened.locator("[data-alert]").first).to_be_visible(timeout=PATIENCE_MS)
    await opened.route("**/v1/alerts**", refuse)
    site.tell("alarm.raised", site.rounds[2], {"kind": "accident", "alarm_id": "alarm-unheard"})
    await expect(opened.locator('[data-five="stale"]')).to_contain_text("Affiché", timeout=PATIENCE_MS)
    await expect(opened.locator("[data-alert]").first).to_be_visible()
    await heal_by_pressing(opened, "**/v1/alerts**", '[data-five="again"]')
    await expect(opened.locator('[data-five="stale"]')).to_be_hidden(timeout=PATIENCE_MS)


async def test_the_morning_goes_by_keyboard_alone(page: Open, site: Boarded) -> None:
    opened = await page("/supervision/morning", role="supervisor", reduced_motion="reduce")
    await opened.locator('[data-day="1"]').focus()
    await opened.keyboard.press("Enter")
    name = site.carrier_of(site.rounds[2])
    button = opened.locator(f'[data-carrier="{name}"] button')
    await button.focus(timeout=PATIENCE_MS)
    await opened.keyboard.press("Enter")
    await expect(opened.locator('[data-kind="sick"]')).to_be_focused()
    await opened.keyboard.press("Tab")
    await opened.keyboard.press("Enter")  # leave
    await expect(opened.locator("#noted")).to_contain_text(name)
    await opened.locator("#noted button").focus()
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#noted")).to_contain_text("de nouveau au roulement")
    await expect(opened.locator("#missing-title")).to_be_focused()
