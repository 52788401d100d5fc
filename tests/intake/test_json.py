"""JSON from outside."""

import json
from math import inf
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.errors import NotJson
from fieldsvc.intake.json import Unfit, canonical, check, parse, text_of

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(exclude_categories=["Cs"]))),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=20,
)  # fmt: skip


def reason_of(value: Any) -> str | None:
    try:
        check(value)
    except Unfit as unfit:
        return unfit.reason
    return None


@given(json_values)
def test_what_a_strict_writer_writes_is_read_back(value: Any) -> None:
    assert parse(orjson.dumps(value)) == value
    assert parse(json.dumps(value).encode()) == value


@given(json_values)
def test_the_canonical_text_of_equal_values_is_equal_and_reads_back(value: Any) -> None:
    def turned(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: turned(inner[key]) for key in reversed(inner)}
        return [turned(each) for each in inner] if isinstance(inner, list) else inner

    assert canonical(turned(value)) == canonical(value)
    assert orjson.loads(canonical(value)) == value


@given(st.text(), st.booleans())
def test_half_a_surrogate_pair_is_found_wherever_it_stands_and_nothing_else_is(text: str, in_a_key: bool) -> None:
    value = parse(json.dumps([{text: 1}] if in_a_key else [text]).encode())
    broken = any("\ud800" <= letter <= "\udfff" for letter in json.loads(json.dumps(text)))
    expected = "nul_character" if "\x00" in text else "bad_unicode" if broken else None
    assert reason_of(value) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'"a\\u0000"', "nul_character"),
        (b'{"\\u0000":1}', "nul_character"),
        (b'["\\ud800"]', "bad_unicode"),
        (b'["\\ud800",%s]' % (b"9" * 5000), "bad_unicode"),
        (b"1e999", "out_of_range"),
        (b"[-1e400000]", "out_of_range"),
        (b"9223372036854775807", None),
        (b"-9223372036854775807", None),
        (b"9223372036854775808", "out_of_range"),
        (b"9" * 4300, "out_of_range"),
        (b"9" * 5000, "out_of_range"),
        (b"-" + b"9" * 5000, "out_of_range"),
        (b"[true,false,null,1.5,-0.0]", None),
        (b"[" * 20 + b"]" * 20, None),
        (b"[" * 21 + b"]" * 21, "too_deep"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, None),
        (b'{"a":' * 21 + b"1" + b"}" * 21, "too_deep"),
        (b"[" * 200 + b"]" * 200, "too_deep"),
        (b'{"a":"\\u0000","a":1}', None),
    ],
)
def test_what_can_be_read_but_not_kept_has_a_reason(body: bytes, reason: str | None) -> None:
    value = parse(body)
    assert reason_of(value) == reason
    json.loads(text_of(value))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1,]", b"NaN", b"[Infinity]", b"-Infinity", b'["\\ud800",NaN]', b"\xef\xbb\xbf{}", b'"\xff"', b'"\xed\xa0\x80"', b'["\\ud800","\xff"]',
        "{}".encode("utf-16"), b"[" * 202 + b"]" * 202, b"[" * 100_000, b'["\\ud800",' + b"[" * 300 + b"]" * 301, b'["\\ud800",' + b"[" * 100_000,
        b"[%s,NaN]" % (b"9" * 5000), b"0x1", b"01", b"'a'", b"{} {}", b'"\x00"', b'"\n"',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_whole(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse(body)


def test_numbers_of_thousands_of_digits_are_read_in_no_time() -> None:
    body = b"[%s]" % b",".join([b"9" * 4990] * 200)
    assert len(body) < 1_048_576
    assert parse(body) == [inf] * 200


def test_infinity_is_kept_visible_for_whoever_looks_into_quarantine() -> None:
    assert text_of({"a": inf}) == b'{"a":Infinity}'
    assert json.loads(text_of({"a": [inf, "\ud800"]})) == {"a": [inf, "\ud800"]}
