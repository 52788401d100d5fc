"""What the server says around a page: headers, cookies, caching, and errors in the form that the caller understands."""

import gzip
import re

import pytest
from aiohttp.test_utils import make_mocked_request

from fieldsvc.web.pages.files import every_file, static_url
from fieldsvc.web.pages.page import POLICY, error_page
from tests.acceptance.service import Answer
from tests.pages.browser import Site

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OPEN = ("/", "/enrol", "/signed-in", "/sign-in/nothing", "/nowhere", "/supervision/phones")


def ask(site: Site, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.service.ask("GET", path, headers={**BROWSER, **named})


@pytest.mark.parametrize("path", OPEN)
def test_every_page_carries_the_policy_and_forbids_keeping_and_framing(site: Site, path: str) -> None:
    found = ask(site, path)
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert found.headers["referrer-policy"] == "no-referrer"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "no-store"
    assert "geolocation=()" in found.headers["permissions-policy"]
    assert found.body.count(b"<h1") == 1


def test_the_language_is_asked_for_kept_or_accepted(site: Site) -> None:
    assert b'<html lang="fr"' in ask(site, "/").body
    assert b'<html lang="en"' in ask(site, "/", Accept_Language="en-GB,en;q=0.9").body
    asked = ask(site, "/?lang=en", Accept_Language="fr")
    assert b'<html lang="en"' in asked.body
    assert "fieldsvc_lang=en" in asked.headers["set-cookie"]
    assert "samesite=lax" in asked.headers["set-cookie"].lower()
    assert b'<html lang="en"' in ask(site, "/", Cookie="fieldsvc_lang=en", Accept_Language="fr").body
    assert "set-cookie" not in ask(site, '/?lang="><script>').headers


def test_a_theme_is_chosen_kept_and_given_back_to_the_device(site: Site) -> None:
    device = ask(site, "/").body.decode()
    assert 'media="screen and (prefers-color-scheme: dark)"' in device
    chosen = ask(site, "/?theme=dark")
    assert 'data-theme="dark"' in chosen.body.decode()
    assert 'media="screen"' in chosen.body.decode()
    assert "fieldsvc_theme=dark" in chosen.headers["set-cookie"]
    assert "dark.css" not in ask(site, "/", Cookie="fieldsvc_theme=light").body.decode()
    assert 'fieldsvc_theme=""' in ask(site, "/?theme=auto", Cookie="fieldsvc_theme=dark").headers["set-cookie"]


def test_what_is_in_the_address_is_never_markup(site: Site) -> None:
    for path in ('/nowhere"><script>alert(1)</script>', "/?lang=en&x=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"):
        body = ask(site, path.replace('"', "%22").replace("<", "%3C").replace(">", "%3E")).body
        assert b"<script" not in body
        assert b"alert(1)<" not in body


def test_a_browser_gets_an_error_as_a_page_and_a_program_as_a_problem(site: Site) -> None:
    for path, status in (("/supervision/phones", 401), ("/nowhere", 404), ("/sign-out", 405)):
        page = ask(site, path, Accept_Language="en")
        assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert site.service.ask("GET", path).headers["content-type"] == "application/problem+json"
    assert "sign-in link" in ask(site, "/supervision/phones", Accept_Language="en").body.decode()
    assert ask(site, "/sign-out").headers["allow"] == "POST"
    for path in ("/v1/nowhere", "/v1/tasks/x", "/v1/feed"):
        assert ask(site, path).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 429, 500, 503])
def test_every_error_has_a_page_in_both_languages(status: int) -> None:
    for lang in ("fr", "en"):
        page = error_page(make_mocked_request("GET", f"/x?lang={lang}"), status)
        assert page.status == status
        assert re.search(r"<h1>[^<]{10,}</h1>\s*<p class=\"lead\">[^<]{20,}</p>", page.text or "")


def test_pages_are_not_in_the_documents_for_programs(site: Site) -> None:
    paths = site.service.ask("GET", "/openapi.json").json()["paths"]
    assert "/v1/events" in paths
    assert not {"/", "/enrol", "/supervision/phones", "/static/{name}", "/favicon.ico"} & paths.keys()


def test_a_page_of_another_role_is_not_there(site: Site) -> None:
    found = ask(site, "/supervision/phones", Cookie=site.headers("adviser")["Cookie"])
    assert (found.status, found.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_home_leads_only_to_what_answers(site: Site) -> None:
    for headers in ({}, {"Cookie": site.headers()["Cookie"]}):
        links = re.findall(r'<a href="(/[^"?#]*)"', ask(site, "/", **headers).body.decode())
        assert {"/docs", "/v1/types", "/healthz", "/enrol", "/supervision/phones"} <= set(links)
        for link in set(links):
            assert ask(site, link, Cookie=site.headers()["Cookie"]).status == 200, link


def test_home_offers_a_person_only_what_their_role_may_see(site: Site) -> None:
    seen = {"supervisor": {"/supervision", "/supervision/phones"}, "operator": {"/supervision"}, "adviser": set()}
    for role, wanted in seen.items():
        body = ask(site, "/", Cookie=site.headers(role)["Cookie"]).body.decode()
        assert set(re.findall(r'href="(/supervision[^"?#]*)"', body)) == wanted, role


def test_files_are_kept_for_ever_under_their_hash_and_asked_for_again_without_it(site: Site) -> None:
    address = static_url("style.css")
    assert re.fullmatch(r"/static/style\.css\?v=[0-9a-f]{16}", address)
    kept = ask(site, address, Accept_Encoding="gzip")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (kept.headers["content-type"], kept.headers["content-encoding"]) == ("text/css; charset=utf-8", "gzip")
    assert gzip.decompress(kept.body) == every_file()["style.css"].body
    for other in ("/static/style.css", "/static/style.css?v=0000000000000000"):
        assert ask(site, other).headers["cache-control"] == "public, no-cache"
    again = ask(site, "/static/style.css", If_None_Match=kept.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("encodings", ["", "br", "gzip;q=0", "identity"])
def test_who_does_not_take_gzip_gets_the_file_as_it_is(site: Site, encodings: str) -> None:
    plain = ask(site, static_url("base.js"), Accept_Encoding=encodings)
    assert "content-encoding" not in plain.headers
    assert plain.body == every_file()["base.js"].body


def test_nothing_but_the_files_of_the_pages_is_served(site: Site) -> None:
    for name in (
        "../words.toml",
        "..%2fwords.toml",
        "%2e%2e/page.py",
        "vendor/maplibre-gl.json",
        "",
        "x",
        "vendor/",
        "style.css/",
    ):
        assert ask(site, f"/static/{name}").status == 404, name


def test_the_favicon_is_there_for_pages_without_a_link(site: Site) -> None:
    found = ask(site, "/favicon.ico")
    assert (found.status, found.headers["content-type"]) == (200, "image/svg+xml; charset=utf-8")
