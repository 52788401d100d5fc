"""A planned round, and a run on it, as one SVG: to be looked at by a person. Pure; planes in metres, text in English.

The line is drawn a little to the right of travel, so that the two passes of a street lie side by side, with arrows. Fixes
are dots with a ring of their accuracy, in the colour of their status; a thin line joins each with the place that was
found for it. Colours follow the reader's light or dark setting; off the round is dashed as well, for those who see no red.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, hypot, log10
from xml.sax.saxutils import escape

import numpy as np

from geo.matching import AT_STOP, OFF_ROUND, ON_ROUND, UNKNOWN, Match
from geo.positions import Array, Fix, is_plausible
from geo.rounds import Round

WIDE, HIGH_LEAST, HIGH_MOST, MARGIN, FOOT = 1_200.0, 320.0, 1_600.0, 36.0, 96.0
FIXES_MOST, TITLES_MOST = 3_000, 400
AROUND_M = 500.0
_ARROW_PX, _ASIDE_PX = 45.0, 2.2
_SAME_WALK_M, _BESIDE_M = 150.0, 25.0
_CONTROL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WORDS = {
    ON_ROUND: "fix on the round",
    AT_STOP: "fix at a stop",
    OFF_ROUND: "fix off the round",
    UNKNOWN: "fix of which nothing is known",
}
SAID = {ON_ROUND: "on the round", AT_STOP: "at a stop", OFF_ROUND: "off the round", UNKNOWN: "unknown"}
_STYLE = """
svg{--paper:#fff;--ink:#1b1b1b;--line:#8a8f98;--on_round:#0b62b8;--at_stop:#0a7a4b;--off_round:#c2410c;--unknown:#6b7280}
@media(prefers-color-scheme:dark){svg{--paper:#15181c;--ink:#f1f1f1;--line:#7d848e;--on_round:#6cb2ff;--at_stop:#4fd39a;
--off_round:#ff9c66;--unknown:#a3acb8}}
.paper{fill:var(--paper)}text{fill:var(--ink);font:13px system-ui,sans-serif}.small{font-size:11px}
.halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.plan{fill:none;stroke:var(--line);stroke-width:1.6;stroke-linejoin:round}.way{fill:var(--line)}
.stop{fill:var(--paper);stroke:var(--ink);stroke-width:1}.visited{fill:var(--ink)}
.scale{fill:none;stroke:var(--ink);stroke-width:1.5}
.ring,.tie{fill:none;stroke-width:.8;opacity:.35}.tie{opacity:.75}.dot{stroke-width:4.5;stroke-linecap:round;fill:none}
.on_round{stroke:var(--on_round)}.at_stop{stroke:var(--at_stop)}.off_round{stroke:var(--off_round)}
.unknown{stroke:var(--unknown)}.off_round.ring{stroke-dasharray:3 3;opacity:.7}
.mark{fill:var(--ink)}
"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One fix and what was found for it; None = nothing."""

    fix: Fix
    match: Match | None

    @property
    def status(self) -> str:
        """The status that it is coloured by."""
        return self.match.status if self.match is not None else UNKNOWN

    @property
    def is_on(self) -> bool:
        """Tell whether there is a place on the line to join it with."""
        return self.match is not None and self.match.status in (ON_ROUND, AT_STOP)


def draw_run(rnd: Round, fixes: Iterable[Fix] = (), matches: Iterable[Match | None] = ()) -> str:
    """Draw a round, and the fixes of a run with what was found for each, as an SVG document.

    More than 3,000 fixes are thinned evenly; fixes farther than 500 m around the round and its stops are left out. The
    description says how many. Raise EmptyRound when there is neither a line nor stops.
    """
    moments = [Drawn(*each) for each in zip(fixes, matches, strict=True)]
    sheet = _Sheet.of(rnd, moments)
    shown = sheet.shown(moments)
    parts = [
        f"<path class='plan' d='{_path(sheet.line)}'/>",
        f"<path class='way' d='{''.join(_arrows(sheet.line))}'/>",
        *_rings(sheet, shown),
        *_ties(sheet, shown),
        *_stops(sheet, rnd, moments),
        *_dots(sheet, shown),
        *_marks(sheet, rnd),
        *_legend(sheet, rnd, moments),
    ]
    high = sheet.high + FOOT
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDE:.0f} {high:.0f}' role='img' "
        f"aria-labelledby='title about'>\n<title id='title'>{_text(_title(rnd, moments))}</title>\n"
        f"<desc id='about'>{_text(_about(rnd, moments, len(shown)))}</desc>\n<style>{_STYLE}</style>\n"
        f"<rect class='paper' width='{WIDE:.0f}' height='{high:.0f}'/>\n" + "\n".join(parts) + "\n</svg>\n"
    )


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Where metres lie on the paper: `line` is the planned line, aside, in paper units."""

    rnd: Round
    west: float
    north: float
    scale: float
    left: float
    high: float
    line: Array

    @classmethod
    def of(cls, rnd: Round, moments: Sequence[Drawn]) -> "_Sheet":
        x, y, _cumulative = rnd.vertices
        places = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        places += [rnd.plane.xy(stop.lat, stop.lon) for stop in rnd.stops if is_plausible(stop.lat, stop.lon)]
        box = _box(places)
        near = [xy for each in moments if (xy := _xy(rnd, each.fix)) and _is_within(box, xy)]
        west, south, east, north = _box([*places, *near])
        width, height = max(east - west, 1.0), max(north - south, 1.0)
        inside = HIGH_MOST - 2 * MARGIN
        scale = min((WIDE - 2 * MARGIN) / width, inside / height)
        high = max(height * scale + 2 * MARGIN, HIGH_LEAST)
        left = (WIDE - width * scale) / 2
        bare = cls(rnd, west, north, scale, left, high, np.zeros((0, 2)))
        line = _aside(np.array([bare.at(*place) for place in zip(x.tolist(), y.tolist(), strict=True)]))
        return cls(rnd, west, north, scale, left, high, line)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Turn metres of the round's plane into paper units."""
        return self.left + (x - self.west) * self.scale, MARGIN + (self.north - y) * self.scale

    def of_fix(self, fix: Fix) -> tuple[float, float]:
        return self.at(*self.rnd.plane.xy(fix.lat, fix.lon))

    def on_line(self, distance_m: float) -> tuple[float, float]:
        """Find the place of the drawn line that many metres along the round."""
        cumulative = self.rnd.vertices[2]
        x, y = (float(np.interp(distance_m, cumulative, self.line[:, i])) for i in (0, 1))
        return x, y

    def shown(self, moments: Sequence[Drawn]) -> list[Drawn]:
        """Choose the fixes that lie on the paper, at most 3,000 of them."""
        inside = [each for each in moments if _xy(self.rnd, each.fix) and self._is_on_paper(each.fix)]
        step = max(ceil(len(inside) / FIXES_MOST), 1)
        return inside[::step]

    def _is_on_paper(self, fix: Fix) -> bool:
        x, y = self.of_fix(fix)
        return 0 <= x <= WIDE and 0 <= y <= self.high


def _xy(rnd: Round, fix: Fix) -> tuple[float, float] | None:
    return rnd.plane.xy(fix.lat, fix.lon) if is_plausible(fix.lat, fix.lon) else None


def _box(places: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    xs, ys = zip(*places, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _is_within(box: tuple[float, float, float, float], xy: tuple[float, float]) -> bool:
    west, south, east, north = box
    return west - AROUND_M <= xy[0] <= east + AROUND_M and south - AROUND_M <= xy[1] <= north + AROUND_M


def _aside(line: Array) -> Array:
    """Move a line a little to the right of travel (paper units, y down): each vertex by the mean of its two pieces."""
    steps = np.diff(line, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)[:, None]
    right = np.column_stack((-steps[:, 1], steps[:, 0])) / lengths
    both = np.vstack((right[:1], (right[:-1] + right[1:]) / 2, right[-1:]))
    return np.asarray(line + _ASIDE_PX * both)


def _path(points: Iterable[Sequence[float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _arrows(line: Array) -> Iterator[str]:
    """Draw arrow heads along a line, one in each 45 units of its way."""
    due = _ARROW_PX / 2
    for (x1, y1), (x2, y2) in pairwise(line.tolist()):
        length = hypot(x2 - x1, y2 - y1)
        while length and due <= length:
            x, y = x1 + (x2 - x1) * due / length, y1 + (y2 - y1) * due / length
            dx, dy = (x2 - x1) / length, (y2 - y1) / length
            yield (
                f"M{x + 6 * dx:.1f} {y + 6 * dy:.1f}L{x - 3 * dx - 4 * dy:.1f} {y - 3 * dy + 4 * dx:.1f}"
                f"L{x - 3 * dx + 4 * dy:.1f} {y - 3 * dy - 4 * dx:.1f}Z"
            )
            due += _ARROW_PX
        due -= length


def _by_status(shown: Iterable[Drawn]) -> dict[str, list[Drawn]]:
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for each in shown:
        found[each.status if each.status in WORDS else UNKNOWN].append(each)
    return {status: found[status] for status in WORDS if found[status]}


def _rings(sheet: _Sheet, shown: Sequence[Drawn]) -> Iterator[str]:
    for status, moments in _by_status(shown).items():
        for each in moments:
            radius = min((each.fix.accuracy_m or 0.0) * sheet.scale, WIDE)
            if radius >= 3:
                x, y = sheet.of_fix(each.fix)
                yield f"<circle class='{status} ring' cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}'/>"


def _ties(sheet: _Sheet, shown: Sequence[Drawn]) -> Iterator[str]:
    """Join fixes with their places on the line."""
    for status, moments in _by_status(shown).items():
        ties = [
            _path((sheet.of_fix(each.fix), sheet.on_line(each.match.distance_along_m)))
            for each in moments
            if each.match is not None and each.is_on
        ]
        if ties:
            yield f"<path class='{status} tie' d='{''.join(ties)}'/>"


def _dots(sheet: _Sheet, shown: Sequence[Drawn]) -> Iterator[str]:
    """Draw fixes as dots; each with words of its own while there are not too many."""
    for status, moments in _by_status(shown).items():
        places = [(each, *sheet.of_fix(each.fix)) for each in moments]
        if len(shown) > TITLES_MOST:
            yield f"<path class='{status} dot' d='{''.join(f'M{x:.1f} {y:.1f}h0' for _, x, y in places)}'/>"
        else:
            for each, x, y in places:
                said = _text(f"{each.fix.fixed_at:%H:%M:%S}, {_said(each)}")
                yield f"<path class='{status} dot' d='M{x:.1f} {y:.1f}h0'><title>{said}</title></path>"


def _said(each: Drawn) -> str:
    if each.match is None:
        return "nothing is known"
    return f"{SAID.get(each.status, each.status)}, {each.match.distance_along_m:.0f} m along, confidence {each.match.confidence:.2f}"


def _stops(sheet: _Sheet, rnd: Round, moments: Sequence[Drawn]) -> Iterator[str]:
    visited = visited_stops(rnd, moments)
    for stop in rnd.stops:
        if is_plausible(stop.lat, stop.lon):
            x, y = sheet.at(*rnd.plane.xy(stop.lat, stop.lon))
            kind = "stop visited" if stop.stop_id in visited else "stop"
            words = "visited" if stop.stop_id in visited else "ahead"
            name = _text(f"{stop.stop_id}: {words}")
            yield f"<circle class='{kind}' cx='{x:.1f}' cy='{y:.1f}' r='2.2'><title>{name}</title></circle>"


def visited_stops(rnd: Round, moments: Iterable[Drawn]) -> set[str]:
    """Name the stops that the run passed: within 25 m along the line of its places, or between two that follow each other."""
    on = [each.match.distance_along_m for each in moments if each.match is not None and each.is_on]
    spans = [(along - _BESIDE_M, along + _BESIDE_M) for along in on]
    spans += [(a, b) for a, b in pairwise(on) if 0 < b - a <= _SAME_WALK_M]
    stops = rnd.stop_distances_m
    found = np.zeros(len(stops), dtype=bool)
    for low, high in spans:
        found[np.searchsorted(stops, low, side="left") : np.searchsorted(stops, high, side="right")] = True
    return {rnd.stops[i].stop_id for i in np.flatnonzero(found).tolist()}


def _marks(sheet: _Sheet, rnd: Round) -> Iterator[str]:
    """Write kilometres along the line, and its start and end."""
    length = rnd.length_m
    step = 1_000.0 if length <= 30_000 else 5_000.0
    marks = [(metres, f"{metres / 1_000:.0f} km") for metres in np.arange(step, length - step / 4, step).tolist()]
    for metres, words in [(0.0, "start"), *marks, (length, "end")]:
        x, y = sheet.on_line(metres)
        side = "end" if words == "end" else "start"
        dx = -6 if words == "end" else 6
        yield f"<circle class='mark' cx='{x:.1f}' cy='{y:.1f}' r='2.5'/>"
        yield f"<text class='small halo' text-anchor='{side}' x='{x + dx:.1f}' y='{y - 5:.1f}'>{words}</text>"


def _legend(sheet: _Sheet, rnd: Round, moments: Sequence[Drawn]) -> Iterator[str]:
    top = sheet.high + 12
    yield f"<text x='{MARGIN:.0f}' y='{top:.0f}'>{_text(_title(rnd, moments))}</text>"
    x = MARGIN
    counts = Counter(each.status if each.status in WORDS else UNKNOWN for each in moments)
    for status, words in WORDS.items():
        if counts[status]:
            yield f"<path class='{status} dot' d='M{x + 3:.1f} {top + 24:.1f}h0'/>"
            yield f"<text class='small' x='{x + 12:.1f}' y='{top + 28:.1f}'>{words} ({counts[status]})</text>"
            x += 215
    x = MARGIN
    for kind, words in (("stop visited", "stop visited"), ("stop", "stop ahead")):
        yield f"<circle class='{kind}' cx='{x + 3:.1f}' cy='{top + 48:.1f}' r='3'/>"
        yield f"<text class='small' x='{x + 12:.1f}' y='{top + 52:.1f}'>{words}</text>"
        x += 110
    yield f"<path class='plan' d='M{x:.1f} {top + 48:.1f}h40'/>"
    yield f"<path class='way' d='M{x + 24:.1f} {top + 48:.1f}l-8 -3v6Z'/>"
    yield f"<text class='small' x='{x + 48:.1f}' y='{top + 52:.1f}'>planned line, in its direction; ring: accuracy of a fix; thin line: its place; north is up</text>"
    metres = _round_length(180 / sheet.scale)
    at, width = WIDE - MARGIN - metres * sheet.scale, metres * sheet.scale
    yield f"<path class='scale' d='M{at:.1f} {top + 44:.1f}v6h{width:.1f}v-6'/>"
    words = f"{metres / 1_000:g} km" if metres >= 1_000 else f"{metres:g} m"
    yield f"<text class='small' text-anchor='end' x='{WIDE - MARGIN:.1f}' y='{top + 38:.1f}'>{words}</text>"


def _round_length(metres: float) -> float:
    """Choose the largest of 1, 2 or 5 times a power of ten that is not longer."""
    power = float(10 ** floor(log10(max(metres, 1e-3))))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= metres)


def _title(rnd: Round, moments: Sequence[Drawn]) -> str:
    name = f"Round {rnd.round_id}" + (f" ({rnd.name})" if rnd.name else "")
    if not moments:
        return f"{name}, as planned"
    first, last = moments[0].fix.fixed_at, moments[-1].fix.fixed_at
    return f"{name}, replayed {first:%Y-%m-%d %H:%M} to {last:%H:%M} UTC"


def _about(rnd: Round, moments: Sequence[Drawn], shown: int) -> str:
    said = f"A planned line of {rnd.length_m / 1_000:.1f} km with {len(rnd.stops)} stops"
    if not moments:
        return said + "."
    counts = Counter(each.status for each in moments)
    by_status = ", ".join(f"{counts[status]} {SAID[status]}" for status in WORDS if counts[status])
    left = f"; {shown} of them are drawn" if shown < len(moments) else ""
    return f"{said}, {len(visited_stops(rnd, moments))} of them visited; {len(moments)} fixes: {by_status}{left}."


def _text(text: str) -> str:
    return escape(_CONTROL.sub("\ufffd", text))
