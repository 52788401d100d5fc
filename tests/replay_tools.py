"""What the tests of rewinds and replays ask of the journal, the receiver and the store."""

from typing import Any


async def remember_ids(database: Any) -> None:
    """Fill the table of ids, as the writer does."""
    await database.pool.execute(
        "insert into event_id select id, day, shard, pos, site, '', received_at from event on conflict do nothing"
    )


async def count(database: Any, table: str) -> int:
    return int(await database.pool.fetchval(f"select count(*) from {table}") or 0)


async def is_empty(database: Any, table: str) -> bool:
    return await count(database, table) == 0


async def at_end(journal: Any, endpoint: Any) -> bool:
    """Whether the live cursor has passed everything that was said."""
    found = await journal.database.pool.fetch("select shard, pos from cursor where endpoint = $1", endpoint.id)
    return {row["shard"]: row["pos"] for row in found} == {shard: journal.positions[shard] for shard in range(4)}


def all_arrived(receiver: Any, journal: Any) -> Any:
    return lambda: {got.id for got in receiver.acknowledged} >= set(journal.ids)


def of_replay(receiver: Any, replay: Any) -> list[Any]:
    return [got for got in receiver.acknowledged if got.headers.get("fieldsvc-replay") == replay.id]


async def state_of(replaying: Any, replay: Any, endpoint: Any) -> Any:
    return await replaying.read(endpoint.account, endpoint.id, replay.id)


def ended(replaying: Any, replay: Any, endpoint: Any) -> Any:
    async def is_done() -> bool:
        return (await state_of(replaying, replay, endpoint)).state == "done"

    return is_done


def assert_in_order(got: list[Any]) -> None:
    """First occurrences of every subject are in order."""
    seen: set[str] = set()
    last: dict[str, int] = {}
    for each in got:
        if each.id not in seen:
            seen.add(each.id)
            assert each.sequence > last.get(each.subject, 0), each.subject
            last[each.subject] = each.sequence
