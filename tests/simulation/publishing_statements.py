"""What the queries of publishing do in the store of the simulation."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from fieldsvc.journal.rows import EVENT_COLUMNS
from tests.simulation.store import PUBLIC, Record, Store, Transaction, Values, records, statement

_LEASE = "endpoint epoch opened_at probe_at step held_until failing_since last_failed_at warned"
_BREAKER = ("opened_at", "probe_at", "step", "held_until", "failing_since", "last_failed_at", "warned")


@statement("lane.claim")
def _claim(store: Store, tx: Transaction, owner: UUID, lease_s: float, most: int) -> list[Record]:
    now = store.now()
    free = [
        row for key, row in store.all(tx, "lane")
        if row["leased_until"] <= now and not store.is_held(tx, ("lane", *key)) and _is_active(store, tx, row["endpoint"])
    ]  # fmt: skip
    claimed = []
    for row in sorted(free, key=lambda row: row["leased_until"])[:most]:
        claimed.append(
            {**row, "owner": owner, "epoch": row["epoch"] + 1, "leased_until": now + timedelta(seconds=lease_s)}
        )
        store.put(tx, "lane", (row["endpoint"],), claimed[-1])
    return records(_LEASE, claimed)


def _is_active(store: Store, tx: Transaction, endpoint: str) -> bool:
    row = store.get(tx, "endpoint", (endpoint,))
    return row is not None and row["state"] == "active"


async def _mine(store: Store, tx: Transaction, owner: UUID, names: list[str], epochs: list[int]) -> list[Values]:
    found = []
    for name, epoch in sorted(zip(names, epochs, strict=True)):
        await store.lock(tx, ("lane", name))
        row = store.get(tx, "lane", (name,))
        if row is not None and row["epoch"] == epoch and row["owner"] == owner:
            found.append(row)
    return found


@statement("lane.renew")
async def _renew(
    store: Store, tx: Transaction, owner: UUID, names: list[str], epochs: list[int], lease_s: float
) -> list[Record]:
    until = store.now() + timedelta(seconds=lease_s)
    kept = [{**row, "leased_until": until} for row in await _mine(store, tx, owner, names, epochs)]
    for row in kept:
        store.put(tx, "lane", (row["endpoint"],), row)
    return records("endpoint", kept)


@statement("lane.release")
async def _release(
    store: Store, tx: Transaction, owner: UUID, names: list[str], epochs: list[int], after_s: float
) -> None:
    until = store.now() + timedelta(seconds=after_s)
    for row in await _mine(store, tx, owner, names, epochs):
        store.put(tx, "lane", (row["endpoint"],), {**row, "owner": None, "leased_until": until})


@statement("lane.hold")
async def _hold(store: Store, tx: Transaction, owner: UUID, names: list[str], epochs: list[int]) -> list[Record]:
    return records("endpoint", await _mine(store, tx, owner, names, epochs))


@statement("lane.hold_epoch")
async def _hold_epoch(store: Store, tx: Transaction, name: str, epoch: int) -> list[Record]:
    await store.lock(tx, ("lane", name))
    row = store.get(tx, "lane", (name,))
    return records("endpoint", [row] if row is not None and row["epoch"] == epoch else [])


@statement("lane.save_breakers")
def _save_breakers(store: Store, tx: Transaction, names: list[str], epochs: list[int], *columns: list[Any]) -> None:
    for name, epoch, *values in zip(names, epochs, *columns, strict=True):
        row = store.get(tx, "lane", (name,))
        if row is not None and row["epoch"] == epoch:
            store.put(tx, "lane", (name,), {**row, **dict(zip(_BREAKER, values, strict=True))})


@statement("lane.rest")
async def _rest(store: Store, tx: Transaction, name: str) -> list[Record]:
    await store.lock(tx, ("lane", name))
    row = store.get(tx, "lane", (name,))
    if row is None:
        return []
    rested = {**row, **dict.fromkeys(_BREAKER), "step": 0, "warned": 0, "epoch": row["epoch"] + 1, "owner": None}
    store.put(tx, "lane", (name,), rested)
    return records("opened_at", [row])


@statement("dispatcher.here")
def _here(store: Store, tx: Transaction, owner: UUID) -> None:
    store.put(tx, "dispatcher", (owner,), {"owner": owner, "seen_at": store.now()})


@statement("dispatcher.count")
def _count(store: Store, tx: Transaction, seen_s: float) -> list[Record]:
    since = store.now() - timedelta(seconds=seen_s)
    seen = sum(row["seen_at"] > since for _key, row in store.all(tx, "dispatcher"))
    lanes = sum(_is_active(store, tx, row["endpoint"]) for _key, row in store.all(tx, "lane"))
    return [Record(("dispatchers", "lanes"), (seen, lanes))]


@statement("dispatcher.gone")
def _gone(store: Store, tx: Transaction, owner: UUID) -> None:
    store.put(tx, "dispatcher", (owner,), None)


@statement("endpoint.configs")
def _configs(store: Store, tx: Transaction, names: list[str]) -> list[Record]:
    found = [row for each in names if (row := store.get(tx, "endpoint", (each,))) is not None]
    return [Record(row, row.values()) for row in found]


@statement("endpoint.stop")
def _stop(store: Store, tx: Transaction, name: str, state: str, _reason: str) -> None:
    row = store.get(tx, "endpoint", (name,))
    if row is not None and row["state"] != "disabled":
        store.put(tx, "endpoint", (name,), {**row, "state": state, "version": row["version"] + 1})


@statement("endpoint.resume")
def _resume(store: Store, tx: Transaction, name: str) -> None:
    row = store.get(tx, "endpoint", (name,))
    if row is not None:
        store.put(tx, "endpoint", (name,), {**row, "state": "active", "version": row["version"] + 1})


@statement("endpoint.lock")
def _lock_endpoint(store: Store, tx: Transaction, name: str) -> list[Record]:
    return [Record(("state", "stopped_at"), ("disabled", None))]


@statement("endpoint.secrets")
@statement("told.rest")
@statement("parked.shift")
@statement("attempt.make_days")
@statement("attempt.drop_days")
def _nothing(store: Store, tx: Transaction, *_args: Any) -> None:
    return None


@statement("cursor.read")
def _read_cursors(store: Store, tx: Transaction, endpoint: str) -> list[Record]:
    found = [row for key, row in store.all(tx, "cursor") if key[0] == endpoint]
    return records("shard day pos", sorted(found, key=lambda row: row["shard"]))


@statement("cursor.move")
def _move_cursors(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for endpoint, epoch, shard, day, pos in zip(*columns, strict=True):
        lane, row = store.get(tx, "lane", (endpoint,)), store.get(tx, "cursor", (endpoint, shard))
        if lane is not None and row is not None and lane["epoch"] == epoch and (row["day"], row["pos"]) < (day, pos):
            store.put(tx, "cursor", (endpoint, shard), {**row, "day": day, "pos": pos})


_PARKED = ("endpoint", "subject", "shard", "day", "pos", "attempts", "next_at", "reason", "since")


@statement("parked.save")
def _park(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for values in zip(*columns, strict=True):
        store.put(tx, "parked", (values[0], values[1]), dict(zip(_PARKED, values, strict=True)))


@statement("parked.free")
def _free(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for key in zip(*columns, strict=True):
        store.put(tx, "parked", key, None)


@statement("parked.read")
def _read_parked(store: Store, tx: Transaction, endpoint: str) -> list[Record]:
    backlog = [key[:2] for key, _row in store.all(tx, "lane_backlog")]
    found = [{**row, "behind": backlog.count(key)} for key, row in store.all(tx, "parked") if key[0] == endpoint]
    return records("subject shard day pos attempts next_at reason since behind", found)


def _event_at(store: Store, tx: Transaction, day: date, shard: int, pos: int) -> Record:
    row = store.get(tx, "event", (day, shard, pos)) or dict.fromkeys(EVENT_COLUMNS)
    place = {"day": day, "shard": shard, "pos": pos}
    return Record(PUBLIC, [{**row, **place}[name] for name in PUBLIC])


@statement("parked.head")
def _parked_head(store: Store, tx: Transaction, day: date, shard: int, pos: int) -> list[Record]:
    return [_event_at(store, tx, day, shard, pos)]


@statement("lane_backlog.add")
def _add_backlog(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for endpoint, subject, day, pos, shard in zip(*columns, strict=True):
        store.put(tx, "lane_backlog", (endpoint, subject, day, pos), {"shard": shard})


@statement("lane_backlog.trim")
def _trim_backlog(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    for endpoint, subject, day, pos in zip(*columns, strict=True):
        for key, _row in store.all(tx, "lane_backlog"):
            if key[:2] == (endpoint, subject) and key[2:] <= (day, pos):
                store.put(tx, "lane_backlog", key, None)


@statement("lane_backlog.next")
def _next_backlog(
    store: Store, tx: Transaction, endpoint: str, subject: str, day: date, pos: int, limit: int
) -> list[Record]:
    found = [
        (key, row)
        for key, row in store.all(tx, "lane_backlog")
        if key[:2] == (endpoint, subject) and key[2:] > (day, pos)
    ]
    found.sort(key=lambda pair: pair[0][2:])
    return [_event_at(store, tx, key[2], row["shard"], key[3]) for key, row in found[:limit]]


@statement("dead_letter.add")
def _add_dead(store: Store, tx: Transaction, *columns: list[Any]) -> None:
    names = ("endpoint", "event_id", "subject", "shard", "day", "pos", "reason", "attempts")
    for values in zip(*columns, strict=True):
        if store.get(tx, "dead_letter", values[:2]) is None:
            store.put(tx, "dead_letter", values[:2], {**dict(zip(names, values, strict=True)), "at": store.now()})
