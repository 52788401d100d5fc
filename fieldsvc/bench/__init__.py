"""Benchmarks: each speed is printed beside a limit of the same run on the same machine."""

from collections.abc import Mapping

# By the name on the command line: the module whose `run` measures, and the seconds that it may take as one of all.
BENCHES: Mapping[str, tuple[str, float]] = {
    "ingest": ("ingest", 50), "publish": ("publish", 45), "live": ("live", 45), "locate": ("locate", 45),
    "geocode": ("geocode", 40), "assign": ("assignment", 25), "cover": ("cover", 25), "points": ("point_memory", 15),
    "rounds": ("which_round", 35), "eta": ("eta", 15), "streams": ("streams", 45), "faults": ("faults", 60),
    "fleet": ("fleet", 85), "age": ("age", 150), "growth": ("growth", 145), "outage": ("outage", 75),
}  # fmt: skip
