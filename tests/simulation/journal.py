"""The journal under any schedule: phones, writers on two machines, timers, and a store that fails. Rules at each commit and at the end."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fieldsvc.errors import FieldsvcError
from fieldsvc.ids import uuid7
from fieldsvc.journal import receipts
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.rows import CHAIN_START, EVENT_COLUMNS, chained
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Outcome, Submission
from fieldsvc.journal.timers import Timers
from fieldsvc.journal.writer import Writer
from handlers.base import Handler
from handlers.fields import PUBLIC, Payload, PublicData
from handlers.registry import Registry
from handlers.story import Actor, Command, EventType, Fact, PublicType, Refused, Said, SetTimer, Tale, Write
from tests.simulation import journal_statements  # noqa: F401 - the store learns its queries
from tests.simulation.loop import POLL_S, Machine, Schedule, check
from tests.simulation.store import Database, Faults, Store, Transaction

TITLE = {"fr": "Essai", "en": "Trial"}
THINGS = ("a", "b", "c", "e")
FAULTS = (
    Faults(),
    Faults(slow=0.1),
    Faults(busy=0.04, slow=0.1),
    Faults(lost=0.02, unknown=0.15, connect=0.1),
    Faults(slow=0.1, busy=0.02, lost=0.02, unknown=0.25, connect=0.1, alone=0.1),
    Faults(alone=0.3),
)
DEMANDS = (*(None,) * 8, *("timer", "command") * 3, "crash", "refuse", "poison")
PATIENCE_S = 60.0


class Noted(Payload):
    thing: Annotated[str, PUBLIC]
    value: Annotated[int, PUBLIC]
    demand: Annotated[str | None, PUBLIC] = None


class NotedFact(PublicData):
    thing: Annotated[str, PUBLIC]
    value: Annotated[int, PUBLIC]
    rank: Annotated[int, PUBLIC]


class Trial(Handler):
    """Says each note with its rank in time; `demand` makes it ask for more, or misbehave."""

    name = "trial"
    title = TITLE
    subject = "thing/{thing}"
    events = (EventType("trial.noted", Noted, TITLE, ({"thing": "a", "value": 1},)),)
    publishes = (PublicType("trial.noted", NotedFact, TITLE),)
    sealed_state = False

    def tell(self, facts: Sequence[Fact], new: Fact, now: Any) -> Tale:
        demand, thing = new.data.get("demand"), new.data.get("thing")
        if demand == "refuse":
            raise Refused("no_thanks")
        if demand == "crash":
            raise ZeroDivisionError
        noted = [fact for fact in facts if fact.type == "trial.noted"]
        said = [
            Said(fact, "trial.noted", {"thing": fact.data["thing"], "value": fact.data["value"], "rank": rank})
            for rank, fact in enumerate(noted, start=1)
        ]
        after = timedelta(seconds=(new.data.get("value") or 0) % 7)
        more = {"thing": "other", "value": new.data.get("value", 0)}
        return Tale(
            said=said,
            now_is={"rung": sum(fact.type == "timer.ring" for fact in facts)},
            timers=[SetTimer("ring", now + after)] if demand == "timer" else [],
            commands=[Command("trial.noted", "thing/other", more)] if demand == "command" and thing != "other" else [],
            writes=[Write("run.set_state", ("\x00", "started", now))] if demand == "poison" else [],
        )


@lru_cache(maxsize=1)
def registry() -> Registry:
    handler = Trial()
    types = {each.name: (handler, each) for each in handler.events}
    return Registry({"trial": handler}, types, {each.name: each for each in handler.publishes})


@lru_cache(maxsize=1)
def vault() -> Vault:
    signing = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return Vault(bytes(32), epoch=UUID(int=7), content_key=bytes(32), signing=signing)


@dataclass(eq=False)
class Host(Machine):
    """A machine with a writer, timers, and a reader that follows the journal."""

    writer: Writer = field(init=False)
    tail: Tail = field(init=False)
    timers: Timers = field(init=False)
    asked: list["asyncio.Future[Outcome]"] = field(default_factory=list)

    def dies(self) -> None:
        """Stop for good; who waits for an answer sees the connection end."""
        self.alive = False
        for answer in self.asked:
            answer.cancel()

    def boot(self, store: Store) -> None:
        database: Any = Database(store)
        self.tail = Tail(Reader(database), store.connect)  # type: ignore[arg-type]
        now = lambda: store.schedule.now(self)  # noqa: E731
        self.writer = Writer(store.connect, vault(), registry(), wake=self.tail, clock=now)  # type: ignore[arg-type]
        self.timers = Timers(database, Commands(self.writer, vault(), registry()))
        for work in (self.writer.run(), self.timers.run(), self.tail.run()):
            self.start(work)


class World:
    """Phones that send until they are answered, and machines that answer, die and come back."""

    def __init__(self, seed: int) -> None:
        self.schedule = schedule = Schedule(seed)
        self.random = schedule.random
        self.store = Store(schedule, self.random.choice(FAULTS))
        self.store.on_commit.append(self.committed)
        self.deadly = self.random.choice((0.0, 0.0, 0.3))
        self.hosts: list[Host] = []
        self.events: dict[UUID, Incoming] = {}
        self.answers: dict[UUID, list[str]] = defaultdict(list)
        self.issued: list[str] = []
        for name in ("d-1", "d-2"):
            self.store.tables["device"][(name,)] = {"id": name, "receipt_no": 0, "receipt_hash": bytes(32)}

    def run(self) -> str:
        """Run the schedule; give its trace."""
        return self.schedule.run(self._main())

    async def _main(self) -> None:
        for n in range(self.random.choice((1, 2))):
            self._boot(f"m-{n}")
        phones = [asyncio.create_task(self._phone(name)) for name in ("d-1", "d-2")]
        trouble = asyncio.create_task(self._trouble())
        await asyncio.gather(*phones)
        self.schedule.calm = True
        await trouble
        await self._settle()
        self.at_the_end()

    def _boot(self, name: str) -> Host:
        host = Host(name)
        host.boot(self.store)
        self.hosts.append(host)
        return host

    async def _trouble(self) -> None:
        """Kill machines, and start others in their place; freeze them, and let them go on."""
        for n in range(2):
            await asyncio.sleep(self.random.uniform(0.0, 3.0))
            if not self.schedule.goes_wrong(self.deadly):
                continue
            host = self.random.choice([each for each in self.hosts if each.alive])
            self.schedule.note("trouble", host.name)
            if self.random.random() < 0.3:
                host.paused = True
                self.store.stands_still(host)
                await asyncio.sleep(self.random.choice((0.5, 9.0)))
                self.schedule.loop.resume(host)
                continue
            host.dies()
            self.store.cut(host)
            await asyncio.sleep(self.random.choice((0.0, 1.0)))
            self._boot(f"{host.name}'{n}")

    # phones

    def _note(self, device: str) -> Incoming:
        random, (handler, event_type) = self.random, registry().by_type["trial.noted"]
        demand = random.choice(DEMANDS)
        data: dict[str, Any] = {"thing": random.choice(THINGS), "value": random.randrange(1000)}
        data |= {"demand": demand} if demand else {}
        now = self.schedule.now()
        at = now - timedelta(seconds=random.choice((0, 0, 30, 4000)))
        raw = orjson.dumps(data)
        made = Incoming(
            id=uuid7(), type="trial.noted", handler=handler, payload=event_type.payload,
            subjects=handler.subjects_of("trial.noted", data), touches=(), occurred_at=at, received_at=now, data=data,
            content_hmac=vault().content_hmac(raw), actor=Actor("device"), raw=raw, site="pantin", device=device,
        )  # fmt: skip
        self.events[made.id] = made
        return made

    async def _phone(self, device: str) -> None:
        """Send a few events in requests of some, each until it is answered, sometimes twice at once."""
        for _ in range(self.random.randrange(1, 3)):
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.5)))
            batch = [self._note(device) for _ in range(self.random.randrange(1, 3))]
            if self.random.random() < 0.2:
                batch.append(batch[0])
            copies = 2 if self.random.random() < 0.2 else 1
            await asyncio.gather(*(self._deliver(device, batch) for _ in range(copies)))

    async def _deliver(self, device: str, batch: list[Incoming]) -> None:
        while (outcome := await self._try(device, batch)) is None:  # noqa: ASYNC110 - a phone tries again
            await asyncio.sleep(self.random.uniform(0.3, 3.0))
        if outcome.receipt is not None:
            self.issued.append(outcome.receipt)
        for result in outcome.results:
            self.schedule.note("answer", result.id, result.status)
            self.answers[UUID(result.id)].append(result.status)

    async def _try(self, device: str, batch: list[Incoming]) -> Outcome | None:
        """Ask one machine; None if there was no answer, which says nothing of what happened."""
        host = self.random.choice(self.hosts[-2:])
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        copies = [replace(each) for each in batch]  # each request is read anew
        if not host.alive:
            return None
        host.asked.append(answer)

        async def serve() -> None:
            with suppress(FieldsvcError):
                outcome = await host.writer.submit(Submission(copies, device=device, site="pantin"))
                self._acknowledged(outcome)
                if not answer.done():
                    answer.set_result(outcome)
                return
            if not answer.done():
                answer.cancel()

        serving = host.start(serve())
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await answer
        except (TimeoutError, asyncio.CancelledError):
            if self.random.random() < 0.5:
                serving.cancel()
            return None
        return None if self.schedule.goes_wrong(0.1) else outcome

    def _acknowledged(self, outcome: Outcome) -> None:
        """The moment at which the server says it: by then it is stored, and on the standby."""
        for result in outcome.results:
            if result.status in ("accepted", "duplicate"):
                stored = self.store.tables["event_id"].get((UUID(result.id),))
                check(stored is not None, f"{result.id} was acknowledged and is not stored")
                alone = [tx for tx in self.store.alone if (UUID(result.id),) in tx.written.get("event_id", ())]
                check(not alone, f"{result.id} was acknowledged and no standby has it")

    # what has to hold

    def committed(self, tx: Transaction) -> None:
        """Look at a commit before it happens."""
        written = tx.written
        fields = [row for row in written.get("event", {}).values() if row and row["kind"] == "field"]
        for row in written.get("event", {}).values():
            if row:
                self.schedule.note("row", row["shard"], row["pos"], row["id"], row["part"], row["subject_seq"])
        timers = {row["id"]: row for row in self.store.tables["timer"].values()}
        for row in fields:
            check((row["id"],) in written.get("event_id", {}), "a row without its id")
            if row["id"] not in self.events:
                timer = timers.get(row["id"])
                check(timer is not None, "a timer fired that was not set any more")
                now = self.schedule.now(tx.machine)
                check(timer and timer["due_at"] <= now, "a timer fired too early")
        locked = {key[1] for key in tx.locks if key[0] == "shard"}
        check(
            {row["shard"] for row in written.get("event", {}).values() if row} <= locked,
            "a shard written without its lock",
        )

    async def _settle(self) -> None:
        """Wait until no timer is left: none is lost, so each of them fires."""
        for _ in range(40):
            await asyncio.sleep(2.0)
            if not self.store.tables["timer"]:
                break
        check(not self.store.tables["timer"], "a timer never fired")
        await asyncio.sleep(2 * POLL_S)

    def at_the_end(self) -> None:
        rows = [row for shard in self.store.rows for row in shard]
        stored = Counter(row["id"] for row in rows if row["kind"] == "field")
        check(all(n == 1 for n in stored.values()), "an event was stored twice")
        for event_id, statuses in self.answers.items():
            kept = bool({"accepted", "duplicate"} & set(statuses))
            check(not kept or stored[event_id] == 1, f"{event_id} was acknowledged and is not there")
            check(statuses.count("accepted") <= 1, f"{event_id} was accepted twice")
            spoilt = self.events[event_id].data.get("demand") in ("crash", "refuse", "poison")
            check(kept is not spoilt, f"{event_id} was answered {statuses}")
            check("conflict" not in statuses, f"{event_id} conflicts with itself")
        check(set(stored) >= {row["id"] for row in self.store.tables["event_id"].values()}, "an id without its event")
        self._check_shards()
        self._check_stories(rows)
        self._check_receipts()
        for host in self.hosts:
            if host.alive:
                self._check_tail(host.tail)

    def _check_tail(self, tail: Tail) -> None:
        """What follows the journal has seen every public row since it began, in order."""
        for shard, ring in tail._rings.items():
            rows = [row for row in self.store.rows[shard] if row["kind"] == "public"]
            told = [(row["day"], row["pos"]) for row in rows if (row["day"], row["pos"]) > ring.start]
            check([row.position for row in ring.rows] == told, "a reader missed a row")

    def _check_shards(self) -> None:
        for shard, rows in enumerate(self.store.rows):
            previous = CHAIN_START
            for row in rows:
                head = tuple(row[name] for name in EVENT_COLUMNS[:14])
                previous = chained(previous, head, row["public"], row["sealed_sha256"])
                check(row["chain"] == previous, f"the chain of shard {shard} is broken at {row['pos']}")

    def _check_stories(self, rows: list[dict[str, Any]]) -> None:
        """Every subject counts without a gap, its state has every fact, and every command and timer had its effect once."""
        for subject in {row["subject"] for row in rows}:
            told = [row["subject_seq"] for row in rows if row["subject"] == subject and row["kind"] == "public"]
            check(told == list(range(1, len(told) + 1)), f"{subject} counts {told}")
            facts = {str(row["id"]) for row in rows if row["subject"] == subject and row["kind"] == "field"}
            body = orjson.loads(self.store.tables["state"][("trial", subject)]["body"])
            check({fact[1] for fact in body["facts"]} == facts, f"the state of {subject} lacks a fact")
        kept = [self.events[row["id"]].data for row in rows if row["kind"] == "field" and row["id"] in self.events]
        said = Counter(row["type"] for row in rows if row["kind"] == "field" and row["id"] not in self.events)
        demands = Counter(data.get("demand") for data in kept)
        check(said["trial.noted"] == demands["command"], "a command was lost, or came twice")
        asked = {data["thing"] for data in kept if data.get("demand") == "timer"}
        rang = {row["subject"].partition("/")[2] for row in rows if row["type"] == "timer.ring"}
        check(rang == asked, "a timer was lost")
        check(said["timer.ring"] <= demands["timer"], "a timer fired twice")

    def _check_receipts(self) -> None:
        """Each device's receipts are one chain, and every acknowledgement is covered by the receipt that came with it."""
        for device in ("d-1", "d-2"):
            chain = sorted(
                (row for key, row in self.store.tables["receipt"].items() if key[0] == device),
                key=lambda row: row["no"],
            )
            check([row["no"] for row in chain] == list(range(1, len(chain) + 1)), "a receipt is missing in its chain")
            previous = bytes(32)
            for row in chain:
                check(row["previous"] == previous, "a receipt does not name the one before")
                previous = hashlib.sha256(row["body"] + row["signature"]).digest()
        kept = {bytes(row["signature"]) for row in self.store.tables["receipt"].values()}
        for compact in self.issued:
            check(receipts._decode(compact.encode().split(b".")[2]) in kept, "a receipt was given that is not stored")
