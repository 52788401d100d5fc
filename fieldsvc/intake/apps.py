"""What phone apps send, taken: alarms into the journal, fixes to tracking, the rest into quarantine.

These apps keep a queue and send its head again, for ever, on any answer but a good one. So whatever they say is settled here
once; only when nothing can be committed at all do they hear of it, and send again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.intake.formats.osmand import APP, SAME_ALARM_S
from fieldsvc.intake.formats.phone import Alarm, Decoded, Fault, refused
from fieldsvc.intake.json import Unfit, canonical
from fieldsvc.intake.positions import track
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Rejected, Submission
from fieldsvc.logs import get_logger
from fieldsvc.store.device import Device
from fieldsvc.tracking.tracker import Taken, Tracker
from handlers.base import wire_type
from handlers.fields import format_time
from handlers.story import Actor

log = get_logger()
_RAISED = wire_type("alarm.raised")
_JSON = "application/cloudevents-batch+json"
MOST_ALARMS = 10  # of one request


@dataclass(frozen=True, slots=True)
class Apps:
    """What phone apps are taken with; `zone` is that of times that say none."""

    intake: Intake
    tracker: Tracker
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a request: of its fixes, of its alarms by status, and of the rest by reason."""

    fixes: Taken
    alarms: tuple[str, ...]
    reasons: tuple[str, ...]


async def take(apps: Apps, device: Device, decoded: Decoded, *, received_at: datetime) -> Settled:
    """Settle a request: alarms first. When this returns everything is committed.

    Unavailable, TooMany, or what the database raises when it is away: the phone sends again, and nothing counts twice.
    """
    alarms, rest = _most_telling(apps.intake, device, decoded.alarms, received_at=received_at)
    statuses = await _raise_alarms(apps.intake, device, alarms, received_at=received_at)
    fixes, faults = Taken(), decoded.faults + rest
    if decoded.fixes:
        fixes, failed = await track(apps.tracker, device, decoded.fixes, received_at=received_at)
        faults += failed
    await _keep_aside(apps.intake, device, faults, received_at=received_at)
    return Settled(fixes, tuple(statuses), tuple(fault.reason for fault in faults))


def too_large(app: str) -> Decoded:
    """A body that is larger than any: nothing of it was read."""
    return refused(Unfit("too_large"), app)


def unreadable(app: str) -> Decoded:
    """A body whose bytes cannot be unpacked."""
    return refused(Unfit("bad_encoding"), app)


def event_id(vault: Vault, device_id: str, alarm: Alarm) -> UUID:
    """Name an app's alarm: the same for the same device, kind, time and body, so that a second copy is a duplicate.

    A UUID of version 8 (RFC 9562) from a keyed digest: without the key nobody can guess a place from it.
    """
    said_at = format_time(alarm.said_at) if alarm.said_at is not None else None
    digest = vault.content_hmac(canonical([device_id, _RAISED, alarm.kind, said_at]) + b"\x00" + alarm.content)
    return _uuid8(digest)


def alarm_id(vault: Vault, device: Device, alarm: Alarm, *, received_at: datetime) -> UUID:
    """Name the alarm that an app's event belongs to: one for each device, carrier, kind and ten minutes of its time.

    An app goes on while the button is held, each time with another time and place; further events are the same alarm.
    """
    slot = int((alarm.said_at or received_at).timestamp()) // SAME_ALARM_S
    return _uuid8(vault.content_hmac(canonical(["alarm", device.id, device.site, device.carrier, alarm.kind, slot])))


def _uuid8(digest: bytes) -> UUID:
    bits = int.from_bytes(digest[:16], "big") & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=bits | 8 << 76 | 0b10 << 62)


def _most_telling(
    intake: Intake, device: Device, alarms: Sequence[Alarm], *, received_at: datetime
) -> tuple[list[Alarm], tuple[Fault, ...]]:
    """Choose at most ten events: the first of each alarm, then further ones, the newest before the older; and the rest."""
    by_time = sorted(dict.fromkeys(alarms), key=lambda each: each.said_at or received_at)
    firsts: dict[UUID, Alarm] = {}
    for each in by_time:
        firsts.setdefault(alarm_id(intake.vault, device, each, received_at=received_at), each)
    first = frozenset(firsts.values())
    chosen = [*reversed(firsts.values()), *(each for each in reversed(by_time) if each not in first)]
    over = refused(Unfit("out_of_range"), APP, {"alarm": "…"}, known=frozenset({"alarm"})).faults
    return chosen[:MOST_ALARMS], over if len(chosen) > MOST_ALARMS else ()


async def _raise_alarms(intake: Intake, device: Device, alarms: Sequence[Alarm], *, received_at: datetime) -> list[str]:
    """Put alarms into the journal as the carrier's own phone page would; return their statuses."""
    statuses: list[str] = []
    caller = Caller(Actor("device"), device=device, site=device.site)
    for start in range(0, len(alarms), intake.most_events):
        part = alarms[start : start + intake.most_events]
        body = orjson.dumps([_event(intake.vault, device, alarm, received_at=received_at) for alarm in part])
        answer = await accept(intake, Upload(body, _JSON, None, caller, received_at))
        statuses += [result["status"] for result in answer["results"]]
    return statuses


def _event(vault: Vault, device: Device, alarm: Alarm, *, received_at: datetime) -> dict[str, Any]:
    name = alarm_id(vault, device, alarm, received_at=received_at)
    data: dict[str, Any] = {"kind": alarm.kind, "alarm_id": str(name)}
    if alarm.fix is not None:
        accuracy = {"accuracy_m": alarm.fix.accuracy_m} if alarm.fix.accuracy_m is not None else {}
        at = {"fixed_at": format_time(alarm.fix.fixed_at)} if alarm.said_at is not None else {}
        data["fix"] = {"lat": alarm.fix.lat, "lon": alarm.fix.lon, **accuracy, **at}
    head = {"specversion": "1.0", "id": str(event_id(vault, device.id, alarm)), "source": f"/devices/{device.id}"}
    time = {"time": format_time(alarm.said_at)} if alarm.said_at is not None else {}
    return {**head, "type": _RAISED, **time, "data": data}


async def _keep_aside(intake: Intake, device: Device, faults: Sequence[Fault], *, received_at: datetime) -> None:
    """Keep faults in quarantine: of equal ones of a device one, for a phone that goes on says nothing new."""
    if not faults:
        return
    kept = [Rejected(None, fault.reason, fault.kept) for fault in dict.fromkeys(faults)]
    for each in kept:
        log.info("app.unfit", reason=each.reason, device=device.id)
    await intake.writer.submit(Submission(kept, device.id, device.site, received_at))
