"""Pictures from the first byte of an upload to the last reader."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fieldsvc.errors import FieldsvcError, Invalid, TooLarge
from fieldsvc.journal.sealed import KEY_BYTES, NONCE_BYTES, Vault
from fieldsvc.logs import get_logger
from fieldsvc.media.blobs import Blobs, open_blobs
from fieldsvc.media.errors import BadRange, HashMismatch
from fieldsvc.media.linking import context_of, key_of, link
from fieldsvc.media.partials import Partial, Partials
from fieldsvc.media.pictures import Kept, encode_anew
from fieldsvc.settings import Settings
from fieldsvc.store import media as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.media import Picture, Wanted

log = get_logger()
UNWANTED_FOR, LEFT_OVER_FOR = timedelta(days=7), timedelta(hours=1)
LINK_EVERY_S, TIDY_EVERY_S = 1.0, 3_600.0
AT_ONCE = 2  # pictures that are decoded at the same time: each needs up to 200 MB


@dataclass(frozen=True, slots=True)
class Sent:
    """What one request sends: the bytes from `first` on, of `total` in all; None = to the end of the body.

    A request that sends nothing and asks has no `first`; if all of the picture was received before, it is kept now.
    """

    first: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class HowFar:
    """How much of a picture is here; `kept` once all of it is."""

    received: int
    kept: Picture | None = None
    fresh: bool = False


class Media:
    """Takes, keeps and gives pictures."""

    def __init__(self, database: Database, vault: Vault, blobs: Blobs, *, folder: Path, most_bytes: int) -> None:
        """`folder` is for uploads that are not complete, `most_bytes` the largest picture as it is sent."""
        self._database = database
        self._vault = vault
        self._blobs = blobs
        self._partials = Partials(folder, vault.derived_key("media.partial"))
        self._most = most_bytes
        self._decoding = asyncio.Semaphore(AT_ONCE)

    @classmethod
    def of(cls, settings: Settings, database: Database, vault: Vault) -> "Media":
        """Open the pictures of these settings."""
        folder = settings.var_dir / "media" / "partial"
        return cls(database, vault, open_blobs(settings), folder=folder, most_bytes=settings.max_media_bytes)

    async def how_far(self, device: str, sha256: bytes) -> HowFar:
        """Tell how much of a picture a phone has sent, or that it is kept."""
        kept = await store.read(self._database, sha256)
        return HowFar(0, kept) if kept is not None else HowFar(self._partials.received(device, sha256.hex()))

    async def take(self, device: str, sha256: bytes, sent: Sent, body: AsyncIterator[bytes]) -> HowFar:
        """Take a part of a picture, and keep the picture once it is whole.

        Bytes from before what is here already are passed over; a part that would leave a gap is not taken, and the answer
        says how far the picture is. TooLarge, BadRange, UploadBusy, TooMany; of the whole picture HashMismatch, NotAPicture
        and TooManyPixels, after which nothing of it is left.
        """
        if (sent.total or 0) > self._most:
            raise TooLarge
        found = await self.how_far(device, sha256)
        if found.kept is not None:
            return found
        with self._partials.open(device, sha256.hex()) as partial:
            if sent.first is not None and sent.first > partial.received:
                return HowFar(partial.received)
            if not await self._receive(partial, sent, body):
                return HowFar(partial.received)
            try:
                kept = await self._whole(device, sha256, partial)
            except Invalid:
                partial.drop()
                raise
            partial.drop()
        await link(self._database, self._vault, sha256)
        return HowFar(0, kept, fresh=True)

    async def read(self, picture: Picture) -> bytes | None:
        """Open a picture; None if every person it was kept for was erased, or its object is gone or is not what was put there."""
        async with self._database.acquire() as connection:
            key = await key_of(connection, self._vault, picture.sha256, sealed_key=picture.sealed_key)
        sealed = await self._blobs.get(picture.object) if key is not None else None
        if key is None or sealed is None:
            return None
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], picture.sha256)
        except (InvalidTag, ValueError):
            log.warning("media.damaged", device=picture.device)
            return None

    async def find(self, sha256: bytes) -> Picture | None:
        """Find a picture that is kept."""
        return await store.read(self._database, sha256)

    async def wants(self, sha256: bytes) -> list[Wanted]:
        """List the facts that name a picture."""
        return await store.wants(self._database, sha256)

    async def keep_linking(self) -> None:
        """Join facts with pictures that were here before them, until cancelled."""
        while True:
            linked = 0
            with contextlib.suppress(FieldsvcError, *DATABASE_ERRORS):
                linked = await link(self._database, self._vault)
            if not linked:
                await asyncio.sleep(LINK_EVERY_S)

    async def keep_tidy(self) -> None:
        """Every hour, delete what nothing wants any more, until cancelled."""
        while True:
            try:
                gone = await self.tidy(datetime.now(UTC))
                if gone:
                    log.info("media.deleted", count=gone)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("media.not_tidied", error=type(error).__name__)
            await asyncio.sleep(TIDY_EVERY_S)

    async def tidy(self, now: datetime) -> int:
        """Delete pictures that nothing wants for seven days, what a crash left, and uploads of yesterday; return how many."""
        self._partials.forget_old()
        gone = await store.forget(self._database, before=now - UNWANTED_FOR)
        async for names in self._blobs.names(before=now - LEFT_OVER_FOR):
            gone += await store.unknown_objects(self._database, names)
        for name in set(gone):
            await self._blobs.delete(name)
        return len(set(gone))

    async def _receive(self, partial: Partial, sent: Sent, body: AsyncIterator[bytes]) -> bool:
        """Append what is new of a body; True if the picture is whole."""
        place = partial.received if sent.first is None else sent.first
        async for data in body:
            new = data[max(0, partial.received - place) :]
            place += len(data)
            if place > self._most:
                partial.drop()
                raise TooLarge
            if sent.total is not None and place > sent.total:
                raise BadRange
            if new:
                await asyncio.to_thread(partial.append, new)
        return sent.total is None or partial.received == sent.total

    async def _whole(self, device: str, sha256: bytes, partial: Partial) -> Picture:
        async with self._decoding:
            kept = await asyncio.to_thread(_checked, partial, sha256)
        key, name = os.urandom(KEY_BYTES), str(uuid4())
        nonce = os.urandom(NONCE_BYTES)
        await self._blobs.put(name, nonce + AESGCM(key).encrypt(nonce, kept.data, sha256))
        made = Picture(
            sha256=sha256,
            object=name,
            kept_sha256=kept.sha256,
            media_type=kept.media_type,
            size=len(kept.data),
            width=kept.width,
            height=kept.height,
            device=device,
            sealed_key=self._vault.seal_secret(key, context=context_of(sha256)),
            arrived_at=datetime.now(UTC),
        )
        if await store.keep(self._database, made):
            return made
        await self._blobs.delete(name)  # another phone was first
        return await store.read(self._database, sha256) or made


def _checked(partial: Partial, sha256: bytes) -> Kept:
    """Check the hash, then decode; in a thread."""
    sent = partial.read()
    if hashlib.sha256(sent).digest() != sha256:
        raise HashMismatch
    return encode_anew(sent)
