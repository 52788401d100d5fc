"""Who is calling: credentials to devices, accounts and persons, with memories short enough that revocation acts in 5 s."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from fieldsvc.access import tokens
from fieldsvc.errors import Revoked, Unauthorized
from fieldsvc.journal.sealed import Opener
from fieldsvc.settings import Settings
from fieldsvc.store import account as accounts
from fieldsvc.store import device as devices
from fieldsvc.store import session as sessions
from fieldsvc.store.account import AccountRow
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.store.recent import Recent
from fieldsvc.store.session import Signed
from fieldsvc.store.together import Together
from handlers import sandbox

CACHE_S = 4.0
_KNOWN, _UNKNOWN = 20_000, 5_000
_LONGEST = 200
Found = TypeVar("Found")

__all__ = ["Access", "Account", "Device", "Person"]


@dataclass(frozen=True, slots=True)
class Account:
    """An organisation that called with its API key."""

    account_id: str
    kind: str
    scopes: frozenset[str]
    site: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """A person with a session. `account`: the account they belong to (partner, member); `csrf`: their session's token.

    `organisation` is the name of that account, and `in_sandbox` whether it is one where all is made up.

    `acr` and `proved_at`: how strongly and when they proved to a provider who they are; None for who signed in by a link.
    """

    account_id: str
    role: str
    name: str
    email: str | None
    site: str | None
    account: str | None
    scopes: frozenset[str]
    csrf: str
    acr: str | None = None
    proved_at: datetime | None = None
    organisation: str | None = None
    in_sandbox: bool = False


class Access:
    """Look callers up by the hash of what they present. Look-ups are remembered for 4 s, failed ones too."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        opener: Opener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without an `opener` customers have no address: theirs is sealed."""
        self.database = database
        self.settings = settings
        self._opener = opener
        self._clock = clock
        self._asked = Together(partial(devices.by_tokens, database))
        self._devices: Recent[bytes, Device] = Recent(size=_KNOWN, ttl_s=CACHE_S, clock=clock)
        self._accounts: Recent[bytes, AccountRow] = Recent(size=_KNOWN, ttl_s=CACHE_S, clock=clock)
        self._sessions: Recent[bytes, Signed] = Recent(size=_KNOWN, ttl_s=CACHE_S, clock=clock)
        self._unknown: Recent[tuple[str, bytes], bool] = Recent(size=_UNKNOWN, ttl_s=CACHE_S, clock=clock)

    async def device(self, token: str) -> Device:
        """Find the device of a token. Unauthorized if there is none, Revoked if it was revoked.

        A lost device (`lost_at`) is returned: what it captured before still counts, so the caller decides.
        """
        found = await self._find(token, "device", self._devices, self._device_of)
        if found.revoked_at is not None:
            raise Revoked
        return found

    async def account(self, api_key: str) -> Account:
        """Find the account of an API key. Unauthorized if there is none, Revoked if it was revoked."""
        found = await self._find(api_key, "account", self._accounts, accounts.by_api_key)
        if found.revoked_at is not None:
            raise Revoked
        return Account(found.id, found.kind, found.scopes, found.site)

    async def person(self, session: str) -> Person:
        """Find the person of a session cookie. Unauthorized if it ended, was revoked, or never was."""
        signed = await self._find(session, "session", self._sessions, self._signed)
        found = signed.account
        return Person(
            found.id,
            found.kind,
            found.name,
            found.email,
            found.site,
            found.parent,
            found.scopes,
            tokens.csrf_of(session),
            signed.acr,
            signed.proved_at,
            signed.organisation,
            signed.organisation_site == sandbox.SITE,
        )

    async def _device_of(self, _database: Database, token_sha256: bytes) -> Device | None:
        return await self._asked.get(token_sha256)

    def forget(self) -> None:
        """Forget every look-up, so that a change in this process acts at once."""
        for memory in (self._devices, self._accounts, self._sessions, self._unknown):
            memory.clear()

    async def _signed(self, database: Database, session_sha256: bytes) -> Signed | None:
        """Find who is signed in; a customer's address is opened, if it was not erased."""
        found = await sessions.find(database, session_sha256)
        if found is None or found.sealed is None or self._opener is None:
            return found
        (known,) = await self._opener.open_blobs([found.sealed])
        email = known["email"] if known is not None else None
        return replace(found, account=replace(found.account, email=email), sealed=None)

    async def _find(
        self,
        secret: str,
        kind: str,
        memory: Recent[bytes, Found],
        look_up: Callable[[Database, bytes], Awaitable[Found | None]],
    ) -> Found:
        if not secret or len(secret) > _LONGEST:
            raise Unauthorized
        key = tokens.digest(secret)
        known = memory.get(key)
        if known is not None:
            return known
        if self._unknown.get((kind, key)):
            raise Unauthorized
        since = self._clock()
        found = await look_up(self.database, key)
        if found is None:
            self._unknown.put((kind, key), True, since=since)
            raise Unauthorized
        memory.put(key, found, since=since)
        return found
