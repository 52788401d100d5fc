"""What the demo remembers between two runs, and how it makes up for what an earlier version left out."""

import base64
import os
import stat
import time
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from fieldsvc import demo, demo_town
from fieldsvc.platform import open_platform
from fieldsvc.settings import Settings
from fieldsvc.simulate.run import Stopped
from fieldsvc.simulate.town import Town

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
def settings(tmp_path, database_url):
    key = base64.b64encode(os.urandom(32)).decode()
    return Settings(database_url=database_url, master_key=key, var_dir=tmp_path)


def small(*, rural):
    return Town(1, rounds=2, stops=30, rural=rural)


def remembered(settings):
    return orjson.loads((settings.var_dir / "demo-kept.json").read_bytes())


async def test_a_demo_of_an_earlier_version_gets_the_rounds_the_phones_and_the_ground_that_it_lacks(
    settings, database_url
):
    path = settings.var_dir / "demo-kept.json"
    async with open_platform(settings, database_url) as platform:
        await demo_town.prepared(platform, settings, small(rural=0))
        before = remembered(settings)
        earlier = {name: before[name] for name in ("devices", "subscriber", "pharmacy", "endpoint")}
        path.write_bytes(orjson.dumps(earlier))
        (settings.var_dir / "basemap.geojson").unlink()
        kept = await demo_town.prepared(platform, settings, small(rural=3))
        assert kept.devices[:2] == before["devices"]
        assert Counter(device["round"] for device in kept.devices) == {"T01": 1, "T02": 1, "R01": 1, "R02": 2, "R03": 1}
        assert kept.subscriber == before["subscriber"]
        assert kept.rounds == ["T01", "T02", "R01", "R02", "R03"]
        async with platform.database.acquire() as connection:
            runs = await connection.fetchval("select count(*) from run where carrier is not null")
            ordered = await connection.fetchval("select count(*) from task where service = 'medication'")
            released = await connection.fetchval(
                "select count(*) from event where type = 'medication.released' and kind = 'field'"
            )
        assert runs == 5
        assert released == ordered > 0


async def test_the_second_start_changes_nothing_and_the_spare_belongs_to_the_same_carrier(settings, database_url):
    town = small(rural=3)
    async with open_platform(settings, database_url) as platform:
        first = await demo_town.prepared(platform, settings, town)
        ground = (settings.var_dir / "basemap.geojson").stat()
        assert await demo_town.prepared(platform, settings, town) == first
    of_r02 = [device["carrier"] for device in first.devices if device["round"] == "R02"]
    assert len(of_r02) == 2
    assert len(set(of_r02)) == 1
    assert (settings.var_dir / "basemap.geojson").stat().st_mtime_ns == ground.st_mtime_ns
    for name in ("basemap.geojson", "demo-kept.json"):
        assert stat.S_IMODE((settings.var_dir / name).stat().st_mode) == 0o600


def test_a_days_replay_begins_some_hours_ago_but_never_the_day_before():
    begins, now = demo._begin_at(PARIS), time.time()
    assert 0 <= now - begins <= demo.REPLAYED_S + 5
    assert datetime.fromtimestamp(begins, UTC).astimezone(PARIS).date() == datetime.now(PARIS).date()


def test_a_run_goes_on_where_the_last_one_of_the_same_day_stopped():
    def kept(start_at):
        return demo_town.Kept([], {}, {}, stopped=Stopped(start_at, start_at + 60, {"d-1": start_at + 30}).as_json)

    now = time.time()
    assert demo._stopped_today(kept(now - 1), PARIS) == Stopped(now - 1, now + 59, {"d-1": now + 29})
    assert demo._stopped_today(kept(now - 2 * 86_400), PARIS) is None
    assert demo._stopped_today(demo_town.Kept([], {}, {}), PARIS) is None
