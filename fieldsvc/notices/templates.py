"""What notices say: templates as data, in French and English, one file of `templates/` for each part of the product."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

LANGS = ("fr", "en")


class BadTemplate(Exception):
    """There is no such template, or it lacks a word that it needs."""


@dataclass(frozen=True, slots=True)
class Words:
    """One template in one language; `short` is for text messages."""

    subject: str
    text: str
    short: str


@dataclass(frozen=True, slots=True)
class Template:
    """One template. `urgent`: also in the quiet hours; `kind`: what of `choices.KINDS` people may decline, "" for nothing."""

    words: Mapping[str, Words]
    urgent: bool = False
    kind: str = ""


@lru_cache(maxsize=1)
def templates() -> Mapping[str, Template]:
    """Read every template by its name; ValueError names one that is there twice or lacks a language."""
    found: dict[str, Template] = {}
    for file in sorted((files(__package__) / "templates").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".toml"):
            continue
        for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if name in found or not all(lang in entry for lang in LANGS):
                raise ValueError(f"{file.name}: {name} is there twice or lacks a language")
            words = {lang: _words(entry[lang]) for lang in LANGS}
            found[name] = Template(
                MappingProxyType(words), urgent=entry.get("urgent", False), kind=entry.get("kind", "")
            )
    return MappingProxyType(found)


def render(name: str, lang: str, params: Mapping[str, Any]) -> Words:
    """Fill a template; BadTemplate for an unknown one, or a word that is missing."""
    template = templates().get(name)
    if template is None:
        raise BadTemplate("unknown_template")
    words = template.words[lang]
    try:
        subject, text, short = (each.format_map(params) for each in (words.subject, words.text, words.short))
    except (KeyError, IndexError, ValueError, AttributeError):
        raise BadTemplate("missing_word") from None
    return Words(" ".join(subject.split()), text, short)


def _words(entry: Mapping[str, str]) -> Words:
    text = entry["text"].strip() + "\n"
    return Words(entry["subject"], text, entry.get("short", text).strip())
