"""Reference addresses as files: the official BAN CSV, its comma export with a row index, and BANO CSV.

The form is recognised by the first line. A row that cannot be used becomes a BadRow in the same stream, so that the
caller can count and report while it imports; a file of another form is a BadFile at once.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from geo.address_parser import Address, repetition_of
from geo.errors import BadFile
from geo.positions import is_plausible
from geo.street_words import capitals

_BAN_COLUMNS = ("id", "numero", "rep", "nom_voie", "code_postal", "code_insee", "nom_commune", "lon", "lat")
_BANO_NUMBER = re.compile(r"^(\d+)\s*([A-Za-z]\w*)?$")
_BANO_ID = re.compile(r"^((?:\d{2}|2[AB])\d{3})\w{4,5}-")
_HEXASMAL = {"commune code": "INSEE", "name": "NOM", "postcode": "POSTAL", "line 5": "LIGNE 5", "label": "ACHEMINEMENT"}
_NO_NUMBER = 9000
_DOUBLY_ENCODED = re.compile("[\u00c2\u00c3\u00c5\u00e2]")


@dataclass(frozen=True, slots=True)
class AddressRow:
    """One reference address; codes are text of five characters; `position_kind` is the BAN's `type_position` or None."""

    address_id: str
    house_number: int | None
    repetition: str | None
    street: str
    postcode: str
    city: str
    citycode: str
    lat: float
    lon: float
    position_kind: str | None = None

    def address(self) -> Address:
        """Give the address without its position."""
        return Address(self.house_number, self.repetition, self.street, self.postcode, self.city, self.citycode)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: its line number and why, in a sentence."""

    line_no: int
    reason: str


@dataclass(frozen=True, slots=True)
class PostcodeRow:
    """A commune and one of its postcodes; `label` is the post office's short name, `place` a merged commune or lieu-dit."""

    citycode: str
    city: str
    postcode: str
    label: str
    place: str | None = None


class _UnusableRowError(Exception):
    """Carries the reason of a BadRow."""


def read_addresses(lines: Iterable[str]) -> Iterator[AddressRow | BadRow]:
    """Read reference addresses, one AddressRow or BadRow for each row, in the order of the file.

    Text that was encoded twice (`AllÃ©e`) is repaired. Raise BadFile, when the first row is asked for, if the file is
    empty or of an unknown form.
    """
    source = iter(lines)
    first = next(source, "").removeprefix("\ufeff")
    if not first.strip():
        raise BadFile("line 1", "the file is empty.")
    lowered = first.lower()
    if "nom_voie" in lowered and "numero" in lowered:
        yield from _read_ban(first, source, ";" if ";" in first else ",")
    elif len(_cells(first, ",")) == 8 and _BANO_ID.match(_cells(first, ",")[0]):
        yield from _read_bano(chain([first], source))
    else:
        raise BadFile(
            "line 1", "this is neither a BAN CSV (a header with numero, nom_voie…) nor a BANO CSV (eight columns)."
        )


def read_hexasmal(lines: Iterable[str]) -> Iterator[PostcodeRow | BadRow]:
    """Read La Poste's file of postcodes (`;`), whose column names and order changed with the years.

    Raise BadFile, when the first row is asked for, if a column is missing.
    """
    source = iter(lines)
    names = [capitals(name) for name in _cells(next(source, "").removeprefix("\ufeff"), ";")]
    at = {what: next((i for i, name in enumerate(names) if word in name), None) for what, word in _HEXASMAL.items()}
    missing = [what for what, place in at.items() if place is None]
    if missing:
        raise BadFile("line 1", f"this is no file of postcodes: the header lacks {', '.join(missing)}.")
    for line_no, cells in _rows(source, ";", before=1):
        if isinstance(cells, BadRow):
            yield cells
        elif len(cells) != len(names):
            yield BadRow(line_no, f"it has {len(cells)} columns and the header has {len(names)}.")
        else:
            yield _postcode_row(line_no, {what: cells[place or 0].strip() for what, place in at.items()})


def _postcode_row(line_no: int, row: dict[str, str]) -> PostcodeRow | BadRow:
    try:
        citycode, postcode = _code(row["commune code"], "commune code"), _code(row["postcode"], "postcode")
    except _UnusableRowError as error:
        return BadRow(line_no, str(error))
    return PostcodeRow(citycode, row["name"], postcode, row["label"], row["line 5"] or None)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _read_ban(header: str, source: Iterator[str], delimiter: str) -> Iterator[AddressRow | BadRow]:
    names = [name.strip().lower() for name in _cells(header, delimiter)]
    missing = [name for name in _BAN_COLUMNS if name not in names]
    if missing:
        raise BadFile("line 1", f"the BAN header lacks {', '.join(missing)}.")
    for line_no, cells in _rows(source, delimiter, before=1):
        if isinstance(cells, BadRow):
            yield cells
        elif len(cells) != len(names):
            yield BadRow(line_no, f"it has {len(cells)} columns and the header has {len(names)}.")
        else:
            known = ["" if cell == "NA" and delimiter == "," else cell for cell in cells]
            yield _checked(line_no, dict(zip(names, known, strict=True)))


def _read_bano(source: Iterator[str]) -> Iterator[AddressRow | BadRow]:
    for line_no, cells in _rows(source, ",", before=0):
        if isinstance(cells, BadRow):
            yield cells
            continue
        code = _BANO_ID.match(cells[0]) if len(cells) == 8 else None
        if not code:
            yield BadRow(line_no, "it is not a BANO row (eight columns, the first with the commune code).")
            continue
        number = _BANO_NUMBER.match(cells[1].strip())
        named = dict(
            zip(("id", "number", "nom_voie", "code_postal", "nom_commune", "source", "lat", "lon"), cells, strict=True)
        )
        named |= {
            "numero": number[1] if number else cells[1],
            "rep": number[2] or "" if number else "",
            "code_insee": code[1],
        }
        yield _checked(line_no, named)


def _rows(source: Iterator[str], delimiter: str, *, before: int) -> Iterator[tuple[int, list[str] | BadRow]]:
    reader = csv.reader(source, delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line_no = reader.line_num + before
            yield line_no, BadRow(line_no, f"this is not CSV ({error}).")
            continue
        if cells:
            yield reader.line_num + before, cells


def _checked(line_no: int, row: dict[str, str]) -> AddressRow | BadRow:
    try:
        return _address(row)
    except _UnusableRowError as error:
        return BadRow(line_no, str(error))


def _address(row: dict[str, str]) -> AddressRow:
    lat, lon = _position(row["lat"], row["lon"])
    street, city = repair(row["nom_voie"]).strip(), repair(row["nom_commune"]).strip()
    if not (street or repair(row.get("nom_ld") or "")) or not city:
        raise _UnusableRowError("the street or the commune is missing.")
    if not row["id"].strip():
        raise _UnusableRowError("the id is missing.")
    return AddressRow(
        address_id=row["id"].strip(),
        house_number=_number(row["numero"]),
        repetition=repetition_of(row["rep"]),
        street=street or repair(row.get("nom_ld") or ""),
        postcode=_code(row["code_postal"], "postcode"),
        city=city,
        citycode=_code(row["code_insee"], "commune code"),
        lat=lat,
        lon=lon,
        position_kind=repair(row.get("type_position") or "").strip() or None,
    )


def _position(lat: str, lon: str) -> tuple[float, float]:
    try:
        place = float(lat), float(lon)
    except ValueError:
        raise _UnusableRowError("the position is missing or not a number.") from None
    if not is_plausible(*place):
        raise _UnusableRowError("the position cannot be a real place.")
    return place


def _number(text: str) -> int | None:
    """Read a house number; the BAN writes 99999, and some communes 9000 and above, where there is none."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _UnusableRowError(f"the number is {text[:20]!r}.")
    number = int(text[:9])
    return number if 0 < number < _NO_NUMBER else None


def _code(text: str, what: str) -> str:
    code = text.strip().upper().zfill(5)
    if not re.fullmatch(r"\d{5}|2[AB]\d{3}", code) or code == "00000":
        raise _UnusableRowError(f"the {what} is {text[:20]!r}.")
    return code


def repair(text: str) -> str:
    """Undo a double encoding (UTF-8 read as Windows-1252 and written again); other text comes back unchanged."""
    if not _DOUBLY_ENCODED.search(text):
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text
