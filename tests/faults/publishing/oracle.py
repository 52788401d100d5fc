"""The oracle of the sender: what a receiver wrote down against what the journal holds, per endpoint and subject.

A first occurrence counts as in order when everything before it in its subject was acknowledged, or recorded as given up:
that is prefix-completeness and monotony in one rule. What comes again must be the same bytes under the same id.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import orjson

from fieldsvc.store.database import Database
from handlers.base import evt_id

JOURNAL = """
select id, part, subject, subject_seq from event where kind = 'public' and account = $1 order by subject, subject_seq
"""
WAITING = """
select e.id, e.part from event e join cursor c on c.endpoint = $1 and c.shard = e.shard
where e.kind = 'public' and e.account = $2 and (e.day, e.pos) > (c.day, c.pos)
union
select e.id, e.part from event e
join (select shard, day, pos from parked where endpoint = $1 union select shard, day, pos from lane_backlog where endpoint = $1) kept
  on (e.shard, e.day, e.pos) = (kept.shard, kept.day, kept.pos)
"""
DEAD = "select event_id from dead_letter where endpoint = $1"
LEFT = """
select (select count(*) from parked where endpoint = $1) + (select count(*) from lane_backlog where endpoint = $1)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One public event of the journal."""

    id: str
    subject: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Reception:
    """One event of one request, as a receiver saw it: digests are of its bytes and the request's, `at` of the monotonic clock."""

    event: Event
    message_id: str
    due_id: str
    digest: bytes
    message: bytes
    acknowledged: bool
    at: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database says of an endpoint: events given up, events that wait, and rows that wait for nothing any more."""

    dead: frozenset[str]
    waiting: frozenset[str]
    rows: int


@dataclass(slots=True)
class Verdict:
    """Figures, and what is wrong in one sentence each."""

    published: int
    received: int = 0
    dead: int = 0
    waiting: int = 0
    duplicates: int = 0
    inversions: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        return (
            f"published/received {self.published}/{self.received} · dead letters {self.dead} · waiting {self.waiting}"
            f" · duplicates/inversions/lost {self.duplicates}/{self.inversions}/{self.lost}"
        )

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.published + other.published, self.received + other.received, self.dead + other.dead,
            self.waiting + other.waiting, self.duplicates + other.duplicates, self.inversions + other.inversions,
            self.lost + other.lost, self.faults + other.faults,
        )  # fmt: skip


Report = Callable[[str, Verdict], None]


def receptions(message_id: str, body: bytes, *, acknowledged: bool, at: float) -> list[Reception]:
    """Read the events of a request, one or a batch."""
    content = orjson.loads(body)
    each_of = content if isinstance(content, list) else [content]
    names = [each["id"] for each in each_of]
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:8]
    due_id = f"{names[0]}_b{len(names)}_{digest}" if isinstance(content, list) else content["id"]
    whole = hashlib.sha256(body).digest()
    found = []
    for each in each_of:
        event, digest = Event(each["id"], each["subject"], int(each["sequence"])), hashlib.sha256(orjson.dumps(each))
        found.append(Reception(event, message_id, due_id, digest.digest(), whole, acknowledged, at))
    return found


async def journalled(database: Database, account: str) -> list[Event]:
    """Read what the journal holds for an account."""
    async with database.acquire() as connection:
        rows = await connection.fetch(JOURNAL, account)
    return [Event(evt_id(row["id"], row["part"]), row["subject"], row["subject_seq"]) for row in rows]


async def recorded(database: Database, endpoint: str, account: str) -> Recorded:
    """Read what the database says about the events of an endpoint."""
    async with database.acquire() as connection:
        dead = await connection.fetch(DEAD, endpoint)
        waiting = await connection.fetch(WAITING, endpoint, account)
        rows = await connection.fetchval(LEFT, endpoint)
    return Recorded(
        frozenset(row["event_id"] for row in dead),
        frozenset(evt_id(row["id"], row["part"]) for row in waiting),
        int(rows or 0),
    )


def judge(
    events: Sequence[Event], got: Sequence[Reception], *, records: Recorded | None = None, again: int | None = None
) -> Verdict:
    """Compare; an event that waits or was given up on record is not lost. `again`: the most that may come twice."""
    records = records or Recorded(frozenset(), frozenset(), 0)
    acknowledged = {each.event.id for each in got if each.acknowledged}
    verdict = Verdict(len(events), len(acknowledged), len(records.dead), len(records.waiting - acknowledged))
    lost = [each for each in events if each.id not in acknowledged | records.dead | records.waiting]
    verdict.lost = len(lost)
    verdict.faults += [f"{len(lost)} were lost, {lost[0].subject} {lost[0].sequence} first."] if lost else []
    _the_same(verdict, events, got)
    _in_order(verdict, events, got, given_up=records.dead)
    times = Counter(each.event.id for each in got if each.acknowledged)
    verdict.duplicates = times.total() - len(times)
    if again is not None and verdict.duplicates > again:
        verdict.faults.append(f"{verdict.duplicates} came again, and at most {again} may.")
    return verdict


def settled(events: Sequence[Event], got: Sequence[Reception], records: Recorded, *, again: int) -> Verdict:
    """Compare at the end of a run in which everything was to arrive: nothing given up, and nothing left behind."""
    verdict = judge(events, got, records=Recorded(frozenset(), frozenset(), 0), again=again)
    verdict.dead = len(records.dead)
    verdict.faults += [f"{len(records.dead)} were given up."] if records.dead else []
    verdict.faults += [f"{records.rows} rows wait for nothing."] if records.rows else []
    return verdict


def _the_same(verdict: Verdict, events: Iterable[Event], got: Iterable[Reception]) -> None:
    known, digests = set(events), defaultdict(set)
    for each in got:
        digests["event", each.event.id].add(each.digest)
        digests["request", each.message_id].add(each.message)
        if each.event not in known:
            verdict.faults.append(f"Received and not in the journal: {each.event}.")
        if each.message_id != each.due_id:
            verdict.faults.append(f"{each.due_id} came under the id {each.message_id}.")
    verdict.faults += [
        f"{what} {name} came with {len(each)} bodies." for (what, name), each in digests.items() if len(each) > 1
    ]


def _in_order(
    verdict: Verdict, events: Iterable[Event], got: Iterable[Reception], *, given_up: Collection[str]
) -> None:
    """Walk the requests: events of a subject in one request come in the order in which they stand in it."""
    lines: dict[str, list[str]] = defaultdict(list)
    for event in events:
        lines[event.subject].append(event.id)
    through, seen = set(given_up), set[str]()
    turns, newest = Counter[str](), Counter[str]()
    for (_at, _name), request in groupby(got, key=lambda each: (each.at, each.message_id)):
        carried: set[str] = set()
        for each in request:
            name, line = each.event.subject, lines.get(each.event.subject, [])
            is_new = each.event.id not in seen or (each.acknowledged and each.event.id not in through)
            carried.add(each.event.id)
            if not is_new or each.event.id not in line:
                continue
            while turns[name] < len(line) and line[turns[name]] in through:
                turns[name] += 1
            place = line.index(each.event.id)
            late = place < newest[name] and each.event.id not in seen
            if late or not carried.union(through).issuperset(line[turns[name] : place]):
                verdict.inversions += 1
                verdict.faults.append(f"{name} {each.event.sequence} came in the place of {turns[name] + 1}.")
            newest[name] = max(newest[name], place)
            seen.add(each.event.id)
            if each.acknowledged:
                through.add(each.event.id)
