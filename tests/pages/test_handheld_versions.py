"""The phone's page without a network and across versions: what it keeps, how much that is, and that nothing is lost on the way."""

import dataclasses
import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import orjson
import pytest
from playwright.async_api import Response, expect

from fieldsvc.access import enrolment
from fieldsvc.web import handheld_page
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.pages import files
from fieldsvc.web.pages.files import File, every_file
from tests.pages.browser import Open, Site, Watch
from tests.pages.handheld import OFFLINE, Phone, code, stored

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIRST_LOAD_BYTES = 150_000


@pytest.mark.parametrize(("lang", "other"), [("fr", "en"), ("en", "fr")])
async def test_after_one_visit_the_page_opens_without_a_network_in_both_languages(
    site: Site, page: Open, watch: Watch, lang: str, other: str
) -> None:
    watch.forgive(*OFFLINE)
    ready = {"fr": "Prêt hors ligne : 40 points", "en": "Ready offline: 40 points"}
    phone = await Phone.joined(site, page, lang=lang)
    await phone.controlled()
    await expect(phone.page.locator("#screen")).to_contain_text(ready[lang])
    await phone.offline()
    await phone.page.reload()
    await phone.shows("start")
    await expect(phone.page.locator("html")).to_have_attribute("lang", lang)
    await expect(phone.page.locator("#screen")).to_contain_text(ready[lang])
    await expect(phone.page.locator("#strip-net")).to_have_attribute("data-net", "off")
    await phone.go("#/me")
    await phone.page.locator("[data-look=sun]").click()
    await phone.page.locator(f"[data-language={other}]").click()
    await expect(phone.page.locator("html")).to_have_attribute("lang", other)
    await phone.shows("me")
    await expect(phone.page.locator("html")).to_have_attribute("data-look", "sun")
    await phone.go("#/start")
    await expect(phone.page.locator("#screen")).to_contain_text(ready[other])
    assert await phone.page.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    names = "() => caches.keys().then((all) => Promise.all(all.map((name) => caches.open(name).then((each) => each.keys()))))"
    kept = await phone.page.evaluate(f"({names})().then((all) => all.flat().map((each) => new URL(each.url).pathname))")
    assert [each for each in kept if each.startswith("/v1/")] == []


async def test_a_new_version_waits_for_the_writer_and_loses_nothing_of_the_outbox(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive(*OFFLINE)
    phone = await Phone.on_duty(site, page, site.town.rounds[2].round_id)
    await phone.controlled()
    await phone.settled()
    await phone.page.route("**/v1/events", lambda route: route.abort())
    await phone.go("#/start")
    for act in ("pause", "resume", "pause", "resume"):
        await phone.page.locator(f"#screen [data-act={act}]").click()
        await expect(phone.page.locator(f"#screen [data-act={act}]")).to_have_count(0)
    before = await phone.unsent(4)
    old = await phone.page.evaluate("() => caches.keys()")
    with another_version():
        await phone.page.evaluate(
            "() => navigator.serviceWorker.getRegistration('/handheld').then((each) => each.update())"
        )
        await expect(phone.page.locator("#update")).to_contain_text("Nouvelle version prête")
        await phone.drawn("update")
        await phone.go("#/proof/item/RK123456785FR")
        await signed(phone)
        await phone.page.locator("#update button").click()
        await expect(phone.page.locator("#toast")).to_contain_text("Enregistrez ou quittez d'abord")
        assert await phone.page.evaluate("() => caches.keys().then((all) => all.length)") == len(old) + 1
        await phone.go("#/me")
        async with phone.page.expect_navigation():
            await phone.page.locator("#update button").click()
        await phone.shows("me")
    new = await phone.page.evaluate("() => caches.keys()")
    assert len(new) == len(old)
    assert set(new) != set(old)
    after = [each for each in await phone.entries() if each["id"] in {each["id"] for each in before}]
    assert [each["id"] for each in after] == [each["id"] for each in before]
    await phone.page.unroute("**/v1/events")
    await phone.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await phone.sent("run.resumed", 2)
    await phone.sent("run.paused", 2)
    assert len(stored(site, before)) == 4


async def signed(phone: Phone) -> None:
    """Sign on the form that is shown: a stroke is a draft, as typed text is."""
    pad = phone.page.locator(".sign__canvas").first
    await pad.scroll_into_view_if_needed()
    box = await pad.bounding_box()
    assert box is not None
    await phone.page.mouse.move(box["x"] + 20, box["y"] + 40)
    await phone.page.mouse.down()
    await phone.page.mouse.move(box["x"] + 120, box["y"] + 90, steps=4)
    await phone.page.mouse.up()


async def test_a_sign_in_that_ended_while_offline_keeps_the_queue_and_it_goes_after_a_new_code(
    site: Site, page: Open, watch: Watch
) -> None:
    watch.forgive(*OFFLINE)
    name = site.town.rounds[3].round_id
    phone = await Phone.on_duty(site, page, name)
    await phone.settled()
    await phone.controlled()
    await phone.offline()
    await phone.go("#/start")
    for act in ("pause", "resume"):
        await phone.page.locator(f"#screen [data-act={act}]").click()
        await expect(phone.page.locator(f"#screen [data-act={act}]")).to_have_count(0)
    queued = await phone.unsent(2)
    assert [each["event"]["type"] for each in queued] == ["fieldsvc.run.paused.v1", "fieldsvc.run.resumed.v1"]
    device = (await phone.kept("device"))["device_id"]
    site.service.call(enrolment.revoke_device(site.service.platform.database, device))
    site.service.app[ACCESS].forget()
    await phone.offline(is_off=False)
    await expect(phone.page.locator("#notes")).to_contain_text("n'est plus reconnu")
    assert [each["id"] for each in await phone.entries() if each["state"] != "accepted"] == [
        each["id"] for each in queued
    ]
    await phone.page.locator("#notes a").click()
    await phone.shows("join")
    await phone.drawn("expired")
    await phone.page.locator("#code").fill(code(site, name))
    await phone.page.locator("#screen button").click()
    await phone.shows("scan")
    await phone.sent("run.resumed")
    assert len(stored(site, queued)) == 2
    await expect(phone.page.locator("#notes")).not_to_contain_text("n'est plus reconnu")


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_the_manifest_puts_the_page_among_the_apps(site: Site, lang: str) -> None:
    found = site.service.ask("GET", f"/handheld/manifest.webmanifest?lang={lang}")
    assert found.headers["content-type"].startswith("application/manifest+json")
    told = found.json()
    assert (told["lang"], told["start_url"], told["scope"], told["display"]) == (
        lang,
        "/handheld",
        "/handheld",
        "standalone",
    )
    (icon,) = told["icons"]
    assert site.service.ask("GET", icon["src"]).headers["content-type"].startswith(icon["type"])


async def test_the_worker_is_of_one_version_as_long_as_nothing_changes(site: Site) -> None:
    found = site.service.ask("GET", "/handheld/sw.js")
    assert (found.headers["service-worker-allowed"], found.headers["cache-control"]) == ("/handheld", "no-cache")
    shell = shell_of(found.body)
    assert str(shell["version"]) in found.headers["etag"]
    assert shell_of(site.service.ask("GET", "/handheld/sw.js").body) == shell
    cookies = {"Cookie": "fieldsvc_lang=en; fieldsvc_theme=dark", "Accept-Language": "en"}
    assert shell_of(site.service.ask("GET", "/handheld/sw.js", headers=cookies).body) == shell
    with another_version():
        assert shell_of(site.service.ask("GET", "/handheld/sw.js").body)["version"] != shell["version"]


async def test_the_first_load_is_small(site: Site, page: Open) -> None:
    """Count everything: what the page asks for, and what the worker keeps for later, in both languages."""
    asked: set[str] = set()

    def answered(response: Response) -> None:
        if not response.from_service_worker:
            asked.add(response.url.removeprefix(site.url).partition("#")[0])

    shown = await page("/healthz")
    shown.on("response", answered)
    await shown.goto(f"{site.url}/handheld")
    phone = Phone(shown, site, None)
    await phone.shows("join")
    await phone.controlled()
    shell = shell_of(site.service.ask("GET", "/handheld/sw.js").body)
    assert "/handheld" in asked
    assert "/static/handheld/main.js" not in asked  # it came with the others, in one piece
    asked |= {*shell["files"], *shell["pages"].values(), str(shell["bundle"]), "/handheld/sw.js"}
    sizes = {path: size_of(site, path) for path in asked}
    total = sum(sizes.values())
    print(f"first load of the phone's page: {total / 1000:.1f} kB in {len(sizes)} answers")
    assert total < FIRST_LOAD_BYTES, sorted(sizes.items(), key=lambda each: -each[1])[:10]


def size_of(site: Site, path: str) -> int:
    found = site.service.ask("GET", path, headers={"Accept-Encoding": "gzip", "Accept": "*/*"})
    assert found.status == 200, path
    return len(found.body)


def shell_of(body: bytes) -> Mapping[str, Mapping[str, str]]:
    line = body.split(b"\n", 1)[0]
    found: Mapping[str, Mapping[str, str]] = orjson.loads(line.removeprefix(b"const SHELL = ").removesuffix(b";"))
    return found


@contextmanager
def another_version() -> Iterator[None]:
    """Let the service have another style than before, as after an update of it."""
    name = "handheld/handheld.css"
    found = every_file()
    body = found[name].body + b"\n/* newer */\n"
    newer = dataclasses.replace(found[name], tag="0123456789abcdef", body=body, packed=gzip.compress(body))
    changed: Mapping[str, File] = MappingProxyType({**found, name: newer})
    with pytest.MonkeyPatch.context() as patch:
        for module in (files, handheld_page):
            patch.setattr(module, "every_file", lambda: changed)
        yield
