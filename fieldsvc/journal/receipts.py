"""Signed receipts: one a request, chained per device, as a compact JWS (EdDSA) that anyone can check offline."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Result, Submission
from handlers.fields import format_time
from sql import query

_HEADER = base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"fieldsvc-receipt"}').rstrip(b"=")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, as stored; `compact` is what the phone gets."""

    device: str
    no: int
    at: datetime
    previous: bytes
    body: bytes
    signature: bytes

    @property
    def compact(self) -> str:
        """Header, body and signature, base64url, joined by dots."""
        return b".".join((_HEADER, _encode(self.body), _encode(self.signature))).decode()

    @property
    def digest(self) -> bytes:
        """What the device's next receipt names as its previous one."""
        return hashlib.sha256(self.body + self.signature).digest()


def issue(
    vault: Vault, *, device: str, no: int, at: datetime, previous: bytes, events: Sequence[tuple[str, str, bytes]]
) -> Receipt:
    """Sign for events `(id, status, content HMAC)`."""
    body = orjson.dumps(
        {
            "device": device,
            "no": no,
            "at": format_time(at),
            "epoch": str(vault.epoch),
            "previous": previous.hex(),
            "events": [[event_id, status, content.hex()] for event_id, status, content in events],
        }
    )
    return Receipt(device, no, at, previous, body, vault.sign(b".".join((_HEADER, _encode(body)))))


async def issue_all(
    connection: asyncpg.Connection,
    vault: Vault,
    submissions: Sequence[Submission],
    results: Mapping[int, Result],
    *,
    now: datetime,
) -> dict[int, str]:
    """Issue one receipt a request that came from a device, chained in the same commit; compact form by `id(request)`."""
    asked = [sent for sent in submissions if sent.device is not None]
    if not asked:
        return {}
    locked = await connection.fetch(query("receipt.lock_devices"), sorted({str(sent.device) for sent in asked}))
    ends = {row["id"]: (row["receipt_no"], row["receipt_hash"]) for row in locked}
    issued: dict[int, Receipt] = {}
    for sent in asked:
        if sent.device is not None and sent.device in ends:
            no, previous = ends[sent.device]
            covered = _covered(sent, results)
            receipt = issue(vault, device=sent.device, no=no + 1, at=now, previous=previous, events=covered)
            ends[sent.device] = (receipt.no, receipt.digest)
            issued[id(sent)] = receipt
    moved = [(device, no, digest) for device, (no, digest) in ends.items()]
    if moved:
        columns = [list(column) for column in zip(*moved, strict=True)]
        await connection.execute(query("receipt.move_devices"), *columns)
        records = [
            (each.device, each.no, each.at, each.previous, each.body, each.signature) for each in issued.values()
        ]
        await connection.copy_records_to_table("receipt", records=records)
    return {key: receipt.compact for key, receipt in issued.items()}


def _covered(sent: Submission, results: Mapping[int, Result]) -> list[tuple[str, str, bytes]]:
    return [
        (str(item.id), results[id(item)].status, item.content_hmac)
        for item in sent.items
        if isinstance(item, Incoming) and results[id(item)].status in ("accepted", "duplicate")
    ]


def verify(compact: str, key: Ed25519PublicKey) -> dict[str, Any] | None:
    """Return the body of a genuine receipt; None for anything else."""
    parts = compact.encode().split(b".")
    if len(parts) != 3 or parts[0] != _HEADER:
        return None
    try:
        key.verify(_decode(parts[2]), b".".join(parts[:2]))
        body: dict[str, Any] = orjson.loads(_decode(parts[1]))
    except (InvalidSignature, ValueError):
        return None
    return body


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
