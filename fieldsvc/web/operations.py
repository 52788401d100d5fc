"""For the operator: is it alive, can it work, what does it count."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from fieldsvc.errors import NotFound
from fieldsvc.metrics import CONTENT_TYPE
from fieldsvc.web import middlewares, rights
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.problems import json_response

CHECKS = web.AppKey("CHECKS", Mapping[str, Callable[[], Awaitable[bool]]])

APART = web.AppKey("APART", bool)  # whether the metrics are on a port of their own


async def healthz(_request: web.Request) -> web.Response:
    """Answer while the process lives."""
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Answer 200 when everything that work needs is there, else 503 with the names of what is missing."""
    missing = []
    for name, check in request.app[CHECKS].items():
        try:
            if not await check():
                missing.append(name)
        except Exception:  # noqa: BLE001 - a check that fails in any way is a no
            missing.append(name)
    return json_response(
        {"status": "not ready" if missing else "ready", "missing": missing}, status=503 if missing else 200
    )


async def metrics(request: web.Request) -> web.Response:
    """Show the metrics of this process: to this machine, or to an account with the scope operator."""
    if request.app.get(APART):
        raise NotFound
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


def apart(app: web.Application) -> web.Application:
    """Make the app of the operations port: what is for the operator, and nothing else."""
    made = web.Application(middlewares=[middlewares.identified, middlewares.problems, admitted])
    made.on_response_prepare.append(middlewares.finish)
    made[ACCESS], made[METRICS], made[CHECKS] = app[ACCESS], app[METRICS], app[CHECKS]
    made.add_routes(routes)
    rights.bind(made, complete=False)
    return made


routes: list[web.RouteDef] = [
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.get("/metrics", metrics),
]
