"""Places, planned rounds and addresses: a pure library without I/O."""

from geo.matching import Match, Matcher
from geo.positions import Fix
from geo.rounds import Round, Stop

__all__ = ["Fix", "Match", "Matcher", "Round", "Stop"]
