"""The words of cover: runs that nobody walks, runs that somebody does, and what of the first may go into the second.

Everything is in seconds after one origin of the day. Pure, as its neighbours: `cover_layout` lays a problem out, `cover_plan`
judges and chooses greedily, `cover_solver` chooses with a solver.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TypeVar

from geo.positions import Array
from geo.rounds import Round

Key = TypeVar("Key")
Value = TypeVar("Value")
VISIT = "home_visit"
NEEDS: Mapping[str, str] = {"medication": "pouches", VISIT: "visits", "key": "keys"}
EXTRA_S: Mapping[str, float] = {VISIT: 900.0, "medication": 240.0}  # beyond what a stop usually takes
WEIGHTS: Mapping[str, float] = {"medication": 4_000.0, VISIT: 2_000.0}
SPECIAL_WEIGHT, ORDINARY_WEIGHT, UNDONE_A_MINUTE, FACE_MINUTES, OVERTIME_A_MINUTE = 600.0, 10.0, 12.0, 20.0, 1.0
Place = tuple[float, float]  # metres in the plane of the problem


@dataclass(frozen=True, slots=True)
class Work:
    """One open task: the index of its stop, its window and the qualifications that it needs."""

    task_id: str
    service: str
    stop: int
    window: tuple[float, float] | None = None
    needs: frozenset[str] = frozenset()

    @property
    def is_special(self) -> bool:
        """Tell whether time or qualification binds it."""
        return self.window is not None or bool(self.needs)

    @property
    def weight(self) -> float:
        """What leaving it undone counts, in minutes."""
        return WEIGHTS.get(self.service, SPECIAL_WEIGHT) if self.is_special else ORDINARY_WEIGHT


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A run that nobody walks: for each stop the leg that leads to it and its service."""

    run_id: str
    round: Round
    leg_s: Array
    service_s: Array
    tasks: tuple[Work, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """A run that somebody walks: when each of its stops is expected (NaN = behind), when it began and when it ends.

    `knows` names the rounds that this carrier has walked before.
    """

    run_id: str
    round: Round
    arrivals_s: Array
    began_s: float
    ends_s: float
    tasks: tuple[Work, ...] = ()
    qualifications: frozenset[str] = frozenset()
    knows: frozenset[str] = frozenset()

    @property
    def own_s(self) -> float:
        """How long its own work takes."""
        return self.ends_s - self.began_s


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a day may be and usually is, how long a block is, and the moment before which nothing can begin."""

    most_s: float = 8 * 3_600.0
    regular_s: float = 7 * 3_600.0
    block_s: float = 1_800.0
    now_s: float = -inf


@dataclass(frozen=True, slots=True)
class Block:
    """Stops `first` to `last` of an uncovered run; `value` is what leaving it undone counts, its special tasks aside."""

    of: int
    first: int
    last: int
    value: float


@dataclass(frozen=True, slots=True)
class Special:
    """A special task of an uncovered run, and its block."""

    of: int
    work: Work
    block: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A moment of a present run in which other work fits: before the own stop `before` (None = after the last one).

    `slack_s` is by how much the own work that follows, up to the next gap, may be late.
    """

    at_s: float
    place: Place
    before: int | None
    slack_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Blocks that follow each other, or one special task, in a gap of a run: what it takes, and how long special tasks may wait.

    `slacks` maps a special task that is in time and allowed here to the seconds by which it may be later.
    """

    blocks: tuple[int, ...]
    special: int | None
    run: int
    gap: int
    seconds: float
    slacks: Mapping[int, float]
    strange_faces: int


@dataclass(frozen=True)
class Problem:
    """Everything that can be chosen."""

    uncovered: Sequence[Uncovered]
    present: Sequence[Present]
    rules: Rules
    blocks: Sequence[Block]
    specials: Sequence[Special]
    gaps: Sequence[Sequence[Gap]]
    choices: Sequence[Choice]

    @cached_property
    def of_run(self) -> Mapping[int, list[int]]:
        """The choices of each present run."""
        return grouped((choice.run, i) for i, choice in enumerate(self.choices))

    @cached_property
    def of_block(self) -> Mapping[int, list[int]]:
        """The choices of each block."""
        return grouped((block, i) for i, choice in enumerate(self.choices) for block in choice.blocks)

    @cached_property
    def of_special(self) -> Mapping[int, list[int]]:
        """The choices that do each special task in time."""
        return grouped((each, i) for i, choice in enumerate(self.choices) for each in choice.slacks)

    @cached_property
    def at(self) -> Mapping[tuple[int, int, tuple[int, ...]], int]:
        """The choice of these blocks in a gap of a run."""
        return {(each.run, each.gap, each.blocks): i for i, each in enumerate(self.choices) if each.blocks}

    def room_s(self, run: int) -> float:
        """How much longer a present run may become."""
        return max(self.rules.most_s - self.present[run].own_s, 0.0)

    def regular_s(self, run: int) -> float:
        """How much longer it may become without overtime."""
        return max(self.rules.regular_s - self.present[run].own_s, 0.0)

    def cost(self, choice: Choice) -> float:
        """What a choice counts in minutes, overtime aside."""
        return choice.seconds / 60.0 + FACE_MINUTES * choice.strange_faces


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Gather values under their keys, in order."""
    found: defaultdict[Key, list[Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)
