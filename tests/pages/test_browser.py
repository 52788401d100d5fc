"""The pages as people meet them, in a real browser. Every page opened fails its test on any error of console or policy."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest
from playwright.async_api import Page, Route, expect

from fieldsvc.access import enrolment
from tests.pages.browser import DESKTOP, PHONE, Open, Site, Watch, overflow, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
SMALL = (320, 640)
ZOOMED = (640, 400)  # 1280 x 800 at 200 %
ON_PURPOSE = ("status of 401", "status of 404", "status of 410")  # pages that say no


def code_for(site: Site, carrier: str = "Camille Essai") -> str:
    place = site.town.sites[0]
    return site.service.call(enrolment.issue_code(site.service.platform.database, carrier=carrier, site=place)).shown


async def refuse(route: Route) -> None:
    """Answer as the service does after too many wrong codes."""
    problem = {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "code": "too_many_tries",
        "detail": "…",
    }
    await route.fulfill(status=429, content_type="application/problem+json", body=orjson.dumps(problem))


async def stages(opened: Page, site: Site) -> AsyncIterator[str]:
    """Walk one browser through every page and each of its states; the name of each."""
    for name, path in (("home", "/"), ("gone", "/sign-in/nothing"), ("404", "/nowhere")):
        await opened.goto(site.url + path)
        yield name
    await opened.goto(site.sign_in_url())
    yield "sign-in"
    await opened.locator("main button").click()
    yield "signed-in"
    await opened.goto(f"{site.url}/supervision/phones")
    yield "phones"
    await opened.locator("#go").click()
    await expect(opened.locator("#carrier-fault")).not_to_be_empty()
    yield "phones, no name"
    await opened.locator("#carrier").fill("Camille Essai")
    await opened.locator("#go").click()
    await expect(opened.locator("#code")).not_to_be_empty()
    yield "phones, code"
    await opened.goto(f"{site.url}/enrol#{code_for(site)}")
    yield "enrol"
    code = await opened.locator("#code").input_value()
    await opened.locator("#code").fill("")
    await opened.locator("#go").click()
    yield "enrol, no code"
    await opened.locator("#code").fill(code)
    await opened.locator("#go").click()
    await expect(opened.locator("#ready")).to_be_visible()
    for summary in await opened.locator("summary").all():
        await summary.click()
    yield "enrol, ready"
    await opened.context.clear_cookies(name="fieldsvc_session")
    await opened.goto(f"{site.url}/supervision/phones")
    yield "401"
    await opened.goto(f"{site.url}/docs")
    yield "docs"


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_axe_finds_nothing_on_any_page_in_any_state_in_light_and_dark(
    page: Open, site: Site, watch: Watch, lang: str
) -> None:
    watch.forgive(*ON_PURPOSE)
    opened = await page("/", lang=lang, theme=None, color_scheme="light", reduced_motion="reduce")
    seen = []
    async for name in stages(opened, site):
        for theme in ("light", "dark"):
            await opened.emulate_media(color_scheme=theme)
            assert await violations(opened) == [], (name, theme)
        assert await opened.locator("h1").count() == 1, name
        assert await opened.get_attribute("html", "lang") == lang, name
        seen.append(name)
    assert len(seen) == 13


async def test_axe_does_find_what_is_wrong(page: Open) -> None:
    opened = await page("/enrol")
    await opened.evaluate(
        """() => { document.querySelector('label[for=code]').remove(); document.querySelector('#join p').style.color = '#ccc'; }"""
    )
    found = " ".join(await violations(opened))
    assert "label (critical)" in found
    assert "color-contrast (serious)" in found


async def test_a_broken_policy_or_a_foreign_request_would_be_seen(page: Open, watch: Watch) -> None:
    opened = await page("/")
    await opened.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = '1'; document.body.append(s); }"
    )
    await opened.evaluate("() => fetch('http://127.0.0.1:9/x').catch(() => 0)")
    await opened.evaluate("() => console.error('on purpose')")
    assert any("Content Security Policy" in each for each in watch.unforgiven)
    assert any("on purpose" in each for each in watch.unforgiven)
    watch.forgive("Content Security Policy", "on purpose", "127.0.0.1:9", "ERR_")


async def test_nothing_overflows_at_320_pixels_and_at_200_percent(page: Open, site: Site, watch: Watch) -> None:
    watch.forgive(*ON_PURPOSE)
    opened = await page("/", size=SMALL)
    async for name in stages(opened, site):
        for width, height in (ZOOMED, SMALL):
            await opened.set_viewport_size({"width": width, "height": height})
            assert await overflow(opened) == [], (name, width)


async def test_nothing_overflows_when_only_the_text_is_doubled(page: Open, site: Site, watch: Watch) -> None:
    for path in ("/", "/enrol", "/supervision/phones"):
        opened = await page(path, role="supervisor", size=DESKTOP)
        await opened.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
        assert await overflow(opened) == [], path


async def test_targets_on_the_phone_are_large(page: Open, site: Site) -> None:
    opened = await page(f"/enrol#{code_for(site)}", size=PHONE, is_mobile=True, has_touch=True)
    await opened.locator("#go").tap()
    await expect(opened.locator("#ready")).to_be_visible()
    heights: Sequence[float] = await opened.evaluate(
        """() => [...document.querySelectorAll('main button, main a, main summary, main input')]
          .map(each => each.getBoundingClientRect()).filter(box => box.width > 0).map(box => box.height)"""
    )
    assert len(heights) >= 8
    assert min(heights) >= 48
    assert await opened.evaluate("() => getComputedStyle(document.body).fontSize") == "18px"


# Without JavaScript


@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_home_and_signing_in_and_out_work_without_javascript(
    page: Open, site: Site, watch: Watch, lang: str
) -> None:
    watch.forgive("status of 401")  # the page after signing out
    opened = await page(site.sign_in_url(), lang=lang, js=False)
    await opened.locator("main button").click()
    await expect(opened).to_have_url(f"{site.url}/signed-in")
    await expect(opened.locator("main")).to_contain_text("supervisor@demo.invalid")
    await opened.locator("a.brand").click()
    await expect(opened.locator(".cards > li")).not_to_have_count(0)
    await opened.go_back()
    await opened.locator('form[action="/sign-out"] button').click()
    await expect(opened.locator("h1")).to_have_text(
        "Vous n'êtes pas connecté" if lang == "fr" else "You are not signed in"
    )


async def test_a_used_link_says_so(page: Open, site: Site, watch: Watch) -> None:
    watch.forgive("status of 410")
    link = site.sign_in_url()
    opened = await page(link)
    await opened.locator("main button").click()
    await opened.goto(link)
    await expect(opened.locator(".notice")).to_have_text("Ce lien ne peut plus servir. Demandez-en un nouveau.")
    assert await opened.locator("form").count() == 0


async def test_pages_that_need_javascript_say_so_without_it(page: Open) -> None:
    for path in ("/enrol", "/supervision/phones"):
        opened = await page(path, role="supervisor", js=False)
        await expect(opened.locator("noscript .notice")).to_be_visible()


# Switches


async def test_the_language_changes_and_stays_on_the_same_page_with_its_code(page: Open) -> None:
    opened = await page("/enrol#ABCD-EFGH-JKMN-PQRS", lang="fr")
    await opened.get_by_role("link", name="English").click()
    await expect(opened).to_have_url(re.compile(r"/enrol\?lang=en#ABCD-EFGH-JKMN-PQRS$"))
    await expect(opened.locator("h1")).to_have_text("Join this phone")
    await expect(opened.locator("#code")).to_have_value("ABCD-EFGH-JKMN-PQRS")
    await opened.goto(opened.url.partition("/enrol")[0])
    assert await opened.get_attribute("html", "lang") == "en"


async def test_the_theme_follows_the_device_until_it_is_chosen(page: Open) -> None:
    def ground(opened: Page) -> Any:
        return opened.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")

    paper, night = "rgb(251, 250, 246)", "rgb(20, 23, 31)"
    assert await ground(await page("/", theme=None, color_scheme="light")) == paper
    opened = await page("/", theme=None, color_scheme="dark")
    assert await ground(opened) == night
    await expect(opened.get_by_role("link", name="Sombre")).to_be_hidden()
    await opened.get_by_role("link", name="Clair").click()
    assert await ground(opened) == paper
    await opened.goto(opened.url.partition("?")[0])
    assert await ground(opened) == paper
    await opened.get_by_role("link", name="Sombre").click()
    assert await ground(opened) == night


# Joining a phone


async def test_a_supervisor_makes_a_code_by_keyboard_and_the_phone_takes_it(
    page: Open, site: Site, watch: Watch
) -> None:
    desk = await page("/supervision/phones", role="supervisor")
    await desk.keyboard.press("Tab")
    await expect(desk.locator(".skip")).to_be_focused()
    await desk.keyboard.press("Enter")
    await expect(desk.locator("main")).to_be_focused()
    await desk.keyboard.press("Tab")
    await expect(desk.locator("#carrier")).to_be_focused()
    await desk.keyboard.type("Camille Essai")
    await desk.keyboard.press("Tab")
    await expect(desk.locator("#round")).to_be_focused()
    await desk.keyboard.press("Tab")
    await expect(desk.locator("#go")).to_be_focused()
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#shown-title")).to_be_focused()
    await expect(desk.locator("#shown-title")).to_have_text("Le code de Camille Essai")
    await expect(desk.locator("#ends")).to_have_text(
        re.compile(r"Valable jusqu'à \d{1,2}\sh\s\d\d, encore \d+ minutes\.")
    )
    assert await desk.evaluate(
        "() => document.getElementById('qr').decode().then(() => document.getElementById('qr').naturalWidth) "
    )
    code = await desk.locator("#code").inner_text()

    phone = await page(f"/enrol#{code}", size=PHONE)
    asked: list[str] = []
    phone.on("request", lambda request: asked.append(request.url))
    await phone.locator("#go").click()
    await expect(phone.locator("#who")).to_be_focused()
    await expect(phone.locator("#who")).to_contain_text("Camille Essai")
    kept = orjson.loads(await phone.evaluate("() => localStorage.getItem('fieldsvc.device')"))
    assert site.service.ask("GET", "/v1/services", headers={"Authorization": f"Bearer {kept['token']}"}).status == 200
    assert await phone.locator("#owntracks-link").get_attribute("href") == kept["apps"]["owntracks"]["link"]
    assert await phone.locator("#traccar-link").get_attribute("href") == kept["apps"]["traccar"]["link"]
    assert await phone.locator("#osmand-url").input_value() == kept["apps"]["osmand"]["url"]
    assert "#" not in phone.url
    assert not any(code in url for url in asked)
    said = site.service.log.getvalue()
    assert "device.enrolled" in said
    assert code not in said
    assert kept["token"] not in said
    await phone.reload()
    await expect(phone.locator("#ready")).to_be_visible()


async def test_the_day_s_carriers_are_offered_and_bring_their_round(page: Open, site: Site) -> None:
    mine = next(each for each in site.town.carriers if each.site == site.town.sites[0])
    other = next(each for each in site.town.carriers if each.site != site.town.sites[0])
    opened = await page("/supervision/phones", role="supervisor")
    await expect(opened.locator(f'#carriers option[value="{mine.name}"]')).to_be_attached()
    assert await opened.locator(f'#carriers option[value="{other.name}"]').count() == 0
    await opened.locator("#carrier").fill(mine.name)
    await opened.locator("#carrier").blur()
    await expect(opened.locator("#round")).to_have_value(mine.round_id)
    await opened.locator("#go").click()
    await expect(opened.locator("#code")).not_to_be_empty()
    code = await opened.locator("#code").inner_text()
    joined = site.service.ask("POST", "/v1/devices/enrol", {"code": code}, to_json=True).json()
    assert (joined["carrier"], joined["round"]) == (mine.name, mine.round_id)


async def test_a_used_code_an_absent_network_and_too_many_tries_are_said_in_words(
    page: Open, site: Site, watch: Watch
) -> None:
    watch.forgive("status of 401", "status of 429", "ERR_INTERNET_DISCONNECTED")
    code = code_for(site)
    site.service.ask("POST", "/v1/devices/enrol", {"code": code}, to_json=True)
    opened = await page(f"/enrol#{code}", lang="fr", size=PHONE)
    fault = opened.locator("#code-fault")
    await opened.locator("#go").click()
    await expect(fault).to_contain_text("déjà utilisé")
    await expect(opened.locator("#code")).to_be_focused()
    await expect(opened.locator("#code")).to_have_attribute("aria-invalid", "true")
    await opened.context.set_offline(True)
    await opened.locator("#go").click()
    await expect(fault).to_contain_text("Pas de réseau. Rien n'est perdu")
    await opened.context.set_offline(False)
    await opened.route("**/v1/devices/enrol", refuse)
    await opened.locator("#go").click()
    await expect(fault).to_contain_text("Trop d'essais. Attendez une minute")
    assert await opened.evaluate("() => localStorage.length") == 0


async def test_a_phone_that_keeps_nothing_still_gets_its_settings(page: Open, site: Site) -> None:
    opened = await page(f"/enrol#{code_for(site)}", size=PHONE)
    await opened.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
    await opened.locator("#go").click()
    await expect(opened.locator("#who")).to_contain_text("Ce navigateur ne garde rien")
    await expect(opened.locator("#osmand-url")).not_to_have_value("")


async def test_copying_says_that_it_did(page: Open, site: Site) -> None:
    opened = await page(
        f"/enrol#{code_for(site)}", size=PHONE, lang="en", permissions=["clipboard-read", "clipboard-write"]
    )
    await opened.locator("#go").click()
    button = opened.locator('[data-copy="osmand-url"]')
    await button.click()
    await expect(button).to_have_text("Copied")
    await expect(opened.locator("#said")).to_have_text("Copied")
    address = await opened.locator("#osmand-url").input_value()
    assert await opened.evaluate("() => navigator.clipboard.readText()") == address


async def test_joining_anew_forgets_the_old_settings(page: Open, site: Site) -> None:
    opened = await page(f"/enrol#{code_for(site)}", size=PHONE)
    await opened.locator("#go").click()
    await opened.locator("summary").last.click()
    await opened.locator("#forget").click()
    await expect(opened.locator("#code")).to_be_focused()
    assert await opened.evaluate("() => localStorage.getItem('fieldsvc.device')") is None


async def test_a_code_on_the_supervisor_s_screen_ends_in_words(page: Open, watch: Watch) -> None:
    opened = await page("/supervision/phones", role="supervisor", lang="en")
    await opened.clock.install()
    await opened.locator("#carrier").fill("Camille Essai")
    await opened.locator("#go").click()
    await expect(opened.locator("#ends")).to_have_text(re.compile(r"Good until \d\d:\d\d, \d+ more minutes\."))
    await opened.clock.fast_forward("09:30")
    await expect(opened.locator("#ends")).to_contain_text("less than a minute")
    await opened.clock.fast_forward("00:40")
    await expect(opened.locator("#shown-title")).to_have_text("This code is over. Make another.")
    await expect(opened.locator("#shown")).to_be_hidden()


async def test_a_session_that_ended_and_an_absent_network_are_said_beside_the_form(page: Open, watch: Watch) -> None:
    watch.forgive("status of 401", "ERR_INTERNET_DISCONNECTED")
    opened = await page("/supervision/phones", role="supervisor", lang="en")
    await opened.locator("#carrier").fill("Camille Essai")
    await opened.context.set_offline(True)
    await opened.locator("#go").click()
    await expect(opened.get_by_role("alert")).to_contain_text("No network")
    await opened.context.set_offline(False)
    await opened.context.clear_cookies(name="fieldsvc_session")
    await opened.locator("#go").click()
    await expect(opened.get_by_role("alert")).to_contain_text("Your session has ended")
    await expect(opened.locator("#carrier")).to_have_value("Camille Essai")
