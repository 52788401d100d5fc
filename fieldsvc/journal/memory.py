"""What a writer remembers between batches; it is true only while it was the last to write the shard."""

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import date

from fieldsvc.journal.rows import CHAIN_START
from fieldsvc.journal.submission import SHARDS

HEADS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class End:
    """The newest row of a shard."""

    day: date = date.min
    pos: int = 0
    chain: bytes = CHAIN_START


@dataclass(frozen=True, slots=True)
class Head:
    """How many public events a subject has, and whose it is."""

    seq: int = 0
    account: str | None = None
    person: str | None = None

    def moved(self, *, seq: int, account: str | None, person: str | None) -> "Head":
        """Return the head after an event; what is None stays."""
        return replace(self, seq=seq, account=account or self.account, person=person or self.person)


@dataclass(slots=True)
class Memory:
    """Ends of shards and heads of subjects, as this writer left them."""

    ends: dict[int, End] = field(default_factory=dict)
    heads: dict[int, OrderedDict[str, Head]] = field(default_factory=dict)

    def forget(self, shard: int | None = None) -> None:
        """Forget one shard, or everything: after any abort, an unknown outcome, a new connection, another writer."""
        for known in (self.ends, self.heads):
            if shard is None:
                known.clear()
            else:
                known.pop(shard, None)

    def head(self, subject: str) -> Head | None:
        """Return a remembered head."""
        heads = self.heads.get(shard_of(subject))
        if heads is None or subject not in heads:
            return None
        heads.move_to_end(subject)
        return heads[subject]

    def keep(self, heads: dict[str, Head], ends: dict[int, End]) -> None:
        """Take over what was committed."""
        self.ends |= ends
        for subject, head in heads.items():
            known = self.heads.setdefault(shard_of(subject), OrderedDict())
            known[subject] = head
            known.move_to_end(subject)
            if len(known) > HEADS_KEPT // SHARDS:
                known.popitem(last=False)


def shard_of(subject: str) -> int:
    """Return the shard of a subject: CRC-32 modulo the number of shards, fixed at install."""
    return zlib.crc32(subject.encode()) % SHARDS
