"""French postal addresses as text: writing them on the lines of AFNOR NF Z 10-011 (six of 38 characters)."""

import textwrap

from geo.address_parser import Address, clean
from geo.street_words import SHORT_TITLES, SHORT_TYPES, capitals, normalise_street

LINE_WIDTH = 38
LABEL_WIDTH = 32
_LINES_ABOVE = 3


def format_lines(address: Address) -> list[str]:
    """Write the address as NF Z 10-011 lines: at most six, 38 characters each, from line 4 on capitals and digits only.

    The street type, then titles, are abbreviated only if the label exceeds 32 characters or the line 38; if that
    is not enough, words become initials. A line above the street that is too long goes on in the next one.
    """
    number = " ".join(part for part in (str(address.house_number or ""), capitals(address.repetition or "")) if part)
    label = _shortened(normalise_street(address.street or ""), LABEL_WIDTH)
    room = LINE_WIDTH - len(number) - 1 if number else LINE_WIDTH
    label = _with_initials(_shortened(label, room), room)
    town = _short_town(capitals(f"{address.postcode or ''} {address.city or ''}"))
    above = [part for line in address.lines for part in textwrap.wrap(clean(line), LINE_WIDTH)][:_LINES_ABOVE]
    lines = [*above, f"{number} {label}", capitals(address.place or ""), town]
    return [line.strip()[:LINE_WIDTH].rstrip() for line in lines if line.strip()]


def _shortened(label: str, width: int) -> str:
    words = label.split()
    if len(label) <= width or not words:
        return label
    words[0] = SHORT_TYPES.get(words[0], words[0])
    for i, word in enumerate(words[1:], 1):
        if len(" ".join(words)) > width:
            words[i] = SHORT_TITLES.get(word, word)
    return " ".join(words)


def _short_town(town: str) -> str:
    words = town.split()
    for i, word in enumerate(words):
        if len(" ".join(words)) > LINE_WIDTH:
            words[i] = SHORT_TITLES.get(word, word)
    return " ".join(words)


def _with_initials(label: str, width: int) -> str:
    words = label.split()
    for i, word in enumerate(words[1:-1], 1):
        if len(" ".join(words)) > width and len(word) > 3:
            words[i] = word[0]
    return " ".join(words)
