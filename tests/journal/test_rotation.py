"""A new master key while the service runs: every wrapped key is wrapped anew, nothing else is touched, and a kill -9 loses nothing."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from pydantic import SecretStr

from fieldsvc.errors import UserMistake
from fieldsvc.journal.rotation import OWN, WRAPPED, rotate
from fieldsvc.journal.sealed import Vault, open_vault, person_keys, previous_master_key
from fieldsvc.journal.submission import Rejected
from fieldsvc.publishing.keys import seal_headers
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database
from sql import query
from tests.journal.conftest import Journal

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
EVERYTHING = """
select json_build_array((select json_agg(sealed order by event_id, part) from sealed), (select json_agg(state order by subject) from state),
  (select json_agg(json_build_array(id, sealed)) from task))::text
"""


async def opened(database: Database, master: bytes = NEW, previous: bytes | None = OLD) -> Vault:
    async with database.acquire() as connection:
        return await open_vault(connection, master, previous)


async def one_of_each(journal: Journal) -> None:
    """Fill every column that the master key seals."""
    await journal.send(journal.note("a", 1, illness="flu"))
    await journal.send(Rejected(None, "not_an_object", b'"canary"'))
    sha256, endpoint, month = b"\x07" * 32, "ep_1", date(2026, 11, 1)
    vault = journal.vault
    async with journal.database.acquire() as connection:
        await connection.execute(
            "insert into endpoint (id, account, url, types, created_at, sealed_headers)"
            " values ($1, 'a', 'https://x', '{}', now(), $2)",
            *(endpoint, seal_headers(vault, endpoint, {"X-Key": "canary"})),
        )
        await connection.execute(
            "insert into endpoint_secret (endpoint, no, sealed, created_at) values ($1, 1, $2, now())",
            *(endpoint, vault.seal_secret(b"whsec", context=f"endpoint|{endpoint}")),
        )
        await connection.execute(
            "insert into media (sha256, object, kept_sha256, media_type, size, width, height, device, sealed_key, arrived_at)"
            " values ($1, 'o', $1, 'image/jpeg', 1, 1, 1, 'd', $2, now())",
            *(sha256, vault.seal_secret(b"key", context=f"media|{sha256.hex()}")),
        )
        await connection.execute(
            "insert into report_month (month, key) values ($1, $2)",
            *(month, vault.seal_secret(b"month", context=f"report|{month.isoformat()}")),
        )


async def test_everything_under_the_old_key_is_wrapped_anew_and_no_ciphertext_of_data_changes(journal: Journal) -> None:
    await one_of_each(journal)
    before = await journal.database.pool.fetchval(EVERYTHING)
    done = await rotate(journal.database, await opened(journal.database))
    assert set(done.anew) == {"store", *(each.column for each in WRAPPED)}
    assert done.anew["store"] == len(OWN)
    assert not done.foreign
    assert await journal.database.pool.fetchval(EVERYTHING) == before
    alone = await opened(journal.database, NEW, None)
    assert alone.epoch == journal.vault.epoch
    assert alone.content_hmac(b"x") == journal.vault.content_hmac(b"x")
    again = await rotate(journal.database, alone)
    assert not again.anew
    assert not again.foreign
    with pytest.raises(UserMistake, match="another one"):
        await opened(journal.database, OLD, None)


async def test_a_writer_that_still_wraps_with_the_other_key_is_read_meanwhile_and_found_by_the_next_walk(
    journal: Journal,
) -> None:
    both = await opened(journal.database)
    await rotate(journal.database, both)
    await journal.send(journal.note("b", 1, illness="flu"))  # a process that was not started again yet
    done = await rotate(journal.database, both)
    assert done.anew == {"person_key.wrapped": 1}


async def test_a_key_that_is_destroyed_during_the_walk_stays_destroyed(journal: Journal) -> None:
    await journal.send(journal.note("a", 1, illness="flu"))
    rows = await journal.fetch("select key_id, wrapped from person_key")  # as the walk read them
    await journal.fetch("update person_key set wrapped = null, destroyed_at = now()")
    ids, were, made = [row["key_id"] for row in rows], [row["wrapped"] for row in rows], [os.urandom(60) for _ in rows]
    async with journal.database.acquire() as connection:
        assert await connection.execute(query("rotation.put_person_keys"), ids, were, made) == "UPDATE 0"


async def test_what_neither_key_opens_is_counted_and_left_alone(journal: Journal) -> None:
    await journal.send(journal.note("a", 1, illness="flu"))
    await journal.fetch("update person_key set wrapped = $1", os.urandom(60))
    done = await rotate(journal.database, await opened(journal.database))
    assert done.foreign == {"person_key.wrapped": 1}


def test_the_previous_key_comes_from_the_settings_or_from_its_file(tmp_path: Path) -> None:
    text = base64.b64encode(OLD).decode()
    assert previous_master_key(Settings(var_dir=tmp_path)) is None
    assert previous_master_key(Settings(var_dir=tmp_path, master_key_previous=SecretStr(text))) == OLD
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.key.previous").write_text(text)
    assert previous_master_key(Settings(var_dir=tmp_path)) == OLD
    with pytest.raises(UserMistake, match="PREVIOUS"):
        previous_master_key(Settings(var_dir=tmp_path, master_key_previous=SecretStr("short")))


ROTATE = """
import asyncio, sys
from fieldsvc.journal.rotation import rotate
from fieldsvc.journal.sealed import open_vault
from fieldsvc.store.database import open_database
async def main(url):
    database = await open_database(url, size=2)
    async with database.acquire() as connection:
        vault = await open_vault(connection, bytes(range(32, 64)), bytes(range(32)))
    print("begun", flush=True)
    await rotate(database, vault, chunk=50)
asyncio.run(main(sys.argv[1]))
"""


async def test_a_rotation_that_is_killed_is_begun_again_and_loses_no_key(
    database: Database, database_url: str, note: Callable[[str], None]
) -> None:
    vault = await opened(database, OLD, None)
    persons = [f"person/acc-1/ref-{number}" for number in range(int(os.environ.get("FIELDSVC_TEST_KEYS", "4000")))]
    async with database.acquire() as connection:
        for start in range(0, len(persons), 20_000):
            await person_keys(connection, vault, persons[start : start + 20_000])
        sealed = (await person_keys(connection, vault, persons[:1])).of(persons[0]).seal_blob("kept")
    child = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", ROTATE, database_url], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == b"begun\n"
    deadline = time.monotonic() + 20
    while await wrapped_by(database, NEW) == 0:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    await asyncio.to_thread(child.communicate)
    first = await wrapped_by(database, NEW, of=len(persons))
    assert 0 < first < len(persons)
    began = time.monotonic()
    done = await rotate(database, await opened(database))
    seconds = time.monotonic() - began
    assert (
        0 < done.anew["person_key.wrapped"] <= len(persons) - first
    )  # the server may have ended a chunk after the kill
    assert await wrapped_by(database, NEW, of=len(persons)) == len(persons)
    note(
        f"master key: {done.anew['person_key.wrapped']:,} keys wrapped anew in {seconds:.1f} s, {first:,} passed over after a kill -9"
    )
    alone = await opened(database, NEW, None)
    async with database.acquire() as connection:
        keys = await person_keys(connection, alone, persons[:1])
    key = keys.of(persons[0])
    assert key.open(sealed[16:28], sealed[28:], bound_to="blob") == "kept"


async def wrapped_by(database: Database, master: bytes, *, of: int = 50) -> int:
    """Count the keys that a master key alone opens, of the first in the order of the walk."""
    vault = Vault(master, epoch=uuid4(), content_key=b"x", signing=(await opened(database))._signing)
    async with database.acquire() as connection:
        rows = await connection.fetch("select person, key_id, wrapped from person_key order by key_id limit $1", of)
    found = 0
    for row in rows:
        try:
            vault.unwrap(row["person"], row["key_id"], row["wrapped"])
        except InvalidTag:
            continue
        found += 1
    return found
