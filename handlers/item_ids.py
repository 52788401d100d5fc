"""Item ids: what kind they are, whether their check digit holds, and which expected id a misread one may be.

An id is checked first against what the round expects. Check digits come second, and only for kinds that have one: UPU S10
(13 characters) and the GS1 serial shipping container code (18 digits, with or without its application identifier 00).
Domestic ids of 11 to 15 letters and digits have none.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

_S10 = re.compile(r"^([A-Z]{2})(\d{8})(\d)[A-Z]{2}$")
_SSCC = re.compile(r"^(?:00)?(\d{17})(\d)$")
_DOMESTIC = re.compile(r"^[0-9A-Z]{11,15}$")
_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_REGISTERED = ("R", "V")  # registered and insured letters
_DIGITS, _LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_CANDIDATES = 5
_FEW = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of id: its form, and its check where it has one."""

    name: str
    form: re.Pattern[str]
    holds: Callable[[str], bool] | None = None


def s10_check_digit(serial: str) -> int:
    """Return the check digit of eight digits (UPU S10: 11 less Σ mod 11; 10 → 0, 11 → 5)."""
    rest = 11 - sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, serial, strict=True)) % 11
    return {10: 0, 11: 5}.get(rest, rest)


def gs1_check_digit(digits: str) -> int:
    """Return the check digit of the digits before it (GS1: weights 3 and 1 from the right, to the next ten)."""
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits)))
    return -total % 10


def looks_like_s10(item_id: str) -> bool:
    """Tell whether the id has the form of S10; the operator's domestic ids have not, and have no such digit."""
    return _S10.match(item_id) is not None


def is_s10(item_id: str) -> bool:
    """Tell whether the id is an S10 one whose check digit holds."""
    match = _S10.match(item_id)
    return match is not None and s10_check_digit(match[2]) == int(match[3])


def is_sscc(item_id: str) -> bool:
    """Tell whether the id is a GS1 container code whose check digit holds."""
    match = _SSCC.match(item_id)
    return match is not None and gs1_check_digit(match[1]) == int(match[2])


KINDS = (Kind("s10", _S10, is_s10), Kind("sscc", _SSCC, is_sscc), Kind("domestic", _DOMESTIC))


def kind_of(item_id: str) -> Kind | None:
    """Return the kind of an id by its form; None for one that no kind describes."""
    return next((kind for kind in KINDS if kind.form.match(item_id)), None)


def is_misread(item_id: str) -> bool:
    """Tell whether the id has the form of a kind with a check digit, and the digit is wrong."""
    kind = kind_of(item_id)
    return kind is not None and kind.holds is not None and not kind.holds(item_id)


def is_registered(item_id: str) -> bool:
    """Tell whether the id says that the item is handed over against a signature."""
    return item_id.startswith(_REGISTERED) and is_s10(item_id)


def candidates(item_id: str, expected: Collection[str], *, prefix: str = "") -> list[str]:
    """Name the expected ids that are one wrong character or one swap of neighbours away; none if the id itself is expected.

    `expected` holds ids behind `prefix`. At most five, in order.
    """
    if f"{prefix}{item_id}" in expected:
        return []
    if len(expected) <= _FEW * len(item_id):  # fewer than there are ids near this one
        length = len(prefix) + len(item_id)
        alike = (each[len(prefix) :] for each in expected if len(each) == length and each.startswith(prefix))
        return sorted({each for each in alike if _is_near(item_id, each)})[:MOST_CANDIDATES]
    return sorted({near for near in _near(item_id) if f"{prefix}{near}" in expected})[:MOST_CANDIDATES]


def _is_near(item_id: str, other: str) -> bool:
    """Tell what `_near` names, of an id as long."""
    places = [place for place, (one, two) in enumerate(zip(item_id, other, strict=True)) if one != two]
    if len(places) == 1:
        return other[places[0]] in (_DIGITS if item_id[places[0]].isdigit() else _LETTERS)
    first, *rest = places
    return rest == [first + 1] and (item_id[first], item_id[first + 1]) == (other[first + 1], other[first])


def _near(item_id: str) -> Iterator[str]:
    for place, letter in enumerate(item_id):
        before, after = item_id[:place], item_id[place + 1 :]
        for other in _DIGITS if letter.isdigit() else _LETTERS:
            if other != letter:
                yield f"{before}{other}{after}"
        if after and after[0] != letter:
            yield f"{before}{after[0]}{letter}{after[1:]}"
