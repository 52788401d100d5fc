"""The words of the pages in French and English, and the choice between the two."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

LANGUAGES = ("fr", "en")
FOLDER = Path(__file__).parent
_BEFORE, _AFTER = re.compile(r" (?=[;:?!»])"), re.compile(r"(?<=«) ")
_HARD_SPACE = "\u00a0"

Words = Mapping[str, str]


@cache
def words_of(language: str) -> Words:
    """Return every phrase of a language by its dotted key; French punctuation gets its hard spaces here."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("words*.toml")):
        for key, phrases in _flat(tomllib.loads(path.read_text(encoding="utf-8"))):
            if key in found:
                raise ValueError(f"{path.name}: {key} is there twice")
            if phrases.keys() != set(LANGUAGES):
                raise ValueError(f"{path.name}: {key} needs exactly {' and '.join(LANGUAGES)}")
            found[key] = _spaced(phrases[language]) if language == "fr" else phrases[language]
    return MappingProxyType(found)


def choose_language(*, asked: str | None, kept: str | None, accepted: str) -> str:
    """Choose by `?lang=`, else the cookie, else the first of ours in Accept-Language by its weight, else French."""
    for wish in (asked, kept):
        if wish in LANGUAGES:
            return str(wish)
    return next((tag for tag in _by_weight(accepted) if tag in LANGUAGES), LANGUAGES[0])


def _by_weight(accepted: str) -> list[str]:
    found = []
    for part in accepted.lower().split(",")[:20]:
        tag, _, weight = part.partition(";")
        number = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", weight) if weight else None
        q = float(number[1]) if number else 1.0
        if q > 0:
            found.append((q, tag.strip().partition("-")[0]))
    return [tag for _, tag in sorted(found, key=lambda each: -each[0])]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in table.items():
        if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
            yield prefix + name, value
        else:
            yield from _flat(value, f"{prefix}{name}.")


def _spaced(phrase: str) -> str:
    return _AFTER.sub(_HARD_SPACE, _BEFORE.sub(_HARD_SPACE, phrase))
