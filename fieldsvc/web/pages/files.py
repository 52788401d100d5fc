"""Styles, scripts and pictures: read once, named by the hash of their content, compressed once."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from fieldsvc.errors import NotFound

FOLDER = Path(__file__).parent / "static"
FAVICON = "favicon.svg"
FOR_EVER, ASK_AGAIN = "public, max-age=31536000, immutable", "public, no-cache"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css",
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".txt": "text/plain",
    }
)
_PACKED = frozenset({".css", ".js", ".mjs", ".svg", ".txt"})


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent; `packed` is its gzip form, where that is worth it."""

    content_type: str
    tag: str
    body: bytes
    packed: bytes | None


@cache
def every_file(folder: Path = FOLDER) -> Mapping[str, File]:
    """Read every file of the kinds that pages use, by its path in the folder."""
    return MappingProxyType(
        {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }
    )


def has_file(name: str) -> bool:
    """Tell whether a file is there; those under `vendor/` are fetched by `make`, not committed."""
    return name in every_file()


def static_url(name: str) -> str:
    """Return a file's address, which changes with its content; without a hash for a file that was not fetched."""
    found = every_file().get(name)
    return f"/static/{name}?v={found.tag}" if found is not None else f"/static/{name}"


async def static(request: web.Request) -> web.Response:
    """Give a file: for ever under the hash of its content, else to be asked for again."""
    return _answer(request, request.match_info["name"])


async def favicon(request: web.Request) -> web.Response:
    """Give the little picture that browsers ask for."""
    return _answer(request, FAVICON)


def _answer(request: web.Request, name: str) -> web.Response:
    found = every_file().get(name)
    if found is None:
        raise NotFound
    packed = found.packed if takes_gzip(request) else None
    headers = {
        "Cache-Control": FOR_EVER if request.query.get("v") == found.tag else ASK_AGAIN,
        "ETag": f'"{found.tag}{"-gz" if packed else ""}"',
        "Vary": "Accept-Encoding",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if any(tag.value.removesuffix("-gz") == found.tag for tag in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    charset = None if found.content_type == "image/png" else "utf-8"
    return web.Response(body=packed or found.body, content_type=found.content_type, charset=charset, headers=headers)


def takes_gzip(request: web.Request) -> bool:
    """Tell whether the caller takes an answer that is packed with gzip."""
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _read(path: Path) -> File:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0) if path.suffix in _PACKED else None
    tag = hashlib.sha256(body).hexdigest()[:16]
    return File(_TYPES[path.suffix], tag, body, packed if packed and len(packed) < len(body) else None)


routes: list[web.RouteDef] = [
    web.get("/static/{name:.+}", static, name="page.static"),
    web.get("/favicon.ico", favicon, name="page.favicon"),
]
