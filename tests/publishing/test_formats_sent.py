"""Endpoints of other formats, from the journal to the receiver: one by one and in batches, signed, the same at every attempt."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from fieldsvc.publishing.formats.catalogue import EPCIS, FHIR, SUIVI, Format
from fieldsvc.publishing.signing import verify

ITEMS = [f"RK{number}FR" for number in range(1, 7)]


@dataclass
class Hook:
    """A receiver that reads no CloudEvents; it refuses the first `refuse` requests."""

    url: str = ""
    refuse: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        return web.Response(status=500 if len(self.got) <= self.refuse else 204)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    found, app = Hook(), web.Application()
    app.router.add_post("/hook", found.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


def count(form: Format, body: bytes) -> int:
    """How many events a body has."""
    whole = orjson.loads(body)
    if form is EPCIS:
        return len(whole["epcisBody"]["eventList"])
    if form is FHIR:
        return len(whole["entry"]) if whole["resourceType"] == "Bundle" else 1
    return len(whole) if isinstance(whole, list) else 1


@pytest.mark.parametrize("form", [EPCIS, FHIR, SUIVI], ids=lambda form: form.name)
async def test_events_arrive_in_the_format_whole_and_signed_and_those_without_a_place_in_it_are_passed_over(
    form: Format, hook: Hook, endpoints: Any, journal: Any, start: Any, tools: Any
) -> None:
    _, secret = await endpoints.create(tools.account, hook.url, options={"format": form.name, "batch": 10})
    await journal.say("run/1", type_="run.started", public={"run_id": "1"})
    for item in ITEMS:
        await journal.say(f"item/{item}", type_="item.loaded", public={"item_id": item})
    await journal.say("run/1", type_="run.ended", public={"run_id": "1"})
    await start()
    await tools.poll(lambda: sum(count(form, body) for _, body in hook.got) >= len(ITEMS))
    assert sum(count(form, body) for _, body in hook.got) == len(ITEMS)
    everything = b"".join(body for _, body in hook.got)
    assert all(item.encode() in everything for item in ITEMS)
    for headers, body in hook.got:
        name = headers["webhook-id"]
        assert verify([secret], headers, body, now=float(headers["webhook-timestamp"])) == name
        assert headers["content-type"].partition(";")[0] == form.media_type
        assert f"_b{count(form, body)}_" in name or count(form, body) == 1


@pytest.mark.parametrize("form", [EPCIS, FHIR, SUIVI], ids=lambda form: form.name)
async def test_an_event_that_was_refused_comes_again_as_the_same_bytes(
    form: Format, hook: Hook, endpoints: Any, journal: Any, start: Any, tools: Any
) -> None:
    hook.refuse = 2
    await endpoints.create(tools.account, hook.url, options={"format": form.name})
    await journal.say("item/RK1FR", type_="item.loaded", public={"item_id": "RK1FR"})
    await start()
    await tools.poll(lambda: len(hook.got) == 3)
    assert len({(headers["webhook-id"], body) for headers, body in hook.got}) == 1
