"""The audit log: one row a look or a deed. It names things and people's accounts, and never holds what was seen."""

import hashlib
import hmac
from dataclasses import dataclass

from fieldsvc.store import audit as store
from fieldsvc.store.database import Database

COMMAND_LINE, SERVICE = "operator (command line)", "service"
ENROLLED = "device.enrolled"
MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """What is noted: who, in which role, did what, to what, and why.

    `actor` is an account, a device, `COMMAND_LINE` or `SERVICE`; `action` a dotted name (`run.replayed`, `key.rotated`);
    `subject` what it is about (`run/run-2026-11-21-p1`), by id and never by content; `site` whose it is; `carrier_ref` whose work
    was looked at (`carrier_ref()`), so that they can read it.
    """

    actor: str
    role: str
    action: str
    subject: str
    reason: str | None = None
    site: str | None = None
    carrier_ref: str | None = None


async def note(database: Database, entry: Entry, *, soon: bool = False) -> None:
    """Append an entry to the chain, committed when this returns.

    `soon` is for looks: the row is in the database, so the end of this process cannot lose it, but a power cut may lose the
    last second of them. Texts are cut to 200 characters, and control characters replaced.
    """
    texts = (entry.actor, entry.role, entry.action, entry.subject, entry.reason, entry.site, entry.carrier_ref)
    await store.note(database, tuple(None if text is None else _plain(text) for text in texts), soon=soon)


def carrier_ref(key: bytes, carrier: str, site: str | None) -> str:
    """Name a carrier without saying who they are: a digest under the store's key `derived_key("audit")`."""
    return hmac.digest(key, f"{site or ''}\x1f{carrier}".encode(), hashlib.sha256).hex()[:32]


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MOST_CHARACTERS])
