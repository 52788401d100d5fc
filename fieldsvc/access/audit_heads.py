"""The audit log's signed links: made every full hour and at the day's end, and checked with the chain."""

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from fieldsvc.access import audit_chain as chain
from fieldsvc.access.audit import SERVICE
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.settings import Settings
from fieldsvc.store import audit as store
from fieldsvc.store.audit import Head
from fieldsvc.store.database import Database

log = get_logger()
HOUR_S, AFTER_THE_HOUR_S = 3_600, 2
CHUNK = 2_000


class Heads:
    """Signs links of one store; several processes may, and each link is written by one of them."""

    def __init__(self, database: Database, vault: Vault, path: Path) -> None:
        self._database = database
        self._vault = vault
        self._path = path

    async def run(self) -> None:
        """Sign now and after every full hour, which at midnight UTC signs the day's end, until cancelled."""
        while True:
            await self.sign()
            await asyncio.sleep(HOUR_S - time.time() % HOUR_S + AFTER_THE_HOUR_S)

    async def sign(self) -> list[Head]:
        """Anchor the chain if the store's epoch is new; sign the last link, and the one at the end of the day before."""
        epoch, kept = self._vault.epoch, []
        async with store.locked_end(self._database) as (connection, last):
            end = last if last.epoch == epoch else await store.move_epoch(connection, epoch, _anchor(epoch))
            for each in (await store.last_of_earlier_day(connection, end.day), end):
                head = chain.sign(each, epoch, self._vault.sign) if each is not None else None
                if head is not None and await store.add_head(connection, head):
                    kept.append(head)
        if last.epoch != epoch:
            log.info("audit.anchored", day=str(end.day), pos=end.pos)
        if kept:
            await asyncio.to_thread(_append, self._path, b"".join(chain.written(head) + b"\n" for head in kept))
        for head in kept:
            log.info("audit.head_signed", day=str(head.day), pos=head.pos, receipt=chain.written(head).decode())
        return kept


def _anchor(epoch: UUID) -> tuple[str | None, ...]:
    return SERVICE, SERVICE, chain.ANCHORED, f"{chain.EPOCH}{epoch}", None, None, None


def heads_file(settings: Settings) -> Path:
    """Return where signed links are kept outside the database."""
    return settings.audit_heads or settings.var_dir / "audit-heads.jsonl"


async def check(database: Database, vault: Vault, path: Path, *, oldest: date) -> chain.Report:
    """Check the chain against itself, the links in the table, and those in the file; days from `oldest` on must be there."""
    lines = await asyncio.to_thread(_lines, path)
    bad, heads = 0, await store.heads(database)
    for line in lines:
        try:
            heads.append(chain.read(line))
        except ValueError:
            bad += 1
    genuine = [head for head in heads if chain.is_genuine(head, vault.public_key)]
    checking = chain.Check(genuine, oldest=oldest)
    place, end = store.START, await store.end(database)
    while rows := await store.chain_after(database, place, limit=CHUNK):
        rows = [row for row in rows if row.place <= (end.day, end.pos)]  # what came meanwhile is not of this check
        checking.walk(rows)
        if len(rows) < CHUNK:
            break
        place = rows[-1].place
    report = checking.finish(end, epoch=vault.epoch)
    if bad := bad + len(heads) - len(genuine):
        report.faults.append(f"{bad} signed links are not genuine.")
    return report


def kept_since(days: int) -> date:
    """Return the day from which on the log must be there, when it is kept for so many days."""
    return datetime.now(UTC).date() - timedelta(days=days)


def _append(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[bytes]:
    with suppress(FileNotFoundError):
        return path.read_bytes().splitlines()
    return []
