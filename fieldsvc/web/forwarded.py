"""What proxies say about where a request came from: `X-Forwarded-For`, and `Forwarded` (RFC 7239)."""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from multidict import CIMultiDict, CIMultiDictProxy

from fieldsvc.web.connections import Network, within

MOST_HOPS, LONGEST_HOP = 20, 300
_FOR = re.compile(r'for=(?:"([^"]*)"|([^;,\s"]*))', re.IGNORECASE)
_MARKS = frozenset({"forwarded", "via", "x-real-ip"})
_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_BRACKETS = re.compile(r"\[([^\]]*)\](?::\d{1,5})?")


def chains(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> tuple[list[str], list[str]]:
    """Return the last hops of each header, the nearest proxy's word last; a hop that names nobody is empty.

    What stands further left than `MOST_HOPS` is invented, or of no use: nobody reads it.
    """
    plain, elements = (_last(headers.getall(name, ())) for name in ("X-Forwarded-For", "Forwarded"))
    return [_address(hop) for hop in plain], [_address(_for_of(element)) for element in elements]


def by_a_proxy(headers: Mapping[str, str]) -> bool:
    """Tell whether any proxy, trusted or not, left its mark."""
    return any(name.lower().startswith("x-forwarded") or name.lower() in _MARKS for name in headers)


def client_of(peer: str, hops: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the first address from the right that is no trusted proxy; from there on everything may be invented."""
    found = peer
    for hop in reversed(hops):
        if not hop:
            return found
        found = hop
        if not within(hop, trusted):
            return found
    return found


def _last(lines: Sequence[str]) -> list[str]:
    return list(islice(_from_right(lines), MOST_HOPS))[::-1]


def _from_right(lines: Sequence[str]) -> Iterator[str]:
    for line in reversed(lines):
        rest, comma = line, ","
        while comma:
            rest, comma, hop = rest.rpartition(",")
            yield hop[-LONGEST_HOP:]


def _for_of(element: str) -> str:
    match = _FOR.search(element)
    return (match[1] or match[2] or "") if match else ""


def _address(hop: str) -> str:
    text = hop.strip()
    match = _PORT.fullmatch(text) or _BRACKETS.fullmatch(text)
    try:
        return str(ipaddress.ip_address(match[1] if match else text))
    except ValueError:
        return ""
