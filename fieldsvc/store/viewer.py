"""For whom something is read, as row-level security in the database is told (sql/migrations/0018_readers.sql)."""

from dataclasses import dataclass, fields

from fieldsvc.sites import Sites

EVERY_SITE = "*"
SUBSCRIBER, CARRIER = "subscriber", "carrier"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who reads. `role`: subscriber, customer, carrier, or a person's role.

    `site`: one, EVERY_SITE, or None for no site; of a subscriber EVERY_SITE stands for the scope operator. `reference`: the
    request that they have shown to be theirs.
    """

    role: str
    account: str | None = None
    site: str | None = None
    carrier: str | None = None
    reference: str | None = None

    @property
    def opening(self) -> str:
        """The statements that begin a transaction for them: every value as hexadecimal bytes, so that none can be anything else."""
        database_role = "fieldsvc_subscriber" if self.role == SUBSCRIBER else "fieldsvc_reader"
        values = ((each.name, (getattr(self, each.name) or "").encode().hex()) for each in fields(self))
        settings = ", ".join(
            f"set_config('app.{name}', convert_from('\\x{value}', 'UTF8'), true)" for name, value in values
        )
        return f"begin read only; set local role {database_role}; select {settings}"


NOBODY = Viewer("")


def site_for(sites: Sites) -> str | None:
    """Write which sites somebody sees as the database is told."""
    return EVERY_SITE if sites.every else sites.one
