"""Forms of the phone: drawn from /v1/services, checked by its rules, in words of both languages, and sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from fieldsvc import platform
from fieldsvc.simulate.town import Town
from handlers import corrections
from handlers.registry import discover
from tests.acceptance.conftest import _load
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database
from tests.handlers.test_conformance import NEW_SERVICE
from tests.pages.browser import Open, Site, Watch, opener, overflow, violations
from tests.pages.handheld import Phone, stored
from tests.sizes import sized

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUND = "T02"

ROUND_TRIP = """async () => {
  const modules = ['forms', 'catalogue', 'kept'].map((name) => import(`/static/handheld/${name}.js`));
  const [{ formOf }, { sayable }, { open }] = await Promise.all(modules);
  const services = await (await open()).get('services');
  const correction = { service: { subject: '' }, name: 'event.corrected', event: services.corrections };
  const found = [];
  for (const { service, name, event } of [...sayable(services), correction]) {
    for (const example of event.examples) {
      const form = formOf(event, { values: example, subject: service.subject });
      document.getElementById('screen').replaceChildren(form.node);
      const read = await form.read();
      const faults = [...form.node.querySelectorAll('.fault')].map((each) => each.textContent).filter(Boolean);
      const fields = form.fields.map((each) => each.name);
      found.push({ name, example, read, faults, fields });
    }
  }
  return found;
}"""
SETTLE = """() => import('/static/handheld/kept.js').then((m) => m.open()).then(async (kept) => {
  await kept.write(['outbox'], async ({ outbox }) => {
    const found = await new Promise((done) => { outbox.getAll().onsuccess = (event) => done(event.target.result); });
    for (const each of found) if (each.state === 'held') outbox.put({ ...each, due_at: Date.now() - 1 });
  });
  kept.tell({ kind: 'outbox', why: 'placed' });
})"""
# What the phone, or the service, fills itself: never asked for.
FILLED = {"stop_id", "recorded_from", "run_id", "carrier", "form_version", "new_delivery_point_id", "report_id"}


async def at_work(site: Site, page: Open, round_id: str = ROUND, **more: Any) -> Phone:
    """Put a phone on duty, with its services."""
    phone = await Phone.on_duty(site, page, round_id, **more)
    await phone.gets("services")
    return phone


async def settled(phone: Phone, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """Let the ten seconds of what was said be over, and wait until the service has it."""
    await phone.page.evaluate(SETTLE)
    found = await phone.sent(kind, count)
    assert stored(phone.site, found) == {each["id"] for each in found}
    return found


async def said(phone: Phone, kind: str) -> dict[str, Any]:
    """Wait until something of a type stands in the outbox; the newest of it."""
    for _ in range(150):
        found = [each for each in await phone.entries(kind) if each["state"] != "undone"]
        if found:
            return found[-1]
        await phone.page.wait_for_timeout(100)
    raise AssertionError(f"no {kind} in the outbox")


# Drawn from the schemas


async def test_every_example_of_what_a_phone_may_say_round_trips_through_its_form(site: Site, page: Open) -> None:
    phone = await at_work(site, page)
    found = await phone.page.evaluate(ROUND_TRIP)
    names = {each["name"] for each in found}
    sayable = {each.name for _, each in discover().by_type.values() if "device" in each.by}
    assert names == {*sayable, corrections.NAME}
    for each in found:
        assert each["faults"] == [], each
        assert each["read"] == each["example"], each["name"]
        assert not FILLED & set(each["fields"]), each["name"]


FIELDS = """swans: Annotated[int, PUBLIC]
    with_young: Annotated[bool | None, PUBLIC] = None
    plumage: Annotated[str | None, PUBLIC] = None"""


@pytest.fixture
def with_swans(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A service that has one more handler, in a folder of its own."""
    text = NEW_SERVICE.replace("swans: Annotated[int, PUBLIC]", FIELDS, 1)
    (tmp_path / "swan.py").write_text(text.replace('"swans": 2},)', '"swans": 2},), keeps_fix=True'))
    monkeypatch.setattr(platform, "discover", lambda **more: discover(tmp_path, **more))
    town, url = Town(2, rounds=2, stops=10), new_database(postgres_url)
    service = Service(url, tmp_path, prepare=lambda made: _load(made, town, tmp_path))
    yield Site(service, town, service.platform.runs.today())
    service.close()
    drop_database(postgres_url, url)


async def test_a_handler_in_a_new_file_has_its_form_on_the_phone_is_filled_sent_and_accepted(
    with_swans: Site, browser: Browser
) -> None:
    watch = Watch(with_swans)
    here: dict[str, Any] = {"geolocation": {"latitude": 48.9, "longitude": 2.1}, "permissions": ["geolocation"]}
    phone = await at_work(with_swans, opener(watch, browser), "T01", **here)
    await phone.go("#/other")
    await phone.page.get_by_role("searchbox").fill("cygne")
    await phone.page.get_by_role("link", name="Cygnes").click()
    await phone.shows("form")
    await phone.page.get_by_label("Swan id").fill("s-9")
    await phone.page.get_by_label("Swans", exact=True).fill("deux")
    await phone.page.get_by_role("button", name="Enregistrer").click()
    await expect(phone.page.get_by_text("Écrivez un nombre")).to_be_visible()
    await phone.page.get_by_label("Swans", exact=True).fill("2")
    await phone.page.get_by_text("Plus de détails").click()
    await phone.page.get_by_role("group", name="With young").get_by_role("radio", name="Oui").check()
    await phone.page.get_by_role("button", name="Enregistrer").click()
    await said(phone, "swan.counted")
    (entry,) = await settled(phone, "swan.counted")
    assert entry["event"]["subject"] == "swan/s-9"
    told = {name: entry["event"]["data"][name] for name in ("swan_id", "swans", "with_young")}
    assert told == {"swan_id": "s-9", "swans": 2, "with_young": True}
    fix = entry["event"]["data"]["fix"]  # its handler keeps a position, and no script knows its name
    assert (fix["lat"], fix["lon"]) == (48.9, 2.1)
    await watch.close()
    assert watch.unforgiven == []


# Filled by a carrier


async def test_a_fault_is_said_beside_its_field_has_the_focus_and_nothing_is_lost(site: Site, page: Open) -> None:
    phone = await at_work(site, page)
    await phone.go("#/form/meter.read")
    number, value = phone.page.get_by_label("Numéro du compteur"), phone.page.get_by_label("Index relevé")
    await number.fill("PDL 09117")
    await value.fill("48 211,5")
    await phone.page.get_by_role("button", name="Enregistrer").click()
    await expect(number).to_be_focused()
    await expect(number).to_have_attribute("aria-invalid", "true")
    await expect(phone.page.get_by_text("Un numéro n'a pas d'espace.")).to_be_visible()
    await expect(phone.page.get_by_text("Ce champ est nécessaire.")).to_be_visible()
    await expect(number).to_have_value("PDL 09117")
    await number.fill("PDL-09117")
    await phone.page.get_by_role("radio", name="Électricité").check()
    await phone.page.get_by_role("button", name="Enregistrer").click()
    entry = await said(phone, "meter.read")
    assert entry["event"]["data"] == {"meter_id": "PDL-09117", "kind": "electricity", "value": 48211.5}
    assert entry["state"] == "held"
    await phone.page.get_by_role("button", name="Annuler").click()
    await phone.page.wait_for_timeout(200)
    assert [each["state"] for each in await phone.entries("meter.read")] == ["undone"]


async def test_a_hazard_is_reported_here_by_one_reading_and_at_the_stop_without(site: Site, page: Open) -> None:
    here = {"latitude": 48.931234, "longitude": 2.114321, "accuracy": 7}
    phone = await at_work(site, page, permissions=["geolocation"], geolocation=here)
    stop = site.town.rounds[1].stops[2]
    await phone.go(f"#/form/hazard.reported?stop={stop.stop_id}")
    await phone.page.get_by_label("De quoi s'agit-il").select_option(label="Verglas")
    await phone.page.get_by_role("button", name="Ici").click()
    await expect(phone.page.get_by_text("Relevé ici, à 7 m près.")).to_be_visible()
    await phone.page.get_by_role("button", name="Enregistrer").click()
    await said(phone, "hazard.reported")
    (entry,) = await settled(phone, "hazard.reported")
    data = entry["event"]["data"]
    assert data["point"] == {"lat": 48.931234, "lon": 2.114321}
    assert (data["kind"], data["radius_m"], data["stop_id"]) == ("ice", 50, stop.stop_id)
    await phone.page.evaluate("() => { navigator.geolocation.getCurrentPosition = (_, no) => no({ code: 1 }); }")
    await phone.page.evaluate("() => { location.hash = '#/other'; }")
    await phone.go(f"#/form/place.observed?stop={stop.stop_id}")
    await phone.page.get_by_role("button", name="Ici").click()
    await expect(phone.page.get_by_text("est pris")).to_be_visible()
    await phone.page.get_by_role("radio", name="Nid-de-poule").check()
    await phone.page.get_by_role("button", name="Enregistrer").click()
    await said(phone, "place.observed")
    (entry,) = await settled(phone, "place.observed")
    assert set(entry["event"]["data"]["point"]) == {"lat", "lon"}


async def test_what_was_said_is_corrected_by_the_same_form_and_the_first_word_stays(site: Site, page: Open) -> None:
    phone = await at_work(site, page, lang="en")
    await phone.go("#/form/meter.read?subject=meter/M-77")
    await phone.page.get_by_role("radio", name="Gas").check()
    await phone.page.get_by_label("Reading").fill("120")
    await phone.page.get_by_role("button", name="Save").click()
    await said(phone, "meter.read")
    (entry,) = await settled(phone, "meter.read")
    await phone.go(f"#/form/event.corrected?corrects={entry['id']}")
    await phone.page.get_by_role("radio", name="Some of it is wrong").check()
    await phone.page.get_by_label("Reading").fill("210")
    await phone.page.get_by_role("button", name="Save the correction").click()
    await said(phone, "event.corrected")
    (fixed,) = await settled(phone, "event.corrected")
    data = fixed["event"]["data"]
    assert (data["corrects"], data["kind"]) == (entry["id"], "incorrect_data")
    assert data["replacement"] == {"meter_id": "M-77", "kind": "gas", "value": 210}
    assert fixed["result"]["warnings"] == []
    await phone.go("#/form/event.corrected?corrects=00000000-0000-0000-0000-000000000000")
    await expect(phone.page.get_by_text("no longer on this phone")).to_be_visible()


async def test_the_other_services_are_grouped_found_by_a_word_and_none_is_left_out(site: Site, page: Open) -> None:
    phone = await at_work(site, page)
    await phone.go("#/other")
    links = await phone.page.locator("#screen a.way").evaluate_all("(all) => all.map((each) => each.hash)")
    own = {"run.started", "run.paused", "run.resumed", "run.ended", "run.reconciled", "sheet.seen"}
    special = {"address_change.reported": "#/address/", "delivery_change.requested": "#/change/"}
    wanted = {each.name for _, each in discover().by_type.values() if "device" in each.by} - own
    for name in wanted:
        assert any(link.startswith(special.get(name, f"#/form/{name}")) for link in links), name
    assert len(links) == len(wanted)
    titles = await phone.page.locator("#screen h2").all_inner_texts()
    assert titles == ["À la porte", "Sur la route", "La tournée", "Idées et avis"]
    await phone.page.get_by_role("searchbox").fill("cle")
    await expect(phone.page.get_by_role("link", name="Clé rendue")).to_be_visible()
    await expect(phone.page.get_by_role("link", name="Danger signalé")).to_be_hidden()
    await phone.page.get_by_role("searchbox").fill("dirigeable")
    await expect(phone.page.get_by_text("Aucun service ne porte ce nom")).to_be_visible()


# Seen by everybody

SCREENS = (
    "#/other",
    "#/form/item.delivered",
    "#/form/home_visit.completed",
    "#/form/object.signalled",
    "#/form/event.corrected?corrects=none",
    "#/form/no.such",
)
SMALL = """() => {
  const found = [];
  for (const each of document.querySelectorAll('#screen :is(a, button, input, select, textarea, summary)')) {
    const target = each.closest('label') ?? each;
    const box = target.getBoundingClientRect();
    const hidden = box.width === 0 || each.matches('.visually-hidden');
    if (!hidden && (box.height < 63.5 || box.width < 63.5)) found.push(`${each.tagName} ${each.className} ${box.width}x${box.height}`);
  }
  return found;
}"""


async def judge(phone: Phone) -> None:
    """Assert that a screen can be used by everybody: axe, no overflow at 320 px, targets as large as a thumb."""
    for each in await phone.page.locator("#screen details:not([open]) > summary").all():
        if await each.is_visible():
            await each.click()
    assert await violations(phone.page) == []
    assert await phone.page.evaluate(SMALL) == []
    size = phone.page.viewport_size
    await phone.page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(phone.page) == []
    assert size is not None
    await phone.page.set_viewport_size(size)


@pytest.mark.parametrize(("lang", "scheme"), sized([("fr", "light")], [("fr", "light"), ("en", "dark")]))
async def test_forms_are_for_everybody(site: Site, page: Open, lang: str, scheme: str) -> None:
    phone = await at_work(site, page, lang=lang, color_scheme=scheme)
    for screen in SCREENS:
        await phone.go(screen)
        await judge(phone)
    await phone.go("#/form/item.delivered")
    await phone.page.locator(".form__save button").click()
    await expect(phone.page.locator("[aria-invalid=true]").first).to_be_focused()
    await judge(phone)
