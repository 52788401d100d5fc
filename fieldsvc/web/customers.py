"""Customers who are signed in: most pages of `/suivi` need no account, some do."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access import oidc
from fieldsvc.access.callers import Person
from fieldsvc.errors import FieldsvcError
from fieldsvc.web.auth import base_url, signed_in
from fieldsvc.web.sign_in import SIGN_IN, to_provider

SIGN_IN_PATH, CALLBACK_PATH = "/suivi/sign-in", "/suivi/sign-in/callback"
SUBSTANTIAL, FRESH_S = "substantial", 300


async def customer_of(request: web.Request) -> Person | None:
    """Return the customer of the session; None if nobody is signed in, or somebody of another role."""
    try:
        person = await signed_in(request)
    except FieldsvcError:
        return None
    return person if person.role == "customer" else None


def sign_in_first(request: web.Request) -> web.Response:
    """Lead to the sign-in, and from there back to this page."""
    query = urlencode({"next": request.rel_url.raw_path})
    return web.Response(status=303, headers={"Location": f"{SIGN_IN_PATH}?{query}", "Cache-Control": "no-store"})


def is_substantial(request: web.Request, person: Person, *, max_age_s: int = FRESH_S) -> bool:
    """Tell whether the provider vouched for this customer at a substantial level, within the last five minutes."""
    provider = request.app[SIGN_IN].provider
    levels = provider.client.acr if provider is not None else ()
    if person.acr not in levels or person.proved_at is None:
        return False
    return (datetime.now(UTC) - person.proved_at).total_seconds() <= max_age_s


async def needs_acr(request: web.Request, level: str = SUBSTANTIAL, *, max_age_s: int = FRESH_S) -> web.Response | None:
    """Lead to the provider for a stronger and fresher proof, and from there back to this page; None where there is no need.

    None also where nothing stronger is offered: without a provider, or without levels (`FIELDSVC_OIDC_ACR`). Who decides on it
    asks `is_substantial`. To the sign-in where nobody is signed in. ProviderDown.
    """
    if level != SUBSTANTIAL:
        raise ValueError(f"no such level: {level}")
    person = await customer_of(request)
    if person is None:
        return sign_in_first(request)
    provider = request.app[SIGN_IN].provider
    if provider is None or not provider.client.acr or is_substantial(request, person, max_age_s=max_age_s):
        return None
    back = request.rel_url.raw_path_qs
    flow = oidc.new_flow(base_url(request) + CALLBACK_PATH, back, acr=provider.client.acr, max_age_s=max_age_s)
    return await to_provider(request, provider, flow)
