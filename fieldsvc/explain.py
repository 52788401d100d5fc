"""`fieldsvc explain address`: how an address was read, what it was compared with, and which round would serve it.

It stores nothing and asks nobody else, unless `--online` asks the geocoder of FIELDSVC_GEOCODER_ONLINE for a second opinion.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rapidfuzz import fuzz

from fieldsvc.errors import UserMistake
from fieldsvc.settings import Settings
from fieldsvc.work.known_addresses import KnownAddresses
from fieldsvc.work.placement import Placed, Placer
from geo.addresses import (
    ACCEPT_SCORE,
    REVIEW_SCORE,
    Address,
    Candidate,
    Number,
    Store,
    Street,
    city_key,
    one_line,
    street_key,
)
from geo.positions import distance_m
from geo.reverse import Near

ANSWERS, WITHIN_M = 8, 200.0
_COMMUNES_SHOWN = 8
_VERDICTS = {"accept": "accepted", "review": "for a person to review", "reject": "rejected"}
_READ = ("house_number", "repetition", "street", "place", "postcode", "city", "country")
_FAULTS = {
    "resting": "it failed too often lately", "busy": "too much was asked at once", "timeout": "it did not answer in time",
    "too_long": "its answer was longer than any honest one", "redirected": "it sent the request elsewhere",
    "refused": "it refused the request", "unreadable": "its answer had not the expected form",
    "unreachable": "it cannot be reached", "empty": "there was nothing to ask",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Considered:
    """A commune whose streets were compared: how it came into question, how like its name is, and its streets' number."""

    citycode: str
    why: str
    likeness: float
    streets: int


class Watched:
    """A store that passes every question on and notes which communes came into question, and how."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.names: dict[str, tuple[str, float]] = {}
        self.streets: dict[str, tuple[str, int]] = {}

    def streets_of_postcode(self, postcode: str) -> Sequence[Street]:
        """List the streets of a postcode."""
        found = self._store.streets_of_postcode(postcode)
        for citycode, count in Counter(street.citycode for street in found).items():
            self._note(citycode, f"postcode {postcode}", count)
        return found

    def streets_of_commune(self, citycode: str) -> Sequence[Street]:
        """List the streets of a commune."""
        found = self._store.streets_of_commune(citycode)
        self._note(citycode, self.names.get(citycode, ("the commune that was assumed", 1.0))[0], len(found))
        return found

    def communes_named(self, key: str, *, fuzzy: bool) -> Sequence[tuple[str, float]]:
        """List the communes of a name."""
        found = self._store.communes_named(key, fuzzy=fuzzy)
        for citycode, likeness in found:
            how = "a name like" if fuzzy else "the name"
            self.names.setdefault(citycode, (f"{how} {key.title()}", likeness))
        return found

    def numbers_of(self, street_id: str) -> Sequence[Number]:
        """List the numbers of a street."""
        return self._store.numbers_of(street_id)

    def _note(self, citycode: str, why: str, count: int) -> None:
        first, most = self.streets.get(citycode, (why, 0))
        self.streets[citycode] = (first, max(most, count))

    def considered(self) -> list[Considered]:
        """List the communes whose streets were compared, the likeliest first."""
        found = [
            Considered(code, why, self.names.get(code, ("", 1.0))[1], count)
            for code, (why, count) in self.streets.items()
        ]
        return sorted(found, key=lambda one: (-one.likeness, one.citycode))


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What the online geocoder said, how far that is from our answer, and the known address nearest to it."""

    found: Candidate | None
    fault: str | None
    apart_m: float | None = None
    nearest: Near | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """An address, what it was compared with, and what came of it."""

    placed: Placed
    answers: Sequence[Candidate]
    considered: Sequence[Considered]
    names: dict[str, str]
    nearest: Near | None
    online: SecondOpinion | None = field(default=None)


def check(args: argparse.Namespace, settings: Settings) -> None:
    """Find a user's mistake before anything is opened: UserMistake."""
    if not any(each.isalnum() for each in args.address):
        raise UserMistake('Give an address, as `fieldsvc explain address "12 bis rue X, 93140 Bondy"`.')
    if args.online and not settings.geocoder_online:
        raise UserMistake("FIELDSVC_GEOCODER_ONLINE is not set: there is no online geocoder to ask.")


async def explain(args: argparse.Namespace, placer: Placer, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Explain an address: as an object and as lines for a person. UserMistake for a commune or a base without addresses."""
    known = placer.known
    if not await known.any():
        raise UserMistake("No addresses are imported; `fieldsvc import addresses FILE` does that.")
    if args.citycode is not None and await known.commune(args.citycode) is None:
        raise UserMistake(f"There are no addresses of a commune {args.citycode}.")
    found = await _look(args.address, placer, citycode=args.citycode)
    if args.online:
        found = Explained(**{**_fields(found), "online": await _second_opinion(found, known, settings)})
    return as_object(found), as_words(found)


async def _look(text: str, placer: Placer, *, citycode: str | None) -> Explained:
    watched: list[Watched] = []

    def watch(store: Store) -> Store:
        watched.append(Watched(store))
        return watched[-1]

    placed, answers = await placer.find_all(text, citycode=citycode, limit=ANSWERS, through=watch)
    considered = watched[-1].considered() if watched else []
    best, known = placed.candidate, placer.known
    near = await known.nearest(best.lat, best.lon, within_m=WITHIN_M, limit=1) if best else []
    communes = [await known.commune(each.citycode) for each in considered]
    names = {each.citycode: each.city for each in communes if each is not None}
    return Explained(placed, answers, considered, names, near[0] if near else None)


async def _second_opinion(found: Explained, known: KnownAddresses, settings: Settings) -> SecondOpinion:
    from geo.online import OnlineGeocoder  # noqa: PLC0415 - half a second that only those who ask for it pay

    contact = settings.public_url or "no public address"
    async with OnlineGeocoder(settings.geocoder_online, user_agent=f"fieldsvc ({contact})") as online:
        answer = await online.search(found.placed.wanted)
    if not answer.found:
        return SecondOpinion(None, answer.fault)
    said, ours = answer.found[0], found.placed.candidate
    near = await known.nearest(said.lat, said.lon, within_m=WITHIN_M, limit=1)
    apart_m = distance_m(said.lat, said.lon, ours.lat, ours.lon) if ours else None
    return SecondOpinion(said, None, apart_m, near[0] if near else None)


def as_object(found: Explained) -> dict[str, Any]:
    """Write an explanation for a program."""
    return {
        "read": _read(found.placed.wanted),
        "verdict": _verdict(found.placed.candidate),
        **found.placed.as_mapping(),
        "answers": [
            {**_rounded(asdict(one)), "verdict": one.verdict, "why": _why_score(found.placed.wanted, one)}
            for one in found.answers
        ],
        "communes": [{**_rounded(asdict(one)), "city": found.names.get(one.citycode)} for one in found.considered],
        "nearest_known": _near(found.nearest),
        "online": _opinion(found.online),
        "why": list(_why(found)),
    }


def as_words(found: Explained) -> list[str]:
    """Write an explanation for a person, a line each."""
    read = [
        f"{name.replace('_', ' ')} {value}" for name, value in _read(found.placed.wanted).items() if value is not None
    ]
    lines = [f"Read as: {', '.join(read) or 'nothing that names a place'}.", "", "Communes that came into question:"]
    for commune in found.considered[:_COMMUNES_SHOWN]:
        name = f"{found.names.get(commune.citycode, '')} ({commune.citycode})"
        like = "" if commune.likeness == 1.0 else f", likeness {commune.likeness:.2f}"
        lines.append(f"  {name}: {commune.why}{like}; {commune.streets} streets compared")
    lines += ["  none"] if not found.considered else []
    lines += ["", "Answers:"]
    for number, one in enumerate(found.answers, 1):
        why = "; ".join(_why_score(found.placed.wanted, one))
        lines.append(f"  {number}. {one.score:.2f} {one.kind}: {one_line(one.address())}{why and f' ({why})'}")
    lines += ["  none"] if not found.answers else []
    lines += ["", f"Verdict: {_VERDICTS[_verdict(found.placed.candidate)]}.", *_round_words(found.placed)]
    lines += list(_opinion_words(found.online))
    return [*lines, "", "Why:", *(f"  - {each}" for each in _why(found))]


def _fields(found: Explained) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def _read(wanted: Address) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in _READ}


def _rounded(members: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in members.items()}


def _near(near: Near | None) -> dict[str, Any] | None:
    if near is None:
        return None
    return {"address": one_line(near.row.address()), "id": near.row.address_id, "distance_m": round(near.distance_m, 1)}


def _opinion(online: SecondOpinion | None) -> dict[str, Any] | None:
    if online is None:
        return None
    return {
        "found": _rounded(asdict(online.found)) if online.found else None,
        "fault": online.fault,
        "apart_m": round(online.apart_m, 1) if online.apart_m is not None else None,
        "nearest_known": _near(online.nearest),
    }


def _verdict(best: Candidate | None) -> str:
    return best.verdict if best else "reject"


def _why_score(wanted: Address, one: Candidate) -> list[str]:
    """Say in words what speaks for an answer and what against it."""
    found = []
    if wanted.street and one.street:
        alike = fuzz.ratio(street_key(wanted.street), street_key(one.street)) / 100
        found.append("the same street" if alike == 1.0 else f"the street's name is {alike:.0%} alike")
    if wanted.house_number is not None and one.street:
        known = {"housenumber": "the number is known", "interpolated": "the number is not known, its neighbours are"}
        found.append(known.get(one.kind, "the number is not known, and not between known ones"))
        if one.kind == "housenumber" and one.house_number != wanted.house_number:
            found[-1] = "another number is the nearest known"
        elif one.kind == "housenumber" and one.repetition != wanted.repetition:
            found[-1] = f"the number is known as {one.house_number} {one.repetition or 'without a repetition'}"
    if wanted.postcode and one.postcode:
        found.append("the same postcode" if wanted.postcode == one.postcode else f"another postcode, {one.postcode}")
    if wanted.city:
        alike = fuzz.ratio(city_key(wanted.city), city_key(one.city)) / 100
        found.append("the same commune" if alike == 1.0 else f"the commune's name is {alike:.0%} alike")
    return found


def _round_words(placed: Placed) -> Iterator[str]:
    said = placed.as_mapping()
    if said["round_id"] is None:
        yield "Round: none serves this place."
        return
    after, before = said["after_stop_id"] or "the start", said["before_stop_id"] or "the end"
    cost = "unknown" if said["cost_m"] is None else f"{said['cost_m']:.0f} m"
    sure = ", ambiguous" if said["ambiguous"] else ""
    yield f"Round: {said['round_id']}, between {after} and {before}; it adds {cost}; confidence {said['confidence']:.2f}{sure}."


def _opinion_words(online: SecondOpinion | None) -> Iterator[str]:
    if online is None:
        return
    if online.found is None:
        why = _FAULTS.get(online.fault or "", "the request was cut off") if online.fault else "it knows no such address"
        yield f"Online: no answer, {why}."
        return
    apart = "" if online.apart_m is None else f", {online.apart_m:.0f} m from our answer"
    near = (
        ""
        if online.nearest is None
        else f"; the nearest known address there is {one_line(online.nearest.row.address())}"
    )
    yield f"Online: {one_line(online.found.address())}, agreement {online.found.score:.2f}{apart}{near}."


def _why(found: Explained) -> Iterator[str]:
    """Say in plain words why the verdict and the round are what they are, and what a person has to decide."""
    best, placement = found.placed.candidate, found.placed.placement
    if best is None and found.placed.wanted.country:
        yield "It names another country."
    if best is None:
        yield "No known street is like it in the communes that its words name."
        yield "The address goes to a person."
        return
    if best.kind == "municipality":
        yield "Only the commune is known: there is no street in the address that it has."
    if best.score >= ACCEPT_SCORE:
        yield f"The best answer has {best.score:.2f}; from {ACCEPT_SCORE:.1f} it is taken."
    else:
        least = (
            f"from {REVIEW_SCORE:.1f} a person looks at it"
            if best.score >= REVIEW_SCORE
            else f"under {REVIEW_SCORE:.1f} it is none"
        )
        yield f"The best answer has {best.score:.2f}: {least}, from {ACCEPT_SCORE:.1f} it would be taken."
    if len(found.answers) > 1 and best.score - found.answers[1].score < 0.03:
        yield f"A second answer is as good: {one_line(found.answers[1].address())}."
    if best.kind == "interpolated" and found.nearest is not None:
        near = found.nearest
        yield f"Its place lies between known numbers; {one_line(near.row.address())} is known {near.distance_m:.0f} m from it."
    if placement.round_id is None:
        yield "No round has a stop on this street or within 150 m."
    elif placement.ambiguous:
        yield "More than one round could serve it as well."
    elif placement.confidence < ACCEPT_SCORE:
        yield "No stop of the round has this street and this side of it near this number."
    sure = best.score >= ACCEPT_SCORE and not placement.ambiguous and placement.confidence >= ACCEPT_SCORE
    yield "It can be used as it is." if sure else "A person with the right address_quality decides."
