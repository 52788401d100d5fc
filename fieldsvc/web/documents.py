"""The documents of the whole service, whatever the roles of a process: for the command line, `docs/events.md`, and tests."""

import sys
from typing import Any

from aiohttp import web

from fieldsvc.web import (
    alerts,
    carrier,
    catalogue,
    delivery_points,
    events,
    live,
    operations,
    people,
    phones,
    positions,
    run_stops,
    subscriber,
    supervisor,
    tasks,
)
from fieldsvc.web.asyncapi import asyncapi_document
from fieldsvc.web.openapi import openapi_document
from fieldsvc.web.reference.markdown import events_markdown
from handlers.registry import discover


def every_router() -> web.UrlDispatcher:
    """Make a router with every route of every audience."""
    router = web.UrlDispatcher()
    for each in (
        events,
        positions,
        phones,
        alerts,
        live,
        run_stops,
        supervisor,
        delivery_points,
        carrier,
        tasks,
        subscriber,
        catalogue,
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
