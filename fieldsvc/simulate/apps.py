"""The bodies that four phone apps send for a fix, and the other messages they send. Pure: what is sent is bytes and headers.

`cloudevents` is our own phone page (`POST /v1/positions`); `owntracks` the OwnTracks apps in HTTP mode; `osmand` OsmAnd
and old Traccar Clients (a query); `traccar` Traccar Client from version 9 on (JSON).
"""

import base64
import gzip
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import orjson
from nacl.secret import SecretBox

from fieldsvc.simulate.gps import Fix

KNOTS_PER_MPS = 1.943844
JSON = "application/json"
STATUS_EVERY, BEACON_EVERY, HEARTBEAT_EVERY = 40, 25, 30


@dataclass(frozen=True, slots=True)
class Message:
    """One request as an app makes it; `fixes` says how many fixes it carries."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fixes: int = 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `device enrol` gave an app; nothing of it shows in a text."""

    device_id: str
    token: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """A fix with what the app knows beside it: the phone's own clock, and its battery in per cent."""

    fix: Fix
    clock_at: float
    battery: int


class App(Protocol):
    """An app that sends one message for each reading, and now and then another one."""

    def messages(self, reading: Reading) -> Iterator[Message]: ...


def positions(readings: Sequence[Reading], *, compressed: bool) -> Message:
    """Make one upload of the phone page, of at most 1,000 fixes."""
    body = orjson.dumps({"fixes": [page_fix(reading) for reading in readings]})
    headers = {"Content-Type": JSON}
    if compressed:
        body, headers = gzip.compress(body, 5, mtime=0), {**headers, "Content-Encoding": "gzip"}
    return Message("POST", "/v1/positions", body, headers, len(readings))


def page_fix(reading: Reading) -> dict[str, Any]:
    """Make one member of `fixes`."""
    fix = reading.fix
    found = {
        "fixed_at": rfc3339(fix.at),
        "lat": fix.lat,
        "lon": fix.lon,
        "accuracy_m": fix.accuracy_m,
        "speed_mps": fix.speed_mps,
        "heading_deg": fix.heading_deg,
        "battery": round(reading.battery / 100, 2),
    }
    return {name: value for name, value in found.items() if value is not None}


class OwnTracks:
    """OwnTracks in HTTP mode: one JSON message a request, Basic credentials; some users encrypt.

    Android leaves out what is 0 and sends whole numbers; iOS puts the topic into the body and sends floats.
    """

    def __init__(self, who: Credentials, rng: Random) -> None:
        self._who = who
        self._rng = rng
        self._ios = rng.random() < 0.4
        self._encrypts = who.passphrase is not None and rng.random() < 0.3
        self._tid = who.device_id[-2:].upper()
        self._sent = itertools.count(1)

    def messages(self, reading: Reading) -> Iterator[Message]:
        """Make the location, and now and then a status, a transition, a waypoint or a last will."""
        number = next(self._sent)
        if number == 1:
            yield self._message({"_type": "waypoint", "desc": "Depot", "lat": reading.fix.lat, "lon": reading.fix.lon, "rad": 100, "tst": int(reading.clock_at), "rid": self._id()})  # fmt: skip
        yield self._message(self.location(reading))
        if number % STATUS_EVERY == 3:
            yield self._message({"_type": "status", "_id": self._id(), "android": {"hib": 0, "bo": 0}})
        if number % BEACON_EVERY == 7:
            yield self._message(self.transition(reading))
        if number % STATUS_EVERY == 20:
            yield self._message({"_type": "lwt", "tst": int(reading.clock_at)})

    def location(self, reading: Reading) -> dict[str, Any]:
        """Make a location: km/h, whole degrees, seconds since 1970; a zero is left out."""
        fix = reading.fix
        number = (lambda value: value) if self._ios else round
        body = {
            "_type": "location",
            "tid": self._tid,
            "lat": fix.lat,
            "lon": fix.lon,
            "tst": int(fix.at),
            "created_at": int(reading.clock_at),
            "_id": self._id(),
            "batt": reading.battery,
            "bs": 1,
            "conn": self._rng.choice(("m", "m", "m", "w")),
            "t": self._rng.choice(("t", "u", "p")),
            "m": 2,
        }
        measured = {
            "acc": number(fix.accuracy_m),
            "vel": number((fix.speed_mps or 0.0) * 3.6),
            "cog": number(fix.heading_deg or 0.0),
            "vac": 4,
        }
        body |= {name: value for name, value in measured.items() if value}
        if body["conn"] == "w":
            body |= {"SSID": "Livebox-DEMO", "BSSID": "02:00:00:00:00:01", "inregions": ["Depot"], "inrids": ["6da9cf"]}
        return {**body, **({"topic": f"owntracks/{self._who.device_id}/phone"} if self._ios else {})}

    def transition(self, reading: Reading) -> dict[str, Any]:
        """Make a message about a region entered or left."""
        fix, at = reading.fix, int(reading.fix.at)
        where = {"lat": fix.lat, "lon": fix.lon, "acc": round(fix.accuracy_m)}
        about = {"wtst": at - 3600, "tst": at, "event": self._rng.choice(("enter", "leave")), "desc": "Depot", "t": "c"}
        return {"_type": "transition", "tid": self._tid, **where, **about}

    def _message(self, content: Mapping[str, Any]) -> Message:
        body = orjson.dumps(content)
        if self._encrypts:
            body = encrypted(body, str(self._who.passphrase), nonce=self._rng.randbytes(SecretBox.NONCE_SIZE))
        basic = base64.b64encode(f"{self._who.device_id}:{self._who.token}".encode()).decode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Basic {basic}",
            "X-Limit-U": self._who.device_id,
            "X-Limit-D": "phone",
        }
        return Message("POST", "/owntracks", body, headers, int(content["_type"] == "location"))

    def _id(self) -> str:
        return self._rng.randbytes(4).hex()


def encrypted(body: bytes, passphrase: str, *, nonce: bytes) -> bytes:
    """Wrap a message as OwnTracks does: libsodium's secretbox, the passphrase padded with zeros to 32 bytes."""
    key = passphrase.encode()[: SecretBox.KEY_SIZE].ljust(SecretBox.KEY_SIZE, b"\0")
    sealed = SecretBox(key).encrypt(body, nonce)
    return orjson.dumps({"_type": "encrypted", "data": base64.b64encode(bytes(sealed)).decode()})


class OsmAnd:
    """The query form: OsmAnd asks with GET, old Traccar Clients (up to 8) post it with an empty body.

    The old client: seconds, knots, and `accuracy=0.0` for every fix of the GPS, which means that it is unknown. OsmAnd:
    milliseconds, and the metres per second that it measures, under the name that the address given to it has.
    """

    def __init__(self, who: Credentials, rng: Random) -> None:
        self._path = f"/osmand/{quote(who.token, safe='')}"
        self._id = str(rng.randrange(100_000, 1_000_000))
        self._old_client = rng.random() < 0.5
        self._no_accuracy = self._old_client and rng.random() < 0.7
        self._charges = rng.random() < 0.2
        self._first = True

    def messages(self, reading: Reading) -> Iterator[Message]:
        """Make the request of a fix; an old client says first where its notifications go, without a place."""
        if self._first and self._old_client:
            form = urlencode({"id": self._id, "notificationToken": f"demo-{self._id}"}).encode()
            yield Message("POST", self._path, form, {"Content-Type": "application/x-www-form-urlencoded"}, 0)
        self._first = False
        query = urlencode(self.query(reading))
        yield Message("POST" if self._old_client else "GET", f"{self._path}?{query}")

    def query(self, reading: Reading) -> dict[str, str]:
        """Make the parameters."""
        fix = reading.fix
        speed_mps, bearing = fix.speed_mps or 0.0, str(fix.heading_deg or 0.0)
        place, altitude = {"lat": str(fix.lat), "lon": str(fix.lon)}, {"altitude": "32.0"}
        if not self._old_client:
            when = {"timestamp": str(int(fix.at * 1000)), "accuracy": str(fix.accuracy_m)}
            return {**place, **when, **altitude, "speed_mps": str(speed_mps), "bearing": bearing}
        motion = {"speed": str(round(speed_mps * KNOTS_PER_MPS, 2)), "bearing": bearing}
        accuracy = {"accuracy": "0.0" if self._no_accuracy else str(fix.accuracy_m)}
        power = {"batt": str(float(reading.battery)), **({"charge": "true"} if self._charges else {})}
        return {"id": self._id, "timestamp": str(int(fix.at)), **place, **motion, **altitude, **accuracy, **power}


class TraccarClient:
    """Traccar Client from version 9 on: one JSON object a request, speed in m/s, -1 for what is unknown."""

    def __init__(self, who: Credentials, rng: Random) -> None:
        self._path = f"/osmand/{quote(who.token, safe='')}"
        self._rng = rng
        self._id = str(rng.randrange(10_000_000, 100_000_000))
        self._names_fixes = rng.random() < 0.5
        self._odometer_m = 0.0
        self._last: Fix | None = None
        self._sent = itertools.count(1)

    def messages(self, reading: Reading) -> Iterator[Message]:
        """Make the location, and now and then a heartbeat without a place."""
        yield self._message(self.location(reading), 1)
        if next(self._sent) % HEARTBEAT_EVERY == 0:
            beat = {"timestamp": rfc3339(reading.clock_at), "event": "heartbeat", "battery": battery(reading)}
            yield self._message({**beat, "extras": {"heartbeat": True}}, 0)

    def location(self, reading: Reading) -> dict[str, Any]:
        """Make the `location` member."""
        fix, moving = reading.fix, (reading.fix.speed_mps or 0.0) > 0.5
        if self._last is not None:
            self._odometer_m += math.hypot(fix.lat - self._last.lat, fix.lon - self._last.lon) * 100_000
        self._last = fix
        return {
            "timestamp": rfc3339(fix.at),
            "coords": {
                "latitude": fix.lat,
                "longitude": fix.lon,
                "accuracy": fix.accuracy_m,
                "speed": fix.speed_mps if fix.speed_mps is not None else -1,
                "heading": fix.heading_deg if fix.heading_deg is not None else -1,
                "altitude": 32.0,
            },
            "is_moving": moving,
            "odometer": round(self._odometer_m),
            "event": "motionchange" if self._rng.random() < 0.1 else "",
            "battery": battery(reading),
            "activity": {"type": "walking" if moving else "still"},
            "extras": {},
            "_": f"&id={self._id}&lat={fix.lat}&lon={fix.lon}&",
            **({"uuid": self._uuid()} if self._names_fixes else {}),
        }

    def _uuid(self) -> str:
        raw = self._rng.randbytes(16).hex()
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"

    def _message(self, location: Mapping[str, Any], fixes: int) -> Message:
        body = orjson.dumps({"location": location, "device_id": self._id})
        return Message("POST", self._path, body, {"Content-Type": JSON}, fixes)


def battery(reading: Reading) -> dict[str, Any]:
    """Make Traccar Client's battery: a level of 0 to 1."""
    return {"level": round(reading.battery / 100, 2), "is_charging": False}


def app_of(name: str, who: Credentials, rng: Random) -> App:
    """Make one of the apps that send one message a request."""
    apps: Mapping[str, Callable[[Credentials, Random], App]] = {
        "owntracks": OwnTracks,
        "osmand": OsmAnd,
        "traccar": TraccarClient,
    }
    return apps[name](who, rng)


def rfc3339(at: float) -> str:
    """Return unix seconds as RFC 3339 UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
