"""`/integrations/keys`: an account's API keys, where its webhooks come from, and who of it is written to when they suffer."""

from datetime import UTC, datetime

from aiohttp import web

from fieldsvc.access import keys, tokens
from fieldsvc.access.callers import Person
from fieldsvc.access.keys import TooManyKeys
from fieldsvc.notices.choices import Choices
from fieldsvc.store import account as accounts
from fieldsvc.store import notice as notices
from fieldsvc.web.account_catalogue import titles_of
from fieldsvc.web.auth import ACCESS, base_url
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.portal import PORTAL, led_to, member
from fieldsvc.web.portal_once import SHOWN_FOR, acted_once, is_known, mark_of, token_of

CHOICES = web.AppKey("CHOICES", Choices)
ALERTS = "endpoints"
PATH = "/integrations/keys"
_DONE = frozenset({"revoked", "mail"})


async def show_keys(request: web.Request) -> web.Response:
    """Show the keys of an account: names, scopes, and the day on which each was last used."""
    person, _ = member(request)
    return await _page(request, person, Form())


async def create_key(request: web.Request) -> web.Response:
    """Make a key and show it, this once."""
    person, account = member(request)
    form = await read_form(request)
    name = form.text("name", most=60, missing="keys.fault.name")
    known = await accounts.by_id(request.app[ACCESS].database, account)
    asked = set(form.several.get("scope", ()))
    if known is None or not known.scopes >= asked:
        form.faults["scope"] = "keys.fault.scope"
    if form.faults:
        return await _page(request, person, form, status=422)
    seed = request.app[PORTAL].vault.derived_key("api keys of forms")
    secret = tokens.api_key_of(seed, account.encode() + mark_of(form)) if is_known(form) else tokens.new_api_key()

    async def make() -> dict[str, str]:
        return {"id": await keys.create_key(request.app[ACCESS].database, person, name, asked, secret=secret)}

    try:
        made = await acted_once(request, account, form, make)
    except TooManyKeys:
        form.faults["name"] = "keys.fault.too_many"
        return await _page(request, person, form, status=409)
    return await _made_page(request, person, made["id"], secret)


async def _made_page(request: web.Request, person: Person, key_id: str, secret: str) -> web.Response:
    """Show a key just made; later, or once it is revoked, lead to the list of keys."""
    found = await keys.keys_of(request.app[ACCESS].database, person.account or "")
    fresh = datetime.now(UTC) - SHOWN_FOR
    if not any(each.id == key_id and not each.revoked_at and each.created_at > fresh for each in found):
        return led_to(PATH)
    return await _page(request, person, Form(), status=201, secret=secret, made=key_id)


async def revoke_key(request: web.Request) -> web.Response:
    """Refuse a key from now on."""
    person, _ = member(request)
    await read_form(request)
    await keys.revoke_key(request.app[ACCESS].database, person, request.match_info["id"])
    request.app[ACCESS].forget()
    return led_to(f"{PATH}?done=revoked")


async def choose_mail(request: web.Request) -> web.Response:
    """Write to this person about the endpoints of their account, or no more."""
    person, _ = member(request)
    form = await read_form(request)
    if person.email is not None:
        choices = request.app[CHOICES]
        choice = choices.of(person.email, ALERTS)
        await (choices.want(choice) if form.get("mail") == "yes" else choices.decline(choice))
    return led_to(f"{PATH}?done=mail")


async def _page(
    request: web.Request, person: Person, form: Form, *, status: int = 200, secret: str = "", made: str = ""
) -> web.Response:
    database, account = request.app[ACCESS].database, person.account or ""
    known = await accounts.by_id(database, account)
    choices, written_to = request.app[CHOICES], []
    for _, address in await notices.members(database, account):
        written_to.append((address, ALERTS not in await choices.declined_by(address)))
    done = request.query.get("done", "")
    return render(
        request,
        "account_keys.html",
        status=status,
        person=person,
        form=form,
        keys=await keys.keys_of(database, account),
        scopes=_named(request, known.scopes if known else frozenset()),
        secret=secret,
        made=made,
        done=done if done in _DONE else "",
        written_to=written_to,
        writes_to_me=any(address == person.email and wanted for address, wanted in written_to),
        egress=request.app[ACCESS].settings.egress,
        once=token_of(form),
        address=base_url(request),
    )


def _named(request: web.Request, scopes: frozenset[str]) -> list[tuple[str, str, str]]:
    """Name scopes: (scope, its kind, the title of the service that it orders)."""
    titles = titles_of(request)
    found = []
    for scope in sorted(scopes):
        kind, _, service = scope.partition(":")
        found.append((scope, kind, titles.get(service, service)))
    return found


routes: list[web.RouteDef] = [
    web.get(PATH, show_keys, name="page.account_keys_show_keys"),
    web.post(PATH, create_key, name="page.account_keys_show_keys"),
    web.post(f"{PATH}/mail", choose_mail, name="page.account_keys_choose_mail"),
    web.post(f"{PATH}/{{id:first|key_[0-9a-f]{{16}}}}/revoke", revoke_key, name="page.account_keys_revoke_key"),
]
