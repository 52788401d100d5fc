"""The demo subscriber: takes webhooks, and checks every signature, the order of every subject, and every repetition.

What a receiver has to do, in its order: verify the bytes, read them, leave out what it has, apply, forget whom a tombstone names,
and answer. A batch is taken whole or not at all.
"""

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
REPLAY_HEADER = "Fieldsvc-Replay"  # events of the past, beside the live order


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
        self.accept_beside(event_id)
        last = self._last.get(subject)
        self._last[subject] = max(sequence, last or 0)
        if last is None or sequence == last + 1:
            return None
        if sequence <= last:
            return f"Order broken: {subject} got sequence {sequence} after {last}."
        return f"Event missing: {subject} got sequence {sequence} after {last}." if self._gapless else None

    def accept_beside(self, event_id: str) -> None:
        """Note the first acceptance of an event that stands beside the order of its subject."""
        self._bodies[event_id] = (self._bodies[event_id][0], True)


class Books:
    """What a subscriber has applied and still holds, and whom it has forgotten."""

    def __init__(self) -> None:
        self._applied: deque[str] = deque(maxlen=IDS_REMEMBERED)
        self._held: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._erased: dict[str, None] = {}

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take an event in; a tombstone makes everything about its person be forgotten."""
        self._applied.append(event["id"])
        self._held[event["id"]] = event
        while len(self._held) > IDS_REMEMBERED:
            self._held.popitem(last=False)
        if short(event["type"]) == "person.erased":
            self.erase(str(_data(event).get("person")))

    def cut(self, event: Mapping[str, Any]) -> None:
        """Hold only what is left of an event of which a part was erased."""
        self._held[event["id"]] = event

    def erase(self, person: str) -> None:
        """Forget a person: the reference in the data of events, or the id of the subject of an order that names nobody."""
        self._erased[person] = None
        for event_id, event in self._held.items():
            if person in (_data(event).get("person"), event["subject"].partition("/")[2]):
                self._held[event_id] = {**event, "data": {"erased": True}}

    def report(self) -> dict[str, Any]:
        """Tell what `fieldsvc certify --report` asks for."""
        applied = [{"id": each, "data": _data(self._held.get(each, {}))} for each in self._applied]
        return {"applied": applied, "erased": list(self._erased)}


class Subscriber:
    """A webhook receiver on loopback.

    `on_violation` is called with one plain sentence for each violation. `ledger_path` takes one JSON line per accepted
    event, on disk before the 200. With `books` it keeps what it applied, and tells it at `/report`.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        gapless: bool = True,
        on_violation: Callable[[str], None] | None = None,
        ledger_path: Path | None = None,
        books: Books | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.violations: deque[str] = deque(maxlen=VIOLATIONS_KEPT)
        self.types: Counter[str] = Counter()
        self._keys = [key_of(secret) for secret in secrets]
        self._book = OrderBook(gapless=gapless)
        self._books = books
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
        app.router.add_get("/report", self._report)
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

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._totals["requests"] += 1
        if not self._keys:
            return web.Response(status=503, headers={"Retry-After": "1"})
        fault = fault_of(request.headers, body, keys=self._keys, now=self._wall())
        if fault:
            self._violation(f"Signature refused: {fault}.")
            return web.Response(status=401)
        is_replay = REPLAY_HEADER in request.headers
        return web.Response(status=self._take(request.headers["webhook-id"], body, is_replay=is_replay))

    async def _report(self, request: web.Request) -> web.Response:
        del request
        if self._books is None:
            return web.Response(status=404)
        return web.Response(body=orjson.dumps(self._books.report()), content_type="application/json")

    def _take(self, message_id: str, body: bytes, *, is_replay: bool) -> int:
        """Check a signed message, one event or a batch, and return the status to answer."""
        events = read_events(body)
        if not events or message_id != message_id_of(events):
            self._violation(f"Message {message_id} is not what its id says: CloudEvents with a subject and a sequence.")
            return 400
        if self._failing_all or any(event["subject"] in self._failing for event in events):
            self._totals["refused_on_purpose"] += 1
            return 500
        for event in events:
            self._apply(event, is_replay=is_replay)
        return 200

    def _apply(self, event: dict[str, Any], *, is_replay: bool) -> None:
        """Take an event that was not taken before."""
        event_id, is_cut = event["id"], "erased" in _data(event)
        fault = self._book.check_body(event_id, orjson.dumps(event))
        self._violation(None if is_cut else fault)
        if self._book.seen_before(event_id):
            self._totals["duplicates"] += 1
            if self._books and is_cut:
                self._books.cut(event)
            return
        if is_replay or int(event["sequence"]) == 0:
            self._book.accept_beside(event_id)
        else:
            self._violation(self._book.accept(event_id, event["subject"], sequence=int(event["sequence"])))
        if self._books:
            self._books.apply(event)
        self._note(event)
        self._totals["delivered"] += 1
        self.types[short(event["type"])] += 1
        self._totals["located"] += is_located(event)

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


def read_events(body: bytes) -> list[dict[str, Any]]:
    """Decode a structured CloudEvent, or a batch of them, with a subject and a numeric sequence each; else nothing."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    events = found if isinstance(found, list) else [found]
    return events if all(_is_event(event) for event in events) else []


def message_id_of(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the webhook-id of a message: the event's id; of a batch its first event's, how many there are, and their hash."""
    names = [str(event["id"]) for event in events]
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:8]
    return names[0] if len(names) == 1 else f"{names[0]}_b{len(names)}_{digest}"


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    texts = all(isinstance(event.get(key), str) for key in ("id", "type", "subject", "sequence"))
    return texts and event["sequence"].isascii() and event["sequence"].isdigit()


def _data(event: Mapping[str, Any]) -> Mapping[str, Any]:
    data = event.get("data")
    return data if isinstance(data, dict) else {}


def short(wire_type: str) -> str:
    """`fieldsvc.item.delivered.v1` -> `item.delivered`."""
    return wire_type.removeprefix("fieldsvc.").removesuffix(".v1")


def is_located(event: Mapping[str, Any]) -> bool:
    """Say whether a public event carries a place."""
    located = _data(event).get("located")
    return isinstance(located, dict) and located.get("method") != "none"
