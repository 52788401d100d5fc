"""The figures as JSON and CSV: suppressed cells have no number, totals add up what is shown, and no cell is a formula."""

import csv
import io
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.reports.cells import Cell
from fieldsvc.reports.kpis import KPIS
from fieldsvc.reports.tables import BOM, COLUMNS, Asked, csv_text, document

MONTH = date(2026, 11, 1)
ASKED = Asked(MONTH, MONTH)


def cell(site: str, *, numerator: int = 9, denominator: int = 10, strength: int = 3, kpi: str = "on_time") -> Cell:
    return Cell(MONTH, "item", site, kpi, numerator, denominator, strength)


def test_a_suppressed_cell_says_that_it_is_and_nothing_more() -> None:
    found = document(ASKED, [cell("a"), cell("b", numerator=4, denominator=17, strength=0)])
    assert found["cells"][0] == {
        "month": "2026-11",
        "service": "item",
        "site": "a",
        "kpi": "on_time",
        "value": 90.0,
        "answers": 10,
    }
    assert found["cells"][1] == {
        "month": "2026-11",
        "service": "item",
        "site": "b",
        "kpi": "on_time",
        "value": None,
        "answers": None,
        "suppressed": True,
    }
    assert found["totals"] == [{"service": "item", "kpi": "on_time", "value": 90.0, "answers": 10}]
    assert "17" not in csv_text([cell("b", numerator=4, denominator=17, strength=0)])


CELLS = st.builds(
    cell,
    st.sampled_from("abcdef"),
    numerator=st.integers(0, 50),
    denominator=st.integers(0, 50),
    strength=st.integers(-3, 3),
    kpi=st.sampled_from([each.name for each in KPIS]),
)


@given(cells=st.lists(CELLS, max_size=12), hidden=st.lists(CELLS, max_size=5))
def test_cells_that_are_not_shown_change_no_number_of_an_answer(cells: list[Cell], hidden: list[Cell]) -> None:
    small = [
        Cell(each.month, each.service, each.site, each.kpi, each.numerator, each.denominator, 0) for each in hidden
    ]
    plain, more = document(ASKED, cells), document(ASKED, [*cells, *small])
    assert more["totals"] == plain["totals"]
    assert [each for each in more["cells"] if each["value"] is not None] == [
        each for each in plain["cells"] if each["value"] is not None
    ]


def test_csv_is_rfc_4180_with_a_byte_order_mark_and_runs_no_formula() -> None:
    sites = ['=cmd|"/c calc"!A1', "+1", "-1", "@sum", 'with "quotes", and a comma', "plain"]
    text = csv_text([cell(site) for site in sites])
    assert text.startswith(BOM + "month,")
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text.removeprefix(BOM))))
    assert tuple(rows[0]) == COLUMNS
    assert [row[2] for row in rows[1:]] == ["'" + site if site[0] in "=+-@" else site for site in sites]
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_a_negative_value_is_a_number_and_no_formula() -> None:
    (row,) = list(csv.DictReader(io.StringIO(csv_text([cell("a", numerator=-4, kpi="nps")]).removeprefix(BOM))))
    assert (row["value"], row["suppressed"], row["unit"]) == ("-40.0", "no", "nps")
