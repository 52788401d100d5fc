"""A small JSON Schema checker for the keywords that our documents use; any other keyword is an error, not a pass."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SILENT = {"description", "title", "format", "default", "discriminator", "$defs", "examples"}
_TYPES: Mapping[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def resolve(document: Any, pointer: str) -> Any:
    """Follow a local reference; KeyError if it leads nowhere."""
    found = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(value: Any) -> Iterator[str]:
    """Yield every reference of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def faults(value: Any, schema: Mapping[str, Any], document: Any, at: str = "$") -> list[str]:
    """Say why a value does not fit; nothing when it does."""
    found: list[str] = []
    for keyword, wanted in schema.items():
        if keyword not in _SILENT and not keyword.startswith("x-"):
            found += _fault(keyword, wanted, value, schema, document, at)
    return found


def _fault(keyword: str, wanted: Any, value: Any, schema: Any, document: Any, at: str) -> list[str]:
    match keyword:
        case "$ref":
            return faults(value, resolve(document, wanted), document, at)
        case "allOf":
            return [fault for arm in wanted for fault in faults(value, arm, document, at)]
        case "anyOf" | "oneOf":
            fits = [arm for arm in wanted if not faults(value, arm, document, at)]
            return [] if len(fits) == 1 or (fits and keyword == "anyOf") else [f"{at}: {len(fits)} of {keyword} fit"]
        case "properties":
            inner = wanted.items() if isinstance(value, dict) else ()
            return [
                fault
                for name, each in inner
                if name in value
                for fault in faults(value[name], each, document, f"{at}.{name}")
            ]
        case "items":
            inner = enumerate(value) if isinstance(value, list) else ()
            return [fault for no, each in inner for fault in faults(each, wanted, document, f"{at}[{no}]")]
        case "patternProperties":
            pairs = value.items() if isinstance(value, dict) else ()
            return [
                fault
                for name, inner in pairs
                for pattern, each in wanted.items()
                if re.search(pattern, name)
                for fault in faults(inner, each, document, f"{at}.{name}")
            ]
        case "additionalProperties":
            more = sorted(value.keys() - schema.get("properties", {}).keys()) if isinstance(value, dict) else []
            assert "patternProperties" not in schema, "the checker does not know the two together"
            if isinstance(wanted, bool):
                return [] if wanted else [f"{at}.{name}: not allowed" for name in more]
            return [fault for name in more for fault in faults(value[name], wanted, document, f"{at}.{name}")]
        case _:
            return [] if _fits(keyword, wanted, value) else [f"{at}: {keyword} {wanted!r}"]


def _fits(keyword: str, wanted: Any, value: Any) -> bool:
    size = len(value) if isinstance(value, str | list | dict) else None
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    match keyword:
        case "type":
            is_bool = isinstance(value, bool)
            return isinstance(value, _TYPES[wanted]) and (not is_bool or wanted == "boolean")
        case "const":
            return bool(value == wanted and type(value) is type(wanted))
        case "enum":
            return value in wanted
        case "required":
            return not isinstance(value, dict) or all(name in value for name in wanted)
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minLength" | "minItems":
            return size is None or size >= wanted
        case "maxLength" | "maxItems" | "maxProperties":
            return size is None or size <= wanted
        case "minimum":
            return number is None or number >= wanted
        case "maximum":
            return number is None or number <= wanted
        case _:
            raise AssertionError(f"the checker does not know {keyword}")
