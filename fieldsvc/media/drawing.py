"""A signature that a page sends as strokes: read with care, and drawn black on white."""

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from math import hypot

from PIL import Image, ImageDraw

WIDTH, HEIGHT, PEN = 640, 240, 4
LONGEST, LEAST = 2_000, 40  # letters of a drawing; pixels of line: less is a touch, and no signature
_STROKES = re.compile(r"(?:[0-9a-f]{4})+(?:\.(?:[0-9a-f]{4})+)*")
Stroke = list[tuple[int, int]]


def read_strokes(text: str) -> list[Stroke] | None:
    """Read strokes, four hexadecimal digits a point (x and y, 0 to 255 each) and a dot between two; None for anything else."""
    if len(text) > LONGEST or not _STROKES.fullmatch(text):
        return None
    strokes = [list(_points(each)) for each in text.split(".")]
    return strokes if sum(map(_length, strokes)) >= LEAST else None


def draw(strokes: list[Stroke]) -> bytes:
    """Draw strokes as a PNG."""
    picture = Image.new("L", (WIDTH, HEIGHT), 255)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        pen.line(stroke if len(stroke) > 1 else [*stroke, *stroke], fill=0, width=PEN, joint="curve")
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def _points(text: str) -> Iterator[tuple[int, int]]:
    for start in range(0, len(text), 4):
        x, y = int(text[start : start + 2], 16), int(text[start + 2 : start + 4], 16)
        yield x * (WIDTH - 1) // 255, y * (HEIGHT - 1) // 255


def _length(stroke: Stroke) -> float:
    return sum(hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(stroke))
