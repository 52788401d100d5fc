"""Errors as `application/problem+json` (RFC 9457): a stable `code`, a plain sentence, and no value of the input."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

from fieldsvc.errors import FieldsvcError

PROBLEM_TYPE = "application/problem+json"


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: object
) -> web.Response:
    """Build a problem answer; `extra` are further members."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    return web.Response(
        status=status, body=orjson.dumps({**body, **extra}), content_type=PROBLEM_TYPE, headers=dict(headers or {})
    )


def from_error(error: FieldsvcError) -> web.Response:
    """Build the answer to an error of the tree; `retry_after_s` becomes the header Retry-After."""
    extra = dict(error.extra)
    headers = {}
    if (wait_s := extra.pop("retry_after_s", None)) is not None:
        headers["Retry-After"] = str(wait_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.detail, headers=headers, **extra)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer JSON; datetimes become RFC 3339 UTC."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, content_type="application/json", headers=dict(headers or {}))
