"""One carrier's phone: an outbox that forgets nothing before its own answer, over a network that loses things.

Ids are made on the phone before anything is sent. A request is sent again until it is answered; every event in it waits for
its own result. Acknowledged events are kept, and go again when the service's store epoch changes.
"""

import asyncio
import email.utils
import gzip
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fieldsvc.simulate.apps import rfc3339
from fieldsvc.simulate.ids import seeded, uuid7
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.transport import EPOCH_HEADER, Answer, NoAnswer, Transport
from fieldsvc.simulate.walking import FieldEvent

FORGETTABLE = frozenset({"accepted", "duplicate", "quarantined", "conflict"})
HELD = frozenset({"accepted", "duplicate"})
BODY_LIMIT = 900_000
LONG_OUTAGE_EVENTS = 100
BACKOFF_CAP_S = 60.0
REFUSED_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a phone and its network misbehave; rates are per request."""

    skew_s: float = 0.0
    twice_rate: float = 0.1
    lost_rate: float = 0.03
    gzip_rate: float = 0.3
    newest_first_rate: float = 0.03
    batch: int = 50
    flush_batch: int = 500
    kept: int = 5000
    backoff_s: float = 1.0


def usual_habits(seed: int, device: str) -> Habits:
    """Return a phone's habits: its clock is some seconds off, and one in twelve is up to 20 minutes off."""
    rng = seeded("habits", seed, device)
    skew_s = rng.uniform(-1200, 1200) if rng.random() < 1 / 12 else rng.gauss(0, 2)
    return Habits(skew_s=skew_s, gzip_rate=rng.choice((0.0, 0.2, 1.0)))


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the outbox; `body` never changes."""

    seq: int
    id: str
    body: bytes


@dataclass(slots=True)
class Outbox:
    """Events that wait for their answer, in the order they happened, and acknowledged ones that are kept for a restore."""

    kept_limit: int
    waiting: OrderedDict[str, Entry] = field(default_factory=OrderedDict)
    kept: OrderedDict[str, Entry] = field(default_factory=OrderedDict)
    sent: set[str] = field(default_factory=set)
    made: int = 0

    def add(self, event_id: str, body: bytes) -> None:
        self.made += 1
        self.waiting[event_id] = Entry(self.made, event_id, body)

    def batch(self, limit: int, *, newest: bool) -> list[Entry]:
        """Take the oldest (or newest) events that fit a request; they stay in the outbox."""
        chosen: list[Entry] = []
        size = 2
        for entry in reversed(self.waiting.values()) if newest else self.waiting.values():
            size += len(entry.body) + 1
            if chosen and (len(chosen) >= limit or size > BODY_LIMIT):
                break
            chosen.append(entry)
        return sorted(chosen, key=lambda entry: entry.seq)

    def forget(self, event_id: str, *, keep: bool) -> bool:
        """Remove an answered event; False when it was answered before."""
        entry = self.waiting.pop(event_id, None)
        if entry is None:
            return False
        self.sent.discard(event_id)
        if keep:
            self.kept[event_id] = entry
            while len(self.kept) > self.kept_limit:
                self.kept.popitem(last=False)
        return True

    def bring_back(self) -> int:
        """Put what was kept into the outbox again, in order; return how many events that were."""
        every = sorted([*self.kept.values(), *self.waiting.values()], key=lambda entry: entry.seq)
        count = len(self.kept)
        self.waiting = OrderedDict((entry.id, entry) for entry in every)
        self.kept.clear()
        return count


class Phone:
    """Record events and upload them. `wall` is the true time in unix seconds, `sleep` waits real seconds."""

    def __init__(
        self,
        device_id: str,
        transport: Transport,
        *,
        ledger: Ledger,
        habits: Habits | None = None,
        seed: int = 1,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.device_id = device_id
        self.habits = habits or Habits()
        self.outbox = Outbox(self.habits.kept)
        self.epoch: str | None = None
        self._transport = transport
        self._ledger = ledger
        self._wall = wall
        self._rng = seeded("phone", seed, device_id)
        self._failures = 0
        self._limit = self.habits.flush_batch
        self._located: set[str] = set()
        self._again: set[str] = set()

    @property
    def pending(self) -> int:
        return len(self.outbox.waiting)

    def record(self, event: FieldEvent, *, run_id: str | None) -> str:
        """Make the CloudEvent, note it, and put it into the outbox; return its id.

        The phone's own clock says when, the GPS when the fix was taken.
        """
        body = self._cloud_event(event, run_id)
        self.outbox.add(body["id"], orjson.dumps(body))
        self._ledger.generated(self.device_id, body)
        return str(body["id"])

    def _cloud_event(self, event: FieldEvent, run_id: str | None) -> dict[str, Any]:
        skew = self.habits.skew_s
        data: dict[str, Any] = {}
        if event.fix:
            fix = event.fix
            data["fix"] = {
                "lat": fix.lat,
                "lon": fix.lon,
                "accuracy_m": fix.accuracy_m,
                "fixed_at": rfc3339(fix.at),
            }
        if event.stop_id:
            data["stop_id"] = event.stop_id
        data.update(event.data)
        moment = rfc3339(event.at + skew)
        content = orjson.dumps([self.device_id, event.type, event.subject, moment, data])
        body = {
            "specversion": "1.0",
            "id": uuid7(int((event.at + skew) * 1000), content),
            "source": f"/devices/{self.device_id}",
            "type": f"fieldsvc.{event.type}.v1",
            "subject": event.subject,
            "time": moment,
        }
        return {**body, **({"runid": run_id} if run_id else {}), "data": data}

    async def send(self) -> float:
        """Send one request and act on its answer. Return the real seconds to wait before the next one."""
        long_outage = self.pending > LONG_OUTAGE_EVENTS
        limit = min(self._limit, self.habits.flush_batch if long_outage else self.habits.batch)
        entries = self.outbox.batch(limit, newest=self._rng.random() < self.habits.newest_first_rate)
        if not entries:
            return 0.0
        try:
            return self._settle(entries, await self._exchange(entries))
        except NoAnswer:
            return self._back_off(None)

    async def _exchange(self, entries: Sequence[Entry]) -> list[Answer]:
        """Post the batch, sometimes twice; an answer may get lost on its way (NoAnswer)."""
        body, headers = self._encode(entries)
        draw = self._rng.random()
        if draw < self.habits.twice_rate / 2:
            outcomes = await asyncio.gather(*(self._post(entries, body, headers) for _ in range(2)))
        else:
            times = 2 if draw < self.habits.twice_rate else 1
            outcomes = [await self._post(entries, body, headers) for _ in range(times)]
        answers = [outcome for outcome in outcomes if outcome]
        if not answers:
            raise NoAnswer("network")
        if self._rng.random() < self.habits.lost_rate:
            self._located.update(each["id"] for answer in answers for each in results_of(answer) if is_located(each))
            raise NoAnswer("lost")
        return answers

    async def _post(self, entries: Sequence[Entry], body: bytes, headers: Mapping[str, str]) -> Answer | None:
        fresh = [entry.id for entry in entries if entry.id not in self.outbox.sent]
        self.outbox.sent.update(fresh)
        first_time = sum(each not in self._again for each in fresh)
        self._ledger.sent(self.device_id, [entry.id for entry in entries], first_time=first_time)
        stamped = {**headers, "Fieldsvc-Sent-At": rfc3339(self._wall() + self.habits.skew_s)}
        try:
            return await self._transport.post("/v1/events", body, headers=stamped)
        except NoAnswer:
            return None

    def _encode(self, entries: Sequence[Entry]) -> tuple[bytes, dict[str, str]]:
        if len(entries) == 1 and self._rng.random() < 0.5:
            body, media = entries[0].body, "application/cloudevents+json"
        else:
            body, media = b"[" + b",".join(entry.body for entry in entries) + b"]", "application/cloudevents-batch+json"
        headers = {"Content-Type": media if self._rng.random() < 0.9 else "application/json"}
        if self._rng.random() < self.habits.gzip_rate:
            return gzip.compress(body, 5), {**headers, "Content-Encoding": "gzip"}
        return body, headers

    def _settle(self, entries: Sequence[Entry], answers: Sequence[Answer]) -> float:
        for answer in answers:
            self.see_epoch(answer)
        good = [answer for answer in answers if answer.status == 200]
        progress = sum(self._take(entries, results_of(answer)) for answer in good)
        if progress:
            self._failures = 0
            self._limit = min(self.habits.flush_batch, self._limit * 2)
            return 0.0
        last = answers[-1]
        if last.status in (400, 413, 415):
            self._limit = max(1, min(self._limit, len(entries)) // 2)
        if last.status in (401, 403):
            self._ledger.count("retries")
            return REFUSED_WAIT_S * self._rng.uniform(0.8, 1.2)
        return self._back_off(last)

    def _take(self, entries: Iterable[Entry], results: Sequence[Mapping[str, Any]]) -> int:
        """Forget what has its own answer, after the ledger has it; return how many events that were."""
        asked = {entry.id for entry in entries}
        done = [
            {**result, "located": is_located(result) or result["id"] in self._located}
            for result in results
            if result.get("id") in asked & self.outbox.waiting.keys() and result.get("status") in FORGETTABLE
        ]
        self._ledger.acked(self.device_id, [each for each in done if each["id"] not in self._again])
        for each in done:
            self.outbox.forget(each["id"], keep=each["status"] in HELD)
            self._located.discard(each["id"])
            self._again.discard(each["id"])
        return len(done)

    def see_epoch(self, answer: Answer) -> None:
        """Take everything kept into the outbox again when the service says another store epoch."""
        epoch = answer.header(EPOCH_HEADER)
        if epoch is None or epoch == self.epoch:
            return
        if self.epoch is not None:
            self._again.update(self.outbox.kept)
            self._ledger.count("sent_again", self.outbox.bring_back())
        self.epoch = epoch

    def _back_off(self, answer: Answer | None) -> float:
        """Return the wait before the same events go again: the server's wish, else doubling with full jitter."""
        self._failures += 1
        self._ledger.count("retries")
        wish = (
            retry_after_s(answer.header("Retry-After"), now=self._wall())
            if answer and answer.status in (429, 503)
            else None
        )
        if wish is not None:
            return wish + self._rng.uniform(0, min(1.0, self.habits.backoff_s))
        ceiling = min(BACKOFF_CAP_S, self.habits.backoff_s * 2 ** min(self._failures - 1, 10))
        return self._rng.uniform(ceiling / 2, ceiling)


def results_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the per-event results of an answer of `POST /v1/events`; none when it is not one."""
    body = answer.json()
    results = body.get("results") if isinstance(body, dict) else None
    return [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []


def is_located(result: Mapping[str, Any]) -> bool:
    """Say whether the service found the place of an event."""
    located = result.get("located")
    return bool(located) and (not isinstance(located, dict) or located.get("method") != "none")


def retry_after_s(value: str | None, *, now: float) -> float | None:
    """Read Retry-After, seconds or an HTTP date, as seconds from `now`, 0 to one day; None when it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return min(86_400.0, max(0.0, seconds)) if math.isfinite(seconds) else None
