"""`/suivi/sign-in` and `/suivi/compte`: customers sign in with the provider, or by a code by mail, and see what is known of them."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access import oidc
from fieldsvc.access.callers import Person
from fieldsvc.access.customers import Proof
from fieldsvc.access.limits import Limits, Rate
from fieldsvc.access.oidc import ProviderDown
from fieldsvc.errors import TooMany
from fieldsvc.logs import get_logger
from fieldsvc.web.auth import ACCESS, CSRF_COOKIE, SESSION_COOKIE, base_url, caller, client_source
from fieldsvc.web.customers import CALLBACK_PATH, SIGN_IN_PATH, customer_of, sign_in_first
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.households import HOUSEHOLDS
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import HEADERS, language_of
from fieldsvc.web.sign_in import (
    CODE_COOKIE,
    FLOW_COOKIE,
    SIGN_IN,
    BadAnswer,
    identity_of,
    keep,
    kept,
    own_path,
    signed_in_now,
    to_provider,
)

log = get_logger()
CODE_PATH, ACCOUNT_PATH = "/suivi/sign-in/code", "/suivi/compte"
MAILS = Rate("sign-in-mails", 20, 3_600.0)  # codes that one source asks for
MAILS_LEFT = web.AppKey("MAILS_LEFT", Limits)
LONGEST_EMAIL = 254


async def show(request: web.Request) -> web.Response:
    """Show how one signs in here."""
    then = own_path(request.query.get("next"))
    if await customer_of(request) is not None:
        return web.Response(status=303, headers={**HEADERS, "Location": then})
    return _ask(request, Form(), then)


async def ask_for_code(request: web.Request) -> web.Response:
    """Send a code to the address that was typed; whether it is known makes no difference."""
    form, signing = await read_form(request), request.app[SIGN_IN]
    then = own_path(form.get("next"))
    email = form.text(
        "email", most=LONGEST_EMAIL, missing="customer.sign_in.no_email", too_long="customer.sign_in.bad_email"
    )
    if email and not _is_email(email):
        form.faults["email"] = "customer.sign_in.bad_email"
    if form.faults or signing.codes is None:
        return _ask(request, form, then, status=422)
    left = request.app[MAILS_LEFT].take(client_source(request))
    if not left.allowed:
        raise TooMany(retry_after_s=int(left.wait_s) + 1)
    ticket = await signing.codes.send(email, lang=language_of(request))
    answer = web.Response(status=303, headers={**HEADERS, "Location": CODE_PATH})
    keep(request, answer, CODE_COOKIE, {"email": email, "ticket": ticket, "next": then})
    return answer


async def show_code(request: web.Request) -> web.Response:
    """Ask for the code of the mail."""
    asked = kept(request, CODE_COOKIE)
    if asked is None:
        return web.Response(status=303, headers={**HEADERS, "Location": SIGN_IN_PATH})
    return render(request, "sign_in_code.html", form=Form(), email=asked["email"])


async def use_code(request: web.Request) -> web.Response:
    """Sign in by the code."""
    form, signing, asked = await read_form(request), request.app[SIGN_IN], kept(request, CODE_COOKIE)
    if asked is None or signing.codes is None:
        return web.Response(status=303, headers={**HEADERS, "Location": SIGN_IN_PATH})
    code = form.text("code", most=20, missing="customer.sign_in.no_code", too_long="customer.sign_in.bad_code")
    if not form.faults and not await signing.codes.check(asked["email"], asked["ticket"], code):
        form.faults["code"] = "customer.sign_in.bad_code"
    if form.faults:
        return render(request, "sign_in_code.html", status=422, form=form, email=asked["email"])
    session = await signing.customers.start(await signing.customers.of_email(asked["email"]), Proof(datetime.now(UTC)))
    return (
        _failed(request, "revoked")
        if session is None
        else await signed_in_now(request, session, then=own_path(asked["next"]))
    )


async def go_to_provider(request: web.Request) -> web.Response:
    """Lead to the provider."""
    provider = request.app[SIGN_IN].provider
    if provider is None:
        return web.Response(status=303, headers={**HEADERS, "Location": SIGN_IN_PATH})
    flow = oidc.new_flow(base_url(request) + CALLBACK_PATH, own_path(request.query.get("next")))
    try:
        return await to_provider(request, provider, flow)
    except ProviderDown:
        return _failed(request, "provider_down", status=503)


async def come_back(request: web.Request) -> web.Response:
    """Take what the provider said, and sign in."""
    signing = request.app[SIGN_IN]
    if signing.provider is None:
        return _failed(request, "no_provider")
    try:
        flow, found = await identity_of(request, signing.provider, CALLBACK_PATH)
    except BadAnswer as bad:
        return _failed(request, bad.fault)
    except ProviderDown:
        return _failed(request, "provider_down", status=503)
    account_id = await signing.customers.of_identity(found.issuer, found.subject, found.email)
    session = await signing.customers.start(account_id, Proof(found.proved_at, found.acr, found.id_token))
    return (
        _failed(request, "revoked")
        if session is None
        else await signed_in_now(request, session, then=own_path(flow.next))
    )


async def show_account(request: web.Request) -> web.Response:
    """Say what is known of the customer who is signed in."""
    person = await customer_of(request)
    return sign_in_first(request) if person is None else render(request, "customer_account.html", person=person)


async def close_account(request: web.Request) -> web.Response:
    """Forget a customer, at their word."""
    await read_form(request)
    person = caller(request, Person)
    await request.app[HOUSEHOLDS].forget(person.account_id)
    await request.app[SIGN_IN].customers.forget(person.account_id)
    request.app[ACCESS].forget()
    answer = render(request, "signed_out.html", end_url=None, closed=True, for_customers=True)
    answer.del_cookie(SESSION_COOKIE, path="/")
    answer.del_cookie(CSRF_COOKIE, path="/")
    return answer


def _ask(request: web.Request, form: Form, then: str, *, status: int = 200) -> web.Response:
    signing = request.app[SIGN_IN]
    by_provider = f"{SIGN_IN_PATH}/provider?{urlencode({'next': then})}" if signing.provider is not None else None
    return render(
        request,
        "customer_sign_in.html",
        status=status,
        form=form,
        next=then,
        kept={"next": then},
        by_provider=by_provider,
        by_code=signing.codes is not None,
    )


def _failed(request: web.Request, fault: str, *, status: int = 401) -> web.Response:
    log.info("sign_in.refused", reason=fault)
    answer = render(request, "sign_in_failed.html", status=status, again=SIGN_IN_PATH, down=fault == "provider_down")
    answer.del_cookie(FLOW_COOKIE, path="/")
    return answer


def _is_email(text: str) -> bool:
    """Tell whether this can be an address: one that a mail can be sent to, and no more than one."""
    name, _, host = text.rpartition("@")
    plain = text.isprintable() and "@" not in name and not any(letter in text for letter in ' ,;:<>()[]"\\')
    return plain and bool(name) and len(name) <= 64 and "." in host.strip(".") and ".." not in text


routes: list[web.RouteDef] = [
    web.get(SIGN_IN_PATH, show, name="page.sign_in_show"),
    web.post(SIGN_IN_PATH, ask_for_code, name="page.sign_in_show"),
    web.get(f"{SIGN_IN_PATH}/provider", go_to_provider, name="page.sign_in_go_to_provider"),
    web.get(CALLBACK_PATH, come_back, name="page.sign_in_come_back"),
    web.get(CODE_PATH, show_code, name="page.sign_in_show_code"),
    web.post(CODE_PATH, use_code, name="page.sign_in_show_code"),
    web.get(ACCOUNT_PATH, show_account, name="page.sign_in_show_account"),
    web.post(f"{ACCOUNT_PATH}/close", close_account, name="page.sign_in_close_account"),
]
