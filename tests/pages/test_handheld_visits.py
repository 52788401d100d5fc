"""The phone's special screens: a visit, a pouch, an address and a change asked at the door, to the journal, counted in touches."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from handlers import products
from handlers.story import Actor
from tests.acceptance.service import Caller, field_event, statuses
from tests.pages.browser import Open, Site
from tests.pages.handheld import Phone
from tests.pages.test_handheld_forms import at_work, judge, said, settled
from tests.sizes import sized

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUND = "T03"
CONTACTS = [{"name": "Inès Sapin", "phone": "+33 6 39 98 44 05"}, {"name": "Rémi Noir", "phone": "+33639980927"}]
COUNTER = """() => {
  window.touches = 0;
  addEventListener('pointerdown', (event) => event.isTrusted && (window.touches += 1), true);
}"""
SIGN = """(canvas) => {
  const { left, top } = canvas.getBoundingClientRect();
  const at = (x, y) => ({ clientX: left + x, clientY: top + y, pointerId: 1, bubbles: true, button: 0 });
  canvas.setPointerCapture = () => {};
  canvas.dispatchEvent(new PointerEvent('pointerdown', at(20, 20)));
  for (let n = 1; n < 12; n += 1) canvas.dispatchEvent(new PointerEvent('pointermove', at(20 + 12 * n, 20 + 30 * (n % 2))));
  canvas.dispatchEvent(new PointerEvent('pointerup', at(150, 40)));
}"""
Note = Callable[[str], None]


def care(site: Site) -> Caller:
    """Return an account that orders what these tests need, and reads what became of it."""
    if "care" not in site.callers:
        site.account("care", "health", "order:home_visit", "order:medication", "order:item")
    return site.callers["care"]


def order(site: Site, service: str, *, stop: int = 5, **more: Any) -> dict[str, Any]:
    """Order a task at a stop of the round; its subject is issued by the service."""
    point = next(each for each in site.town.rounds if each.round_id == ROUND).stops[stop].point.id
    body = {"service": service, "on": site.day.isoformat(), "delivery_point": point, "addressee": "Mme Épreuve", **more}
    made = care(site).ask("POST", "/v1/tasks", body)
    assert made.status == 201, made.body
    task: dict[str, Any] = made.json()
    return task


async def counted(phone: Phone) -> None:
    await phone.page.evaluate(COUNTER)


async def touches(phone: Phone) -> int:
    found: int = await phone.page.evaluate("() => window.touches")
    return found


async def press(page: Page, name: str) -> None:
    """Touch a button, or a choice."""
    button = page.get_by_role("button", name=name, exact=True)
    await (button if await button.count() else page.get_by_role("radio", name=name, exact=True)).first.click()


async def answer(page: Page, question: str, word: str) -> None:
    await page.get_by_role("group", name=question).get_by_role("radio", name=word).click()


# A visit


async def test_a_visit_by_the_plain_questions_is_attested_and_its_touches_are_counted(
    site: Site, page: Open, note: Note
) -> None:
    task = order(site, "home_visit", contacts=CONTACTS, details={"tag": "TAG-88"})
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/visit/{task['subject'].removeprefix('visit/')}")
    await counted(phone)
    await press(shown, "Je suis arrivé")
    await press(shown, "La personne")
    for question in ("se sent bien", "a-t-elle mangé", "moral", "besoin de quelque chose", "dans le logement"):
        await answer(shown, question, "Oui")
    await expect(shown.get_by_text("Il manque : le lieu")).to_be_visible()
    await answer(shown, "vous inquiète", "Non")
    await press(shown, "Badge de la visite")
    await press(shown, "Enregistrer la visite")
    await expect(shown.get_by_text("Le badge n'est pas encore lu")).to_be_visible()
    before = await touches(phone)
    await shown.get_by_label("Badge de la visite").last.press_sequentially("TAG-88\n")
    await expect(shown.get_by_text("Tout y est.")).to_be_visible()
    await press(shown, "Enregistrer la visite")
    assert await touches(phone) == before + 1
    note(f"touches of a visit by six plain questions, tag scanned: {before}")
    await said(phone, "home_visit.completed")
    await settled(phone, "home_visit.started")
    (entry,) = await settled(phone, "home_visit.completed")
    assert entry["result"]["warnings"] == []
    data = entry["event"]["data"]
    assert (data["met"], data["presence"], len(data["answers"])) == ("person", "tag", 6)
    (public,) = [each for each in care(site).feed("home_visit.completed") if each["subject"] == task["subject"]]
    assert public["data"]["attested"] is True


async def test_a_visit_asks_what_its_order_s_form_asks_and_says_its_version(site: Site, page: Open) -> None:
    form = {
        "id": "winter",
        "version": 3,
        "questions": {"warm": "boolean", "degrees": "number", "words": "text", "rooms": "choices"},
        "labels": {
            "warm": {"fr": "Fait-il chaud ?", "en": "Is it warm?"},
            "degrees": {"fr": "Degrés", "en": "Degrees"},
        },
        "choices": {"rooms": ["kitchen", "bedroom"]},
    }
    task = order(site, "home_visit", form=form)
    phone = await at_work(site, page, ROUND, lang="en")
    shown = phone.page
    await phone.go(f"#/visit/{task['subject'].removeprefix('visit/')}")
    await press(shown, "I have arrived")
    await press(shown, "A relative")
    await answer(shown, "Is it warm?", "No")
    await shown.get_by_label("Degrees").fill("16,5")
    await shown.get_by_label("Words").fill("cold hands")
    await shown.get_by_role("checkbox", name="Kitchen").check()
    await press(shown, "Signature")
    await shown.locator(".sign__canvas").evaluate(SIGN)
    await press(shown, "Save the visit")
    await said(phone, "home_visit.completed")
    (entry,) = await settled(phone, "home_visit.completed")
    data = entry["event"]["data"]
    assert data["answers"] == {"warm": False, "degrees": 16.5, "words": "cold hands", "rooms": ["kitchen"]}
    assert (data["form_version"], entry["pictures"]) == (3, [data["signature"]])
    assert "form_not_followed" not in entry["result"]["warnings"]


async def test_what_is_urgent_shows_the_numbers_first_works_offline_and_follows(site: Site, page: Open) -> None:
    task = order(site, "home_visit", contacts=CONTACTS)
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/visit/{task['subject'].removeprefix('visit/')}")
    await phone.offline()
    await press(shown, "C'est urgent")
    links = await shown.locator("#screen a[href^='tel:']").evaluate_all("(all) => all.map((each) => each.href)")
    assert links[:5] == ["tel:15", "tel:18", "tel:112", "tel:+33639984405", "tel:+33639980927"]
    first = await shown.locator("#screen :is(a, button)").first.get_attribute("href")
    assert first == "tel:15"
    stop = next(each for each in site.town.rounds if each.round_id == ROUND).stops[5]
    await expect(shown.locator(".aloud")).to_have_text(stop.point.address)
    alert = await said(phone, "home_visit.alert")
    assert (alert["urgent"], alert["event"]["data"]["level"]) == (True, "urgent")
    await judge(phone)
    await phone.offline(is_off=False)
    await settled(phone, "home_visit.alert")


async def test_nobody_is_said_with_its_reason_and_what_happens_next(site: Site, page: Open) -> None:
    task = order(site, "home_visit", contacts=CONTACTS)
    phone = await at_work(site, page, ROUND)
    await phone.go(f"#/visit/{task['subject'].removeprefix('visit/')}")
    await phone.page.get_by_text("Personne, ou visite impossible").click()
    await expect(phone.page.get_by_text("convient d'un autre moment")).to_be_visible()
    await press(phone.page, "Absent")
    await press(phone.page, "Enregistrer : visite non effectuée")
    await said(phone, "home_visit.missed")
    (entry,) = await settled(phone, "home_visit.missed")
    assert entry["event"]["data"]["reason"] == "absent"
    await phone.go(f"#/visit/{task['subject'].removeprefix('visit/')}")
    await expect(phone.page.get_by_text("Visite notée comme non effectuée")).to_be_visible()


# A pouch


async def test_a_pouch_goes_from_the_pharmacy_to_who_is_named_by_its_code_and_its_touches_are_counted(
    site: Site, page: Open, note: Note
) -> None:
    task = order(site, "medication", details={"code": "482193", "may_receive": ["patient", "named_relative"]})
    phone = await at_work(site, page, ROUND)
    shown, pouch = phone.page, task["subject"].removeprefix("pouch/")
    assert statuses(care(site).send(field_event("medication.released", {"pouch_id": pouch}))) == ["accepted"]
    await phone.go(f"#/pouch/{pouch}")
    await counted(phone)
    await press(shown, "Intact : je le prends")
    await press(shown, "Oui, les deux")
    offered = await shown.get_by_role("group", name="Remis à").get_by_role("radio").count()
    assert offered == 2
    await press(shown, "Proche nommé")
    await press(shown, "Enregistrer la remise")
    await expect(shown.get_by_text("Vérifiez le code, ou faites signer.")).to_be_visible()
    before = await touches(phone)
    code = shown.locator(".code-field input")
    await code.click()
    await code.fill("482193")
    await code.press("Enter")
    await expect(code).to_be_disabled()
    await press(shown, "Enregistrer la remise")
    note(f"touches of a pouch: 1 to take it, {await touches(phone) - 2} to hand it over, and six digits")
    assert await touches(phone) - before == 2
    await said(phone, "medication.delivered")
    (taken,) = await settled(phone, "medication.picked_up")
    (given,) = await settled(phone, "medication.delivered")
    assert (taken["result"]["warnings"], given["result"]["warnings"]) == ([], [])
    data = given["event"]["data"]
    assert {name: data[name] for name in ("handed_to", "identity", "code_ok", "label_matched", "seal_intact")} == {
        "handed_to": "named_relative",
        "identity": "document",
        "code_ok": True,
        "label_matched": True,
        "seal_intact": True,
    }
    (public,) = [each for each in care(site).feed("medication.delivered") if each["subject"] == task["subject"]]
    assert public["data"]["chain"] == "complete"


async def test_a_pouch_with_another_name_goes_back_and_there_is_no_other_way_to_leave_it(
    site: Site, page: Open
) -> None:
    task = order(site, "medication", details={"pharmacy": {"name": "Pharmacie du Pont", "phone": "+33100000000"}})
    phone = await at_work(site, page, ROUND)
    shown, pouch = phone.page, task["subject"].removeprefix("pouch/")
    await phone.go(f"#/pouch/{pouch}")
    await press(shown, "Sceau abîmé")
    await expect(shown.get_by_text("Ne le prenez pas.")).to_be_visible()
    assert await phone.entries("medication.picked_up") == []
    await press(shown, "Intact : je le prends")
    await judge(phone)
    text = (await shown.locator("#screen").inner_text()).lower()
    for word in ("voisin", "boîte", "lieu sûr", "médicament"):
        assert word not in text
    await press(shown, "Autre nom ou autre adresse")
    await shown.locator(".press", has_text="il retourne à la pharmacie").first.click()
    entry = await said(phone, "medication.returned")
    assert entry["event"]["data"]["reason"] == "label_mismatch"
    await expect(shown.get_by_text("À rapporter à Pharmacie du Pont aujourd'hui")).to_be_visible()
    await expect(shown.get_by_role("link", name="Appeler Pharmacie du Pont")).to_have_attribute(
        "href", "tel:+33100000000"
    )
    await settled(phone, "medication.returned")


async def test_what_must_stay_cold_is_not_taken_without_its_box(site: Site, page: Open) -> None:
    task = order(site, "medication", requirements=["fridge"])
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/pouch/{task['subject'].removeprefix('pouch/')}")
    await press(shown, "Intact : je le prends")
    await expect(shown.get_by_text("sans caisse qualifiée")).to_be_visible()
    await shown.get_by_label("Minimum (°C)").fill("3,5")
    await shown.get_by_label("Maximum (°C)").fill("9")
    await press(shown, "Intact : je le prends")
    await expect(shown.get_by_text("la caisse n'est pas entre 2 et 8 °C")).to_be_visible()
    await shown.get_by_label("Maximum (°C)").fill("5")
    await press(shown, "Intact : je le prends")
    entry = await said(phone, "medication.picked_up")
    assert entry["event"]["data"]["temperature"] == {"min_c": 3.5, "max_c": 5}
    await settled(phone, "medication.picked_up")


# An address


async def test_a_new_address_is_answered_with_the_round_and_the_stops_between_which_it_falls(
    site: Site, page: Open
) -> None:
    planned = next(each for each in site.town.rounds if each.round_id == ROUND)
    here, there = planned.stops[8], planned.stops[20]
    number, _, street = there.point.address.partition(" ")
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/address/{here.stop_id}")
    await press(shown, "Nouveau point")
    await press(shown, "Je l'ai vu")
    await shown.get_by_label("Rue", exact=True).fill("")
    await press(shown, "Enregistrer")
    await expect(shown.get_by_text("Écrivez au moins la rue.")).to_be_visible()
    await shown.get_by_role("textbox", name="Numéro").fill(number)
    await shown.get_by_label("Rue", exact=True).fill(street.partition(",")[0])
    await press(shown, "Enregistrer")
    entry = await said(phone, "address_change.reported")
    assert entry["event"]["data"]["new_address"] == there.point.address
    assert entry["event"]["data"]["old_address"] == here.point.address
    await expect(shown.get_by_text("Pas encore répondu")).to_be_visible()
    (entry,) = await settled(phone, "address_change.reported")
    answer_ = entry["result"]["answer"]
    assert answer_["round_id"] == ROUND
    await expect(shown.get_by_text(f"Adresse comprise : {there.point.address}")).to_be_visible()
    await expect(shown.get_by_text("Adresse reconnue à")).to_be_visible()
    await expect(shown.get_by_text(f"Tournée {ROUND} entre")).to_be_visible()
    for screen in ("stop", "address"):
        await phone.go(f"#/{screen}/{here.stop_id}")
        await expect(shown.get_by_text("Adresse reconnue à")).to_be_visible()


async def test_a_letterbox_is_moved_by_buttons_and_arrow_keys_five_metres_at_a_time(site: Site, page: Open) -> None:
    stop = next(each for each in site.town.rounds if each.round_id == ROUND).stops[9]
    phone = await at_work(site, page, ROUND, lang="en")
    shown = phone.page
    await phone.go(f"#/address/{stop.stop_id}")
    await press(shown, "Letterbox moved")
    await press(shown, "I saw it")
    north = shown.get_by_role("button", name="North")
    await north.click()
    await north.press("ArrowUp")
    await north.press("ArrowLeft")
    await expect(shown.get_by_text("Moved by 10 m north, 5 m west.")).to_be_visible()
    await judge(phone)
    await press(shown, "Save")
    entry = await said(phone, "address_change.reported")
    fix = entry["event"]["data"]["fix"]
    sheet = await phone.kept(f"sheet:{phone.run_id}")
    known = next(each for each in sheet["stops"] if each["stop_id"] == stop.stop_id)
    assert (fix["lat"] - known["lat"]) * 111_195 == pytest.approx(10, abs=0.5)
    assert fix["accuracy_m"] == 5


PARTS = """async (written) => {
  const { split, join } = await import('/static/handheld/addresses.js');
  return written.map((each) => [split(each), join(split(each))]);
}"""


async def test_an_address_is_taken_apart_and_put_together_again(site: Site, page: Open) -> None:
    phone = await Phone.opened(site, page)
    written = [stop.point.address for each in site.town.rounds for stop in each.stops]
    found = await phone.page.evaluate(PARTS, written)
    assert [joined for _, joined in found] == written
    (parts, _), (odd, _) = await phone.page.evaluate(
        PARTS, ["Bâtiment B, 12 bis avenue Pasteur, 93140 Bondy", "Lieu-dit Les Prés"]
    )
    wanted = {"number": "12", "bis": "bis", "street": "avenue Pasteur", "building": "Bâtiment B"}
    assert parts == {**wanted, "postcode": "93140", "town": "Bondy"}
    assert odd["street"] == "Lieu-dit Les Prés"


# A delivery change

RULES = """async ({ kinds, subjects, products }) => {
  const { refusal, identityNeeded } = await import('/static/handheld/asking.js');
  return products.flatMap((product) => subjects.flatMap((subject) => kinds.map((kind) =>
    [kind, subject, product, refusal(kind, subject, product), identityNeeded(kind, subject, product)])));
}"""


async def test_the_rules_of_what_may_be_asked_are_those_of_the_handlers(site: Site, page: Open) -> None:
    phone = await Phone.opened(site, page)
    given = {
        "kinds": list(products.KINDS),
        "subjects": ["item/X", "delivery_point/dp"],
        "products": ["registered", "signed", "ordinary", "pouch"],
    }
    for kind, subject, product, refused, identity in await phone.page.evaluate(RULES, given):
        rule = products.refusal(kind, subject, product)
        assert refused == (rule.name if rule else None), (kind, subject, product)
        assert identity == products.identity_needed(kind, subject, product), (kind, subject, product)
    script = "() => import('/static/handheld/asking.js').then((m) => m.KINDS)"
    known = await phone.page.evaluate(script)
    told = {kind: (each["cutoff"], tuple(each["subjects"]), tuple(each["fields"])) for kind, each in known.items()}
    assert told == {kind: (each.cutoff, each.subjects, each.fields) for kind, each in products.KINDS.items()}


async def test_a_change_is_asked_one_question_after_the_other_and_answered(site: Site, page: Open) -> None:
    order(site, "item", stop=12, subject="item/LL456789015FR")
    stop = next(each for each in site.town.rounds if each.round_id == ROUND).stops[12]
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/change/{stop.stop_id}")
    await shown.get_by_role("button", name="LL456789015FR").click()
    await expect(shown.get_by_role("heading", name="Que demande la personne ?")).to_be_focused()
    await judge(phone)
    await expect(shown.get_by_text("avec une pièce d'identité").first).to_be_visible()
    await shown.get_by_role("button", name="Chez un voisin").click()
    await press(shown, "Enregistrer")
    await expect(shown.get_by_text("Ce champ est nécessaire.")).to_be_visible()
    await shown.get_by_label("Nom du voisin").fill("Mme Durand")
    await press(shown, "Enregistrer")
    entry = await said(phone, "delivery_change.requested")
    data = entry["event"]["data"]
    assert (data["kind"], data["asked_by"], data["details"]) == ("neighbour", "carrier", {"neighbour": "Mme Durand"})
    (entry,) = await settled(phone, "delivery_change.requested")
    assert entry["result"]["answer"]["state"] == "seen_by_carrier"


async def test_a_redirection_is_verified_at_the_door_without_saying_where_to(site: Site, page: Open) -> None:
    stop = next(each for each in site.town.rounds if each.round_id == ROUND).stops[14]
    about = {"request_id": "DC-DOOR", "delivery_point_id": stop.point.id}
    move = {"new_address": "2 rue B, 69001 Lyon", "names": ["Mme Martin"]}
    asked = {**about, "kind": "redirect_permanent", "asked_by": "counter", "identity": "counter", "details": move}
    asked["from"] = str(site.day + timedelta(days=10))
    commands = site.service.platform.commands
    for name, data, actor in (
        ("requested", asked, "counter"),
        ("code_sent", {**about, "code_hmac": "x"}, "server"),
    ):
        site.service.call(commands.send(f"delivery_change.{name}", data, actor=Actor(actor)))
    phone = await at_work(site, page, ROUND)
    shown = phone.page
    await phone.go(f"#/change/{stop.stop_id}")
    await expect(shown.get_by_text("Mme Martin")).to_be_visible()
    assert "Lyon" not in await shown.locator("#screen").inner_text()
    await press(shown, "Nom inconnu ici")
    await said(phone, "delivery_change.door_checked")
    (entry,) = await settled(phone, "delivery_change.door_checked")
    assert entry["event"]["data"]["answer"] == "unknown_name"
    assert entry["result"]["answer"]["state"] == "requested"


@pytest.mark.parametrize(("lang", "scheme"), sized([("en", "dark")], [("en", "dark"), ("fr", "light")]))
async def test_the_special_screens_are_for_everybody(site: Site, page: Open, lang: str, scheme: str) -> None:
    visit = order(site, "home_visit", contacts=CONTACTS)["subject"].removeprefix("visit/")
    pouch = order(site, "medication")["subject"].removeprefix("pouch/")
    phone = await at_work(site, page, ROUND, lang=lang, color_scheme=scheme)
    stop = next(each for each in site.town.rounds if each.round_id == ROUND).stops[5].stop_id
    for screen in (f"#/visit/{visit}", f"#/pouch/{pouch}", f"#/address/{stop}", f"#/change/{stop}", "#/address/"):
        await phone.go(screen)
        await judge(phone)
    await phone.go(f"#/visit/{visit}")
    await phone.page.locator(".stack > .press").first.click()
    await expect(phone.page.locator(".six")).to_be_visible()
    await judge(phone)
