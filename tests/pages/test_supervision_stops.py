"""The panel's expected times in a real browser: as the API tells them, in both languages, by keyboard, and on a small screen."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.pages.browser import Open, Watch, overflow, violations
from tests.pages.supervised import Supervised, open_supervised
from tests.pages.test_supervision import SMALL, row, supervision

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """Two rounds of the supervisor's site have started and their carriers have walked; others have not."""
    made, close = open_supervised(postgres_url, tmp_path_factory.mktemp("stops"))
    for name in made.rounds[:2]:
        made.say("run.started", name, duty="on", ago_s=800)
        for _ in range(5):
            made.walk(name)
    yield made
    close()


def told(site: Supervised, name: str) -> dict[str, Any]:
    found: dict[str, Any] = site.service.ask(
        "GET", f"/v1/runs/{site.run_of(name)}/stops", headers=site.headers()
    ).json()
    return found


def spoken(at: str, zone: tzinfo, lang: str) -> str:
    local = datetime.fromisoformat(at).astimezone(zone)
    return f"{local.hour} h {local.minute:02}" if lang == "fr" else f"{local.hour}:{local.minute:02}"


def plain(words: str) -> str:
    return words.replace("\u00a0", " ").replace("\u202f", " ")


async def chosen(opened: Page, name: str) -> None:
    await row(opened, name).locator(".pick").click()
    await expect(opened.locator("#panel")).to_be_visible()


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_the_panel_tells_when_the_next_stops_and_the_end_are_expected(
    page: Open, site: Supervised, lang: str
) -> None:
    name, zone = site.rounds[0], site.service.settings.zone
    opened = await supervision(page, lang=lang)
    await chosen(opened, name)
    await expect(opened.locator(".next__list li").first).to_be_visible()
    said = told(site, name)
    ahead = sorted((stop for stop in said["stops"] if stop["eta_at"]), key=lambda stop: stop["eta_at"])
    assert len(ahead) > 10
    assert await opened.locator(".next__list li").count() == len(ahead)
    shown = await opened.locator(".next__when").all_inner_texts()
    minutes = [spoken(stop["eta_at"], zone, lang) for stop in ahead]
    same = sum(plain(words).startswith(minute) for words, minute in zip(shown, minutes, strict=True))
    assert same >= 0.5 * len(
        minutes
    )  # the two were worked out some moments apart, which may be two minutes of the clock
    assert ahead[0]["address"].split(", ")[0] in plain(await opened.locator(".next__list li").first.inner_text())
    end = plain(await opened.locator("[data-next=end]").inner_text())
    assert " (" in end
    assert (" h " in end) == (lang == "fr")


LAST_IS_IN_VIEW = """() => {
  const bottom = (selector) => document.querySelector(selector).getBoundingClientRect().bottom;
  return bottom('.next__list li:last-child') <= bottom('#panel') + 1;
}"""


async def test_the_list_of_next_stops_can_be_scrolled_with_the_keyboard_alone(page: Open, site: Supervised) -> None:
    opened = await supervision(page)
    await chosen(opened, site.rounds[0])
    listed = opened.locator(".next__list")
    await expect(listed).to_be_visible()
    await opened.locator("[data-panel=close]").focus()
    await opened.keyboard.press("Tab")
    assert await opened.evaluate("() => document.activeElement.id") == "tab-next"
    await opened.keyboard.press("Tab")
    assert await opened.evaluate("() => document.activeElement.classList.contains('next__list')")
    assert not await opened.evaluate(LAST_IS_IN_VIEW)
    await opened.keyboard.press("End")
    await opened.wait_for_function(LAST_IS_IN_VIEW)


async def test_a_window_that_will_be_missed_is_marked_with_shape_and_word(page: Open, site: Supervised) -> None:
    name = site.rounds[1]
    last = told(site, name)["stops"][-1]["stop_id"]

    async def order() -> None:
        async with site.service.platform.database.acquire() as connection:
            await connection.execute(
                """insert into task (id, service, subject, day, delivery_point, round_id, window_until, requirements, sealed, event)
                   select 't-late', 'item', 'item/late', $1, delivery_point_id, round_id, now() + interval '1 minute', '{}', '',
                     gen_random_uuid()
                   from stop where round_id = $2 and stop_id = $3""",
                site.day, name, last,
            )  # fmt: skip

    site.service.call(order())
    opened = await supervision(page)
    await chosen(opened, name)
    late = opened.locator(".next__list li").last.locator(".next__late")  # others may be late too, by the time of day
    await expect(late).to_have_count(1)
    words = plain(await late.inner_text())
    assert words.startswith("▲ après ")
    assert words.endswith("probable")


async def test_a_round_that_nobody_has_begun_says_that_there_are_no_times(page: Open, site: Supervised) -> None:
    name = next(plan.round_id for plan in site.town.rounds if plan.round_id not in site.rounds)
    opened = await supervision(page, role="operator")
    await chosen(opened, name)
    await expect(opened.locator("[data-next=words]")).to_contain_text("Pas d'horaire")
    await expect(opened.locator(".next__list")).to_be_hidden()


async def test_times_that_cannot_be_read_say_so_and_the_next_round_starts_afresh(
    page: Open, site: Supervised, watch: Watch
) -> None:
    watch.forgive("status of 503")
    opened = await supervision(page)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body="{}")

    await opened.route(f"**/{site.run_of(site.rounds[0])}/stops*", refuse)
    await chosen(opened, site.rounds[0])
    await expect(opened.locator("[data-next=words]")).to_contain_text("n'ont pas pu être lus")
    await chosen(opened, site.rounds[1])
    await expect(opened.locator(".next__list li").first).to_be_visible()


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_a_small_screen_shows_the_times_without_overflow_and_axe_finds_nothing(
    page: Open, site: Supervised, tmp_path: Path, lang: str, theme: str
) -> None:
    opened = await supervision(page, size=SMALL, lang=lang, theme=theme)
    await chosen(opened, site.rounds[0])
    await expect(opened.locator(".next__list li").first).to_be_visible()
    assert await overflow(opened) == []
    assert await violations(opened) == []
