"""Answers that are not sent yet: carried by the address of the page, sealed, and kept nowhere.

A draft opens only under the link it was begun with, for two hours. Its key makes the request that comes of it one request,
however often it is sent.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fieldsvc.journal.sealed import NONCE_BYTES, Vault

LIVES = timedelta(hours=2)
MOST_LETTERS = 6_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


def draft_key(vault: Vault) -> bytes:
    """Derive the key of drafts; the same for every process of this store."""
    return vault.derived_key("suivi.draft")


def new_draft() -> dict[str, str]:
    """Begin: nothing is answered yet."""
    return {"key": secrets.token_urlsafe(16)}


def seal_draft(key: bytes, answers: Mapping[str, str], *, bound_to: str) -> str:
    """Seal what was answered under the link that it was begun with."""
    said = {"ends": int((datetime.now(UTC) + LIVES).timestamp()), "answers": dict(answers)}
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, orjson.dumps(said), _bound(bound_to))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_draft(key: bytes, token: str, *, bound_to: str, now: datetime | None = None) -> dict[str, str] | None:
    """Open a draft; None for what we never sealed, what was begun elsewhere, and what is too old."""
    if len(token) > MOST_LETTERS or not _TOKEN.fullmatch(token):
        return None
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        said = orjson.loads(AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(bound_to)))
    except (InvalidTag, ValueError):
        return None
    if said["ends"] <= (now or datetime.now(UTC)).timestamp():
        return None
    return dict(said["answers"])


def _bound(text: str) -> bytes:
    return hashlib.sha256(f"fieldsvc suivi draft 1\n{text}".encode()).digest()
