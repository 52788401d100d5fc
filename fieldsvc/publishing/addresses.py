"""The address guard: where a webhook may go. It is part of the client, so that no caller can forget it.

A URL is checked when it is registered and at every send. What counts is the socket: `guarded_sockets` refuses the address
that is really dialled, after any resolver, literal or redirect (a resolver is not even asked about an IP literal).
`ipaddress.is_global` lets some forms pass (NAT64, 6to4, multicast, 192.0.0.8), so the ranges are named here.
"""

import ipaddress
import socket
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from yarl import URL

from fieldsvc.errors import BadRequest

PORTS = frozenset({443, 8443})
_LONGEST_URL = 2048
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa", ".arpa")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_DENIED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 "
        "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
    ).split()
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(text) for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
)

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
SocketFactory = Callable[[AddressInfo], socket.socket]


class AddressRefused(OSError):
    """Webhooks may not go to this address."""


class UrlRefused(BadRequest):
    """Webhooks may not go to this URL; `why` is too_long, unreadable, credentials, https, port or private."""

    def __init__(self, why: str, says: str) -> None:
        super().__init__(says)
        self.why = why


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address lies in the public Internet; mapped and NAT64 forms count as what they carry."""
    if isinstance(address, IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(inner)
        hidden = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
        return address in _GLOBAL_V6 and not hidden and not any(address in network for network in _DENIED_V6)
    return not any(address in network for network in _DENIED_V4)


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is this machine's loopback, also when mapped."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback


def guarded_sockets(*, allow_loopback: bool) -> SocketFactory:
    """Return a socket factory that refuses to open a socket for an address or port where webhooks may not go."""

    def open_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _name, place = info
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
        if not (allow_loopback and is_loopback(address)) and not (is_public(address) and place[1] in PORTS):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    return open_socket


@lru_cache(maxsize=4096)
def checked_url(text: str, *, allow_loopback: bool) -> URL:
    """Return the URL of an endpoint; UrlRefused if webhooks may not go there."""
    if len(text) > _LONGEST_URL or any(ord(letter) <= 32 or letter in "\\\x7f" for letter in text):
        raise UrlRefused("too_long", "The URL is too long or holds a space or control character.")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except (ValueError, IndexError) as error:  # both are ways of saying that it cannot be parsed
        raise UrlRefused("unreadable", "This is no URL.") from error
    if not host or url.scheme not in ("https", "http"):
        raise UrlRefused("https", "An endpoint is an https URL.")
    if url.user is not None or url.password is not None or "@" in url.raw_authority or url.fragment:
        raise UrlRefused("credentials", "The URL may hold no credentials and no fragment.")
    if allow_loopback and _names_loopback(host):
        return url
    if url.scheme != "https" or port not in PORTS:
        raise UrlRefused("port", "An endpoint is an https URL on port 443 or 8443.")
    _check_host(host)
    return url


def _check_host(host: str) -> None:
    name = unicodedata.normalize("NFKC", host).rstrip(".").lower()
    literal = _literal(name)
    if literal is not None:
        if not is_public(literal):
            raise UrlRefused("private", "The address of the endpoint is not public.")
    elif "." not in name or name.endswith(_LOCAL_SUFFIXES) or name.rpartition(".")[2].isdigit():
        raise UrlRefused("private", "The host of the endpoint is not a public name.")


def _names_loopback(host: str) -> bool:
    literal = _literal(unicodedata.normalize("NFKC", host))
    return host == "localhost" if literal is None else is_loopback(literal)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Read any form of an address that a resolver would take: also decimal, octal, hexadecimal and short ones."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
