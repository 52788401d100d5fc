"""Duty desks: who answers when nobody else does, and when."""

import re
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldsvc.access.rights import Thing
from fieldsvc.errors import Invalid, NotFound
from fieldsvc.faults import faults_of
from fieldsvc.store import desk as store
from fieldsvc.store.desk import EVERYWHERE, Desk
from fieldsvc.web.auth import ACCESS, site_of
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.desks import spans_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Contact(BaseModel):
    """How a desk is told; the first that is given."""

    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    mobile: Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")] | None = None


class DeskBody(BaseModel):
    """A desk as it is set. Without a contact it has the screens."""

    model_config = ConfigDict(extra="forbid")
    hours: Annotated[str, Field(max_length=500)]
    contact: Contact | None = None


async def list_desks(request: web.Request) -> web.Response:
    """List the desks of a site, with those of all sites."""
    found = await store.listed(request.app[ACCESS].database, await site_of(request, Thing.WATCH))
    return json_response({"desks": [_shown(each) for each in found]})


async def set_desk(request: web.Request) -> web.Response:
    """Set a desk of a site, or of all sites."""
    site, name = await _place(request)
    try:
        body = DeskBody.model_validate(await read_object(request))
    except ValidationError as error:
        members = sorted({fault.member for fault in faults_of(DeskBody, error)})
        raise Invalid(f"Not valid: {', '.join(members)}.", reason="bad_body") from None
    contact = body.contact.model_dump(exclude_none=True) if body.contact else None
    zone = str(request.app[ACCESS].settings.zone)
    desk = Desk(site, name, contact or None, body.hours, spans_of(body.hours), zone)
    await store.save(request.app[ACCESS].database, desk)
    return json_response(_shown(desk))


async def remove_desk(request: web.Request) -> web.Response:
    """Remove a desk."""
    site, name = await _place(request)
    if not await store.remove(request.app[ACCESS].database, site, name):
        raise NotFound
    return web.Response(status=204)


async def _place(request: web.Request) -> tuple[str, str]:
    """Return whose desk it is: of a supervisor's own site; for the operator of any, and without one of all. NotFound."""
    name = request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise NotFound
    return await site_of(request, Thing.WATCH) or EVERYWHERE, name


def _shown(desk: Desk) -> dict[str, Any]:
    return {"site": desk.site, "name": desk.name, "contact": desk.contact, "hours": desk.hours, "zone": desk.zone}


routes: list[web.RouteDef] = [
    web.get("/v1/desks", list_desks),
    web.put("/v1/desks/{name}", set_desk),
    web.delete("/v1/desks/{name}", remove_desk),
]
