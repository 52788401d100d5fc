"""Where a request came from: the word of trusted proxies is read from the right, and nobody else's counts."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from fieldsvc.settings import Settings
from fieldsvc.web.auth import ACCESS, client_address, client_source, is_loopback
from fieldsvc.web.connections import Doors, source_of
from fieldsvc.web.forwarded import MOST_HOPS, chains

PROXY, OUTER, CALLER, OTHER = "10.0.0.2", "10.0.0.9", "198.51.100.7", "203.0.113.66"
TRUSTED = "10.0.0.0/8, ::1, 2001:db8:ffff::/48"


def asked(peer: str, *headers: tuple[str, str], trusted: str = TRUSTED) -> web.Request:
    app = web.Application()
    settings: Any = SimpleNamespace(settings=Settings(trusted_proxies=trusted))  # type: ignore[arg-type]
    app[ACCESS] = settings
    return make_mocked_request("GET", "/", headers=CIMultiDict(headers), app=app).clone(remote=peer)


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (CALLER, [], CALLER),
        (CALLER, [("X-Forwarded-For", OTHER)], CALLER),  # an untrusted peer is not believed
        (CALLER, [("Forwarded", f"for={OTHER}")], CALLER),
        (CALLER, [("X-Forwarded-For", "127.0.0.1")], CALLER),
        (PROXY, [("X-Forwarded-For", CALLER)], CALLER),
        (PROXY, [("X-Forwarded-For", f"{OTHER}, {CALLER}")], CALLER),  # what the caller wrote stands left
        (PROXY, [("X-Forwarded-For", f"{OTHER},{CALLER}, {OUTER}")], CALLER),  # two proxies of ours
        (PROXY, [("X-Forwarded-For", OTHER), ("X-Forwarded-For", CALLER)], CALLER),  # two lines are one list
        (PROXY, [("X-Forwarded-For", f"{PROXY}, {OUTER}")], PROXY),  # nobody but proxies: the first of them
        (PROXY, [("X-Forwarded-For", "")], PROXY),
        (PROXY, [("X-Forwarded-For", f"{CALLER}, nonsense")], PROXY),  # a hop that names nobody ends the chain
        (PROXY, [("X-Forwarded-For", f"{CALLER}, unknown, {OUTER}")], OUTER),
        (PROXY, [("X-Forwarded-For", f"{CALLER}:4711")], CALLER),
        (PROXY, [("X-Forwarded-For", "[2001:db8::7]:4711")], "2001:db8::7"),
        (PROXY, [("X-Forwarded-For", "2001:0DB8::0007")], "2001:db8::7"),
        (PROXY, [("Forwarded", f'for="{CALLER}:4711";proto=https')], CALLER),
        (PROXY, [("Forwarded", f"for={OTHER}, for={CALLER};by={PROXY}")], CALLER),
        (PROXY, [("Forwarded", 'For="[2001:db8::7]:4711"')], "2001:db8::7"),
        (PROXY, [("Forwarded", f"for={CALLER}, for=_hidden")], PROXY),
        (PROXY, [("Forwarded", f"by={CALLER}")], PROXY),
        (PROXY, [("Forwarded", f"for={CALLER}"), ("X-Forwarded-For", CALLER)], CALLER),
        (PROXY, [("Forwarded", f"for={OTHER}"), ("X-Forwarded-For", CALLER)], PROXY),  # one of them is invented
        ("::ffff:10.0.0.2", [("X-Forwarded-For", CALLER)], CALLER),
        ("2001:db8:ffff::1", [("X-Forwarded-For", CALLER)], CALLER),
        ("2001:db8:fffe::1", [("X-Forwarded-For", CALLER)], "2001:db8:fffe::1"),
    ],
)
def test_an_address_is_read_from_the_right_and_only_from_proxies_we_trust(
    peer: str, headers: list[tuple[str, str]], expected: str
) -> None:
    assert client_address(asked(peer, *headers)) == expected


def test_of_a_long_chain_only_the_last_hops_are_read() -> None:
    invented = ",".join(["1"] * 15_000)
    assert client_address(asked(PROXY, ("X-Forwarded-For", f"{invented}, {CALLER}"))) == CALLER
    lines = [("X-Forwarded-For", invented)] * 100
    assert [len(hops) for hops in chains(CIMultiDict(lines))] == [MOST_HOPS, 0]


def test_without_trusted_proxies_no_header_counts() -> None:
    assert client_address(asked("127.0.0.1", ("X-Forwarded-For", CALLER), trusted="")) == "127.0.0.1"
    assert client_address(asked("127.0.0.1", ("X-Forwarded-For", CALLER), trusted="127.0.0.0/8")) == CALLER


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP"])
def test_whoever_came_through_a_proxy_is_not_this_machine(name: str) -> None:
    """A forwarded 127.0.0.1 is the word of a stranger, also when it comes through a proxy that is trusted."""
    assert is_loopback(asked("127.0.0.1"))
    for value in ("127.0.0.1", "for=127.0.0.1", CALLER, ""):
        assert not is_loopback(asked("127.0.0.1", (name, value), trusted="127.0.0.0/8"))
        assert not is_loopback(asked(CALLER, (name, value)))


def test_an_ipv6_customer_is_one_source_however_many_addresses_they_use() -> None:
    assert client_source(asked("2001:db8::1")) == client_source(asked("2001:db8::ffff:1")) == "2001:db8::/64"
    assert client_source(asked("2001:db8:0:1::1")) != client_source(asked("2001:db8::1"))
    assert source_of("::ffff:198.51.100.7") == CALLER
    assert source_of("") == source_of("nonsense") == ""


def test_connections_are_counted_by_source_and_forgotten_when_they_end() -> None:
    networks = Settings(trusted_proxies=TRUSTED).trusted_proxies  # type: ignore[arg-type]
    doors = Doors(most=6, most_each=2, exempt=networks)
    assert [doors.enter("2001:db8::1"), doors.enter("2001:db8::2")] == ["2001:db8::/64"] * 2
    assert doors.enter("2001:db8::3") is None
    assert [doors.enter(PROXY) for _ in range(4)] == [""] * 4  # who stand behind it are not told apart here
    assert doors.enter(PROXY) is None
    assert doors.enter(CALLER) is None
    for name in ("2001:db8::/64", "2001:db8::/64", "", "", "", ""):
        doors.leave(name)
    assert (doors.count, dict(doors._open)) == (0, {})
