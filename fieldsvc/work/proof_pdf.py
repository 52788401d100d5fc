"""The proof as a page to print: what was handed over, to whom, what shows it, and what is missing.

The fonts of every PDF reader know the letters of Western Europe. A letter outside them is shown as its number in brackets, and
a line says so: the attached JSON has the exact name.
"""

import base64
import io
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from handlers.fields import parse_time

if TYPE_CHECKING:
    from fpdf import FPDF

LANGUAGES = ("fr", "en")
ATTACHED_AS = "proof.json"
_ENCODING = "cp1252"
_LABEL_MM, _WIDTH_MM, _LINE_MM, _IMAGE_MM = 55.0, 180.0, 6.0, 60.0
_FOOT_MM, _POINTS, _SMALL_POINTS = 155.0, 10, 8  # readers replace the font by a wider one: there must be room
_SMALL = frozenset({"event", "digest", "key"})
_WORDS: Mapping[str, Mapping[str, str]] = {
    "title": {"fr": "Preuve de remise", "en": "Proof of delivery"},
    "registered": {"fr": "Envoi recommandé", "en": "Registered mail"},
    "item_id": {"fr": "Objet", "en": "Item"},
    "order_ref": {"fr": "Référence de l'expéditeur", "en": "Sender's reference"},
    "shows": {"fr": "Ce que montre cette preuve", "en": "What this proof shows"},
    "at": {"fr": "Date et heure (UTC)", "en": "Date and time (UTC)"},
    "presented_on": {"fr": "Présenté le", "en": "Presented on"},
    "handed_over_on": {"fr": "Distribué le", "en": "Handed over on"},
    "acceptor": {"fr": "Remis à", "en": "Handed to"},
    "capacity": {"fr": "En qualité de", "en": "In the capacity of"},
    "identity": {"fr": "Identité", "en": "Identity"},
    "place": {"fr": "Lieu, arrondi à 100 m environ", "en": "Place, rounded to about 100 m"},
    "score": {"fr": "Indice de preuve", "en": "Proof score"},
    "lacks": {"fr": "Ce qui manque", "en": "What is missing"},
    "signature": {"fr": "Signature", "en": "Signature"},
    "carrier_signature": {"fr": "Signature du facteur", "en": "The carrier's signature"},
    "event": {"fr": "Événement", "en": "Event"},
    "digest": {"fr": "Empreinte au journal", "en": "Digest in the journal"},
    "sent_hash": {"fr": "Empreinte de l'image reçue", "en": "Digest of the picture as it came"},
    "pending": {"fr": "L'image n'est pas encore arrivée.", "en": "The picture has not arrived yet."},
    "key": {"fr": "Clé de signature", "en": "Signed with key"},
    "copy": {"fr": "Exemplaire", "en": "Copy"},
    "foot": {
        "fr": "La pièce jointe proof.json contient cette preuve sous forme signée (Ed25519). Vérification sans réseau : "
        "fieldsvc verify proof FICHIER --key CLÉ. Ce fichier est signé en entier ; réenregistré, il ne l'est plus.",
        "en": "The attachment proof.json holds this proof in signed form (Ed25519). Check it offline: fieldsvc verify proof FILE "
        "--key KEY. This file is signed as a whole; saved again, it no longer is.",
    },
    "letters": {
        "fr": "[U+….] remplace une lettre que la police de cette page n'a pas ; la pièce jointe a le nom exact.",
        "en": "[U+….] stands for a letter that this page's font has not; the attachment has the exact name.",
    },
}
_VALUES: Mapping[str, Mapping[str, str]] = {
    "addressee": {"fr": "destinataire", "en": "addressee"},
    "mandate": {"fr": "mandataire", "en": "holder of a mandate"},
    "sender": {"fr": "de l'expéditeur", "en": "the sender's"},
    "operator": {"fr": "de l'opérateur", "en": "the operator's"},
    "known_to_carrier": {"fr": "connue du facteur, qui a signé", "en": "known to the carrier, who signed"},
    "document": {"fr": "vérifiée sur pièce", "en": "checked on a document"},
    "passport": {"fr": "passeport", "en": "passport"},
    "identity_card": {"fr": "carte d'identité", "en": "identity card"},
    "driving_licence": {"fr": "permis de conduire", "en": "driving licence"},
    "residence_permit": {"fr": "titre de séjour", "en": "residence permit"},
    "known_before": {
        "fr": "vérification antérieure par le facteur titulaire",
        "en": "an earlier check by the regular carrier",
    },
    "dates": {"fr": "ordre des dates", "en": "order of the dates"},
}


def printable(text: str) -> str:
    """Write a text with the letters of the page's font; others as `[U+0141]`."""
    return "".join(_letter(each) for each in unicodedata.normalize("NFC", text))


def _letter(letter: str) -> str:
    try:
        letter.encode(_ENCODING)
    except UnicodeEncodeError:
        return f"[U+{ord(letter):04X}]"
    return letter if letter.isprintable() else f"[U+{ord(letter):04X}]"


def render(proof: Mapping[str, Any], signed_json: bytes, *, lang: str = "fr") -> bytes:
    """Draw the page of a proof, with its signed JSON attached; the caller signs the file. `lang` is fr or en."""
    from fpdf import FPDF  # noqa: PLC0415 - it loads a whole font library, which only a process that prints needs

    page = FPDF(format="A4")
    page.core_fonts_encoding = _ENCODING
    page.set_creation_date(parse_time(proof["issued_at"]))
    page.set_title(f"{_WORDS['title'][lang]} {printable(proof['item']['item_id'])}")
    page.set_lang(lang)
    page.set_margins(15, 15)
    page.add_page()
    _heading(page, proof, lang)
    told = [(name, printable(value)) for name, value in _rows(proof, lang)]
    for name, value in told:
        _row(page, _WORDS[name][lang], value, points=_SMALL_POINTS if name in _SMALL else _POINTS)
    for name in ("signature", "carrier_signature"):
        if name in proof:
            _picture(page, name, proof[name], lang)
    _foot(page, lang, replaced=any("[U+" in value for _, value in told))
    page.embed_file(
        bytes=signed_json,
        basename=ATTACHED_AS,
        mime_type="application/json",
        associated_file_relationship="Data",
        modification_date=parse_time(proof["issued_at"]),
        compress=False,
    )
    return bytes(page.output() or b"")


def _heading(page: "FPDF", proof: Mapping[str, Any], lang: str) -> None:
    page.set_font("Helvetica", "B", 18)
    page.cell(_WIDTH_MM, 10, _WORDS["title"][lang], new_x="LMARGIN", new_y="NEXT")
    if proof["item"]["registered"]:
        page.set_font("Helvetica", "", 12)
        page.cell(_WIDTH_MM, 7, _WORDS["registered"][lang], new_x="LMARGIN", new_y="NEXT")
    page.ln(4)


def _rows(proof: Mapping[str, Any], lang: str) -> Iterator[tuple[str, str]]:
    """Name what stands on the page, with its value."""
    yield "item_id", proof["item"]["item_id"]
    if proof["item"].get("order_ref"):
        yield "order_ref", proof["item"]["order_ref"]
    yield "shows", proof["shows"][lang]
    yield "at", _moment(parse_time(proof["handed_over"]["at"]))
    for name in ("presented_on", "handed_over_on"):
        if proof["handed_over"].get(name):
            yield name, proof["handed_over"][name]
    if acceptor := proof.get("acceptor"):
        yield "acceptor", f"{acceptor['first_name']} {acceptor['surname']}"
        yield "capacity", _value(acceptor["capacity"], lang)
    if identity := proof.get("identity"):
        known = identity == "known_to_carrier"
        kind = identity if known else identity["document_kind"]
        yield "identity", _value(kind, lang) if known else f"{_value('document', lang)} : {_value(kind, lang)}"
    if place := proof.get("place"):
        yield "place", f"{place['lat']}, {place['lon']}"
    yield "score", f"{proof['score']['score']} / 100. {proof['score'][lang]}"
    if proof["lacks"]:
        yield "lacks", ", ".join(_value(name, lang) for name in proof["lacks"])
    yield "copy", _value(proof["copy"], lang)
    yield "event", proof["event"]["id"]
    yield "digest", proof["event"]["sha256"]
    yield "key", proof["key_id"]


def _value(name: str, lang: str) -> str:
    known = _VALUES.get(name) or _WORDS.get(name)
    return known[lang] if known else name.replace("_", " ")


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _row(page: "FPDF", label: str, value: str, *, points: int = _POINTS) -> None:
    page.set_font("Helvetica", "", 9)
    page.set_text_color(90)
    top = page.get_y()
    page.multi_cell(_LABEL_MM, _LINE_MM, label, align="L")
    below = page.get_y()
    page.set_xy(page.l_margin + _LABEL_MM, top)
    page.set_font("Helvetica", "", points)
    page.set_text_color(0)
    page.multi_cell(_WIDTH_MM - _LABEL_MM, _LINE_MM, value, align="L")
    page.set_xy(page.l_margin, max(page.get_y(), below))


def _picture(page: "FPDF", name: str, picture: Mapping[str, Any], lang: str) -> None:
    page.ln(3)
    if "image" not in picture:
        _row(page, _WORDS[name][lang], _WORDS["pending"][lang])
    else:
        _row(page, _WORDS[name][lang], "")
        image = io.BytesIO(base64.b64decode(picture["image"]))
        page.image(image, x=page.l_margin + _LABEL_MM, w=_IMAGE_MM, h=_IMAGE_MM / 2, keep_aspect_ratio=True)
    _row(page, _WORDS["sent_hash"][lang], picture["sha256"], points=_SMALL_POINTS)


def _foot(page: "FPDF", lang: str, *, replaced: bool) -> None:
    page.ln(6)
    page.set_font("Helvetica", "", 8)
    page.set_text_color(90)
    page.multi_cell(_FOOT_MM, 4.5, printable(_WORDS["foot"][lang]), align="L", new_x="LMARGIN", new_y="NEXT")
    if replaced:
        page.multi_cell(_FOOT_MM, 4.5, printable(_WORDS["letters"][lang]), align="L")
