"""The live board: what screens see, in one process or in two, whatever arrives late, twice or not at all."""

import asyncio
import gzip
import re
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.errors import Forbidden, Unauthorized, Unavailable
from fieldsvc.store.alarm import Alarm
from fieldsvc.store.database import Database
from fieldsvc.store.live import Moved, RunNow, duty_of
from fieldsvc.tracking import board as boards
from fieldsvc.tracking.board import Board, Ring
from fieldsvc.tracking.frames import Frame, Packed, frame
from fieldsvc.tracking.lines import Line, Lines
from fieldsvc.tracking.sight import Sight
from geo.rounds import Round, Stop
from sql import query

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = date(2026, 11, 21)
PARIS = ZoneInfo("Europe/Paris")
PANTIN, BONDY = "site-pantin", "site-bondy"
LINE = ((2.0, 48.9), (2.01, 48.9), (2.01, 48.91), (2.0, 48.91))
ROUND = Round("T07", LINE, (), PANTIN)
EVENT = UUID(int=7)
STATUS = {"on_round", "at_stop", "off_round", "unknown", "paused"}


class Hands:
    """Clocks that a test turns."""

    def __init__(self) -> None:
        self.at, self.seconds = NOON, 0.0

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


def new_board(hands: Hands, *, ring: Ring | None = None, rounds: Iterable[Round] = (ROUND,), **more: Any) -> Board:
    """Make a board that has been read once and knows these rounds; no database is behind it."""
    lines = Lines(cast(Database, None))
    for each in rounds:
        lines._keep(each.round_id, each, 1)
    clock = more.pop("clock", lambda: hands.seconds)
    made = Board(cast(Database, None), lines, PARIS, now=lambda: hands.at, clock=clock, ring=ring, **more)
    made._ready.set()
    return made


@pytest.fixture
def board(hands: Hands) -> Board:
    return new_board(hands)


def run(name: str = "T07", **more: Any) -> RunNow:
    known: dict[str, Any] = {
        "run_id": f"run-2026-11-21-{name}",
        "day": DAY,
        "round_id": "T07",
        "round_version": 1,
        "site": PANTIN,
        "carrier": "Camille Essai",
        "state": "started",
        "duty": "on",
        "through_at": NOON - timedelta(seconds=3),
        "distance_along_m": 100.0,
        "status": "on_round",
    }
    return RunNow(**{**known, **more})


def move(name: str = "T07", *, metres: float | None = 120.0, status: str = "on_round", at: datetime = NOON) -> Moved:
    return Moved(f"run-2026-11-21-{name}", at, metres, status)


def alarm(name: str = "al-1", **more: Any) -> Alarm:
    known: dict[str, Any] = {
        "id": name,
        "kind": "sos",
        "run": "run-2026-11-21-T07",
        "site": PANTIN,
        "carrier": "Camille Essai",
        "stop_id": None,
        "raised_at": NOON,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "event": EVENT,
    }
    return Alarm(**{**known, **more})


async def free() -> None:
    """Let everybody look."""


class Screen:
    """Somebody who looks at a board, and reads what is there without waiting for more."""

    def __init__(self, board: Board, sight: Sight | None = None, last_id: str = "", check: Any = free) -> None:
        self.frames: AsyncIterator[Frame] = board.stream(sight or Sight(), last_id, check)
        self.last_id = ""

    async def look(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events that have come: (name, data)."""
        events = []
        while (text := await self.next()) is not None:
            fields = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
            self.last_id = fields.get("id", self.last_id)
            if "event" in fields:
                events.append((fields["event"], orjson.loads(fields["data"])))
        return events

    async def next(self) -> str | None:
        """Return the next part; None when there is none yet, or the stream has ended."""
        asked = getattr(self, "_asked", None) or asyncio.ensure_future(anext(self.frames, None))
        done, _ = await asyncio.wait([asked], timeout=0.05)
        self._asked = None if done else asked
        found = asked.result() if done else None
        return found.text.decode() if found else None

    async def close(self) -> None:
        if asked := getattr(self, "_asked", None):
            asked.cancel()
            await asyncio.wait([asked])
        await cast(Any, self.frames).aclose()


@pytest.fixture
async def look() -> AsyncIterator[Any]:
    """Open screens, and close them at the end."""
    opened: list[Screen] = []

    def open_one(*args: Any, **more: Any) -> Screen:
        opened.append(Screen(*args, **more))
        return opened[-1]

    yield open_one
    for each in opened:
        await each.close()


# The line


@given(metres=st.floats(-50, 4000), points=st.lists(st.tuples(st.floats(2, 2.05), st.floats(48.8, 48.85)), min_size=1))
def test_a_place_on_the_line_is_the_one_that_the_round_gives(metres: float, points: list[tuple[float, float]]) -> None:
    if any(abs(a[0] - b[0]) + abs(a[1] - b[1]) < 1e-9 for a, b in pairwise(points)):
        return
    planned = Round("R", tuple(points), ())
    lat, lon = planned.point_at(metres)
    assert Line(planned, 1).point_at(metres) == pytest.approx((lon, lat), abs=1e-9)
    assert Line(planned, 1).length_m == pytest.approx(planned.length_m)


def test_a_line_through_stops_and_one_of_a_single_place_are_lines_too() -> None:
    stops = tuple(Stop(str(n), 48.9, 2.0 + n / 1000) for n in range(3))
    assert Line(Round("R", (), stops), 1).point_at(1e6) == (2.002, 48.9)
    assert Line(Round("R", (), stops[:1]), 1).point_at(5.0) == (2.0, 48.9)


# What is said


async def test_the_snapshot_is_the_contracts_to_the_letter(board: Board, look: Any) -> None:
    board.take([run()], [], [])
    screen = look(board)
    assert await screen.next() == "retry: 2000\n\n"
    text = await screen.next()
    head, body = text.split("\ndata: ")
    assert head == f"id: {board.epoch}-1\nevent: snapshot"
    lat, lon = ROUND.point_at(100.0)
    assert orjson.loads(body) == {
        "t": "2026-11-21T12:00:00.000Z",
        "runs": [
            {
                "run_id": "run-2026-11-21-T07",
                "round_id": "T07",
                "carrier": "Camille Essai",
                "lon": round(lon, 6),
                "lat": round(lat, 6),
                "distance_along_m": 100.0,
                "status": "on_round",
                "seen_at": "2026-11-21T11:59:57.000Z",
            }
        ],
    }


async def test_a_delta_is_the_contracts_to_the_letter(board: Board, hands: Hands, look: Any) -> None:
    board.take([run(), run("T08")], [], [])
    screen = look(board)
    await screen.look()
    hands.go(1)
    board.take([run("T08", state="ended", duty=None)], [move(at=hands.at)], [alarm()])
    lat, lon = ROUND.point_at(120.0)
    assert await screen.look() == [
        (
            "delta",
            {
                "t": "2026-11-21T12:00:01.000Z",
                "m": [["run-2026-11-21-T07", round(lon, 6), round(lat, 6), 120.0, "on_round"]],
                "x": ["run-2026-11-21-T08"],
                "a": [
                    {
                        "id": "al-1",
                        "kind": "sos",
                        "level": "urgent",
                        "state": "open",
                        "rung": 0,
                        "run_id": "run-2026-11-21-T07",
                        "raised_at": "2026-11-21T12:00:00.000Z",
                        "acknowledged_at": None,
                    }
                ],
            },
        )
    ]
    assert screen.last_id == f"{board.epoch}-2"


async def test_a_run_that_appears_is_new_and_one_without_a_fix_waits_at_the_start_of_its_line(
    board: Board, look: Any
) -> None:
    screen = look(board)
    await screen.look()
    board.take([run(through_at=None, distance_along_m=None, status=None)], [], [])
    ((_, data),) = await screen.look()
    assert data["m"] == data["x"] == data["a"] == []
    assert (data["n"][0]["lon"], data["n"][0]["lat"]) == LINE[0]
    assert (data["n"][0]["distance_along_m"], data["n"][0]["status"], data["n"][0]["seen_at"]) == (
        None,
        "unknown",
        None,
    )
    board.take([], [move()], [])
    ((_, data),) = await screen.look()
    assert ("n" in data, data["m"][0][0]) == (False, "run-2026-11-21-T07")


async def test_off_the_round_the_place_is_the_last_one_on_the_line(board: Board, look: Any) -> None:
    board.take([run()], [], [])
    screen = look(board)
    ((_, before),) = await screen.look()
    board.take([], [move(metres=100.0, status="off_round")], [])
    ((_, data),) = await screen.look()
    kept = [before["runs"][0][name] for name in ("run_id", "lon", "lat", "distance_along_m")]
    assert data["m"] == [[*kept, "off_round"]]


async def test_a_fix_older_than_thirty_seconds_says_when_it_was(board: Board, hands: Hands, look: Any) -> None:
    board.take([run(), run("T08"), run("T09", through_at=None, distance_along_m=None)], [], [])
    screen = look(board)
    await screen.look()
    late = hands.at - timedelta(seconds=31)
    fresh = hands.at - timedelta(seconds=30)
    board.take([run("T09", state="paused", duty="paused", through_at=None)], [move(at=late), move("T08", at=fresh)], [])
    ((_, data),) = await screen.look()
    assert data["s"] == {"run-2026-11-21-T07": "2026-11-21T11:59:29.000Z", "run-2026-11-21-T09": None}
    assert {row[0] for row in data["m"]} >= {"run-2026-11-21-T07", "run-2026-11-21-T08", "run-2026-11-21-T09"}


async def test_another_carrier_is_said_with_the_whole_run(board: Board, look: Any) -> None:
    board.take([run()], [], [])
    screen = look(board)
    await screen.look()
    board.take([run(carrier="Dominique Essai")], [], [])
    ((_, data),) = await screen.look()
    assert (data["m"], data["n"][0]["carrier"]) == ([], "Dominique Essai")


async def test_pause_mandate_and_end_change_the_status_or_leave(board: Board, look: Any) -> None:
    board.take([run(), run("T08"), run("T09")], [], [])
    screen = look(board)
    await screen.look()
    board.take(
        [run(state="paused", duty="paused"), run("T08", duty=None), run("T09", state="ended", duty=None)], [], []
    )
    ((_, data),) = await screen.look()
    assert [row[4] for row in data["m"]] == ["paused"]
    assert data["x"] == ["run-2026-11-21-T08", "run-2026-11-21-T09"]
    board.take([], [move("T08"), move("T09")], [])
    assert await screen.look() == []
    again = look(board)
    ((_, snapshot),) = await again.look()
    assert [each["status"] for each in snapshot["runs"]] == ["paused"]


def test_duty_is_what_the_journal_decided_and_a_pause_in_a_mandate_is_part_of_it() -> None:
    def body(duty: str, *starts: dict[str, Any]) -> bytes:
        facts = [[f"2026-11-21T0{n}:00:00.000Z", str(n), "run.started", data] for n, data in enumerate(starts)]
        facts.append(["2026-11-21T09:00:00.000Z", "9", "run.paused", {}])
        return orjson.dumps({"facts": facts, "now": {"duty": duty}})

    on, mandate = {"duty": "on"}, {"duty": "mandate"}
    assert duty_of("started", body("on", on)) == "on"
    assert duty_of("paused", body("paused", {})) == "paused"
    assert duty_of("paused", body("paused", mandate, on)) == "paused"
    assert duty_of("started", body("mandate", mandate)) is None
    assert duty_of("paused", body("paused", on, mandate)) is None
    assert duty_of("ended", body("off", on)) is None
    assert duty_of("planned", body("off")) is None
    assert duty_of("started", None) is None


def test_whether_a_pause_is_of_a_mandate_is_what_the_journal_decided_and_not_the_last_start() -> None:
    def body(*, mandate: bool, last_start: str) -> bytes:
        facts = [["2026-11-21T07:00:00.000Z", "1", "run.started", {"duty": last_start}]]
        return orjson.dumps({"facts": facts, "now": {"duty": "paused", "mandate": mandate}})

    assert duty_of("paused", body(mandate=True, last_start="on")) is None
    assert duty_of("paused", body(mandate=False, last_start="mandate")) == "paused"


async def test_what_is_read_again_says_nothing_and_wakes_nobody(board: Board, look: Any) -> None:
    board.take([run()], [move()], [alarm()])
    screen = look(board)
    await screen.look()
    seq, encoded, moved = board.seq, board.frames.encoded, board._moved
    for _ in range(5):
        board.take([run(through_at=NOON, distance_along_m=120.0)], [move()], [alarm()])
    assert (board.seq, board.frames.encoded, board._moved) == (seq, encoded, moved)
    assert await screen.look() == []


async def test_yesterdays_run_leaves_when_it_is_too_old(board: Board, look: Any) -> None:
    board.take([run(), run("T08", day=DAY - timedelta(days=1))], [], [], first_day=DAY - timedelta(days=1))
    screen = look(board)
    await screen.look()
    board.take([], [], [], first_day=DAY)
    ((_, data),) = await screen.look()
    assert (data["x"], data["m"]) == (["run-2026-11-21-T08"], [])


# Who sees what


async def test_a_site_sees_its_own_runs_and_alarms_only(board: Board, look: Any) -> None:
    pantin, bondy = look(board, Sight(PANTIN)), look(board, Sight(BONDY))
    for screen in (pantin, bondy):
        await screen.look()
    board.take([run(), run("T08", site=BONDY)], [], [alarm(), alarm("al-2", site=BONDY, run="run-2026-11-21-T08")])
    ((_, of_pantin),), ((_, of_bondy),) = await pantin.look(), await bondy.look()
    assert [each["run_id"] for each in of_pantin["n"]] == ["run-2026-11-21-T07"]
    assert [each["run_id"] for each in of_bondy["n"]] == ["run-2026-11-21-T08"]
    assert [[each["id"] for each in data["a"]] for data in (of_pantin, of_bondy)] == [["al-1"], ["al-2"]]
    board.take([], [move()], [])
    assert len(await pantin.look()) == 1
    assert await bondy.look() == []


async def test_a_run_enters_and_leaves_a_box_by_its_place_on_the_line(board: Board, look: Any) -> None:
    corner = Sight(box=(2.005, 48.89, 2.02, 48.905))
    board.take([run(distance_along_m=0.0)], [], [alarm(), alarm("al-2", run=None)])
    screen = look(board, corner)
    events = await screen.look()
    assert events[0][1]["runs"] == []
    assert [each["id"] for each in events[1][1]["a"]] == ["al-2"]
    seen = []
    for metres in (200.0, 700.0, 900.0, 1800.0):
        board.take([], [move(metres=metres)], [])
        seen += [(data["m"] != [], data["x"] != [], "n" in data) for _, data in await screen.look()]
    assert seen == [(False, False, True), (True, False, False), (False, True, False)]


async def test_an_alarm_is_said_when_raised_and_when_taken_and_open_ones_follow_a_snapshot(
    board: Board, hands: Hands, look: Any
) -> None:
    board.take([run()], [], [alarm()])
    screen = look(board)
    events = await screen.look()
    assert [name for name, _ in events] == ["snapshot", "delta"]
    assert [each["id"] for each in events[1][1]["a"]] == ["al-1"]
    hands.go(4)
    taken = alarm(acknowledged_at=hands.at, acknowledged_by="acc-1")
    board.take([], [], [taken])
    ((_, data),) = await screen.look()
    assert data["a"][0]["acknowledged_at"] == "2026-11-21T12:00:04.000Z"
    board.take([], [], [])
    assert await screen.look() == []
    assert [name for name, _ in await look(board).look()] == ["snapshot"]


# Coming back


async def test_after_a_cut_exactly_the_missing_deltas_come(board: Board, look: Any) -> None:
    board.take([run()], [], [])
    stays, leaves = look(board), look(board)
    await stays.look()
    await leaves.look()
    for metres in (110.0, 120.0, 130.0):
        board.take([], [move(metres=metres)], [])
    missed = await stays.look()
    back = look(board, last_id=leaves.last_id)
    assert await back.look() == missed
    assert len(missed) == 3
    up_to_date = look(board, last_id=back.last_id)
    assert await up_to_date.look() == []


async def test_an_id_of_another_epoch_from_too_long_ago_or_of_nothing_gets_a_snapshot(hands: Hands, look: Any) -> None:
    board = new_board(hands, ring=Ring(ticks=3, changes=100))
    board.take([run()], [], [])
    for metres in range(5):
        board.take([], [move(metres=float(metres))], [])
    ids = [
        f"{Board(cast(Database, None), Lines(cast(Database, None)), PARIS).epoch}-5",
        f"{board.epoch}-2",
        f"{board.epoch}-7",
        f"{board.epoch}-",
        f"{board.epoch}-x",
        f"{board.epoch}-{'9' * 40}",
        "\x00",
        "5",
    ]
    for last_id in ids:
        screen = look(board, last_id=last_id)
        assert [name for name, _ in await screen.look()] == ["snapshot"], last_id
        assert screen.last_id == f"{board.epoch}-6"
    assert [name for name, _ in await look(board, last_id=f"{board.epoch}-3").look()] == ["delta"] * 3


async def test_who_falls_out_of_the_ring_while_reading_gets_a_snapshot_and_never_a_gap(hands: Hands) -> None:
    board = new_board(hands, ring=Ring(ticks=3, changes=100))
    board.take([run()], [], [])
    async with aclosing(cast(Any, board.stream(Sight(), "", free))) as frames:
        assert b"retry" in (await anext(frames)).text
        assert b"snapshot" in (await anext(frames)).text
        for metres in range(10):
            board.take([], [move(metres=float(metres))], [])
        assert b"event: snapshot" in (await anext(frames)).text


def test_the_ring_keeps_no_more_changes_than_fit() -> None:
    hands = Hands()
    ring = Ring(ticks=600, changes=50)
    board = new_board(hands, ring=ring)
    runs = [run(f"T{n}") for n in range(20)]
    board.take(runs, [], [])
    for metres in range(10):
        board.take([], [move(f"T{n}", metres=float(metres)) for n in range(20)], [])
    assert ring._changes == 40
    assert ring.after(board.seq - 2, limit=9) is not None
    assert ring.after(board.seq - 3, limit=9) is None


async def test_two_hundred_screens_cost_one_encoding_of_each_delta(board: Board, hands: Hands, look: Any) -> None:
    board.take([run(f"T{n}") for n in range(50)], [], [])
    screens = [look(board, Sight(PANTIN)) for _ in range(200)]
    for screen in screens:
        assert [await screen.next() is not None for _ in range(2)] == [True, True]
    assert board.frames.encoded == 1
    for metres in (1.0, 2.0, 3.0):
        board.take([], [move(f"T{n}", metres=metres) for n in range(50)], [])
    texts = [[await screen.next() for _ in range(3)] for screen in screens]
    assert board.frames.encoded == 4
    assert all(each == texts[0] for each in texts)


async def test_a_quiet_board_pings_with_the_id_to_come_back_with(hands: Hands, look: Any) -> None:
    board = new_board(hands, every_s=0.01)
    board.take([run()], [], [])
    screen = look(board)
    await screen.look()
    hands.go(14)
    assert await screen.next() is None
    hands.go(2)
    assert await screen.next() == f": ping\nid: {board.epoch}-1\n\n"


async def test_a_screen_ends_when_it_may_no_longer_look_and_not_because_the_database_is_away(hands: Hands) -> None:
    for error, goes_on in ((Unauthorized, False), (Forbidden, False), (Unavailable, True), (OSError, True)):
        board = new_board(hands, every_s=0.01)
        board.take([run()], [], [])
        wrong = list[type[Exception]]()

        async def check(wrong: list[type[Exception]] = wrong) -> None:
            if wrong:
                raise wrong[0]

        frames = board.stream(Sight(), "", check)
        await anext(frames)
        await anext(frames)
        wrong.append(error)
        following = asyncio.ensure_future(anext(frames, None))
        await asyncio.wait([following], timeout=0.1)
        assert following.done() is not goes_on
        board.take([], [move()], [])
        assert (await following is not None) is goes_on
        await cast(Any, frames).aclose()


async def test_a_board_that_closes_ends_its_screens_at_once_and_one_that_was_never_read_refuses(
    board: Board, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.take([run()], [], [])
    frames = board.stream(Sight(), "", free)
    await anext(frames)
    await anext(frames)
    waiting = asyncio.ensure_future(anext(frames, None))
    await asyncio.sleep(0)
    board.close()
    assert await asyncio.wait_for(waiting, 0.5) is None
    monkeypatch.setattr(boards, "READY_WITHIN_S", 0.01)
    unread = new_board(hands)
    unread._ready.clear()
    with pytest.raises(Unavailable):
        await anext(unread.stream(Sight(), "", free))


# Packed


def test_packed_frames_are_one_gzip_stream_readable_event_by_event() -> None:
    texts = [b"retry: 2000\n\n", *(b"data: %d %s\n\n" % (n, bytes(range(97, 120)) * 40) for n in range(20))]
    form, reader, sent = Packed(), zlib.decompressobj(31), b""
    for text in texts:
        part = (form.begin() if not sent else b"") + form.part(frame(text))
        assert reader.decompress(part) == text
        sent += part
    assert not reader.eof
    assert gzip.decompress(sent + form.end()) == b"".join(texts)


# With a database


class Rows:
    """Writes what the journal and the tracker write."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def execute(self, text: str, *args: Any) -> None:
        async with self.database.acquire() as connection:
            await connection.execute(text, *args)

    async def plan(self, round_id: str = "T07", *, day: date, site: str = PANTIN) -> str:
        run_id, flat = f"run-{day}-{round_id}", [value for point in LINE for value in point]
        await self.execute("insert into site values ($1, now()) on conflict do nothing", site)
        await self.execute(
            "insert into round (id, site, mode, name, line, source, digest, changed_at)"
            " values ($1, $2, 'foot', 'Sept', $3, 'file', ''::bytea, now()) on conflict do nothing",
            round_id,
            site,
            flat,
        )
        await self.execute(
            "insert into run (id, day, round_id, site, carrier) values ($1, $2, $3, $4, 'Camille Essai')",
            run_id,
            day,
            round_id,
            site,
        )
        return run_id

    async def duty(self, run_id: str, state: str, duty: str, *, old: bool = False) -> None:
        await self.decided(run_id, {"duty": duty})
        changed = "now() - interval '1 hour'" if old else "clock_timestamp()"
        await self.execute(
            f"update run set state = $2, state_at = now(), changed_at = {changed} where id = $1", run_id, state
        )

    async def decided(self, run_id: str, now: dict[str, Any]) -> None:
        body = orjson.dumps({"facts": [[str(NOON), "1", "run.started", {}]], "now": now})
        await self.execute(
            "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)"
            " on conflict (handler, subject) do update set body = excluded.body",
            f"run/{run_id}",
            body,
        )

    async def at(self, run_id: str, metres: float | None, status: str, at: datetime, *, ago_s: float = 0) -> None:
        await self.execute(
            "insert into run_state (run, day, through_at, distance_along_m, status, updated_at)"
            " values ($1, $2, $3, $4, $5, clock_timestamp() - make_interval(secs => $6))"
            " on conflict (run) do update set through_at = $3, distance_along_m = $4, status = $5,"
            " updated_at = excluded.updated_at",
            run_id,
            date.fromisoformat(run_id[4:14]),
            at,
            metres,
            status,
            ago_s,
        )


def reading_board(database: Database, hands: Hands | None = None) -> Board:
    clock = {"clock": lambda: hands.seconds} if hands else {}
    return Board(database, Lines(database), PARIS, every_s=0.05, **cast(Any, clock))


def today() -> date:
    return datetime.now(UTC).astimezone(PARIS).date()


def shown(board: Board) -> list[tuple[Any, ...]]:
    return sorted((name, each.distance_along_m, each.status, each.seen_at) for name, each in board._places.items())


async def test_two_processes_show_the_same_whenever_they_began(database: Database) -> None:
    rows, now = Rows(database), datetime.now(UTC)
    early = reading_board(database)
    await early.read()
    assert shown(early) == []
    ids = [await rows.plan(f"T{n}", day=today()) for n in range(4)]
    for run_id in ids:
        await rows.duty(run_id, "started", "on")
        await rows.at(run_id, 50.0, "on_round", now)
    await early.read()
    await rows.at(ids[0], 80.0, "at_stop", now + timedelta(seconds=9))
    await rows.duty(ids[1], "paused", "paused")
    await rows.duty(ids[2], "ended", "off")
    await rows.duty(ids[3], "started", "mandate")
    late = reading_board(database)
    for each in (early, late):
        await each.read()
    expected = [(ids[0], 80.0, "at_stop", now + timedelta(seconds=9)), (ids[1], 50.0, "paused", now)]
    assert shown(early) == shown(late) == sorted(expected)
    assert early.epoch != late.epoch


async def test_the_first_read_finds_runs_that_started_long_ago_and_not_those_of_days_past(database: Database) -> None:
    rows = Rows(database)
    ids = [await rows.plan(day=today() - timedelta(days=n)) for n in range(3)]
    for run_id in ids:
        await rows.duty(run_id, "started", "on", old=True)
        await rows.at(run_id, 10.0, "on_round", NOON, ago_s=9_000)
    board = reading_board(database)
    await board.read()
    assert [each[0] for each in shown(board)] == sorted(ids[:2])
    await rows.at(ids[2], 20.0, "on_round", NOON)
    await board.read()
    assert [each[0] for each in shown(board)] == sorted(ids[:2])


async def test_what_was_written_while_nobody_could_read_is_read_afterwards(database: Database, hands: Hands) -> None:
    rows = Rows(database)
    run_id = await rows.plan(day=today())
    await rows.duty(run_id, "started", "on", old=True)
    board = reading_board(database, hands)
    await board.read()
    await rows.at(run_id, 30.0, "on_round", NOON, ago_s=50)
    hands.go(1)
    await board.read()
    assert shown(board) == [(run_id, None, "unknown", None)]
    await rows.at(run_id, 30.0, "on_round", NOON, ago_s=50)
    hands.go(60)
    await board.read()
    assert shown(board) == [(run_id, 30.0, "on_round", NOON)]


async def test_a_round_that_is_drawn_anew_moves_the_place_on_to_its_new_line(database: Database) -> None:
    rows, now = Rows(database), datetime.now(UTC)
    run_id = await rows.plan(day=today())
    await rows.duty(run_id, "started", "on")
    await rows.at(run_id, 0.0, "on_round", now)
    board = reading_board(database)
    await board.read()
    await rows.execute("update round set line = $1, version = 2", [3.0, 47.0, 3.1, 47.0])
    await rows.at(run_id, 0.0, "at_stop", now)
    await rows.duty(run_id, "started", "on")
    await board.read()
    assert (board._places[run_id].lon, board._places[run_id].lat) == (3.0, 47.0)


async def test_a_round_that_is_drawn_anew_while_it_is_walked_shows_the_next_place_on_its_new_line(
    database: Database, hands: Hands
) -> None:
    rows, now = Rows(database), datetime.now(UTC)
    run_id = await rows.plan(day=today())
    await rows.duty(run_id, "started", "on", old=True)
    await rows.at(run_id, 0.0, "on_round", now)
    board = reading_board(database, hands)
    await board.read()
    await rows.execute("update round set line = $1, version = 2", [3.0, 47.0, 3.1, 47.0])
    await rows.at(run_id, 0.0, "at_stop", now)
    await board.read()
    assert (board._places[run_id].lon, board._places[run_id].lat) == (3.0, 47.0)


async def test_a_mandate_told_late_takes_a_pause_off_the_board(database: Database, hands: Hands) -> None:
    rows, now = Rows(database), datetime.now(UTC)
    run_id = await rows.plan(day=today())
    await rows.execute(query("run.set_state"), run_id, "paused", now)
    await rows.decided(run_id, {"duty": "paused", "mandate": False})
    board = reading_board(database, hands)
    await board.read()
    assert [each[:3] for each in shown(board)] == [(run_id, None, "paused")]
    await rows.execute("update run set changed_at = now() - interval '1 hour'")
    await rows.decided(run_id, {"duty": "paused", "mandate": True})
    await rows.execute(query("run.set_state"), run_id, "paused", now)  # as before: only the duty is another
    await board.read()
    assert shown(board) == []


async def test_a_database_that_goes_away_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(database)
    run_id = await rows.plan(day=today())
    await rows.duty(run_id, "started", "on")
    board, reads = reading_board(database), 0
    real = board.read

    async def fails_twice() -> None:
        nonlocal reads
        reads += 1
        if reads < 3:
            raise ConnectionError
        await real()

    monkeypatch.setattr(board, "read", fails_twice)
    job = asyncio.create_task(board.run())
    screen = Screen(board)
    assert await asyncio.wait_for(screen.next(), 5) is None
    async with asyncio.timeout(5):
        while not (events := await screen.look()):
            pass
    assert [each["run_id"] for each in events[0][1]["runs"]] == [run_id]
    job.cancel()
    await asyncio.wait([job])
    await screen.close()


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [("live.moved", "(5.0)", "run_state_by_update"), ("live.changed_runs", "(current_date, 5.0)", "run_by_change")],
)
async def test_what_is_read_each_second_is_found_by_its_index(
    database: Database, name: str, values: str, index: str
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "insert into run (id, day, round_id, site, changed_at) select 'run-' || n, current_date, 'T' || n, 'site',"
            " now() - interval '1 hour' from generate_series(1, 2000) as n"
        )
        await connection.execute("analyze run")
        await connection.execute("set enable_seqscan = off")
        await connection.execute(f"prepare each_second as {query(name)}")
        plan = await connection.fetch(f"explain execute each_second {values}")
    text = "\n".join(row[0] for row in plan)
    assert f"Index Scan using {index}" in text, text
    assert re.search(r"Index Cond: \((changed|updated)_at > ", text), text
