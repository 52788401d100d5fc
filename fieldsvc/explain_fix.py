"""`fieldsvc explain fix`: why a fix is where the service says it is on its round, for a person.

It works on fixes given by hand, on a round of the database or of a file; it reads no position that anybody stored.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import atan2, degrees
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fieldsvc.errors import FieldsvcError, UserMistake
from fieldsvc.intake.formats.positions import decode
from fieldsvc.work.rounds import RoundStore, run_of_id
from geo.drawing import SAID, draw_run
from geo.errors import BadFile
from geo.matching import AT_STOP, ON_ROUND, REVERSED, UNKNOWN, Match, Matcher, locate
from geo.positions import Fix, is_plausible
from geo.round_files import read_rounds_csv, read_rounds_geojson
from geo.rounds import Round, project
from geo.which_round import reach_m
from handlers.fields import format_time, parse_time

PASSES_MOST, FIXES_MOST = 8, 20_000
_SAME_PASS_M = 50.0
_USELESS_ACCURACY_M, _NO_ALARM_ACCURACY_M = 100.0, 40.0
_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


@dataclass(frozen=True, slots=True)
class Pass:
    """One time that the line comes near a fix: metres along it and from it, where it heads, and how likely it is."""

    distance_along_m: float
    distance_m: float
    heading_deg: float
    probability: float | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A fix, what was found for it with what was known before, and the passes that were in question."""

    planned: Round
    fix: Fix
    match: Match
    passes: tuple[Pass, ...]
    known: str


async def planned_round(args: argparse.Namespace, rounds: RoundStore) -> Round:
    """Read the round from the database; UserMistake when there is none."""
    name = _round_id(args)
    known = await rounds.known_round(name)
    if known is None:
        raise UserMistake(f"There is no round {name}.")
    return known.stored.round


def round_of_file(args: argparse.Namespace) -> Round:
    """Read the round from a file of rounds, GeoJSON or CSV; UserMistake naming what is wrong with it."""
    path: Path = args.rounds
    text = _text_of(path)
    try:
        is_json = text.lstrip("\ufeff \t\r\n").startswith(("{", "["))
        found = read_rounds_geojson(text) if is_json else read_rounds_csv(text.splitlines())
    except BadFile as error:
        raise UserMistake(f"{path}: {error}") from None
    name = _round_id(args)
    planned = next((each for each in found if each.round_id == name), None)
    if planned is None:
        raise UserMistake(f"There is no round {name} in {path}.")
    return planned


def check(args: argparse.Namespace) -> None:
    """Find a user's mistake before anything is opened: UserMistake."""
    _round_id(args)
    if args.fixes is None:
        _fix_of(args)
    elif any(getattr(args, name) is not None for name in ("lat", "lon", "accuracy", "after", "speed", "heading", "at")):
        raise UserMistake("Give one fix with --lat and --lon, or a file with --fixes: not both.")
    else:
        _fixes_of(args.fixes)


def explain(args: argparse.Namespace, planned: Round) -> tuple[dict[str, Any], list[str]]:
    """Explain what was asked for: as an object and as lines for a person. Writes the drawing where one is asked for."""
    if not planned.drawn_line:
        raise UserMistake(f"Round {planned.round_id} has neither a line nor stops.")
    fixes = _fixes_of(args.fixes) if args.fixes is not None else [_fix_of(args)]
    if args.fixes is not None:
        matches = [found.provisional for found in Matcher(planned, planned.mode).replay(fixes)]
        match = matches[-1] or locate(planned, fixes[-1])
        known = f"the {len(fixes) - 1} fixes before it"
    else:
        match = locate(planned, fixes[0], args.after)
        matches = [match]
        known = "nothing" if args.after is None else f"{args.after:,.0f} m along the round"
    passes = tuple(passes_near(planned, fixes[-1], match))
    found = Explained(planned, fixes[-1], match, passes, known)
    report, words = as_object(found), as_words(found)
    if args.fixes is not None:
        counts = Counter(each.status if each is not None else UNKNOWN for each in matches)
        report["fixes"] = {status: counts[status] for status in SAID if counts[status]}
        said = ", ".join(f"{counts[status]} {SAID[status]}" for status in SAID if counts[status])
        words = [f"{len(fixes)} fixes: {said}. This is the last of them.", *words]
    if args.svg is not None:
        _write(args.svg, draw_run(planned, fixes, matches))
        words.append(f"Drawn in {args.svg}.")
    return report, words


def passes_near(rnd: Round, fix: Fix, match: Match) -> list[Pass]:
    """List the passes of the line in reach of a fix, the nearest first, at most eight.

    The reach is 3.5 times its noise, 35 to 250 m; without any pass in it, the nearest one. Each has the probability that
    the match gives to a place within 50 m along; None where it is too small to be listed there.
    """
    x, y, cumulative = rnd.vertices
    px, py = rnd.plane.xy(fix.lat, fix.lon)
    fraction = project(x, y, px, py)
    along = cumulative[:-1] + fraction * np.diff(cumulative)
    off = np.hypot(x[:-1] + fraction * np.diff(x) - px, y[:-1] + fraction * np.diff(y) - py)
    kept: list[int] = []
    for i in np.argsort(off, kind="stable").tolist():
        if kept and (off[i] > reach_m(fix) or len(kept) == PASSES_MOST):
            break
        if all(abs(along[i] - along[j]) > _SAME_PASS_M for j in kept):
            kept.append(i)
    chances = _chances(match, [float(along[i]) for i in kept])
    return [
        Pass(float(along[i]), float(off[i]), degrees(atan2(x[i + 1] - x[i], y[i + 1] - y[i])) % 360, chances.get(n))
        for n, i in enumerate(kept)
    ]


def as_object(found: Explained) -> dict[str, Any]:
    """Write an explanation for a program."""
    fix, match = found.fix, found.match
    return {
        "round_id": found.planned.round_id,
        "fix": {
            "lat": fix.lat,
            "lon": fix.lon,
            "accuracy_m": fix.accuracy_m,
            "fixed_at": format_time(fix.fixed_at),
        },
        "known_before": found.known,
        "status": match.status,
        "confidence": round(match.confidence, 3),
        "distance_along_m": round(match.distance_along_m, 1),
        "progress": round(match.progress, 4),
        "offset_m": None if match.offset_m is None else round(match.offset_m, 1),
        "direction": match.direction,
        "stop_id": match.stop_id,
        "next_stop_id": match.next_stop_id,
        "passes": [
            {
                "distance_along_m": round(each.distance_along_m, 1),
                "distance_m": round(each.distance_m, 1),
                "heading_deg": round(each.heading_deg),
                "probability": None if each.probability is None else round(each.probability, 3),
            }
            for each in found.passes
        ],
        "off_round_probability": round(_rest(found), 3),
        "why": list(_why(found)),
    }


def as_words(found: Explained) -> list[str]:
    """Write an explanation for a person, a line each."""
    rnd, fix, match = found.planned, found.fix, found.match
    name = f"Round {rnd.round_id}" + (f" ({rnd.name})" if rnd.name else "")
    accuracy = "unknown accuracy" if not fix.accuracy_m else f"accuracy {fix.accuracy_m:g} m"
    lines = [
        f"{name}: {rnd.length_m / 1_000:.1f} km by {rnd.mode}, {len(rnd.stops)} stops.",
        f"Fix {fix.lat:.6f}, {fix.lon:.6f}, {accuracy}, at {format_time(fix.fixed_at)}. Known before: {found.known}.",
        f"Status: {SAID[match.status]}. Confidence: {match.confidence:.2f}, {_sureness(match.confidence)}.",
        "",
        "Passes of the line near it:",
    ]
    for number, each in enumerate(found.passes, 1):
        chance = "under 0.01" if each.probability is None else f"{each.probability:.2f}"
        chosen = "  <- chosen" if _is_chosen(found, each) else ""
        place = f"{each.distance_along_m:,.0f} m along, heading {_wind(each.heading_deg)}"
        lines.append(f"  {number}. {place}; the fix is {each.distance_m:.0f} m from it; probability {chance}{chosen}")
    lines += [f"  Off the round, or elsewhere on it: {_rest(found):.2f}", "", *_stops(found), "", "Why:"]
    return [*lines, *(f"  - {each}" for each in _why(found))]


def _round_id(args: argparse.Namespace) -> str:
    if args.run is None:
        return str(args.round)
    named = run_of_id(args.run)
    if named is None:
        raise UserMistake(f"There is no run {args.run}: its form is run-<date>-<round>.")
    return named[1]


def _fix_of(args: argparse.Namespace) -> Fix:
    if args.lat is None or args.lon is None:
        raise UserMistake("Give a fix with --lat and --lon, or a file of fixes with --fixes.")
    if not is_plausible(args.lat, args.lon):
        raise UserMistake("This latitude and longitude cannot be a real place.")
    for name, most in (("accuracy", 1e6), ("after", 1e7), ("speed", 400.0), ("heading", 360.0)):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= most:
            raise UserMistake(f"--{name} is a number from 0 to {most:,.0f}.")
    try:
        at = parse_time(args.at) if args.at is not None else datetime.now(UTC)
    except ValueError:
        raise UserMistake("--at is a time with its offset, as 2026-11-21T09:42:12Z.") from None
    return Fix(args.lat, args.lon, at, args.accuracy or None, args.speed, args.heading)


def _fixes_of(path: Path) -> list[Fix]:
    """Read JSON lines of fixes, or of whole bodies of `/v1/positions`, in the order of their times."""
    found: list[Fix] = []
    for number, line in enumerate(_text_of(path).splitlines(), 1):
        if line.strip():
            found += _fixes_in(line, f"{path}, line {number}")
            if len(found) > FIXES_MOST:
                raise UserMistake(f"{path} holds more than {FIXES_MOST:,} fixes.")
    if not found:
        raise UserMistake(f"There is no fix in {path}.")
    return sorted(found, key=lambda each: each.fixed_at)


def _fixes_in(line: str, where: str) -> Sequence[Fix]:
    try:
        value = orjson.loads(line)
        body = value if isinstance(value, dict) and "fixes" in value else {"fixes": [value]}
        found = decode(orjson.dumps(body), "application/json", None)
    except ValueError:
        raise UserMistake(f"{where}: this is not JSON.") from None
    except FieldsvcError as error:
        raise UserMistake(f"{where}: {error}") from None
    if found.faults:
        raise UserMistake(f"{where}: this is no fix ({found.faults[0].reason}).")
    return found.fixes


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserMistake(f"The file {path} cannot be read.") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:
        raise UserMistake(f"The file {path} cannot be written.") from None


def _chances(match: Match, along: Sequence[float]) -> dict[int, float]:
    """Give each place that the match lists to the pass nearest along."""
    found: dict[int, float] = {}
    for place, chance in ((match.distance_along_m, match.confidence), *match.alternatives):
        n = min(range(len(along)), key=lambda n: abs(along[n] - place))
        if abs(along[n] - place) <= _SAME_PASS_M:
            found[n] = found.get(n, 0.0) + chance
    return found


def _rest(found: Explained) -> float:
    return max(1.0 - sum(each.probability or 0.0 for each in found.passes), 0.0)


def _is_on(match: Match) -> bool:
    return match.status in (ON_ROUND, AT_STOP)


def _is_chosen(found: Explained, each: Pass) -> bool:
    return _is_on(found.match) and abs(each.distance_along_m - found.match.distance_along_m) <= _SAME_PASS_M


def _sureness(confidence: float) -> str:
    words = ((0.9, "sure"), (0.7, "likely"), (0.5, "more likely than not"))
    return next((word for least, word in words if confidence >= least), "a guess")


def _wind(heading_deg: float) -> str:
    return _WINDS[round(heading_deg / 45) % 8]


def _stops(found: Explained) -> Iterator[str]:
    rnd, match = found.planned, found.match
    if not _is_on(match):
        yield "No stop is named: the place on the round is not known."
        return
    for words, stop_id in (("Nearest stop", match.stop_id), ("Next stop", match.next_stop_id)):
        if stop_id is None:
            yield f"{words}: none" + (" is named under 0.5 confidence." if words == "Nearest stop" else " ahead.")
        else:
            away = rnd.distance_of(stop_id) - match.distance_along_m
            address = rnd.stops[rnd.index_of(stop_id)].address
            side = "further on" if away >= 0 else "behind"
            yield f"{words}: {stop_id}" + (f", {address}" if address else "") + f", {abs(away):.0f} m {side}."


def _why(found: Explained) -> Iterator[str]:
    """Give the reasons, in the order in which they weighed."""
    fix, match, passes = found.fix, found.match, found.passes
    nearest = passes[0]
    if not fix.accuracy_m:
        yield "The phone does not say how good the fix is; it is taken for one of 20 m."
    if (fix.accuracy_m or 0.0) > _USELESS_ACCURACY_M:
        yield f"With an accuracy of {fix.accuracy_m:g} m (over 100 m) no place on the round is claimed."
    if nearest.distance_m > reach_m(fix):
        yield f"The line is {nearest.distance_m:,.0f} m away, farther than the fix can be wrong ({reach_m(fix):.0f} m)."
        if match.status == UNKNOWN and not 0 < (fix.accuracy_m or 0.0) <= _NO_ALARM_ACCURACY_M:
            yield "Off the round is said only with an accuracy of 40 m or better."
        return
    if len(passes) == 1:
        yield f"One pass only is within reach ({reach_m(fix):.0f} m)."
    else:
        yield f"{len(passes)} passes are within reach ({reach_m(fix):.0f} m); distance alone tells them badly apart."
    yield from _why_this(found, nearest)
    if match.direction == REVERSED:
        yield "The run goes backwards along the round."


def _why_this(found: Explained, nearest: Pass) -> Iterator[str]:
    chosen = next((each for each in found.passes if _is_chosen(found, each)), None)
    if chosen is not None and chosen != nearest:
        more = chosen.distance_m - nearest.distance_m
        yield f"The chosen pass is {more:.0f} m farther from the fix than the nearest: the planned order outweighs that."
    elif chosen is not None and len(found.passes) > 1:
        yield "The chosen pass is also the nearest."
    if found.known == "nothing" and len(found.passes) > 1:
        yield "Nothing was known before, so the order of the round could not help: --after or --fixes tells it."
    if _rest(found) >= 0.2:
        yield f"{_rest(found):.2f} of the probability is off the round or on passes that are not listed."
