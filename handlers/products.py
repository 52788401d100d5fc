"""Product rules as data: which change a product allows, until when each kind may be asked for, who must be sure who asks.

A refusal names its rule. Redirections count in working days; the calendar is that of metropolitan France.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from handlers import item_ids
from handlers.story import titled

LOADED, NEAR = "loaded", "near"  # until it is taken out; until the carrier is some stops away
IDENTITIES = ("none", "door", "account", "substantial", "counter")  # each is surer than the one before
SIGNED = ("registered", "signed")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change. `fields` must be there; `rivals` are the kinds that cannot hold at the same time."""

    title: Mapping[str, str]
    cutoff: str
    subjects: tuple[str, ...] = ("item", "delivery_point")
    fields: tuple[str, ...] = ()
    identity: str = "none"  # how sure we must be of who asks
    identity_if_signed: str | None = None
    group: str = "whereabouts"  # two of one group cannot hold at the same time
    redirects: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Why something is refused: a stable name, and the words for a person."""

    name: str
    says: Mapping[str, str]


KINDS: Mapping[str, Kind] = {
    "other_date": Kind(titled("autre date", "another day"), LOADED, ("item",), ("from",)),
    "pickup_point": Kind(
        titled("point de retrait", "pick-up point"),
        LOADED,
        ("item",),
        ("pickup_point",),
        identity_if_signed="substantial",
    ),
    "hold": Kind(titled("garde du courrier", "hold"), LOADED, fields=("to",), identity_if_signed="account"),
    "neighbour": Kind(titled("chez un voisin", "neighbour"), NEAR, fields=("neighbour",)),
    "safe_place": Kind(titled("en lieu sûr", "safe place"), NEAR, fields=("place",)),
    "second_presentation": Kind(titled("nouvelle présentation", "second presentation"), NEAR, ("item",), ("from",)),
    "proxy": Kind(
        titled("procuration", "proxy"), NEAR, fields=("proxy",), identity_if_signed="substantial", group="proxy"
    ),
    "redirect_temporary": Kind(
        titled("réexpédition temporaire", "temporary redirection"),
        *(LOADED, ("delivery_point",), ("from", "to", "new_address", "names"), "substantial"),
        redirects=True,
    ),
    "redirect_permanent": Kind(
        titled("réexpédition définitive", "permanent redirection"),
        *(LOADED, ("delivery_point",), ("from", "new_address", "names"), "substantial"),
        redirects=True,
    ),
}
_POINT_IDENTITY = "account"  # what holds for all the mail of a place needs more than knowing one item

NEVER_LEFT = Rule(
    "pouch_never_left",
    titled(
        "Un sachet de médicaments n'est remis qu'à son patient ou aux personnes nommées.",
        "A pouch of medicine is handed only to its patient or to persons named in the order.",
    ),
)
_TO_ADDRESSEE = Rule(
    "registered_only_to_addressee",
    titled(
        "Un recommandé n'est remis qu'à son destinataire ou à son mandataire.",
        "A registered item is handed only to its addressee or to somebody with a mandate.",
    ),
)
_SIGNED_FOR = Rule(
    "signed_for_at_the_door",
    titled("Cet objet est remis contre signature.", "This item is handed over against a signature."),
)
FORBIDDEN: Mapping[str, Mapping[str, Rule]] = {
    "registered": {"neighbour": _TO_ADDRESSEE, "safe_place": _TO_ADDRESSEE},
    "signed": {"safe_place": _SIGNED_FOR},
    "pouch": dict.fromkeys(KINDS, NEVER_LEFT),
}
WRONG_SUBJECT: Mapping[str, Rule] = {
    "item": Rule(
        "only_for_an_item", titled("Ce choix se fait pour un seul objet.", "This is chosen for a single item.")
    ),
    "delivery_point": Rule(
        "only_for_an_address",
        titled("Une réexpédition vaut pour une adresse.", "A redirection is asked for an address."),
    ),
}


def product_of(item_id: str, requirements: Sequence[str] = ()) -> str:
    """Name the product of an item: `registered`, `signed` or `ordinary`."""
    if "registered" in requirements or item_ids.is_registered(item_id):
        return "registered"
    return "signed" if "signature" in requirements else "ordinary"


def refusal(kind: str, subject: str, product: str) -> Rule | None:
    """Return the rule that forbids this kind of change for this subject (`item/…`) and product; None if it is allowed."""
    if forbidden := FORBIDDEN.get(product, {}).get(kind):
        return forbidden
    about = subject.partition("/")[0]
    return None if about in KINDS[kind].subjects else WRONG_SUBJECT[KINDS[kind].subjects[0]]


def identity_needed(kind: str, subject: str, product: str) -> str:
    """Return how sure we must be of who asks."""
    known = KINDS[kind]
    wanted = [known.identity]
    if product in SIGNED and known.identity_if_signed:
        wanted.append(known.identity_if_signed)
    if subject.startswith("delivery_point/"):
        wanted.append(_POINT_IDENTITY)
    return max(wanted, key=IDENTITIES.index)


def is_sure(identity: str, needed: str) -> bool:
    """Tell whether an identity is as sure as is needed."""
    return IDENTITIES.index(identity) >= IDENTITIES.index(needed)


def rivals(one: str, other: str) -> bool:
    """Tell whether two kinds of change on one subject contradict each other."""
    return KINDS[one].group == KINDS[other].group


def after_working_days(moment: datetime, days: int) -> datetime:
    """Return the same time of the day, so many working days (Monday to Friday, no public holiday) later."""
    left = days
    while left:
        moment += timedelta(days=1)
        left -= moment.weekday() < 5 and moment.date() not in holidays(moment.year)
    return moment


@lru_cache(maxsize=8)
def holidays(year: int) -> frozenset[date]:
    """Return the public holidays of metropolitan France (Code du travail, L3133-1)."""
    easter = _easter(year)
    fixed = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)]
    moving = [easter + timedelta(days=days) for days in (1, 39, 50)]
    return frozenset([*(date(year, month, day) for month, day in fixed), *moving])


def _easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (the anonymous algorithm: Nature, 20 April 1876)."""
    century, rest = divmod(year, 100)
    leap, beyond = divmod(century, 4)
    moved = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * (year % 19) + century - leap - moved + 15) % 30
    quarter, odd = divmod(rest, 4)
    weekday = (32 + 2 * beyond + 2 * quarter - epact - odd) % 7
    late = (year % 19 + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)
