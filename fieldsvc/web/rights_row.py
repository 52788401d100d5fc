"""What a row of the table of rights says: which kinds of callers, what of the route's things is theirs, how they show who they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fieldsvc.access.accounts import ROLES
from fieldsvc.errors import FieldsvcError

ANYONE, CUSTOMER, MACHINE, DEVICE, ACCOUNT = "anyone", "visitor", "machine", "device", "account"
KINDS = (ANYONE, CUSTOMER, MACHINE, DEVICE, ACCOUNT, *ROLES)


class Own(StrEnum):
    """What of a route's things is a caller's: everything else answers 404."""

    NOTHING = "nothing of anybody's"
    PROMISE = "what the code or link that they hold is for"
    SELF = "themselves"
    SENT = "what they send, of the types that their kind may send"
    BROUGHT = "sealed queues of phones of its site, unread"
    PICTURES = "the pictures that this phone sent"
    KNOWN = "a picture whose SHA-256 it knows"
    CARRIER = "the carrier of this phone"
    DAY = "the runs that its carrier walks yesterday, today or tomorrow"
    SITE = "their own site"
    SITES = "their own site, or every site if they were given none"
    EVERYWHERE = "every site"
    ORDERS = "the orders of their account"
    OFFICE = "the orders of the operator, on their own site if they were given one"
    ENDPOINTS = "the endpoints of their account"
    EVENTS = "the events of their account, with the scope operator of every account"
    KEYS = "the keys, sandbox, certificates and history of their account"
    FIGURES = "the figures of their account's orders"
    REQUEST = "the request whose token they hold, and the item whose postcode they know"
    HOUSEHOLD = "the households that they declared, once signed in"
    VISITS = "the visits of whoever named them, once signed in"
    DOORS = "the requests about doors of its site"


class Credential(StrEnum):
    """Where a caller shows who they are."""

    HEADER = "the header Authorization, or a session"
    PATH = "the token in the path"
    OKAPI = "the header X-Okapi-Key"


class NoSuchRow(FieldsvcError):
    """The table of rights and the routes are not the same."""

    code = "rights"


@dataclass(frozen=True, slots=True)
class Row:
    """Who may call a route: for each kind of caller what is theirs; a kind that is not named is nobody here."""

    own: Mapping[str, Own]
    credential: Credential = Credential.HEADER
    scope: str | None = None  # that an account needs
    lost_too: bool = False  # a lost phone may send what it took in before
    csrf_in_form: bool = False  # a page's form carries the token of the session; the view reads it

    @property
    def roles(self) -> frozenset[str]:
        """The roles of people among the callers."""
        return frozenset(self.own) & frozenset(ROLES)


def row(
    named: Mapping[str, Own] | None = None,
    *,
    credential: Credential = Credential.HEADER,
    scope: str | None = None,
    lost_too: bool = False,
    csrf_in_form: bool = False,
    **own: Own,
) -> Row:
    """Write a row: kinds of callers by name, or `named` where they are many. NoSuchRow for a kind that there is not."""
    own |= named or {}
    if unknown := own.keys() - set(KINDS):
        raise NoSuchRow(f"There is no kind of caller {', '.join(sorted(unknown))}.")
    return Row(own, credential, scope, lost_too, csrf_in_form)
