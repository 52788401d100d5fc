"""Views for subscribers: their endpoints, and what became of the events that were to go there."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Account
from fieldsvc.errors import BadRequest
from fieldsvc.publishing.endpoints import Endpoints, Shown, Status
from fieldsvc.publishing.resuming import NOW, Resumed
from fieldsvc.store.attempts import DAYS_KEPT, Attempt, Logged, Search
from fieldsvc.store.endpoints import Endpoint, GivenUp, ParkedSubject
from fieldsvc.web.asking import NEWEST, body, moment, number, opened, place_of, sealed, text
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.endpoint_bodies import EndpointChange, NewEndpoint, Resumption, Rotation
from fieldsvc.web.problems import json_response
from handlers.fields import format_time

ENDPOINTS = web.AppKey("ENDPOINTS", Endpoints)
_STATUS = re.compile(r"[1-9][0-9]{2}")
_OK, _FAILED = (200, 299), "failed"
routes = web.RouteTableDef()


@routes.post("/v1/endpoints")
async def create_endpoint(request: web.Request) -> web.Response:
    """Make an endpoint; its signing key is shown here only."""
    account = caller(request, Account)
    asked = await body(request, NewEndpoint)
    options = {name: value for name, value in asked.asked.items() if name not in ("url", "start") and value is not None}
    endpoint, secret = await request.app[ENDPOINTS].create(
        account.account_id, asked.url, start=asked.start, options=options
    )
    await _note(request, account, "created", endpoint.id)
    shown = {"id": endpoint.id, "secret": secret, **_shown(request, endpoint)}
    return json_response(shown, status=201, headers={"Location": f"/v1/endpoints/{endpoint.id}"})


@routes.get("/v1/endpoints")
async def list_endpoints(request: web.Request) -> web.Response:
    """List the account's endpoints."""
    account = caller(request, Account)
    limit = number(request, "limit", default=100, most=1000)
    found = await request.app[ENDPOINTS].page(account.account_id, after=_name(request), limit=limit)
    following = sealed([found[-1].id]) if len(found) == limit else None
    return json_response({"endpoints": [_shown(request, each) for each in found], "next": following})


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def read_endpoint(request: web.Request) -> web.Response:
    """Show one endpoint and how it is doing."""
    account = caller(request, Account)
    endpoint = await request.app[ENDPOINTS].read(account.account_id, request.match_info["id"])
    status = await request.app[ENDPOINTS].status(endpoint)
    return json_response(_shown(request, endpoint) | status_json(status))


@routes.patch("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def change_endpoint(request: web.Request) -> web.Response:
    """Change what is given; acts within a second, and loses nothing."""
    account = caller(request, Account)
    asked = (await body(request, EndpointChange)).asked
    endpoint = await request.app[ENDPOINTS].change(account.account_id, request.match_info["id"], asked)
    await _note(request, account, "changed", endpoint.id)
    return json_response(_shown(request, endpoint))


@routes.delete("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def remove_endpoint(request: web.Request) -> web.Response:
    """Delete an endpoint and what waits for it."""
    account = caller(request, Account)
    await request.app[ENDPOINTS].remove(account.account_id, request.match_info["id"])
    await _note(request, account, "removed", request.match_info["id"])
    return web.Response(status=204)


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/secret/rotate")
async def rotate_secret(request: web.Request) -> web.Response:
    """Make a new signing key; the old ones sign beside it for a day, or for as long as asked."""
    account = caller(request, Account)
    asked = await body(request, Rotation)
    secret = await request.app[ENDPOINTS].rotate(
        account.account_id, request.match_info["id"], overlap_s=asked.overlap_s
    )
    await _note(request, account, "rotated", request.match_info["id"])
    return json_response({"id": request.match_info["id"], "secret": secret, "overlap_s": asked.overlap_s})


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/pause")
async def pause_endpoint(request: web.Request) -> web.Response:
    """Stop sending; nothing is lost."""
    account = caller(request, Account)
    endpoint = await request.app[ENDPOINTS].pause(account.account_id, request.match_info["id"])
    await _note(request, account, "paused", endpoint.id)
    return json_response(_shown(request, endpoint))


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/resume")
async def resume_endpoint(request: web.Request) -> web.Response:
    """Go on where it stopped, or from now on; say what was skipped, and what retention took."""
    account = caller(request, Account)
    skip = (await body(request, Resumption)).start == NOW
    endpoint, resumed = await request.app[ENDPOINTS].resume(account.account_id, request.match_info["id"], skip=skip)
    await _note(request, account, "resumed", endpoint.id)
    return json_response(_shown(request, endpoint) | resumed_json(resumed))


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/test")
async def try_endpoint(request: web.Request) -> web.Response:
    """Send a test event now and tell how it went."""
    account = caller(request, Account)
    attempt = await request.app[ENDPOINTS].test(account.account_id, request.match_info["id"])
    await _note(request, account, "tested", request.match_info["id"])
    return json_response(tried_json(attempt))


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}/attempts")
async def list_attempts(request: web.Request) -> web.Response:
    """List attempts, newest first: of an event, a subject, a replay, a status, a time."""
    account = caller(request, Account)
    limit = number(request, "limit", default=100, most=1000)
    found = await request.app[ENDPOINTS].attempts(
        account.account_id, request.match_info["id"], search_of(request), limit=limit
    )
    last = found[-1] if len(found) == limit else None
    following = sealed([last.at.isoformat(), last.event_id, last.n]) if last else None
    return json_response({"attempts": [attempt_json(each) for each in found], "next": following})


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}/parked")
async def list_parked(request: web.Request) -> web.Response:
    """List the subjects that wait alone for their next attempt."""
    account = caller(request, Account)
    limit = number(request, "limit", default=100, most=1000)
    found = await request.app[ENDPOINTS].parked(
        account.account_id, request.match_info["id"], after=_name(request), limit=limit
    )
    following = sealed([found[-1].subject]) if len(found) == limit else None
    return json_response({"parked": [parked_json(each) for each in found], "next": following})


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}/dead-letters")
async def list_dead_letters(request: web.Request) -> web.Response:
    """List the events that were given up, newest first."""
    account = caller(request, Account)
    limit = number(request, "limit", default=100, most=1000)
    at, name, _n = place_of(request.query.get("cursor", ""))
    found = await request.app[ENDPOINTS].given_up(
        account.account_id, request.match_info["id"], before=(at, name), limit=limit
    )
    following = sealed([found[-1].at.isoformat(), found[-1].event_id, 0]) if len(found) == limit else None
    return json_response({"dead_letters": [given_up_json(each) for each in found], "next": following})


def search_of(request: web.Request) -> Search:
    """Read which attempts are wanted."""
    oldest = datetime.now(UTC) - timedelta(days=DAYS_KEPT + 1)
    status, said = None, request.query.get("status")
    if said == "ok":
        status = _OK
    elif said is not None and _STATUS.fullmatch(said):
        status = int(said), int(said)
    elif said not in (None, _FAILED):
        raise BadRequest("status is ok, failed, or one status.")
    return Search(
        since=moment(request, "since", default=oldest),
        before=place_of(request.query.get("cursor", ""), newest=moment(request, "until", default=NEWEST)),
        status=status,
        failed=said == _FAILED,
        event_id=text(request, "event_id"),
        subject=text(request, "subject"),
        replay=text(request, "replay"),
    )


def endpoint_json(endpoint: Endpoint, shown: Shown) -> dict[str, Any]:
    """Write an endpoint as its subscriber sees it."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "types": list(endpoint.types),
        "thin": endpoint.thin,
        "mode": endpoint.mode,
        "batch": endpoint.batch,
        "format": endpoint.format,
        "filter": endpoint.filter,
        "sites": list(endpoint.sites),
        "postcodes": list(endpoint.postcodes),
        "headers": list(shown.headers),
        "bearer": shown.bearer,
        "rate_per_s": endpoint.rate_per_s,
        "in_flight": endpoint.in_flight,
        "on_exhausted": endpoint.on_exhausted,
        "schedule": None if endpoint.schedule is None else list(endpoint.schedule),
        "description": endpoint.description,
        "state": endpoint.state,
        "since": format_time(endpoint.since or endpoint.created_at),
        "reason": endpoint.reason,
        "created_at": format_time(endpoint.created_at),
    }


def resumed_json(resumed: Resumed) -> dict[str, Any]:
    """Write how an endpoint went on; `oldest` is the oldest cursor of the feed, where retention has passed its own."""
    warnings = ["retention_passed_cursor"] if resumed.oldest else []
    return {"skipped": resumed.skipped, "warnings": warnings} | ({"oldest": resumed.oldest} if resumed.oldest else {})


def status_json(status: Status) -> dict[str, Any]:
    """Write how an endpoint is doing."""
    health, standing = status.health, status.standing
    return {
        "health": {
            "breaker": "closed" if health.opened_at is None else "open",
            "next_probe_at": _time(health.probe_at),
            "held_until": _time(health.held_until),
            "failing_since": _time(health.failing_since),
            "last_failure_at": _time(health.last_failed_at),
            "last_success_at": _time(status.last_success_at),
            "backlog": standing.backlog,
            "backlog_is_exact": standing.is_exact,
            "lag_s": round(standing.lag_s, 1),
            "parked": health.parked,
            "dead_letters": health.dead_letters,
        },
        "secrets": [{"created_at": format_time(made), "expires_at": _time(until)} for made, until in status.keys],
    }


def attempt_json(attempt: Logged) -> dict[str, Any]:
    """Write an attempt of the log."""
    return {
        "event_id": attempt.event_id,
        "subject": attempt.subject,
        "events": attempt.events,
        "attempt": attempt.n,
        "at": format_time(attempt.at),
        "status": attempt.status,
        "ms": attempt.ms,
        "error": attempt.error,
        "repeats": attempt.repeats,
        "replay": attempt.replay,
        "body": None if attempt.body is None else attempt.body.decode(errors="replace"),
    }


def tried_json(attempt: Attempt) -> dict[str, Any]:
    """Write an attempt that was just made."""
    logged = Logged(
        attempt.event_id, attempt.n, attempt.at, attempt.status, attempt.ms, attempt.error, attempt.body,
        attempt.subject, attempt.replay, len(attempt.event_ids) or 1, attempt.repeats,
    )  # fmt: skip
    return attempt_json(logged)


def parked_json(parked: ParkedSubject) -> dict[str, Any]:
    """Write a subject that waits alone."""
    return {
        "subject": parked.subject,
        "since": format_time(parked.since),
        "attempts": parked.attempts,
        "reason": parked.reason,
        "next_at": format_time(parked.next_at),
        "behind": parked.behind,
    }


def given_up_json(letter: GivenUp) -> dict[str, Any]:
    """Write a dead letter."""
    return {
        "event_id": letter.event_id,
        "subject": letter.subject,
        "at": format_time(letter.at),
        "reason": letter.reason,
        "attempts": letter.attempts,
    }


async def _note(request: web.Request, account: Account, action: str, endpoint_id: str) -> None:
    """Note what a program of the account did to an endpoint; its people read it in the history of the account."""
    entry = Entry(account.account_id, account.kind, f"endpoint.{action}", f"endpoint/{endpoint_id}")
    await audit.note(request.app[ACCESS].database, entry)


def _shown(request: web.Request, endpoint: Endpoint) -> dict[str, Any]:
    return endpoint_json(endpoint, request.app[ENDPOINTS].shown(endpoint))


def _name(request: web.Request) -> str:
    place = opened(request.query.get("cursor", ""))
    return place[0] if place else ""


def _time(moment_: datetime | None) -> str | None:
    return format_time(moment_) if moment_ else None
