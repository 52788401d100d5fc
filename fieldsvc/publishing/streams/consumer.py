"""A subscriber's side of the stream, for documents, tests and the curious: nats-py and nothing of ours.

An operator makes the consumer and the subscriber reads it: who may make consumers may have them deliver to any subject. One message
is under way at a time, so what failed, or was in the hands of a process that died, comes again before anything newer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from fieldsvc.publishing.streams.messages import MESSAGE_ID, STREAM, account_token

ACKNOWLEDGED_WITHIN_S = 30.0
Known = Callable[[str], Awaitable[bool]]
Take = Callable[[str, dict[str, Any]], Awaitable[None]]


def subjects(account: str | None, types: Sequence[str] = ("*",)) -> list[str]:
    """Name the subjects of an account's events of some types, such as `item.*`; `*` alone is every type."""
    token = account_token(account)
    return [f"evt.*.{token}.>" if each == "*" else f"evt.*.{token}.{each}.*" for each in types]


async def make_consumer(
    client: Client, durable: str, *, account: str | None, types: Sequence[str] = ("*",)
) -> ConsumerInfo:
    """Make or change the durable consumer of a subscriber, from the oldest kept event on; for the operator."""
    config = ConsumerConfig(
        durable_name=durable,
        filter_subjects=subjects(account, types),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACKNOWLEDGED_WITHIN_S,
        deliver_policy=DeliverPolicy.ALL,
        max_ack_pending=1,
    )
    return await client.jetstream().add_consumer(STREAM, config)


async def read(client: Client, durable: str, take: Take, *, known: Known, wait_s: float = 5.0) -> None:
    """Give every event to `take(id, event)`, in order per subject, until cancelled or `take` fails.

    What failed comes again at once. An event may come twice (after a crash, or when a stream was rebuilt), always with the same
    id: `known(id)` says that its effect was stored, and `take` should store both together.
    """
    subscription = await client.jetstream().pull_subscribe_bind(consumer=durable, stream=STREAM)
    while not _is_cancelled():
        try:
            (message,) = await subscription.fetch(1, timeout=wait_s)
        except TimeoutError:
            continue
        await _do(message, take, known)
    raise asyncio.CancelledError


def _is_cancelled() -> bool:
    """Tell of a cancellation that was lost: Python 3.11's wait_for, used by the client, drops one that meets a message."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _do(message: Msg, take: Take, known: Known) -> None:
    name = (message.headers or {}).get(MESSAGE_ID, "")
    try:
        if not await known(name):
            await take(name, json.loads(message.data))
    except BaseException:
        await message.nak()
        raise
    await message.ack_sync()
