"""A breaker under any schedule: requests in flight that end in any order, an endpoint that comes and goes, and times to wait for."""

from collections import deque
from datetime import datetime, timedelta

from fieldsvc.publishing.breaker import Breaker, Limits
from tests.simulation.loop import START, Schedule, check

MOST_FLYING, ROUNDS = 4, 60
LIMITS = (Limits(), Limits(first_open_s=2.0, longest_open_s=20.0))


class World:
    """One breaker, and a lane that asks it before every request."""

    def __init__(self, seed: int) -> None:
        self.schedule = Schedule(seed)
        self.random = self.schedule.random
        self.breaker = Breaker(self.random.choice(LIMITS))
        self.now: datetime = START
        self.flying: list[tuple[str, bool]] = []  # subject, begun as a probe
        self.refused = self.good = 0
        self.history: deque[tuple[datetime, bool]] = deque()
        self.open_s = 0.0

    def run(self) -> str:
        """Run the schedule; give its trace."""
        return self.schedule.run(self._main())

    async def _main(self) -> None:
        health = self.random.choice((0.0, 0.1, 0.5, 0.9))
        for _ in range(ROUNDS):
            self.now += timedelta(seconds=self.random.choice((0.0, 0.0, 0.5, 3.0, 40.0)))
            if self.random.random() < 0.08:
                health = self.random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
            if self.flying and self.random.random() < 0.6:
                self._ends(self.flying.pop(self.random.randrange(len(self.flying))), health)
            else:
                self._begins()

    def _begins(self) -> None:
        """Begin what a lane may begin: several requests while it is closed, one probe else."""
        breaker = self.breaker
        if not breaker.may_send(self.now) or (
            self.flying if not breaker.is_closed else len(self.flying) >= MOST_FLYING
        ):
            return
        check(breaker.held_until is None or self.now >= breaker.held_until, "a request before the receiver wanted one")
        if not breaker.is_closed:
            check(breaker.probe_at is not None and self.now >= breaker.probe_at, "a probe before it was time")
        self.flying.append((f"item/{self.random.randrange(12)}", not breaker.is_closed))

    def _ends(self, flight: tuple[str, bool], health: float) -> None:
        subject, _is_probe = flight
        before, breaker = self.breaker.opened_at, self.breaker
        if self.random.random() < health:
            self._succeeds(subject, before)
        else:
            self._fails(subject, before)
        self.schedule.note(subject, breaker.opened_at, breaker.probe_at, breaker.step)

    def _succeeds(self, subject: str, before: datetime | None) -> None:
        self.refused = 0
        self.history.append((self.now, True))
        was_open = self.breaker.succeeded(subject, self.now)
        check(not (before is None and not self.breaker.is_closed), "a success opened it")
        self.good = self.good + 1 if before is not None else 0
        if before is not None and self.breaker.is_closed:
            check(self.good >= self.breaker.limits.successes, "it closed too early")
            check(was_open == self.now - before, "it does not know for how long it was open")
            check(
                self.breaker.may_send(self.now) or self.breaker.held_until is not None,
                "it is closed, and lets nothing through",
            )
            self.good = 0
            self.history.clear()
        elif before is not None:
            check(self.good < self.breaker.limits.successes, "it stays open")

    def _fails(self, subject: str, before: datetime | None) -> None:
        unreachable = self.random.random() < 0.4
        self.refused = self.refused + 1 if unreachable else 0
        self.history.append((self.now, False))
        step, breaker, limits = self.breaker.step, self.breaker, self.breaker.limits
        was_due = breaker.probe_at is None or self.now >= breaker.probe_at
        breaker.failed(subject, self.now, unreachable=unreachable)
        if self.random.random() < 0.1:
            breaker.hold(self.now + timedelta(seconds=5))
        check(before is None or not breaker.is_closed, "a failure closed it")
        check(self.refused < limits.unreachable or not breaker.is_closed, "refused three times, and still closed")
        if before is None and not breaker.is_closed:
            self._opens()
        elif before is not None and was_due:
            self.good = 0
            check(breaker.step == step + 1, "it does not wait longer after a failed probe")
        if breaker.probe_at is not None and (before is None or was_due):
            waits = (breaker.probe_at - self.now).total_seconds()
            check(waits >= limits.first_open_s, "it asks again too early")
            check(
                waits == min(limits.longest_open_s, limits.first_open_s * 2**breaker.step),
                "it waits for another time than it says",
            )

    def _opens(self) -> None:
        """It opens for a reason: refused connections, or most of what was tried lately, or ten failures with nothing good between."""
        self.good = 0
        since = self.now - timedelta(seconds=self.breaker.limits.window_s)
        recent = [ok for at, ok in self.history if at >= since][-100:]
        run = 0
        for _at, ok in reversed(self.history):
            if ok:
                break
            run += 1
        most = len(recent) >= 10 and recent.count(False) >= 0.7 * len(recent)
        check(self.refused >= 3 or run >= 10 or most, "it opened for nothing")
