"""What supervisors do with the work of a run: give it to somebody else, share it, hand over what is carried."""

from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.web.auth import caller, sites_for
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.run_changes import HandOver, Reassign, RunChanges, Split, read_change
from handlers.story import Actor

CHANGES = web.AppKey("CHANGES", RunChanges)


async def reassign(request: web.Request) -> web.Response:
    """Give a run to another carrier of its site; their phone has it with the next request."""
    run_id, who = _asked(request)
    asked = read_change(Reassign, await read_object(request))
    return json_response(await request.app[CHANGES].reassign(run_id, asked.to_carrier, **who))


async def split(request: web.Request) -> web.Response:
    """Give part of a run's stops with their open work, or single open tasks, to another run of the same day."""
    run_id, who = _asked(request)
    asked = read_change(Split, await read_object(request))
    return json_response(await request.app[CHANGES].split_as(run_id, asked, **who))


async def hand_over(request: web.Request) -> web.Response:
    """Note what the giver of a load counted, and what the taker did; a difference is an alert."""
    run_id, who = _asked(request)
    asked = read_change(HandOver, await read_object(request))
    return json_response(await request.app[CHANGES].hand_over(run_id, asked, **who), status=201)


def _asked(request: web.Request) -> tuple[str, dict[str, Any]]:
    person, sites = caller(request, Person), sites_for(request, Thing.RUN)
    return request.match_info["id"], {"by": Actor(person.role, entered_by=person.account_id), "sites": sites}


routes: list[web.RouteDef] = [
    web.post("/v1/runs/{id}/reassign", reassign),
    web.post("/v1/runs/{id}/split", split),
    web.post("/v1/runs/{id}/handover", hand_over),
]
