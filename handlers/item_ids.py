"""Item ids: the check digit of UPU S10, one checker among several."""

import re

_S10 = re.compile(r"^([A-Z]{2})(\d{8})(\d)[A-Z]{2}$")
_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_REGISTERED = ("R", "V")  # registered and insured letters


def s10_check_digit(serial: str) -> int:
    """Return the check digit of eight digits (UPU S10: 11 less Σ mod 11; 10 → 0, 11 → 5)."""
    rest = 11 - sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, serial, strict=True)) % 11
    return {10: 0, 11: 5}.get(rest, rest)


def looks_like_s10(item_id: str) -> bool:
    """Tell whether the id has the form of S10; the operator's domestic ids have not, and have no such digit."""
    return _S10.match(item_id) is not None


def is_s10(item_id: str) -> bool:
    """Tell whether the id is an S10 one whose check digit holds."""
    match = _S10.match(item_id)
    return match is not None and s10_check_digit(match[2]) == int(match[3])


def is_registered(item_id: str) -> bool:
    """Tell whether the id says that the item is handed over against a signature."""
    return item_id.startswith(_REGISTERED) and is_s10(item_id)
