"""The cases of geocoder-tester (France) that the addresses at hand can answer, scored as the geo design asks (§C3).

The files come in triplets: an address with its town, with its postcode, and bare (number and street only, with a position
near which it is asked). A bare case is asked twice: as it is, and with the commune of the round as context. That commune is
derived from the case's own position (the commune of the nearest known address): on a round it is known. Postcodes of the
départements 01 to 09 lost their first zero in the files; it is put back.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldsvc.bench.lines import rounded
from geo.address_files import AddressRow, BadRow, read_addresses, read_hexasmal
from geo.addresses import ACCEPT_SCORE, Candidate, Communes, Geocoder, MemoryStore, city_key, split_number, street_key
from geo.positions import distance_m

NEAR_M = 50.0
BANO = ("05", "2A", "48", "90")
CATEGORIES = {"abbrev": "abbreviations", "typo": "typos", "user_input": "user input"}


@dataclass(frozen=True, slots=True)
class Case:
    """One case: the text, what must come first, and the position near which it is asked, if any."""

    query: str
    category: str
    house_number: int | None
    repetition: str | None
    street: str
    city: str
    postcode: str
    position: tuple[float, float] | None

    @property
    def names_a_place(self) -> bool:
        """Tell whether the text says more than a number and a street."""
        words = street_key(split_number(self.query)[2]).split()
        return bool(set(words) - set(street_key(self.street).split()))

    def is_met_by(self, best: Candidate | None) -> bool:
        """Tell whether an answer has everything that is expected."""
        if best is None:
            return False
        return (
            (best.house_number, best.repetition) == (self.house_number, self.repetition)
            and street_key(best.street or "") == street_key(self.street)
            and (not self.city or city_key(best.city) == city_key(self.city))
            and (not self.postcode or best.postcode == self.postcode)
        )

    def is_near(self, best: Candidate | None) -> bool:
        """Tell whether an answer lies within 50 m of the position of the case."""
        return (
            best is not None and self.position is not None and distance_m(best.lat, best.lon, *self.position) <= NEAR_M
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A case, the best answer to it, and how it was asked: `with a place`, `bare`, or `bare, commune of the round`."""

    case: Case
    how: str
    best: Candidate | None


def read_cases(path: Path) -> list[Case]:
    """Read a file of cases; its name tells the category."""
    category = next((name for part, name in CATEGORIES.items() if part in path.stem), "addresses")
    with path.open(encoding="utf-8", newline="") as lines:
        return [_case(row, category) for row in csv.DictReader(lines)]


def _case(row: dict[str, str], category: str) -> Case:
    number, mark, _ = split_number(f"{row['expected_housenumber']} rue")
    position = (float(row["lat"]), float(row["lon"])) if row["lon"] and row["lat"] else None
    postcode = row["expected_postcode"].strip()
    return Case(
        row["query"],
        category,
        number,
        mark,
        row["expected_street"] or row.get("expected_name") or "",
        row["expected_city"],
        postcode.zfill(5) if postcode else "",
        position,
    )


def covered(cases: Sequence[Case], rows: Sequence[AddressRow]) -> list[Case]:
    """Keep the cases whose postcode, expected or written, or else whose town, is among the addresses."""
    postcodes, towns = {row.postcode for row in rows}, {city_key(row.city) for row in rows}

    def known(case: Case) -> bool:
        written = {word for word in case.query.split() if len(word) == 5 and word.isdigit()}
        named = ({case.postcode} if case.postcode else set()) | written
        return bool(named & postcodes) if named else city_key(case.city) in towns

    return [case for case in cases if known(case)]


def ask(geocoder: Geocoder, cases: Sequence[Case], rows: Sequence[AddressRow]) -> Iterator[Asked]:
    """Ask every case; a bare one also with the commune that its position gives."""
    for case in cases:
        how = "with a place" if case.names_a_place else "bare"
        yield Asked(case, how, next(iter(geocoder.search(case.query)), None))
        if not case.names_a_place and case.position is not None:
            lat, lon = case.position
            near = min(rows, key=lambda row: (row.lat - lat) ** 2 + (row.lon - lon) ** 2)
            best = next(iter(geocoder.search(case.query, citycode=near.citycode)), None)
            yield Asked(case, "bare, commune of the round", best)


def geocoder_of(folder: Path) -> tuple[Geocoder, list[AddressRow]]:
    """Load every département at hand and the file of postcodes."""
    rows = []
    for name in BANO:
        with (folder / "bano" / f"bano-{name}.csv").open(encoding="utf-8", newline="") as lines:
            rows += [row for row in read_addresses(lines) if isinstance(row, AddressRow)]
    with (folder / "hexasmal" / "laposte_hexasmal_2023.csv").open(encoding="utf-8", newline="") as lines:
        communes = Communes(row for row in read_hexasmal(lines) if not isinstance(row, BadRow))
    return Geocoder(MemoryStore.from_rows(rows), communes), rows


def lines_of_cases(folder: Path) -> Iterator[dict[str, Any]]:
    """Write a line for each category and way of asking; and one for the cases that lie elsewhere, where nothing may be sure."""
    geocoder, rows = geocoder_of(folder)
    cases = [case for path in sorted((folder / "geocoder_cases").glob("*.csv")) for case in read_cases(path)]
    here = covered(cases, rows)
    asked = list(ask(geocoder, here, rows))
    for category in sorted({case.category for case in cases}):
        every = sum(case.category == category for case in cases)
        for how in ("with a place", "bare", "bare, commune of the round"):
            group = [one for one in asked if one.case.category == category and one.how == how]
            yield _line(category, how, group, {"cases_in_file": every, "departments": list(BANO)})
    elsewhere = [case for case in cases if case not in here]
    sure = sum(any(one.score >= ACCEPT_SCORE for one in geocoder.search(case.query)) for case in elsewhere)
    yield {
        "bench": "geocode", "metric": "cases_elsewhere_wrong_and_sure", "value": sure, "ratio_to": "asked",
        "ratio": rounded(sure / len(elsewhere)) if elsewhere else None, "conditions": {"asked": len(elsewhere)},
    }  # fmt: skip


def _line(category: str, how: str, group: Sequence[Asked], conditions: dict[str, Any]) -> dict[str, Any]:
    right = [one.case.is_met_by(one.best) for one in group]
    placed = [one for one in group if one.case.position is not None]
    near = sum(one.case.is_near(one.best) for one in placed)
    wrong = sum(
        one.best is not None and one.best.score > ACCEPT_SCORE and not ok for one, ok in zip(group, right, strict=True)
    )
    return {
        "bench": "geocode",
        "metric": "cases_right_percent",
        "shape": f"{category}, {how}",
        "value": rounded(100.0 * sum(right) / len(group)) if group else None,
        "ratio_to": "covered",
        "ratio": rounded(sum(right) / len(group)) if group else None,
        "conditions": {
            **conditions,
            "covered": len(group),
            "within_50_m_percent": rounded(100.0 * near / len(placed)) if placed else None,
            "wrong_and_sure": wrong,
        },
    }
