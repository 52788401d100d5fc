"""Mail that people do not want: kinds, by a keyed digest of the address."""

from fieldsvc.store.database import Database
from sql import query


async def add(database: Database, digest: bytes, kind: str) -> None:
    """Note that an address does not want a kind of mail; a second time changes nothing."""
    async with database.acquire() as connection:
        await connection.execute(query("unwanted_mail.add"), digest, kind)


async def remove(database: Database, digest: bytes, kind: str) -> None:
    """Note that an address wants a kind of mail again."""
    async with database.acquire() as connection:
        await connection.execute(query("unwanted_mail.remove"), digest, kind)


async def kinds(database: Database, digest: bytes) -> frozenset[str]:
    """Return the kinds of mail that an address does not want."""
    async with database.acquire() as connection:
        return frozenset(row["kind"] for row in await connection.fetch(query("unwanted_mail.kinds"), digest))
