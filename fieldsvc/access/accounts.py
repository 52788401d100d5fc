"""Accounts, their keys, sign-in links and sessions: made and taken back."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fieldsvc.access import audit, customers, tokens
from fieldsvc.access.audit import COMMAND_LINE, Entry
from fieldsvc.errors import UserMistake
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.store import account as accounts
from fieldsvc.store import session as sessions
from fieldsvc.store import site as sites
from fieldsvc.store.account import AccountRow
from fieldsvc.store.database import Database
from handlers import sandbox

STAFF = ("supervisor", "adviser", "counter", "address_quality", "operator", "auditor", "partner", "member")
ROLES = (*STAFF, "customer")
LINK_LIVES = timedelta(minutes=15)
SESSION_LIVES = timedelta(hours=12)
_NEEDS_SITE = frozenset({"supervisor", "counter"})
_NEEDS_ACCOUNT = frozenset({"partner", "member"})
By = tuple[str, str]  # who does something to somebody's rights: an account and its role
BY_COMMAND: By = (COMMAND_LINE, "operator")
_SCOPE = re.compile(r"operator|health|order:[a-z][a-z0-9_]*")
_EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+")


async def create_subscriber(
    database: Database,
    name: str,
    *,
    scopes: Sequence[str] = (),
    is_sandbox: bool = False,
    parent: str | None = None,
    by: By = BY_COMMAND,
) -> dict[str, str]:
    """Make an organisation's account; return `{account_id, api_key}`, the key shown this once.

    What a sandbox orders plays out by itself (handlers/sandbox.py); `parent` is the account whose sandbox it is, `by` who makes it.
    Scopes: operator, health, order:<service>. UserMistake for another one.
    """
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise UserMistake(f"The scope {scope} is none of operator, health, order:<service>.")
    if not name.strip():
        raise UserMistake("An account needs a name.")
    if is_sandbox and "operator" in scopes:
        raise UserMistake("A sandbox sees its own orders only: it has no scope operator.")
    account_id, api_key = tokens.new_account_id(), tokens.new_api_key()
    new = AccountRow(
        account_id, "subscriber", name.strip(), None, sandbox.SITE if is_sandbox else None, parent, frozenset(scopes)
    )
    await accounts.create(database, new, api_key_sha256=tokens.digest(api_key))
    await _done(database, "account.created", account_id, by=by)
    get_logger().info("account.created", account=account_id, type="subscriber")
    return {"account_id": account_id, "api_key": api_key}


async def create_person(
    database: Database,
    base_url: str,
    role: str,
    *,
    email: str,
    site: str | None = None,
    parent: str | None = None,
    reusable: bool = False,
    vault: Vault | None = None,
) -> dict[str, str]:
    """Make a person's account, or find it; return `{account_id, sign_in_url}`.

    A customer's address is kept sealed, which needs the `vault`; without it theirs is a new account that has none.
    UserMistake: unknown role or site, a supervisor without a site, a partner or member without an account.
    """
    if role == customers.ROLE and vault is not None and _EMAIL.fullmatch(email):
        account_id = await customers.Customers(database, vault).of_email(email)
    else:
        account_id = await find_or_create_person(database, role, email=email, site=site, parent=parent)
    return {
        "account_id": account_id,
        "sign_in_url": await sign_in_link(database, base_url, account_id, reusable=reusable),
    }


async def find_or_create_person(
    database: Database, role: str, *, email: str, site: str | None = None, parent: str | None = None
) -> str:
    """Return a person's account, made if there is none. UserMistake as `create_person`."""
    await _check_person(database, role, email=email, site=site, parent=parent)
    found = await accounts.find_person(database, role, email, site=site, parent=parent)
    if found is not None:
        return found.id
    account_id, kept = tokens.new_account_id(), None if role == customers.ROLE else email
    await accounts.create(database, AccountRow(account_id, role, kept or "", kept, site, parent, frozenset()))
    await _done(database, "account.created", account_id, site=site)
    get_logger().info("account.created", account=account_id, type=role)
    return account_id


async def sign_in_link(database: Database, base_url: str, account_id: str, *, reusable: bool = False) -> str:
    """Make a link that signs a person in: once, within 15 minutes.

    A `reusable` one (the demo's) works from loopback only, any number of times, until `withdraw_reusable_links`.
    UserMistake if there is no such person.
    """
    found = await accounts.by_id(database, account_id)
    if found is None or found.revoked_at is not None or found.kind == "subscriber":
        raise UserMistake(f"There is no person's account {account_id}.")
    await sessions.forget_old(database)
    token = tokens.new_token()
    expires_at = None if reusable else datetime.now(UTC) + LINK_LIVES
    await sessions.add_link(database, tokens.digest(token), account_id, reusable=reusable, expires_at=expires_at)
    await _done(database, "account.link_made", account_id, site=found.site)
    return f"{base_url.rstrip('/')}/sign-in/{token}"


async def withdraw_reusable_links(database: Database) -> None:
    """End the demo's sign-in links; the demo does so when it starts and when it stops."""
    await sessions.withdraw_reusable(database)


async def whose_link(database: Database, token: str, *, loopback: bool) -> AccountRow | None:
    """Find whose link this is, without using it up; None if it cannot be used from there."""
    found = await sessions.open_link(database, tokens.digest(token))
    return found.account if found and (loopback or not found.reusable) else None


async def sign_in(database: Database, token: str, *, loopback: bool) -> str | None:
    """Use a link and start a session; return the session's secret, or None if the link cannot be used."""
    person = await whose_link(database, token, loopback=loopback)
    if person is None:
        return None
    session = tokens.new_token()
    expires_at = datetime.now(UTC) + SESSION_LIVES
    account_id = await sessions.start(database, tokens.digest(token), tokens.digest(session), expires_at=expires_at)
    if account_id is None:
        return None
    entry = Entry(account_id, person.kind, "person.signed_in", f"account/{account_id}", site=person.site)
    await audit.note(database, entry)
    get_logger().info("person.signed_in", account=account_id)
    return session


async def sign_out(database: Database, session: str) -> None:
    """End a session."""
    await sessions.finish(database, tokens.digest(session))


async def revoke_account(database: Database, account_id: str) -> list[str]:
    """Refuse an account and the persons who belong to it from now on; return their ids. UserMistake if there is none."""
    if await accounts.by_id(database, account_id) is None:
        raise UserMistake(f"There is no account {account_id}.")
    revoked = await accounts.revoke(database, account_id)
    for each in revoked:
        await _done(database, "account.revoked", each)
        get_logger().info("account.revoked", account=each)
    return revoked


async def _done(
    database: Database, action: str, account_id: str, *, site: str | None = None, by: By = BY_COMMAND
) -> None:
    """Note what somebody did to somebody's rights: the operator at the command line, but for a sandbox of one's own."""
    await audit.note(database, Entry(*by, action, f"account/{account_id}", site=site))


async def _check_person(database: Database, role: str, *, email: str, site: str | None, parent: str | None) -> None:
    if role not in ROLES:
        raise UserMistake(f"The role {role} is none of {', '.join(ROLES)}.")
    if not _EMAIL.fullmatch(email):
        raise UserMistake(f"{email} is not an e-mail address.")
    if site is None and role in _NEEDS_SITE:
        raise UserMistake(f"A {role} needs a site: --site SITE.")
    if site is not None and not await sites.exists(database, site):
        raise UserMistake(f"There is no site {site}; `fieldsvc site create {site}` makes it.")
    if parent is None and role in _NEEDS_ACCOUNT:
        raise UserMistake(f"A {role} needs the account that they belong to: --account ACCOUNT.")
    if parent is not None:
        owner = await accounts.by_id(database, parent)
        if owner is None or owner.revoked_at is not None:
            raise UserMistake(f"There is no account {parent}.")
