"""A drawing in a form: strokes of points, and nothing else."""

import io

import pytest
from PIL import Image

from fieldsvc.media.drawing import HEIGHT, LONGEST, WIDTH, draw, read_strokes
from fieldsvc.media.pictures import encode_anew


def test_strokes_are_read_and_drawn_as_a_picture_that_is_kept_sharp() -> None:
    strokes = read_strokes("0000ffff.00ffff00")
    assert strokes is not None
    assert [len(stroke) for stroke in strokes] == [2, 2]
    with Image.open(io.BytesIO(draw(strokes))) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert picture.getextrema()[0] == 0
    assert encode_anew(draw(strokes)).width == WIDTH


@pytest.mark.parametrize(
    "text", ["", "0000", "00000101", "000", "zzzz0000", "0000ffff.", ".0000ffff", "0000 ffff", "0000ffff" * LONGEST]
)
def test_what_is_no_drawing_or_a_mere_touch_is_none(text: str) -> None:
    assert read_strokes(text) is None
