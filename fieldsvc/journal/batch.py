"""One transaction of the journal: lock, drop duplicates, decide in order, insert. The caller begins and commits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from fieldsvc.journal import receipts, rows
from fieldsvc.journal.harvest import Harvest, KnownState
from fieldsvc.journal.memory import End, Head, Memory, shard_of
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Outcome, Rejected, Result, Submission
from fieldsvc.logs import get_logger
from handlers.fields import OPERATIONAL, PERSONAL, split
from handlers.registry import Registry
from handlers.story import Decision, Event, Refused, State
from sql import query

log = get_logger()


@dataclass(slots=True)
class Batch:
    """The work of one transaction. `run` fills `outcomes`; after the commit `keep` takes its ends and heads into memory."""

    vault: Vault
    registry: Registry
    memory: Memory
    writer: UUID
    now: datetime
    submissions: Sequence[Submission]
    with_receipts: bool = True
    outcomes: list[Outcome] = field(default_factory=list)
    fresh: list[Incoming] = field(default_factory=list)
    ends: dict[int, End] = field(default_factory=dict)
    _day: date = date.min
    _positions: dict[int, int] = field(default_factory=dict)
    _field_positions: dict[UUID, int] = field(default_factory=dict)
    _twins: list[tuple[Incoming, Incoming]] = field(default_factory=list)
    _results: dict[int, Result] = field(default_factory=dict)
    harvest: Harvest = field(init=False)

    def __post_init__(self) -> None:
        sealing = frozenset(name for name, handler in self.registry.handlers.items() if handler.sealed_state)
        self.harvest = Harvest(self.vault, self.now, sealing)

    async def run(self, connection: asyncpg.Connection) -> None:
        """Do everything but begin and commit."""
        events = [item for sent in self.submissions for item in sent.items if isinstance(item, Incoming)]
        await self._lock(connection, events)
        await self._drop_duplicates(connection, events)
        await self._load(connection)
        for event in self.fresh:
            self._decide(event)
        self._settle_twins()
        for sent in self.submissions:
            for item in sent.items:
                if isinstance(item, Rejected):
                    self.harvest.keep_aside(item.raw, item.reason, device=sent.device, site=sent.site)
                    self._results[id(item)] = Result(item.id, "quarantined", item.reason)
        await self.harvest.insert(
            connection,
            day=self._day,
            ends=self.ends,
            positions=self._positions,
            field_positions=self._field_positions,
        )
        await self._answer(connection)

    def keep(self) -> None:
        """Remember, after the commit, what it left."""
        self.memory.keep(self.harvest.heads, self.ends)

    def traces(self) -> dict[int, End]:
        """Return the row with which this transaction ended each shard that it wrote, to be found again."""
        written = (event for event in self.fresh if event.id not in self.harvest.undone)
        shards = {shard_of(subject) for event in written for subject in event.subjects}
        return {shard: self.ends[shard] for shard in shards}

    async def _lock(self, connection: asyncpg.Connection, events: Sequence[Incoming]) -> None:
        shards = sorted({shard_of(subject) for event in events for subject in (*event.subjects, *event.touches)})
        self._day = self.now.astimezone(UTC).date()
        if not shards:
            return
        locked = await connection.fetch(query("shard.lock"), shards)
        foreign = [row["id"] for row in locked if row["writer"] != self.writer]
        for shard in foreign:
            self.memory.forget(shard)
        for shard in shards:
            if shard not in self.memory.ends:
                last = await connection.fetchrow(query("event.last_of_shard"), shard)
                self.memory.ends[shard] = End(last["day"], last["pos"], last["chain"]) if last else End()
        if foreign:
            await connection.execute(query("shard.take"), foreign, self.writer)
        self.ends = {shard: self.memory.ends[shard] for shard in shards}
        self._positions = {shard: end.pos for shard, end in self.ends.items()}
        self._day = max(self._day, *(end.day for end in self.ends.values()))

    async def _drop_duplicates(self, connection: asyncpg.Connection, events: Sequence[Incoming]) -> None:
        first: dict[UUID, Incoming] = {}
        for event in events:
            first.setdefault(event.id, event)
        fresh_ids = await self._remember(connection, [first[key] for key in sorted(first)])
        known = await connection.fetch(query("event_id.known"), list(first.keys() - fresh_ids))
        seen = {row["id"]: (row["content_hmac"], row["site"]) for row in known}
        gone = await self._gone_timers(connection, list(first.values()))
        for event in events:
            if event.id not in fresh_ids:
                self._results[id(event)] = self._compared(event, *seen[event.id])
            elif first[event.id] is not event:
                self._twins.append((event, first[event.id]))
            elif event.timer in gone:
                self.harvest.undone.append(event.id)
                self._results[id(event)] = Result(str(event.id), "gone")
            else:
                self.fresh.append(event)

    async def _remember(self, connection: asyncpg.Connection, chosen: Sequence[Incoming]) -> set[UUID]:
        if not chosen:
            return set()
        records = []
        for event in chosen:
            shard = shard_of(event.subjects[0])
            self._positions[shard] += 1
            pos = self._field_positions[event.id] = self._positions[shard]
            records.append((event.id, self._day, shard, pos, event.site, event.content_hmac, event.received_at))
        columns = [list(column) for column in zip(*records, strict=True)]
        return {row["id"] for row in await connection.fetch(query("event_id.remember"), *columns)}

    async def _gone_timers(self, connection: asyncpg.Connection, chosen: Sequence[Incoming]) -> set[UUID]:
        """Find fired timers that were replaced or dropped since; note the others as fired."""
        timers = [event.timer for event in chosen if event.timer is not None]
        if not timers:
            return set()
        self.harvest.fired = [row["id"] for row in await connection.fetch(query("timer.still_set"), timers)]
        return set(timers) - set(self.harvest.fired)

    def _compared(self, event: Incoming, content_hmac: bytes, site: str | None) -> Result:
        """Answer an id that is known: the same content from the same site is a duplicate."""
        foreign = site is not None and event.site is not None and site != event.site
        if content_hmac == event.content_hmac and not foreign:
            return Result(str(event.id), "duplicate")
        self._keep_aside(event, "conflict")
        return Result(str(event.id), "conflict", "conflict")

    async def _load(self, connection: asyncpg.Connection) -> None:
        wanted = {(event.handler.name, subject) for event in self.fresh for subject in event.subjects}
        if not wanted:
            return
        heads = {subject: self.memory.head(subject) for _, subject in wanted}
        missing = [subject for subject, head in heads.items() if head is None]
        self.harvest.heads = {subject: head for subject, head in heads.items() if head is not None}
        if missing:
            found = await connection.fetch(query("subject_head.load"), missing)
            self.harvest.heads |= {row["subject"]: Head(row["seq"], row["account"], row["person"]) for row in found}
        self.harvest.states = {key: KnownState() for key in wanted}
        handlers, subjects = zip(*wanted, strict=True)
        for row in await connection.fetch(query("state.load"), list(handlers), list(subjects)):
            state = KnownState(self._open_state(row), row["version"])
            self.harvest.states[(row["handler"], row["subject"])] = state

    def _open_state(self, row: asyncpg.Record) -> Any:
        if row["key_id"] is None:
            return orjson.loads(row["body"])
        if row["wrapped"] is None:
            return None  # erased
        key = self.vault.unwrap(row["person"], row["key_id"], row["wrapped"])
        return key.open(row["nonce"], row["body"], bound_to=f"{row['handler']}|{row['subject']}")

    def _decide(self, event: Incoming) -> None:
        try:
            decisions = self._decisions(event)
            drafts = [self._field_row(event, decisions[0][1])]
            for subject, decision in decisions:
                drafts += self._public_rows(event, subject, decision)
        except Refused as refusal:
            self._undo(event, refusal.code, refusal.detail)
        except Exception:
            log.exception("handler.failed", handler=event.handler.name, event_id=str(event.id))
            self._undo(event, "handler_failed")
        else:
            self.harvest.drafts += drafts
            self._take(event, decisions)

    def _decisions(self, event: Incoming) -> list[tuple[str, Decision]]:
        several = len(event.subjects) > 1
        extra = len(event.subjects) + 1 if several else 1
        decisions = []
        for number, subject in enumerate(event.subjects, start=1):
            head = self.harvest.head(subject)
            if head.account and event.actor.account and head.account != event.actor.account:
                raise Refused("subject_taken")
            body = self.harvest.states[(event.handler.name, subject)].body
            asked = Event(
                id=event.id,
                type=event.type,
                subject=subject,
                occurred_at=event.occurred_at,
                data=event.data,
                actor=event.actor,
                site=event.site,
                run=event.run,
                located=event.located,
                placement=event.placement,
                late_s=(event.received_at - event.occurred_at).total_seconds(),
                clock_suspect="clock_suspect" in event.warnings,
                original=event.original,
                main_part=number if several else 0,
                extra_part=extra,
            )
            decision = event.handler.decide(State(body, head.account, head.person), asked, self.now)
            self._check(event, subject, decision)
            extra = max([extra, *(public.part + 1 for public in decision.public_events if public.part >= extra)])
            decisions.append((subject, decision))
        return decisions

    def _check(self, event: Incoming, subject: str, decision: Decision) -> None:
        """Hold a decision to the contract: one account a subject, commands only for others, declared types."""
        account = self.harvest.head(subject).account
        if account and decision.account and account != decision.account:
            raise Refused("subject_taken")
        for command in decision.commands:
            if command.subject in event.subjects or command.type not in self.registry.by_type:
                raise ValueError("a command for this subject, or of an unknown type")

    def _field_row(self, event: Incoming, decision: Decision) -> rows.Draft:
        subject = event.subjects[0]
        parts = split(event.payload, event.data)
        envelope = {**event.operational, **({"located": event.located} if event.located else {})}
        for name, more in ((OPERATIONAL, envelope), (PERSONAL, event.personal)):
            if more:
                parts[name] = {**parts.get(name, {}), "_envelope": dict(more)}
        return rows.Draft(
            shard=shard_of(subject),
            id=event.id,
            part=rows.FIELD_PART,
            kind="field",
            type=event.type,
            subject=subject,
            subject_seq=None,
            account=self.harvest.head(subject).account,
            person=decision.person or self.harvest.person(subject),
            site=event.site,
            run=event.run,
            occurred_at=event.occurred_at,
            received_at=event.received_at,
            parts=parts,
        )

    def _public_rows(self, event: Incoming, subject: str, decision: Decision) -> list[rows.Draft]:
        head = self.harvest.head(subject)
        drafts = []
        for seq, public in enumerate(decision.public_events, start=head.seq + 1):
            draft = rows.Draft(
                shard=shard_of(subject),
                id=event.id,
                part=public.part,
                kind="public",
                type=public.type,
                subject=subject,
                subject_seq=seq,
                account=decision.account or head.account,
                person=decision.person or self.harvest.person(subject),
                site=event.site,
                run=public.run or event.run,
                occurred_at=public.occurred_at,
                received_at=event.received_at,
                parts=split(self.registry.public[public.type].data, public.data),
                extra={"supersedes": public.supersedes} if public.supersedes else {},
            )
            drafts.append(draft)
        return drafts

    def _take(self, event: Incoming, decisions: Sequence[tuple[str, Decision]]) -> None:
        warnings, answer = list(event.warnings), None
        for subject, decision in decisions:
            state = self.harvest.states[(event.handler.name, subject)]
            state.body, state.dirty = decision.new_state, True
            self.harvest.heard(subject, event.occurred_at)
            head = self.harvest.head(subject)
            seq = head.seq + len(decision.public_events)
            self.harvest.move_head(subject, head.moved(seq=seq, account=decision.account, person=decision.person))
            for write in decision.writes:
                self.harvest.write(subject, write)
            for timer in decision.timers:
                self.harvest.timer(event.handler.name, subject, timer)
            for command in decision.commands:
                receiver = self.registry.by_type[command.type][0].name
                self.harvest.command(receiver, event.id, command, site=event.site)
            warnings += [warning for warning in decision.warnings if warning not in warnings]
            answer = decision.answer if decision.answer is not None else answer
        self._results[id(event)] = Result(str(event.id), "accepted", None, tuple(warnings), event.located, answer)

    def _undo(self, event: Incoming, reason: str, detail: str = "") -> None:
        """Leave an event out: what a phone said goes to quarantine, a command is refused."""
        self.harvest.undone.append(event.id)
        if event.raw:
            self._keep_aside(event, reason)
        status = "quarantined" if event.raw else "refused"
        self._results[id(event)] = Result(str(event.id), status, reason, detail=detail)

    def _keep_aside(self, event: Incoming, reason: str) -> None:
        self.harvest.keep_aside(event.raw, reason, device=event.device, site=event.site)

    def _settle_twins(self) -> None:
        """Answer further copies in the batch: as known ids if the first was accepted, else like the first."""
        for event, twin in self._twins:
            result = self._results[id(twin)]
            if result.status == "accepted":
                result = self._compared(event, twin.content_hmac, twin.site)
            self._results[id(event)] = result

    async def _answer(self, connection: asyncpg.Connection) -> None:
        issued: dict[int, str] = {}
        if self.with_receipts:
            issued = await receipts.issue_all(connection, self.vault, self.submissions, self._results, now=self.now)
        for sent in self.submissions:
            self.outcomes.append(Outcome([self._results[id(item)] for item in sent.items], issued.get(id(sent))))
