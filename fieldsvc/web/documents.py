"""The documents of the whole service, whatever the roles of a process: for the command line, `docs/events.md`, and tests."""

import sys
from typing import Any

from aiohttp import web

from fieldsvc.web import (
    address_changes,
    alerts,
    carrier,
    cases,
    catalogue,
    colleagues,
    cover,
    delivery_changes,
    delivery_points,
    desks,
    discretion,
    endpoints,
    events,
    hazards,
    health,
    ideas,
    kpis,
    live,
    media,
    mirror,
    not_back,
    operations,
    overview,
    people,
    phones,
    positions,
    proofs,
    relays,
    replays,
    roster,
    run_requests,
    run_stops,
    runs_work,
    subscriber,
    suivi,
    supervisor,
    task_list,
    tasks,
    timeline,
)
from fieldsvc.web.asyncapi import asyncapi_document
from fieldsvc.web.openapi import openapi_document
from fieldsvc.web.reference.markdown import events_markdown
from handlers.registry import discover


def every_router() -> web.UrlDispatcher:
    """Make a router with every route of every audience."""
    router = web.UrlDispatcher()
    for each in (
        address_changes,
        cover,
        events,
        relays,
        positions,
        proofs,
        phones,
        alerts,
        colleagues,
        hazards,
        live,
        media,
        mirror,
        health,
        not_back,
        overview,
        run_requests,
        run_stops,
        supervisor,
        timeline,
        kpis,
        cases,
        ideas,
        suivi,
        delivery_changes,
        delivery_points,
        desks,
        roster,
        runs_work,
        carrier,
        task_list,
        tasks,
        endpoints,
        replays,
        subscriber,
        catalogue,
        discretion,
        people,
        operations,
    ):
        router.add_routes(each.routes)
    return router


def openapi() -> dict[str, Any]:
    """Write the OpenAPI document."""
    return openapi_document(discover(), every_router())


def asyncapi() -> dict[str, Any]:
    """Write the AsyncAPI document."""
    return asyncapi_document(discover())


if __name__ == "__main__":
    sys.stdout.write(events_markdown(discover()))
