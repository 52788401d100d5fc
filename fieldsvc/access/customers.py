"""Customers: people who follow their own mail. They are found by what they proved; nothing of it is kept in the open.

Who proves an address by a code, or comes with one that the provider has verified, is the customer of that address; who comes from a
provider is known again by (issuer, subject), whatever their address is by then.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fieldsvc.access import audit, tokens
from fieldsvc.access.audit import Entry
from fieldsvc.journal.sealed import Opener, Vault, person_keys
from fieldsvc.logs import get_logger
from fieldsvc.store import account as accounts
from fieldsvc.store import customer as store
from fieldsvc.store import session as sessions
from fieldsvc.store.account import AccountRow
from fieldsvc.store.customer import CustomerRow
from fieldsvc.store.database import Database
from handlers.fields import plain_mail

ROLE = "customer"
SESSION_LIVES = timedelta(hours=12)
KEY_NAME = "customer"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sign-in proved: when, how strongly (`acr`, None for a code by mail), and what ends the provider's own session."""

    at: datetime
    acr: str | None = None
    hint: str | None = None


class Customers:
    """Finds, makes and signs in customers."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database = database
        self.vault = vault
        self._key = vault.derived_key(KEY_NAME)

    def email_hmac(self, email: str) -> bytes:
        """Digest an address, keyed; the case of plain letters does not matter."""
        return self._digest("email", plain_mail(email))

    async def of_email(self, email: str) -> str:
        """Return the account of a proved address, made if there is none."""
        digest = self.email_hmac(email)
        found = await store.by_email(self.database, digest)
        return found or await self._new(email, digest, None)

    async def of_identity(self, issuer: str, subject: str, email: str | None) -> str:
        """Return the account of a subject of a provider; `email` only if the provider has verified it."""
        identity = self._digest("identity", f"{issuer}\n{subject}")
        found = await store.by_identity(self.database, identity)
        if found is not None:
            return found
        digest = self.email_hmac(email) if email else None
        known = await store.by_email(self.database, digest) if digest else None
        if known is None:
            return await self._new(email, digest, identity)
        await store.identify(self.database, known, identity)
        if await store.by_identity(self.database, identity) == known:
            return known
        return await self._new(None, None, identity)  # that address is of another subject now: two people

    async def _new(self, email: str | None, digest: bytes | None, identity: bytes | None) -> str:
        account_id = tokens.new_account_id()
        sealed = await self._sealed(account_id, {"email": email}) if email else None
        row = AccountRow(account_id, ROLE, "", None, None, None, frozenset())
        if not await store.create(self.database, row, CustomerRow(account_id, digest, identity, sealed, _today())):
            by_identity = await store.by_identity(self.database, identity) if identity else None
            found = by_identity or (await store.by_email(self.database, digest) if digest else None)
            if found is None:
                raise LookupError("a customer was made and taken back at the same time")
            return found
        await audit.note(self.database, Entry(account_id, ROLE, "account.created", f"account/{account_id}"))
        get_logger().info("account.created", account=account_id, type=ROLE)
        return account_id

    async def start(self, account_id: str, proof: Proof) -> str | None:
        """Start a session; return its secret, None if the account was revoked."""
        return await start_session(self.database, self.vault, account_id, proof=proof, role=ROLE)

    async def forget(self, account_id: str) -> None:
        """End a customer's account, at their word: nothing is known of them then."""
        await store.forget(self.database, account_id)
        await accounts.revoke(self.database, account_id)
        await audit.note(self.database, Entry(account_id, ROLE, "account.revoked", f"account/{account_id}"))

    async def _sealed(self, account_id: str, known: Any) -> bytes:
        return await _sealed(self.database, self.vault, account_id, known)

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\n{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)


async def start_session(database: Database, vault: Vault, account_id: str, *, proof: Proof, role: str) -> str | None:
    """Start a session of somebody who has proved who they are; return its secret, None if the account was revoked."""
    session = tokens.new_token()
    sealed = await _sealed(database, vault, account_id, {"hint": proof.hint}) if proof.hint else None
    started = await sessions.begin(
        database,
        tokens.digest(session),
        account_id,
        expires_at=datetime.now(UTC) + SESSION_LIVES,
        proof=(proof.acr, proof.at),
        sealed=sealed,
    )
    if started is None:
        return None
    await sessions.forget_old(database)
    if role == ROLE:
        await store.seen(database, account_id, _today())
    await audit.note(database, Entry(account_id, role, "person.signed_in", f"account/{account_id}"))
    get_logger().info("person.signed_in", account=account_id)
    return session


async def hint_of(database: Database, vault: Vault, session: str) -> str | None:
    """Return the ID token with which a session began, for ending the provider's own session; None if there was none."""
    sealed = await sessions.sealed_of(database, tokens.digest(session))
    if sealed is None:
        return None
    (known,) = await Opener(database, vault).open_blobs([sealed])
    return str(known["hint"]) if known is not None else None


async def _sealed(database: Database, vault: Vault, account_id: str, known: Any) -> bytes:
    person = f"account/{account_id}"
    async with database.acquire() as connection, connection.transaction():
        return (await person_keys(connection, vault, [person])).of(person).seal_blob(known)


def _today() -> date:
    return datetime.now(UTC).date()
