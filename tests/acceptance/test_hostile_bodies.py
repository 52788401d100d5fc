"""Hostile and broken bodies: each is answered as the contract says, harms nothing beside it, and is echoed nowhere."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from tests.acceptance.conftest import World
from tests.acceptance.service import BATCH, Answer, field_event, fresh, statuses

CANARY = "cAnArY7391"
HERE, C = "@@", CANARY.encode()
TAKEN = "accepted"


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def text(content: str) -> bytes:
    return orjson.dumps(content)


@contextmanager
def silent(world: World) -> Iterator[list[Answer]]:
    """Nothing of what was sent comes back or is logged."""
    start, answers = world.service.log.tell(), list[Answer]()
    yield answers
    assert CANARY not in world.service.log.getvalue()[start:]
    for answer in answers:
        assert answer.status < 500
        assert C not in answer.body
        assert CANARY not in str(answer.headers)


def try_member(world: World, member: bytes, expected: str, warning: str = "") -> None:
    """Post a member between two good ones: it is answered as expected, and they are taken."""
    good = [orjson.dumps(field_event("item.loaded", {"item_id": fresh("RK")}, runid=world.run_id)) for _ in range(2)]
    with silent(world) as answers:
        answer = world.phone.post(b"[%s,%s,%s]" % (good[0], member, good[1]))
        answers.append(answer)
        assert answer.status == 200, answer.body
        results = answer.json()["results"]
        assert [results[0]["status"], results[2]["status"]] == [TAKEN, TAKEN]
        fate = results[1]["status"] if expected == TAKEN else f"{results[1]['status']} {results[1]['reason']}"
        assert fate == (TAKEN if expected == TAKEN else f"quarantined {expected}")
        if warning:
            assert warning in results[1]["warnings"]


def member(world: World, fragment: bytes, where: str) -> bytes:
    """Write an event with a piece of JSON in one place: `data.x.y`, or a member of the envelope."""
    data: dict[str, Any] = {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118", "note": CANARY}
    event = field_event("item.delivered", data, runid=world.run_id, more=CANARY)
    *path, last = where.split(".")
    inner: Any = event
    for name in path:
        inner = inner.setdefault(name, {"lat": 48.93781, "lon": 2.16091} if name == "fix" else {})
    inner[last] = HERE
    return orjson.dumps(event).replace(orjson.dumps(HERE), fragment)


STRINGS = [
    ("B01 NUL in a string", text(f"{CANARY}\x00"), "nul_character"),
    ("B01 NUL in a key", b'{"%s\\u0000":1}' % C, "nul_character"),
    ("B01 NUL deep inside", b'[[{"a":["%s\\u0000"]}]]' % C, "nul_character"),
    ("B02 half a pair, first", b'"%s\\ud800"' % C, "bad_unicode"),
    ("B02 half a pair, second", b'"%s\\udfff x"' % C, "bad_unicode"),
    ("B02 a pair the wrong way round", b'"\\udc00\\ud800%s"' % C, "bad_unicode"),
    ("B02 half a pair in a key", b'{"\\uD900%s":0}' % C, "bad_unicode"),
    ("B02 a whole pair", b'"\\ud83d\\ude00%s"' % C, TAKEN),
    ("B03 1e999", b"1e999", "out_of_range"),
    ("B03 -1e999", b"-1e999", "out_of_range"),
    ("B03 1e400000", b"[1e400000]", "out_of_range"),
    ("B03 NaN as text", b'"NaN"', TAKEN),
    ("B03 the largest float", b"1.7976931348623157e308", TAKEN),
    ("B04 20 levels in all", nested(18), TAKEN),
    ("B04 21 levels in all", nested(19), "too_deep"),
    ("B04 25 levels", nested(25), "too_deep"),
    ("B04 150 levels of objects", b'{"a":' * 150 + b"1" + b"}" * 150, "too_deep"),
    ("B05 2^31", b"2147483648", TAKEN),
    ("B05 2^63-1", b"9223372036854775807", TAKEN),
    ("B05 2^63", b"9223372036854775808", "out_of_range"),
    ("B05 -2^63-1", b"-9223372036854775809", "out_of_range"),
    ("B05 2^64", b"18446744073709551616", "out_of_range"),
    ("B05 4,000 digits", b"9" * 4000, "out_of_range"),
    ("B05 5,000 digits", b"9" * 5000, "out_of_range"),
    ("B05 -5,000 digits, as a key's value", b'{"a":-%s}' % (b"9" * 5000), "out_of_range"),
    ("B06 duplicate keys, the last counts", b'{"a":"\\u0000","a":1}', TAKEN),
    ("B06 duplicate keys, the last counts, badly", b'{"a":1,"a":"\\u0000"}', "nul_character"),
    ("B16 a formula", text("=cmd|' /C calc'!A0" + CANARY), TAKEN),
    ("B16 HTML", text("<img src=x onerror=alert(1)>" + CANARY), TAKEN),
    ("B16 SQL", text("'; drop table event; --" + CANARY), TAKEN),
    ("B15 direction override", text("\u202etxt" + CANARY), TAKEN),
    ("B17 an unknown field of any form", b'{"%s":[true,null,{"x":1.5}]}' % C, TAKEN),
]


@pytest.mark.parametrize(("fragment", "expected"), [row[1:] for row in STRINGS], ids=[row[0] for row in STRINGS])
@pytest.mark.parametrize("where", ["data.extra", "extra"])
def test_a_strange_value_anywhere_is_the_fault_of_its_event_alone(
    world: World, where: str, fragment: bytes, expected: str
) -> None:
    levels = 1 if where == "extra" and fragment == nested(19) else 0
    try_member(world, member(world, nested(20) if levels else fragment, where), expected)


NUMBERS = [
    ("data.fix.lat", b"91", "out_of_range"),
    ("data.fix.lat", b"-90.0001", "out_of_range"),
    ("data.fix.lat", b"1e308", "out_of_range"),
    ("data.fix.lat", b"9223372036854775807", "out_of_range"),
    ("data.fix.lat", b'"48.9"', "bad_payload"),
    ("data.fix.lat", b'"NaN"', "bad_payload"),
    ("data.fix.lat", b"true", "bad_payload"),
    ("data.fix.lat", b"null", "bad_payload"),
    ("data.fix.lat", b"[48.9]", "bad_payload"),
    ("data.fix.lon", b"181", "out_of_range"),
    ("data.fix.lon", b"-180.1", "out_of_range"),
    ("data.fix.accuracy_m", b"-1", "out_of_range"),
    ("data.fix.accuracy_m", b"1e9", "out_of_range"),
    ("data.fix.accuracy_m", b"0", TAKEN),
    ("data.fix.fixed_at", b'"2026-11-21T09:42:60Z"', "bad_payload"),
    ("data.fix.fixed_at", b"1700000000", "bad_payload"),
    ("data.fix", b"[]", "bad_payload"),
    ("data.fix", b"{}", "bad_payload"),
    ("data.fix", b'"%s"' % C, "bad_payload"),
    ("data.fix", b"false", "bad_payload"),
    ("data.fix", b"null", TAKEN),
]
PLACES = [(b'{"lat":0,"lon":0}', "implausible_fix"), (b'{"lat":0.0,"lon":-0.0,"accuracy_m":0}', "implausible_fix"), (b'{"lat":2.16091,"lon":48.93781}', ""), (b'{"lat":90,"lon":180}', ""), (b'{"lat":-90,"lon":-180,"x":"%s"}' % C, "")]  # fmt: skip


@pytest.mark.parametrize(("where", "fragment", "expected"), NUMBERS)
def test_b08_a_fix_has_numbers_in_their_ranges(world: World, where: str, fragment: bytes, expected: str) -> None:
    try_member(world, member(world, fragment, where), expected)


@pytest.mark.parametrize(("fragment", "warning"), PLACES)
def test_b08_an_implausible_place_is_taken_and_not_used(world: World, fragment: bytes, warning: str) -> None:
    try_member(world, member(world, fragment, "data.fix"), TAKEN, warning)


TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-21T09:42:60Z", "2026-11-21T24:00:00Z", "2026-11-21T09:42:17", "2026-02-30T09:42:17Z", "2026-11-21 09:42:17Z", "2026-11-21T09:42:17+25:00", "2100-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1700000000", "20261121T094217Z", "2026-11-21T09:42:17.Z", "2026-11-21T09:42:17Z\n", "now", "", CANARY]  # fmt: skip


@pytest.mark.parametrize("fragment", [*map(text, TIMES), b"1700000000", b"1.7e9", b"true", b"{}", b'["2026-11-21T09:42:17Z"]'])  # fmt: skip
def test_b07_what_is_no_rfc_3339_time_with_an_offset_is_a_bad_time(world: World, fragment: bytes) -> None:
    try_member(world, member(world, fragment, "time"), "bad_time")


@pytest.mark.parametrize("moment", ["2026-11-21T09:42:17.123456789Z", "2000-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08+01:00", "2024-02-29T23:59:59.9-11:30"])  # fmt: skip
def test_b07_every_time_that_a_phones_clock_may_show_is_taken(world: World, moment: str) -> None:
    try_member(world, member(world, text(moment), "time"), TAKEN, "clock_suspect" if moment[:4] != "2026" else "")


ENVELOPE = [
    ("specversion", b'"0.3"', "bad_specversion"),
    ("specversion", b"1.0", "bad_specversion"),
    ("type", b'"fieldsvc.item.loaded.v2"', "unknown_type"),
    ("type", b'"item.loaded"', "unknown_type"),
    ("type", b'"fieldsvc.%s.v1"' % C, "unknown_type"),
    ("type", b'"fieldsvc.task.planned.v1"', "unknown_type"),
    ("type", b'"fieldsvc.timer.return_due.v1"', "unknown_type"),
    ("type", b'"fieldsvc.event.corrected.v1"', "bad_payload"),
    ("type", b'["fieldsvc.item.loaded.v1"]', "unknown_type"),
    ("type", b"null", "unknown_type"),
    ("id", b'"%s"' % C, "bad_id"),
    ("id", b"7", "bad_id"),
    ("id", b"null", "bad_id"),
    ("id", b'"../../etc/passwd"', "bad_id"),
    ("id", b'"019a8f3e7c117d3a9a510c5d8c1f2e44"', "bad_id"),
    ("id", b'"{019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44}"', "bad_id"),
    ("id", b'"urn:uuid:019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"', "bad_id"),
    ("id", b'"019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44\\n"', "bad_id"),
    ("id", b'"019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e4\\u0663"', "bad_id"),
    ("subject", text("x" * 201), "bad_envelope"),
    ("subject", b'{"a":"%s"}' % C, "bad_envelope"),
    ("subject", b'"%s\\r\\nX: y"' % C, TAKEN),
    ("source", b"7", "bad_envelope"),
    ("source", b"null", TAKEN),
    ("runid", b'"../%s"' % C, "bad_run"),
    ("runid", b'"run-2026-11-21-T07\\n"', "bad_run"),
    ("runid", b'"run-2026-13-41-T07"', TAKEN),
    ("runid", b'""', "bad_run"),
    ("data", b"null", "bad_payload"),
    ("data", b'"%s"' % C, "bad_payload"),
    ("data", b"[]", "bad_payload"),
    ("data", b"{}", "bad_payload"),
    ("data_base64", b'"e30="', "bad_payload"),
    ("data.item_id", b"5", "bad_payload"),
    ("data.item_id", b'"../../%s"' % C, "bad_payload"),
    ("data.item_id", b'"a%%00%s"' % C, "bad_payload"),
    ("data.item_id", b'"a\\r\\n%s"' % C, "bad_payload"),
    ("data.item_id", b'"\\u202e%s"' % C, "bad_payload"),
    ("data.item_id", text("\u0420\u041a1"), "bad_payload"),
    ("data.item_id", text("R" * 10_240), "bad_payload"),
    ("data.item_ids", b"[]", "bad_payload"),
    ("data.item_ids", b'["%s",5]' % C, "bad_payload"),
    ("data.item_ids", orjson.dumps([f"I{n}" for n in range(501)]), "out_of_range"),
    ("data.stop_id", b'"st 118"', "bad_payload"),
    ("data.stop_id", b'"nowhere"', TAKEN),
    ("data.to", b'"%s"' % C, "bad_payload"),
    ("data.to", b"true", "bad_payload"),
    ("data.proof", b'"%s"' % C, "bad_payload"),
    ("data.proof", b'{"acceptor":{"surname":"%s"}}' % C, "bad_payload"),
    ("data.proof", b'{"identity":{"document_kind":"passport","number":"%s"}}' % C, TAKEN),
    ("data.proof", b'{"signature":"%s\\u0007"}' % C, "bad_payload"),
    ("data.located", b'{"stop_id":"%s"}' % C, TAKEN),
    ("data._envelope", b'{"device":"%s"}' % C, TAKEN),
    ("data.__class__", b'"%s"' % C, TAKEN),
    ("data.model_dump", b'"%s"' % C, TAKEN),
    ("data.run_id", b'{"a":["%s"]}' % C, TAKEN),
    ("data.delivery_point_id", b'["%s"]' % C, TAKEN),
]


@pytest.mark.parametrize(("where", "fragment", "expected"), ENVELOPE)
def test_b15_b17_each_part_of_an_event_is_checked(world: World, where: str, fragment: bytes, expected: str) -> None:
    try_member(world, member(world, fragment, where), expected)


@pytest.mark.parametrize("fragment", [b"5", b"null", b"true", b'"%s"' % C, b"[]", b'[{"%s":1}]' % C, b"1e999", b"9" * 5000, b'"\\ud800"', nested(150)])  # fmt: skip
def test_a_member_that_is_no_object_is_answered_with_a_null_id(world: World, fragment: bytes) -> None:
    try_member(world, fragment, "not_an_object")


GOOD = b'{"specversion":"1.0","id":"019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e45","type":"%s","data":{"a":%s}}'
NOT_JSON = [
    ("B03 NaN", GOOD % (C, b"NaN")),
    ("B03 Infinity", GOOD % (C, b"Infinity")),
    ("B03 -Infinity", b"[" + GOOD % (C, b"-Infinity") + b"]"),
    ("B03 NaN beside half a pair", GOOD % (C, b'["\\ud800",NaN]')),
    ("B04 200 levels", GOOD % (C, nested(200))),
    ("B04 1,000 levels", GOOD % (C, nested(1_000))),
    ("B04 1,000 levels beside half a pair", GOOD % (C, b'["\\ud800",%s]' % nested(1_000))),
    ("B04 60,000 levels", GOOD % (C, b'{"a":' * 60_000 + b"1" + b"}" * 60_000)),
    ("B04 100,000 levels", nested(100_000)),
    ("B04 100,000 levels, never closed", b"[" * 100_000),
    ("B04 100,000 levels, half a pair", b'["\\ud800"' + b",[" * 100_000),
    ("B09 UTF-16", (GOOD % (C, b"1")).decode().encode("utf-16-le")),
    ("B09 UTF-16 with a mark", (GOOD % (C, b"1")).decode().encode("utf-16")),
    ("B09 UTF-32", (GOOD % (C, b"1")).decode().encode("utf-32-be")),
    ("B09 UTF-8 with a mark", b"\xef\xbb\xbf" + GOOD % (C, b"1")),
    ("B09 Latin-1", GOOD % (C, '"é"'.encode("latin-1"))),
    ("B09 Latin-1 beside half a pair", GOOD % (C, '["é","\\ud800"]'.encode("latin-1"))),
    ("B09 overlong UTF-8", GOOD % (C, b'"\xc0\x80"')),
    ("B09 a surrogate in UTF-8", GOOD % (C, b'"\xed\xa0\x80"')),
    ("empty", b""),
    ("blank", b" \n"),
    ("only a NUL", b"\x00"),
    ("a raw NUL in a string", GOOD % (C, b'"\x00"')),
    ("a raw line break in a string", GOOD % (C, b'"\n"')),
    ("cut short", GOOD[:-1] % (C, b"1")),
    ("two documents", (GOOD % (C, b"1")) * 2),
    ("JSON lines", b"%s\n%s" % (GOOD % (C, b"1"), GOOD % (C, b"1"))),
    ("a trailing comma", GOOD % (C, b"[1,]")),
    ("a comment", GOOD % (C, b"1/*%s*/" % C)),
    ("single quotes", b"{'id':'%s'}" % C),
    ("a form", b"id=%s&type=x" % C),
    ("XML", b"<event>%s</event>" % C),
    ("a number with a leading zero", GOOD % (C, b"007")),
    ("hexadecimal", GOOD % (C, b"0x10")),
]


@pytest.mark.parametrize("body", [row[1] for row in NOT_JSON], ids=[row[0] for row in NOT_JSON])
def test_a_body_in_which_no_event_can_be_told_apart_is_400_not_json(world: World, body: bytes) -> None:
    with silent(world) as answers:
        answer = world.phone.post(body)
        answers.append(answer)
        assert (answer.status, answer.code) == (400, "not_json")


def zipped(size: int) -> bytes:
    """Pack a JSON text of so many bytes, piece by piece."""
    packer, parts = zlib.compressobj(9, wbits=31), list[bytes]()
    parts.append(packer.compress(b'["'))
    for _ in range(size // 1_000_000):
        parts.append(packer.compress(b"x" * 1_000_000))
    return b"".join((*parts, packer.compress(b'"]'), packer.flush()))


ENCODED = [
    ("B10 a bomb of 200 MB", zipped(200_000_000), "gzip", 413, "too_large"),
    ("B10 a bomb within a bomb", gzip.compress(zipped(50_000_000)), "gzip", 400, "not_json"),
    ("a gzip cut short", gzip.compress(C * 1000)[:-12], "gzip", 400, "not_json"),
    ("no gzip at all", C * 100, "gzip", 400, "bad_body"),
    ("no deflate at all", C * 100, "deflate", 400, "bad_body"),
    ("a gzip with a wrong checksum", gzip.compress(C)[:-8] + b"\x00" * 8, "gzip", 400, "bad_body"),
    ("empty in gzip", gzip.compress(b""), "gzip", 400, "not_json"),
    ("an encoding nobody knows", b"[]", "x-cAnArY7391", 415, "unsupported_media_type"),
    ("two encodings", gzip.compress(gzip.compress(b"[]")), "gzip, gzip", 415, "unsupported_media_type"),
    ("brotli", C, "br", 415, "unsupported_media_type"),
    ("zstandard", C, "zstd", 415, "unsupported_media_type"),
]


@pytest.mark.parametrize(("body", "encoding", "status", "code"), [row[1:] for row in ENCODED], ids=[row[0] for row in ENCODED])  # fmt: skip
def test_b10_packed_bodies_are_bounded_and_broken_ones_refused(
    world: World, body: bytes, encoding: str, status: int, code: str
) -> None:
    with silent(world) as answers:
        answer = world.phone.post(body, Content_Encoding=encoding)
        answers.append(answer)
        assert (answer.status, answer.code) == (status, code)


def test_b10_a_bomb_is_refused_before_it_is_unpacked_whole(world: World) -> None:
    import resource

    bomb = zipped(200_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        assert world.phone.post(bomb, Content_Encoding="gzip").status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB


def test_a_body_is_not_believed_for_its_content_type_alone(world: World) -> None:
    with silent(world) as answers:
        for media_type in ("text/html", f"{BATCH}; charset={CANARY}", CANARY, "application/json, text/html", "application/JSON"):  # fmt: skip
            answers.append(world.phone.post(b"[]", media_type))
        assert [answer.status for answer in answers] == [415, 415, 415, 415, 200]


def test_the_longest_address_that_a_phone_can_send_holds_nobody_up(world: World) -> None:
    data = {"delivery_point_id": "dp-117", "change": "moved", "old_address": CANARY, "confidence": "seen"}
    addresses: list[Any] = ["1 " + "a" * 1900, "1 " * 900, {"lines": ["rue " * 40_000]}, {"lines": [CANARY] * 50_000}, {"lines": {"a": 1}}, {"street": ["x"], "postcode": {"a": 2}, "house_number": [[1]]}, {}, {CANARY: 1}]  # fmt: skip
    events = [field_event("address_change.reported", {**data, "new_address": each}) for each in addresses]
    with silent(world) as answers:
        answer = world.phone.post(orjson.dumps(events))
        answers.append(answer)
        assert statuses(answer.json()["results"]) == [TAKEN] * len(events)
