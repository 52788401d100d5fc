"""The ground under the map: one GeoJSON file of the operator's, read and compressed once."""

import gzip
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.errors import NotFound, UserMistake

PATH = "/basemap.geojson"
_GZIP = b"\x1f\x8b"
_FOR_A_DAY = "private, max-age=86400"


class BadBasemap(UserMistake):
    """FIELDSVC_BASEMAP does not name a GeoJSON FeatureCollection, plain or gzip."""


@dataclass(frozen=True, slots=True)
class Basemap:
    """The file as it is sent; `attribution` is by language, and who made it is shown on the map."""

    packed: bytes
    tag: str
    attribution: dict[str, str]

    @property
    def url(self) -> str:
        """The address, which changes with the content."""
        return f"{PATH}?v={self.tag}"


BASEMAP = web.AppKey("BASEMAP", Basemap)


def read_basemap(path: Path) -> Basemap:
    """Read the file, GeoJSON or GeoJSON.gz, with an optional member `attribution`: a text, or texts by language. BadBasemap."""
    try:
        sent = path.read_bytes()
        raw = gzip.decompress(sent) if sent.startswith(_GZIP) else sent
        found = orjson.loads(raw)
    except (OSError, EOFError, orjson.JSONDecodeError) as error:
        raise BadBasemap(f"FIELDSVC_BASEMAP cannot be read ({type(error).__name__}).") from None
    if not isinstance(found, dict) or found.get("type") != "FeatureCollection":
        raise BadBasemap
    packed = sent if sent.startswith(_GZIP) else gzip.compress(raw, 6, mtime=0)
    return Basemap(packed, hashlib.sha256(raw).hexdigest()[:16], _by_language(found.get("attribution")))


def _by_language(said: Any) -> dict[str, str]:
    if isinstance(said, dict):
        return {language: str(words) for language, words in said.items()}
    return {"fr": said, "en": said} if isinstance(said, str) else {}


async def basemap(request: web.Request) -> web.Response:
    """Give the ground under the map, or 404 where the operator set none."""
    found = request.app.get(BASEMAP)
    if found is None:
        raise NotFound
    headers = {"ETag": f'"{found.tag}"', "Cache-Control": _FOR_A_DAY, "Vary": "Accept-Encoding"}
    if any(tag.value == found.tag for tag in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"], body = "gzip", found.packed
    else:
        body = gzip.decompress(found.packed)
    return web.Response(body=body, content_type="application/geo+json", headers=headers)


routes: list[web.RouteDef] = [web.get(PATH, basemap, name="page.basemap")]
