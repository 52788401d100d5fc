"""French street labels in one written form, so that two spellings of a street compare equal.

The steps are those of a RNVP treatment (geo design C1): capitals, no accents, punctuation to spaces, types and titles in
full, ordinals in one form. Only for comparison, articles are dropped and small numbers are words: a typing error in
`QUATRE` stays close to it, and 8 MAI is as far from 11 NOVEMBRE as the words are.
"""

import re
import unicodedata
from functools import lru_cache

# Abbreviations of the first word of a label (or of the first after a word such as GRANDE).
TYPES = {
    "AL": "ALLEE", "ALL": "ALLEE", "ALS": "ALLEES", "AV": "AVENUE", "AVE": "AVENUE", "AVEN": "AVENUE", "BCLE": "BOUCLE",
    "BD": "BOULEVARD", "BLD": "BOULEVARD", "BLVD": "BOULEVARD", "BVD": "BOULEVARD", "BOUL": "BOULEVARD", "BRG": "BOURG",
    "CAR": "CARREFOUR", "CARR": "CARREFOUR", "CC": "CENTRE COMMERCIAL", "CD": "CHEMIN DEPARTEMENTAL", "CH": "CHEMIN",
    "CHE": "CHEMIN", "CHEM": "CHEMIN", "CHM": "CHEMIN", "CHS": "CHAUSSEE", "CITE": "CITE", "CLOS": "CLOS", "COUR": "COUR",
    "COTT": "COTTAGE", "CR": "CHEMIN RURAL", "CRS": "COURS", "CTRE": "CENTRE", "DOM": "DOMAINE", "DSC": "DESCENTE",
    "ENC": "ENCLOS", "ESC": "ESCALIER", "ESP": "ESPLANADE", "FBG": "FAUBOURG", "FG": "FAUBOURG",
    "GPL": "GRANDE PLACE", "GR": "GRANDE RUE", "GRANDRUE": "GRANDE RUE", "GDE": "GRANDE", "HAM": "HAMEAU", "HLE": "HALLE",
    "HLM": "HLM", "IMM": "IMMEUBLE", "IMP": "IMPASSE", "JARD": "JARDIN", "LD": "LIEU DIT", "LEV": "LEVEE",
    "LOT": "LOTISSEMENT", "LOTISS": "LOTISSEMENT", "MAIL": "MAIL", "MAR": "MARCHE", "MTE": "MONTEE", "PARC": "PARC",
    "PAS": "PASSAGE", "PASS": "PASSAGE", "PSG": "PASSAGE", "PL": "PLACE", "PLE": "PASSERELLE", "PLT": "PLATEAU",
    "PRK": "PARKING", "PROM": "PROMENADE", "PRV": "PARVIS", "PTE": "PORTE", "PTR": "PETITE RUE", "QU": "QUAI",
    "QUA": "QUARTIER", "QUAI": "QUAI", "QUART": "QUARTIER", "QRT": "QUARTIER", "QTR": "QUARTIER", "R": "RUE", "RD": "ROND POINT",
    "RES": "RESIDENCE", "RESID": "RESIDENCE", "RLE": "RUELLE", "RN": "ROUTE NATIONALE", "ROC": "ROCADE", "RPT": "ROND POINT",
    "RTE": "ROUTE", "SEN": "SENTE", "SENT": "SENTIER", "SQ": "SQUARE", "TERR": "TERRASSE", "TRA": "TRAVERSE",
    "TRAV": "TRAVERSE", "VC": "VOIE COMMUNALE", "VEN": "VENELLE", "VLA": "VILLA", "VLGE": "VILLAGE", "VOI": "VOIE",
    "VTE": "VIEILLE ROUTE", "ZA": "ZONE ARTISANALE", "ZAC": "ZAC", "ZI": "ZONE INDUSTRIELLE",
}  # fmt: skip
_FULL_TYPES = frozenset(
    "ALLEE ALLEES ANCIEN ANCIENNE AVENUE BOUCLE BOULEVARD CALE CARREFOUR CENTRE CHAUSSEE CHEMIN CHEMINEMENT CITE CLOS CORNICHE "
    "COTE COUR COURS COURT DESCENTE DEVIATION DOMAINE DRAILLE ENCLOS ESCALIER ESPLANADE FAUBOURG GALERIE GRAND GRANDE HALLE "
    "HAMEAU IMPASSE JARDIN LEVEE LIEU LOTISSEMENT MAIL MONTEE PARC PARVIS PASSAGE PASSERELLE PETIT PETITE PLACE PLACETTE PLACIS "
    "PONT PORT PORTE PROMENADE QUAI QUARTIER RACCOURCI RAMPE RESIDENCE ROCADE ROND ROTONDE ROUTE RUE RUELLE SENTE SENTIER SQUARE "
    "TERRASSE TRAVERSE VENELLE VIEILLE VIEUX VILLA VILLAGE VOIE ZAC ZONE".split()
)
# Words that a label keeps before its type: GRANDE RUE, ANCIENNE ROUTE.
_BEFORE_A_TYPE = frozenset("GRANDE GRAND PETITE PETIT ANCIENNE ANCIEN VIEILLE VIEUX NOUVELLE".split())
# Types that are as often the name of a building or an estate above the street.
PLACE_TYPES = frozenset(
    "CENTRE CITE CLOS COUR DOMAINE ENCLOS ESCALIER GALERIE GRAND HALLE HAMEAU JARDIN LIEU LOTISSEMENT PARC PETIT PORTE QUARTIER "
    "RESIDENCE VILLA VILLAGE ZAC ZONE".split()
)
# Abbreviations anywhere after the first word.
TITLES = {
    "ST": "SAINT", "STE": "SAINTE", "STS": "SAINTS", "STES": "SAINTES", "GAL": "GENERAL", "GEN": "GENERAL", "GL": "GENERAL",
    "GENE": "GENERAL", "MAL": "MARECHAL", "MAR": "MARECHAL", "MCAL": "MARECHAL", "DR": "DOCTEUR", "DOCT": "DOCTEUR",
    "CDT": "COMMANDANT", "CMDT": "COMMANDANT", "CAP": "CAPITAINE", "CPT": "CAPITAINE", "CNE": "CAPITAINE", "CAL": "CAPORAL",
    "COL": "COLONEL", "LT": "LIEUTENANT", "LTN": "LIEUTENANT", "SGT": "SERGENT", "ADJ": "ADJUDANT", "ADJT": "ADJUDANT",
    "AMAL": "AMIRAL", "PDT": "PRESIDENT", "PRES": "PRESIDENT", "PR": "PROFESSEUR", "PROF": "PROFESSEUR",
    "MGR": "MONSEIGNEUR", "MME": "MADAME", "MLLE": "MADEMOISELLE", "MELLE": "MADEMOISELLE", "CHAN": "CHANOINE",
    "ND": "NOTRE DAME", "NTRE": "NOTRE", "FBG": "FAUBOURG", "FG": "FAUBOURG", "GDE": "GRANDE", "GD": "GRAND",
    "GDS": "GRANDS", "GDES": "GRANDES", "HT": "HAUT", "HTE": "HAUTE", "PTE": "PETITE", "PT": "PETIT", "PTS": "PETITS",
    "VX": "VIEUX", "VLLE": "VIEILLE", "INF": "INFERIEURE", "SUP": "SUPERIEURE", "PROL": "PROLONGEE", "CHAT": "CHATEAU",
    "BRIG": "BRIGADE", "DIV": "DIVISION", "REP": "REPUBLIQUE", "FR": "FRERES", "IMP": "IMPASSE", "AV": "AVENUE",
    "BD": "BOULEVARD", "RTE": "ROUTE", "CHE": "CHEMIN", "CIAL": "COMMERCIAL", "IND": "INDUSTRIELLE", "SS": "SOUS",
}  # fmt: skip
_LAST = frozenset("INF SUP PROL FR ND REP CIAL IND".split())
_ALSO_WORDS = frozenset("CAL CAP COL MAR PRES".split())
# Titles and first names' company that people leave out; they weigh little in a comparison.
LIGHT_WORDS = frozenset(
    "GENERAL MARECHAL DOCTEUR COMMANDANT CAPITAINE COLONEL LIEUTENANT SERGENT AMIRAL PRESIDENT PROFESSEUR MONSEIGNEUR MADAME "
    "MADEMOISELLE ABBE CHANOINE PERE MAITRE FRERES CAPORAL ADJUDANT COMTE DUC SUR SOUS 1914 1918 1939 1944 1945 1954 1962".split()
)
MONTHS = frozenset(
    "JANVIER FEVRIER MARS AVRIL MAI JUIN JUILLET AOUT SEPTEMBRE OCTOBRE NOVEMBRE DECEMBRE".split()
)  # fmt: skip
_NUMBERS = tuple(
    "UN DEUX TROIS QUATRE CINQ SIX SEPT HUIT NEUF DIX ONZE DOUZE TREIZE QUATORZE QUINZE SEIZE DIX-SEPT DIX-HUIT DIX-NEUF VINGT "
    "VINGT-UN VINGT-DEUX VINGT-TROIS VINGT-QUATRE VINGT-CINQ VINGT-SIX VINGT-SEPT VINGT-HUIT VINGT-NEUF TRENTE TRENTE-UN".split()
)
_NUMBER_WORDS = {str(value): word.replace("-", " ") for value, word in enumerate(_NUMBERS, 1)}
_ORDINAL_WORDS = {
    "1E": "PREMIER", "1ER": "PREMIER", "2E": "DEUXIEME", "3E": "TROISIEME", "4E": "QUATRIEME", "5E": "CINQUIEME", "6E": "SIXIEME",
    "7E": "SEPTIEME", "8E": "HUITIEME", "9E": "NEUVIEME", "10E": "DIXIEME", "11E": "ONZIEME", "12E": "DOUZIEME",
}  # fmt: skip
_ORDINALS = {word: number for number, word in _ORDINAL_WORDS.items() if number != "1E"} | {
    "PREMIERE": "1ER", "SECOND": "2E", "SECONDE": "2E"
}  # fmt: skip
_ROMAN = {
    "II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9", "XI": "11", "XII": "12", "XIII": "13",
    "XIV": "14", "XV": "15", "XVI": "16", "XVIII": "18", "XXIII": "23",
}  # fmt: skip
ARTICLES = frozenset("DE DU DES LA LE LES L D AU AUX ET EN".split())
_CITY_ARTICLES = ARTICLES | {"SUR", "SOUS", "LES", "LEZ", "S", "SS", "SR"}
SHORT_TYPES = {
    "ALLEE": "ALL", "AVENUE": "AV", "BOULEVARD": "BD", "CARREFOUR": "CAR", "CHEMIN": "CHE", "CHAUSSEE": "CHS",
    "COURS": "CRS", "ESPLANADE": "ESP", "FAUBOURG": "FG", "HAMEAU": "HAM", "IMPASSE": "IMP", "LOTISSEMENT": "LOT",
    "MONTEE": "MTE", "PASSAGE": "PAS", "PLACE": "PL", "PROMENADE": "PROM", "QUARTIER": "QUA", "RESIDENCE": "RES",
    "ROUTE": "RTE", "RUE": "R", "SENTIER": "SEN", "SQUARE": "SQ", "TRAVERSE": "TRA", "VILLA": "VLA", "DOMAINE": "DOM",
}  # fmt: skip
SHORT_TITLES = {
    "SAINT": "ST", "SAINTE": "STE", "GENERAL": "GAL", "MARECHAL": "MAL", "DOCTEUR": "DR", "COMMANDANT": "CDT",
    "CAPITAINE": "CNE", "COLONEL": "COL", "LIEUTENANT": "LT", "SERGENT": "SGT", "PRESIDENT": "PDT", "PROFESSEUR": "PR",
    "MONSEIGNEUR": "MGR",
}  # fmt: skip
_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"})
_MARKS = re.compile("[\u0300-\u036f]+")
_NOT_A_WORD = re.compile("[^A-Z0-9]+")
_ORDINAL = re.compile(r"(\d{1,4})(?:EME|IEME|E|ER|ERE|ND|NDE)")
_ROAD = re.compile(r"\d{1,4}[A-Z]?")
_CEDEX = re.compile(r"\bCEDEX\b.*")
_DISTRICT = re.compile(r"(PARIS|LYON|MARSEILLE) \d{1,2}(?:E|ER|EME)?(?: ARR[A-Z]*)?")


def capitals(text: str) -> str:
    """Write text in capitals A-Z, digits and single spaces."""
    if not text.isascii():
        text = _MARKS.sub("", unicodedata.normalize("NFKD", text.translate(_LIGATURES)))
    return _NOT_A_WORD.sub(" ", text.upper()).strip()


def is_street_type(word: str) -> bool:
    """Tell whether a word in capitals begins a street label, abbreviated or in full."""
    return word in TYPES or word in _FULL_TYPES


def full_type(word: str) -> str:
    """Write a street type in full; another word comes back as it is."""
    return TYPES.get(word, word)


def normalise_street(text: str) -> str:
    """Write a street label in full capitals: types, titles and ordinals expanded, articles kept."""
    given = capitals(text).split()
    words: list[str] = []
    for i, word in enumerate(given):
        first = i == 0 or (i == 1 and words[0] in _BEFORE_A_TYPE)
        following = given[i + 1 : i + 2]
        full = _full_first(word, following) if first else _full_title(word, following)
        full = _ORDINALS.get(full, full)
        number = _ORDINAL.fullmatch(full)
        if number:
            full = number[1] + ("ER" if number[1] == "1" else "E")
        words.extend(full.split())
    if words[:2] == ["GRAND", "RUE"]:
        words[0] = "GRANDE"
    return " ".join(words)


def _full_first(word: str, following: list[str]) -> str:
    """Expand the first word; RD and D before a number are the department's roads, N a national one."""
    if following and _ROAD.fullmatch(following[0]) and word in {"RD", "D", "N"}:
        return "ROUTE NATIONALE" if word == "N" else "ROUTE DEPARTEMENTALE"
    return TYPES.get(word) or TITLES.get(word, word)


def _full_title(word: str, following: list[str]) -> str:
    """Expand a title before its name: `rue du Col`, `rue des Prés` and `col de Vence` have none."""
    if (not following and word not in _LAST) or (word in _ALSO_WORDS and following[0] in ARTICLES):
        return word
    return TITLES.get(word, word)


@lru_cache(maxsize=65536)
def street_key(text: str) -> str:
    """Give the form in which streets are compared: normalised, without articles, numbers up to 31 as words."""
    words = normalise_street(text).split()
    kept = [word for word in words if word not in ARTICLES]
    if len(kept) < 2 and words and words[-1] in {"D", "L"}:
        kept.append(words[-1])  # rue D
    return " ".join(
        _ORDINAL_WORDS.get(word) or _NUMBER_WORDS.get(_ROMAN.get(word, word), word) for word in kept or words
    )


def without_type(key: str) -> str:
    """Give a street key without its type: `GRANDE RUE` and keys of one word stay whole."""
    head, _, rest = key.partition(" ")
    if not rest or head not in _FULL_TYPES:
        return key
    second, _, name = rest.partition(" ")
    if head in _BEFORE_A_TYPE and second in _FULL_TYPES:
        return f"{head} {name}" if name else key
    return rest


@lru_cache(maxsize=65536)
def city_key(text: str) -> str:
    """Give the form in which communes are compared: no CEDEX, no district number, SAINT in full, no articles."""
    plain = _CEDEX.sub("", capitals(text)).strip()
    district = _DISTRICT.fullmatch(plain)
    words = [district[1]] if district else plain.split()
    full = [{"ST": "SAINT", "STE": "SAINTE"}.get(word, word) for word in words]
    kept = [word for word in full if word not in _CITY_ARTICLES]
    return " ".join(kept or full)
