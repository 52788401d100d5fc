"""Where sealed pictures lie: a folder by default, an S3-compatible bucket by setting. One interface, of obstore, for both."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from fieldsvc.errors import Unavailable, UserMistake
from fieldsvc.settings import Settings

_CHUNK = 1_000
MOST_BYTES = 64 * 1_048_576  # of what a store may answer: nothing near it is ever put there


class Blobs:
    """Objects by name. What goes wrong below is Unavailable: the phone sends again."""

    def __init__(self, store: LocalStore | S3Store, folder: Path | None = None) -> None:
        """`folder` is where a LocalStore writes: its files are flushed to the disk before `put` returns."""
        self._store = store
        self._folder = folder

    async def put(self, name: str, data: bytes) -> None:
        """Write an object; it is there to stay once this returns."""
        try:
            await obstore.put_async(self._store, name, data)
            if self._folder is not None:
                await asyncio.to_thread(_flush, self._folder / name)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise Unavailable(retry_after_s=2) from error

    async def get(self, name: str) -> bytes | None:
        """Read an object; None if it is not there, or is larger than anything that is kept here."""
        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > MOST_BYTES:
                return None
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise Unavailable(retry_after_s=2) from error

    async def delete(self, name: str) -> None:
        """Delete an object; one that is gone is no fault."""
        try:
            await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            return
        except (obstore.exceptions.BaseError, OSError) as error:
            raise Unavailable(retry_after_s=2) from error

    async def names(self, *, before: datetime) -> AsyncIterator[list[str]]:
        """List the objects that were written before a moment, some at a time."""
        try:
            async for page in obstore.list(self._store, chunk_size=_CHUNK):
                yield [each["path"] for each in page if each["last_modified"] < before]
        except (obstore.exceptions.BaseError, OSError) as error:
            raise Unavailable(retry_after_s=2) from error


def open_blobs(settings: Settings) -> Blobs:
    """Open the store that the settings name. UserMistake for a URL that is none."""
    if settings.media_url is None:
        folder = settings.var_dir / "media" / "kept"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Blobs(LocalStore(folder.resolve()), folder)
    url = urlsplit(settings.media_url)
    if url.scheme != "s3" or not url.netloc:
        raise UserMistake("FIELDSVC_MEDIA_URL has the form s3://bucket/prefix.")
    config = {"region": settings.media_region, "disable_bulk_delete": "true"}
    if settings.media_endpoint is not None:
        config |= {"endpoint": settings.media_endpoint, "virtual_hosted_style_request": "false"}
    if settings.media_access_key is not None and settings.media_secret_key is not None:
        config["access_key_id"] = settings.media_access_key.get_secret_value()
        config["secret_access_key"] = settings.media_secret_key.get_secret_value()
    plain = (settings.media_endpoint or "").startswith("http://")
    options = {"allow_http": plain, "timeout": "30s", "connect_timeout": "5s"}
    prefix, again = url.path.strip("/") or None, {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
    made = S3Store(url.netloc, prefix=prefix, config=config, client_options=options, retry_config=again)  # type: ignore[arg-type]
    return Blobs(made)


def _flush(path: Path) -> None:
    """Flush a file, and its name, to the disk."""
    for each in (path, path.parent):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
