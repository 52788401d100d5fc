"""The contract between a service and the journal.

A service tells a story: given every fact about one subject, in the order they happened, `tell` says what is public about
each of them, what must happen later and what else must be written. The journal keeps the facts; when one arrives late, the
story is told again, and what comes out different is published with `supersedes`. So a day replayed in any order of arrival
reaches the same state. Nothing here has a clock or does I/O.
"""

import hashlib
from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain, count
from typing import Any, ClassVar
from uuid import UUID

import orjson
from pydantic import BaseModel, TypeAdapter

from handlers import alerting, corrections, media, sandbox, tasks
from handlers.fields import format_time
from handlers.ladder import Ladder
from handlers.order_forms import Order
from handlers.story import (
    PREFIX,
    SUFFIX,
    Decision,
    Event,
    EventType,
    Fact,
    PublicEvent,
    PublicType,
    Refused,
    Said,
    State,
    Tale,
    Write,
)


def evt_id(event_id: UUID | str, part: int) -> str:
    """Name a public event: `evt_` + the field event's UUID, `_n` for a derived one."""
    return f"evt_{event_id}" + (f"_{part}" if part else "")


def wire_type(name: str) -> str:
    """`item.delivered` -> `fieldsvc.item.delivered.v1`."""
    return f"{PREFIX}{name}{SUFFIX}"


def short_type(name: str) -> str | None:
    """`fieldsvc.item.delivered.v1` -> `item.delivered`; None for another prefix or version."""
    if name.startswith(PREFIX) and name.endswith(SUFFIX):
        return name[len(PREFIX) : -len(SUFFIX)]
    return None


@lru_cache(maxsize=512)
def _adapter(model: type[BaseModel]) -> TypeAdapter[BaseModel]:
    return TypeAdapter(model)


@lru_cache(maxsize=512)
def _names(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def validated(model: type[BaseModel], data_json: bytes) -> dict[str, Any]:
    """Validate JSON strictly and return it as JSON values, set fields only. pydantic.ValidationError otherwise."""
    payload = _adapter(model).validate_json(data_json, strict=True)
    return payload.model_dump(mode="json", exclude_unset=True, by_alias=True)


class Handler(ABC):
    """One service. Subclass it in one file of this folder and bind an instance to `HANDLER`."""

    name: ClassVar[str]
    title: ClassVar[Mapping[str, str]]
    subject: ClassVar[str]  # "pouch/{pouch_id}": how a payload names its subject
    events: ClassVar[tuple[EventType, ...]]
    publishes: ClassVar[tuple[PublicType, ...]]
    takes_tasks: ClassVar[bool] = False
    issues_ids: ClassVar[bool] = False  # a task without a subject gets one from the server
    sealed_state: ClassVar[bool] = True
    discreet: ClassVar[bool] = False  # supervisors see a timed task, and not which kind
    stories: ClassVar[
        Sequence[Sequence[tuple[str, Mapping[str, Any], str, float]]]
    ] = ()  # further ones for the documents:
    # (type, data, who says it, minutes after the first) of one subject, for public types that single examples do not reach
    order: ClassVar[type[Order] | None] = None  # what is asked of who orders: forms for people are drawn from it
    correctable: ClassVar[bool] = True  # whether `event.corrected` may be said of its events
    facts_kept: ClassVar[int] = 500  # the newest; what is older than these is said once, and not told again

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the subjects that the event decides on, in the order of its parts; never empty."""
        if event_type in tasks.TYPES:
            return (data["subject"],)
        return (self.subject.format_map(data),)

    def touches(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the other subjects that the event itself names."""
        del event_type, data
        return ()

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the subject's story keeps of a payload: declared fields, of a fix its accuracy, and its own id.

        What a payload does not declare stays in the journal, so that no service can publish it by accident.
        """
        payload = next((each.payload for each in self.events if each.name == event_type), None)
        kept = dict(data) if payload is None else {name: data[name] for name in _names(payload) if name in data}
        fix = kept.pop("fix", None) or data.get("fix")
        if isinstance(fix, Mapping) and fix.get("accuracy_m") is not None:
            kept["fix"] = {"accuracy_m": fix["accuracy_m"]}
        return kept | self.own_id(subject)

    def own_id(self, subject: str) -> dict[str, str]:
        """Return the subject's id under the name that payloads have for it."""
        return {self.subject.partition("{")[2].rstrip("}"): subject.partition("/")[2]}

    def ladder(self, kind: str, level: str, facts: Sequence[Fact]) -> Ladder:
        """Say who is told, one after the other, while nobody has the alert of a public type; "desk" is the open duty desk."""
        del kind, level, facts
        return ()

    def reach(self, facts: Sequence[Fact], alert: alerting.Alert, who: str) -> Sequence[Write]:
        """Tell whoever stands on the rung of a ladder that was reached just now; the screens show it anyway."""
        del facts, alert, who
        return ()

    @abstractmethod
    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Tell the whole story from the facts, oldest first; warnings, timers, writes, commands and answer are about `new`.

        `said` covers every fact. Raise `Refused` to leave `new` out. Facts `task.*` are among them, and are said by the base.
        Of a correction, `new` is the fact that it corrects: as it now stands, or no longer among `facts` if it did not occur.
        """

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Insert the fact where it happened, tell the story again, and publish what is new or came out different."""
        if event.type == corrections.NAME and not self.correctable:
            raise Refused("not_correctable")
        body = state.body or {}
        facts = [Fact(*row) for row in body.get("facts", [])]
        new = self._fact(event, facts)
        if self.takes_tasks:
            tasks.check(facts, new)
        before = corrections.applied(facts)
        insort(facts, new)
        after = corrections.applied(facts)
        about = corrections.about([*after, *before, *facts], new)
        tale = self.tell(after, about, now)
        closing = {each.name for each in self.events if each.closes_task}
        said = [*tasks.said(after, closing), *tale.said] if self.takes_tasks else tale.said
        said = media.marked(said, after, self.events, self.publishes)
        pictures = media.wanted(before, after, event, self.name, events=self.events)
        public, published = _publish(said, body.get("published", {}), event, facts=facts)
        task_writes = (
            tasks.writes(before, after, new, subject=event.subject, closing=closing) if self.takes_tasks else []
        )
        task_writes += sandbox.plays(event, self, now=now)
        alerts = self._alerts(body.get("alerts", {}), event, said=said, facts=after)
        stands, ordered = about in after, new.type == "task.planned"
        return Decision(
            new_state={
                **_kept_state(alerting.thinned(facts)[-self.facts_kept :], published),
                **alerts.state,
                "now": dict(tale.now_is),
            },
            public_events=public,
            timers=[*tale.timers, *alerts.timers] if alerts.timers else tale.timers,
            writes=[
                *task_writes,
                *pictures,
                *tale.writes,
                *self._thing(body.get("now", {}).get("place"), tale, about, facts=after, event=event, now=now),
                *alerts.writes,
                *alerting.assignee_notice(event, new),
            ],
            commands=tale.commands if stands else (),
            warnings=tale.warnings if stands else (),
            answer=tale.answer if stands else None,
            account=new.account if ordered else None,
            person=tasks.person_of(new, subject=event.subject) if ordered else None,
        )

    def _alerts(
        self, before: Mapping[str, Sequence[Any]], event: Event, *, said: Sequence[Said], facts: Sequence[Fact]
    ) -> alerting.Outcome:
        types = {each.name: each for each in self.publishes}
        if sandbox.is_own(event.subject):  # what plays there needs nobody
            types = {}

        def ladder(kind: str, level: str) -> Ladder:
            return self.ladder(kind, level, facts)

        found = alerting.decide(alerting.Source(self.name, types, event, self.discreet, ladder), before, said, facts)
        told = [self._reached(facts, event.subject, each) for each in found.reached]
        return replace(found, writes=[*found.writes, *chain.from_iterable(told), *found.calls])

    def _reached(self, facts: Sequence[Fact], subject: str, alert: alerting.Alert) -> Sequence[Write]:
        if alert.told == "desk":
            return [alerting.call_desk(self.name, subject, alert.id)]
        return self.reach(facts, alert, alert.told or "")

    def _thing(
        self, was: str | None, tale: Tale, about: Fact, *, facts: Sequence[Fact], event: Event, now: datetime
    ) -> list[Write]:
        """Follow a thing from hand to hand: it is on a run when by a fact of that run it comes into, or leaves, its carrier's.

        Of a late fact it counts what that one did then, so that a run took the same whatever arrived when.
        """
        place = tale.now_is.get("place")
        if place is None:
            return []
        steps = {was, place}
        if about in facts[:-1]:
            end = facts.index(about)
            parts = facts[:end], facts[: end + 1]
            steps = {self.tell(part, part[-1], now).now_is.get("place") if part else None for part in parts}
        moved_then = len(steps) > 1 and "carrier" in steps
        if place == was and not moved_then:
            return []
        is_on_run = was is not None or "carrier" in {place, *steps}
        return [Write("run_thing.move", (event.subject, event.run if is_on_run else None, place, now))]

    def _fact(self, event: Event, known: Sequence[Fact]) -> Fact:
        """Make the event's fact; of a correction, with what the story keeps of the new data if that names this subject.

        What a service keeps of the envelope (`_site`, `_voice`) and whose phone it was stay as they were.
        """
        if event.type in alerting.PAYLOADS:
            return _fact_of(event, alerting.kept(event, self.own_id(event.subject)))
        if event.type != corrections.NAME:
            return _fact_of(event, self.kept(event.type, event.subject, event.data))
        data, original = event.data.get("replacement"), event.original
        if data is None or original is None or event.subject not in self.subjects_of(original.type, data):
            return corrections.fact_of(event, None)
        envelope = {name: value for name, value in event.data.items() if name.startswith("_")}
        kept = self.kept(original.type, event.subject, {**data, **envelope})
        before = next((fact.data for fact in known if fact.id == original.id), {})
        same = {name: value for name, value in before.items() if name.startswith("_") or name == "carrier"}
        return corrections.fact_of(event, {**kept, **same})


def _fact_of(event: Event, data: Mapping[str, Any]) -> Fact:
    return Fact(
        at=format_time(event.occurred_at),
        id=str(event.id),
        type=event.type,
        data=data,
        by=event.actor.kind,
        account=event.actor.account,
        run=event.run,
        located=event.located,
        placement=event.placement,
        late_s=event.late_s,
        clock_suspect=event.clock_suspect,
    )


def _row(fact: Fact) -> list[Any]:
    row: list[Any] = [fact.at, fact.id, fact.type, fact.data, fact.by, fact.account, fact.run]
    row += [fact.located, fact.placement, fact.late_s, fact.clock_suspect]
    while row[-1] is None or row[-1] is False:
        row.pop()
    return row


def _digest(said: Said) -> str:
    """Digest what a reader would see; of a location only its stop counts."""
    data = dict(said.data)
    if isinstance(data.get("located"), Mapping):
        data["located"] = data["located"].get("stop_id")
    text = orjson.dumps([said.type, said.fact.at, data], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]


def _kept_state(facts: Sequence[Fact], published: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Keep the facts, and of what was published that which they can still change."""
    left = _tellable(facts)
    still = {name: known for name, known in published.items() if name.partition(" ")[0] in left}
    return {"facts": [_row(fact) for fact in facts], "published": still}


def _tellable(facts: Sequence[Fact]) -> set[str]:
    """Name the events of which the story can say something: its facts, and those that they correct."""
    return {fact.id for fact in facts} | corrections.newest(facts).keys()


def _publish(
    said: Sequence[Said], before: Mapping[str, Sequence[str]], event: Event, *, facts: Sequence[Fact]
) -> tuple[list[PublicEvent], dict[str, list[str]]]:
    """Compare with what was published: say what is new, replace what changed, withdraw what no longer holds.

    The event's own first public event takes its plain id, everything else a derived one.
    """
    fresh: list[PublicEvent] = []
    published: dict[str, list[str]] = {}
    own, extra = iter((event.main_part,)), count(event.extra_part)
    for each in said:
        name, digest = f"{each.fact.id} {each.type} {each.key}", _digest(each)
        known = before.get(name)
        if known and known[1] == digest:
            published[name] = list(known)
            continue
        part = _next_part(each.fact.id == str(event.id), own, extra)
        about = each.type, each.fact.occurred_at, each.data
        fresh.append(PublicEvent(part, *about, known[0] if known else None, each.fact.run))
        published[name] = [evt_id(event.id, part), digest]
    corrected, tellable = corrections.newest(facts), _tellable(facts)
    for name, known in before.items():
        told_by = name.partition(" ")[0]
        if name not in published and told_by in tellable:
            why = corrected[told_by].data["reason"] if told_by in corrected else "late_truth"
            gone = {"corrects": known[0], "kind": "did_not_occur", "reason": why}
            fresh.append(PublicEvent(next(extra), corrections.NAME, event.occurred_at, gone, known[0]))
    return fresh, published


def _next_part(is_own: bool, own: Iterator[int], extra: Iterator[int]) -> int:
    if is_own:
        for part in own:
            return part
    return next(extra)
