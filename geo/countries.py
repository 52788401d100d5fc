"""Addresses outside France, told by their last line: nobody here delivers there, and no French answer fits them."""

import re
from collections.abc import Sequence

from geo.street_words import ARTICLES, capitals

_FRANCE = frozenset({"FRANCE", "REPUBLIQUE FRANCAISE", "FR"})
_ABROAD = frozenset(
    {
        "ALGERIE", "ALLEMAGNE", "ANDORRE", "ANDORRA", "ANGLETERRE", "AUSTRIA", "AUTRICHE", "BELGIE", "BELGIEN", "BELGIQUE", "BELGIUM",
        "BRASIL", "BRESIL", "CANADA", "CHINE", "CROATIE", "CZECHIA", "DANEMARK", "DANMARK", "DENMARK", "DEUTSCHLAND", "ECOSSE",
        "ENGLAND", "ESPAGNE", "ESPANA", "ETATS UNIS", "FINLANDE", "GERMANY", "GRANDE BRETAGNE", "GRECE", "GREAT BRITAIN", "GREECE",
        "HONGRIE", "IRELAND", "IRLANDE", "ISRAEL", "ITALIA", "ITALIE", "ITALY", "JAPON", "LIECHTENSTEIN", "LUXEMBOURG", "LUXEMBURG",
        "MAROC", "MEXIQUE", "MONACO", "MOROCCO", "NEDERLAND", "NETHERLANDS", "NORVEGE", "OSTERREICH", "PAYS BAS", "POLAND",
        "POLOGNE", "POLSKA", "PORTUGAL", "REPUBLIQUE TCHEQUE", "ROUMANIE", "ROYAUME UNI", "SCHWEIZ", "SCOTLAND", "SENEGAL", "SPAIN",
        "SUEDE", "SUISSE", "SVIZZERA", "SWEDEN", "SWITZERLAND", "THE NETHERLANDS", "TUNISIE", "TURQUIE", "UK", "UKRAINE",
        "UNITED KINGDOM", "UNITED STATES", "USA",
    }
)  # fmt: skip
_PREFIXED = re.compile(r"(?:^|[ ,;])(A|AT|B|BE|CH|D|DE|E|ES|GB|I|IT|L|LU|NL|P|PT|UK)-\d{4,5}(?= |$)")
_CODE = re.compile(r"(?:^|[ ,;])\d{4,5}(?: [A-Z]{2})?[ ,;]")


def take_country(lines: Sequence[str]) -> tuple[list[str], str | None]:
    """Take the country off the end of the lines; return what is left and the country, None for France or none written.

    A country is a last line or a last part after a comma, a word that ends a line with a postcode (`1000 Bruxelles Belgique`),
    or the prefix of a postcode (`B-1000`).
    """
    if not lines:
        return [], None
    head, _, tail = lines[-1].rpartition(",")
    word = capitals(tail)
    if word in _FRANCE or word in _ABROAD:
        left = [*lines[:-1], *([head.strip(" ,;")] if head.strip(" ,;") else [])]
        return left, None if word in _FRANCE else word
    country = _last_words(lines[-1])
    if country:
        words = lines[-1].split()
        return [*lines[:-1], " ".join(words[: -len(country.split())])], None if country in _FRANCE else country
    prefix = _PREFIXED.search(lines[-1])
    return list(lines), prefix[1] if prefix else None


def _last_words(line: str) -> str | None:
    """Find a country at the end of a line that has a postcode; `rue de Belgique` is a street."""
    words = capitals(line).split()
    if len(words) != len(line.split()):
        return None
    for count in (2, 1):
        name, before = " ".join(words[-count:]), words[:-count]
        named = name in _ABROAD or name in _FRANCE
        if named and len(before) > 1 and before[-1] not in ARTICLES and _CODE.search(" ".join(before) + " "):
            return name
    return None
