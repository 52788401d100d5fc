"""Which role a claim of the operator's own provider gives: a table in the settings, and the first line that fits counts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fieldsvc.access.accounts import STAFF
from fieldsvc.errors import UserMistake

_LINE = re.compile(r"(?P<value>[^=@,]{1,200})=(?P<role>[a-z_]+)(@(?P<site>[A-Za-z0-9][A-Za-z0-9._:-]{0,63}))?")
_NEEDS_SITE = frozenset({"supervisor", "counter"})
_BY_ACCOUNT = frozenset({"partner", "member"})


@dataclass(frozen=True, slots=True)
class Given:
    """One line: who has this value has this role, at this site or at every one."""

    value: str
    role: str
    site: str | None


def read_roles(lines: Sequence[str]) -> tuple[Given, ...]:
    """Read the table. UserMistake for a line that gives nothing."""
    return tuple(_read(line) for line in lines)


def _read(line: str) -> Given:
    found = _LINE.fullmatch(line)
    role, site = (found["role"], found["site"]) if found else ("", None)
    if found is None or role not in STAFF or role in _BY_ACCOUNT or (role in _NEEDS_SITE and site is None):
        raise UserMistake(
            "FIELDSVC_STAFF_OIDC_ROLES is value=role or value=role@site; supervisor and counter need a site."
        )
    return Given(found["value"].strip(), role, site)


def role_of(claims: Mapping[str, Any], claim: str, given: Sequence[Given]) -> Given | None:
    """Return the first line whose value is in the claim; None if there is none."""
    said = claims.get(claim)
    values = {each for each in (said if isinstance(said, list) else [said]) if isinstance(each, str)}
    return next((each for each in given if each.value in values), None)
