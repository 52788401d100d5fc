"""Each benchmark once, as small as it gets: real services, real databases, lines in the form of the contract."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fieldsvc.bench import BENCHES, fleet, fleet_town, ingest, live, national, publish, publish_load, suite
from fieldsvc.bench.load import Load
from fieldsvc.bench.service import check_stored, started
from fieldsvc.bench.subscribed import events_in
from fieldsvc.errors import FieldsvcError

Lines = list[dict[str, Any]]


async def _lines(name: str) -> Lines:
    lines: Lines = []
    await suite.run(name, cycles=1, full=False, show=lines.append)
    for line in lines:
        assert line.keys() >= {"bench", "metric", "value", "ratio_to", "ratio", "conditions"}
        assert line["bench"] == name
        assert line["value"] != 0
        assert line["ratio_to"] in line["conditions"]
        assert not line["conditions"].get("not_200")
        assert not line["conditions"].get("unseen")
    return lines


async def test_ingest_compares_each_shape_with_copy_and_with_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDSVC_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/not-this-one")
    monkeypatch.setattr(ingest, "COPY_ROWS", 1_000)
    monkeypatch.setattr(ingest, "WARM", ingest.Shape("warm", 5, 2, 20))
    monkeypatch.setattr(ingest, "SHAPES", (ingest.Shape("single", 1, 4, 40), ingest.Shape("few", 5, 2, 50)))
    lines = await _lines("ingest")
    shown = [(line["shape"], line["ratio_to"]) for line in lines]
    assert shown == [(shape, other) for shape in ("single", "few") for other in ("copy_limit", "baseline")]
    assert all(0 < line["p50_ms"] <= line["p99_ms"] for line in lines)


async def test_publish_tells_rate_delay_and_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENDPOINTS", (1, 2)), ("OLDER", 200), ("BACKLOG", 100), ("ALONE", 5)):
        monkeypatch.setattr(publish, name, value)
    sizes = {"TOP_EVENTS": 100, "SHARES": (0.5,), "LOAD_S": 0.3, "OTHERS": 2, "DEAD_S": 0.2, "DEAD_TURNS": 1}
    for name, value in sizes.items():
        monkeypatch.setattr(publish_load, name, value)
    lines = await _lines("publish")
    delays = ["acknowledged_to_received_ms", "committed_to_received_ms", "others_p99_ms_beside_a_dead_endpoint"]
    rates = ["webhooks_per_s"] * 2 + ["batched_events_per_s"] * 2
    assert [line["metric"] for line in lines] == [*rates, *delays, "feed_events_per_s"]
    assert [line["conditions"]["events"] for line in (*lines[:2], lines[4])] == [100, 100, 5]
    assert all(line["conditions"]["events"] >= 300 for line in lines[2:4])


async def test_live_tells_fixes_delays_and_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"ROUNDS": 10, "FEW": 5, "SCREENS": (1, 2), "FIX_EVERY_S": 8.0, "TURNS": 4}
    for name, value in sizes.items():
        monkeypatch.setattr(live, name, value)
    monkeypatch.setattr(live, "SHAPES", (live.Shape("single", 1, 4, 20), live.Shape("few", 5, 2, 10)))
    monkeypatch.setattr(live, "WARM", live.Shape("warm", 1, 2, 5))
    for name, value in {"CARRIERS": 120, "SITES": 2, "SECONDS": 4.0, "EVENTS_SHARE": 2}.items():
        monkeypatch.setattr(national, name, value)
    lines = await _lines("live")
    view = ["answer_to_delta_ms", "bytes_per_s_per_screen"]
    nation = ["fix_to_screen_p95_ms", "event_to_screen_p95_ms"]
    assert [line["metric"] for line in lines] == ["fixes_per_s"] * 2 + (
        view * 2 + ["service_cpu_ms_per_tick"]
    ) * 2 + nation
    delays = [line for line in lines if line["metric"] == view[0]]
    assert all(line["p99_ms"] < 5_000 for line in delays)


async def test_a_fleet_goes_on_duty_and_its_answers_publishing_and_memory_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_town, "PATTERNS", 20)
    sizes = {"CARRIERS": 40, "NATION": 400, "SECONDS": 1.0, "WARM_S": 0.2}
    for name, value in sizes.items():
        monkeypatch.setattr(fleet, name, value)
    lines = await _lines("fleet")
    metrics = ["runs_started_per_s", "answer_p99_ms", "answered_to_received_p99_ms", "service_memory_mib"]
    assert [line["metric"] for line in lines] == metrics
    assert lines[1]["conditions"]["answers"].keys() == {"fixes", "single", "batch"}
    assert lines[2]["conditions"]["waiting"][-1] >= 0
    assert 0 < lines[2]["p50_ms"] <= lines[2]["value"]


def test_a_window_says_what_piled_up_and_whether_the_rate_was_sustained() -> None:
    answered = {f"evt-{number}": number / 10 for number in range(100)}
    told = fleet.Window(85_000, 1.0, 10.0, 0.0, loads={"single": Load([0.01] * 100)}, answered=answered)
    told.arrivals = [(to, name, moment + 0.2) for name, moment in answered.items() for to in range(fleet.RECEIVERS)]
    assert told.waiting(0.5) == 2 * fleet.RECEIVERS
    assert told.sustained
    told.arrivals = told.arrivals[:20]
    told.multiple = 0.001
    assert told.grew
    assert not told.sustained


async def test_all_of_them_go_on_when_one_fails_or_takes_too_long_and_the_end_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def good(*, show: Any, **_more: Any) -> None:
        show({"bench": "good", "metric": "speed"})

    async def slow(**_more: Any) -> None:
        await asyncio.sleep(60)

    async def bad(**_more: Any) -> None:
        raise TimeoutError

    modules = {"fieldsvc.bench.m_good": good, "fieldsvc.bench.m_slow": slow, "fieldsvc.bench.m_bad": bad}
    monkeypatch.setattr(suite, "import_module", lambda name: SimpleNamespace(run=modules[name]))
    some = {"slow": ("m_slow", 0.1), "bad": ("m_bad", 30.0), "good": ("m_good", 30.0)}
    monkeypatch.setattr(suite, "BENCHES", some)
    lines: Lines = []
    with pytest.raises(FieldsvcError, match="bad"):
        await suite.run("all", cycles=1, full=False, show=lines.append)
    told = [(line["bench"], line["metric"], line.get("conditions", {}).get("ended_early")) for line in lines]
    assert told == [
        ("slow", "took_s", True),
        ("bad", "failed", None),
        ("bad", "took_s", False),
        ("good", "speed", None),
        ("good", "took_s", False),
    ]
    assert sum(most_s for _module, most_s in BENCHES.values()) <= 900


async def test_a_server_that_does_not_start_is_a_fault_and_no_figure() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        async with started("fieldsvc", "--help"):
            pass


async def test_what_was_not_stored_is_no_figure(database_url: str) -> None:
    await check_stored(database_url, "shard", 4)
    with pytest.raises(RuntimeError, match="5 were sent and 4 stored"):
        await check_stored(database_url, "shard", 5)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("evt_019a8f3e-7c11-7d3a-9a51-b00000000001", 1),
        ("evt_x_b100_b3cd12ef", 100),
        ("evt_x_2_b2_00000000", 2),
        ("bare_b7", 7),
    ],
)
def test_a_request_tells_by_its_id_how_many_events_it_carried(name: str, events: int) -> None:
    assert events_in(name) == events
