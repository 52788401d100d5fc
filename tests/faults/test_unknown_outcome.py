"""The connection is lost just when it matters: what is answered is true, and sending again is harmless."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import orjson
import pytest

from fieldsvc.bench.faults.children import Children
from fieldsvc.bench.faults.oracle import Phones, Report, Verdict, judge, read_journal
from fieldsvc.bench.faults.proxy import Cut, Proxy
from fieldsvc.bench.faults.scene import scene
from fieldsvc.errors import Unavailable
from fieldsvc.ids import uuid7
from fieldsvc.journal.submission import Incoming, Outcome
from fieldsvc.journal.writer import RETRY_AFTER_S
from fieldsvc.simulate.transport import HttpTransport, NoAnswer
from fieldsvc.store.database import Database
from handlers.story import Fact, Tale, Write
from tests.journal.conftest import Journal, Trial, open_journal, trial_registry

pytestmark = pytest.mark.fault


@dataclass
class Cuttable:
    """A journal whose writer speaks to the database through a proxy, one beside it that does not, and what was said."""

    journal: Journal
    beside: Journal
    proxy: Proxy
    sent: set[str]
    acked: dict[str, str]

    async def send(self, *items: Incoming) -> list[str]:
        """Send once; return the statuses. Unavailable passes through."""
        return self._noted(items, await self.journal.send(*items))

    async def send_beside(self, *items: Incoming) -> list[str]:
        """Send once past the proxy."""
        return self._noted(items, await self.beside.send(*items))

    def _noted(self, items: tuple[Incoming, ...], outcome: Outcome) -> list[str]:
        self.acked |= {str(item.id): result.status for item, result in zip(items, outcome.results, strict=True)}
        return [result.status for result in outcome.results]

    def note(self, thing: str = "a", value: int = 1) -> Incoming:
        """Make an event."""
        made = self.journal.note(thing, value)
        self.sent.add(str(made.id))
        return made

    async def verdict(self, database: Database) -> Verdict:
        """Judge what is there; the reader is the journal itself, read once."""
        journal = await read_journal(database)
        return judge(journal, journal.public, phones=Phones(self.sent, self.sent, self.acked))


@pytest.fixture
async def cuttable(durable_database: Database, durable_url: str) -> AsyncIterator[Cuttable]:
    parts = urlsplit(durable_url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    async with proxy.listening() as port:
        through = durable_url.replace(f"@{parts.hostname}:{parts.port}/", f"@127.0.0.1:{port}/")
        beside = await open_journal(durable_database, durable_url, trial_registry())
        journal = await open_journal(durable_database, through, trial_registry(), vault=beside.vault)
        yield Cuttable(journal, beside, proxy, set(), {})
        await journal.stop()
        await beside.stop()


async def test_a_commit_that_never_arrived_is_answered_503_and_sent_again_it_is_accepted(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    for value in range(20):
        events = [cuttable.note("a", value), cuttable.note("b", value)]
        cuttable.proxy.arm(Cut.BEFORE)
        with pytest.raises(Unavailable) as refused:
            await cuttable.send(*events)
        assert refused.value.extra["retry_after_s"] == RETRY_AFTER_S
        assert await cuttable.send(*events) == ["accepted", "accepted"]
    verdict = await cuttable.verdict(durable_database)
    report("cut before COMMIT", verdict)
    assert (cuttable.proxy.cuts, verdict.stored, verdict.faults) == (20, 40, [])


async def test_a_commit_whose_answer_was_lost_is_answered_accepted_and_sent_again_it_is_a_duplicate(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    for value in range(20):
        events = [cuttable.note("a", value), cuttable.note("b", value)]
        cuttable.proxy.arm(Cut.ANSWERED)
        assert await cuttable.send(*events) == ["accepted", "accepted"]
        assert await cuttable.send(*events) == ["duplicate", "duplicate"]
    verdict = await cuttable.verdict(durable_database)
    report("cut after COMMIT", verdict)
    assert (cuttable.proxy.cuts, verdict.stored, verdict.faults) == (20, 40, [])


async def test_a_commit_cut_while_the_server_works_on_it_is_answered_truly_either_way(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    for value in range(30):
        event = cuttable.note("a", value)
        cuttable.proxy.arm(Cut.FORWARDED)
        try:
            assert await cuttable.send(event) == ["accepted"]
            told = "duplicate"
        except Unavailable:
            told = "accepted"
        assert await cuttable.send(event) == [told]
    verdict = await cuttable.verdict(durable_database)
    report("cut during COMMIT", verdict)
    assert (cuttable.proxy.cuts, verdict.stored, verdict.faults) == (30, 30, [])


async def test_a_batch_of_which_another_process_stored_a_part_is_not_taken_for_committed(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    """The commit never arrived, and before the writer looks a colleague's phone has brought one of its two events."""
    shared, own = cuttable.note("a", 1), cuttable.note("b", 2)

    async def colleague() -> None:
        assert await cuttable.send_beside(shared) == ["accepted"]

    cuttable.proxy.arm(Cut.BEFORE, meanwhile=colleague)
    with pytest.raises(Unavailable):
        await cuttable.send(shared, own)
    assert await cuttable.send(shared, own) == ["duplicate", "accepted"]
    verdict = await cuttable.verdict(durable_database)
    report("cut before COMMIT, half of it stored by another", verdict)
    assert (verdict.stored, verdict.faults) == (2, [])


@pytest.mark.parametrize("when", [Cut.BEFORE, Cut.FORWARDED])
async def test_a_connection_lost_while_rows_are_copied_makes_no_event_a_poison(
    when: Cut, cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    cuttable.proxy.trigger = b"COPY "
    for value in range(20):
        events = [cuttable.note("a", value), cuttable.note("b", value)]
        cuttable.proxy.arm(when)
        with pytest.raises(Unavailable):
            await cuttable.send(*events)
        assert await cuttable.send(*events) == ["accepted", "accepted"]
    verdict = await cuttable.verdict(durable_database)
    report(f"cut at COPY, {when.name.lower()}", verdict)
    assert (cuttable.proxy.cuts, verdict.stored, verdict.faults) == (20, 40, [])
    assert await cuttable.journal.fetch("select 1 from quarantine") == []


async def test_a_session_ended_while_rows_are_copied_makes_no_event_a_poison(
    cuttable: Cuttable, durable_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver raises then is neither a PostgreSQL error nor a lost connection, but a fault inside itself."""
    copied, ended = asyncpg.Connection.copy_records_to_table, 0

    async def ending(connection: asyncpg.Connection, table: str, *, records: Any, columns: Any = None) -> str:
        async def halting() -> AsyncIterator[Any]:
            nonlocal ended
            if ended < 3:
                ended += 1
                await cuttable.journal.fetch("select pg_terminate_backend($1, 5000)", connection.get_server_pid())
            for record in records:
                yield record

        return await copied(connection, table, records=halting(), columns=columns)

    monkeypatch.setattr(asyncpg.Connection, "copy_records_to_table", ending)
    event, refused, answers = cuttable.note(), 0, list[str]()
    while not answers:
        try:
            answers = await cuttable.send(event)
        except Unavailable:
            refused += 1
    assert (ended, answers) == (3, ["accepted"])
    assert 1 <= refused <= 3
    assert await cuttable.journal.fetch("select 1 from quarantine") == []
    assert (await cuttable.verdict(durable_database)).faults == []


async def test_a_value_that_the_driver_refuses_is_kept_aside_and_blocks_nobody(
    cuttable: Cuttable, durable_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Trial.tell

    def wrong(trial: Trial, facts: Any, new: Fact, now: datetime) -> Tale:
        tale = told(trial, facts, new, now)
        writes = [Write("run.set_state", (5, "started", now))] if new.data["value"] == 13 else []
        return replace(tale, writes=writes)

    monkeypatch.setattr(Trial, "tell", wrong)
    events = [cuttable.note(f"s{value}", value) for value in range(20)]
    statuses = await cuttable.send(*events)
    assert statuses.pop(13) == "quarantined"
    assert set(statuses) == {"accepted"}
    assert (await cuttable.verdict(durable_database)).faults == []


async def test_an_event_raced_from_two_connections_is_stored_once(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    for value in range(100):
        event = cuttable.note(f"s{value % 7}", value)
        told = await asyncio.gather(cuttable.send(event), cuttable.send_beside(event))
        assert sorted(told) == [["accepted"], ["duplicate"]]
    verdict = await cuttable.verdict(durable_database)
    report("raced from two connections", verdict)
    assert (verdict.stored, verdict.published, verdict.faults) == (100, 100, [])


async def test_an_event_raced_in_three_batches_at_once_is_stored_once(
    cuttable: Cuttable, durable_database: Database, report: Report
) -> None:
    for value in range(50):
        event, other = cuttable.note(f"s{value % 7}", value), cuttable.note("other", value)
        told = await asyncio.gather(
            cuttable.send(event, replace(event)),
            cuttable.send(other, replace(event)),
            cuttable.send_beside(event, other),
        )
        statuses = sorted(status for each in told for status in each)
        assert statuses == ["accepted"] * 2 + ["duplicate"] * 4
    verdict = await cuttable.verdict(durable_database)
    report("raced in three batches", verdict)
    assert (verdict.stored, verdict.faults) == (100, [])


async def test_an_upload_whose_answer_was_lost_is_answered_duplicate_when_it_comes_again(
    children: Children, tmp_path: Path
) -> None:
    async with scene(children, tmp_path, seed=5) as town:
        await town.fleet.rest()
        await town.fleet.flush()
        parts = urlsplit(town.service.url)
        assert parts.port is not None
        proxy = Proxy("127.0.0.1", parts.port, trigger=b"POST /v1/events")
        async with proxy.listening() as port, aiohttp.ClientSession(trust_env=False) as session:
            token = town.fleet.devices[0].token
            cut = HttpTransport(session, f"http://127.0.0.1:{port}", token)
            whole = HttpTransport(session, town.service.url, token)
            for number in range(50):
                body, headers = upload_of(number)
                proxy.arm(Cut.ANSWERED)
                with pytest.raises(NoAnswer):
                    await cut.post("/v1/events", body, headers=headers)
                answer = await whole.post("/v1/events", body, headers=headers)
                assert [each["status"] for each in answer.json()["results"]] == ["duplicate"] * 3
        assert proxy.cuts == 50
        assert (await town.reckon()).faults == []


def upload_of(number: int) -> tuple[bytes, dict[str, str]]:
    """Make an upload of three events."""
    events = [
        {
            "specversion": "1.0",
            "id": str(uuid7()),
            "source": "/devices/test",
            "type": "fieldsvc.object.signalled.v1",
            "subject": f"object/lost-{number % 5}",
            "time": datetime.now(UTC).isoformat(),
            "data": {"object_id": f"lost-{number % 5}", "kind": "mailbox", "value": bool(number % 2)},
        }
        for _ in range(3)
    ]
    return orjson.dumps(events), {"Content-Type": "application/cloudevents-batch+json"}
