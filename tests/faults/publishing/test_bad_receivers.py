"""Forty kinds of bad receiver at once, beside one that is well: each ends as it must, and the healthy one notices nothing."""

import resource
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fieldsvc.publishing import webhooks
from fieldsvc.publishing.posting import usual_tls
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.store.database import Database
from tests.faults.publishing.oracle import Report, Verdict, judge
from tests.faults.publishing.receivers import DISABLED, TAKEN, Kind, Names, certificates, kinds, standing
from tests.faults.publishing.scene import Inbox, Pen, add_endpoint, books, dispatching, host, ready, until

pytestmark = pytest.mark.fault
TOTAL_S, NOTICED_S, GROWN_KB = 2.0, 10.0, 100_000
SCHEDULE = (0, *[0.3] * 500)
SUBJECTS = [f"item/RK{number}FR" for number in range(6)]
STATE = """
select e.state, lane.opened_at is not null as is_open,
  (select count(*) from dead_letter d where d.endpoint = e.id) as dead
from endpoint e join lane on lane.endpoint = e.id where e.id = $1
"""
LONGEST = "select max(ms) from attempt"
SAID = "select distinct coalesce(error, status::text) as word from attempt where endpoint = $1 and (error is not null or status >= 300)"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The same limits, some seconds at most, which a busy machine does not reach by itself; and our own authority is trusted."""
    usual_tls.cache_clear()
    monkeypatch.setattr(webhooks, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(webhooks, "TOTAL_TIMEOUT_S", TOTAL_S)
    monkeypatch.setattr(webhooks, "BODY_TIMEOUT_S", 0.3)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    yield
    usual_tls.cache_clear()


async def test_each_kind_of_bad_receiver_ends_as_it_must_and_the_healthy_one_notices_nothing(
    hurried: None, database: Database, tmp_path: Path, report: Report
) -> None:
    pen, vault, contexts = Pen(database.url), await ready(database), certificates(tmp_path)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with host() as town:
        well, elsewhere = town.inbox("well"), town.inbox("elsewhere")
        every = kinds(elsewhere.url)
        async with standing(every, contexts) as inboxes:
            for inbox in (well, *inboxes.values()):
                inbox.endpoint = await add_endpoint(database, vault, inbox.url)
            sender = Sender(allow_loopback=True, resolver=Names())
            async with dispatching(database, vault, *SCHEDULE, sender=sender):
                await pen.say(*SUBJECTS, *SUBJECTS)
                for number, kind in enumerate(every):
                    inbox = inboxes[kind.name]
                    await until(lambda kind=kind, inbox=inbox: ended(database, kind, inbox, pen), what=kind.name)
                    if number % 4 == 0:
                        await pen.say(SUBJECTS[number % 6])
                await until(lambda: well.has(list(pen.written_at)))
            async with database.acquire() as connection:
                longest_ms = await connection.fetchval(LONGEST)
                said = {name: await _said(connection, inbox) for name, inbox in inboxes.items()}
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    late_s = max(each.at - pen.written_at[each.event.id] for each in well.got)
    total = Verdict(0)
    for name, inbox in {**inboxes, "well": well}.items():
        found = await books(database, inbox.endpoint)
        verdict = judge(found.events, inbox.got, records=found.records)
        assert verdict.faults == [], name
        total += verdict
    await pen.close()
    worst = f"healthy one's worst {late_s:.2f} s, longest attempt {longest_ms} ms of {TOTAL_S * 1000:.0f}"
    report(f"{len(every)} kinds of bad receiver, {worst}, memory + {grown_kb / 1000:.0f} MB", total)
    assert said == {kind.name: {kind.says} - {""} for kind in every}
    assert elsewhere.got == []
    assert judge(found.events, well.got, again=0).lost == 0
    assert late_s < NOTICED_S
    assert longest_ms < 2 * TOTAL_S * 1000 + 3000
    assert grown_kb < GROWN_KB


async def ended(database: Database, kind: Kind, inbox: Inbox, pen: Pen) -> bool:
    """Tell whether a receiver is where its kind ends; taken: it has everything, held: the breaker is open and nothing is lost."""
    async with database.acquire() as connection:
        state, is_open, dead = await connection.fetchrow(STATE, inbox.endpoint)
    assert dead == 0, kind.name
    if kind.end == TAKEN:
        return inbox.has(list(pen.written_at))
    assert inbox.acknowledged == set(), kind.name
    return state == "disabled" if kind.end == DISABLED else is_open and state == "active"


async def _said(connection: asyncpg.Connection, inbox: Inbox) -> set[str]:
    return {row["word"] for row in await connection.fetch(SAID, inbox.endpoint)}
