"""Somebody with a browser that keeps cookies and runs no script: they follow links, and send forms as a page gives them."""

import html
import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

_FIELD = re.compile(r"<input\b[^>]*>")
_NAMED = re.compile(r'\b(name|value|type)="?([^"\s>]*)"?')


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Page:
    """One answer."""

    url: str
    status: int
    text: str
    to: str | None

    @property
    def hidden(self) -> dict[str, str]:
        """The hidden fields of its forms."""
        found = (dict(_NAMED.findall(each)) for each in _FIELD.findall(self.text))
        return {each["name"]: html.unescape(each.get("value", "")) for each in found if each.get("type") == "hidden"}

    def link(self, part: str) -> str:
        """Find a link that holds a word."""
        links = (html.unescape(each) for each in re.findall(r'href="([^"]+)"', self.text))
        return urllib.parse.urljoin(self.url, next(each for each in links if part in each))


@dataclass
class Visitor:
    """One browser."""

    lang: str = "en"
    cookies: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def __post_init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(self.cookies)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar, _Stay)

    def cookie(self, name: str) -> str | None:
        return next((each.value for each in self.cookies if each.name == name), None)

    def ask(self, url: str, form: dict[str, str] | None = None) -> Page:
        """Ask once, and go nowhere else."""
        body = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(url, body, {"Accept-Language": self.lang, "Accept": "text/html"})
        try:
            with self._opener.open(request, timeout=15) as answer:
                return self._page(url, answer)
        except urllib.error.HTTPError as answer:
            with answer:
                return self._page(url, answer)

    def go(self, url: str, form: dict[str, str] | None = None, *, until: str | None = None) -> Page:
        """Ask, and follow where it leads; stop before an address that holds `until`."""
        page = self.ask(url, form)
        for _ in range(10):
            if page.to is None or (until is not None and until in page.to):
                return page
            page = self.ask(page.to)
        raise AssertionError("it leads in circles")

    @staticmethod
    def _page(url: str, answer: Any) -> Page:
        to = answer.headers.get("Location") if 300 <= answer.status < 400 else None
        text = answer.read().decode()
        return Page(url, answer.status, text, urllib.parse.urljoin(url, to) if to else None)
