"""The frame of the phone's page in a real browser: joined, on duty, offline, in both languages, with a new version at the door."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import combinations
from typing import Any

import pytest
from playwright.async_api import Route, expect

from fieldsvc.access import enrolment
from fieldsvc.work.sheet_delta import delta_of, digests_of
from tests.acceptance.service import ago
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.pages.handheld import OFFLINE, Phone, code, stored

Box = list[float]  # x, y, width, height
pytestmark = pytest.mark.asyncio(loop_scope="session")
NARROW, ZOOMED = (320, 640), (640, 400)
CHOSEN = {
    "#/me": "[data-look][aria-pressed=true]",
    "#/today": ".modes [aria-pressed=true]",
    "#/form/meter.read": ".pick:has(:checked)",
}
SURFACE = (
    "(each) => { const { backgroundColor, color } = getComputedStyle(each); return `${backgroundColor} ${color}`; }"
)
FORGET = """(names) => import('/static/handheld/kept.js').then(({open}) => open())
  .then(async (kept) => { for (const name of names) await kept.remove(name); })"""
OWN = ("start", "end", "urgent", "me", "join")
TARGETS = """() => [...document.querySelectorAll('a, button, summary, input, select, textarea, [role=button]')]
  .filter((each) => each.checkVisibility({visibilityProperty: true}) && !each.closest('.visually-hidden, .skip'))
  .map((each) => [(each.closest('label') ?? each).getBoundingClientRect(), each])
  .filter(([{width, height}]) => width > 1 && height > 1)
  .map(([{x, y, width, height}, each]) => ({
    name: `${each.tagName} ${each.className} ${(each.innerText ?? each.name ?? '').slice(0, 30)}`,
    place: [x, y, width, height],
    layer: each.closest('.strip, .tabs, .toast')?.className ?? 'screen',
  }))"""


async def test_service_is_begun_paused_and_ended_in_one_tap_each_and_stored(
    site: Site, page: Open, watch: Watch
) -> None:
    del watch
    phone = await Phone.joined(site, page)
    await expect(phone.page.locator("#screen")).to_contain_text("Prêt hors ligne : 40 points")
    await phone.page.locator("[data-act=begin]").click()
    await phone.shows("scan")
    await phone.go("#/start")
    await phone.page.locator("[data-act=pause]").click()
    await phone.go("#/today")
    await expect(phone.page.locator("#notes")).to_contain_text("En pause")
    await phone.page.locator("#notes button").click()
    await expect(phone.page.locator("#notes")).not_to_contain_text("En pause")
    await phone.go("#/end")
    await expect(phone.page.locator("#screen")).to_contain_text("missions ne sont pas faites")
    await phone.page.locator("[data-act=end]").click()
    await expect(phone.page.locator("#screen")).to_contain_text("Service terminé")
    said = [name for name in ("run.started", "run.paused", "run.resumed", "run.ended") if await phone.sent(name)]
    assert len(said) == 4
    sent = await phone.sent(count=5)  # and `sheet.seen`
    assert stored(site, sent) == {each["id"] for each in sent}
    assert [each["event"]["data"]["run_id"] for each in sent] == [phone.run_id] * len(sent)


async def test_hours_of_mandate_are_a_quiet_choice_of_their_own(site: Site, page: Open) -> None:
    phone = await Phone.joined(site, page, site.town.rounds[4].round_id)
    await phone.page.locator("summary").click()
    await phone.page.locator("[data-act=mandate]").click()
    await phone.shows("today")
    (begun,) = await phone.sent("run.started")
    assert begun["event"]["data"]["duty"] == "mandate"
    await phone.go("#/start")
    await expect(phone.page.locator("#screen")).to_contain_text("Heures de mandat : aucune position n'est enregistrée")


async def test_the_page_says_whether_a_tracker_was_heard_and_when(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page, site.town.rounds[1].round_id)
    await phone.settled()
    await expect(phone.page.locator("#notes")).to_contain_text("pas encore entendu")
    lon, lat = site.town.rounds[1].line[0]
    headers = {"Authorization": f"Bearer {(await phone.kept('device'))['token']}"}
    fix = {"fixed_at": ago(seconds=0), "lat": lat, "lon": lon, "accuracy_m": 5.0}
    answer = site.service.ask("POST", "/v1/positions", {"fixes": [fix]}, headers=headers, to_json=True)
    assert answer.json()["taken"] == 1, answer.body
    heard = site.service.ask("GET", "/v1/runs/current", headers=headers).json()["position_heard_at"]
    assert heard[:19] == str(fix["fixed_at"])[:19]
    await phone.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await expect(phone.page.locator("#notes")).to_contain_text("Traceur entendu à")


async def test_a_reload_in_any_screen_returns_there(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page)
    for hash_ in ("#/start", "#/today", "#/urgent", "#/outbox"):  # the others: in the test of cold links
        await phone.go(hash_)
        await phone.page.reload()
        await phone.shows(hash_[2:])
        assert phone.page.url.endswith(hash_)


async def test_while_the_day_loads_nothing_definite_is_said_and_a_cold_link_ends_where_it_leads(
    site: Site, page: Open
) -> None:
    phone = await Phone.on_duty(site, page)
    sheet = await phone.kept(f"sheet:{phone.run_id}")
    stop = next(each for each in sheet["stops"] if each["tasks"])
    street = stop["address"].partition(",")[0]
    links = {f"#/stop/{stop['stop_id']}": street, f"#/proof/{stop['tasks'][0]['subject']}": "Remise"}
    for link, title in {**links, "#/other": "Autres services", "#/end": "Fin de service"}.items():
        await phone.page.evaluate(FORGET, ["run", "services", f"sheet:{phone.run_id}"])
        gate = asyncio.Event()
        await phone.page.route("**/v1/runs/current", held_by(gate))
        await phone.page.evaluate("(hash) => { history.replaceState(null, '', hash); location.reload(); }", link)
        await expect(phone.page.locator("#screen[aria-busy]")).to_be_attached(timeout=15_000)
        assert await phone.page.locator("#title").inner_text() == "Ouverture…"
        assert await phone.page.locator("#screen").inner_text() == ""
        gate.set()
        await expect(phone.page.locator("#title")).to_have_text(title)
        assert phone.page.url.endswith(link)
        await phone.page.unroute("**/v1/runs/current")
    await phone.go("#/me")
    await phone.page.reload()
    await phone.shows("me")
    await phone.scan("RK123456785FR")  # heard there too, though no screen of the day was shown since
    await phone.shows("scan")
    await expect(phone.page.locator(".scan-card:not([data-kind=wait])")).to_be_visible()


def held_by(gate: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    async def held(route: Route) -> None:
        await gate.wait()
        await route.continue_()

    return held


async def test_what_is_chosen_looks_the_same_on_every_screen(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page)
    found = set()
    for hash_, chosen in CHOSEN.items():
        await phone.go(hash_)
        if "pick" in chosen:
            await phone.page.get_by_role("radio").first.check()
        found.add(await phone.page.locator(chosen).first.evaluate(SURFACE))
    assert len(found) == 1


async def test_a_newer_sheet_is_made_of_the_kept_one_and_what_differs(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page)
    kept = await phone.kept(f"sheet:{phone.run_id}")
    stops = kept["stops"]
    changed = {**stops[3], "tasks": [], "address": "3 rue Neuve"}
    new = {**stops[0], "stop_id": "st-new"}
    wanted: dict[str, Any] = {
        **kept,
        "version": kept["version"] + 7,
        "state": "paused",
        "stops": [stops[5], new, changed, *stops[6:], stops[1]],
    }
    delta = delta_of(wanted, kept["version"], digests_of(kept))
    assert delta is not None
    newer = "([kept, told]) => import('/static/handheld/delta.js').then((found) => found.newer(kept, told))"
    assert await phone.page.evaluate(newer, [kept, delta]) == wanted
    assert await phone.page.evaluate(newer, [{**kept, "version": 1}, delta]) is None
    assert await phone.page.evaluate(newer, [None, wanted]) == wanted


async def test_what_is_kept_of_an_earlier_day_goes_with_a_new_run(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page)
    old = f"run-2026-01-02-{phone.round_id}"
    for name, value in ((f"sheet:{old}", {"stops": []}), (f"day:{old}", {"facts": {}}), ("run", {"run_id": old})):
        await phone.keep(name, value)
    await phone.page.reload()
    for _ in range(100):
        if await phone.kept(f"sheet:{old}") is None:
            break
        await phone.page.wait_for_timeout(100)
    assert (await phone.kept(f"sheet:{old}"), await phone.kept(f"day:{old}")) == (None, None)
    assert (await phone.kept(f"sheet:{phone.run_id}"))["run_id"] == phone.run_id


async def test_what_to_read_and_to_take_is_said_before_and_what_became_of_it_at_the_end(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive(*OFFLINE)
    phone = await Phone.on_duty(site, page)
    await phone.controlled()
    await phone.sent()
    sheet = await phone.kept(f"sheet:{phone.run_id}")
    now = ago(seconds=0)
    sheet["instructions"] = [{"kind": "supervisor", "stop_id": None, "text": "Passez par le sud.", "given_at": now}]
    sheet["hazards"] = [{"hazard_id": "h-1", "kind": "dog", "note": "Portail bas", "until": now}]
    things = [
        task["subject"] for stop in sheet["stops"] for task in stop["tasks"] if task["service"] in ("item", "key")
    ]
    facts = {things[0]: {"loaded": 1, "delivered": 2}, things[1]: {"loaded": 1}, things[2]: {"loaded": 1, "missing": 2}}
    await phone.offline()
    for name, value in ((f"sheet:{phone.run_id}", sheet), (f"day:{phone.run_id}", {"facts": facts, "duty": "on"})):
        await phone.keep(name, value)
    await phone.page.reload()
    await phone.go("#/start")
    screen = phone.page.locator("#screen")
    for words in ("À lire avant de partir", "Passez par le sud.", "Chien", "Portail bas", "À emporter : 3 sur"):
        await expect(screen).to_contain_text(words)
    await phone.page.locator(".start__read").scroll_into_view_if_needed()
    await phone.drawn("to-read")
    assert await violations(phone.page) == []
    await phone.go("#/end")
    await expect(phone.page.locator(".sums tr").first).to_be_visible()
    rows = await phone.page.locator(".sums tr").all_inner_texts()
    assert [" ".join(row.split()) for row in rows][1:] == [
        "Pris 3",
        "Remis 1",
        "En instance 0",
        "À rapporter 1",
        "Manquants 1",
    ]
    await phone.drawn("totals")
    assert await violations(phone.page) == []


async def test_a_phone_that_was_joined_at_enrol_is_taken_over_and_a_wrong_code_says_what_to_do(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 401")
    phone = await Phone.opened(site, page)
    await phone.shows("join")
    await phone.page.locator("#screen button").click()
    await expect(phone.page.locator("#code-fault")).to_have_text("Entrez le code.")
    await phone.page.locator("#code").fill("AAAA-BBBB-CCCC-DDDD")
    await phone.page.locator("#screen button").click()
    await expect(phone.page.locator("#code-fault")).to_contain_text("Demandez-en un nouveau")
    await phone.page.goto(f"{site.url}/enrol#{code(site, site.town.rounds[0].round_id)}")
    await phone.page.get_by_role("button", name="Relier ce téléphone").click()
    await phone.page.get_by_role("link", name="Ouvrir ma tournée").click()
    await phone.shows("start")
    await expect(phone.page.locator("#screen")).to_contain_text("Prêt hors ligne")


async def test_a_phone_without_a_run_says_so_and_can_still_call(site: Site, page: Open, watch: Watch) -> None:
    watch.forgive("status of 404")
    database, place = site.service.platform.database, site.town.sites[0]
    made = site.service.call(enrolment.issue_code(database, carrier="Sans Tournée", site=place))
    phone = await Phone.opened(site, page, f"/handheld#{made.shown}")
    await phone.page.locator("#screen button").first.click()
    await expect(phone.page.locator("#screen")).to_contain_text("Pas de tournée aujourd'hui")
    await phone.go("#/urgent")
    numbers = await phone.page.locator("#screen a[href^='tel:']").evaluate_all(
        "(all) => all.map((each) => each.getAttribute('href'))"
    )
    assert numbers == ["tel:15", "tel:18", "tel:112"]


async def test_an_alarm_leaves_first_and_the_carrier_sees_who_has_it(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page)
    await phone.page.locator(".strip__urgent").click()
    await phone.shows("urgent")
    await phone.page.locator("[data-kind=fall]").click()
    await expect(phone.page.locator("#screen [role=status]")).to_contain_text("Personne ne l'a encore prise")
    (raised,) = await phone.sent("alarm.raised")
    assert raised["urgent"]
    alarm = raised["event"]["data"]["alarm_id"]
    taken = site.service.ask("POST", f"/v1/alerts/{alarm}/ack", headers=site.headers())
    assert taken.status == 200, taken.body
    await expect(phone.page.locator("#screen [role=status]")).to_contain_text("s'en occupe depuis")
    await phone.drawn("alarm")


async def test_an_alarm_has_its_place_even_before_the_service_began(site: Site, page: Open) -> None:
    where = {"latitude": 48.9, "longitude": 2.1, "accuracy": 9}
    known = {"geolocation": where, "permissions": ["geolocation"]}
    phone = await Phone.joined(site, page, site.town.rounds[3].round_id, **known)
    await phone.go("#/urgent")
    await phone.page.locator("[data-kind=sos]").click()
    (raised,) = await phone.sent("alarm.raised")
    assert (raised["event"]["data"]["fix"]["lat"], raised["event"]["data"]["fix"]["accuracy_m"]) == (48.9, 9)


async def test_a_phone_is_forgotten_only_once_everything_has_left_it(site: Site, page: Open, watch: Watch) -> None:
    watch.forgive(*OFFLINE)
    phone = await Phone.on_duty(site, page)
    await phone.sent()
    await phone.go("#/me")
    await expect(phone.page.locator("#screen")).to_contain_text("signé")
    await expect(phone.page.locator("[data-act=forget]")).to_be_visible()
    await phone.offline()
    await phone.go("#/start")
    await phone.page.locator("[data-act=pause]").click()
    await phone.go("#/me")
    await expect(phone.page.locator("#screen")).to_contain_text("pas quitté ce téléphone")
    await expect(phone.page.locator("[data-act=forget]")).to_have_count(0)
    await phone.offline(is_off=False)
    await phone.sent("run.paused")
    await phone.go("#/start")
    await phone.go("#/me")
    async with phone.page.expect_event("domcontentloaded"):  # it is loaded anew
        await phone.page.locator("[data-act=forget]").click()
    await phone.shows("join")
    assert await phone.kept("device") is None


async def test_every_target_on_every_screen_is_64_pixels_high_and_8_apart(site: Site, page: Open, watch: Watch) -> None:
    watch.forgive("status of 404")
    phone = await Phone.on_duty(site, page, is_mobile=True, has_touch=True)
    sheet = await phone.kept(f"sheet:{phone.run_id}")
    stop = next(each for each in sheet["stops"] if each["tasks"])
    by_kind = {task["subject"].split("/")[0]: task["subject"] for each in sheet["stops"] for task in each["tasks"]}
    hashes = [f"#/{name}" for name in (*OWN, "scan", "today", "other", "outbox", "carry")]
    hashes += [f"#/{name}/{stop['stop_id']}" for name in ("stop", "address", "change")]
    hashes += [f"#/proof/{by_kind['item']}", "#/form/hazard.reported"]
    hashes += [
        f"#/{name}/{by_kind[kind].split('/')[1]}"
        for name, kind in (("visit", "visit"), ("pouch", "pouch"))
        if kind in by_kind
    ]
    faults: dict[str, list[str]] = {}
    for hash_ in hashes:
        await phone.go(hash_)
        await phone.page.wait_for_timeout(150)
        found = await phone.page.evaluate(TARGETS)
        faults |= {hash_: wrong} if (wrong := misplaced(found)) else {}
    assert faults == {}, "\n".join(f"{hash_}: {each}" for hash_, wrong in faults.items() for each in wrong)


def misplaced(targets: list[dict[str, Any]]) -> list[str]:
    """Name the targets that are too small, and the pairs that are too close; what scrolls goes below what is fixed."""
    small = [f"{each['name']}: {each['place']}" for each in targets if each["place"][3] < 63.5]
    pairs = [(one, other) for one, other in combinations(targets, 2) if one["layer"] == other["layer"]]
    close = [
        f"{one['name']} | {other['name']}: {gap:.0f}"
        for one, other in pairs
        if -40 < (gap := apart(one["place"], other["place"])) < 7.5
    ]
    return [*small, *close]


def apart(one: Box, other: Box) -> float:
    """Measure the gap of two boxes in one row or one column: the wider of their distances; far where they are in neither."""
    across = max(one[0] - other[0] - other[2], other[0] - one[0] - one[2])
    along = max(one[1] - other[1] - other[3], other[1] - one[1] - one[3])
    return max(across, along) if min(across, along) < 0 else math.inf


async def test_axe_finds_nothing_and_nothing_overflows(site: Site, page: Open, watch: Watch) -> None:
    del watch
    phone = await Phone.on_duty(site, page)
    for lang, look in (("fr", "light"), ("fr", "sun"), ("en", "dark")):
        await phone.worn(lang, "light")
        await phone.go("#/me")
        await phone.page.locator(f"[data-look={look}]").click()
        await walked(phone, f"{lang}-{look}")


async def walked(phone: Phone, worn: str) -> None:
    """Hold the screens of the frame to axe, and to narrow and zoomed windows."""
    for name in OWN:
        await phone.go(f"#/{name}")
        await expect(phone.page.locator("#screen")).not_to_contain_text("Question")
        await phone.drawn(f"{name}-{worn}")
        assert await violations(phone.page) == [], name
        assert await phone.page.locator("h1").count() == 1
        for width, height in (NARROW, ZOOMED):
            await phone.page.set_viewport_size({"width": width, "height": height})
            assert await overflow(phone.page) == [], (name, width)
        await phone.page.set_viewport_size({"width": 390, "height": 844})


async def test_the_page_alone_may_ask_for_the_camera_and_a_place(site: Site) -> None:
    found = site.service.ask("GET", "/handheld", headers={"Accept": "text/html"})
    assert "camera=(self), geolocation=(self)" in found.headers["permissions-policy"]
    assert "default-src 'none'" in found.headers["content-security-policy"]
    other = site.service.ask("GET", "/enrol", headers={"Accept": "text/html"})
    assert "camera=(), geolocation=()" in other.headers["permissions-policy"]
