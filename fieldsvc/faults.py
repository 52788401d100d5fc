"""What is wrong with a body that a model refuses, in words that repeat nothing of it."""

from functools import cache
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError


class Fault(NamedTuple):
    """A member, what is wrong with it in words, and pydantic's name for that."""

    member: str
    says: str
    kind: str


def faults_of(model: type[BaseModel], error: ValidationError) -> list[Fault]:
    """List the faults; a name that the model does not have is the sender's own, and is left out."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [Fault(_place(fault["loc"], _names(model)), fault["msg"], fault["type"]) for fault in found]


def said(model: type[BaseModel], error: ValidationError, *, most: int = 5) -> str:
    """Say the first faults in one line."""
    return "; ".join(f"{fault.member}: {fault.says}" for fault in faults_of(model, error)[:most])


def _place(loc: tuple[int | str, ...], names: frozenset[str]) -> str:
    return ".".join(str(part) for part in loc if isinstance(part, int) or part in names) or "body"


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Gather the names of a model's members, however deep they lie."""
    found, left = set[str](), list[Any]([model])
    while left:
        kind = left.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                found.add(field.alias or name)
                left.append(field.annotation)
        else:
            left.extend(each for each in get_args(kind) if not isinstance(each, str))
    return frozenset(found)
