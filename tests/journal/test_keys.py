import base64
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from fieldsvc.errors import UserMistake
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.journal.sealed import master_key, open_vault
from fieldsvc.journal.submission import Rejected
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database
from tests.journal.conftest import Journal

KEY = bytes(range(32))


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path)
    first = master_key(settings)
    path = tmp_path / "keys" / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) == 32
    assert master_key(settings) == first
    assert [each.name for each in path.parent.iterdir()] == ["master.key"]


@pytest.mark.parametrize("text", ["", "short", "not base64 !", base64.b64encode(b"x" * 31).decode(), "A" * 43 + "="])
def test_a_weak_or_broken_master_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserMistake):
        master_key(Settings(var_dir=tmp_path, master_key=SecretStr(text)))


def test_a_database_by_url_never_uses_a_key_file(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="FIELDSVC_MASTER_KEY"):
        master_key(Settings(var_dir=tmp_path, database_url=SecretStr("postgresql://h/d")))


async def test_another_masters_key_does_not_open_the_store(database: Database) -> None:
    async with database.acquire() as connection:
        vault = await open_vault(connection, KEY)
        again = await open_vault(connection, KEY)
        assert (again.epoch, again.content_hmac(b"x")) == (vault.epoch, vault.content_hmac(b"x"))
        assert again.public_key.public_bytes_raw() == vault.public_key.public_bytes_raw()
        with pytest.raises(UserMistake, match="another one"):
            await open_vault(connection, KEY[::-1])


async def test_nothing_of_the_keys_lies_open_in_the_database(database: Database) -> None:
    async with database.acquire() as connection:
        vault = await open_vault(connection, KEY)
        (row,) = await connection.fetch("select content_key, signing_key from store")
    assert vault.derived_key("feed") != vault.derived_key("other")
    assert vault.content_hmac(b"x") not in (row["content_key"], row["signing_key"])
    assert len(row["content_key"]) == 12 + 32 + 16


async def test_a_quarantine_entry_is_listed_opened_and_settled_once(journal: Journal) -> None:
    await journal.send(Rejected(None, "not_an_object", b'"canary"'))
    kept = Quarantine(journal.database, journal.vault)
    (entry,) = await kept.entries()
    assert (entry.reason, entry.device, entry.body) == ("not_an_object", "d-1", b"")
    assert (await kept.read(entry.id)).body == b'"canary"'
    assert await kept.settle(entry.id, "discarded")
    assert not await kept.settle(entry.id, "retried")
    assert await kept.entries() == []
    assert [each.settled_as for each in await kept.entries(settled_too=True)] == ["discarded"]
