"""Examples of what the routes of endpoints answer, written by what their views write with."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.publishing.endpoints import Shown, Status
from fieldsvc.publishing.standing import Standing
from fieldsvc.store.attempts import Logged
from fieldsvc.store.endpoints import Endpoint, GivenUp, Health, ParkedSubject
from fieldsvc.web.endpoints import attempt_json, endpoint_json, given_up_json, parked_json, status_json

_AT = datetime(2026, 11, 21, 9, 42, tzinfo=UTC)
_SOON, _SINCE = _AT + timedelta(minutes=5), _AT - timedelta(minutes=1)
_ID, _SECRET = "ep_019a8f3e7c117d3a9a510c5d8c1f2e44", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
_EVENT, _SUBJECT = "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", "item/RK123456785FR"
_FILTER = {"data": {"next": {"$in": ["office_hold", "return"]}}}
_ENDPOINT = endpoint_json(
    Endpoint(
        _ID, "acct-1", "https://receiver.example/hook", ["item.*"], thin=False, state="active", reason=None, version=1, created_at=_AT,
        since=_AT, batch=20, filter=_FILTER, postcodes=["93", "75019"], rate_per_s=50, description="Dépôt nord",
    ),
    Shown(["X-Tenant"], bearer=False),
)  # fmt: skip
_STATUS = status_json(
    Status(Health(None, None, None, None, _SINCE, 1, 0), Standing(12, is_exact=True, lag_s=61.4), [(_AT, None)], _AT)
)
_ATTEMPT = attempt_json(Logged(_EVENT, 1, _AT, 503, 41, None, b"try later", _SUBJECT, None, 1, 1))
_PARKED = parked_json(ParkedSubject(_SUBJECT, _AT, 1, "status 503", _SOON, 2))
_LETTER = given_up_json(GivenUp(_EVENT, _SUBJECT, _AT, "status 422", 10))
ANSWERS: Mapping[str, Any] = {
    "Endpoint": _ENDPOINT,
    "EndpointMade": {**_ENDPOINT, "secret": _SECRET},
    "Endpoints": {"endpoints": [_ENDPOINT], "next": None},
    "EndpointHealth": {**_ENDPOINT, **_STATUS},
    "SecretRotated": {"id": _ID, "secret": _SECRET, "overlap_s": 86_400},
    "Attempt": {**_ATTEMPT, "attempt": 0},
    "Attempts": {"attempts": [_ATTEMPT], "next": None},
    "ParkedSubjects": {"parked": [_PARKED], "next": None},
    "DeadLetters": {"dead_letters": [_LETTER], "next": None},
}
