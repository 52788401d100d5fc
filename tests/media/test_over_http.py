"""Pictures from a phone to their readers, over HTTP, with the facts that name them."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sql import query
from tests.acceptance.service import PATIENCE_S, fresh
from tests.media.conftest import MOST, PNG, Desk, until
from tests.media.pictures import name_of, photo, png_bomb, signature


def test_a_picture_is_kept_in_another_form_sealed_under_a_random_name(desk: Desk) -> None:
    data = photo(seed=10, exif=True)
    answer = desk.put(data)
    assert (answer.status, answer.json()["sha256"]) == (201, name_of(data))
    assert answer.json()["media_type"] == "image/webp"
    assert desk.put(data).status == 200
    (row,) = desk.rows("select object from media where sha256 = $1", bytes.fromhex(name_of(data)))
    kept = (desk.service.settings.var_dir / "media" / "kept" / row["object"]).read_bytes()
    assert b"WEBP" not in kept
    assert b"RIFF" not in kept
    assert name_of(data) not in row["object"]
    assert not list((desk.service.settings.var_dir / "media" / "partial").glob("*/*"))


def test_the_phone_reads_back_what_it_sent_and_nobody_else_sees_what_no_fact_names(desk: Desk) -> None:
    data = photo(seed=11, exif=True)
    kept = desk.put(data).json()
    answer = desk.get(name_of(data), desk.phone.headers)
    assert (answer.status, answer.headers["content-type"], name_of(answer.body)) == (
        200,
        "image/webp",
        kept["kept_sha256"],
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert b"SECRET" not in answer.body
    for headers in (desk.colleague.headers, desk.shop.headers, desk.people["own"]):
        assert desk.get(name_of(data), headers).code == "not_found"
    assert desk.get(name_of(data), desk.people["boss"]).status == 200
    assert desk.get(name_of(data), {}).code == "unauthorized"
    assert desk.get("0" * 64, desk.phone.headers).code == "not_found"


def test_an_upload_is_continued_where_it_broke_and_what_comes_twice_or_too_early_does_no_harm(desk: Desk) -> None:
    data = photo(seed=12)
    name, total = name_of(data), len(data)
    assert desk.head(name).status == 404
    first = desk.put(data[:1000], name=name, Content_Range=f"bytes 0-999/{total}")
    assert (first.status, first.headers["range"]) == (308, "bytes=0-999")
    asked = desk.put(b"", name=name, Content_Range=f"bytes */{total}")
    assert (asked.status, asked.headers["range"]) == (308, "bytes=0-999")
    gap = desk.put(data[2000:], name=name, Content_Range=f"bytes 2000-{total - 1}/{total}")
    assert (gap.status, gap.headers["range"]) == (308, "bytes=0-999")
    over = desk.put(data[500:1500], name=name, Content_Range=f"bytes 500-1499/{total}")
    assert (over.status, over.headers["range"]) == (308, "bytes=0-1499")
    assert desk.head(name).headers["range"] == "bytes=0-1499"
    assert desk.put(data[1500:], name=name, Content_Range=f"bytes 1500-{total - 1}/{total}").status == 201
    assert desk.head(name).status == 200


def test_a_connection_that_breaks_loses_nothing_of_what_had_come(desk: Desk) -> None:
    data = photo(seed=13)
    name, half = name_of(data), len(data) // 2
    head = f"PUT /v1/media/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
    head += f"Authorization: Bearer {desk.phone.secret}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", desk.service.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode() + data[:half])
        until(lambda: desk.head(name).status == 308 and desk.head(name).headers.get("range") == f"bytes=0-{half - 1}")
        busy = desk.put(data[half:], name=name, Content_Range=f"bytes {half}-{len(data) - 1}/{len(data)}")
        assert (busy.code, busy.status) == ("upload_busy", 409)
    rest = f"bytes {half}-{len(data) - 1}/{len(data)}"
    until(lambda: desk.put(data[half:], name=name, Content_Range=rest).status in (200, 201))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("bytes 0-9/5", 416), ("bytes 5-2/10", 416), ("bytes a-b/c", 416), ("items 0-9/10", 416), ("bytes 0-4/10", 416),
        ("bytes -1-9/10", 416), ("bytes 0-9/*", 416), (f"bytes 0-9/{MOST + 1}", 413), ("bytes 0-9/99999999999999", 416),
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(desk: Desk, said: str, status: int) -> None:
    answer = desk.put(b"0123456789", Content_Range=said)
    assert (answer.status, answer.code) == (status, {416: "bad_range", 413: "too_large"}[status])


def test_other_bytes_than_the_name_says_are_refused_and_forgotten_and_the_right_ones_still_come_in(desk: Desk) -> None:
    data = photo(seed=14)
    wrong = desk.put(photo(seed=15), name=name_of(data))
    assert (wrong.status, wrong.code) == (422, "hash_mismatch")
    assert desk.head(name_of(data)).status == 404
    assert desk.put(data).status == 201
    assert desk.put(photo(seed=15), name=name_of(data)).status == 200
    first = desk.get(name_of(data), desk.phone.headers)
    assert name_of(first.body) == desk.put(data).json()["kept_sha256"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture"),
        (b"<html><script>alert(1)</script>", "not_a_picture"),
        (png_bomb(), "too_many_pixels"),
        (photo(seed=16)[:5000], "not_a_picture"),
    ],
    ids="empty svg html bomb cut".split(),
)
def test_what_is_no_picture_is_refused_and_leaves_nothing(desk: Desk, sent: bytes, code: str) -> None:
    answer = desk.put(sent, Content_Type="image/jpeg")
    assert (answer.status, answer.code) == (422, code)
    assert desk.head(name_of(sent)).status == 404


def test_too_large_is_refused_with_and_without_a_length(desk: Desk) -> None:
    data = bytes(MOST + 1)
    assert desk.put(data).code == "too_large"
    headers = {**desk.phone.headers, "Content-Type": PNG}
    answer = desk.service.ask("PUT", f"/v1/media/{name_of(data)}", data, headers=headers, chunked=True)
    assert answer.code == "too_large"
    assert desk.head(name_of(data)).status == 404


def test_a_packed_body_and_a_bad_name_are_refused(desk: Desk) -> None:
    assert desk.put(b"x", Content_Encoding="gzip").code in ("unsupported_media_type", "bad_body")
    assert desk.put(b"x", name="A" * 64).code == "bad_name"
    assert desk.put(b"x", name="..%2F..%2Fetc").code == "bad_name"
    assert desk.get("x", desk.phone.headers).code == "bad_name"


def test_many_phones_that_send_the_same_picture_at_once_make_one(desk: Desk) -> None:
    data = photo(1200, 900, seed=17)
    callers = [desk.phone, desk.colleague, desk.phone, desk.colleague]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda by: desk.put(data, by=by), callers))
    assert {answer.status for answer in answers} <= {200, 201, 409}
    assert [answer.status for answer in answers].count(201) >= 1
    assert desk.rows("select count(*) from media where sha256 = $1", bytes.fromhex(name_of(data)))[0][0] == 1
    hashes = {answer.json()["kept_sha256"] for answer in answers if answer.status == 200}
    assert len(hashes | {desk.put(data).json()["kept_sha256"]}) == 1


def test_a_fact_waits_for_its_pictures_and_is_told_again_when_all_are_there(desk: Desk) -> None:
    item, sign, shot = fresh("I"), signature(fresh()), photo(seed=18)
    desk.order(item)
    desk.deliver(item, signature=name_of(sign), photo=name_of(shot))
    until(lambda: desk.states(item) == [("proof_pending", False)])
    assert desk.put(sign).status == 201
    assert desk.put(shot).status == 201
    until(lambda: desk.states(item)[-1] == ("proof_complete", True))
    assert desk.states(item) == [("proof_pending", False), ("proof_complete", True)]


def test_a_picture_before_its_fact_completes_it_too(desk: Desk) -> None:
    item, sign = fresh("I"), signature(fresh())
    desk.order(item)
    assert desk.put(sign).status == 201
    desk.deliver(item, signature=name_of(sign))
    until(lambda: desk.states(item)[-1:] == [("proof_complete", True)])


def test_one_signature_for_several_items_completes_each_and_a_second_fact_with_it_as_well(desk: Desk) -> None:
    items, sign = [fresh("I") for _ in range(3)], signature(fresh())
    for item in items:
        desk.order(item)
    desk.deliver(*items[:2], signature=name_of(sign))
    assert desk.put(sign).status == 201
    until(lambda: all(desk.states(item)[-1:] == [("proof_complete", True)] for item in items[:2]))
    desk.deliver(items[2], signature=name_of(sign))
    until(lambda: desk.states(items[2])[-1:] == [("proof_complete", True)])
    assert desk.rows("select sealed_key from media where sha256 = $1", bytes.fromhex(name_of(sign)))[0][0] is None


def test_a_fact_that_names_no_picture_waits_for_none(desk: Desk) -> None:
    item = fresh("I")
    desk.order(item)
    desk.deliver(item, signature="strokes of an older app", code_ok=True)
    until(lambda: desk.states(item) == [(None, False)])


def test_who_is_entitled_sees_the_picture_of_a_fact(desk: Desk) -> None:
    item, sign = fresh("I"), signature(fresh())
    desk.order(item)
    desk.deliver(item, signature=name_of(sign))
    desk.put(sign)
    until(lambda: desk.states(item)[-1:] == [("proof_complete", True)])
    name = name_of(sign)
    assert [desk.get(name, desk.people[who]).status for who in ("own", "far", "boss")] == [200, 404, 200]
    assert [desk.get(name, each.headers).status for each in (desk.shop, desk.other, desk.colleague)] == [200, 404, 404]


def test_what_a_neighbour_signed_is_not_the_senders(desk: Desk) -> None:
    item, sign = fresh("I"), signature(fresh())
    desk.order(item)
    desk.deliver(item, to="neighbour", signature=name_of(sign))
    desk.put(sign)
    until(lambda: desk.states(item)[-1:] == [("proof_complete", True)])
    assert desk.get(name_of(sign), desk.shop.headers).status == 404
    assert desk.get(name_of(sign), desk.people["own"]).status == 200


def test_an_erased_person_takes_the_picture_along_and_another_named_with_it_keeps_it(desk: Desk) -> None:
    items, sign = [fresh("I") for _ in range(2)], signature(fresh())
    for item in items:
        desk.order(item)
    desk.deliver(*items, signature=name_of(sign))
    desk.put(sign)
    until(lambda: all(desk.states(item)[-1:] == [("proof_complete", True)] for item in items))
    desk.rows(query("erasure.destroy"), uuid4(), b"", f"item/{items[0]}", datetime.now(UTC))
    assert desk.get(name_of(sign), desk.people["boss"]).status == 200
    desk.rows(query("erasure.destroy"), uuid4(), b"", f"item/{items[1]}", datetime.now(UTC))
    assert desk.get(name_of(sign), desk.people["boss"]).status == 404


def test_what_nothing_names_leaves_after_seven_days_with_its_object_and_what_a_crash_left_after_an_hour(
    desk: Desk,
) -> None:
    orphan, item, sign = photo(seed=19), fresh("I"), signature(fresh())
    desk.order(item)
    for data in (orphan, sign):
        assert desk.put(data).status == 201
    desk.deliver(item, signature=name_of(sign))
    kept = desk.service.settings.var_dir / "media" / "kept"
    (kept / "left-by-a-crash").write_bytes(b"x")
    media, now = desk.service.platform.media, datetime.now(UTC)
    desk.service.call(media.tidy(now + timedelta(days=6)))
    assert not (kept / "left-by-a-crash").exists()
    assert desk.get(name_of(orphan), desk.phone.headers).status == 200
    before = len(list(kept.iterdir()))
    assert desk.service.call(media.tidy(now + timedelta(days=7, hours=1))) >= 1
    assert len(list(kept.iterdir())) < before
    assert desk.get(name_of(orphan), desk.phone.headers).status == 404
    assert desk.get(name_of(sign), desk.phone.headers).status == 200


def test_a_want_leaves_with_the_sealed_month_of_its_event(desk: Desk) -> None:
    item, sign = fresh("I"), signature(fresh())
    desk.order(item)
    desk.deliver(item, signature=name_of(sign))
    name = bytes.fromhex(name_of(sign))
    desk.rows("update media_want set month = '2001-02-01' where sha256 = $1", name)
    desk.service.call(desk.service.platform.media.tidy(datetime.now(UTC)))
    assert desk.rows("select 1 from media_want where sha256 = $1", name) == []


def test_an_upload_that_is_whole_when_the_service_dies_is_kept_when_the_phone_asks(desk: Desk) -> None:
    data = photo(seed=20)
    partials = desk.service.platform.media._partials
    with partials.open(desk.phone.name, name_of(data)) as partial:
        partial.append(data)
    assert desk.head(name_of(data)).headers["range"] == f"bytes=0-{len(data) - 1}"
    assert desk.put(b"", name=name_of(data), Content_Range=f"bytes */{len(data)}").status == 201


def test_a_phone_without_credentials_sends_nothing(desk: Desk) -> None:
    answer = desk.service.ask("PUT", f"/v1/media/{'0' * 64}", b"x")
    assert (answer.status, answer.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    "damage", [lambda kept: kept[:-1] + bytes([kept[-1] ^ 1]), lambda _kept: b"", lambda kept: kept * 2]
)
def test_what_a_store_gives_back_is_not_believed(desk: Desk, damage: Callable[[bytes], bytes]) -> None:
    data = photo(seed=uuid4().int % 50 + 60)
    desk.put(data)
    (row,) = desk.rows("select object from media where sha256 = $1", bytes.fromhex(name_of(data)))
    path = desk.service.settings.var_dir / "media" / "kept" / row["object"]
    start = desk.service.log.tell()
    path.write_bytes(damage(path.read_bytes()))
    assert desk.get(name_of(data), desk.phone.headers).code == "not_found"
    said = desk.service.log.getvalue()[start:]
    assert "media.damaged" in said
    assert "request.crashed" not in said


def test_the_folder_is_closed_to_others(desk: Desk) -> None:
    folder: Path = desk.service.settings.var_dir / "media" / "kept"
    assert folder.stat().st_mode & 0o077 == 0
