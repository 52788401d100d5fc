"""Guesses at what is secret: counted in the database, so that neither a further process nor a restart gives further ones."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fieldsvc.errors import TooMany
from fieldsvc.store import tried as store
from fieldsvc.store.database import Database


@dataclass(frozen=True, slots=True)
class Guesses:
    """How often somebody may be wrong within `window`: `most` by what is counted (`source`, `number`); `key` hides who and what."""

    database: Database
    key: bytes
    most: Mapping[str, int]
    window: timedelta

    async def begin(self, tried: Mapping[str, str]) -> None:
        """Count a try before its outcome is known: a hundred at once are no more than one after the other. TooMany."""
        now = datetime.now(UTC)
        if tried and not await store.begin(self.database, *self._asked(tried), now=now, since=now - self.window):
            raise TooMany("Too many wrong tries; wait a while.", retry_after_s=int(self.window.total_seconds()))

    async def right(self, tried: Mapping[str, str]) -> None:
        """Take a try back that was right."""
        if tried:
            await store.take_back(self.database, self._asked(tried)[0])

    async def too_many(self, tried: Mapping[str, str]) -> bool:
        """Tell whether one of these was wrong as often as it may."""
        return await store.too_many(self.database, *self._asked(tried), since=datetime.now(UTC) - self.window)

    def _asked(self, tried: Mapping[str, str]) -> tuple[list[bytes], list[int]]:
        found = {self._digest(name, value): self.most[name] for name, value in tried.items()}
        return list(found), list(found.values())

    def _digest(self, name: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{name}\n{value}".encode(), hashlib.sha256)
