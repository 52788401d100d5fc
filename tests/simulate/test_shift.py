"""Carriers with their phones against a service that is not there but in name: positions, swaps, and going on."""

import asyncio
import itertools
import math
import time
from collections import Counter
from datetime import datetime

import pytest

from fieldsvc.simulate.handset import Pace
from fieldsvc.simulate.ledger import Ledger, read_ledger
from fieldsvc.simulate.network import dead_zones
from fieldsvc.simulate.run import MIXED, Device, by_carrier, choose_app, simulate
from fieldsvc.simulate.shift import swap_of
from fieldsvc.simulate.walking import walk
from tests.simulate.conftest import DEVICE_TOKEN

FAST = Pace(
    patience_s=0.02,
    patience_cap_s=0.1,
    look_again_s=0.05,
    light_every_s=600,
    collect_s=0.02,
    held_s=0.01,
    late_s=(0, 0.1),
    lost_rate=0,
)
SPEED = 20_000


def times_of(service, kind):
    return [
        datetime.fromisoformat(event["time"]).timestamp()
        for event in service.stored.values()
        if event["type"] == f"fieldsvc.{kind}.v1"
    ]


async def lived(service, devices, *, until, start_at=None, **options):
    """Simulate a past day until the condition holds, then stop as Ctrl-C does."""
    stop, ledger = asyncio.Event(), options.pop("ledger", None) or Ledger()
    start_at = start_at or time.time() - 10 * 3600
    job = asyncio.create_task(
        simulate(service.url, devices, stop=stop, start_at=start_at, speed=SPEED, pace=FAST, ledger=ledger, **options)
    )
    deadline = time.monotonic() + 25
    while not (until(ledger.counts()) or job.done()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
    stop.set()
    return await job


def over(service, runs=1):
    """A shift is over and everything is uploaded."""
    return lambda counts: (
        len(times_of(service, "run.ended")) >= runs and counts.fixes == counts.fixes_sent > 20 and counts.pending == 0
    )


def device(number=0, **more):
    return {"device_id": f"d-{number}", "token": f"tok-{number}", **more}


@pytest.fixture
def one_round(service, sheet):
    service.sheets["tok-0"] = service.sheets["tok-1"] = sheet
    return service


@pytest.mark.parametrize("app", ["osmand", "traccar"])
async def test_the_same_seed_makes_an_app_send_the_same_bytes(one_round, app):
    start_at = round(time.time()) - 10 * 3600
    sent = []
    for _ in range(2):
        one_round.positions.clear()
        one_round.stored.clear()
        await lived(one_round, [device()], until=over(one_round), start_at=start_at, app=app)
        sent.append([(method, target, raw) for _, method, target, raw in one_round.positions])
    count = min(map(len, sent))  # stopping may cut off what is sent after the end of the shift
    assert count > 50
    assert sent[0][:count] == sent[1][:count]


@pytest.mark.parametrize("app", ["cloudevents", "owntracks", "osmand", "traccar"])
async def test_each_app_sends_the_positions_of_a_whole_shift(one_round, app):
    counts = await lived(one_round, [device()], until=over(one_round), app=app)
    kinds = Counter(kind for kind, *_ in one_round.positions)
    assert set(kinds) == {{"cloudevents": "page", "traccar": "osmand"}.get(app, app)}
    assert len({at for _, at in one_round.fixes}) >= 0.98 * counts.fixes_sent
    assert {token for token, _ in one_round.fixes} == {"tok-0"}
    assert counts.fixes_sent > 50


async def test_the_page_sends_nothing_off_duty_and_nothing_in_a_pause(one_round):
    await lived(one_round, [device()], until=over(one_round))
    (started,), (ended,) = times_of(one_round, "run.started"), times_of(one_round, "run.ended")
    taken = sorted(at for _, at in one_round.fixes)
    assert taken[0] >= started - 30
    assert taken[-1] <= ended + 30
    breaks = list(
        zip(sorted(times_of(one_round, "run.paused")), sorted(times_of(one_round, "run.resumed")), strict=True)
    )
    assert breaks
    assert not [at for at in taken for begin, until in breaks if begin + 30 < at < until - 30]


async def test_some_apps_go_on_sending_before_the_start_and_after_the_end_and_in_a_pause(service, sheets):
    for number in range(12):
        service.sheets[f"tok-{number}"] = {**sheets[number % 4], "run_id": f"run-2026-11-21-X{number:02d}"}
    await lived(service, [device(n) for n in range(12)], until=over(service, 12), app="traccar", seed=3)
    early, late = set(), set()
    for token in {token for token, _ in service.fixes}:
        taken = [at for each, at in service.fixes if each == token]
        duty = {
            event["type"].split(".")[2]: datetime.fromisoformat(event["data"]["fix"]["fixed_at"]).timestamp()
            for event in service.stored.values()
            if event["source"][-2:].strip("-") == token[-2:].strip("-")
            and event["type"] in ("fieldsvc.run.started.v1", "fieldsvc.run.ended.v1")
            and "fix" in event["data"]
        }
        early |= {token} if min(taken) < duty.get("started", 0) - 300 else set()
        late |= {token} if max(taken) > duty.get("ended", math.inf) + 300 else set()
    assert 2 <= len(early) <= 10
    assert len(late) >= 2
    assert len(early ^ late) <= 1, "the same apps; one event in thirty has no fix to tell its time by"


async def test_events_go_under_the_same_device_whatever_app_sends_the_positions(one_round):
    await lived(one_round, [device()], until=over(one_round), app="traccar")
    assert {event["source"] for event in one_round.stored.values()} == {"/devices/d-0"}


async def test_the_same_seed_takes_the_same_fixes_and_makes_the_same_events(one_round):
    start_at = round(time.time()) - 10 * 3600
    await lived(one_round, [device()], until=over(one_round), start_at=start_at)
    fixes, events = {at for _, at in one_round.fixes}, set(one_round.stored)
    one_round.fixes.clear()
    one_round.stored.clear()
    one_round.copies.clear()
    await lived(one_round, [device()], until=over(one_round), start_at=start_at)
    assert {at for _, at in one_round.fixes} == fixes
    assert set(one_round.stored) == events


def spare(number):
    return device(number, carrier="Yann Orval", round="T01")


async def test_two_phones_of_one_carrier_and_round_are_a_phone_and_its_spare(one_round, sheet, tmp_path):
    path = tmp_path / "ledger.jsonl"
    start_at = time.time() - 14 * 3600
    with Ledger(path, sync=False) as ledger:
        await lived(one_round, [spare(0), spare(1)], until=over(one_round), ledger=ledger, start_at=start_at)
    by_device = Counter(event["source"].removeprefix("/devices/") for event in one_round.stored.values())
    assert set(by_device) == {"d-0", "d-1"}
    kinds = Counter(event["type"] for event in one_round.stored.values())
    assert (kinds["fieldsvc.run.started.v1"], kinds["fieldsvc.run.ended.v1"]) == (1, 1)
    last = {d: max(at for token, at in one_round.fixes if token == f"tok-{d[-1]}") for d in by_device}
    first = min(at for token, at in one_round.fixes if token == "tok-1")
    assert last["d-0"] < first <= last["d-0"] + 500, "the spare goes on some minutes later"
    assert len(one_round.sheet_answers) >= 2
    book = read_ledger(path)
    assert set(book) == set(one_round.stored)
    assert {entry["status"] for entry in book.values()} <= {"accepted", "duplicate"}


async def test_nothing_is_told_twice_or_lost_by_a_swap(one_round, sheet):
    start_at = time.time() - 14 * 3600
    await lived(one_round, [spare(0), spare(1)], until=over(one_round), start_at=start_at)
    with_spare = Counter((event["type"], event["subject"]) for event in one_round.stored.values())
    one_round.stored.clear()
    one_round.copies.clear()
    await lived(one_round, [spare(0)], until=over(one_round), start_at=start_at)
    assert Counter((event["type"], event["subject"]) for event in one_round.stored.values()) == with_spare


def test_a_phone_dies_on_the_way_is_swapped_in_two_minutes_and_comes_back_hours_later(sheets):
    for sheet in sheets:
        shift = walk(sheet, seed=1, mode=sheet["mode"], start_at=1_795_248_000.0)
        swap = swap_of(shift, seed=1, run_id=sheet["run_id"])
        assert shift.leave_site_at < swap.dies_at < shift.back_at
        assert 60 <= swap.ready_at - swap.dies_at <= 120
        assert 3600 <= swap.back_at - swap.ready_at <= 9000


async def test_what_an_earlier_simulation_told_is_not_told_again(one_round):
    stopped, start_at = [], time.time() - 10 * 3600
    half = lambda counts: counts.acked >= 12 and counts.fixes_sent > 20  # noqa: E731 - a condition with a name
    await lived(one_round, [device()], until=half, start_at=start_at, on_stop=stopped.append)
    (where,) = stopped
    assert where.start_at == start_at
    assert start_at < where.told_until["d-0"] <= where.clock_at
    before, copies = set(one_round.stored), Counter(one_round.copies)
    one_round.sheets["tok-0"]["state"] = "started"
    await lived(one_round, [device()], until=over(one_round), resume=where)
    repeated = sum(one_round.copies[each] > copies[each] for each in before)
    assert repeated <= 2
    assert len(times_of(one_round, "run.started")) == 1
    assert min(
        datetime.fromisoformat(e["time"]).timestamp() for i, e in one_round.stored.items() if i not in before
    ) > (where.told_until["d-0"] - 1300)


def test_only_devices_with_a_carrier_and_a_round_are_told_to_belong_together():
    devices = [Device("d-1", "a", "Yann", "T1"), Device("d-2", "b", "Yann", "T2"), Device("d-3", "c")]
    devices += [Device("d-4", "d"), Device("d-5", "e", "Yann", "T1")]
    assert [[each.device_id for each in group] for group in by_carrier(devices)] == [
        ["d-1", "d-5"],
        ["d-2"],
        ["d-3"],
        ["d-4"],
    ]


def test_a_device_brings_the_passphrase_of_its_tracker_and_shows_it_in_no_text():
    entry = {"device_id": "d-1", "token": DEVICE_TOKEN, "owntracks": {"passphrase": "pass-canary"}}
    found = Device.from_json(entry)
    assert found.passphrase == "pass-canary"
    assert "canary" not in repr(found)


def test_mixed_apps_are_chosen_by_the_seed_and_all_four_occur():
    chosen = [choose_app(MIXED, 1, f"d-{n:04d}") for n in range(38)]
    assert chosen == [choose_app(MIXED, 1, f"d-{n:04d}") for n in range(38)]
    assert set(chosen) == {"cloudevents", "owntracks", "osmand", "traccar"}
    assert chosen != [choose_app(MIXED, 2, f"d-{n:04d}") for n in range(38)]
    assert choose_app("osmand", 1, "d-0001") == "osmand"


def test_the_country_has_more_dead_zones_than_the_town_and_more_that_last_for_hours():
    def zones(*, rural):
        every = [dead_zones(seed=1, device=f"d-{n}", start_at=0.0, span_s=21_600, rural=rural) for n in range(300)]
        lengths = [until - begin for zones in every for begin, until in zones]
        assert all(a[1] < b[0] for zones in every for a, b in itertools.pairwise(zones))
        return sum(lengths), sum(length > 3600 for length in lengths)

    (town_s, town_hours), (country_s, country_hours) = zones(rural=False), zones(rural=True)
    assert country_s > 2 * town_s
    assert country_hours > 2 * town_hours > 0
