"""Views for subscribers: what is to be sent again, and how far that has come."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fieldsvc.access.callers import Account
from fieldsvc.errors import BadRequest
from fieldsvc.publishing.replaying import Recovered, Replaying, Wanted
from fieldsvc.store.replays import Replay
from fieldsvc.web.asking import body, number, opened, sealed
from fieldsvc.web.auth import caller
from fieldsvc.web.endpoint_bodies import Types
from fieldsvc.web.endpoints import tried_json
from fieldsvc.web.problems import json_response
from handlers.fields import format_time, parse_time

REPLAYING = web.AppKey("REPLAYING", Replaying)
ENDPOINT = "/v1/endpoints/{id:ep_[0-9a-f]{32}}"
REPLAY = ENDPOINT + "/replays/{rid}"
SLOWEST_PER_S, FASTEST_PER_S = 0.1, 1000.0
Place = Annotated[str, Field(min_length=1, max_length=400)]
_PLACE = 'A time (RFC 3339, of `recordedtime`), the id of an event, a cursor of the feed, or "oldest".'
routes = web.RouteTableDef()


def _time(text: str) -> str:
    parse_time(text)
    return text


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NewReplay(_Body):
    """What `POST /v1/endpoints/{id}/replay` takes; all but `from` is for mode `side`."""

    mode: Literal["rewind", "side"] = Field(
        description="`rewind` moves the live cursor back; `side` sends again beside it."
    )
    start: Place = Field(alias="from", description=_PLACE)
    end: Place | None = Field(None, alias="to", description="As `from`, exclusive; now by default.")
    types: Types = Field(default_factory=list, description="Only these of the endpoint's types.")
    only_failed: bool = Field(False, description="Only dead letters, and events whose last attempt failed.")
    rate_per_s: float | None = Field(
        None,
        ge=SLOWEST_PER_S,
        le=FASTEST_PER_S,
        allow_inf_nan=False,
        description="Events a second, at most the endpoint's own rate; by default 50, or half of the endpoint's own.",
    )


class Recovery(_Body):
    """What `POST /v1/endpoints/{id}/recover` takes."""

    since: Annotated[str, Field(max_length=40), AfterValidator(_time)] = Field(
        description="When they were given up or parked, or later (RFC 3339)."
    )


class Resending(_Body):
    """What `POST /v1/endpoints/{id}/resend` takes."""

    event_id: str = Field(max_length=60)


@routes.post(ENDPOINT + "/replay")
async def start_replay(request: web.Request) -> web.Response:
    """Send again: move the live cursor back, or begin a replay beside it."""
    account, endpoint = caller(request, Account).account_id, request.match_info["id"]
    asked = await body(request, NewReplay)
    if asked.mode == "side":
        wanted = Wanted(asked.start, asked.end, asked.types, asked.only_failed, asked.rate_per_s)
        replay = await request.app[REPLAYING].side(account, endpoint, wanted)
    elif asked.model_fields_set > {"mode", "start"}:
        raise BadRequest("A rewind has a place to start from, and nothing else.")
    else:
        replay = await request.app[REPLAYING].rewind(account, endpoint, asked.start)
    return json_response(replay_json(replay), status=201, headers={"Location": _where(replay)})


@routes.post(ENDPOINT + "/recover")
async def recover(request: web.Request) -> web.Response:
    """Send again what was given up since a moment, and try at once what was parked since then."""
    account, asked = caller(request, Account), await body(request, Recovery)
    since = parse_time(asked.since)
    found = await request.app[REPLAYING].recover(account.account_id, request.match_info["id"], since)
    return json_response(recovered_json(found), status=201, headers={"Location": _where(found.replay)})


@routes.post(ENDPOINT + "/resend")
async def resend(request: web.Request) -> web.Response:
    """Send one event once now, and tell how it went."""
    account, asked = caller(request, Account), await body(request, Resending)
    attempt = await request.app[REPLAYING].resend(account.account_id, request.match_info["id"], asked.event_id)
    return json_response(tried_json(attempt))


@routes.get(ENDPOINT + "/replays")
async def list_replays(request: web.Request) -> web.Response:
    """List the replays of an endpoint, newest first."""
    account = caller(request, Account)
    limit = number(request, "limit", default=100, most=1000)
    place = opened(request.query.get("cursor", ""))
    found = await request.app[REPLAYING].page(
        account.account_id, request.match_info["id"], before=place[0] if place else "", limit=limit
    )
    following = sealed([found[-1].id]) if len(found) == limit else None
    return json_response({"replays": [replay_json(each) for each in found], "next": following})


@routes.get(REPLAY)
async def read_replay(request: web.Request) -> web.Response:
    """Show one replay and how far it has come."""
    return json_response(replay_json(await request.app[REPLAYING].read(*_names(request))))


@routes.delete(REPLAY)
async def cancel_replay(request: web.Request) -> web.Response:
    """End a replay where it stands; what it has sent stays sent."""
    await request.app[REPLAYING].cancel(*_names(request))
    return web.Response(status=204)


@routes.post(REPLAY + "/pause")
async def pause_replay(request: web.Request) -> web.Response:
    """Let a replay stand still."""
    return json_response(replay_json(await request.app[REPLAYING].pause(*_names(request))))


@routes.post(REPLAY + "/resume")
async def resume_replay(request: web.Request) -> web.Response:
    """Let a replay go on where it stood."""
    return json_response(replay_json(await request.app[REPLAYING].resume(*_names(request))))


def replay_json(replay: Replay) -> dict[str, Any]:
    """Write a replay as its subscriber sees it."""
    return {
        "id": replay.id,
        "mode": replay.mode,
        "state": replay.state,
        "waits_for": replay.waits_for,
        "from": replay.starts,
        "to": replay.ends,
        "types": list(replay.types),
        "only_failed": replay.only_failed,
        "rate_per_s": replay.rate_per_s,
        "sent": replay.sent,
        "failed": replay.failed,
        "skipped": replay.skipped,
        "created_at": format_time(replay.created_at),
        "ended_at": format_time(replay.ended_at) if replay.ended_at else None,
    }


def recovered_json(recovered: Recovered) -> dict[str, Any]:
    """Write what is recovered."""
    found = {"dead_letters": recovered.dead_letters, "parked": recovered.parked}
    return replay_json(recovered.replay) | found


def _names(request: web.Request) -> tuple[str, str, str]:
    return caller(request, Account).account_id, request.match_info["id"], request.match_info["rid"]


def _where(replay: Replay) -> str:
    return f"/v1/endpoints/{replay.endpoint}/replays/{replay.id}"
