"""A plan of cover told in words: pieces of runs for other runs, and what stays undone, with the windows that are missed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, isfinite
from typing import Any

from fieldsvc.work.cover_model import VISIT, Problem, Uncovered, Work, grouped
from fieldsvc.work.cover_plan import Plan, in_time, seconds_by_gap
from handlers.fields import format_time

NO_TIME, NO_QUALIFIED, MISSED, NO_STOP = "no_time_left", "nobody_qualified", "window_missed", "no_stop"


@dataclass(frozen=True, slots=True)
class Piece:
    """Stops of an uncovered run, in order, for a gap of a present one; with `only`, just these tasks of its one stop."""

    of: int
    stops: tuple[int, ...]
    run: int
    gap: int
    seconds: float
    only: tuple[str, ...] = ()


def pieces_of(problem: Problem, plan: Plan) -> list[Piece]:
    """Cut a plan into pieces: each stop goes to one run; a single task's stop goes with it, and leaves its block.

    A stop stays out of a block whose carrier may not do what is ordered there.
    """
    singles = sorted(i for i in plan if problem.choices[i].special is not None)
    found: list[Piece] = []
    given: dict[tuple[int, int], int] = {}
    for i in singles:
        choice, special = problem.choices[i], problem.specials[problem.choices[i].special or 0]
        stop = special.of, special.work.stop
        only = (special.work.task_id,) if given.setdefault(stop, choice.run) != choice.run else ()
        found.append(Piece(special.of, (stop[1],), choice.run, choice.gap, choice.seconds, only))
    barred = grouped(((each.of, each.work.stop), each.work.needs) for each in problem.specials)
    for choice in (problem.choices[i] for i in sorted(plan) if problem.choices[i].blocks):
        blocks, able = [problem.blocks[n] for n in choice.blocks], problem.present[choice.run].qualifications
        of = blocks[0].of
        stops = [
            stop
            for stop in range(blocks[0].first, blocks[-1].last + 1)
            if (of, stop) not in given and all(needs <= able for needs in barred.get((of, stop), ()))
        ]
        share = choice.seconds / max(len(stops), 1)
        found += [Piece(of, part, choice.run, choice.gap, share * len(part)) for part in _runs_of(stops)]
    return sorted(found, key=lambda each: (each.of, each.stops, each.only))


def _runs_of(stops: Sequence[int]) -> Iterator[tuple[int, ...]]:
    part: list[int] = []
    for stop in stops:
        if part and stop != part[-1] + 1:
            yield tuple(part)
            part = []
        part.append(stop)
    if part:
        yield tuple(part)


@dataclass(frozen=True, slots=True)
class Telling:
    """Tells a plan of a problem; `origin` is the moment from which its seconds count, `carriers` who walks each run."""

    problem: Problem
    plan: Plan
    origin: datetime
    carriers: Mapping[str, str]

    def answer(self, without_stop: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Write pieces, what is undone, and the minutes of each run that takes something."""
        pieces = pieces_of(self.problem, self.plan)
        return {
            "pieces": [self._piece(each) for each in pieces],
            "undone": [*self._undone(pieces), *(_no_stop(run, ids) for run, ids in without_stop.items() if ids)],
            "minutes_by_run": {
                self.problem.present[run].run_id: self._minutes(run) for run in sorted({each.run for each in pieces})
            },
        }

    def _piece(self, piece: Piece) -> dict[str, Any]:
        each, taker = self.problem.uncovered[piece.of], self.problem.present[piece.run]
        gap = self.problem.gaps[piece.run][piece.gap]
        inside = [
            work for work in each.tasks if work.stop in piece.stops and (not piece.only or work.task_id in piece.only)
        ]
        return {
            "run_id": each.run_id,
            "from_stop": each.round.stops[piece.stops[0]].stop_id,
            "to_stop": each.round.stops[piece.stops[-1]].stop_id,
            "stop_ids": [] if piece.only else [each.round.stops[stop].stop_id for stop in piece.stops],
            "to_run": taker.run_id,
            "carrier": self.carriers.get(taker.run_id),
            "before_stop": taker.round.stops[gap.before].stop_id if gap.before is not None else None,
            "starts_at": self._time(gap.at_s),
            "minutes": round(piece.seconds / 60.0, 1),
            "tasks": [work.task_id for work in inside],
            "critical": [self._critical(piece, work) for work in inside if work.is_special],
            "known_face": each.round.round_id in taker.knows,
            "qualifications_ok": all(work.needs <= taker.qualifications for work in inside),
        }

    def _critical(self, piece: Piece, work: Work) -> dict[str, Any]:
        number = self._number(piece.of, work)
        chosen = [self.problem.choices[i] for i in self.plan if number in self.problem.choices[i].slacks]
        slack = min((choice.slacks[number] for choice in chosen), default=inf)
        late = sum(seconds_by_gap(self.problem, piece.run, self.plan)[: piece.gap])
        known = work.window is not None and isfinite(slack)
        at = work.window[1] - slack + late if known and work.window else None
        face = {"carrier": "usual" if self._knows(piece) else "substitute"} if work.service == VISIT else {}
        return {
            "task_id": work.task_id,
            "window": self._window(work),
            "expected_at": self._time(at) if at is not None else None,
            "in_time": bool(chosen),
            **face,
        }

    def _knows(self, piece: Piece) -> bool:
        return self.problem.uncovered[piece.of].round.round_id in self.problem.present[piece.run].knows

    def _undone(self, pieces: Sequence[Piece]) -> Iterator[dict[str, Any]]:
        """Say of each uncovered run which stops nobody takes, and which windows are missed although somebody comes."""
        for of, each in enumerate(self.problem.uncovered):
            mine = [piece for piece in pieces if piece.of == of]
            taken = {stop for piece in mine for stop in piece.stops if not piece.only}
            alone = {name for piece in mine for name in piece.only}
            left = [stop for stop in range(len(each.round.stops)) if stop not in taken]
            barred = {
                special.work.stop
                for special in self.problem.specials
                if special.of == of and special.work.stop in left and not self._any_able(special.work)
            }
            yield from self._left(each, [stop for stop in left if stop not in barred], NO_TIME, alone)
            yield from self._left(each, sorted(barred), NO_QUALIFIED, alone)
            late = [
                special.work
                for number, special in enumerate(self.problem.specials)
                if special.of == of and special.work.stop in taken and not in_time(self.problem, number, self.plan)
            ]
            if late:
                yield self._line(each, [], late, MISSED)

    def _any_able(self, work: Work) -> bool:
        return any(work.needs <= each.qualifications for each in self.problem.present)

    def _left(self, each: Uncovered, stops: Sequence[int], reason: str, alone: set[str]) -> Iterator[dict[str, Any]]:
        if stops:
            inside = set(stops)
            works = [work for work in each.tasks if work.stop in inside and work.task_id not in alone]
            yield self._line(each, stops, works, reason)

    def _line(self, each: Uncovered, stops: Sequence[int], works: Iterable[Work], reason: str) -> dict[str, Any]:
        works = list(works)
        windows = [{"task_id": work.task_id, **window} for work in works if (window := self._window(work))]
        return {
            "run_id": each.run_id,
            "stops": [each.round.stops[stop].stop_id for stop in stops],
            "tasks": [work.task_id for work in works],
            "windows": windows,
            "reason": reason,
        }

    def _minutes(self, run: int) -> dict[str, float]:
        present = self.problem.present[run]
        added = sum(seconds_by_gap(self.problem, run, self.plan))
        over = max(present.own_s + added - self.problem.rules.regular_s, 0.0)
        minutes = {"own": present.own_s, "added": added, "overtime": over}
        return {name: round(seconds / 60.0, 1) for name, seconds in minutes.items()}

    def _number(self, of: int, work: Work) -> int:
        return self.problem.specials.index(next(s for s in self.problem.specials if (s.of, s.work) == (of, work)))

    def _window(self, work: Work) -> dict[str, str] | None:
        return {"from": self._time(work.window[0]), "until": self._time(work.window[1])} if work.window else None

    def _time(self, seconds: float) -> str:
        return format_time(self.origin + timedelta(seconds=seconds))


def _no_stop(run_id: str, task_ids: Sequence[str]) -> dict[str, Any]:
    return {"run_id": run_id, "stops": [], "tasks": list(task_ids), "windows": [], "reason": NO_STOP}
