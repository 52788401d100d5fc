"""The benchmarks by name, for the command line."""

import asyncio
import time
from collections.abc import Awaitable
from importlib import import_module
from typing import Protocol

from fieldsvc.bench import BENCHES, ingest
from fieldsvc.bench.lines import Against, Show, result
from fieldsvc.errors import FieldsvcError


class Bench(Protocol):
    """Measures `cycles` times and shows its lines; `full` takes longer, for a quieter figure."""

    def __call__(self, *, cycles: int, full: bool, show: Show) -> Awaitable[None]: ...


async def run(what: str, *, cycles: int, full: bool, show: Show) -> None:
    """Run one benchmark, or `all` of them one after the other, each within its seconds: together a quarter of an hour.

    One that takes longer is ended, and its last line says so; with `full` each takes the time that it takes. FieldsvcError at the
    end where one of them failed.
    """
    failed = []
    if what in {"ingest", "all"}:
        ingest.need_baseline()
    for name, (module, most_s) in BENCHES.items():
        if what not in {name, "all"}:
            continue
        bench: Bench = import_module(f"fieldsvc.bench.{module}").run
        if what == name:
            await bench(cycles=cycles, full=full, show=show)
            continue
        began = time.perf_counter()
        try:
            async with asyncio.timeout(None if full else most_s) as limit:
                await bench(cycles=cycles, full=full, show=show)
        except Exception as error:  # noqa: BLE001 - the others are measured all the same, and the line says what failed
            if not limit.expired():
                failed.append(name)
                show({"bench": name, "metric": "failed", "value": type(error).__name__})
        took_s = time.perf_counter() - began
        show(result(name, "took_s", [took_s], Against("most_s", [most_s]), ended_early=limit.expired()))
    if failed:
        raise FieldsvcError(f"Not measured: {', '.join(failed)}.")
