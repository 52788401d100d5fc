"""One service with a small town and one browser for all of these tests; a context of its own for each page opened.

The tests run in the session's loop, where the browser lives: `pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from fieldsvc.simulate.town import Town
from tests.acceptance.conftest import _load
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database
from tests.pages.browser import FLAGS, PATIENCE_MS, Open, Site, Watch, find_browser, opener
from tests.pages.outbox_bed import Bed

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running service with a town of six rounds; `site.session()` is a supervisor of its first site."""
    folder, town = tmp_path_factory.mktemp("pages"), Town(2, rounds=6, stops=40)
    url = new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, town, folder))
    yield Site(service, town, service.platform.runs.today())
    service.close()
    drop_database(postgres_url, url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The one browser of the run."""
    path = find_browser()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def watch(site: Site) -> AsyncIterator[Watch]:
    """Fail the test on any console error, page error, policy violation or request to another host."""
    start = site.service.log.tell()
    watched = Watch(site)
    yield watched
    await watched.close()
    assert watched.unforgiven == []
    said = site.service.log.getvalue()[start:]
    assert "request.crashed" not in said, said[-3000:]


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, watch: Watch) -> Open:
    """Open pages: `await page("/supervision", role="supervisor", lang="en", theme="dark", js=True, size=PHONE)`."""

    return opener(watch, browser)


@pytest.fixture
def bed(page: Open, site: Site) -> Callable[..., Any]:
    """Open a tab that is joined and has the phone's queue: `await bed()`."""

    async def opened(**more: Any) -> Bed:
        return await Bed.joined(site, await page("/", **more))

    return opened
