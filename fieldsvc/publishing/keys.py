"""Signing keys and headers of endpoints, sealed at rest under the master key."""

from collections.abc import Mapping
from datetime import datetime

import orjson

from fieldsvc.journal.sealed import Vault
from fieldsvc.store import endpoints
from fieldsvc.store.database import Database


def seal_key(vault: Vault, endpoint_id: str, secret: str) -> bytes:
    """Seal a signing key for its endpoint."""
    return vault.seal_secret(secret.encode(), context=f"endpoint|{endpoint_id}")


async def open_keys(database: Database, vault: Vault, endpoint_id: str) -> list[tuple[str, datetime | None]]:
    """Open the live signing keys of an endpoint, newest first, each with the moment from which it no longer signs."""
    sealed = await endpoints.secrets(database, endpoint_id)
    context = f"endpoint|{endpoint_id}"
    return [(vault.open_secret(blob, context=context).decode(), until) for blob, until in sealed]


def seal_headers(vault: Vault, endpoint_id: str, headers: Mapping[str, str]) -> bytes | None:
    """Seal the headers that are sent with every request; None for none."""
    return vault.seal_secret(orjson.dumps(headers), context=f"endpoint headers|{endpoint_id}") if headers else None


def open_headers(vault: Vault, endpoint_id: str, sealed: bytes | None) -> dict[str, str]:
    """Open the headers that are sent with every request."""
    if sealed is None:
        return {}
    opened: dict[str, str] = orjson.loads(vault.open_secret(sealed, context=f"endpoint headers|{endpoint_id}"))
    return opened
