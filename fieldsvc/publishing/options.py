"""What a subscriber may ask of an endpoint, and what does not go together. Pure."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from yarl import URL

from fieldsvc.errors import BadRequest
from fieldsvc.publishing.conditions import asks_for, checked_condition
from fieldsvc.publishing.filters import checked
from fieldsvc.store.endpoints import Endpoint, Options

MOST_HEADERS, LONGEST_NAME, LONGEST_VALUE, MOST_OF_ALL = 20, 100, 2048, 8192
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {each.name: each.default for each in fields(Options) if each.name != "sealed_headers"}
    | {"types": (), "thin": False, "sites": (), "postcodes": ()}
)
AUTHORIZATION = "Authorization"
_BEARER = "Bearer "
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_OURS = frozenset(
    "accept-encoding age connection cookie date expect forwarded host keep-alive proxy-authenticate proxy-authorization "
    "proxy-connection te trailer transfer-encoding upgrade user-agent via".split()
)
_OUR_BEGINNINGS = ("webhook-", "content-", "ce-", "fieldsvc-", "access-control-", "sec-", "x-forwarded-")


class BadOption(BadRequest):
    """An option cannot be used, or does not go with another one."""

    code = "bad_option"

    def __init__(self, member: str, says: str) -> None:
        super().__init__(says, errors=[{"field": member, "fault": "option"}])


def applied(endpoint: Endpoint, asked: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint with what was asked for; None puts a member back to its default.

    BadOption with the name of a member, BadFilter, or BadRequest for a pattern of types.
    """
    known = {name: default for name, default in DEFAULTS.items() if name in asked}
    changes = {name: default if asked[name] is None else asked[name] for name, default in known.items()}
    if changes.get("types"):
        changes["types"] = checked(changes["types"])
    if "filter" in changes:
        changes["filter"] = checked_condition(changes["filter"]) if changes["filter"] else None
    for name in ("sites", "postcodes"):
        if name in changes:
            changes[name] = list(dict.fromkeys(changes[name]))
    for name, value in changes.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(each, str) and "\x00" in each for each in texts):
            raise BadOption(name, "A text holds no NUL.")
    made = replace(endpoint, **changes)
    _check_together(made)
    return made


def headers_after(now: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that every request has: `headers` replaces all but the bearer, `bearer` that alone."""
    bearer = now.get(AUTHORIZATION) if has_bearer(now) else None
    if "bearer" in asked:
        bearer = None if asked["bearer"] is None else _BEARER + _checked_bearer(asked["bearer"])
    plain = {name: value for name, value in now.items() if name != AUTHORIZATION or not has_bearer(now)}
    if "headers" in asked:
        plain = _checked_headers(asked["headers"] or {})
    if bearer is None:
        return plain
    if any(name.lower() == AUTHORIZATION.lower() for name in plain):
        raise BadOption("bearer", "A bearer is the header Authorization; one of the two.")
    return {**plain, AUTHORIZATION: bearer}


def same_host(url: str, other: str) -> bool:
    """Tell whether two URLs lead to the same scheme, host and port: what one may know, the other knows."""
    one, two = URL(url), URL(other)
    return (one.scheme, one.host, one.port) == (two.scheme, two.host, two.port)


def has_bearer(headers: Mapping[str, str]) -> bool:
    """Tell whether a bearer is among the headers."""
    return headers.get(AUTHORIZATION, "").startswith(_BEARER)


def names_of(headers: Mapping[str, str]) -> list[str]:
    """List the names of headers, without the bearer's."""
    return sorted(name for name in headers if name != AUTHORIZATION or not has_bearer(headers))


def _check_together(endpoint: Endpoint) -> None:
    if endpoint.thin and endpoint.format != "cloudevents":
        raise BadOption("thin", "Only CloudEvents have a thin form.")
    if endpoint.thin and endpoint.filter and asks_for(endpoint.filter, "data"):
        raise BadOption("filter", "A thin endpoint is sent no data; a filter looks at what is sent.")


def _checked_bearer(token: str) -> str:
    if not _VALUE.fullmatch(token) or len(token) > LONGEST_VALUE:
        raise BadOption("bearer", "A bearer is 1 to 2,048 visible characters of ASCII.")
    return token


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers.items()) > MOST_OF_ALL:
        raise BadOption("headers", "An endpoint has at most 20 headers, 8 KiB in all.")
    if len({name.lower() for name in headers}) < len(headers):
        raise BadOption("headers", "A header has one value; its name is the same in capitals.")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or len(name) > LONGEST_NAME:
            raise BadOption("headers", "The name of a header is a token of RFC 9110, of at most 100 characters.")
        if name.lower() in _OURS or name.lower().startswith(_OUR_BEGINNINGS):
            raise BadOption("headers", "One of these headers is the connection's, the body's or the signature's.")
        if not _VALUE.fullmatch(value) or len(value) > LONGEST_VALUE:
            raise BadOption("headers", "The value of a header is 1 to 2,048 visible characters of ASCII.")
    return {AUTHORIZATION if name.lower() == AUTHORIZATION.lower() else name: value for name, value in headers.items()}
