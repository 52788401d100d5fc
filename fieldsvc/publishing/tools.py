"""What every lane of a process shares: limits, the sender, the journal's tail, and where to save and to tell."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fieldsvc.journal.reader import Tail
from fieldsvc.logs import get_logger
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.lanes import STORE_FAULTS

log = get_logger()
Result = TypeVar("Result")
FAULT_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much of one endpoint is done at once."""

    in_flight: int = 8
    parked_in_flight: int = 4
    parked: int = 10_000
    span: int = 1000
    waiting: int = 128
    batch_bytes: int = 256 * 1024
    slow_s: float = 2.0
    body_kept_s: float = 10.0
    least_room: int = 16
    read_rows: int = 256
    backlog_rows: int = 100
    idle_save_s: float = 5.0
    longest_sleep_s: float = 1.0


class Tell(Protocol):
    """Says something about an endpoint to the account that owns it; never waits."""

    def __call__(self, config: Config, type: str, **data: Any) -> None: ...  # noqa: A002 - the name of the field


def tell_nobody(config: Config, type: str, **data: Any) -> None:  # noqa: A002 - as `Tell` has them
    """Keep what happened to oneself."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every lane of a process shares; `save` writes all that is unsaved, `note` logs an attempt.

    `save_soon` asks for a save without waiting for it, `tell` makes an operational event.
    """

    database: Database
    tail: Tail
    renderer: Renderer
    sender: Sender
    schedule: tuple[float, ...]
    save: Callable[[], Awaitable[None]]
    save_soon: Callable[[], None]
    note: Callable[[Attempt], None]
    tell: Tell = tell_nobody
    limits: LaneLimits = field(default_factory=LaneLimits)


async def patiently(act: Callable[[], Awaitable[Result]]) -> Result:
    """Do something with the database until it is there; who gives up cancels."""
    while True:
        try:
            return await act()
        except STORE_FAULTS as error:
            log.warning("lane.store_fault", error=type(error).__name__)
            await asyncio.sleep(FAULT_PAUSE_S)
