"""The signed proof as bytes: canonical JSON with a signature, alone or inside a PDF that is signed as a whole.

Canonical is what RFC 8785 makes of it: keys in order, no blanks, and in a proof only texts, whole numbers, true, false and null.
The file must be exactly these bytes, so a change of any bit is a fault, also one that another JSON reader would not notice. A
PDF carries the same bytes as an attachment, uncompressed, and a last line that signs everything before it. Nothing here needs a
database.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

ALGORITHM = "EdDSA"
_JSON, _PDF = (
    b"fieldsvc-proof-v1\n",
    b"fieldsvc-proof-pdf-v1\n",
)  # what else the key signs can never be taken for a proof
_START, _END, _LAST_LINE = b'{"proof":{', b"\nendstream", b"\n%fieldsvc-proof "
_SIGNATURE_HEX = 128
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the proof if it is genuine, and one sentence for each fault."""

    proof: Mapping[str, Any] | None
    faults: tuple[str, ...] = ()


def canonical(value: object) -> bytes:
    """Write canonical JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def key_id(key: Ed25519PublicKey) -> str:
    """Name a key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def signed(proof: Mapping[str, Any], sign: Sign, key: Ed25519PublicKey) -> bytes:
    """Sign a proof; `key` is the public one of `sign`, which the proof names."""
    content = canonical({**proof, "alg": ALGORITHM, "key_id": key_id(key)})
    return b'{"proof":' + content + b',"signature":"' + sign(_JSON + content).hex().encode() + b'"}'


def signed_pdf(pdf: bytes, sign: Sign) -> bytes:
    """Sign a PDF by a last line, a comment to every reader of PDF."""
    signature = sign(_PDF + hashlib.sha256(pdf).digest())
    return pdf + _LAST_LINE + signature.hex().encode() + b"\n"


def check(data: bytes, key: Ed25519PublicKey) -> Checked:
    """Check a file, JSON or PDF, against the public key of who gave it."""
    return _check_pdf(data, key) if data.startswith(b"%PDF-") else _check_json(data, key)


def _check_json(data: bytes, key: Ed25519PublicKey) -> Checked:
    try:
        found = orjson.loads(data)
        proof, signature = found["proof"], bytes.fromhex(found["signature"])
        content = canonical(proof)
        exact = b'{"proof":' + content + b',"signature":"' + signature.hex().encode() + b'"}'
        if data != exact or found.keys() != {"proof", "signature"}:
            return Checked(None, ("This is not the file that was signed, byte for byte.",))
        if proof.get("alg") != ALGORITHM or proof.get("key_id") != key_id(key):
            return Checked(None, ("It was signed with another key.",))
        key.verify(signature, _JSON + content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Checked(None, ("This is no proof.",))
    except InvalidSignature:
        return Checked(None, ("The signature does not fit.",))
    faults = tuple(_faults_of_pictures(proof))
    return Checked(None if faults else proof, faults)


def _faults_of_pictures(proof: Mapping[str, Any]) -> list[str]:
    """Compare the pictures inside with the hashes that stand beside them."""
    found = []
    for name in ("signature", "carrier_signature"):
        picture = proof.get(name) or {}
        if "image" in picture:
            digest = hashlib.sha256(base64.b64decode(picture["image"])).hexdigest()
            found += [f"The picture of {name} is another one."] if digest != picture.get("kept_sha256") else []
    return found


def _check_pdf(data: bytes, key: Ed25519PublicKey) -> Checked:
    body, _, line = data.rpartition(_LAST_LINE)
    inside = _attached(body or data)
    attached = _check_json(inside, key) if inside is not None else Checked(None, ("It carries no proof.",))
    if _signs(line, body, key):
        return attached
    genuine = "is genuine" if attached.proof is not None else "is not genuine either"
    return Checked(None, (f"The PDF was changed, or saved again; the proof that it carries {genuine}.",))


def _signs(line: bytes, body: bytes, key: Ed25519PublicKey) -> bool:
    try:
        signature = bytes.fromhex(line[:_SIGNATURE_HEX].decode())
        key.verify(signature, _PDF + hashlib.sha256(body).digest())
    except (ValueError, InvalidSignature):
        return False
    return line == signature.hex().encode() + b"\n"


def _attached(pdf: bytes) -> bytes | None:
    """Find the signed JSON in a PDF: it is there as it is, between the two words that hold a stream."""
    start = pdf.find(_START)
    end = pdf.find(_END, start)
    return pdf[start:end] if start >= 0 and end >= 0 else None


def read_key(text: str) -> Ed25519PublicKey:
    """Read a public key: the JSON of `/v1/proof-key`, PEM, base64 or hexadecimal. ValueError for anything else."""
    text = text.strip()
    try:
        if text.startswith("{"):
            text = str(orjson.loads(text)["public_key"])
        if text.startswith("-----BEGIN"):
            found: object = load_pem_public_key(text.encode())
        else:
            raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
            found = Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise ValueError("no Ed25519 public key")  # noqa: TRY004 - it is the text that is wrong
    return found
