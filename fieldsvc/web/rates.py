"""How often each caller may ask: by device, account and session what is generous, by address what needs no credentials.

A caller who is over the limit gets 429 with Retry-After and may come again; nobody is locked out. The headers are those of
draft-ietf-httpapi-ratelimit-headers-10.
"""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from aiohttp import web

from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.access.limits import MEMORY, Limits, Rate, Verdict, retry_after
from fieldsvc.access.tokens import API_KEY_PREFIX, digest
from fieldsvc.errors import TooMany, Unauthorized
from fieldsvc.web.auth import CALLER, SESSION_COOKIE, client_source
from fieldsvc.web.middlewares import LIMITED, METRICS, View, route_of
from fieldsvc.web.rights import RIGHTS
from fieldsvc.web.rights_row import ANYONE, CUSTOMER

DEVICE, ACCOUNT, PERSON = Rate("device", 3_000, 60.0), Rate("account", 6_000, 60.0), Rate("person", 1_200, 60.0)
OPEN, REFUSED = Rate("open", 1_200, 60.0), Rate("refused", 120, 60.0)
TRIALS = Rate("trials", 60, 60.0)  # requests that the service makes at once for who asks
RELAYS = Rate("relays", 60, 60.0)  # queues that a phone brings for others, up to 500 events each
SIGN_IN, ENROL, CHANGES = Rate("sign-in", 30, 60.0), Rate("enrol", 30, 60.0), Rate("delivery-changes", 60, 60.0)
RATES = (DEVICE, ACCOUNT, PERSON, OPEN, REFUSED, SIGN_IN, ENROL, CHANGES, TRIALS, RELAYS)
_OWN = {
    "/sign-in/{token}": SIGN_IN,
    "/suivi/sign-in/code": SIGN_IN,
    "/suivi/sign-in/callback": SIGN_IN,
    "/staff/sign-in/callback": SIGN_IN,
    "/v1/devices/enrol": ENROL,
}
_FEWER = {"/v1/endpoints/{id}/test": TRIALS, "/v1/endpoints/{id}/resend": TRIALS, "/v1/relays": RELAYS}
_FEWER |= {f"/integrations/endpoints/{{id}}/{deed}": TRIALS for deed in ("test", "resend")}
_WITH_CREDENTIALS = (Device, Account, Person)
_FREE = frozenset({"/healthz", "/readyz", "/metrics"})


@dataclass(frozen=True, slots=True)
class Asked:
    """By which rate a request counts and as whose; `credential` names what it presents, if it presents any."""

    rate: Rate
    caller: str
    credential: str | None


class Rates:
    """The buckets of this process, one set for each rate."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, chance: random.Random | None = None) -> None:
        self._limits = {rate: Limits(rate, clock=clock) for rate in RATES}
        self._chance = chance or random.Random()  # noqa: S311 - spreads who comes again, hides nothing
        self._known: OrderedDict[str, None] = OrderedDict()

    def take(self, asked: Asked, source: str) -> Verdict:
        """Count a request. TooMany with the seconds to wait, when its bucket, or that of bad credentials, is empty."""
        if asked.credential is not None and asked.credential not in self._known:
            refused = self._limits[REFUSED].peek(source)
            if not refused.allowed:
                raise self._too_many(REFUSED, refused)
        verdict = self._limits[asked.rate].take(asked.caller)
        if not verdict.allowed:
            raise self._too_many(asked.rate, verdict)
        return verdict

    def knows(self, credential: str) -> bool:
        """Tell whether credentials were valid lately."""
        return credential in self._known

    def refused(self, source: str) -> None:
        """Count credentials that were not valid, by where they came from."""
        self._limits[REFUSED].take(source)

    def good(self, credential: str) -> None:
        """Remember credentials that were valid: a phone is not shut out for what its neighbours try."""
        self._known[credential] = None
        self._known.move_to_end(credential)
        while len(self._known) > MEMORY:
            self._known.popitem(last=False)

    def _too_many(self, rate: Rate, verdict: Verdict) -> TooMany:
        return TooMany(retry_after_s=retry_after(verdict.wait_s, self._chance), limit=rate.name)


RATED = web.AppKey("RATED", Rates)


@web.middleware
async def rated(request: web.Request, handler: View) -> web.StreamResponse:
    """Let nobody ask too often."""
    rates = request.app.get(RATED)
    if rates is None or route_of(request) in _FREE:
        return await handler(request)
    source = client_source(request)
    asked = asked_by(request, source, rates.knows)
    try:
        verdict = rates.take(asked, source)
    except TooMany as error:
        name = str(error.extra["limit"])
        request.app[METRICS].limited.labels(name).inc()
        rate = next(each for each in RATES if each.name == name)
        request[LIMITED] = rate.policy, f'"{name}";r=0;t={error.extra["retry_after_s"]}'
        raise
    if asked.credential is None or verdict.left < asked.rate.most // 2:  # a phone on a poor network pays for every byte
        request[LIMITED] = asked.rate.policy, f'"{asked.rate.name}";r={verdict.left};t={ceil(verdict.full_in_s)}'
    try:
        answer = await handler(request)
    except Unauthorized:
        if asked.credential is not None:
            rates.refused(source)
        raise
    if asked.credential is not None and isinstance(request.get(CALLER), _WITH_CREDENTIALS):
        rates.good(asked.credential)
    return answer


def asked_by(request: web.Request, source: str, knows: Callable[[str], bool]) -> Asked:
    """Tell by which rate a request counts; what it presents is hashed, and not looked up.

    Where nobody has to present anything, only what was valid before counts for itself: else any word would be a new caller.
    """
    route = route_of(request)
    if (own := _OWN.get(route)) is not None:
        return Asked(own, source, None)
    if (found := _credential(request, route)) is not None:
        rate, secret = found
        name = digest(secret).hex()
        if knows(name) or not _is_open(request):
            return Asked(_FEWER.get(route, rate), name, name)
    return Asked(CHANGES if route.startswith("/v1/delivery-changes") else OPEN, source, None)


def _is_open(request: web.Request) -> bool:
    row = request.app[RIGHTS].get(request.match_info.route)
    return row is None or not {ANYONE, CUSTOMER}.isdisjoint(row.own)


def _credential(request: web.Request, route: str) -> tuple[Rate, str] | None:
    if (header := request.headers.get("Authorization")) is not None:
        secret = header.partition(" ")[2].strip()
        return (ACCOUNT if secret.startswith(API_KEY_PREFIX) else DEVICE), secret
    if route == "/osmand/{token}":
        return DEVICE, request.match_info["token"]
    if route.startswith("/suivi/") and (key := request.headers.get("X-Okapi-Key")) is not None:
        return ACCOUNT, key.strip()
    if (session := request.cookies.get(SESSION_COOKIE)) is not None:
        return PERSON, session
    return None
