"""Publishing under any schedule: a journal that grows, dispatchers on two machines, and a receiver that is anything but well."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any, Self
from unittest import mock

import orjson

from fieldsvc.ids import uuid7
from fieldsvc.journal.memory import shard_of
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing.dispatcher import Dispatcher, Pace
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.settings import Settings
from fieldsvc.store import endpoints
from tests.simulation import publishing_statements  # noqa: F401 - the store learns its queries
from tests.simulation.journal import vault
from tests.simulation.loop import MACHINE, Machine, Schedule, check
from tests.simulation.store import Database, Faults, Store, Transaction

SUBJECTS = ("item/a", "item/b", "item/c", "item/d", "item/e", "item/f", "item/g")
FAULTS = (Faults(), Faults(slow=0.1), Faults(lost=0.03, unknown=0.1, busy=0.03, connect=0.1))
LIMITS = LaneLimits(
    in_flight=5, parked_in_flight=3, span=16, waiting=10, slow_s=2.0, read_rows=4, backlog_rows=2, least_room=2,
    idle_save_s=3.0, longest_sleep_s=8.0,
)  # fmt: skip
PACE = Pace(
    lease_s=8.0, margin_s=2.0, renew_s=3.0, look_s=4.0, save_s=2.0, log_s=20.0, upkeep_s=9e9, grace_s=3.0, lane=LIMITS
)
ENDPOINT = "ep-1"
END_S = 900.0


@lru_cache(maxsize=1)
def settings() -> Settings:
    with mock.patch.dict("os.environ", clear=True):
        return Settings()


@dataclass
class Habits:
    """How the receiver of one schedule behaves, until it is calm."""

    down: tuple[float, float]  # from, to
    poison: str | None
    fails: float
    slow: float
    lost: float
    retry_after: float
    gone: float

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        random = schedule.random
        down = (random.uniform(0, 4), random.uniform(4, 40)) if random.random() < 0.4 else (0.0, 0.0)
        poison = random.choice(SUBJECTS) if random.random() < 0.3 else None
        some = lambda share, much: much if random.random() < share else 0.0  # noqa: E731
        return cls(down, poison, some(0.4, 0.4), some(0.3, 0.2), some(0.4, 0.2), some(0.2, 0.1), some(0.1, 0.03))


class Receiver:
    """Takes what is sent and notes it. Its answer may be good, bad, late or lost; whether it took the event is another matter."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.habits = Habits.of(world.schedule)
        self.taken: dict[str, bytes] = {}
        self.seen: dict[str, bytes] = {}
        self.highest: dict[str, int] = defaultdict(int)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, url: str, message_id: str, *, body: bytes, **_more: Any) -> Outcome:
        world, schedule = self.world, self.world.schedule
        at, machine = schedule.now(MACHINE.get()), MACHINE.get()
        said = orjson.loads(body)
        events = said if isinstance(said, list) else [said]
        world.sends(machine, [each["subject"] for each in events])
        try:
            status, error, retry_after_s = await self._exchange(events, body)
        finally:
            world.ended(machine, [each["subject"] for each in events])
        ms = int((schedule.now(machine) - at).total_seconds() * 1000)
        outcome = Outcome(at, ms, status, error, retry_after_s)
        world.told(machine, outcome)
        return outcome

    async def _exchange(self, events: list[dict[str, Any]], body: bytes) -> tuple[int | None, str | None, float | None]:
        schedule, habits = self.world.schedule, self.habits
        now = schedule.loop.time()
        if not schedule.calm and habits.down[0] <= now < habits.down[1]:
            await asyncio.sleep(0.01)
            return None, "connect", None
        slow = schedule.goes_wrong(habits.slow)
        await asyncio.sleep(schedule.random.choice((3.0, 20.0)) if slow else schedule.random.choice((0.0, 0.01, 0.05)))
        together = {event["id"] for event in events}
        for event in events:
            self._arrives(event, together)
        if schedule.goes_wrong(habits.gone):
            self.world.was_gone = True
            return 410, None, None
        if schedule.goes_wrong(habits.retry_after):
            return 429, None, 5.0
        if schedule.goes_wrong(habits.fails) or any(each["subject"] == habits.poison for each in events):
            return 500, None, None
        for event in events:
            self.taken[event["id"]] = body
        if schedule.goes_wrong(habits.lost):
            await asyncio.sleep(15.0)
            return None, "timeout", None
        return 204, None, None

    def _arrives(self, event: dict[str, Any], together: set[str]) -> None:
        """Judge what came: by first occurrences nothing overtakes, and what was left behind is acknowledged or a dead letter."""
        name, subject, sequence = event["id"], event["subject"], int(event["sequence"])
        self.world.schedule.note("arrives", name, subject, sequence)
        check(
            event == orjson.loads(self.world.bodies.setdefault(name, orjson.dumps(event))), f"{name} changed on its way"
        )
        if name in self.seen:
            return
        self.seen[name] = b""
        if self.world.ordered:
            check(sequence > self.highest[subject], f"{name} of {subject} was overtaken")
            dead = {key[1] for key in self.world.store.tables["dead_letter"]} | self.world.dying()
            through = dead | together | self.taken.keys()
            for earlier in self.world.names[subject][: sequence - 1]:
                check(earlier in through, f"{name} came before {earlier} was through")
        self.highest[subject] = max(sequence, self.highest[subject])


@dataclass(eq=False)
class Host(Machine):
    """A machine with a dispatcher."""

    dispatcher: Dispatcher = field(init=False)
    jumped: bool = False

    def boot(self, world: "World") -> None:
        database: Any = Database(world.store)
        tail = Tail(Reader(database), world.store.connect)  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(
            database, tail, vault=vault(), settings=settings(), sender=world.receiver, pace=PACE
        )  # type: ignore[arg-type]
        self.start(tail.run())
        self.start(self.dispatcher.run())


class World:
    """A journal that somebody writes, one endpoint, and machines that die, stand still and come back."""

    def __init__(self, seed: int) -> None:
        self.schedule = schedule = Schedule(seed)
        self.random = random = schedule.random
        self.store = Store(schedule, random.choice(FAULTS))
        self.store.on_commit.append(self.committed)
        self.ordered = random.random() < 0.8
        self.names: dict[str, list[str]] = defaultdict(list)
        self.bodies: dict[str, bytes] = {}
        self.flying: dict[Machine | None, list[str]] = defaultdict(list)
        self.refused: dict[Machine | None, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        self.was_gone = False
        self.receiver = Receiver(self)
        self.hosts: list[Host] = []
        self._prepare(
            batch=random.choice((1, 1, 4)), on_exhausted=random.choice(("dead_letter", "dead_letter", "block"))
        )

    def _prepare(self, *, batch: int, on_exhausted: str) -> None:
        now, tables = self.schedule.now(), self.store.tables
        tables["endpoint"][(ENDPOINT,)] = {
            "id": ENDPOINT, "account": "acct", "url": "https://receiver.example/", "types": [], "thin": False, "state": "active",
            "version": 1, "scopes": [], "revoked": False, "mode": "subject" if self.ordered else "parallel", "batch": batch,
            "format": "cloudevents", "filter": None, "sites": [], "postcodes": [], "sealed_headers": None, "rate_per_s": None,
            "in_flight": None, "on_exhausted": on_exhausted, "schedule": [0.0, 1.0, 4.0], "description": "",
        }  # fmt: skip
        tables["lane"][(ENDPOINT,)] = {
            "endpoint": ENDPOINT, "epoch": 0, "owner": None, "leased_until": now, "opened_at": None, "probe_at": None,
            "step": 0, "held_until": None, "failing_since": None, "last_failed_at": None, "warned": 0,
        }  # fmt: skip
        for shard in range(SHARDS):
            place = {"endpoint": ENDPOINT, "shard": shard, "day": now.date().replace(year=2000), "pos": 0}
            tables["cursor"][(ENDPOINT, shard)] = place

    def run(self) -> str:
        """Run the schedule; give its trace."""
        return self.schedule.run(self._main())

    async def _main(self) -> None:
        for n in range(self.random.choice((1, 2))):
            self._boot(f"m-{n}")
        writing = asyncio.create_task(self._write())
        await self._trouble()
        await writing
        await asyncio.sleep(self.random.uniform(0, 10))
        self.schedule.calm, self.receiver.habits.poison = True, None
        await self._settle()
        self.at_the_end()

    def _boot(self, name: str) -> None:
        host = Host(name)
        host.boot(self)
        self.hosts.append(host)

    async def _write(self) -> None:
        """Commit public events, a few at a time."""
        for _ in range(self.random.randrange(2, 5)):
            await asyncio.sleep(self.random.choice((0.0, 0.3, 2.0, 9.0)))
            self._say(self.random.randrange(1, 8))
            self.store.notify()

    def _say(self, count: int) -> None:
        now, tx = self.schedule.now(), Transaction(None)
        for _ in range(count):
            subject, event_id = self.random.choice(SUBJECTS), uuid7()
            shard = shard_of(subject)
            written = tx.written.get("event", {})
            pos = len(self.store.rows[shard]) + sum(key[1] == shard for key in written) + 1
            self.names[subject].append(f"evt_{event_id}")
            row = {
                "day": now.date(), "shard": shard, "pos": pos, "id": event_id, "part": 0, "kind": "public", "type": "item.delivered",
                "subject": subject, "subject_seq": len(self.names[subject]), "account": "acct", "site": "pantin", "run": None,
                "occurred_at": now, "received_at": now, "public": b'{"public":{}}', "sealed_sha256": [], "chain": b"",
            }  # fmt: skip
            self.store.put(tx, "event", (row["day"], shard, pos), row)
        self.store.end(tx, commit=True)

    async def _trouble(self) -> None:
        """Kill machines and start others; let one stand still for longer than its lease; move clocks; resume what was retired."""
        for n in range(self.random.randrange(4)):
            await asyncio.sleep(self.random.uniform(0.0, 8.0))
            host = self.random.choice([each for each in self.hosts if each.alive])
            what = self.random.choice(("kill", "freeze", "clock", "stop", "nothing"))
            self.schedule.note("trouble", what, host.name)
            if what in ("kill", "stop"):
                if what == "stop":
                    stopping = host.start(host.dispatcher.stop())
                    await asyncio.wait([stopping], timeout=20.0)
                host.alive = False
                self.flying.pop(host, None)
                self.store.cut(host)
                await asyncio.sleep(self.random.choice((0.0, 3.0)))
                self._boot(f"{host.name}'{n}")
            elif what == "freeze":
                host.paused = True
                self.store.stands_still(host)
                await asyncio.sleep(self.random.choice((1.0, 15.0)))
                self.schedule.loop.resume(host)
            elif what == "clock":
                host.jumped = True
                host.skew = timedelta(seconds=self.random.choice((-600, -20, 20, 300)))

    async def _settle(self) -> None:
        """Wait until everything is through; a person resumes an endpoint that was retired."""
        database: Any = Database(self.store)
        for host in self.hosts:
            host.skew = timedelta()
        until = self.schedule.loop.time() + END_S
        while self.schedule.loop.time() < until:
            await asyncio.sleep(6.0)
            if self.store.tables["endpoint"][(ENDPOINT,)]["state"] == "disabled":
                check(self.was_gone, "the endpoint was disabled for nothing")
                await endpoints.resume(database, ENDPOINT)
            if self._is_through():
                return

    def _is_through(self) -> bool:
        tables = self.store.tables
        if tables["parked"] or tables["lane_backlog"]:
            return False
        return all(
            not rows or (place["day"], place["pos"]) >= (rows[-1]["day"], rows[-1]["pos"])
            for shard, rows in enumerate(self.store.rows)
            for place in [tables["cursor"][(ENDPOINT, shard)]]
        )

    # what has to hold

    def lane(self, machine: Machine | None) -> Any:
        host = next((each for each in self.hosts if each is machine), None)
        return host.dispatcher._lanes.get(ENDPOINT) if host is not None else None

    def dying(self) -> set[str]:
        """Dead letters that are still to be saved: an event behind one of them may leave before."""
        found = set()
        for host in self.hosts:
            lane = host.dispatcher._lanes.get(ENDPOINT) if hasattr(host, "dispatcher") else None
            if lane is not None and lane._state is not None:
                unsaved = lane.unsaved.dead if lane.unsaved is not None else []
                found |= {letter.event_id for letter in (*lane._state.progress._dead, *unsaved)}
        return found

    def sends(self, machine: Machine | None, subjects: Sequence[str]) -> None:
        """Judge that a request begins."""
        self.schedule.note("sends", machine.name if machine else "", subjects)
        lane, now, at = self.lane(machine), self.schedule.now(machine), self.schedule.loop.time()
        busy = self.flying[machine]
        if self.ordered:
            check(not set(busy) & set(subjects), f"two requests at once for {subjects}")
        if lane is not None:
            breaker = lane._breaker
            check(at < lane.lease_ends, "a request after the lease ended")
            check(breaker.held_until is None or now >= breaker.held_until, "a request before the receiver wanted one")
            if breaker.opened_at is not None:
                check(breaker.probe_at is None or now >= breaker.probe_at, "a request while the breaker is open")
                check(len(subjects) == 1, "a batch while the breaker is open")
                check(not self.probing(machine), "two probes at once")
                self.probes(machine).append(at)
        failures, since = self.refused[machine]
        open_for = at - since
        check(
            failures < 3 or open_for >= 1.0 - 1e-6 or self.moved(machine),
            "refused three times, and asked again at once",
        )
        busy.extend(subjects)

    def moved(self, machine: Machine | None) -> bool:
        """Whether a machine's clock jumped, so that it waits for another time."""
        return isinstance(machine, Host) and machine.jumped

    def probing(self, machine: Machine | None) -> bool:
        """Whether a request of this lane's that began while the breaker was open is under way."""
        lane = self.lane(machine)
        return bool(getattr(self, "_probes", {}).get(id(lane)))

    def probes(self, machine: Machine | None) -> list[float]:
        self._probes: dict[int, list[float]] = getattr(self, "_probes", {})
        return self._probes.setdefault(id(self.lane(machine)), [])

    def ended(self, machine: Machine | None, subjects: Sequence[str]) -> None:
        for subject in subjects:
            if subject in self.flying[machine]:
                self.flying[machine].remove(subject)
        if self.probing(machine):
            self.probes(machine).clear()

    def told(self, machine: Machine | None, outcome: Outcome) -> None:
        """Count refused connections as the lane hears of them."""
        failures, _since = self.refused[machine]
        refused = outcome.error == "connect"
        self.refused[machine] = (failures + 1, self.schedule.loop.time()) if refused else (0, 0.0)

    def committed(self, tx: Transaction) -> None:
        """Judge what is saved: no cursor goes back, none passes an event that is nowhere else."""
        tables = self.store.tables
        moved = {key: row for key, row in tx.written.get("cursor", {}).items() if row}
        for (_endpoint, shard), row in moved.items():
            before = tables["cursor"][(ENDPOINT, shard)]
            place = row["day"], row["pos"]
            check(place >= (before["day"], before["pos"]), "a cursor moved back")
            self.schedule.note("cursor", shard, row["pos"])
            for each in self.store.rows[shard]:
                if (each["day"], each["pos"]) <= place:
                    self._is_somewhere(tx, each)

    def _is_somewhere(self, tx: Transaction, row: dict[str, Any]) -> None:
        name, place = f"evt_{row['id']}", (row["day"], row["pos"])
        if name in self.receiver.taken or self.store.get(tx, "dead_letter", (ENDPOINT, name)) is not None:
            return
        key = row["subject"] if self.ordered else f"{row['subject']} {name}"
        parked = self.store.get(tx, "parked", (ENDPOINT, key))
        waits = parked is not None and (parked["day"], parked["pos"]) == place
        check(waits or self.store.get(tx, "lane_backlog", (ENDPOINT, key, *place)), f"the cursor passed {name}")

    def at_the_end(self) -> None:
        dead = {key[1] for key in self.store.tables["dead_letter"]}
        for subject, names in self.names.items():
            for name in names:
                check(name in self.receiver.taken or name in dead, f"{name} of {subject} never came")
        check(self._is_through(), "it is not saved that everything is through")
