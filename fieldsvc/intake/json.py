"""JSON from outside, read with care: UTF-8 only, bounded, and nothing that the database could not store."""

import json
import re
from math import inf, isfinite
from typing import Any

import orjson
from pydantic_core import from_json, to_json

from fieldsvc.errors import NotJson

MAX_DEPTH, INT_BITS = 20, 63
MAX_LEVELS, LONGEST_INT = 200, 4_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Unfit(Exception):
    """A value inside parsed JSON cannot be taken; `reason` is one of the closed list."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(body: bytes) -> Any:
    """Parse a body. NotJson for anything but UTF-8 JSON without NaN, with at most some 200 levels.

    Of two members with the same name the last one counts. Half of a surrogate pair and a number of thousands of digits are
    legal JSON that one event may hold and only that one must answer for, so they are let through here, for `check` to find.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        if "number out of range" not in str(error) and not _SURROGATE.search(body):
            raise NotJson from None
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse, parse_int=_int)
    except (ValueError, RecursionError):
        raise NotJson from None
    if _is_deeper(value, MAX_LEVELS):
        raise NotJson
    return value


def check(value: Any, depth: int = 0) -> None:
    """Find what parses but cannot be kept: Unfit with `nul_character`, `bad_unicode`, `out_of_range` or `too_deep`."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        if depth >= MAX_DEPTH:
            raise Unfit("too_deep")
        for key, member in value.items():
            _check_text(key)
            check(member, depth + 1)
    elif isinstance(value, list):
        if depth >= MAX_DEPTH:
            raise Unfit("too_deep")
        for member in value:
            check(member, depth + 1)
    elif isinstance(value, float):
        if not isfinite(value):
            raise Unfit("out_of_range")
    elif isinstance(value, int) and value.bit_length() > INT_BITS:
        raise Unfit("out_of_range")


def text_of(value: Any) -> bytes:
    """Write a parsed value as JSON again, whatever it holds, for keeping; infinity stays visible."""
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:
        return json.dumps(value).encode()


def canonical(value: Any) -> bytes:
    """Write a checked value with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise Unfit("nul_character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unfit("bad_unicode") from None


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INT else inf


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects are nested beyond so many levels, without recursion."""
    waiting = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        if not isinstance(inner, list | dict):
            continue
        if depth == levels:
            return True
        waiting += [(each, depth + 1) for each in (inner.values() if isinstance(inner, dict) else inner)]
    return False


def _refuse(_constant: str) -> None:
    raise ValueError("not a number")
