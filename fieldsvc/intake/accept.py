"""The story of an event, from the bytes of an upload to its answer.

A phone sends what its carrier did: one event or five hundred, now or hours later, perhaps twice, perhaps with a wrong clock.
Each member of the upload goes the same way:

- it is told apart from the others, and looked at as a CloudEvent: what is wrong with it is wrong with it alone;
- an upload with something old in it waits until it is its turn: what happens now goes first;
- its type names the service, whose payload model checks it strictly;
- its time is corrected by how wrong the phone's clock is at this very moment;
- it is located: by the thing scanned, by the stop named, else by its fix on the planned round; then the fix is dropped,
  unless the type is a proof, an alarm or a reported place, which keeps it, sealed;
- an address in it is looked up and placed between two stops, for the answer;
- a correction names an event instead: it takes that event's service and subjects, and goes the same way from here;
- an alarm is on the screens of this process already, and still has to be committed;
- it goes into the journal's queue with the rest of its request, and waits for the one commit that decides, stores, queues
  and acknowledges it.

Good credentials and bad content never make an error: such a member is kept in quarantine with a reason, and the phone may
forget it. Only a request that cannot be taken apart, or that must be sent again, is answered with one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from fieldsvc.intake import clocks
from fieldsvc.intake.abouts import Abouts
from fieldsvc.intake.answers import answer_of
from fieldsvc.intake.backlog import Backlog
from fieldsvc.intake.checks import checked, fix_of
from fieldsvc.intake.corrections import Corrector, Original, Originals
from fieldsvc.intake.expected import compared
from fieldsvc.intake.formats.cloudevents import Sent, decode
from fieldsvc.intake.location import Locator, Place
from fieldsvc.intake.points import Points
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Rejected, Submission
from fieldsvc.journal.writer import Writer
from fieldsvc.logs import get_logger
from fieldsvc.store.database import is_unreachable
from fieldsvc.store.device import Device
from fieldsvc.tracking.siren import Siren
from fieldsvc.work.placement import Placer
from fieldsvc.work.rounds import RoundStore, RunPlan
from geo import Fix as GeoFix
from handlers import corrections, sandbox
from handlers.alarm import RAISED
from handlers.base import Handler
from handlers.fields import format_time
from handlers.registry import Registry
from handlers.story import Actor, EventType, Refused

log = get_logger()


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
    originals: Originals
    abouts: Abouts
    points: Points
    siren: Siren = field(default_factory=Siren)
    backlog: Backlog = field(default_factory=Backlog)
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
    async with intake.backlog.turn(_oldest(upload, members), len(members), now=upload.received_at):
        return await _take(intake, upload, members)


async def _take(intake: Intake, upload: Upload, members: Sequence[Sent]) -> dict[str, Any]:
    items: list[Incoming | Rejected] = []
    places: list[Place | None] = []
    for sent in members:
        item, place = await _prepare(intake, upload, sent, earlier=items)
        items.append(item)
        places.append(place)
    device = upload.caller.device
    submission = Submission(items, device.device_id if device else None, upload.caller.site, upload.received_at)
    intake.siren.sound(items)
    outcome = await intake.writer.submit(submission)
    return answer_of(members, places, outcome)


def _oldest(upload: Upload, members: Sequence[Sent]) -> datetime | None:
    """Tell when the oldest event of a phone's upload happened; None where nobody may wait: a person's, a call for help."""
    if upload.caller.device is None or any(sent.type == RAISED.name for sent in members):
        return None
    return min((_read_clocks(upload, sent).occurred_at for sent in members if sent.time is not None), default=None)


async def _prepare(
    intake: Intake, upload: Upload, sent: Sent, *, earlier: Sequence[Incoming | Rejected]
) -> tuple[Incoming | Rejected, Place | None]:
    """Make one member ready to be decided, or say why it cannot be."""
    reason = sent.reason
    if reason is None:
        try:
            if sent.type == corrections.NAME:
                return await _correction(intake, upload, sent, earlier=earlier), None
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
    reading = _read_clocks(upload, sent)
    _refuse_if_lost(upload.caller.device, reading.occurred_at)
    known = await _of_own_site(intake, upload.caller, known)
    caller = upload.caller
    data = await intake.abouts.filled(known.event_type, known.data, actor=caller.actor, site=caller.own_site)
    known = replace(known, data=data)
    plan = await _plan(intake, upload.caller, known, reading.occurred_at)
    place = _locate(intake.locator, known, plan, reading.occurred_at)
    known = _fill(known, plan, place, device=upload.caller.device)
    await intake.points.check(known.data, plan, site=caller.own_site)
    placement = await _place_address(intake.placer, known, plan)
    subjects = _subjects(known, upload.caller.own_site)
    place = compared(place, plan, subjects) if known.event_type.expected else place
    incoming = _incoming(
        upload,
        known,
        subjects=subjects,
        reading=reading,
        site=upload.caller.own_site or (plan.site if plan else None),
        run=known.sent.run or (plan.run_id if plan else None),
        located=_on_the_line(place.located, known.event_type),
        placement=placement,
        warnings=place.warnings,
        hmac=intake.vault.content_hmac(sent.content),
    )
    return incoming, place


async def _correction(
    intake: Intake, upload: Upload, sent: Sent, *, earlier: Sequence[Incoming | Rejected]
) -> Incoming:
    """Make a correction ready: it is decided on every subject that the event, or what replaces it, names."""
    caller, said = upload.caller, checked(corrections.Corrected, sent.data)
    if caller.actor.kind not in corrections.BY:
        raise Refused("not_allowed")
    reading = _read_clocks(upload, sent)
    _refuse_if_lost(caller.device, reading.occurred_at)
    corrector = Corrector(caller.actor, caller.device, caller.own_site, reading.occurred_at)
    before = {item.id: item for item in earlier if isinstance(item, Incoming)}
    original = await intake.originals.find(UUID(said["corrects"]), corrector, earlier=before)
    payload = corrections.payload_of(original.event_type.payload)
    known = Known(sent, original.handler, original.event_type, checked(payload, sent.data), None)
    subjects, fact = original.subjects, original.fact
    if known.data["kind"] == "incorrect_data":
        if not known.data.get("replacement"):
            raise Refused("bad_payload")
        held = replace(known, data=_as_original(original, known.data["replacement"], caller.device))
        known = replace(known, data={**known.data, "replacement": held.data})
        await intake.points.check(held.data, None, site=caller.own_site)
        subjects = tuple(dict.fromkeys((*subjects, *_subjects(held, caller.own_site))))
        placed = await _place_address(intake.placer, held, await intake.rounds.run_plan(fact.run) if fact.run else None)
        fact = replace(fact, placement=placed or fact.placement)
    made = _incoming(
        upload,
        known,
        subjects=subjects,
        reading=reading,
        site=original.site,
        run=fact.run,
        hmac=intake.vault.content_hmac(sent.content),
    )
    return replace(made, payload=payload, original=fact)


def _as_original(original: Original, data: Mapping[str, Any], device: Device | None) -> dict[str, Any]:
    """Complete a replacement as the corrected event was: its own id, run and point where they are left out, whose phone it is."""
    own, event_type = original.handler.own_id(original.subjects[0]), original.event_type
    filled = ("run_id", "delivery_point_id", event_type.own_id)
    missing = {name: value for name, value in own.items() if name in filled and data.get(name) is None}
    if event_type.names_carrier and device is not None:
        missing["carrier"] = device.carrier
    return {**data, **missing}


def _incoming(
    upload: Upload, known: Known, *, subjects: tuple[str, ...], reading: clocks.Reading, hmac: bytes, **more: Any
) -> Incoming:
    """Put together what the journal decides."""
    device, entered_by, sent = upload.caller.device, upload.caller.actor.entered_by, known.sent
    return Incoming(
        id=sent.id,
        type=sent.type,
        handler=known.handler,
        payload=known.event_type.payload,
        subjects=subjects,
        touches=known.handler.touches(sent.type, known.data),
        occurred_at=reading.occurred_at,
        received_at=upload.received_at,
        data=known.data,
        content_hmac=hmac,
        actor=upload.caller.actor,
        raw=sent.raw,
        warnings=(*(("clock_suspect",) if reading.suspect else ()), *more.pop("warnings", ())),
        operational=_envelope(upload, sent, subjects, reading),
        device=device.device_id if device else None,
        personal={"entered_by": entered_by} if entered_by else {},
        **more,
    )


def _read_clocks(upload: Upload, sent: Sent) -> clocks.Reading:
    return clocks.read(
        sent.time, sent_at=upload.sent_at, received_at=upload.received_at, unreadable=upload.clock_unreadable
    )


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
    fix = fix_of(fix_said)
    clean = checked(event_type.payload, data)
    if event_type.keeps_fix and fix_said is not None:
        clean["fix"] = fix_said
    return Known(sent, handler, event_type, clean, fix)


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


def _subjects(known: Known, site: str | None) -> tuple[str, ...]:
    try:
        named = known.handler.subjects_of(known.event_type.name, known.data)
    except (KeyError, TypeError):
        raise Refused("no_subject") from None
    if not named:
        raise Refused("no_subject")
    if site == sandbox.SITE and not all(sandbox.is_own(subject) for subject in named):
        raise Refused("not_allowed")
    return tuple(dict.fromkeys(named))


def _envelope(upload: Upload, sent: Sent, subjects: Sequence[str], reading: clocks.Reading) -> dict[str, Any]:
    """Keep who said it, if no phone did, and what was said of time and subject where it differs from what is used."""
    kept: dict[str, Any] = {"time": sent.said_time}
    if upload.caller.actor.kind != "device":
        kept["by"] = upload.caller.actor.kind
    if upload.sent_at is not None:
        kept["sent_at"] = format_time(upload.sent_at)
    if sent.subject is not None and sent.subject not in subjects:
        kept["claimedsubject"] = sent.subject
    if reading.suspect:
        kept["clock_suspect"] = True
    return kept
