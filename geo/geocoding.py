"""A geocoder over a small store: the commune first, then its streets, then the number.

Text is never matched against a whole country: postcode, commune code or commune name choose the streets, and rapidfuzz
ranks those. A score is the likeness of the street times how well the place fits times what is known of the number; answers
that the text does not tell apart are held under the acceptance score, so that a person decides.

Measured (`fieldsvc bench geocode`: BANO 90 and the BAN of Bondy, addresses written wrongly): of the answers with a score of
0.9 or more over 99.9 % are right, of those from 0.7 to 0.9 some 96 %, held because the text leaves doubt. Of addresses
whose street the store lacks, at most 1 % is taken for another street with 0.9 or more.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from geo.address_parser import Address, parse
from geo.address_store import MemoryStore, Number, Store, Street
from geo.communes import Communes
from geo.house_numbers import spot_of
from geo.ranking import like, ranked
from geo.readings import Reading, readings
from geo.street_words import city_key, street_key

__all__ = ["ACCEPT_SCORE", "REVIEW_SCORE", "Candidate", "Geocoder", "MemoryStore", "Number", "Store", "Street"]

ACCEPT_SCORE = 0.9
REVIEW_SCORE = 0.6
_UNSURE_SCORE = 0.89
_NO_NUMBER, _TOWN_ONLY, _BESIDES = 0.7, 0.5, 0.85
_SURE_OF_BOTH, _TOO_CLOSE, _EQUAL = 0.9999, 0.03, 0.001
_LEAST_SCORE = 0.3


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: `score` 0..1, `kind` is housenumber, interpolated, street or municipality.

    `quality` is the position kind of a known house number (the BAN's `type_position`) where the source tells it.
    """

    score: float
    kind: str
    house_number: int | None
    repetition: str | None
    street: str | None
    postcode: str | None
    city: str
    citycode: str
    lat: float
    lon: float
    ban_id: str | None
    quality: str | None = None

    def address(self) -> Address:
        """Give the normalised address of this answer."""
        return Address(self.house_number, self.repetition, self.street, self.postcode, self.city, self.citycode)

    @property
    def verdict(self) -> Literal["accept", "review", "reject"]:
        """Say what to do with the answer: accept it from 0.9, let a person review it from 0.6, reject it below."""
        return "accept" if self.score >= ACCEPT_SCORE else "review" if self.score >= REVIEW_SCORE else "reject"


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate, its street, and what speaks for the street alone, the number left aside."""

    candidate: Candidate
    street_id: str
    evidence: float


class Geocoder:
    """Find addresses in a store; `communes` adds the names of communes that the addresses do not have."""

    def __init__(self, store: Store, communes: Communes | None = None) -> None:
        self.store = store
        self.communes = communes

    def search(self, text: str | Address, *, citycode: str | None = None, limit: int = 5) -> list[Candidate]:
        """Search one address; best first, at most `limit` answers, none for an address outside France.

        `citycode` is the commune assumed when the text names none. See `Candidate.verdict` for what a score means. Answers
        that are too close to tell apart, or whose street and number speak for different ones, are held under 0.9.
        """
        wanted = parse(text) if isinstance(text, str) else text
        near = citycode or wanted.citycode
        wanted = wanted if near else self._town_alone(wanted)
        if wanted.country or limit < 1 or not (wanted.street or wanted.city or wanted.postcode):
            return []
        best: dict[str, _Found] = {}
        tried: list[Reading] = []
        for group in readings(self.store, self.communes, wanted, near):
            tried += group
            for reading in group:
                self._search_streets(reading, best)
            if any(found.candidate.score >= ACCEPT_SCORE for found in best.values()) or (tried and not wanted.street):
                break
        if not wanted.street:
            part = _BESIDES if wanted.house_number or wanted.lines or wanted.place else 1.0
            towns = [replace(one, score=part * one.score) for one in _towns(tried)]
            return _held([_Found(one, one.citycode, one.score) for one in towns])[:limit]
        found = _held([one for one in best.values() if one.candidate.score >= _LEAST_SCORE])
        if not found or found[0].score < _TOWN_ONLY:
            named = [one for one in tried if wanted.city or wanted.postcode or one.wanted.street != wanted.street]
            found += [replace(one, score=_TOWN_ONLY * one.score) for one in _towns(named)]
        return sorted(found, key=_order)[:limit]

    def _town_alone(self, wanted: Address) -> Address:
        """Read a text that is nothing but the name of a commune, with or without its postcode."""
        is_bare = not wanted.city and wanted.house_number is None and not wanted.lines
        if wanted.street and is_bare and self.store.communes_named(city_key(wanted.street), fuzzy=False):
            return replace(wanted, street=None, city=wanted.street)
        return wanted

    def _search_streets(self, reading: Reading, best: dict[str, _Found]) -> None:
        wanted, key = reading.wanted, street_key(reading.wanted.street or "")
        found = [self._numbered(reading, street, alike) for street, alike in ranked(key, reading.streets)]
        if wanted.house_number and found and all(one.candidate.kind != "housenumber" for one in found):
            known = {one.street_id for one in found}
            others = like(key, reading.streets)
            found += [
                self._numbered(reading, street, alike) for street, alike in others if street.street_id not in known
            ]
        for one in found:
            if one.street_id not in best or best[one.street_id].candidate.score < one.candidate.score:
                best[one.street_id] = one

    def _numbered(self, reading: Reading, street: Street, alike: float) -> _Found:
        """Place the number on the street: as known, between its neighbours, or the street alone."""
        wanted, evidence = reading.wanted, alike * reading.place
        spot, kind, certain, lat, lon = None, "street", 1.0, street.lat, street.lon
        number, mark = None, None
        if wanted.house_number is not None:
            certain = _NO_NUMBER
            spot = spot_of(self.store.numbers_of(street.street_id), wanted.house_number, wanted.repetition)
        if spot is not None:
            kind, certain, lat, lon = "interpolated", spot.certain, spot.lat, spot.lon
            number, mark = wanted.house_number, wanted.repetition
        known = spot.number if spot else None
        if known:
            kind, number, mark = "housenumber", known.house_number, known.repetition
        candidate = Candidate(
            score=evidence * certain,
            kind=kind,
            house_number=number,
            repetition=mark,
            street=street.name,
            postcode=street.postcode,
            city=street.city,
            citycode=street.citycode,
            lat=lat,
            lon=lon,
            ban_id=known.ban_id if known else None,
            quality=known.position_kind if known else None,
        )
        return _Found(candidate, street.street_id, evidence)


def _towns(tried: Sequence[Reading]) -> list[Candidate]:
    """List the communes of the readings, the likeliest first, each at the middle of its streets."""
    place: dict[str, float] = {}
    streets: dict[str, dict[str, Street]] = defaultdict(dict)
    for reading in tried:
        for street in reading.streets:
            place[street.citycode] = max(reading.place, place.get(street.citycode, 0.0))
            streets[street.citycode][street.street_id] = street
    found = []
    for code, score in place.items():
        known = list(streets[code].values())
        lat, lon = sum(s.lat for s in known) / len(known), sum(s.lon for s in known) / len(known)
        first = known[0]
        found.append(
            Candidate(score, "municipality", None, None, None, first.postcode, first.city, code, lat, lon, None)
        )
    return sorted(found, key=_order)


def _order(one: Candidate) -> tuple[float, str, str]:
    return -one.score, one.citycode, one.street or ""


def _held(found: Sequence[_Found]) -> list[Candidate]:
    """Sort the answers and hold the best under the acceptance score if another is as good, or its street fits better."""
    ordered = sorted(found, key=lambda one: _order(one.candidate))
    if not ordered or ordered[0].candidate.score < ACCEPT_SCORE:
        return [one.candidate for one in ordered]
    first, others = ordered[0], ordered[1:]
    margin = _EQUAL if first.evidence > _SURE_OF_BOTH else _TOO_CLOSE
    close = any(one.candidate.score > first.candidate.score - margin for one in others)
    as_like = first.evidence - _EQUAL if first.evidence <= _SURE_OF_BOTH else first.evidence
    doubted = any(one.evidence > as_like for one in others)
    if not close and not doubted:
        return [one.candidate for one in ordered]
    return [replace(one.candidate, score=min(one.candidate.score, _UNSURE_SCORE)) for one in ordered]
