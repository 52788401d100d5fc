"""How a notice looks in a mail and sounds on the telephone: the same words, once plain, once as HTML, once read aloud.

The HTML needs nothing from anywhere: no picture, no style sheet, no font, nothing that tells the sender that it was read.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Protocol

from jinja2 import Environment, StrictUndefined, Template

from fieldsvc.notices.templates import Words

_LINK = re.compile(r"(https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]])")
_CODE = re.compile(r"\b(?=[A-Z0-9]*\d)[A-Z0-9]{5,}\b")
_DECLINE = {
    "fr": ("Vous ne voulez plus recevoir ce type de message ?", "Ne plus le recevoir"),
    "en": ("You no longer want this kind of message?", "Stop receiving it"),
}
_ONLINE = {"fr": "le site, à l'adresse qui est dans votre courrier", "en": "the website, at the address in your letter"}


class Worded(Protocol):
    """What is needed of a message."""

    @property
    def lang(self) -> str:
        """`fr` or `en`."""
        ...

    @property
    def words(self) -> Words:
        """Its subject and texts."""
        ...

    @property
    def decline(self) -> str | None:
        """Where its reader stops mails of its kind."""
        ...


def text_of(message: Worded) -> str:
    """Write the plain part of a mail."""
    text = message.words.text
    if message.decline is None:
        return text
    question, _ = _DECLINE[message.lang]
    return f"{text}\n-- \n{question}\n{message.decline}\n"


def html_of(message: Worded) -> str:
    """Write the HTML part of a mail: its paragraphs, with the addresses in them as links."""
    paragraphs = [_parts(part) for part in message.words.text.split("\n\n") if part.strip()]
    question, answer = _DECLINE[message.lang]
    return _page().render(
        lang=message.lang,
        subject=message.words.subject,
        paragraphs=paragraphs,
        decline=message.decline,
        question=question,
        answer=answer,
    )


def spoken(text: str, *, lang: str = "fr") -> str:
    """Write what a telephone reads aloud: no address of a page, which nobody could write down, and letters one by one."""
    without = _LINK.sub(_ONLINE[lang], text)
    return _CODE.sub(lambda code: ", ".join(code[0]), " ".join(without.split()))


def _parts(paragraph: str) -> list[list[str]]:
    """Cut a paragraph into lines, and each into texts and links by turns."""
    return [_LINK.split(line) for line in paragraph.strip().split("\n")]


@cache
def _page() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string((files(__package__) / "mail.html").read_text(encoding="utf-8"))
