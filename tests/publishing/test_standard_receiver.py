"""A receiver that knows nothing of us but the public `standardwebhooks` package accepts everything that is sent to it."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from fieldsvc.certifying.day import FIRST, NEXT, STRANGER, plan_day
from fieldsvc.certifying.events import Mint
from fieldsvc.certifying.sending import BATCH, ONE, Courier, Pace
from fieldsvc.publishing.signing import new_secret

WIDE = "Zo\u00e9 \u2028 \u200f\u05e9\u05dc\u05d5\u05dd\u200e \U0001f469\U0001f3fd\u200d\U0001f9b0 <&> \"'\\ \u0436"
SUBJECTS = [f"item/RK{number}" for number in range(12)]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "thin": {"thin": True},
    "batch": {"options": {"batch": 20}},
    "parallel": {"options": {"mode": "parallel"}},
    "epcis": {"options": {"format": "epcis"}},
}


@dataclass
class Hook:
    """What came to one endpoint; every `fails_each`-th request is answered 500 once it was verified."""

    secrets: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    fails_each: int = 7

    def is_verified(self, body: bytes, headers: dict[str, str]) -> bool:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
            return True
        return False

    def take(self, headers: dict[str, str], body: bytes) -> int:
        if not self.is_verified(body, headers):
            self.refused.append(headers["webhook-id"])
            return 401
        self.messages.append(headers)
        if len(self.messages) % self.fails_each == 0:
            return 500
        found = orjson.loads(body)
        for event in found if isinstance(found, list) else [found]:
            self.ids[event["id"] if "id" in event else headers["webhook-id"]] += 1
        return 204


@pytest.fixture
async def hooks() -> AsyncIterator[tuple[dict[str, Hook], str]]:
    """One server for every endpoint, by the last part of its address."""
    known = {name: Hook() for name in WAYS}

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.Response(status=known[request.match_info["name"]].take(headers, await request.read()))

    app = web.Application(client_max_size=2**21)
    app.router.add_post("/{name}", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield known, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_it_refuses_nothing_of_a_mixed_run(journal, endpoints, start, tools, hooks):
    known, origin = hooks
    ids = {}
    for name, about in WAYS.items():
        endpoint, secret = await endpoints.create(tools.account, f"{origin}/{name}", types=["item.*"], **about)
        ids[name], known[name].secrets = endpoint.id, [secret]
    await start()

    async def said_and_received() -> None:
        new = await journal.say_all(SUBJECTS * 3, public={"item_id": "RK1", "to": "mailbox", "words": WIDE})
        whole = [hook for name, hook in known.items() if name != "epcis"]
        await tools.poll(lambda: all(hook.ids[each] for hook in whole for each in new), within_s=60)

    async def until_signed_by(count: int) -> None:
        for hook in known.values():
            hook.messages.clear()
        while any(_signatures(hook) != count for hook in known.values()):
            await said_and_received()

    await said_and_received()
    for name, endpoint_id in ids.items():
        known[name].secrets.append(await endpoints.rotate(tools.account, endpoint_id))
    await until_signed_by(2)
    for name, endpoint_id in ids.items():
        known[name].secrets.append(await endpoints.rotate(tools.account, endpoint_id, overlap_s=0.5))
    await until_signed_by(1)
    for name, endpoint_id in ids.items():
        del known[name].secrets[:2]
        attempt = await endpoints.test(tools.account, endpoint_id)
        assert attempt.status in (204, 500)
    await said_and_received()
    assert {name: hook.refused for name, hook in known.items()} == {name: [] for name in WAYS}
    again = Counter(headers["webhook-id"] for hook in known.values() for headers in hook.messages)
    assert again.most_common(1)[0][1] > 1  # what was answered 500 came again, signed anew
    assert any(headers["content-type"].startswith(BATCH) for headers in known["batch"].messages)
    assert all(headers["content-type"] == f"{ONE}; charset=utf-8" for headers in known["thin"].messages)


async def test_what_certify_sends_looks_like_what_the_dispatcher_sends(journal, endpoints, start, tools, hooks):
    known, origin = hooks
    hook, secrets = known["batch"], []
    hook.fails_each = 10**6
    for name in ("plain", "batch"):
        _, secret = await endpoints.create(tools.account, f"{origin}/batch", **WAYS[name])
        secrets.append(secret)
    hook.secrets = secrets
    await start()
    new = await journal.say_all(SUBJECTS * 4)
    await tools.poll(lambda: all(hook.ids[each] == 2 for each in new), within_s=60)
    ours, hook.messages = hook.messages, []
    keys = {FIRST: secrets[0], NEXT: secrets[0], STRANGER: new_secret()}
    day = plan_day(Mint(1, "aa", datetime.now(UTC)), events=40, batches=True)
    async with Courier(f"{origin}/batch", keys, pace=Pace(), done=lambda: None) as courier:
        for phase in day.phases:
            if phase.name in ("an ordinary morning, late events and corrections", "batches"):
                await courier.run(phase)
    assert _looks(ours) == _looks(hook.messages)
    assert len(_looks(ours)) == 2
    assert hook.refused == []


def _signatures(hook: Hook) -> int:
    """Count the signatures of the newest message."""
    return len(hook.messages[-1]["webhook-signature"].split()) if hook.messages else 0


def _looks(messages: list[dict[str, str]]) -> set[tuple[Any, ...]]:
    """Return what is told by the headers of messages but for ids, times, signatures and lengths."""
    changing = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-length")
    fixed = [{name: value for name, value in headers.items() if name not in changing} for headers in messages]
    names = [tuple(sorted(headers)) for headers in messages]
    forms = ["batch" if "_b" in headers["webhook-id"] else "one" for headers in messages]
    return {(*sorted(each.items()), name, form) for each, name, form in zip(fixed, names, forms, strict=True)}
