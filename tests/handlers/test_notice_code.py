"""The code of a paper notice: which typed codes are one, and what is kept of it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from handlers import notice_code
from handlers.notice_code import ALPHABET, check_letter, named, plain, writes
from handlers.story import DigestOf

LETTERS = st.text(alphabet=ALPHABET, min_size=8, max_size=8)


@given(LETTERS, st.integers(0, 8), st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_found_before_anything_is_looked_up(letters: str, place: int, wrong: str) -> None:
    code = letters + check_letter(letters)
    assert plain(code) == code
    assert plain(f" {code[:3].lower()}-{code[3:6]}.{code[6:]} ") == code
    mistaken = code[:place] + wrong + code[place + 1 :]
    assert plain(mistaken) == (code if mistaken == code else None)


def test_what_nobody_wrote_is_no_code() -> None:
    for typed in ("", "K7M", "0" * 9, "é" * 9, "K7M2QX4PDX", "K7M 2QX 4P1"):
        assert plain(typed) is None


def test_only_a_digest_is_kept_and_what_did_not_occur_is_forgotten() -> None:
    code, at = "AAAAAAAA" + check_letter("AAAAAAAA"), datetime.now(UTC)
    (kept,) = writes(code, "item/RK1", at, stands=True)
    assert (kept.query, kept.args) == ("notice_code.keep", (DigestOf(named(code)), "item/RK1", at))
    (gone,) = writes(code, "item/RK1", at, stands=False)
    assert gone.query == "notice_code.withdraw"
    assert writes(None, "item/RK1", at, stands=True) == []
    assert writes(code[:-1] + ("2" if code[-1] != "2" else "3"), "item/RK1", at, stands=True) == []
    assert len(code) == notice_code.LETTERS
