"""ID tokens of an OpenID Connect provider: what is believed of one, and why every other one is refused.

OpenID Connect Core 1.0 §3.1.3.7, with RFC 8725: algorithms by a list of our own and never by the token's word, the key by its `kid`
among the provider's keys of that algorithm, `iss` and `aud` exact, one `nonce` for one sign-in. Nothing of a token is ever logged but
the name of the fault.
"""

import base64
import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ALGORITHMS: Mapping[str, type[Key]] = {
    "RS256": RSAKey,
    "RS384": RSAKey,
    "RS512": RSAKey,
    "PS256": RSAKey,
    "PS384": RSAKey,
    "PS512": RSAKey,
    "ES256": ECKey,
    "ES384": ECKey,
    "ES512": ECKey,
    "Ed25519": OKPKey,
}
LEEWAY_S, OLDEST_S = 60, 3_600
MOST_LETTERS, LONGEST_SUBJECT, LEAST_RSA_BITS = 16_384, 255, 2_048
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519"}
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
_HEADERS = frozenset(
    {"alg", "kid", "typ", "cty", "x5t", "x5t#S256"}
)  # what says where to find a key is not read at all


class BadIdToken(Exception):
    """This ID token is not believed; `fault` is a word for the log, and says nothing of what is in it."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class UnknownKey(BadIdToken):
    """None of the keys that are known has this name: the provider may have a new one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say. `acr`: one of these, if any is asked; `max_age_s`: how long ago they may have signed in."""

    issuer: str
    client_id: str
    nonce: str
    acr: Sequence[str] = ()
    max_age_s: int | None = None


def check(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, *, now: datetime, access_token: str | None
) -> dict[str, Any]:
    """Return the claims of an ID token; BadIdToken with the first fault, UnknownKey if none of the keys is named as its own."""
    claims, algorithm = _opened(token, keys)
    _check_parties(claims, expected)
    _check_times(claims, expected, now.timestamp())
    if not _is_same(claims.get("nonce"), expected.nonce):
        raise BadIdToken("nonce")
    if "at_hash" in claims and not (access_token and _is_same(claims["at_hash"], _half_hash(access_token, algorithm))):
        raise BadIdToken("at_hash")
    if expected.acr and claims.get("acr") not in expected.acr:
        raise BadIdToken("acr")
    return claims


def check_userinfo(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, *, now: datetime
) -> dict[str, Any]:
    """Return what a signed UserInfo answer says (Core §5.3.2); BadIdToken, UnknownKey. What it names of itself must be true."""
    claims, _ = _opened(token, keys)
    audience = claims.get("aud", expected.client_id)
    if not _is_same(claims.get("iss", expected.issuer), expected.issuer):
        raise BadIdToken("iss")
    if expected.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise BadIdToken("aud")
    if "exp" in claims and _moment(claims, "exp") <= now.timestamp() - LEEWAY_S:
        raise BadIdToken("exp")
    if "nonce" in claims and not _is_same(claims["nonce"], expected.nonce):
        raise BadIdToken("nonce")
    return claims


def proved_at(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Return when they proved who they are: `auth_time`, else when the token was made; never in the future."""
    moment = claims.get("auth_time", claims["iat"])
    return min(now, datetime.fromtimestamp(float(moment), UTC))


def _opened(token: str, keys: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    if len(token) > MOST_LETTERS or not token.isascii() or token.count(".") != 2:
        raise BadIdToken("shape")
    header = _object(token.partition(".")[0])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadIdToken("alg")
    if not header.keys() <= _HEADERS:
        raise BadIdToken("header")
    for key in _candidates(header.get("kid"), algorithm, keys):
        try:
            opened = jws.deserialize_compact(token, key, algorithms=[algorithm])
        except (JoseError, ValueError, TypeError):
            continue
        return _claims(opened.payload), algorithm
    raise BadIdToken("signature")


def _candidates(kid: object, algorithm: str, keys: Sequence[Mapping[str, Any]]) -> list[Key]:
    """Return the keys that may have signed: the one of this name, or all of the kind where the token names none."""
    fitting = [each for each in keys if _fits(each, algorithm)]
    if kid is not None:
        named = [each for each in fitting if isinstance(kid, str) and each.get("kid") == kid]
        if not named:
            raise UnknownKey("kid")
        fitting = named
    found = [key for each in fitting if (key := _key(each, algorithm)) is not None]
    if not found:
        raise UnknownKey("key")
    if kid is None and len(found) > 1:
        raise BadIdToken("kid")
    return found


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Tell whether a key of a set is one for signatures of this algorithm."""
    operations = key.get("key_ops")
    return (
        key.get("kty") == ALGORITHMS[algorithm].key_type
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and ("crv" not in key or key["crv"] == _CURVES.get(algorithm))
    )


def _key(key: Mapping[str, Any], algorithm: str) -> Key | None:
    public = {name: value for name, value in key.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    try:
        if key["kty"] == "RSA" and _bits(key["n"]) < LEAST_RSA_BITS:
            return None
        return ALGORITHMS[algorithm].import_key(public)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if not _is_same(claims.get("iss"), expected.issuer):
        raise BadIdToken("iss")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise BadIdToken("sub")
    audience = claims.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(each, str) for each in several) or expected.client_id not in several:
        raise BadIdToken("aud")
    authorized = claims.get("azp")
    if (authorized is None and len(several) > 1) or (authorized is not None and authorized != expected.client_id):
        raise BadIdToken("azp")


def _check_times(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    if _moment(claims, "exp") <= now - LEEWAY_S:
        raise BadIdToken("exp")
    if not now - OLDEST_S <= _moment(claims, "iat") <= now + LEEWAY_S:
        raise BadIdToken("iat")
    if "nbf" in claims and _moment(claims, "nbf") > now + LEEWAY_S:
        raise BadIdToken("nbf")
    if expected.max_age_s is not None and _moment(claims, "auth_time") < now - expected.max_age_s - LEEWAY_S:
        raise BadIdToken("auth_time")
    if "auth_time" in claims and _moment(claims, "auth_time") > now + LEEWAY_S:
        raise BadIdToken("auth_time")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value < 1e11
    ):
        raise BadIdToken(name)
    return float(value)


def _half_hash(access_token: str, algorithm: str) -> str:
    """Digest an access token as `at_hash` does: the left half, by the hash of the algorithm (Ed25519: SHA-512)."""
    digest = hashlib.new(_HASHES.get(algorithm[2:], "sha512"), access_token.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _is_same(said: object, expected: str) -> bool:
    return isinstance(said, str) and hmac.compare_digest(said.encode("utf-8", "replace"), expected.encode())


def _object(part: str) -> dict[str, Any]:
    try:
        return _claims(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        raise BadIdToken("shape") from None


def _claims(payload: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(payload or b"")
    except orjson.JSONDecodeError:
        raise BadIdToken("shape") from None
    if not isinstance(found, dict):
        raise BadIdToken("shape")
    return found
