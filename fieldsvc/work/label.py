"""The label of a thing that is carried: one page A6 to print and stick on.

It bears whom it is for and where, because the carrier matches it to the person; the id in a QR code and in bars; and the time.
It says nothing of what is inside, nor who sends it: a neighbour who reads it on the way learns neither.
"""

import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import segno

from fieldsvc.work import code128
from fieldsvc.work.proof_pdf import printable

if TYPE_CHECKING:
    from fpdf import FPDF

A6_MM, _MARGIN_MM, _QR_MM, _BARS_MM, _THIN_MM = (105, 148), 7.0, 36.0, 20.0, 0.4
_WORDS: Mapping[str, Mapping[str, str]] = {
    "hand_over": {"fr": "À remettre en main propre", "en": "Hand over in person"},
    "not_left": {
        "fr": "Ni boîte aux lettres, ni voisin. Sinon : retour à l'expéditeur.",
        "en": "Neither letterbox nor neighbour. Otherwise: return to sender.",
    },
    "fridge": {"fr": "À garder au frais", "en": "Keep cool"},
    "code": {"fr": "Avec code", "en": "With a code"},
}
_HARD_SPACE = "\u00a0"
_PLAIN = str.maketrans({"Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "\u0131": "i", "Ħ": "H", "ħ": "h"})


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on it; `needs` are the order's requirements, `made_at` is the moment that the file bears."""

    own_id: str
    addressee: str
    address: Sequence[str]
    day: str
    window: str
    needs: Sequence[str]
    made_at: datetime


def render(label: Label, *, lang: str) -> bytes:
    """Draw the page; `lang` is fr or en. It is slow, so call it in a thread."""
    from fpdf import FPDF  # noqa: PLC0415 - it loads a whole font library, which only a process that prints needs

    page = FPDF(format=A6_MM)
    page.core_fonts_encoding = "cp1252"
    page.set_creation_date(label.made_at)
    page.set_title(printable(label.own_id))
    page.set_lang(lang)
    page.set_margins(_MARGIN_MM, _MARGIN_MM)
    page.set_auto_page_break(False)
    page.add_page()
    _line(page, _WORDS["hand_over"][lang], points=15, bold=True)
    _line(page, _WORDS["not_left"][lang], points=8)
    page.ln(4)
    _line(page, label.addressee[:60], points=15, bold=True)
    for each in label.address[:5]:
        _line(page, each[:80], points=11)
    page.ln(2)
    marks = [_WORDS[name][lang] for name in ("fridge", "code") if name in label.needs]
    _line(page, " · ".join(each for each in (label.day, label.window) if each), points=12, bold=True)
    if marks:
        _line(page, " · ".join(marks), points=12, bold=True)
    _codes(page, label.own_id)
    return bytes(page.output() or b"")


def readable(text: str) -> str:
    """Write a text with letters that the page has: those without their accents stand for others, as on an envelope."""
    return printable(
        "".join(map(_nearest, unicodedata.normalize("NFC", text.replace(_HARD_SPACE, " ")).translate(_PLAIN)))
    )


def _nearest(letter: str) -> str:
    if "[" not in printable(letter):
        return letter
    plain = "".join(each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each))
    return plain or letter


def _line(page: "FPDF", text: str, *, points: int, bold: bool = False) -> None:
    page.set_font("Helvetica", "B" if bold else "", points)
    width = A6_MM[0] - 2 * _MARGIN_MM
    page.multi_cell(width, points * 0.45, readable(text), align="L", new_x="LMARGIN", new_y="NEXT")


def _codes(page: "FPDF", own_id: str) -> None:
    """Draw the id at the foot: the QR code, then the bars over the whole width, then the letters that a person types."""
    foot = A6_MM[1] - _MARGIN_MM
    _squares(page, own_id, left=_MARGIN_MM, top=foot - _QR_MM - _BARS_MM - 10)
    widths = code128.modules(own_id)
    thin = min(_THIN_MM, (A6_MM[0] - 2 * _MARGIN_MM) / (sum(widths) + 2 * code128.QUIET_MODULES))
    left = (A6_MM[0] - thin * sum(widths)) / 2
    for number, width in enumerate(widths):
        if number % 2 == 0:
            page.rect(left, foot - _BARS_MM - 7, width * thin, _BARS_MM, style="F")
        left += width * thin
    page.set_xy(_MARGIN_MM, foot - 6)
    page.set_font("Courier", "B", 13)
    page.cell(A6_MM[0] - 2 * _MARGIN_MM, 6, printable(own_id), align="C")


def _squares(page: "FPDF", text: str, *, left: float, top: float) -> None:
    drawn = io.BytesIO()
    segno.make_qr(text, error="q").save(drawn, kind="png", scale=12, border=4)
    drawn.seek(0)
    page.image(drawn, x=left, y=top, w=_QR_MM, h=_QR_MM)
