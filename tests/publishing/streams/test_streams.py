"""Events reach the stream in order and once; what the stream is and says; what is done when it is not what it was."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import orjson

from fieldsvc.journal.memory import shard_of
from fieldsvc.publishing.streams.broker import StreamLimits
from fieldsvc.publishing.streams.messages import STREAM
from fieldsvc.publishing.streams.shard import StreamTools
from fieldsvc.publishing.streams.streams import Streams
from fieldsvc.store import streams as stored
from fieldsvc.store.database import Database

SUBJECTS = [f"item/S{number}" for number in range(12)]
CANARY = "Mme Canari, 3e gauche"


def told(logs: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [each for each in logs if each["event"] == event]


async def test_committed_events_are_in_the_stream_in_order_under_their_account_and_type(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    await journal.say_all(SUBJECTS * 5)
    streams = await begin()
    await tools.poll(lambda: streams.published == 60)
    await journal.say("item/S1", type_="item.held", account=None)
    await tools.poll(lambda: streams.published == 61)
    stored = await broker.stored()
    kit.whole(stored, journal.ids)
    *_, last = stored
    shard = last.mark.split("/")[1].split(":")[1]
    assert last.subject.split(".")[:5] == ["evt", shard, "-", "item", "held"]
    assert {each.subject.split(".")[2] for each in stored[:-1]} == {tools.account}
    assert last.headers["Content-Type"] == "application/cloudevents+json"
    assert streams.lag_s < 5


async def test_the_next_owner_goes_on_behind_the_brokers_last_message_even_if_nothing_was_saved(
    begin: Any, broker: Any, database: Database, journal: Any, kit: Any, tools: Any
) -> None:
    await journal.say_all(SUBJECTS * 3)
    first = await begin()
    await tools.poll(lambda: first.published == 36)
    await tools.stop(first.job)
    async with database.acquire() as connection:
        await connection.execute("delete from stream_lane")
    await journal.say_all(SUBJECTS)
    second = await begin()
    await tools.poll(lambda: second.published == 12)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_stream_that_is_deleted_while_it_is_written_is_made_again_and_rebuilt_from_the_oldest_row(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    await journal.say_all(SUBJECTS * 3)
    await begin(pace={"batch": 5})
    await tools.poll(broker.count)
    await broker.ask(f"STREAM.DELETE.{STREAM}")
    await journal.say_all(SUBJECTS)

    async def is_whole() -> bool:
        return bool(await broker.count() == 48)

    await tools.poll(is_whole, within_s=20)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_purged_stream_is_rebuilt_although_the_broker_still_knows_the_ids(
    begin: Any, broker: Any, journal: Any, logs: Any, kit: Any, tools: Any
) -> None:
    await journal.say_all(SUBJECTS * 3)
    streams = await begin(limits=StreamLimits(duplicate_window=timedelta(seconds=1.5)))
    await tools.poll(lambda: streams.published == 36)
    await broker.ask(f"STREAM.PURGE.{STREAM}")
    await tools.poll(lambda: streams.published == 72, within_s=20)
    kit.whole(await broker.stored(), journal.ids)
    assert told(logs, "stream.ids_known")
    assert any(each["reason"] == "empty" for each in told(logs, "stream.resumed"))


async def test_a_stream_without_room_lets_its_oldest_go_and_nothing_is_published_twice(
    begin: Any, broker: Any, journal: Any, tools: Any
) -> None:
    limits = StreamLimits(most_bytes=20_000, duplicate_window=timedelta(seconds=0.2))
    assert shard_of("item/alone") != shard_of("item/many")
    first = await begin(limits=limits)
    await journal.say("item/alone", public={"n": 1})
    await tools.poll(lambda: first.published == 1)
    await journal.say_all(["item/many"] * 90)
    await tools.poll(lambda: first.published == 91)
    await tools.stop(first.job)
    second = await begin(limits=limits)
    await journal.say("item/alone", public={"n": 2})
    await tools.poll(lambda: second.published == 1)
    stored = await broker.stored()
    assert 10 < len(stored) < 60
    assert [each.id for each in stored if each.event["subject"] == "item/many"] == journal.ids[:-1][-len(stored) + 1 :]
    assert stored[-1].id == journal.ids[-1]


async def test_a_new_stream_gets_no_event_that_is_older_than_what_it_keeps(
    begin: Any, broker: Any, database: Database, journal: Any, tools: Any
) -> None:
    await journal.say_all(SUBJECTS)
    async with database.acquire() as connection:
        await connection.execute("update event set received_at = $1", datetime.now(UTC) - timedelta(hours=2))
    await journal.say_all(SUBJECTS)
    streams = await begin(limits=StreamLimits(keep=timedelta(hours=1), duplicate_window=timedelta(seconds=0.5)))
    await tools.poll(lambda: streams.published == 12)
    assert {each.id for each in await broker.stored()} == set(journal.ids[12:])


async def test_what_is_sealed_never_reaches_the_stream(begin: Any, broker: Any, journal: Any, tools: Any) -> None:
    sealed = {"personal": {"accepted_by": CANARY}, "health": {"notes": CANARY}}
    name = await journal.say("item/S1", public={"to": "person"}, operational={"round_id": CANARY}, sealed=sealed)
    streams = await begin()
    await tools.poll(lambda: streams.published == 1)
    (message,) = await broker.stored()
    assert message.event["data"] == {"to": "person"}
    assert message.event["dataref"] == f"/v1/events/{name}"
    kept = b"".join(file.read_bytes() for file in broker.folder.rglob("*") if file.is_file())
    assert name.encode() in kept
    assert CANARY.encode() not in kept
    assert orjson.dumps(CANARY)[1:-1] not in kept


async def test_an_event_that_is_larger_than_the_broker_takes_goes_without_its_data(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    await journal.say("item/S1", public={"words": "x" * 1_100_000})
    await journal.say("item/S1")
    streams = await begin()
    await tools.poll(lambda: streams.published == 2)
    stored = await broker.stored()
    kit.whole(stored, journal.ids)
    assert (stored[0].event["data"], "dataref" in stored[0].event) == ({}, True)


async def test_a_stream_that_somebody_changed_is_set_right_and_that_is_told(
    begin: Any, broker: Any, journal: Any, logs: Any, tools: Any
) -> None:
    first = await begin()
    await journal.say("item/S1")
    await tools.poll(lambda: first.published == 1)
    await tools.stop(first.job)
    config = (await broker.ask(f"STREAM.INFO.{STREAM}"))["config"]
    await broker.ask(f"STREAM.UPDATE.{STREAM}", {**config, "allow_atomic": False, "max_bytes": 5_000_000})
    second = await begin()
    await journal.say("item/S1")
    await tools.poll(lambda: second.published == 1)
    assert [each["field"] for each in told(logs, "stream.config_drift")] == ["max_bytes allow_atomic"]
    config = (await broker.ask(f"STREAM.INFO.{STREAM}"))["config"]
    assert (config["allow_atomic"], config["max_bytes"]) == (True, -1)


async def test_a_broker_that_cannot_keep_the_stream_is_told_by_its_number_and_asked_again(
    begin: Any, journal: Any, logs: Any, tools: Any
) -> None:
    streams = await begin(limits=StreamLimits(replicas=3))
    await tools.poll(lambda: len(told(logs, "stream.broker_fault")) >= 2)
    assert {each["code"] for each in told(logs, "stream.broker_fault")} == {10074}
    assert not streams.is_connected


async def test_without_a_broker_events_wait_and_the_lag_is_seen(
    begin: Any, broker: Any, journal: Any, logs: Any, kit: Any, tools: Any
) -> None:
    broker.kill()
    await journal.say_all(SUBJECTS)
    streams = await begin(pace={"late_after_s": 0.2})
    await tools.poll(lambda: streams.lag_s > 0.2 and told(logs, "stream.late"))
    await broker.start()
    await tools.poll(lambda: streams.published == 12 and told(logs, "stream.in_time"), within_s=40)
    kit.whole(await broker.stored(), journal.ids)


async def test_two_processes_share_the_shards_and_one_takes_over_what_the_other_gives_up(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    first = await begin()
    await tools.poll(lambda: len(first.shards) == 4)
    second = await begin()
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: first.published == 12)
    assert not second.shards
    await tools.stop(first.job)
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: second.published == 12, within_s=20)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_shard_that_a_save_gave_up_meanwhile_is_not_looked_at_again(
    database: Database, reader: Any, tail: Any, vault: Any, kit: Any, monkeypatch: Any
) -> None:
    sink = Streams([], StreamTools(database, reader, tail, vault.epoch, StreamLimits(), kit.quick))
    await sink._look()
    assert len(sink.shards) == 4
    claim = stored.claim

    async def claim_while_a_save_finds_one_lost(*about: Any, **more: Any) -> Any:
        sink._drop([2])
        return await claim(*about, **more)

    monkeypatch.setattr(stored, "claim", claim_while_a_save_finds_one_lost)
    await sink._look()
    assert sink.shards == {0, 1, 3}


def _monitored(broker: Any) -> Any:
    with urlopen(f"http://127.0.0.1:{broker.monitor}/jsz", timeout=5) as answer:
        return orjson.loads(answer.read())


async def test_the_server_tells_its_operator_whether_it_flushes_every_write_and_a_client_not(broker: Any) -> None:
    """As docs/operating.md says: look at the monitoring port; a client is told nothing of it."""
    assert _monitored(broker)["config"]["sync_always"] is True
    assert "sync" not in orjson.dumps(await broker.ask("INFO")).decode()
