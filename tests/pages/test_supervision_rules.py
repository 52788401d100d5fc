"""The rules of the supervision scripts that need no page: who is behind, who needs somebody first, what replaced what."""

from typing import Any
from uuid import UUID

import pytest

from tests.pages.browser import Open
from tests.pages.test_supervision_modules import call

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOON, LATER = "2026-11-21T12:00:00Z", "2026-11-21T12:20:00Z"


def back(name: str, **more: Any) -> dict[str, Any]:
    about = {"run_id": f"run-{name}", "round_id": name, "name": name, "carrier": "Inès Orval", "state": "started"}
    times = {"status": "on_round", "seen_at": NOON, "expected_end_at": NOON, "ends_at": NOON}
    return {**about, **times, "stops_left": 3, "tasks_left": [], "things_out": 0, **more}


def task(service: str, *, overdue: bool = False) -> dict[str, Any]:
    return {"task_id": "t", "service": service, "stop_id": "st-1", "address": None, "window": None, "overdue": overdue}


def site(name: str, *, runs: dict[str, int], **more: dict[str, int]) -> dict[str, Any]:
    none = dict.fromkeys(("planned", "uncovered", "started", "paused", "ended", "not_served"), 0)
    live = {"on": 0, "lost": 0, "off": 0, "vague": 0, "paused": 0} | more.get("live", {})
    alerts, tasks = {"open": 0, "urgent": 0} | more.get("alerts", {}), {"all": 0, "done": 0, "overdue": 0}
    counts = {"runs": {"all": sum(runs.values()), **none, **runs}, "live": live, "alerts": alerts}
    return {"site": name, "lon": 2.0, "lat": 48.0, **counts, "tasks": tasks | more.get("tasks", {})}


async def test_a_round_is_late_once_a_window_is_over_or_its_end_is_expected_too_late(page: Open) -> None:
    tasks = {"total": 5, "done": 1}
    cases = [
        [{"tasks": {**tasks, "overdue": 1}}, None, True],
        [{"tasks": {**tasks, "overdue": 0}}, None, False],
        [None, back("A", expected_end_at=LATER), True],
        [None, back("A", expected_end_at="2026-11-21T12:04:00Z"), False],
        [None, back("A", expected_end_at=LATER, ends_at=None), False],
    ]
    found = await call(
        await page("/"),
        "state",
        """const live = { status: "on_round", seen_at: "2026-11-21T12:00:00Z" }, now = Date.parse(live.seen_at);
           return given.map(([listed, back]) => { const behind = m.isBehind(listed, back);
             return [behind, m.stateOf(listed, live, { behind, now }), m.stateOf(listed, { ...live, status: "paused" }, { behind, now })]; });""",
        cases,
    )
    assert found == [[late, "late" if late else "on", "paused"] for *_, late in cases]


async def test_who_needs_somebody_most_is_first_of_those_who_are_not_back(page: Open) -> None:
    runs = [
        back("A", stops_left=90),
        back("B", expected_end_at=LATER),
        back("C", tasks_left=[task("item"), task("timed_task")]),
        back("D", tasks_left=[task("item", overdue=True), task("timed_task", overdue=True)]),
        back("E", seen_at="2026-11-21T11:40:00Z"),
    ]
    found = await call(
        await page("/"),
        "notback/rows",
        """const rows = m.rowsOf(given, Date.parse("2026-11-21T12:00:00Z"));
           return { order: rows.map((row) => row.round), sums: m.sums(rows), kinds: m.kinds(rows[0].tasks) };""",
        runs,
    )
    assert found["order"] == ["D", "C", "B", "A", "E"]
    assert found["sums"] == {"n": 5, "timed": 2, "silent": 1}
    assert found["kinds"] == [["timed_task", 1, 1], ["item", 1, 1]]


async def test_a_site_is_shown_in_the_state_of_the_round_that_needs_somebody_most(page: Open) -> None:
    cases = {
        "alert": site("a", runs={"started": 9}, alerts={"open": 2, "urgent": 1}, tasks={"overdue": 2}),
        "uncovered": site("b", runs={"started": 9, "uncovered": 1}, alerts={"open": 2}),
        "late": site("c", runs={"started": 9}, tasks={"all": 9, "done": 1, "overdue": 2}, live={"lost": 1}),
        "lost": site("d", runs={"started": 9}, live={"lost": 1}),
        "off": site("e", runs={"started": 9}, live={"off": 1}),
        "on": site("f", runs={"started": 1, "ended": 8}),
        "paused": site("g", runs={"paused": 1, "ended": 8}),
        "planned": site("h", runs={"planned": 9}),
        "ended": site("i", runs={"ended": 9}),
    }
    found = await call(
        await page("/"),
        "national/sites",
        """const rows = m.rowsOf({ sites: given });
           return { states: rows.map((row) => row.state), totals: m.totals(rows), order: m.sorted(rows.toReversed(), { column: "state" }).map((row) => row.site),
             found: m.filtered(rows, { search: "É" }).map((row) => row.site), sizes: [1, 40, 160, 4000].map(m.sizeOf) };""",
        list(cases.values()),
    )
    assert found["states"] == list(cases)
    assert found["order"] == ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
    assert found["found"] == ["e"]
    assert found["totals"]["runs"] == 82
    assert (found["totals"]["overdue"], found["totals"]["urgent"]) == (4, 1)
    assert found["sizes"] == [0.6, 1, 2, 2]


async def test_the_journal_tells_what_stands_instead_of_what_no_longer_does(page: Open) -> None:
    entries = [
        {"event_id": "1", "type": "item.attempted", "subject": "item/A", "state": "superseded"},
        {"event_id": "2", "type": "item.delivered", "subject": "item/B", "state": "said"},
        {"event_id": "3", "type": "item.delivered", "subject": "item/A", "state": "said"},
        {"event_id": "4", "type": "item.held", "subject": "item/C", "state": "corrected"},
    ]
    found = await call(
        await page("/"),
        "panel/journal",
        "return given.map((entry) => m.replacedBy(entry, given)?.event_id ?? null);",
        entries,
    )
    assert found == ["3", None, None, None]


async def test_an_instruction_is_seen_once_the_phone_shows_a_sheet_after_it(page: Open) -> None:
    said = {"type": "instruction.given", "state": "said"}
    entries = [
        {"event_id": "1", **said, "at": "2026-11-21T09:00:00Z", "received_at": "2026-11-21T09:00:01Z"},
        {"event_id": "2", "type": "sheet.seen", "state": "said", "at": "2026-11-21T09:05:00Z"},
        {"event_id": "3", **said, "at": "2026-11-21T10:00:00Z", "received_at": "2026-11-21T10:00:01Z"},
        {"event_id": "4", **said, "at": "2026-11-21T11:00:00Z", "received_at": "x", "state": "corrected"},
    ]
    found = await call(
        await page("/"), "panel/messages", "return m.given(given).map((each) => [each.event_id, each.seenAt]);", entries
    )
    assert found == [["3", None], ["1", "2026-11-21T09:05:00Z"]]


async def test_an_id_made_here_is_a_uuid_of_version_seven_with_its_time(page: Open) -> None:
    found = await call(await page("/"), "panel/ids", "return Array.from({ length: 50 }, () => m.uuid7(1763715600000));")
    made = [UUID(each) for each in found]
    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {"specified in RFC 4122"}
    assert {each.int >> 80 for each in made} == {1763715600000}
    assert len(set(made)) == 50
