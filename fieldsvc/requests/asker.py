"""Who speaks at the desk, and for whom it reads."""

from dataclasses import dataclass

from fieldsvc.store.viewer import EVERY_SITE, Viewer
from handlers.story import Actor

STAFF = frozenset({"adviser", "counter", "supervisor", "operator"})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who speaks: `customer` with a token or none, a role of staff, or `carrier` by a device. `source` is where from.

    `account` of a customer who is signed in, whose `identity` is how sure their sign-in makes us of who they are.
    """

    kind: str
    source: str
    token: str | None = None
    site: str | None = None
    account: str | None = None
    carrier: str | None = None
    identity: str = "none"

    @property
    def is_staff(self) -> bool:
        """Whether they work for the operator, behind a screen."""
        return self.kind in STAFF

    @property
    def actor(self) -> Actor:
        """Who says it, for the journal; what a device asks through here was looked into, so the server says it."""
        return Actor("server" if self.kind == "carrier" else self.kind, entered_by=self.account)

    def viewer(self, reference: str | None = None) -> Viewer:
        """For whom requests are read; `reference`: the one that they have shown to be theirs."""
        everywhere = self.is_staff and self.site is None
        whose = self.account if self.kind == "customer" else None
        return Viewer(self.kind, account=whose, site=EVERY_SITE if everywhere else self.site, reference=reference)

    def may_see(self, site: str | None) -> bool:
        """Tell whether something of a site is theirs."""
        return self.site is None or self.site == site
