"""The demo subscriber: takes webhooks, and checks every signature, the order of every subject, and every repetition."""

import hashlib
import os
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from fieldsvc.simulate.signatures import fault_of, key_of

IDS_REMEMBERED = 200_000
VIOLATIONS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Received:
    """What a subscriber counted; `delivered` are distinct events answered with 2xx."""

    requests: int = 0
    delivered: int = 0
    located: int = 0
    duplicates: int = 0
    refused_on_purpose: int = 0
    violations: int = 0


class OrderBook:
    """The order of each subject, as a subscriber sees it. Pure: no clock, no I/O.

    With `gapless` a subject's sequence must go up by one from the first one seen; without, it must go up.
    """

    def __init__(self, *, gapless: bool) -> None:
        self._gapless = gapless
        self._last: dict[str, int] = {}
        self._bodies: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()

    def seen_before(self, event_id: str) -> bool:
        """Say whether this event was accepted already."""
        return self._bodies.get(event_id, (b"", False))[1]

    def check_body(self, event_id: str, body: bytes) -> str | None:
        """Return a sentence when the same id came before with another body; remember the first."""
        digest = hashlib.sha256(body).digest()
        known = self._bodies.setdefault(event_id, (digest, False))
        while len(self._bodies) > IDS_REMEMBERED:
            self._bodies.popitem(last=False)
        return None if known[0] == digest else f"Event {event_id} came again with another body."

    def accept(self, event_id: str, subject: str, *, sequence: int) -> str | None:
        """Note the first acceptance of an event; return a sentence when it breaks the order of its subject."""
        self._bodies[event_id] = (self._bodies[event_id][0], True)
        last = self._last.get(subject)
        self._last[subject] = max(sequence, last or 0)
        if last is None or sequence == last + 1:
            return None
        if sequence <= last:
            return f"Order broken: {subject} got sequence {sequence} after {last}."
        return f"Event missing: {subject} got sequence {sequence} after {last}." if self._gapless else None


class Subscriber:
    """A webhook receiver on loopback.

    `on_violation` is called with one plain sentence for each violation. `ledger_path` takes one JSON line per accepted
    event, on disk before the 200.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        gapless: bool = True,
        on_violation: Callable[[str], None] | None = None,
        ledger_path: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.violations: deque[str] = deque(maxlen=VIOLATIONS_KEPT)
        self.types: Counter[str] = Counter()
        self._keys = [key_of(secret) for secret in secrets]
        self._book = OrderBook(gapless=gapless)
        self._on_violation = on_violation
        self._wall = wall
        self._file = ledger_path.open("ab") if ledger_path else None
        self._totals: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._failing_all = False
        self._runner: web.AppRunner | None = None
        self.secret = secrets[0] if secrets else ""

    async def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1 and return the URL to register; port 0 takes a free one."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
        if self._file:
            self._file.close()
            self._file = None

    def listen(self, on_violation: Callable[[str], None]) -> None:
        """Call this with a sentence for each violation from now on."""
        self._on_violation = on_violation

    def trust(self, *secrets: str) -> None:
        """Accept signatures made with any of these secrets, and no other: during a rotation give the old and the new one."""
        self._keys = [key_of(secret) for secret in secrets]

    def fail_subject(self, subject: str) -> None:
        """Answer 500 to every event of a subject."""
        self._failing.add(subject)

    def fail_all(self) -> None:
        """Answer 500 to everything."""
        self._failing_all = True

    def heal(self) -> None:
        """Answer as usual again."""
        self._failing.clear()
        self._failing_all = False

    def counts(self) -> Received:
        """Return the totals so far."""
        return Received(**{name: self._totals[name] for name in Received.__dataclass_fields__})

    async def register(self, target_url: str, api_key: str, *, types: Sequence[str] = ("*",), url: str) -> str:
        """Create the endpoint for `url` at the service, trust its secret and return its id. RuntimeError when refused."""
        headers = {"Authorization": f"Bearer {api_key}"}
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.post(
                target_url.rstrip("/") + "/v1/endpoints", json={"url": url, "types": list(types)}, headers=headers
            ) as response,
        ):
            if response.status != 201:
                raise RuntimeError(f"The service answered {response.status} to the new endpoint.")
            created = await response.json()
        self.secret = str(created["secret"])
        self.trust(self.secret)
        return str(created["id"])

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._totals["requests"] += 1
        if not self._keys:
            return web.Response(status=503, headers={"Retry-After": "1"})
        fault = fault_of(request.headers, body, keys=self._keys, now=self._wall())
        if fault:
            self._violation(f"Signature refused: {fault}.")
            return web.Response(status=401)
        return web.Response(status=self._take(request.headers["webhook-id"], body))

    def _take(self, event_id: str, body: bytes) -> int:
        """Check a signed event and return the status to answer."""
        event = read_event(body)
        if event is None or event["id"] != event_id:
            self._violation(f"Event {event_id} is not a CloudEvent with that id, a subject and a sequence.")
            return 400
        self._violation(self._book.check_body(event_id, body))
        if self._failing_all or event["subject"] in self._failing:
            self._totals["refused_on_purpose"] += 1
            return 500
        if self._book.seen_before(event_id):
            self._totals["duplicates"] += 1
            return 200
        self._violation(self._book.accept(event_id, event["subject"], sequence=int(event["sequence"])))
        self._note(event)
        self._totals["delivered"] += 1
        self.types[short(event["type"])] += 1
        self._totals["located"] += is_located(event)
        return 200

    def _violation(self, sentence: str | None) -> None:
        if sentence is None:
            return
        self._totals["violations"] += 1
        self.violations.append(sentence)
        if self._on_violation:
            self._on_violation(sentence)

    def _note(self, event: Mapping[str, Any]) -> None:
        if self._file:
            line = {"at": round(self._wall(), 3), **{key: event[key] for key in ("id", "type", "subject", "sequence")}}
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
            os.fsync(self._file.fileno())


def read_event(body: bytes) -> dict[str, Any] | None:
    """Decode a structured CloudEvent with a subject and a numeric sequence; None for anything else."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict) or not all(
        isinstance(event.get(key), str) for key in ("id", "type", "subject", "sequence")
    ):
        return None
    return event if event["sequence"].isascii() and event["sequence"].isdigit() else None


def short(wire_type: str) -> str:
    """`fieldsvc.item.delivered.v1` -> `item.delivered`."""
    return wire_type.removeprefix("fieldsvc.").removesuffix(".v1")


def is_located(event: Mapping[str, Any]) -> bool:
    """Say whether a public event carries a place."""
    data = event.get("data")
    located = data.get("located") if isinstance(data, dict) else None
    return isinstance(located, dict) and located.get("method") != "none"
