"""Delivery changes on the sheet: what the carrier is to do, or to ask at the door, in words; never where mail is redirected to."""

from collections.abc import Mapping, Sequence
from typing import Any

from fieldsvc.store.request import SheetRow
from handlers import products
from handlers.change_states import SIGNED_HELD
from handlers.fields import format_time

# {who} and {where} come from the request's details
_DO: Mapping[str, Mapping[str, str]] = {
    "other_date": {"fr": "Ne pas présenter aujourd'hui : à rapporter.", "en": "Do not present today: bring back."},
    "pickup_point": {"fr": "Ne pas présenter : déposer au point de retrait {where}.", "en": "Do not present: leave at pick-up point {where}."},
    "hold": {"fr": "Garde du courrier : ne rien distribuer, rapporter.", "en": "Mail on hold: deliver nothing, bring back."},
    "neighbour": {"fr": "En cas d'absence, remettre au voisin : {who}.", "en": "If nobody is there, hand to the neighbour: {who}."},
    "safe_place": {"fr": "En cas d'absence, laisser en lieu sûr : {where}.", "en": "If nobody is there, leave in the safe place: {where}."},
    "second_presentation": {"fr": "Nouvelle présentation demandée.", "en": "A second presentation was asked for."},
    "proxy": {"fr": "Procuration : {who} peut recevoir.", "en": "Proxy: {who} may receive."},
    "redirect": {
        "fr": "Réexpédition en cours pour {who} : ne rien distribuer à ces noms, rapporter au bureau.",
        "en": "Redirected mail of {who}: deliver nothing to these names, bring it to the office.",
    },
}  # fmt: skip
_ASK = {
    "fr": "Quelqu'un demande la réexpédition du courrier de {who}. Demander à la porte : est-ce bien vous ?",
    "en": "Somebody asks to redirect the mail of {who}. Ask at the door: is it you?",
}
ANSWERS = ("confirms", "no", "nobody", "unknown_name")


def written(rows: Sequence[SheetRow], opened: Sequence[Any], stop_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Write the requests of a sheet; `opened` are their sealed parts, None for a person who was erased."""
    return [_entry(row, sealed, stop_of) for row, sealed in zip(rows, opened, strict=True)]


def _entry(row: SheetRow, sealed: Any, stop_of: Mapping[str, str]) -> dict[str, Any]:
    redirects, asks = products.KINDS[row.kind].redirects, row.step == "code_sent"
    details = (sealed.get("details") or {}) if isinstance(sealed, Mapping) else {}
    names = ", ".join(details.get("names") or ())
    words = {
        "who": names or details.get("neighbour") or details.get("proxy") or "?",
        "where": details.get("place") or details.get("pickup_point") or "?",
    }
    text = _ASK if asks else _DO["redirect" if redirects else row.kind]
    entry: dict[str, Any] = {
        "request_id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "state": row.state,
        "delivery_point_id": row.delivery_point,
        "stop_id": stop_of.get(row.delivery_point or ""),
        "what": {lang: words_of.format_map(words) for lang, words_of in text.items()},
    }
    if asks:
        entry["ask"] = {"type": "fieldsvc.delivery_change.door_checked.v1", "answers": list(ANSWERS)}
    if redirects and row.since is not None:
        entry["signed_items_held_until"] = format_time(row.since + SIGNED_HELD)
    return entry
