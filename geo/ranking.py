"""How alike a written street label and a known street are, and how sure that makes an answer.

rapidfuzz chooses a few streets by three views (letters in order, words in any order, words left out); those are compared word
by word, so that a likeness means the same for short and long names: 1 = the same key, 0.9 = one that a person would accept.
The figures of this module were fitted on made faults of BANO 05, 48 and 2A (`fieldsvc/bench/geocode_faults.py`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from geo.address_store import Street
from geo.street_words import LIGHT_WORDS, is_street_type, without_type

Scorer = Callable[..., float]
STREETS_RANKED = 6
LEAST_LIKENESS = 0.45
_CLEAR, _WITHIN_POINTS = 0.9, 25.0
_SLOPE, _ERROR, _ONE_WORD_OF_MANY = 0.7, 0.02, 0.05
_SAME_LETTERS, _OTHER_ORDER, _MISTYPED_TYPE, _NO_TYPE, _OTHER_TYPE = 0.98, 0.985, 0.98, 0.96, 0.86
_INITIAL, _LEFT_OUT, _TOO_MUCH, _LIGHT = 0.06, 0.12, 0.15, 0.25
_SAME_WORD, _SAME_TYPE = 0.75, 65.0
_ARTICLES, _LONGEST_ARTICLE, _MISTYPED_ARTICLE = ("DE", "DU", "DES", "LA", "LE", "LES", "AUX"), 4, 0.97
_LONGEST_LABEL = 120


def ranked(key: str, streets: Sequence[Street]) -> list[tuple[Street, float]]:
    """Rank the few streets that are most like a written street key, with a likeness 0..1; a key that is known comes alone."""
    if not key or len(key) > _LONGEST_LABEL:
        return []
    same = [(street, 1.0) for street in streets if street.key == key]
    if same or not is_street_type(key):
        return same or like(key, streets)
    return [(street, _NO_TYPE) for street in streets if street.bare == key][:STREETS_RANKED]


def like(key: str, streets: Sequence[Street]) -> list[tuple[Street, float]]:
    """Rank the streets most like a key that none of them has, or whatever else may be meant by it."""
    bare, bares = without_type(key), [street.bare for street in streets]
    places = _near(bare, bares, fuzz.ratio, 50.0) | _near(key, [street.key for street in streets], fuzz.ratio, 60.0)
    alike = {place: likeness(key, streets[place].key) for place in places}
    if max(alike.values(), default=0.0) < _CLEAR:
        places = _near(bare, bares, fuzz.token_set_ratio, 70.0) | _near(bare, bares, fuzz.token_sort_ratio, 60.0)
        alike |= {place: likeness(key, streets[place].key) for place in places - alike.keys()}
    found = [(streets[place], like) for place, like in alike.items() if like >= LEAST_LIKENESS]
    return sorted(found, key=lambda one: (-one[1], one[0].street_id))[:STREETS_RANKED]


def _near(text: str, texts: Sequence[str], scorer: Scorer, cutoff: float) -> set[int]:
    """Find the few texts most like one: those within some points of the best."""
    near = process.extract(text, texts, scorer=scorer, limit=STREETS_RANKED, score_cutoff=cutoff)
    return {place for _, score, place in near if score > near[0][1] - _WITHIN_POINTS}


@lru_cache(maxsize=65536)
def likeness(written: str, known: str) -> float:
    """Say how alike two street keys are, 0..1: the type apart, then the name as letters and as words."""
    if written == known:
        return 1.0
    kind, name = _split(known)
    own_kind, own_name = _split(written)
    if kind == own_kind:
        return _name_likeness(own_name, name)
    if kind and own_kind:
        return _OTHER_TYPE * _name_likeness(own_name, name)
    first, _, rest = own_name.partition(" ")
    mistyped = kind and rest and fuzz.ratio(kind, first) >= _SAME_TYPE
    as_type = _MISTYPED_TYPE * _name_likeness(rest, name) if mistyped else 0.0
    return max(as_type, _NO_TYPE * _name_likeness(own_name, name), _name_likeness(written, known))


def _split(key: str) -> tuple[str, str]:
    name = without_type(key)
    return key[: len(key) - len(name)].strip(), name


def _name_likeness(written: str, known: str) -> float:
    if written == known:
        return 1.0
    own, other = written.split(), known.split()
    if "".join(own) == "".join(other):
        return _SAME_LETTERS
    kept = [word for word in own if word in other or not _is_mistyped_article(word)]
    as_meant = _MISTYPED_ARTICLE * _alike(kept, other) if 0 < len(kept) < len(own) else 0.0
    return max(_alike(own, other), as_meant)


def _alike(own: Sequence[str], other: Sequence[str]) -> float:
    return max(_in_letters(own, other), _in_words(own, other))


def _is_mistyped_article(word: str) -> bool:
    return len(word) <= _LONGEST_ARTICLE and min(OSA.distance(word, article) for article in _ARTICLES) <= 1


def _slips(written: str, known: str) -> float:
    """Count typing errors (letters added, left out, replaced, exchanged) against the length; the first one is half price."""
    errors = OSA.distance(written, known)
    return 1 - _SLOPE * (errors - 0.5) / max(len(written), len(known)) - _ERROR if errors else 1.0


def _in_letters(own: Sequence[str], other: Sequence[str]) -> float:
    """Compare the letters, in the order written and with the words sorted; a word that is not there caps the likeness."""
    in_order = _slips("".join(own), "".join(other))
    in_any = _OTHER_ORDER * _slips("".join(sorted(own)), "".join(sorted(other)))
    if len(own) != len(other):
        return max(in_order, in_any) * _SAME_LETTERS
    worst = min(max(_slips(word, one) for one in other) for word in own)
    return min(max(in_order, in_any), worst + _ONE_WORD_OF_MANY)


def _in_words(own: Sequence[str], other: Sequence[str]) -> float:
    """Compare word by word: words may be left out, shortened to an initial, or too many; titles and years weigh little."""
    left, score, met = list(other), 1.0, False
    for word in own:
        alike, best = max(((fuzz.ratio(word, one) / 100, one) for one in left), default=(0.0, ""))
        initial = next((one for one in left if len(word) == 1 and one.startswith(word)), None)
        if alike >= _SAME_WORD:
            score -= 1 - _slips(word, best)
            met = met or best not in LIGHT_WORDS
        elif initial:
            best = initial
            score -= _INITIAL
        else:
            score -= _TOO_MUCH * (_LIGHT if word in LIGHT_WORDS else 1.0)
            continue
        left.remove(best)
    return (
        score - _LEFT_OUT * sum(_LIGHT if word in LIGHT_WORDS or len(word) == 1 else 1.0 for word in left)
        if met
        else 0.0
    )
