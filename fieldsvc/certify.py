"""`fieldsvc certify`: a hostile day for a subscriber's own receiver, and what became of it, grade by grade.

It sends what our dispatcher would send on a bad day, and what only a forger would. It speaks HTTP only. What cannot be seen from
outside (applied once? in order? forgotten?) it asks the receiver's own report; without one it says so.
"""

import argparse
import asyncio
import json
import re
import secrets
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiohttp
from yarl import URL

from fieldsvc.certifying.day import FIRST, NEXT, STRANGER, Day, knock, plan_day
from fieldsvc.certifying.events import Mint
from fieldsvc.certifying.grading import Grade, Result, Seen, clock_off_s, judge, notes, result_of, times
from fieldsvc.certifying.report import Report, fetch
from fieldsvc.certifying.sending import TIMEOUT, Courier, GaveUp, Pace, Record
from fieldsvc.errors import UserMistake
from fieldsvc.publishing.addresses import SocketFactory
from fieldsvc.publishing.signing import new_secret, sign
from handlers.fields import format_time

STATUS = {Result.PASSED: 0, Result.FAILED: 1, Result.NOT_SHOWN: 3}
FEWEST, MOST = 40, 20_000
_MAY_COME = frozenset({"order", "tombstones"})  # grades of what a receiver may do after its answer
_NAME = re.compile(r"[A-Za-z0-9-]+")
Show = Callable[[str], None]
Heard = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to certify, and how."""

    url: str
    keys: tuple[str, str] = field(repr=False)
    report: str | None = None
    seed: int = 1
    events: int = 300
    batches: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    knock_s: float = 120.0
    report_s: float = 10.0
    pace: Pace = field(default_factory=Pace)
    sockets: SocketFactory | None = field(default=None, repr=False)  # refuses addresses, where others say whom to call


@dataclass(frozen=True, slots=True)
class Certificate:
    """What came of the day."""

    url: str
    run: str
    seed: int
    at: str
    seconds: float
    result: Result
    grades: tuple[Grade, ...]
    counts: dict[str, int]
    ms: dict[str, float]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return it as one screen."""
        lines = [f"{self.url}   seed {self.seed}, run {self.run}, {self.at}, {self.seconds:.0f} s", ""]
        for grade in self.grades:
            lines.append(_wrapped(f"  {grade.name:<11}{grade.result.upper():<11}{grade.says}"))
            lines += [_wrapped(f"{'':<24}To mend: {grade.mend}")] if grade.mend else []
        lines += ["", *(f"  Note: {note}" for note in self.notes), *([""] if self.notes else [])]
        return "\n".join([*lines, _LAST[self.result]])


_LAST = {
    Result.PASSED: "CERTIFIED: this receiver may be trusted with a bad day.",
    Result.FAILED: "NOT CERTIFIED: mend what failed, and run it again with the same seed.",
    Result.NOT_SHOWN: "NOT SHOWN: nothing failed, but not everything could be judged.",
}


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 120, subsequent_indent=" " * 24, break_on_hyphens=False, break_long_words=False)


async def certify_and_print(args: argparse.Namespace) -> int:
    """Do what was typed and print the certificate; return the exit status. UserMistake."""
    plan = read_plan(args)
    if not args.secret_file:
        _say(
            "Give your receiver these two keys, as during a change of keys; it accepts a message that either signed:\n"
        )
        _say("\n".join(f"  {key}" for key in plan.keys) + "\n")
    with _Bar() as bar:
        certificate = await certify(plan, show=bar.show)
    print(json.dumps(asdict(certificate), ensure_ascii=False) if args.json else certificate.text)  # noqa: T201 - its output
    return STATUS[certificate.result]


def read_plan(args: argparse.Namespace) -> Plan:
    """Read what was typed; UserMistake."""
    if not FEWEST <= args.events <= MOST:
        raise UserMistake(f"--events is a number from {FEWEST} to {MOST}.")
    if not 0 <= args.minutes <= 60:
        raise UserMistake("--minutes is a number from 0 to 60.")
    return Plan(
        url=_url(args.url, "The receiver"),
        keys=_keys(args.secret_file),
        report=_url(args.report, "--report") if args.report else None,
        seed=args.seed,
        events=args.events,
        batches=args.batch,
        headers=_headers(args.headers_file),
        knock_s=args.wait,
        pace=Pace(pause_s=args.minutes * 60),
    )


def _url(text: str, what: str) -> str:
    try:
        url = URL(text)
    except (ValueError, IndexError):
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UserMistake(f"{what} is an address as http://127.0.0.1:9000/hook.")
    return text


def _keys(path: Path | None) -> tuple[str, str]:
    """Read two keys, one a line, or make them; one key in the file is one that does not change hands: refused."""
    if path is None:
        return new_secret(), new_secret()
    if not path.is_file():
        raise UserMistake(f"There is no file {path}.")
    found = path.read_text(errors="replace").split()
    try:
        sign(found, "evt", timestamp=0, body=b"")
    except ValueError:
        found = []
    if len(set(found)) != 2:
        raise UserMistake(f"{path} holds two different keys, one a line: whsec_ and base64.")
    return found[0], found[1]


def _headers(path: Path | None) -> dict[str, str]:
    """Read headers, one a line."""
    if path is None:
        return {}
    if not path.is_file():
        raise UserMistake(f"There is no file {path}.")
    found = {}
    for line in path.read_text(errors="replace").splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if line.strip() and not (colon and _NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise UserMistake(f"{path} holds headers, one a line, as X-Tenant: north.")
        if name:
            found[name] = value
    return found


async def certify(plan: Plan, *, show: Show, heard: Heard = lambda _done, _whole: None) -> Certificate:
    """Run the day and judge it; `heard` is told how many requests are done, and of how many. UserMistake for a bad report."""
    run, began, now = secrets.token_hex(4), time.monotonic(), datetime.now(UTC)
    mint = Mint(plan.seed, run, now)
    day = plan_day(mint, events=plan.events, batches=plan.batches)
    connector = aiohttp.TCPConnector(socket_factory=plan.sockets)
    async with aiohttp.ClientSession(
        trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), connector=connector
    ) as session:
        report = await fetch(session, plan.report) if plan.report else None
        records, ended_early = await _send_day(plan, day, mint, show=show, heard=heard)
        seen = Seen(day, records, report, ended_early)
        if plan.report:
            seen = await _reported(plan, session, seen)
    grades = tuple(judge(seen))
    return Certificate(
        plan.url, run, plan.seed, format_time(now), round(time.monotonic() - began, 1), result_of(grades), grades,
        _counts(seen), {name: round(ms, 1) for name, ms in times(records).items()}, tuple(notes(seen)),
    )  # fmt: skip


async def _send_day(plan: Plan, day: Day, mint: Mint, *, show: Show, heard: Heard) -> tuple[list[Record], str]:
    done = 0

    def advanced() -> None:
        nonlocal done
        done += 1
        heard(done, day.requests)

    keys = {FIRST: plan.keys[0], NEXT: plan.keys[1], STRANGER: new_secret()}
    async with Courier(
        plan.url, keys, pace=plan.pace, done=advanced, headers=plan.headers, sockets=plan.sockets
    ) as courier:
        for key in (FIRST, NEXT):
            if missed := await _knocked(courier, mint, key, plan=plan, show=show):
                return courier.records, missed
        courier.records.clear()
        ticking = asyncio.create_task(_tick(lambda: show(_bar(done, day.requests, name))))
        try:
            for phase in day.phases:
                name = phase.name
                await courier.run(phase)
        except GaveUp:
            return courier.records, f"It took nothing any more during {name}; the rest of the day was left out."
        finally:
            ticking.cancel()
        return courier.records, ""


def _bar(done: int, whole: int, name: str) -> str:
    return f"[{'#' * (done * 30 // whole):-<30}] {done:,} of {whole:,}  {name}"


async def _tick(act: Callable[[], None]) -> None:
    while True:
        act()
        await asyncio.sleep(0.1)


async def _knocked(courier: Courier, mint: Mint, key: str, *, plan: Plan, show: Show) -> str:
    """Wait until a message signed with a key is accepted; say so if it never is."""
    deadline, step = time.monotonic() + plan.knock_s, knock(mint, key)
    while True:
        outcome = await courier.send(step)
        if outcome.ok:
            return ""
        if time.monotonic() + 1.0 > deadline:
            courier.records.append(Record(step, [outcome]))
            which = "first" if key == FIRST else "second"
            return f"A test event signed with the {which} key was never taken: the last answer was {outcome.in_words}."
        show(f"Waiting for a receiver that has the keys; the last answer was {outcome.in_words}.")
        await asyncio.sleep(0.1 if outcome.error == TIMEOUT else min(1.0, plan.knock_s / 10))


async def _reported(plan: Plan, session: aiohttp.ClientSession, seen: Seen) -> Seen:
    """Ask the report until it has everything, or for a while: a receiver may work after its answer."""
    deadline = time.monotonic() + plan.report_s
    while plan.report is not None:
        report: Report = await fetch(session, plan.report)
        seen = Seen(seen.day, seen.records, report, seen.ended_early)
        lacks = [grade for grade in judge(seen) if grade.name in _MAY_COME and grade.result is Result.FAILED]
        if not lacks or seen.ended_early or time.monotonic() > deadline:
            break
        await asyncio.sleep(min(0.5, plan.report_s / 5))
    return seen


def _counts(seen: Seen) -> dict[str, int]:
    outcomes = [outcome for record in seen.records for outcome in record.outcomes]
    return {
        "requests": len(outcomes),
        "taken": sum(outcome.ok for outcome in outcomes),
        "5xx": sum(outcome.status is not None and outcome.status >= 500 for outcome in outcomes),
        "no_answer": sum(outcome.status is None for outcome in outcomes),
        "clock_off_s": round(clock_off_s(seen.records)),
    }


class _Bar:
    """One line on a terminal that is written again and again; nothing elsewhere."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    def show(self, line: str) -> None:
        """Write the line."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - beside the certificate, which may be JSON
