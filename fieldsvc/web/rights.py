"""Who may call which route, and what of it is theirs: one row a route. Without its row a route does not start.

`fieldsvc/web/auth.py` reads the row before any view runs; `fieldsvc/access/rights.py` holds what the words of `Own` mean.
"""

from collections.abc import Mapping

from aiohttp import web

from fieldsvc.access.accounts import ROLES, STAFF
from fieldsvc.web.rights_row import CUSTOMER, DEVICE, Credential, NoSuchRow, Own, Row, row

_OPEN = row(anyone=Own.NOTHING)
_BY_LINK = row(anyone=Own.PROMISE)
_SENDER = row(dict.fromkeys(STAFF, Own.SENT), device=Own.SENT, lost_too=True, account=Own.SENT)
_WALKER = row(device=Own.DAY)
_PHONE_APP = row(device=Own.DAY, lost_too=True)
_TRACKER = row(device=Own.DAY, lost_too=True, credential=Credential.PATH)
_WATCHER = row(supervisor=Own.SITE, operator=Own.SITES)
_JUDGE = row(supervisor=Own.SITE, operator=Own.SITES, address_quality=Own.SITES)
_ANSWERER = row(supervisor=Own.SITE, operator=Own.SITES, adviser=Own.SITES)
_ORDERER = row(account=Own.ORDERS, supervisor=Own.OFFICE, adviser=Own.OFFICE)
_PARTNER, _PARTNER_SAYS = row(partner=Own.ORDERS), row(partner=Own.ORDERS, csrf_in_form=True)
_HOLDER = row(account=Own.ENDPOINTS)
_INTEGRATOR = row(member=Own.KEYS)
_INTEGRATOR_DOES = row(member=Own.KEYS, csrf_in_form=True)
_READER = row(account=Own.EVENTS)
_MEMBER = row(member=Own.ENDPOINTS, csrf_in_form=True)
_ASKER: Mapping[str, Own] = {
    CUSTOMER: Own.REQUEST,
    DEVICE: Own.DOORS,
    "supervisor": Own.SITE,
    "adviser": Own.SITES,
    "counter": Own.SITE,
}
_HOUSEHOLD = row(customer=Own.HOUSEHOLD, csrf_in_form=True)
_CHANGER = row(_ASKER, operator=Own.SITES)
_CLERK = row(counter=Own.SITE, csrf_in_form=True)
_ADVISER = row(adviser=Own.SITES, csrf_in_form=True)

TABLE: Mapping[tuple[str, str], Row] = {
    # this service, and what it says of itself
    ("GET", "/healthz"): _OPEN,
    ("GET", "/readyz"): _OPEN,
    ("GET", "/metrics"): row(machine=Own.NOTHING, account=Own.NOTHING, scope="operator"),
    ("GET", "/v1/types"): _OPEN,
    ("GET", "/openapi.json"): _OPEN,
    ("GET", "/asyncapi.json"): _OPEN,
    ("GET", "/docs"): _OPEN,
    ("GET", "/discretion"): _OPEN,
    ("GET", "/discretion/carriers"): _OPEN,
    ("GET", "/v1/discretion"): _OPEN,
    ("GET", "/v1/proof-key"): _OPEN,
    ("GET", "/v1/relay-key"): _OPEN,
    ("GET", "/"): _OPEN,
    ("GET", "/favicon.ico"): _OPEN,
    ("GET", "/static/{name}"): _OPEN,
    # people come and go
    ("GET", "/sign-in/{token}"): _BY_LINK,
    ("POST", "/sign-in/{token}"): _BY_LINK,
    ("GET", "/signed-in"): row(anyone=Own.SELF),
    ("POST", "/sign-out"): row(dict.fromkeys(ROLES, Own.SELF), csrf_in_form=True),
    ("GET", "/suivi/sign-in"): _OPEN,
    ("POST", "/suivi/sign-in"): _OPEN,
    ("GET", "/suivi/sign-in/provider"): _OPEN,
    ("GET", "/suivi/sign-in/callback"): _BY_LINK,
    ("GET", "/suivi/sign-in/code"): _BY_LINK,
    ("POST", "/suivi/sign-in/code"): _BY_LINK,
    ("GET", "/suivi/compte"): row(anyone=Own.SELF),
    ("POST", "/suivi/compte/close"): row(customer=Own.SELF, csrf_in_form=True),
    ("GET", "/staff/sign-in"): _OPEN,
    ("GET", "/staff/sign-in/callback"): _BY_LINK,
    # phones
    ("GET", "/enrol"): _OPEN,
    ("GET", "/handheld"): _OPEN,
    ("GET", "/handheld/sw.js"): _OPEN,
    ("GET", "/handheld/shell.json"): _OPEN,
    ("GET", "/handheld/manifest.webmanifest"): _OPEN,
    ("POST", "/v1/devices/enrol"): _BY_LINK,
    ("POST", "/v1/devices/codes"): row(supervisor=Own.SITE),
    ("GET", "/supervision/phones"): row(supervisor=Own.SITE),
    ("POST", "/v1/events"): _SENDER,
    ("POST", "/v1/relays"): row(device=Own.BROUGHT, lost_too=True),
    ("POST", "/v1/positions"): _PHONE_APP,
    ("POST", "/owntracks"): _PHONE_APP,
    ("GET", "/osmand/{token}"): _TRACKER,
    ("POST", "/osmand/{token}"): _TRACKER,
    ("PUT", "/v1/media/{sha256}"): row(device=Own.KNOWN, lost_too=True),
    ("HEAD", "/v1/media/{sha256}"): row(device=Own.KNOWN),
    ("GET", "/v1/runs/current"): _WALKER,
    ("GET", "/v1/runs/{id}/sheet"): _WALKER,
    ("GET", "/v1/services"): row(device=Own.SITE),
    ("GET", "/v1/me/receipts"): row(device=Own.SELF),
    ("GET", "/v1/me/access"): row(device=Own.CARRIER),
    ("GET", "/v1/me/export"): row(device=Own.CARRIER),
    ("GET", "/v1/audit"): row(auditor=Own.SITES),
    ("GET", "/v1/me/alarms"): row(device=Own.CARRIER),
    # screens
    ("GET", "/supervision"): _WATCHER,
    ("GET", "/supervision/morning"): _WATCHER,
    ("GET", "/supervision/alerts"): _WATCHER,
    ("GET", "/supervision/replay"): _WATCHER,
    ("GET", "/supervision/addresses"): _JUDGE,
    ("GET", "/supervision/reports"): row(supervisor=Own.SITE, operator=Own.SITES, auditor=Own.SITES),
    ("GET", "/supervision/health"): _WATCHER,
    ("GET", "/supervision/national"): row(operator=Own.SITES),
    ("GET", "/basemap.geojson"): row(dict.fromkeys(STAFF, Own.NOTHING)),
    ("GET", "/v1/alerts"): _WATCHER,
    ("POST", "/v1/alerts/{id}/ack"): _WATCHER,
    ("POST", "/v1/alerts/{id}/assign"): _WATCHER,
    ("GET", "/v1/colleagues"): _WATCHER,
    ("GET", "/v1/desks"): _WATCHER,
    ("PUT", "/v1/desks/{name}"): _WATCHER,
    ("DELETE", "/v1/desks/{name}"): _WATCHER,
    ("GET", "/v1/live"): _WATCHER,
    ("GET", "/v1/runs"): _WATCHER,
    ("GET", "/v1/rounds"): _JUDGE,
    ("GET", "/v1/rounds/{id}"): _JUDGE,
    ("GET", "/v1/runs/{id}/replay"): _WATCHER,
    ("GET", "/v1/runs/{id}/stops"): _WATCHER,
    ("GET", "/v1/runs/not-back"): _WATCHER,
    ("GET", "/v1/overview"): _WATCHER,
    ("GET", "/v1/supervision/health"): _WATCHER,
    ("GET", "/v1/runs/{id}/timeline"): _WATCHER,
    ("GET", "/v1/runs/{id}/requests"): _WATCHER,
    ("POST", "/v1/runs/{id}/reassign"): _WATCHER,
    ("POST", "/v1/runs/{id}/split"): _WATCHER,
    ("POST", "/v1/runs/{id}/handover"): _WATCHER,
    ("GET", "/v1/roster"): _WATCHER,
    ("PUT", "/v1/roster"): _WATCHER,
    ("POST", "/v1/cover/proposals"): _WATCHER,
    ("POST", "/v1/cover/proposals/{id}/confirm"): _WATCHER,
    ("GET", "/v1/delivery-points"): _WATCHER,
    ("GET", "/v1/hazards"): _WATCHER,
    ("GET", "/v1/access-cases"): _WATCHER,
    ("GET", "/v1/address-changes"): _JUDGE,
    ("POST", "/v1/address-changes/{id}/confirm"): _JUDGE,
    ("POST", "/v1/address-changes/{id}/reject"): _JUDGE,
    ("GET", "/v1/cases"): _ANSWERER,
    ("GET", "/v1/cases/{id}"): _ANSWERER,
    ("POST", "/v1/cases/{id}/close"): _ANSWERER,
    ("GET", "/v1/ideas"): row(device=Own.EVERYWHERE, supervisor=Own.EVERYWHERE, operator=Own.EVERYWHERE),
    ("GET", "/v1/kpis"): row(
        supervisor=Own.SITE, operator=Own.SITES, auditor=Own.SITES, member=Own.FIGURES
    ),
    # work, proofs and requests
    ("GET", "/v1/tasks"): _ORDERER,
    ("POST", "/v1/tasks"): _ORDERER,
    ("GET", "/v1/tasks/{id}"): _ORDERER,
    ("PATCH", "/v1/tasks/{id}"): _ORDERER,
    ("DELETE", "/v1/tasks/{id}"): _ORDERER,
    ("GET", "/v1/media/{sha256}"): row(
        device=Own.PICTURES, account=Own.ORDERS, supervisor=Own.SITE, operator=Own.SITES
    ),
    ("GET", "/v1/items/{item_id}/proof"): row(
        account=Own.ORDERS, supervisor=Own.SITE, adviser=Own.SITES, operator=Own.SITES
    ),
    ("GET", "/suivi/{token}/modifier"): _BY_LINK,
    ("POST", "/suivi/{token}/modifier"): _BY_LINK,
    ("GET", "/suivi/reexpedition"): _OPEN,
    ("POST", "/suivi/reexpedition"): row(anyone=Own.SELF, csrf_in_form=True),
    ("GET", "/suivi/demandes"): row(anyone=Own.SELF),
    ("GET", "/suivi/demandes/{ref}/{token}"): _BY_LINK,
    ("POST", "/suivi/demandes/{ref}/{token}"): _BY_LINK,
    ("GET", "/suivi/demandes/{ref}/{token}/modifier"): _BY_LINK,
    ("POST", "/suivi/demandes/{ref}/{token}/modifier"): _BY_LINK,
    ("GET", "/suivi/stop/{ref}/{token}"): _BY_LINK,
    ("POST", "/suivi/stop/{ref}/{token}"): _BY_LINK,
    ("GET", "/suivi/dossier/{ref}"): row(supervisor=Own.SITE, adviser=Own.SITES, operator=Own.SITES),
    ("POST", "/v1/delivery-changes"): row(_ASKER),
    ("GET", "/v1/delivery-changes/{id}"): _CHANGER,
    ("POST", "/v1/delivery-changes/{id}/confirm"): _CHANGER,
    ("POST", "/v1/delivery-changes/{id}/cancel"): _CHANGER,
    ("POST", "/v1/delivery-changes/{id}/stop"): _CHANGER,
    # people who follow an item
    ("GET", "/suivi"): _OPEN,
    ("POST", "/suivi"): _BY_LINK,
    ("GET", "/suivi/avis"): _OPEN,
    ("POST", "/suivi/avis"): _BY_LINK,
    ("GET", "/suivi/aide"): _OPEN,
    ("GET", "/suivi/accessibilite"): _OPEN,
    ("GET", "/suivi/confidentialite"): _OPEN,
    ("GET", "/suivi/{token}"): _BY_LINK,
    ("GET", "/suivi/{token}/preuve"): _BY_LINK,
    ("POST", "/suivi/{token}/preuve"): _BY_LINK,
    ("GET", "/suivi/{token}/preuve.pdf"): _BY_LINK,
    # partners
    ("GET", "/partner"): _PARTNER,
    ("POST", "/partner/find"): _PARTNER_SAYS,
    ("GET", "/partner/new/{service}"): _PARTNER,
    ("POST", "/partner/new/{service}"): _PARTNER_SAYS,
    ("GET", "/partner/orders/{id}"): _PARTNER,
    ("GET", "/partner/orders/{id}/label"): _PARTNER,
    ("GET", "/partner/orders/{id}/proof"): _PARTNER,
    ("GET", "/partner/orders/{id}/change"): _PARTNER,
    ("POST", "/partner/orders/{id}/change"): _PARTNER_SAYS,
    ("POST", "/partner/orders/{id}/cancel"): _PARTNER_SAYS,
    ("POST", "/partner/orders/{id}/say"): _PARTNER_SAYS,
    # the counter and the adviser
    ("GET", "/counter"): _CLERK,
    ("POST", "/counter"): _CLERK,
    ("GET", "/counter/items/{item_id}"): _CLERK,
    ("POST", "/counter/items/{item_id}"): _CLERK,
    ("GET", "/counter/returns"): _CLERK,
    ("GET", "/counter/waits"): _CLERK,
    ("GET", "/suivi/{token}/ici"): _BY_LINK,
    ("POST", "/suivi/{token}/ici"): _BY_LINK,
    ("GET", "/adviser"): _ADVISER,
    ("POST", "/adviser"): _ADVISER,
    ("GET", "/adviser/cases"): _ADVISER,
    ("GET", "/adviser/cases/{id}"): _ADVISER,
    ("POST", "/adviser/cases/{id}"): _ADVISER,
    ("GET", "/adviser/items/{item_id}"): _ADVISER,
    ("POST", "/adviser/items/{item_id}/cases"): _ADVISER,
    ("GET", "/adviser/items/{item_id}/change"): _ADVISER,
    ("POST", "/adviser/items/{item_id}/change"): _ADVISER,
    ("GET", "/adviser/changes/{id}"): _ADVISER,
    ("POST", "/adviser/changes/{id}"): _ADVISER,
    # what a customer says of an item, and their household
    ("GET", "/suivi/{token}/contester"): _BY_LINK,
    ("POST", "/suivi/{token}/contester"): _BY_LINK,
    ("GET", "/suivi/{token}/satisfaction"): _BY_LINK,
    ("POST", "/suivi/{token}/satisfaction"): _BY_LINK,
    ("GET", "/suivi/visites"): row(anyone=Own.VISITS),
    ("GET", "/suivi/foyer"): row(anyone=Own.HOUSEHOLD),
    ("GET", "/suivi/foyer/adresse"): row(anyone=Own.HOUSEHOLD),
    ("POST", "/suivi/foyer/adresse"): _HOUSEHOLD,
    ("POST", "/suivi/foyer/{id}/code"): _HOUSEHOLD,
    ("GET", "/suivi/foyer/{id}/consignes"): row(anyone=Own.HOUSEHOLD),
    ("POST", "/suivi/foyer/{id}/consignes"): _HOUSEHOLD,
    ("GET", "/suivi/foyer/{id}/boite"): row(anyone=Own.HOUSEHOLD),
    ("POST", "/suivi/foyer/{id}/boite"): _HOUSEHOLD,
    ("GET", "/suivi/foyer/{id}/quitter"): row(anyone=Own.HOUSEHOLD),
    ("POST", "/suivi/foyer/{id}/quitter"): _HOUSEHOLD,
    # subscribers
    ("GET", "/suivi/v2/idships/{ids}"): row(account=Own.EVENTS, credential=Credential.OKAPI),
    ("POST", "/v1/endpoints"): _HOLDER,
    ("GET", "/v1/endpoints"): _HOLDER,
    ("GET", "/v1/endpoints/{id}"): _HOLDER,
    ("PATCH", "/v1/endpoints/{id}"): _HOLDER,
    ("DELETE", "/v1/endpoints/{id}"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/secret/rotate"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/pause"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/resume"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/test"): _HOLDER,
    ("GET", "/v1/endpoints/{id}/attempts"): _HOLDER,
    ("GET", "/v1/endpoints/{id}/parked"): _HOLDER,
    ("GET", "/v1/endpoints/{id}/dead-letters"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/replay"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/recover"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/resend"): _HOLDER,
    ("GET", "/v1/endpoints/{id}/replays"): _HOLDER,
    ("GET", "/v1/endpoints/{id}/replays/{rid}"): _HOLDER,
    ("DELETE", "/v1/endpoints/{id}/replays/{rid}"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/replays/{rid}/pause"): _HOLDER,
    ("POST", "/v1/endpoints/{id}/replays/{rid}/resume"): _HOLDER,
    ("GET", "/integrations"): _MEMBER,
    ("GET", "/integrations/endpoints/new"): _MEMBER,
    ("POST", "/integrations/endpoints/new"): _MEMBER,
    ("GET", "/integrations/endpoints/{id}"): _MEMBER,
    ("POST", "/integrations/endpoints/{id}"): _MEMBER,
    ("GET", "/integrations/endpoints/{id}/edit"): _MEMBER,
    ("POST", "/integrations/endpoints/{id}/edit"): _MEMBER,
    ("GET", "/integrations/endpoints/{id}/secret"): _MEMBER,
    ("POST", "/integrations/endpoints/{id}/secret"): _MEMBER,
    ("POST", "/integrations/endpoints/{id}/test"): _MEMBER,
    ("POST", "/integrations/endpoints/{id}/resend"): _MEMBER,
    ("GET", "/integrations/endpoints/{id}/events/{event_id}"): _MEMBER,
    ("GET", "/integrations/keys"): _INTEGRATOR,
    ("GET", "/integrations/catalogue"): _INTEGRATOR,
    ("GET", "/integrations/catalogue/{name}"): _INTEGRATOR,
    ("GET", "/integrations/feed"): _INTEGRATOR,
    ("GET", "/integrations/audit"): _INTEGRATOR,
    ("GET", "/integrations/sandbox"): _INTEGRATOR,
    ("GET", "/integrations/certify"): _INTEGRATOR,
    ("GET", "/integrations/certify/{id}"): _INTEGRATOR,
    ("POST", "/integrations/keys"): _INTEGRATOR_DOES,
    ("POST", "/integrations/keys/mail"): _INTEGRATOR_DOES,
    ("POST", "/integrations/keys/{id}/revoke"): _INTEGRATOR_DOES,
    ("POST", "/integrations/sandbox"): _INTEGRATOR_DOES,
    ("POST", "/integrations/sandbox/orders"): _INTEGRATOR_DOES,
    ("POST", "/integrations/certify"): _INTEGRATOR_DOES,
    ("GET", "/mail/{token}"): _BY_LINK,
    ("POST", "/mail/{token}"): _BY_LINK,
    ("GET", "/v1/feed"): _READER,
    ("GET", "/v1/events/{id}"): _READER,
}  # fmt: skip

Bound = dict[web.AbstractRoute, Row]
RIGHTS = web.AppKey("RIGHTS", Bound)


def bind(app: web.Application, *, complete: bool) -> None:
    """Give each route of an app its row. NoSuchRow for a route without one; if `complete`, for a row without a route.

    HEAD goes with GET, unless it has a row of its own.
    """
    found: Bound = {}
    used: set[tuple[str, str]] = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        key = (route.method, path)
        if key not in TABLE and route.method == "HEAD":
            key = ("GET", path)
        if key not in TABLE:
            raise NoSuchRow(f"{route.method} {path} has no row in the table of rights.")
        found[route] = TABLE[key]
        used.add(key)
    if complete and (left := TABLE.keys() - used):
        raise NoSuchRow(f"No route answers to {', '.join(' '.join(key) for key in sorted(left))}.")
    app[RIGHTS] = found
