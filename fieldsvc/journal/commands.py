"""Commands: events made by the server, for people, subscribers and timers. They enter by the writer's queue like any other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from fieldsvc.errors import Conflict, Invalid
from fieldsvc.faults import faults_of
from fieldsvc.ids import uuid7
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Result, Submission
from fieldsvc.journal.writer import Writer
from handlers import alerting, tasks
from handlers.base import Handler, validated
from handlers.fields import Payload
from handlers.registry import Registry
from handlers.story import Actor, Refused

_SERVER = Actor("server")


class Refusal(Conflict):
    """The service does not take this."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or f"The service refuses this: {code}.")
        self.code = code


@dataclass(frozen=True, slots=True)
class Commands:
    """Builds commands and submits them."""

    writer: Writer
    vault: Vault
    registry: Registry

    async def send(
        self,
        type: str,  # noqa: A002 - the field's own name
        data: Mapping[str, Any],
        *,
        actor: Actor = _SERVER,
        site: str | None = None,
        run: str | None = None,
        occurred_at: datetime | None = None,
        handler: str | None = None,
        subject: str | None = None,
    ) -> Result:
        """Decide and commit one command; `handler` names the service of a `task.*` or `alert.*`, `subject` that of an `alert.*`.

        Invalid if the data does not fit the type's payload; Refusal with the service's code; Unavailable as `Writer.submit`.
        """
        found, payload = self._payload(type, handler or data.get("service"))
        try:
            clean = validated(payload, orjson.dumps(dict(data)))
        except ValidationError as error:
            places = ", ".join(fault.member for fault in faults_of(payload, error))
            raise Invalid(f"Not valid: {places}.", reason="bad_payload") from None
        try:
            subjects = (subject,) if subject is not None else None
            incoming = self.build(
                *(found, payload, type, clean),
                actor=actor,
                site=site,
                run=run,
                occurred_at=occurred_at,
                subjects=subjects,
            )
        except Refused as refusal:
            raise Refusal(refusal.code, refusal.detail) from None
        outcome = await self.writer.submit(Submission([incoming]))
        result = outcome.results[0]
        if result.status in ("refused", "quarantined", "conflict"):
            raise Refusal(result.reason or "refused", result.detail)
        return result

    def build(  # noqa: PLR0913 - an event has that many parts
        self,
        handler: Handler,
        payload: type[Payload],
        type: str,  # noqa: A002 - the field's own name
        data: Mapping[str, Any],
        *,
        actor: Actor = _SERVER,
        site: str | None = None,
        run: str | None = None,
        occurred_at: datetime | None = None,
        subjects: tuple[str, ...] | None = None,
        timer: UUID | None = None,
        raw: bytes = b"",
    ) -> Incoming:
        """Make a command of valid data. A timer's command carries the timer's own id."""
        now = datetime.now(UTC)
        named = subjects or handler.subjects_of(type, data)
        content = orjson.dumps([type, named, dict(data)], option=orjson.OPT_SORT_KEYS)
        return Incoming(
            id=timer or uuid7(),
            type=type,
            handler=handler,
            payload=payload,
            subjects=tuple(dict.fromkeys(named)),
            touches=() if subjects else handler.touches(type, data),
            occurred_at=occurred_at or now,
            received_at=now,
            data=data,
            content_hmac=self.vault.content_hmac(content),
            actor=actor,
            site=site,
            run=run,
            operational={"by": actor.kind},
            timer=timer,
            raw=raw,
        )

    def _payload(self, type_: str, service: str | None) -> tuple[Handler, type[Payload]]:
        for each in tasks.EVENTS:
            if each.name == type_:
                handler = self.registry.task_handler(service or "")
                if handler is None:
                    raise Invalid("No service takes such tasks.", reason="unknown_service")
                return handler, each.payload
        if type_ in alerting.PAYLOADS:
            return self.registry.handlers[service or ""], alerting.PAYLOADS[type_]
        handler, event_type = self.registry.by_type[type_]
        return handler, event_type.payload
