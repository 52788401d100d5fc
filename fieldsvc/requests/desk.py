"""The desk: takes delivery changes from customers, advisers, the counter and the door, and answers with what came of them.

A customer who is not signed in knows an item and the postcode that it goes to; everything else looks to them like what does
not exist. The answer to who asks carries a token, derived from the request and kept nowhere.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.guesses import Guesses
from fieldsvc.access.tries import Tries
from fieldsvc.errors import Forbidden, NotFound, TooMany
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import BadChange, ChangeBody, ConfirmBody, ContactBody, EndBody
from fieldsvc.requests.choices import Choices
from fieldsvc.requests.edits import Edits
from fieldsvc.requests.errors import NotPossible, NotWaiting, RequestClosed, RequestSeen, TooLate, WrongCode
from fieldsvc.requests.knowing import Knowledge, Subject
from fieldsvc.requests.messages import Messages
from fieldsvc.settings import Settings
from fieldsvc.store import request as store
from fieldsvc.store.database import Database
from fieldsvc.store.request import RequestRow
from fieldsvc.store.viewer import Viewer
from fieldsvc.work.rounds import RoundStore
from handlers import products
from handlers.change_notices import REASONS
from handlers.change_states import NAME, OPEN
from handlers.delivery_change import STATE_WORDS
from handlers.fields import format_time
from handlers.story import Actor

_ATTESTS = frozenset({"adviser", "counter"})
_AT_ONCE_WRONG = ("refused", "too_late")
MOST_LISTED = 100
_OVER = ("cancelled", "too_late", "refused", "expired", "reversed")


class Desk:
    """What may be done with delivery changes."""

    def __init__(
        self,
        knowledge: Knowledge,
        commands: Commands,
        opener: Opener,
        *,
        tries: Tries,
        guesses: Guesses,
        base_url: str,
        cutoff_stops: int,
    ) -> None:
        self.database = knowledge.database
        self.choices = Choices(knowledge, cutoff_stops=cutoff_stops)
        self.messages = Messages(knowledge, commands, own=self._own, tries=tries)
        self.edits = Edits(knowledge, commands, self.choices, own=self._own, tries=tries)
        self._known = knowledge
        self._codes = knowledge.codes
        self._commands = commands
        self._opener = opener
        self._tries = tries
        self._guesses = guesses
        self._base_url = base_url
        self._cutoff_stops = cutoff_stops

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        vault: Vault,
        *,
        opener: Opener,
        commands: Commands,
        rounds: RoundStore,
    ) -> "Desk":
        """Make a desk of the platform's parts."""
        items, zone = commands.registry.handlers["item"], settings.zone
        knowledge = Knowledge(database, vault, opener, rounds=rounds, items=items, zone=zone)
        tries = Tries(most=10, window_s=600.0, size=50_000, clock=time.monotonic)
        guesses = Guesses(
            database, vault.derived_key("requests.tries"), {"source": 10, "about": 10}, timedelta(minutes=10)
        )
        return cls(
            *(knowledge, commands, opener),
            tries=tries,
            guesses=guesses,
            base_url=settings.address,
            cutoff_stops=settings.cutoff_stops,
        )

    async def ask(self, body: ChangeBody, asker: Asker, *, key: str | None = None) -> dict[str, Any]:
        """Ask for a change; `token` gives who asked what they come back with.

        NotFound for what is unknown or not theirs, TooMany after too many wrong guesses; NotPossible, TooLate with the rule,
        the rival's reference and the cut-off: the request is kept, and says so.
        """
        self._check_asked_by(body, asker)
        subject = await self._found(body, asker)
        request_id = self._codes.reference(key)
        if (made := await self._read(request_id, asker, shown=True)) is not None:
            return self._answer(made)
        if asker.kind == "customer":
            self._count(subject.name, body.details.contact)
        await self._refuse_without_trace(body, subject)
        data = await self._data(body, subject, asker, request_id)
        await self._commands.send(f"{NAME}.requested", data, actor=asker.actor, site=subject.site)
        row = await self._row(request_id, asker)
        answer = self._answer(row)
        if row.state in _AT_ONCE_WRONG:
            answer |= {"token": self.token(request_id)}
            raise (TooLate if row.state == "too_late" else NotPossible)(answer["words"]["en"], **answer)
        return answer

    def token(self, request_id: str) -> str:
        """Derive the token with which who asked reads, confirms and cancels; it is kept nowhere."""
        return self._codes.token(request_id)

    async def read(self, request_id: str, asker: Asker) -> dict[str, Any]:
        """Read a request; NotFound for someone else's."""
        row = await self._own(request_id, asker)
        answer = self._answer(row)
        if asker.kind in _ATTESTS or asker.kind == "customer":  # a carrier never learns where mail is redirected to
            opened = (await self._opener.open_blobs([row.sealed]))[0]
            answer["details"] = opened["details"] if isinstance(opened, dict) else {"erased": True}
        return answer | await self._evidence(row, asker)

    async def all_of(self, customer: str) -> list[dict[str, Any]]:
        """List what a customer who is signed in asked for, newest first, each with its token."""
        seen = self.database.seen_by(Viewer("customer", account=customer))
        rows = await store.of_customer(seen, customer, limit=MOST_LISTED)
        return [self._answer(row) | {"token": self.token(row.id)} for row in rows]

    async def shown_to_stop(self, request_id: str, asker: Asker) -> dict[str, Any]:
        """Say what the link of a notice would stop, without stopping it. NotFound for a wrong link."""
        row = await self._read(request_id, asker, shown=self._codes.stops(request_id, asker.token or ""))
        if row is None:
            raise NotFound
        return {**self._answer(row), "over": row.state in (*_OVER, "frozen")}

    async def confirm(self, request_id: str, body: ConfirmBody, asker: Asker) -> dict[str, Any]:
        """Take a proof: the customer's code, an identity that was seen, or what was heard at the door.

        WrongCode with the tries left; NotWaiting; RequestClosed; Forbidden for a proof that this caller cannot give.
        """
        row = await self._own(request_id, asker)
        about = self._about(row)
        if body.answer is not None:
            if asker.kind != "carrier":
                raise Forbidden("Only the carrier at the door says this.")
            data = {**about, "answer": body.answer, "carrier": asker.carrier}
            await self._commands.send(f"{NAME}.door_checked", data, actor=Actor("device"), site=asker.site)
            return self._answer(await self._row(request_id, asker))
        if row.state in _OVER:
            raise RequestClosed(state=row.state)
        if row.state != "requested":
            raise NotWaiting(state=row.state)
        if body.identity is not None:
            if asker.kind not in _ATTESTS and not products.is_sure(asker.identity, body.identity):
                raise Forbidden("Only an adviser or the counter says whom they saw.")
            about |= {"identity": body.identity}
            by = asker.actor if asker.kind in _ATTESTS else Actor("server", entered_by=asker.account)
            await self._commands.send(f"{NAME}.verified", about, actor=by)
            return self._answer(await self._row(request_id, asker))
        return await self._type_code(row, body.code or "", asker)

    async def cancel(self, request_id: str, body: EndBody, asker: Asker) -> dict[str, Any]:
        """Cancel a request; what already holds is reversed, with the list of what was diverted. RequestClosed, RequestSeen."""
        row = await self._own(request_id, asker)
        about = self._about(row) | {"reason": body.reason or "asked"}
        lasting = row.subject.startswith("delivery_point/")
        if row.state in _OVER:
            return self._answer(row)
        if row.state in ("applied", "frozen") and not (lasting and (row.state == "applied" or asker.is_staff)):
            raise RequestClosed(state=row.state)
        if row.state == "seen_by_carrier" and not asker.is_staff:
            raise RequestSeen
        name = "reversed" if row.state in ("applied", "frozen") else "cancelled"
        await self._commands.send(f"{NAME}.{name}", about, actor=asker.actor)
        row = await self._row(request_id, asker)
        return self._answer(row) | await self._evidence(row, asker)

    async def stop(self, request_id: str, body: EndBody, asker: Asker) -> dict[str, Any]:
        """Stop a request: "this was not me". Whoever holds a notice may, without signing in; a second time changes nothing."""
        stops = self._codes.stops(request_id, body.token or asker.token or "")
        row = await self._read(request_id, asker, shown=stops)
        if row is None or not (stops or await self._is_theirs(row, asker)):
            raise NotFound
        if row.state not in (*_OVER, "frozen") and not (row.state == "applied" and row.subject.startswith("item/")):
            reason = body.reason if body.reason in ("not_me", "fraud") else "not_me"
            await self._commands.send(f"{NAME}.frozen", self._about(row) | {"reason": reason}, actor=asker.actor)
            row = await self._row(request_id, asker)
        return {"request_id": row.id, "state": row.state, "words": _words(row)}

    async def _type_code(self, row: RequestRow, code: str, asker: Asker) -> dict[str, Any]:
        if row.step != "code_sent":
            raise NotWaiting(step=row.step)
        tried = self._tried(asker, row.id)
        await self._guesses.begin(tried)
        digest = self._codes.code_digest(row.id, code)
        about = self._about(row) | {"code_hmac": digest}
        result = await self._commands.send(f"{NAME}.verified", about, actor=Actor("customer", entered_by=asker.account))
        told: Mapping[str, Any] = result.answer or {}
        answer = self._answer(await self._row(row.id, asker))
        if told.get("code_ok"):
            await self._guesses.right(tried)
        else:
            entry = Entry(
                asker.account or asker.kind, asker.kind, "delivery_change.code_refused", f"delivery_change/{row.id}"
            )
            await audit.note(self.database, entry, soon=True)
            raise WrongCode(tries_left=told.get("tries_left", 0), state=answer["state"])
        return answer

    def _count(self, subject: str, contact: ContactBody | None) -> None:
        """Count what strangers ask, by what it is about and by whom we are to write to. TooMany.

        What is refused is kept as well, and every answer to a request goes to the contact that it names.
        """
        ways = (contact.email, contact.mobile, contact.voice) if contact else ()
        counted = [f"asked {subject}", *(f"told {self._codes.contact(way)}" for way in ways if way)]
        if any(self._tries.too_many(each) for each in counted):
            raise TooMany("Too many requests for this, or to this contact; wait a while.", retry_after_s=600)
        for each in counted:
            self._tries.failed(each)

    def _check_asked_by(self, body: ChangeBody, asker: Asker) -> None:
        if body.asked_by is not None and body.asked_by != asker.kind:
            raise BadChange("asked_by is not who calls.", members=["asked_by"])
        if body.identity is not None and asker.kind not in _ATTESTS:
            raise BadChange("Only an adviser or the counter says whom they saw.", members=["identity"])

    async def _found(self, body: ChangeBody, asker: Asker) -> Subject:
        """Find what it is about, for whoever may ask about it; every other case looks the same."""
        if asker.kind != "customer":
            subject = await self._known.subject(body)
            if subject is None or not asker.may_see(subject.site):
                raise NotFound
            return subject
        name = body.item_id or body.delivery_point_id or ""
        tried = self._tried(asker, name)
        await self._guesses.begin(tried)
        subject = await self._known.subject(body)
        if subject is None or body.item_id is not None or not _may_name_an_address(body, asker):
            known = await self._known.postcode(subject) if subject else None
            if subject is None or known is None or body.item_id is None or body.details.postcode != known:
                raise NotFound
        await self._guesses.right(tried)
        return subject

    async def _refuse_without_trace(self, body: ChangeBody, subject: Subject) -> None:
        """Refuse what has no story of its own to be refused in: a pouch, and an item against what holds for its address."""
        if subject.product == "pouch":
            rule = products.NEVER_LEFT
            raise NotPossible(rule.says["en"], state="refused", reason=rule.name, words=dict(rule.says))
        mine = products.KINDS[body.kind]
        if subject.point is None or subject.name.startswith("delivery_point/"):
            return
        kinds = [name for name, kind in products.KINDS.items() if kind.group == mine.group and name in _WHOLE]
        rival = await store.held_at_point(self.database, subject.point, kinds)
        if rival is not None:
            words = dict(REASONS["conflict"])
            raise NotPossible(words["en"], state="refused", reason="conflict", conflicts_with=rival, words=words)

    async def _data(self, body: ChangeBody, subject: Subject, asker: Asker, request_id: str) -> dict[str, Any]:
        """Write `delivery_change.requested`: what was asked, and what the office knows now."""
        now = datetime.now(UTC)
        kind, _, name = subject.name.partition("/")
        details = body.details.model_dump(exclude_none=True, exclude={"postcode"})
        data: dict[str, Any] = {"request_id": request_id, f"{kind}_id": name, "kind": body.kind, "asked_by": asker.kind}
        data["customer"] = asker.account if asker.kind == "customer" else None
        data |= {"product": subject.product, "identity": self._identity(body, asker), "details": details}
        data |= {"from": body.from_, "to": body.to, "carrier": asker.carrier, "cutoff_stops": self._cutoff_stops}
        data |= self._known.times(body, subject)
        data["own_url"] = f"{self._base_url}/suivi/demandes/{request_id}/{self.token(request_id)}"
        data["stop_url"] = f"{self._base_url}/suivi/stop/{request_id}/{self._codes.stop_token(request_id)}"
        if kind == "item" and subject.item is not None:
            data |= await self._known.of_item(subject.item, now)
        elif products.KINDS[body.kind].redirects:
            often = await self._guesses.too_many({"source": asker.source})
            risk, contacts = await self._known.risk(body, subject, request_id, now=now, tried_often=often)
            target = self._codes.target(body.details.new_address or "")
            data |= {"risk": risk.level, "risk_reasons": list(risk.reasons), "notify": contacts, "target_hmac": target}
        else:
            data["notify"] = (await self._known.contacts(subject.point or "", now))[0]
        return {
            key: format_time(value) if isinstance(value, datetime) else value
            for key, value in data.items()
            if value is not None
        }

    def _identity(self, body: ChangeBody, asker: Asker) -> str:
        if asker.kind == "carrier":
            return "door"
        if asker.kind == "customer":
            return asker.identity
        return body.identity or ("account" if asker.is_staff else "none")

    async def _read(self, request_id: str, asker: Asker, *, shown: bool) -> RequestRow | None:
        """Read a request as the asker may see it; `shown`: they have shown that it is theirs."""
        return await store.read(self.database.seen_by(asker.viewer(request_id if shown else None)), request_id)

    async def _row(self, request_id: str, asker: Asker) -> RequestRow:
        """Read again what the asker has just done something to."""
        row = await self._read(request_id, asker, shown=True)
        if row is None:
            raise NotFound
        return row

    async def _own(self, request_id: str, asker: Asker) -> RequestRow:
        """Read a request of the caller's; NotFound otherwise, and counted as a wrong guess."""
        holds = self._codes.is_own(request_id, asker.token or "")
        tried = {} if holds else self._tried(asker, request_id)
        await self._guesses.begin(tried)
        row = await self._read(request_id, asker, shown=holds)
        if row is None or not (holds or await self._is_theirs(row, asker)):
            raise NotFound
        await self._guesses.right(tried)
        return row

    async def _is_theirs(self, row: RequestRow, asker: Asker) -> bool:
        if asker.kind == "customer":
            return asker.account is not None and row.customer == asker.account
        if asker.site is None:
            return True
        kind, _, name = row.subject.partition("/")
        found = await (store.item(self.database, row.subject) if kind == "item" else store.point(self.database, name))
        return found is not None and asker.may_see(found.site)

    def _tried(self, asker: Asker, name: str) -> dict[str, str]:
        """Name what a wrong guess counts for; staff and phones guess nothing."""
        return {"source": asker.source, "about": name} if asker.kind == "customer" else {}

    def _about(self, row: RequestRow) -> dict[str, Any]:
        kind, _, name = row.subject.partition("/")
        return {"request_id": row.id, f"{kind}_id": name}

    async def _evidence(self, row: RequestRow, asker: Asker) -> dict[str, Any]:
        """List what was diverted while a redirection held: for staff, the victim and the police."""
        if not (asker.is_staff and row.since is not None and products.KINDS[row.kind].redirects):
            return {}
        last = row.state_at if row.state in ("reversed", "frozen") else datetime.now(UTC)
        point = row.subject.partition("/")[2]
        items = await store.diverted(self.database, point, row.since.date(), last.date())
        diverted = [
            {
                "item_id": each.subject.partition("/")[2],
                "on": each.day.isoformat(),
                "state": each.state,
                "state_at": each.state_at,
            }
            for each in items
        ]
        return {"diverted": diverted, "diverted_from": point}

    def _answer(self, row: RequestRow) -> dict[str, Any]:
        kind = products.KINDS[row.kind]
        cutoff = {"until": kind.cutoff} | ({"stops": self._cutoff_stops} if kind.cutoff == products.NEAR else {})
        needs = {"identity_wanted": "identity", "code_wanted": "code", "code_sent": "code"}.get(row.step)
        steps = [dict(zip(("state", "at", "reason"), step.split("|"), strict=False)) for step in row.steps]
        return {
            "request_id": row.id,
            "kind": row.kind,
            "subject": row.subject,
            "state": row.state,
            "words": _words(row),
            "reason": row.reason,
            "instead": row.instead,
            "conflicts_with": row.other,
            "needs": needs if row.state in OPEN else None,
            "cutoff": cutoff,
            "from": row.from_day.isoformat() if row.from_day else None,
            "to": row.to_day.isoformat() if row.to_day else None,
            "asked_by": row.asked_by,
            "asked_at": format_time(row.asked_at),
            "state_at": format_time(row.state_at),
            "earliest_at": format_time(row.cooled_at) if row.cooled_at else None,
            "history": [{name: value for name, value in step.items() if value} for step in steps],
        }


_WHOLE = ("hold", "redirect_temporary", "redirect_permanent")


def _may_name_an_address(body: ChangeBody, asker: Asker) -> bool:
    """Tell whether somebody who knows no item may ask about an address: who proved who they are, for all their mail."""
    return asker.account is not None and body.kind in _WHOLE and products.is_sure(asker.identity, "substantial")


def _words(row: RequestRow) -> dict[str, str]:
    """Say how a request stands; the reason is a sentence of its own."""
    reason, state = REASONS.get(row.reason or ""), STATE_WORDS[row.state]
    return {lang: ". ".join(filter(None, (state[lang], reason[lang] if reason else None))) for lang in ("fr", "en")}
