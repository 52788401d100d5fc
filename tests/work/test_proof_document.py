"""Proofs that anyone can check with the public key alone: any changed bit is found, in JSON and in PDF."""

import base64
import hashlib
import io
import random
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pypdf import PdfReader

from fieldsvc.media.pictures import encode_anew
from fieldsvc.work.proof_document import canonical, check, key_id, read_key, signed, signed_pdf
from fieldsvc.work.proof_pdf import printable
from fieldsvc.work.proofs import make_pdf
from tests.media.pictures import signature

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))).public_key()
PUBLIC = KEY.public_key()
KEPT = encode_anew(signature())


def content(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "copy": "sender",
        "issued_at": "2026-11-22T08:00:00.000Z",
        "item": {"item_id": f"RK{number:09d}FR", "registered": True},
        "event": {"id": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", "type": "item.delivered", "sha256": "ab" * 32},
        "handed_over": {"at": "2026-11-21T09:42:17.120Z", "to": "addressee", "presented_on": "2026-11-21"},
        "shows": {"fr": "Remis au destinataire.", "en": "Handed to the addressee."},
        "score": {"score": 95, "fr": "À la porte prévue, signé.", "en": "At the planned door, signed."},
        "lacks": [],
        "acceptor": {"surname": "Lefèvre-Ibañez", "first_name": "Zoë", "capacity": "addressee"},
        "identity": {"document_kind": "passport"},
        "place": {"lat": "48.938", "lon": "2.161"},
        "signature": {
            "sha256": "cd" * 32,
            "state": "proof_complete",
            "kept_sha256": KEPT.sha256.hex(),
            "media_type": "image/webp",
            "image": base64.b64encode(KEPT.data).decode(),
        },
        **more,
    }


def test_what_was_signed_is_genuine_and_says_the_same() -> None:
    found = check(signed(content(), KEY.sign, PUBLIC), PUBLIC)
    assert (found.faults, found.proof) == ((), {**content(), "alg": "EdDSA", "key_id": key_id(PUBLIC)})


def test_another_key_another_content_and_another_picture_are_refused() -> None:
    data = signed(content(), KEY.sign, PUBLIC)
    assert check(data, OTHER).faults == ("It was signed with another key.",)
    assert check(data.replace(b"Zo\xc3\xab", b"Zoe"), PUBLIC).faults == ("The signature does not fit.",)
    swapped = content()
    swapped["signature"] = {**swapped["signature"], "image": base64.b64encode(b"another").decode()}
    assert check(signed(swapped, KEY.sign, PUBLIC), PUBLIC).faults == ("The picture of signature is another one.",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"proof":1,"signature":"00"}',
        b'{"proof":{},"signature":"zz"}',
        b"%PDF-",
        b"%PDF-1.7",
    ],
)
def test_what_is_no_proof_is_said_to_be_none(data: bytes) -> None:
    found = check(data, PUBLIC)
    assert found.proof is None
    assert len(found.faults) == 1


def test_the_same_json_written_otherwise_is_not_the_file_that_was_signed() -> None:
    data = signed(content(), KEY.sign, PUBLIC)
    for other in (
        data + b"\n",
        data.replace(b'"lacks":[]', b'"lacks": []'),
        orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2),
    ):
        assert check(other, PUBLIC).proof is None


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_changed_bit_of_the_json_fails(note: Callable[[str], None]) -> None:
    data = signed(content(signature={"sha256": "cd" * 32, "state": "proof_pending"}), KEY.sign, PUBLIC)
    assert check(data, PUBLIC).proof is not None
    survivors = [bit for bit in range(8 * len(data)) if check(flipped(data, bit), PUBLIC).proof is not None]
    note(f"proof: {8 * len(data):,} single flipped bits of a signed JSON, {len(survivors)} not noticed")
    assert survivors == []


def test_changed_bits_all_over_the_pdf_fail() -> None:
    data = make_pdf(content(), KEY.sign, PUBLIC, lang="fr")
    assert check(data, PUBLIC).proof is not None
    bits = random.Random(1).sample(range(8 * len(data)), 1_000)
    assert [bit for bit in bits if check(flipped(data, bit), PUBLIC).proof is not None] == []
    last = range(8 * (len(data) - 150), 8 * len(data))
    assert [bit for bit in last if check(flipped(data, bit), PUBLIC).proof is not None] == []


def test_a_thousand_proofs_are_verified_with_nothing_but_the_key(note: Callable[[str], None]) -> None:
    made = [signed(content(number), KEY.sign, PUBLIC) for number in range(1_000)]
    began = time.perf_counter()
    found = [check(data, PUBLIC) for data in made]
    seconds = time.perf_counter() - began
    assert all(each.proof is not None for each in found)
    note(f"proof: 1,000 signed JSON proofs of {len(made[0]):,} bytes verified in {seconds:.2f} s on one core")


def test_the_pdf_shows_the_facts_and_carries_the_signed_json() -> None:
    data = make_pdf(content(), KEY.sign, PUBLIC, lang="fr")
    reader = PdfReader(io.BytesIO(data))
    text = reader.pages[0].extract_text()
    for words in (
        "Preuve de remise", "Envoi recommandé", "RK000000001FR", "Zoë Lefèvre-Ibañez", "destinataire", "passeport",
        "48.938, 2.161", "95 / 100", "2026-11-21 09:42:17", key_id(PUBLIC),
    ):  # fmt: skip
        assert words in text, words
    ((inside,),) = reader.attachments.values()
    assert inside == signed(content(), KEY.sign, PUBLIC)
    assert len(reader.pages[0].images) == 1
    assert reader.metadata is not None
    assert reader.metadata.title == "Preuve de remise RK000000001FR"
    english = PdfReader(io.BytesIO(make_pdf(content(), KEY.sign, PUBLIC, lang="en"))).pages[0].extract_text()
    assert "Proof of delivery" in english
    assert "Handed to the addressee." in english


def test_letters_that_the_font_has_not_are_shown_by_number_and_said_so() -> None:
    assert printable("œuvre de Łódź 王\x00") == "œuvre de [U+0141]ód[U+017A] [U+738B][U+0000]"
    named = content(acceptor={"surname": "Łukasz", "first_name": "王", "capacity": "mandate"})
    data = make_pdf(named, KEY.sign, PUBLIC, lang="fr")
    text = PdfReader(io.BytesIO(data)).pages[0].extract_text()
    assert "[U+738B] [U+0141]ukasz" in text
    assert "remplace une lettre" in text
    found = check(data, PUBLIC)
    assert found.proof is not None
    assert found.proof["acceptor"]["surname"] == "Łukasz"
    plain = PdfReader(io.BytesIO(make_pdf(content(), KEY.sign, PUBLIC, lang="fr"))).pages[0].extract_text()
    assert "remplace une lettre" not in plain


def test_a_pdf_that_was_saved_again_is_not_genuine_but_says_that_its_proof_is() -> None:
    data = make_pdf(content(), KEY.sign, PUBLIC, lang="fr")
    changed = data.replace(b"/Title (", b"/Title_(", 1)
    assert changed != data
    assert check(changed, PUBLIC).faults == (
        "The PDF was changed, or saved again; the proof that it carries is genuine.",
    )
    foreign = signed_pdf(b"%PDF-1.7\n" + hashlib.sha256(b"x").digest(), KEY.sign)
    assert check(foreign, PUBLIC).faults == ("It carries no proof.",)


def test_a_missing_proof_and_a_picture_that_has_not_come_are_said() -> None:
    made = content(signature={"sha256": "cd" * 32, "state": "proof_pending"}, lacks=["identity", "dates"])
    del made["identity"]
    text = PdfReader(io.BytesIO(make_pdf(made, KEY.sign, PUBLIC, lang="fr"))).pages[0].extract_text()
    assert "Identité, ordre des dates" in text
    assert "pas encore arrivée" in text


def test_a_key_is_read_in_every_form_in_which_it_is_given() -> None:
    raw = PUBLIC.public_bytes_raw()
    pem = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    forms = [
        base64.b64encode(raw).decode(),
        raw.hex(),
        pem,
        orjson.dumps({"public_key": base64.b64encode(raw).decode()}).decode(),
    ]
    assert {read_key(form + "\n").public_bytes_raw() for form in forms} == {raw}
    for wrong in ("", "x", "{}", raw.hex()[:-2], "-----BEGIN PUBLIC KEY-----\nx"):
        with pytest.raises(ValueError, match="no Ed25519"):
            read_key(wrong)


def test_canonical_json_has_its_keys_in_order_and_no_blanks() -> None:
    assert canonical({"b": [1, None], "a": {"é": True}}) == '{"a":{"é":true},"b":[1,null]}'.encode()
