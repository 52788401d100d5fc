"""Alerts, replay, address changes, figures and health in a real browser, as those who work with them meet them."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fieldsvc.store import audit
from fieldsvc.store.audit import NEWEST, Wanted
from tests.pages.boarded import Boarded, count_figures, open_boarded, walk_yesterday
from tests.pages.browser import Open, Watch

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENCE_MS = 20_000
PAGES = ("morning", "alerts", "replay", "addresses", "reports", "health")
SEEN = {
    "supervisor": set(PAGES),
    "operator": set(PAGES),
    "auditor": {"reports"},
    "address_quality": {"addresses"},
    "adviser": set[str](),
}


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boarded]:
    """A town with a day that was walked, alerts of today, figures, and reports that wait."""
    made, close = open_boarded(postgres_url, tmp_path_factory.mktemp("board"))
    made.service.call(walk_yesterday(made, made.rounds[:3], late=made.rounds[1]))
    for each in made.town.sites:
        made.service.call(count_figures(made.service.platform, each, made.day.replace(day=1)))
    made.sessions.clear()
    yield made
    close()


def alert(opened: Page, words: str) -> Any:
    return opened.locator("[data-alert]").filter(has_text=words)


async def test_an_alert_is_taken_with_a_comment_and_another_given_to_a_colleague(page: Open, site: Boarded) -> None:
    colleague = site.session("operator")
    assert colleague
    site.tell("alarm.raised", site.rounds[0], {"kind": "fall", "alarm_id": "alarm-fall"})
    opened = await page("/supervision/alerts", role="supervisor")
    await expect(alert(opened, "Chute")).to_contain_text(site.carrier_of(site.rounds[0]), timeout=PATIENCE_MS)
    await expect(alert(opened, "Chute")).to_contain_text("15")
    site.tell("alarm.raised", site.rounds[1], {"kind": "accident", "alarm_id": "alarm-accident"})
    await expect(alert(opened, "Accident")).to_be_visible(timeout=PATIENCE_MS)  # the stream said so
    await alert(opened, "Chute").locator('[data-do="more"]').click()
    await opened.locator("#comment").fill("Je l'appelle")
    await opened.locator('[data-do="take-with"]').click()
    await expect(alert(opened, "Chute")).to_have_count(0)
    taken = {each["id"]: each for each in site.call("GET", "/v1/alerts?state=acknowledged")["alerts"]}
    assert taken["alarm-fall"]["acknowledged_by"] is not None
    await alert(opened, "Accident").locator('[data-do="more"]').click()
    people = site.call("GET", "/v1/colleagues")["people"]
    await opened.locator("#assign-to").select_option(people[0]["account_id"])
    await opened.locator('[data-do="assign"]').click()
    await expect(alert(opened, "Accident")).to_contain_text(f"confiée à {people[0]['name']}")
    given = {each["id"]: each for each in site.call("GET", "/v1/alerts?state=open")["alerts"]}
    assert given["alarm-accident"]["assigned_to"] == people[0]["account_id"]
    await opened.locator('[data-state="acknowledged"]').click()
    await expect(alert(opened, "Chute")).to_contain_text("Je l'appelle")
    await opened.locator('[data-state="past"]').click()
    await expect(opened.locator("#why")).to_be_visible()


async def test_what_repeats_itself_stands_once_and_the_most_pressing_first(page: Open) -> None:
    opened = await page("/")
    rows = [
        ["silence.began", "run/a", "attention", "10:00"],
        ["silence.began", "run/a", "attention", "10:05"],
        ["run.not_served", "run/b", "urgent", "10:10"],
        ["sos", "alarm/x", "urgent", "10:20"],
    ]
    found = await opened.evaluate(
        """async (rows) => {
          const { ordered, together } = await import('/static/supervision/alerts/queue.js');
          const alerts = rows.map(([kind, subject, level, at], n) => ({ id: `al-${n}`, kind, subject, level, run_id: null, state: 'open', raised_at: at }));
          return ordered(together(alerts)).map(({ kind, ids, raised_at }) => [kind, ids.length, raised_at]);
        }""",
        rows,
    )
    assert found == [["sos", 1, "10:20"], ["run.not_served", 1, "10:10"], ["silence.began", 2, "10:05"]]


async def test_three_rounds_of_a_past_day_run_on_one_clock_and_a_late_batch_is_marked(
    page: Open, site: Boarded
) -> None:
    opened = await page("/supervision/replay", role="supervisor")
    await opened.locator('[data-by="-1"]').click()
    await expect(opened.locator("#reasons")).to_be_visible()
    await opened.locator('[value="complaint"]').check()
    await opened.locator("#ask .buttons button").click()
    for round_id in site.rounds[:3]:
        await opened.locator(f'[value="run-{site.yesterday}-{round_id}"]').check()
    for round_id in site.rounds[3:]:
        await opened.locator(f'[value="run-{site.yesterday}-{round_id}"]').uncheck()
    await opened.locator("#go").click()
    await expect(opened.locator("#rows tr")).to_have_count(3, timeout=PATIENCE_MS)
    late = opened.locator(f'#rows [data-round="{site.rounds[1]}"]')
    await expect(late).to_contain_text(re.compile(r"20 positions, reçu à \d+\sh\s\d\d"))
    await expect(late).to_contain_text("une fois")
    await expect(opened.locator(f'#rows [data-round="{site.rounds[0]}"]')).to_contain_text("rien")
    ends = await opened.locator("#rows [data-now]").all_inner_texts()
    assert all("fini" in words or "km" in words for words in ends), ends
    await opened.locator("#clock").focus()
    await opened.keyboard.press("Home")
    await expect(opened.locator(f'[data-round="{site.rounds[2]}"] [data-now]')).to_have_text("pas encore partie")
    await opened.locator("#speed").select_option("900")
    await opened.locator("#play").click()
    await expect(opened.locator(f'[data-round="{site.rounds[2]}"] [data-now]')).to_contain_text("km")
    rows = site.service.call(audit.page(site.service.platform.database, Wanted(), before=NEWEST, limit=50))
    looked = {row.subject for row in rows if row.action == "run.replayed" and row.reason == "complaint"}
    assert {f"run/run-{site.yesterday}-{each}" for each in site.rounds[:3]} <= looked


async def test_an_address_change_is_accepted_and_moves_the_point(page: Open, site: Boarded) -> None:
    first, second = site.rounds[0], site.rounds[2]
    here, there = (next(plan for plan in site.town.rounds if plan.round_id == name).stops for name in (first, second))
    report = site.report(first, 6, new_address=there[12].point.address)
    rejected = site.report(first, 9, change="name_missing", addressee="Mme Essai")
    opened = await page("/supervision/addresses", role="address_quality")
    card = opened.locator(f'[data-report="{report}"]')
    await expect(card).to_be_visible(timeout=PATIENCE_MS)
    await expect(card.locator("ins").first).to_contain_text("(nouveau)")
    await expect(card).to_contain_text(second, timeout=PATIENCE_MS)
    await opened.locator("#report-title").focus()
    await opened.keyboard.press("j")
    await expect(opened.locator(f'[data-report="{rejected}"]')).to_be_visible()
    await opened.keyboard.press("k")
    await expect(card).to_be_visible()
    await opened.locator('[data-do="accept"]').click()
    await expect(opened.locator("#decided")).to_contain_text("Accepté")
    (row,) = site.fetch("select round_id from stop where delivery_point_id = $1", here[6].point.id)
    assert row["round_id"] == second
    await opened.locator("#reason").fill("Le nom est revenu")
    await opened.locator('[data-do="reject"]').click()
    await expect(opened.get_by_role("heading", name="Rien à décider.")).to_be_visible()
    states = {each["report_id"]: each["state"] for each in site.call("GET", "/v1/address-changes")["address_changes"]}
    assert (states[report], states[rejected]) == ("confirmed", "rejected")
    await opened.locator('[data-state="confirmed"]').click()
    await expect(card).to_contain_text("Accepté")
    await expect(card.locator(".report__decided")).to_contain_text("Décidé")


async def test_an_address_that_was_not_found_needs_a_round_and_a_stop(page: Open, site: Boarded) -> None:
    report = site.report(site.rounds[1], 3, new_address="7 rue de Nulle Part, 01000 Ailleurs")
    opened = await page("/supervision/addresses", role="supervisor")
    await expect(opened.locator(f'[data-report="{report}"]')).to_be_visible(timeout=PATIENCE_MS)
    await expect(opened.locator('[data-do="accept"]')).to_be_disabled()
    await opened.locator("#round").select_option(site.rounds[3], timeout=PATIENCE_MS)
    stop = next(plan for plan in site.town.rounds if plan.round_id == site.rounds[3]).stops[4]
    await opened.locator("#stop").select_option(stop.stop_id)
    await opened.locator('[data-do="accept"]').click()
    await expect(opened.locator("#decided")).to_contain_text("Accepté")
    point = next(plan for plan in site.town.rounds if plan.round_id == site.rounds[1]).stops[3].point.id
    (row,) = site.fetch("select round_id from stop where delivery_point_id = $1", point)
    assert row["round_id"] == site.rounds[3]


async def test_figures_are_those_of_the_api_and_small_ones_are_said_to_be_so(page: Open, site: Boarded) -> None:
    opened = await page("/supervision/reports", role="supervisor")
    visits = opened.locator('[data-service="home_visit"]')
    await expect(visits).to_contain_text("92,4", timeout=PATIENCE_MS)
    await expect(visits).to_contain_text("trop peu")
    await expect(opened.locator("#small")).to_contain_text("5 réponses de 3 facteurs")
    main = await opened.locator("main").inner_text()
    assert not [each.name for each in site.town.carriers if each.name in main]
    async with opened.expect_download() as waiting:
        await opened.locator("#csv").click()
    path = await (await waiting.value).path()
    text = path.read_bytes().decode("utf-8-sig")
    month = site.day.isoformat()[:7]
    asked = f"/v1/kpis?from={month}&until={month}&site={site.place}&format=csv&lang=fr"
    said = site.service.ask("GET", asked, headers=site.headers()).body.decode("utf-8-sig")
    assert text == said
    assert len(list(csv.DictReader(io.StringIO(text)))) == 3


async def test_health_says_what_arrived_and_an_operator_also_who_is_not_reached(page: Open, site: Boarded) -> None:
    site.say("run.started", site.rounds[0], duty="on", ago_s=60)
    own = await page("/supervision/health", role="supervisor")
    await expect(own.locator(f'[data-site="{site.place}"]')).to_be_visible(timeout=PATIENCE_MS)
    assert await own.locator("#sites tr").count() == 1
    await expect(own.locator("#endpoints-card")).to_be_hidden()
    every = await page("/supervision/health", role="operator", lang="en")
    await expect(every.locator("#endpoints-card")).to_contain_text("Every subscriber is reached.", timeout=PATIENCE_MS)
    await expect(every.locator(".tile").first).to_contain_text("Last event")


async def test_each_page_is_for_its_roles_and_the_others_are_told_nothing(
    page: Open, site: Boarded, watch: Watch
) -> None:
    watch.forgive("status of 404", "status of 401")
    for role, seen in SEEN.items():
        for name in PAGES:
            answer = site.service.ask("GET", f"/supervision/{name}", headers=site.headers(role))
            assert answer.status == (200 if name in seen else 404), (role, name)
            assert site.service.ask("GET", f"/supervision/{name}").status == 401
    opened = await page("/supervision/addresses", role="address_quality")
    links = await opened.locator(".subnav a").all_inner_texts()
    assert links == ["Adresses"]
    home = await page("/", role="address_quality")
    await expect(home.locator('main a[href="/supervision/addresses"]')).to_be_visible()
