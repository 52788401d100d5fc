"""Uploads that are not complete: one file for each phone and picture, encrypted as it grows, so that it can be continued.

AES-CTR with a key of the store and a nonce of the file lets bytes be appended at any place; that they are the right ones is
seen at the end, by the SHA-256 that is the picture's name. The file is locked while a request writes it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fieldsvc.errors import TooMany
from fieldsvc.media.errors import UploadBusy

MOST_OF_A_DEVICE = 50
KEPT_S = 24 * 3_600.0
_NONCE, _BLOCK = 16, 16


class Partial:
    """One upload, locked by this request."""

    def __init__(self, file: BinaryIO, path: Path, key: bytes) -> None:
        self._file = file
        self._path = path
        self._key = key
        self.received = max(0, os.fstat(file.fileno()).st_size - _NONCE)

    def append(self, data: bytes) -> None:
        """Write what comes next."""
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() < _NONCE:
            self._file.truncate(0)
            self._file.write(os.urandom(_NONCE))
        self._file.write(self._stream(self.received).update(data))
        self._file.flush()
        self.received += len(data)

    def read(self) -> bytes:
        """Read everything that was received."""
        if not self.received:
            return b""
        stream = self._stream(0)
        self._file.seek(_NONCE)
        return stream.update(self._file.read())

    def drop(self) -> None:
        """Forget what was received."""
        self._path.unlink(missing_ok=True)
        self._file.truncate(0)
        self.received = 0

    def _stream(self, offset: int) -> CipherContext:
        self._file.seek(0)
        start = int.from_bytes(self._file.read(_NONCE), "big") + offset // _BLOCK
        self._file.seek(0, os.SEEK_END)
        counter = (start % (1 << 128)).to_bytes(_BLOCK, "big")
        stream = Cipher(AES(self._key), CTR(counter)).encryptor()
        stream.update(bytes(offset % _BLOCK))
        return stream


class Partials:
    """The uploads of every phone, under one folder."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = key

    def received(self, device: str, name: str) -> int:
        """Tell how many bytes of a picture are here."""
        path = self._folder / device / name
        return max(0, path.stat().st_size - _NONCE) if path.exists() else 0

    @contextmanager
    def open(self, device: str, name: str) -> Iterator[Partial]:
        """Lock an upload, new or begun. UploadBusy while another request has it, TooMany when a phone begins too many."""
        path = self._folder / device / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() and sum(1 for _ in path.parent.iterdir()) >= MOST_OF_A_DEVICE:
            raise TooMany(retry_after_s=60)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusy(retry_after_s=2) from None
            partial = Partial(file, path, self._key)
            try:
                yield partial
            finally:
                if not partial.received:
                    path.unlink(missing_ok=True)

    def forget_old(self, *, older_than_s: float = KEPT_S) -> int:
        """Delete uploads that nobody continued for a day; return how many."""
        limit, gone = time.time() - older_than_s, 0
        for path in self._folder.glob("*/*"):
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                gone += 1
        return gone
