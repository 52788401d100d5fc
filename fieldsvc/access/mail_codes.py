"""Codes by mail, for customers of an operator without a provider: six digits, ten minutes, five tries, in the browser that asked.

An address that is known and one that is not are answered alike, since whoever proves an address is its customer. The code works
only with the ticket of the browser that asked for it, so that guessing needs a code of one's own, of which an address has few.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fieldsvc.access import tokens
from fieldsvc.access.customers import Customers
from fieldsvc.journal.sealed import Vault, person_keys
from fieldsvc.logs import get_logger
from fieldsvc.store import notice as notices
from fieldsvc.store import sign_in_code as store
from fieldsvc.store.database import Database

log = get_logger()
DIGITS, TRIES = 6, 5
LIVES = timedelta(minutes=10)
MOST = ((4, timedelta(hours=1)), (10, timedelta(days=1)))  # codes of one address
TEMPLATE = "sign_in_code"


@dataclass(frozen=True, slots=True)
class MailCodes:
    """Makes, sends and checks codes."""

    database: Database
    vault: Vault
    customers: Customers

    async def send(self, email: str, *, lang: str) -> str:
        """Send a code to an address, unless it had too many; return the ticket that goes with it, in either case."""
        now, ticket, digest = datetime.now(UTC), tokens.new_token(), self.customers.email_hmac(email)
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        new = store.Code(tokens.digest(ticket), digest, self._digest(ticket, code), now, now + LIVES, TRIES)
        if not await store.add(self.database, new, most=MOST):
            log.info("sign_in_code.held_back")
            return ticket
        await self._queue(email, ticket, code, lang=lang)
        return ticket

    async def check(self, email: str, ticket: str, typed: str) -> bool:
        """Tell whether a code is right, and use it up; each call is one try."""
        now, place = datetime.now(UTC), tokens.digest(ticket)
        found = await store.take_try(self.database, place, now)
        code = "".join(letter for letter in typed if letter.isascii() and letter.isdigit())
        said = self._digest(ticket, code)
        if (
            found is None
            or not tokens.same(found[0], self.customers.email_hmac(email))
            or not tokens.same(found[1], said)
        ):
            return False
        return await store.use(self.database, place, now)

    async def _queue(self, email: str, ticket: str, code: str, *, lang: str) -> None:
        person = f"sign-in/{datetime.now(UTC):%Y-%m}"
        params = {"code": f"{code[:3]} {code[3:]}", "minutes": int(LIVES.total_seconds() // 60)}
        async with self.database.acquire() as connection, connection.transaction():
            key = (await person_keys(connection, self.vault, [person])).of(person)
        await notices.queue(
            self.database,
            f"{TEMPLATE} {tokens.digest(ticket).hex()[:32]}",
            TEMPLATE,
            way="email",
            lang=lang,
            due_at=None,
            sealed=key.seal_blob({"to": email, "params": params}),
        )

    def _digest(self, ticket: str, code: str) -> bytes:
        key = self.vault.derived_key("sign-in-code")
        return hmac.digest(key, f"{ticket}\n{code}".encode(), hashlib.sha256)
