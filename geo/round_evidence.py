"""What the fixes of one run have told about which round it is on: sums, filters and ranks; written and read. Pure."""

import base64
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import exp
from typing import Any

from geo.errors import BadState
from geo.matching import Matcher
from geo.state import State

SURE = 0.9
_STATE_VERSION = 1
_ASSIGNED = 0.95
_NO_ROUND = 0.05
_SUREST = 0.999  # no model of a carrier is right more often


@dataclass(frozen=True, slots=True)
class Candidate:
    """One round with a filter: its `nats` over a carrier on no round, and the last places that counted, metres along it.

    What it is `alone` with, the assigned round being out of reach: how many fixes on new ground, the seconds between them
    (standing counts for a minute at most), the pieces of 25 m of its line, and since when.
    """

    round_id: str
    state: State
    nats: float = 0.0
    places: tuple[float, ...] = ()
    is_on: bool = False
    alone_fixes: int = 0
    alone_s: float = 0.0
    pieces: frozenset[int] = frozenset()
    since: datetime | None = None
    last_alone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the fixes of one run have told; immutable, and small: at most seven filters."""

    assigned: str | None = None
    at: datetime | None = None
    fixes: int = 0
    candidates: tuple[Candidate, ...] = ()

    def ranking(self) -> list[tuple[str, float]]:
        """List (round_id, probability), the likeliest first; what is missing to 1 is "on none of them".

        The assigned round is always listed. Without an assignment all rounds are equally likely beforehand.
        """
        named = {each.round_id: each.nats for each in self.candidates}
        if self.assigned is not None:
            named.setdefault(self.assigned, 0.0)
        prior = self._priors(named)
        top = max((*named.values(), 0.0))
        weight = {name: prior[name] * exp(nats - top) for name, nats in named.items()}
        total = sum(weight.values()) / _SUREST + _NO_ROUND * exp(-top)
        return sorted(((name, each / total) for name, each in weight.items()), key=lambda one: (-one[1], one[0]))

    def likeliest(self) -> tuple[str | None, float]:
        """Name the round and its probability; None under 0.9, when nobody should say that it is known."""
        name, chance = next(iter(self.ranking()), (None, 0.0))
        return (name if chance >= SURE else None), chance

    def to_bytes(self) -> bytes:
        """Write the evidence, with its version, for another process."""
        body = {
            "v": _STATE_VERSION,
            "assigned": self.assigned,
            "at": _text(self.at),
            "fixes": self.fixes,
            "candidates": [_written(each) for each in self.candidates],
        }
        return json.dumps(body, separators=(",", ":")).encode()

    def _priors(self, named: Mapping[str, float]) -> dict[str, float]:
        if self.assigned is None:
            return dict.fromkeys(named, (1 - _NO_ROUND) / max(len(named), 1))
        share = (1 - _NO_ROUND) * (1 - _ASSIGNED) / max(len(named) - 1, 1)
        return {name: (1 - _NO_ROUND) * _ASSIGNED if name == self.assigned else share for name in named}


def evidence_from_bytes(data: bytes, rounds: Container[str]) -> Evidence:
    """Read what `Evidence.to_bytes` wrote, without the rounds that are gone; raise BadState."""
    try:
        body = json.loads(data)
        if body["v"] != _STATE_VERSION:
            raise BadState
        candidates = tuple(_read(each) for each in body["candidates"] if each["round_id"] in rounds)
        return Evidence(body["assigned"], _time(body["at"]), int(body["fixes"]), candidates)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadState from error


def _written(each: Candidate) -> dict[str, Any]:
    return {
        "round_id": each.round_id,
        "state": base64.b64encode(each.state.to_bytes()).decode(),
        "nats": round(each.nats, 3),
        "places": each.places,
        "is_on": each.is_on,
        "alone_fixes": each.alone_fixes,
        "alone_s": round(each.alone_s, 1),
        "pieces": sorted(each.pieces),
        "since": _text(each.since),
        "last_alone_at": _text(each.last_alone_at),
    }


def _read(body: dict[str, Any]) -> Candidate:
    known = {
        **body,
        "state": Matcher.state_from_bytes(base64.b64decode(body["state"])),
        "pieces": frozenset(body["pieces"]),
        "places": tuple(body["places"]),
        "since": _time(body["since"]),
        "last_alone_at": _time(body["last_alone_at"]),
    }
    return Candidate(**known)


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
