"""The geocoder as one of geopy's: put it where a program has `Nominatim(...)` or `BANFrance(...)`, and nothing leaves the machine.

places = LocalGeocoder.from_rows(row for row in read_addresses(file) if isinstance(row, AddressRow))
places.geocode("12 bis rue de la Paix, 93140 Bondy").raw["ban_id"]
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from geopy.adapters import BaseSyncAdapter
from geopy.exc import GeocoderQueryError
from geopy.geocoders.base import DEFAULT_SENTINEL
from geopy.geocoders.base import Geocoder as GeopyGeocoder
from geopy.location import Location
from geopy.point import Point

from geo.address_files import AddressRow
from geo.address_parts import address_of
from geo.addresses import REVIEW_SCORE, Address, Candidate, Geocoder, MemoryStore, Store, one_line, parse
from geo.reverse import Grid

WITHIN_M = 100.0
_FRANCE = frozenset({"france", "fr", "fra"})


class _NoNetwork(BaseSyncAdapter):  # type: ignore[misc]  # geopy has no types
    """The adapter of a geocoder that asks nobody."""

    def __init__(self) -> None:
        super().__init__(proxies=None, ssl_context=None)

    def get_json(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> NoReturn:
        raise NotImplementedError

    get_text = get_json


class LocalGeocoder(GeopyGeocoder):  # type: ignore[misc]  # geopy has no types
    """A geopy geocoder over a store of known addresses; reverse needs them in a `Grid` too.

    Every `Location.raw` has score (0..1), kind (housenumber, interpolated, street, municipality), house_number, repetition,
    street, postcode, city, citycode, lat, lon, ban_id and quality; a reverse one also distance_m. `citycode` is the commune
    assumed where a query names none.
    """

    def __init__(
        self,
        store: Store,
        places: Grid | None = None,
        *,
        citycode: str | None = None,
        least_score: float = REVIEW_SCORE,
        within_m: float = WITHIN_M,
    ) -> None:
        super().__init__(adapter_factory=lambda **_options: _NoNetwork())
        self._geocoder, self._places = Geocoder(store), places
        self._citycode, self._least_score, self._within_m = citycode, least_score, within_m

    @classmethod
    def from_rows(cls, rows: Iterable[AddressRow], **options: Any) -> "LocalGeocoder":
        """Make one of reference addresses in memory; `options` are those of the class."""
        known = list(rows)
        return cls(MemoryStore.from_rows(known), Grid(known), **options)

    def geocode(
        self,
        query: str | Mapping[str, Any],
        *,
        exactly_one: bool = True,
        timeout: object = DEFAULT_SENTINEL,
        limit: int = 5,
    ) -> Location | list[Location] | None:
        """Find an address given as text or in parts (street, city, postalcode, country; or those of `Address`).

        One Location, a list of at most `limit`, best first, or None; answers under `least_score` are none. `timeout` is taken
        and not needed. GeocoderQueryError for a query that is neither text nor parts.
        """
        del timeout
        wanted = _wanted(query)
        if wanted is None:
            return None
        found = self._geocoder.search(wanted, citycode=self._citycode, limit=max(1, limit))
        return _shown([_location(one) for one in found if one.score >= self._least_score], exactly_one=exactly_one)

    def reverse(
        self,
        query: Point | str | tuple[float, float],
        *,
        exactly_one: bool = True,
        timeout: object = DEFAULT_SENTINEL,
        limit: int = 5,
    ) -> Location | list[Location] | None:
        """Find the known addresses nearest to a place (lat, lon) within `within_m` metres: one, a list, or None.

        ValueError for a place that is none, as geopy's own.
        """
        del timeout
        point = query if isinstance(query, Point) else Point(query)
        if self._places is None:
            return None
        near = self._places.nearest(point.latitude, point.longitude, within_m=self._within_m, limit=max(1, limit))
        found = [_location(one.candidate(self._within_m), distance_m=round(one.distance_m, 1)) for one in near]
        return _shown(found, exactly_one=exactly_one)


def _wanted(query: str | Mapping[str, Any]) -> Address | None:
    """Read a query; None where it names another country."""
    if isinstance(query, str):
        return parse(query)
    if not isinstance(query, Mapping):
        raise GeocoderQueryError("A query is text, or a mapping of an address's parts.")
    country = str(query.get("country") or "france").strip().lower()
    return address_of(query) if country in _FRANCE else None


def _location(found: Candidate, **more: object) -> Location:
    return Location(one_line(found.address()), (found.lat, found.lon), {**asdict(found), **more})


def _shown(found: list[Location], *, exactly_one: bool) -> Location | list[Location] | None:
    if not found:
        return None
    return found[0] if exactly_one else found
