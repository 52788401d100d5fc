"""A fault of ours in tracking blocks no phone; a database that is away asks for the same again."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import orjson
import pytest

from fieldsvc.errors import Unavailable
from fieldsvc.intake.apps import Apps, take
from fieldsvc.intake.backlog import Backlog
from fieldsvc.intake.formats.phone import Decoded
from fieldsvc.intake.positions import PositionsUpload, take_positions
from fieldsvc.journal.submission import Submission
from geo import Fix

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DEVICE: Any = SimpleNamespace(id="d-0001", device_id="d-0001", site="pantin", lost_at=None)
BODY = orjson.dumps({"fixes": [{"fixed_at": "2026-11-22T08:59:00Z", "lat": 48.9, "lon": 2.1, "accuracy_m": 5.0}]})


class Broken:
    """A tracker that raises, and a writer that remembers what was kept aside."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.kept: list[Any] = []

    async def take(self, *_args: Any, **_more: Any) -> Any:
        raise self.error

    async def submit(self, sent: Submission) -> None:
        self.kept += sent.items


async def _positions(broken: Any) -> dict[str, int]:
    intake: Any = SimpleNamespace(writer=broken, backlog=Backlog())
    return await take_positions(broken, intake, PositionsUpload(BODY, "application/json", None, DEVICE, NOW))


async def _app(broken: Any) -> tuple[str, ...]:
    apps: Any = Apps(SimpleNamespace(writer=broken, most_events=500), broken, UTC)  # type: ignore[arg-type]
    return (await take(apps, DEVICE, Decoded((Fix(48.9, 2.1, NOW),)), received_at=NOW)).reasons


async def test_a_fault_of_tracking_is_kept_aside_by_how_many_fixes_it_was_and_the_phone_goes_on() -> None:
    broken = Broken(ValueError("48.9"))
    assert (await _positions(broken))["quarantined"] == 1
    assert await _app(broken) == ("intake_failed",)
    assert {(each.reason, each.raw) for each in broken.kept} == {("intake_failed", b'{"fixes":1}')}


@pytest.mark.parametrize("error", [Unavailable(), TimeoutError(), ConnectionError(), asyncpg.InterfaceError("closed")])
async def test_while_nothing_can_be_committed_the_phone_is_asked_to_send_again(error: Exception) -> None:
    broken = Broken(error)
    for way in (_positions, _app):
        with pytest.raises(type(error)):
            await way(broken)
    assert broken.kept == []
