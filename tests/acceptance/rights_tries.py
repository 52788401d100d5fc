"""What the matrix of rights asks of each route: whose things, with which body, and what comes back to whoever may."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fieldsvc.web.pages.files import every_file
from tests.acceptance.conftest import SITE
from tests.acceptance.rights_stage import ELSEWHERE, NOBODYS, POSTCODE, Stage, Thing, Try, near_and_far, pair
from tests.acceptance.service import field_event
from tests.media.pictures import signature

Tries = Mapping[tuple[str, str], Sequence[Try]]


def every_try(stage: Stage) -> Tries:
    """Say what to ask of every route."""
    return {
        **_open(stage),
        **_phones(stage),
        **_changes(stage),
        **_households(),
        **_screens(stage),
        **_runs(stage),
        **_orders(stage),
        **_subscribers(stage),
        **_desks(stage),
    }


def _lists(*, good: int = 200, query: str = "", **more: Any) -> list[Try]:
    """Ask for a list of all that the caller sees, then of each site."""
    sites = [Try(good=good, query=f"?site={site}{query}", about=Thing(site), **more) for site in (SITE, ELSEWHERE)]
    return [Try(good=good, query=f"?{query.lstrip('&')}", **more), *sites]


def _open(_stage: Stage) -> Tries:
    nothing = [Try()]
    pages = (
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/types",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
        "/v1/proof-key",
        "/v1/relay-key",
        "/",
    )
    more = (
        "/favicon.ico",
        "/enrol",
        "/handheld",
        "/handheld/sw.js",
        "/handheld/shell.json",
        "/handheld/manifest.webmanifest",
        "/discretion",
        "/discretion/carriers",
        "/v1/discretion",
        "/supervision",
        "/supervision/national",
        "/supervision/phones",
        "/supervision/morning",
        "/supervision/alerts",
        "/supervision/replay",
        "/supervision/addresses",
        "/supervision/reports",
        "/supervision/health",
        "/suivi",
        "/suivi/aide",
        "/suivi/avis",
        "/suivi/accessibilite",
        "/suivi/confidentialite",
    )
    return {
        **{("GET", path): nothing for path in (*pages, *more)},
        ("GET", "/basemap.geojson"): [Try(good=404)],  # the operator of this service set none
        ("GET", "/static/{name}"): [Try({"name": next(iter(every_file()))}), Try({"name": "nothing.css"}, good=404)],
        ("GET", "/sign-in/{token}"): [Try({"token": "nonsense"}, good=410)],
        ("POST", "/sign-in/{token}"): [Try({"token": "nonsense"}, good=410)],
        ("GET", "/suivi/sign-in"): nothing,
        ("POST", "/suivi/sign-in"): [Try(good=415)],
        ("GET", "/suivi/sign-in/provider"): [Try(good=303)],
        ("GET", "/suivi/sign-in/callback"): [Try(good=401)],
        ("GET", "/suivi/sign-in/code"): [Try(good=303)],
        ("POST", "/suivi/sign-in/code"): [Try(good=415)],
        ("GET", "/suivi/compte"): [],  # what it says is who asks: tests/acceptance/test_sign_in.py
        ("POST", "/suivi/compte/close"): [Try(good=415)],
        ("GET", "/staff/sign-in"): nothing,
        ("GET", "/staff/sign-in/callback"): [Try(good=401)],
        ("POST", "/suivi/avis"): [Try(good=415)],
        ("POST", "/suivi"): [Try(good=415)],  # a page's form: tests/web/test_following.py
        ("GET", "/suivi/{token}"): [Try({"token": "nonsense"}, good=410)],
        ("GET", "/suivi/{token}/preuve"): [Try({"token": "nonsense"}, good=410)],
        ("POST", "/suivi/{token}/preuve"): [Try({"token": "nonsense"}, good=410)],
        ("GET", "/suivi/{token}/preuve.pdf"): [Try({"token": "nonsense"}, good=410)],
        ("GET", "/signed-in"): [],  # what it says is who asks: below
        ("POST", "/sign-out"): [Try(good=403)],  # the token is a field of its form
        ("POST", "/v1/devices/enrol"): [Try(body={"code": "AAAA-BBBB-CCCC-DDDD"}, good=401)],
    }


def _changes(stage: Stage) -> Tries:
    """Ask for the pages of delivery changes by links that are none, and for the file of a request."""
    none, paths = {"ref": "DC-0", "token": "nonsense"}, ("demandes", "stop")
    return {
        **{(method, "/suivi/{token}/modifier"): [Try({"token": "nonsense"}, good=410)] for method in ("GET", "POST")},
        ("GET", "/suivi/reexpedition"): [Try()],
        ("POST", "/suivi/reexpedition"): [Try(good=303)],
        ("GET", "/suivi/demandes"): [Try()],
        **{("GET", f"/suivi/{each}/{{ref}}/{{token}}"): [Try(none, good=404)] for each in paths},
        **{("POST", f"/suivi/{each}/{{ref}}/{{token}}"): [Try(none, good=415)] for each in paths},
        **{(method, "/suivi/demandes/{ref}/{token}/modifier"): [Try(none, good=404)] for method in ("GET", "POST")},
        ("GET", "/suivi/dossier/{ref}"): near_and_far(stage, "change", key="ref"),
    }


def _households() -> Tries:
    """Ask for what customers say of an item by a link that is none, and for households without being a customer."""
    gone, first, no_form = (
        Try({"token": "nonsense"}, good=410),
        Try({"id": "HH-1"}, good=303),
        Try({"id": "HH-1"}, good=415),
    )
    voices, foyer = ("contester", "satisfaction"), ("consignes", "boite", "quitter")
    return {
        **{(method, f"/suivi/{{token}}/{each}"): [gone] for each in voices for method in ("GET", "POST")},
        **{("GET", f"/suivi/foyer{each}"): [Try(good=303)] for each in ("", "/adresse")},
        ("GET", "/suivi/visites"): [Try(good=303)],
        **{("GET", f"/suivi/foyer/{{id}}/{each}"): [first] for each in foyer},
        **{("POST", f"/suivi/foyer/{{id}}/{each}"): [no_form] for each in (*foyer, "code")},
        ("POST", "/suivi/foyer/adresse"): [Try(good=415)],
    }


def _phones(stage: Stage) -> Tries:
    unknown = field_event("nothing.known", {})
    own = near_and_far(stage, "picture", key="sha256")
    sheets = near_and_far(stage, "run")
    return {
        ("POST", "/v1/events"): [Try(body=unknown)],
        ("POST", "/v1/relays"): [Try(body=b"sealed", good=400)],  # of which phone: tests/web/test_relays.py
        ("POST", "/v1/positions"): [Try(body={"fixes": []}, good=200)],
        ("POST", "/owntracks"): [Try(body={"_type": "lwt"})],
        ("GET", "/osmand/{token}"): [Try()],
        ("POST", "/osmand/{token}"): [Try()],
        ("PUT", "/v1/media/{sha256}"): [Try({"sha256": stage.names["near picture"]}, signature("near"))],
        ("HEAD", "/v1/media/{sha256}"): own,
        ("GET", "/v1/media/{sha256}"): own,
        ("GET", "/v1/runs/current"): [Try()],
        ("GET", "/v1/runs/{id}/sheet"): sheets,
        ("GET", "/v1/services"): [Try()],
        ("GET", "/v1/me/receipts"): [Try()],
        ("GET", "/v1/me/alarms"): [Try()],
        ("GET", "/v1/me/access"): [Try()],
        ("GET", "/v1/me/export"): [Try()],
        ("POST", "/v1/devices/codes"): [
            Try(body={"carrier": "x", "round": "T07"}, good=201, about=Thing(SITE)),
            Try(body={"carrier": "x", "round": "T98"}, good=201, about=Thing(ELSEWHERE)),
        ],
        ("GET", "/v1/ideas"): _lists(),
    }


def _screens(stage: Stage) -> Tries:
    return {
        ("GET", "/v1/alerts"): _lists(),
        ("POST", "/v1/alerts/{id}/ack"): pair(stage, "near-alarm", "far-alarm", body={}),
        ("POST", "/v1/alerts/{id}/assign"): pair(stage, "near-alarm", "far-alarm", body={"to": "desk:duty"}),
        ("GET", "/v1/colleagues"): _lists(),
        ("GET", "/v1/desks"): _lists(),
        ("PUT", "/v1/desks/{name}"): _lists(path={"name": "matrix"}, body={"hours": "mon-fri 08:00-18:00"}),
        ("DELETE", "/v1/desks/{name}"): _lists(path={"name": "no-such-desk"}, good=404),
        ("GET", "/v1/live"): _lists(method="HEAD"),  # its stream has no end
        ("GET", "/v1/hazards"): _lists(query="&state=all"),
        ("GET", "/v1/access-cases"): _lists(query="&state=all"),
        ("GET", "/v1/delivery-points"): _lists(),
        ("GET", "/v1/kpis"): _lists(),
        ("GET", "/v1/audit"): _lists(),
        ("GET", "/v1/cases"): _lists(),
        ("GET", "/v1/cases/{id}"): near_and_far(stage, "case"),
        ("POST", "/v1/cases/{id}/close"): near_and_far(
            stage, "case", body={"outcome": "settled", "reason": "x"}, good=409
        ),
        ("GET", "/v1/address-changes"): _lists(),
        ("POST", "/v1/address-changes/{id}/confirm"): near_and_far(stage, "report", body={"reason": "x"}),
        ("POST", "/v1/address-changes/{id}/reject"): near_and_far(stage, "report", body={"reason": "x"}),
    }


def _runs(stage: Stage) -> Tries:
    rounds = pair(stage, "T07", "T98")
    moved = [
        replace(each, body={"to_run": each.path["id"], "task_ids": [NOBODYS]}, good=422)
        for each in near_and_far(stage, "run")
    ]
    carriers = ("Near Carrier", "Far Carrier")
    runs = zip(near_and_far(stage, "run"), carriers, strict=True)
    given = [replace(each, body={"to_carrier": carrier}) for each, carrier in runs]
    counts = {"counts": {"items": 1, "pouches": 0, "keys": 0}}
    loads = [replace(each, body={**(each.body or {}), **counts}, good=201) for each in given]
    asked = {"day": stage.service.platform.runs.today().isoformat()}
    return {
        ("GET", "/v1/runs"): _lists(),
        ("GET", "/v1/runs/not-back"): _lists(),
        ("GET", "/v1/overview"): _lists(),
        ("GET", "/v1/supervision/health"): _lists(),
        ("GET", "/v1/rounds"): _lists(),
        ("GET", "/v1/rounds/{id}"): rounds,
        ("GET", "/v1/runs/{id}/replay"): near_and_far(stage, "run"),
        ("GET", "/v1/runs/{id}/stops"): near_and_far(stage, "run"),
        ("GET", "/v1/runs/{id}/timeline"): near_and_far(stage, "run"),
        ("GET", "/v1/runs/{id}/requests"): near_and_far(stage, "run"),
        ("POST", "/v1/runs/{id}/reassign"): given,
        ("POST", "/v1/runs/{id}/split"): moved,
        ("POST", "/v1/runs/{id}/handover"): loads,
        ("GET", "/v1/roster"): _lists(),
        ("PUT", "/v1/roster"): _lists(body={"usual_start": "07:30"})[1:],
        ("POST", "/v1/cover/proposals"): [
            Try(body={**asked, "site": site}, good=409, about=Thing(site)) for site in (SITE, ELSEWHERE)
        ],
        ("POST", "/v1/cover/proposals/{id}/confirm"): near_and_far(stage, "proposal", body={}, good=409),
    }


def _orders(stage: Stage) -> Tries:
    def tasks(kind: str = "", **more: Any) -> list[Try]:
        theirs = near_and_far(stage, f"{kind}task", **more)
        office = near_and_far(stage, f"{kind}office task", **more)
        return [*theirs, *(replace(each, about=Thing(each.about.site if each.about else None)) for each in office)]

    items = pair(stage, "near-item", "far-item", key="item_id")
    wish = {"kind": "safe_place", "item_id": "near-wished", "details": {"place": "Abri", "postcode": POSTCODE}}
    unknown = {**wish, "item_id": "far-wished", "details": {"place": "Abri", "postcode": "00000"}}
    changes = [
        Try(body=wish, about=Thing(SITE, known=True), good=409),
        Try(body=unknown, about=Thing(ELSEWHERE), good=409),
    ]
    orders = near_and_far(stage, "task")
    said = [replace(each, good=415) for each in orders]  # a page's form: tests/web/test_partner.py
    return {
        ("GET", "/partner"): [Try()],
        ("POST", "/partner/find"): [Try(good=415)],
        ("GET", "/partner/new/{service}"): [Try({"service": "home_visit"}), Try({"service": "medication"}, good=404)],
        ("POST", "/partner/new/{service}"): [Try({"service": "home_visit"}, good=415)],
        ("GET", "/partner/orders/{id}"): orders,
        ("GET", "/partner/orders/{id}/label"): [replace(each, good=404) for each in orders],  # delivered already
        ("GET", "/partner/orders/{id}/proof"): orders,
        ("GET", "/partner/orders/{id}/change"): [replace(each, good=404) for each in orders],  # as is their time
        ("POST", "/partner/orders/{id}/change"): said,
        ("POST", "/partner/orders/{id}/cancel"): said,
        ("POST", "/partner/orders/{id}/say"): said,
        ("GET", "/v1/tasks"): [Try()],
        ("POST", "/v1/tasks"): [Try(body={}, good=422)],
        ("GET", "/v1/tasks/{id}"): tasks(),
        ("PATCH", "/v1/tasks/{id}"): tasks("ended ", body={"notes": "x"}, good=409),
        ("DELETE", "/v1/tasks/{id}"): tasks("ended ", good=204),
        ("GET", "/v1/items/{item_id}/proof"): items,
        ("POST", "/v1/delivery-changes"): changes,
        ("GET", "/v1/delivery-changes/{id}"): near_and_far(stage, "change"),
        ("POST", "/v1/delivery-changes/{id}/confirm"): near_and_far(
            stage, "change", body={"code": "AAAA-AAAA"}, good=409
        ),
        ("POST", "/v1/delivery-changes/{id}/cancel"): near_and_far(stage, "change", body={}),
        ("POST", "/v1/delivery-changes/{id}/stop"): near_and_far(stage, "change", body={}),
    }


def _desks(stage: Stage) -> Tries:
    """Ask for the pages of the counter and the adviser; their forms: tests/web/test_counter.py, test_adviser.py."""
    items, why = pair(stage, "near-item", "far-item", key="item_id"), "?reason=complaint"
    asked, cases = near_and_far(stage, "change"), near_and_far(stage, "case")
    no_form = [replace(items[0], good=415, about=None)]
    return {
        ("GET", "/counter"): [Try()],
        ("POST", "/counter"): [Try(good=415)],
        ("GET", "/counter/items/{item_id}"): items,
        ("POST", "/counter/items/{item_id}"): no_form,
        ("GET", "/counter/returns"): [Try()],
        ("GET", "/counter/waits"): [Try()],
        ("GET", "/suivi/{token}/ici"): [Try({"token": "nonsense"}, good=410)],
        ("POST", "/suivi/{token}/ici"): [Try({"token": "nonsense"}, good=415)],
        ("GET", "/adviser"): [Try()],
        ("POST", "/adviser"): [Try(good=415)],
        ("GET", "/adviser/cases"): [Try()],
        ("GET", "/adviser/cases/{id}"): cases,
        ("POST", "/adviser/cases/{id}"): [replace(cases[0], good=415, about=None)],
        ("GET", "/adviser/items/{item_id}"): [replace(each, query=why) for each in items],
        ("POST", "/adviser/items/{item_id}/cases"): no_form,
        ("GET", "/adviser/items/{item_id}/change"): [replace(each, query=f"{why}&kind=hold") for each in items],
        ("POST", "/adviser/items/{item_id}/change"): no_form,
        ("GET", "/adviser/changes/{id}"): asked,
        ("POST", "/adviser/changes/{id}"): [replace(asked[0], good=415, about=None)],
    }


def _replays(stage: Stage, endpoints: Sequence[Try]) -> Tries:
    places = ("near", "far")
    own, ended = (
        [
            replace(each, path={**each.path, "rid": stage.names[f"{place} {name}"]})
            for place, each in zip(places, endpoints, strict=True)
        ]
        for name in ("replay", "ended replay")
    )
    resent = [
        replace(each, body={"event_id": stage.names[f"{place} event"]})
        for place, each in zip(places, endpoints, strict=True)
    ]
    rewound, since = {"mode": "rewind", "from": "oldest"}, {"since": "2026-01-01T00:00:00Z"}
    return {
        ("POST", "/v1/endpoints/{id}/replay"): [replace(each, body=rewound, good=201) for each in endpoints],
        ("POST", "/v1/endpoints/{id}/recover"): [replace(each, body=since, good=201) for each in endpoints],
        ("POST", "/v1/endpoints/{id}/resend"): resent,
        ("GET", "/v1/endpoints/{id}/replays"): endpoints,
        ("GET", "/v1/endpoints/{id}/replays/{rid}"): own,
        ("POST", "/v1/endpoints/{id}/replays/{rid}/pause"): own,
        ("POST", "/v1/endpoints/{id}/replays/{rid}/resume"): own,
        ("DELETE", "/v1/endpoints/{id}/replays/{rid}"): [replace(each, good=204) for each in ended],
    }


def _portal(stage: Stage, endpoints: list[Try]) -> Tries:
    """Ask for the pages of subscribers; what is no form is refused once it is known whose the endpoint is."""
    page, no_form = "/integrations/endpoints/{id}", [replace(each, good=415) for each in endpoints]
    events = [replace(each, path={**each.path, "event_id": stage.names["near event"]}) for each in endpoints]
    return {
        ("GET", "/integrations"): [Try()],
        ("GET", "/integrations/endpoints/new"): [Try()],
        ("POST", "/integrations/endpoints/new"): [Try(good=415)],
        **{("GET", page + part): endpoints for part in ("", "/edit", "/secret")},
        **{("POST", page + part): no_form for part in ("", "/edit", "/secret", "/test", "/resend")},
        ("GET", page + "/events/{event_id}"): events,
    }


def _account_pages() -> Tries:
    """Ask for the other pages of an account: no body of these tries is a form."""
    path, no_form = "/integrations/", [Try(good=415)]
    lists = ("keys", "catalogue", "feed", "audit", "sandbox", "certify")
    return {
        **{("GET", path + name): [Try()] for name in lists},
        ("GET", path + "catalogue/{name}"): [Try({"name": "item.delivered"}), Try({"name": "no.such"}, good=404)],
        ("GET", path + "certify/{id}"): [Try({"id": f"day_{'0' * 16}"}, good=404)],
        **{("POST", path + name): no_form for name in ("keys", "keys/mail", "sandbox", "sandbox/orders", "certify")},
        ("POST", path + "keys/{id}/revoke"): [Try({"id": "first"}, good=415)],
        ("GET", "/mail/{token}"): [Try({"token": "nonsense"}, good=410)],
        ("POST", "/mail/{token}"): [Try({"token": "nonsense"}, good=410)],
    }


def _subscribers(stage: Stage) -> Tries:
    endpoints = near_and_far(stage, "endpoint")
    events = [*near_and_far(stage, "event"), *near_and_far(stage, "visit")]
    items = pair(stage, "near-item", "far-item", key="ids")
    wrong = [Try(body={"url": "http://127.0.0.1:9/hook", "types": ["not a filter!"]}, good=400)]
    return {
        ("GET", "/suivi/v2/idships/{ids}"): items,
        ("POST", "/v1/endpoints"): wrong,
        ("GET", "/v1/endpoints"): [Try()],
        ("GET", "/v1/endpoints/{id}"): endpoints,
        ("PATCH", "/v1/endpoints/{id}"): [replace(each, body={"thin": False}) for each in endpoints],
        ("DELETE", "/v1/endpoints/{id}"): near_and_far(stage, "ended endpoint", good=204),
        ("POST", "/v1/endpoints/{id}/secret/rotate"): endpoints,
        ("POST", "/v1/endpoints/{id}/pause"): endpoints,
        ("POST", "/v1/endpoints/{id}/resume"): endpoints,
        ("POST", "/v1/endpoints/{id}/test"): endpoints,
        ("GET", "/v1/endpoints/{id}/attempts"): endpoints,
        ("GET", "/v1/endpoints/{id}/parked"): endpoints,
        ("GET", "/v1/endpoints/{id}/dead-letters"): endpoints,
        **_replays(stage, endpoints),
        **_portal(stage, endpoints),
        **_account_pages(),
        ("GET", "/v1/feed"): [Try()],
        ("GET", "/v1/events/{id}"): events,
    }
