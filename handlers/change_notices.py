"""Whom a delivery change tells, and why it ends as it does, in words: of a redirection, whoever was known before is told."""

from collections.abc import Iterator, Mapping
from typing import Any

from handlers import change_states, changes, products
from handlers.change_states import Change, Step
from handlers.notice import notice
from handlers.story import Fact, Write, titled

_SILENT = ("requested", "verified", "accepted")
REASONS: Mapping[str, Mapping[str, str]] = {
    "conflict": titled("Une autre demande est déjà en cours.", "Another request is already under way."),
    "already_loaded": titled("L'objet était déjà parti avec le facteur.", "The item had already left with the carrier."),
    "already_ended": titled("L'objet avait déjà été présenté.", "The item had already been presented."),
    "carrier_is_near": titled("Le facteur était déjà trop proche.", "The carrier was already too near."),
    "unseen": titled("Le facteur ne l'avait pas encore vue.", "The carrier had not seen it yet."),
    "not_presented": titled("L'objet n'a pas été présenté.", "The item was not presented."),
    "not_needed": titled("L'objet a été remis en personne.", "The item was handed over in person."),
    "not_done": titled("Ce n'était pas possible à la porte.", "It was not possible at the door."),
    "not_verified": titled("Elle n'a pas été confirmée à temps.", "It was not confirmed in time."),
    "not_sure": titled("Connectez-vous ou prouvez votre identité d'abord.", "Sign in or prove who you are first."),
    "code_not_used": titled("Le code n'a pas été donné à temps.", "The code was not given in time."),
    "too_many_tries": titled("Trop de codes faux ont été donnés.", "Too many wrong codes were given."),
    "denied_at_the_door": titled("On nous a dit non à l'adresse.", "Somebody at the address said no."),
    "not_me": titled("On nous a dit : ce n'était pas moi.", "Somebody told us: it was not me."),
    "fraud": titled("Une fraude est soupçonnée.", "A fraud is suspected."),
    "asked": titled("C'est ce qui a été demandé.", "This is what was asked."),
    "mistake": titled("C'était une erreur.", "It was a mistake."),
    **{
        rule.name: rule.says
        for rule in (
            products.NEVER_LEFT, *products.WRONG_SUBJECT.values(),
            *(rule for rules in products.FORBIDDEN.values() for rule in rules.values()),
        )
    },
}  # fmt: skip


def notices(
    change: Change, before: Change | None, new: Fact, words_of: Mapping[str, Mapping[str, str]]
) -> Iterator[Write]:
    """Tell all who are to know: the one who asked of every turn, and of a redirection whoever was known before."""
    told = len(before.steps) if before is not None else 0
    news = [step for step in change.steps[told:] if step.name not in _SILENT]
    known = _known_contacts(change)
    words = _words(change)
    if change.wants_code and not (before is not None and before.wants_code):
        for number, contact in enumerate(known):
            yield notice(
                new, "delivery_change_warning", contact, words, key=f"{change.id} {number}", lang=contact["lang"]
            )
        new_home = {"postal": {"address": (change.asked.data.get("details") or {}).get("new_address")}}
        yield notice(new, "delivery_change_arrival", new_home, words, key=change.id)
    if news:
        own = (change.asked.data.get("details") or {}).get("contact")
        everyone = [*([{"lang": "fr", **own}] if own else []), *(known if change.lasts else [])]
        edits = [step for step in news if step.name == "edited"]
        turn = edits[-1] if edits and news[-1].state in ("requested", "on_sheet") else news[-1]
        for number, contact in enumerate(everyone):
            more = _turn(turn, words_of[turn.name])
            if own and number == 0:
                more |= _way_back(more, change.asked.data.get("own_url"))
            key = " ".join([change.id, turn.name, *([str(change.edits)] if change.edits else []), str(number)])
            yield notice(new, "delivery_change_news", contact, words | more, key=key, lang=contact["lang"])
    if change.known.redirects and change.reminded > (before.reminded if before is not None else 0):
        home = {"postal": {"delivery_point_id": change.subject.partition("/")[2]}}
        yield notice(new, "delivery_change_reminder", home, words, key=f"{change.id} {change.reminded}")


def answered(change: Change, new: Fact) -> Iterator[Write]:
    """Tell who asked that the office wrote to them; what it wrote stands on the page of their request only."""
    contact = (change.asked.data.get("details") or {}).get("contact")
    url = change.asked.data.get("own_url")
    if contact and url:
        words = _words(change) | {"own_url": url}
        lang = contact.get("lang", "fr")
        yield notice(new, "delivery_change_answer", contact, words, key=change.id, lang=lang)


def _known_contacts(change: Change) -> list[Mapping[str, Any]]:
    """Return the contacts that were verified before: never only those given with the request."""
    return [{"lang": "fr", **contact} for contact in change.asked.data.get("notify") or ()]


def _words(change: Change) -> dict[str, Any]:
    earliest = products.after_working_days(changes.moment_of(change.asked), change_states.COOLING_DAYS)
    since = change.came_to("applied") or earliest
    title = change.known.title
    return {
        "reference": change.id,
        "kind_fr": title["fr"],
        "kind_en": title["en"],
        "earliest": earliest.date().isoformat(),
        "since": since.date().isoformat(),
        "stop_url": change.asked.data.get("stop_url") or "",
    }


def _way_back(more: Mapping[str, str], url: str | None) -> dict[str, str]:
    """Tell who asked, and nobody else, where they see their request and cancel it."""
    said = titled(f"Suivre ou annuler votre demande : {url}", f"Follow or cancel your request: {url}") if url else {}
    return {f"more_{lang}": "\n".join(filter(None, (more[f"more_{lang}"], words))) for lang, words in said.items()}


def _turn(step: Step, words: Mapping[str, str]) -> dict[str, str]:
    reason = REASONS.get(step.reason or "", {"fr": "", "en": ""})
    return {
        "state_fr": words["fr"].lower(),
        "state_en": words["en"].lower(),
        "more_fr": reason["fr"],
        "more_en": reason["en"],
    }
