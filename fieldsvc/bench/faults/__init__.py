"""`fieldsvc bench faults`: processes are killed, connections cut, places full; a ledger says whether everything is still there."""

from collections.abc import Sequence
from dataclasses import dataclass

from fieldsvc.bench.lines import Show

IN_ALL_S = 90.0  # beside the other benchmarks


@dataclass(frozen=True, slots=True)
class Limits:
    """Which faults (none named: all), for how long at most, and by which seed."""

    only: Sequence[str] = ()
    seconds: float | None = None
    seed: int | None = None


async def run(*, cycles: int, full: bool, show: Show, limits: Limits | None = None) -> None:
    """Play each fault `cycles` times, `full` without a limit of time; one line each and one of the whole."""
    from fieldsvc.bench.faults.playing import Order, play  # noqa: PLC0415 - half of the service

    asked = limits or Limits(seconds=None if full else IN_ALL_S)
    await play(Order.of(cycles, asked), show)
