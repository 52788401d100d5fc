"""Which role a claim gives: by the operator's table, and nothing that the table does not say."""

from typing import Any

import pytest

from fieldsvc.access.staff_roles import Given, read_roles, role_of
from fieldsvc.errors import UserMistake

TABLE = read_roles(["chefs=supervisor@pantin", "back-office=adviser", "direction=operator"])


def test_the_table_is_read_as_it_is_written() -> None:
    assert TABLE[:2] == (Given("chefs", "supervisor", "pantin"), Given("back-office", "adviser", None))


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (["direction", "chefs"], "supervisor"),
        ("back-office", "adviser"),
        (["other"], None),
        ([], None),
        (None, None),
        (7, None),
        ([["chefs"]], None),
        ({"chefs": 1}, None),
        ("chefs ", None),
    ],
)
def test_the_first_line_that_fits_counts(said: Any, role: str | None) -> None:
    found = role_of({"groups": said}, "groups", TABLE)
    assert (found.role if found else None) == role
    assert role_of({"roles": said}, "groups", TABLE) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a",
        "a=",
        "=adviser",
        "a=root",
        "a=customer",
        "a=partner",
        "a=member",
        "a=subscriber",
        "a=supervisor",
        "a=counter",
        "a=adviser@",
    ],
)
def test_a_line_that_gives_nothing_is_refused(line: str) -> None:
    with pytest.raises(UserMistake):
        read_roles([line])
