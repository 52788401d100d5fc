"""Proof score: how well one fact shows that a thing reached its place, from several factors and never from one.

0 to 100 = place 30, accuracy of the fix 10, scan 20, acceptance (signature, code, photo, identity) 30, clock 5, lateness 5.
It belongs to the item; it is kept with no carrier's name.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from handlers.fields import PUBLIC, Day, Id, PublicData, Text
from handlers.story import Fact

NEAR_M, NEAR_ACCURACIES, FAR_TIMES = 40.0, 2.0, 3.0
SHARP_M, FAIR_M = 20.0, 60.0
PROMPT_S = 3600.0
UNATTENDED = frozenset({"mailbox", "safe_place"})
_CAPACITY = {"addressee": "addressee", "mandate_holder": "mandate"}


class Acceptor(BaseModel):
    surname: Text
    first_name: Text
    capacity: Literal["addressee", "mandate"]


class Identity(BaseModel):
    model_config = ConfigDict(extra="ignore")  # no number of the document is kept
    document_kind: Id


class Evidence(BaseModel):
    """What was taken at the door; for registered mail the particulars of the order of 7 February 2007, art. 4."""

    model_config = ConfigDict(extra="ignore")  # nor is one kept beside it
    acceptor: Acceptor | None = None
    identity: Identity | Literal["known_to_carrier"] | None = None
    known_to_carrier: bool | None = None
    carrier_signature: Text | None = None
    presented_on: Day | None = None
    handed_over_on: Day | None = None
    signature: Text | None = None
    photo: Text | None = None
    code_ok: bool | None = None


def is_known_to_carrier(evidence: Mapping[str, Any]) -> bool:
    """Tell whether the carrier vouches for who the acceptor is, instead of a document."""
    return evidence.get("identity") == "known_to_carrier" or bool(evidence.get("known_to_carrier"))


def lacking(evidence: Mapping[str, Any], *, to: str | None = None) -> list[str]:
    """Name what registered mail asks for (order of 7 February 2007, art. 4) and the evidence has not.

    A carrier who knows the person signs as well; who takes it for another shows the mandate; nothing is handed over before
    it was presented.
    """
    known = is_known_to_carrier(evidence)
    missing = [name for name in ("acceptor", "presented_on", "handed_over_on", "signature") if not evidence.get(name)]
    if not known and evidence.get("identity") is None:
        missing.append("identity")
    if known and not evidence.get("carrier_signature"):
        missing.append("carrier_signature")
    capacity = (evidence.get("acceptor") or {}).get("capacity")
    if to in _CAPACITY and capacity is not None and capacity != _CAPACITY[to]:
        missing.append("capacity")
    presented, handed_over = evidence.get("presented_on"), evidence.get("handed_over_on")
    if presented and handed_over and presented > handed_over:
        missing.append("dates")
    return missing


class ProofScore(PublicData):
    """The score, the same in words, and the words' codes for other languages."""

    score: Annotated[int, PUBLIC]
    words: Annotated[str, PUBLIC]
    factors: Annotated[list[str] | None, PUBLIC] = None


_WORDS: Mapping[str, Mapping[str, str]] = {
    "at_door": {"en": "at the planned door", "fr": "à la porte prévue"},
    "near_door": {"en": "near the planned door", "fr": "près de la porte prévue"},
    "far_from_door": {"en": "far from the planned door", "fr": "loin de la porte prévue"},
    "stop_named": {"en": "stop named, distance not known", "fr": "point indiqué, distance inconnue"},
    "place_unknown": {"en": "place not known", "fr": "lieu inconnu"},
    "sharp_fix": {"en": "precise position", "fr": "position précise"},
    "fair_fix": {"en": "fair position", "fr": "position moyenne"},
    "scanned": {"en": "scanned", "fr": "scanné"},
    "signed": {"en": "signed", "fr": "signé"},
    "code_given": {"en": "code given", "fr": "code donné"},
    "photo": {"en": "photo taken", "fr": "photo prise"},
    "identity": {"en": "identity checked", "fr": "identité vérifiée"},
    "left_unattended": {"en": "left in the box or safe place", "fr": "déposé en boîte ou en lieu sûr"},
    "nothing_taken": {"en": "no signature, code or photo", "fr": "ni signature, ni code, ni photo"},
    "clock_suspect": {"en": "the phone's clock was wrong", "fr": "horloge du téléphone fausse"},
    "reported_late": {"en": "reported late", "fr": "transmis tard"},
    "after_window": {"en": "after its window", "fr": "après le créneau"},
}


def weigh(
    fact: Fact, *, evidence: Mapping[str, Any], to: str | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """Score one fact, as `ProofScore` data.

    `evidence` holds `signature`, `code_ok`, `photo`, `identity`, `known_to_carrier` where taken; `to` = who or what
    received it; `until` = the end of the ordered window.
    """
    factors = [*_place(fact), *_accuracy(fact), *_scan(fact), *_acceptance(evidence, to), *_time(fact, until)]
    codes = [code for _, code in factors if code]
    return {"score": min(100, sum(points for points, _ in factors)), "words": words(codes), "factors": codes}


def words(codes: list[str], lang: str = "en") -> str:
    """Say the factors as one sentence, in `en` or `fr`."""
    text = ", ".join(_WORDS[code][lang] for code in codes)
    return f"{text[:1].upper()}{text[1:]}."


def _accuracy_m(fact: Fact) -> float | None:
    fix = fact.data.get("fix")
    accuracy = fix.get("accuracy_m") if isinstance(fix, Mapping) else None
    return float(accuracy) if accuracy else None


def _place(fact: Fact) -> Iterator[tuple[int, str]]:
    located = fact.located or {}
    distance = located.get("door_distance_m")
    near = max(NEAR_M, NEAR_ACCURACIES * (_accuracy_m(fact) or 0.0))
    if not located.get("stop_id"):
        yield 0, "place_unknown"
    elif distance is None:
        yield 15, "stop_named"
    elif distance <= near:
        yield 30, "at_door"
    else:
        yield (10, "near_door") if distance <= FAR_TIMES * near else (0, "far_from_door")


def _accuracy(fact: Fact) -> Iterator[tuple[int, str]]:
    accuracy = _accuracy_m(fact)
    if accuracy is not None and accuracy <= FAIR_M:
        yield (10, "sharp_fix") if accuracy <= SHARP_M else (5, "fair_fix")


def _scan(fact: Fact) -> Iterator[tuple[int, str]]:
    if (fact.located or {}).get("method") == "scan":
        yield 20, "scanned"


def _acceptance(evidence: Mapping[str, Any], to: str | None) -> Iterator[tuple[int, str]]:
    accepted = bool(evidence.get("signature") or evidence.get("code_ok"))
    if evidence.get("signature"):
        yield 20, "signed"
    if evidence.get("code_ok"):
        yield 20 if not evidence.get("signature") else 0, "code_given"
    if evidence.get("photo"):
        yield 5 if accepted else 15, "photo"
    if evidence.get("identity") or evidence.get("known_to_carrier"):
        yield 5, "identity"
    if to in UNATTENDED:
        yield 10, "left_unattended"
    elif not accepted and not evidence.get("photo"):
        yield 0, "nothing_taken"


def _time(fact: Fact, until: datetime | None) -> Iterator[tuple[int, str]]:
    yield (0, "clock_suspect") if fact.clock_suspect else (5, "")
    if until is not None and fact.occurred_at > until:
        yield 0, "after_window"
    else:
        yield (5, "") if (fact.late_s or 0.0) <= PROMPT_S else (2, "reported_late")
