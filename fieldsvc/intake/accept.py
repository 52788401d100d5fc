"""The story of an event, from the bytes of an upload to its answer.

A phone sends what its carrier did: one event or five hundred, now or hours later, perhaps twice, perhaps with a wrong clock.
Each member of the upload goes the same way:

- it is told apart from the others, and looked at as a CloudEvent: what is wrong with it is wrong with it alone;
- its type names the service, whose payload model checks it strictly;
- its time is corrected by how wrong the phone's clock is at this very moment;
- it is located: by the thing scanned, by the stop named, else by its fix on the planned round; then the fix is dropped,
  unless the type is a proof, an alarm or a reported place, which keeps it, sealed;
- an address in it is looked up and placed between two stops, for the answer;
- it goes into the journal's queue with the rest of its request, and waits for the one commit that decides, stores, queues
  and acknowledges it.

Good credentials and bad content never make an error: such a member is kept in quarantine with a reason, and the phone may
forget it. Only a request that cannot be taken apart, or that must be sent again, is answered with one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from fieldsvc.intake import clocks
from fieldsvc.intake.formats.cloudevents import Sent, decode
from fieldsvc.intake.json import canonical
from fieldsvc.intake.location import Locator, Place
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Outcome, Rejected, Result, Submission
from fieldsvc.journal.writer import Writer
from fieldsvc.logs import get_logger
from fieldsvc.store.database import is_unreachable
from fieldsvc.store.device import Device
from fieldsvc.work.placement import Placer
from fieldsvc.work.rounds import RoundStore, RunPlan
from geo import Fix as GeoFix
from handlers.base import Handler, validated
from handlers.fields import Fix, format_time
from handlers.registry import Registry
from handlers.story import Actor, EventType, Refused

log = get_logger()
_RANGE_FAULTS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"})
_RANGE_FAULTS |= {"int_parsing_size", "too_long", "string_too_long"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends: a device, or somebody whose role lets them say some types."""

    actor: Actor
    device: Device | None = None
    site: str | None = None

    @property
    def own_site(self) -> str | None:
        """The site that the caller belongs to; none for whoever belongs to all."""
        return self.device.site if self.device is not None else self.site


@dataclass(frozen=True, slots=True)
class Upload:
    """One request, as it came; with `clock_unreadable` its phone said when it sent, but not as a time."""

    body: bytes
    media_type: str
    charset: str | None
    caller: Caller
    received_at: datetime
    sent_at: datetime | None = None
    clock_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Intake:
    """What the pipeline works with."""

    writer: Writer
    vault: Vault
    registry: Registry
    rounds: RoundStore
    placer: Placer
    locator: Locator
    most_events: int = 500


@dataclass(frozen=True, slots=True)
class Known:
    """A sound member with its service, its clean data and its fix."""

    sent: Sent
    handler: Handler
    event_type: EventType
    data: dict[str, Any]
    fix: GeoFix | None


async def accept(intake: Intake, upload: Upload) -> dict[str, Any]:
    """Take an upload and return the answer's body: the receipt, and a result for each member in the order sent.

    NotJson, UnsupportedMedia and TooLarge refuse the request; Unavailable and TooMany ask for it again.
    """
    members = decode(upload.body, upload.media_type, upload.charset, most=intake.most_events)
    items: list[Incoming | Rejected] = []
    places: list[Place | None] = []
    for sent in members:
        item, place = await _prepare(intake, upload, sent)
        items.append(item)
        places.append(place)
    device = upload.caller.device
    submission = Submission(items, device.device_id if device else None, upload.caller.site, upload.received_at)
    outcome = await intake.writer.submit(submission)
    return _answer(members, places, outcome)


async def _prepare(intake: Intake, upload: Upload, sent: Sent) -> tuple[Incoming | Rejected, Place | None]:
    """Make one member ready to be decided, or say why it cannot be."""
    reason = sent.reason
    if reason is None:
        try:
            return await _ready(intake, upload, sent)
        except Refused as refusal:
            reason = refusal.code
        except Exception as error:
            if is_unreachable(error):
                raise
            log.exception("intake.failed", type=sent.type)
            return Rejected(sent.sent_id, "intake_failed", sent.raw), None
    log.info("event.unfit", reason=reason, device=upload.caller.device.device_id if upload.caller.device else None)
    return Rejected(sent.sent_id, reason, sent.raw), None


async def _ready(intake: Intake, upload: Upload, sent: Sent) -> tuple[Incoming, Place]:
    known = _recognise(intake.registry, upload.caller, sent)
    reading = clocks.read(
        sent.time, sent_at=upload.sent_at, received_at=upload.received_at, unreadable=upload.clock_unreadable
    )
    _refuse_if_lost(upload.caller.device, reading.occurred_at)
    known = await _of_own_site(intake, upload.caller, known)
    plan = await _plan(intake, upload.caller, known, reading.occurred_at)
    place = _locate(intake.locator, known, plan, reading.occurred_at)
    known = _fill(known, plan, place, device=upload.caller.device)
    placement = await _place_address(intake.placer, known, plan)
    subjects = _subjects(known)
    device = upload.caller.device
    incoming = Incoming(
        id=sent.id,
        type=sent.type,
        handler=known.handler,
        payload=known.event_type.payload,
        subjects=subjects,
        touches=known.handler.touches(sent.type, known.data),
        occurred_at=reading.occurred_at,
        received_at=upload.received_at,
        data=known.data,
        content_hmac=intake.vault.content_hmac(sent.content),
        actor=upload.caller.actor,
        raw=sent.raw,
        site=upload.caller.own_site or (plan.site if plan else None),
        run=known.sent.run or (plan.run_id if plan else None),
        located=_on_the_line(place.located, known.event_type),
        placement=placement,
        warnings=(*(("clock_suspect",) if reading.suspect else ()), *place.warnings),
        operational=_envelope(upload, sent, subjects, reading),
        device=device.device_id if device else None,
        personal={"entered_by": upload.caller.actor.entered_by} if upload.caller.actor.entered_by else {},
    )
    return incoming, place


def _recognise(registry: Registry, caller: Caller, sent: Sent) -> Known:
    """Find the service and check the payload strictly; Refused with the reason."""
    found = registry.by_type.get(sent.type)
    if found is None:
        raise Refused("unknown_type")
    handler, event_type = found
    if caller.actor.kind not in event_type.by:
        raise Refused("not_allowed")
    data = dict(sent.data)
    fix_said = data.pop("fix", None)
    fix = _fix(fix_said)
    clean = _checked(event_type.payload, data)
    if event_type.keeps_fix and fix_said is not None:
        clean["fix"] = fix_said
    return Known(sent, handler, event_type, clean, fix)


def _checked(model: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return validated(model, canonical(data))
    except ValidationError as error:
        kinds = {fault["type"] for fault in error.errors(include_input=False, include_context=False, include_url=False)}
        raise Refused("out_of_range" if kinds <= _RANGE_FAULTS else "bad_payload") from None


def _fix(said: Any) -> GeoFix | None:
    if said is None:
        return None
    clean = _checked(Fix, said) if isinstance(said, dict) else None
    if clean is None:
        raise Refused("bad_payload")
    fix = Fix.model_validate(clean)
    return GeoFix(lat=fix.lat, lon=fix.lon, accuracy_m=fix.accuracy_m or None, fixed_at=fix.fixed_at)  # type: ignore[arg-type]


def _refuse_if_lost(device: Device | None, occurred_at: datetime) -> None:
    if device is not None and device.lost_at is not None and occurred_at >= device.lost_at:
        raise Refused("device_lost")


async def _of_own_site(intake: Intake, caller: Caller, known: Known) -> Known:
    """Let nobody speak of a run of another site: what is about the run is refused, elsewhere its name is left out."""
    names = [name for name in (known.sent.run, known.data.get("run_id")) if isinstance(name, str)]
    plans = [await intake.rounds.run_plan(name) for name in names] if caller.own_site is not None else []
    if all(plan is None or plan.site == caller.own_site for plan in plans):
        return known
    if known.handler.subject.startswith("run/"):
        raise Refused("not_allowed")
    left = {name: value for name, value in known.data.items() if name != "run_id"}
    return replace(known, sent=replace(known.sent, run=None), data=left)


async def _plan(intake: Intake, caller: Caller, known: Known, at: datetime) -> RunPlan | None:
    """Find the run: the one named, if there is one; else the one that the device's carrier walks on that day."""
    named = known.sent.run or known.data.get("run_id")
    plan = await intake.rounds.run_plan(str(named)) if named else None
    if plan is not None or caller.device is None:
        return plan
    return await intake.rounds.run_plan(caller.device, now=at)


def _locate(locator: Locator, known: Known, plan: RunPlan | None, at: datetime) -> Place:
    scanned = None
    if plan is not None and known.event_type.scanned:
        subjects = known.handler.subjects_of(known.event_type.name, known.data)
        scanned = next((plan.stop_of_subject[name] for name in subjects if name in plan.stop_of_subject), None)
    fix = known.fix
    if fix is not None and fix.fixed_at is None:
        fix = replace(fix, fixed_at=at)
    tells = known.event_type.done_at
    done_at = tells(known.data) if tells is not None else None
    return locator.locate(plan, scanned=scanned, stop_id=known.data.get("stop_id"), fix=fix, at=at, done_at=done_at)


def _on_the_line(located: Mapping[str, Any], event_type: EventType) -> Mapping[str, Any]:
    """Return what is kept of a place: how far beside the line only for a type that keeps its fix as well."""
    return located if event_type.keeps_fix or located.get("offset_m") is None else {**located, "offset_m": None}


def _fill(known: Known, plan: RunPlan | None, place: Place, *, device: Device | None) -> Known:
    """Complete what the phone may leave out: the run, the delivery point of the place, its own id, whose phone it is."""
    fields, event_type = known.event_type.payload.model_fields, known.event_type
    run = known.sent.run or (plan.run_id if plan else None)
    more = {"run_id": run, "delivery_point_id": place.located.get("delivery_point_id")}
    if event_type.own_id is not None:
        more[event_type.own_id] = str(known.sent.id)
    missing = {
        name: value
        for name, value in more.items()
        if value is not None and name in fields and known.data.get(name) is None
    }
    if event_type.names_carrier and device is not None:
        missing["carrier"] = device.carrier
    return replace(known, data=known.data | missing) if missing else known


async def _place_address(placer: Placer, known: Known, plan: RunPlan | None) -> Mapping[str, Any] | None:
    """Look an address up for the answer; a fault here costs the answer, never the event."""
    name = known.event_type.place_field
    address = known.data.get(name) if name else None
    if not address:
        return None
    try:
        return await placer.place(address, citycode=_citycode(plan))
    except Exception:
        log.exception("address.not_placed", type=known.event_type.name)
        return None


def _citycode(plan: RunPlan | None) -> str | None:
    """The commune of a round is in the names of its delivery points, which BAN begins with the INSEE code."""
    point = next(iter(plan.delivery_point_of_stop.values()), None) if plan else None
    return point.split("_", 1)[0] if point and "_" in point else None


def _subjects(known: Known) -> tuple[str, ...]:
    try:
        named = known.handler.subjects_of(known.event_type.name, known.data)
    except (KeyError, TypeError):
        raise Refused("no_subject") from None
    if not named:
        raise Refused("no_subject")
    return tuple(dict.fromkeys(named))


def _envelope(upload: Upload, sent: Sent, subjects: Sequence[str], reading: clocks.Reading) -> dict[str, Any]:
    """Keep what the phone said of time and subject, where it differs from what is used."""
    kept: dict[str, Any] = {"time": sent.said_time}
    if upload.sent_at is not None:
        kept["sent_at"] = format_time(upload.sent_at)
    if sent.subject is not None and sent.subject not in subjects:
        kept["claimedsubject"] = sent.subject
    if reading.suspect:
        kept["clock_suspect"] = True
    return kept


def _answer(members: Sequence[Sent], places: Sequence[Place | None], outcome: Outcome) -> dict[str, Any]:
    results = [
        _result(sent, place, result) for sent, place, result in zip(members, places, outcome.results, strict=True)
    ]
    return {"receipt": outcome.receipt, "results": results}


def _result(sent: Sent, place: Place | None, result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {"id": sent.sent_id, "status": result.status, "warnings": list(result.warnings)}
    if result.reason is not None:
        told["reason"] = result.reason
    if place is not None and result.status in ("accepted", "duplicate"):  # a phone may have lost the first answer
        told["located"] = dict(place.located)
        if place.nearest_stop_id is not None:
            told["located"]["nearest_stop_id"] = place.nearest_stop_id
    if result.answer is not None:
        told["answer"] = dict(result.answer)
    return told
