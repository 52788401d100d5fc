"""French street labels in one written form, so that two spellings of a street compare equal.

The steps are those of a RNVP treatment (geo design C1): capitals, no accents, punctuation to spaces, types and titles in
full, ordinals in one form; articles and number words are dropped or turned only for comparison.
"""

import re
import unicodedata
from functools import lru_cache

# Abbreviations of the first word of a label (or of the first after a number word such as GRANDE).
TYPES = {
    "AL": "ALLEE", "ALL": "ALLEE", "AV": "AVENUE", "AVE": "AVENUE", "BD": "BOULEVARD", "BLD": "BOULEVARD",
    "BVD": "BOULEVARD", "BOUL": "BOULEVARD", "CAR": "CARREFOUR", "CARR": "CARREFOUR", "CH": "CHEMIN", "CHE": "CHEMIN",
    "CHEM": "CHEMIN", "CHS": "CHAUSSEE", "CITE": "CITE", "CR": "CHEMIN RURAL", "CRS": "COURS", "CLOS": "CLOS",
    "COUR": "COUR", "DOM": "DOMAINE", "ESC": "ESCALIER", "ESP": "ESPLANADE", "FBG": "FAUBOURG", "FG": "FAUBOURG",
    "GR": "GRANDE RUE", "GRANDRUE": "GRANDE RUE", "HAM": "HAMEAU", "IMP": "IMPASSE", "LOT": "LOTISSEMENT",
    "LD": "LIEU DIT", "MAIL": "MAIL", "MTE": "MONTEE", "PAS": "PASSAGE", "PASS": "PASSAGE", "PL": "PLACE",
    "PLE": "PASSERELLE", "PROM": "PROMENADE", "PRV": "PARVIS", "PTE": "PORTE", "QU": "QUAI", "QUAI": "QUAI", "R": "RUE",
    "RES": "RESIDENCE", "RLE": "RUELLE", "ROC": "ROCADE", "RPT": "ROND POINT", "RD": "ROND POINT", "RTE": "ROUTE",
    "SEN": "SENTE", "SENT": "SENTIER", "SQ": "SQUARE", "TRA": "TRAVERSE", "VC": "VOIE COMMUNALE", "VLA": "VILLA",
    "VOI": "VOIE", "ZA": "ZONE ARTISANALE", "ZI": "ZONE INDUSTRIELLE",
}  # fmt: skip
_FULL_TYPES = frozenset(
    "ALLEE AVENUE BOULEVARD CARREFOUR CHEMIN CHAUSSEE CITE COURS CLOS COUR DOMAINE ESCALIER ESPLANADE FAUBOURG GRANDE "
    "HAMEAU IMPASSE LOTISSEMENT LIEU MAIL MONTEE PASSAGE PLACE PASSERELLE PROMENADE PARVIS PORTE QUAI RUE RESIDENCE "
    "RUELLE ROCADE ROND ROUTE SENTE SENTIER SQUARE TRAVERSE VOIE VILLA ZONE PLACETTE PONT VENELLE COTE LEVEE RAMPE "
    "GALERIE PETITE ANCIENNE VIEUX VIEILLE PETIT GRAND COURT CORNICHE QUARTIER".split()
)
# Abbreviations anywhere after the first word.
TITLES = {
    "ST": "SAINT", "STE": "SAINTE", "STS": "SAINTS", "GAL": "GENERAL", "GEN": "GENERAL", "MAL": "MARECHAL",
    "MAR": "MARECHAL", "DR": "DOCTEUR", "DOCT": "DOCTEUR", "CDT": "COMMANDANT", "CMDT": "COMMANDANT", "CAP": "CAPITAINE",
    "CPT": "CAPITAINE", "CNE": "CAPITAINE", "COL": "COLONEL", "LT": "LIEUTENANT", "LTN": "LIEUTENANT", "SGT": "SERGENT",
    "AMAL": "AMIRAL", "PDT": "PRESIDENT", "PRES": "PRESIDENT", "PR": "PROFESSEUR", "PROF": "PROFESSEUR",
    "MGR": "MONSEIGNEUR", "ND": "NOTRE DAME", "NTRE": "NOTRE", "ABBE": "ABBE", "FBG": "FAUBOURG", "FG": "FAUBOURG",
    "GDE": "GRANDE", "GD": "GRAND", "GDS": "GRANDS", "PTE": "PETITE", "PT": "PETIT", "VX": "VIEUX", "INF": "INFERIEURE",
    "PROL": "PROLONGEE", "CHAT": "CHATEAU", "BRIG": "BRIGADE", "DIV": "DIVISION", "REP": "REPUBLIQUE", "FR": "FRERES",
    "IMP": "IMPASSE", "AV": "AVENUE", "BD": "BOULEVARD", "RTE": "ROUTE", "CHE": "CHEMIN",
}  # fmt: skip
_ORDINALS = {
    "PREMIER": "1ER",
    "PREMIERE": "1ERE",
    "DEUXIEME": "2E",
    "SECOND": "2E",
    "TROISIEME": "3E",
    "QUATRIEME": "4E",
}
_NUMBERS = {
    "UN": "1", "DEUX": "2", "TROIS": "3", "QUATRE": "4", "CINQ": "5", "SIX": "6", "SEPT": "7", "HUIT": "8", "NEUF": "9",
    "DIX": "10", "ONZE": "11", "DOUZE": "12", "TREIZE": "13", "QUATORZE": "14", "QUINZE": "15", "SEIZE": "16", "VINGT": "20",
}  # fmt: skip
_ARTICLES = frozenset("DE DU DES LA LE LES L D AU AUX ET EN A SUR SOUS LES LEZ".split())
SHORT_TYPES = {
    "ALLEE": "ALL", "AVENUE": "AV", "BOULEVARD": "BD", "CARREFOUR": "CAR", "CHEMIN": "CHE", "CHAUSSEE": "CHS",
    "COURS": "CRS", "ESPLANADE": "ESP", "FAUBOURG": "FG", "HAMEAU": "HAM", "IMPASSE": "IMP", "LOTISSEMENT": "LOT",
    "MONTEE": "MTE", "PASSAGE": "PAS", "PLACE": "PL", "PROMENADE": "PROM", "RESIDENCE": "RES", "ROUTE": "RTE", "RUE": "R",
    "SENTIER": "SEN", "SQUARE": "SQ", "TRAVERSE": "TRA", "VILLA": "VLA", "DOMAINE": "DOM",
}  # fmt: skip
SHORT_TITLES = {
    "SAINT": "ST", "SAINTE": "STE", "GENERAL": "GAL", "MARECHAL": "MAL", "DOCTEUR": "DR", "COMMANDANT": "CDT",
    "CAPITAINE": "CNE", "COLONEL": "COL", "LIEUTENANT": "LT", "SERGENT": "SGT", "PRESIDENT": "PDT", "PROFESSEUR": "PR",
    "MONSEIGNEUR": "MGR",
}  # fmt: skip
_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"})
_ORDINAL = re.compile(r"^(\d+)(?:EME|IEME|E|ER|ERE|ND|NDE)$")


def capitals(text: str) -> str:
    """Write text in capitals A-Z, digits and single spaces."""
    plain = unicodedata.normalize("NFKD", text.translate(_LIGATURES)).upper()
    kept = (c if c.isascii() and c.isalnum() else "" if unicodedata.combining(c) else " " for c in plain)
    return " ".join("".join(kept).split())


def is_street_type(word: str) -> bool:
    """Tell whether a word in capitals begins a street label, abbreviated or in full."""
    return word in TYPES or word in _FULL_TYPES


def normalise_street(text: str) -> str:
    """Write a street label in full capitals: types, titles and ordinals expanded, articles kept."""
    words: list[str] = []
    for i, word in enumerate(capitals(text).split()):
        first = i == 0 or (i == 1 and words[0] in {"GRANDE", "PETITE", "ANCIENNE", "VIEILLE"})
        full = TYPES.get(word, word) if first else TITLES.get(word, word)
        full = _ORDINALS.get(full, full)
        number = _ORDINAL.match(full)
        if number:
            full = number[1] + ("ER" if number[1] == "1" else "E")
        words.extend(full.split())
    return " ".join(words)


@lru_cache(maxsize=65536)
def street_key(text: str) -> str:
    """Give the form in which streets are compared: normalised, without articles, number words as digits."""
    words = [_NUMBERS.get(word, word) for word in normalise_street(text).split()]
    kept = [word for word in words if word not in _ARTICLES]
    return " ".join(kept or words)


@lru_cache(maxsize=65536)
def city_key(text: str) -> str:
    """Give the form in which communes are compared: no CEDEX, SAINT in full, no articles."""
    words = re.sub(r"\bCEDEX\b.*", "", capitals(text)).split()
    full = [{"ST": "SAINT", "STE": "SAINTE"}.get(word, word) for word in words]
    kept = [word for word in full if word not in _ARTICLES]
    return " ".join(kept or full)
