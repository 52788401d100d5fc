"""The baseline of `bench ingest`: what one writes first. FastAPI, SQLAlchemy 2, one transaction a request, one table.

A process of its own (`python -m fieldsvc.bench.baseline DATABASE_URL TOKEN`), never imported: only here does the project
use FastAPI, SQLAlchemy and uvicorn, from requirements/bench.txt. It takes the same bodies at the same path and answers
after the commit. It is written to be fast in its kind: one compiled insert for all the rows of a request, a pool that is
never the limit, no model objects, the token compared in memory.
"""

import hmac
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

POOL_SIZE = 16

tables = MetaData()
events = Table(
    "baseline_event",
    tables,
    Column("id", Uuid, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text),
    Column("run", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("data", JSONB, nullable=False),
)


class Event(BaseModel):
    """A CloudEvent as a phone sends it."""

    specversion: str
    id: UUID
    source: str
    type: str
    subject: str | None = None
    time: AwareDatetime
    runid: str | None = None
    data: dict[str, Any]

    def row(self) -> dict[str, Any]:
        """Return its columns."""
        occurred_at: datetime = self.time
        return {
            "id": self.id, "type": self.type, "source": self.source, "subject": self.subject, "run": self.runid,
            "occurred_at": occurred_at, "data": self.data,
        }  # fmt: skip


def make_app(engine: AsyncEngine, token: str, address: str) -> FastAPI:
    """Make the app; once its table is there it prints `listening ADDRESS`."""
    statement = insert(events).on_conflict_do_nothing().returning(events.c.id)
    wanted = f"Bearer {token}".encode()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(tables.create_all)
        print(f"listening {address}", flush=True)  # noqa: T201 - what the benchmark waits for
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/events")
    async def take(batch: list[Event], authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
        if not hmac.compare_digest(authorization.encode(), wanted):
            raise HTTPException(401)
        async with engine.begin() as connection:
            found = await connection.execute(statement, [event.row() for event in batch])
            new = set(found.scalars())
        return {
            "results": [{"id": event.id, "status": "accepted" if event.id in new else "duplicate"} for event in batch]
        }

    return app


def main(database_url: str, token: str) -> None:
    """Serve on a free port of loopback until SIGTERM."""
    engine = create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=POOL_SIZE, max_overflow=0
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    app = make_app(engine, token, f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(app, loop="uvloop", http="auto", log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
