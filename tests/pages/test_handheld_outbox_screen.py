"""The outbox screen: everything with its state in words, what to do about it, and the evidence that it left."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from playwright.async_api import Page, expect

from fieldsvc.intake.reasons import REASONS, WARNINGS
from fieldsvc.journal.receipts import verify
from fieldsvc.web.documents import openapi
from fieldsvc.web.pages.words import words_of
from fieldsvc.work.proof_document import read_key
from handlers.change_states import STATES
from tests.media.pictures import signature
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.pages.handheld import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENT = 15_000
Theme = Literal["light", "dark"]
TOO_SMALL = """() => [...document.querySelectorAll('#screen :is(button, a, summary, input, label.press)')]
  .filter((each) => each.checkVisibility() && !each.classList.contains('visually-hidden'))
  .filter((each) => each.getBoundingClientRect().height < 64).map((each) => each.outerHTML.slice(0, 80))"""
CORES = {"offline", "server_busy", "sign_in_expired", "too_large", "not_json", "quarantined", "conflict"}
PICTURES = {"not_a_picture", "too_many_pixels", "bad_name"}
CARRIED = {"relay_unreadable", "relay_foreign", "relay_unknown_phone", "not_found"}

QUEUE = """async (wanted) => {
  const { outbox } = await import('/static/handheld/outbox.js');
  return (await outbox.queueAll(wanted)).map(({ id }) => id);
}"""
KEEP = """async (entries) => {
  const { open } = await import('/static/handheld/kept.js');
  const kept = await open();
  await kept.write(['outbox'], ({ outbox }) => { for (const each of entries) outbox.put(each); });
  kept.tell({ kind: 'outbox', why: 'test' });
}"""


def delivered(item: str, **more: Any) -> dict[str, Any]:
    data = {"item_id": item, "to": "addressee", **more.pop("data", {})}
    return {"type": "item.delivered", "subject": f"item/{item}", "data": data, **more}


async def queue(phone: Phone, *wanted: dict[str, Any]) -> list[str]:
    found: list[str] = await phone.page.evaluate(QUEUE, list(wanted))
    return found


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def row(page: Page, event_id: str) -> Any:
    return page.locator(f"[data-entry='{event_id}']")


async def a_phone(site: Site, page: Open, **more: Any) -> Phone:
    phone = await Phone.joined(site, page, **more)
    await phone.sent("sheet.seen")
    return phone


def reasons_of_the_document() -> set[str]:
    """Read the closed list of `reason` in the OpenAPI document."""
    return set(openapi()["components"]["schemas"]["EventResult"]["properties"]["reason"]["enum"])


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_reason_warning_and_state_that_can_come_has_its_words(language: str) -> None:
    known = words_of(language)
    wanted = reasons_of_the_document()
    assert wanted == REASONS.keys()
    for code in wanted | CORES | PICTURES | CARRIED:
        words = known[f"handheld.js.outbox_why_{code}"]
        assert len(re.findall(r"[.:;]", words)) >= 1, code  # what is so, and what to do or that nothing is
    for code in WARNINGS:
        assert known[f"handheld.js.outbox_noticed_{code}"]
    for state in STATES:
        assert known[f"handheld.js.outbox_change_{state}"]


async def test_what_was_done_is_listed_in_words_with_its_time_its_receipt_and_the_room_it_takes(
    site: Site, page: Open
) -> None:
    phone = await a_phone(site, page)
    (one,) = await queue(phone, delivered("RK800000001FR", data={"stop_id": site.town.rounds[0].stops[3].stop_id}))
    await phone.sent("item.delivered")
    await phone.go("#/outbox")
    shown = row(phone.page, one)
    await expect(shown).to_contain_text("Recommandé RK800000001FR remis", timeout=PATIENT)
    await expect(shown).to_contain_text("accepté")
    await expect(shown.locator("time")).to_have_text(re.compile(r"\d+\u00a0h\u00a0\d\d"))
    await shown.locator("summary").click()
    await expect(shown).to_contain_text("Reçu n°")
    await expect(shown.get_by_role("link", name="Corriger")).to_have_attribute(
        "href", f"#/form/event.corrected?corrects={one}"
    )
    storage = phone.page.locator(".storage")
    await expect(storage).to_contain_text(re.compile(r"utilisés sur [\d,]+\u00a0[MG]o"), timeout=PATIENT)
    await expect(storage).to_contain_text(re.compile("Mémoire non garantie|garantit de ne rien effacer"))


async def test_what_is_held_counts_down_and_what_is_refused_says_why_and_what_to_do(site: Site, page: Open) -> None:
    phone = await a_phone(site, page)
    held, bad = await queue(
        phone,
        delivered("RK800000011FR", holdMs=60_000),
        delivered("RK800000012FR", data={"to": "the moon"}),
    )
    await phone.go("#/outbox")
    await expect(row(phone.page, held)).to_contain_text(re.compile(r"à annuler encore \d+ s"), timeout=PATIENT)
    before = await row(phone.page, held).locator(".state").text_content()
    await expect(row(phone.page, held).locator(".state")).not_to_have_text(before or "", timeout=PATIENT)
    refused = row(phone.page, bad)
    await expect(refused).to_have_attribute("data-state", "refused", timeout=PATIENT)
    await expect(refused).to_contain_text("Une information manque ou ne convient pas")
    link = refused.get_by_role("link", name="Saisir à nouveau")
    await expect(link).to_have_attribute("href", "#/form/item.delivered?subject=item%2FRK800000012FR")
    await expect(phone.page.locator(".summary__count")).to_contain_text("1 à revoir · 1 en attente")
    tries = (await phone.entries("item.delivered"))[1]["tries"]
    await refused.get_by_role("button", name="Réessayer").click()
    for _ in range(300):
        again = next(each for each in await phone.entries() if each["id"] == bad)
        if again["tries"] > tries and again["state"] == "refused":
            break
        await phone.page.wait_for_timeout(100)
    assert (again["tries"] > tries, again["state"]) == (True, "refused")


async def test_without_a_network_the_count_the_reason_and_the_way_to_try_again_are_there(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    phone = await a_phone(site, page)
    await phone.go("#/outbox")
    await phone.offline()
    ids = await queue(phone, delivered("RK800000021FR"), delivered("RK800000022FR"))
    summary = phone.page.locator(".summary")
    await expect(summary).to_contain_text("2 en attente", timeout=PATIENT)
    await expect(summary).to_contain_text("Pas de réseau. Rien n'est perdu", timeout=PATIENT)
    await expect(summary).to_contain_text("Dernier envoi à")
    await expect(summary.get_by_role("link", name="Confier la file à un collègue")).to_be_visible()
    await summary.get_by_role("button", name="Tout réessayer maintenant").click()
    await expect(phone.page.locator("#toast")).to_contain_text("Nouvel essai", timeout=PATIENT)
    await phone.offline(is_off=False)
    for each in ids:
        await expect(row(phone.page, each)).to_have_attribute("data-state", "accepted", timeout=PATIENT)
    await expect(summary).to_contain_text("Tout est envoyé", timeout=PATIENT)


async def test_a_wrong_clock_shows_both_times_and_the_warning(site: Site, page: Open) -> None:
    phone = await a_phone(site, page)
    now = datetime.now(UTC)
    (one,) = await queue(phone, delivered("RK800000031FR"))
    await phone.sent("item.delivered")
    (entry,) = await phone.entries("item.delivered")
    ahead = timedelta(hours=2)
    entry["answered_at"] += int(ahead.total_seconds() * 1000)  # as a phone whose clock is two hours fast keeps it
    entry["event"]["time"] = (now + ahead).isoformat().replace("+00:00", "Z")
    entry["result"]["warnings"] = ["clock_suspect"]
    await phone.page.evaluate(KEEP, [entry])
    await phone.go("#/outbox")
    shown = row(phone.page, one)
    await shown.locator("summary").click()
    await expect(shown).to_contain_text(
        re.compile(r"Fait à .* selon ce téléphone, .* selon le service"), timeout=PATIENT
    )
    here, there = re.findall(r"(\d+)\u00a0h\u00a0\d\d", await shown.locator(".row__more p").first.text_content() or "")
    assert (int(here) - int(there)) % 24 == 2
    await expect(shown).to_contain_text("L'heure du téléphone est fausse")


async def test_the_answer_to_an_address_change_is_told_and_pictures_have_a_state_of_their_own(
    site: Site, page: Open
) -> None:
    phone = await a_phone(site, page)
    stop = site.town.rounds[0].stops[5]
    change = {
        "delivery_point_id": stop.point.id,
        "change": "moved",
        "old_address": stop.point.address,
        "new_address": site.town.rounds[0].stops[8].point.address,
        "confidence": "seen",
        "stop_id": stop.stop_id,
    }
    (one,) = await queue(
        phone, {"type": "address_change.reported", "subject": f"delivery_point/{stop.point.id}", "data": change}
    )
    await phone.sent("address_change.reported")
    await phone.go("#/outbox")
    shown = row(phone.page, one)
    await shown.locator("summary").click()
    await expect(shown).to_contain_text("Adresse comprise", timeout=PATIENT)
    await expect(shown).to_contain_text("Tournée T01")
    await expect(shown).to_contain_text(re.compile("Le changement vaut dès maintenant|Quelqu'un vérifie"))
    body = list(signature("outbox"))
    sha256 = await phone.page.evaluate(
        """(bytes) => import('/static/handheld/outbox.js')
          .then((m) => m.outbox.picture(new Blob([new Uint8Array(bytes)], { type: 'image/png' })))""",
        body,
    )
    proof = {"signature": sha256}
    (one,) = await queue(phone, delivered("RK800000041FR", data={"proof": proof}))
    shown = row(phone.page, one)
    await shown.locator("summary").click()
    await expect(shown.locator("[data-picture]")).to_have_text(re.compile("reçue par le service"), timeout=PATIENT)


async def test_the_chain_of_receipts_is_checked_and_saved_and_a_hole_or_a_forged_one_is_found(
    site: Site, page: Open
) -> None:
    phone = await a_phone(site, page)
    await queue(phone, delivered("RK800000051FR"))
    await phone.sent("item.delivered")
    await phone.go("#/outbox")
    await phone.page.locator(".receipts__check").click()
    said = phone.page.locator(".receipts [role=status]")
    await expect(said).to_contain_text(
        re.compile(r"● \d+ reçus,? (signés par le service, )?sans trou"), timeout=PATIENT
    )
    async with phone.page.expect_download() as download:
        await phone.page.locator(".receipts__save").click()
    saved = orjson.loads(bytes_of(await (await download.value).path()))
    key = read_key(orjson.dumps(saved["key"]).decode())
    assert len(saved["receipts"]) >= 2
    assert all(verify(each["receipt"], key) for each in saved["receipts"])
    found = await phone.page.evaluate(
        """async () => {
          const { checkChain, everyReceipt } = await import('/static/handheld/letters.js');
          const { api } = await import('/static/handheld/api.js');
          const every = await everyReceipt(api);
          const [head, body, signature] = every[0].receipt.split('.');
          const changed = [head, btoa(atob(body.replaceAll('-', '+').replaceAll('_', '/')).replace('"at":"2', '"at":"3')), signature].join('.');
          const broken = async (receipts) => (await checkChain(receipts)).broken;
          return [await broken(every), await broken(every.slice(1)), await broken([{ ...every[0], receipt: changed }, ...every.slice(1)])];
        }"""
    )
    assert found == [None, 1, 2]


async def test_an_empty_list_says_what_to_do_and_one_that_cannot_be_read_what_is_kept(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("page error: not readable")
    phone = await a_phone(site, page)
    await phone.page.evaluate(
        "() => import('/static/handheld/kept.js').then((m) => m.open()).then((kept) => kept.write(['outbox'], ({ outbox }) => void outbox.clear()))"
    )
    await phone.go("#/outbox")
    await expect(phone.page.locator(".lists")).to_contain_text("Rien encore aujourd'hui", timeout=PATIENT)
    await phone.page.evaluate(
        "() => import('/static/handheld/kept.js').then((m) => m.open()).then((kept) => { kept.read = () => Promise.reject(new Error('not readable')); })"
    )
    await phone.go("#/carry")
    await phone.go("#/outbox")
    await expect(phone.page.locator(".summary")).to_contain_text("Rien n'est effacé", timeout=PATIENT)


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_the_outbox_is_accessible_and_fits(site: Site, page: Open, lang: str, theme: Theme) -> None:
    phone = await a_phone(site, page, lang=lang)
    (held, bad) = await queue(
        phone, delivered("RK800000071FR", holdMs=600_000), delivered("RK800000072FR", data={"to": "the moon"})
    )
    await phone.go("#/outbox")
    await expect(row(phone.page, bad)).to_have_attribute("data-state", "refused", timeout=PATIENT)
    for each in (held, bad):
        await row(phone.page, each).locator("summary").click()
    await phone.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    assert await violations(phone.page) == []
    for size in ((390, 844), (320, 640), (640, 400)):
        await phone.page.set_viewport_size({"width": size[0], "height": size[1]})
        assert await overflow(phone.page) == [], size
    small = await phone.page.evaluate(TOO_SMALL)
    assert small == []


async def test_the_focus_stays_in_a_row_that_changes(site: Site, page: Open, watch: Watch) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    phone = await a_phone(site, page)
    await phone.go("#/outbox")
    await phone.offline()
    (one,) = await queue(phone, delivered("RK800000081FR"))
    summary = row(phone.page, one).locator("summary")
    await summary.focus()
    await phone.page.keyboard.press("Enter")
    await phone.offline(is_off=False)
    await phone.page.evaluate("() => import('/static/handheld/outbox.js').then((m) => m.outbox.retry())")
    await expect(row(phone.page, one)).to_have_attribute("data-state", "accepted", timeout=PATIENT)
    await expect(row(phone.page, one).locator("summary")).to_be_focused(timeout=PATIENT)
    await expect(row(phone.page, one).locator("details")).to_have_attribute("open", "")
