"""A call for help is on the screens before it is committed, and what the database says of it then counts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.submission import Incoming, Rejected
from fieldsvc.store.alarm import Alarm
from fieldsvc.store.database import Database
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.frames import Frame
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.sight import Sight
from fieldsvc.tracking.siren import Siren
from handlers.alarm import HANDLER, RAISED
from handlers.story import Actor

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
EVENT = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")


def incoming(kind: str = RAISED.name) -> Incoming:
    data = {"alarm_id": "a-1", "kind": "sos", "carrier": "Camille Essai", "run_id": "run-2026-11-21-T07"}
    return Incoming(
        EVENT, kind, HANDLER, RAISED.payload, ("alarm/a-1",), (), NINE, NINE, data, b"", Actor("device"),
        site="pantin", located={"stop_id": "st-118"},
    )  # fmt: skip


async def alerts(frames: AsyncGenerator[Frame, None]) -> list[dict[str, Any]]:
    """Return the alerts of the next delta that has any."""
    while True:
        text = (await anext(frames)).text.decode()
        if "event: delta" in text:
            found: list[dict[str, Any]] = orjson.loads(text.split("data: ", 1)[1])["a"]
            if found:
                return found


async def test_only_alarms_of_a_request_are_sounded() -> None:
    heard: list[Alarm] = []
    siren = Siren()
    siren.listen(heard.append)
    siren.sound([incoming("run.started"), Rejected(None, "bad_payload", b""), incoming()])
    assert heard == [
        Alarm("a-1", "sos", "run-2026-11-21-T07", "pantin", "Camille Essai", "st-118", NINE, None, None, EVENT)
    ]


async def test_an_alarm_is_on_the_screens_before_its_commit_and_then_as_the_database_has_it(database: Database) -> None:
    board, siren = Board(database, Lines(database), UTC, every_s=0.05), Siren()
    siren.listen(board.show_early)
    await board.read()

    async def allowed() -> None:
        return None

    async with aclosing(board.stream(Sight("pantin"), "", allowed)) as frames:
        await anext(frames)
        await anext(frames)
        siren.sound([incoming()])
        assert [(each["id"], each["state"]) for each in await alerts(frames)] == [("a-1", "open")]
        seq = board.seq
        siren.sound([incoming()])
        await board.read()
        assert board.seq == seq, "it is not there yet, and nothing is new"
        async with database.acquire() as connection:
            await connection.execute(
                "insert into alarm (id, kind, run, site, carrier, stop_id, event, raised_at, acknowledged_at, "
                "acknowledged_by, changed_at) values ('a-1', 'sos', 'run-2026-11-21-T07', 'pantin', 'Camille Essai', "
                "'st-118', $1, $2, now(), 'acc-1', now() - interval '1 hour')",
                *(EVENT, NINE),
            )
        await board.read()
        assert [(each["id"], each["state"]) for each in await alerts(frames)] == [("a-1", "acknowledged")]
