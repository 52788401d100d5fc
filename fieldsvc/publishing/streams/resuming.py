"""Where a shard goes on: decided from the broker's own last message, never from a window of known ids.

    the broker's last message of the shard            goes on
    of this store, as the journal has it              behind it: also after a lost acknowledgement, also where the broker lost its end
    of this store, but not in the journal             nowhere: PostgreSQL came back older than the stream without a new epoch
    of the epoch before, after a restore              behind what was acknowledged before the backup, or behind the message if that is older
    of any other store, or without a mark             nowhere: another installation writes here
    none, and the stream is full, with newer ones     behind what was acknowledged: its limit of size took it
    none, and nothing explains it                     at the oldest kept row: the stream is new, or was emptied

The caller looks the message up in the journal. Nowhere means that the shard is held, loudly, until an operator empties the stream.
"""

from dataclasses import dataclass
from uuid import UUID

from fieldsvc.publishing.streams.messages import Mark
from fieldsvc.store.streams import Acknowledged, Place


class Diverged(Exception):
    """The stream cannot be what this store has published; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Last:
    """The broker's last message of a shard; `mark` is None where it is none of ours."""

    sequence: int
    mark: Mark | None
    evt_id: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """How the stream stands: when the broker made it, its first message's number, and whether it is as large as it may be."""

    made_at: str
    first_sequence: int
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """Behind which place a shard goes on, None for the oldest kept row, and why; `check`: the journal must have that event there."""

    place: Place | None
    why: str
    check: bool = False


def decide(last: Last | None, known: Acknowledged | None, stream: StreamState, *, epoch: UUID) -> Resume:
    """Decide where a shard goes on in this epoch of the store. Diverged where nothing can be right."""
    if last is None:
        return _without_message(known, stream)
    if last.mark is None:
        raise Diverged("not_ours")
    if last.mark.epoch == epoch:
        return Resume(last.mark.place, "last_message", check=True)
    if known is None or known.store_epoch != last.mark.epoch:
        raise Diverged("another_store")
    return Resume(min(known.place, last.mark.place), "store_restored")


def _without_message(known: Acknowledged | None, stream: StreamState) -> Resume:
    if known is None or not stream.is_full or known.stream_made_at != stream.made_at:
        return Resume(None, "empty")
    if stream.first_sequence > known.sequence:
        return Resume(known.place, "discarded_by_size")
    return Resume(None, "empty")
