"""The supervision page in a real browser: list, map, stream, alarms and replay, as a supervisor meets them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Page, Route, expect

from fieldsvc.access import accounts
from fieldsvc.web.auth import SESSION_COOKIE
from tests.pages.browser import PHONE, Open, Watch, heal_by_pressing, overflow, violations
from tests.pages.supervised import EMPTY_SITE, Gate, Supervised, open_bare, open_supervised
from tests.sizes import sized

pytestmark = pytest.mark.asyncio(loop_scope="session")
WIDE, SMALL = (1920, 1080), (320, 640)
READY = "#map.is-ready"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A town of nine rounds on three sites; the supervisor's own have started, and one carrier has walked."""
    made, close = open_supervised(postgres_url, tmp_path_factory.mktemp("supervision"))
    for name in made.rounds:
        made.say("run.started", name, duty="on", ago_s=3600)
        made.walk(name)
        made.walk(name)
    yield made
    close()


@pytest.fixture
def first(site: Supervised) -> str:
    return site.rounds[0]


async def until(check: Callable[[], Awaitable[Any]], within_s: float = PATIENCE_S) -> Any:
    """Ask again until the answer is true; return it."""
    deadline = time.monotonic() + within_s
    while not (found := await check()):
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.05)
    return found


async def supervision(page: Open, *, ground: bool = False, **more: Any) -> Page:
    """Open the page as the supervisor and wait for list and map; the ground is drawn where a test looks at it."""
    there = (
        page("/supervision", **{"role": "supervisor", **more}) if ground else open_bare(page, "/supervision", **more)
    )
    opened = await there
    await expect(opened.locator(READY)).to_be_attached(timeout=PATIENCE_S * 1000)
    return opened


def row(opened: Page, name: str) -> Any:
    return opened.locator("#rounds tbody tr", has=opened.locator(f'.pick:text-is("{name}")'))


async def order(opened: Page) -> list[str]:
    return await opened.locator("#rounds .pick").all_inner_texts()


async def places(opened: Page) -> dict[str, list[float]]:
    found: dict[str, list[float]] = await opened.evaluate("() => window.fieldsvcMap.places()")
    return found


async def test_the_list_shows_the_rounds_of_the_site_as_the_api_tells_them(page: Open, site: Supervised) -> None:
    opened = await supervision(page)
    said = site.listed()
    assert sorted(await order(opened)) == sorted(said) == sorted(site.rounds)
    for name, run in said.items():
        words = " ".join((await row(opened, name).inner_text()).split())
        share = round(100 * run["distance_along_m"] / run["length_m"])
        kilometres = f"{run['distance_along_m'] / 1000:.1f}".replace(".", ",")
        done = f"{run['tasks']['done']} / {run['tasks']['total']}"
        state = "En retard" if run["tasks"]["overdue"] else "Sur la tournée"  # as the time of day has it
        for part in (state, run["carrier"], f"{kilometres} km · {share} %", done):
            assert part in words, (part, words)
    assert sorted(await places(opened)) == sorted(run["run_id"] for run in said.values())
    assert "@" not in await opened.locator("main").inner_text()


async def test_a_position_moves_the_carrier_on_the_list_and_on_the_map_within_two_seconds(
    page: Open, site: Supervised, first: str, note: Callable[[str], None]
) -> None:
    opened = await supervision(page)
    run = site.run_of(first)
    took_s = [await _seen_after_s(opened, site, first, run) for _ in range(3)]
    note(f"supervision: a position on list and map after {sorted(took_s)[1]:.1f} s")
    assert sorted(took_s)[1] < sized(PATIENCE_S, 2.5), took_s  # two seconds, and the test's own polling
    await until(lambda: _walked_to(opened, first, run))


async def _seen_after_s(opened: Page, site: Supervised, first: str, run: str) -> float:
    """Let a carrier walk on; return how long it took until both the list and the map showed it."""
    before = await row(opened, first).locator(".travelled").inner_text()
    began = time.monotonic()
    lon, lat = site.walk(first)

    async def moved() -> bool:
        at = (await places(opened))[run]
        words = await row(opened, first).locator(".travelled").inner_text()
        return abs(at[0] - lon) < 2e-4 and abs(at[1] - lat) < 2e-4 and words != before

    await until(moved)
    return time.monotonic() - began


async def _walked_to(opened: Page, name: str, run: str) -> bool:
    """Tell whether the walked line ends where its carrier stands."""
    end = await opened.evaluate(
        """async (round) => (await window.fieldsvcMap.map.getSource('walked').getData()).features
             .find(each => each.properties.round_id === round).geometry.coordinates.at(-1)""",
        name,
    )
    at = (await places(opened))[run]
    return abs(end[0] - at[0]) < 1e-5 and abs(end[1] - at[1]) < 1e-5


async def test_the_list_sorts_filters_and_searches(page: Open, site: Supervised) -> None:
    opened = await supervision(page, role="operator", lang="en")
    head = opened.locator("th", has=opened.get_by_role("button", name="Carrier"))
    await head.get_by_role("button").click()
    assert await head.get_attribute("aria-sort") == "ascending"
    said = site.listed("operator")
    names = await opened.locator("td.c-carrier").all_inner_texts()
    assert len(names) == len(said)
    assert names == sorted(names, key=_plain)
    await head.get_by_role("button").click()
    assert await head.get_attribute("aria-sort") == "descending"
    assert await opened.locator("td.c-carrier").all_inner_texts() == names[::-1]
    chip = opened.get_by_role("button", name="Not started")
    await chip.click()
    assert await chip.get_attribute("aria-pressed") == "true"
    assert sorted(await order(opened)) == sorted(set(said) - set(site.rounds))
    await chip.click()
    some = site.town.carriers[0]
    await opened.get_by_role("searchbox").fill(_plain(some.name))
    assert await order(opened) == [some.round_id]
    assert "1 of" in await opened.locator("#count").inner_text()
    await opened.get_by_role("searchbox").fill("nobody of that name")
    await opened.get_by_role("button", name="Show all rounds").click()
    assert len(await order(opened)) == len(said)


def _plain(text: str) -> str:
    swaps = str.maketrans("ÀÂÇÉÈÊËÎÏÔÙÛÜàâçéèêëîïôùûü", "AACEEEEIIOUUUaaceeeeiiouuu")
    return text.translate(swaps).lower().replace("-", "")


async def test_a_round_is_chosen_with_the_keyboard_alone_and_keeps_its_place_and_focus(
    page: Open, site: Supervised, first: str
) -> None:
    opened = await supervision(page)
    await opened.locator("#search").focus()
    for _ in range(24):
        await opened.keyboard.press("Tab")
        if await opened.evaluate("() => document.activeElement.classList.contains('pick')"):
            break
    before = await order(opened)
    await opened.keyboard.press("End")
    await opened.keyboard.press("ArrowUp")
    await opened.keyboard.press("ArrowDown")
    last = before[-1]
    assert await opened.evaluate("() => document.activeElement.textContent") == last
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#panel")).to_be_visible()
    assert last in await opened.locator("#panel-title").inner_text()
    site.walk(first)
    words = row(opened, first).locator(".travelled")
    was = await words.inner_text()
    site.walk(first)
    await until(lambda: _differs(words, was))
    assert await order(opened) == before
    assert await opened.evaluate("() => document.activeElement.textContent") == last
    await opened.locator("[data-panel=close]").press("Enter")
    await expect(opened.locator("#panel")).to_be_hidden()
    assert await opened.evaluate("() => document.activeElement.textContent") == last


async def _differs(words: Any, was: str) -> bool:
    return bool(await words.inner_text() != was)


async def test_what_is_chosen_on_the_map_is_chosen_in_the_list(page: Open, site: Supervised, first: str) -> None:
    opened = await supervision(page)
    run = site.run_of(first)
    await opened.evaluate(
        """async (at) => { const { map } = window.fieldsvcMap; map.jumpTo({ center: at, zoom: 17 });
             await new Promise((done) => map.once('idle', done)); }""",
        (await places(opened))[run],
    )
    point = await opened.evaluate("(at) => window.fieldsvcMap.map.project(at)", (await places(opened))[run])
    await opened.locator("#map canvas").click(position={"x": point["x"], "y": point["y"]})
    await expect(row(opened, first).locator(".pick")).to_have_attribute("aria-pressed", "true")
    await expect(opened.locator("#panel-title")).to_contain_text(first)
    await until(
        lambda: opened.evaluate(
            "async () => (await window.fieldsvcMap.map.getSource('stops').getData()).features.length > 30"
        )
    )


async def test_updates_can_be_paused_and_nothing_is_lost_meanwhile(page: Open, site: Supervised, first: str) -> None:
    opened = await supervision(page)
    await opened.get_by_role("button", name="Figer l'affichage").click()
    words = row(opened, first).locator(".travelled")
    was = await words.inner_text()
    before = site.listed()[first]["distance_along_m"]
    site.walk(first)
    site.walk(first)
    await until(lambda: _said(opened, site, first))
    assert site.listed()[first]["distance_along_m"] != before
    assert await words.inner_text() == was
    assert "figé" in await opened.locator("#fresh").inner_text()
    await opened.get_by_role("button", name="Figer l'affichage").click()
    await until(lambda: _differs(words, was))


async def _said(opened: Page, site: Supervised, name: str) -> bool:
    """Tell whether another page of this browser shows what the API says by now."""
    other = await opened.context.new_page()
    await other.goto(opened.url)
    run = site.listed()[name]
    share = f"{round(100 * run['distance_along_m'] / run['length_m'])}"
    await expect(row(other, name).locator(".travelled")).to_contain_text(share)
    await other.close()
    return True


async def test_seven_tabs_share_one_stream(page: Open, site: Supervised, watch: Watch, first: str) -> None:
    watch.forgive("ERR_FAILED")
    opened = await supervision(page)
    await until(lambda: _streams(site, 1))
    tabs = [opened]
    for _ in range(6):
        tab = await opened.context.new_page()
        watch.over(tab)
        await tab.route("**/maplibre-gl.mjs*", _refuse)
        await tab.goto(f"{site.url}/supervision")
        tabs.append(tab)
    for tab in tabs:
        await expect(row(tab, first)).to_be_visible()
    assert site.streams == 1
    await expect(tabs[-1].locator("#map-fault")).to_be_visible()
    await opened.context.close()
    await until(lambda: _streams(site, 0))


async def _refuse(route: Route) -> None:
    """Keep six maps off a processor that draws them in software; the page must do without."""
    await route.abort()


async def _streams(site: Supervised, count: int) -> bool:
    return site.streams == count


async def test_a_cut_stream_looks_stale_and_resumes_without_a_gap(
    page: Open, site: Supervised, watch: Watch, first: str
) -> None:
    watch.forgive("asked another host", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "ERR_NETWORK")
    gate = Gate(site.service.port)
    async with gate.listening() as address:
        opened = await page(f"{address}/supervision", role="supervisor")
        await expect(opened.locator(READY)).to_be_attached(timeout=PATIENCE_S * 1000)
        await opened.clock.install()
        words = row(opened, first).locator(".travelled")
        was = await words.inner_text()
        gate.close()
        await opened.clock.fast_forward(31_000)
        await expect(opened.locator("body")).to_have_attribute("data-fresh", "stale")
        await opened.clock.fast_forward(90_000)
        await expect(opened.locator("body")).to_have_attribute("data-fresh", "silent")
        assert "Aucune nouvelle depuis" in await opened.locator("#fresh").inner_text()
        assert await words.inner_text() == was
        site.walk(first)
        site.walk(first)
        gate.open()
        await expect(opened.locator("body")).to_have_attribute("data-fresh", "live")
        await until(lambda: _differs(words, was))
        streams = [each for each in gate.asked if each.startswith(b"GET /v1/live")]
        assert len(streams) >= 2
        assert b"last-event-id: " in streams[-1].lower()
        await opened.close()


async def test_an_ended_session_says_so_and_leads_on(page: Open, site: Supervised, watch: Watch) -> None:
    watch.forgive("status of 401")
    opened = await supervision(page, role="operator")
    session = site.sessions.pop(("operator", None))
    site.service.call(accounts.sign_out(site.service.platform.database, session))
    site.service.platform.access.forget()
    await expect(opened.locator("#expired")).to_be_visible()
    assert "session est terminée" in await opened.locator("#expired").inner_text()
    assert await opened.locator("#expired a").get_attribute("href") == "/signed-in"
    again = site.cookies("operator")
    await opened.context.add_cookies([{"name": SESSION_COOKIE, "value": again[SESSION_COOKIE], "url": site.url}])
    await opened.reload()
    await expect(opened.locator(READY)).to_be_attached(timeout=PATIENCE_S * 1000)
    await expect(opened.locator("#expired")).to_be_hidden()


async def test_an_alarm_is_announced_with_its_place_and_taken(page: Open, site: Supervised, first: str) -> None:
    opened = await supervision(page, lang="en")
    phone = site.callers[first]
    lon, lat = site.walk(first)
    at = int(site.clock_of(first))
    asked = urlencode({"id": "1", "lat": lat, "lon": lon, "accuracy": 8.0, "alarm": "sos", "timestamp": at})
    assert site.service.ask("POST", f"/osmand/{phone.secret}?{asked}", b"").status == 200
    banner = opened.locator("#alarms li")
    await expect(banner).to_have_count(1)
    await expect(banner).to_contain_text("Call for help")
    (alarm,) = site.service.ask("GET", "/v1/alerts?state=open&kind=sos", headers=site.headers()).json()["alerts"]
    assert alarm["address"]
    await expect(banner).to_contain_text(alarm["address"])
    await expect(opened.locator("#announce")).to_contain_text("Alarm")
    await expect(row(opened, first)).to_have_attribute("data-state", "alert")
    await opened.get_by_role("button", name="Show the round").click()
    await expect(opened.locator("#panel-title")).to_contain_text(first)
    await opened.get_by_role("button", name="Acknowledge").click()
    await expect(banner).to_have_count(0)
    await expect(row(opened, first)).not_to_have_attribute("data-state", "alert")
    open_ones = site.service.ask("GET", "/v1/alerts?state=open&kind=sos", headers=site.headers()).json()["alerts"]
    assert open_ones == []


async def test_a_run_is_replayed_with_keys_with_its_gap_and_what_came_late(page: Open, site: Supervised) -> None:
    name = site.rounds[-1]
    await _late(site, name)
    opened = await supervision(page)
    await row(opened, name).locator(".pick").click()
    await opened.get_by_role("button", name="Rejouer").click()
    slider = opened.get_by_role("slider")
    await expect(slider).to_be_visible()
    run = site.service.ask("GET", f"/v1/runs/{site.run_of(name)}/replay", headers=site.headers()).json()
    await slider.press("Home")
    seen, stops = [], set()
    for _ in run["points"]:
        seen.append(await slider.get_attribute("aria-valuetext"))
        stops.add(await slider.input_value())
        await slider.press("ArrowRight")
    assert len(stops) == len(run["points"])
    assert any("reçu à" in str(words) for words in seen)
    assert all(" h " in str(words).replace("\u00a0", " ") for words in seen)
    assert await opened.locator(".replay__line .gap").count() == 2  # the half hour, and until the walk of these tests
    parts = await opened.evaluate(
        "async () => (await window.fieldsvcMap.map.getSource('replayed').getData()).features.map(each => each.properties.part)"
    )
    assert {"done", "gap", "head"} == set(parts)
    await slider.press("Home")
    await opened.locator("[data-replay=speed]").select_option("900")
    await opened.get_by_role("button", name="Lire").click()
    await expect(slider).not_to_have_value("0")
    await opened.get_by_role("button", name="Fermer").click()
    assert (
        await opened.evaluate(
            "async () => (await window.fieldsvcMap.map.getSource('replayed').getData()).features.length"
        )
        == 0
    )


async def _late(site: Supervised, name: str) -> None:
    """Write moments of the run: two at once, a silence of half an hour, and one that arrived ten minutes late."""
    now = datetime.now(UTC).timestamp()
    rows = [(now - 7200, 100.0, now - 7199), (now - 7170, 130.0, now - 7169), (now - 5370, 400.0, now - 4770)]

    async def write() -> None:
        async with site.service.platform.database.acquire() as connection:
            for at, metres, received in rows:
                await connection.execute(
                    """insert into progress (day, run, at, distance_along_m, status, received_at)
                       values ($1, $2, to_timestamp($3), $4, 'on_round', to_timestamp($5)) on conflict do nothing""",
                    site.day, site.run_of(name), at, metres, received,
                )  # fmt: skip

    site.service.call(write())


async def test_empty_loading_and_faulty_lists_say_what_is_so(page: Open, site: Supervised, watch: Watch) -> None:
    watch.forgive("status of 503")
    empty = await page("/supervision", role="supervisor", at=EMPTY_SITE)
    await expect(empty.locator("#empty")).to_be_visible()
    assert "roulement" in await empty.locator("#empty").inner_text()
    opened = await page("/", role="supervisor")
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await opened.route("**/v1/runs?*", hold)
    await opened.goto(f"{site.url}/supervision")
    await until(lambda: _any(held))
    await expect(opened.locator("#skeleton")).to_be_visible()
    assert await opened.locator("#list").get_attribute("aria-busy") == "true"
    await held[0].fulfill(status=503, content_type="application/problem+json", body="{}")
    await expect(opened.locator("#fault")).to_be_visible()
    await expect(opened.locator("#skeleton")).to_be_hidden()
    assert "sont gardés" in await opened.locator("#fault").inner_text()
    await heal_by_pressing(opened, "**/v1/runs?*", "#retry")
    await expect(opened.locator("#rounds")).to_be_visible()
    await expect(opened.locator("#fault")).to_be_hidden()


async def _any(held: list[Route]) -> bool:
    return bool(held)


async def test_without_movement_a_carrier_is_at_once_where_it_is(page: Open, site: Supervised, first: str) -> None:
    opened = await supervision(page, reduced_motion="reduce")
    site.walk(first)
    site.walk(first)
    between = await opened.evaluate(
        """async (run) => {
          const seen = new Set([String(window.fieldsvcMap.places()[run])]);
          const until = performance.now() + 2500;
          while (performance.now() < until && seen.size < 3) {
            await new Promise(requestAnimationFrame);
            seen.add(String(window.fieldsvcMap.places()[run]));
          }
          return seen.size;
        }""",
        site.run_of(first),
    )
    assert between <= 3  # where it was, and one place for each of the two fixes; an eased move has a dozen


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_axe_finds_nothing_in_either_language_and_look(
    page: Open, site: Supervised, lang: str, theme: str
) -> None:
    opened = await supervision(page, ground=True, lang=lang, theme=theme)
    await row(opened, site.rounds[-1]).locator(".pick").click()
    await opened.locator("#legend-box summary").click()
    await opened.locator("[data-panel=replay]").click()
    await expect(opened.get_by_role("slider")).to_be_visible()
    assert await violations(opened) == []
    title = {"fr": "Tournées du jour", "en": "Today's rounds"}[lang]
    assert title in await opened.locator("h1").inner_text()
    assert await opened.locator(".maplibregl-canvas").get_attribute("aria-label") == (
        "Carte des tournées" if lang == "fr" else "Map of the rounds"
    )
    ground = await opened.evaluate("() => window.fieldsvcMap.map.getPaintProperty('paper', 'background-color')")
    assert (int(ground[1:3], 16) < 0x80) == (theme == "dark")
    assert ("Données fictives" if lang == "fr" else "Fictional data") in await opened.locator(
        ".maplibregl-ctrl-attrib"
    ).inner_text()


@pytest.mark.parametrize("size", [PHONE, SMALL])
async def test_a_narrow_window_shows_the_list_first_and_nothing_sideways(
    page: Open, site: Supervised, size: tuple[int, int], first: str
) -> None:
    opened = await supervision(page, size=size)
    assert await overflow(opened) == []
    table, ground = opened.locator("#rounds"), opened.locator("#map")
    above, below = await table.bounding_box(), await ground.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]
    await row(opened, first).click()
    await expect(opened.locator("#panel")).to_be_visible()
    assert await overflow(opened) == []
    assert await violations(opened) == []


async def test_twenty_five_rounds_fit_a_screen(page: Open, site: Supervised) -> None:
    opened = await supervision(page, role="operator", size=WIDE)
    heights = await opened.evaluate(
        "() => [...document.querySelectorAll('#rounds tbody tr')].map(each => each.getBoundingClientRect().height)"
    )
    box = await opened.locator("#scroll").bounding_box()
    assert box is not None
    top = await opened.evaluate("() => document.querySelector('#rounds tbody').getBoundingClientRect().top")
    assert (1080 - 16 - top) / max(heights) >= 25


async def test_without_script_the_page_says_what_it_needs(page: Open, site: Supervised) -> None:
    opened = await page("/supervision", role="supervisor", js=False)
    assert "JavaScript" in await opened.locator("main").inner_text()
