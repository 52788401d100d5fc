"""Sandboxes: an account of one's own to play in, made and entered by the people of an account."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from fieldsvc.access import accounts, audit, tokens
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Person
from fieldsvc.errors import NotFound
from fieldsvc.store import account as store
from fieldsvc.store import session as sessions
from fieldsvc.store.account import AccountRow
from fieldsvc.store.database import Database
from handlers import sandbox

ENTERED_WITHIN = timedelta(minutes=2)


async def sandbox_for(database: Database, account_id: str) -> AccountRow | None:
    """Return the sandbox of an account: itself if it is one, else the one that belongs to it; None if there is none."""
    own = await store.by_id(database, account_id)
    if own is not None and own.site == sandbox.SITE:
        return own
    return await store.sandbox_of(database, account_id)


async def make_sandbox(database: Database, person: Person, services: Iterable[str]) -> AccountRow:
    """Make the sandbox of a member's account, once; it may order every service, and read what is of health, for all is made up."""
    own = await store.by_id(database, person.account or "")
    if own is None or own.revoked_at is not None:
        raise NotFound
    if (found := await sandbox_for(database, own.id)) is not None:
        return found
    scopes = ["health", *(f"order:{name}" for name in services)]
    by = (person.account_id, person.role)
    made = await accounts.create_subscriber(database, own.name, scopes=scopes, is_sandbox=True, parent=own.id, by=by)
    found = await store.by_id(database, made["account_id"])
    if found is None:
        raise NotFound
    return found


async def entrance(database: Database, person: Person, sandbox_id: str) -> str:
    """Make a member a member of their sandbox too; return the token of a link that signs them in there, once. NotFound."""
    if person.email is None:
        raise NotFound
    found = await store.find_person(database, "member", person.email, site=None, parent=sandbox_id)
    if found is None:
        found = AccountRow(tokens.new_account_id(), "member", person.email, person.email, None, sandbox_id, frozenset())
        await store.create(database, found)
    token = tokens.new_token()
    expires_at = datetime.now(UTC) + ENTERED_WITHIN
    await sessions.add_link(database, tokens.digest(token), found.id, reusable=False, expires_at=expires_at)
    await audit.note(database, Entry(person.account_id, person.role, "sandbox.entered", f"account/{sandbox_id}"))
    return token
