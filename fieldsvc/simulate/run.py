"""`fieldsvc simulate`: carriers with phones against a running service. A client like any other: HTTP and nothing else."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from fieldsvc.simulate import APPS
from fieldsvc.simulate.apps import Credentials, app_of
from fieldsvc.simulate.clock import ReplayClock, shift_start
from fieldsvc.simulate.handset import Desk, Handset, Manners, Pace
from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.ledger import Counts, Ledger
from fieldsvc.simulate.phones import Phone, usual_habits
from fieldsvc.simulate.positions import PageSender, Sender, head_sender
from fieldsvc.simulate.shift import Shift
from fieldsvc.simulate.transport import HttpTransport

MIXED = "mixed"
SHARES = (40, 25, 15, 20)  # of the four apps, where they are mixed
WANDERS, FORGETS_PAUSES = 0.5, 0.6
REPORT_EVERY_S = 0.25
LAST_UPLOAD_S = 5.0


class BadInput(ValueError):
    """What the user gave cannot be used; the text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled phone; the token and the passphrase show in no text."""

    device_id: str
    token: str = field(repr=False)
    carrier: str | None = None
    round_id: str | None = None
    passphrase: str | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Device":
        """Read the object that `device enrol --json` prints, with or without `carrier` and `round`."""
        if not isinstance(entry, Mapping) or not entry.get("device_id") or not entry.get("token"):
            raise BadInput("A device needs device_id and token, as `fieldsvc device enrol --json` prints them.")
        tracker = entry.get("owntracks")
        passphrase = tracker.get("passphrase") if isinstance(tracker, Mapping) else None
        named = (str(entry["device_id"]), str(entry["token"]), entry.get("carrier"), entry.get("round"))
        return cls(*named, str(passphrase) if passphrase else None)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a simulation stopped, so that another one can go on: the moment that the shift began, the simulated moment
    of the stop, and for each carrier's first device the moment until which everything was uploaded.
    """

    start_at: float
    clock_at: float
    told_until: Mapping[str, float]

    @property
    def as_json(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return asdict(self)


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
    resume: Stopped | None = None,
    on_stop: Callable[[Stopped], object] | None = None,
) -> Counts:
    """Let the first `carriers` work until `stop` is set or `minutes` real minutes are over; return the totals.

    Devices of one carrier and one round are one carrier with a spare phone. `app` sends the positions of all of them;
    `mixed` lets the seed choose one of the four for each. `speed` replays a past shift: event times lie in the past until
    they reach now, then the pace is real. `start_at` (unix seconds) says which past; unset, this morning or six hours ago,
    whichever is earlier, within today. `resume` goes on where another simulation of the same devices stopped.
    """
    if app not in (*APPS, MIXED):
        raise BadInput(f"--app {app} is none of {', '.join(APPS)}.")
    if speed <= 0:
        raise BadInput("--speed must be above 0.")
    hands = by_carrier([each if isinstance(each, Device) else Device.from_json(each) for each in devices])[:carriers]
    book = ledger or Ledger()
    begins = shift_start(time.time(), speed=speed) if start_at is None else start_at
    begins = resume.start_at if resume else begins
    clock = ReplayClock(resume.clock_at if resume else begins, max(1.0, speed))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), trust_env=False) as session:
        maker = Maker(session, target_url, clock, seed=seed, app=app, ledger=book, pace=pace or Pace())
        shifts = [maker.shift(group, begins, resume) for group in hands]
        try:
            await until_over(shifts, book, stop=stop, minutes=minutes, on_count=on_count)
        finally:
            if on_stop:
                told = {group[0].device_id: shift.told_until() for group, shift in zip(hands, shifts, strict=True)}
                on_stop(Stopped(begins, clock.now(), told))
    if on_count:
        on_count(book.counts())
    return book.counts()


def by_carrier(devices: Sequence[Device]) -> list[list[Device]]:
    """Group the phones by who holds them: two with one carrier and round belong to one carrier, the second is a spare."""
    groups: dict[object, list[Device]] = {}
    for device in devices:
        named = device.carrier and device.round_id
        groups.setdefault((device.carrier, device.round_id) if named else device.device_id, []).append(device)
    return list(groups.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all carriers of a simulation share."""

    seed: int
    app: str
    ledger: Ledger
    pace: Pace


class Maker:
    """Puts carriers and their phones together."""

    def __init__(self, session: aiohttp.ClientSession, target_url: str, clock: ReplayClock, **shared: Any) -> None:
        self._session = session
        self._target_url = target_url
        self._clock = clock
        self._with = Options(**shared)

    def shift(self, devices: Sequence[Device], begins_at: float, resume: Stopped | None) -> Shift:
        """Make one carrier with a phone, and perhaps a spare."""
        handsets = [self.handset(device) for device in devices[:2]]
        rng = seeded("shift", self._with.seed, devices[0].device_id)
        since = resume.told_until.get(devices[0].device_id, begins_at) if resume else begins_at - 86_400
        return Shift(handsets, self._clock, rng, self._with.seed, self._with.pace, begins_at, since)

    def handset(self, device: Device) -> Handset:
        """Make one phone: the page for the events, and an app for the positions."""
        seed, ledger = self._with.seed, self._with.ledger
        transport = HttpTransport(self._session, self._target_url, device.token)
        habits = usual_habits(seed, device.device_id)
        phone = Phone(device.device_id, transport, ledger=ledger, habits=habits, seed=seed)
        rng = seeded("handset", seed, device.device_id)
        app = choose_app(self._with.app, seed, device.device_id)
        how: dict[str, Any] = {"ledger": ledger, "rng": rng, "lost_rate": self._with.pace.lost_rate}
        sender: Sender
        if app == "cloudevents":
            manners = Manners()
            sender = PageSender(transport, device.token, wall=time.time, **how)
        else:
            manners = Manners(off_duty=rng.random() < WANDERS, in_breaks=rng.random() < FORGETS_PAUSES)
            known = Credentials(device.device_id, device.token, device.passphrase)
            bodies = app_of(app, known, seeded("bodies", seed, device.device_id))
            sender = head_sender(app, transport, bodies, skew_s=habits.skew_s, **how)
        desk = Desk(transport, phone)
        return Handset(desk, phone, sender, self._clock, rng, self._with.pace, manners, app == "cloudevents")


def choose_app(app: str, seed: int, device_id: str) -> str:
    """Return the app that sends a phone's positions."""
    return seeded("app", seed, device_id).choices(APPS, SHARES)[0] if app == MIXED else app


async def until_over(
    shifts: Sequence[Shift],
    ledger: Ledger,
    *,
    stop: asyncio.Event,
    minutes: float | None,
    on_count: Callable[[Counts], None] | None,
) -> None:
    """Run every carrier until stopped; an error in one ends all and is raised. After `minutes`, upload what is left."""
    jobs = [asyncio.create_task(job) for shift in shifts for job in shift.jobs(time.time)]
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
