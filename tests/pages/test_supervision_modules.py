"""The scripts of supervision that need no page: what is known of rounds, the stream's parser, lines, and the replay."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.pages.browser import Open

pytestmark = pytest.mark.asyncio(loop_scope="session")
T0 = "2026-11-21T09:00:00Z"


async def call(page: Page, module: str, script: str, given: Any = None) -> Any:
    """Run a script with a module of the page as `m` and what is given as `given`."""
    return await page.evaluate(
        f"async (given) => {{ const m = await import('/static/supervision/{module}.js'); {script} }}", given
    )


def run(name: str, **more: Any) -> dict[str, Any]:
    about = {"run_id": f"run-{name}", "round_id": name, "carrier": "Inès Orval", "lon": 2.1, "lat": 48.9}
    return {**about, "distance_along_m": 100.0, "status": "on_round", "seen_at": T0, **more}


async def test_a_snapshot_and_its_deltas_make_the_rounds_that_are_shown(page: Open) -> None:
    messages = [
        ["snapshot", {"t": T0, "runs": [run("A"), run("B"), run("C")]}],
        ["delta", {"t": "2026-11-21T09:00:01Z", "m": [["run-A", 2.2, 48.8, 150.5, "at_stop"]], "x": ["run-B"], "a": []}],
        ["delta", {"t": "2026-11-21T09:05:00Z", "m": [["run-C", 2.3, 48.7, 90.0, "unknown"]], "x": [],
                   "n": [run("D")], "s": {"run-C": "2026-11-21T08:59:00Z"}, "a": []}],
        ["delta", {"t": "2026-11-21T09:05:01Z", "m": [["run-of-nobody", 1, 1, 1, "on_round"]], "x": [], "a": []}],
    ]  # fmt: skip
    found = await call(
        await page("/"),
        "state",
        """const state = m.empty();
           const changed = given.map(([name, data]) => [...m.take(state, name, data).changed]);
           return { changed, runs: Object.fromEntries(state.live), at: state.at };""",
        messages,
    )
    assert found["changed"] == [["run-A", "run-B", "run-C"], ["run-A", "run-B"], ["run-D", "run-C"], []]
    assert sorted(found["runs"]) == ["run-A", "run-C", "run-D"]
    assert found["runs"]["run-A"] | {"distance_along_m": 150.5, "status": "at_stop"} == found["runs"]["run-A"]
    assert found["runs"]["run-A"]["seen_at"] == "2026-11-21T09:00:01Z"
    assert found["runs"]["run-C"]["seen_at"] == "2026-11-21T08:59:00Z"
    assert found["at"] == "2026-11-21T09:05:01Z"


async def test_a_rounds_state_is_its_alarm_then_its_duty_then_its_signal(page: Open) -> None:
    now = 1_763_715_600_000 + 1_000  # 2025-11-21T09:00:01Z
    seen, old = "2025-11-21T09:00:00Z", "2025-11-21T08:44:00Z"
    cases = [
        ("on", {"state": "started"}, {"status": "at_stop", "seen_at": seen}, False),
        ("alert", {"state": "started"}, {"status": "paused", "seen_at": seen}, True),
        ("paused", {"state": "paused"}, {"status": "paused", "seen_at": old}, False),
        ("off", {"state": "started"}, {"status": "off_round", "seen_at": seen}, False),
        ("lost", {"state": "started"}, {"status": "on_round", "seen_at": old}, False),
        ("vague", {"state": "started"}, {"status": "unknown", "seen_at": seen}, False),
        ("lost", {"state": "started"}, {"status": "unknown", "seen_at": old}, False),
        ("lost", {"state": "started"}, {"status": "unknown", "seen_at": None}, False),
        ("private", {"state": "started"}, None, False),
        ("planned", {"state": "planned"}, None, False),
        ("planned", {"state": "covered"}, None, False),
        ("uncovered", {"state": "uncovered"}, None, False),
        ("not_served", {"state": "not_served"}, None, False),
        ("ended", {"state": "ended"}, None, False),
    ]
    found = await call(
        await page("/"),
        "state",
        "return given.cases.map(([, listed, live, alarmed]) => m.stateOf(listed, live, { alarmed, now: given.now }));",
        {"cases": cases, "now": now},
    )
    assert found == [case[0] for case in cases]


async def test_alarms_come_and_go_with_the_stream(page: Open) -> None:
    raised = {"id": "a1", "kind": "sos", "run_id": "run-A", "raised_at": T0, "acknowledged_at": None}
    found = await call(
        await page("/"),
        "state",
        """const state = m.empty();
           const steps = given.map((a) => [m.take(state, "delta", { t: a.raised_at, m: [], x: [], a: [a] }).alarms, state.alarms.size]);
           return steps;""",
        [raised, raised, {**raised, "acknowledged_at": "2026-11-21T09:01:00Z"}],
    )
    assert found == [[True, 1], [False, 1], [True, 0]]


async def test_the_stream_is_read_whatever_way_it_is_cut(page: Open) -> None:
    text = 'retry: 2000\n\nid: e-1\nevent: snapshot\ndata: {"a":1}\n\n: ping\nid: e-2\n\nid: e-3\nevent: delta\ndata: {"b":\ndata: 2}\n\n'
    found = await call(
        await page("/"),
        "stream",
        """return [1, 2, 3, 7, 1000].map((size) => {
             const seen = [], parse = m.parser((event) => seen.push([event.name, event.id, event.data]));
             for (let n = 0; n < given.length; n += size) parse(given.slice(n, n + size));
             return seen;
           });""",
        text,
    )
    expected = [["snapshot", "e-1", '{"a":1}'], ["message", "e-2", ""], ["delta", "e-3", '{"b":\n2}']]
    assert found == [expected] * 5


async def test_a_place_on_a_line_is_counted_in_the_servers_metres(page: Open) -> None:
    line = [[2.0, 48.0], [2.0, 48.001], [2.001, 48.001]]
    found = await call(
        await page("/"),
        "line",
        """const line = m.measure(given, 370), end = m.piece(line, 0, 1e9);
           return { own: m.measure(given).length, middle: m.pointAt(line, line.at[1] / 2), ends: [m.pointAt(line, -5), m.pointAt(line, 1e9)],
             end, part: m.piece(line, line.at[1] / 2, line.at[1] + 1), none: m.piece(line, 0, 0) };""",
        line,
    )
    assert found["own"] == pytest.approx(111.2 + 74.4, abs=0.2)
    assert found["middle"] == pytest.approx([2.0, 48.0005])
    assert found["ends"] == [line[0], line[-1]]
    assert found["end"] == line
    assert found["part"][:2] == [pytest.approx([2.0, 48.0005]), line[1]]
    assert found["none"] == [line[0], line[0]]


async def test_a_replay_holds_its_head_in_a_gap_and_goes_on_behind_it(page: Open) -> None:
    def point(minute: int, metres: float | None, late_s: int = 1) -> dict[str, Any]:
        status = "on_round" if metres is not None else "off_round"
        at, received = (
            f"2026-11-21T09:{minute:02d}:00Z",
            f"2026-11-21T09:{minute + late_s // 60:02d}:{late_s % 60:02d}Z",
        )
        return {"at": at, "distance_along_m": metres, "status": status, "received_at": received}

    points = [point(0, 0), point(1, 60), point(21, 300, 180), point(22, None), point(23, 360)]
    found = await call(
        await page("/"),
        "replay",
        """const replay = m.prepare(given);
           return { gaps: replay.spans.map((span) => span.gap), late: replay.moments.map((moment) => moment.lateBy),
             at: [30, 600, 1260, 1380].map((s) => m.at(replay, s)) };""",
        points,
    )
    assert found["gaps"] == [False, True, True]
    assert found["late"] == [0, 0, 180, 0, 0]
    assert [each["head"] for each in found["at"]] == [30, 60, 300, 360]
    assert [each["inGap"] for each in found["at"]] == [False, True, False, False]
    assert found["at"][3]["pieces"] == [{"from": 0, "to": 60, "gap": False}, {"from": 60, "to": 360, "gap": True}]


async def test_rows_with_nothing_to_sort_by_come_last_both_ways(page: Open) -> None:
    rows = [
        {"round": "T02", "share": None, "rank": 1},
        {"round": "T10", "share": 0.4, "rank": 1},
        {"round": "T01", "share": 0.9, "rank": 0},
    ]
    found = await call(
        await page("/"),
        "state",
        """const by = (column, descending) => m.sorted(given, { column, descending }).map((row) => row.round);
           return [by("progress", false), by("progress", true), by("round", false), by("state", false)];""",
        rows,
    )
    assert found == [["T10", "T01", "T02"], ["T01", "T10", "T02"], ["T01", "T02", "T10"], ["T01", "T02", "T10"]]
