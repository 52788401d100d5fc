"""Callers of every kind, and one thing of their own for every name that a path can hold."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.platform import Platform
from fieldsvc.work import imports
from tests.acceptance.conftest import CARRIER, SITE, example_round
from tests.acceptance.service import BATCH, JSON, Answer, field_event, fresh

Headers = dict[str, str]
Ask = Callable[[Headers, str, str, Any], Answer]
SCOPES = ("operator", "health", "order:item", "order:medication")
POSTCODE, ADDRESS = "93500", "12 rue du Moulin, 93500 Pantin"
LATER = timedelta(days=2)
PERSONS = tuple(accounts.ROLES)
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def load(platform: Platform, folder: Path) -> None:
    """Load the example round and its carrier of today."""
    path = folder / "example.geojson"
    path.write_text(example_round(), encoding="utf-8")
    zone, day = platform.settings.zone, platform.runs.today()
    await imports.import_rounds(platform.database, path, zone=zone)
    await imports.import_roster(platform.database, ["date,round_id,carrier\n", f"{day},T07,{CARRIER}\n"])
    await platform.runs.plan_day(day)
    platform.rounds.forget()


async def callers(platform: Platform, url: str) -> dict[str, Headers]:
    """Make one caller of each kind, with everything that its kind can be allowed; the headers of each."""
    database, later = platform.database, platform.runs.today() + LATER
    await imports.import_roster(database, ["date,round_id,carrier\n", f"{later},T07,{CARRIER}\n"])
    await platform.runs.plan_day(later)
    account = await accounts.create_subscriber(database, "Everybody", scopes=SCOPES)
    device = await enrolment.enrol_device(database, url, carrier=CARRIER, site=SITE, round_id="T07")
    pair = base64.b64encode(f"{device['device_id']}:{device['token']}".encode()).decode()
    found: dict[str, Headers] = {
        "nobody": {},
        "device": {"Authorization": f"Bearer {device['token']}"},
        "device_basic": {"Authorization": f"Basic {pair}"},
        "account": {"Authorization": f"Bearer {account['api_key']}"},
        "okapi": {"X-Okapi-Key": account["api_key"]},
    }
    for role in PERSONS:
        parent = account["account_id"] if role in ("partner", "member") else None
        site = SITE if role in ("supervisor", "counter") else None
        made = await accounts.create_person(
            database, url, role, email=f"{fresh(role).lower()}@demo.invalid", site=site, parent=parent
        )
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        found[role] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
    return found


def things(ask: Ask, who: Mapping[str, Headers], day: date) -> dict[str, str]:
    """Make one thing of each kind; what a path calls each, by the part of the path before it."""

    def made(kind: str, method: str, path: str, body: Any) -> Any:
        answer = ask(who[kind], method, path, body)
        assert answer.status in (200, 201), (path, answer.body)
        return answer.json()

    def said(who_says: str, name: str, **data: Any) -> str:
        body = orjson.dumps([field_event(name, data)])
        answer = ask({**who[who_says], "Content-Type": BATCH}, "POST", "/v1/events", body)
        (result,) = answer.json()["results"]
        assert result["status"] == "accepted", result
        return str(result["id"])

    item, alarm, picture = fresh("RK"), fresh("a"), hashlib.sha256(PICTURE).hexdigest()
    order = {"service": "item", "subject": f"item/{item}", "on": day.isoformat(), "delivery_point": "dp-118"}
    task = made("account", "POST", "/v1/tasks", {**order, "address": ADDRESS})["task_id"]
    change = {"kind": "safe_place", "item_id": item, "details": {"postcode": POSTCODE, "place": "Abri"}}
    asked = made("adviser", "POST", "/v1/delivery-changes", change)["request_id"]
    delivered = said("device", "item.delivered", item_id=item, to="addressee", stop_id="st-118")
    said("device", "alarm.raised", kind="sos", alarm_id=alarm)
    moved = {"delivery_point_id": "dp-117", "change": "moved", "old_address": ADDRESS, "confidence": "seen"}
    report = said("device", "address_change.reported", **moved, new_address="14 rue du Moulin, 93500 Pantin")
    event = ask(who["account"], "GET", "/v1/feed?types=item.delivered&limit=1000", None).json()["events"][-1]["id"]
    case = said("account", "trust.dispute_opened", event_id=event, text="x")
    made("supervisor", "PUT", "/v1/desks/everybody", {"hours": "always", "contact": {"email": "x@y.invalid"}})
    later = (day + LATER).isoformat()
    cover = {"day": later, "site": SITE, "absent": [CARRIER]}
    ask({**who["device"], "Content-Type": "application/octet-stream"}, "PUT", f"/v1/media/{picture}", PICTURE)
    hook = {"url": "http://127.0.0.1:9/", "types": ["item.missing"]}
    endpoint = made("account", "POST", "/v1/endpoints", hook)["id"]
    again = {"mode": "side", "from": "oldest"}
    return {
        "address-changes": report,
        "proposals": made("supervisor", "POST", "/v1/cover/proposals", cover)["proposal_id"],
        "items": item,
        "osmand": who["device"]["Authorization"].removeprefix("Bearer "),
        "alerts": alarm,
        "media": picture,
        "runs": f"run-{day}-T07",
        "rounds": "T07",
        "cases": case,
        "idships": item,
        "delivery-changes": asked,
        "desks": "everybody",
        "tasks": task,
        "orders": task,
        "new": "medication",
        "endpoints": endpoint,
        "replays": made("account", "POST", f"/v1/endpoints/{endpoint}/replay", again)["id"],
        "events": event,
        "sign-in": fresh("token"),
        "mail": fresh("token"),
        "keys": "first",
        "catalogue": "item.delivered",
        "certify": f"day_{'0' * 16}",
        "suivi": fresh("token"),
        "changes": asked,
        "stop": asked,
        "demandes": asked,
        "dossier": asked,
        "{ref}": fresh("token"),
        "foyer": "HH-1",
        "static": "style.css",
        "delivered": delivered,
    }


def filled(path: str, names: Mapping[str, str]) -> str:
    """Write a route's path with one's own things; KeyError where a kind of name is not known here."""
    parts = path.split("/")
    return "/".join(
        names[before] if part.startswith("{") else part for before, part in zip(["", *parts], parts, strict=False)
    )


__all__ = ["ADDRESS", "JSON", "POSTCODE", "SITE"]
