"""The routes of queues that another phone brings, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.intake.reasons import STATUSES
from fieldsvc.intake.relay import ForeignRelay, UnknownRelayed, UnreadableRelay
from fieldsvc.web.reference.bodies import INTEGER, STRING, record
from fieldsvc.web.reference.operation import DEVICE, Operation, Table, one

RELAYS: Table = {
    ("GET", "/v1/relay-key"): Operation(
        "field events",
        "Donne la clé publique pour laquelle un téléphone scelle sa file.",
        one(
            200,
            "The key. It stays the same, also when the master key is rotated.",
            record(
                {
                    "alg": STRING,
                    "key_id": {**STRING, "description": "The first 8 bytes of its SHA-256, hexadecimal."},
                    "public_key": {**STRING, "description": "An uncompressed point of P-256, 65 bytes in base64."},
                }
            ),
        ),
    ),
    ("POST", "/v1/relays"): Operation(
        "field events",
        "Prend la file scellée d'un autre téléphone de l'établissement, comme si elle venait de lui ; "
        "répond des nombres, sans aucun contenu.",
        one(200, "How many events ended in which way.", record(dict.fromkeys(STATUSES, INTEGER))),
        security=DEVICE,
        faults=(
            *(e.BadRequest, UnreadableRelay, e.NotJson, e.Unauthorized, e.Revoked, e.NotFound, e.TooLarge),
            *(e.UnsupportedMedia, ForeignRelay, UnknownRelayed, e.TooMany, e.Unavailable),
        ),
        body={"application/octet-stream": None},
        description=(
            "A phone that cannot send seals its queue for `/v1/relay-key` and hands it to a colleague's phone, which sends it and "
            "cannot read it. The phone inside must have access as for `POST /v1/events`, and be of the same site (else 404). The "
            "same queue twice, or later from its own phone, counts as duplicates. At most 500 events and 1 MiB, sealed and unpacked; "
            "pictures stay on their phone. Layout: 4 bytes `FSR` and version 1, 8 bytes key id, 65 bytes ephemeral public key "
            "(P-256, uncompressed), then AES-256-GCM with those 77 bytes as additional data; key (32 bytes) and nonce (12) by "
            "HKDF-SHA-256 from the ECDH secret, salt = those 77 bytes, info = `fieldsvc relay 1`. Inside: gzip of two lines, "
            '{"device_id", "token", "made_at"} and the body of `POST /v1/events`.'
        ),
    ),
}
