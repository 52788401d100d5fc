"""An address given in parts, as forms and structured queries do."""

from collections.abc import Mapping
from typing import Any

from geo.address_parser import Address, parse


def address_of(parts: Mapping[str, Any]) -> Address:
    """Read an address in parts: `lines`, or house_number (or number), repetition, street, postcode (or postalcode), city,
    citycode; the street may have its number before it. What is no text or number of one of these is left out.
    """
    lines = parts.get("lines")
    if isinstance(lines, list) and lines:
        return parse([str(line) for line in lines])
    number = parts.get("house_number", parts.get("number"))
    text = {
        name: str(parts[name]).strip() or None
        for name in ("street", "postcode", "postalcode", "city", "citycode")
        if parts.get(name)
    }
    street = parse(f"{number or ''} {text.get('street') or ''}".strip())
    mark = parts.get("repetition")
    return Address(
        house_number=street.house_number,
        repetition=str(mark).upper() if mark else street.repetition,
        street=street.street or text.get("street"),
        postcode=text.get("postcode", text.get("postalcode")),
        city=text.get("city"),
        citycode=text.get("citycode"),
    )
