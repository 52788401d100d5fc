import asyncio
import time
from datetime import datetime

import orjson
import pytest

from fieldsvc.simulate.handset import Pace
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.network import back_online_at
from fieldsvc.simulate.run import BadInput, Device, load_devices, simulate

FAST = Pace(
    patience_s=0.02,
    patience_cap_s=0.1,
    look_again_s=0.05,
    light_every_s=0.05,
    light_gap_s=(0, 0.1),
    collect_s=0.01,
    held_s=0.01,
    late_s=(0, 0.1),
    lost_rate=0,
)


@pytest.fixture
def devices(service, sheets):
    for number, sheet in enumerate(sheets):
        service.sheets[f"tok-{number}"] = sheet
    return [{"device_id": f"d-{number}", "token": f"tok-{number}"} for number in range(len(sheets))]


async def until(condition, *, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


async def run_until(condition, target, devices, **options):
    """Simulate until the condition holds, then stop as Ctrl-C does."""
    stop = asyncio.Event()
    job = asyncio.create_task(
        simulate(target, devices, stop=stop, start_at=time.time() - 8 * 3600, speed=20_000, pace=FAST, **options)
    )
    try:
        await until(lambda: condition() or job.done())
    finally:
        stop.set()
    return await job


def types_of(service):
    return {event["type"].removeprefix("fieldsvc.").removesuffix(".v1") for event in service.stored.values()}


def ended_runs(service):
    return sum(event["type"] == "fieldsvc.run.ended.v1" for event in service.stored.values())


async def test_every_carrier_walks_a_whole_past_shift_whose_events_arrive(service, devices):
    began = time.time()
    counts = await run_until(lambda: ended_runs(service) == 4, service.url, devices)
    assert 0 < counts.taken_in <= len(service.stored)
    assert counts.quarantined == counts.conflict == 0
    times = [datetime.fromisoformat(event["time"]).timestamp() for event in service.stored.values()]
    assert min(times) < began - 600
    assert max(times) < time.time() + 1201
    assert {"run.started", "run.ended", "item.loaded", "medication.picked_up"} <= types_of(service)


async def test_what_the_phones_say_was_acknowledged_is_what_the_service_stored(service, devices, tmp_path):
    service.next_status = [(503, {"Retry-After": "0"}), (500, {}), (429, {"Retry-After": "0"})]
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, sync=False) as ledger:
        await run_until(lambda: ledger.counts().acked > 60, service.url, devices, ledger=ledger, carriers=3)
        counts = ledger.counts()
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    acked = {line["id"] for line in lines if line["what"] == "acked"}
    assert len(acked) == counts.acked
    assert acked <= set(service.stored)
    assert {line["device"] for line in lines} == {"d-0", "d-1", "d-2"}
    assert counts.retries >= 2  # of three refusals two may meet one upload that is sent twice


async def test_a_phone_without_a_run_waits_politely_and_starts_when_there_is_one(service, devices):
    service.no_run_answers = 5
    await run_until(lambda: "run.started" in types_of(service), service.url, devices, carriers=1)
    assert service.no_run_answers <= 0


async def test_after_the_shift_fresh_light_work_keeps_coming_at_the_pace_of_now(service, devices):
    service.sheets["tok-0"]["state"] = "ended"
    began = time.time()
    await run_until(lambda: len(service.stored) >= 8, service.url, devices, carriers=1)
    assert types_of(service) <= {
        "address_change.reported",
        "object.signalled",
        "item.loaded",
        "item.delivered",
        "item.delivery_attempted",
    }
    assert min(datetime.fromisoformat(e["time"]).timestamp() for e in service.stored.values()) > began - 1201


async def test_a_run_that_was_started_before_is_not_started_again(service, devices):
    service.sheets["tok-0"]["state"] = "started"
    await run_until(lambda: "item.loaded" in types_of(service), service.url, devices, carriers=1)
    assert "run.started" not in types_of(service)


async def test_an_unchanged_sheet_is_asked_for_by_its_etag(service, devices):
    service.sheets["tok-0"]["state"] = "ended"
    await run_until(lambda: 304 in service.sheet_answers, service.url, devices, carriers=1)
    assert service.sheet_answers[0] == 200


async def test_when_the_minutes_are_over_the_phones_upload_what_is_left(service, devices):
    seen = []
    counts = await simulate(
        service.url,
        devices,
        stop=asyncio.Event(),
        minutes=0.02,
        start_at=time.time() - 8 * 3600,
        speed=20_000,
        pace=FAST,
        on_count=seen.append,
    )
    assert counts.pending == 0
    assert counts.generated > 20
    assert seen[-1] == counts


async def test_an_app_that_does_not_exist_and_a_speed_of_nothing_are_the_users_mistakes():
    with pytest.raises(BadInput, match="morse is none of cloudevents, owntracks, osmand, traccar"):
        await simulate("http://127.0.0.1:9", [], stop=asyncio.Event(), app="morse")
    with pytest.raises(BadInput, match="speed"):
        await simulate("http://127.0.0.1:9", [], stop=asyncio.Event(), speed=0)


def test_devices_are_read_from_demo_json(tmp_path):
    path = tmp_path / "demo.json"
    entry = {"device_id": "d-1", "token": "secret-1", "owntracks": {}, "carrier": "Yann", "round": "T07"}
    path.write_bytes(orjson.dumps({"url": "http://127.0.0.1:8080", "devices": [entry]}, option=orjson.OPT_INDENT_2))
    (device,) = load_devices(path)
    assert (device.device_id, device.carrier, device.round_id) == ("d-1", "Yann", "T07")
    assert device.token == "secret-1"
    assert "secret-1" not in repr(device)


def test_devices_are_read_from_the_lines_of_device_enrol(tmp_path):
    path = tmp_path / "devices.jsonl"
    path.write_text('{"device_id":"d-1","token":"a"}\n\n{"device_id":"d-2","token":"b"}\n')
    assert load_devices(path) == [Device("d-1", "a"), Device("d-2", "b")]
    path.write_text('{"device_id":"d-1","token":"a"}\n')
    assert load_devices(path) == [Device("d-1", "a")]


@pytest.mark.parametrize(
    "text", ["", "{", '{"devices":[]}', '{"device_id":"d-1"}', "[1]", '{"devices":[7]}', '{"a":1}\nx']
)
def test_a_devices_file_that_cannot_be_used_gives_one_plain_sentence(tmp_path, text):
    path = tmp_path / "devices"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_devices(path)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_missing_devices_file_gives_one_plain_sentence(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        load_devices(tmp_path / "none")


def test_the_network_is_back_at_the_end_of_a_dead_zone():
    zones = [(10.0, 20.0), (40.0, 50.0)]
    assert [back_online_at(zones, now) for now in (5.0, 10.0, 19.0, 20.0, 45.0, 60.0)] == [
        5.0,
        20.0,
        20.0,
        20.0,
        50.0,
        60.0,
    ]
