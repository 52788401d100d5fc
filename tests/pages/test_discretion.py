"""The pages of who sees what: complete, readable by everyone, without JavaScript, and the same as what programs read."""

import re

import pytest

from fieldsvc.web.pages.page import POLICY
from handlers.registry import Registry
from tests.pages.browser import Open, Site, overflow, violations
from tests.pages.test_serving import ask

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGES = ("/discretion", "/discretion/carriers")


FEW = (
    "() => [...document.querySelectorAll('main section[aria-labelledby^=of-]')].slice(3).forEach(each => each.remove())"
)


@pytest.mark.parametrize(
    ("path", "lang", "theme"), [("/discretion", "fr", "dark"), ("/discretion/carriers", "en", "light")]
)
async def test_axe_finds_nothing_and_nothing_overflows_without_javascript(
    page: Open, site: Site, path: str, lang: str, theme: str
) -> None:
    plain = await page(path, lang=lang, js=False, size=(320, 640))
    assert await plain.locator("h1").count() == 1
    assert await plain.locator("script").count() == 0
    opened = await page(path, lang=lang, theme=theme, size=(320, 640))
    assert await overflow(opened) == []
    await opened.evaluate(FEW)  # services are all of one template, and axe reads slowly
    assert await violations(opened) == []


async def test_every_type_with_its_readers_is_on_the_page_and_in_the_document(site: Site, registry: Registry) -> None:
    text = ask(site, "/discretion?lang=en").body.decode()
    told = site.service.ask("GET", "/v1/discretion").json()
    assert len(told["public_types"]) == len(registry.public) + 1
    for each in told["public_types"]:
        (block,) = re.findall(
            rf'<article class="type" aria-labelledby="{re.escape(each["type"])}">.*?</article>', text, re.DOTALL
        )
        shown = set(re.findall(r"<code>\.?([a-z0-9_]+)</code>", block))
        assert {name for path in each["readers"]["full"] for name in path.split(".")} <= shown, each["type"]
    for each in told["field_types"]:
        assert f'id="sent-{each["type"]}"' in text
    for each in told["screens"]:
        assert f"<code>{each['route'].partition(' ')[2]}</code>" in text


async def test_the_council_s_page_has_every_purpose_limit_and_cannot(site: Site) -> None:
    told = site.service.ask("GET", "/v1/discretion").json()
    for lang in ("fr", "en"):
        text = ask(site, f"/discretion/carriers?lang={lang}").body.decode()
        text = text.replace("&#39;", "'").replace("&#34;", '"')
        for each in told["purposes"]:
            assert each["words"][lang]["basis"] in text
            assert all(f"<code>{table}</code>" in text for table in each["tables"])
        for each in told["cannot"]:
            assert each["words"][lang] in text
            assert all(test in text for test in each["tests"])
    assert "runs/{id}/replay" in text


async def test_the_pages_are_open_guarded_and_linked(site: Site) -> None:
    for path in PAGES:
        found = ask(site, path)
        assert (found.status, found.headers["content-security-policy"]) == (200, POLICY)
    for path in ("/", "/docs", "/discretion/carriers"):
        assert b'href="/discretion"' in ask(site, path).body, path
    assert b'href="/discretion/carriers"' in ask(site, "/discretion").body
