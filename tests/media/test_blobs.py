"""The store of pictures: a folder, or a bucket of an S3-compatible server, with one interface."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from fieldsvc.errors import Unavailable, UserMistake
from fieldsvc.media import blobs as module
from fieldsvc.media.blobs import Blobs, open_blobs
from fieldsvc.settings import Settings


class Bucket:
    """As much of S3 as is asked for here, over HTTP on loopback; every request must be signed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.status = 0

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key-id/")
        path = request.match_info.get("path", "")
        if self.status:
            return web.Response(status=self.status)
        if request.method == "PUT":
            self.objects[path] = await request.read()
            return web.Response(headers={"ETag": '"1"'})
        if request.method == "GET" and "list-type" in request.query:
            return web.Response(body=self._listed(request.query.get("prefix", "")), content_type="application/xml")
        if request.method == "DELETE":
            self.objects.pop(path, None)
            return web.Response(status=204)
        if path not in self.objects:
            return web.Response(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>")
        headers = {"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 09:00:00 GMT"}
        return web.Response(body=self.objects[path], headers=headers)

    def _listed(self, prefix: str) -> str:
        found = [(name, data) for name, data in self.objects.items() if name.startswith(prefix)]
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(data)}</Size></Contents>'
            for name, data in found
        )
        return f"<ListBucketResult><KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"


@pytest.fixture
async def bucket() -> AsyncIterator[tuple[Bucket, Blobs]]:
    made, app = Bucket(), web.Application()
    app.router.add_route("*", "/pictures/{path:.*}", made.answer)
    app.router.add_route("*", "/pictures", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    settings = Settings(
        media_url="s3://pictures/post/2026", media_endpoint=f"http://127.0.0.1:{port}", media_access_key="key-id",
        media_secret_key="secret",
    )  # type: ignore[arg-type]  # fmt: skip
    yield made, open_blobs(settings)
    await runner.cleanup()


@pytest.fixture
def folder(tmp_path: Path) -> Blobs:
    return open_blobs(Settings(var_dir=tmp_path))


async def use(blobs: Blobs) -> None:
    """Do with a store what is done with it."""
    assert await blobs.get("one") is None
    await blobs.delete("one")
    for name in ("one", "two"):
        await blobs.put(name, name.encode() * 1_000)
    assert await blobs.get("two") == b"two" * 1_000
    later = datetime(2100, 1, 1, tzinfo=UTC)
    assert sorted([name async for page in blobs.names(before=later) for name in page]) == ["one", "two"]
    earlier = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=1)
    assert [name async for page in blobs.names(before=earlier) for name in page] == []
    await blobs.delete("one")
    assert await blobs.get("one") is None


async def test_a_folder_keeps_finds_lists_and_forgets(folder: Blobs, tmp_path: Path) -> None:
    await use(folder)
    assert [file.name for file in (tmp_path / "media" / "kept").iterdir()] == ["two"]


async def test_a_bucket_does_the_same_under_its_prefix_and_every_request_is_signed(
    bucket: tuple[Bucket, Blobs],
) -> None:
    made, blobs = bucket
    await use(blobs)
    assert list(made.objects) == ["post/2026/two"]


async def test_a_store_that_refuses_is_unavailable_so_that_the_phone_sends_again(bucket: tuple[Bucket, Blobs]) -> None:
    made, blobs = bucket
    made.status = 403
    with pytest.raises(Unavailable):
        await blobs.put("one", b"x")
    with pytest.raises(Unavailable):
        await blobs.get("one")


async def test_an_endless_object_is_not_read(bucket: tuple[Bucket, Blobs], monkeypatch: pytest.MonkeyPatch) -> None:
    made, blobs = bucket
    monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    await blobs.put("one", b"x" * 1_000_000)
    assert len(await blobs.get("one") or b"") == 1_000_000
    made.objects["post/2026/one"] += b"x"
    assert await blobs.get("one") is None


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    blobs: Any = open_blobs(Settings(var_dir=tmp_path))
    kept = tmp_path / "media" / "kept"
    kept.rmdir()
    kept.write_text("no folder")
    with pytest.raises(Unavailable):
        await blobs.put("one", b"x")


@pytest.mark.parametrize("url", ["pictures", "http://host/bucket", "s3:///x", "file:///tmp"])
def test_an_address_that_is_no_bucket_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(UserMistake):
        open_blobs(Settings(media_url=url))
