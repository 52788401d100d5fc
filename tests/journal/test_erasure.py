"""Erasing a person: the keys go with the fact, nothing opens afterwards, and a restored copy is erased again before it serves."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from fieldsvc.errors import UserMistake
from fieldsvc.journal.erasures import Erasure, Erasures, said_of, settle_restored
from fieldsvc.journal.sealed import Vault, open_vault, person_keys
from fieldsvc.journal.timers import Timers
from fieldsvc.store import embedded_launch
from fieldsvc.store.database import Database, connect, migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from handlers.registry import Registry, discover
from tests import databases
from tests.journal.conftest import Journal, open_journal, trial_registry

MASTER = bytes(range(32))
PERSON = "person/acc-1/ref-77"
CANARY = "Odette Lacanarie"


def both(trial: Registry) -> Registry:
    """The trial service beside the real ones."""
    real = discover()
    return Registry(
        {**real.handlers, **trial.handlers}, {**real.by_type, **trial.by_type}, {**real.public, **trial.public}
    )


@pytest.fixture
async def erasable(database: Database, database_url: str) -> AsyncIterator[Journal]:
    opened = await open_journal(database, database_url, both(trial_registry()))
    yield opened
    await opened.stop()


async def known_of(journal: Journal, thing: str = "a") -> None:
    """Let the journal know something of the person: a public row, a sealed part, a state, a notice and a task."""
    await journal.fetch(
        "insert into subject_head (subject, seq, account, person, touched_on) values ($1, 0, 'acc-1', $2, current_date)",
        f"thing/{thing}",
        PERSON,
    )
    outcome = await journal.send(journal.note(thing, inside="x", illness=CANARY, at=datetime.now(UTC)))
    assert outcome.results[0].status == "accepted"
    async with journal.database.acquire() as connection:
        key = (await person_keys(connection, journal.vault, [PERSON])).of(PERSON)
        blob = key.seal_blob({"to": CANARY, "params": {}})
        await connection.execute(
            "insert into notice (key, template, way, lang, sealed, queued_at, next_at) values ($1, 't', 'email', 'fr', $2, now(), now())",
            f"n-{thing}",
            blob,
        )
        await connection.execute(
            "insert into task (id, service, subject, day, requirements, sealed, event) values ($1, 'item', 'item/1', current_date, '{}', $2, $3)",
            f"tsk_{thing}",
            key.seal_blob({"addressee": CANARY}),
            uuid4(),
        )


async def erase(journal: Journal, **more: Any) -> None:
    await journal.commands.send("person.erased", said_of(PERSON, None) | more)


async def everything_opened(database: Database, vault: Vault) -> str:
    """Open whatever any key of the store opens, as one text: what an operator with the master key could read."""
    found = []
    async with database.acquire() as connection:
        keys = {
            row["key_id"]: vault.unwrap(row["person"], row["key_id"], row["wrapped"])
            for row in await connection.fetch(
                "select person, key_id, wrapped from person_key where wrapped is not null"
            )
        }
        for row in await connection.fetch("select event_id, part, purpose, key_id, nonce, ciphertext from sealed"):
            if row["key_id"] in keys:
                place = f"{row['event_id']}|{row['part']}|{row['purpose']}"
                found.append(keys[row["key_id"]].open(row["nonce"], row["ciphertext"], bound_to=place))
        for row in await connection.fetch("select handler, subject, key_id, nonce, body from state"):
            place = f"{row['handler']}|{row['subject']}"
            if row["key_id"] is None:
                found.append(orjson.loads(row["body"]))
            elif row["key_id"] in keys:
                found.append(keys[row["key_id"]].open(row["nonce"], row["body"], bound_to=place))
    return str(found)


async def test_the_commit_that_says_it_leaves_nothing_that_any_key_opens(erasable: Journal) -> None:
    await known_of(erasable)
    assert CANARY in await everything_opened(erasable.database, erasable.vault)
    await erase(erasable)
    assert CANARY not in await everything_opened(erasable.database, erasable.vault)
    (key,) = await erasable.fetch("select wrapped, destroyed_at from person_key where person = $1", PERSON)
    assert key["wrapped"] is None
    (notice,) = await erasable.fetch("select state, reason, sealed from notice")
    assert tuple(notice) == ("not_sent", "erased", None)
    (task,) = await erasable.fetch("select changes, sealed from task")
    assert task["changes"] == 2
    assert await erasable.opener.open_blobs([task["sealed"]]) == [None]


async def test_the_tombstone_goes_to_whoever_ordered_and_what_is_still_queued_says_erased(erasable: Journal) -> None:
    await known_of(erasable)
    await erase(erasable)
    rows = await erasable.rows()
    (tombstone,) = [row for row in rows if row.type == "person.erased"]
    assert (tombstone.account, orjson.loads(tombstone.public)["public"]["person"]) == ("acc-1", "ref-77")
    (queued,) = [row for row in rows if row.type == "trial.noted"]
    opened = await erasable.opener.open_parts([(queued.event_id, queued.part)])
    assert opened[(queued.event_id, queued.part)] == {"health": None}


async def test_what_a_phone_still_carried_of_an_erased_person_is_sealed_with_a_key_that_nobody_keeps(
    erasable: Journal,
) -> None:
    await known_of(erasable)
    await erase(erasable)
    late = erasable.note("a", 2, illness=CANARY, at=datetime.now(UTC) - timedelta(hours=3))
    assert (await erasable.send(late)).results[0].status == "accepted"
    assert CANARY not in await everything_opened(erasable.database, erasable.vault)
    since = erasable.note("a", 3, illness="came back", at=datetime.now(UTC) + timedelta(seconds=1))
    assert (await erasable.send(since)).results[0].status == "accepted"
    later = erasable.note("a", 4, illness=CANARY, at=datetime.now(UTC) - timedelta(hours=2))
    assert (await erasable.send(later)).results[0].status == "accepted"
    opened = await erasable.opener.open_parts([(since.id, 0), (later.id, 0), (since.id, -1), (later.id, -1)])
    assert any(part == {"health": {"illness": "came back"}} for part in opened.values())
    assert CANARY not in await everything_opened(erasable.database, erasable.vault)


async def test_somebody_who_came_back_is_erased_and_told_again(erasable: Journal) -> None:
    await known_of(erasable)
    await erase(erasable)
    await known_of_again(erasable)
    assert CANARY in await everything_opened(erasable.database, erasable.vault)
    await erase(erasable, anew=True)
    assert CANARY not in await everything_opened(erasable.database, erasable.vault)
    assert [row.type for row in await erasable.rows()].count("person.erased") == 2


async def known_of_again(journal: Journal) -> None:
    note = journal.note("a", 9, illness=CANARY, at=datetime.now(UTC) + timedelta(seconds=1))
    assert (await journal.send(note)).results[0].status == "accepted"


async def test_ciphertexts_that_were_swapped_between_rows_do_not_open(erasable: Journal) -> None:
    await known_of(erasable)
    second = erasable.note("a", 5, illness="another", at=datetime.now(UTC))
    await erasable.send(second)
    rows = await erasable.fetch(
        "select event_id, part, key_id, nonce, ciphertext from sealed where person = $1", PERSON
    )
    assert len(rows) >= 3
    async with erasable.database.acquire() as connection:
        key = (await person_keys(connection, erasable.vault, [PERSON])).of(PERSON)
    for row in rows:
        for other in rows:
            place = f"{row['event_id']}|{row['part']}|health"
            if row is other:
                key.open(other["nonce"], other["ciphertext"], bound_to=place)
            else:
                with pytest.raises(Exception, match=r"^$"):  # InvalidTag says nothing
                    key.open(other["nonce"], other["ciphertext"], bound_to=place)


async def test_a_dump_from_before_an_erasure_is_erased_when_it_is_opened_and_gets_a_new_epoch(
    erasable: Journal, postgres_url: str, database_url: str, tmp_path: Path
) -> None:
    await known_of(erasable)
    dump = tmp_path / "dump"
    dumped(database_url, dump)
    assert CANARY.encode() not in dump.read_bytes()
    await erase(erasable)
    erasures = Erasures(tmp_path / "outside", erasable.vault)
    async with erasable.database.acquire() as connection:
        assert await erasures.remember(connection) == 2  # the person, and the thing of theirs
        assert await erasures.remember(connection) == 0
    assert b"ref-77" not in b"".join(path.read_bytes() for path in (tmp_path / "outside").iterdir())
    url = await restored(postgres_url, dump)
    try:
        connection = await connect(url)
        try:
            assert await connection.fetchval("select count(*) from person_key where wrapped is not null") > 0
            assert await settle_restored(connection, erasures)
            vault = await open_vault(connection, MASTER)
            assert vault.epoch != erasable.vault.epoch
            assert await connection.fetchval("select wrapped from person_key where person = $1", PERSON) is None
            assert not await settle_restored(connection, Erasures(tmp_path / "outside", vault))
        finally:
            await connection.close()
        await told_again(url, vault)
    finally:
        await databases.give_back(postgres_url, url)


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_phones_bring_again_of_somebody_erased_since_the_copy_stays_erased_even_if_the_copy_does_not_know_whose_it_is(
    is_known: bool, erasable: Journal, postgres_url: str, database_url: str, tmp_path: Path
) -> None:
    if is_known:
        await known_of(erasable)
    dumped(database_url, tmp_path / "dump")
    if not is_known:
        await known_of(erasable)
    of_it = [erasable.note("a", number, illness=CANARY, at=datetime.now(UTC)) for number in (11, 12)]
    assert {each.status for each in (await erasable.send(*of_it)).results} == {"accepted"}
    await erase(erasable)
    async with erasable.database.acquire() as connection:
        await Erasures(tmp_path / "outside", erasable.vault).remember(connection)
    url = await restored(postgres_url, tmp_path / "dump")
    try:
        await brought_again(url, Erasures(tmp_path / "outside", erasable.vault), of_it)
    finally:
        await databases.give_back(postgres_url, url)


async def brought_again(url: str, erasures: Erasures, events: list[Any]) -> None:
    """Open a restored copy; what phones bring again is taken, and what happened before the erasure is readable to nobody."""
    database = await open_database(url, size=3)
    try:
        async with database.acquire() as connection:
            assert await settle_restored(connection, erasures)
            vault = await open_vault(connection, MASTER)
        journal = await open_journal(database, url, both(trial_registry()), vault=vault)
        try:
            assert {each.status for each in (await journal.send(*events)).results} == {"accepted"}
            assert CANARY not in await everything_opened(database, vault)
            since = journal.note("a", 13, illness="of another", at=datetime.now(UTC) + timedelta(seconds=1))
            assert (await journal.send(since)).results[0].status == "accepted"
            opened = await everything_opened(database, vault)
        finally:
            await journal.stop()
        assert "of another" in opened
        assert CANARY not in opened
    finally:
        await database.close()


async def told_again(url: str, vault: Vault) -> None:
    """In the restored store nothing opens, and the tombstone is said again."""
    database = await open_database(url, size=3)
    journal = await open_journal(database, url, both(trial_registry()), vault=vault)
    try:
        assert CANARY not in await everything_opened(database, vault)
        assert await Timers(database, journal.commands).fire(datetime.now(UTC)) == 1
        assert [row.type for row in await journal.rows()].count("person.erased") == 1
        assert await database.pool.fetchval("select count(*) from erasure") == 2
    finally:
        await journal.stop()
        await database.close()


async def test_a_copy_of_the_servers_folder_from_before_an_erasure_is_erased_when_it_is_opened(tmp_path: Path) -> None:
    async def on_server(folder: Path, act: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
        server = EmbeddedPostgres(folder, options={"fsync": "off"})
        connection = await connect(await asyncio.to_thread(server.acquire))
        try:
            await act(connection)
        finally:
            await connection.close()
            await asyncio.to_thread(server.release)

    kept: list[Any] = []

    async def install(connection: asyncpg.Connection) -> None:
        await migrate(connection)
        vault = await open_vault(connection, MASTER)
        assert not await settle_restored(connection, Erasures(tmp_path / "outside", vault))
        kept.extend([vault, (await person_keys(connection, vault, [PERSON])).of(PERSON).key_id])

    await on_server(tmp_path / "var", install)
    await asyncio.to_thread(shutil.copytree, tmp_path / "var", tmp_path / "copy", symlinks=True)
    vault, key_id = kept
    erasures = Erasures(tmp_path / "outside", vault)
    erasures.append([Erasure(uuid4(), vault.person_digest(PERSON), (key_id,), datetime.now(UTC))])  # in the original

    async def open_again(connection: asyncpg.Connection) -> None:
        wrapped = "select wrapped from person_key where person = $1"
        assert await connection.fetchval(wrapped, PERSON) is not None
        assert await settle_restored(connection, erasures)
        assert await connection.fetchval(wrapped, PERSON) is None
        assert (await open_vault(connection, MASTER)).epoch != vault.epoch

    await on_server(tmp_path / "copy", open_again)


async def test_a_process_whose_database_was_restored_under_it_is_not_ready_until_it_is_started_again(
    erasable: Journal, tmp_path: Path
) -> None:
    await known_of(erasable)
    erasures = Erasures(tmp_path, erasable.vault)
    assert await erasures.settled(erasable.database)
    await erase(erasable)
    async with erasable.database.acquire() as connection:
        await erasures.remember(connection)
        assert await erasures.settled(erasable.database)
        await connection.execute("delete from erasure")  # as an older copy has it
        await connection.execute(
            "update person_key set wrapped = '\\x00', destroyed_at = null where person = $1", PERSON
        )
    assert not await erasures.settled(erasable.database)
    assert not await erasures.settled(erasable.database)
    (row,) = await erasable.fetch("select wrapped from person_key where person = $1", PERSON)
    assert row["wrapped"] is None


async def test_the_file_of_erasures_takes_no_line_from_others_and_mends_what_a_crash_cut(
    erasable: Journal, tmp_path: Path
) -> None:
    erasures = Erasures(tmp_path, erasable.vault)
    for person in (PERSON, "person/acc-1/ref-78", "item/RK1"):
        await erasable.commands.send("person.erased", said_of(person, "acc-1"))
    async with erasable.database.acquire() as connection:
        await erasures.remember(connection)
        path = erasures._path
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        for changed in (lines[0] + lines[2], b"".join([*lines[1:], lines[0]]), whole.replace(b'"20', b'"21', 1)):
            path.write_bytes(changed)
            with pytest.raises(UserMistake, match=r"Line \d"):
                erasures.read()
        path.write_bytes(whole[:-20])
        assert len(erasures.read()) == 2
        assert await erasures.remember(connection) == 1
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o600


def tool(name: str) -> Path:
    """Find a program of the server that the tests run on."""
    return next(embedded_launch._binaries()) / name


def dumped(url: str, path: Path) -> None:
    """Take a dump as plain SQL, with nothing left out."""
    subprocess.run([tool("pg_dump"), "--no-owner", "--file", path, url], check=True, capture_output=True)


async def restored(server_url: str, dump: Path) -> str:
    """Restore a dump into a new database of the server."""
    name = f"r_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"create database {name}")
    finally:
        await connection.close()
    url = databases.on(server_url, name)
    done = await asyncio.to_thread(
        subprocess.run,
        [tool("psql"), "--quiet", "--set=ON_ERROR_STOP=1", "--file", dump, url],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    return url


async def test_a_store_whose_erasures_are_missing_or_cut_off_is_not_opened_unless_its_operator_says_so(
    erasable: Journal, tmp_path: Path
) -> None:
    erasures = Erasures(tmp_path, erasable.vault)
    async with erasable.database.acquire() as connection:
        assert not await settle_restored(connection, erasures)
        path = erasures._path
        assert path.read_bytes() == b""
        for person in (PERSON, "person/acc-1/ref-78"):
            await erasable.commands.send("person.erased", said_of(person, "acc-1"))
        await erasures.remember(connection)
        whole = path.read_bytes()
        path.write_bytes(whole.splitlines(keepends=True)[0])
        with pytest.raises(UserMistake, match=r"lacks its last lines.*--without-erasures"):
            await settle_restored(connection, erasures)
        path.unlink()
        with pytest.raises(UserMistake, match=r"is missing.*--without-erasures"):
            await settle_restored(connection, erasures)
        assert not await settle_restored(connection, erasures, without=True)
        assert path.read_bytes() == whole
        assert not await settle_restored(connection, erasures)


async def test_a_restored_copy_that_knows_of_no_erasure_is_not_opened_without_their_folder_and_stays_unsettled(
    erasable: Journal, tmp_path: Path
) -> None:
    async with erasable.database.acquire() as connection:
        assert not await settle_restored(connection, Erasures(tmp_path / "outside", erasable.vault))
        await connection.execute("update store set place = 'another cluster/1'")
        elsewhere = Erasures(tmp_path / "nothing", erasable.vault)
        for _ in range(2):
            with pytest.raises(UserMistake, match="is missing"):
                await settle_restored(connection, elsewhere)
        assert await connection.fetchval("select place from store") == "another cluster/1"
        assert await settle_restored(connection, elsewhere, without=True)
        assert (await open_vault(connection, MASTER)).epoch != erasable.vault.epoch
