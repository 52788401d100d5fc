"""What an adviser does for somebody who calls: opens a case, and says in which words a change is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldsvc.ids import uuid7
from fieldsvc.journal.commands import Commands
from fieldsvc.requests.body import ChangeBody, read_body
from fieldsvc.requests.staff import Found, Line, Staff
from fieldsvc.store import case_file, request
from fieldsvc.store.case_file import CaseRow
from fieldsvc.store.request import Asked
from handlers import products, trust
from handlers.story import Actor

DETAILS = ("neighbour", "place", "pickup_point", "proxy", "new_address")
DATES = ("from", "to")
IDENTITIES = ("none", "account", "substantial")


class NothingToDispute(Exception):
    """Nothing was said of this item that could be disputed."""


@dataclass(frozen=True, slots=True)
class Adviser:
    """Who advises, by their account."""

    account: str

    @property
    def actor(self) -> Actor:
        """Who says it, for the journal."""
        return Actor("adviser", entered_by=self.account)


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind of change as it is offered; `why` says why it is not possible."""

    kind: str
    title: Mapping[str, str]
    why: Mapping[str, str] | None


class Advising:
    """What is done at an adviser's desk; every deed is a command."""

    def __init__(self, staff: Staff, commands: Commands) -> None:
        self.staff = staff
        self._commands = commands

    async def cases(self, found: Found) -> list[CaseRow]:
        """List the cases about an item, newest first."""
        return await case_file.about(self.staff.database, found.subject)

    async def changes(self, found: Found) -> list[Asked]:
        """List what was asked for an item and for its address, newest first."""
        point = found.known.delivery_point if found.known else None
        return await request.asked_about(self.staff.database, found.subject, f"delivery_point/{point}")

    async def open_case(
        self, found: Found, line: Line, text: str, adviser: Adviser, *, contact: Mapping[str, str] | None = None
    ) -> None:
        """Dispute what was said of an item; the answer is due within a week, and told to the contact.

        Refusal, NothingToDispute.
        """
        event = await self.staff.public_event(found.subject, line.event)
        if event is None:
            raise NothingToDispute
        about = {"about": found.subject, "about_site": found.site, "about_account": found.account}
        data: dict[str, Any] = {"case_id": str(uuid7()), "event_id": event, "text": text} | {
            name: value for name, value in about.items() if value is not None
        }
        data |= {"contact": dict(contact)} if contact else {}
        await self._commands.send(trust.OPENED.name, data, actor=adviser.actor, site=found.site)


def choices(found: Found) -> Sequence[Choice]:
    """Offer every kind of change, those that a rule forbids with the rule."""
    return [Choice(kind, known.title, _rule(found, kind)) for kind, known in products.KINDS.items()]


def _rule(found: Found, kind: str) -> Mapping[str, str] | None:
    by_address = "item" not in products.KINDS[kind].subjects
    subject = "delivery_point/" if by_address else found.subject
    rule = products.refusal(kind, subject, "ordinary" if by_address else found.product)
    return rule.says if rule else None


def change_of(found: Found, kind: str, said: Mapping[str, Any], *, identity: str) -> ChangeBody:
    """Write what a caller asks for as any delivery change. BadChange."""
    details = {name: said[name] for name in DETAILS if said.get(name)}
    if said.get("names"):
        details["names"] = [each.strip() for each in str(said["names"]).splitlines() if each.strip()]
    if contact := {name: said[name] for name in ("email", "mobile", "voice") if said.get(name)}:
        details["contact"] = {**contact, "lang": said.get("lang", "fr")}
    dates = {name: said[name] for name in DATES if said.get(name)}
    body = {"kind": kind, "item_id": found.item_id, "asked_by": "adviser", "identity": identity, "details": details}
    return read_body(ChangeBody, body | dates)


def is_overdue(case: CaseRow, now: datetime) -> bool:
    """Tell whether an answer is late."""
    return case.state == "open" and case.due_at is not None and case.due_at < now
