"""A subscriber at the broker: reads its own account's events in order, each once, and nothing of anybody else."""

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest

from fieldsvc.publishing.streams import consumer
from fieldsvc.publishing.streams.messages import STREAM

ROOT = Path(__file__).parents[3]
SUBJECTS = [f"item/S{number}" for number in range(5)]
PASSWORDS = {"FIELDSVC": "s3rvice-pw", "ONE": "one-pw", "TWO": "two-pw"}


class Subscriber:
    """Notes what it did by id, as a subscriber's database would; fails when it is told to."""

    def __init__(self) -> None:
        self.done: dict[str, dict[str, Any]] = {}
        self.order: defaultdict[str, list[int]] = defaultdict(list)
        self.fails_at: set[int] = set()
        self.seen = 0

    async def known(self, name: str) -> bool:
        return name in self.done

    async def take(self, name: str, event: dict[str, Any]) -> None:
        self.seen += 1
        if self.seen in self.fails_at:
            raise ConnectionError
        self.done[name] = event
        self.order[event["subject"]].append(int(event["sequence"]))

    async def read(self, client: Any, durable: str) -> None:
        """Read for ever, and again after each failure."""
        while True:
            try:
                await consumer.read(client, durable, self.take, known=self.known, wait_s=0.3)
            except ConnectionError:
                continue


async def test_a_subscriber_reads_its_types_in_order_each_once_although_it_fails_now_and_then(
    begin: Any, broker: Any, journal: Any, tools: Any
) -> None:
    sink, subscriber = await begin(), Subscriber()
    subscriber.fails_at = {3, 4, 11}
    await journal.say_all(SUBJECTS * 4)
    await journal.say("item/S0", type_="sheet.seen")
    await journal.say("item/S0", account="acct-other")
    await tools.poll(lambda: sink.published == 22)
    async with broker.client() as client:
        await consumer.make_consumer(client, "one", account=tools.account, types=["item.*", "run.started"])
        job = asyncio.create_task(subscriber.read(client, "one"))
        await tools.poll(lambda: len(subscriber.done) == 20)
        await tools.stop(job)
    assert set(subscriber.done) == set(journal.ids[:20])
    assert dict(subscriber.order) == {subject: [1, 2, 3, 4] for subject in SUBJECTS}


async def test_after_the_stream_was_rebuilt_everything_comes_again_and_is_done_once(
    begin: Any, broker: Any, journal: Any, tools: Any
) -> None:
    await begin()
    subscriber = Subscriber()
    await journal.say_all(SUBJECTS * 2)
    await tools.poll(broker.count)
    for _ in range(2):
        async with broker.client() as client:
            await consumer.make_consumer(client, "one", account=tools.account)
            job = asyncio.create_task(subscriber.read(client, "one"))
            await tools.poll(lambda: set(subscriber.done) == set(journal.ids), within_s=20)
            await tools.stop(job)
        broker.kill()
        broker.empty()
        await broker.start()
        await journal.say_all(SUBJECTS)
        await tools.poll(_has(broker, len(journal.ids)), within_s=20)
    assert all(order == sorted(set(order)) for order in subscriber.order.values())


class _Deaf:
    """A client whose wait loses a cancellation, as `asyncio.wait_for` of Python 3.11 does when a message meets it."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    def jetstream(self) -> "_Deaf":
        return self

    async def pull_subscribe_bind(self, **_names: str) -> "_Deaf":
        return self

    async def fetch(self, _count: int, *, timeout: float) -> Any:  # noqa: ASYNC109
        self.waits.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(timeout)
        raise TimeoutError


async def test_a_reader_ends_although_the_client_loses_its_cancellation() -> None:
    subscriber, client = Subscriber(), _Deaf()
    job = asyncio.create_task(subscriber.read(client, "one"))
    await client.waits.wait()
    job.cancel()
    await asyncio.wait([job], timeout=5)
    assert job.cancelled()


def _has(broker: Any, count: int) -> Any:
    async def enough() -> bool:
        return bool(await broker.count() == count)

    return enough


@pytest.fixture
async def guarded(tmp_path: Path, kit: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server with the operator's configuration as docker/nats.conf has it."""
    for name, password in PASSWORDS.items():
        monkeypatch.setenv(f"NATS_{name}_PASSWORD", password)
    written = (ROOT / "docker/nats.conf").read_text()
    users = re.search(r"^authorization \{.*", written, re.MULTILINE | re.DOTALL)
    assert users is not None
    assert "sync_interval: always" in written
    server = kit.server(tmp_path, users[0])
    await server.start()
    yield server
    server.kill()


async def test_with_the_operators_configuration_a_subscriber_reaches_its_own_events_and_nothing_else(
    guarded: Any, begin: Any, journal: Any, tools: Any
) -> None:
    sink = await begin(url=guarded.url.replace("//", f"//fieldsvc:{PASSWORDS['FIELDSVC']}@"))
    await journal.say_all(["item/one"] * 3, account="acct-one")
    await journal.say_all(["item/two"] * 3, account="acct-two")
    await tools.poll(lambda: sink.published == 6)
    async with guarded.client(user="fieldsvc", password=PASSWORDS["FIELDSVC"]) as operator:
        for name in ("acct-one", "acct-two"):
            await consumer.make_consumer(operator, name, account=name)
        for name, subject in (("ONE", "item/one"), ("TWO", "item/two")):
            user, subscriber = f"acct-{name.lower()}", Subscriber()
            signed_in = {"user": user, "password": PASSWORDS[name], "inbox_prefix": f"_INBOX_{user}"}
            async with guarded.client(**signed_in) as client:
                job = asyncio.create_task(subscriber.read(client, user))
                await tools.poll(lambda subscriber=subscriber: len(subscriber.done) == 3)
                await tools.stop(job)
                assert dict(subscriber.order) == {subject: [1, 2, 3]}
        await _tries_everything_else(guarded, tools)
        assert (await operator.jetstream().stream_info(STREAM)).state.messages == 6


async def test_a_wrong_password_is_told_as_such_and_not_shown(guarded: Any, begin: Any, logs: Any, tools: Any) -> None:
    await begin(url=guarded.url.replace("//", "//fieldsvc:not-it@"))
    await tools.poll(lambda: [each for each in logs if each["event"] == "stream.broker_fault"])
    faults = [each for each in logs if each["event"] == "stream.broker_fault"]
    assert all("authorization violation" in each["reason"].lower() for each in faults)
    assert "not-it" not in str(logs)


async def _tries_everything_else(guarded: Any, tools: Any) -> None:
    refused: list[str] = []

    async def heard(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        guarded.url, user="acct-one", password=PASSWORDS["ONE"], inbox_prefix="_INBOX_acct-one", error_cb=heard
    )
    try:
        for subject in ("evt.>", "evt.*.acct-two.>", "evt.*.acct-one.>", "_INBOX.>", "_INBOX_acct-two.>", "$JS.>", ">"):
            await client.subscribe(subject)
        await tools.poll(lambda: len(refused) == 7)
        asked = {
            f"CONSUMER.MSG.NEXT.{STREAM}.acct-two": b"1",
            f"CONSUMER.CREATE.{STREAM}.x.evt.*.acct-two.>": b"{}",
            f"CONSUMER.CREATE.{STREAM}.x.evt.*.acct-one.>": b"{}",
            f"CONSUMER.DELETE.{STREAM}.acct-one": b"",
            f"STREAM.MSG.GET.{STREAM}": b'{"seq": 6}',
            f"DIRECT.GET.{STREAM}": b'{"seq": 6}',
            f"STREAM.PURGE.{STREAM}": b"",
        }
        for number, (subject, body) in enumerate(asked.items(), start=8):
            with pytest.raises(nats.errors.Error):
                await client.request(f"$JS.API.{subject}", body, timeout=0.2)
            await tools.poll(lambda number=number: len(refused) == number)
        await client.publish("evt.0.acct-two.item.delivered.0", b"{}")
        await client.flush()
        await tools.poll(lambda: len(refused) == 8 + len(asked))
        assert all("permissions violation" in each.lower() for each in refused)
    finally:
        await client.close()
