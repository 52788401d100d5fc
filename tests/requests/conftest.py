"""The small town of planned work, with an item on its way, and the desk that takes delivery changes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access import accounts
from fieldsvc.access.callers import Access
from fieldsvc.access.oidc import Flow
from fieldsvc.access.tokens import csrf_of
from fieldsvc.journal.sealed import Vault, open_vault
from fieldsvc.journal.timers import Timers
from fieldsvc.requests.codes import Codes
from fieldsvc.requests.desk import Desk
from fieldsvc.requests.drafts import draft_key
from fieldsvc.requests.links import link_key
from fieldsvc.requests.office import Office as RequestOffice
from fieldsvc.settings import Settings
from fieldsvc.store.run import Run, read
from fieldsvc.web import (
    adviser_cases,
    adviser_page,
    carrier,
    change_pages,
    delivery_changes,
    following,
    request_pages,
    rights,
)
from fieldsvc.web.auth import ACCESS, CSRF_HEADER, admitted
from fieldsvc.web.sign_in import SIGN_IN, signing_of
from fieldsvc.work.placement import Placer
from handlers.story import Actor
from tests.access.conftest import problems
from tests.work.conftest import BASE, TODAY, Office, empty, office, town

__all__ = ["empty", "office", "town"]
CHANGES = "/v1/delivery-changes"
ITEM = "LL456789015FR"


class Vouching:
    """A provider that has levels; how it is asked is tried in tests/web/test_sign_in.py."""

    client = SimpleNamespace(acr=("eidas2", "eidas3"))

    async def begin_url(self, flow: Flow) -> str:
        return f"https://id.example/?{urlencode({'acr_values': ' '.join(flow.acr), 'next': flow.next})}"


@dataclass
class Counter:
    """Everything that delivery changes are made of, on the town's database."""

    office: Office
    vault: Vault
    client: TestClient[Any, Any]
    requests: RequestOffice
    codes: Codes
    point: str
    postcode: str
    round_id: str
    site: str
    access: Access
    address: str

    async def ask(self, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        return await self.call("POST", CHANGES, body, **headers)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.request(method, path, json=body, headers=named)
        return answer.status, await answer.json()

    def own(self, answer: dict[str, Any]) -> tuple[str, dict[str, str]]:
        """Return the path of a request, and the header of who asked for it."""
        return f"{CHANGES}/{answer['request_id']}", {"Request_Token": answer["token"]}

    def about_item(self, kind: str, **details: Any) -> dict[str, Any]:
        dates = {name: details.pop(name) for name in ("from", "to") if name in details}
        return {"kind": kind, "item_id": ITEM, **dates, "details": {"postcode": self.postcode, **details}}

    async def person(self, role: str, site: str | None = None, name: str | None = None) -> dict[str, str]:
        where = site or (self.site if role in ("supervisor", "counter") else None)
        email, database = f"{name or role}@x.fr", self.office.database
        made = await accounts.create_person(database, BASE, role, email=email, site=where, vault=self.vault)
        session = await accounts.sign_in(self.office.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=False)
        assert session is not None
        return {"Cookie": f"fieldsvc_session={session}", CSRF_HEADER: csrf_of(session)}

    async def order(self, item_id: str = ITEM, **more: Any) -> None:
        order = {"task_id": f"tsk_{item_id}", "service": "item", "subject": f"item/{item_id}", "on": str(TODAY)}
        order |= {"delivery_point": self.point, "addressee": "Mme Martin", **more}
        await self.office.commands.send("task.planned", order, actor=Actor("operator"), handler="item")

    async def run(self) -> Run:
        device, _ = await self.office.device("Camille", site=self.site, round_id=self.round_id)
        return await self.office.runs.current_run(device)

    async def sheet(self, run: Run) -> dict[str, Any]:
        """Read the sheet of a run as it is now."""
        newer = await read(self.office.database, run.run_id)
        assert newer is not None
        return await self.office.sheets.sheet(newer)

    async def fire(self) -> None:
        """Fire what is due, and what comes of it."""
        timers = Timers(self.office.database, self.office.commands)
        for _ in range(5):
            if not await timers.fire(datetime.now(UTC)):
                return

    async def state(self, request_id: str) -> tuple[str, str | None, str | None]:
        row = (await self.office.fetch("select state, reason, instead from request where id = $1", request_id))[0]
        return row["state"], row["reason"], row["instead"]

    async def published(self, subject: str) -> list[str]:
        text = "select type from event where kind = 'public' and subject = $1 order by subject_seq"
        found = [row["type"].removeprefix("delivery_change.") for row in await self.office.fetch(text, subject)]
        return [name for name in found if not name.startswith(("task.", "item."))]


@pytest.fixture
async def counter(office: Office) -> AsyncIterator[Counter]:
    async with office.database.acquire() as connection:
        vault = await open_vault(connection, bytes(range(32)))
    settings = Settings(public_url=BASE)
    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = Access(office.database, settings)
    app[carrier.RUNS], app[carrier.SHEETS] = office.runs, office.sheets
    app[delivery_changes.DESK] = Desk.of(
        settings, office.database, vault, opener=office.opener, commands=office.commands, rounds=office.rounds
    )
    app[following.LINK_KEY], app[change_pages.DRAFT_KEY] = link_key(vault), draft_key(vault)
    app[SIGN_IN] = replace(signing_of(settings, office.database, vault), provider=Vouching())  # type: ignore[arg-type]
    app[change_pages.PLACER] = Placer(office.database)
    app.add_routes([*delivery_changes.routes, *change_pages.routes, *request_pages.routes])
    app.add_routes([*adviser_page.routes, *adviser_cases.routes])
    rights.bind(app, complete=False)
    planned = office.town.rounds[0]
    place = planned.stops[3].point
    made = RequestOffice(office.database, vault, office.opener, office.commands, base_url=BASE)
    async with TestClient(TestServer(app)) as client:
        codes, where = Codes(vault), (place.id, place.postcode, planned.round_id, planned.site)
        (known,) = await office.fetch("select address from delivery_point where id = $1", place.id)
        desk = Counter(office, vault, client, made, codes, *where, app[ACCESS], known["address"])
        await desk.order()
        yield desk
