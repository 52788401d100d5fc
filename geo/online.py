"""Online geocoders as a second opinion: the BAN's, Nominatim, Photon, or an addok of one's own. The only I/O of this library.

What they say becomes a `Candidate` like any other, and its score is ours: how much the answer agrees with what was asked. They
are not believed: an answer that is too late, too long, not of the expected form, outside France or a redirect is no answer, and
says why. An address that is asked for leaves the machine: nothing here is used unless somebody chose to.
"""

import asyncio
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from geopy.adapters import AdapterHTTPError, AioHTTPAdapter
from geopy.exc import GeocoderParseError, GeocoderServiceError, GeocoderTimedOut, GeopyError
from geopy.extra.rate_limiter import AsyncRateLimiter
from geopy.geocoders import BANFrance, Nominatim, Photon
from rapidfuzz import fuzz

from geo.addresses import Address, Candidate, city_key, one_line, parse, split_number, street_key
from geo.breaker import Breaker
from geo.errors import BadOnlineGeocoder
from geo.street_words import capitals

TIMEOUT_S = 2.0
MOST_BYTES = 262_144
_MOST_ANSWERS, _LONGEST_TEXT, _CACHED, _WAITING = 5, 200, 1_000, 20
_POLITE_S, _OWN_S = 1.0, 0.02  # the public Nominatim and Photon ask for one request a second at most
_HOSTS = {"ban": "data.geopf.fr/geocodage", "nominatim": "nominatim.openstreetmap.org", "photon": "photon.komoot.io"}
_PUBLIC_AND_SLOW = frozenset({_HOSTS["nominatim"], _HOSTS["photon"]})
_CHOICE = re.compile(r"(?:(?P<kind>ban|nominatim|photon)(?:@(?P<at>https?://\S+))?|(?P<url>https?://\S+))")
_FRANCE = (  # south, north, west, east: the mainland and Corsica, then the overseas parts, each alone
    (41.2, 51.3, -5.6, 9.8), (14.3, 18.2, -63.3, -60.7), (2.0, 6.0, -54.8, -51.5), (-21.5, -20.7, 55.1, 56.0),
    (-13.1, -12.5, 44.9, 45.4), (46.6, 47.3, -56.6, -56.0), (-23.0, -19.4, 158.0, 172.2), (-28.0, -7.7, -155.0, -134.0),
)  # fmt: skip
_FRENCH_CODES = frozenset("FR GP MQ GF RE YT PM BL MF NC PF WF".split())


@dataclass(frozen=True, slots=True)
class OnlineAnswer:
    """What an online geocoder said, best first; `fault` says in a word why there is nothing to go by, else it is None."""

    found: tuple[Candidate, ...]
    fault: str | None = None


class OnlineGeocoder:
    """Ask one online geocoder: one request at a time slot, answers kept by normalised text, and a rest after faults.

    `choice` is `ban`, `nominatim`, `photon`, one of these at an address of its own (`photon@https://host`), or the address of
    an addok (`https://host/path`). `user_agent` names the operator, as the public ones demand. Use it as `async with`.
    """

    def __init__(
        self,
        choice: str,
        *,
        user_agent: str,
        timeout_s: float = TIMEOUT_S,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind, scheme, host = _read_choice(choice)
        self.host = host.partition("/")[0]
        options = {"domain": host, "scheme": scheme, "user_agent": user_agent, "adapter_factory": _CarefulAdapter}
        maker = {"ban": BANFrance, "nominatim": Nominatim, "photon": Photon}[self.kind]
        self._geocoder = maker(timeout=timeout_s, **options)
        self._ask = AsyncRateLimiter(
            self._geocoder.geocode,
            min_delay_seconds=_POLITE_S if self.host in _PUBLIC_AND_SLOW else _OWN_S,
            max_retries=0,
            swallow_exceptions=False,
        )
        self._breaker, self._clock, self._waiting = breaker or Breaker(), clock, 0
        self._known: OrderedDict[str, tuple[Candidate, ...]] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._geocoder.__aexit__(*error)

    async def search(self, text: str | Address) -> OnlineAnswer:
        """Ask for an address. Never raises for what the other side does; the fault is in the answer.

        Faults: empty, resting (too many faults lately), busy (too many are waiting), timeout, too_long, redirected, refused
        (an HTTP error), unreadable (no JSON, or not of the expected form), unreachable.
        """
        wanted = parse(text) if isinstance(text, str) else text
        asked = one_line(wanted)[:_LONGEST_TEXT]
        key = capitals(asked)
        if not key:
            return OnlineAnswer((), "empty")
        if key in self._known:
            self._known.move_to_end(key)
            return OnlineAnswer(self._known[key])
        if self._waiting >= _WAITING:
            return OnlineAnswer((), "busy")
        if not self._breaker.allows(self._clock()):
            return OnlineAnswer((), "resting")
        answer = await self._asked(asked, wanted)
        if answer.fault is None:
            self._known[key] = answer.found
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return answer

    async def _asked(self, asked: str, wanted: Address) -> OnlineAnswer:
        more: dict[str, Any] = {"nominatim": {"addressdetails": True, "country_codes": "fr"}}.get(self.kind, {})
        self._waiting += 1
        answer = OnlineAnswer((), "cut_off")
        try:
            found = await self._ask(asked, exactly_one=False, limit=_MOST_ANSWERS, **more)
            raw = [location.raw for location in found or ()]
            answer = OnlineAnswer(tuple(sorted(_candidates(self.kind, raw, wanted), key=lambda one: -one.score)))
        except (GeopyError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            answer = OnlineAnswer((), _fault_of(error))
        finally:
            self._waiting -= 1
            if answer.fault is None:
                self._breaker.succeeded()
            else:
                self._breaker.failed(self._clock())
        return answer


def _read_choice(choice: str) -> tuple[str, str, str]:
    """Read a choice as (kind, scheme, host and path). BadOnlineGeocoder."""
    found = _CHOICE.fullmatch(choice.strip())
    if found is None:
        raise BadOnlineGeocoder
    kind, at = found["kind"] or "ban", found["at"] or found["url"]
    if at is None:
        return kind, "https", _HOSTS[kind]
    try:
        parts = urlsplit(at)
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        usable = False
    if not usable:
        raise BadOnlineGeocoder
    return kind, parts.scheme, f"{parts.netloc}{parts.path}".rstrip("/")


class _TooLong(GeocoderServiceError):  # type: ignore[misc]  # geopy has no types
    """The answer is longer than any honest one."""


class _Redirected(GeocoderServiceError):  # type: ignore[misc]
    """The answer is a redirect: where it leads was not chosen by anybody here."""


class _CarefulAdapter(AioHTTPAdapter):  # type: ignore[misc]
    """geopy's adapter, without redirects, with a bound on the answer, and passing on only what has the expected form."""

    async def get_json(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> Any:  # noqa: ASYNC109 - geopy's
        """Get a URL. GeocoderParseError, GeocoderTimedOut and other GeopyErrors."""
        text = await self.get_text(url, timeout=timeout, headers=headers)
        try:
            return _usable(json.loads(text))
        except (ValueError, RecursionError):
            raise GeocoderParseError from None

    async def get_text(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> str:  # noqa: ASYNC109 - geopy's
        """Get a URL as text, all of it within `timeout` seconds."""
        with self._normalize_exceptions():
            async with self._request(url, timeout=timeout, headers=headers) as answer:
                if 300 <= answer.status < 400:
                    raise _Redirected
                if answer.status >= 400:
                    raise AdapterHTTPError("refused", status_code=answer.status, headers=answer.headers, text="")
                body = bytearray()
                async for chunk in answer.content.iter_chunked(16_384):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise _TooLong
        return body.decode("utf-8", "replace")

    def _request(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> Any:
        parts = urlsplit(url)
        proxy = None if proxy_bypass(parts.hostname or "") else self.proxies.get(parts.scheme)
        plain = {**headers, "Accept-Encoding": "identity"}  # a packed answer could be larger than it looks
        return self.session.get(
            url, timeout=timeout, headers=plain, proxy=proxy, ssl=self.ssl_context or True, allow_redirects=False
        )


def _usable(answer: Any) -> Any:
    """Keep what has a place in France and an address, and of its words only text; ValueError for what is no list of places."""
    if isinstance(answer, dict) and isinstance(answer.get("features"), list):
        return {"features": [_feature(one, lat, lon) for one, lat, lon in _members(answer["features"], "properties")]}
    if isinstance(answer, list):
        members = _members(answer, "address")
        return [{"lat": lat, "lon": lon, "display_name": "", "address": one} for one, lat, lon in members]
    raise ValueError


def _members(found: list[Any], words: str) -> Iterator[tuple[dict[str, str], float, float]]:
    for member in found:
        said = member.get(words) if isinstance(member, dict) else None
        if isinstance(said, dict):
            lat, lon = _place(member)
            if _in_france(lat, lon):
                yield {name: value for name, value in said.items() if isinstance(value, str)}, lat, lon


def _feature(said: dict[str, str], lat: float, lon: float) -> dict[str, Any]:
    return {"geometry": {"coordinates": [lon, lat]}, "properties": {"label": "", **said}}


def _place(member: Mapping[str, Any]) -> tuple[float, float]:
    """Read (lat, lon) of a GeoJSON feature or of Nominatim's object; (nan, nan) where there is none."""
    geometry = member.get("geometry")
    named = (member.get("lon"), member.get("lat"))
    pair = geometry.get("coordinates") if isinstance(geometry, dict) else named
    if not isinstance(pair, (list, tuple)) or len(pair) < 2 or any(isinstance(each, bool) for each in pair):
        return math.nan, math.nan
    try:
        return float(pair[1]), float(pair[0])
    except (TypeError, ValueError, OverflowError):
        return math.nan, math.nan


def _in_france(lat: float, lon: float) -> bool:
    """Tell whether a place is in France; no swapped pair of coordinates of such a place is."""
    return any(south <= lat <= north and west <= lon <= east for south, north, west, east in _FRANCE)


def _candidates(kind: str, found: list[Mapping[str, Any]], wanted: Address) -> Iterator[Candidate]:
    for member in found[:_MOST_ANSWERS]:
        details = member["address" if kind == "nominatim" else "properties"]
        if _is_abroad(details):
            continue
        lat, lon = _place(member)
        answer, citycode, ban_id = _nominatim(details) if kind == "nominatim" else _properties(details)
        if not answer.city:
            continue
        level = "housenumber" if answer.house_number is not None else "street" if answer.street else "municipality"
        yield Candidate(
            score=agreement(wanted, answer),
            kind=level,
            house_number=answer.house_number,
            repetition=answer.repetition,
            street=answer.street,
            postcode=answer.postcode,
            city=answer.city,
            citycode=citycode or "",
            lat=lat,
            lon=lon,
            ban_id=ban_id if level == "housenumber" else None,
        )


def _is_abroad(said: Mapping[str, Any]) -> bool:
    code = _text(said.get("countrycode")) or _text(said.get("country_code"))
    return code is not None and code.upper() not in _FRENCH_CODES


def _properties(said: Mapping[str, Any]) -> tuple[Address, str | None, str | None]:
    """Read the properties of the BAN and addok, and of Photon, which differ in what `name` and `type` mean."""
    level = _text(said.get("type"))
    name = _text(said.get("name"))
    is_town = level in {"municipality", "city", "town", "village", "district", "county", "state"}
    street = _text(said.get("street")) or (None if is_town or _text(said.get("housenumber")) else name)
    city = _text(said.get("city")) or (name if is_town else None)
    read = _address(_text(said.get("housenumber")), street, _text(said.get("postcode")), city)
    return read, _text(said.get("citycode")), _text(said.get("id"))


def _nominatim(said: Mapping[str, Any]) -> tuple[Address, str | None, str | None]:
    town = next(
        (_text(said[name]) for name in ("city", "town", "village", "municipality", "hamlet") if said.get(name)), None
    )
    street = next((_text(said[name]) for name in ("road", "pedestrian", "place") if said.get(name)), None)
    return _address(_text(said.get("house_number")), street, _text(said.get("postcode")), town), None, None


def _address(number: str | None, street: str | None, postcode: str | None, city: str | None) -> Address:
    house_number, repetition, _ = split_number(f"{number or ''} rue")
    known = house_number if number else None
    return Address(known, repetition if known is not None else None, street, postcode, city)


def _text(value: Any) -> str | None:
    """Take a short printable text; anything else is none."""
    if not isinstance(value, str):
        return None
    return "".join(each for each in value[:_LONGEST_TEXT] if each.isprintable()).strip() or None


def agreement(wanted: Address, answer: Address) -> float:
    """Score how much an answer agrees with what was asked: 1 for the same number, street and town, 0 for nothing alike.

    The street counts as its likeness, a missing number 0.7, another repetition 0.88, another number 0.3; the town 1 by
    postcode and name, 0.95 by one of them, 0.8 where none was asked for, else 0.5.
    """
    street = 1.0
    if wanted.street:
        street = fuzz.ratio(street_key(wanted.street), street_key(answer.street or "")) / 100
    number = 1.0
    if wanted.house_number is not None:
        same = answer.house_number == wanted.house_number
        number = 0.7 if answer.house_number is None else 0.3 if not same else 1.0
        if same and answer.repetition != wanted.repetition:
            number = 0.88
    asked = [wanted.postcode, wanted.city]
    agrees = [
        wanted.postcode == answer.postcode,
        fuzz.ratio(city_key(wanted.city or ""), city_key(answer.city or "")) >= 85,
    ]
    told = [agree for part, agree in zip(asked, agrees, strict=True) if part]
    town = 0.8 if not told else 1.0 if all(told) else 0.95 if any(told) else 0.5
    return street * number * town


def _fault_of(error: Exception) -> str:
    if isinstance(error.__cause__, AdapterHTTPError):
        return "refused"
    if isinstance(error, _TooLong):
        return "too_long"
    if isinstance(error, _Redirected):
        return "redirected"
    if isinstance(error, (GeocoderTimedOut, asyncio.TimeoutError)):
        return "timeout"
    if isinstance(error, (GeocoderParseError, LookupError, TypeError, ValueError, AttributeError)):
        return "unreadable"
    return "unreachable"
