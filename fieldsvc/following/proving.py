"""The proof for who received the item: shown once they typed a code that went to a contact which the sender named for it.

The code is six digits and works for ten minutes, in the address to which asking for it leads. Nothing of it is kept: its digest is
sealed in that address. Codes and wrong tries are counted by item.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fieldsvc.access.guesses import Guesses
from fieldsvc.journal.sealed import Opener, Vault, person_keys
from fieldsvc.requests.links import Link, link_key, seal_link
from fieldsvc.store import notice as notices
from fieldsvc.store import request as store
from fieldsvc.store.database import Database

TEMPLATE = "proof_code"
CODE_LIVES, PROOF_LIVES = timedelta(minutes=10), timedelta(hours=1)
WINDOW, MOST_CODES, MOST_WRONG, MOST_WAYS = timedelta(minutes=10), 3, 5, 6
CODE, PROOF = "code", "proof"


@dataclass(frozen=True, slots=True)
class Reachable:
    """One way to reach the addressee: as notices name it, whole, and as a stranger may read it."""

    way: str
    to: str
    masked: str


class Proving:
    """Sends codes and checks them."""

    def __init__(self, database: Database, vault: Vault, opener: Opener) -> None:
        self._database = database
        self._vault = vault
        self._opener = opener
        self._link_key = link_key(vault)
        self._key = vault.derived_key("suivi.proof")
        self._guesses = Guesses(
            database, vault.derived_key("suivi.proof.tries"), {"sent": MOST_CODES, "wrong": MOST_WRONG}, WINDOW
        )

    async def ways(self, subject: str) -> list[Reachable]:
        """List how the addressee can be reached, as the order says; none where it says nothing."""
        item = await store.item(self._database, subject)
        opened = (await self._opener.open_blobs([item.sealed]))[0] if item else None
        contacts = opened.get("contacts") if isinstance(opened, dict) else None
        named = [each for each in contacts or () if isinstance(each, Mapping)]
        found = [way for each in named for way in _ways(each)]
        return list(dict.fromkeys(found))[:MOST_WAYS]

    async def send(self, link: Link, way: Reachable, *, lang: str) -> str:
        """Send a code; return the token of the address in which it works. TooMany after three for an item."""
        await self._guesses.begin({"sent": link.subject})
        code, now = f"{secrets.randbelow(10**6):06}", datetime.now(UTC)
        salt = secrets.token_hex(8)
        params = {"code": f"{code[:3]} {code[3:]}", "minutes": int(CODE_LIVES.total_seconds() // 60)}
        person = f"proof-code/{now:%Y-%m}"
        async with self._database.acquire() as connection, connection.transaction():
            key = (await person_keys(connection, self._vault, [person])).of(person)
        blob = key.seal_blob({"to": way.to, "params": params})
        name = f"{TEMPLATE} {salt}"
        await notices.queue(self._database, name, TEMPLATE, way=way.way, lang=lang, due_at=None, sealed=blob)
        notes = {"salt": salt, "digest": self._digest(link.subject, salt, code), "masked": way.masked}
        made = Link(link.subject, now + CODE_LIVES, frozenset({"see", CODE}), link.postcode, notes)
        return seal_link(self._link_key, made)

    async def check(self, link: Link, typed: str) -> str | None:
        """Return the token of a link that shows the proof; None for a wrong code, TooMany after five."""
        await self._guesses.begin({"wrong": link.subject})
        code = "".join(letter for letter in typed if letter.isascii() and letter.isdigit())
        wanted = link.notes.get("digest", "")
        if not link.may(CODE) or not hmac.compare_digest(
            wanted, self._digest(link.subject, link.notes.get("salt", ""), code)
        ):
            return None
        await self._guesses.right({"wrong": link.subject})
        until = datetime.now(UTC) + PROOF_LIVES
        return seal_link(self._link_key, Link(link.subject, until, frozenset({"see", PROOF}), link.postcode))

    def _digest(self, subject: str, salt: str, code: str) -> str:
        return hmac.new(self._key, f"{subject}\n{salt}\n{code}".encode(), hashlib.sha256).hexdigest()


def _ways(contact: Mapping[str, object]) -> list[Reachable]:
    """Read the mail address and the mobile number of a contact, where there are any that can be used."""
    found, email = [], contact.get("email")
    if isinstance(email, str) and email.count("@") == 1 and not any(letter.isspace() for letter in email):
        found.append(Reachable("email", email, masked_mail(email)))
    for name in ("mobile", "phone"):
        number = contact.get(name)
        plain = "".join(letter for letter in number if letter not in " .-()") if isinstance(number, str) else ""
        if plain.startswith("+") and plain[1:].isdigit() and 7 <= len(plain) <= 16:
            found.append(Reachable("mobile", plain, f"•••• {plain[-2:]}"))
    return found


def masked_mail(email: str) -> str:
    """Write a mail address so that only who has it knows it again: c•••@e•••.fr."""
    name, _, host = email.partition("@")
    first, dot, last = host.rpartition(".")
    return f"{name[:1]}•••@{first[:1]}•••{dot}{last}"
