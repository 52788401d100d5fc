"""What `bench ingest` compares with: fair, durable, and never a part of the service."""

import subprocess
import sys
from importlib.util import find_spec
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from fieldsvc.bench import ingest
from fieldsvc.bench.service import started
from fieldsvc.errors import UserMistake


def _event(**more: object) -> dict[str, object]:
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/devices/d", "type": "x", "subject": "item/1"}
    return {**event, "time": "2026-11-21T09:42:17Z", "data": {"to": "mailbox"}, **more}


async def _send(url: str, token: str, *events: object) -> tuple[int, list[str]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cloudevents-batch+json"}
    async with (
        aiohttp.ClientSession(trust_env=False) as client,
        client.post(f"{url}/v1/events", json=events, headers=headers) as answer,
    ):
        body = await answer.json()
        return answer.status, [each["status"] for each in body.get("results", [])]


async def test_the_baseline_stores_each_event_once_before_it_answers(database_url: str) -> None:
    one, two = _event(), _event()
    async with started("fieldsvc.bench.baseline", database_url, "secret") as process:
        assert await _send(process.url, "secret", one) == (200, ["accepted"])
        assert await _send(process.url, "secret", one, two) == (200, ["duplicate", "accepted"])
        assert (await _send(process.url, "wrong", _event()))[0] == 401
        assert (await _send(process.url, "secret", {"id": "no event"}))[0] == 422
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "select id, subject, data ->> 'to' as kept from baseline_event order by received_at"
        )
    finally:
        await connection.close()
    assert [tuple(map(str, row)) for row in rows] == [(each["id"], "item/1", "mailbox") for each in (one, two)]


def test_without_the_extra_the_benchmark_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "find_spec", lambda name: None if name == "fastapi" else find_spec(name))
    with pytest.raises(UserMistake, match=r"needs fastapi: install requirements/bench\.txt"):
        ingest.need_baseline()


def test_the_service_never_loads_what_the_baseline_is_made_of() -> None:
    check = "import sys, fieldsvc.cli; print(sorted({'fastapi', 'starlette', 'sqlalchemy', 'uvicorn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
