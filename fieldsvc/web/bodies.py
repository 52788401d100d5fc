"""How a body may be packed."""

from aiohttp import web

from fieldsvc.errors import UnsupportedMedia

ENCODINGS = frozenset({"identity", "gzip", "deflate"})


def check_encoding(request: web.Request) -> None:
    """Refuse a body that is packed in a way that was not undone. UnsupportedMedia."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ENCODINGS:
        raise UnsupportedMedia("A body is packed with gzip, deflate or not at all.")
