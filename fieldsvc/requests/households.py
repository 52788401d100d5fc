"""Households: a customer proves an address by a code that a carrier brings, and tells once and for all what carriers should know.

Whether anybody lives somewhere is told to nobody: every address that can be served is answered alike, with a letter that goes to it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol

from fieldsvc.errors import Conflict, NotFound, TooMany
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener, Vault, person_keys
from fieldsvc.requests.codes import Codes
from fieldsvc.store import household as store
from fieldsvc.store import notice as notices
from fieldsvc.store import request as contacts
from fieldsvc.store.access_case import CaseRow
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.household import HouseholdRow
from fieldsvc.store.viewer import Viewer
from fieldsvc.work.placement import Placer
from fieldsvc.work.task_body import TaskBody, order_of
from geo.addresses import one_line, parse
from handlers.household import CODE_LIVES, CODE_TRIES
from handlers.story import Actor

MOST_LETTERS, MOST_AT_POINT, COUNTED = 5, 5, timedelta(days=30)
AGAIN_AFTER, BRINGS_AFTER = timedelta(days=5), timedelta(days=2)
HOLDS = timedelta(days=390)  # what nobody confirms for thirteen months is let go
MOST_ANSWERS = 5


class NotServed(Conflict):
    """No round of ours is known to serve this address."""

    code = "not_served"


class Plans(Protocol):
    """What plans work."""

    async def placed(self, body: TaskBody, subject: str) -> tuple[str | None, list[str]]:
        """Find the delivery point of a task, and what to warn of."""
        ...

    async def send(self, order: Mapping[str, Any], actor: Actor) -> None:
        """Plan an order."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """An address that was found by what somebody typed."""

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class Home:
    """A household as its customer sees it; `told` is what it tells its carriers."""

    row: HouseholdRow
    address: str
    told: Mapping[str, Any]

    @property
    def tries_left(self) -> int:
        """How often a code may still be tried."""
        return CODE_TRIES - self.row.tries

    @property
    def code_until(self) -> datetime:
        """Until when the code of the letter is taken."""
        return self.row.asked_at + CODE_LIVES

    @property
    def holds_until(self) -> datetime:
        """Until when what it tells holds, unless it is confirmed."""
        return self.row.touched_at + HOLDS

    @property
    def may_ask_again(self) -> bool:
        """Whether another letter may be asked for: the code is over, or the letter must have been lost."""
        return self.row.state == "closed" or datetime.now(UTC) > self.row.asked_at + AGAIN_AFTER


class Households:
    """What customers may do with their household."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        opener: Opener,
        commands: Commands,
        *,
        plans: Plans,
        placer: Placer,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._vault = vault
        self._codes = Codes(vault)
        self._opener = opener
        self._commands = commands
        self._plans = plans
        self._placer = placer
        self._zone = zone
        self._one_at_a_time = asyncio.Lock()  # so that letters that are asked for at once are counted

    async def search(self, typed: str) -> list[Place]:
        """Find the house numbers that an address as it was typed may mean, the best first."""
        found = await self._placer.known.search(parse(typed), limit=MOST_ANSWERS)
        houses = [each for each in found if each.ban_id and each.kind == "housenumber"]
        return [Place(each.ban_id or "", one_line(each.address())) for each in houses]

    async def of(self, account: str) -> list[Home]:
        """List a customer's households."""
        rows = await store.of_account(self._seen(account), account)
        opened = await self._opener.open_blobs([row.sealed for row in rows]) if rows else []
        places = {row.delivery_point_id: await contacts.point(self._database, row.delivery_point_id) for row in rows}
        return [
            Home(row, (place.address if (place := places[row.delivery_point_id]) else None) or "", told)
            for row, told in zip(rows, opened, strict=True)
            if isinstance(told, dict)
        ]

    async def home(self, account: str, household_id: str) -> Home:
        """Read one household of a customer; NotFound for somebody else's."""
        for home in await self.of(account):
            if home.row.id == household_id:
                return home
        raise NotFound

    async def ask(self, account: str, place: Place, names: Sequence[str], *, lang: str = "fr") -> str:
        """Declare a household and send the letter with its code; the same one again while a letter is on its way.

        NotServed; TooMany letters by this customer, or to this address.
        """
        now = datetime.now(UTC)
        body = TaskBody(service="letter_code", address=place.address, addressee=", ".join(names))
        point, _ = await self._plans.placed(body, "letter/L-0")
        if point is None:
            raise NotServed
        household_id = self._codes.reference(f"household {account} {point}").replace("DC-", "HH-", 1)
        async with self._one_at_a_time:
            known = {home.row.id: home for home in await self.of(account)}
            if (home := known.get(household_id)) and (home.row.state == "proved" or not home.may_ask_again):
                return household_id
            by_account, at_point = await store.asked_since(self._database, account, point, now - COUNTED)
            if by_account >= MOST_LETTERS or at_point >= MOST_AT_POINT:
                raise TooMany(
                    "Too many letters were asked for; wait a month, or ask at the counter.", retry_after_s=86_400
                )
            await self._write_letter(household_id, account, point, names, lang=lang, now=now)
        return household_id

    async def prove(self, account: str, household_id: str, typed: str, *, email: str | None = None) -> Home:
        """Take the code of the letter; the household says whether it was right, and how many tries are left."""
        home = await self.home(account, household_id)
        if home.row.state == "asked":
            digest = self._codes.code_digest(household_id, typed)
            await self._say("proved", account, {"household_id": household_id, "code_hmac": digest})
            home = await self.home(account, household_id)
            if home.row.state == "proved" and email:
                await self._keep_contact(home.row, email)
        return home

    async def tell(self, account: str, household_id: str, told: Mapping[str, Any]) -> None:
        """Replace what a proved household tells its carriers. NotFound for one that is not."""
        home = await self.home(account, household_id)
        if home.row.state != "proved":
            raise NotFound
        await self._say("told", account, {"household_id": household_id, **told})

    async def leave(self, account: str, household_id: str) -> None:
        """Take everything back that a household tells."""
        home = await self.home(account, household_id)
        await self._say("left", account, {"household_id": home.row.id})

    async def forget(self, account: str) -> None:
        """Take everything back that the households of an account tell, before the account is closed."""
        for home in await self.of(account):
            await self.leave(account, home.row.id)

    async def unserved(self, account: str, household_id: str, note: str, contact: Mapping[str, str] | None) -> None:
        """Say that the box of a proved household is no longer served; a case is opened, or the open one hears it too."""
        home = await self.home(account, household_id)
        if home.row.state != "proved":
            raise NotFound
        data: dict[str, Any] = {"delivery_point_id": home.row.delivery_point_id}
        data |= {"note": note} if note else {}
        data |= {"contact": dict(contact)} if contact else {}
        await self._commands.send("access.questioned", data, actor=Actor("customer", entered_by=account))

    async def case(self, account: str, home: Home) -> CaseRow | None:
        """Read how the case of a proved household's box stands."""
        return await store.access_case(self._seen(account), home.row.delivery_point_id)

    async def answer(self, case: CaseRow) -> str | None:
        """Open the words in which a case was decided."""
        opened = (await self._opener.open_blobs([case.sealed]))[0]
        return opened.get("answer") if isinstance(opened, dict) and case.decision else None

    async def _write_letter(
        self, household_id: str, account: str, point: str, names: Sequence[str], *, lang: str, now: datetime
    ) -> None:
        """Make a code, let its digest be known, queue the letter for the printer, and plan that a carrier brings it."""
        code = self._codes.new_code()
        letter_id = "L-" + self._codes.reference(None).removeprefix("DC-")
        about = {"household_id": household_id, "delivery_point_id": point, "account": account, "letter_id": letter_id}
        digest = self._codes.code_digest(household_id, code)
        await self._say("asked", account, {**about, "names": list(names), "code_hmac": digest})
        to = {"delivery_point_id": point, "addressee": ", ".join(names)}
        until = (now + CODE_LIVES).astimezone(self._zone).date().isoformat()
        words = {"reference": letter_id, "code": code, "until": until}
        sealed = await self._sealed(f"household/{household_id}", {"to": to, "params": words}, now)
        key = f"household_code {letter_id}"
        await notices.queue(self._database, key, "household_code", way="postal", lang=lang, due_at=None, sealed=sealed)
        on = (now + BRINGS_AFTER).astimezone(self._zone).date()
        body = TaskBody(service="letter_code", delivery_point=point, addressee=", ".join(names))
        order = order_of(f"tsk_{letter_id}", f"letter/{letter_id}", body, on=on, delivery_point=point)
        await self._plans.send(order, Actor("server"))

    async def _keep_contact(self, row: HouseholdRow, email: str) -> None:
        """Keep how to reach who proved to live there: whoever asks for this address next, they are warned."""
        at = datetime.now(UTC)
        sealed = await self._sealed(f"household/{row.id}", {"email": email, "lang": "fr"}, at)
        digest = self._codes.contact(email)
        await contacts.keep_contact(self._database, row.delivery_point_id, digest, sealed=sealed, verified_at=at)

    async def _say(self, what: str, account: str, data: Mapping[str, Any]) -> None:
        await self._commands.send(f"household.{what}", data, actor=Actor("server", entered_by=account))

    async def _sealed(self, person: str, value: Any, at: datetime) -> bytes:
        async with self._database.acquire() as connection:
            keys = await person_keys(connection, self._vault, [person], newest={person: at})
        return keys.of(person, at).seal_blob(value)

    def _seen(self, account: str) -> Seen:
        return self._database.seen_by(Viewer("customer", account))
