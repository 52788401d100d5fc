"""Erasing a person on the wired platform: what is owed stays, everything else goes, and no restored process is ready before."""

import base64
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from pydantic import SecretStr

from fieldsvc.app import _checks
from fieldsvc.errors import NotFound
from fieldsvc.intake.abouts import Abouts
from fieldsvc.journal import holds, retention
from fieldsvc.journal.commands import Refusal
from fieldsvc.media.linking import context_of, key_of, link
from fieldsvc.platform import Platform, open_platform
from fieldsvc.settings import Settings
from fieldsvc.sites import EVERYWHERE, Sites
from fieldsvc.work import proof_document
from fieldsvc.work.proofs import Proofs, Reader
from handlers.story import Actor, Refused
from sql import query
from tests.media.pictures import name_of, signature

CANARY = "Lacanarie"
BOSS = Actor("operator", entered_by="usr_boss")
PERSON, SENDER = "person/acc-1/ref-77", Actor("subscriber", account="acc-1")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    key = base64.b64encode(os.urandom(32)).decode()
    return Settings(database_url=SecretStr(database_url), master_key=SecretStr(key), var_dir=tmp_path)


@pytest.fixture
async def platform(settings: Settings, database_url: str) -> AsyncIterator[Platform]:
    async with open_platform(settings, database_url) as opened:
        yield opened


async def delivered(platform: Platform, item: str, *, registered: bool, days_ago: float = 1) -> None:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    order = {"task_id": f"tsk_{uuid4().hex}", "service": "item", "subject": f"item/{item}", "person": "ref-77"}
    order |= {
        "on": at.date().isoformat(),
        "addressee": {"name": CANARY},
        "requirements": ["registered"] if registered else [],
    }
    await platform.commands.send("task.planned", order, actor=SENDER, handler="item", occurred_at=at)
    proof = {"acceptor": {"surname": CANARY, "first_name": "Odette", "capacity": "addressee"}}
    proof |= {"identity": {"document_kind": "passport"}, "presented_on": at.date().isoformat()}
    data = {"item_id": item, "to": "addressee", "proof": proof | {"handed_over_on": at.date().isoformat()}}
    await platform.commands.send("item.delivered", data, actor=Actor("device"), site="site-a", occurred_at=at)


def proofs_of(platform: Platform) -> Proofs:
    return Proofs(platform.database, platform.vault, platform.media)


async def test_the_proof_of_a_registered_item_outlives_the_person_for_a_year_and_nothing_else_does(
    platform: Platform,
) -> None:
    await delivered(platform, "RK1", registered=True)
    await delivered(platform, "RK2", registered=False)
    proofs, sender = proofs_of(platform), Reader(account="acc-1")
    before = orjson.loads(await proofs.as_json("RK1", sender))
    done = await platform.erasing.erase(PERSON)
    assert (done.told, done.kept_proofs) == ("acc-1", 2)
    signed = await proofs.as_json("RK1", sender)
    assert CANARY.encode() in signed
    assert proof_document.check(signed, platform.vault.public_key).proof is not None
    after = orjson.loads(signed)
    assert after.get("payload", after).keys() == before.get("payload", before).keys()
    assert CANARY.encode() in await proofs.as_json("RK1", Reader(sites=EVERYWHERE))
    for item, reader in (("RK2", sender), ("RK1", Reader(account="acc-2")), ("RK1", Reader(sites=Sites("site-b")))):
        with pytest.raises(NotFound):
            await proofs.as_json(item, reader)
    async with platform.database.acquire() as connection:
        await retention.apply(connection, datetime.now(UTC) + timedelta(days=362))
        assert await connection.fetchval("select count(*) from kept_proof") == 2
        await retention.apply(connection, datetime.now(UTC) + timedelta(days=367))
        assert await connection.fetchval("select count(*) from kept_proof") == 0
        assert (
            await connection.fetchval(
                "select count(*) from person_key where person like 'proof/%' and wrapped is not null"
            )
            == 0
        )


async def test_an_erasure_is_outside_the_database_before_it_is_answered_and_a_store_without_it_is_not_ready(
    platform: Platform, settings: Settings, database_url: str
) -> None:
    await delivered(platform, "RK1", registered=False)
    ready = _checks(platform)["erasures"]
    assert await ready()
    await platform.erasing.erase(PERSON)
    assert await platform.erasures.count() == 2, "the person, and the thing that was theirs"
    assert await ready()
    async with platform.database.acquire() as connection:
        wrapped = platform.vault.seal_secret(b"k" * 32, context="as a copy from before has it")
        await connection.execute(
            "update person_key set wrapped = $1, destroyed_at = null where person = $2", wrapped, PERSON
        )
        await connection.execute("delete from erasure")
    async with open_platform(settings, database_url) as restored:
        assert restored.vault.epoch != platform.vault.epoch
        assert await _checks(restored)["erasures"]()
        assert not await ready()
        assert await restored.database.pool.fetchval("select wrapped from person_key where person = $1", PERSON) is None


async def test_whoever_is_under_a_hold_or_was_never_known_is_not_erased(platform: Platform) -> None:
    with pytest.raises(NotFound):
        await platform.erasing.erase(PERSON)
    await delivered(platform, "RK1", registered=False)
    held = await holds.put(platform.database, uuid4(), purpose=None, person=PERSON, reference="TJ 26/77")
    with pytest.raises(Refusal, match="on_hold"):
        await platform.erasing.erase(PERSON)
    await holds.end(platform.database, held)
    assert (await platform.erasing.erase(PERSON)).told == "acc-1"


async def test_an_order_that_names_no_person_is_erased_by_its_subject(platform: Platform) -> None:
    order = {"task_id": f"tsk_{uuid4().hex}", "service": "item", "subject": "item/RK9", "on": "2026-11-22"}
    await platform.commands.send("task.planned", order | {"addressee": {"name": CANARY}}, actor=SENDER, handler="item")
    done = await platform.erasing.erase("item/RK9")
    assert done.told == "acc-1"
    rows = await platform.database.pool.fetch(
        "select account, public from event where type = 'person.erased' and kind = 'public'"
    )
    assert [(row["account"], orjson.loads(row["public"])["public"]["person"]) for row in rows] == [("acc-1", "RK9")]
    assert not await platform.database.pool.fetchval(
        "select count(*) from person_key where wrapped is not null and person = 'item/RK9'"
    )


async def test_whoever_erases_is_noted_without_a_name_by_whatever_way(platform: Platform) -> None:
    await delivered(platform, "RK1", registered=False)
    abouts = Abouts(platform.reader, before={"person.erased": platform.erasing.prepare})
    erased = platform.registry.by_type["person.erased"][1]
    data = {"person": "ref-77", "account": "acc-1"}
    for refused, site in (({**data, "replayed": True}, None), ({**data, "anew": True}, None), (data, "site-a")):
        with pytest.raises(Refused, match="not_allowed"):
            await abouts.filled(erased, refused, actor=BOSS, site=site)
    assert await platform.database.pool.fetchval("select count(*) from audit where action = 'person.erased'") == 0
    await abouts.filled(erased, data, actor=BOSS, site=None)
    await platform.erasing.erase(PERSON)
    digest = platform.vault.person_digest(PERSON).hex()
    rows = await platform.database.pool.fetch("select actor, role, subject from audit where action = 'person.erased'")
    assert [tuple(row) for row in rows] == [
        ("usr_boss", "operator", f"person/{digest}"),
        ("operator (command line)", "operator", f"person/{digest}"),
    ]


async def test_the_doors_under_whose_own_keys_something_lies_are_named_and_erased_by_a_command_of_their_own(
    platform: Platform,
) -> None:
    for item, point in (("RK1", "dp-1"), ("RK2", "dp-2")):
        order = {"task_id": f"tsk_{item}", "service": "item", "subject": f"item/{item}", "person": "ref-77"}
        early = {
            "item_id": item,
            "to": "addressee",
            "proof": {"acceptor": {"surname": CANARY, "first_name": "O", "capacity": "addressee"}},
        }
        await platform.commands.send("item.delivered", early, actor=Actor("device"), site="site-a")
        order |= {"on": "2026-11-22", "delivery_point": point, "addressee": {"name": CANARY}}
        await platform.commands.send("task.planned", order, actor=SENDER, handler="item")
    report = {"delivery_point_id": "dp-1", "change": "vacant", "old_address": f"3 rue {CANARY}", "confidence": "seen"}
    await platform.commands.send("address_change.reported", report, actor=Actor("device"), site="site-a")
    assert (await platform.erasing.erase(PERSON)).places == ("delivery_point/dp-1",)
    assert (await platform.erasing.erase("delivery_point/dp-1")).places == ()
    live = "select key_id from person_key where wrapped is not null"
    for table in ("sealed", "state"):
        assert await platform.database.pool.fetchval(f"select count(*) from {table} where key_id in ({live})") == 0
    for table in ("task", "address_report"):
        by = f"encode(substring(sealed from 1 for 16), 'hex')::uuid in ({live})"
        assert await platform.database.pool.fetchval(f"select count(*) from {table} where {by}") == 0


async def test_a_picture_that_comes_late_for_a_fact_from_before_an_erasure_opens_for_nobody(platform: Platform) -> None:
    early = datetime.now(UTC) - timedelta(hours=2)
    order = {"task_id": "tsk_1", "service": "item", "subject": "item/RK1", "person": "ref-77", "on": "2026-11-22"}
    await platform.commands.send("task.planned", order, actor=SENDER, handler="item")
    await platform.erasing.erase(PERSON)
    await platform.commands.send("task.planned", {**order, "task_id": "tsk_2"}, actor=SENDER, handler="item")
    for at, word in ((early, "before"), (datetime.now(UTC), "since")):
        sign = signature(word)
        data = {"item_id": "RK1", "to": "addressee", "proof": {"signature": name_of(sign)}}
        await platform.commands.send(
            "item.delivered", data, actor=Actor("device"), site="site-a", occurred_at=at, handler="item"
        )
        name = bytes.fromhex(name_of(sign))
        sealed = platform.vault.seal_secret(b"k" * 32, context=context_of(name))
        await platform.database.pool.execute(
            query("media.keep"), name, word, name, "image/webp", 9, 1, 1, "dev", sealed
        )
        assert await link(platform.database, platform.vault, name) == 1
        async with platform.database.acquire() as connection:
            key = await key_of(connection, platform.vault, name, sealed_key=None)
        assert (key is None) == (word == "before")
