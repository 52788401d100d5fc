"""The platform below the pages: the database opened and migrated, the keys, and one object of each kind, wired."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fieldsvc.access.callers import Access
from fieldsvc.errors import Unavailable
from fieldsvc.jobs import ended
from fieldsvc.journal import health
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.erasures import Erasures, settle_restored
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Opener, Vault, master_key, open_vault, previous_master_key
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.journal.writer import Writer
from fieldsvc.logs import get_logger
from fieldsvc.media.keeping import Media
from fieldsvc.settings import Settings
from fieldsvc.store.database import BY_KEY_ONLY, DATABASE_ERRORS, Database, connect, migrate, open_database
from fieldsvc.work.erasing import Erasing
from fieldsvc.work.placement import Placer
from fieldsvc.work.proofs import Proofs
from fieldsvc.work.rounds import RoundStore
from fieldsvc.work.runs import Runs
from fieldsvc.work.sheets import Sheets
from fieldsvc.work.tasks import Tasks
from handlers.registry import Registry, discover

log = get_logger()


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything below the pages, wired."""

    settings: Settings
    database: Database
    vault: Vault
    registry: Registry
    writer: Writer
    reader: Reader
    tail: Tail
    opener: Opener
    erasures: Erasures
    erasing: Erasing
    media: Media
    commands: Commands
    access: Access
    rounds: RoundStore
    placer: Placer
    runs: Runs
    sheets: Sheets
    tasks: Tasks


@asynccontextmanager
async def open_platform(settings: Settings, url: str, *, without_erasures: bool = False) -> AsyncIterator[Platform]:
    """Migrate the database, open the keys, and wire the platform with its writer running; close it in the reverse order.

    UserMistake if the erasures of a restored store, or the last of them, are not in their folder: `without_erasures` goes on.
    """
    master, previous = master_key(settings), previous_master_key(settings)
    try:
        first = await connect(url, statement_timeout="0")
    except DATABASE_ERRORS as error:
        raise Unavailable(f"The database cannot be reached ({type(error).__name__}).") from None
    try:
        for name in await migrate(first):
            log.info("database.migrated", version=name)
        await health.keep_tables(first, health=settings.health_module)
        await make_partitions(first, datetime.now(UTC), keep_tracks_days=settings.keep_tracks_days)
        vault = await open_vault(first, master, previous)
        if await settle_restored(first, _erasures(settings, vault), without=without_erasures):
            vault = await open_vault(first, master, previous)
    finally:
        await first.close()
    database = await open_database(url, size=settings.pool_size)
    platform = _wire(settings, url, database, vault)
    writing = asyncio.create_task(platform.writer.run(), name="writer")
    try:
        yield platform
    finally:
        platform.writer.stop()
        await asyncio.wait([writing], timeout=settings.shutdown_timeout_s)
        await ended([writing])
        await database.close()


def _erasures(settings: Settings, vault: Vault) -> Erasures:
    return Erasures(settings.erasures_dir or settings.var_dir / "erasures", vault)


def _wire(settings: Settings, url: str, database: Database, vault: Vault) -> Platform:
    registry = discover(health=settings.health_module)
    reader, opener = Reader(database), Opener(database, vault)
    tail = Tail(reader, lambda: connect(url))
    lock_ms = str(int(settings.lock_timeout_s * 1000))
    writer = Writer(
        lambda: connect(url, lock_timeout=lock_ms, **BY_KEY_ONLY),
        vault,
        registry,
        wake=tail,
        queue_events=settings.queue_events,
        queue_events_per_device=settings.queue_events_per_device,
    )
    commands = Commands(writer, vault, registry)
    rounds, placer = RoundStore(database, settings.zone), Placer(database)
    media, erasures = Media.of(settings, database, vault), _erasures(settings, vault)
    return Platform(
        settings=settings,
        database=database,
        vault=vault,
        registry=registry,
        writer=writer,
        reader=reader,
        tail=tail,
        opener=opener,
        erasures=erasures,
        erasing=Erasing(database, vault, commands, proofs=Proofs(database, vault, media), erasures=erasures),
        media=media,
        commands=commands,
        access=Access(database, settings, opener=opener),
        rounds=rounds,
        placer=placer,
        runs=Runs(database, commands, settings.zone, hours=settings.hours),
        sheets=Sheets(database, rounds, opener),
        tasks=Tasks(database, commands, opener=opener, registry=registry, placer=placer, zone=settings.zone),
    )
