"""Keys: a master key outside the database wraps one key a person, and the store's own keys.

Sealing is AES-256-GCM; the additional data binds a ciphertext to its event, its class and its key, so that swapping two of
them fails. Destroying a person's key erases everything sealed with it, in every copy. What is said of an erased person later,
but happened before, is sealed with a key that nobody keeps.

While the master key is rotated there are two: everything is sealed with the new one, and opened with either.
"""

import base64
import contextlib
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fieldsvc.errors import UserMistake
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database
from sql import query

KEY_BYTES, NONCE_BYTES = 32, 12


@dataclass(frozen=True, slots=True)
class PersonKey:
    """The live key of one person."""

    person: str
    key_id: UUID
    cipher: AESGCM

    def seal(self, value: Any, *, bound_to: str) -> tuple[bytes, bytes]:
        """Encrypt a JSON value; return (nonce, ciphertext)."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce, self.cipher.encrypt(nonce, orjson.dumps(value), _bound(bound_to, self.key_id))

    def open(self, nonce: bytes, ciphertext: bytes, *, bound_to: str) -> Any:
        """Decrypt a JSON value; InvalidTag if it was sealed for something else."""
        return orjson.loads(self.cipher.decrypt(nonce, ciphertext, _bound(bound_to, self.key_id)))

    def seal_blob(self, value: Any) -> bytes:
        """Encrypt a JSON value as one blob that names its key."""
        nonce, ciphertext = self.seal(value, bound_to="blob")
        return self.key_id.bytes + nonce + ciphertext


class Vault:
    """The store's keys, opened with the master key."""

    def __init__(
        self,
        master: bytes,
        *,
        epoch: UUID,
        content_key: bytes,
        signing: Ed25519PrivateKey,
        previous: bytes | None = None,
    ) -> None:
        """`previous` is the other master key while one takes the place of the other."""
        self._master = AESGCM(master)
        self._previous = AESGCM(previous) if previous is not None else None
        self._content_key = content_key
        self._signing = signing
        self.epoch = epoch

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that checks receipts."""
        return self._signing.public_key()

    def sign(self, data: bytes) -> bytes:
        """Sign with Ed25519."""
        return self._signing.sign(data)

    def content_hmac(self, content: bytes) -> bytes:
        """Digest an event's content, keyed, so that it cannot be guessed from the digest."""
        return hmac.digest(self._content_key, content, hashlib.sha256)

    def derived_key(self, name: str) -> bytes:
        """Derive a 32-byte key for a purpose; the same for every process of this store."""
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=name.encode()).derive(self._content_key)

    def seal_secret(self, value: bytes, *, context: str) -> bytes:
        """Encrypt a secret of the service itself (an endpoint's, a quarantined body), bound to its context."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, value, context.encode())

    def open_secret(self, blob: bytes, *, context: str) -> bytes:
        """Decrypt what `seal_secret` made, with either master key; InvalidTag for another context."""
        nonce, sealed, bound_to = blob[:NONCE_BYTES], blob[NONCE_BYTES:], context.encode()
        try:
            return self._master.decrypt(nonce, sealed, bound_to)
        except InvalidTag:
            if self._previous is None:
                raise
            return self._previous.decrypt(nonce, sealed, bound_to)

    def sealed_anew(self, blob: bytes, *, context: str) -> bytes | None:
        """Seal again what the previous master key sealed; None for what the current one did. InvalidTag if neither did."""
        try:
            self._master.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], context.encode())
        except InvalidTag:
            return self.seal_secret(self.open_secret(blob, context=context), context=context)
        return None

    def person_digest(self, person: str) -> bytes:
        """Digest who a person is, keyed: it is known again, and names nobody."""
        return hmac.digest(self._content_key, b"person|" + person.encode(), hashlib.sha256)

    def new_person_key(self, person: str) -> tuple[PersonKey, bytes]:
        """Make a key for a person; return it and its wrapped form."""
        key_id, key = uuid4(), os.urandom(KEY_BYTES)
        wrapped = self.seal_secret(key, context=f"person|{person}|{key_id}")
        return PersonKey(person, key_id, AESGCM(key)), wrapped

    def unwrap(self, person: str, key_id: UUID, wrapped: bytes) -> PersonKey:
        """Open a person's wrapped key."""
        key = self.open_secret(wrapped, context=f"person|{person}|{key_id}")
        return PersonKey(person, key_id, AESGCM(key))


class Opener:
    """Reads sealed parts for those who may see them."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database = database
        self.vault = vault

    async def open_parts(self, keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], dict[str, Any]]:
        """Open the sealed parts of events `(id, part)`: class -> data, or None where the key was destroyed."""
        opened: dict[tuple[UUID, int], dict[str, Any]] = {key: {} for key in keys}
        async with self.database.acquire() as connection:
            rows = await connection.fetch(query("sealed.of_events"), [key[0] for key in keys], [key[1] for key in keys])
        for row in rows:
            place = (row["event_id"], row["part"])
            opened[place][row["purpose"]] = None
            if row["wrapped"] is not None:
                key = self.vault.unwrap(row["person"], row["key_id"], row["wrapped"])
                bound_to = sealed_place(row["event_id"], row["part"], row["purpose"])
                opened[place][row["purpose"]] = key.open(row["nonce"], row["ciphertext"], bound_to=bound_to)
        return opened

    async def open_blobs(self, blobs: Sequence[bytes]) -> list[Any]:
        """Open blobs in order; None where the key was destroyed."""
        ids = [UUID(bytes=bytes(blob[:16])) for blob in blobs]
        async with self.database.acquire() as connection:
            rows = await connection.fetch(query("person_key.by_ids"), list(set(ids)))
        keys = {
            row["key_id"]: self.vault.unwrap(row["person"], row["key_id"], row["wrapped"])
            for row in rows
            if row["wrapped"] is not None
        }
        return [open_blob(keys.get(key_id), bytes(blob)) for key_id, blob in zip(ids, blobs, strict=True)]


def open_blob(key: PersonKey | None, blob: bytes) -> Any:
    """Open one blob with its key; None without a key."""
    if key is None:
        return None
    start = 16 + NONCE_BYTES
    return key.open(blob[16:start], blob[start:], bound_to="blob")


def sealed_place(event_id: UUID, part: int, purpose: str) -> str:
    """Name what a ciphertext is bound to."""
    return f"{event_id}|{part}|{purpose}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of persons as one transaction needs them; of those who were erased, since when."""

    live: Mapping[str, PersonKey]
    erased_at: Mapping[str, datetime]
    _gone: dict[str, PersonKey] = field(default_factory=dict)

    def of(self, person: str, at: datetime | None = None) -> PersonKey:
        """Return the key for what happened at a moment: before an erasure, one that nobody keeps."""
        erased_at = self.erased_at.get(person)
        if person in self.live and (erased_at is None or at is None or at > erased_at):
            return self.live[person]
        if person not in self._gone:
            self._gone[person] = PersonKey(person, uuid4(), AESGCM(os.urandom(KEY_BYTES)))
        return self._gone[person]


async def person_keys(
    connection: asyncpg.Connection,
    vault: Vault,
    persons: Iterable[str],
    *,
    newest: Mapping[str, datetime] | None = None,
) -> Keys:
    """Load the live keys of persons, making those that are missing.

    An erased person gets a new one only for what happened since: `newest` says when that was, nothing says now.
    """
    wanted = sorted(set(persons))
    rows = await connection.fetch(query("person_key.live"), wanted, [vault.person_digest(each) for each in wanted])
    erased_at = {row["person"]: row["erased_at"] for row in rows if row["erased_at"] is not None}
    live = {
        row["person"]: vault.unwrap(row["person"], row["key_id"], row["wrapped"])
        for row in rows
        if row["wrapped"] is not None
    }
    times = newest or {}
    missing = [
        person
        for person in wanted
        if person not in live and (person not in erased_at or times.get(person, datetime.now(UTC)) > erased_at[person])
    ]
    if missing:
        live |= await _new_keys(connection, vault, missing)
    return Keys(live, erased_at)


async def _new_keys(connection: asyncpg.Connection, vault: Vault, persons: Sequence[str]) -> dict[str, PersonKey]:
    made = [vault.new_person_key(person) for person in persons]
    ids, wrapped = [key.key_id for key, _ in made], [wrapped for _, wrapped in made]
    kept = {row["key_id"] for row in await connection.fetch(query("person_key.add"), list(persons), ids, wrapped)}
    keys = {key.person: key for key, _ in made if key.key_id in kept}
    if lost := [person for person in persons if person not in keys]:  # another writer made them first
        digests = [vault.person_digest(each) for each in lost]
        for row in await connection.fetch(query("person_key.live"), lost, digests):
            if row["wrapped"] is not None:
                keys[row["person"]] = vault.unwrap(row["person"], row["key_id"], row["wrapped"])
    return keys


def master_key(settings: Settings) -> bytes:
    """Return the master key of the settings, else of the file `keys/master.key`, made once with mode 0600."""
    if settings.master_key is not None:
        return _decoded(settings.master_key.get_secret_value())
    if settings.database_url is not None:
        raise UserMistake("FIELDSVC_MASTER_KEY must be set with FIELDSVC_DATABASE_URL: 32 random bytes in base64.")
    return _kept_key(settings.var_dir / "keys" / "master.key")


def previous_master_key(settings: Settings) -> bytes | None:
    """Return the master key that is being replaced: of the settings, else of the file `keys/master.key.previous`."""
    if settings.master_key_previous is not None:
        return _decoded(settings.master_key_previous.get_secret_value(), "FIELDSVC_MASTER_KEY_PREVIOUS")
    kept = settings.var_dir / "keys" / "master.key.previous"
    if settings.master_key is not None or settings.database_url is not None or not kept.exists():
        return None
    return _decoded(kept.read_text().strip(), "keys/master.key.previous")


async def open_vault(connection: asyncpg.Connection, master: bytes, previous: bytes | None = None) -> Vault:
    """Open the store's keys, making them at install. UserMistake if the master key is another store's."""
    signing = Ed25519PrivateKey.generate()
    wrapper = Vault(master, epoch=uuid4(), content_key=b"", signing=signing, previous=previous)
    await connection.execute(
        query("store.install"),
        uuid4(),
        wrapper.seal_secret(os.urandom(KEY_BYTES), context="content"),
        wrapper.seal_secret(signing.private_bytes_raw(), context="signing"),
        signing.public_key().public_bytes_raw(),
    )
    (row,) = await connection.fetch(query("store.read"))
    try:
        content_key = wrapper.open_secret(row["content_key"], context="content")
        signing = Ed25519PrivateKey.from_private_bytes(wrapper.open_secret(row["signing_key"], context="signing"))
    except InvalidTag as error:
        raise UserMistake("The master key does not open this store: it belongs to another one.") from error
    return Vault(master, epoch=row["epoch"], content_key=content_key, signing=signing, previous=previous)


def _decoded(text: str, name: str = "FIELDSVC_MASTER_KEY") -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UserMistake(f"{name} is not base64.") from error
    if len(key) != KEY_BYTES or len(set(key)) < KEY_BYTES // 4:
        raise UserMistake(f"{name} must be 32 random bytes in base64.")
    return key


def _kept_key(path: Path) -> bytes:
    """Read the key file, making it whole and at once: two processes that start together use the same key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return _decoded(path.read_text().strip())


def _bound(place: str, key_id: UUID) -> bytes:
    return f"{place}|{key_id}".encode()
