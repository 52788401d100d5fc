"""The oracle's own test: with one mechanism of the sender taken out, a shape must fail; with all of them, none does.

A run is the same for each seed. `FIELDSVC_FAULT_CYCLES=200` plays that many seeds of every shape.
"""

import os
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from fieldsvc.publishing import breaker, progress, taking, webhooks
from fieldsvc.store import lanes
from sql import query
from tests import databases
from tests.faults.publishing.oracle import Report, Verdict
from tests.faults.publishing.shapes import SHAPES
from tests.faults.publishing.virtual import Stalled, World, play

pytestmark = pytest.mark.fault
SEEDS = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "1"))
MOST_SEEDS = 6
Plant = Callable[[pytest.MonkeyPatch], None]


def ran(server_url: str, shape: str, seed: int) -> list[Verdict]:
    """Play one run in a database of its own; what never came true is a fault as well."""

    async def act(world: World) -> list[Verdict]:
        try:
            return await SHAPES[shape](world, Random(f"{shape} {seed}"))
        except Stalled:
            return [Verdict(0, faults=["What was to arrive did not, or something still waits."])]

    url = databases.new_database(server_url)
    try:
        found: list[Verdict] = play(url, act)
    finally:
        databases.drop_database(server_url, url)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_lost_repeated_beyond_its_span_or_inverted(shape: str, postgres_url: str, report: Report) -> None:
    total = Verdict(0)
    for seed in range(SEEDS):
        for verdict in ran(postgres_url, shape, seed):
            total += verdict
        assert total.faults == [], seed
    report(f"{shape}, {SEEDS} seeds", total)


def no_park_check(patch: pytest.MonkeyPatch) -> None:
    """Retry a failing event alone, and let the rest of its subject go on, as best-effort senders do."""
    real = progress.Progress.park

    def park(self: Any, subject: str, **about: Any) -> None:
        if subject in self.parked or "!" in subject:
            return real(self, subject, **about)
        queue = self._queues[subject]
        head = queue.popleft()
        head.subject = f"{subject}!{head.evt_id}"
        self._queues[head.subject] = deque([head])
        self._busy.discard(subject)
        if queue:
            self._ready.append(subject)
        else:
            del self._queues[subject]
        return real(self, head.subject, **about)

    patch.setattr(progress.Progress, "park", park)


def no_cursor_order(patch: pytest.MonkeyPatch) -> None:
    """Move the cursor to the newest acknowledged event."""
    real = progress.Progress._settle

    def settle(self: Any, track: Any) -> None:
        real(self, track)
        done = [entry for entry in track.entries if entry.done]
        if done:
            track.low = done[-1].position

    patch.setattr(progress.Progress, "_settle", settle)


def planted_query(name: str, text: str) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(lanes, "query", lambda asked: text if asked == name else query(asked))

    return plant


def another_id(patch: pytest.MonkeyPatch) -> None:
    """Name an event anew when it is tried again."""
    real = taking.Taking.load_head

    async def load_head(self: Any, subject: str) -> Any:
        entry = await real(self, subject)
        entry.evt_id += "_r"
        return entry

    patch.setattr(taking.Taking, "load_head", load_head)


def no_span(patch: pytest.MonkeyPatch) -> None:
    """Take in as much as can be queued, however much is unsaved."""
    patch.setattr(progress.Progress, "room", lambda self: self._limits[1] - self._waiting)


def no_backlog(patch: pytest.MonkeyPatch) -> None:
    """Let a subject flow again once its head is through, without what waits behind it."""
    real = progress.Progress._parked_acknowledged

    def acknowledged(self: Any, subject: str, now: Any) -> Any:
        self.parked[subject].behind = 0
        return real(self, subject, now)

    patch.setattr(progress.Progress, "_parked_acknowledged", acknowledged)


def no_breaker(patch: pytest.MonkeyPatch) -> None:
    """Never open."""
    patch.setattr(breaker.Breaker, "failed", lambda self, *args, **about: None)


def silence_is_consent(patch: pytest.MonkeyPatch) -> None:
    """Take a timeout for an acknowledgement."""
    real = webhooks.Outcome.ok
    patch.setattr(webhooks.Outcome, "ok", property(lambda self: self.error == "timeout" or real.__get__(self)))


def unrecorded(patch: pytest.MonkeyPatch) -> None:
    """Give an event up without a dead letter."""
    patch.setattr(progress.Progress, "give_up", lambda self, *args, **about: None)


NOT_HELD = "select unnest($2::text[]) as endpoint where $1::uuid is not null and $3::bigint[] is not null"
NOT_TRIMMED = "select 1 where $1::text[] is null and $2::text[] is null and $3::date[] is null and $4::bigint[] is null"
BACKWARDS = query("lane_backlog.next").replace("order by b.day, b.pos", "order by b.day desc, b.pos desc")
MUTANTS: dict[str, tuple[str, Plant]] = {
    "no park check": ("crashes", no_park_check),
    "no cursor order": ("crashes", no_cursor_order),
    "no lock and no epoch on a save": ("stale_owner", planted_query("lane.hold", NOT_HELD)),
    "another id for a retry": ("crashes", another_id),
    "no bound of the span": ("unsaved", no_span),
    "backlog left behind": ("crashes", no_backlog),
    "backlog read backwards": ("crashes", planted_query("lane_backlog.next", BACKWARDS)),
    "backlog never trimmed": ("crashes", planted_query("lane_backlog.trim", NOT_TRIMMED)),
    "breaker never opens": ("outage", no_breaker),
    "a timeout counts as acknowledged": ("crashes", silence_is_consent),
    "given up without a record": ("poison", unrecorded),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_sender_without_one_of_its_mechanisms_is_found_out(
    mutant: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, note: Callable[[str], None]
) -> None:
    shape, plant = MUTANTS[mutant]
    plant(monkeypatch)
    for seed in range(2, 2 + MOST_SEEDS):
        total = sum(ran(postgres_url, shape, seed), Verdict(0))
        if total.faults:
            break
    assert total.faults, "the oracle saw nothing"
    note(f"faults: sender, planted: {mutant}: seed {seed} of {shape}: {total.line} · {total.faults[0]}")
