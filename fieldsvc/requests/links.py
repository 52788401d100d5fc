"""Links for who follows something without an account: a sealed token, kept nowhere, that says what it shows and until when.

The address holds nothing that can be read or guessed: what the link is about is sealed in it. Whoever changes a letter of it,
or comes after its time, is told that the link does not work, and never why.
"""

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fieldsvc.journal.sealed import NONCE_BYTES, Vault

KEY_NAME = "suivi.link"
MOST_LETTERS = 1_000
_BOUND = b"fieldsvc suivi link 1"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is about (`item/8X…`), until when, what it lets one do, and what its holder has shown to know.

    `rights`: `see`, and what else the maker of the link means, such as `change` or `proof`. `postcode`: the one that was
    typed and fits, so that a request by this link needs not ask for it again. `notes`: what else a page carries along.
    """

    subject: str
    expires_at: datetime
    rights: frozenset[str] = frozenset({"see"})
    postcode: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def may(self, right: str) -> bool:
        """Tell whether the link was made for this too."""
        return right in self.rights

    @property
    def item_id(self) -> str | None:
        """The number of the item that it is about, None if it is about something else."""
        kind, _, number = self.subject.partition("/")
        return number if kind == "item" else None


def link_key(vault: Vault) -> bytes:
    """Derive the key of links; the same for every process of this store."""
    return vault.derived_key(KEY_NAME)


def seal_link(key: bytes, link: Link) -> str:
    """Make the token of a link, fit for an address."""
    said = {
        "s": link.subject,
        "e": int(link.expires_at.timestamp()),
        "r": sorted(link.rights),
        "p": link.postcode,
        "n": dict(link.notes),
    }
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, orjson.dumps(said), _BOUND)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_link(key: bytes, token: str, *, now: datetime | None = None) -> Link | None:
    """Open a token; None for what we never sealed, what was changed, and what is over."""
    if len(token) > MOST_LETTERS or not _TOKEN.fullmatch(token):
        return None
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        said = orjson.loads(AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _BOUND))
    except (InvalidTag, ValueError):
        return None
    expires_at = datetime.fromtimestamp(said["e"], UTC)
    if expires_at <= (now or datetime.now(UTC)):
        return None
    return Link(said["s"], expires_at, frozenset(said["r"]), said["p"], said["n"])
