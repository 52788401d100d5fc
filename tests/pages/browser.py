"""A real browser at a real service: every page that a test opens is watched until the test ends."""

import os
import shutil
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Route

from fieldsvc.access import accounts, tokens
from fieldsvc.web.auth import CSRF_COOKIE, SESSION_COOKIE
from fieldsvc.web.pages.page import LANGUAGE_COOKIE, THEME_COOKIE
from tests.acceptance.conftest import World

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # there is no GPU: to feign one for every page takes longer than the page
)
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = 30_000  # what is waited for comes at once on a quiet machine


def find_browser() -> str:
    """Return the path of a browser; without one skip aloud, or fail where FIELDSVC_REQUIRE_BROWSER=1."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is not None:
        return found
    missing = f"no browser here: none of {', '.join(NAMES)} is on the PATH (apt install chromium-headless-shell fonts-dejavu-core)"
    if os.environ.get("FIELDSVC_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass(repr=False)
class Site(World):
    """The service with its town, and people who are signed in."""

    sessions: dict[tuple[str, str | None], str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.service.url

    def session(self, role: str = "supervisor", site: str | None = None) -> str:
        """Sign somebody in, once for each role and site; the supervisor's site is the town's first unless named."""
        place = site or (self.town.sites[0] if role == "supervisor" else None)
        if (role, place) not in self.sessions:
            self.sessions[role, place] = self.service.call(self._sign_in(role, place))
        return self.sessions[role, place]

    def headers(self, role: str = "supervisor", site: str | None = None) -> dict[str, str]:
        """Return what a signed-in person's program sends."""
        session = self.session(role, site)
        return {"Cookie": f"{SESSION_COOKIE}={session}", "X-CSRF-Token": tokens.csrf_of(session)}

    def cookies(self, role: str = "supervisor", site: str | None = None) -> dict[str, str]:
        session = self.session(role, site)
        return {SESSION_COOKIE: session, CSRF_COOKIE: tokens.csrf_of(session)}

    def sign_in_url(self, role: str = "supervisor") -> str:
        """Make a fresh sign-in link."""
        made = self.service.call(
            accounts.create_person(
                self.service.platform.database,
                self.url,
                role,
                email=f"{role}@demo.invalid",
                site=self.town.sites[0] if role == "supervisor" else None,
            )
        )
        return str(made["sign_in_url"])

    async def _sign_in(self, role: str, site: str | None) -> str:
        database = self.service.platform.database
        made = await accounts.create_person(
            database, self.url, role, email=f"{role}@{site or 'all'}.invalid", site=site
        )
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        return session


class Open(Protocol):
    """Opens a page in a context of its own."""

    async def __call__(
        self,
        path: str = "/",
        *,
        lang: str = "fr",
        theme: str | None = "light",
        js: bool = True,
        role: str | None = None,
        at: str | None = None,
        size: tuple[int, int] = DESKTOP,
        **context: Any,
    ) -> Page: ...


@dataclass
class Watch:
    """What went wrong on the pages of a test; `forgiven` are parts of messages that the test provokes."""

    site: Site
    faults: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def forgive(self, *parts: str) -> None:
        """Let the browser complain of what this test does on purpose, such as `status of 401`."""
        self.forgiven.extend(parts)

    @property
    def unforgiven(self) -> list[str]:
        return [each for each in self.faults if not any(part in each for part in self.forgiven)]

    def over(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("crash", lambda _page: self.faults.append("the page crashed"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert") or "Content Security Policy" in message.text:
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and not request.url.startswith(f"{self.site.url}/"):
            self.faults.append(f"asked another host: {parts.scheme}://{parts.netloc}")

    async def open(
        self,
        browser: Browser,
        path: str,
        *,
        lang: str,
        theme: str | None,
        js: bool,
        role: str | None,
        at: str | None,
        size: tuple[int, int],
        **context: Any,
    ) -> Page:
        """Open a page in a new context; `role` is who is signed in, `at` their site, `theme` none follows the device."""
        made = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=js,
            **{"locale": "fr-FR" if lang == "fr" else "en-GB", "timezone_id": "Europe/Paris", **context},
        )
        self.contexts.append(made)
        kept = {LANGUAGE_COOKIE: lang, **({THEME_COOKIE: theme} if theme else {})}
        kept |= self.site.cookies(role, at) if role else {}
        await made.add_cookies([{"name": name, "value": value, "url": self.site.url} for name, value in kept.items()])
        page = await made.new_page()
        page.set_default_timeout(PATIENCE_MS)
        self.over(page)
        await page.goto(path if "://" in path else f"{self.site.url}{path}")
        return page

    async def close(self) -> None:
        for context in self.contexts:
            await context.close()


async def violations(page: Page) -> list[str]:
    """Let axe judge the page as it is now; one line for each violation, with where."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(Axe().axe_script)  # not as a script element: the policy forbids it, as it should
    found: list[dict[str, Any]] = await page.evaluate(
        "() => axe.run({resultTypes: ['violations']}).then(found => found.violations)"
    )
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['target']} {each['nodes'][0].get('failureSummary', '')}"
        for each in found
    ]


async def overflow(page: Page) -> list[str]:
    """List what is wider than the window, as the reader of a zoomed page would find it; scrolling boxes may be."""
    found: list[str] = await page.evaluate(
        """() => {
          const wide = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= wide) return [];
          return [...document.body.querySelectorAll('*')]
            .filter(each => each.getBoundingClientRect().right > wide + 1)
            .map(each => `${each.tagName.toLowerCase()}.${each.className} ${Math.round(each.getBoundingClientRect().right)}`)
            .slice(0, 5).concat([`page ${document.documentElement.scrollWidth} > ${wide}`]);
        }"""
    )
    return found


async def refuse(route: Route) -> None:
    """Answer as a service that cannot."""
    await route.fulfill(status=503, content_type="application/problem+json", body='{"code": "unavailable"}')


async def heal_by_pressing(page: Page, asked: str, button: str) -> None:
    """Press `button`; what is `asked` and was refused is answered from then on, and not before, as pages also ask by themselves."""
    await page.evaluate(
        """(button) => document.addEventListener("click", (event) => {
          window.healed ||= Boolean(event.target.closest(button));
        }, { capture: true })""",
        button,
    )

    async def answer(route: Route) -> None:
        await (route.continue_() if await page.evaluate("() => window.healed === true") else refuse(route))

    await page.route(asked, answer)
    await page.locator(button).first.click()


def opener(watch: Watch, browser: Browser) -> Open:
    """Open pages of the service that is watched."""

    async def opened(
        path: str = "/",
        *,
        lang: str = "fr",
        theme: str | None = "light",
        js: bool = True,
        role: str | None = None,
        at: str | None = None,
        size: tuple[int, int] = DESKTOP,
        **context: Any,
    ) -> Page:
        return await watch.open(browser, path, lang=lang, theme=theme, js=js, role=role, at=at, size=size, **context)

    return opened
