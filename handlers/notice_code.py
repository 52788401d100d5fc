"""The code on a paper notice: nine letters that a carrier writes by hand, the last of which checks the others.

The phone makes it at the door, without any network, from letters that are not mistaken for each other. It opens what the holder of
the notice may see, so it is random, 39 bits of it, and only its keyed digest is kept. The check letter is Luhn's, modulo 30: it
finds every single wrong letter and most pairs that were swapped, before anything is looked up.
"""

from handlers.story import DigestOf, Write

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
LETTERS = 9
PATTERN = rf"^[{ALPHABET}]{{{LETTERS}}}$"
_WRITTEN = str.maketrans("", "", "- .")


def plain(typed: str) -> str | None:
    """Read a code as it was typed; None for one that nobody wrote like that."""
    code = typed.upper().translate(_WRITTEN)
    fits = len(code) == LETTERS and all(letter in ALPHABET for letter in code)
    return code if fits and _sum(code) == 0 else None


def check_letter(letters: str) -> str:
    """Return the letter that completes a code."""
    return ALPHABET[-_sum(f"{letters}{ALPHABET[0]}") % len(ALPHABET)]


def named(code: str) -> str:
    """Name a code for its digest."""
    return f"notice code {code}"


def writes(code: str | None, subject: str, left_at: object, *, stands: bool) -> list[Write]:
    """Keep the code that a notice was left with, or forget it where that did not occur."""
    if code is None or plain(code) is None:
        return []
    digest = DigestOf(named(code))
    return [
        Write("notice_code.keep", (digest, subject, left_at))
        if stands
        else Write("notice_code.withdraw", (digest, subject))
    ]


def _sum(code: str) -> int:
    """Add Luhn's sum modulo 30: every second letter from the right but the last counts twice, as its digits' sum."""
    total, base = 0, len(ALPHABET)
    for place, letter in enumerate(reversed(code)):
        value = ALPHABET.index(letter) * (2 if place % 2 else 1)
        total += value // base + value % base
    return total % base
