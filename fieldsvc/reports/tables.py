"""The figures as they are shown: which cells, totals of what is shown and of nothing else, JSON and CSV. Pure.

A total adds up the cells that are shown in the same answer. So every answer is made of shown cells alone, and no subtraction of
totals, sites, months or answers leads to a cell that is not.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fieldsvc.reports.cells import ANSWERS, CARRIERS, Cell
from fieldsvc.reports.kpis import BY_NAME, KPIS, Kpi

COLUMNS = ("month", "service", "site", "kpi", "title", "unit", "value", "answers", "suppressed")
BOM = "\ufeff"  # without it the spreadsheets of most offices read UTF-8 as Latin-1
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: months from first to last, a site and a service or all."""

    first: date
    last: date
    site: str | None = None
    service: str | None = None


def document(asked: Asked, cells: Sequence[Cell]) -> dict[str, Any]:
    """Write the figures with their definitions: a cell without company is listed as suppressed, without any number."""
    return {
        "from": _month(asked.first),
        "until": _month(asked.last),
        "thresholds": {"answers": ANSWERS, "carriers": CARRIERS},
        "kpis": [_defined(each) for each in KPIS],
        "cells": [_cell(each) for each in cells],
        "totals": _totals(cells),
    }


def csv_text(cells: Sequence[Cell], *, lang: str = "fr") -> str:
    """Write the same cells as RFC 4180 CSV with a byte order mark; a text that a spreadsheet would run gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in cells:
        row = _cell(each) | {"title": BY_NAME[each.kpi].title[lang], "unit": BY_NAME[each.kpi].unit}
        row["suppressed"] = "yes" if row.get("suppressed") else "no"
        writer.writerow([_harmless(row.get(name)) for name in COLUMNS])
    return BOM + out.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else "" if value is None else value


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _defined(kpi: Kpi) -> dict[str, Any]:
    return {"kpi": kpi.name, "unit": kpi.unit, "title": dict(kpi.title), "definition": dict(kpi.definition)}


def _cell(cell: Cell) -> dict[str, Any]:
    where = {"month": _month(cell.month), "service": cell.service, "site": cell.site, "kpi": cell.kpi}
    if not cell.is_shown:
        return {**where, "value": None, "answers": None, "suppressed": True}
    value = BY_NAME[cell.kpi].value(cell.numerator, cell.denominator)
    return {**where, "value": value, "answers": cell.denominator}


def _totals(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Add the shown cells up by service and figure."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each in cells:
        if each.is_shown:
            numerator, denominator = sums.get((each.service, each.kpi), (0, 0))
            sums[each.service, each.kpi] = numerator + each.numerator, denominator + each.denominator
    return [
        {"service": service, "kpi": kpi, "value": BY_NAME[kpi].value(*found), "answers": found[1]}
        for (service, kpi), found in sorted(sums.items())
    ]
