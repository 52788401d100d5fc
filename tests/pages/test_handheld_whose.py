"""Whose things a phone keeps: nobody sends, sees or forgets another carrier's, and nothing of a place or a form is mixed up."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, Request, expect

from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.pages.handheld import OFFLINE, Phone, code, stored
from tests.pages.outbox_bed import sent_ids

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENT = 15_000
QUEUE = """async (wanted) => {
  const { outbox } = await import('/static/handheld/outbox.js');
  return (await outbox.queueAll(wanted)).map(({ id }) => id);
}"""
PICTURE = """async () => {
  const { outbox } = await import('/static/handheld/outbox.js');
  const canvas = new OffscreenCanvas(40, 30);
  canvas.getContext('2d').fillRect(0, 0, 20, 20);
  return outbox.picture(await canvas.convertToBlob({ type: 'image/png' }));
}"""
LEFT = """() => new Promise((resolve) => {
  const asked = indexedDB.open('fieldsvc-handheld');
  asked.onsuccess = async () => {
    const names = ['kept', 'outbox', 'media', 'receipts'];
    const stores = asked.result.transaction(names);
    const all = (name) => new Promise((found) => {
      const each = stores.objectStore(name).getAllKeys();
      each.onsuccess = () => found(each.result);
    });
    resolve(Object.fromEntries(await Promise.all(names.map(async (name) => [name, await all(name)]))));
    asked.result.close();
  };
})"""


def signal(name: str, **more: Any) -> dict[str, Any]:
    said = {"object_id": name, "kind": "mailbox", "value": True, **more.pop("data", {})}
    return {"type": "object.signalled", "subject": f"object/{name}", "data": said, **more}


def bearers(page: Page) -> list[tuple[str, list[str]]]:
    """Note of every request with events or a picture under which token it went: (token, the events' ids)."""
    found: list[tuple[str, list[str]]] = []

    def noted(request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.url.endswith("/v1/events"):
            found.append((token, sent_ids([request])[0]))
        elif "/v1/media/" in request.url:
            found.append((token, [request.url.rsplit("/", 1)[1]]))

    page.on("request", noted)
    return found


def two_of_a_site(site: Site) -> tuple[str, str]:
    first = site.town.rounds[0]
    return first.round_id, next(each.round_id for each in site.town.rounds[1:] if each.site == first.site)


async def queue(phone: Phone, *wanted: dict[str, Any]) -> list[str]:
    found: list[str] = await phone.page.evaluate(QUEUE, list(wanted))
    return found


async def unsent_of(site: Site, page: Open, round_id: str) -> tuple[Phone, list[str], str]:
    """A phone whose carrier said three things that the service cannot take yet, one with a picture."""
    phone = await Phone.joined(site, page, round_id)
    await phone.sent("sheet.seen")
    for each in ("**/v1/events", "**/v1/media/*"):
        await phone.page.route(each, lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}))
    picture: str = await phone.page.evaluate(PICTURE)
    ids = await queue(phone, signal("A"), signal("B"), signal("C", data={"evidence": [picture]}))
    return phone, ids, picture


async def enter(phone: Phone, round_id: str) -> None:
    """Enter a code of a round's carrier on a phone that somebody joined already."""
    await phone.page.evaluate("(hash) => { location.hash = hash; }", f"#{code(phone.site, round_id)}")
    await expect(phone.page.locator("#code")).to_have_value(re.compile(r"\w{4}"))
    await phone.page.locator("#screen button").first.click()


async def test_another_carrier_is_asked_first_and_what_the_former_said_leaves_as_the_former(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 503")
    one, two = two_of_a_site(site)
    phone, ids, picture = await unsent_of(site, page, one)
    former = await phone.kept("device")
    await enter(phone, two)
    notice = phone.page.locator("#screen .notice--warning")
    await expect(notice).to_contain_text("4 envois de la personne précédente", timeout=PATIENT)
    assert (await phone.kept("device"))["device_id"] == former["device_id"]
    assert await violations(phone.page) == []
    assert await overflow(phone.page) == []
    await expect(phone.page.get_by_role("link", name="Les confier, scellés")).to_be_visible()
    await phone.page.reload()  # the code is used up, and what it gave is kept
    await expect(notice).to_contain_text("4 envois", timeout=PATIENT)
    await phone.page.evaluate("() => { location.hash = '#/outbox'; }")
    await expect(notice).to_contain_text("4 envois", timeout=PATIENT)
    await phone.page.locator("[data-act=go-on]").click()
    await phone.shows("start")
    now = await phone.kept("device")
    assert now["carrier"] != former["carrier"]
    await phone.go("#/outbox")
    await expect(phone.page.locator(".summary__former")).to_contain_text(
        "4 envois de la personne précédente", timeout=PATIENT
    )
    for each in ids:
        await expect(phone.page.locator(f"[data-entry='{each}']")).to_have_count(0)
    sent = bearers(phone.page)
    (own,) = await queue(phone, signal("D"))
    await phone.page.unroute_all()
    await phone.page.evaluate("() => import('/static/handheld/outbox.js').then(({outbox}) => outbox.retry())")
    await phone.sent("object.signalled", 4)
    await expect(phone.page.locator(".summary__former")).to_have_count(0, timeout=PATIENT)
    tokens = {each: token for token, found in sent for each in found}
    assert {tokens[each] for each in ids} == {former["token"]}
    assert tokens[own] == now["token"]
    assert tokens[picture] == former["token"]
    assert stored(site, [{"id": each} for each in (*ids, own)]) == {*ids, own}
    assert (await phone.kept(f"device:{former['device_id']}"))["token"] is None


async def test_what_is_unsent_leaves_first_where_that_is_chosen_and_then_the_other_is_joined(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 503")
    one, two = two_of_a_site(site)
    phone, ids, _ = await unsent_of(site, page, one)
    former = await phone.kept("device")
    await enter(phone, two)
    sent = bearers(phone.page)
    await phone.page.unroute_all()
    await phone.page.locator("[data-act=wait]").click()
    await phone.shows("start")
    assert (await phone.kept("device"))["carrier"] != former["carrier"]
    assert {token for token, found in sent if set(found) & set(ids)} == {former["token"]}


async def test_a_carrier_who_joins_again_sends_what_waited_under_the_new_credentials(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("status of 503")
    one, _ = two_of_a_site(site)
    phone, ids, _ = await unsent_of(site, page, one)
    before = await phone.kept("device")
    await enter(phone, one)
    await phone.welcomed()
    sent = bearers(phone.page)
    await phone.page.unroute_all()
    now = await phone.kept("device")
    assert now["device_id"] != before["device_id"]
    await phone.page.evaluate("() => import('/static/handheld/outbox.js').then(({outbox}) => outbox.retry())")
    await phone.sent("object.signalled", 3)
    assert {token for token, found in sent if set(found) & set(ids)} == {now["token"]}


async def test_forgetting_wipes_all_that_was_noted_and_waits_for_what_is_carried_for_a_colleague(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive(*OFFLINE)
    phone = await Phone.joined(site, page, two_of_a_site(site)[0])
    picture = await phone.page.evaluate(PICTURE)
    await queue(phone, signal("E", data={"evidence": [picture]}))
    await phone.sent("object.signalled")
    envelope = {"size": 3, "state": "waiting", "counts": None, "reason": "offline", "tries": 0, "next_at": 4e12}
    await phone.keep("carried", [{"name": "ABCDEFGH", "taken_at": 1, "envelopes": [envelope]}])
    await phone.keep("draft:#/form/x", {"at": 1})
    await phone.go("#/me")
    await expect(phone.page.locator("#screen")).to_contain_text(
        "La file d'un collègue est encore dans ce téléphone", timeout=PATIENT
    )
    await expect(phone.page.locator("[data-act=forget]")).to_have_count(0)
    await phone.keep("carried", [])
    await phone.page.locator("[data-act=forget]").click(timeout=PATIENT)
    await expect(phone.page.locator("html[data-screen=join]")).to_be_attached(timeout=PATIENT)
    await phone.page.wait_for_function("() => performance.getEntriesByType('navigation')[0].type === 'reload'")
    left = await phone.page.evaluate(LEFT)
    assert left["outbox"] == left["media"] == left["receipts"] == []
    assert {each for each in left["kept"] if not each.startswith("_")} <= {"epoch", "relay_key", "look"}
    for hash_ in ("#/outbox", "#/carry", "#/stop/st-1", "#/proof/item/RK1FR", "#/end"):
        await phone.page.evaluate("(hash) => { location.hash = hash; }", hash_)
        await phone.page.wait_for_function("() => location.hash === '#/join'")


async def test_what_was_said_at_a_stop_of_another_run_is_not_said_of_this_ones(site: Site, page: Open) -> None:
    phone = await Phone.joined(site, page, two_of_a_site(site)[0])
    await phone.sent("sheet.seen")
    stop = site.town.rounds[0].stops[3].stop_id
    given = {"item_id": "RK900000001FR", "to": "addressee", "stop_id": stop}
    wanted = {"type": "item.delivered", "subject": "item/RK900000001FR", "data": given, "holdMs": 600_000}
    (today,) = await queue(phone, wanted)
    run = await phone.kept("run")
    await phone.keep("run", {**run, "run_id": f"run-{site.day}-T99"})
    (other,) = await queue(phone, {**wanted, "data": {**given, "item_id": "RK900000002FR"}})
    await phone.keep("run", run)
    await phone.go(f"#/stop/{stop}")
    await expect(phone.page.locator("#screen")).to_contain_text("RK900000001FR", timeout=PATIENT)
    await expect(phone.page.locator("#screen")).not_to_contain_text("RK900000002FR")
    entries = {each["id"]: each for each in await phone.entries("item.delivered")}
    assert entries[today]["where"]
    await phone.page.evaluate(
        """([id, where]) => import('/static/handheld/kept.js').then(async ({open, done}) => {
          const kept = await open();
          await kept.write(['outbox'], async ({outbox}) => {
            const entry = await done(outbox.index('id').get(id));
            outbox.put({...entry, where});
          });
        })""",
        [other, "9 rue d'hier"],
    )
    await phone.go("#/outbox")
    await expect(phone.page.locator(f"[data-entry='{other}']")).to_contain_text("9 rue d'hier", timeout=PATIENT)
    await expect(phone.page.locator(f"[data-entry='{today}']")).to_contain_text(entries[today]["where"])


async def test_a_form_is_as_it_was_after_back_and_forward_until_it_is_saved(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page, two_of_a_site(site)[0])
    stop = site.town.rounds[0].stops[3].stop_id
    await phone.go(f"#/proof/item/RK900000009FR?stop={stop}")
    await phone.page.locator("#screen .choice").last.wait_for()
    names = phone.page.locator("#proof-surname")
    if not await names.is_visible():
        await phone.page.locator(".choices").first.locator("button").nth(1).click()
    await names.fill("Durand")
    await phone.page.locator("#proof-first_name").fill("Zoé")
    await phone.page.go_back()
    await phone.shows("scan")
    await phone.page.go_forward()
    await phone.shows("proof")
    await expect(names).to_have_value("Durand", timeout=PATIENT)
    await expect(phone.page.locator("#proof-first_name")).to_have_value("Zoé")
    await phone.go(f"#/address/{stop}")
    await phone.page.locator(".pick").filter(has_text="Mauvais numéro").click()
    street = phone.page.locator(".parts__street input")
    await street.fill("rue Neuve")
    await phone.page.locator(".parts__number input").fill("12")
    await phone.page.locator(".parts__postcode input").fill("93140")
    await phone.page.locator(".parts__town input").fill("Bondy")
    await phone.page.go_back()
    await phone.shows("proof")
    await phone.page.go_forward()
    await phone.shows("address")
    await expect(street).to_have_value("rue Neuve", timeout=PATIENT)
    assert await phone.kept(f"draft:#/address/{stop}")
    await phone.page.evaluate(
        """() => [...document.querySelectorAll('.form > .field--group, .form > fieldset')]
          .filter((each) => each.checkVisibility() && each.querySelector('[type=radio]') && !each.querySelector(':checked'))
          .forEach((each) => each.querySelector('[type=radio]').click())"""
    )
    await phone.page.locator(".form__save button").click()
    await expect(phone.page.locator("#toast .toast__undo")).to_be_visible(timeout=PATIENT)
    await phone.page.wait_for_function("() => !document.querySelector('.form__save')")
    assert await phone.kept(f"draft:#/address/{stop}") is None


async def test_an_address_that_leads_to_nothing_says_so_and_nothing_can_be_saved(site: Site, page: Open) -> None:
    phone = await Phone.on_duty(site, page, two_of_a_site(site)[0])
    for hash_ in (
        "#/proof/%",
        "#/proof/",
        "#/proof/item/",
        "#/proof/item/%E0%A4%A",
        "#/visit/",
        "#/visit/%",
        "#/pouch/",
    ):
        await phone.go(hash_)
        await expect(phone.page.locator("#screen")).to_contain_text("Lieu inconnu", timeout=PATIENT)
        await expect(phone.page.locator("#screen button, #screen input")).to_have_count(0)
        await expect(phone.page.locator("#screen a[href='#/today']")).to_be_visible()
