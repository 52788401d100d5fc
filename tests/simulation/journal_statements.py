"""What the queries of the journal do in the store of the simulation."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.journal.rows import EVENT_COLUMNS
from fieldsvc.journal.submission import SHARDS
from tests.simulation.store import PUBLIC, Record, Store, Transaction, Values, records, statement


@statement("shard.lock")
async def _lock_shards(store: Store, tx: Transaction, shards: list[int]) -> list[Record]:
    for shard in sorted(shards):
        await store.lock(tx, ("shard", shard))
    return records("id writer", [store.get(tx, "shard", (shard,)) or {} for shard in sorted(shards)])


@statement("shard.take")
def _take_shards(store: Store, tx: Transaction, shards: list[int], writer: UUID) -> None:
    for shard in shards:
        store.put(tx, "shard", (shard,), {"id": shard, "writer": writer})


@statement("shard.end_frozen")
def _end_frozen(store: Store, tx: Transaction, after_s: float) -> None:
    return None


def _shard(store: Store, tx: Transaction, shard: int) -> list[Values]:
    """The rows of a shard in order, with those that the transaction wrote itself."""
    own = [row for row in tx.written.get("event", {}).values() if row is not None and row["shard"] == shard]
    if not own:
        return store.rows[shard]
    return sorted([*store.rows[shard], *own], key=lambda row: (row["day"], row["pos"]))


@statement("event.last_of_shard")
def _last_of_shard(store: Store, tx: Transaction, shard: int) -> list[Record]:
    return records("day pos chain", _shard(store, tx, shard)[-1:])


@statement("event.public_after")
def _public_after(store: Store, tx: Transaction, shard: int, day: date, pos: int, limit: int) -> list[Record]:
    found: list[Values] = []
    for row in reversed(_shard(store, tx, shard)):
        if (row["day"], row["pos"]) <= (day, pos):
            break
        if row["kind"] == "public":
            found.append(row)
    return [Record(PUBLIC, [row[name] for name in PUBLIC]) for row in found[::-1][:limit]]


@statement("event.ends")
def _ends(store: Store, tx: Transaction) -> list[Record]:
    shards = [_shard(store, tx, n) for n in range(SHARDS)]
    ends = [rows[-1] if rows else {"day": None, "pos": None} for rows in shards]
    return [Record(("shard", "day", "pos"), (n, end["day"], end["pos"])) for n, end in enumerate(ends)]


@statement("event.chain_of_shard")
def _chain_of_shard(store: Store, tx: Transaction, shard: int, day: date, pos: int, limit: int) -> list[Record]:
    found = [row for row in _shard(store, tx, shard) if (row["day"], row["pos"]) > (day, pos)][:limit]
    return [Record(EVENT_COLUMNS, [row[name] for name in EVENT_COLUMNS]) for row in found]


_ID = ("id", "day", "shard", "pos", "site", "content_hmac", "received_at")


@statement("event_id.remember")
async def _remember(store: Store, tx: Transaction, *columns: list[Any]) -> list[Record]:
    fresh = []
    for values in zip(*columns, strict=True):
        row = dict(zip(_ID, values, strict=True))
        key = (row["id"],)
        if store.get(tx, "event_id", key) is None:
            await store.lock(tx, ("event_id", row["id"]))  # whoever inserted it may still take it back
        if store.get(tx, "event_id", key) is None:
            store.put(tx, "event_id", key, row)
            fresh.append(row)
    return records("id", fresh)


@statement("event_id.known")
def _known(store: Store, tx: Transaction, ids: list[UUID]) -> list[Record]:
    found = [row for each in ids if (row := store.get(tx, "event_id", (each,))) is not None]
    return records("id day shard pos site content_hmac", found)


@statement("event_id.forget")
def _forget(store: Store, tx: Transaction, ids: list[UUID]) -> None:
    for each in ids:
        if store.get(tx, "event_id", (each,)) is not None:
            store.put(tx, "event_id", (each,), None)


@statement("state.load")
def _load_states(store: Store, tx: Transaction, handlers: list[str], subjects: list[str]) -> list[Record]:
    found = [row for key in zip(handlers, subjects, strict=True) if (row := store.get(tx, "state", key)) is not None]
    return records(
        "handler subject person key_id nonce body version wrapped", [{**row, "wrapped": None} for row in found]
    )


@statement("state.save")
def _save_states(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    names = ("handler", "subject", "person", "key_id", "nonce", "body", "version")
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
        store.put(tx, "state", (row["handler"], row["subject"]), row)


@statement("subject_head.load")
def _load_heads(store: Store, tx: Transaction, subjects: list[str]) -> list[Record]:
    found = [row for each in subjects if (row := store.get(tx, "subject_head", (each,))) is not None]
    return records("subject seq account person", found)


@statement("subject_head.save")
def _save_heads(store: Store, tx: Transaction, *given: Any) -> None:
    *columns, day = given
    for subject, seq, account, person in zip(*columns, strict=True):
        row = {"subject": subject, "seq": seq, "account": account, "person": person, "touched_on": day}
        store.put(tx, "subject_head", (subject,), row)


_TIMER = ("id", "due_at", "handler", "kind", "subject", "key", "payload")


@statement("timer.due")
def _due(store: Store, tx: Transaction, now: datetime, limit: int, waiting: list[str]) -> list[Record]:
    due = [row for _key, row in store.all(tx, "timer") if row["due_at"] <= now and row["kind"] not in waiting]
    return records("id due_at handler kind subject payload", sorted(due, key=lambda row: row["due_at"])[:limit])


@statement("timer.still_set")
def _still_set(store: Store, tx: Transaction, ids: list[UUID]) -> list[Record]:
    return records("id", [row for _key, row in store.all(tx, "timer") if row["id"] in ids])


@statement("timer.set")
def _set_timers(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for values in zip(*columns, strict=True):
        row = dict(zip(_TIMER, values, strict=True))
        store.put(tx, "timer", (row["handler"], row["kind"], row["subject"], row["key"]), row)


@statement("timer.drop")
def _drop_timers(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    gone = set(zip(*columns, strict=True))
    for key, _row in store.all(tx, "timer"):
        if key[:3] in gone:
            store.put(tx, "timer", key, None)


@statement("timer.empty")
def _empty_timers(store: Store, tx: Transaction, ids: list[UUID]) -> None:
    for key, row in store.all(tx, "timer"):
        if row["id"] in ids:
            store.put(tx, "timer", key, None)


@statement("receipt.lock_devices")
async def _lock_devices(store: Store, tx: Transaction, devices: list[str]) -> list[Record]:
    known = sorted(each for each in devices if store.get(tx, "device", (each,)) is not None)
    for each in known:
        await store.lock(tx, ("device", each))
    return records("id receipt_no receipt_hash", [store.get(tx, "device", (each,)) or {} for each in known])


@statement("receipt.move_devices")
def _move_devices(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for device, no, digest in zip(*columns, strict=True):
        store.put(tx, "device", (device,), {"id": device, "receipt_no": no, "receipt_hash": digest})


@statement("quarantine.keep")
def _keep(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for entry, at, reason, device, site, digest, body in zip(*columns, strict=True):
        if store.get(tx, "quarantine", (device, digest)) is None:
            row = {
                "id": entry,
                "at": at,
                "reason": reason,
                "device": device,
                "site": site,
                "digest": digest,
                "body": body,
            }
            store.put(tx, "quarantine", (device, digest), row)


@statement("run.set_state")
def _set_run_state(store: Store, tx: Transaction, run: str, *_more: Any) -> None:
    if "\x00" in run:
        raise asyncpg.CharacterNotInRepertoireError("invalid byte sequence for encoding")
