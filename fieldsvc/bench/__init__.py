"""Benchmarks: each speed is printed beside a limit of the same run on the same machine."""

from collections.abc import Mapping

# By the name on the command line: the module whose `run` measures, and the seconds that it may take as one of all.
BENCHES: Mapping[str, tuple[str, float]] = {
    "ingest": ("ingest", 60), "publish": ("publish", 50), "live": ("live", 60), "locate": ("locate", 50),
    "geocode": ("geocode", 40), "assign": ("assignment", 30), "cover": ("cover", 30), "points": ("point_memory", 15),
    "rounds": ("which_round", 30), "eta": ("eta", 20), "streams": ("streams", 45), "faults": ("faults", 75),
    "fleet": ("fleet", 85), "age": ("age", 130), "growth": ("growth", 90), "outage": ("outage", 90),
}  # fmt: skip
