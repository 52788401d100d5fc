"""Erasures, remembered outside the database, so that a restored copy of the store is erased again before it serves.

One file a store, `<16 hex>.log`, one line an erasure: its id, the keys that were destroyed, a keyed digest of the person, and
when. No line names anybody. Each carries a MAC over itself and the line before, under a key of the store, so that a line cannot
be made, changed, or taken out from between others; a line that a crash cut short was never answered, and is written anew.
Each thing of the person (an item, a pouch) has a line of its own: a restored copy may not know whose it was, and phones bring
what they said of it again.

Whoever opens the store compares both sides. What the database does not know was erased after the copy was made: it is done
again, in one transaction, and told again to subscribers by a timer. What the file does not know is written to it. A store that
had to be told, or that finds itself in another database than before, was restored: it gets a new epoch, and phones send again.

The file is made when the store is first opened, and the database knows how long it was and how it ended. A store whose file is
missing or lacks its last lines is not opened, unless its operator says that they are lost.
"""

import asyncio
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import orjson

from fieldsvc.errors import UserMistake
from fieldsvc.ids import uuid7
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.store.database import Database
from sql import query

log = get_logger()
CLEANED = ("erasure.empty_notices", "erasure.forget_pictures", "erasure.renew_sheets")
_OPENING_LOCK = 7_118_025_019
_GONE = (
    "{name} in the folder of erasures {fault}: whoever was erased would be back. Put the folder back (FIELDSVC_ERASURES_DIR);"
    " if it is lost, say `fieldsvc restored --without-erasures`, and erase again whom you know of."
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure: the event that said it, who it was (a keyed digest), and the keys that it destroyed."""

    id: UUID
    digest: bytes
    key_ids: tuple[UUID, ...]
    at: datetime


class Erasures:
    """The file of a store's erasures, and what follows from it."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        """`folder` outlives the database, and is the same for every process."""
        self._path = folder / f"{vault.derived_key('erasures.name')[:8].hex()}.log"
        self._key = vault.derived_key("erasures")
        self._digest_of = vault.person_digest
        self._epoch = vault.epoch
        self._seen: tuple[tuple[int, int], int] | None = None

    def read(self) -> list[Erasure]:
        """Read the file. UserMistake if a line is not this store's, or lines were changed."""
        if not self._path.exists():
            return []
        return [erasure for erasure, _, _ in self._lines(self._path.read_bytes())]

    def append(self, erasures: Sequence[Erasure]) -> int:
        """Write down what is not there yet, and flush it to the disk; return how many it was."""
        if not erasures and self._path.exists():
            return 0
        with self._locked() as handle:
            content = os.pread(handle, os.fstat(handle).st_size, 0)
            found = list(self._lines(content))
            known = {erasure.id for erasure, _, _ in found}
            mac, end = found[-1][1:] if found else (b"", 0)
            os.ftruncate(handle, end)
            missing = [each for each in erasures if each.id not in known]
            lines = []
            for each in missing:
                line, mac = self._line(each, mac)
                lines.append(line)
            os.pwrite(handle, b"".join(lines), end)
            os.fsync(handle)
        return len(missing)

    async def remember(self, connection: asyncpg.Connection) -> int:
        """Write to the file what only the database knows; return how many it was."""
        written = {each.id for each in await asyncio.to_thread(self.read)}
        await self._note_things(connection, [each.id for each in await _known(connection) if each.id not in written])
        added = await asyncio.to_thread(self.append, await _known(connection))
        ends = await asyncio.to_thread(self._ends)
        await connection.execute(query("store.write_erasures"), len(ends), ends[-1] if ends else None)
        if added:
            log.info("erasures.remembered", count=len(ends), receipt=ends[-1].hex())
        return added

    async def _note_things(self, connection: asyncpg.Connection, erased: Sequence[UUID]) -> None:
        rows = await connection.fetch(query("erasure.things"), erased)
        things = [
            (uuid5(row["id"], digest.hex()), digest, row["at"])
            for row in rows
            for digest in [self._digest_of(row["name"])]
            if digest != bytes(row["digest"])
        ]
        if things:
            await connection.execute(query("erasure.note_things"), *zip(*things, strict=True))

    async def check_whole(self, connection: asyncpg.Connection, *, moved: bool) -> None:
        """Compare the file with what the database knows of it. UserMistake if it is missing, or lacks its last lines."""
        (row,) = await connection.fetch(query("store.erasures_written"))
        known = await connection.fetchval(query("erasure.count"))
        written, mac = row["erasures_written"], row["erasures_mac"]
        if not self._path.exists():
            if moved or written or known:
                raise UserMistake(_GONE.format(name=self._path.name, fault="is missing"))
            return
        ends = await asyncio.to_thread(self._ends)
        if written and (len(ends) < written or ends[written - 1] != bytes(mac)):
            raise UserMistake(_GONE.format(name=self._path.name, fault="lacks its last lines"))

    async def replay(self, connection: asyncpg.Connection) -> int:
        """Erase again what the database does not know, in one transaction; return how many it was."""
        written = await asyncio.to_thread(self.read)
        rows = await connection.fetch(query("erasure.known"), [each.id for each in written])
        known = {row["id"] for row in rows}
        missing = [each for each in written if each.id not in known]
        async with connection.transaction():
            for each in missing:
                rows = await connection.fetch(query("erasure.again"), each.id, each.digest, list(each.key_ids), each.at)
                persons = {row["person"] for row in rows}
                for person in sorted({row["person"] for row in rows if row["owner"] not in persons}):
                    await _clean_up(connection, each, person)
        if missing:
            log.warning("erasures.done_again", count=len(missing))
        return len(missing)

    async def settled(self, database: Database) -> bool:
        """Tell whether the database knows every erasure, and is the one that this process opened; erase again if not."""
        count = await self.count()
        async with database.acquire() as connection:
            (row,) = await connection.fetch(query("store.read"))
            known = await connection.fetchval(query("erasure.count"))
            if known < count and await self.replay(connection):
                await connection.execute(query("store.renew"), uuid4())
                return False
        return bool(row["epoch"] == self._epoch)

    async def count(self) -> int:
        """Count the erasures in the file; read again only when it changed."""
        return await asyncio.to_thread(self._count)

    def _ends(self) -> list[bytes]:
        """Return the MAC of each line."""
        return [mac for _, mac, _ in self._lines(self._path.read_bytes())] if self._path.exists() else []

    def _count(self) -> int:
        if not self._path.exists():
            return 0
        found = self._path.stat()
        mark = (found.st_mtime_ns, found.st_size)
        if self._seen is None or self._seen[0] != mark:
            self._seen = mark, len(self.read())
        return self._seen[1]

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_new = not self._path.exists()
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UserMistake("The folder of erasures cannot be written: set FIELDSVC_ERASURES_DIR.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
            if is_new:
                _flush_folder(self._path.parent)
        finally:
            os.close(handle)

    def _line(self, erasure: Erasure, before: bytes) -> tuple[bytes, bytes]:
        keys = [str(each) for each in erasure.key_ids]
        body = orjson.dumps([str(erasure.id), erasure.digest.hex(), keys, erasure.at.astimezone(UTC).isoformat()])
        mac = hmac.digest(self._key, before + body, hashlib.sha256)
        return body + b" " + mac.hex().encode() + b"\n", mac

    def _lines(self, content: bytes) -> Iterator[tuple[Erasure, bytes, int]]:
        """Give each erasure with its MAC and where its line ends; a last line without an end is none."""
        mac, end = b"", 0
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            body, _, said = line.rpartition(b" ")
            mac = hmac.digest(self._key, mac + body, hashlib.sha256)
            if not hmac.compare_digest(mac.hex().encode(), said):
                raise UserMistake(
                    f"Line {number} of {self._path.name} in the folder of erasures was not written by this store."
                )
            event, digest, keys, at = orjson.loads(body)
            end += len(line) + 1
            found = Erasure(UUID(event), bytes.fromhex(digest), tuple(map(UUID, keys)), datetime.fromisoformat(at))
            yield found, mac, end


async def settle_restored(connection: asyncpg.Connection, erasures: Erasures, *, without: bool = False) -> bool:
    """Compare a store with what is remembered of it, before anything serves; True if it was restored and has a new epoch.

    Processes that start at once do it one after the other. UserMistake, and nothing is changed, if what is remembered is not
    there as far as the store knows of it; `without` goes on nevertheless.
    """
    await connection.execute("select pg_advisory_lock($1)", _OPENING_LOCK)
    try:
        place = await connection.fetchval(query("store.place"))
        async with connection.transaction():
            moved = bool(await connection.fetchval(query("store.found_elsewhere"), place, uuid4()))
            if not without:
                await erasures.check_whole(connection, moved=moved)
        missing = await erasures.replay(connection)
        if missing and not moved:
            await connection.execute(query("store.renew"), uuid4())
        await erasures.remember(connection)
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _OPENING_LOCK)
    if moved or missing:
        log.warning("store.restored", count=missing)
    return moved or missing > 0


async def _known(connection: asyncpg.Connection) -> list[Erasure]:
    rows = await connection.fetch(query("erasure.all"))
    return [Erasure(row["id"], bytes(row["digest"]), tuple(row["key_ids"]), row["at"]) for row in rows]


def said_of(person: str, account: str | None) -> dict[str, Any]:
    """Write what `person.erased` says of a key: a reference of an account, or the subject of an order that names nobody."""
    kind, _, rest = person.partition("/")
    if kind == "person":
        owner, _, reference = rest.partition("/")
        return {"person": reference, **({"account": owner} if owner != "operator" else {})}
    return {"person": rest, "about": person, **({"account": account} if account else {})}


async def _clean_up(connection: asyncpg.Connection, erasure: Erasure, person: str) -> None:
    """Empty what waits for an erased person, and tell of it again as soon as a timer can."""
    for name in CLEANED:
        await connection.execute(query(name), person)
    rows = await connection.fetch(query("erasure.subjects"), person)
    data = said_of(person, next((row["account"] for row in rows if row["account"]), None)) | {"replayed": True}
    payload = orjson.dumps({"type": "person.erased", "data": data, "site": None}).decode()
    subject = f"person/{data.get('account', 'operator')}/{data['person']}"
    timer = (uuid7(), datetime.now(UTC), "person", "command", subject, f"restored {erasure.id}", payload)
    await connection.execute(query("timer.set"), *([value] for value in timer))


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def renew(database: Database) -> UUID:
    """Give the store a new epoch; every process has to be started again."""
    epoch = uuid4()
    async with database.acquire() as connection:
        await connection.execute(query("store.renew"), epoch)
    return epoch
