"""Pilots from the command line, and what phones and orders see of them."""

from typing import Any

import orjson
import pytest

from fieldsvc import admin
from fieldsvc.errors import UserMistake
from fieldsvc.store import site as sites
from fieldsvc.store.database import Database
from fieldsvc.work.pilots import Pilots, ServiceNotEnabled
from handlers.registry import Registry


class Bench:
    """What the command needs of a platform."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.database = database
        self.registry = registry


@pytest.fixture
async def bench(database: Database, registry: Registry) -> Any:
    for name in ("site-a", "site-b"):
        await sites.create(database, name)
    return Bench(database, registry)


async def test_a_pilot_is_set_listed_and_ended(bench: Any) -> None:
    assert await admin.pilot(bench, "list", service=None, sites=[]) == {}
    made = await admin.pilot(bench, "set", service="key", sites=["site-b", "site-a"])
    assert made == {"key": ["site-a", "site-b"]}
    assert await admin.pilot(bench, "set", service="key", sites=[]) == {"key": []}
    assert await admin.pilot(bench, "end", service="key", sites=[]) == {}
    for action, service, where in (
        ("set", "keys", []),
        ("set", "key", ["site-c"]),
        ("end", "key", []),
        ("set", None, []),
    ):
        with pytest.raises(UserMistake):
            await admin.pilot(bench, action, service=service, sites=where)


async def test_a_service_that_is_piloted_is_at_its_sites_and_at_no_unknown_place(bench: Any) -> None:
    await admin.pilot(bench, "set", service="key", sites=["site-a"])
    pilots = Pilots(bench.database)
    document = orjson.dumps({"services": [{"service": "item"}, {"service": "key"}], "corrections": {}})
    assert orjson.loads(await pilots.cut(document, "site-b")) == {"services": [{"service": "item"}], "corrections": {}}
    assert await pilots.cut(document, "site-a") == document
    assert [await pilots.is_enabled("key", site) for site in ("site-a", "site-b", None)] == [True, False, False]
    assert await pilots.is_enabled("item", None)
    with pytest.raises(ServiceNotEnabled):
        await pilots.check("key", "dp-nowhere")
    await pilots.check("item", None)


async def test_a_change_acts_within_seconds(bench: Any) -> None:
    now = [0.0]
    pilots = Pilots(bench.database, clock=lambda: now[0])
    assert await pilots.absent_at("site-a") == frozenset()
    await admin.pilot(bench, "set", service="key", sites=[])
    assert await pilots.absent_at("site-a") == frozenset()
    now[0] = 5.0
    assert await pilots.absent_at("site-a") == {"key"}
