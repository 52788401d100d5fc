"""Whom an alert may be given to: those who watch over its site, and the desks that are there for it."""

from collections.abc import Mapping
from typing import Any

from fieldsvc.store import account, desk
from fieldsvc.store.account import Colleague
from fieldsvc.store.database import Database
from fieldsvc.store.desk import Desk

DESK = "desk:"


async def listed(database: Database, site: str | None) -> dict[str, Any]:
    """List people and desks of a site, with those of every one; of every site for None. Ways of reaching them are not told."""
    people, desks = await account.colleagues(database, site), await desk.listed(database, site)
    return {"people": [_person(each) for each in people], "desks": [_desk(each) for each in desks]}


async def contact_of(database: Database, site: str | None, to: str) -> Mapping[str, Any] | None:
    """Return how somebody whom an alert of a site may be given to is reached, {} if not at all; None for anybody else."""
    if to.startswith(DESK):
        desks = [each for each in await desk.listed(database, site) if f"{DESK}{each.name}" == to]
        own = next((each for each in desks if each.site == site), desks[0] if desks else None)
        return None if own is None else own.contact or {}
    person = next((each for each in await account.colleagues(database, site) if each.id == to), None)
    if person is None:
        return None
    return {"email": person.email} if person.email else {}


def _person(each: Colleague) -> dict[str, Any]:
    return {"account_id": each.id, "name": each.name, "role": each.role, "site": each.site}


def _desk(each: Desk) -> dict[str, Any]:
    return {"to": f"{DESK}{each.name}", "name": each.name, "site": each.site, "hours": each.hours}
