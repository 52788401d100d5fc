"""The national part of `bench live`: 20,000 carriers on duty at twenty sites, and how soon supervisors see what they send.

Every phone uploads four fixes each two minutes (one fix per 30 s, as phones are asked to), evenly spread; a tenth of the runs
sends field events at their stops instead. A supervisor of each site and an operator who sees all of them look. Each screen
notes when its delta came, after the answer to the upload that it shows.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import orjson

from fieldsvc.bench.crews import all_covered, enrolled, signed_in, started, straight_round
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import BATCH, JSON, Load, percentile, post, send_all
from fieldsvc.bench.service import Site, running
from fieldsvc.bench.watchers import Watcher, watching
from fieldsvc.ids import uuid7
from fieldsvc.platform import Platform
from fieldsvc.store import run as runs_store
from fieldsvc.tracking.board import EVERY_S
from fieldsvc.work import imports
from handlers.fields import format_time

CARRIERS, SITES = 20_000, 20
LINE_M, POINTS, STOPS = 20_000.0, 20, 4
WEST, SOUTH, DEGREE_M = -4.0, 43.0, 111_195.0
FIX_EVERY_S, FIXES_AN_UPLOAD = 30.0, 4
EVENTS_SHARE, SECONDS, TARGET_MS = 10, 30.0, 2_000.0
ON_DUTY, SETTLE_S, SEEN_WITHIN_S, LOOK_S = timedelta(hours=2), 3.0, 10.0, 0.1
AT_ONCE = 16
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Nation:
    """The phones of runs on duty, by number, and who looks: the operator first, then one supervisor a site."""

    day: date
    tokens: Sequence[str]
    sessions: Sequence[str]

    def run_id(self, number: int) -> str:
        """Name the run of a phone."""
        return runs_store.run_id_of(self.day, round_of(number))


def round_of(number: int) -> str:
    """Name the round of a phone."""
    return f"N{number:05d}"


def site_of(number: int) -> str:
    """Name the site of a phone's round."""
    return f"bench-{number % SITES:02d}"


async def run(zone: str, *, cycles: int, show: Show) -> None:
    """Measure `cycles` windows of half a minute and print a line for fixes and one for events."""
    async with running(_prepare, timezone=zone) as site:
        await _look(site, seconds=5.0, step=0)
        found = [await _look(site, seconds=SECONDS, step=step) for step in range(1, 1 + max(1, cycles))]
    for kind in ("fix", "event"):
        show(_line(kind, found))


@dataclass(frozen=True, slots=True)
class Look:
    """A window: seconds from each answer until each screen that shows the run had it, by kind; what was never seen."""

    delays: dict[str, list[float]]
    unseen: dict[str, int]
    answers: dict[str, Load]
    cpu_share: float


async def _look(site: Site[Nation], *, seconds: float, step: int) -> Look:
    nation = site.kit
    senders, tellers = _whose_turn(seconds, step)
    async with watching(f"{site.service.url}/v1/live?bbox=-180,-90,180,90", list(nation.sessions)) as watchers:
        await asyncio.sleep(SETTLE_S)
        for watcher in watchers:
            watcher.forget()
        cpu_s, began = site.service.cpu_s(), time.perf_counter()
        fixes, events = await asyncio.gather(
            send_all(site.service.url, _uploads(nation, senders, step), connections=32, per_s=len(senders) / seconds),
            send_all(site.service.url, _events(nation, tellers, step), connections=8, per_s=len(tellers) / seconds),
        )
        shown = {"fix": (senders, fixes), "event": (tellers, events)}
        await _all_seen(nation, watchers[0], [*senders, *tellers])
        cpu_share = (site.service.cpu_s() - cpu_s) / (time.perf_counter() - began)
        return _seen(nation, watchers, shown, cpu_share=cpu_share)


def _whose_turn(seconds: float, step: int) -> tuple[list[int], list[int]]:
    """Name the phones that send in a window: fixes from nine tenths of them, at the real rate; events from the rest."""
    window = round(FIX_EVERY_S * FIXES_AN_UPLOAD / seconds)
    mine = [number for number in range(CARRIERS) if number // SITES % window == step % window]
    walking = [number for number in mine if number % EVENTS_SHARE]
    return walking, [number for number in mine if not number % EVENTS_SHARE]


def _uploads(nation: Nation, senders: Sequence[int], step: int) -> list[bytes]:
    """Write an upload a phone: the last four fixes, 30 s and some metres apart."""
    now = datetime.now(UTC)
    return [
        post("/v1/positions", nation.tokens[n], orjson.dumps({"fixes": list(_fixes(n, step, now))}), media_type=JSON)
        for n in senders
    ]


def _fixes(number: int, step: int, now: datetime) -> Iterator[dict[str, Any]]:
    for part in range(FIXES_AN_UPLOAD):
        at = now - timedelta(seconds=FIX_EVERY_S * (FIXES_AN_UPLOAD - 1 - part))
        lat, lon = _place(number, 100.0 + 33.0 * (FIXES_AN_UPLOAD * step + part))
        yield {"fixed_at": format_time(at), "lat": lat, "lon": lon, "accuracy_m": 6.0}


def _events(nation: Nation, tellers: Sequence[int], step: int) -> list[bytes]:
    """Write an upload a phone: something delivered at its next stop, without a fix."""
    time_said = format_time(datetime.now(UTC))
    return [post("/v1/events", nation.tokens[n], _event(nation, n, step, time_said), media_type=BATCH) for n in tellers]


def _event(nation: Nation, number: int, step: int, time_said: str) -> bytes:
    item, stop = f"N{number:05d}{step:03d}", f"{round_of(number)}-{1 + step % STOPS}"
    return orjson.dumps([
        {
            "specversion": "1.0", "id": str(uuid7()), "source": "/devices/bench", "time": time_said,
            "type": "fieldsvc.item.delivered.v1", "subject": f"item/{item}", "runid": nation.run_id(number),
            "data": {"item_id": item, "to": "mailbox", "stop_id": stop},
        }
    ])  # fmt: skip


async def _all_seen(nation: Nation, operator: Watcher, numbers: Sequence[int]) -> None:
    """Wait until the operator's screen saw every run move, at most ten seconds."""
    wanted = {nation.run_id(number) for number in numbers}
    for _ in range(int(SEEN_WITHIN_S / LOOK_S)):
        if not wanted - operator.moved_at.keys():
            return
        await asyncio.sleep(LOOK_S)


def _seen(
    nation: Nation,
    watchers: Sequence[Watcher],
    shown: Mapping[str, tuple[Sequence[int], Load]],
    *,
    cpu_share: float,
) -> Look:
    """Compare each answer with the operator's screen and with that of the run's own site."""
    delays: dict[str, list[float]] = {kind: [] for kind in shown}
    unseen = dict.fromkeys(shown, 0)
    for kind, (numbers, load) in shown.items():
        for place, answered_at in load.answered_at.items():
            number = numbers[place]
            for watcher in (watchers[0], watchers[1 + number % SITES]):
                moved_at = watcher.moved_at.get(nation.run_id(number))
                if moved_at is None:
                    unseen[kind] += 1
                else:
                    delays[kind].append(moved_at - answered_at)
    return Look(delays, unseen, {kind: load for kind, (_, load) in shown.items()}, cpu_share)


def _line(kind: str, found: Sequence[Look]) -> dict[str, Any]:
    p95 = [1000 * percentile(each.delays[kind], 0.95) for each in found]
    every = [delay for each in found for delay in each.delays[kind]]
    line = result(
        "live",
        f"{kind}_to_screen_p95_ms",
        p95,
        Against("target_2_s", [TARGET_MS for _ in found]),
        shape=f"runs_{CARRIERS}_screens_{SITES + 1}",
        runs=CARRIERS,
        sites=SITES,
        screens=SITES + 1,
        half_a_tick_ms=1000 * EVERY_S / 2,
        uploads_per_s=rounded(
            sum(len(each.answers[kind].seconds) / each.answers[kind].wall_s for each in found) / len(found)
        ),
        fixes_an_upload=FIXES_AN_UPLOAD,
        answer_p95_ms=rounded(max(each.answers[kind].percentile_ms(0.95) for each in found)),
        service_cores=rounded(sum(each.cpu_share for each in found) / len(found)),
        unseen=sum(each.unseen[kind] for each in found),
        not_200=sum(len(each.answers[kind].failed) for each in found),
    )
    return line | {f"p{share}_ms": rounded(1000 * percentile(every, share / 100)) for share in (50, 95, 99)}


async def _prepare(platform: Platform) -> Nation:
    """Make the sites with straight rounds, a phone for each, put every run on duty two hours ago, and sign people in."""
    path = platform.settings.var_dir / "rounds.geojson"
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": list(_features())}))
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    tokens = await _in_turn(lambda n: enrolled(platform, n, site=site_of(n), round_id=round_of(n)))
    today = platform.runs.today()
    for day in (today, today + timedelta(days=1)):
        await runs_store.plan_day(platform.database, day)
    await all_covered(platform)
    people = [("operator", None), *(("supervisor", site_of(number)) for number in range(SITES))]
    sessions = [await signed_in(platform, role, f"{site or role}@bench.invalid", site=site) for role, site in people]
    nation, at = Nation(today, tokens, sessions), datetime.now(UTC) - ON_DUTY
    await _in_turn(lambda n: started(platform, nation.run_id(n), site=site_of(n), at=at))
    return nation


async def _in_turn(make: Callable[[int], Awaitable[Made]]) -> list[Made]:
    """Do something for each phone, some at once; the results in order."""
    found: dict[int, Made] = {}
    todo = iter(range(CARRIERS))

    async def work() -> None:
        for number in todo:
            found[number] = await make(number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return [found[number] for number in range(CARRIERS)]


def _features() -> Iterator[dict[str, Any]]:
    for number in range(CARRIERS):
        places = (_place(number, LINE_M * part / POINTS) for part in range(POINTS + 1))
        line = [(lon, lat) for lat, lon in places]
        yield from straight_round(round_of(number), line, site=site_of(number), name=f"Round {number}", stops=STOPS)


def _place(number: int, along_m: float) -> tuple[float, float]:
    """Return (lat, lon): rounds run north, side by side, in twenty rows of a thousand."""
    row, column = number % SITES, number // SITES
    return SOUTH + 0.3 * row + along_m / DEGREE_M, WEST + column * 0.004
