"""Which mails somebody does not want: one kind at a time, by a link in the mail itself, without an account.

A template with a `kind` may be declined; what answers a person, warns them or guards their address has none. Nothing here holds an
address: it is counted by a keyed digest, and the link carries that digest, the kind and a mark of this store's own.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fieldsvc.journal.sealed import Vault
from fieldsvc.store import unwanted_mail as store
from fieldsvc.store.database import Database

PATH = "/mail"
_DIGEST_BYTES, _MAC_BYTES = 16, 16
KINDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "endpoints": {"fr": "l'état de vos points d'accès", "en": "the state of your endpoints"},
        "deliveries": {"fr": "la remise de vos envois", "en": "the delivery of your items"},
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One kind of mail to one address."""

    digest: bytes
    kind: str


class Choices:
    """Reads and writes what addresses do not want; `base_url` is where people reach the service."""

    def __init__(self, database: Database, vault: Vault, base_url: str) -> None:
        self._database = database
        self._key = vault.derived_key("mail choices")
        self._base_url = base_url.rstrip("/")

    def link(self, address: str, kind: str) -> str:
        """Make the address at which a person declines this kind of mail."""
        content = self._digest(address) + kind.encode()
        token = base64.urlsafe_b64encode(content + self._mac(content)).decode().rstrip("=")
        return f"{self._base_url}{PATH}/{token}"

    def read(self, token: str) -> Choice | None:
        """Open the token of a link; None for one that is not ours, or of a kind that there is no more."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        content, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        kind = content[_DIGEST_BYTES:].decode(errors="replace")
        if not hmac.compare_digest(mac, self._mac(content)) or kind not in KINDS:
            return None
        return Choice(content[:_DIGEST_BYTES], kind)

    async def declined(self, address: str, kind: str) -> bool:
        """Tell whether an address does not want a kind of mail."""
        return kind in await store.kinds(self._database, self._digest(address))

    async def declined_by(self, address: str) -> frozenset[str]:
        """Return the kinds that an address does not want."""
        return await store.kinds(self._database, self._digest(address))

    async def is_declined(self, choice: Choice) -> bool:
        """Tell whether what a link is about is declined."""
        return choice.kind in await store.kinds(self._database, choice.digest)

    async def decline(self, choice: Choice) -> None:
        """Send this kind of mail to this address no more."""
        await store.add(self._database, choice.digest, choice.kind)

    async def want(self, choice: Choice) -> None:
        """Send this kind of mail to this address again."""
        await store.remove(self._database, choice.digest, choice.kind)

    def of(self, address: str, kind: str) -> Choice:
        """Name one kind of mail to an address that is known here."""
        return Choice(self._digest(address), kind)

    def _digest(self, address: str) -> bytes:
        return hmac.digest(self._key, address.strip().lower().encode("utf-8", "replace"), hashlib.sha256)[
            :_DIGEST_BYTES
        ]

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, b"link " + content, hashlib.sha256)[:_MAC_BYTES]
