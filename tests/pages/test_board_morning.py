"""The morning in a real browser: an absence entered, a proposal shown on list and map, one confirmation, and what follows of it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.pages.boarded import Boarded, open_boarded, order_visits
from tests.pages.browser import Open, Watch

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boarded]:
    """A town of twelve rounds; tomorrow three visits stand on the supervisor's first round."""
    made, close = open_boarded(postgres_url, tmp_path_factory.mktemp("morning"))
    order_visits(made, made.rounds[0], (4, 18, 33))
    yield made
    close()


@pytest.fixture
def first(site: Boarded) -> str:
    return site.rounds[0]


def run_of(site: Boarded, round_id: str) -> str:
    return f"run-{site.tomorrow}-{round_id}"


async def until(check: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Ask again until the answer is true; return it."""
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.1)
    return found


async def tomorrow(page: Open, **more: Any) -> Page:
    """Open the page on tomorrow."""
    opened = await page("/supervision/morning", **{"role": "supervisor", **more})
    await opened.locator('[data-day="1"]').click()
    await expect(opened.locator("#people-rows tr").first).to_be_visible()
    return opened


async def away(opened: Page, carrier: str, kind: str = "sick") -> None:
    """Enter an absence: two touches."""
    await opened.locator(f'[data-carrier="{carrier}"] button').click()
    await opened.locator(f'[data-kind="{kind}"]').click()


async def drawn(opened: Page) -> dict[str, int]:
    """Count what stands on the map, by its part."""
    await opened.wait_for_function("() => window.fieldsvcBoard?.map?.getSource('board')")
    found: dict[str, int] = await opened.evaluate(
        """async () => {
          const { features } = await window.fieldsvcBoard.map.getSource('board').getData();
          return features.reduce((all, { properties: { part } }) => ({ ...all, [part]: (all[part] ?? 0) + 1 }), {});
        }"""
    )
    return found


async def test_a_day_with_everybody_there_says_so_and_an_absence_can_be_taken_back(page: Open, site: Boarded) -> None:
    opened = await tomorrow(page)
    await expect(opened.get_by_role("heading", name="Toutes les tournées ont un facteur.")).to_be_visible()
    carrier = site.carrier_of(site.rounds[3])
    await away(opened, carrier, "leave")
    await expect(opened.locator(f'[data-run="{run_of(site, site.rounds[3])}"]')).to_contain_text(f"{carrier} : congé")
    absences = site.call("GET", f"/v1/roster?from={site.tomorrow}&until={site.tomorrow}")["absences"]
    assert [(each["carrier"], each["kind"]) for each in absences] == [(carrier, "leave")]
    await opened.locator("#noted button").click()
    await expect(opened.get_by_role("heading", name="Toutes les tournées ont un facteur.")).to_be_visible()
    assert site.call("GET", f"/v1/roster?from={site.tomorrow}&until={site.tomorrow}")["absences"] == []


async def test_what_comes_meanwhile_takes_nobody_from_their_place_in_the_table(page: Open, site: Boarded) -> None:
    opened = await tomorrow(page)
    mine, theirs = site.carrier_of(site.rounds[1]), site.carrier_of(site.rounds[2])
    await opened.locator(f'[data-carrier="{mine}"] button').click()
    later = (site.tomorrow + timedelta(days=3)).isoformat()
    await opened.locator("#until").fill(later)
    await opened.locator('[data-kind="leave"]').focus()
    told = {"day": site.tomorrow.isoformat(), "carrier": theirs, "kind": "sick"}
    site.call("PUT", f"/v1/roster?site={site.place}", {"absences": [told]})
    await opened.locator('#missing [data-five="again"]').dispatch_event("click")
    await expect(opened.locator(f'[data-carrier="{theirs}"]')).to_contain_text("Maladie")
    await expect(opened.locator('[data-kind="leave"]')).to_be_focused()
    await expect(opened.locator("#until")).to_have_value(later)
    site.call("PUT", f"/v1/roster?site={site.place}", {"absences": [told | {"kind": None}]})


async def test_nobody_of_today_stands_under_tomorrow_while_it_is_read(page: Open, site: Boarded) -> None:
    opened = await page("/supervision/morning", role="supervisor")
    await expect(opened.locator("#people-rows tr").first).to_be_visible()
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await opened.route(f"**/v1/roster?from={site.tomorrow}**", hold)
    await opened.locator('[data-day="1"]').click()
    await expect(opened.locator("#people-rows tr")).to_have_count(0)
    held.set()
    await expect(opened.locator("#people-rows tr").first).to_be_visible()


async def test_from_an_absence_to_runs_that_are_covered_and_sheets_that_have_the_stops(
    page: Open, site: Boarded, first: str
) -> None:
    opened = await tomorrow(page)
    await away(opened, site.carrier_of(first))
    item = opened.locator(f'[data-run="{run_of(site, first)}"]')
    await expect(item).to_contain_text("3 missions à l'heure", timeout=PATIENCE_S * 1000)
    assert "visite" not in (await item.inner_text()).lower()
    await opened.locator("#propose").click()
    await expect(opened.locator("#proposal")).to_be_visible(timeout=PATIENCE_S * 1000)
    pieces = await opened.locator("#takers [data-stops]").evaluate_all("all => all.map(each => +each.dataset.stops)")
    left = await opened.locator("#undone-list > li").count()
    assert sum(pieces) == len(next(plan for plan in site.town.rounds if plan.round_id == first).stops)
    assert left == 0
    on_map = await drawn(opened)
    assert on_map["stop"] == sum(pieces), on_map
    assert on_map["head"] == len(pieces), on_map
    telling = await opened.locator("#telling").inner_text()
    takers = await opened.locator("#takers h3 > span:nth-child(2)").all_inner_texts()
    assert all(name in telling for name in takers), (telling, takers)
    assert f"La tournée {first} est annoncée couverte" in telling
    before = {name: sheet(site, name) for name in site.rounds[1:]}
    await opened.locator("#confirm").click()
    await expect(opened.locator("#done")).to_contain_text(f"Tournée {first} : couverte", timeout=PATIENCE_S * 1000)
    await expect(opened.locator("#done-now")).to_contain_text("Les annonces sont parties", timeout=PATIENCE_S * 1000)
    await expect(opened.locator("#covered")).to_contain_text(first)
    (row,) = site.fetch("select risk from run where id = $1", run_of(site, first))
    assert row["risk"] is None
    assert site.fetch("select count(*) from event where type = 'run.covered' and run = $1", run_of(site, first))
    after = {name: sheet(site, name) for name in site.rounds[1:]}
    gained = {stop for name in after for stop in after[name] - before[name]}
    planned = {each.point.id for plan in site.town.rounds if plan.round_id == first for each in plan.stops}
    assert gained == planned
    walking = {name for name in after if after[name] != before[name]}
    assert {site.carrier_of(name) for name in walking} == set(takers)


def sheet(site: Boarded, round_id: str) -> set[str]:
    """Read the delivery points of tomorrow's sheet, as the carrier's phone has it."""
    answer = site.phone(round_id).ask("GET", f"/v1/runs/{run_of(site, round_id)}/sheet")
    assert answer.status == 200, answer.body
    return {stop["delivery_point_id"] for stop in answer.json()["stops"]}


async def test_a_proposal_that_the_day_has_overtaken_is_refused_in_words(
    page: Open, site: Boarded, watch: Watch
) -> None:
    watch.forgive("status of 409")
    opened = await tomorrow(page)
    second = site.rounds[1]
    await away(opened, site.carrier_of(second))
    await opened.locator("#propose").click()
    await expect(opened.locator("#proposal")).to_be_visible(timeout=PATIENCE_S * 1000)
    back = {"day": site.tomorrow.isoformat(), "carrier": site.carrier_of(second), "kind": None}
    site.call("PUT", f"/v1/roster?site={site.place}", {"absences": [back]})

    def is_back() -> bool:
        return site.fetch("select carrier from run where id = $1", run_of(site, second))[0]["carrier"] is not None

    await until(is_back)
    page_fault = opened.locator("#cover-fault")
    await opened.locator("#confirm").click()
    await expect(page_fault).to_contain_text("rien n'a été annoncé")
    await expect(page_fault).to_contain_text(f"La tournée {second} a quelqu'un")
    await opened.locator("#drop").click()
    await expect(opened.locator("#proposal")).to_be_hidden()


async def test_an_operator_of_every_site_chooses_one_first(page: Open, site: Boarded) -> None:
    opened = await page("/supervision/morning", role="operator", lang="en")
    links = opened.locator("#missing-list a")
    await expect(links.first).to_be_visible()
    assert sorted(await links.all_inner_texts()) == sorted(site.town.sites)
    await links.filter(has_text=site.place).click()
    await expect(opened.locator("#people-rows tr").first).to_be_visible()
    await expect(opened.locator("h1")).to_contain_text(site.place)


async def test_the_stops_of_a_line_that_goes_there_and_back_lie_on_it_in_their_order(page: Open) -> None:
    opened = await page("/")
    found = await opened.evaluate(
        """async () => {
          const { trace, between } = await import('/static/supervision/board/trace.js');
          const line = { geometry: { type: 'LineString', coordinates: [[2.1, 48.9], [2.102, 48.9], [2.1, 48.9]] }, properties: {} };
          const stop = (id, lon) => ({ geometry: { type: 'Point', coordinates: [lon, 48.90002] }, properties: { stop_id: id, sequence: 1 } });
          const traced = trace([line, stop('a', 2.1005), stop('b', 2.1015), stop('c', 2.1015), stop('d', 2.1005)]);
          return { at: traced.stops.map(({ at }) => Math.round(at)), way: between(traced, 'b', 'd').length, whole: Math.round(traced.line.length) };
        }"""
    )
    assert found["at"] == sorted(found["at"])
    assert found["at"][3] > found["whole"] / 2
    assert found["way"] >= 3
