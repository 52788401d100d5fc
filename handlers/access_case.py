"""A case of access: how the facts of a delivery point fold into one, and what people and readers are told of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from handlers.fields import format_time, parse_time
from handlers.notice import notice
from handlers.story import Fact, Sealed, Write, titled

REFUSED, ASKED, DECIDED = "access.refused", "access.questioned", "access.decided"
SAID_BY_PEOPLE = (REFUSED, ASKED, DECIDED)
ANSWER_IN, MAIL_WAITS, REMINDED_FOR = timedelta(days=7), timedelta(days=15), timedelta(days=14)
SERVED_AGAIN = "served_again"
NO_OFFICE = titled("votre bureau de poste", "your post office")
REASONS = {
    "distance": titled("la boîte est trop loin de la voie", "the box is too far from the road"),
    "dangerous": titled("l'accès est dangereux", "the way to it is dangerous"),
    "closed_gate": titled("le portail est fermé", "the gate is closed"),
    "no_box": titled("il n'y a pas de boîte aux lettres", "there is no letterbox"),
    "dog": titled("un chien empêche l'accès", "a dog is in the way"),
    "other": titled("l'accès n'est pas possible", "it cannot be reached"),
    "unserved": titled("nous cherchons pourquoi", "we are finding out why"),
}
DECISIONS = {
    SERVED_AGAIN: titled("la boîte est de nouveau desservie", "the box is served again"),
    "box_to_move": titled("la boîte doit être déplacée", "the box has to be moved"),
    "held_at_office": titled("le courrier vous attend au bureau", "the mail waits for you at the office"),
    "not_served": titled("la boîte ne peut pas être desservie", "the box cannot be served"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A case as the facts so far tell it: `refused` is the carrier's newest word, `heard` are the customers'."""

    opened: Fact
    refused: Fact | None = None
    heard: tuple[Fact, ...] = ()
    decided: Fact | None = None

    @property
    def due_at(self) -> datetime:
        """By when there should be an answer."""
        return self.opened.occurred_at + ANSWER_IN

    @property
    def lapses_at(self) -> datetime | None:
        """When what was decided holds no longer; carriers are reminded for two weeks that a box is served again."""
        if self.decided is None:
            return None
        until = self.decided.data.get("until")
        if until:
            return parse_time(f"{until}T00:00:00Z") + timedelta(days=1)
        return self.decided.occurred_at + REMINDED_FOR if self.decided.data["decision"] == SERVED_AGAIN else None

    @property
    def reason(self) -> str:
        """Why, in the carrier's word; without one, the box is just not served."""
        return str(self.refused.data["reason"]) if self.refused else "unserved"

    @property
    def mail_waits(self) -> tuple[str | None, str]:
        """Where the mail waits, and until when."""
        last, refused = (each.data if each else {} for each in (self.decided, self.refused))
        at = last.get("mail_waits_at") or refused.get("mail_waits_at") or refused.get("_site")
        until = last.get("until") or refused.get("mail_waits_until")
        return at, until or (self.opened.occurred_at + MAIL_WAITS).date().isoformat()


def after(case: Case | None, fact: Fact) -> Case | None:
    """Take a fact in: a carrier's refusal changes nothing of what is decided, a customer's question opens it anew."""
    if fact.type == REFUSED:
        return case if case and case.decided else replace(case or Case(fact), refused=fact)
    if fact.type == ASKED:
        known = Case(fact, case.refused if case else None) if case is None or case.decided else case
        return replace(known, heard=(*known.heard, fact))
    if fact.type == DECIDED:
        return replace(case or Case(fact), decided=fact)
    if fact.type == "timer.lapsed" and case and case.lapses_at and fact.occurred_at >= case.lapses_at:
        return None
    return case


def described(case: Case) -> dict[str, Any]:
    """Tell whoever asks: why, where the mail waits and until when, and by when there is an answer."""
    at, until = case.mail_waits
    return {
        "delivery_point_id": case.opened.data["delivery_point_id"],
        "reason": case.reason,
        "opened_at": case.opened.at,
        "answer_due_at": format_time(case.due_at),
        **({"mail_waits_at": at} if at else {}),
        "mail_waits_until": until,
    }


def row(point: str, case: Case) -> tuple[Any, ...]:
    """Write the case as sheets and supervisors read it."""
    told, (at, until) = described(case), case.mail_waits
    head = point, case.opened.data.get("_site"), "decided" if case.decided else "open"
    asked = case.opened.occurred_at, case.due_at, told["reason"], case.opened.by, at, until
    said = case.decided
    decided = (said.data["decision"], said.occurred_at, said.data.get("until")) if said else (None, None, None)
    heard = [
        fact.data["note"] for fact in (*case.heard, *([case.refused] if case.refused else ())) if fact.data.get("note")
    ]
    words = {"note": heard[-1] if heard else None, "answer": said.data["reason"] if said else None}
    return (*head, *asked, *decided, Sealed({name: text for name, text in words.items() if text}))


def notices(case: Case | None, new: Fact) -> list[Write]:
    """Tell who asked: that there is a case, and what was decided."""
    if case is None or new not in (*case.heard, case.decided):
        return []
    template, asked = ("access_opened", (new,)) if new in case.heard else ("access_decided", case.heard)
    return [
        notice(
            new, template, contact, _words(case, contact.get("lang", "fr")), key=fact.id, lang=contact.get("lang", "fr")
        )
        for fact in asked
        if (contact := fact.data.get("contact"))
    ]


def _words(case: Case, lang: str) -> dict[str, str]:
    at, until = case.mail_waits
    return {
        "reason": REASONS[case.reason][lang],
        "office": at or NO_OFFICE[lang],
        "until": until,
        "due": case.due_at.date().isoformat(),
        "decision": DECISIONS[case.decided.data["decision"]][lang] if case.decided else "",
        "answer": case.decided.data["reason"] if case.decided else "",
    }
