"""Two views at a glance: who is not back and what is left, and every site of the country."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.pages.browser import DESKTOP, Open, Site, Watch, overflow, violations
from tests.pages.test_supervision_rules import LATER, NOON, back, task
from tests.pages.test_supervision_rules import site as counted

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL, ZOOMED = (320, 640), (640, 400)
TIMED = {**task("timed_task", overdue=True), "address": "3 rue du Lavoir", "window": {"from": None, "until": NOON}}
OUT = [
    back(
        "T01",
        expected_end_at=LATER,
        tasks_left=[task("item"), TIMED],
        things_out=2,
        expected_early_at=NOON,
        expected_late_at=LATER,
    ),
    back("T02", seen_at="2026-11-21T10:00:00Z", ends_at=None, expected_end_at=None),
]


async def fulfilled(opened: Page, pattern: str, body: dict[str, Any]) -> None:
    async def fulfil(route: Route) -> None:
        await route.fulfill(json=body)

    await opened.route(pattern, fulfil)


async def live(page: Open, runs: list[dict[str, Any]], **more: Any) -> Page:
    """Open the live page with those who are said not to be back."""
    opened = await page("/signed-in", role="supervisor", **more)
    await fulfilled(opened, "**/v1/runs/not-back*", {"at": LATER, "runs": runs})
    await opened.goto(opened.url.replace("/signed-in", "/supervision"))
    await expect(opened.locator("#rounds")).to_be_visible()
    return opened


async def test_one_key_shows_who_is_not_back_and_what_is_left_and_one_key_leads_back(page: Open) -> None:
    opened = await live(page, OUT)
    await opened.locator("#open-notback").focus()
    await opened.keyboard.press("F8")
    await expect(opened.locator("#notback-title")).to_be_focused()
    rows = opened.locator("#notback tbody tr")
    await expect(rows).to_have_count(2)
    words = re.sub(r"[\s\u00a0]+", " ", await rows.first.inner_text())
    parts = ("T01", "13 h 20 (13 h 00 \u2013 13 h 20)", "prévu 13 h 00", "attendue à 13 h 00", "3 rue du Lavoir")
    for part in (*parts, "Objets suivis : 1"):
        assert part in words, (part, words)
    await expect(rows.last).to_contain_text("sans signal")
    await expect(rows.last).to_contain_text("pas encore connu")
    await expect(opened.locator("#notback-words")).to_contain_text("sans signal")
    await opened.emulate_media(media="print")
    await expect(opened.locator("#notback tbody")).to_be_visible()
    await expect(opened.locator("#notback-print")).to_be_hidden()
    await opened.emulate_media(media="screen")
    await opened.keyboard.press("Escape")
    await expect(opened.locator("#notback")).to_be_hidden()
    await expect(opened.locator("#open-notback")).to_be_focused()
    await expect(opened.locator("#rounds")).to_be_visible()


async def test_that_everybody_is_back_is_said_as_the_good_news_it_is(page: Open) -> None:
    opened = await live(page, [], lang="en")
    await opened.locator("#open-notback").click()
    await expect(opened.locator("#notback-empty")).to_contain_text("Everybody is back")
    assert await violations(opened) == []


async def test_a_list_of_who_is_out_that_cannot_be_read_says_so(page: Open, watch: Watch) -> None:
    watch.forgive("status of 503")
    opened = await live(page, OUT)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body="{}")

    await opened.route("**/v1/runs/not-back*", refuse)
    await opened.locator("#open-notback").click()
    await expect(opened.locator("#notback-fault")).to_contain_text("Les tournées continuent")


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_axe_finds_nothing_in_the_list_of_who_is_out_and_nothing_overflows(
    page: Open, lang: str, theme: str
) -> None:
    opened = await live(page, OUT, lang=lang, theme=theme)
    await opened.locator("#open-notback").click()
    await expect(opened.locator("#notback-scroll")).to_be_visible()
    assert await violations(opened) == []
    for width, height in (SMALL, ZOOMED):
        await opened.set_viewport_size({"width": width, "height": height})
        assert await overflow(opened) == []


def sites(count: int) -> dict[str, Any]:
    """Make so many sites of some 65 rounds each."""
    kinds: list[dict[str, Any]] = [
        {},
        {"tasks": {"all": 9, "done": 3, "overdue": 2}},
        {"live": {"lost": 1}},
        {"alerts": {"open": 3, "urgent": 1}},
    ]
    made = [counted(f"Site {n:03}", runs={"started": 60, "ended": 5}, **kinds[n % 4]) for n in range(count)]
    for n, each in enumerate(made):
        each["lon"], each["lat"] = -3 + (n % 20) * 0.45, 43.5 + (n // 20) * 0.4
    return {"t": LATER, "sites": made}


async def national(page: Open, body: dict[str, Any], **more: Any) -> Page:
    opened = await page("/signed-in", role="operator", **more)
    await fulfilled(opened, "**/v1/overview*", body)
    await opened.goto(opened.url.replace("/signed-in", "/supervision/national"))
    await expect(opened.locator("#map.is-ready")).to_be_attached(timeout=60_000)
    return opened


async def test_three_hundred_sites_are_a_table_and_as_many_shapes_and_no_carrier(
    page: Open, note: Callable[[str], None]
) -> None:
    began = time.monotonic()
    opened = await national(page, sites(300))
    shown_s = time.monotonic() - began
    await expect(opened.locator("#sites tbody tr")).to_have_count(300)
    await expect(opened.locator("#sites tbody tr").first).to_have_attribute("data-state", "alert")
    shapes = await opened.evaluate(
        "async () => (await window.fieldsvcMap.map.getSource('sites').getData()).features.length"
    )
    assert shapes == 300
    assert await opened.locator("[data-total=runs]").inner_text() == "19\u202f500"
    await opened.get_by_role("searchbox").fill("site 010")
    await expect(opened.locator("#sites tbody tr")).to_have_count(1)
    await opened.get_by_role("searchbox").fill("")
    await opened.get_by_role("button", name="Sans signal", exact=True).click()
    await expect(opened.locator("#sites tbody tr").first).to_have_attribute("data-state", "lost")
    site = opened.locator("#sites tbody a").first
    assert await site.get_attribute("href") == "/supervision?site=Site%20002"
    note(f"supervision: 300 sites with 19,500 rounds shown after {shown_s:.1f} s")


async def test_the_real_figures_lead_to_the_rounds_of_a_site(page: Open, site: Site) -> None:
    opened = await page("/supervision/national", role="operator")
    await expect(opened.locator("#sites tbody tr")).to_have_count(
        len({*site.town.sites}) + 1
    )  # and that of the example
    await opened.locator("#sites tbody a", has_text=site.town.sites[0]).click()
    await expect(opened.locator("#rounds tbody tr").first).to_be_visible()
    assert opened.url.endswith(f"/supervision?site={site.town.sites[0]}")
    nav = opened.get_by_role("navigation", name="Supervision")
    assert (
        await nav.get_by_role("link", name="Suivi").get_attribute("href") == f"/supervision?site={site.town.sites[0]}"
    )


async def test_national_figures_that_grow_old_look_old_and_say_so(page: Open, watch: Watch) -> None:
    watch.forgive("status of 503")
    opened = await national(page, sites(4))
    await opened.clock.install()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body="{}")

    await opened.route("**/v1/overview*", refuse)
    await opened.clock.fast_forward(35_000)
    await expect(opened.locator("body")).to_have_attribute("data-fresh", "stale")
    await opened.clock.fast_forward(90_000)
    await expect(opened.locator("body")).to_have_attribute("data-fresh", "silent")
    await expect(opened.locator("#sites tbody tr")).to_have_count(4)


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_axe_finds_nothing_on_the_national_page_and_nothing_overflows(page: Open, lang: str, theme: str) -> None:
    opened = await national(page, sites(8), lang=lang, theme=theme, size=DESKTOP)
    await opened.locator(".map__legend summary").click()
    assert await violations(opened) == []
    for width, height in (SMALL, ZOOMED):
        await opened.set_viewport_size({"width": width, "height": height})
        assert await overflow(opened) == []


async def test_a_supervisor_has_no_national_page(page: Open, watch: Watch) -> None:
    watch.forgive("status of 404")
    opened = await page("/supervision/national", role="supervisor")
    await expect(opened.locator("h1")).to_contain_text("n'existe pas")
