"""ID tokens: one is believed, every other one is refused, whatever it says of itself."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from fieldsvc.access.id_tokens import BadIdToken, Expected, UnknownKey, check, check_userinfo, proved_at
from fieldsvc.access.oidc import Client, Provider, new_flow

ISSUER, CLIENT, NONCE, ACCESS_TOKEN = "https://id.example.org", "fieldsvc", "n-0S6_WzA2Mj", "SlAV32hkKG"
EXPECTED = Expected(ISSUER, CLIENT, NONCE)
STRONG = Expected(ISSUER, CLIENT, NONCE, ("eidas2", "eidas3"), 300)
RSA, OTHER = RSAKey.generate_key(2_048), RSAKey.generate_key(2_048)
EC, OKP = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
NOW = time.time()


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, **more}


WEAK = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xc3" * 128).decode().rstrip("=")}
KEYS = [public(RSA, "r1"), public(EC, "e1"), public(OKP, "o1"), WEAK, public(OTHER, "enc", use="enc")]


def claims(**more: Any) -> dict[str, Any]:
    good = {"iss": ISSUER, "sub": "claire", "aud": CLIENT, "exp": NOW + 300, "iat": NOW - 1, "nonce": NONCE}
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def token(body: Any = None, *, key: Any = RSA, **header: Any) -> str:
    said = {"alg": "RS256", "kid": "r1", **header}
    said = {name: value for name, value in said.items() if value is not None}
    payload = json.dumps(claims() if body is None else body).encode()
    return jws.serialize_compact(said, payload, key, algorithms=[said["alg"]])


def unsigned(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def by_public_key() -> str:
    """The classic: HS256 with the text of the public key as its secret."""
    begun = unsigned({"alg": "HS256", "kid": "r1"}, claims()).rstrip(".")
    signature = hmac.digest(RSA.as_pem(private=False), begun.encode(), hashlib.sha256)
    return f"{begun}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def at_hash(access_token: str = ACCESS_TOKEN) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).decode().rstrip("=")


def believe(text: str, expected: Expected = EXPECTED, access_token: str | None = ACCESS_TOKEN) -> dict[str, Any]:
    return check(text, KEYS, expected, now=datetime.fromtimestamp(NOW, UTC), access_token=access_token)


GOOD: dict[str, Callable[[], str]] = {
    "plain": token,
    "rsa-pss": lambda: token(alg="PS256"),
    "elliptic": lambda: token(key=EC, alg="ES256", kid="e1"),
    "edwards": lambda: token(key=OKP, alg="Ed25519", kid="o1"),
    "at_hash": lambda: token(claims(at_hash=at_hash())),
    "several audiences": lambda: token(claims(aud=["other", CLIENT], azp=CLIENT)),
    "clock a little off": lambda: token(claims(iat=NOW + 50, nbf=NOW + 50, exp=NOW + 300)),
    "just over": lambda: token(claims(exp=NOW - 50, iat=NOW - 400)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_token_of_the_provider_is_believed(name: str) -> None:
    assert believe(GOOD[name]())["sub"] == "claire"


BAD: dict[str, tuple[str, Callable[[], str]]] = {
    "another issuer": ("iss", lambda: token(claims(iss="https://id.example.org.evil.example"))),
    "issuer with a slash": ("iss", lambda: token(claims(iss=ISSUER + "/"))),
    "no issuer": ("iss", lambda: token(claims(iss=None))),
    "another audience": ("aud", lambda: token(claims(aud="other"))),
    "no audience": ("aud", lambda: token(claims(aud=None))),
    "audience that only begins alike": ("aud", lambda: token(claims(aud=CLIENT + "2"))),
    "several audiences and nobody authorized": ("azp", lambda: token(claims(aud=["other", CLIENT]))),
    "authorized to another": ("azp", lambda: token(claims(azp="other"))),
    "over": ("exp", lambda: token(claims(exp=NOW - 61))),
    "without end": ("exp", lambda: token(claims(exp=None))),
    "end in words": ("exp", lambda: token(claims(exp="tomorrow"))),
    "end that is true": ("exp", lambda: token(claims(exp=True))),
    "end without end": ("exp", lambda: token(claims(exp=1e300))),
    "made in the future": ("iat", lambda: token(claims(iat=NOW + 61))),
    "made long ago": ("iat", lambda: token(claims(iat=NOW - 4_000))),
    "never made": ("iat", lambda: token(claims(iat=None))),
    "not yet": ("nbf", lambda: token(claims(nbf=NOW + 61))),
    "no nonce": ("nonce", lambda: token(claims(nonce=None))),
    "nonce of another sign-in": ("nonce", lambda: token(claims(nonce="other"))),
    "nonce that is a list": ("nonce", lambda: token(claims(nonce=[NONCE]))),
    "no subject": ("sub", lambda: token(claims(sub=None))),
    "empty subject": ("sub", lambda: token(claims(sub=""))),
    "subject too long": ("sub", lambda: token(claims(sub="x" * 256))),
    "subject that is a number": ("sub", lambda: token(claims(sub=7))),
    "subject with a control character": ("sub", lambda: token(claims(sub="a\0b"))),
    "at_hash of another token": ("at_hash", lambda: token(claims(at_hash=at_hash("other")))),
    "unsigned": ("alg", lambda: unsigned({"alg": "none"}, claims())),
    "unsigned in capitals": ("alg", lambda: unsigned({"alg": "NONE", "kid": "r1"}, claims())),
    "signed with the public key": ("alg", by_public_key),
    "no algorithm": ("alg", lambda: unsigned({"kid": "r1"}, claims(), b"x")),
    "another key": ("signature", lambda: token(key=OTHER)),
    "a name of nobody": ("kid", lambda: token(kid="r2")),
    "a name that is a path": ("kid", lambda: token(kid="../../dev/null")),
    "a key for secrets": ("kid", lambda: token(key=OTHER, kid="enc")),
    "a key of another kind": ("kid", lambda: token(key=EC, alg="ES256", kid="r1")),
    "a key that is too small": ("key", lambda: unsigned({"alg": "RS256", "kid": "weak"}, claims(), b"x")),
    "no name among several keys": ("signature", lambda: token(key=OTHER, kid=None)),
    "brings its own key": ("header", lambda: unsigned({"alg": "RS256", "kid": "r1", "jwk": public(OTHER, "r1")}, claims(), b"x")),
    "says where its key is": ("header", lambda: unsigned({"alg": "RS256", "kid": "r1", "jku": "https://evil.example"}, claims(), b"x")),
    "brings a certificate": ("header", lambda: unsigned({"alg": "RS256", "x5u": "https://evil.example"}, claims(), b"x")),
    "critical header": ("header", lambda: unsigned({"alg": "RS256", "kid": "r1", "crit": ["exp"], "exp": 1}, claims(), b"x")),
    "payload changed": ("signature", lambda: _changed(token())),
    "signature cut": ("signature", lambda: token()[:-8]),
    "cut in two": ("shape", lambda: token().rpartition(".")[0]),
    "one part too many": ("shape", lambda: token() + ".x"),
    "huge": ("shape", lambda: token(claims(more="x" * 20_000))),
    "no JSON": ("shape", lambda: "e30.e30e30.!!"[1:]),
    "a list": ("shape", lambda: token([1, 2])),
    "nothing": ("shape", lambda: ""),
}  # fmt: skip


def _changed(text: str) -> str:
    head, _, signature = text.split(".")
    return ".".join((head, unsigned({}, claims(sub="hugo")).split(".")[1], signature))


@pytest.mark.parametrize("name", BAD)
def test_every_other_token_is_refused(name: str) -> None:
    fault, make = BAD[name]
    with pytest.raises(BadIdToken) as refused:
        believe(make())
    assert refused.value.fault == fault
    assert isinstance(refused.value, UnknownKey) == (fault in ("kid", "key"))


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("acr", {"acr": "eidas1", "auth_time": NOW}),
        ("acr", {"auth_time": NOW}),
        ("acr", {"acr": ["eidas2"], "auth_time": NOW}),
        ("auth_time", {"acr": "eidas2", "auth_time": NOW - 361}),
        ("auth_time", {"acr": "eidas2"}),
        ("auth_time", {"acr": "eidas2", "auth_time": NOW + 100}),
    ],
)
def test_a_weaker_or_older_proof_than_was_asked_for_is_refused(fault: str, more: dict[str, Any]) -> None:
    with pytest.raises(BadIdToken) as refused:
        believe(token(claims(**more)), STRONG)
    assert refused.value.fault == fault


def test_a_strong_and_fresh_proof_is_believed_and_says_when_it_was() -> None:
    found = believe(token(claims(acr="eidas3", auth_time=NOW - 200)), STRONG)
    assert proved_at(found, datetime.fromtimestamp(NOW, UTC)).timestamp() == pytest.approx(NOW - 200)


def test_more_than_25_kinds_of_bad_tokens_are_tried() -> None:
    assert len(BAD) >= 25


SAYS = {"iss": ISSUER, "aud": CLIENT, "sub": "claire", "email": "claire@example.org", "email_verified": True}
BAD_SAYING: dict[str, tuple[str, Callable[[], str]]] = {
    "another issuer": ("iss", lambda: token({**SAYS, "iss": "https://evil.example"})),
    "for another client": ("aud", lambda: token({**SAYS, "aud": ["other"]})),
    "long over": ("exp", lambda: token({**SAYS, "exp": NOW - 3_600})),
    "of another sign-in": ("nonce", lambda: token({**SAYS, "nonce": "n-other"})),
    "by a key that is not the provider's": ("signature", lambda: token(SAYS, key=OTHER)),
    "not signed": ("alg", lambda: unsigned({"alg": "none"}, SAYS)),
    "encrypted": ("shape", lambda: "a.b.c.d.e"),
    "JSON that calls itself signed": ("shape", lambda: json.dumps(SAYS)),
}


@pytest.mark.parametrize("name", BAD_SAYING)
def test_a_signed_userinfo_that_is_wrong_is_refused(name: str) -> None:
    fault, made = BAD_SAYING[name]
    with pytest.raises(BadIdToken) as refused:
        check_userinfo(made(), KEYS, EXPECTED, now=datetime.fromtimestamp(NOW, UTC))
    assert refused.value.fault == fault


class Answering(Provider):
    """A provider whose answers are given here; how they come over the wire is tried with a real one."""

    answers: dict[str, tuple[str, bytes]]
    asked: list[str]

    async def _fetch(self, method: str, url: str, **_more: Any) -> tuple[int, str, bytes]:
        self.asked.append(f"{method} {url.removeprefix(ISSUER)}")
        kind, body = self.answers[url.removeprefix(ISSUER)]
        return 200, kind, body


def answering(userinfo: tuple[str, bytes], nonce: str) -> Answering:
    made = Answering(Client(ISSUER, CLIENT, None, "openid email", (), loopback=False))
    paths = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    known = {"issuer": ISSUER, **{name: f"{ISSUER}/{name}" for name in paths}}
    now = time.time()  # of this test: the whole run may take longer than a token lives
    given = {"id_token": token(claims(nonce=nonce, iat=now - 1, exp=now + 300)), "access_token": ACCESS_TOKEN}
    bodies = {"/.well-known/openid-configuration": known, "/token_endpoint": given, "/jwks_uri": {"keys": KEYS}}
    made.answers = {path: ("application/json", json.dumps(body).encode()) for path, body in bodies.items()}
    made.answers["/userinfo_endpoint"], made.asked = userinfo, []
    return made


async def test_an_address_in_a_signed_userinfo_is_believed_as_in_a_plain_one() -> None:
    flow = new_flow("https://service.example/back", "/")
    for kind, body in (("application/jwt", token(SAYS).encode()), ("application/json", json.dumps(SAYS).encode())):
        found = await answering((kind, body), flow.nonce).identify(flow, "code", issuer=ISSUER)
        assert (found.subject, found.email) == ("claire", "claire@example.org")


async def test_a_signed_userinfo_of_somebody_else_or_by_an_unknown_key_is_refused() -> None:
    flow = new_flow("https://service.example/back", "/")
    for body, fault in ((token({**SAYS, "sub": "eve"}), "userinfo_sub"), (token(SAYS, kid="new"), "kid")):
        provider = answering(("application/jwt", body.encode()), flow.nonce)
        with pytest.raises(BadIdToken) as refused:
            await provider.identify(flow, "code", issuer=ISSUER)
        assert refused.value.fault == fault
        again = provider.asked.count("GET /jwks_uri")
        assert again == (2 if fault == "kid" else 1)  # a key that is not known is asked for once more
