"""French postal addresses as text: parsing and writing (AFNOR NF Z 10-011: six lines of 38 characters at most)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geo.street_words import SHORT_TITLES, SHORT_TYPES, TYPES, capitals, is_street_type, normalise_street

LINE_WIDTH = 38
LABEL_WIDTH = 32
_LETTERS = {"B": "BIS", "T": "TER", "Q": "QUATER"}
_PLACE = re.compile(r"(?:^|[\s,;])(?:F[- ])?(\d{5}|2[AB]\d{3})(?:[\s,;]+(\D[^,;]*))?\s*$", re.IGNORECASE)
_LEADING_PLACE = re.compile(r"^(\d{5})[\s,]+(.*)$")
_NUMBER = re.compile(
    r"^(?:N[°o]\s*)?(\d{1,4})(?:\s*[-/à]\s*\d{1,4})?(?:\s*(bis|ter|quater|quinquies|[A-Z](?![A-Z'\u2019])))?(?=[\s,]|$)[\s,]*(.*)$",
    re.IGNORECASE,
)
_PLACE_LINE = re.compile(r"^(BP|CS|TSA|LIEU ?DIT|LD)\b")
_COUNTRY = frozenset({"FRANCE", "REPUBLIQUE FRANCAISE"})


@dataclass(frozen=True, slots=True)
class Address:
    """One address: `lines` are those above the street (who, inside, outside), `place` is line 5 (lieu-dit, BP).

    Codes are text with their leading zeros. `city` keeps a CEDEX; `repetition` is BIS, TER, QUATER or a letter.
    """

    house_number: int | None = None
    repetition: str | None = None
    street: str | None = None
    postcode: str | None = None
    city: str | None = None
    citycode: str | None = None
    lines: tuple[str, ...] = ()
    place: str | None = None


def parse(text: str | Sequence[str]) -> Address:
    """Parse an address given as NF Z 10-011 lines or on one line.

    Never fails: what is not understood stays in `street` or `lines`. Without a comma or a postcode the city cannot be
    told from the street here; the geocoder does that with its list of communes.
    """
    lines = [_clean(line) for line in (text.splitlines() if isinstance(text, str) else text)]
    lines = [line for line in lines if line and capitals(line) not in _COUNTRY]
    if not lines:
        return Address()
    return _parse_one_line(lines[0]) if len(lines) == 1 else _parse_lines(lines)


def split_number(text: str) -> tuple[int | None, str | None, str]:
    """Split `12 bis rue X` into (12, "BIS", "rue X"); without a number (None, None, text)."""
    found = _NUMBER.match(text.strip())
    if not found:
        return None, None, text.strip()
    number, mark, rest = int(found[1]), found[2], found[3]
    attached = mark is not None and text.strip()[len(found[1])].isalpha()
    words = capitals(rest).split()
    is_type = mark is not None and mark.upper() in TYPES and not attached and not (words and is_street_type(words[0]))
    if is_type or (mark is not None and not rest and len(mark) == 1 and not attached):
        mark, rest = None, f"{mark} {rest}".strip()
    if not mark and words[:1] and is_a_month(words[0]):
        return None, None, text.strip()
    return number, repetition_of(mark), rest


def repetition_of(mark: str | None) -> str | None:
    """Write a repetition in capitals: BIS, TER, QUATER or a letter; None without one."""
    return (capitals(mark) or None) if mark else None


def loose_repetition(mark: str | None) -> str:
    """Give the form in which repetitions are compared when no exact one fits: B is BIS, T is TER, Q is QUATER."""
    return _LETTERS.get(mark or "", mark or "")


def is_a_month(word: str) -> bool:
    """Tell a street of a date (`8 MAI 1945`) from a house number."""
    return word in {
        "JANVIER",
        "FEVRIER",
        "MARS",
        "AVRIL",
        "MAI",
        "JUIN",
        "JUILLET",
        "AOUT",
        "SEPTEMBRE",
        "OCTOBRE",
        "NOVEMBRE",
        "DECEMBRE",
    }


def one_line(address: Address) -> str:
    """Write number, street, postcode and city on one line, as people read it."""
    number = str(address.house_number) if address.house_number is not None else ""
    mark = (address.repetition or "").lower() if len(address.repetition or "") > 1 else address.repetition or ""
    street = " ".join(part for part in (number, mark, address.street or "") if part)
    town = " ".join(part for part in (address.postcode, address.city) if part)
    return ", ".join(part for part in (street, town) if part)


def format_lines(address: Address) -> list[str]:
    """Write the address as NF Z 10-011 lines: at most six, 38 characters each, from line 4 on capitals and digits only.

    The street type, then titles, are abbreviated only if the label exceeds 32 characters or the line 38; if that
    is not enough, words become initials.
    """
    number = " ".join(part for part in (str(address.house_number or ""), address.repetition or "") if part)
    label = _shortened(normalise_street(address.street or ""), LABEL_WIDTH)
    room = LINE_WIDTH - len(number) - 1 if number else LINE_WIDTH
    label = _with_initials(_shortened(label, room), room)
    street = f"{number} {label}".strip()
    town = capitals(f"{address.postcode or ''} {address.city or ''}")
    above = [line[:LINE_WIDTH].rstrip() for line in address.lines][:3]
    lines = [*above, street[:LINE_WIDTH], capitals(address.place or "")[:LINE_WIDTH], town[:LINE_WIDTH]]
    return [line.rstrip() for line in lines if line.strip()]


def _clean(line: str) -> str:
    return " ".join(line.replace("\u2019", "'").split()).strip(" ,;")


def _shortened(label: str, width: int) -> str:
    words = label.split()
    if len(label) <= width or not words:
        return label
    words[0] = SHORT_TYPES.get(words[0], words[0])
    for i, word in enumerate(words[1:], 1):
        if len(" ".join(words)) > width:
            words[i] = SHORT_TITLES.get(word, word)
    return " ".join(words)


def _with_initials(label: str, width: int) -> str:
    words = label.split()
    for i, word in enumerate(words[1:-1], 1):
        if len(" ".join(words)) > width and len(word) > 3:
            words[i] = word[0]
    return " ".join(words)


def _parse_one_line(line: str) -> Address:
    parts = [part.strip() for part in re.split(r"[,;]", line) if part.strip()]
    if len(parts) > 2 and _PLACE.search(line):
        return _parse_lines([*_joined_number(parts[:-1]), parts[-1]])
    postcode, city, rest = _take_place(line)
    if postcode is None and len(parts) > 1 and not parts[0].replace(" ", "").isdigit():
        city, rest = parts[-1], ", ".join(parts[:-1])
    number, mark, street = split_number(rest)
    return Address(number, mark, street.strip(" ,;") or None, postcode, city)


def _joined_number(parts: list[str]) -> list[str]:
    """Join `12 bis` and `rue X` where a comma stood between them."""
    joined: list[str] = []
    for part in parts:
        if joined and re.fullmatch(r"\d{1,4}\s*(bis|ter|quater|[A-Za-z])?", joined[-1], re.IGNORECASE):
            joined[-1] = f"{joined[-1]} {part}"
        else:
            joined.append(part)
    return joined


def _take_place(line: str) -> tuple[str | None, str | None, str]:
    found = _PLACE.search(line)
    if found:
        return found[1].upper(), (found[2] or "").strip(" ,;") or None, line[: found.start()].strip(" ,;")
    leading = _LEADING_PLACE.match(line)
    if leading:
        return leading[1], None, leading[2]
    return None, None, line


def _parse_lines(lines: list[str]) -> Address:
    postcode, city, rest = _take_place(lines[-1])
    body = lines[:-1] + ([rest] if rest and (postcode or city) else [])
    if postcode is None and city is None:
        city = lines[-1]
    at = _street_line(body)
    if at is None:
        return Address(None, None, None, postcode, city, lines=tuple(body))
    number, mark, street = split_number(body[at])
    place = " ".join(body[at + 1 :]) or None
    return Address(number, mark, street or None, postcode, city, lines=tuple(body[:at]), place=place)


def _street_line(lines: Iterable[str]) -> int | None:
    """Find the lowest line that begins with a number or a street type; else the lowest that is no box or lieu-dit."""
    found = plain = None
    for i, line in enumerate(lines):
        words = capitals(line).split()
        if not words or _PLACE_LINE.match(" ".join(words)):
            continue
        number, _, rest = split_number(line)
        if (number is not None and rest) or (is_street_type(words[0]) and words[0] not in {"RESIDENCE", "RES", "CLOS"}):
            found = i
        plain = i
    return found if found is not None else plain
