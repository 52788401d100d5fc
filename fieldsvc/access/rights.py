"""What a caller may see: the decisions about objects, in one place. A caller of no known kind sees nothing.

Which routes a caller may call at all is `fieldsvc/web/rights.py`; this is the wall behind it. Runs and what hangs on them belong
to a site, orders and what comes of them to an account, pictures also to the phone that sent them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.sites import EVERYWHERE, NOWHERE, Sites
from fieldsvc.store.media import Picture, Wanted
from handlers import media, sandbox
from handlers.fields import FieldClass


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody without credentials, who may know an item and its postcode, or hold the token of a request."""


Caller = Device | Account | Person | Customer


class Thing(StrEnum):
    """What belongs to a site."""

    RUN = "runs with their sheets' work, where they are, and rosters"
    ROUND = "rounds and delivery points"
    WATCH = "hazards, boxes that cannot be served, and duty desks"
    ALERT = "alarms and alerts"
    CASE = "disputes"
    ADDRESS_CHANGE = "reports of address changes"
    TASK = "orders of the operator"
    PROOF = "proofs of delivery"
    PICTURE = "pictures"
    REQUEST = "delivery changes"
    FIGURES = "figures by site and month"
    AUDIT = "the audit log"


_WATCHERS = frozenset({"supervisor", "operator"})
_WHO: Mapping[Thing, frozenset[str]] = {
    Thing.RUN: _WATCHERS,
    Thing.ROUND: _WATCHERS | {"address_quality"},
    Thing.WATCH: _WATCHERS,
    Thing.ALERT: _WATCHERS,
    Thing.PICTURE: _WATCHERS,
    Thing.CASE: _WATCHERS | {"adviser"},
    Thing.PROOF: _WATCHERS | {"adviser"},
    Thing.ADDRESS_CHANGE: _WATCHERS | {"address_quality"},
    Thing.TASK: frozenset({"supervisor", "adviser"}),
    Thing.REQUEST: _WATCHERS | {"adviser", "counter"},
    Thing.FIGURES: _WATCHERS | {"auditor", "member"},
    Thing.AUDIT: frozenset({"auditor"}),
}
_OF_ONE_SITE = frozenset({"supervisor", "counter"})


def sites_of(caller: object, thing: Thing) -> Sites:
    """Return the sites whose things of a kind a caller sees.

    Who was given a site sees that one; a supervisor or the counter without one sees nothing, other roles see every site.
    """
    match caller:
        case Device(site=site) if thing is Thing.REQUEST:
            return Sites(site)
        case Person(role=role, site=site) if role in _WHO.get(thing, ()):
            if site is not None and role != "member":
                return Sites(site)
            return NOWHERE if role in _OF_ONE_SITE else EVERYWHERE
    return NOWHERE


def orders_of(caller: object) -> tuple[str | None, Sites]:
    """Return whose tasks a caller sees: those of an account, or None and those of the operator on these sites."""
    if isinstance(caller, Account):
        return caller.account_id, EVERYWHERE
    return None, sites_of(caller, Thing.TASK)


def proofs_of(caller: object) -> tuple[str | None, Sites]:
    """Return whose proofs a caller sees: those of an account's orders, or None and those handed over by these sites."""
    if isinstance(caller, Account):
        return caller.account_id, NOWHERE
    return None, sites_of(caller, Thing.PROOF)


def figures_of(caller: object) -> str:
    """Return whose figures a caller sees: of a member's account, or "" = of everybody, which are the operator's."""
    if isinstance(caller, Person) and caller.role == "member":
        return caller.account or "nobody"
    return ""


def sees_picture(caller: object, picture: Picture, wants: Iterable[Wanted]) -> bool:
    """Tell whether a picture is a caller's: sent by this phone, of their site, or of a fact of their order that may leave."""
    match caller:
        case Device():
            return picture.device == caller.id
        case Account():
            return any(_leaves(each, caller) for each in wants)
    sites = sites_of(caller, Thing.PICTURE)
    return sites.every or any(each.site in sites for each in wants)


def _leaves(want: Wanted, account: Account) -> bool:
    """Tell whether a picture goes to an account for this fact: its own, not kept back, and of a class that it may read."""
    own = want.shared and want.account == account.account_id
    readable = "health" in account.scopes or not media.is_health(want.purpose)
    return own and readable and want.purpose != FieldClass.SECRET


def sees_event(account: str, *, operator: bool, owner: str | None, site: str | None) -> bool:
    """Tell whether a public event is an account's: its own; with the scope operator every one but those of sandboxes."""
    own = owner is not None and owner == account
    return own or (operator and site != sandbox.SITE)
