"""How long progress and kept tracks last."""

from datetime import UTC, datetime, timedelta

from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.tracking.tracker import Taken
from tests.tracking.conftest import DAY, EIGHT, Street, fix


async def _upkeep(street: Street, now: datetime, **settings: int) -> int:
    async with street.database.acquire() as connection:
        return await make_partitions(connection, now, **settings)


async def _days_of(street: Street, table: str) -> list[str]:
    children = (
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass order by 1"
    )
    return [row["name"].rsplit("_", 1)[1] for row in await street.fetch(children, table)]


async def test_progress_and_the_newest_of_runs_are_gone_after_sixty_days(street: Street) -> None:
    await street.take(fix(0), fix(30))
    await _upkeep(street, EIGHT + timedelta(days=59))
    assert (await street.moments(), await street.state() is None) == ([0, 30], False)
    await _upkeep(street, EIGHT + timedelta(days=60))
    assert (await street.moments(), await street.state()) == ([], None)


async def test_a_settled_alarm_is_gone_after_sixty_days_and_an_open_one_stays(street: Street) -> None:
    row = "insert into alarm values ($1, 'sos', null, null, 'Ada', null, gen_random_uuid(), $2, $3, null, $2)"
    async with street.database.acquire() as connection:
        await connection.execute(row, "settled", EIGHT, EIGHT)
        await connection.execute(row, "open", EIGHT, None)
    for days, left in ((59, ["open", "settled"]), (60, ["open"])):
        await _upkeep(street, EIGHT + timedelta(days=days))
        assert [found["id"] for found in await street.fetch("select id from alarm order by id")] == left


async def test_days_of_progress_are_there_eight_back_and_eight_ahead(street: Street) -> None:
    now = datetime.now(UTC) + timedelta(days=40)
    assert await _upkeep(street, now) > 0
    assert await _upkeep(street, now) == 0
    days = [f"{now + timedelta(days=step):%Y%m%d}" for step in range(-8, 9)]
    assert set(days) <= set(await _days_of(street, "progress"))


async def test_tracks_are_kept_only_while_the_operator_asks_for_it_and_no_longer(street: Street) -> None:
    now = EIGHT + timedelta(hours=4)
    assert await _days_of(street, "track") == []
    await _upkeep(street, now, keep_tracks_days=2)
    assert (await _days_of(street, "track"))[0] == f"{DAY - timedelta(days=2):%Y%m%d}"
    assert await street.take(fix(0), by=street.tracker()) == Taken(taken=1)
    assert await street.fetch("select at from track") == []
    sent = fix(60, beside_m=33)
    await street.take(sent, fix(62), fix(30), by=street.tracker(keep_tracks_days=2))
    kept = await street.fetch("select at, lat, lon, accuracy_m from track order by at")
    assert len(kept) == 3
    assert tuple(kept[1]) == (sent.fixed_at, sent.lat, sent.lon, sent.accuracy_m)
    await _upkeep(street, now + timedelta(days=2), keep_tracks_days=2)
    assert len(await street.fetch("select at from track")) == 3
    await _upkeep(street, now + timedelta(days=3), keep_tracks_days=2)
    assert await street.fetch("select at from track") == []
    await _upkeep(street, now, keep_tracks_days=2)
    await _upkeep(street, now, keep_tracks_days=0)
    assert await _days_of(street, "track") == []


async def test_fixes_off_duty_are_no_tracks_either(street: Street) -> None:
    await _upkeep(street, EIGHT, keep_tracks_days=1)
    await street.set_duty((EIGHT, EIGHT + timedelta(seconds=100)))
    await street.take(fix(0), fix(200), by=street.tracker(keep_tracks_days=1))
    assert [row["at"] for row in await street.fetch("select at from track")] == [EIGHT]
