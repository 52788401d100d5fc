"""For whom a caller reads: what the database is told of accounts, persons and phones. It then shows nobody else's rows."""

from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.store.viewer import CARRIER, EVERY_SITE, NOBODY, SUBSCRIBER, Viewer

_ANYWHERE = frozenset({"adviser", "address_quality", "auditor", "operator"})  # who were given no site see every one


def viewer_of(caller: object) -> Viewer:
    """Say for whom a caller reads: an account for itself (with the scope operator also events of others), a person for their
    site or every one, a phone for its carrier. Anybody else is nobody, and sees nothing.
    """
    match caller:
        case Account(account_id=account, scopes=scopes):
            return Viewer(SUBSCRIBER, account, EVERY_SITE if "operator" in scopes else None)
        case Person(role=role, site=site, account=account):
            return Viewer(role, account, EVERY_SITE if site is None and role in _ANYWHERE else site)
        case Device(site=site, carrier=carrier):
            return Viewer(CARRIER, site=site, carrier=carrier)
    return NOBODY
