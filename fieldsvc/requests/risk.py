"""How likely it is that a redirection is not asked by who lives there. What comes out is a level; who asks is never told why."""

from collections.abc import Mapping
from dataclasses import dataclass

LIMIT = 50
# what speaks against it -> how much. Two weak signs, or one strong, send it to the counter
WEIGHTS: Mapping[str, int] = {
    "asked_before": 30,  # another redirection of this address within twelve months
    "asked_often": 30,  # more than three changes of this address within a month
    "shared_target": 50,  # redirections of other addresses lead to the same place
    "drop_target": 50,  # a locker, a forwarder, a box, poste restante
    "foreign_target": 30,
    "contact_changed": 30,  # the proved contact of this address changed within 30 days
    "signed_mail_waits": 20,  # registered or signed items are on their way there
    "no_contact_known": 5,  # nobody of this address was ever proved, so nobody can be warned but by letter
    "address_in_doubt": 50,  # vacant or undeliverable, or a place that we cannot tell
    "far_ahead": 5,  # asked more than sixty days ahead
    "tried_often": 40,  # wrong codes or postcodes from where this was asked
}
_DROPS = (
    "locker",
    "consigne",
    "poste restante",
    "general delivery",
    "cedex",
    "bp ",
    "tsa ",
    "cs ",
    "domiciliation",
    "forward",
)
_FRANCE = ("france", "fr")


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known when a redirection is asked for."""

    redirects_in_a_year: int = 0
    changes_in_a_month: int = 0
    others_to_target: int = 0
    target: str = ""
    contacts_known: int = 0
    contact_changed: bool = False
    signed_items: int = 0
    address_class: str | None = None
    placed: bool = True
    days_ahead: int = 0
    tried_often: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """The level, `low` or `high`, and what it comes from, for the operator's own eyes."""

    level: str
    reasons: tuple[str, ...]


def assess(signs: Signs) -> Risk:
    """Add up what speaks against a redirection."""
    target = f"{signs.target.casefold()} "
    found = {
        "asked_before": signs.redirects_in_a_year > 0,
        "asked_often": signs.changes_in_a_month > 3,
        "shared_target": signs.others_to_target > 0,
        "drop_target": any(word in target for word in _DROPS),
        "foreign_target": _is_foreign(signs.target),
        "contact_changed": signs.contact_changed,
        "signed_mail_waits": signs.signed_items > 0,
        "no_contact_known": signs.contacts_known == 0,
        "address_in_doubt": not signs.placed or signs.address_class in ("undeliverable", "vacant"),
        "far_ahead": signs.days_ahead > 60,
        "tried_often": signs.tried_often,
    }
    reasons = tuple(name for name, holds in found.items() if holds)
    return Risk("high" if sum(WEIGHTS[name] for name in reasons) >= LIMIT else "low", reasons)


def _is_foreign(target: str) -> bool:
    """Tell whether a last part after a comma names another country; an address without one is taken as domestic."""
    last = target.rpartition(",")[2].strip().casefold()
    return bool(last) and last not in _FRANCE and not any(letter.isdigit() for letter in last) and "," in target
