"""The delivery changes that a run meets, for those who watch over it: what is asked, never by whom or for whom.

A supervisor accepts nothing: that follows by rule from how sure we are of who asked (`handlers/change_states.py`). They end what was
asked by mistake, and stop what looks like fraud.
"""

from collections.abc import Mapping
from typing import Any

from fieldsvc.store import live
from fieldsvc.store import request as store
from fieldsvc.store.database import Seen
from fieldsvc.store.request import OpenRequest
from handlers import products
from handlers.change_states import TABLE
from handlers.fields import format_time

_DO: Mapping[str, Mapping[str, str]] = {
    "other_date": {"fr": "Ne pas présenter aujourd'hui : à rapporter.", "en": "Do not present today: bring back."},
    "pickup_point": {"fr": "Ne pas présenter : déposer au point de retrait choisi.", "en": "Do not present: leave at the chosen pick-up point."},
    "hold": {"fr": "Garde du courrier : ne rien distribuer, rapporter.", "en": "Mail on hold: deliver nothing, bring back."},
    "neighbour": {"fr": "En cas d'absence, remettre au voisin désigné.", "en": "If nobody is there, hand to the named neighbour."},
    "safe_place": {"fr": "En cas d'absence, laisser au lieu sûr convenu.", "en": "If nobody is there, leave in the agreed safe place."},
    "second_presentation": {"fr": "Nouvelle présentation demandée.", "en": "A second presentation was asked for."},
    "proxy": {"fr": "Procuration : une personne désignée peut recevoir.", "en": "Proxy: a named person may receive."},
    "redirect": {"fr": "Réexpédition : ne rien distribuer aux noms indiqués, rapporter au bureau.", "en": "Redirected mail: deliver nothing to the names given, bring it to the office."},
    "ask": {"fr": "Réexpédition demandée : à vérifier à la porte.", "en": "A redirection was asked for: to be checked at the door."},
}  # fmt: skip
_CAN = {"cancel": "cancel", "reverse": "reverse", "freeze": "stop"}  # what happens -> what somebody does
_STILL_POSSIBLE = ("requested", "verified", "accepted")


async def of_run(seen: Seen, run_id: str, *, site: str | None, cutoff_stops: int) -> list[dict[str, Any]] | None:
    """List the requests on a run's sheet, or about its doors and items, that are not finished; None for a run out of reach."""
    run = await live.run(seen, run_id, site=site)
    if run is None:
        return None
    places = await store.subjects_of_run(seen.database, run_id)
    found = await store.unfinished(seen, list(places), run.day)
    return [_entry(each, places[each.subject], cutoff_stops) for each in found]


def may(state: str, *, lasts: bool) -> list[str]:
    """Name what a supervisor may do with a request in a state; only what holds for all the mail of a place is frozen or reversed."""
    possible = [what for what in _CAN if state in TABLE[what][0] and (lasts or what == "cancel")]
    return [_CAN[what] for what in possible]


def _entry(row: OpenRequest, place: tuple[str | None, str | None], cutoff_stops: int) -> dict[str, Any]:
    kind, lasts = products.KINDS[row.kind], row.subject.startswith("delivery_point/")
    do = "ask" if row.step == "code_sent" else "redirect" if kind.redirects else row.kind
    cut_off = {"until": kind.cutoff} | ({"stops": cutoff_stops} if kind.cutoff == products.NEAR else {})
    return {
        "request_id": row.id,
        "kind": row.kind,
        "title": dict(kind.title),
        "state": row.state,
        "subject": row.subject,
        "stop_id": place[0],
        "address": place[1],
        "what": dict(_DO[do]),
        "asked_at": format_time(row.asked_at),
        "from": row.from_day.isoformat() if row.from_day else None,
        "to": row.to_day.isoformat() if row.to_day else None,
        "cut_off": cut_off if row.state in _STILL_POSSIBLE else None,
        "can": may(row.state, lasts=lasts),
    }
