"""Is what a phone says of the form that its type declares? Strictly, and without a word of the values."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fieldsvc.intake.json import canonical
from geo import Fix as GeoFix
from handlers.base import validated
from handlers.fields import Fix
from handlers.story import Refused

_RANGE_FAULTS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"})
_RANGE_FAULTS |= {"int_parsing_size", "too_long", "string_too_long"}


def checked(model: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Check data strictly and return its set fields as JSON values. Refused: out_of_range, bad_payload."""
    try:
        return validated(model, canonical(data))
    except ValidationError as error:
        kinds = {fault["type"] for fault in error.errors(include_input=False, include_context=False, include_url=False)}
        raise Refused("out_of_range" if kinds <= _RANGE_FAULTS else "bad_payload") from None


def fix_of(said: Any) -> GeoFix | None:
    """Read the fix of an event, if it has one. Refused as `checked`."""
    if said is None:
        return None
    clean = checked(Fix, said) if isinstance(said, dict) else None
    if clean is None:
        raise Refused("bad_payload")
    fix = Fix.model_validate(clean)
    return GeoFix(lat=fix.lat, lon=fix.lon, accuracy_m=fix.accuracy_m or None, fixed_at=fix.fixed_at)  # type: ignore[arg-type]
