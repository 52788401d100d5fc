"""Find the services: every module of this folder that binds `HANDLER`. A faulty one refuses to start, naming its file."""

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType

import orjson
from pydantic import ValidationError

from handlers import corrections, tasks
from handlers.base import Handler, validated
from handlers.fields import HEALTH, Payload, PublicData, classes
from handlers.story import EventType, PublicType

_SHARED = {
    "__init__", "access_case", "alerting", "base", "change_notices", "change_states", "changes", "corrections", "custody", "fields", "item_codes", "item_ends", "item_ids", "ladder", "media",
    "notice", "notice_code", "order_forms", "placing", "products", "proof", "registry", "sandbox", "story", "tasks", "visit_consent",
}  # fmt: skip


class FaultyHandler(Exception):
    """A file of the services folder cannot be used; the message names the file and the fault."""


@dataclass(frozen=True)
class Registry:
    """The services by name, by field-event type, and the models of public types."""

    handlers: Mapping[str, Handler]
    by_type: Mapping[str, tuple[Handler, EventType]]
    public: Mapping[str, PublicType]

    @property
    def kinds(self) -> Mapping[str, EventType]:
        """Every type of field event that may be sent: those of the services, and corrections."""
        return {name: kind for name, (_, kind) in self.by_type.items()} | {corrections.NAME: corrections.EVENT}

    def task_handler(self, service: str) -> Handler | None:
        """Return the service that takes such tasks."""
        handler = self.handlers.get(service)
        return handler if handler is not None and handler.takes_tasks else None


def discover(*folders: Path, health: bool = True) -> Registry:
    """Load the services of this folder and of further ones. `FaultyHandler` names the file that is malformed or a duplicate.

    Without `health`, services of which any field is classed health do not exist here: their types are unknown.
    """
    own = Path(__file__).parent
    handlers: dict[str, Handler] = {}
    by_type: dict[str, tuple[Handler, EventType]] = {}
    public: dict[str, PublicType] = {each.name: each for each in (*tasks.PUBLISHES, corrections.PUBLISHED)}
    for folder in (own, *folders):
        for file in sorted(folder.glob("*.py")):
            if folder != own or file.stem not in _SHARED:
                handler = _load(file, own=folder == own)
                if health or not has_health(handler):
                    _add(handler, file, handlers, by_type, public)
    return Registry(MappingProxyType(handlers), MappingProxyType(by_type), MappingProxyType(public))


def has_health(handler: Handler) -> bool:
    """Tell whether a service says or hears anything classed health."""
    models = [*(each.payload for each in handler.events), *(each.data for each in handler.publishes)]
    return any(HEALTH in classes(model) for model in models)


def _load(file: Path, *, own: bool) -> Handler:
    name = f"handlers.{file.stem}" if own else f"handlers_added.{file.stem}"
    try:
        module = importlib.import_module(name) if own else _load_file(name, file)
    except Exception as error:
        raise FaultyHandler(f"{file}: {type(error).__name__}: {error}") from error
    handler = getattr(module, "HANDLER", None)
    if not isinstance(handler, Handler):
        raise FaultyHandler(f"{file}: binds no HANDLER")
    return handler


def _load_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FaultyHandler(f"{file}: cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _add(
    handler: Handler,
    file: Path,
    handlers: dict[str, Handler],
    by_type: dict[str, tuple[Handler, EventType]],
    public: dict[str, PublicType],
) -> None:
    for fault in _faults(handler):
        raise FaultyHandler(f"{file}: {fault}")
    if handler.name in handlers:
        raise FaultyHandler(f"{file}: the service {handler.name} exists already")
    handlers[handler.name] = handler
    for each in handler.events:
        if each.name in by_type or each.name in (*tasks.TYPES, corrections.NAME):
            raise FaultyHandler(f"{file}: the event type {each.name} exists already")
        by_type[each.name] = (handler, each)
    for said in handler.publishes:
        if public.setdefault(said.name, said) is not said:
            raise FaultyHandler(f"{file}: the public type {said.name} exists already")


def _faults(handler: Handler) -> Iterable[str]:
    for name in ("name", "title", "subject", "events", "publishes"):
        if not getattr(handler, name, None):
            yield f"declares no {name}"
            return
    if set(handler.title) < {"fr", "en"}:
        yield "needs its title in French and English"
    for each in handler.events:
        yield from _faults_of_event(each)
    for said in handler.publishes:
        if not issubclass(said.data, PublicData):
            yield f"{said.name} has no model of public data"


def _faults_of_event(each: EventType) -> Iterable[str]:
    if set(each.title) < {"fr", "en"}:
        yield f"{each.name} needs its title in French and English"
    if not issubclass(each.payload, Payload):
        yield f"{each.name} has no payload model"
        return
    if not each.examples:
        yield f"{each.name} has no example"
    for example in each.examples:
        try:
            validated(each.payload, orjson.dumps(example))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            yield f"{each.name} has an example that its payload refuses: {first['loc']}: {first['msg']}"
