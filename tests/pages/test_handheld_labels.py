"""Labels of the phone's forms: words in both languages for every field and every choice that a phone may say."""

import re
from collections.abc import Iterator
from typing import Any

from fieldsvc.web.pages.words import words_of
from handlers import corrections
from handlers.registry import discover


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schema of all that a device may say, by its short name."""
    for name, (_, each) in discover().by_type.items():
        if "device" in each.by:
            yield name, each.payload.model_json_schema(by_alias=True)
    yield corrections.NAME, corrections.EVENT.payload.model_json_schema(by_alias=True)


def named(part: dict[str, Any], defs: dict[str, Any], field: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield every field of a schema, and every value that one may have, as (field, value)."""
    part = defs[part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
    for value in [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]:
        yield field, value
    for example in part.get("examples", ()):
        yield from ((field, value) for value in example if isinstance(example, list))
    for arm in (*part.get("anyOf", ()), *([part["items"]] if "items" in part else ())):
        yield from named(arm, defs, field)
    for name, inner in part.get("properties", {}).items():
        yield name, None
        yield from named(inner, defs, name)


def test_every_field_and_value_that_a_phone_can_say_has_words_in_both_languages() -> None:
    fr, en = ({key.removeprefix("handheld.js.") for key in words_of(lang)} for lang in ("fr", "en"))
    known, missing = fr & en, set[str]()
    for event, schema in schemas():
        flat = event.replace(".", "_")
        for field, value in named(schema, schema.get("$defs", {})):
            wanted = f"field_{field}" if value is None else f"value_{value}"
            own = f"field_{flat}_{field}" if value is None else f"value_{flat}_{field}_{value}"
            missing |= set() if {wanted, own} & known else {f"{event}: {wanted}"}
    assert missing == set()


def test_every_label_that_names_an_event_names_one_that_exists() -> None:
    events, seen = {name.replace(".", "_"): schema for name, schema in schemas()}, 0
    for key in words_of("fr"):
        found = re.fullmatch(r"handheld\.js\.(?:field|value|hint)_(\w+)", key)
        owner = next((name for name in events if found and found[1].startswith(f"{name}_")), None)
        if found and owner:
            schema = events[owner]
            fields = {field for field, _ in named(schema, schema.get("$defs", {}))}
            assert any(found[1].removeprefix(f"{owner}_").startswith(field) for field in fields), key
            seen += 1
    assert seen > 10
