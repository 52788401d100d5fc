"""What must not go wrong on the phone's page: two tabs, a full phone, a touch twice, another day, a scan into a field."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.pages.browser import PHONE, Site, Watch
from tests.pages.handheld import OFFLINE, Phone
from tests.pages.test_handheld_work import ordered, plain, registered

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUND = "T03"
# a phone without room: what is put into these stores fails, of `kept` only what the page notes of the day
FULL = """(stores) => {
  for (const way of ['add', 'put']) {
    const was = (window.roomy ??= {})[way] ??= IDBObjectStore.prototype[way];
    IDBObjectStore.prototype[way] = function (value, key) {
      const isFull = stores.includes(this.name) && (this.name !== 'kept' || String(key).startsWith('day:'));
      if (isFull) throw new DOMException('full', 'QuotaExceededError');
      return was.apply(this, arguments);
    };
  }
}"""
TWICE = "(each) => { each.click(); each.click(); }"
DAY_LATER = """() => { const now = Date.now.bind(Date); const Was = Date; const skew = 86_400_000;
  window.Date = class extends Was { constructor(...given) { super(...(given.length ? given : [now() + skew])); }
    static now() { return now() + skew; } }; }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def joined(site: Site, browser: Browser) -> AsyncIterator[tuple[Phone, Watch]]:
    """One phone on duty for all of these cases."""
    watch = Watch(site)
    watch.forgive(*OFFLINE)

    async def opened(path: str = "/handheld", **more: Any) -> Page:
        return await watch.open(
            browser,
            path,
            **{"lang": "fr", "theme": "light", "js": True, "role": None, "at": None, "size": PHONE, **more},
        )

    phone = await Phone.on_duty(site, opened, ROUND)
    yield phone, watch
    await watch.close()
    assert watch.unforgiven == []


@pytest_asyncio.fixture(loop_scope="session")
async def phone(joined: tuple[Phone, Watch]) -> Phone:
    """The phone as it is opened anew, on the scanner in the mode that delivers."""
    found = joined[0]
    await found.offline(is_off=False)
    await found.go("#/scan")
    await found.page.reload()
    await found.shows("scan")
    await mode(found.page, "deliver")
    return found


async def mode(page: Page, name: str) -> None:
    await page.locator(f"[data-mode={name}]").click()
    await expect(page.locator(f"[data-mode={name}][aria-pressed=true]")).to_be_visible()


async def card(phone: Phone, kind: str, words: str = "") -> None:
    shown = phone.page.locator(f".scan-card[data-kind={kind}]")
    await expect(shown).to_contain_text(words)


async def sheet_with(phone: Phone, item: str) -> None:
    """Ask for the sheet anew, and wait until an item is on it."""
    await phone.page.evaluate("() => { dispatchEvent(new Event('online')); }")
    for _ in range(150):
        if item in str(await phone.kept(f"sheet:{phone.run_id}")):
            return
        await phone.page.wait_for_timeout(100)
    raise AssertionError(item)


async def undo(phone: Phone) -> None:
    await phone.page.locator("#toast button").click()


async def said(phone: Phone) -> list[str]:
    return [each["event"]["type"] for each in await phone.entries()]


async def facts(phone: Phone, item: str) -> set[str]:
    own = await phone.kept(f"day:{phone.run_id}")
    return set(own["facts"].get(f"item/{item}", {}))


async def test_two_tabs_keep_each_other_s_work_and_show_it(phone: Phone) -> None:
    first, second = plain(), plain()
    other = Phone(await phone.page.context.new_page(), phone.site, ROUND)
    await other.page.goto(f"{phone.site.url}/handheld#/scan")
    await other.shows("scan")
    await phone.scan(first)
    await card(phone, "deliver", first)
    await other.scan(second)
    await card(other, "deliver", second)
    assert (await facts(phone, first), await facts(phone, second)) == ({"delivered"}, {"delivered"})
    await phone.scan(second)
    await card(phone, "done", second)
    await phone.go("#/start")
    await phone.page.locator("[data-act=pause]").click()
    await expect(other.page.locator("#notes")).to_contain_text("En pause")
    await other.page.locator("#notes button").click()
    await expect(phone.page.locator("[data-act=pause]")).to_be_visible()
    await other.page.close()


async def test_a_full_phone_says_that_duty_has_not_changed(phone: Phone) -> None:
    await phone.go("#/start")
    await phone.page.evaluate(FULL, ["outbox"])
    before = await said(phone)  # the phone may just have said by itself that it saw the sheet
    await phone.page.locator("[data-act=pause]").click()
    await expect(phone.page.locator("#toast")).to_contain_text("Votre service n'a pas changé")
    await phone.go("#/end")
    await phone.page.locator("[data-act=end]").click()
    await expect(phone.page.locator("[data-act=end]")).to_be_visible()
    assert (await phone.kept(f"day:{phone.run_id}"))["duty"] == "on"
    assert await said(phone) == before
    await phone.page.evaluate(FULL, [])
    await phone.go("#/start")
    await phone.page.locator("[data-act=pause]").evaluate(TWICE)
    await expect(phone.page.locator("[data-act=resume]")).to_be_visible()
    await phone.page.locator("[data-act=resume]").evaluate(TWICE)
    await expect(phone.page.locator("[data-act=pause]")).to_be_visible()
    of_duty = [name for name in (await said(phone))[len(before) :] if ".run." in name]
    assert of_duty == ["fieldsvc.run.paused.v1", "fieldsvc.run.resumed.v1"]


async def test_a_phone_that_can_keep_nothing_more_sends_an_alarm_as_it_is(phone: Phone) -> None:
    await phone.go("#/urgent")
    await phone.page.evaluate(FULL, ["outbox"])
    await phone.page.locator("[data-kind=accident]").click()
    await expect(phone.page.locator("#screen [role=status]")).to_contain_text("Arrivée")
    assert await phone.entries("alarm.raised") == []
    await phone.page.evaluate(FULL, [])


async def test_a_touch_twice_does_the_thing_once_and_undo_takes_it_back(phone: Phone) -> None:
    item = registered()
    ordered(phone.site, item, place=5, round_id=ROUND, requirements=["signature"])
    await sheet_with(phone, item)
    await phone.scan(item)
    await card(phone, "registered", item)
    await phone.page.get_by_role("button", name="Absent", exact=True).evaluate(TWICE)
    await card(phone, "notice", item)
    said = [each for each in await phone.entries() if each["event"].get("subject") == f"item/{item}"]
    assert [each["event"]["type"].split(".")[2] for each in said] == ["delivery_attempted", "held"]
    await undo(phone)
    await card(phone, "undone")
    assert [each["state"] for each in await phone.entries("item.held")][-1] == "undone"
    visit = f"V-{phone.site.day:%Y%m%d}003"
    await phone.go(f"#/visit/{visit}")
    arrive = phone.page.get_by_role("button", name="Je suis arrivé")
    await arrive.evaluate(TWICE)
    await expect(arrive).to_have_count(0)
    assert len([each for each in await phone.entries("home_visit.started") if each["state"] != "undone"]) == 1
    await undo(phone)
    await expect(arrive).to_be_visible()


async def test_a_saved_event_is_said_to_be_kept_and_a_failed_scan_is_no_echo(phone: Phone) -> None:
    kept, failed = plain(), plain()
    await phone.page.evaluate(FULL, ["kept"])
    await phone.scan(kept)
    await card(phone, "deliver", kept)
    await expect(phone.page.locator("#toast")).to_contain_text("seule la note")
    await expect(phone.page.locator("#toast button")).to_be_visible()
    await phone.page.evaluate(FULL, ["outbox"])
    await phone.scan(failed)
    await expect(phone.page.locator("#toast")).to_contain_text("Rien n'a été gardé")
    await phone.page.evaluate(FULL, [])
    await phone.scan(failed)  # at once
    await card(phone, "deliver", failed)
    said = [each["event"]["data"]["item_id"] for each in await phone.entries("item.delivered")]
    assert (said.count(kept), said.count(failed)) == (1, 1)


async def test_undoing_a_load_brings_back_what_was_known_before(phone: Phone) -> None:
    item = plain()
    await mode(phone.page, "back")
    await phone.scan(item)
    await card(phone, "back", item)
    await mode(phone.page, "load")
    await phone.scan(item)
    await card(phone, "load", item)
    assert await facts(phone, item) == {"loaded"}
    await undo(phone)
    await card(phone, "undone")
    assert await facts(phone, item) == {"returned"}


async def test_a_scan_into_a_name_is_a_scan_and_leaves_the_name_alone(phone: Phone) -> None:
    items = [registered(), registered()]
    for item in items:
        ordered(phone.site, item, place=7, round_id=ROUND, requirements=["signature"])
    await sheet_with(phone, items[-1])
    await phone.scan(items[0])
    await card(phone, "registered", items[0])
    await phone.go(f"#/proof/item/{items[0]}")
    await phone.page.locator(".proof__part").first.locator(".choice").last.click()  # somebody else
    field = phone.page.locator("#proof-surname")
    await field.fill("Sour")
    await phone.scan(items[1])
    await expect(phone.page.locator(".item-ids li")).to_have_count(2)
    await expect(field).to_have_value("Sour")
    await phone.page.keyboard.type("deval")
    await phone.page.keyboard.press("Enter")  # no label, however fast
    await expect(field).to_have_value("Sourdeval")


async def test_yesterday_s_sheet_is_said_to_be_yesterday_s_and_scans_are_kept_without_its_run(phone: Phone) -> None:
    item = registered()
    ordered(phone.site, item, place=9, round_id=ROUND, requirements=["signature"])
    await phone.controlled()
    await sheet_with(phone, item)
    await phone.scan(item)
    await card(phone, "registered", item)
    await phone.page.get_by_role("button", name="Absent", exact=True).click()
    await card(phone, "notice", item)
    await phone.offline()
    await phone.page.context.add_init_script(f"({DAY_LATER})()")
    await phone.go("#/start")
    await phone.page.reload()
    await phone.shows("start")
    day = phone.site.day
    await expect(phone.page.locator("#notes")).to_contain_text(f"Feuille du {weekday(day)} {day.day}")
    await expect(phone.page.locator("#screen")).to_contain_text("La feuille d'aujourd'hui n'est pas encore")
    await expect(phone.page.locator("[data-act]")).to_have_count(0)
    await phone.go("#/scan")
    await mode(phone.page, "deliver")
    await phone.scan(item)
    await card(phone, "registered", item)
    await phone.scan(plain())
    await card(phone, "deliver")
    said = (await phone.entries("item.delivered"))[-1]["event"]
    assert "runid" not in said
    assert said["time"][:10] > day.isoformat()


def weekday(day: date) -> str:
    return ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"][day.weekday()]
