"""The chain of the audit log: how a row links to the one before, how links are signed, and what a check finds.

A signed link (a head) goes to the table, to a file outside the database and to the log. A row after the newest head is bound
only by the chain itself and by `audit_end`: whoever owns the database could write that last hour anew.
After a restore the chain goes on with a row `audit.anchored` that names the store's new epoch and is signed where it stands. Heads
of an earlier epoch, signed before that row was written, that the restored rows do not have are told as a restore, not as faults.
The database's owner can still feign a restore to an earlier moment, which is why it is told. An anchor that nobody signed counts for
nothing, unless it is the store's epoch's own and no head has come after it; heads of the store's epoch now are never excused.
"""

import base64
import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fieldsvc.store.audit import START, End, Head, Place, Row

CHAIN_START = hashlib.sha256(b"fieldsvc audit").digest()
ANCHORED, EPOCH = "audit.anchored", "epoch/"
Key = tuple[date, int, str, bytes]
_SEPARATOR, _NOTHING = "\x1f", "\x1e"
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Report:
    """What was checked, and what is wrong: one sentence a fault, the first bad row first.

    `restores`: one sentence for each restore that took signed rows away, which whoever runs the store must know of.
    """

    rows: int = 0
    heads: int = 0
    before_restore: int = 0
    no_longer_kept: int = 0
    restores: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Anchor:
    """From where on the chain is that of an epoch of the store, and when that was written; `at` is None where it is not yet."""

    place: Place
    epoch: str
    at: datetime | None = None

    def excuses(self, head: Head) -> bool:
        """Tell whether a restore here can have taken away what this head signed."""
        return self.epoch != str(head.epoch) and (self.at is None or head.at <= self.at)


def link(previous: bytes, row: Row) -> bytes:
    """Compute the link of a row over the one before, as the function `audit_note` does."""
    since = row.at - _ZERO
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    texts = (row.actor, row.role, row.action, row.subject, row.reason, row.site, row.carrier_ref)
    said = [row.day.isoformat(), str(row.pos), str(micros), *(_NOTHING if text is None else text for text in texts)]
    return hashlib.sha256(previous + _SEPARATOR.join(said).encode("utf-8", "surrogatepass")).digest()


class Check:
    """Walk the chain from its first row; `heads` and `end` are what it must fit. `oldest`: days from here on must be there."""

    def __init__(self, heads: Iterable[Head], *, oldest: date = date.min) -> None:
        self._heads = {_key(head): head for head in heads}
        self._by_place: dict[Place, list[Head]] = {}
        for head in self._heads.values():
            self._by_place.setdefault((head.day, head.pos), []).append(head)
        self._oldest, self._first = oldest.replace(day=1), START
        self._last: Place = START
        self._previous: bytes | None = None
        self._anchors: list[Anchor] = []
        self._unsigned: list[Anchor] = []
        self._matched: set[Key] = set()
        self._newest: Place = START
        self.report = Report()

    def walk(self, rows: Iterable[Row]) -> None:
        """Take the next rows, in order."""
        for row in rows:
            self.report.rows += 1
            if self._previous is None:
                self._begin(row)
            elif row.place != _next(self._last, row):
                self._fault(row.place, "rows before it are missing, or it is out of order")
            if self._previous is not None and link(self._previous, row) != row.chain:
                self._fault(row.place, "the row does not fit the chain")
            if row.action == ANCHORED:
                self._anchor(row)
            self._previous, self._last = row.chain, row.place
            self._meet(row)

    def finish(self, end: End, *, epoch: UUID | None = None) -> Report:
        """Compare with the last link and with the signed links whose rows were not met.

        `epoch` is the store's now: where the chain is not anchored under it yet, what would come next belongs to it.
        """
        self._settle_anchors(str(epoch))
        if epoch not in (None, end.epoch):
            self._anchors.append(Anchor((end.day, end.pos + 1), str(epoch)))
        if (end.day, end.pos, end.chain) != (*self._end(), self._previous or CHAIN_START):
            self._fault((end.day, end.pos), "the last link is not that of the last row")
        excused: Counter[Anchor] = Counter()
        for key in sorted(self._heads.keys() - self._matched):
            anchor = self._missing(self._heads[key], epoch)
            excused.update([anchor] if anchor is not None else [])
        self.report.before_restore = excused.total()
        self.report.restores = [_restored(anchor, count) for anchor, count in excused.items()]
        return self.report

    def _begin(self, row: Row) -> None:
        """Find what the first row kept links to: the start, or the signed link before it."""
        self._first = row.place
        before = [head for place, found in self._by_place.items() if place < row.place for head in found]
        known = [CHAIN_START, *(head.chain for head in sorted(before, key=lambda each: (each.day, each.pos))[::-1])]
        if row.pos != 1:
            self._fault(row.place, "rows before it are missing")
        self._previous = next((each for each in known if link(each, row) == row.chain), None)
        if self._previous is None:
            self._fault(row.place, "the first row kept fits neither the start of the chain nor a signed link")

    def _anchor(self, row: Row) -> None:
        """Take an anchor whose own row was signed under its epoch; of others the end of the chain decides."""
        anchor = Anchor(row.place, row.subject.removeprefix(EPOCH), row.at)
        signed = (each for each in self._by_place.get(row.place, ()) if str(each.epoch) == anchor.epoch)
        known = any(head.chain == row.chain for head in signed)
        (self._anchors if known else self._unsigned).append(anchor)

    def _settle_anchors(self, epoch: str) -> None:
        """Take an anchor of the store's epoch that is newer than every signed link; no other may lack its own."""
        for anchor in self._unsigned:
            if anchor.place <= self._newest:
                self._fault(anchor.place, "it tells of a restore that was never signed")
            elif anchor.epoch == epoch:
                self._anchors.append(anchor)

    def _meet(self, row: Row) -> None:
        for head in self._by_place.get(row.place, ()):
            if head.chain == row.chain:
                self._matched.add(_key(head))
                self._newest = row.place
                self.report.heads += 1

    def _missing(self, head: Head, epoch: UUID | None) -> Anchor | None:
        """Judge a head whose row is not there, or is another; return the restore that explains it."""
        place = (head.day, head.pos)
        if place < self._first and place[0].replace(day=1) < min(self._oldest, self._first[0].replace(day=1)):
            self.report.no_longer_kept += 1
            return None
        at = bisect_right(self._anchors, place, key=lambda anchor: anchor.place)
        if at and head.epoch != epoch and self._anchors[at - 1].excuses(head):
            return self._anchors[at - 1]
        self._fault(place, "it is not what was signed")
        return None

    def _end(self) -> Place:
        return self._last if self._previous is not None else (date(2000, 1, 1), 0)

    def _fault(self, place: Place, what: str) -> None:
        self.report.faults.append(f"Day {place[0]}, row {place[1]}: {what}.")


def _key(head: Head) -> Key:
    """Tell links apart, also two of one place: a row written anew and signed again does not hide the link it had."""
    return head.day, head.pos, str(head.epoch), head.chain


def _restored(anchor: Anchor, count: int) -> str:
    day, pos = anchor.place
    taken = f"{count} signed links of before have no rows any more"
    return f"Day {day}, row {pos}: a restore; {taken}. If nobody restored this store, rows were taken out of the log."


def _next(last: Place, row: Row) -> Place:
    """Tell where a row must stand: right after the last, or first of a later day."""
    return (row.day, 1) if row.day > last[0] else (last[0], last[1] + 1)


def head_bytes(epoch: UUID, day: date, pos: int, *, at: datetime, chain: bytes) -> bytes:
    """Write what the store signs."""
    return f"fieldsvc audit head\n{epoch}\n{day}\n{pos}\n{at.astimezone(UTC).isoformat()}\n{chain.hex()}".encode()


def sign(end: End, epoch: UUID, signer: Callable[[bytes], bytes]) -> Head:
    """Sign a link."""
    said = head_bytes(epoch, end.day, end.pos, at=end.at, chain=end.chain)
    return Head(epoch, end.day, end.pos, end.at, end.chain, signer(said))


def is_genuine(head: Head, key: Ed25519PublicKey) -> bool:
    """Tell whether the store signed this."""
    try:
        key.verify(head.signature, head_bytes(head.epoch, head.day, head.pos, at=head.at, chain=head.chain))
    except InvalidSignature:
        return False
    return True


def written(head: Head) -> bytes:
    """Write a head as one line of JSON."""
    said = {"epoch": str(head.epoch), "day": head.day, "pos": head.pos, "at": head.at, "chain": head.chain.hex()}
    return orjson.dumps({**said, "signature": base64.b64encode(head.signature).decode()})


def read(line: bytes) -> Head:
    """Read a line of the file. ValueError for anything else."""
    try:
        said = orjson.loads(line)
        day, at = date.fromisoformat(said["day"]), datetime.fromisoformat(said["at"])
        chain, signature = bytes.fromhex(said["chain"]), base64.b64decode(said["signature"], validate=True)
        return Head(UUID(said["epoch"]), day, int(said["pos"]), at, chain, signature)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a signed head") from error
