"""OwnTracks in HTTP mode: one message in JSON, or a list of them, perhaps encrypted.

Units of a `location`: `tst` epoch seconds of the fix, `acc` metres, `vel` km/h, `cog` degrees; the app leaves out what is 0,
so that what is missing, and an accuracy of 0, is not known. Only these members are read. The rest (the Wi-Fi's name, the
regions, what the phone's owner was doing, a photograph) ends here, before anything is stored or logged. Source: the OwnTracks
booklet, pages JSON and HTTP.

The app knows no alarm: a `transition` tells that a region was entered and a `status` how the phone is set up, and both are
left alone, for a region may be somebody's home.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from fieldsvc.errors import NotJson
from fieldsvc.intake.formats.phone import MOST_MEMBERS, Decoded, maybe, moment, place, positive, refused
from fieldsvc.intake.json import Unfit, parse
from geo import Fix

APP = "owntracks"
PASSED_OVER = frozenset(
    "transition waypoint waypoints status lwt card steps beacon cmd request configuration dump".split()
)
_KNOWN = frozenset("_type tid lat lon tst acc vel cog created_at data".split())
_KMH_PER_MPS = 3.6
_FASTEST_KMH = 1_000.0
_KEY_BYTES = 32


def decode(body: bytes, *, passphrase: str | None = None) -> Decoded:
    """Read one request: the fixes, and what cannot be taken; nothing for an empty body, which deletes a friend.

    `passphrase` is the device's: it opens what is `encrypted`.
    """
    if not body.strip():
        return Decoded()
    try:
        value = parse(body)
    except NotJson:
        return refused(Unfit("not_json"), APP)
    members = value if isinstance(value, list) else [value]
    if len(members) > MOST_MEMBERS:
        return refused(Unfit("too_large"), APP)
    found = Decoded()
    for member in members:
        found += _member(member, passphrase)
    return found


def open_encrypted(data: Any, passphrase: str | None) -> bytes:
    """Open base64 of a nonce of 24 bytes and a libsodium secretbox; the key is the passphrase, filled up with zeros to 32.

    Unfit `not_decrypted` if it was not sealed with this passphrase.
    """
    if not passphrase or not isinstance(data, str):
        raise Unfit("not_decrypted")
    key = passphrase.encode()[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0")
    try:
        return SecretBox(key).decrypt(base64.b64decode(data, validate=True))
    except (CryptoError, binascii.Error, ValueError):
        raise Unfit("not_decrypted") from None


def _member(member: Any, passphrase: str | None) -> Decoded:
    try:
        is_sealed = isinstance(member, Mapping) and member.get("_type") == "encrypted"
        return _opened(member, passphrase) if is_sealed else _message(member)
    except Unfit as unfit:
        return refused(unfit, APP, member, known=_KNOWN)


def _opened(member: Mapping[str, Any], passphrase: str | None) -> Decoded:
    inner = open_encrypted(member.get("data"), passphrase)
    if not inner.strip():
        return Decoded()
    try:
        return _message(parse(inner))
    except NotJson:
        raise Unfit("not_json") from None


def _message(member: Any) -> Decoded:
    if not isinstance(member, Mapping):
        raise Unfit("not_an_object")
    kind = member.get("_type")
    if kind == "location":
        return Decoded(fixes=(_fix(member),))
    if isinstance(kind, str) and kind in PASSED_OVER:
        return Decoded()
    raise Unfit("unknown_type")


def _fix(member: Mapping[str, Any]) -> Fix:
    lat, lon = place(member.get("lat"), member.get("lon"))
    speed_kmh = maybe(member.get("vel"), 0.0, _FASTEST_KMH)
    return Fix(
        lat=lat,
        lon=lon,
        fixed_at=moment(member.get("tst")),
        accuracy_m=positive(member.get("acc")),
        speed_mps=None if speed_kmh is None else speed_kmh / _KMH_PER_MPS,
        heading_deg=maybe(member.get("cog"), 0.0, 360.0),
    )
