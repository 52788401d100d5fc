"""Play faults in turns on one town, and keep the ledger: what was sent is stored once and received in order, or told otherwise."""

import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from fieldsvc import logs
from fieldsvc.bench.faults import Limits
from fieldsvc.bench.faults.catalogue import FAULTS, Fault
from fieldsvc.bench.faults.children import REPOSITORY, FaultFound
from fieldsvc.bench.faults.nursery import Nursery
from fieldsvc.bench.faults.oracle import Verdict
from fieldsvc.bench.faults.scene import scene
from fieldsvc.bench.faults.surroundings import Surroundings, surroundings_of
from fieldsvc.bench.lines import Show, rounded
from fieldsvc.errors import UserMistake
from fieldsvc.store.embedded import EmbeddedPostgres

SEED, PATIENCE_S, PAUSE_S = 20261122, 0.5, 0.1
RECOVERS_WITHIN_S = 120.0
SETTLED_EVERY = 50  # cycles, so that what is wrong is seen near its cause


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: cycles of each fault, which of them (none named: all), the seconds there are, and a seed."""

    cycles: int
    only: Sequence[str] = ()
    seconds: float | None = None
    seed: int = SEED

    @classmethod
    def of(cls, cycles: int, limits: Limits) -> "Order":
        """Read what the command line says."""
        return cls(max(1, cycles), limits.only, limits.seconds, SEED if limits.seed is None else limits.seed)

    def faults(self) -> list[Fault]:
        """Return the faults asked for. UserMistake for one that does not exist."""
        known = {fault.id: fault for fault in FAULTS}
        if unknown := set(self.only) - known.keys():
            words = f"There is no fault {', '.join(sorted(unknown))}"
            raise UserMistake(f"{words}: those that are played are {', '.join(known)}.")
        return [fault for fault in FAULTS if not self.only or fault.id in self.only]


@dataclass(slots=True)
class Books:
    """Totals of the ledger at one moment; one minus an earlier one is what happened between them."""

    counts: Counter[str]
    faults: list[str] = field(default_factory=list)

    def since(self, before: "Books") -> dict[str, int]:
        return {name: value - before.counts[name] for name, value in self.counts.items()}


def books_of(verdict: Verdict, moody: Verdict, statuses: Counter[int]) -> Books:
    """Count what a verdict says."""
    phones = verdict.phones
    told = Counter(phones.acked.values())
    counts = Counter(
        sent=len(phones.sent),
        acknowledged=len(phones.acked),
        stored=verdict.stored,
        answered_duplicate=told["duplicate"],
        quarantined=told["quarantined"],
        conflict=told["conflict"],
        still_on_phones=len(phones.generated) - len(phones.acked),
        published=verdict.published,
        delivered=verdict.received,
        delivered_to_the_moody=moody.received,
        duplicates=verdict.duplicates + moody.duplicates,
        lost=verdict.lost + moody.lost,
        out_of_order=verdict.inversions + moody.inversions,
        answers_200=statuses[200],
        answers_503=statuses[503],
        no_answer=statuses[0],
    )
    return Books(counts, [*verdict.faults, *moody.faults])


@dataclass
class Play:
    """One run: the town, the database beside it, and what it has come to so far."""

    around: Surroundings
    order: Order
    show: Show
    rng: Random
    began: float = field(default_factory=time.monotonic)
    wrong: list[str] = field(default_factory=list)
    recovered_s: list[float] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Play every fault for which there is time, a line each."""
        faults = self.order.faults()
        books = await self.settled()
        for place, fault in enumerate(faults):
            until = self._until(len(faults) - place)
            if place and until <= time.monotonic():
                self.left_out.append(fault.id)
                continue
            recovered, after = await self._cycles(fault, until)
            self.show(self._line(fault, recovered, after.since(books)))
            self.recovered_s += recovered
            books = after

    def _until(self, left: int) -> float:
        """Return the moment at which a fault has to make room for the others."""
        if self.order.seconds is None:
            return float("inf")
        now = time.monotonic()
        return now + max(0.0, self.began + self.order.seconds - now) / left

    async def _cycles(self, fault: Fault, until: float) -> tuple[list[float], Books]:
        recovered: list[float] = []
        while len(recovered) < self.order.cycles and (not recovered or time.monotonic() < until):
            await asyncio.sleep(self.rng.uniform(0.05, 0.8))
            try:
                await self.around.lead_through(wanted=fault.through)
                since = await fault.inject(self.around, self.rng)
                self.around.calm()
                await self.around.town.fleet.progress(within_s=RECOVERS_WITHIN_S)
            except TimeoutError:
                raise FaultFound(f"{fault.id}: nothing was acknowledged for {RECOVERS_WITHIN_S:.0f} s.") from None
            recovered.append(time.monotonic() - since)
            if len(recovered) % SETTLED_EVERY == 0:
                await self.settled()
        return recovered, await self.settled()

    async def settled(self) -> Books:
        """Let everything come to rest, and count."""
        town = self.around.town
        verdict = await town.settle(self.around.url)
        moody = await self.around.moody_verdict()
        town.fleet.at_work.set()
        found = books_of(verdict, moody, town.fleet.statuses)
        self.wrong += [each for each in found.faults if each not in self.wrong]
        return found

    def _line(self, fault: Fault, recovered: Sequence[float], counts: dict[str, int]) -> dict[str, Any]:
        return {**line_of(fault.id, fault.what, recovered, counts), "faults": len(self.wrong)}


def line_of(name: str, what: str, recovered: Sequence[float], counts: dict[str, int]) -> dict[str, Any]:
    """Make a line of the result: `value` is what was lost, beside what was sent."""
    told = {name: value for name, value in counts.items() if name != "lost"}
    return {
        "bench": "faults",
        "metric": "lost",
        "fault": name,
        "what": what,
        "cycles": len(recovered),
        "value": counts["lost"],
        "ratio_to": "sent",
        "ratio": counts["lost"] / counts["sent"] if counts["sent"] else None,
        **told,
        "recovery_p50_s": rounded(statistics.median(recovered)) if recovered else None,
        "recovery_max_s": rounded(max(recovered)) if recovered else None,
    }


async def play(order: Order, show: Show) -> None:
    """Play the faults of an order on a town of its own. FaultFound when something does not add up."""
    order.faults()
    logs.configure(level="critical", form="json")
    folder, began = Path(tempfile.mkdtemp(prefix="fieldsvc-faults-")), time.monotonic()
    children = Nursery(folder=folder)
    try:
        async with scene(children, folder, seed=order.seed, patience_s=PATIENCE_S, pause_s=PAUSE_S) as town:
            server = EmbeddedPostgres(town.service.var_dir)
            url = await asyncio.to_thread(server.acquire)
            try:
                async with surroundings_of(town, url, seed=order.seed) as around:
                    played = Play(around, order, show, Random(order.seed))  # noqa: S311 - a seed replays it
                    await played.run()
                    await town.fleet.rest()
                    await town.drain(url)
                    moody = await around.moody_verdict()
                verdict = await town.reckon()
            finally:
                await asyncio.to_thread(server.release)
            whole = books_of(verdict, moody, town.fleet.statuses)
            played.wrong += [each for each in whole.faults if each not in played.wrong]
            line = line_of("all", "all of these, one after the other", played.recovered_s, dict(whole.counts))
            how = conditions(order, began, receipts_verified=len(town.fleet.receipts), left_out=played.left_out)
            show({**line, "faults": len(played.wrong), "conditions": how})
    finally:
        await children.end()
    if played.wrong:
        raise FaultFound(f"{len(played.wrong)} things do not add up, first: {' '.join(played.wrong[:3])} See {folder}.")
    shutil.rmtree(folder, ignore_errors=True)


def conditions(order: Order, began: float, **more: Any) -> dict[str, Any]:
    """Say when and how a run was made, and what else was checked."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "seed": order.seed,
        "cycles_asked": order.cycles,
        "seconds": round(time.monotonic() - began),
        "chains_verified": True,
        **more,
        "phones": 4,
        "cores": os.cpu_count(),
        "fsync": "on",
        "sent": "by phones that keep a ledger on disk",
    }


def commit() -> str:
    """Return the commit of this checkout, with a + when files differ from it; `unknown` where there is none."""
    found = []
    for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            asked = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True)  # noqa: S603, S607 - words of our own
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
        found.append(asked.stdout.strip())
    return found[0] + ("+" if found[1] else "")
