"""The test bed itself: it skips aloud without a browser, and may not where one is required."""

import pytest

from tests.pages.browser import find_browser


def test_without_a_browser_the_page_tests_are_skipped_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("FIELDSVC_REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser here"):
        find_browser()


def test_where_a_browser_is_required_its_absence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("FIELDSVC_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="no browser here"):
        find_browser()
