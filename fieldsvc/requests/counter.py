"""The counter of an office: what lies there is found, put on a shelf, handed over against identity and signature, or sent back.

Who arrives shows a ticket of their link, or says the number. A ticket is sealed and kept nowhere; it says which item, and since
when somebody waits for it.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from weakref import WeakValueDictionary

from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Vault
from fieldsvc.media.drawing import Stroke, draw
from fieldsvc.media.keeping import Media, Sent
from fieldsvc.requests.links import Link, open_link, seal_link
from fieldsvc.requests.staff import Found, Staff
from fieldsvc.sites import Sites
from fieldsvc.store import notice_code as notice_codes
from fieldsvc.store import request as store
from handlers import item, notice_code
from handlers.fields import format_time, parse_time
from handlers.story import Actor

DOCUMENTS = ("identity_card", "passport", "residence_permit", "driving_licence", "other")
CAPACITIES = ("addressee", "mandate")
SIGNINGS = ("screen", "code", "paper", "cannot")
TICKET_LIVES, CODE_FOR, MOST_LISTED = timedelta(hours=6), timedelta(days=30), 50
_ARRIVED = "arrived"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody is here for an item since a moment; `announced`: they said so themselves, by their link."""

    item_id: str
    at: datetime
    announced: bool
    token: str


@dataclass(frozen=True, slots=True)
class Clerk:
    """Who stands behind the counter, and of which office."""

    account: str
    site: str

    @property
    def sites(self) -> Sites:
        """What they see."""
        return Sites(self.site)

    @property
    def actor(self) -> Actor:
        """Who says it, for the journal."""
        return Actor("counter", entered_by=self.account)


@dataclass(frozen=True, slots=True)
class Handing:
    """Who takes an item, what they showed, and how they signed; no number of a document is asked for."""

    surname: str
    first_name: str
    capacity: str
    document: str
    signing: str
    strokes: list[Stroke] | None = None


@dataclass(frozen=True, slots=True)
class Back:
    """An item that goes back; `since` when its days are over already."""

    found: Found
    due_at: datetime
    is_over: bool


class CounterDesk:
    """What is done at a counter; every deed is a command."""

    def __init__(self, staff: Staff, commands: Commands, media: Media, vault: Vault, zone: tzinfo) -> None:
        self.staff = staff
        self.zone = zone
        self._commands = commands
        self._media = media
        self._vault = vault
        self._key = vault.derived_key("counter.arrival")
        self._deeds: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def one_at_a_time(self, item_id: str) -> asyncio.Lock:
        """Let deeds about one item follow each other: the second click of a double click finds what the first one did."""
        return self._deeds.setdefault(item_id, asyncio.Lock())

    def arrive(self, item_id: str, *, announced: bool, now: datetime | None = None) -> Arrival:
        """Make a ticket: somebody is here for this item."""
        at = now or datetime.now(UTC)
        notes = {"at": format_time(at), "by": "customer" if announced else "counter"}
        link = Link(f"item/{item_id}", at + TICKET_LIVES, frozenset({_ARRIVED}), notes=notes)
        return Arrival(item_id, at, announced, seal_link(self._key, link))

    def arrival(self, token: str) -> Arrival | None:
        """Read a ticket; None for what is none, or is over."""
        link = open_link(self._key, token)
        if link is None or link.item_id is None or not link.may(_ARRIVED):
            return None
        return Arrival(link.item_id, parse_time(link.notes["at"]), link.notes["by"] == "customer", token)

    def code_of(self, arrival: Arrival) -> str:
        """Return the six digits with which who shows a ticket agrees to a hand-over instead of signing."""
        said = f"{arrival.item_id}\n{format_time(arrival.at)}".encode()
        return f"{int.from_bytes(hmac.digest(self._key, said, hashlib.sha256)[:8]) % 10**6:06}"

    async def agrees(self, found: Found, typed: str, arrival: Arrival | None) -> bool:
        """Tell whether a code is the customer's: of the paper notice of this item, or of the ticket on their phone."""
        code = "".join(letter for letter in typed if letter.isascii() and letter.isalnum())
        shown = arrival is not None and arrival.announced and arrival.item_id == found.item_id
        if shown and arrival is not None and hmac.compare_digest(code.encode(), self.code_of(arrival).encode()):
            return True
        return notice_code.plain(code) is not None and found.item_id in await self._numbers(code, datetime.now(UTC))

    async def find(self, typed: str, clerk: Clerk, now: datetime) -> tuple[Found, Arrival] | None:
        """Find what a ticket, the code of a paper notice or a number is for; who showed no ticket came now."""
        ticket = self.arrival(typed)
        for number in [ticket.item_id] if ticket else await self._numbers(typed, now):
            found = await self.staff.item(number, clerk.sites, now)
            if found is not None:
                return found, ticket or self.arrive(found.item_id, announced=False, now=now)
        return None

    async def hand_over(self, found: Found, handing: Handing, clerk: Clerk, arrival: Arrival | None) -> datetime:
        """Hand an item over to who collects it; return when. Refusal."""
        now = datetime.now(UTC)
        proof: dict[str, Any] = {
            "acceptor": {
                "surname": handing.surname,
                "first_name": handing.first_name,
                "capacity": handing.capacity,
            },
            "identity": {"document_kind": handing.document},
            "presented_on": self._day(self._first(found) or now),
            "handed_over_on": self._day(now),
        }
        if handing.signing == "code":
            proof["code_ok"] = True
        if handing.strokes:
            proof["signature"] = await self._keep(draw(handing.strokes), clerk)
        data = {"item_id": found.item_id, "proof": proof, "signed": handing.signing}
        if arrival is not None and arrival.item_id == found.item_id:
            data["arrived_at"] = format_time(arrival.at)
        await self._commands.send(item.COLLECTED.name, data, actor=clerk.actor, site=clerk.site, occurred_at=now)
        return now

    async def shelve(self, found: Found, shelf: str, clerk: Clerk) -> None:
        """Put an item on a shelf of this office. Refusal."""
        data = {"item_id": found.item_id, "office": clerk.site, "shelf": shelf}
        await self._commands.send(item.HELD.name, data, actor=clerk.actor, site=clerk.site)

    async def send_back(self, found: Found, clerk: Clerk) -> None:
        """Send an item back that was not collected. Refusal."""
        data = {"item_id": found.item_id, "reason": "not_collected"}
        await self._commands.send(item.RETURNED.name, data, actor=clerk.actor, site=clerk.site)

    async def going_back(self, clerk: Clerk, now: datetime) -> Sequence[Back]:
        """List what lies here longer than it is kept, or will before the day ends: those that are over first."""
        tomorrow = datetime.combine(
            now.astimezone(self.zone).date() + timedelta(days=1), datetime.min.time(), self.zone
        )
        rows = await store.over_days(self.staff.database, clerk.site, tomorrow, limit=MOST_LISTED)
        found = []
        for row in rows:
            each = await self.staff.item(row.subject.partition("/")[2], clerk.sites, now)
            if each is not None and not each.is_over:
                found.append(Back(each, row.due_at, row.kind == item.BACK_BY))
        return found

    async def _keep(self, picture: bytes, clerk: Clerk) -> str:
        digest = hashlib.sha256(picture)

        async def parts() -> AsyncIterator[bytes]:
            yield picture

        await self._media.take(clerk.account, digest.digest(), Sent(0, len(picture)), parts())
        return digest.hexdigest()

    async def _numbers(self, typed: str, now: datetime) -> list[str]:
        code = notice_code.plain(typed)
        if code is None:
            return [typed]
        digest = self._vault.person_digest(notice_code.named(code))
        subjects = await notice_codes.items(self.staff.database, digest, now - CODE_FOR)
        return [each.partition("/")[2] for each in subjects] or [typed]

    def _first(self, found: Found) -> datetime | None:
        waited = [each for each in found.facts if each.type in (item.ATTEMPTED.name, item.HELD.name)]
        return waited[0].occurred_at if waited else None

    def _day(self, at: datetime) -> str:
        return at.astimezone(self.zone).date().isoformat()
