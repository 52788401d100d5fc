"""A request that was about to begin as the breaker opened: it is not sent, and nothing of it is lost."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fieldsvc.publishing.breaker import Breaker, Limits
from fieldsvc.publishing.entries import Entry
from fieldsvc.publishing.lane import Access, Flight, Lane, _State
from fieldsvc.publishing.progress import Progress
from fieldsvc.publishing.runs import Runs
from fieldsvc.publishing.tools import LaneLimits, Tools
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.store.endpoints import Config

DAY = date(2026, 11, 21)
NOTHING: Any = None


class Sender:
    """Takes note of what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, _url: str, message_id: str, **_more: Any) -> Outcome:
        self.sent.append(message_id)
        return Outcome(datetime.now(UTC), 1, status=204)


def lane_of(sender: Any, breaker: Breaker) -> Lane:
    config = Config(
        id="ep-1", account="acct", url="https://receiver.example/", types=[], thin=False, state="active", version=1, scopes=[], revoked=False
    )  # fmt: skip
    tools = Tools(
        database=NOTHING, tail=NOTHING, renderer=NOTHING, sender=sender, schedule=(0.0, 1.0), save=NOTHING, save_soon=lambda: None,
        note=lambda _attempt: None, limits=LaneLimits(),
    )  # fmt: skip
    lane = Lane(config, Access([]), epoch=1, breaker=breaker, tools=tools)
    lane.lease_ends = float("inf")
    return lane


def opened() -> Breaker:
    now = datetime.now(UTC)
    return Breaker(Limits(), opened_at=now, probe_at=now + timedelta(seconds=30))


def two_events() -> Sequence[Entry]:
    return [Entry(0, (DAY, n), f"item/{n}", f"evt_{n}", b"{}", rendered_at=float("inf")) for n in (1, 2)]


async def test_a_head_that_was_about_to_be_sent_as_the_breaker_opened_stays() -> None:
    sender, progress = Sender(), Progress({0: (DAY, 0)}, [])
    progress.add(two_events()[0])
    subject = progress.take(datetime.now(UTC), parked_too=False)
    assert subject == "item/1"
    lane = lane_of(sender, opened())
    await lane._send_head(_State(progress, None, NOTHING, NOTHING), Flight(subject, [], 0.0))
    assert not sender.sent
    assert progress.take(datetime.now(UTC), parked_too=False) == "item/1"


async def test_a_batch_that_was_about_to_be_sent_as_the_breaker_opened_stays_whole() -> None:
    sender, progress = Sender(), Progress({0: (DAY, 0)}, [])
    runs = Runs(progress, most=5, size=1000)
    for entry in two_events():
        runs.add(entry)
    batch = runs.take()
    lane = lane_of(sender, opened())
    await lane._send_batch(_State(progress, runs, NOTHING, NOTHING), runs, Flight("", batch, 0.0))
    assert not sender.sent
    assert runs.take() == batch
