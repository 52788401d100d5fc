"""The communes of France by name and postcode, from La Poste's file of postcodes (39,000 rows, a few MB in memory).

The geocoder needs it for names that no address has any more (merged communes, the post office's short label) and to know that
a town lies elsewhere, so that it is not taken for one of a like name.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from geo.address_files import PostcodeRow
from geo.street_words import city_key


class Communes:
    """Commune codes by any of their names, and by postcode."""

    def __init__(self, rows: Iterable[PostcodeRow]) -> None:
        self._by_name: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_postcode: dict[str, dict[str, None]] = defaultdict(dict)
        self._names: dict[str, dict[str, None]] = defaultdict(dict)
        for row in rows:
            self._by_postcode[row.postcode][row.citycode] = None
            for name in (row.city, row.label, row.place):
                if name:
                    self._by_name[city_key(name)][row.citycode] = None
                    self._names[row.citycode][city_key(name)] = None

    def named(self, key: str) -> Sequence[str]:
        """List the codes of the communes that have this `city_key` as name, post label or former commune."""
        return list(self._by_name.get(key, ()))

    def of_postcode(self, postcode: str) -> Sequence[str]:
        """List the codes of the communes of a postcode."""
        return list(self._by_postcode.get(postcode, ()))

    def names_of(self, citycode: str) -> Sequence[str]:
        """List the names of a commune, as `city_key` writes them."""
        return list(self._names.get(citycode, ()))
