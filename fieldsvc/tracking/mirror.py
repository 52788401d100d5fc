"""What a carrier may have of themselves, in one document: how far they were, when they could be seen, what they sent, who looked."""

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from fieldsvc.store import audit, mirror
from fieldsvc.store.audit import Row
from fieldsvc.store.database import Database
from fieldsvc.store.mirror import Rows
from fieldsvc.tracking.duty import END, read_duty
from handlers.fields import format_time

MOST_LOOKS = 100_000
ABOUT = {
    "fr": "Ce que la plate-forme garde de vous. `geolocation` dit quand vos positions comptaient ; aucun lieu n'est gardé, sauf "
    "dans `tracks` si l'exploitant l'a décidé. Un fait inexact se corrige depuis le téléphone pendant 24 h, puis par "
    "l'encadrement ; rien n'est effacé, la correction s'ajoute.",
    "en": "What the platform keeps about you. `geolocation` says when your positions counted; no place is kept, except in "
    "`tracks` where the operator decided so. A wrong fact is corrected from the phone within 24 h, then by a supervisor; "
    "nothing is erased, the correction is added.",
}


async def export(
    database: Database, carrier: str, site: str, *, carrier_ref: str, since: datetime = audit.EVER
) -> dict[str, Any]:
    """Gather everything that is kept about a carrier of a site, from the local midnight `since` on."""
    found = await mirror.own(database, carrier, site, since=since)
    looks = await audit.of_carrier(database, carrier_ref, site=site, before=audit.NEWEST, limit=MOST_LOOKS, since=since)
    progress, tracks = _by_run(found.progress), _by_run(found.tracks)
    return {
        "about": ABOUT,
        "carrier": carrier,
        "site": site,
        "phones": found.devices,
        "runs": [
            {
                "run_id": row["id"],
                "day": row["day"],
                "state": row["state"],
                "geolocation": _seen(row["body"]),
                "progress": progress.get(row["id"], []),
                "tracks": tracks.get(row["id"], []),
            }
            for row in found.runs
        ],
        "events": [{**row, "id": str(row["id"])} for row in found.events],
        "looks": [described(each) for each in looks],
    }


def described(row: Row) -> dict[str, Any]:
    """Say a look as the carrier reads it: by role and office, not by name."""
    return {
        "at": format_time(row.at),
        "role": row.role,
        "office": row.site,
        "action": row.action,
        "about": row.subject,
        "reason": row.reason,
    }


def _seen(body: bytes | None) -> list[dict[str, str | None]]:
    """Say from when to when positions counted; without an end, they still do."""
    return [
        {"from": format_time(first), "until": format_time(until) if until < END else None}
        for first, until in read_duty(body).intervals
    ]


def _by_run(rows: Rows) -> Mapping[str, list[dict[str, Any]]]:
    return {
        run: [{name: value for name, value in row.items() if name != "run"} for row in group]
        for run, group in groupby(rows, key=lambda row: row["run"])
    }
