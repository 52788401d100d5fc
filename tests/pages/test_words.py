"""The words: in both languages, all used, none missing, and chosen as the reader wishes."""

import re

import pytest

from fieldsvc.access.accounts import ROLES
from fieldsvc.web.pages.words import FOLDER, choose_language, words_of

TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / "templates").glob("*.html")}
CALLED = re.compile(r"\bt\('([a-z0-9_.]+)'")
BUILT = re.compile(r"\b(?:t|link|card)\('([a-z0-9_.]*\.)' ~")
BELOW = re.compile(r"words\('([a-z0-9_.]+)'\)")
NAMED = re.compile(r"'([a-z_]+\.[a-z0-9_.]+)'")  # handed to a macro
FAULTS = re.compile(r'"([a-z_]+\.[a-z0-9_.]+)"')  # what a view says of a form, by its key
VIEWS = [path.read_text(encoding="utf-8") for path in FOLDER.parent.glob("*.py")]


def test_every_phrase_is_there_in_both_languages_with_the_same_parts() -> None:
    fr, en = words_of("fr"), words_of("en")
    assert fr.keys() == en.keys()
    for key in fr:
        assert fr[key].strip(), key
        assert en[key].strip(), key
        assert set(re.findall(r"\{(\w+)\}", fr[key])) == set(re.findall(r"\{(\w+)\}", en[key])), key


def test_french_punctuation_has_its_hard_spaces() -> None:
    for key, phrase in words_of("fr").items():
        assert not re.search(r" [;:?!»]|« ", phrase), key
    assert words_of("fr")["phones.whose"] == "Pour qui\u00a0?"


def test_every_key_that_a_template_names_exists_and_every_phrase_is_used() -> None:
    known, used = set(words_of("fr")), set[str]()
    for name, text in TEMPLATES.items():
        called = set(CALLED.findall(text))
        missing = {key for key in called if not key.endswith(".")} - known
        assert not missing, (name, missing)
        used |= called | set(NAMED.findall(text))
        prefixes = set(BUILT.findall(text)) | set(BELOW.findall(text)) | {key for key in called if key.endswith(".")}
        used |= {key for key in known for prefix in prefixes if key.startswith(prefix)}
    used |= {key for text in VIEWS for key in FAULTS.findall(text)}
    errors = {key for key in known if key.startswith("error.")}  # chosen by the status
    assert known - used - errors == set()


def test_every_role_has_a_name() -> None:
    assert {f"role.{role}" for role in ROLES} <= words_of("fr").keys()


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "chosen"),
    [
        ("en", "fr", "fr", "en"),
        (None, "en", "fr", "en"),
        (None, None, "en-GB,fr;q=0.5", "en"),
        (None, None, "fr;q=0.3, en;q=0.9", "en"),
        (None, None, "en;q=0, fr;q=0.1", "fr"),
        (None, None, "de, *;q=0.1", "fr"),
        (None, None, "", "fr"),
        ("xx", "yy", "en", "en"),
        (None, None, "en;q=nonsense,,;;,=", "en"),
    ],
)
def test_the_address_comes_before_the_cookie_and_the_cookie_before_the_browser(
    asked: str | None, kept: str | None, accepted: str, chosen: str
) -> None:
    assert choose_language(asked=asked, kept=kept, accepted=accepted) == chosen
