"""A clock that a test moves, and an app with the routes of people and phones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access.callers import Access
from fieldsvc.access.tries import Tries
from fieldsvc.errors import FieldsvcError
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database
from fieldsvc.web import carrier, people, rights
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.web.looks import CARRIER_KEY
from fieldsvc.web.problems import from_error
from fieldsvc.work.imports import create_site

BASE = "http://field.test"


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer errors of the tree, and nothing else: a crash fails the test with 500."""
    try:
        return await handler(request)
    except FieldsvcError as error:
        return from_error(error)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def access(database: Database, clock: Clock) -> Access:
    await create_site(database, "pantin")
    return Access(database, Settings(), clock=clock)


@pytest.fixture
async def client(access: Access, clock: Clock) -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = access
    app[CARRIER_KEY] = bytes(32)
    app[carrier.CODE_TRIES] = Tries(most=10, window_s=60, size=100, clock=clock)
    app.add_routes([*people.routes, *carrier.routes])
    rights.bind(app, complete=False)
    async with TestClient(TestServer(app)) as opened:
        yield opened
