"""Benchmarks: each speed is printed beside a limit of the same run on the same machine."""

from collections.abc import Mapping

# By the name on the command line: the module whose `run` measures.
BENCHES: Mapping[str, str] = {
    "ingest": "ingest", "publish": "publish", "live": "live", "locate": "locate", "geocode": "geocode",
    "assign": "assignment", "cover": "cover", "points": "point_memory", "rounds": "which_round", "eta": "eta",
    "streams": "streams", "faults": "faults", "fleet": "fleet", "age": "age", "outage": "outage", "growth": "growth",
}  # fmt: skip
