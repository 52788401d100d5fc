"""Sites: the buildings where rounds start."""

from fieldsvc.store.database import Database
from sql import query


async def create(database: Database, site: str) -> bool:
    """Make a site; False if it exists."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("site.create"), site) is not None


async def exists(database: Database, site: str) -> bool:
    """Tell whether there is such a site."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(query("site.exists"), site))
