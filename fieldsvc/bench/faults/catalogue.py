"""The faults that are played in turns, by their number in the list of faults; docs/reliability.md has the whole list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from fieldsvc.bench.faults import crashes, limits, network, uploads
from fieldsvc.bench.faults.surroundings import Surroundings

Injection = Callable[[Surroundings, Random], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done once a cycle; `inject` returns the moment (monotonic) from which the service may recover.

    With `through` the service reaches its database by a proxy.
    """

    id: str
    inject: Injection
    through: bool = False

    @property
    def what(self) -> str:
        return (self.inject.__doc__ or "").partition("\n")[0].rstrip(".")


FAULTS = (
    Fault("F01", crashes.kill_service),
    Fault("F02", crashes.kill_postgres),
    Fault("F02-sessions", crashes.kill_backends),
    Fault("F03", crashes.kill_after_send),
    Fault("F05", network.lose_answers),
    Fault("F05-cut", network.cut_uploads),
    Fault("F05-silent", network.half_open),
    Fault("F05-slow", network.slow_phones),
    Fault("F06", uploads.cut_at_a_byte),
    Fault("F17", network.spoil_receiver),
    Fault("F19", network.storm),
    Fault("F20", network.slow_clients),
    Fault("F21", uploads.leave_early),
    Fault("F22", crashes.stop_service),
    Fault("F23", network.change_schema),
    Fault("F25", uploads.wrong_clocks),
    Fault("F26", uploads.wrong_order),
    Fault("files", limits.no_files),
    Fault("memory", limits.no_memory),
    Fault("F07", uploads.race),
    Fault("F08", uploads.two_writers),
    Fault("frozen", limits.freeze_service),
    Fault("F16-lock", network.hold_the_lock),
    Fault("F16", network.slow_database, through=True),
    Fault("F16-cut", network.drop_database, through=True),
    Fault("commit", network.lose_commits, through=True),
    Fault("F11", network.take_connections, through=True),
)
