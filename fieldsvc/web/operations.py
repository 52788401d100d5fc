"""For the operator: is it alive, can it work, what does it count."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from fieldsvc.metrics import CONTENT_TYPE
from fieldsvc.web.auth import is_loopback, require_account
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.problems import json_response

CHECKS = web.AppKey("CHECKS", Mapping[str, Callable[[], Awaitable[bool]]])


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
    if not is_loopback(request):
        await require_account(request, "operator")
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


routes: list[web.RouteDef] = [
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.get("/metrics", metrics),
]
