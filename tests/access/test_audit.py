import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fieldsvc.access import audit, audit_heads
from fieldsvc.access import audit_chain as chain
from fieldsvc.access.audit import SERVICE, Entry, carrier_ref
from fieldsvc.access.audit_heads import Heads
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store import audit as store
from fieldsvc.store.audit import End, Head, Row, Wanted
from fieldsvc.store.database import Database, open_database

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOOK = Entry("acc_1", "supervisor", "run.replayed", "run/run-2026-11-21-p1", "complaint", "pantin", "c" * 32)


def vault(epoch: UUID | None = None) -> Vault:
    return Vault(bytes(range(32)), epoch=epoch or uuid4(), content_key=bytes(32), signing=KEY)


async def check(database: Database, path: Path, keys: Vault) -> chain.Report:
    return await audit_heads.check(database, keys, path, oldest=audit_heads.kept_since(365))


async def rows_of(database: Database) -> list[Row]:
    return await store.chain_after(database, store.START, limit=10_000)


async def forced(database: Database, statement: str) -> None:
    """Do as the owner of the server can: with the triggers off."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(statement)


async def test_what_is_noted_is_chained_and_the_check_finds_nothing(database: Database, tmp_path: Path) -> None:
    keys, path = vault(), tmp_path / "deep" / "heads.jsonl"
    await audit.note(database, LOOK)
    await audit.note(database, replace(LOOK, actor="acc_é\x00\u2028", reason=None, carrier_ref=None), soon=True)
    assert len(await Heads(database, keys, path).sign()) == 1
    assert await Heads(database, keys, path).sign() == []
    await audit.note(database, LOOK)
    found = await rows_of(database)
    assert [row.pos for row in found] == [1, 2, 3, 4]
    assert [row.action for row in found] == ["run.replayed", "run.replayed", "audit.anchored", "run.replayed"]
    assert (found[1].actor, found[1].reason, found[2].actor) == ("acc_é??", None, SERVICE)
    report = await check(database, path, keys)
    assert (report.rows, report.heads, report.faults) == (4, 1, [])
    assert path.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_changed_deleted_or_emptied(database: Database, tmp_path: Path) -> None:
    await audit.note(database, LOOK)
    await Heads(database, vault(), tmp_path / "heads").sign()
    async with database.acquire() as connection:
        partition = await connection.fetchval("select tableoid::regclass::text from audit limit 1")
        for table in ("audit", partition, "audit_head"):
            for statement in (f"update {table} set pos = pos + 9", f"delete from {table}", f"truncate {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("select audit_note('a', E'b\\x1f', 'c', 'd', null, null, null)")


async def test_several_processes_write_one_chain(database: Database, database_url: str, tmp_path: Path) -> None:
    others = [await open_database(database_url, size=4) for _ in range(3)]
    try:
        await asyncio.gather(
            *(
                audit.note(each, replace(LOOK, subject=f"run/{n}"), soon=n % 3 > 0)
                for n in range(60)
                for each in [database, *others]
            ),
            *(Heads(each, vault(UUID(int=1)), tmp_path / "heads").sign() for each in others),
        )
    finally:
        for each in others:
            await each.close()
    found = await rows_of(database)
    assert [row.pos for row in found] == list(range(1, 242))
    assert [row.at for row in found] == sorted(row.at for row in found)
    assert (await check(database, tmp_path / "heads", vault())).faults == []


async def test_the_owner_of_the_server_cannot_change_it_unseen(database: Database, tmp_path: Path) -> None:
    keys, path = vault(), tmp_path / "heads"
    for n in range(6):
        await audit.note(database, replace(LOOK, subject=f"run/{n}"))
    await Heads(database, keys, path).sign()
    day = datetime.now(UTC).date()
    for statement, first_bad in (
        ("update audit set actor = 'acc_2' where pos = 3", 3),
        ("delete from audit where pos = 5", 6),
        ("update audit set pos = case pos when 900 then 4 else 900 end where pos in (4, 900)", 5),
        ("delete from audit where pos > 3", 7),
    ):
        before = await rows_of(database)
        await forced(database, statement)
        report = await check(database, path, keys)
        assert report.faults[0].startswith(f"Day {day}, row {first_bad}: "), report.faults
        await forced(database, "delete from audit")
        for row in before:
            values = ", ".join(_literal(getattr(row, name)) for name in Row.__dataclass_fields__)
            await forced(database, f"insert into audit values ({values})")
        assert (await check(database, path, keys)).faults == []
    # A chain made anew fits itself, and the end of it: but not what was signed.
    await forced(
        database,
        "delete from audit; update audit_end set day = '2000-01-01', pos = 0, chain = sha256('fieldsvc audit')",
    )
    for n in range(9):
        await audit.note(database, replace(LOOK, subject=f"other/{n}"))
    await forced(database, "delete from audit_head")
    assert (await check(database, path, keys)).faults == [f"Day {day}, row 7: it is not what was signed."]


def _literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return "null" if value is None else f"'{value}'"


async def test_after_a_restore_the_chain_goes_on_and_says_so(database: Database, tmp_path: Path) -> None:
    path, old, new = tmp_path / "heads", vault(), vault()
    for n in range(3):
        await audit.note(database, replace(LOOK, subject=f"run/{n}"))
    await Heads(database, old, path).sign()
    kept, end = await rows_of(database), await store.end(database)
    for n in range(3):
        await audit.note(database, replace(LOOK, subject=f"lost/{n}"))
    (lost,) = await Heads(database, old, path).sign()
    # What a restore to that moment leaves; the file beside it knows more.
    await forced(database, f"delete from audit where pos > {end.pos}; delete from audit_head where pos > {end.pos}")
    await forced(database, f"update audit_end set pos = {end.pos}, at = '{end.at}', chain = '\\x{end.chain.hex()}'")
    assert "it is not what was signed" in (await check(database, path, old)).faults[0]
    before = await check(database, path, new)  # as an operator may, before the service starts
    assert (before.faults, before.before_restore) == ([], 1)
    await Heads(database, new, path).sign()
    await audit.note(database, LOOK)
    report = await check(database, path, new)
    assert (report.faults, report.before_restore, report.heads) == ([], 1, 2)
    assert "If nobody restored this store" in report.restores[0]
    found = await rows_of(database)
    assert found[: len(kept)] == kept
    assert (found[len(kept)].action, found[len(kept)].subject) == ("audit.anchored", f"epoch/{new.epoch}")
    assert lost.pos == end.pos + 3


def linked(rows: Sequence[Row], *, first: int = 0) -> list[Row]:
    """Compute the links anew from a row on, as whoever owns the database can."""
    made = list(rows[:first])
    for row in rows[first:]:
        made.append(replace(row, chain=chain.link(made[-1].chain if made else chain.CHAIN_START, row)))
    return made


def anchor(row: Row, epoch: UUID, *, later: int = 0) -> Row:
    """Make a row that says that the chain goes on under an epoch, in the place of another or behind it."""
    subject = f"{chain.EPOCH}{epoch}"
    return replace(row, pos=row.pos + later, actor=SERVICE, role=SERVICE, action=chain.ANCHORED, subject=subject)


def after(rows: Sequence[Row], heads: Sequence[Head], epoch: UUID, *, store_epoch: UUID) -> chain.Report:
    checking = chain.Check(heads)
    checking.walk(rows)
    return checking.finish(End(*rows[-1].place, rows[-1].at, rows[-1].chain, epoch), epoch=store_epoch)


def test_a_restore_that_never_was_does_not_hide_a_log_made_anew(note: Callable[[str], None]) -> None:
    dice, found = random.Random(8), 0
    for n in range(200):
        rows, heads, end = exported(30, seed=n)
        assert end.epoch is not None
        assert after(rows, heads, end.epoch, store_epoch=end.epoch).faults == []
        forged = [replace(row, actor="acc_innocent") for row in rows]
        begins = dice.choice((0, dice.randrange(len(rows))))
        forged[begins] = anchor(forged[begins], uuid4())
        if dice.random() < 0.7:
            forged.append(anchor(forged[-1], end.epoch, later=1))
        found += bool(after(linked(forged), heads, end.epoch, store_epoch=end.epoch).faults)
    note(f"audit: {found} of 200 logs made anew behind a feigned restore found")
    assert found == 200


async def test_a_feigned_restore_in_the_database_is_found_with_every_signed_link_in_place(
    database: Database, tmp_path: Path
) -> None:
    keys, path = vault(), tmp_path / "heads"
    for n in range(4):
        await audit.note(database, replace(LOOK, subject=f"run/{n}"))
        await Heads(database, keys, path).sign()
    honest = await rows_of(database)
    forged = [anchor(honest[0], uuid4()), *(replace(row, action="run.listed") for row in honest[1:])]
    forged = linked([*forged, anchor(forged[-1], keys.epoch, later=1)])
    await forced(database, "delete from audit")
    for row in forged:
        values = ", ".join(_literal(getattr(row, name)) for name in Row.__dataclass_fields__)
        await forced(database, f"insert into audit values ({values})")
    last = forged[-1]
    await forced(database, f"update audit_end set pos = {last.pos}, at = '{last.at}', chain = '\\x{last.chain.hex()}'")
    faults = (await check(database, path, keys)).faults
    assert [fault.partition(": ")[2] for fault in faults] == ["it is not what was signed."] * 4
    await Heads(database, keys, path).sign()
    faults = (await check(database, path, keys)).faults
    assert "it tells of a restore that was never signed" in faults[0]
    assert len(faults) == 5


def test_neither_an_older_epoch_nor_a_log_cut_short_hides_what_was_signed() -> None:
    rows, _, end = exported(30, seed=5)
    old, new = end.epoch, uuid4()
    assert old is not None
    start = linked([anchor(rows[0], old), *rows[1:]])
    first = chain.sign(End(*start[0].place, start[0].at, start[0].chain, old), old, KEY.sign)
    whole = linked([*start, replace(anchor(start[-1], new, later=1), at=start[-1].at + timedelta(hours=1))])
    last = chain.sign(End(*whole[-1].place, whole[-1].at, whole[-1].chain, new), new, KEY.sign)
    assert after(whole, [first, last], new, store_epoch=new).faults == []
    assert after(
        start[:9], [first, last], new, store_epoch=new
    ).faults  # as if the chain had gone on under the old epoch
    cut = linked([*start[:9], anchor(start[8], new, later=1)], first=9)
    assert after(cut, [first, last], new, store_epoch=new).faults
    middle = chain.sign(End(*start[20].place, start[20].at, start[20].chain, old), old, KEY.sign)
    again = linked([*start[:9], replace(anchor(start[8], new, later=1), at=whole[-1].at)], first=9)
    signed = chain.sign(End(*again[-1].place, again[-1].at, again[-1].chain, new), new, KEY.sign)
    told = after(again, [first, middle, signed], new, store_epoch=new)
    assert (told.faults, told.before_restore, len(told.restores)) == ([], 1, 1)
    assert "If nobody restored this store, rows were taken out of the log" in told.restores[0]
    changed = linked([start[0], replace(start[1], actor="acc_innocent"), *again[2:]], first=1)
    assert after(changed, [first, middle, signed], new, store_epoch=new).faults


def test_a_link_that_was_signed_anew_does_not_hide_the_one_before() -> None:
    rows, heads, end = exported(30, seed=6)
    assert end.epoch is not None
    forged = linked([replace(row, actor="acc_innocent") for row in rows])
    by_place = {row.place: row for row in forged}
    anew = [chain.sign(End(h.day, h.pos, h.at, by_place[h.day, h.pos].chain, None), h.epoch, KEY.sign) for h in heads]
    assert after(forged, [*heads, *anew], end.epoch, store_epoch=end.epoch).faults


async def test_old_months_are_dropped_and_what_is_left_still_fits(database: Database, tmp_path: Path) -> None:
    keys, path, old = vault(), tmp_path / "heads", date(2025, 3, 1)
    async with database.acquire() as connection:
        await connection.execute("select make_audit_months($1, 1)", old)
    await _noted_on(database, datetime(2025, 3, 30, tzinfo=UTC))
    await Heads(database, keys, path).sign()
    await audit.note(database, LOOK)
    await Heads(database, keys, path).sign()
    report = await check(database, path, keys)
    assert (report.rows, report.heads, report.faults) == (3, 3, [])
    async with database.acquire() as connection:
        await make_partitions(connection, datetime.now(UTC))
    report = await check(database, path, keys)
    assert (report.rows, report.heads, report.no_longer_kept, report.faults) == (2, 2, 1, [])


async def _noted_on(database: Database, moment: datetime) -> None:
    """Note two rows at another time, by turning the clock back: what the function does, in SQL."""
    async with database.acquire() as connection:
        text = await connection.fetchval("select pg_get_functiondef('audit_note'::regproc)")
        await connection.execute(text.replace("clock_timestamp()", f"timestamptz '{moment.isoformat()}'"))
        await connection.execute("select audit_note('a', 'b', 'c', 'd', null, null, null)")
        await connection.execute(text)


def exported(count: int, *, seed: int) -> tuple[list[Row], list[Head], End]:
    """Make a log of several days with signed links, as it would be exported."""
    dice = random.Random(seed)
    previous, epoch, rows, heads = chain.CHAIN_START, UUID(int=seed), [], []
    at, place = datetime(2026, 11, 1, 8, tzinfo=UTC), (date(2000, 1, 1), 0)
    for n in range(count):
        at += timedelta(minutes=dice.randint(0, 240), microseconds=dice.randint(0, 999))
        pos = place[1] + 1 if at.date() == place[0] else 1
        texts = [dice.choice(("a", "b", "é")) * dice.randint(1, 9) for _ in range(4)]
        unlinked = Row(at.date(), pos, at, *texts, dice.choice((None, "x")), dice.choice((None, "pantin")), f"{n:032x}")
        rows.append(replace(unlinked, chain=chain.link(previous, unlinked)))
        previous, place = rows[-1].chain, rows[-1].place
        if dice.random() < 0.2 or n == count - 1:
            heads.append(chain.sign(End(*place, at, previous, epoch), epoch, KEY.sign))
    return rows, heads, End(*place, at, previous, epoch)


def tampered(rows: Sequence[Row], dice: random.Random) -> list[Row]:
    """Change one row by one byte, delete one, or swap two: of those that differ."""
    changed, n = list(rows), dice.randrange(len(rows))
    kind = dice.choice(("flip", "flip", "delete", "swap", "swap places"))
    if kind == "flip":
        name = dice.choice([name for name in Row.__dataclass_fields__ if getattr(rows[n], name) is not None])
        changed[n] = replace(rows[n], **{name: _flipped(getattr(rows[n], name), dice)})
    elif kind == "delete":
        del changed[n]
    else:
        m = (n + dice.randrange(1, len(rows))) % len(rows)
        changed[n], changed[m] = rows[m], rows[n]
        if kind == "swap places":  # each stands where the other stood
            changed[n] = replace(changed[n], day=rows[n].day, pos=rows[n].pos)
            changed[m] = replace(changed[m], day=rows[m].day, pos=rows[m].pos)
    return changed


def _flipped(value: object, dice: random.Random) -> object:
    match value:
        case bytes():
            at = dice.randrange(len(value))
            return value[:at] + bytes([value[at] ^ 1 << dice.randrange(8)]) + value[at + 1 :]
        case str():
            at = dice.randrange(len(value))
            return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        case int():
            return value ^ 1
        case datetime():
            return value + timedelta(microseconds=1)
        case date():
            return value + timedelta(days=1)
    raise AssertionError(value)


def verdict(rows: Sequence[Row], heads: Sequence[Head], end: End) -> list[str]:
    checking = chain.Check(heads)
    checking.walk(rows)
    return checking.finish(end).faults


def test_a_thousand_of_a_thousand_changes_are_found(note: Callable[[str], None]) -> None:
    dice, found, named = random.Random(20261122), 0, 0
    for n in range(10):
        rows, heads, end = exported(60, seed=n)
        assert verdict(rows, heads, end) == []
        for _ in range(100):
            changed = tampered(rows, dice)
            faults = verdict(changed, heads, end)
            found += bool(faults)
            first = next((at for at, (a, b) in enumerate(zip(rows, changed, strict=False)) if a != b), len(changed))
            near = {changed[at] for at in (first, first + 1) if at < len(changed)} or {rows[-1]}
            named += any(faults[0].startswith(f"Day {row.day}, row {row.pos}:") for row in near)
    note(f"audit tamper test: {found} of 1,000 changes found, {named} named at the first bad row")
    assert (found, named) == (1000, 1000)


def test_a_signed_link_is_genuine_only_as_it_was_signed() -> None:
    rows, (head, *_), _ = exported(20, seed=1)
    assert rows
    assert chain.read(chain.written(head)) == head
    assert chain.is_genuine(head, KEY.public_key())
    for other in (replace(head, pos=head.pos + 1), replace(head, chain=bytes(32)), replace(head, epoch=uuid4())):
        assert not chain.is_genuine(other, KEY.public_key())
    for line in (b"", b"{}", b"[]", b'{"day": 3}', chain.written(head).replace(b'"epoch":"', b'"epoch":"x')):
        with pytest.raises(ValueError, match=r".*"):
            chain.read(line)


async def test_a_forged_or_broken_line_of_the_file_is_a_fault(database: Database, tmp_path: Path) -> None:
    path, keys = tmp_path / "heads", vault()
    (head,) = await Heads(database, keys, path).sign()
    with path.open("ab") as file:
        file.write(chain.written(replace(head, pos=head.pos + 1)) + b"\nnot a head\n")
    assert (await check(database, path, keys)).faults == ["2 signed links are not genuine."]


async def test_the_log_is_read_a_page_at_a_time_and_by_carrier(database: Database) -> None:
    key = bytes(32)
    mine = carrier_ref(key, "Camille", "pantin")
    assert mine not in (carrier_ref(key, "Camille", "lilas"), carrier_ref(b"k" * 32, "Camille", "pantin"))
    for n in range(5):
        await audit.note(database, replace(LOOK, subject=f"run/{n}", carrier_ref=mine if n % 2 else None))
    first = await store.page(database, Wanted(site="pantin"), before=store.NEWEST, limit=3)
    rest = await store.page(database, Wanted(site="pantin"), before=first[-1].place, limit=3)
    assert [row.subject for row in (*first, *rest)] == [f"run/{n}" for n in (4, 3, 2, 1, 0)]
    assert await store.page(database, Wanted(role="operator"), before=store.NEWEST, limit=3) == []
    own = await store.of_carrier(database, mine, site="pantin", before=store.NEWEST, limit=9)
    assert [row.subject for row in own] == ["run/3", "run/1"]


async def test_a_look_is_noted_in_about_a_millisecond(database: Database, note: Callable[[str], None]) -> None:
    took = []
    for n in range(200):
        began = time.perf_counter()
        await audit.note(database, replace(LOOK, subject=f"run/{n}"), soon=True)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    note(f"audit: a look is noted in {statistics.median(took):.2f} ms (median), {took[190]:.2f} ms (95 %), of 200")
    assert statistics.median(took) < 5
