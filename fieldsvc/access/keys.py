"""The API keys of an account, as its own people make and revoke them."""

import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from fieldsvc.access import audit, tokens
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Person
from fieldsvc.errors import Conflict, Forbidden, NotFound
from fieldsvc.logs import get_logger
from fieldsvc.store import account as accounts
from fieldsvc.store import api_key as store
from fieldsvc.store.api_key import Key, NewKey
from fieldsvc.store.database import Database

MOST_KEYS, REVOKED_FOR = 20, timedelta(days=30)


class TooManyKeys(Conflict):
    """An account has at most twenty keys: revoke one that is not used."""

    code = "too_many_keys"


async def create_key(database: Database, person: Person, name: str, scopes: Collection[str], *, secret: str) -> str:
    """Make a key of a member's account with this secret, which is kept as a hash alone; return its id.

    Forbidden for a scope that the account does not have, TooManyKeys.
    """
    account = await accounts.by_id(database, person.account or "")
    if account is None or account.revoked_at is not None:
        raise NotFound
    if not account.scopes >= set(scopes):
        raise Forbidden("A key has no scope that its account has not.")
    await store.forget_revoked(database, datetime.now(UTC) - REVOKED_FOR)
    key_id = f"key_{secrets.token_hex(8)}"
    new = NewKey(key_id, account.id, name, tokens.digest(secret), scopes, person.account_id)
    if not await store.create(database, new, most=MOST_KEYS):
        raise TooManyKeys
    await audit.note(database, Entry(person.account_id, person.role, "api_key.created", f"api_key/{key_id}"))
    get_logger().info("api_key.created", account=account.id, key=key_id)
    return key_id


async def revoke_key(database: Database, person: Person, key_id: str) -> None:
    """Refuse a key of a member's account from now on. NotFound."""
    if person.account is None or not await store.revoke(database, person.account, key_id):
        raise NotFound
    await audit.note(database, Entry(person.account_id, person.role, "api_key.revoked", f"api_key/{key_id}"))
    get_logger().info("api_key.revoked", account=person.account, key=key_id)


async def keys_of(database: Database, account: str) -> list[Key]:
    """List the keys of an account, newest first."""
    return await store.of_account(database, account)
