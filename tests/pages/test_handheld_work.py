"""The scanner at a real service: what each case costs in touches, and what reached the journal."""

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from fieldsvc.simulate.ids import s10
from tests.acceptance.service import Caller
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.pages.handheld import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUND = "T05"
FORM = "application/x-www-form-urlencoded"
SERIALS = itertools.count(71_000_001, 137)
COUNTER = """() => {
  window.touches = 0;
  addEventListener('pointerdown', (event) => event.isTrusted && (window.touches += 1), true);
  addEventListener('keydown', (event) => event.isTrusted && !window.scanning && (window.touches += 1), true);
}"""
# every target that is seen on the screen, lower or narrower than a wet thumb needs
SMALL = """() => [...document.querySelectorAll('#screen :is(button, a, summary, input, textarea, select), #toast button')]
  .filter((each) => each.checkVisibility() && !each.classList.contains('visually-hidden'))
  .map((each) => [each.textContent.trim().slice(0, 30) || each.id, each.getBoundingClientRect()])
  .filter(([, box]) => box.height < 63.5 || box.width < 63.5).map(([text, box]) => `${text} ${box.width}x${box.height}`)"""
# a browser that can: a detector that sees one code, and a camera that is a canvas with a torch
CAMERA = """(code) => {
  window.BarcodeDetector = class {
    static async getSupportedFormats() { return ['code_128']; }
    async detect() { return [{ rawValue: code }]; }
  };
  const drawn = document.createElement('canvas');
  setInterval(() => drawn.getContext('2d').fillRect(0, 0, Math.random() * 99, 8), 50);
  navigator.mediaDevices.getUserMedia = async () => {
    const stream = drawn.captureStream();
    const [track] = stream.getVideoTracks();
    track.getCapabilities = () => ({ torch: true });
    track.applyConstraints = async () => {};
    return stream;
  };
}"""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
Note = Callable[[str], None]


def registered() -> str:
    return s10("RK", next(SERIALS))


def plain() -> str:
    return s10("LL", next(SERIALS))


@dataclass
class Hands:
    """A carrier at work: orders made for a round, a phone on it, and a count of every touch."""

    site: Site
    phone: Phone
    started: float = field(default_factory=time.monotonic)

    @property
    def page(self) -> Any:
        return self.phone.page

    async def scan(self, code: str, kind: str | None = None) -> Locator:
        """Scan, and wait for the card that follows; what the scanner types is no touch."""
        await self.page.evaluate("() => { window.scanning = true; }")
        await self.phone.scan(code)
        await self.page.evaluate("() => { window.scanning = false; }")
        return await self.card(kind) if kind else self.page.locator(".scan-card")

    async def card(self, kind: str) -> Locator:
        shown: Locator = self.page.locator(f".scan-card[data-kind={kind}]")
        await expect(shown).to_be_visible()
        return shown

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).first.click()

    async def sign(self, label: str = "Signature de la personne") -> None:
        """Draw one stroke, as a finger does: one touch."""
        canvas = self.page.get_by_label(label).first
        await canvas.evaluate("(each) => each.scrollIntoView({ block: 'center' })")
        box = await canvas.bounding_box()
        assert box is not None
        await self.page.mouse.move(box["x"] + 30, box["y"] + 90)
        await self.page.mouse.down()
        for n in range(1, 12):
            await self.page.mouse.move(box["x"] + 30 + 18 * n, box["y"] + 90 + (40 if n % 2 else -40))
        await self.page.mouse.up()

    @asynccontextmanager
    async def case(self, name: str, note: Note, *, most: int) -> AsyncIterator[None]:
        """Count the touches and the seconds of a case, and tell them."""
        await self.page.evaluate("() => { window.touches = 0; }")
        began = time.monotonic()
        yield
        touches = await self.page.evaluate("() => window.touches")
        note(f"phone: {name}: {touches} touches, {time.monotonic() - began:.1f} s")
        assert touches <= most, (name, touches)

    async def settled(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Let time pass on the phone until what can no longer be undone was sent and answered."""
        for _ in range(20):
            await self.page.clock.fast_forward(6_000)
            for _ in range(10):
                found = [each for each in await self.phone.entries(kind) if each["state"] == "accepted"]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.1)
        raise AssertionError([(each["state"], each["reason"]) for each in await self.phone.entries(kind)])

    def journal(self, item_id: str) -> list[dict[str, Any]]:
        """Read what is public of an item, oldest first, as the operator's own systems do."""
        found = reader(self.site).feed("item.*,event.corrected,custody.*")
        return [each for each in found if each["subject"] == f"item/{item_id}"]


def reader(site: Site) -> Caller:
    return site.callers.get("handheld-reader") or site.account("handheld-reader", "operator")


def sender(site: Site) -> Caller:
    return site.callers.get("handheld-sender") or site.account("handheld-sender", "order:item")


def ordered(site: Site, item_id: str, *, place: int, round_id: str = ROUND, **more: Any) -> str:
    """Order an item for the stop at a place of the round; gives the stop's id."""
    plan = next(each for each in site.town.rounds if each.round_id == round_id)
    stop = plan.stops[place]
    body = {
        "service": "item",
        "subject": f"item/{item_id}",
        "on": site.day.isoformat(),
        "delivery_point": stop.point.id,
    }
    made = sender(site).ask("POST", "/v1/tasks", {**body, "addressee": "Samir Sourdeval", **more})
    assert made.status == 201, made.body
    return str(stop.stop_id)


async def at_work(site: Site, page: Open, *, duty: bool = True, **more: Any) -> Hands:
    """Join a phone and begin the service, unless another test has begun it."""
    phone = await Phone.joined(site, page, ROUND, **more)
    begin, scan = phone.page.locator("[data-act=begin]"), phone.page.locator("#screen a[href='#/scan']")
    await expect(begin.or_(scan).first).to_be_visible()
    if duty and await begin.count():
        await begin.click()
    await phone.go("#/scan")
    await phone.page.clock.install(time=datetime.now(UTC))
    await phone.page.clock.pause_at(
        datetime.now(UTC) + timedelta(seconds=60)
    )  # a busy machine takes nobody's ten seconds
    await phone.page.evaluate(COUNTER)
    return Hands(site, phone)


async def test_a_plain_item_in_the_box_is_one_scan_and_no_touch(site: Site, page: Open, note: Note) -> None:
    first, second = plain(), plain()
    stop = ordered(site, first, place=3)
    hands = await at_work(site, page)
    await hands.press("Distribuer")
    async with hands.case("plain item in the box", note, most=0):
        card = await hands.scan(first, "deliver")
        await expect(card).to_contain_text("En boîte")
    assert [each["state"] for each in await hands.phone.entries("item.delivered")] == ["held"]
    await expect(hands.page.locator("#toast button")).to_be_visible()
    box = await hands.page.locator("#toast button").bounding_box()
    assert box is not None
    assert box["height"] >= 64
    await hands.scan(first)  # the same label under the same beam
    card = await hands.scan(second, "deliver")
    await expect(card).to_contain_text("Comme le scan d'avant")
    sent = await hands.settled("item.delivered", 2)
    assert [each["event"]["data"]["item_id"] for each in sent] == [first, second]
    told = hands.journal(first)[-1]
    assert (told["type"], told["data"]["to"]) == ("fieldsvc.item.delivered.v1", "mailbox")
    assert told["data"]["located"]["stop_id"] == stop
    assert hands.journal(second)[-1]["data"]["located"]["stop_id"] == stop


async def test_undo_takes_the_scan_back_and_nothing_is_sent(site: Site, page: Open, note: Note) -> None:
    item = plain()
    ordered(site, item, place=4)
    hands = await at_work(site, page)
    await hands.press("Distribuer")
    async with hands.case("undo", note, most=1):
        await hands.scan(item, "deliver")
        await hands.page.locator("#toast button").click()
        await hands.card("undone")
    assert [each["state"] for each in await hands.phone.entries("item.delivered")] == ["undone"]
    await hands.scan(item, "deliver")  # at once, and it is no echo
    await hands.settled("item.delivered")
    assert [each["type"] for each in hands.journal(item) if "item." in each["type"]] == ["fieldsvc.item.delivered.v1"]


async def code_is_known(site: Site, written: str) -> bool:
    """Ask as somebody does who holds the paper notice."""
    sent = site.service.ask("POST", "/suivi/avis", f"code={written}", headers={"Content-Type": FORM})
    return sent.status == 303


async def test_a_registered_item_and_nobody_home_is_a_scan_and_one_touch(site: Site, page: Open, note: Note) -> None:
    item = registered()
    ordered(site, item, place=5, requirements=["identity", "signature"])
    hands = await at_work(site, page)
    await hands.press("Charger")
    await hands.scan(item, "load")
    await hands.press("Distribuer")
    async with hands.case("registered, absent", note, most=1):
        card = await hands.scan(item, "registered")
        await expect(card).to_contain_text("Samir Sourdeval")
        await hands.press("Absent")
        card = await hands.card("notice")
    for word in ("À retirer à", "Jusqu'au", "Code de l'avis", item):
        await expect(card.locator(".paper")).to_contain_text(word)
    written = await card.locator(".paper dd").last.inner_text()
    await hands.settled("item.held")
    assert await code_is_known(site, written)
    attempted, held = hands.journal(item)[-2:]
    assert attempted["type"] == "fieldsvc.item.delivery_attempted.v1"
    assert (attempted["data"]["reason"], attempted["data"]["next"]) == ("absent", "office_hold")
    assert held["type"] == "fieldsvc.item.held.v1"
    assert held["data"]["office"].lower() == next(each.site for each in site.town.rounds if each.round_id == ROUND)
    assert held["data"]["until"] > site.day.isoformat()


async def test_a_registered_item_delivered_costs_six_touches_at_most_and_nothing_is_missing(
    site: Site, page: Open, note: Note
) -> None:
    item = registered()
    stop = ordered(site, item, place=6, requirements=["registered", "signature"])
    hands = await at_work(site, page)
    await hands.press("Charger")
    await hands.scan(item, "load")
    await hands.press("Distribuer")
    async with hands.case("registered, delivered and signed", note, most=6):
        await hands.scan(item, "registered")
        await hands.press("Remis")
        await hands.phone.shows("proof")
        await hands.page.get_by_role("button", name="Carte d'identité").click()
        await hands.sign()
        await hands.press("Enregistrer la remise")
        card = await hands.card("handed")
    await expect(card).to_contain_text("Samir Sourdeval")
    sent = (await hands.settled("item.delivered"))[0]
    assert sent["result"]["warnings"] == []
    proof = sent["event"]["data"]["proof"]
    assert proof["acceptor"] == {"surname": "Sourdeval", "first_name": "Samir", "capacity": "addressee"}
    assert proof["identity"] == {"document_kind": "identity_card"}
    assert len(proof["signature"]) == 64
    told = hands.journal(item)[-1]
    assert (told["data"]["to"], told["data"].get("missing")) == ("addressee", None)
    assert told["data"]["located"]["stop_id"] == stop
    assert "Signed" in told["data"]["proof"]["words"] or "signed" in told["data"]["proof"]["words"]


async def test_a_firm_signs_once_for_what_was_scanned_on_its_form(site: Site, page: Open, note: Note) -> None:
    items = [registered() for _ in range(3)]
    for item in items:
        ordered(site, item, place=7, requirements=["signature"])
    hands = await at_work(site, page)
    await hands.press("Charger")
    for item in items:
        await hands.scan(item)
        await expect(hands.page.locator(".scan-card[data-kind=load]")).to_contain_text(item)
    await hands.press("Distribuer")
    async with hands.case("three items, one signature", note, most=6):
        await hands.scan(items[0], "registered")
        await hands.scan(items[1])
        await expect(hands.page.locator(".scan-card__title")).to_contain_text("2")
        await hands.press("Remis")
        await hands.phone.shows("proof")
        await hands.scan(items[2])
        await expect(hands.page.locator(".item-ids li")).to_have_count(3)
        await hands.page.get_by_role("button", name="Passeport").click()
        await hands.sign()
        await hands.press("Enregistrer la remise")
        await hands.card("handed")
    sent = await hands.settled("item.delivered")
    assert [each["event"]["data"]["item_ids"] for each in sent] == [items]
    assert all(hands.journal(item)[-1]["type"] == "fieldsvc.item.delivered.v1" for item in items)


async def test_twenty_items_are_loaded_by_twenty_scans_and_no_touch(site: Site, page: Open, note: Note) -> None:
    items = [plain() for _ in range(20)]
    hands = await at_work(site, page)
    await hands.press("Charger")
    async with hands.case("loading 20 items", note, most=0):
        for n, item in enumerate(items):
            await hands.scan(item)
            await expect(hands.page.locator(".scan-card[data-kind=load]")).to_contain_text(item)
            assert n < 20
    await hands.scan(items[0], "again")
    await hands.settled("item.loaded", 20)
    loaded = {each["subject"] for each in reader(site).feed("item.loaded")}
    assert {f"item/{item}" for item in items} <= loaded


async def test_far_from_the_door_the_scanner_says_so_and_a_touch_corrects_it(
    site: Site, page: Open, note: Note
) -> None:
    plan = next(each for each in site.town.rounds if each.round_id == ROUND)
    here, item = plan.stops[30].point, plain()
    place = {"latitude": here.lat, "longitude": here.lon, "accuracy": 6}
    ordered(site, item, place=2)
    hands = await at_work(site, page, geolocation=place, permissions=["geolocation"])
    await hands.press("Distribuer")
    async with hands.case("wrong door, corrected", note, most=1):
        await hands.scan(item, "deliver")
        await hands.settled("item.delivered")
        warned = hands.page.locator(".warn-card[data-code=wrong_door]")
        await expect(warned).to_be_visible()
        await expect(warned).to_contain_text("Loin de la porte prévue")
        await warned.get_by_role("button", name=f"C'était {here.address.split(', ')[0]}").click()
        await expect(warned).to_have_count(0)
    said = await hands.settled("item.delivered", 2)
    assert [each["event"]["data"]["item_id"] for each in said] == [item, item]
    corrected = (await hands.settled("event.corrected"))[0]
    assert corrected["event"]["data"]["corrects"] == said[0]["id"]
    assert said[1]["event"]["data"]["stop_id"] == plan.stops[30].stop_id


async def test_a_misread_code_offers_what_the_sheet_expects(site: Site, page: Open, note: Note) -> None:
    item = registered()
    ordered(site, item, place=8, requirements=["signature"])
    swapped = item[:4] + item[5] + item[4] + item[6:] if item[4] != item[5] else item[:5] + item[6] + item[5] + item[7:]
    hands = await at_work(site, page)
    await hands.press("Distribuer")
    async with hands.case("misread code", note, most=1):
        card = await hands.scan(swapped, "misread")
        await card.get_by_role("button", name=item).click()
        await hands.card("registered")
    card = await hands.scan("RK473124828GB", "misread")
    await expect(card).to_contain_text("chiffre de contrôle")
    card = await hands.scan("http://example", "unknown")
    await expect(card).to_contain_text("Pas un objet")
    assert await hands.phone.entries("item.delivered") == []


async def test_a_pouch_and_a_visit_lead_to_their_own_screens(site: Site, page: Open, note: Note) -> None:
    hands = await at_work(site, page)
    day = f"{site.day:%Y%m%d}"
    await hands.press("Distribuer")
    async with hands.case("pouch, to its screen", note, most=0):
        await hands.scan(f"P-{day}005")
        await hands.phone.shows("pouch")
    await hands.scan(f"V-{day}005")  # on a form that is being filled in nothing is thrown away
    await expect(hands.page.locator("#toast")).to_contain_text("Terminez d'abord")
    await hands.phone.go("#/today")
    await hands.scan(f"V-{day}005")
    await hands.phone.shows("visit")


async def test_what_the_customer_asked_for_is_said_first_and_the_item_stays(site: Site, page: Open) -> None:
    item = plain()
    ordered(site, item, place=11)
    postcode = site.town.rounds[0].stops[0].point.postcode
    asked = site.service.ask(
        "POST",
        "/v1/delivery-changes",
        {"kind": "hold", "item_id": item, "to": str(site.day + timedelta(days=5)), "details": {"postcode": postcode}},
        to_json=True,
    )  # fmt: skip
    assert asked.status in (201, 202), asked.body
    hands = await at_work(site, page)
    await hands.press("Distribuer")
    card = await hands.scan(item, "keep")
    await expect(card).to_contain_text("Garde du courrier")
    assert await hands.phone.entries("item.delivered") == []
    await hands.phone.go("#/today")
    await hands.page.get_by_role("button", name="Faites").click()
    kept = hands.page.locator(f".task[data-subject='item/{item}']")
    await expect(kept).to_contain_text("à rapporter")
    await expect(kept).to_contain_text("Demande du client")
    await hands.phone.go("#/scan")
    await hands.press("Distribuer quand même")
    await hands.card("deliver")
    assert [each["state"] for each in await hands.phone.entries("item.delivered")] == ["held"]


async def test_without_drawing_a_photo_is_taken_and_the_phone_says_what_the_proof_lacks(
    site: Site, page: Open, note: Note
) -> None:
    item = registered()
    ordered(site, item, place=12, requirements=["registered"])
    hands = await at_work(site, page)
    await hands.press("Charger")
    await hands.scan(item, "load")
    await hands.press("Distribuer")
    async with hands.case("registered, cannot sign: photo", note, most=6):
        await hands.scan(item, "registered")
        await hands.press("Remis")
        await hands.phone.shows("proof")
        await hands.page.get_by_role("button", name="Passeport").click()
        await hands.press("Enregistrer la remise")
        await expect(hands.page.locator("#proof-fault")).to_contain_text("Il manque la signature")
        await hands.page.get_by_text("La personne ne peut pas signer").click()
        await hands.page.set_input_files(
            ".photo__input", files=[{"name": "a.png", "mimeType": "image/png", "buffer": PIXEL}]
        )
        await expect(hands.page.locator(".photo__small")).to_be_visible()
        await hands.press("Enregistrer la remise")
        await hands.card("handed")
    sent = (await hands.settled("item.delivered"))[0]
    assert sent["result"]["warnings"] == ["missing_proof"]
    assert len(sent["event"]["data"]["proof"]["photo"]) == 64
    warned = hands.page.locator(".warn-card[data-code=missing_proof]")
    await expect(warned).to_contain_text("Il manque : la signature")
    await warned.get_by_role("button", name="C'est lu").click()
    await expect(warned).to_have_count(0)


async def test_a_registered_item_is_handed_over_with_the_keyboard_alone(site: Site, page: Open, note: Note) -> None:
    item = registered()
    ordered(site, item, place=13, requirements=["signature"], details={"code": "4471"})
    hands = await at_work(site, page)

    async def reach(name: str) -> None:
        for _ in range(40):
            await hands.page.keyboard.press("Tab")
            if name in await hands.page.evaluate(
                "() => document.activeElement.textContent + document.activeElement.id"
            ):
                return
        raise AssertionError(f"no way to {name}")

    await reach("Distribuer")
    await hands.page.keyboard.press("Enter")
    await hands.scan(item, "registered")
    await reach("Remis")
    await hands.page.keyboard.press("Enter")
    await hands.phone.shows("proof")
    await reach("Permis")
    await hands.page.keyboard.press("Space")
    await reach("La personne ne peut pas signer")
    await hands.page.keyboard.press("Enter")
    await reach("code-tsk")
    await hands.page.keyboard.type("4471")
    await hands.page.keyboard.press("Enter")
    await expect(hands.page.locator(".code-field")).to_contain_text("Code juste")
    await reach("Enregistrer la remise")
    await hands.page.keyboard.press("Enter")
    await hands.card("handed")
    sent = (await hands.settled("item.delivered"))[0]
    assert sent["event"]["data"]["proof"]["code_ok"] is True
    note("phone: registered, by keyboard alone with a code: done")


async def test_the_camera_scans_where_the_browser_can_and_its_torch_lights(site: Site, page: Open) -> None:
    item = plain()
    ordered(site, item, place=14)
    hands = await at_work(site, page)
    await expect(hands.page.locator(".camera-none")).to_be_visible()
    await hands.page.clock.resume()
    await hands.page.evaluate(CAMERA, item)
    await hands.phone.go("#/today")
    await hands.phone.go("#/scan")
    await hands.press("Distribuer")
    await hands.press("Scanner avec la caméra")
    card = await hands.card("deliver")
    await expect(card).to_contain_text(item)
    await hands.press("Lampe")
    await expect(hands.page.get_by_role("button", name="Lampe")).to_have_attribute("aria-pressed", "true")
    await hands.press("Fermer la caméra")
    await expect(hands.page.locator(".camera")).to_be_hidden()
    assert len(await hands.phone.entries("item.delivered")) == 1


async def test_today_shows_tasks_by_stop_and_a_note_goes_into_the_notebook(site: Site, page: Open) -> None:
    item = plain()
    stop = ordered(site, item, place=15, addressee="Zélie Introuvable")
    hands = await at_work(site, page)
    await hands.phone.go("#/today")
    await hands.page.get_by_label("Rue, nom ou numéro").fill("introuvable")
    cards = hands.page.locator(".stop-card")
    await expect(cards).to_have_count(1)
    await cards.click()
    await hands.phone.shows("stop")
    await hands.page.get_by_text("Noter dans le carnet").click()
    await hands.page.get_by_role("button", name="Boîte cachée").click()
    await hands.page.get_by_label("Note (280 signes au plus)").fill("Derrière le portail vert")
    await hands.press("Noter")
    said = (await hands.settled("notebook.written"))[0]
    assert said["event"]["data"]["stop_id"] == stop
    assert said["result"]["warnings"] == []
    await hands.page.evaluate("() => dispatchEvent(new Event('online'))")  # the sheet is asked for anew
    await expect(hands.page.locator(".notebook")).to_contain_text("Derrière le portail vert")
    await hands.phone.go("#/scan")
    await hands.press("Distribuer")
    await hands.scan(item, "deliver")
    await hands.phone.go(f"#/stop/{stop}")
    await expect(hands.page.locator("#screen")).to_contain_text("en boîte")


@pytest.mark.parametrize(("lang", "scheme"), [("fr", "light"), ("en", "dark")])
async def test_the_screens_of_work_are_for_everybody(
    site: Site, page: Open, watch: Watch, lang: str, scheme: str
) -> None:
    del watch
    item, other = registered(), plain()
    stop = ordered(site, item, place=16, requirements=["registered"])
    ordered(site, other, place=16)
    hands = await at_work(site, page, lang=lang, theme=None, color_scheme=scheme)
    await hands.page.clock.resume()  # axe waits for timers
    modes = hands.page.locator(".modes button")
    await sound(hands, "waiting")
    await modes.nth(1).click()
    await hands.scan(item, "registered")
    await hands.page.locator(".otherwise summary").click()
    await sound(hands, "registered")
    await hands.page.locator(".scan-card__choice button").nth(1).click()
    await hands.card("notice")
    await sound(hands, "notice")
    await hands.scan(plain(), "deliver")
    await sound(hands, "believed")
    await hands.scan(other[:-3] + str((int(other[-3]) + 1) % 10) + other[-2:], "misread")
    await sound(hands, "misread")
    await hands.phone.go(f"#/proof/item/{item}")
    await hands.page.locator(".otherwise summary").click()
    await sound(hands, "proof")
    await hands.phone.go("#/today")
    await sound(hands, "today")
    await hands.phone.go(f"#/stop/{stop}")
    await hands.page.locator(".otherwise summary").click()
    await sound(hands, "stop")


async def sound(hands: Hands, name: str) -> None:
    """Hold a screen to axe, to its targets of 64 px, and to narrow and zoomed windows."""
    assert await violations(hands.page) == [], name
    assert await hands.page.evaluate(SMALL) == [], name
    for size in ((320, 640), (640, 400)):
        await hands.page.set_viewport_size({"width": size[0], "height": size[1]})
        assert await overflow(hands.page) == [], (name, size)
    await hands.page.set_viewport_size({"width": 390, "height": 844})
