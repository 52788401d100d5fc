"""A past day on the supervision page: it opens for a reason, by keyboard, in both languages, and the reason is noted."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fieldsvc.store import audit
from fieldsvc.store.audit import NEWEST, Row, Wanted
from fieldsvc.work import imports
from tests.pages.browser import PHONE, Open, Watch, overflow, violations
from tests.pages.supervised import Supervised, open_bare, open_supervised

pytestmark = pytest.mark.asyncio(loop_scope="session")
READY = "#map.is-ready"


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A town whose rounds were walked yesterday."""
    made, close = open_supervised(postgres_url, tmp_path_factory.mktemp("past"))
    made.service.call(_yesterday(made))
    yield made
    close()


async def _yesterday(site: Supervised) -> None:
    platform, day = site.service.platform, site.day - timedelta(days=1)
    rows = [f"{day},{each.round_id},Camille\n" for each in site.town.rounds]
    await imports.import_roster(platform.database, ["date,round_id,carrier\n", *rows])
    await platform.runs.plan_day(day)
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=8)
    async with platform.database.acquire() as connection:
        await connection.execute(
            "insert into progress select day, id, $2::timestamptz + n * interval '30 s', n * 20.0, 'on_round', now()"
            " from run, generate_series(1, 40) as n where day = $1",
            day, at,
        )  # fmt: skip
        await connection.execute("update run set state = 'ended', state_at = now() where day = $1", day)


def noted(site: Supervised) -> list[Row]:
    found = site.service.call(audit.page(site.service.platform.database, Wanted(), before=NEWEST, limit=100))
    return [row for row in reversed(found) if row.reason]


async def opened(page: Open, **more: Any) -> Page:
    shown = await open_bare(page, "/supervision", **more)
    await expect(shown.locator(READY)).to_be_attached(timeout=15_000)
    await shown.get_by_role("button", name="past day" if more.get("lang") == "en" else "jour passé").click()
    await expect(shown.get_by_role("dialog")).to_be_visible()
    return shown


async def test_a_past_day_opens_for_a_reason_by_keyboard_and_leaves_again(site: Supervised, page: Open) -> None:
    shown = await opened(page)
    before, day = len(noted(site)), site.day - timedelta(days=1)
    await shown.keyboard.press("Escape")
    await expect(shown.get_by_role("dialog")).to_be_hidden()
    await expect(shown.locator("#open-past")).to_be_focused()
    await shown.keyboard.press("Enter")
    await shown.get_by_role("button", name="Ouvrir ce jour").press(
        "Enter"
    )  # without a reason: the form says so and stays
    await expect(shown.get_by_role("dialog")).to_be_visible()
    assert len(noted(site)) == before
    await shown.get_by_label("Recherche d'un objet").press("Space")
    await shown.get_by_role("button", name="Ouvrir ce jour").press("Enter")
    await expect(shown.locator("#past-bar")).to_contain_text("Recherche d'un objet")
    await expect(shown.locator("[data-past=leave]")).to_be_focused()
    await expect(shown.locator("#fresh")).to_contain_text("Jour passé")
    await shown.locator("#rounds .pick").first.click()
    await shown.get_by_role("button", name="Rejouer").click()
    await expect(shown.locator("[data-replay=slider]")).to_be_visible()
    await expect(shown.locator("[data-next=words]")).not_to_contain_text("Lecture")
    rows = noted(site)[before:]
    assert {(row.role, row.reason) for row in rows} == {("supervisor", "item_search")}
    assert {row.action for row in rows} == {"runs.listed", "run.stops_seen", "run.replayed"}
    assert {row.subject for row in rows} == {f"day/{day}", f"run/run-{day}-{site.rounds[0]}"}
    await shown.get_by_role("button", name="Revenir au direct").press("Enter")
    await expect(shown.locator("#past-bar")).to_be_hidden()
    await expect(shown.locator("#fresh")).to_contain_text("En direct")


async def test_a_day_of_which_nothing_is_kept_says_so(site: Supervised, page: Open) -> None:
    shown = await opened(page, lang="en")
    await shown.get_by_label("Day", exact=True).fill(str(site.day - timedelta(days=9)))
    await shown.get_by_label("Planning of rounds").check()
    await shown.get_by_role("button", name="Open this day").click()
    await expect(shown.get_by_role("alert")).to_contain_text("Nothing is kept of this day.")
    await expect(shown.locator("#past-bar")).to_be_hidden()


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_axe_finds_nothing_in_the_dialog_and_the_past_day(
    site: Supervised, page: Open, lang: str, theme: str, watch: Watch
) -> None:
    del watch
    shown = await opened(page, lang=lang, theme=theme)
    assert await violations(shown) == []
    await _drawn(shown, f"past-{lang}-dialog")
    await shown.locator("[value=incident]").check()
    await shown.locator("#past form button").first.click()
    await expect(shown.locator("#past-bar")).to_be_visible()
    await shown.locator("#rounds .pick").first.click()
    assert await violations(shown) == []
    await _drawn(shown, f"past-{lang}-day")
    await shown.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    await shown.locator("#open-past").click()
    assert await overflow(shown) == []
    await _drawn(shown, f"past-{lang}-phone")


async def _drawn(shown: Page, name: str) -> None:
    """Keep a picture for a person to look at, where FIELDSVC_PICTURES names a folder."""
    if folder := os.environ.get("FIELDSVC_PICTURES"):
        await shown.screenshot(path=f"{folder}/{name}.png")
