"""What a connection may take: how long for each step of a request, and how many there may be."""

import ipaddress
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from fieldsvc.settings import Settings

Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_OWN_FILES = 200


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a peer may take, in seconds.

    `head_s`: for the whole head of a request. `stall_s`: without a byte of a body, `reply_s`: without taking one of an answer;
    every second of theirs must move `bytes_per_s` on average. `body_s`: for a whole body. `idle_s`: between two requests.
    """

    head_s: float = 5.0
    stall_s: float = 8.0
    reply_s: float = 9.0
    body_s: float = 300.0
    idle_s: float = 75.0
    bytes_per_s: float = 1_000.0

    @classmethod
    def of(cls, settings: Settings) -> "Patience":
        """Read what the operator set."""
        return cls(
            head_s=settings.head_timeout_s,
            stall_s=settings.body_stall_s,
            reply_s=settings.reply_stall_s,
            body_s=settings.body_timeout_s,
            idle_s=settings.idle_timeout_s,
            bytes_per_s=settings.slowest_bytes_per_s,
        )


class Credit:
    """Time that a peer earns by moving bytes, never more than `most_s` ahead: neither a pause nor a drip lasts for long."""

    __slots__ = ("_bytes_per_s", "_most_s", "due")

    def __init__(self, now: float, *, most_s: float, bytes_per_s: float) -> None:
        self._most_s = most_s
        self._bytes_per_s = bytes_per_s
        self.due = now + most_s

    def earn(self, size: int, now: float) -> None:
        """Count bytes that moved."""
        self.due = min(now + self._most_s, self.due + size / self._bytes_per_s)

    def renew(self, now: float) -> None:
        """Begin again: the peer could not move anything, through no fault of its own."""
        self.due = now + self._most_s


class Doors:
    """How many connections are open, in all and from each address; proxies and this machine count in all only."""

    def __init__(self, *, most: int, most_each: int, exempt: Sequence[Network]) -> None:
        self._most = most
        self._most_each = most_each
        self._exempt = tuple(exempt)
        self._open: Counter[str] = Counter()
        self.count = 0

    @classmethod
    def of(cls, settings: Settings) -> "Doors":
        """Read what the operator set; there is never room for more than the process may open, less what it needs itself."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = settings.max_connections if files < 0 else min(settings.max_connections, max(1, files - _OWN_FILES))
        exempt = (*LOOPBACK, *settings.trusted_proxies)
        return cls(most=most, most_each=settings.max_connections_per_address, exempt=exempt)

    def enter(self, address: str) -> str | None:
        """Let a connection in, and return under which name it is counted; None when there are too many."""
        name = "" if within(address, self._exempt) else source_of(address)
        if self.count >= self._most or (name and self._open[name] >= self._most_each):
            return None
        self.count += 1
        if name:
            self._open[name] += 1
        return name

    def leave(self, name: str) -> None:
        """Forget a connection by the name that `enter` returned."""
        self.count -= 1
        if name:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


def within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address lies in one of the networks."""
    try:
        found = _plain(ipaddress.ip_address(address))
    except ValueError:
        return False
    return any(found in network for network in networks if network.version == found.version)


def source_of(address: str) -> str:
    """Name the source by which an address is counted: itself, or for IPv6 the /64 that one customer has."""
    try:
        found = _plain(ipaddress.ip_address(address))
    except ValueError:
        return ""
    if found.version == 6:
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Take an IPv4 address out of an IPv6 socket's."""
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
