"""Alerts: what of a story somebody has to look at, who has it, and when it is over.

A public type that declares `alert` raises one; what its `settled_by` names ends it, public types of the story or the subject's
own timers (`timer.relieved`); so does its withdrawal. Of one type and key a subject has one open alert at most. Who has it is a
fact of the subject too (`alert.acknowledged`), and who is to take it (`alert.assigned`), so that all of this is told from the
facts, like everything else: whatever arrived when, it comes out the same.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from handlers.fields import PERSONAL, PUBLIC, Id, Note, Payload, format_time, parse_time
from handlers.ladder import Ladder, Rung, climb
from handlers.notice import notice
from handlers.story import DropTimer, Event, EventType, Fact, PublicType, Said, SetTimer, Write, titled

NAME, ASSIGNED = "alert.acknowledged", "alert.assigned"
DESK, RELIEVED = "timer.desk", "timer.relieved"
RUNG = "rung"  # timers of this kind, and what follows a dot, climb a ladder


class Acknowledged(Payload):
    """Somebody has it."""

    alert_id: Annotated[Id, PUBLIC]
    by: Annotated[Id | None, PERSONAL] = None
    comment: Annotated[Note | None, PERSONAL] = None


class Told(Payload):
    """How the one who is to take it is told, and the words of that."""

    contact: Annotated[dict[str, Any], PERSONAL]
    words: Annotated[dict[str, str], PERSONAL]


class Assigned(Payload):
    """Somebody is to take it: an account, or `desk:` and the name of a desk."""

    alert_id: Annotated[Id, PUBLIC]
    to: Annotated[Id, PERSONAL]
    comment: Annotated[Note | None, PERSONAL] = None
    told: Annotated[Told | None, PERSONAL] = None


ACKNOWLEDGED = EventType(
    NAME,
    Acknowledged,
    titled("Alerte prise en compte", "Alert acknowledged"),
    ({"alert_id": "al_0c5d8c1f2e44019a8f3e"},),
    frozenset({"supervisor", "operator"}),
)
PAYLOADS: Mapping[str, type[Payload]] = {NAME: Acknowledged, ASSIGNED: Assigned}


def kept(event: Event, own_id: Mapping[str, str]) -> dict[str, Any]:
    """Return what a story keeps of who has an alert, or is to take it; of a comment that there was one."""
    said = {"said": True} if event.data.get("comment") else {}
    if event.type == ASSIGNED:
        return {"alert_id": event.data["alert_id"], "to": event.data["to"], **said, **own_id}
    by = event.actor.entered_by or event.data.get("by") or event.actor.kind
    return {"alert_id": event.data["alert_id"], "by": by, **said, **own_id}


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who is to take an alert since when, and by which event something was last said to it. Of several the newest holds."""

    to: str | None = None
    at: str | None = None
    comment_event: str | None = None


def assignment(facts: Sequence[Fact], alert_id: str, taken: Fact | None) -> Assignment:
    """Read from the facts, oldest first, who is to take an alert; `taken` is the acknowledgement that counts."""
    given = [each for each in facts if each.type == ASSIGNED and each.data["alert_id"] == alert_id]
    spoke = max((each for each in (*given, *([taken] if taken else [])) if _speaks(each)), default=None)
    to, at = (given[-1].data["to"], given[-1].at) if given else (None, None)
    return Assignment(to, at, spoke.id if spoke else None)


def thinned(facts: Sequence[Fact]) -> list[Fact]:
    """Leave out the assignments that a newer one of the same alert makes void, so that they push nothing else out of a story."""
    newest: dict[tuple[str, bool], str] = {}
    for fact in facts:
        if fact.type == ASSIGNED:
            newest[fact.data["alert_id"], False] = fact.id
            if _speaks(fact):
                newest[fact.data["alert_id"], True] = fact.id
    kept_ids = frozenset(newest.values())
    return [fact for fact in facts if fact.type != ASSIGNED or fact.id in kept_ids]


def _speaks(fact: Fact) -> bool:
    return bool(fact.data.get("said") or fact.data.get("comment"))


def assignee_notice(event: Event, fact: Fact) -> list[Write]:
    """Tell the one who is to take an alert, by the contact that came with the word of it."""
    told = event.data.get("told") if event.type == ASSIGNED else None
    return [notice(fact, "alert_assigned", told["contact"], told["words"], key=event.data["alert_id"])] if told else []


def dangers(facts: Sequence[Fact], *, said: str, begins: Collection[str], ends: Collection[str]) -> list[Fact]:
    """Return the first word of each danger to a window: `timer.threatened`, `timer.at_risk`, or the type `said`.

    `begins` and `ends` are the types between which there is work in danger. What was relieved and threatened again is a danger
    of its own; what a late fact says never was (`withdrawn`) is none.
    """
    found: list[Fact] = []
    known: Fact | None = None
    over = False
    for fact in facts:
        if fact.type in ("timer.at_risk", "timer.threatened", said):
            known = known or (None if over else fact)
        elif fact.type == RELIEVED and fact.data.get("withdrawn"):
            known = None
        elif fact.type in (*begins, *ends, RELIEVED):
            over = over if fact.type == RELIEVED else fact.type in ends
            found += [known] if known else []
            known = None
    return found + ([known] if known else [])


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as the facts tell it; `begun` is when its raising was known. Times are RFC 3339."""

    id: str
    type: str
    key: str
    level: str
    event: str
    run: str | None
    raised_at: str
    begun: str
    rung: int = 0
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None
    settled_at: str | None = None
    next_at: str | None = None
    told: str | None = None  # who stands on the rung that was reached
    assigned_to: str | None = None
    assigned_at: str | None = None
    comment_event: str | None = None

    @property
    def stopped_at(self) -> str | None:
        """When somebody had it, or it was over: the first of the two."""
        return min((each for each in (self.acknowledged_at, self.settled_at) if each), default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision changes of its subject's alerts; `reached` are the rungs that are to be told now."""

    state: Mapping[str, Mapping[str, list[Any]]]
    writes: Sequence[Write]
    timers: Sequence[SetTimer | DropTimer]
    reached: Sequence[Alert]
    calls: Sequence[Write] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Whose alerts: the service, its declared types, and the event that is being decided."""

    service: str
    types: Mapping[str, PublicType]
    event: Event
    discreet: bool = False
    ladder: Callable[[str, str], Ladder] = lambda _type, _level: ()  # by public type and level


def decide(source: Source, before: Mapping[str, Sequence[Any]], said: Sequence[Said], facts: Sequence[Fact]) -> Outcome:
    """Compare the alerts that the facts tell with those known `before`; `facts` are those that hold, oldest first."""
    if not before and not any(source.types[each.type].alert for each in said if each.type in source.types):
        return Outcome({}, (), (), ())
    known = {name: Alert(*row) for name, row in before.items()}
    kept = {fact.id for fact in facts}
    told = {each.id: each for each in _told(source, said, facts)}
    for name, old in known.items():  # what a fact raised that is no longer kept stays as it is
        if name not in told and not (old.event in kept or old.settled_at or source.event.type == "event.corrected"):
            told[name] = old
    at = format_time(source.event.occurred_at)
    withdrawn = [
        replace(old, settled_at=old.settled_at or at, next_at=None) for name, old in known.items() if name not in told
    ]
    changed = [each for each in (*withdrawn, *told.values()) if each != known.get(each.id)]
    fired = source.event.type.startswith(f"timer.{RUNG}.")
    site = source.event.site or next((fact.data["_site"] for fact in facts if fact.data.get("_site")), None)
    return Outcome(
        {"alerts": {name: list(astuple(each)) for name, each in told.items()}} if told else {},
        [Write("alert.save", _row(source, each, site)) for each in changed],
        [timer for each in changed for timer in _timers(each, known.get(each.id))],
        [each for each in changed if fired and _climbed(each, known.get(each.id))],
        _desk_notices(source, told, facts),
    )


def call_desk(service: str, subject: str, alert_id: str) -> Write:
    """Have the duty desk that is open now told: it comes back to the subject as `timer.desk`, with its contact."""
    return Write("desk.call", (service, subject, alert_id))


def desk_notice(fact: Fact, params: Mapping[str, Any]) -> list[Write]:
    """Tell a desk by the contact that `timer.desk` brought; one without a contact has the screens."""
    contact = fact.data.get("contact")
    key = params["alert_id"]
    return [notice(fact, "alert_desk", contact, params, key=key)] if isinstance(contact, Mapping) else []


def words_of(alert_id: str, kind: str, *, level: str, run: str | None, raised_at: str) -> dict[str, str]:
    """Return the words of a desk's notice."""
    return {"alert_id": alert_id, "kind": kind, "level": level, "run_id": run or "?", "raised_at": raised_at}


def _desk_notices(source: Source, told: Mapping[str, Alert], facts: Sequence[Fact]) -> list[Write]:
    fact = next((each for each in facts if each.id == str(source.event.id) and each.type == DESK), None)
    alert = told.get(fact.data["alert_id"]) if fact else None
    if fact is None or alert is None or alert.stopped_at is not None:
        return []
    kind = "timed task" if source.discreet else alert.type
    return desk_notice(fact, words_of(alert.id, kind, level=alert.level, run=alert.run, raised_at=alert.raised_at))


def _told(source: Source, said: Sequence[Said], facts: Sequence[Fact]) -> Iterable[Alert]:
    quiet = [Said(fact, fact.type, {}) for fact in facts if fact.type.startswith("timer.")]
    episodes = _episodes(source, [*said, *quiet])
    takers, rungs = _takers(facts), rungs_of(facts)
    for each in episodes:
        taken = takers.get(each.id)
        alert = replace(each, acknowledged_at=taken.at, acknowledged_by=taken.data.get("by")) if taken else each
        given = assignment(facts, each.id, taken)
        alert = replace(alert, assigned_to=given.to, assigned_at=given.at, comment_event=given.comment_event)
        ladder = source.ladder(each.type, each.level)
        way = climb(ladder, begun=parse_time(each.begun), rungs=rungs.get(each.id, ()), stopped_at=alert.stopped_at)
        told = ladder[way.rung - 1].who if way.rung else None
        yield replace(alert, rung=way.rung, told=told, next_at=format_time(way.next_at) if way.next_at else None)


def _episodes(source: Source, said: Sequence[Said]) -> list[Alert]:
    """Tell when each alert was raised and settled, by type and key; the n-th of one has the same id in any order of arrival."""
    found: list[Alert] = []
    open_now: dict[tuple[str, str], int] = {}
    for each in sorted(said, key=lambda one: one.fact):
        declared, place = source.types.get(each.type), (each.type, each.key)
        for other in [other for other in open_now if _settles(each.type, other[1], source.types[other[0]].settled_by)]:
            number = open_now.pop(other)
            found[number] = replace(found[number], settled_at=each.fact.at)
        if declared is None or declared.alert is None:
            continue
        if place in open_now:
            found[open_now[place]] = _again(found[open_now[place]], each, declared.alert)
            continue
        open_now[place] = len(found)
        number = sum((one.type, one.key) == place for one in found)
        found.append(_raised(source, each, alert_id(source.event.subject, source.service, each, number)))
    return found


def _settles(kind: str, key: str, settled_by: Collection[str]) -> bool:
    return kind in settled_by or (key != "" and f"{key}:{kind}" in settled_by)


def alert_id(subject: str, service: str, said: Said, number: int) -> str:
    """Name the n-th alert of a type and key on a subject."""
    text = "\n".join((subject, service, said.type, said.key, str(number)))
    return f"al_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _raised(source: Source, said: Said, name: str) -> Alert:
    fact, subject = said.fact, source.event.subject
    run = fact.run or fact.data.get("run_id") or (subject.removeprefix("run/") if subject.startswith("run/") else None)
    level = said.data.get("level") or source.types[said.type].alert
    return Alert(name, said.type, said.key, str(level), fact.id, run, fact.at, known_at(fact))


def _again(alert: Alert, said: Said, level: str) -> Alert:
    """Raise an open alert again: the worse level counts, and its ladder goes on from when it was first known."""
    worse = "urgent" if "urgent" in (alert.level, said.data.get("level") or level) else alert.level
    return replace(alert, level=worse, begun=min(alert.begun, known_at(said.fact)))


def known_at(fact: Fact) -> str:
    """Tell when a fact arrived, whenever it happened."""
    return format_time(fact.occurred_at + timedelta(seconds=fact.late_s or 0))


def _takers(facts: Sequence[Fact]) -> dict[str, Fact]:
    """Find for each alert the first acknowledgement."""
    first: dict[str, Fact] = {}
    for fact in facts:
        if fact.type == NAME:
            first.setdefault(fact.data["alert_id"], fact)
    return first


def rungs_of(facts: Sequence[Fact]) -> dict[str, list[Rung]]:
    """Find for each alert the steps of its ladder that were due."""
    found: dict[str, list[Rung]] = {}
    for fact in facts:
        if fact.type.startswith(f"timer.{RUNG}."):
            rung = Rung(fact.data["rung"], fact.at, parse_time(known_at(fact)))
            found.setdefault(fact.data["alert_id"], []).append(rung)
    return found


def _climbed(now: Alert, before: Alert | None) -> bool:
    return before is not None and now.rung > before.rung and now.stopped_at is None


def _timers(now: Alert, before: Alert | None) -> list[SetTimer | DropTimer]:
    if (now.next_at, now.rung) == (before.next_at if before else None, before.rung if before else 0):
        return []
    kind = now.type + (f".{now.key}" if now.key else "")
    return [rung_timer(kind, now.id, parse_time(now.next_at) if now.next_at else None, now.rung + 1)]


def rung_timer(kind: str, alert_id: str, due_at: datetime | None, rung: int) -> SetTimer | DropTimer:
    """Set the timer of the next rung, or drop it if none is due."""
    name = f"{RUNG}.{kind}"
    return SetTimer(name, due_at, {"alert_id": alert_id, "rung": rung}) if due_at else DropTimer(name)


def _row(source: Source, alert: Alert, site: str | None) -> tuple[Any, ...]:
    def moment(text: str | None) -> datetime | None:
        return parse_time(text) if text else None

    head = alert.id, alert.type, alert.level, source.service, source.event.subject, source.discreet
    where = alert.run, site, UUID(alert.event)
    taken = moment(alert.acknowledged_at), alert.acknowledged_by
    given = alert.assigned_to, moment(alert.assigned_at), UUID(alert.comment_event) if alert.comment_event else None
    return (*head, *where, moment(alert.raised_at), alert.rung, alert.told, *taken, moment(alert.settled_at), *given)
