"""Conditions over an event, as subscribers write them in JSON: compiled once, asked for every event.

A condition is an object: every name in it must hold. `{"data": {"next": "represent"}}` goes down into members; a value stands for
`$eq`; names with `$` are operators, and any number of them may stand together. An array matches if one of its elements does, and
members that stand together are those of one element.

It is asked in three values, as SQL does. What an event says to have left out or lost (`unknown`, a root) is neither there nor
missing: whatever is asked of it is unknown, its negation too, and only what is true matches. So nothing that a subscriber may not
see, or that was erased, decides anything.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from fieldsvc.errors import BadRequest

MOST_BYTES, MOST_DEPTH, MOST_CONDITIONS, LONGEST_NAME, MOST_EXACT = 4096, 12, 50, 100, 2**53
ROOTS = frozenset(
    "id source type subject time timestamp recordedtime partitionkey sequence supersedes dataref site data".split()
)
Truth = bool | None
Ask = Callable[[Any], Truth]
Condition = Mapping[str, Any]
_MISSING = object()
_UNKNOWN = object()
_SCALARS = (str, int, float, bool, type(None))
_LOGIC = frozenset(("$and", "$or", "$not"))
_LISTS = frozenset(("$in", "$nin"))
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "$startsWith": str.startswith,
    "$endsWith": str.endswith,
    "$contains": str.__contains__,
}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, limit: value > limit,
    "$gte": lambda value, limit: value >= limit,
    "$lt": lambda value, limit: value < limit,
    "$lte": lambda value, limit: value <= limit,
}
_OPERATORS = ", ".join(("$eq", "$neq", *_ORDERS, *sorted(_LISTS), *_TEXTS, "$exist", *sorted(_LOGIC)))


class BadFilter(BadRequest):
    """This filter cannot be understood."""

    code = "bad_filter"

    def __init__(self, says: str) -> None:
        super().__init__(says, errors=[{"field": "filter", "fault": "filter"}])


def checked_condition(condition: Condition) -> Condition:
    """Return a condition that can be compiled; BadFilter for one that is too large or says nothing that is known."""
    if _checked(condition, depth=0, roots=ROOTS) > MOST_CONDITIONS:
        raise BadFilter("A filter has at most 50 conditions.")
    if len(orjson.dumps(condition)) > MOST_BYTES:
        raise BadFilter("A filter has at most 4,096 bytes.")
    return condition


def asks_for(condition: Condition, root: str) -> bool:
    """Tell whether a condition looks at a member of the event."""
    found = root in condition
    for name in _LOGIC & condition.keys():
        parts = condition[name] if isinstance(condition[name], list) else [condition[name]]
        found = found or any(asks_for(part, root) for part in parts if isinstance(part, dict))
    return found


def compiled(condition: Condition) -> Callable[[Mapping[str, Any], frozenset[str]], bool]:
    """Compile a checked condition; the function takes an event and the roots of which parts are unknown."""
    ask = _node(condition)

    def matches(event: Mapping[str, Any], unknown: frozenset[str] = frozenset()) -> bool:
        if unknown:
            event = {name: _hiding(value) if name in unknown else value for name, value in event.items()}
        return ask(event) is True

    return matches


class _Hiding(dict[str, Any]):
    """An object of which nobody says what it does not have."""


def _hiding(value: Any) -> Any:
    if isinstance(value, dict):
        return _Hiding({name: _hiding(each) for name, each in value.items()})
    return [_hiding(each) for each in value] if isinstance(value, list) else value


def _checked(node: object, *, depth: int, roots: frozenset[str] | None = None) -> int:
    """Count the conditions of a node; `roots` are the members that there are, where they are known."""
    if depth > MOST_DEPTH:
        raise BadFilter("A filter is at most 12 levels deep.")
    if isinstance(node, _SCALARS) and roots is None:
        _check_scalar(node)
        return 1
    if not isinstance(node, dict) or not node:
        raise BadFilter(
            "A condition is a value or an object that is not empty; lists stand behind $in, $nin, $and, $or."
        )
    return sum(_checked_member(name, value, depth=depth + 1, roots=roots) for name, value in node.items())


def _checked_member(name: str, value: object, *, depth: int, roots: frozenset[str] | None) -> int:
    if name in ("$and", "$or"):
        if not isinstance(value, list) or not value:
            raise BadFilter("$and and $or take a list of conditions.")
        return sum(_checked(each, depth=depth, roots=roots) for each in value)
    if name == "$not":
        return _checked(value, depth=depth, roots=roots)
    if roots is not None and name not in roots:
        raise BadFilter("An event has no such member; see the envelope in the reference.")
    if name.startswith("$"):
        _check_operand(name, value)
        return 1
    if not 0 < len(name) <= LONGEST_NAME:
        raise BadFilter("The name of a member has 1 to 100 characters.")
    _check_scalar(name)
    return _checked(value, depth=depth)


def _check_operand(name: str, value: object) -> None:
    if name in ("$eq", "$neq"):
        fits = isinstance(value, _SCALARS)
    elif name in _LISTS:
        fits = isinstance(value, list) and bool(value) and all(isinstance(each, _SCALARS) for each in value)
    elif name in _ORDERS:
        fits = isinstance(value, str | int | float) and not isinstance(value, bool)
    elif name in _TEXTS:
        fits = isinstance(value, str)
    elif name == "$exist":
        fits = isinstance(value, bool)
    else:
        raise BadFilter(f"The operators are {_OPERATORS}.")
    if not fits:
        raise BadFilter("An operator has a value of another kind than it takes.")
    for each in value if isinstance(value, list) else (value,):
        _check_scalar(each)


def _check_scalar(value: object) -> None:
    if isinstance(value, str) and "\x00" in value:
        raise BadFilter("A filter holds no NUL.")
    if isinstance(value, int | float) and not abs(value) <= MOST_EXACT:
        raise BadFilter("A number is one that every reader of JSON takes as it is: at most 2^53.")


def _node(node: object) -> Ask:
    if not isinstance(node, dict):
        return _equals([node])
    asks = [_operator(name, value) for name, value in node.items() if name.startswith("$")]
    below = [(name, _node(value)) for name, value in node.items() if not name.startswith("$")]
    if below:
        asks.append(_members(below))
    return asks[0] if len(asks) == 1 else lambda value: _every(ask(value) for ask in asks)


def _members(below: Sequence[tuple[str, Ask]]) -> Ask:
    def asked(value: Any) -> Truth:
        if isinstance(value, dict):
            absent = _UNKNOWN if isinstance(value, _Hiding) else _MISSING
            return _every(ask(value.get(name, absent)) for name, ask in below)
        if isinstance(value, list):
            return _any(asked(each) for each in value)
        absent = _UNKNOWN if value is _UNKNOWN else _MISSING
        return _every(ask(absent) for _name, ask in below)

    return asked


def _operator(name: str, operand: Any) -> Ask:
    if name in ("$and", "$or"):
        asks, fold = [_node(each) for each in operand], _every if name == "$and" else _any
        return lambda value: fold(ask(value) for ask in asks)
    if name == "$not":
        return _negated(_node(operand))
    if name in ("$eq", "$neq", *_LISTS):
        ask = _equals(operand if name in _LISTS else [operand])
        return ask if name in ("$eq", "$in") else _negated(ask)
    if name in _ORDERS:
        return _ordered(_ORDERS[name], operand)
    if name in _TEXTS:
        compare = _TEXTS[name]
        return _of_each(lambda value: isinstance(value, str) and compare(value, operand))
    return lambda value: None if value is _UNKNOWN else (value is not _MISSING) == operand


def _equals(operands: Sequence[Any]) -> Ask:
    wanted = frozenset(map(_typed, operands))
    return _of_each(lambda value: isinstance(value, _SCALARS) and _typed(value) in wanted)


def _typed(value: Any) -> tuple[str, Any]:
    """Keep true apart from 1, as JSON does."""
    return ("truth" if isinstance(value, bool) else "value"), value


def _ordered(compare: Callable[[Any, Any], bool], limit: Any) -> Ask:
    kinds = str if isinstance(limit, str) else (int, float)
    return _of_each(lambda value: isinstance(value, kinds) and not isinstance(value, bool) and compare(value, limit))


def _of_each(holds: Callable[[Any], bool]) -> Ask:
    def asked(value: Any) -> Truth:
        if isinstance(value, list):
            return _any(asked(each) for each in value)
        return None if value is _UNKNOWN else value is not _MISSING and holds(value)

    return asked


def _negated(ask: Ask) -> Ask:
    def asked(value: Any) -> Truth:
        found = ask(value)
        return None if found is None else not found

    return asked


def _every(found: Iterable[Truth]) -> Truth:
    whole: Truth = True
    for each in found:
        if each is False:
            return False
        whole = whole if each else None
    return whole


def _any(found: Iterable[Truth]) -> Truth:
    whole: Truth = False
    for each in found:
        if each is True:
            return True
        whole = whole if each is False else None
    return whole
