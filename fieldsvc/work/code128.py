"""Code 128: the bars that every hand scanner reads, for the ids of things (ISO/IEC 15417).

Set B says each printable letter by itself; four digits and more go two by two in set C, which halves their length.
"""

import re
from collections.abc import Iterator

_WIDTHS = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 123122 "
    "123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 232121 111323 "
    "131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 "
    "213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 121124 121421 141122 "
    "141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 "
    "124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 "
    "411131 211412 211214 211232 2331112"
).split()
_TO_C, _TO_B, _START_B, _START_C, _STOP = 99, 100, 104, 105, 106
_PART = re.compile(r"(?:\d\d){2,}|.")
QUIET_MODULES = 10  # blank before and after, in widths of the thinnest bar


def modules(text: str) -> list[int]:
    """Return the widths of bar, gap, bar … of a text, in the width of the thinnest one. ValueError for letters beyond ASCII."""
    if not text or any(not 32 <= ord(letter) < 127 for letter in text):
        raise ValueError("only printable ASCII has bars")
    values = list(_values(text))
    check = (values[0] + sum(place * value for place, value in enumerate(values[1:], 1))) % 103
    return [int(width) for value in (*values, check, _STOP) for width in _WIDTHS[value]]


def _values(text: str) -> Iterator[int]:
    """Yield the values of a text: the start, then its letters and pairs of digits, with the changes between the sets."""
    now: int | None = None
    for part in _PART.findall(text):
        wanted = _TO_C if len(part) > 1 else _TO_B
        if wanted != now:
            yield wanted if now is not None else (_START_C if wanted == _TO_C else _START_B)
        now = wanted
        if wanted == _TO_C:
            yield from (int(part[place : place + 2]) for place in range(0, len(part), 2))
        else:
            yield ord(part) - 32
