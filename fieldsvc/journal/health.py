"""The health module: whether this store has tables for health data at all."""

import asyncpg

from fieldsvc.errors import UserMistake
from handlers.registry import Registry, discover, has_health
from sql import query


async def keep_tables(connection: asyncpg.Connection, *, health: bool) -> None:
    """Make the tables for health data with the module; drop them without it. UserMistake where they hold any."""
    if health == await connection.fetchval(query("health.has_tables")):
        return
    if health:
        await connection.execute(query("health.make_tables"))
        return
    async with connection.transaction():
        if await connection.fetchval(query("health.is_held"), services(discover())):
            raise UserMistake("FIELDSVC_HEALTH_MODULE=0: this store holds health data, which needs the module.")
        await connection.execute(query("health.drop_tables"))


def services(registry: Registry) -> list[str]:
    """Name the services that hold health data."""
    return [name for name, handler in registry.handlers.items() if has_health(handler)]
