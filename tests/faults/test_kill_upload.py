"""The service is killed in the middle of a picture: the phone goes on where it was, and what it sent was never readable."""

import asyncio
import base64
import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from fieldsvc.access import enrolment
from fieldsvc.bench.faults.children import Child, Children
from fieldsvc.store.database import open_database
from fieldsvc.work import imports
from tests.media.pictures import name_of, photo

pytestmark = pytest.mark.fault


async def _token(url: str) -> str:
    database = await open_database(url)
    try:
        await imports.create_site(database, "pantin")
        made = await enrolment.enrol_device(database, "http://127.0.0.1", carrier="A", site="pantin")
        return str(made["token"])
    finally:
        await database.close()


async def _serve(children: Children, env: dict[str, str]) -> tuple[Child, str]:
    child = await children.start("-m", "fieldsvc", "serve", "--port", "0", "--roles", "intake", env=env)
    line = await child.line(within_s=60)
    assert line.startswith("listening "), line
    return child, line.removeprefix("listening ")


async def _half(url: str, headers: dict[str, str], data: bytes) -> asyncio.StreamWriter:
    """Begin an upload and stop in the middle, with the connection open."""
    host, port = url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT /v1/media/{name_of(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
    writer.write(f"{head}Authorization: {headers['Authorization']}\r\n\r\n".encode() + data[: len(data) // 2])
    await writer.drain()
    return writer


async def _here(client: aiohttp.ClientSession, url: str, name: str) -> str | None:
    async with client.head(f"{url}/v1/media/{name}", allow_redirects=False) as answer:
        return answer.headers.get("Range")


async def test_an_upload_goes_on_after_the_service_was_killed_in_the_middle_of_it(
    children: Children, database_url: str, tmp_path: Path
) -> None:
    headers, data = {"Authorization": f"Bearer {await _token(database_url)}"}, photo(1_600, 1_200, exif=True)
    half, key = len(data) // 2, base64.b64encode(os.urandom(32)).decode()
    env = {"FIELDSVC_DATABASE_URL": database_url, "FIELDSVC_MASTER_KEY": key, "FIELDSVC_VAR_DIR": str(tmp_path)}
    child, url = await _serve(children, env)
    async with aiohttp.ClientSession(headers=headers) as client:
        writer = await _half(url, headers, data)
        deadline = time.monotonic() + 20
        while await _here(client, url, name_of(data)) != f"bytes=0-{half - 1}":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        child.signal(signal.SIGKILL)
        await child.ended()
        writer.close()
        (left,) = (tmp_path / "media" / "partial").glob("*/*")
        assert data[:1_000] not in left.read_bytes()
        assert b"SECRET CAMERA" not in left.read_bytes()
        _, url = await _serve(children, env)
        assert await _here(client, url, name_of(data)) == f"bytes=0-{half - 1}"
        said = {"Content-Range": f"bytes {half}-{len(data) - 1}/{len(data)}"}
        async with client.put(f"{url}/v1/media/{name_of(data)}", data=data[half:], headers=said) as answer:
            assert answer.status == 201
        async with client.get(f"{url}/v1/media/{name_of(data)}") as answer:
            assert (answer.status, answer.content_type) == (200, "image/webp")
