"""The smaller services: what carriers say of further tasks, and what they see on the way. Pure."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from fieldsvc.simulate.ids import seeded

FURTHER = ("key", "pet", "meter", "letter_code", "check_address")
SEEN_SHARE = 0.25  # of the kinds below, on a usual round; the first round of a town sees them all
Said = Iterator[tuple[str, dict[str, Any], float]]
Outcome = Callable[[str, float, float, Random], Said]
PET_RIDES_S = 1500.0


def key(key_id: str, at: float, end_at: float, rng: Random) -> Said:
    """Fetch a key from its owner, and put it into the safe of the site at the end."""
    signature = strokes("owner", key_id)
    yield "key.collected", {"key_id": key_id, "from": "person", "signature": signature}, at
    yield "key.deposited", {"key_id": key_id, "slot": f"S-{rng.randint(1, 40)}"}, end_at - rng.uniform(60, 300)


def pet(pet_id: str, at: float, end_at: float, rng: Random) -> Said:
    """Fetch a pet, and hand it to the vet after a call."""
    yield "pet.picked_up", {"pet_id": pet_id, "code_ok": True}, at
    until = min(at + rng.uniform(0.5, 1.5) * PET_RIDES_S, end_at - 30)
    data = {"pet_id": pet_id, "handed_to": "vet", "contacted_at": rfc3339(at), "signature": strokes("vet", pet_id)}
    yield "pet.handed_over", data, until


def meter(meter_id: str, at: float, end_at: float, rng: Random) -> Said:
    """Read a meter that counts about eleven a day."""
    del end_at
    value = 40_000.0 + at / 86_400 % 3650 * 11 + rng.uniform(0, 5)
    yield "meter.read", {"meter_id": meter_id, "kind": "electricity", "value": round(value, 1)}, at


def letter_code(letter_id: str, at: float, end_at: float, rng: Random) -> Said:
    """Bring a letter with a code."""
    del end_at
    if rng.random() < 0.1:
        yield "letter.returned", {"letter_id": letter_id, "reason": "unknown_at_address"}, at
    else:
        yield "letter.delivered", {"letter_id": letter_id, "to": rng.choice(("addressee", "mailbox"))}, at


def check_address(point: str, at: float, end_at: float, rng: Random) -> Said:
    """Look whether an address still holds."""
    del end_at
    yield "address.checked", {"delivery_point_id": point, "result": rng.choice(("ok", "ok", "ok", "not_found"))}, at


OUTCOMES: Mapping[str, Outcome] = {
    "key": key, "pet": pet, "meter": meter, "letter_code": letter_code, "check_address": check_address
}  # fmt: skip


def seen(
    stops: Sequence[Mapping[str, Any]], *, seed: int, run_id: str, at: float
) -> Iterator[tuple[str, str, dict[str, Any], int]]:
    """Yield what a carrier notices on a round: (type, subject, data, index of the stop); `at` is when the round begins."""
    rng = seeded("seen", seed, run_id)
    every = run_id.endswith("01")
    for make in (hazard, access, place, notebook, idea, rating, signal, alarm):
        if every or rng.random() < SEEN_SHARE:
            number = rng.randrange(len(stops) // 3, len(stops))
            stop = stops[number]
            name = seeded("thing", seed, run_id, make.__name__)
            for kind, subject, data in make(stop, uuid_of(name), at, rng):
                yield kind, subject, data, number


Seen = Iterator[tuple[str, str, dict[str, Any]]]


def hazard(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Warn of a place until tomorrow."""
    data = {
        "hazard_id": name,
        "kind": rng.choice(("ice", "works", "fallen_tree", "dog")),
        "point": {"lat": stop["lat"], "lon": stop["lon"]},
        "radius_m": 40.0,
        "until": rfc3339(at + 86_400),
    }
    yield "hazard.reported", f"hazard/{name}", data


def access(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Say why a box cannot be served."""
    del name, at
    data = {"delivery_point_id": stop["delivery_point_id"], "reason": rng.choice(("closed_gate", "dog", "no_box"))}
    yield "access.refused", f"access/{stop['delivery_point_id']}", data


def place(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Tell the town hall."""
    del name, at
    point = {"lat": stop["lat"], "lon": stop["lon"]}
    yield "place.observed", "place", {"kind": rng.choice(("streetlight", "pothole", "tree", "sign")), "point": point}


def notebook(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Write down what the substitute should know."""
    del name, at
    kind, text = rng.choice((("hidden_box", "Boîte derrière le portail vert"), ("dog", "Chien gentil, mais il saute")))
    data = {"delivery_point_id": stop["delivery_point_id"], "kind": kind, "text": text}
    yield "notebook.written", f"notebook/{stop['delivery_point_id']}", data


def idea(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Propose something."""
    del stop, at
    text = rng.choice(("Un local à vélos couvert", "Des sacoches plus basses sur les vélos"))
    yield "idea.submitted", f"idea/{name}", {"idea_id": name, "text": text}


def rating(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Say what a service is worth."""
    del stop, at
    about = f"service/{rng.choice(('medication', 'home_visit'))}"
    yield "rating.given", f"rating/{name}", {"rating_id": name, "about": about, "score": rng.choice((7, 8, 9, 9, 10))}


def signal(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Carry the word of a connected letterbox."""
    del name, at
    thing = f"mb-{stop['delivery_point_id']}"
    yield "object.signalled", f"object/{thing}", {"object_id": thing, "kind": "mailbox", "value": rng.random() < 0.5}


def alarm(stop: Mapping[str, Any], name: str, at: float, rng: Random) -> Seen:
    """Fall off the bicycle, and ask for help."""
    del stop, at, rng
    yield "alarm.raised", f"alarm/{name}", {"alarm_id": name, "kind": "fall"}


def strokes(*named: object) -> str:
    """Stand in for the SHA-256 of a signature."""
    return hashlib.sha256(" ".join(map(str, named)).encode()).hexdigest()


def uuid_of(rng: Random) -> str:
    """Make a version-4 UUID from a seeded source."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


def rfc3339(at: float) -> str:
    """Write a moment as RFC 3339 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
