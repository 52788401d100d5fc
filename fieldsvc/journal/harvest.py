"""What the decisions of a batch leave to be written, and its one insertion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from fieldsvc.ids import uuid7
from fieldsvc.journal import rows
from fieldsvc.journal.memory import End, Head
from fieldsvc.journal.sealed import Keys, PersonKey, Vault, person_keys
from handlers.story import Command, DigestOf, DropTimer, Sealed, SetTimer, Write
from sql import query

StateKey = tuple[str, str]
_NO_HEAD = Head()


@dataclass(slots=True)
class KnownState:
    """A state in this batch: as loaded, or as the last decision left it."""

    body: Mapping[str, Any] | None = None
    version: int = 0
    dirty: bool = False


@dataclass(slots=True)
class Harvest:
    """Rows to insert, states and heads to save, timers, writes and quarantine entries, in the order they arose."""

    vault: Vault
    now: datetime
    sealing: frozenset[str]  # handlers whose state is sealed
    heads: dict[str, Head] = field(default_factory=dict)
    states: dict[StateKey, KnownState] = field(default_factory=dict)
    drafts: list[rows.Draft] = field(default_factory=list)
    undone: list[UUID] = field(default_factory=list)
    fired: list[UUID] = field(default_factory=list)
    _moved: set[str] = field(default_factory=set)
    _timers: dict[tuple[str, str, str, str], tuple[Any, ...]] = field(default_factory=dict)
    _dropped: list[tuple[str, str, str]] = field(default_factory=list)
    _writes: list[tuple[str, Write]] = field(default_factory=list)
    _quarantine: list[tuple[Any, ...]] = field(default_factory=list)
    _keys: Keys = field(default_factory=lambda: Keys({}, {}))
    _heard: dict[str, datetime] = field(default_factory=dict)

    def head(self, subject: str) -> Head:
        """Return the head of a subject as it stands in this batch."""
        return self.heads.get(subject, _NO_HEAD)

    def move_head(self, subject: str, head: Head) -> None:
        """Set the head of a subject."""
        self.heads[subject] = head
        self._moved.add(subject)

    def heard(self, subject: str, at: datetime) -> None:
        """Note when something happened of which a subject's story now tells: the oldest of this batch counts."""
        self._heard[subject] = min(at, self._heard.get(subject, at))

    def person(self, subject: str) -> str:
        """Name whose key seals what is about a subject."""
        return self.head(subject).person or subject

    def write(self, subject: str, write: Write) -> None:
        """Note a write of a subject's decision."""
        self._writes.append((subject, write))

    def timer(self, handler: str, subject: str, timer: SetTimer | DropTimer) -> None:
        """Set or drop a timer; the last word counts."""
        key = (handler, timer.kind, subject, "")
        self._timers.pop(key, None)
        if isinstance(timer, DropTimer):
            self._dropped.append(key[:3])
        else:
            self._timers[key] = (uuid7(), timer.due_at, *key, orjson.dumps(dict(timer.payload)).decode())

    def command(self, handler: str, sender: UUID, command: Command, *, site: str | None) -> None:
        """Send a command to another subject, on the sender's site: a timer that is due now."""
        key = (handler, "command", command.subject, f"{sender} {command.type}")
        payload = orjson.dumps({"type": command.type, "data": dict(command.data), "site": site}).decode()
        self._timers[key] = (uuid7(), self.now, *key, payload)

    def keep_aside(self, raw: bytes, reason: str, *, device: str | None, site: str | None) -> None:
        """Keep something in quarantine, sealed."""
        entry = uuid7()
        sealed = self.vault.seal_secret(raw, context=f"quarantine|{entry}")
        digest = self.vault.content_hmac(reason.encode() + b"\x00" + raw)
        self._quarantine.append((entry, self.now, reason, device, site, digest, sealed))

    async def insert(
        self,
        connection: asyncpg.Connection,
        *,
        day: date,
        ends: dict[int, End],
        positions: dict[int, int],
        field_positions: Mapping[UUID, int],
    ) -> None:
        """Write everything; `ends` and `positions` move to the new ends of the shards."""
        await self._load_keys(connection)
        if self.undone:
            await connection.execute(query("event_id.forget"), self.undone)
        await self._insert_events(connection, day, ends, positions, field_positions)
        await self._save_states(connection)
        if self._moved:
            moved = [
                (name, head.seq, head.account, head.person)
                for name in sorted(self._moved)
                for head in [self.heads[name]]
            ]
            await connection.execute(query("subject_head.save"), *_columns(moved), day)
        await self._save_timers(connection)
        for name, group in groupby(self._writes, key=lambda pair: pair[1].query):
            await connection.executemany(query(name), [self._args(subject, write) for subject, write in group])
        if self._quarantine:
            await connection.execute(query("quarantine.keep"), *_columns(self._quarantine))

    async def _load_keys(self, connection: asyncpg.Connection) -> None:
        persons = {draft.person for draft in self.drafts if draft.is_sealed}
        persons |= {self.person(key[1]) for key, state in self.states.items() if state.dirty and key[0] in self.sealing}
        for subject, write in self._writes:
            if any(isinstance(arg, Sealed) for arg in write.args):
                persons.add(self.person(subject))
        newest: dict[str, datetime] = {}
        for draft in self.drafts:
            newest[draft.person] = max(draft.occurred_at, newest.get(draft.person, draft.occurred_at))
        if persons:
            self._keys = await person_keys(connection, self.vault, persons, newest=newest)

    async def _insert_events(
        self,
        connection: asyncpg.Connection,
        day: date,
        ends: dict[int, End],
        positions: dict[int, int],
        field_positions: Mapping[UUID, int],
    ) -> None:
        event_rows, sealed_rows = [], []
        fields = [draft for draft in self.drafts if draft.kind == "field"]
        fields.sort(key=lambda draft: field_positions[draft.id])
        for draft in (*fields, *(draft for draft in self.drafts if draft.kind == "public")):
            if draft.kind == "field":
                pos = field_positions[draft.id]
            else:
                pos = positions[draft.shard] = positions[draft.shard] + 1
            key = self._keys.of(draft.person, draft.occurred_at) if draft.is_sealed else None
            sealed = list(rows.sealed_parts(draft, key, day)) if key is not None else []
            row = rows.event_row(draft, day=day, pos=pos, sealed=sealed, previous=ends[draft.shard].chain)
            ends[draft.shard] = End(day, pos, row[-1])
            event_rows.append(row)
            sealed_rows += sealed
        if event_rows:
            await connection.copy_records_to_table("event", records=event_rows, columns=rows.EVENT_COLUMNS)
        if sealed_rows:
            await connection.copy_records_to_table("sealed", records=sealed_rows, columns=rows.SEALED_COLUMNS)

    async def _save_states(self, connection: asyncpg.Connection) -> None:
        saved: list[tuple[Any, ...]] = []
        for (handler, subject), state in self.states.items():
            if not state.dirty:
                continue
            if handler in self.sealing:
                key = self._key(subject)
                nonce, body = key.seal(state.body, bound_to=f"{handler}|{subject}")
                saved.append((handler, subject, key.person, key.key_id, nonce, body, state.version + 1))
            else:
                saved.append((handler, subject, None, None, None, orjson.dumps(state.body), state.version + 1))
        if saved:
            await connection.execute(query("state.save"), *_columns(saved))

    async def _save_timers(self, connection: asyncpg.Connection) -> None:
        if self.fired:
            await connection.execute(query("timer.empty"), self.fired)
        if self._dropped:
            await connection.execute(query("timer.drop"), *_columns(self._dropped))
        if self._timers:
            await connection.execute(query("timer.set"), *_columns(list(self._timers.values())))

    def _key(self, subject: str) -> PersonKey:
        return self._keys.of(self.person(subject), self._heard.get(subject))

    def _args(self, subject: str, write: Write) -> tuple[Any, ...]:
        return tuple(self._arg(subject, arg) for arg in write.args)

    def _arg(self, subject: str, arg: Any) -> Any:
        if isinstance(arg, Sealed):
            return self._key(subject).seal_blob(arg.value)
        return self.vault.person_digest(arg.person) if isinstance(arg, DigestOf) else arg


def _columns(records: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Turn rows into the columns that `unnest` takes."""
    return [list(column) for column in zip(*records, strict=True)]
