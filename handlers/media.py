"""Pictures that facts name by their SHA-256: photos, signatures, evidence. The fact comes first or the picture does.

A payload field called one of `FIELDS` holds the hash of what the phone puts at `/v1/media/{sha256}`. A fact that names
pictures is `proof_pending` until all of them are there; each arrival comes to the subject as the event `timer.media`, so the
story is told again, and what a public model declares as `proof_state` is published anew. What is no SHA-256 (an older form, a
reference into another system) names no picture, and nothing waits for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, TypeGuard, get_args
from uuid import UUID

from pydantic import BaseModel

from handlers.fields import FieldClass, split
from handlers.story import Event, EventType, Fact, PublicType, Said, Write

FIELDS = frozenset({"signature", "carrier_signature", "photo", "evidence"})
OPERATORS_OWN = frozenset({"evidence"})  # of a move, of a death: it may show where somebody lives now
ARRIVED = "timer.media"
STATE = "proof_state"
ProofState = Literal["proof_pending", "proof_complete"]
_SHA256 = re.compile(r"[0-9a-f]{64}")
Named = tuple[str, str, str]  # the hash, the field, the class of the field


def is_sha256(text: object) -> TypeGuard[str]:
    """Tell whether this is the name of a picture: 64 hexadecimal digits, lower case."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


@lru_cache(maxsize=512)
def may_name(model: type[BaseModel]) -> bool:
    """Tell whether a payload, or a model inside it, has a field for a picture."""
    return any(
        name in FIELDS or any(may_name(inner) for inner in _models(field.annotation))
        for name, field in model.model_fields.items()
    )


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for arm in get_args(annotation):
        yield from _models(arm)


def named(payload: type[BaseModel], data: Mapping[str, Any]) -> list[Named]:
    """Name the pictures of a payload, each with its field and that field's class; each once for a field."""
    if not may_name(payload):
        return []
    parts = split(payload, data)
    found = ((sha256, field, name.value) for name, part in parts.items() for sha256, field in _hashes(part))
    return list(dict.fromkeys(found))


def _hashes(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if field and is_sha256(value):
            yield value, field
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _hashes(inner, name if name in FIELDS else "")
    elif isinstance(value, list):
        for inner in value:
            yield from _hashes(inner, field)


def marked(
    said: Sequence[Said], facts: Sequence[Fact], events: Sequence[EventType], publishes: Sequence[PublicType]
) -> Sequence[Said]:
    """Say of each fact that names pictures whether all of them are there, where its public model declares `proof_state`."""
    payloads = {each.name: each.payload for each in events if each.names_pictures and may_name(each.payload)}
    if not payloads:
        return said
    models = {each.name for each in publishes if STATE in each.data.model_fields}
    there = {fact.data.get("sha256") for fact in facts if fact.type == ARRIVED}
    return [_marked(each, payloads.get(each.fact.type), there) if each.type in models else each for each in said]


def _marked(said: Said, payload: type[BaseModel] | None, there: set[Any]) -> Said:
    wanted = {sha256 for sha256, _, _ in named(payload, said.fact.data)} if payload else set()
    if not wanted:
        return said
    state: ProofState = "proof_complete" if wanted <= there else "proof_pending"
    return replace(said, data={**said.data, STATE: state})


def wanted(
    before: Sequence[Fact], after: Sequence[Fact], event: Event, handler: str, *, events: Sequence[EventType]
) -> list[Write]:
    """Write down which pictures the new fact names, or the fact that a correction put in its place."""
    types = {each.name: each for each in events if each.names_pictures and may_name(each.payload)}
    if not types:
        return []
    known = {(fact.id, sha256) for fact in before for sha256, _, _ in _of_fact(types, fact)}
    return [
        Write(
            "media.want",
            (
                *(sha256, UUID(fact.id), handler, event.subject, field, purpose, event.site),
                *(_shared(types, fact, field), fact.occurred_at),
            ),
        )
        for fact in after
        for sha256, field, purpose in _of_fact(types, fact)
        if (fact.id, sha256) not in known
    ]


def _of_fact(types: Mapping[str, EventType], fact: Fact) -> list[Named]:
    return named(types[fact.type].payload, fact.data) if fact.type in types else []


def _shared(types: Mapping[str, EventType], fact: Fact, field: str) -> bool:
    """Tell whether the account whose order it is may see the picture; what is secret leaves to nobody anyway."""
    asks = types[fact.type].pictures_for_owner
    return field not in OPERATORS_OWN and (asks is None or asks(fact.data))


def is_health(purpose: str) -> bool:
    """Tell whether a picture of this class needs the scope `health`."""
    return purpose == FieldClass.HEALTH
