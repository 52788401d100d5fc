"""The benchmarks by name, for the command line."""

from collections.abc import Awaitable
from importlib import import_module
from typing import Protocol

from fieldsvc.bench import BENCHES, ingest
from fieldsvc.bench.lines import Show


class Bench(Protocol):
    """Measures `cycles` times and shows its lines; `full` takes longer, for a quieter figure."""

    def __call__(self, *, cycles: int, full: bool, show: Show) -> Awaitable[None]: ...


async def run(what: str, *, cycles: int, full: bool, show: Show) -> None:
    """Run one benchmark, or `all` of them one after the other."""
    if what in {"ingest", "all"}:
        ingest.need_baseline()
    for name, module in BENCHES.items():
        if what in {name, "all"}:
            bench: Bench = import_module(f"fieldsvc.bench.{module}").run
            await bench(cycles=cycles, full=full, show=show)
