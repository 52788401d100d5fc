"""How people write an address wrongly: each kind of fault is a function of the address and a random source.

A fault that cannot be made of an address (no article to drop, no second word to swap) answers None, and the address counts
for the other kinds only. The abbreviations here are those of senders, not the geocoder's own list.
"""

import random
import string
import unicodedata
from collections.abc import Callable, Mapping

from geo.addresses import Address, format_lines, one_line

SHORT = {
    "Rue": ("R.", "r", "R"), "Avenue": ("Av.", "av", "Ave"), "Boulevard": ("Bd", "Bld", "Boul."), "Chemin": ("Ch.", "Che", "Chem."),
    "Impasse": ("Imp.", "imp"), "Place": ("Pl.", "pl"), "Route": ("Rte", "rte"), "Allée": ("All.", "all"), "Square": ("Sq.",),
    "Lotissement": ("Lot.", "LOT"), "Quartier": ("Quart.", "QUA"), "Résidence": ("Rés.", "RES"), "Faubourg": ("Fbg", "Fg"),
    "Passage": ("Pass.", "Pas"), "Cours": ("Crs",), "Montée": ("Mtée", "MTE"), "Saint": ("St", "St."), "Sainte": ("Ste",),
    "Général": ("Gal", "Gén.", "gal"), "Maréchal": ("Mal", "Mal."), "Docteur": ("Dr", "Dr."), "Commandant": ("Cdt",),
    "Capitaine": ("Cne", "Cap."), "Colonel": ("Col.",), "Lieutenant": ("Lt",), "Président": ("Pdt", "Prés."),
    "Professeur": ("Pr", "Prof."), "Monseigneur": ("Mgr",),
}  # fmt: skip
ARTICLES = ("de la ", "de l'", "des ", "du ", "de ", "d'", "aux ", "au ")
_KEYS = "azertyuiop qsdfghjklm wxcvbn"

Fault = Callable[[Address, random.Random], str | None]


def mistyped(text: str, rng: random.Random) -> str:
    """Leave out, add, replace, double or exchange one letter of the text; digits stay."""
    places = [i for i, letter in enumerate(text) if letter.isalpha()]
    if not places:
        return text
    at, kind = rng.choice(places), rng.randrange(5)
    letter = rng.choice(string.ascii_lowercase) if kind < 4 else text[at]
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1 and at + 1 < len(text):
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 2:
        return text[:at] + letter + text[at + 1 :]
    return text[:at] + letter + text[at:]


def without_accents(text: str) -> str:
    """Drop the accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def written(address: Address, *, street: str | None = None, postcode: str | None = "", city: str | None = "") -> str:
    """Write the address with a part of it changed; None leaves the part out."""
    return one_line(
        Address(
            address.house_number,
            address.repetition,
            street or address.street,
            address.postcode if postcode == "" else postcode,
            address.city if city == "" else city,
        )
    )


def _abbreviated(address: Address, rng: random.Random) -> str | None:
    words = (address.street or "").replace("-", " ").split()
    short = [rng.choice(SHORT[word]) if word in SHORT else word for word in words]
    return written(address, street=" ".join(short)) if short != words else None


def _no_article(address: Address, rng: random.Random) -> str | None:
    del rng
    street = address.street or ""
    found = next((one for one in ARTICLES if f" {one}" in f" {street}" and not street.startswith(one)), None)
    return written(address, street=f" {street}".replace(f" {found}", " ", 1).strip()) if found else None


def _other_article(address: Address, rng: random.Random) -> str | None:
    kind, _, rest = (address.street or "").partition(" ")
    if not rest:
        return None
    plain = next((rest[len(one) :] for one in ARTICLES if rest.lower().startswith(one)), rest)
    return written(address, street=f"{kind} {rng.choice(ARTICLES)}{plain}")


def _swapped(address: Address, rng: random.Random) -> str | None:
    words = (address.street or "").split()
    if len(words) < 3:
        return None
    at = rng.randrange(1, len(words) - 1)
    words[at], words[at + 1] = words[at + 1], words[at]
    return written(address, street=" ".join(words))


def _cedex(address: Address, rng: random.Random) -> str:
    postcode = f"{(address.postcode or '')[:3]}{rng.randrange(1, 100):02d}"
    return written(address, postcode=postcode, city=f"{address.city} CEDEX {rng.choice(('', '1', '9'))}".strip())


def _range(address: Address, rng: random.Random) -> str | None:
    if address.house_number is None or address.repetition:
        return None
    joint = rng.choice(("-", "/", " à ", " - ", " et "))
    return (
        f"{address.house_number}{joint}{address.house_number + 2}{written(address)[len(str(address.house_number)) :]}"
    )


def _mark(address: Address, rng: random.Random) -> str | None:
    if address.house_number is None or not address.repetition:
        return None
    mark = address.repetition
    if mark in {"BIS", "TER", "QUATER"}:
        mark = rng.choice((mark.lower(), mark, mark.title(), mark[0], mark[0].lower()))
    else:
        mark = rng.choice((mark, mark.lower()))
    bare = written(Address(None, None, address.street, address.postcode, address.city))
    return f"{address.house_number}{rng.choice(('', ' ', '-', ', '))}{mark}{rng.choice((' ', ', '))}{bare}"


def _number_last(address: Address, rng: random.Random) -> str | None:
    if address.house_number is None:
        return None
    mark = f" {address.repetition.lower()}" if address.repetition else ""
    return f"{address.street}{rng.choice((' ', ', ', ' n° '))}{address.house_number}{mark}, {address.postcode} {address.city}"


def _wrong_postcode(address: Address, rng: random.Random) -> str:
    return written(address, postcode=f"{(address.postcode or '')[:2]}{rng.randrange(1000):03d}")


def _people_above(address: Address, rng: random.Random) -> str:
    above = rng.choice(
        (("Mme Rose Petit", "Appt 12 Esc B"), ("M. et Mme Paul Martin",), ("Société Durand et Fils", "Bât. 3, 2e étage"),
         ("Melle Le Goff", "Chez M. Roux", "Résidence du Parc"))
    )  # fmt: skip
    street, town = written(address, postcode=None, city=None), f"{address.postcode} {address.city}"
    return rng.choice(("\n", ", ")).join((*above, street, town))


def _words_around(address: Address, rng: random.Random) -> str:
    street = written(address, postcode=None, city=None)
    before = rng.choice(("", "Mme Dupont ", "SARL Durand ", "Résidence les Pins ", "M. Roux appt 3 "))
    after = rng.choice(("", " bat B", " appt 12", " Résidence du Parc", " BP 120"))
    return f"{before}{street}{after} {address.postcode} {address.city}"


def _run_together(address: Address, rng: random.Random) -> str | None:
    del rng
    kind = (address.street or "").partition(" ")[0]
    if address.repetition or kind not in SHORT:
        return None
    return f"{address.house_number}{address.street} {address.postcode}{address.city}"


def _no_type(address: Address, rng: random.Random) -> str | None:
    del rng
    kind, _, rest = (address.street or "").partition(" ")
    return written(address, street=rest) if kind in SHORT and len(rest) > 3 else None


def _initial(address: Address, rng: random.Random) -> str | None:
    words = (address.street or "").split()
    if len(words) != 3 or not all(word[0].isupper() and len(word) > 3 for word in words[1:]):
        return None
    words[1] = words[1][0] + rng.choice((".", ""))
    return written(address, street=" ".join(words))


FAULTS: Mapping[str, Fault] = {
    "exact": lambda a, _: written(a),
    "exact, no comma": lambda a, _: written(a).replace(",", ""),
    "norm lines": lambda a, _: "\n".join(format_lines(a)),
    "abbreviated": _abbreviated,
    "lower case": lambda a, _: written(a).lower(),
    "upper case": lambda a, _: written(a).upper(),
    "no accents": lambda a, _: without_accents(written(a)),
    "no postcode": lambda a, _: f"{written(a, postcode=None, city=None)} {a.city}",
    "no city": lambda a, _: f"{written(a, postcode=None, city=None)} {a.postcode}",
    "typo in street": lambda a, r: written(a, street=mistyped(a.street or "", r)),
    "two typos in street": lambda a, r: written(a, street=mistyped(mistyped(a.street or "", r), r)),
    "typos in street and city": lambda a, r: written(a, street=mistyped(a.street or "", r), city=mistyped(a.city or "", r)),
    "typo, no postcode": lambda a, r: f"{written(a, street=mistyped(a.street or '', r), postcode=None, city=None)} {a.city}",
    "typo, no city": lambda a, r: f"{written(a, street=mistyped(a.street or '', r), postcode=None, city=None)} {a.postcode}",
    "typo in city, no postcode": lambda a, r: written(a, postcode=None, city=mistyped(a.city or "", r)),
    "wrong postcode": _wrong_postcode,
    "no article": _no_article,
    "other article": _other_article,
    "swapped words": _swapped,
    "no street type": _no_type,
    "initial": _initial,
    "cedex": _cedex,
    "bis and ter": _mark,
    "range": _range,
    "number last": _number_last,
    "town first": lambda a, _: f"{a.postcode} {a.city}, {written(a, postcode=None, city=None)}",
    "people and building": _people_above,
    "words around, no comma": _words_around,
    "run together": _run_together,
}  # fmt: skip
