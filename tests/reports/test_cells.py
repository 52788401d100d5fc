"""Whoever watches a cell for ever, and subtracts whatever was shown, has figures of five things of three carriers at least."""

from collections import Counter
from datetime import date

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fieldsvc.reports.cells import ANSWERS, CARRIERS, Cell, CellKey, Step, Waiting, mark, step

MONTH = date(2026, 11, 1)
KEY = CellKey("", MONTH, "site-pantin", "item", "nps")
CARRIERS_THERE = ("Alex", "Bo", "Cam", "Dom", "Eli", None)
THINGS = st.sampled_from([f"item/{number}" for number in range(40)])


def waiting(*carriers: str | None, numerator: int = 1, denominator: int = 1) -> list[Waiting]:
    return [Waiting(each.encode() if each else None, numerator, denominator) for each in carriers]


def test_four_things_or_two_carriers_wait_and_five_of_three_go_together() -> None:
    assert step(waiting("a", "b", "c", "d")) is None
    assert step(waiting(*"aaaaaaaaab")) is None
    assert step(waiting("a", "b", None, None, None, None)) is None
    assert step(waiting("a", "a", "a", "b", "c")) == Step(5, 5, 1)


def test_a_cell_that_hangs_on_one_thing_is_hidden_when_that_is_taken_out() -> None:
    assert Cell(MONTH, "item", "s", "nps", 1, 5, 1).is_shown
    assert not Cell(MONTH, "item", "s", "nps", 1, 5, 0).is_shown
    assert not Cell(MONTH, "item", "s", "nps", 0, 4, 9).is_shown
    taken = step(waiting(*"abcde", numerator=0, denominator=-1))
    assert taken == Step(0, -5, -5)


def test_many_things_of_many_carriers_bear_many_corrections() -> None:
    found = step(waiting(*"abcdefghij" * 40))
    assert found is not None
    assert found.strength == 320  # all but two carriers would have to be taken out


def test_a_mark_tells_carriers_of_one_cell_apart_and_says_nothing_beside_it() -> None:
    other = CellKey("", MONTH, "site-bondy", "item", "nps")
    marks = {mark(b"k" * 32, KEY, "Alex"), mark(b"k" * 32, KEY, "Bo"), mark(b"k" * 32, other, "Alex")}
    assert len(marks) == 3
    assert mark(b"k" * 32, KEY, "Alex") == mark(b"k" * 32, KEY, "Alex")
    assert mark(b"x" * 32, KEY, "Alex") not in marks


class Watcher(RuleBasedStateMachine):
    """One cell, the things that are said and taken back, and somebody who notes every figure that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.truth: dict[str, tuple[str | None, int]] = {}  # thing -> carrier, numerator: as it is told now
        self.inside: dict[str, tuple[str | None, int]] = {}  # as it was when it went into the cell
        self.cell = Cell(MONTH, "item", "s", "nps", 0, 0, 0)
        self.days_work = 0

    @rule(thing=THINGS, carrier=st.sampled_from(CARRIERS_THERE), numerator=st.sampled_from((-1, 0, 1)))
    def said(self, thing: str, carrier: str | None, numerator: int) -> None:
        known = self.truth.get(thing)
        self.truth[thing] = (known[0] if known else carrier, numerator)
        self._count()

    @rule(thing=THINGS)
    def taken_back(self, thing: str) -> None:
        if thing in self.inside or thing in self.truth:
            self.truth.pop(thing, None)
            self._count()

    @rule(count=st.integers(5, 30), most=st.sampled_from(CARRIERS_THERE))
    def a_day_of_work(self, count: int, most: str | None) -> None:
        for number in range(count):
            self.days_work += 1
            self.truth[f"work/{self.days_work}"] = (most if number % 2 else CARRIERS_THERE[number // 2 % 6]), 1
        self._count()

    @rule(carriers=st.sets(st.sampled_from(CARRIERS_THERE), max_size=2))
    def all_taken_back_but_of_these(self, carriers: set[str | None]) -> None:
        self.truth = {thing: said for thing, said in self.truth.items() if said[0] in carriers}
        self._count()

    def _count(self) -> None:
        rows, things = [], []
        for thing in sorted(self.truth.keys() | self.inside.keys()):
            now, before = self.truth.get(thing), self.inside.get(thing)
            carrier = (now or before or (None, 0))[0]
            if before and now and before[0] != now[0]:
                continue  # said anew by another carrier: a further thing in life, and not this one's test
            change = (now[1] if now else 0) - (before[1] if before else 0), bool(now) - bool(before)
            if change != (0, 0):
                rows.append(Waiting(carrier.encode() if carrier else None, *change))
                things.append((thing, carrier))
        found = step(rows)
        if found is None:
            return
        self._check_step(things)
        for thing, _ in things:
            if thing in self.truth:
                self.inside[thing] = self.truth[thing]
            else:
                del self.inside[thing]
        self.cell = Cell(
            MONTH, "item", "s", "nps",
            self.cell.numerator + found.numerator,
            self.cell.denominator + found.denominator,
            self.cell.strength + found.strength,
        )  # fmt: skip

    def _check_step(self, things: list[tuple[str, str | None]]) -> None:
        assert len(things) >= ANSWERS
        assert len({carrier for _, carrier in things if carrier}) >= CARRIERS

    @invariant()
    def sums_are_right(self) -> None:
        assert self.cell.denominator == len(self.inside)
        assert self.cell.numerator == sum(numerator for _, numerator in self.inside.values())

    @invariant()
    def what_is_shown_has_company(self) -> None:
        if self.cell.is_shown:
            carriers = Counter(carrier for carrier, _ in self.inside.values() if carrier)
            assert len(self.inside) >= ANSWERS
            assert len(carriers) >= CARRIERS


TestWatcher = Watcher.TestCase
