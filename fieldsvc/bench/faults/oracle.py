"""The oracle: what the phones know, what the journal holds and what was read or received must add up."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import orjson

from fieldsvc.journal.reader import START, Reader
from fieldsvc.journal.submission import SHARDS
from fieldsvc.journal.verify import verify_journal
from fieldsvc.simulate.ledger import read_ledger
from fieldsvc.store.database import Database
from handlers.base import evt_id

EVERY_ROW = """
select shard, day, pos, kind, id, part, subject, subject_seq
from event
order by shard, day, pos
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One public event, as the journal holds it or as a reader got it."""

    evt_id: str
    subject: str
    seq: int


@dataclass(frozen=True, slots=True)
class Phones:
    """What the phones, or other senders, know: ids that were made, were sent, and the answer of each that was forgotten."""

    generated: set[str]
    sent: set[str]
    acked: Mapping[str, str]

    @property
    def held(self) -> set[str]:
        """Return what the service said it has."""
        return {each for each, status in self.acked.items() if status in ("accepted", "duplicate")}


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the journal holds: the ids of its field rows and its public rows, in the order of the shards' positions."""

    fields: Sequence[str]
    public: Sequence[Told]
    chain_faults: Sequence[str] = ()


@dataclass(slots=True)
class Verdict:
    """Six numbers and what is wrong, one sentence each. `stored` counts the phones' events, `made_here` the server's own."""

    phones: Phones
    stored: int
    made_here: int
    published: int
    received: int
    duplicates: int = 0
    inversions: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The ledger line."""
        phones = self.phones
        return (
            f"generated {len(phones.generated)} · sent {len(phones.sent)} · acked {len(phones.acked)}"
            f" · stored {self.stored} · published/received {self.published}/{self.received}"
            f" · duplicates/inversions {self.duplicates}/{self.inversions}"
        )


Report = Callable[[str, Verdict], None]


def read_phones(*ledgers: Path) -> Phones:
    """Read the ledgers of phones or other senders."""
    events = {name: each for path in ledgers for name, each in read_ledger(path).items()}
    return Phones(
        {name for name, each in events.items() if each["generated"]},
        {name for name, each in events.items() if each["sent"]},
        {name: each["status"] for name, each in events.items() if each["status"] is not None},
    )


def read_receptions(ledger: Path) -> list[Told]:
    """Read a subscriber's ledger: first receptions, in order."""
    entries = [orjson.loads(line) for line in ledger.read_bytes().splitlines()]
    return [Told(each["id"], each["subject"], int(each["sequence"])) for each in entries]


async def follow(reader: Reader, over: asyncio.Event) -> list[Told]:
    """Read every shard by cursor, as a subscriber's lane does, until `over` and nothing comes any more."""
    cursors = dict.fromkeys(range(SHARDS), START)
    read: list[Told] = []
    while True:
        last_look, moved = over.is_set(), False
        for shard in cursors:
            for row in await reader.after(shard, cursors[shard], limit=200):
                read.append(Told(row.evt_id, row.subject, row.subject_seq))
                cursors[shard], moved = row.position, True
        if last_look and not moved:
            return read
        await asyncio.sleep(0 if moved else 0.002)


async def read_journal(database: Database, *, chained: bool = True) -> Journalled:
    """Read the whole journal; `chained` also walks the chain of every shard."""
    async with database.acquire() as connection:
        rows = await connection.fetch(EVERY_ROW)
    public = [
        Told(evt_id(UUID(int=row["id"].int), row["part"]), row["subject"], row["subject_seq"])
        for row in rows
        if row["kind"] == "public"
    ]
    report = await verify_journal(database) if chained else None
    return Journalled(
        [str(row["id"]) for row in rows if row["kind"] == "field"], public, report.faults if report else ()
    )


def judge(journal: Journalled, received: Sequence[Told], *, phones: Phones, repeated: int = 0) -> Verdict:
    """Compare. `received`: first receptions in order; `repeated`: how often something came again, which is allowed."""
    fields = set(journal.fields)
    stored = len(fields & phones.generated)
    verdict = Verdict(phones, stored, len(fields) - stored, len(journal.public), len(received), duplicates=repeated)
    verdict.faults += journal.chain_faults
    missing = phones.held - fields
    verdict.lost += len(missing)
    verdict.faults += [f"Acknowledged and not in the journal: {each}." for each in sorted(missing)]
    _stored_once(verdict, journal)
    _gapless(verdict, journal.public)
    _published(verdict, journal.public, received)
    return verdict


def _stored_once(verdict: Verdict, journal: Journalled) -> None:
    for name, ids in (("field", journal.fields), ("public", [each.evt_id for each in journal.public])):
        verdict.faults += [f"{count} {name} rows of {each}." for each, count in Counter(ids).items() if count > 1]


def _gapless(verdict: Verdict, public: Sequence[Told]) -> None:
    """Positions and sequences must say the same order, and a subject's sequence starts at 1 without a gap."""
    for subject, seqs in _by_subject(public).items():
        if seqs != list(range(1, len(seqs) + 1)):
            verdict.faults.append(f"The journal counts {subject} as {_short(seqs)}.")


def _published(verdict: Verdict, public: Sequence[Told], received: Sequence[Told]) -> None:
    lost = {each.evt_id: each for each in public}.keys() - {each.evt_id for each in received}
    verdict.lost += len(lost)
    if lost:
        verdict.faults.append(f"{len(lost)} published events were never received, {min(lost)} first.")
    invented = set(received) - set(public)
    verdict.faults += [f"Received and not in the journal: {each.evt_id}." for each in invented]
    for subject, seqs in _by_subject(received).items():
        inversions = sum(later <= before for before, later in pairwise(seqs))
        verdict.inversions += inversions
        if inversions:
            verdict.faults.append(f"{subject} was received as {_short(seqs)}.")


def _by_subject(told: Iterable[Told]) -> dict[str, list[int]]:
    seqs: dict[str, list[int]] = defaultdict(list)
    for each in told:
        seqs[each.subject].append(each.seq)
    return seqs


def _short(seqs: Sequence[int]) -> str:
    return ", ".join(map(str, seqs[:40])) + (" …" if len(seqs) > 40 else "")
