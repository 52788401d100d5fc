"""The panel of a round: journal, requests, messages and changes, by keyboard, within two seconds, and with nothing it may not hold."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from playwright.async_api import Locator, Page, Response, Route, expect

from fieldsvc.simulate.layout import POSTCODE
from fieldsvc.web.live import BOARD
from tests.acceptance.service import fresh
from tests.pages.browser import Open, Watch, overflow, violations
from tests.pages.supervised import Supervised, open_bare, open_supervised
from tests.pages.test_supervision import SMALL, row

pytestmark = pytest.mark.asyncio(loop_scope="session")
GENEROUS_S = 45.0  # the aim is two seconds; a busy machine that is three times slower must not fail


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A town whose supervisor's rounds have started; the first one's carrier has walked."""
    made, close = open_supervised(postgres_url, tmp_path_factory.mktemp("parts"))
    for name in made.rounds[:2]:
        made.say("run.started", name, duty="on", ago_s=3600)
    for _ in range(3):
        made.walk(made.rounds[0])
    yield made
    close()


@pytest.fixture
def first(site: Supervised) -> str:
    return site.rounds[0]


def items(site: Supervised, name: str) -> list[tuple[str, str]]:
    """List the items of a round with their stops, as they are walked."""
    stops = {
        stop.point.id: stop.stop_id for stop in next(plan for plan in site.town.rounds if plan.round_id == name).stops
    }
    places = list(stops)
    found = [
        task for task in site.town.tasks(site.day) if task["service"] == "item" and task["delivery_point"] in stops
    ]
    found.sort(key=lambda task: places.index(task["delivery_point"]))
    return [(task["subject"].removeprefix("item/"), stops[task["delivery_point"]]) for task in found]


async def supervision(page: Open, **more: Any) -> Page:
    """Open the page and wait for its list; what the map draws is tested elsewhere."""
    opened = await open_bare(page, "/supervision", **more)
    await expect(opened.locator("#rounds .pick").first).to_be_visible(timeout=GENEROUS_S * 1000)
    return opened


async def chosen(opened: Page, name: str, tab: str) -> Locator:
    await row(opened, name).locator(".pick").click()
    await opened.locator(f"#tab-{tab}").click()
    part = opened.locator(f"#part-{tab}")
    await expect(part).to_be_visible()
    return part


async def test_what_a_customer_asks_and_what_a_phone_says_are_on_the_screen_within_two_seconds(
    page: Open, site: Supervised, first: str, note: Callable[[str], None]
) -> None:
    opened = await supervision(page)
    part = await chosen(opened, first, "requests")
    await expect(part.locator("[data-requests=words]")).to_contain_text("Aucune demande")
    found = items(site, first)
    delivered, stop_id = found[0]
    asked, _ = found[len(found) // 2]  # the carrier is not near that, whatever the day
    later = (site.day + timedelta(days=3)).isoformat()
    body = {"kind": "second_presentation", "item_id": asked, "from": later, "details": {"postcode": POSTCODE}}
    answer = site.service.ask("POST", "/v1/delivery-changes", body, to_json=True)
    began = time.monotonic()
    assert answer.status == 201, answer.body
    await expect(part.locator("li")).to_have_count(1, timeout=GENEROUS_S * 1000)
    request_s = time.monotonic() - began
    part = await chosen_tab(opened, "journal")
    await expect(part.locator(".journal")).to_be_visible()
    site.say("item.delivered", first, item_id=delivered, to="addressee", stop_id=stop_id)
    began = time.monotonic()
    await expect(part.locator("li", has_text="distribué").first).to_be_visible(timeout=GENEROUS_S * 1000)
    event_s = time.monotonic() - began
    note(
        f"supervision: a customer's request on the screen after {request_s:.1f} s, an event in the journal after {event_s:.1f} s"
    )


async def chosen_tab(opened: Page, name: str) -> Locator:
    await opened.locator(f"#tab-{name}").click()
    return opened.locator(f"#part-{name}")


async def test_from_signing_in_to_an_instruction_and_back_with_the_keyboard_alone(
    page: Open, site: Supervised, first: str
) -> None:
    opened = await page(site.sign_in_url())
    await _tab_to(opened, "() => document.activeElement.matches('main button')")
    await opened.keyboard.press("Enter")
    await opened.wait_for_url("**/signed-in*")
    await _tab_to(opened, "() => document.activeElement.getAttribute('href') === '/supervision'")
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#rounds .pick").first).to_be_visible()
    await _tab_to(opened, "() => document.activeElement.classList.contains('pick')")
    await opened.keyboard.press("Home")
    for _ in site.rounds:
        if await opened.evaluate("() => document.activeElement.textContent") == first:
            break
        await opened.keyboard.press("ArrowDown")
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#panel-title")).to_contain_text(first)
    await _tab_to(opened, "() => document.activeElement.id === 'tab-next'")
    await opened.keyboard.press("ArrowRight")
    await expect(opened.locator("#part-journal")).to_be_visible()
    await expect(opened.locator(".journal li").first).to_be_visible()
    for _ in range(2):
        await opened.keyboard.press("ArrowRight")
    await _tab_to(opened, "() => document.activeElement.id === 'message-text'")
    text = f"Passer par la cour {fresh()}"
    await opened.keyboard.type(text)
    await _tab_to(opened, "() => document.activeElement.matches('#part-messages button')")
    await opened.keyboard.press("Enter")
    await expect(opened.locator(".given li")).to_contain_text(text)
    await expect(opened.locator(".given li")).to_contain_text("pas encore vue")
    assert text in _instructions(site, first)
    sheet = site.callers[first].ask("GET", f"/v1/runs/{site.run_of(first)}/sheet").json()
    site.say("sheet.seen", first, version=sheet["version"])
    await opened.locator("#tab-messages").press("Enter")
    await expect(opened.locator(".given li")).to_contain_text("feuille vue à")
    await _tab_to(opened, "() => document.activeElement.dataset.panel === 'close'", back=True)
    await opened.keyboard.press("Enter")
    await expect(opened.locator("#panel")).to_be_hidden()
    assert await opened.evaluate("() => document.activeElement.textContent") == first


def _instructions(site: Supervised, name: str) -> list[str]:
    sheet = site.callers[name].ask("GET", f"/v1/runs/{site.run_of(name)}/sheet").json()
    return [each["text"] for each in sheet["instructions"]]


async def _tab_to(opened: Page, there: str, *, back: bool = False) -> None:
    """Press Tab until the focus is there."""
    for _ in range(60):
        if await opened.evaluate(there):
            return
        await opened.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(there)


def told(event_id: str, title: str, **more: Any) -> dict[str, Any]:
    """Write an entry of a timeline as the API does."""
    about = {"event_id": event_id, "type": "item.delivered", "title": {"fr": title, "en": title}, "service": "item"}
    times = {"at": "2026-11-21T09:00:00.000Z", "received_at": "2026-11-21T13:02:00.000Z", "late": False}
    none: dict[str, Any] = {"stop_id": None, "proof": None, "pictures": [], "proof_url": None, "warnings": []}
    where = {"subject": "item/A", "address": "3 rue du Lavoir", "by": "device", "paper": False, "state": "said"}
    return {**about, **times, **none, **where, **more}


async def test_the_journal_strikes_what_was_replaced_and_says_what_came_late_with_its_proof(
    page: Open, site: Supervised, first: str
) -> None:
    proof = {"score": 80, "words": {"fr": "signature et lieu", "en": "signature and place"}}
    papers = {"pictures": ["ab" * 32], "proof_url": "/v1/items/A/proof", "proof": proof, "late": True}
    entries = [
        told("evt_1", "Objet présenté", state="superseded"),
        told("evt_2", "Objet distribué", warnings=["proof_pending"], **papers),
        told("evt_3", "Mission à l'heure", type="timed_task", service="timed_task", subject=None, address=None),
    ]
    opened = await supervision(page, lang="fr")

    async def fulfil(route: Route) -> None:
        whole_day = "limit=1000" in route.request.url
        await route.fulfill(json={"run_id": "r", "entries": entries if whole_day else []})

    await opened.route("**/timeline*", fulfil)
    part = await chosen(opened, first, "journal")
    struck = part.locator("li.is-struck")
    await expect(struck.locator("del")).to_have_text("Objet présenté")
    await expect(struck).to_contain_text("Remplacé par : Objet distribué".replace(" :", "\u00a0:"))
    entry = part.locator('li[data-event="evt_2"]')
    await expect(entry).to_contain_text("reçu à 14\u00a0h\u00a002")
    await expect(entry).to_contain_text("Force de la preuve\u00a0: 80 sur 100. signature et lieu")
    await expect(entry.get_by_role("button")).to_have_text("Charger et voir la photo 1")
    await expect(entry.get_by_role("link")).to_have_attribute("href", "/v1/items/A/proof?format=pdf&lang=fr")
    assert await entry.locator("img").get_attribute("src") is None  # a picture is fetched once somebody asks for it
    await expect(part.locator('li[data-event="evt_3"]')).to_have_text(re.compile("Mission à l'heure$"))
    assert await violations(opened) == []


async def test_a_round_goes_to_a_colleague_and_stops_to_another_round_without_dragging(
    page: Open, site: Supervised
) -> None:
    giver, taker = site.rounds[1], site.rounds[0]
    opened = await supervision(page, lang="en")
    part = await chosen(opened, giver, "change")
    said = part.locator("[data-change=words]")
    await opened.locator("#change-run").select_option(site.run_of(taker))
    await part.get_by_role("button", name="Move these stops").click()
    await expect(said).to_contain_text("Stops moved to")
    carrier = next(each.name for each in site.town.carriers if each.round_id == taker)
    await opened.locator("#change-carrier").select_option(carrier)
    await part.get_by_role("button", name="Give the round").click()
    await expect(said).to_contain_text(carrier)
    await expect(row(opened, giver).locator(".c-carrier")).to_have_text(carrier)
    await opened.locator("#handover-run").select_option(site.run_of(taker))
    await opened.locator("#handover-keys").fill("2")
    await part.get_by_role("button", name="Note the hand-over").click()
    await expect(said).to_contain_text("2 keys")


async def test_every_byte_that_a_supervisor_s_page_receives_is_theirs_to_see(
    page: Open, site: Supervised, first: str
) -> None:
    theirs = {plan.round_id for plan in site.town.rounds if plan.site == site.place}
    others = {each.name for each in site.town.carriers if each.round_id not in theirs}
    off_duty = site.rounds[1]
    site.say("run.ended", off_duty, duty="off")
    await until_off_the_line(site, off_duty)
    bodies: list[str] = []
    opened = await page("/", role="supervisor")

    async def keep(answer: Response) -> None:
        if "/v1/" in answer.url and "/v1/live" not in answer.url and answer.status == 200:
            bodies.append((await answer.body()).decode())

    opened.on("response", keep)
    await opened.add_init_script(_LISTEN)
    await opened.goto(f"{site.url}/supervision")
    for tab in ("journal", "requests", "messages", "change"):
        await chosen(opened, first, tab) if tab == "journal" else await chosen_tab(opened, tab)
    await opened.keyboard.press("F8")
    await expect(opened.locator("#notback-scroll")).to_be_visible()
    site.say("run.paused", first)
    await opened.wait_for_function("() => window.streamed.length > 1")
    stream = "".join(await opened.evaluate("() => window.streamed"))
    site.say("run.resumed", first)
    opened.remove_listener("response", keep)
    said = "".join([await opened.content(), *bodies, stream])
    assert site.run_of(first) in placed(stream)
    assert site.run_of(off_duty) not in placed(stream)
    assert [name for name in others if name in said] == []
    for word in (
        "medication",
        "pouch/",
        "nurse",
        "patient",
        "may_receive",
    ):  # the page's own words are the same for all
        assert word not in "".join([*bodies, stream]), word


async def until_off_the_line(site: Supervised, name: str) -> None:
    """Wait until the run is known to have ended, and the live board has dropped its carrier."""
    places = site.service.app[BOARD].places()
    for _ in range(300):
        if site.listed()[name]["state"] == "ended" and site.run_of(name) not in places:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(name)


def placed(stream: str) -> set[str]:
    """Name the runs that a stream gives a place of."""
    told = [orjson.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: {")]
    runs = {run["run_id"] for each in told for run in (*each.get("runs", ()), *each.get("n", ()))}
    return (
        runs
        | {row[0] for each in told for row in each.get("m", ())}
        | {run for each in told for run in each.get("s", ())}
    )


_LISTEN = """(() => {
  window.streamed = [];
  delete window.SharedWorker;
  const real = TextDecoderStream;
  window.TextDecoderStream = class extends real {
    get readable() {
      return super.readable.pipeThrough(new TransformStream({ transform(text, to) { window.streamed.push(text); to.enqueue(text); } }));
    }
  };
})()"""


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_axe_finds_nothing_in_any_part_and_nothing_overflows(
    page: Open, site: Supervised, first: str, lang: str, theme: str
) -> None:
    opened = await supervision(page, lang=lang, theme=theme)
    await row(opened, first).locator(".pick").click()
    for name in ("next", "journal", "requests", "messages", "change"):
        await chosen_tab(opened, name)
        await expect(opened.locator(f"#part-{name}")).to_be_visible()
        assert await violations(opened) == [], name
    for size in (SMALL, (640, 400)):
        await opened.set_viewport_size({"width": size[0], "height": size[1]})
        for name in ("change", "messages", "journal"):
            await chosen_tab(opened, name)
            assert await overflow(opened) == [], (size, name)


async def test_what_is_refused_says_why_and_nothing_is_lost(
    page: Open, site: Supervised, watch: Watch, first: str
) -> None:
    watch.forgive("status of 503", "status of 409")
    opened = await supervision(page)
    part = await chosen(opened, first, "messages")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body="{}")

    await opened.route("**/v1/events", refuse)
    await part.locator("textarea").fill("Portail ouvert le matin")
    await part.get_by_role("button").click()
    await expect(part.get_by_role("alert")).to_contain_text("Rien n'a été changé")
    await expect(part.locator("textarea")).to_have_value("Portail ouvert le matin")
