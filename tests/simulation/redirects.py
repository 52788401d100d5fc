"""Redirections under any schedule: who asks, who proves, who denies, phones that were offline, letters, timers and wrong clocks.

Actors run side by side on the seeded loop. Every fact that arrives is told again with all the others, in the order in which things
happened, by the product's own machine. What may never be is said here from the log of what arrived.
"""

import asyncio
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fieldsvc.ids import uuid7
from handlers import changes, products
from handlers.fields import format_time, parse_time
from handlers.story import Fact
from tests.simulation.loop import Schedule, check

NAME, POINT = "delivery_change", "dp-1"
DAY_S = 86_400.0
CARRIERS = ("Camille", "Dominique")
ACTIVE = ("accepted", "applied")


@dataclass(frozen=True)
class Arrived:
    """A fact, and when it arrived."""

    fact: Fact
    at: datetime


class World:
    """One delivery point, up to two requests for it, and everybody who has something to say of them."""

    def __init__(self, seed: int) -> None:
        self.schedule = Schedule(seed)
        self.random = self.schedule.random
        self.facts: list[Fact] = []
        self.log: list[Arrived] = []
        self.open: set[str] = set()
        self.due: set[datetime] = set()

    def run(self) -> str:
        """Run the schedule; give its trace."""
        return self.schedule.run(self._main())

    async def _main(self) -> None:
        requests = [f"DC-{n}" for n in range(self.random.choice((1, 1, 2)))]
        await asyncio.gather(*(self._mover(each) for each in requests), *(self._world(each) for each in requests))
        await asyncio.sleep(20 * DAY_S)
        self._say("timer.wake", {}, "server")

    async def _wait(self, *days: float) -> None:
        await asyncio.sleep(self.random.choice(days) * DAY_S + self.random.random())

    async def _mover(self, request: str) -> None:
        """Ask, show who one is, and type the code of the letter; honest or not, at any moment."""
        random = self.random
        await self._wait(0, 0, 1)
        by, carrier = random.choice((("customer", None), ("adviser", None), ("device", random.choice(CARRIERS))))
        data: dict[str, Any] = {
            "kind": random.choice(("redirect_permanent", "redirect_temporary")),
            "asked_by": "customer",
        }
        data |= {
            "identity": random.choice(("none", "account", "substantial", "counter", "counter")),
            "carrier": carrier,
        }
        data |= {
            "risk": random.choice(("low", "low", "high")),
            "details": {"names": ["Mme Martin"], "new_address": "2 rue B"},
        }
        data["starts_at"] = format_time(self.schedule.now() + timedelta(days=random.choice((0, 3, 12))))
        self._say("requested", {**data, "request_id": request}, by)
        for _ in range(random.randrange(3)):
            await self._wait(0, 0.1, 2, 6)
            if random.random() < 0.4:
                who = random.choice(("counter", "counter", "customer", "device"))
                self._say("verified", {"request_id": request, "identity": random.choice(("account", "counter"))}, who)
            else:
                typed = f"code-{request}" if random.random() < 0.7 else "guess"
                self._say("verified", {"request_id": request, "code_hmac": typed}, "customer")

    async def _world(self, request: str) -> None:
        """Post the letter; ask at the door, perhaps offline and with a wrong clock; stop it."""
        random = self.random
        for _ in range(random.randrange(1, 5)):
            await self._wait(0, 0.1, 0.5, 3, 7)
            what = random.choice(("letter", "letter", "door", "door", "door", "stop"))
            if what == "letter":
                self._say(
                    "code_sent",
                    {"request_id": request, "code_hmac": f"code-{request}"},
                    random.choice(("server",) * 4 + ("customer",)),
                )
            elif what == "stop":
                said = random.choice(("cancelled", "frozen", "reversed"))
                self._say(said, {"request_id": request, "reason": "not_me"}, "customer")
            else:
                answer = random.choice(("confirms", "confirms", "no", "nobody", "unknown_name"))
                said_at = self.schedule.now() + timedelta(days=random.choice((0, 0, 0, -9, 9)))
                more = {"request_id": request, "answer": answer, "carrier": random.choice(CARRIERS)}
                await self._wait(0, 0, 0.2, 5)
                self._say("door_checked", more, random.choice(("device", "device", "supervisor")), at=said_at)

    def _say(self, what: str, data: Mapping[str, Any], by: str, *, at: datetime | None = None) -> None:
        """Let a fact arrive now, and tell everything again."""
        now = self.schedule.now().replace(microsecond=0)
        happened = (at or now).replace(microsecond=0)
        name = what if what.startswith("timer.") else f"{NAME}.{what}"
        late_s = (now - happened).total_seconds()
        about = {} if name.startswith("timer.") else {"delivery_point_id": POINT}
        fact = Fact(format_time(happened), str(uuid7()), name, {**about, **data}, by, late_s=late_s)
        insort(self.facts, fact)
        self.log.append(Arrived(fact, now))
        found = changes.read(self.facts)
        for change in found:
            self.schedule.note(change.id, change.state)
            if change.state in ACTIVE:
                self._is_safe(change, now)
        self._wake_at(changes.next_due(found), now)

    def _wake_at(self, due: datetime | None, now: datetime) -> None:
        """Ring when something is due, perhaps late, perhaps twice, as a durable timer does."""
        if due is None or due in self.due or due <= now:
            return
        self.due.add(due)
        for _ in range(self.random.choice((1, 1, 2))):
            late_s = self.random.choice((0.0, 0.0, 30.0, DAY_S))
            self.schedule.loop.later(
                (due - now).total_seconds() + late_s, lambda: self._say("timer.wake", {}, "server", at=due)
            )

    # what has to hold

    def _of(self, change: Any, what: str) -> list[Arrived]:
        return [
            each for each in self.log
            if each.fact.type == f"{NAME}.{what}" and each.fact.data["request_id"] == change.id
        ]  # fmt: skip

    def _is_safe(self, change: Any, now: datetime) -> None:
        """Hold a redirection that goes on to everything that has to be there, and to what may not."""
        asked = self._of(change, "requested")[0].fact
        doors = [each for each in self._of(change, "door_checked") if each.fact.id > asked.id]
        letters = self._of(change, "code_sent")
        check(
            not [each for each in doors if each.fact.data["answer"] == "no"],
            f"{change.id} goes on although somebody said no",
        )
        high = asked.by == "device" or asked.data["risk"] == "high"
        shown = [] if asked.by == "device" else [asked.data["identity"]]
        shown += [
            each.fact.data.get("identity")
            for each in self._of(change, "verified")
            if each.fact.by in ("counter", "adviser")
        ]
        enough = ("counter",) if high else ("substantial", "counter")
        check(any(each in enough for each in shown), f"{change.id} goes on, and nobody showed who they are")
        posted = [each.at for each in letters if each.fact.by == "server"]
        codes = [
            each.at for each in self._of(change, "verified") if each.fact.data.get("code_hmac") == f"code-{change.id}"
        ]
        codes = [at for at in codes if posted and at >= min(posted)]
        yes = {
            each.fact.data["carrier"]: each.at for each in reversed(doors)
            if each.fact.data["answer"] == "confirms" and each.fact.by == "device" and each.fact.data["carrier"] != asked.data["carrier"]
        }  # fmt: skip
        proofs = sorted([*codes[:1], *yes.values()])
        needed = 2 if high else 1
        check(len(proofs) >= needed, f"{change.id} goes on without the old address")
        earliest = products.after_working_days(proofs[needed - 1], 5)
        accepted = change.came_to("accepted")
        check(accepted is not None and now >= accepted >= earliest, f"{change.id} did not wait")
        applied = change.came_to("applied")
        check(
            applied is None or applied >= parse_time(asked.data["starts_at"]),
            f"{change.id} began before it was to begin",
        )
        stops = [each for what in ("cancelled", "frozen", "reversed") for each in self._of(change, what)]
        check(change.state != "applied" or not [each for each in stops if each.at > applied and each.fact.type != f"{NAME}.cancelled"],
              f"{change.id} goes on although it was stopped")  # fmt: skip
