"""`fieldsvc verify proof`: with a key it needs nothing else."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fieldsvc.admin import verify_proof
from fieldsvc.errors import UserMistake
from fieldsvc.work.proof_document import signed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    file = tmp_path / "proof.json"
    file.write_bytes(signed({"item": {"item_id": "RK123456785FR"}, "lacks": []}, KEY.sign, KEY.public_key()))
    return file


def test_the_key_is_a_text_a_file_or_the_stores_own(proof: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(PUBLIC)
    told = {"genuine": True, "faults": [], "item": {"item_id": "RK123456785FR"}, "lacks": []}
    assert verify_proof(proof, PUBLIC) == (told, True)
    assert verify_proof(proof, str(file)) == (told, True)
    assert verify_proof(proof, None, KEY.public_key()) == (told, True)


def test_a_proof_that_is_not_genuine_says_why_and_nothing_of_its_content(proof: Path) -> None:
    proof.write_bytes(proof.read_bytes().replace(b"RK1", b"RK2"))
    assert verify_proof(proof, PUBLIC) == ({"genuine": False, "faults": ["The signature does not fit."]}, False)


@pytest.mark.parametrize("key", ["nonsense", "", "/", "x" * 5_000])
def test_a_key_that_is_none_is_the_users_mistake(proof: Path, key: str) -> None:
    with pytest.raises(UserMistake):
        verify_proof(proof, key)


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    for path in (None, tmp_path / "no-such-file", tmp_path):
        with pytest.raises(UserMistake):
            verify_proof(path, PUBLIC)
