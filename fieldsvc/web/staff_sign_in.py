"""`/staff/sign-in`: the operator's people sign in with the operator's own provider, which says who has which role."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fieldsvc.access import accounts, oidc
from fieldsvc.access.customers import Proof, start_session
from fieldsvc.access.oidc import Identity, ProviderDown
from fieldsvc.access.staff_roles import role_of
from fieldsvc.errors import UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.store import account as store
from fieldsvc.web.auth import ACCESS, base_url
from fieldsvc.web.pages import render
from fieldsvc.web.sign_in import FLOW_COOKIE, SIGN_IN, BadAnswer, identity_of, own_path, signed_in_now, to_provider

log = get_logger()
STAFF_PATH, STAFF_CALLBACK, STAFF_HOME = "/staff/sign-in", "/staff/sign-in/callback", "/signed-in"


async def go(request: web.Request) -> web.Response:
    """Lead to the operator's provider; where there is none, say how staff sign in."""
    provider = request.app[SIGN_IN].staff
    if provider is None:
        return render(request, "staff_sign_in.html")
    flow = oidc.new_flow(base_url(request) + STAFF_CALLBACK, own_path(request.query.get("next"), STAFF_HOME))
    try:
        return await to_provider(request, provider, flow)
    except ProviderDown:
        return _failed(request, "provider_down", status=503)


async def come_back(request: web.Request) -> web.Response:
    """Take what the provider said, and sign in by the role that it gives."""
    provider = request.app[SIGN_IN].staff
    if provider is None:
        return _failed(request, "no_provider")
    try:
        flow, found = await identity_of(request, provider, STAFF_CALLBACK)
        session = await _session(request, found)
    except BadAnswer as bad:
        return _failed(request, bad.fault)
    except ProviderDown:
        return _failed(request, "provider_down", status=503)
    return await signed_in_now(request, session, then=own_path(flow.next, STAFF_HOME))


async def _session(request: web.Request, found: Identity) -> str:
    """Start a session by the first role that the claim gives. BadAnswer: none, no address, or it was taken back here."""
    signing, access = request.app[SIGN_IN], request.app[ACCESS]
    given, email = role_of(found.claims, access.settings.staff_oidc_claim, signing.roles), _email(found.claims)
    if given is None or email is None:
        raise BadAnswer("no_role" if given is None else "no_email")
    if await store.was_revoked(access.database, given.role, email):
        raise BadAnswer("revoked")
    try:
        account_id = await accounts.find_or_create_person(access.database, given.role, email=email, site=given.site)
    except UserMistake:
        raise BadAnswer("no_role") from None
    proof = Proof(found.proved_at, found.acr, found.id_token)
    session = await start_session(access.database, signing.vault, account_id, proof=proof, role=given.role)
    if session is None:
        raise BadAnswer("revoked")
    return session


def _email(claims: Mapping[str, Any]) -> str | None:
    """Return the address that the operator's own provider gives, unless it says that nobody verified it."""
    email = claims.get("email")
    return (
        email
        if isinstance(email, str) and len(email) <= 254 and claims.get("email_verified", True) is not False
        else None
    )


def _failed(request: web.Request, fault: str, *, status: int = 401) -> web.Response:
    log.info("sign_in.refused", reason=fault)
    answer = render(request, "sign_in_failed.html", status=status, again=STAFF_PATH, down=fault == "provider_down")
    answer.del_cookie(FLOW_COOKIE, path="/")
    return answer


routes: list[web.RouteDef] = [
    web.get(STAFF_PATH, go, name="page.staff_sign_in_go"),
    web.get(STAFF_CALLBACK, come_back, name="page.staff_sign_in_come_back"),
]
