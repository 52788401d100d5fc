"""What a visited person lets those close to her know: her newest dated word counts, as long as it holds.

It is the order's `details.consent` (`{given_on, answers: [names], until?, relatives?: [mail addresses], lang?}`), or what she said
to the carrier or an adviser since (`home_visit.consent_changed`). Who is named as a relative may see when the next visit is and
what she lets be known of the last one, and is told before a visit fails; with no answers and no relatives nobody is told anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers import tasks
from handlers.fields import plain_mail
from handlers.notice import notice
from handlers.story import DigestOf, Fact, Write

CHANGED = "home_visit.consent_changed"
MOST_RELATIVES = 10


def consent_at(facts: Sequence[Fact], order: Fact | None, moment: Fact | None = None) -> Mapping[str, Any]:
    """Return the consent that counted before a fact, or counts now; nothing of one that is not dated, or is over on that day."""
    changes = [fact for fact in facts if fact.type == CHANGED and (moment is None or fact < moment)]
    ordered = ((order.data.get("details") or {}) if order else {}).get("consent")
    consent = changes[-1].data if changes else ordered
    on = moment.at[:10] if moment else max((fact.at for fact in facts), default="")[:10]
    if not isinstance(consent, Mapping) or not (consent.get("given_on") or "") <= on:
        return {}
    return {} if (consent.get("until") or "9999") < on else consent


def relatives(consent: Mapping[str, Any]) -> list[str]:
    """Name the mail addresses of those who may follow her visits."""
    named = consent.get("relatives")
    found = [each.strip().casefold() for each in named if isinstance(each, str)] if isinstance(named, list) else []
    return list(dict.fromkeys(each for each in found if "@" in each))[:MOST_RELATIVES]


def known_as(email: str) -> str:
    """Write under which name a relative is digested, so that they are found again and not named."""
    return f"relative {plain_mail(email)}"


def writes(facts: Sequence[Fact], visit_id: str) -> Iterator[Write]:
    """Note who may follow this visit, as it stands now; nothing for a visit of which nobody ever named a relative."""
    orders = [fact for fact in facts if fact.type == "task.planned"]
    said = [*(fact.data for fact in facts if fact.type == CHANGED), *(_ordered(each) for each in orders)]
    if not orders or not any(relatives(each) for each in said):
        return
    consent = consent_at(facts, orders[-1])
    yield Write("visit_relative.clear", (visit_id,))
    for email in relatives(consent):
        row = visit_id, DigestOf(known_as(email)), orders[-1].data["on"], consent.get("until")
        yield Write("visit_relative.save", row)


def warned(facts: Sequence[Fact], danger: Fact) -> list[Write]:
    """Tell the relatives of a danger to a visit before it fails, each once."""
    order = tasks.planned(facts)
    consent = consent_at(facts, order)
    words = {"on": order.data["on"] if order else danger.at[:10]}
    lang = str(consent.get("lang", "fr"))
    return [
        notice(danger, "visit_in_danger", {"email": email}, words, key=str(number), lang=lang)
        for number, email in enumerate(relatives(consent), start=1)
    ]


def _ordered(order: Fact) -> Mapping[str, Any]:
    consent = (order.data.get("details") or {}).get("consent")
    return consent if isinstance(consent, Mapping) else {}
