"""The label of a thing: read by scanners, true to its order, and silent on what is inside."""

import io
import re
from datetime import UTC, datetime

import numpy as np
import pypdf
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fieldsvc.work import code128
from fieldsvc.work.label import A6_MM, Label, render

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,30}", fullmatch=True)
DOTS_PER_MM = 12


def bars(text: str, *, dots: int = 3) -> Image.Image:
    """Draw the bars of a text as a scanner sees them."""
    widths = [code128.QUIET_MODULES, *code128.modules(text), code128.QUIET_MODULES]
    row = np.concatenate([np.full(width * dots, 255 if place % 2 == 0 else 0) for place, width in enumerate(widths)])
    return Image.fromarray(np.tile(row.astype(np.uint8), (60, 1)))


def label(**more: object) -> Label:
    values: dict[str, object] = {
        "own_id": "P-7KX2M9ABCDEF",
        "addressee": "Mme Jeanne Łucas-Gülşen",
        "address": ["12 rue du Moulin", "93500 Pantin"],
        "day": "lundi 23\u00a0novembre",
        "window": "de 10\u00a0h\u00a000 à 12\u00a0h\u00a000",
        "needs": ["seal", "label", "code", "fridge"],
        "made_at": datetime(2026, 11, 23, tzinfo=UTC),
    }
    return Label(**(values | more))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(IDS)
def test_every_id_is_read_back_from_its_bars(text: str) -> None:
    (found,) = zxingcpp.read_barcodes(bars(text), formats=zxingcpp.BarcodeFormat.Code128)
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "most"), [("20261123000187", 11 * (7 + 3) + 2), ("P-7KX2M9ABCDEF", 11 * (14 + 3) + 2)]
)
def test_digits_go_two_by_two(text: str, most: int) -> None:
    assert sum(code128.modules(text)) <= most


@pytest.mark.parametrize("text", ["", "é", "a\nb", "\x7f"])
def test_what_has_no_bars_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        code128.modules(text)


@pytest.mark.parametrize("own_id", ["P-7KX2M9ABCDEF", "P-20261123R001", "P" + "x" * 30])
def test_both_codes_are_read_from_the_printed_page(own_id: str) -> None:
    """Rectangles and pictures are taken out of the file and drawn as a printer draws them."""
    page = pypdf.PdfReader(io.BytesIO(render(label(own_id=own_id), lang="fr"))).pages[0]
    assert [round(float(each) * 25.4 / 72) for each in page.mediabox[2:]] == list(A6_MM)
    height, canvas = float(page.mediabox[3]), np.full((A6_MM[1] * DOTS_PER_MM, A6_MM[0] * DOTS_PER_MM), 255, np.uint8)
    dots = DOTS_PER_MM * 25.4 / 72
    for found in re.finditer(rb"([\d.]+) ([\d.]+) ([\d.]+) (-?[\d.]+) re", page.get_contents().get_data()):  # type: ignore[union-attr]
        left, top, width, tall = (float(each) for each in found.groups())
        upper, lower = sorted((height - top, height - top - tall))
        canvas[round(upper * dots) : round(lower * dots), round(left * dots) : round((left + width) * dots)] = 0
    (read,) = zxingcpp.read_barcodes(Image.fromarray(canvas), formats=zxingcpp.BarcodeFormat.Code128)
    assert read.text == own_id
    (picture,) = page.images
    assert picture.image is not None
    (square,) = zxingcpp.read_barcodes(picture.image.convert("L"))
    assert square.text == own_id


def test_it_says_for_whom_where_and_when_and_nothing_of_what_is_inside_or_who_sends_it() -> None:
    text = pypdf.PdfReader(io.BytesIO(render(label(), lang="fr"))).pages[0].extract_text()
    for said in (
        "Mme Jeanne Lucas-Gülsen",
        "12 rue du Moulin",
        "93500 Pantin",
        "lundi 23 novembre",
        "de 10 h 00 à 12 h 00",
    ):
        assert said in text
    assert "À garder au frais · Avec code" in text
    assert not re.search("médic|pharm|santé|medic|health", text, re.IGNORECASE)


def test_the_same_label_is_the_same_file() -> None:
    assert render(label(), lang="en") == render(label(), lang="en")
