"""Proofs of delivery over HTTP: signed JSON or PDF, and the key that checks them."""

import base64
import re

from aiohttp import web

from fieldsvc.access.rights import proofs_of
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.web.auth import CALLER
from fieldsvc.web.problems import json_response
from fieldsvc.work.proof_document import ALGORITHM, key_id
from fieldsvc.work.proof_pdf import LANGUAGES
from fieldsvc.work.proofs import Proofs, Reader

PROOFS = web.AppKey("PROOFS", Proofs)
PDF, JSON = "application/pdf", "application/json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


async def read(request: web.Request) -> web.Response:
    """Give the proof that an item was handed over or left, as signed JSON or as PDF."""
    reader = Reader(*proofs_of(request.get(CALLER)))
    item_id, proofs = request.match_info["item_id"], request.app[PROOFS]
    lang, as_pdf = request.query.get("lang", LANGUAGES[0]), _wants_pdf(request)
    if lang not in LANGUAGES:
        raise BadRequest("The language is fr or en.")
    if not _ID.fullmatch(item_id):
        raise NotFound
    if as_pdf:
        body, media_type = await proofs.as_pdf(item_id, reader, lang=lang), PDF
    else:
        body, media_type = await proofs.as_json(item_id, reader), JSON
    name = f"proof-{item_id.replace(':', '-')}.{media_type.rpartition('/')[2]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    return web.Response(body=body, content_type=media_type, headers=headers)


async def key(request: web.Request) -> web.Response:
    """Give the public key that checks proofs and receipts offline."""
    found = request.app[PROOFS].key
    public = base64.b64encode(found.public_bytes_raw()).decode()
    return json_response({"alg": ALGORITHM, "key_id": key_id(found), "public_key": public})


def _wants_pdf(request: web.Request) -> bool:
    """Choose by `?format=`, else by Accept: PDF only where it is named and JSON is not."""
    asked, accept = request.query.get("format"), request.headers.get("Accept", "")
    if asked not in (None, "json", "pdf"):
        raise BadRequest("The format is json or pdf.")
    return asked == "pdf" or (asked is None and PDF in accept and JSON not in accept)


routes: list[web.RouteDef] = [
    web.get("/v1/items/{item_id}/proof", read),
    web.get("/v1/proof-key", key),
]
