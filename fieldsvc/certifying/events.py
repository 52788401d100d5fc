"""The events of a hostile day, as public events look. Pure: the same seed, run and moment give the same events."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson

HOUR_S = 3600
HUGE_BYTES = 256 * 1024
DEPTH = 50
WIDE = "\u00c9lodie \u200f\u05e9\u05dc\u05d5\u05dd\u200e \U0001f469\U0001f3fd\u200d\U0001f9b0 Zoe\u0308 \u2028 \ufdfd \U0001f4ee \ufb01n \ufeff"


@dataclass(frozen=True, slots=True)
class Event:
    """One public event; `words` are the personal ones in it, which an erasure takes away."""

    id: str
    subject: str
    sequence: int
    body: bytes
    words: str = ""


class Mint:
    """Makes events; `run` sets one day's names apart from every other day's at the same receiver."""

    def __init__(self, seed: int, run: str, now: datetime) -> None:
        self.random = Random(seed)  # noqa: S311 - a plan, not a secret
        self.run = run
        self._now = now
        self._sequences: Counter[str] = Counter()
        self._made = 0

    def name(self, prefix: str) -> str:
        """Make a name that no other day has."""
        self._made += 1
        return f"{prefix}{self.run}{self._made:05d}"

    def event(
        self,
        subject: str,
        type_: str = "item.delivered",
        data: Mapping[str, Any] | None = None,
        *,
        late_s: float = 0.0,
        words: str = "",
        **members: Any,
    ) -> Event:
        """Make the next event of a subject; `members` are set in its envelope, None leaves one out."""
        self._sequences[subject] += 1
        self._made += 1
        sequence, event_id = self._sequences[subject], f"evt_{_uuid(f'{self.run}/{self._made}')}"
        occurred, recorded = _time(self._now - timedelta(seconds=late_s)), _time(self._now)
        envelope: dict[str, Any] = {
            "specversion": "1.0", "id": event_id, "source": "/fieldsvc/certify", "type": f"fieldsvc.{type_}.v1",
            "subject": subject, "time": occurred, "timestamp": occurred, "recordedtime": recorded,
            "partitionkey": subject, "sequence": f"{sequence:020d}", "data": dict(data or {}), **members,
        }  # fmt: skip
        body = orjson.dumps({name: value for name, value in envelope.items() if value is not None})
        return Event(event_id, subject, sequence, body, words)

    def item(self, subject: str, **about: Any) -> Event:
        """Make an ordinary event of an item, sometimes one that was told hours late, sometimes a thin one."""
        kind = self.random.choice(("item.loaded", "item.out_for_delivery", "item.delivery_attempted", "item.delivered"))
        late_s = self.random.choice((0.0, 0.0, self.random.uniform(0.1, 30) * HOUR_S))
        if self.random.random() < 0.1:
            return self.event(subject, kind, {}, late_s=late_s, dataref="/v1/events/of-this-id", **about)
        located = {"stop_id": f"st-{self.random.randint(1, 400)}", "confidence": 0.97, "method": "scan"}
        return self.event(subject, kind, {"item_id": own_id(subject), "located": located}, late_s=late_s, **about)

    def corrected(self, before: Event) -> Event:
        """Make the event that holds instead of an earlier one of the same subject."""
        return self.event(before.subject, data={"item_id": own_id(before.subject)}, supersedes=before.id)

    def personal(self, subject: str, person: str | None = None) -> Event:
        """Make an event with personal words: about a person the subscriber named, or an order that names nobody."""
        words = hashlib.sha256(f"{self.run}/{subject}/{self._sequences[subject]}".encode()).hexdigest()
        if person is None:
            return self.event(subject, data={"item_id": own_id(subject), "handed_to": words}, words=words)
        named = {"document_id": own_id(subject), "kind": "proof", "about": subject, "safe": "safe-1"}
        return self.event(subject, "document.deposited", named | {"evidence": words, "person": person}, words=words)

    def without_words(self, event: Event) -> Event:
        """Write an event as it is sent again after its person was erased."""
        whole = orjson.loads(event.body)
        personal = ("evidence", "person", "handed_to")
        data = {name: value for name, value in whole["data"].items() if name not in personal}
        body = orjson.dumps(whole | {"data": data | {"erased": True}})
        return Event(event.id, event.subject, event.sequence, body)

    def tombstone(self, person: str) -> Event:
        """Make the event that says a person is erased."""
        subject = f"person/acct-{self.run}/{person}"
        return self.event(subject, "person.erased", {"person": person, "since": _time(self._now)})

    def poison(self, subject: str) -> Sequence[tuple[str, Event]]:
        """Make events that no receiver expects, each said in words; one subject each, `subject` is where names begin."""
        names = (f"{subject}-{number}" for number in range(100))
        deep: Any = "bottom"
        for _ in range(DEPTH):
            deep = {"in": [deep]}
        odd = {"big": 2**53, "tiny": 5e-324, "nothing": None, "list": [[], {}, ""], "text": WIDE}
        return [
            ("an unknown type", self.event(next(names), "certify.unheard_of", {"n": 1})),
            ("a later version", self.event(next(names), type="fieldsvc.item.delivered.v9")),
            ("a body of 256 KiB", self._huge(next(names))),
            ("unusual letters", self.event(next(names), data={WIDE: WIDE, "item_id": WIDE})),
            ("data 100 levels deep", self.event(next(names), data={"deep": deep})),
            ("unusual values", self.event(next(names), data=odd)),
            ("members that you do not know", self.event(next(names), traceparent="00-ab-cd-01", newmember="x")),
            ("no times", self.event(next(names), time=None, timestamp=None, recordedtime=None, partitionkey=None)),
        ]

    def _huge(self, subject: str) -> Event:
        small = self.event(subject, data={"note": ""})
        filled = small.body.replace(b'"note":""', b'"note":"' + b"x" * (HUGE_BYTES - len(small.body)) + b'"')
        return Event(small.id, subject, small.sequence, filled)


def own_id(subject: str) -> str:
    """Return what stands behind the kind in a subject: `item/RK1` -> `RK1`."""
    return subject.partition("/")[2]


def _uuid(text: str) -> UUID:
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=4)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
