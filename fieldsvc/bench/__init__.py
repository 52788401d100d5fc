"""Benchmarks: each speed is printed beside a limit of the same run on the same machine."""

from collections.abc import Mapping

# By the name on the command line: the module whose `run` measures, and the seconds that it may take as one of all.
BENCHES: Mapping[str, tuple[str, float]] = {
    "ingest": ("ingest", 60), "publish": ("publish", 90), "live": ("live", 90), "locate": ("locate", 60),
    "geocode": ("geocode", 60), "assign": ("assignment", 40), "cover": ("cover", 20), "points": ("point_memory", 20),
    "rounds": ("which_round", 40), "eta": ("eta", 40), "streams": ("streams", 40), "faults": ("faults", 90),
    "fleet": ("fleet", 120), "age": ("age", 60), "growth": ("growth", 40), "outage": ("outage", 30),
}  # fmt: skip
