"""An office with a round, items on their way, and people behind its counter and at the telephone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fieldsvc.access import accounts, tokens
from fieldsvc.platform import Platform
from fieldsvc.requests.links import Link, link_key, seal_link
from fieldsvc.work.imports import create_site
from handlers.story import Actor
from tests.acceptance.conftest import SITE
from tests.acceptance.service import Answer, Service, fresh
from tests.databases import drop_database, new_database
from tests.hostile.everybody import load

ELSEWHERE, NAME = "site-au-loin", "Mme Léa Martin-Dupré"
ADDRESS, POSTCODE = "12 rue du Moulin, 93500 Pantin", "93500"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Desks:
    """The service, and who is signed in, by name."""

    service: Service
    sessions: dict[str, str] = field(default_factory=dict)

    def page(self, who: str, path: str, lang: str = "en") -> Answer:
        """Open a page."""
        return self.service.ask("GET", path, headers=self._headers(who, lang))

    def post(self, who: str, path: str, lang: str = "en", **fields: str) -> Answer:
        """Send a form, with the token of the session."""
        session = self.sessions.get(who)
        said = urlencode({"csrf": tokens.csrf_of(session), **fields} if session else fields)
        return self.service.ask("POST", path, said, headers={**self._headers(who, lang), "Content-Type": FORM})

    def led(self, who: str, path: str, **fields: str) -> str:
        """Send a form that leads on; return where to."""
        answer = self.post(who, path, **fields)
        assert answer.status == 303, answer.body.decode()[-3000:]
        return answer.headers["location"]

    def order(self, **more: Any) -> str:
        """Order an item of the site; return its number."""
        number, day = more.pop("number", None) or fresh("X"), self.service.platform.runs.today().isoformat()
        order = {"task_id": fresh("tsk"), "service": "item", "subject": f"item/{number}", "on": day}
        order |= {"delivery_point": "dp-118", "addressee": NAME, "address": ADDRESS, **more}
        commands = self.service.platform.commands
        self.service.call(commands.send("task.planned", order, actor=Actor("operator"), handler="item"))
        return number

    def say(self, name: str, number: str, *, ago: timedelta = timedelta(hours=1), **data: Any) -> None:
        """Say what happened to an item, as a carrier of the site."""
        at = datetime.now(UTC) - ago
        sent = self.service.platform.commands.send(
            f"item.{name}", {"item_id": number, **data}, actor=Actor("device"), site=SITE, occurred_at=at
        )
        self.service.call(sent)

    def waiting(self, **more: Any) -> str:
        """Make an item that was presented, and lies at the office on shelf B-12."""
        number = self.order(**more)
        self.say("delivery_attempted", number, ago=timedelta(days=1), reason="absent", next="office_hold")
        self.say("held", number, office=SITE, shelf="B-12")
        return number

    def link(self, number: str) -> str:
        """Make the link with which a customer follows an item."""
        key, later = link_key(self.service.platform.vault), datetime.now(UTC) + timedelta(days=1)
        return f"/suivi/{seal_link(key, Link(f'item/{number}', later))}"

    def fetch(self, text: str, *args: Any) -> list[Any]:
        """Read from the database."""

        async def read() -> list[Any]:
            async with self.service.platform.database.acquire() as connection:
                return list(await connection.fetch(text, *args))

        return self.service.call(read())

    def published(self, number: str) -> list[str]:
        text = "select type from event where kind = 'public' and subject = $1 order by subject_seq"
        return [row["type"] for row in self.fetch(text, f"item/{number}")]

    def _headers(self, who: str, lang: str) -> dict[str, str]:
        session = self.sessions.get(who)
        return {"Accept": "text/html", "Accept-Language": lang} | (
            {"Cookie": f"fieldsvc_session={session}"} if session else {}
        )


async def _sign_in(desks: Desks, name: str, role: str, site: str | None) -> None:
    database, url = desks.service.platform.database, desks.service.url
    made = await accounts.create_person(database, url, role, email=f"{name}@x.invalid", site=site)
    session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    assert session is not None
    desks.sessions[name] = session


@contextmanager
def open_desks(postgres_url: str, folder: Path) -> Iterator[Desks]:
    """Run the service with its office; `clerk`, `far` (of another office), `adviser`, `supervisor` are signed in."""
    url = new_database(postgres_url)

    async def prepare(platform: Platform) -> None:
        await load(platform, folder)
        await create_site(platform.database, ELSEWHERE)

    service = Service(url, folder, prepare=prepare)
    desks = Desks(service)
    people = {"clerk": ("counter", SITE), "far": ("counter", ELSEWHERE), "adviser": ("adviser", None)}
    for name, (role, site) in {**people, "supervisor": ("supervisor", SITE)}.items():
        service.call(_sign_in(desks, name, role, site))
    yield desks
    service.close()
    drop_database(postgres_url, url)
