"""French postal addresses as text: reading what people write, on one line or on the lines of AFNOR NF Z 10-011."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geo.countries import take_country
from geo.street_words import (
    ARTICLES,
    MONTHS,
    PLACE_TYPES,
    TYPES,
    capitals,
    full_type,
    is_street_type,
)

MAX_TEXT = 10_000
_MAX_LINE, _MAX_LINES = 400, 12
_LETTERS = {"B": "BIS", "T": "TER", "Q": "QUATER"}
_POSTCODE = re.compile(r"(?<![^\s,;(])(?:FR?[- ])?(\d{5}|2[AB]\d{3})(?![^\s,;.)])", re.IGNORECASE)
_LOST_ZERO = re.compile(r"[1-9]\d{3}(?= \D)")
_NUMBER = re.compile(
    r"(?:N ?[°ºo]\.? ?)?(\d{1,4})(?!\d)(?: ?(?:[-/&+]|à|et|a(?= ?\d)) ?\d{1,4}(?!\d))?"
    r"(?:[ ,.-]{0,3}(bis|ter|quater|quinquies|[A-Z])(?![\w'.]))?(?![\w'])[ ,.-]*",
    re.IGNORECASE,
)
_RUN_TOGETHER = re.compile(r"(?<!\w)(?:(\d{5})(?=[^\W\d_]['\w])|(\d{1,4})(?=([^\W\d_]{3,})))")
_BOX_INSIDE = re.compile(r"(?<=\w)[ ,]+((?:B\.?P\.?|C\.?S\.?|TSA) ?\d{1,6})\b", re.IGNORECASE)
_NUMBER_ALONE = re.compile(r"(?:n ?[°ºo]\.? ?)?\d{1,4}[ -]?(?:bis|ter|quater|[a-z])?", re.IGNORECASE)
_SHORT_YEARS = frozenset({14, 18, 36, 39, 40, 44, 45, 54, 62, 68})
_INSIDE = frozenset(
    "APT APPT APP APPARTEMENT ETAGE ETG ESC ESCALIER BAT BATIMENT BT PORTE ENTREE HALL CHEZ CO RDC LOGT LOGEMENT CHAMBRE "
    "IMMEUBLE IMM MME MLLE MELLE M MR MONSIEUR MADAME STE SOCIETE SARL SA ETS".split()
)
_AFTER_THE_STREET = frozenset(
    "APT APPT APP APPARTEMENT ETAGE ESC ESCALIER BAT BATIMENT BT PORTE HALL RDC LOGT LOGEMENT IMMEUBLE IMM RESIDENCE RES CHEZ".split()
)
_BOXES = frozenset("BP CS TSA LD CP".split())
_NUMBERED_ROADS = frozenset(
    "NATIONALE DEPARTEMENTALE RN RD CD VC CR N D ZONE ZA ZI ZAC LOTISSEMENT LOT ILOT TRANCHE AN".split()
)


@dataclass(frozen=True, slots=True)
class Address:
    """One address: `lines` are those above the street (who, inside, outside), `place` is line 5 (lieu-dit, BP).

    Codes are text with their leading zeros. `city` keeps a CEDEX; `repetition` is BIS, TER, QUATER or a letter. `country`
    is set, in capitals or as the prefix of its postcode, only for an address outside France.
    """

    house_number: int | None = None
    repetition: str | None = None
    street: str | None = None
    postcode: str | None = None
    city: str | None = None
    citycode: str | None = None
    lines: tuple[str, ...] = ()
    place: str | None = None
    country: str | None = None


def parse(text: str | Sequence[str]) -> Address:
    """Parse an address given as NF Z 10-011 lines or on one line; of more, 400 characters a line and the last 12 lines are read.

    Never fails: what is not understood stays in `street` or `lines`. Without a comma or a postcode the city cannot be
    told from the street here; the geocoder does that with its communes.
    """
    given = text[:MAX_TEXT].splitlines() if isinstance(text, str) else [str(line) for line in text]
    lines = [line for line in (clean(line[:_MAX_LINE]) for line in given[-_MAX_LINES:]) if line]
    lines, country = take_country(lines)
    parts = [part for line in lines for part in _parts(line)]
    if not parts:
        return Address(country=country)
    above, postcode, city, below = _take_place(lines, parts)
    number, mark, street, over, under = _take_street(_joined_numbers(above))
    return Address(number, mark, street, postcode, city, None, tuple(over), " ".join([*under, *below]) or None, country)


def split_number(text: str) -> tuple[int | None, str | None, str]:
    """Split `12 bis rue X` into (12, "BIS", "rue X"); without a number (None, None, text).

    Of a range (`12-14`, `12 à 14`) the first number counts.
    """
    plain = " ".join(text.split())
    found = _NUMBER.match(plain)
    if not found:
        return None, None, plain
    mark, rest = found[2], plain[found.end() :]
    attached = mark is not None and plain[found.start(2) - 1].isdigit()
    words = capitals(rest).split()[:1]
    if mark and not attached and not _is_mark(mark, words, is_mixed=not rest.isupper()):
        mark, rest = None, plain[found.start(2) :]
    ordinal = (
        attached
        and (mark or "").upper() == "E"
        and len(rest.split()) == 1
        and is_street_type(words[0] if words else "")
    )
    if ordinal or (not mark and words and words[0] in MONTHS):
        return None, None, plain
    return int(found[1]), repetition_of(mark), rest


def split_last_number(text: str) -> tuple[int | None, str | None, str]:
    """Split `rue X 12 bis` into (12, "BIS", "rue X"), whatever the words before; without a number (None, None, text)."""
    words = text.split()
    for count in (1, 2):
        head, tail = words[:-count], " ".join(words[-count:])
        if head and _NUMBER_ALONE.fullmatch(tail):
            number, mark, _ = split_number(f"{tail} rue")
            return number, mark, " ".join(head)
    return None, None, text


def repetition_of(mark: str | None) -> str | None:
    """Write a repetition in capitals: BIS, TER, QUATER or a letter; None without one."""
    return (capitals(mark) or None) if mark else None


def loose_repetition(mark: str | None) -> str:
    """Give the form in which repetitions are compared when no exact one fits: B is BIS, T is TER, Q is QUATER."""
    return _LETTERS.get(mark or "", mark or "")


def one_line(address: Address) -> str:
    """Write number, street, postcode and city on one line, as people read it."""
    number = str(address.house_number) if address.house_number is not None else ""
    mark = (address.repetition or "").lower() if len(address.repetition or "") > 1 else address.repetition or ""
    street = " ".join(part for part in (number, mark, address.street or "") if part)
    town = " ".join(part for part in (address.postcode, address.city) if part)
    return ", ".join(part for part in (street, town) if part)


def clean(line: str) -> str:
    """Write typographic apostrophes as plain ones, and what cannot be printed as a space; part what was run together."""
    line = line.replace("\u2019", "'")
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " for c in line)
    return _RUN_TOGETHER.sub(_parted, " ".join(line.split())).strip(' ,;"')


def _parted(found: re.Match[str]) -> str:
    """Part a postcode from its town, and a number from its street's type: `12rue Neuve 93140Bondy`."""
    is_apart = found[1] or is_street_type(capitals(found[3]))
    return f"{found[0]} " if is_apart else found[0]


def _parts(line: str) -> list[str]:
    return [part for part in (piece.strip() for piece in re.split("[,;]", line)) if part]


def _is_mark(mark: str, following: Sequence[str], *, is_mixed: bool) -> bool:
    """Tell a letter after the number from a word of the street: `12 R NEUVE`, `3 L ABBAYE` have none."""
    if len(mark) > 1:
        return True
    if not following:
        return False
    if is_street_type(following[0]) and full_type(following[0]) not in PLACE_TYPES:
        return True
    elided = mark.upper() in {"D", "L"} and following[0][0] in "AEIOUYH" and not (is_mixed and mark.isupper())
    return mark.upper() not in TYPES and not elided


def _take_place(lines: Sequence[str], parts: Sequence[str]) -> tuple[list[str], str | None, str | None, list[str]]:
    """Find postcode and city; what is left is above them (in order) and below them."""
    for i in range(len(parts) - 1, -1, -1):
        found = _last_postcode(parts[i])
        if found:
            return _around(parts, i, found)
    last = parts[-1]
    lost = _LOST_ZERO.match(last)
    if lost and len(parts) > 1 and not is_street_type(capitals(last).split()[1]):
        return list(parts[:-1]), lost[0], last[lost.end() :].strip(), []
    named_first = _looks_like_a_street(last) and not _looks_like_a_street(parts[0])
    if len(parts) == 1 or (len(parts) == 2 and _NUMBER_ALONE.fullmatch(parts[0])):
        return list(parts), None, None, []
    if named_first and len(lines) == 1 and len(parts) == 2:
        return [last], None, parts[0], []
    return (list(parts), None, None, []) if named_first else (list(parts[:-1]), None, last, [])


def _last_postcode(part: str) -> re.Match[str] | None:
    found = None
    for found in _POSTCODE.finditer(part):  # noqa: B007 -- the last one counts
        pass
    return found


def _around(parts: Sequence[str], at: int, found: re.Match[str]) -> tuple[list[str], str | None, str | None, list[str]]:
    """Take the part with the postcode apart: street before it, city after it, or the other way round."""
    postcode, before, after = (
        found[1].upper(),
        parts[at][: found.start()].strip(" ("),
        _in_front(parts[at][found.end() :]),
    )
    above, below = [*parts[:at], *([before] if before else [])], list(parts[at + 1 :])
    if not above and after:
        city, street = _town_first(after)
        return [*([street] if street else []), *below], postcode, city, []
    if not after and len(above) > 1 and not _looks_like_a_street(above[-1]):
        return above[:-1], postcode, above[-1], below
    if not after and below and not above:
        return below[1:], postcode, below[0], []
    return above, postcode, after or None, below


def _in_front(text: str) -> str:
    """Drop what stands in brackets: `Bondy (Seine-Saint-Denis)`."""
    return text.split("(", maxsplit=1)[0].strip(" .)")


def _town_first(text: str) -> tuple[str | None, str | None]:
    """Split `Bondy 12 rue Neuve` where the number, or else the street's type, begins."""
    words = text.split()
    for i, word in enumerate(words):
        if word[0].isdigit() and i < len(words) - 1 and "CEDEX" not in capitals(words[i - 1]):
            return " ".join(words[:i]) or None, " ".join(words[i:])
    return text, None


def _looks_like_a_street(part: str) -> bool:
    number, _, rest = split_number(part)
    words = capitals(rest).split()
    return bool(words) and (number is not None or (is_street_type(words[0]) and full_type(words[0]) not in PLACE_TYPES))


def _joined_numbers(parts: Sequence[str]) -> list[str]:
    """Join a number that stands alone with its street: the part after it, or the one before it if that is the last."""
    joined: list[str] = []
    for i, part in enumerate(parts):
        if joined and _NUMBER_ALONE.fullmatch(joined[-1]):
            joined[-1] = f"{joined[-1]} {part}"
        elif joined and i == len(parts) - 1 and _NUMBER_ALONE.fullmatch(part) and split_number(joined[-1])[0] is None:
            joined[-1] = f"{part} {joined[-1]}"
        else:
            joined.append(part)
    return joined


def _take_street(parts: Sequence[str]) -> tuple[int | None, str | None, str | None, list[str], list[str]]:
    """Find the street among the parts: number, mark, label, the parts over it and the parts under it."""
    ranks = [_street_rank(part) for part in parts]
    best = max(ranks, default=0)
    if best == 0:
        return None, None, None, list(parts), []
    at = len(ranks) - 1 - ranks[::-1].index(best)
    number, mark, street = split_number(parts[at])
    over, under = list(parts[:at]), list(parts[at + 1 :])
    if number is None:
        number, mark, street, before = _number_inside(parts[at]) or (*_number_last(parts[at]), None)
        over += [before] if before else []
    street, after = _without_tail(street.strip(" ,;."))
    return number, mark, street or None, over, [*after, *under]


def _without_tail(street: str) -> tuple[str, list[str]]:
    """Take off what follows the label without a comma: a post box, a flat, a building, an estate."""
    box = _BOX_INSIDE.search(street)
    if box:
        return street[: box.start()], [street[box.start() :].strip(" ,")]
    words = street.split()
    plain = [capitals(word) for word in words]
    for i in range(2, len(words)):
        if plain[i] in _AFTER_THE_STREET and plain[i - 1] not in ARTICLES and i + 1 < len(words):
            return " ".join(words[:i]), [" ".join(words[i:])]
    return street, []


def _street_rank(part: str) -> int:
    """Say how surely a part is the street line: 4 number and type, 3 one of them, 2 an estate, 1 other words, 0 not at all."""
    number, _, rest = split_number(part)
    words = capitals(rest).split()
    if not words or words[0] in _BOXES or words[:2] == ["LIEU", "DIT"]:
        return 0
    if number is None and _number_inside(part):
        return 4
    named = words[0] in {"STE", "PORTE", "ESCALIER"} and any(word.isalpha() and len(word) > 1 for word in words[1:])
    if words[0] in _INSIDE and not named:
        return 0
    kind = is_street_type(words[0])
    if number is not None:
        return 4 if kind else 3
    return (2 if full_type(words[0]) in PLACE_TYPES else 3) if kind else 1


def _number_inside(part: str) -> tuple[int | None, str | None, str, str] | None:
    """Find `12 rue Neuve` after other words (a person, a building, a town) in the same part: a street's type tells it best."""
    words, found = part.split(), {}
    is_person_or_flat = capitals(words[0]).partition(" ")[0] in _INSIDE
    for i in range(1, len(words) - 1):
        if words[i][0].isdigit():
            number, mark, rest = split_number(" ".join(words[i:]))
            first = capitals(rest).partition(" ")[0]
            kind = full_type(first) if is_street_type(first) else None
            if number is None or first in _INSIDE | MONTHS | _BOXES:
                continue
            rank = (
                3
                if kind and kind not in PLACE_TYPES
                else 2
                if kind
                else 1
                if is_person_or_flat and len(first) > 1
                else 0
            )
            if rank and rank not in found:
                found[rank] = number, mark, rest, " ".join(words[:i])
    return found[max(found)] if found else None


def _number_last(part: str) -> tuple[int | None, str | None, str]:
    """Read `rue Neuve 12 bis`; the number of a road, of an estate's part or of a date stays in the label."""
    number, mark, head = split_last_number(part)
    plain = re.sub(r" n ?[°ºo]$", "", head, flags=re.IGNORECASE)
    before = capitals(plain).split()
    if number is None or len(before) < 2:
        return None, None, part
    if plain != head or (is_street_type(before[0]) and not _belongs(number, before)):
        return number, mark, plain
    return None, None, part


def _belongs(number: int, before: Sequence[str]) -> bool:
    """Tell whether a last number is part of the name: a road's, an estate part's, the year of a date."""
    dated = any(word in MONTHS for word in before) and (number >= 1000 or number in _SHORT_YEARS)
    return dated or before[-1] in _NUMBERED_ROADS or before[-1] in ARTICLES
