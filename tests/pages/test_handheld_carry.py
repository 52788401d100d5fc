"""A dead phone's queue leaves with a colleague's: sealed, as codes on a screen or as a file, stored once and in order."""

import base64
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from playwright.async_api import Page, expect

from fieldsvc.intake.relay import RelayKey, open_envelope
from fieldsvc.journal.sealed import Vault
from tests.pages.browser import Open, Site, Watch, overflow, violations
from tests.pages.handheld import Phone, stored
from tests.pages.test_handheld_outbox_screen import TOO_SMALL, Theme
from tests.sealing import queue, seal

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUEUE = """async ({ items, at }) => {
  const { outbox } = await import('/static/handheld/outbox.js');
  const steps = ['loaded', 'out_for_delivery', 'delivered'];
  const saved = await outbox.queueAll(steps.flatMap((step) => items.map((item) => ({
    type: `item.${step}`, subject: `item/${item}`,
    data: { item_id: item, ...(step === 'delivered' ? { to: 'addressee', stop_id: at } : {}) },
  }))));
  return saved.map(({ id }) => id);
}"""
TYPED = """(text) => {
  for (const key of [...text, 'Enter']) document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
}"""
SEAL = """async ({ key, text }) => {
  const { seal } = await import('/static/handheld/sealing.js');
  return btoa(String.fromCharCode(...await seal(key, text)));
}"""
SEEN = """() => new Promise((resolve) => {
  const code = document.querySelector('.codes__code');
  const seen = new Set();
  new MutationObserver(() => {
    seen.add(Number(code.dataset.frame));
    if (seen.size === Number(code.dataset.total)) resolve([seen.size, [...seen]]);
  }).observe(code, { attributes: true, attributeFilter: ['data-frame'] });
})"""
FIGURES = """async ({ key, count }) => {
  const [{ sealQueue, nameOf }, { framesOf, FRAMES_A_SECOND }, { newId }] = await Promise.all(
    ['sealing', 'frames', 'ids'].map((name) => import(`/static/handheld/${name}.js`)));
  const device = { device_id: 'd-0042', token: 'x'.repeat(43) };
  const at = (n) => new Date(1772438400000 + n * 61000).toISOString();
  const fix = (n) => ({ lat: 48.9 + (n * 7919 % 9973) / 1e5, lon: 2.16 + (n * 6101 % 9967) / 1e5, accuracy_m: 4 + n % 9, fixed_at: at(n) });
  const events = Array.from({ length: count }, (_, n) => ({
    specversion: '1.0', id: newId(), source: '/devices/d-0042', type: 'fieldsvc.item.delivered.v1',
    subject: `item/RK${100000000 + n * 7919}FR`, time: at(n), runid: 'run-2026-03-02-T01',
    data: { item_id: `RK${100000000 + n * 7919}FR`, to: 'addressee', stop_id: `st-${n}`, fix: fix(n) },
  }));
  const began = performance.now();
  const parcel = await sealQueue(key, device, events);
  const frames = framesOf(await nameOf(parcel), parcel);
  return { bytes: parcel.length, frames: frames.length, seconds: frames.length / FRAMES_A_SECOND, ms: performance.now() - began };
}"""


def same_site(site: Site) -> tuple[str, str]:
    """Name two rounds of one site."""
    first = site.town.rounds[0]
    return first.round_id, next(each.round_id for each in site.town.rounds[1:] if each.site == first.site)


async def with_key(phone: Phone) -> dict[str, Any]:
    """Wait until a phone has the key that it seals for."""
    return cast("dict[str, Any]", await phone.gets("relay_key"))


async def a_dead_phone(site: Site, page: Open, items: list[str], **more: Any) -> tuple[Phone, list[str]]:
    """Join a phone, cut it off, and let its carrier work: three events for each item."""
    phone = await Phone.joined(site, page, same_site(site)[0], **more)
    await with_key(phone)
    await phone.sent("sheet.seen")
    await phone.controlled()
    await phone.offline()
    ids = await phone.page.evaluate(QUEUE, {"items": items, "at": site.town.rounds[0].stops[0].stop_id})
    return phone, ids


def item_ids(prefix: int, count: int) -> list[str]:
    return [f"RK{prefix}{n:05}FR" for n in range(count)]


async def read_codes(page: Page) -> list[str]:
    """Film the codes: each as it stands on the screen, decoded from the picture."""
    code = page.locator(".codes__code")
    await page.locator(".codes__play").click()
    total = int(await code.get_attribute("data-total") or 0)
    found = []
    for _ in range(total):
        picture = Image.open(io.BytesIO(await page.locator(".codes__ground").screenshot()))
        found += [each.text for each in zxingcpp.read_barcodes(picture)]
        await page.locator(".codes__next").click()
    assert len(found) == total, "a code could not be read"
    return found


async def brought(phone: Phone, words: str) -> None:
    await expect(phone.page.locator("[data-state=brought]")).to_contain_text(words)


async def test_a_queue_of_60_leaves_as_codes_on_a_screen_and_is_stored_once_and_in_order(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    items = item_ids(7001, 20)
    dead, ids = await a_dead_phone(site, page, items)
    await dead.go("#/carry/give")
    await expect(dead.page.locator("#screen")).to_contain_text("60 envois attendent")
    frames = await read_codes(dead.page)
    code = await dead.page.locator(".check strong").text_content()

    carrying = await Phone.joined(site, page, same_site(site)[1])
    await carrying.controlled()
    await carrying.go("#/carry/take")
    await carrying.offline()
    shuffled = random.Random(1).sample(frames, len(frames))
    await carrying.scan(shuffled[0])
    for each in (*shuffled[1:-1], shuffled[0], shuffled[-2]):
        await carrying.page.evaluate(TYPED, each)
    await expect(carrying.page.locator(".taking__said")).to_contain_text(
        f"{len(frames) - 1} codes lus sur {len(frames)}"
    )
    await expect(carrying.page.locator(".taking__said")).to_contain_text("Il manque")
    await carrying.page.evaluate(TYPED, shuffled[-1])
    await expect(carrying.page.locator(".taking__said")).to_contain_text(f"File {code} prise")
    await carrying.page.reload()
    await expect(carrying.page.locator("[data-state=waiting]").or_(carrying.page.locator(".taking"))).to_be_visible()
    await nothing_to_read(carrying, frames, (*items, *ids, (await dead.kept("device"))["token"]))

    await carrying.go("#/carry")
    await carrying.offline(is_off=False)
    await brought(carrying, "60 acceptés")
    assert stored(site, await dead.entries("item.delivered")) == set(ids[-20:])
    for n, item in enumerate(items):
        assert in_the_journal(site, item) == ids[n :: len(items)]

    await dead.offline(is_off=False)
    sent = await dead.sent(count=60)
    assert {each["status"] for each in sent if each["id"] in ids} == {"duplicate"}


async def nothing_to_read(phone: Phone, frames: list[str], secrets: tuple[str, ...]) -> None:
    """Assert that what the carrying phone has holds no word of the queue, in bytes or as base32."""
    held = await phone.page.evaluate(
        """async () => {
          const kept = await (await import('/static/handheld/kept.js')).open();
          const [parcel] = await kept.get('carried');
          return btoa(String.fromCharCode(...parcel.envelopes.flatMap(({ bytes }) => [...bytes])));
        }"""
    )
    seen = base64.b64decode(held) + "".join(frames).encode()
    assert len(seen) > 2_000
    for secret in secrets:
        assert secret.encode() not in seen
        assert base64.b32encode(secret.encode())[2:-8] not in seen


def in_the_journal(site: Site, item: str) -> list[str]:
    """List the ids of an item's events in the order of the journal, each once."""

    async def found() -> list[str]:
        async with site.service.platform.database.acquire() as connection:
            rows = await connection.fetch(
                "select id::text from event where subject = $1 order by day, shard, pos", f"item/{item}"
            )
            return list(dict.fromkeys(str(row["id"]) for row in rows))

    return site.service.call(found())


async def test_a_file_travels_too_and_one_that_was_cut_changed_or_is_anothers_is_refused_in_words(
    site: Site, page: Open, watch: Watch, tmp_path: Path
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED", "status of 4")
    dead, ids = await a_dead_phone(site, page, item_ids(7002, 2))
    await dead.go("#/carry/give")
    async with dead.page.expect_download() as download:
        await dead.page.locator(".carry__save").click()
    whole = bytes_of(await (await download.value).path())
    changed = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    other = Vault(b"m" * 32, epoch=UUID(int=1), content_key=b"o" * 32, signing=Ed25519PrivateKey.generate())
    foreign = parcel(seal(RelayKey.of(other).point, queue("d-1", "token", [])))
    carrying = await Phone.joined(site, page, same_site(site)[1])
    for name, data, words in (
        ("cut", whole[:-5], "pas une file entière"),
        ("nothing", b"", "pas une file entière"),
        ("changed", changed, "Cette file est abîmée"),
        ("foreign", foreign, "scellée pour un autre service"),
        ("whole", whole, "6 acceptés"),
        ("twice", whole, "était déjà prise"),
    ):
        await carrying.go("#/carry/take")
        path = tmp_path / f"{name}.fsp"
        path.write_bytes(data)
        await carrying.page.locator("#carry-file").set_input_files(path)
        await expect(carrying.page.locator(".taking")).to_contain_text(words)
    assert stored(site, await dead.entries()) >= set(ids)
    await carrying.go("#/carry")
    await expect(carrying.page.locator("[data-state=refused]")).to_have_count(2)
    await carrying.page.get_by_role("button", name="Effacer").first.click()
    await expect(carrying.page.locator("[data-state=refused]")).to_have_count(1)


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def parcel(envelope: bytes) -> bytes:
    return b"FSP\x01" + len(envelope).to_bytes(4) + envelope


async def test_what_the_browser_seals_the_service_alone_opens_and_it_is_short(
    site: Site, page: Open, note: Callable[[str], None]
) -> None:
    phone = await Phone.joined(site, page)
    own, key = RelayKey.of(site.service.platform.vault), await with_key(phone)
    text = '{"device_id":"d-1","token":"t","made_at":"2026-03-02T08:00:00.000Z"}\n[{"id":"é"}]'
    envelope = base64.b64decode(await phone.page.evaluate(SEAL, {"key": key, "text": text}))
    assert open_envelope(own, envelope, most_bytes=1_000).body.decode() == '[{"id":"é"}]'
    for count in (10, 60, 200):
        found = await phone.page.evaluate(FIGURES, {"key": key, "count": count})
        note(
            f"a queue of {count} events as codes: {found['bytes']:,} bytes, {found['frames']} codes, "
            f"{found['seconds']:.1f} s for one round of them; sealed in {found['ms']:.0f} ms"
        )
        assert found["bytes"] < 150 * count + 500


async def test_what_was_given_stays_in_the_outbox_marked_until_the_service_answers(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    dead, ids = await a_dead_phone(site, page, item_ids(7003, 1))
    await dead.go("#/carry/give")
    await dead.page.get_by_label("Confié à").fill("Dominique")
    await dead.page.get_by_role("button", name="C'est pris").click()
    await dead.shows("outbox")
    row = dead.page.locator(f"[data-entry='{ids[0]}']")
    await expect(row).to_contain_text("confié à Dominique")
    await dead.offline(is_off=False)
    await expect(row).to_have_attribute("data-state", "accepted")
    await expect(row).not_to_contain_text("confié à Dominique")


async def test_codes_come_round_by_themselves_and_with_less_motion_only_by_hand(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    dead, _ = await a_dead_phone(site, page, item_ids(7004, 3), reduced_motion="no-preference")
    await dead.go("#/carry/give")
    code = dead.page.locator(".codes__code")
    await expect(code).to_be_visible(timeout=15_000)
    total, seen = await dead.page.evaluate(SEEN)
    assert total > 1
    assert sorted(seen) == list(range(1, total + 1))
    await dead.page.emulate_media(reduced_motion="reduce")
    await dead.go("#/carry")
    await dead.go("#/carry/give")
    await expect(dead.page.get_by_role("button", name="Faire tourner")).to_be_visible(timeout=15_000)
    await expect(code).to_have_attribute("data-frame", "1")
    await dead.page.get_by_role("button", name="Suivant").press("Enter")
    await expect(code).to_have_attribute("data-frame", "2")
    await expect(dead.page.get_by_role("img", name="Code 2 sur")).to_be_visible(timeout=15_000)


async def test_nothing_to_give_and_no_key_to_give_it_with_are_said_in_words(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    phone = await Phone.joined(site, page)
    await with_key(phone)
    await phone.sent("sheet.seen")
    await phone.go("#/carry/give")
    await expect(phone.page.locator("#screen")).to_contain_text("il n'y a rien à confier")
    await phone.offline()
    await phone.page.evaluate(QUEUE, {"items": item_ids(7006, 1), "at": None})
    await phone.page.evaluate(
        "() => import('/static/handheld/kept.js').then((m) => m.open()).then((kept) => kept.remove('relay_key'))"
    )
    await phone.go("#/carry")
    await phone.go("#/carry/give")
    await expect(phone.page.locator("#screen")).to_contain_text("n'a pas encore la clé du service")


@pytest.mark.parametrize(("lang", "theme"), [("fr", "light"), ("en", "dark")])
async def test_the_screens_of_carrying_are_accessible_and_fit(
    site: Site, page: Open, watch: Watch, lang: str, theme: Theme
) -> None:
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    dead, _ = await a_dead_phone(site, page, item_ids(7007, 3), lang=lang)
    for hash_ in ("#/carry", "#/carry/give", "#/carry/take"):
        await dead.go(hash_)
        await expect(dead.page.locator("#screen h2").first).to_be_visible(timeout=15_000)
        await dead.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        assert await violations(dead.page) == [], (hash_, theme)
        for size in ((390, 844), (320, 640), (640, 400)):
            await dead.page.set_viewport_size({"width": size[0], "height": size[1]})
            assert await overflow(dead.page) == [], (hash_, size)
        assert await dead.page.evaluate(TOO_SMALL) == [], hash_
