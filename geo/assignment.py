"""Which round serves an address, and between which two stops: the street side and its numbers decide, not distance.

Measured on real towns (`fieldsvc bench assign`): the nearest address is right 96 to 97 % of the time, and 90 to 93 % with
30 m of geocoding error; the numbers around it on its street are right 99 % either way. Where a side passes from one round to
another, the opposite side tells how far the first one reaches, if the two rounds have both sides; a position counts as what
it is, some 30 m uncertain.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log

import numpy as np

from geo.address_parser import Address, parse
from geo.book_places import Around, CutLine
from geo.positions import Array, Plane, is_plausible
from geo.rounds import Round, insertion_cost_m, nearest_on
from geo.street_book import (
    ANYWHERE,
    Served,
    StreetBook,
    StreetStops,
    bracket,
    label_of,
    rank_of,
    towns_of,
    towns_to_try,
)
from geo.street_words import street_key

NEAR_M = 150.0
_FAR_NUMBER = 20
_STRAY_M, _SAME_TOWN_M = 250.0, 1_000.0
_ABROAD_DEG = 0.25
_POSITION_SIGMA_M, _POSITION_SAYS = 40.0, 2.5
_SIDES_AGREE = 0.85
_SURE, _PERSON, _DOUBT, _KNOWN, _BETWEEN, _SECTORS = 0.9, 0.79, 0.75, 0.99, 0.98, 0.9


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an address falls: the round, the stops before and after it, and the metres that the visit adds.

    `after_stop_id` is the stop after which it comes (None = first of the round), `before_stop_id` the one that follows
    (None = last). `round_id` None = no round is near. `cost_m` is None without a position. A confidence under 0.9 or
    `ambiguous` means that a person decides.
    """

    round_id: str | None
    after_stop_id: str | None
    before_stop_id: str | None
    cost_m: float | None
    confidence: float
    ambiguous: bool


NOWHERE = Placement(None, None, None, None, 0.0, ambiguous=True)
_XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Choice:
    """The stops beside which an address comes, all of one round; `follows` = behind the one stop rather than before it."""

    flats: tuple[int, ...]
    confidence: float
    ambiguous: bool
    follows: bool = True


class RoundBook:
    """The rounds of a site with the addresses of their stops, ready to place other addresses."""

    def __init__(self, rounds: Sequence[Round], addresses: Mapping[str, Address]) -> None:
        self.rounds = rounds
        self._starts = np.cumsum([0, *(len(r.stops) for r in rounds)])
        self._round_of = [i for i, r in enumerate(rounds) for _ in r.stops]
        lats = np.array([s.lat for r in rounds for s in r.stops])
        lons = np.array([s.lon for r in rounds for s in r.stops])
        self._plane = Plane(float(np.median(lats)), float(np.median(lons))) if len(lats) else Plane(0.0, 0.0)
        self._xy: tuple[Array, Array] = self._plane.xy(lats, lons)
        self._reach = [
            (np.min(v, initial=90.0) - _ABROAD_DEG, np.max(v, initial=-180.0) + _ABROAD_DEG) for v in (lats, lons)
        ]
        self._by_x = np.argsort(self._xy[0], kind="stable")
        self._sorted_x = self._xy[0][self._by_x]
        self._lines: dict[int, CutLine] = {}
        self._towns: list[str] = []
        self._streets = StreetBook()
        names: list[str] = []
        for flat, stop in enumerate(s for r in rounds for s in r.stops):
            known = addresses.get(stop.delivery_point_id or "") or parse(stop.address or "")
            self._streets.add(known, flat)
            self._towns.append(next(iter(towns_of(known)), ""))
            names.append(street_key(label_of(known) or ""))
        self._streets.settle()
        self._around = Around(self._xy, self._round_of, names)
        self._agreement = self._streets.agreement(self._round_of)
        self._in_sectors = min(self._around.agreement, self._agreement) >= _SECTORS

    @classmethod
    def from_rounds(
        cls, rounds: Iterable[Round], addresses_of_stops: Mapping[str, Address] | None = None
    ) -> "RoundBook":
        """Build the book; `addresses_of_stops` (delivery_point_id → Address) goes before the text of `Stop.address`."""
        return cls(list(rounds), addresses_of_stops or {})

    def locate_address(self, address: Address | str, lat: float | None = None, lon: float | None = None) -> Placement:
        """Place an address.

        Same commune, street and parity: the two bracketing numbers; of one round: that round, between those stops; of
        two: how far each reaches on either side and the position decide, ambiguous unless nine to one. No number of that
        parity: the nearest on the street. A street spelled a little differently counts less. Street unknown: the cheapest
        insertion beside a stop within 150 m of the position, confidence under 0.8. A position that cannot be, or lies
        some 20 km outside the book, counts as none.
        """
        wanted = parse(address) if isinstance(address, str) else address
        place = self._place(lat, lon)
        name = label_of(wanted)
        if name:
            found = self._street(wanted, name, place)
            if found is not None:
                street, trust = found
                return self._on_street(wanted, street, place, trust=trust)
        return self._beside(place) if place else NOWHERE

    def _place(self, lat: float | None, lon: float | None) -> _XY | None:
        if lat is None or lon is None or not is_plausible(lat, lon) or not self._round_of:
            return None
        if any(not low <= value <= high for value, (low, high) in zip((lat, lon), self._reach, strict=True)):
            return None
        return self._plane.xy(lat, lon)

    def _street(self, wanted: Address, name: str, place: _XY | None) -> tuple[StreetStops, float] | None:
        """Find the street, and how sure it is the one that is meant."""
        towns = towns_to_try(wanted)
        for town in towns:
            found = self._streets.find(town, name)
            if found is not None:
                return found, 1.0
        foreign = towns and any(map(self._streets.knows, towns))
        if not foreign:  # nobody here says the commune as this address does: where it lies, or the only one, tells
            around = self._town_at(place) if place else ANYWHERE
            found = self._streets.find(around, name) if around else None
            if found is not None and (place or len({self._towns[flat] for flat in found.flats()}) == 1):
                return found, _SURE if place else _PERSON
        like = next((street for town in towns if (street := self._streets.find_like(town, name))), None)
        if like is None:
            return None
        agrees = place is not None and self._distance_to(like.flats(), place) <= NEAR_M
        return (like, _SURE if agrees else _PERSON) if agrees or place is None else None

    def _town_at(self, place: _XY) -> str | None:
        near = self._near(place, _SAME_TOWN_M)
        return self._towns[min(near, key=lambda flat: (self._apart(flat, place), flat))] or ANYWHERE if near else None

    def _on_street(self, wanted: Address, street: StreetStops, place: _XY | None, *, trust: float) -> Placement:
        numbered = wanted.house_number is not None and any(street.sides)
        choice = self._by_number(wanted, street, place) if numbered else self._without_number(street, place)
        if place is not None and (doubted := self._outvoted(choice, place) or self._stray(choice, street, place)):
            choice = doubted
        return self._insert(replace(choice, confidence=min(choice.confidence, trust)), place)

    def _by_number(self, wanted: Address, street: StreetStops, place: _XY | None) -> _Choice:
        number, parity = rank_of(wanted), (wanted.house_number or 0) % 2
        mates, opposite = street.sides[parity], street.sides[1 - parity]
        if not mates:
            return self._across(number, opposite, place)
        here = bracket(mates, number)
        if here.same:
            return self._known(here.same, place)
        below, above = here.below, here.above
        if below and above and self._of(below) == self._of(above):
            return _Choice((below.flat, above.flat), _BETWEEN, ambiguous=False)
        if below and above:
            return self._split(number, (below, above), (mates, opposite), place)
        return self._past_the_end(number, mates, opposite)

    def _of(self, one: Served) -> int:
        return self._round_of[one.flat]

    def _known(self, same: Sequence[Served], place: _XY | None) -> _Choice:
        """Take the stop of that very number; of several on two rounds the nearest."""
        one = min(same, key=lambda s: (self._apart(s.flat, place), s)) if place else same[0]
        several = len({self._of(each) for each in same}) > 1
        return _Choice((one.flat,), 0.7 if several else _KNOWN, ambiguous=several)

    def _across(self, number: float, opposite: Sequence[Served], place: _XY | None) -> _Choice:
        """Take the nearest number of the other side, where this one has none; two rounds there make it ambiguous."""
        here = bracket(opposite, number)
        near = [one for one in (here.below, here.above) if one is not None]
        end = min(near, key=lambda one: (abs(one.number - number), one))
        alone = len({self._of(one) for one in opposite}) == 1
        local = len({self._of(one) for one in near}) == 1
        if place and not local:
            end = min(near, key=lambda one: (self._apart(one.flat, place), one))
        confidence = min(0.85 if alone else 0.8 if local else 0.55, self._agreement)
        return _Choice((end.flat,), confidence, ambiguous=confidence < _DOUBT)

    def _split(
        self,
        number: float,
        ends: tuple[Served, Served],
        sides: tuple[Sequence[Served], Sequence[Served]],
        place: _XY | None,
    ) -> _Choice:
        """Weigh two rounds that meet between the numbers: the border may lie anywhere between, no stop says where."""
        below, above = ends
        free = (above.number - number) / (above.number - below.number)
        low, high = self._border(ends, sides[1])
        shared = 1.0 if number <= low else 0.0 if number >= high else (high - number) / (high - low)
        trust = _SIDES_AGREE * self._agreement if (low, high) != (below.number, above.number) else 0.0
        odds = trust * shared + (1 - trust) * free
        odds = min(max(odds, 0.02), 0.98)
        if place:
            nearer = self._nearer(below, above, place)
            odds = 1 / (1 + exp(-log(odds / (1 - odds)) - min(max(nearer, -_POSITION_SAYS), _POSITION_SAYS)))
        sure = max(odds, 1 - odds)
        end = below if odds >= 0.5 else above
        follows = (number > end.number) == self._walked_up(sides[0], end)
        return _Choice(
            (end.flat,), min(sure, 0.95 if sure >= _SURE else _PERSON), ambiguous=sure < _SURE, follows=follows
        )

    def _nearer(self, below: Served, above: Served, place: _XY) -> float:
        """Weigh a position between two stops, as log odds: by what lies around it where rounds are sectors, else by them."""
        if self._in_sectors:
            votes = self._around.votes(place, self._near(place, NEAR_M))
            return log((votes.get(self._of(below), 0.0) + 0.05) / (votes.get(self._of(above), 0.0) + 0.05))
        off2 = self._apart(above.flat, place) ** 2 - self._apart(below.flat, place) ** 2
        return off2 / (2 * _POSITION_SIGMA_M**2)

    def _border(self, ends: tuple[Served, Served], opposite: Sequence[Served]) -> tuple[float, float]:
        """Narrow where the border lies by the other side, if both rounds are there in the same order."""
        below, above = ends
        low, high = below.number, above.number
        for one in opposite:
            if low < one.number < above.number and self._of(one) == self._of(below):
                low = one.number
        for one in reversed(opposite):
            if low < one.number < high and self._of(one) == self._of(above):
                high = one.number
        around = bracket(opposite, (low + high) / 2)
        mixed = {self._of(one) for one in (around.below, around.above) if one} - {self._of(below), self._of(above)}
        return (below.number, above.number) if mixed else (low, high)

    def _past_the_end(self, number: float, mates: Sequence[Served], opposite: Sequence[Served]) -> _Choice:
        """Go on from the last number of a side; the other side may tell that another round begins there."""
        end = mates[0] if number < mates[0].number else mates[-1]
        up = number > end.number
        follows = up == self._walked_up(mates, end)
        across = bracket(opposite, number)
        beyond = [one for one in (across.below, *across.same, across.above) if one and (one.number > end.number) == up]
        near = [one for one in beyond if abs(one.number - number) <= _FAR_NUMBER]
        others = {self._of(one) for one in near if self._agreement >= _DOUBT}
        confidence = 0.95 if abs(end.number - number) <= _FAR_NUMBER else 0.75
        if others and self._of(end) not in others:
            return _Choice((end.flat,), 0.6, ambiguous=True, follows=follows)
        if len(others) == 1:
            confidence = max(confidence, _SURE)
        return _Choice((end.flat,), confidence, ambiguous=confidence < _SURE, follows=follows)

    def _walked_up(self, mates: Sequence[Served], end: Served) -> bool:
        """Tell whether the round passes rising numbers at this end of a side; one stop alone: odd up, even down."""
        here = mates.index(end)
        for other in (here - 1, here + 1):
            if (
                0 <= other < len(mates)
                and self._of(mates[other]) == self._of(end)
                and mates[other].number != end.number
            ):
                return (mates[other].number < end.number) == (mates[other].flat < end.flat)
        return int(end.number) % 2 == 1

    def _without_number(self, street: StreetStops, place: _XY | None) -> _Choice:
        flats = street.flats()
        several = len({self._round_of[flat] for flat in flats}) > 1
        one = min(flats, key=lambda flat: (self._apart(flat, place), flat)) if place else flats[0]
        return _Choice((one,), 0.6 if several else 0.85, ambiguous=several)

    def _outvoted(self, choice: _Choice, place: _XY) -> _Choice | None:
        """Doubt a choice by number where rounds are sectors and all around the position are of another one."""
        if not self._in_sectors or choice.confidence >= _KNOWN:
            return None
        votes = self._around.votes(place, near := self._near(place, NEAR_M))
        best = max(votes, key=lambda each: votes[each], default=self._round_of[choice.flats[0]])
        if best == self._round_of[choice.flats[0]] or votes[best] < _SURE:
            return None
        one = min((flat for flat in near if self._round_of[flat] == best), key=lambda flat: self._apart(flat, place))
        return _Choice((one,), 0.6, ambiguous=True)

    def _stray(self, choice: _Choice, street: StreetStops, place: _XY) -> _Choice | None:
        """Doubt a choice by number that is far from the position: a street that is numbered anew, or of two parts.

        Where the same street has stops of another round near the position, they are taken; where it has none, the number
        stands. Either way a person decides.
        """
        if self._off(choice.flats, place) <= _STRAY_M:
            return None
        near = [flat for flat in street.flats() if self._apart(flat, place) <= NEAR_M]
        ours = self._round_of[choice.flats[0]]
        if not near:
            return replace(choice, confidence=min(choice.confidence, 0.7), ambiguous=True)
        one = min(near, key=lambda flat: (self._apart(flat, place), flat))
        rounds = {self._round_of[flat] for flat in near}
        if rounds == {ours}:
            return replace(choice, confidence=min(choice.confidence, 0.9))
        return _Choice((one,), 0.6, ambiguous=True)

    def _off(self, flats: Sequence[int], place: _XY) -> float:
        """Measure from a place to a stop, or to the straight way between two."""
        x, y = self._xy[0][list(flats)], self._xy[1][list(flats)]
        if len(flats) == 1:
            return float(hypot(x[0] - place[0], y[0] - place[1]))
        steps = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
        return nearest_on((x, y, steps), *place)[1]

    def _distance_to(self, flats: Iterable[int], place: _XY) -> float:
        return min(self._apart(flat, place) for flat in flats)

    def _apart(self, flat: int, place: _XY | None) -> float:
        return hypot(self._xy[0][flat] - place[0], self._xy[1][flat] - place[1]) if place else 0.0

    def _near(self, place: _XY, reach_m: float) -> list[int]:
        """List the stops within a distance, by their place in the book."""
        low, high = np.searchsorted(self._sorted_x, (place[0] - reach_m, place[0] + reach_m))
        some = self._by_x[low:high]
        off = np.hypot(self._xy[0][some] - place[0], self._xy[1][some] - place[1])
        return sorted(some[off <= reach_m].tolist())

    def _insert(self, choice: _Choice, place: _XY | None) -> Placement:
        """Insert in the cheapest gap beside the given stops; between two, the gaps from one to the other if they are near.

        Without a position: in the middle of two, or beside the one, after it if the address `follows` it.
        """
        x, y = self._xy
        flats = sorted(choice.flats)
        here = place or (float(np.mean(x[flats])), float(np.mean(y[flats])))
        gaps = {gap for flat in flats for gap in (flat, flat + 1)}
        if len(flats) == 2:
            inner = range(flats[0] + 1, flats[1] + 1)
            gaps = set(inner) if len(inner) <= 8 else gaps & set(inner)
        elif place is None:
            gaps = {flats[0] + choice.follows}
        round_no = self._round_of[flats[0]]
        cost, _, gap = min(self._costs(round_no, gaps, here))
        cost_m = cost if place else None
        return self._placement(round_no, gap, cost_m, confidence=choice.confidence, ambiguous=choice.ambiguous)

    def _costs(self, round_no: int, gaps: Iterable[int], here: _XY) -> Iterator[tuple[float, int, int]]:
        """Cost the gaps of a round; gap g lies before the flat stop g. Equal costs: the later gap, after the stop.

        A round with a line is left where the line comes nearest between the two stops, and taken up again there: walls in
        between are gone round as the line does. Without one the way is straight from stop to stop.
        """
        first, last = int(self._starts[round_no]), int(self._starts[round_no + 1])
        line = self._line(round_no)
        for gap in gaps:
            if line is not None:
                yield round(2 * line.off(gap - first, here), 1), -gap, gap
                continue
            before = self._at(gap - 1) if gap - 1 >= first else None
            after = self._at(gap) if gap < last else None
            yield insertion_cost_m(before, here, after), -gap, gap

    def _line(self, round_no: int) -> CutLine | None:
        rnd = self.rounds[round_no]
        if len(rnd.line) < 2:
            return None
        known = self._lines.get(round_no)
        if known is None:
            points = np.array(rnd.line)
            known = self._lines[round_no] = CutLine(self._plane.xy(points[:, 1], points[:, 0]), rnd)
        return known

    def _at(self, flat: int) -> _XY:
        return float(self._xy[0][flat]), float(self._xy[1][flat])

    def _placement(
        self, round_no: int, gap: int, cost_m: float | None, *, confidence: float, ambiguous: bool
    ) -> Placement:
        rnd = self.rounds[round_no]
        index = gap - int(self._starts[round_no])
        after = rnd.stops[index - 1].stop_id if index > 0 else None
        before = rnd.stops[index].stop_id if index < len(rnd.stops) else None
        return Placement(rnd.round_id, after, before, cost_m, confidence, ambiguous)

    def _beside(self, place: _XY) -> Placement:
        """Choose the cheapest insertion beside the stops within 150 m; a second round nearly as cheap makes it ambiguous."""
        gaps: dict[int, set[int]] = defaultdict(set)
        for flat in self._near(place, NEAR_M):
            gaps[self._round_of[flat]] |= {flat, flat + 1}
        found = sorted((*min(self._costs(round_no, options, place)), round_no) for round_no, options in gaps.items())
        if not found:
            return NOWHERE
        cost, _, gap, round_no = found[0]
        ambiguous = len(found) > 1 and found[1][0] - cost < max(20.0, cost)
        return self._placement(round_no, gap, cost, confidence=0.5 if ambiguous else 0.7, ambiguous=ambiguous)
