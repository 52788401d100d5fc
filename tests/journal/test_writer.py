import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from cryptography.exceptions import InvalidTag

from fieldsvc.errors import TooMany, Unavailable
from fieldsvc.ids import uuid7
from fieldsvc.journal import receipts
from fieldsvc.journal.submission import Rejected, Submission
from fieldsvc.journal.timers import Timers
from tests.journal.conftest import NOW, Journal


async def test_an_accepted_event_is_there_with_its_public_event(journal: Journal) -> None:
    event = journal.note("a", 5)
    outcome = await journal.send(event)
    assert [(r.status, r.warnings) for r in outcome.results] == [("accepted", ("seen",))]
    (row,) = await journal.rows()
    assert (row.evt_id, row.subject, row.subject_seq, row.type) == (f"evt_{event.id}", "thing/a", 1, "trial.noted")
    assert orjson.loads(row.public)["public"] == {"thing": "a", "value": 5, "rank": 1}


async def test_second_copy_of_an_event_is_acknowledged_and_not_stored_twice(journal: Journal) -> None:
    event = journal.note()
    await journal.send(event)
    again = await journal.send(event, event)
    assert [r.status for r in again.results] == ["duplicate", "duplicate"]
    assert len(await journal.rows()) == 1


async def test_two_copies_in_one_batch_take_effect_once(journal: Journal) -> None:
    event = journal.note()
    outcome = await journal.send(event, replace(event))
    assert [r.status for r in outcome.results] == ["accepted", "duplicate"]
    assert len(await journal.rows()) == 1


async def test_same_id_with_other_content_is_a_conflict_and_kept_aside(journal: Journal) -> None:
    event = journal.note("a", 1)
    await journal.send(event)
    outcome = await journal.send(journal.note("a", 2, id=event.id))
    assert outcome.results[0].status == "conflict"
    assert await journal.story("thing/a") == [(1, {"thing": "a", "value": 1, "rank": 1})]
    (kept,) = await journal.fetch("select reason, device from quarantine")
    assert tuple(kept) == ("conflict", "d-1")


async def test_the_same_content_from_a_device_of_another_site_is_a_conflict(journal: Journal) -> None:
    event = journal.note()
    await journal.send(event)
    foreign = await journal.send(replace(event, site="bondy"))
    colleague = await journal.send(event, device="d-2")
    assert [foreign.results[0].status, colleague.results[0].status] == ["conflict", "duplicate"]


async def test_the_second_of_two_conflicting_copies_in_one_batch_is_kept_aside(journal: Journal) -> None:
    event = journal.note("a", 1)
    outcome = await journal.send(event, journal.note("a", 2, id=event.id))
    assert [r.status for r in outcome.results] == ["accepted", "conflict"]
    assert len(await journal.fetch("select 1 from quarantine")) == 1


async def test_a_fault_in_the_rules_quarantines_that_event_alone(journal: Journal) -> None:
    outcome = await journal.send(journal.note("a"), journal.note("b", demand="crash"), journal.note("c"))
    assert [(r.status, r.reason) for r in outcome.results] == [
        ("accepted", None),
        ("quarantined", "handler_failed"),
        ("accepted", None),
    ]
    assert {row.subject for row in await journal.rows()} == {"thing/a", "thing/c"}


async def test_a_quarantined_id_can_come_again(journal: Journal) -> None:
    bad = journal.note("a", demand="crash")
    await journal.send(bad)
    good = await journal.send(journal.note("a", id=bad.id))
    assert good.results[0].status == "accepted"


async def test_a_refused_event_of_a_phone_is_quarantined_with_the_services_reason(journal: Journal) -> None:
    outcome = await journal.send(journal.note(demand="refuse"))
    assert (outcome.results[0].status, outcome.results[0].reason) == ("quarantined", "no_thanks")


async def test_a_value_that_the_database_refuses_is_found_and_the_others_are_kept(journal: Journal) -> None:
    notes = [journal.note(f"t{n}", n) for n in range(20)]
    notes[13] = journal.note("t13", 1_000_000, demand="store")
    outcome = await journal.send(*notes)
    statuses = [r.status for r in outcome.results]
    assert statuses[13] == "quarantined"
    assert statuses.count("accepted") == 19
    assert len(await journal.rows()) == 19
    assert outcome.receipt is not None
    (body,) = [receipts.verify(outcome.receipt, journal.vault.public_key)]
    assert body is not None
    assert len(body["events"]) == 19


async def test_an_event_that_names_several_things_gives_numbered_public_events(journal: Journal) -> None:
    event = journal.note("x+y+z")
    await journal.send(event)
    assert {row.evt_id: row.subject for row in await journal.rows()} == {
        f"evt_{event.id}_1": "thing/x",
        f"evt_{event.id}_2": "thing/y",
        f"evt_{event.id}_3": "thing/z",
    }


async def test_sequences_of_a_subject_have_no_gap_whatever_comes(journal: Journal) -> None:
    first = journal.note("a", 1)
    for items in ([first], [first, journal.note("a", 2)], [journal.note("a", demand="crash")], [journal.note("a", 3)]):
        await journal.send(*items)
    rows = [row for row in await journal.rows() if row.subject == "thing/a"]
    assert [row.subject_seq for row in rows] == list(range(1, len(rows) + 1))


async def test_late_truth_is_told_again_with_supersedes(journal: Journal) -> None:
    late, early = journal.note("a", 2, at=NOW), journal.note("a", 1, at=NOW - timedelta(hours=1))
    await journal.send(late)
    await journal.send(early)
    told = [(row.evt_id, orjson.loads(row.public)) for row in await journal.rows()]
    assert [(name, body["public"]["value"], body["public"]["rank"], body.get("supersedes")) for name, body in told] == [
        (f"evt_{late.id}", 2, 1, None),
        (f"evt_{early.id}", 1, 1, None),
        (f"evt_{early.id}_1", 2, 2, f"evt_{late.id}"),
    ]


async def test_health_fields_lie_only_in_sealed_parts(journal: Journal) -> None:
    event = journal.note("a", illness="asthma-canary", inside="dock 4", unheard_of="zebra-canary")
    await journal.send(event)
    async with journal.database.acquire() as connection:
        for table in ("event", "state", "sealed", "timer", "receipt", "subject_head"):
            text = str(await connection.fetch(f"select * from {table}"))
            raw = b"".join(
                bytes(v) for r in await connection.fetch(f"select * from {table}") for v in r if isinstance(v, bytes)
            )
            assert "canary" not in text
            assert b"canary" not in raw
    opened = await journal.opener.open_parts([(event.id, 0)])
    assert opened[(event.id, 0)]["health"] == {"illness": "asthma-canary"}
    (row,) = await journal.rows()
    assert orjson.loads(row.public) == {
        "public": {"thing": "a", "value": 1, "rank": 1},
        "operational": {"inside": "dock 4"},
        "sealed": ["health"],
    }


async def test_a_destroyed_key_erases_and_the_subject_goes_on(journal: Journal) -> None:
    event = journal.note("a", illness="x")
    await journal.send(event)
    await journal.fetch("update person_key set wrapped = null, destroyed_at = now()")
    assert await journal.opener.open_parts([(event.id, 0)]) == {(event.id, 0): {"health": None}}
    outcome = await journal.send(journal.note("a", 2))
    assert outcome.results[0].status == "accepted"


async def test_a_ciphertext_cannot_be_moved_to_another_event(journal: Journal) -> None:
    one, two = journal.note("a", illness="x"), journal.note("a", 2, illness="y")
    await journal.send(one, two)
    await journal.fetch(
        "update sealed set ciphertext = other.ciphertext, nonce = other.nonce from sealed as other"
        " where sealed.event_id = $1 and other.event_id = $2 and sealed.purpose = 'health' and other.purpose = 'health'"
        " and sealed.part = 0 and other.part = 0",
        one.id,
        two.id,
    )
    with pytest.raises(InvalidTag):
        await journal.opener.open_parts([(one.id, 0)])


async def test_each_request_gets_one_receipt_chained_per_device(journal: Journal) -> None:
    event = journal.note("a")
    first = await journal.send(event)
    second = await journal.send(event, journal.note("b"))
    assert first.receipt
    assert second.receipt
    one, two = (receipts.verify(text, journal.vault.public_key) for text in (first.receipt, second.receipt))
    assert one is not None
    assert two is not None
    assert (one["no"], two["no"]) == (1, 2)
    assert [status for _id, status, _hmac in two["events"]] == ["duplicate", "accepted"]
    (stored,) = await journal.fetch("select body, signature from receipt where no = 1")
    assert two["previous"] == receipts.Receipt("d-1", 1, NOW, b"", stored["body"], stored["signature"]).digest.hex()
    assert receipts.verify(first.receipt[:-3] + "AAA", journal.vault.public_key) is None


async def test_a_timer_fires_once_as_a_fact_of_its_subject(journal: Journal) -> None:
    await journal.send(journal.note("a", demand="timer"))
    timers = Timers(journal.database, journal.commands)
    later = datetime.now(UTC) + timedelta(minutes=2)
    assert await timers.fire(datetime.now(UTC)) == 0
    fired = await asyncio.gather(timers.fire(later), timers.fire(later))
    assert max(fired) == 1
    assert await journal.fetch("select 1 from timer") == []
    (state,) = await journal.fetch("select version from state")
    assert state["version"] == 2


async def test_setting_a_timer_again_replaces_it(journal: Journal) -> None:
    await journal.send(journal.note("a", demand="timer"), journal.note("a", 2, demand="timer"))
    await journal.send(journal.note("a", 3, demand="timer"))
    assert len(await journal.fetch("select 1 from timer")) == 1


async def test_a_command_for_another_subject_arrives_in_a_later_batch(journal: Journal) -> None:
    await journal.send(journal.note("a", demand="command"), journal.note("b", demand="command"))
    assert await journal.story("thing/other") == []
    await Timers(journal.database, journal.commands).fire(datetime.now(UTC) + timedelta(seconds=1))
    assert [seq for seq, _ in await journal.story("thing/other")] == [1, 2]


async def test_a_full_queue_answers_503_and_one_device_429(journal: Journal) -> None:
    journal.writer._limit, journal.writer._device_limit = 10, 5
    with pytest.raises(TooMany) as busy:
        await journal.send(*[journal.note(f"t{n}") for n in range(6)])
    with pytest.raises(Unavailable) as full:
        await journal.send(*[journal.note(f"t{n}") for n in range(11)])
    assert busy.value.extra["retry_after_s"]
    assert full.value.extra["retry_after_s"]
    assert await journal.rows() == []


async def test_a_lock_that_takes_too_long_answers_503_and_the_next_try_works(journal: Journal) -> None:
    event = journal.note()
    async with journal.database.acquire() as connection, connection.transaction():
        await connection.fetch("select id from shard for update")
        with pytest.raises(Unavailable):
            await journal.send(event)
    assert (await journal.send(event)).results[0].status == "accepted"


async def test_a_member_that_cannot_be_an_event_is_kept_with_its_reason(journal: Journal) -> None:
    outcome = await journal.send(
        Rejected(None, "not_an_object", b"12"), journal.note(), Rejected(None, "not_an_object", b"12")
    )
    assert [(r.status, r.reason) for r in outcome.results] == [
        ("quarantined", "not_an_object"),
        ("accepted", None),
        ("quarantined", "not_an_object"),
    ]
    (kept,) = await journal.fetch("select id, body from quarantine")
    assert journal.vault.open_secret(kept["body"], context=f"quarantine|{kept['id']}") == b"12"


async def test_positions_increase_and_the_chain_links_every_row(journal: Journal) -> None:
    for n in range(5):
        await journal.send(*[journal.note(f"t{m}", n, illness="x" if m % 2 else None) for m in range(10)])
    from fieldsvc.journal.verify import verify_journal

    report = await verify_journal(journal.database)
    assert (report.rows, report.faults) == (100, [])
    await journal.fetch("update event set public = public || ' '::bytea where kind = 'public' and subject = 'thing/t3'")
    assert (await verify_journal(journal.database)).faults


async def test_another_writer_of_the_shards_makes_this_one_read_again(
    journal: Journal, second_journal: Journal
) -> None:
    for n in range(6):
        await (journal, second_journal)[n % 2].send(*[journal.note(f"t{m}", n) for m in range(8)])
    for m in range(8):
        assert [seq for seq, _ in await journal.story(f"thing/t{m}")] == [1, 2, 3, 4, 5, 6]


async def test_a_stop_commits_what_waits_and_refuses_the_rest(journal: Journal) -> None:
    sent = [asyncio.create_task(journal.send(journal.note(f"t{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    journal.writer.stop()
    assert {(await task).results[0].status for task in sent} == {"accepted"}
    with pytest.raises(Unavailable):
        await journal.writer.submit(Submission([journal.note("z")]))


async def test_ids_of_any_version_are_taken(journal: Journal) -> None:
    ids = [
        UUID("f2c1ca9e-6f0a-4c3e-9d0e-2f5a1b6c7d8e"),
        UUID(int=5),
        UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"),
        uuid7(),
    ]
    outcome = await journal.send(*[journal.note(f"t{n}", id=name) for n, name in enumerate(ids)])
    assert {r.status for r in outcome.results} == {"accepted"}
