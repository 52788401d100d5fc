"""The benchmarks by name, for the command line."""

from collections.abc import Awaitable, Mapping
from typing import Protocol

from fieldsvc.bench import assignment, cover, eta, geocode, ingest, live, locate, point_memory, publish, which_round
from fieldsvc.bench.lines import Show


class Bench(Protocol):
    """Measures `cycles` times and shows its lines; `full` takes longer, for a quieter figure."""

    def __call__(self, *, cycles: int, full: bool, show: Show) -> Awaitable[None]: ...


BENCHES: Mapping[str, Bench] = {
    "ingest": ingest.run,
    "publish": publish.run,
    "live": live.run,
    "locate": locate.run,
    "geocode": geocode.run,
    "assign": assignment.run,
    "cover": cover.run,
    "points": point_memory.run,
    "rounds": which_round.run,
    "eta": eta.run,
}


async def run(what: str, *, cycles: int, full: bool, show: Show) -> None:
    """Run one benchmark, or `all` of them one after the other."""
    if what in {"ingest", "all"}:
        ingest.need_baseline()
    for name, bench in BENCHES.items():
        if what in {name, "all"}:
            await bench(cycles=cycles, full=full, show=show)
