"""`fieldsvc simulate`: carriers with phones against a running service. A client like any other: HTTP and nothing else."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from fieldsvc.simulate.clock import ReplayClock, shift_start
from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.ledger import Counts, Ledger
from fieldsvc.simulate.phones import Phone, usual_habits
from fieldsvc.simulate.shift import Desk, Pace, Shift
from fieldsvc.simulate.transport import HttpTransport

APPS = ("cloudevents",)
REPORT_EVERY_S = 0.25
LAST_UPLOAD_S = 5.0


class BadInput(ValueError):
    """What the user gave cannot be used; the text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled phone; the token shows in no text."""

    device_id: str
    token: str = field(repr=False)
    carrier: str | None = None
    round_id: str | None = None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Device":
        """Read the object that `device enrol --json` prints, with or without `carrier` and `round`."""
        if not isinstance(entry, Mapping) or not entry.get("device_id") or not entry.get("token"):
            raise BadInput("A device needs device_id and token, as `fieldsvc device enrol --json` prints them.")
        return cls(str(entry["device_id"]), str(entry["token"]), entry.get("carrier"), entry.get("round"))


def load_devices(path: Path) -> list[Device]:
    """Read devices from demo.json or from JSON lines of `device enrol`. BadInput with one plain sentence otherwise."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"The devices file {path} cannot be read: {error.strerror}.") from error
    try:
        whole = orjson.loads(raw)
        entries: Iterable[Any] = whole["devices"] if isinstance(whole, dict) and "devices" in whole else [whole]
    except orjson.JSONDecodeError:
        entries = json_lines(raw, path)
    devices = [Device.from_json(entry) for entry in entries]
    if not devices:
        raise BadInput(f"The devices file {path} names no device.")
    return devices


def json_lines(raw: bytes, path: Path) -> list[Any]:
    """Decode JSON lines; blank ones are skipped."""
    entries = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            entries += [orjson.loads(line)] if line.strip() else []
        except orjson.JSONDecodeError as error:
            raise BadInput(f"Line {number} of the devices file {path} is not JSON.") from error
    return entries


async def simulate(  # noqa: PLR0913 - each is an option of the command
    target_url: str,
    devices: Sequence[Device | Mapping[str, Any]],
    *,
    stop: asyncio.Event,
    carriers: int | None = None,
    minutes: float | None = None,
    app: str = "cloudevents",
    speed: float = 60.0,
    seed: int = 1,
    on_count: Callable[[Counts], None] | None = None,
    ledger: Ledger | None = None,
    pace: Pace | None = None,
    start_at: float | None = None,
) -> Counts:
    """Let the first `carriers` devices work until `stop` is set or `minutes` real minutes are over; return the totals.

    `speed` replays a past shift: event times lie in the past until they reach now, then the pace is real.
    `start_at` (unix seconds) says which past; unset, this morning or six hours ago, whichever is earlier, within today.
    """
    if app not in APPS:
        raise BadInput(f"--app {app} is not in this version; use one of: {', '.join(APPS)}.")
    if speed <= 0:
        raise BadInput("--speed must be above 0.")
    chosen = [each if isinstance(each, Device) else Device.from_json(each) for each in devices][:carriers]
    book = ledger or Ledger()
    begins = shift_start(time.time(), speed=speed) if start_at is None else start_at
    clock = ReplayClock(begins, max(1.0, speed))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), trust_env=False) as session:
        shifts = [
            make_shift(
                each,
                HttpTransport(session, target_url, each.token),
                clock=clock,
                seed=seed,
                ledger=book,
                pace=pace or Pace(),
            )
            for each in chosen
        ]
        await until_over(shifts, book, stop=stop, minutes=minutes, on_count=on_count)
    if on_count:
        on_count(book.counts())
    return book.counts()


def make_shift(
    device: Device, transport: HttpTransport, *, clock: ReplayClock, seed: int, ledger: Ledger, pace: Pace
) -> Shift:
    """Put one carrier together."""
    phone = Phone(device.device_id, transport, ledger=ledger, habits=usual_habits(seed, device.device_id), seed=seed)
    rng = seeded("shift", seed, device.device_id)
    return Shift(Desk(transport, phone), phone, clock, rng, seed, pace)


async def until_over(
    shifts: Sequence[Shift],
    ledger: Ledger,
    *,
    stop: asyncio.Event,
    minutes: float | None,
    on_count: Callable[[Counts], None] | None,
) -> None:
    """Run every carrier until stopped; an error in one ends all and is raised. After `minutes`, upload what is left."""
    jobs = [
        asyncio.create_task(job) for shift in shifts for job in (shift.work(), shift.light(time.time), shift.upload())
    ]
    if on_count:
        jobs.append(asyncio.create_task(report(ledger, on_count)))
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait(
            [stopped, *jobs], timeout=minutes * 60 if minutes is not None else None, return_when=asyncio.FIRST_COMPLETED
        )
        for job in done - {stopped}:
            job.result()
    finally:
        for job in (stopped, *jobs):
            job.cancel()
        await asyncio.gather(stopped, *jobs, return_exceptions=True)
    if not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_UPLOAD_S):
                await asyncio.gather(*(shift.drain() for shift in shifts))


async def report(ledger: Ledger, on_count: Callable[[Counts], None]) -> None:
    """Tell the counts whenever they changed, at most four times a second."""
    last = None
    while True:
        counts = ledger.counts()
        if counts != last:
            on_count(counts)
            last = counts
        await asyncio.sleep(REPORT_EVERY_S)
