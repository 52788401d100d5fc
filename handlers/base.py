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
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import Annotated, Any, ClassVar
from uuid import UUID

import orjson
from pydantic import BaseModel, TypeAdapter

from handlers import tasks
from handlers.fields import PUBLIC, PublicData, format_time
from handlers.story import PREFIX, SUFFIX, Decision, Event, EventType, Fact, PublicEvent, PublicType, Said, State, Tale


class Correction(PublicData):
    """What was published does not hold."""

    corrects: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    reason: Annotated[str, PUBLIC]


CORRECTED = PublicType("event.corrected", Correction, {"fr": "Fait corrigé", "en": "Fact corrected"})


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
        kept[self.subject.partition("{")[2].rstrip("}")] = subject.partition("/")[2]
        return kept

    @abstractmethod
    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Tell the whole story from the facts, oldest first; warnings, timers, writes, commands and answer are about `new`.

        `said` covers every fact. Raise `Refused` to leave `new` out. Facts `task.*` are among them, and are said by the base.
        """

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Insert the fact where it happened, tell the story again, and publish what is new or came out different."""
        body = state.body or {}
        new = _fact_of(event, self.kept(event.type, event.subject, event.data))
        facts = [Fact(*row) for row in body.get("facts", [])]
        if self.takes_tasks:
            tasks.check(facts, new)
        insort(facts, new)
        tale = self.tell(facts, new, now)
        said = [*tasks.said(facts), *tale.said] if self.takes_tasks else tale.said
        public, published = _publish(said, body.get("published", {}), event, {fact.id for fact in facts})
        closing = {each.name for each in self.events if each.closes_task}
        task_writes = tasks.writes(facts, new, subject=event.subject, closing=closing) if self.takes_tasks else []
        facts = facts[-self.facts_kept :]
        left = {fact.id for fact in facts}
        ordered = new.type == "task.planned"
        return Decision(
            new_state={
                "facts": [_row(fact) for fact in facts],
                "published": {name: known for name, known in published.items() if name.partition(" ")[0] in left},
                "now": dict(tale.now_is),
            },
            public_events=public,
            timers=tale.timers,
            writes=[*task_writes, *tale.writes],
            commands=tale.commands,
            warnings=tale.warnings,
            answer=tale.answer,
            account=new.account if ordered else None,
            person=tasks.person_of(new, subject=event.subject) if ordered else None,
        )


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


def _publish(
    said: Sequence[Said], before: Mapping[str, Sequence[str]], event: Event, kept: set[str]
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
        fresh.append(PublicEvent(part, each.type, each.fact.occurred_at, each.data, known[0] if known else None))
        published[name] = [evt_id(event.id, part), digest]
    for name, known in before.items():
        if name not in published and name.split(" ", 1)[0] in kept:
            gone = {"corrects": known[0], "kind": "did_not_occur", "reason": "late_truth"}
            fresh.append(PublicEvent(next(extra), "event.corrected", event.occurred_at, gone, known[0]))
    return fresh, published


def _next_part(is_own: bool, own: Iterator[int], extra: Iterator[int]) -> int:
    if is_own:
        for part in own:
            return part
    return next(extra)
