"""The routes of pictures and of proofs, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.media import errors as m
from fieldsvc.web.reference.bodies import ANY, INTEGER, STRING, record
from fieldsvc.web.reference.operation import (
    DEVICE,
    JSON,
    KEY,
    PERSON,
    Answer,
    Operation,
    Table,
    one,
    parameter,
)

_NAME = {"sha256": "SHA-256 of the bytes as the phone sends them: 64 hexadecimal digits, lower case."}
_KEPT = record(
    {
        "sha256": STRING,
        "kept_sha256": {**STRING, "description": "SHA-256 of the form that is kept, which `GET` gives."},
        "media_type": STRING,
        "bytes": INTEGER,
        "width": INTEGER,
        "height": INTEGER,
    }
)
_PICTURES = {"image/jpeg": None, "image/png": None, "image/webp": None}
_HERE = Answer("Not whole yet.", headers={"Range": "`bytes=0-n`: what is here. Absent when nothing is."})
_PROOF = {
    **record(
        {
            "proof": ANY,
            "signature": {**STRING, "description": "Ed25519 over the canonical JSON of `proof`, hexadecimal."},
        }
    ),
    "description": "Exactly these bytes are signed: `fieldsvc verify proof FILE --key KEY` checks them offline.",
}

MEDIA: Table = {
    ("PUT", "/v1/media/{sha256}"): Operation(
        "field events",
        "Prend une photo ou une signature, entière ou par morceaux, et dit où elle en est.",
        {
            200: Answer("It was kept before; the first bytes win.", {JSON: _KEPT}),
            201: Answer("It is whole and kept.", {JSON: _KEPT}),
            308: _HERE,
        },
        security=DEVICE,
        faults=(
            *(e.BadRequest, m.BadName, e.Unauthorized, e.Revoked, m.UploadBusy, e.TooLarge, e.UnsupportedMedia),
            *(m.BadRange, m.HashMismatch, m.NotAPicture, m.TooManyPixels, e.TooMany, e.Unavailable),
        ),
        body=_PICTURES,
        body_required=False,
        parameters=(
            parameter(
                "header",
                "Content-Range",
                "`bytes a-b/total` for a part; `bytes */total` with an empty body asks how far it is.",
            ),
        ),
        path=_NAME,
        description=(
            "JPEG, PNG or WebP, told by content. After a broken connection ask how far it is and send the rest; a part that "
            "begins later than what is here is not taken, one that begins earlier is taken from there on. The whole is "
            "compared with its name, decoded with at most 25 million pixels, and kept as WebP of at most 2,048 pixels a side "
            "without EXIF or anything else. What is not whole is forgotten after a day, what no event names after seven."
        ),
    ),
    ("GET", "/v1/media/{sha256}"): Operation(
        "field events",
        "Donne une image à qui peut la voir : décodée et encodée à nouveau, sans rien d'autre que ses pixels.",
        {200: Answer("The form that is kept.", {"image/webp": None})},
        security=(*DEVICE, *KEY, *PERSON),
        faults=(m.BadName, e.Unauthorized, e.Revoked, e.NotFound, e.Unavailable),
        path=_NAME,
        description=(
            "The phone that sent it, the operator, supervisors of the site where it was named, and the account whose order it "
            "belongs to; for anybody else it is not there. `HEAD` tells the phone how far its upload is: 200, 308 or 404."
        ),
    ),
    ("GET", "/v1/items/{item_id}/proof"): Operation(
        "tasks",
        "Donne la preuve de remise d'un objet, en JSON signé ou en PDF.",
        {200: Answer("The proof.", {JSON: _PROOF, "application/pdf": None})},
        security=(*KEY, *PERSON),
        faults=(e.BadRequest, e.Unauthorized, e.Revoked, e.NotFound, e.Gone, e.Unavailable),
        parameters=(
            parameter("query", "format", "json or pdf; else the header Accept decides.", {"enum": ["json", "pdf"]}),
            parameter("query", "lang", "Language of the PDF: fr or en.", {"enum": ["fr", "en"]}),
        ),
        path={"item_id": "The item."},
        description=(
            "For the account whose task it is, and for advisers, supervisors of the site and the operator. What a neighbour or "
            "a caretaker signed does not go to the sender. The PDF carries the signed JSON as an attachment, and its last line "
            "signs the whole file."
        ),
    ),
    ("GET", "/v1/proof-key"): Operation(
        "tasks",
        "Donne la clé publique qui vérifie les preuves et les reçus.",
        one(
            200,
            "The key.",
            record({"alg": STRING, "key_id": STRING, "public_key": {**STRING, "description": "Base64."}}),
        ),
    ),
}
