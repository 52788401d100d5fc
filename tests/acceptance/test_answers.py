"""The answers of `POST /v1/events`, to the letter of the contract."""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.ids import uuid7
from fieldsvc.intake.reasons import REASONS, STATUSES, WARNINGS
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.journal.receipts import verify
from fieldsvc.work.imports import create_site
from handlers.fields import format_time, parse_time
from tests.acceptance.conftest import CARRIER, SITE, World
from tests.acceptance.service import BATCH, JSON, ONE, Caller, Service, ago, field_event, fresh, statuses
from tests.databases import drop_database, new_database

MIB = 1_048_576


def loaded(world: World, item: str = "", **more: Any) -> dict[str, Any]:
    return field_event("item.loaded", {"item_id": item or fresh("RK")}, runid=world.run_id, **more)


def one(caller: Caller, event: Any) -> dict[str, Any]:
    (result,) = caller.send(event)
    return result


def test_results_come_in_the_order_sent_each_with_its_own_fate(world: World) -> None:
    first, second = loaded(world), loaded(world)
    unknown = loaded(world, type="fieldsvc.item.eaten.v1")
    changed = {**second, "data": {"item_id": "ANOTHER"}}
    results = world.phone.send(first, 7, unknown, second, first, changed, None, ["x"], {**first, "id": "no-uuid"})
    assert [(each["id"], each["status"], each.get("reason")) for each in results] == [
        (first["id"], "accepted", None),
        (None, "quarantined", "not_an_object"),
        (unknown["id"], "quarantined", "unknown_type"),
        (second["id"], "accepted", None),
        (first["id"], "duplicate", None),
        (second["id"], "conflict", "conflict"),
        (None, "quarantined", "not_an_object"),
        (None, "quarantined", "not_an_object"),
        (None, "quarantined", "bad_id"),
    ]
    assert results[1] == {"id": None, "status": "quarantined", "reason": "not_an_object", "warnings": []}
    for each in results:
        assert each["status"] in STATUSES
        assert each.get("reason", "bad_id") in REASONS
        assert set(each["warnings"]) <= set(WARNINGS)
        assert set(each) <= {"id", "status", "reason", "warnings", "located", "answer"}
        assert each["status"] == "duplicate" or ("located" in each) == (each["status"] == "accepted")


def test_the_same_content_is_a_duplicate_however_it_is_written_and_whoever_of_the_site_sends_it(world: World) -> None:
    event = loaded(world, note="é")
    assert one(world.phone, event)["status"] == "accepted"
    first, *rest = event["data"]["item_id"]
    data = f'{{ "item_id" : "\\u{ord(first):04x}{"".join(rest)}" }}'
    other = {**event, "data": 0, "source": "/elsewhere", "runid": None, "traceparent": "00-1"}
    again = orjson.dumps(dict(reversed(other.items())), option=orjson.OPT_INDENT_2).replace(
        b'"data": 0', b'"data":' + data.encode()
    )
    for caller in (world.phone, world.colleague):
        answer = caller.post(again, ONE)
        assert statuses(answer.json()["results"]) == ["duplicate"]


@pytest.mark.parametrize("member", ["type", "subject", "time", "data"])
def test_a_known_id_with_another_type_subject_time_or_data_is_a_conflict(world: World, member: str) -> None:
    event = loaded(world, subject="item/said")
    changed = {
        "type": "fieldsvc.item.missing.v1",
        "subject": "item/other",
        "time": ago(minutes=9),
        "data": {"item_id": "Z"},
    }
    assert one(world.phone, event)["status"] == "accepted"
    assert one(world.phone, {**event, member: changed[member]})["status"] == "conflict"
    assert one(world.phone, event)["status"] == "duplicate"


def test_the_same_event_from_a_device_of_another_site_is_a_conflict(world: World) -> None:
    event = field_event("item.loaded", {"item_id": fresh("RK")})
    assert one(world.phone, event)["status"] == "accepted"
    assert one(world.stranger, event)["status"] == "conflict"


def test_a_quarantined_id_is_not_used_up(world: World) -> None:
    event = loaded(world)
    assert one(world.phone, {**event, "data": {"item_id": 5}})["reason"] == "bad_payload"
    assert one(world.phone, event)["status"] == "accepted"


def test_quarantine_keeps_sealed_what_was_sent_and_counts_its_reason(world: World) -> None:
    event, metric = (
        loaded(world, type="fieldsvc.item.eaten.v1"),
        'fieldsvc_events_quarantined_total{reason="unknown_type"}',
    )
    before = world.service.counted(metric)
    assert one(world.phone, event)["reason"] == "unknown_type"
    assert world.service.counted(metric) == before + 1
    platform = world.service.platform
    kept = Quarantine(platform.database, platform.vault)
    newest = world.service.call(kept.entries(limit=1))[0]
    assert (newest.reason, newest.device, newest.site) == ("unknown_type", world.phone.name, SITE)
    assert orjson.loads(world.service.call(kept.read(newest.id)).body) == event

    async def as_stored() -> bytes:
        async with platform.database.acquire() as connection:
            return bytes(await connection.fetchval("select body from quarantine where id = $1", newest.id))

    assert b"eaten" not in world.service.call(as_stored())


def test_any_uuid_is_an_id_and_is_answered_as_it_was_written(world: World) -> None:
    ids = [str(uuid4()), str(uuid7()).upper(), "00000000-0000-0000-0000-000000000000", str(UUID(int=2**128 - 1))]
    results = world.phone.send(*(loaded(world, id=each) for each in ids))
    assert [each["id"] for each in results] == ids
    assert statuses(results) == ["accepted"] * 4
    assert one(world.phone, loaded(world, id=ids[1].lower()))["status"] == "conflict"


def test_one_signed_receipt_a_request_covers_what_was_accepted_and_is_checked_offline(world: World) -> None:
    events = [loaded(world) for _ in range(3)]
    bad = {**events[0], "id": str(uuid7()), "type": "nonsense"}
    key, digests = world.service.platform.vault.public_key, []
    for sent, expected in (([events[0], bad], ["accepted"]), ([*events, {**events[1], "data": {"item_id": "Q"}}], ["duplicate", "accepted", "accepted"])):  # fmt: skip
        answer = world.phone.post(orjson.dumps(sent)).json()
        body = verify(answer["receipt"], key)
        assert body is not None
        assert body["device"] == world.phone.name
        assert [(event_id, status) for event_id, status, _ in body["events"]] == [
            (event["id"], status) for event, status in zip(sent, expected, strict=False)
        ]
        header, content, signature = (
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in answer["receipt"].split(".")
        )
        assert orjson.loads(header)["alg"] == "EdDSA"
        key.verify(signature, answer["receipt"].rpartition(".")[0].encode())
        digests.append((body["previous"], hashlib.sha256(content + signature).hexdigest()))
        forged = answer["receipt"].replace(answer["receipt"][60], "A" if answer["receipt"][60] != "A" else "B", 1)
        assert verify(forged, key) is None
    assert digests[1][0] == digests[0][1]
    assert body is not None
    assert body["epoch"] == world.phone.ask("GET", "/v1/services").headers["fieldsvc-store-epoch"]
    listed: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = world.phone.ask("GET", f"/v1/me/receipts?cursor={cursor}&limit=1000").json()
        listed, cursor = listed + [each["receipt"] for each in page["receipts"]], page.get("cursor")
    assert listed[-1] == answer["receipt"]


def test_a_lost_answer_is_asked_for_again_and_gets_a_new_receipt(world: World) -> None:
    event = loaded(world)
    first, second = (world.phone.post(orjson.dumps(event), ONE).json() for _ in range(2))
    assert statuses([*first["results"], *second["results"]]) == ["accepted", "duplicate"]
    assert first["receipt"] != second["receipt"]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("media_type", [BATCH, ONE, JSON, f"{JSON}; charset=UTF-8", f"{ONE};charset=utf-8"])
def test_every_media_type_and_encoding_of_the_contract_is_taken(world: World, media_type: str, encoding: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}
    pack = packers[encoding]
    single, several = loaded(world), [loaded(world), loaded(world)]
    for body, count in ((single, 1), (several, 2)):
        if (media_type == BATCH and count == 1) or (media_type.startswith(ONE) and count == 2):
            continue
        answer = world.phone.post(pack(orjson.dumps(body)), media_type, Content_Encoding=encoding)
        assert statuses(answer.json()["results"]) == ["accepted"] * count


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data", "", "application/json; charset=utf-16", "application/json; charset=latin-1", "application/x-www-form-urlencoded"])  # fmt: skip
def test_other_media_types_and_charsets_are_refused_with_415(world: World, media_type: str) -> None:
    answer = world.phone.post(orjson.dumps(loaded(world)), media_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_bad_credentials_are_401_and_revoked_ones_403(world: World) -> None:
    body = orjson.dumps(loaded(world))
    for header in ("", "Bearer", "Bearer ", "Bearer nonsense", "Basic !!!", "Basic eDp5", "Digest x", "Bearer fsk_nonsense", "Bearer " + "x" * 5000):  # fmt: skip
        headers = {"Content-Type": BATCH} | ({"Authorization": header} if header else {})
        answer = world.service.ask("POST", "/v1/events", body, headers=headers)
        assert (answer.status, answer.code) == (401, "unauthorized"), header
        assert answer.headers["www-authenticate"] == "Bearer"
    device, account = world.device("revoked", CARRIER, SITE, "T07"), world.account("closed", "order:medication")
    database = world.service.platform.database
    world.service.call(enrolment.revoke_device(database, device.name))
    world.service.call(accounts.revoke_account(database, account.name))
    for caller in (device, account):
        answer = caller.post(body)
        assert (answer.status, answer.code) == (403, "revoked")
        assert answer.headers["fieldsvc-store-epoch"]


def test_a_device_may_speak_basic_as_owntracks_does(world: World) -> None:
    for user, status in ((world.phone.name, 200), ("someone-else", 401)):
        pair = base64.b64encode(f"{user}:{world.phone.secret}".encode()).decode()
        answer = world.phone.post(orjson.dumps(loaded(world)), ONE, Authorization=f"Basic {pair}")
        assert answer.status == status


def test_a_lost_device_may_still_say_what_it_saw_before_it_was_lost(world: World) -> None:
    device = world.device("lost", CARRIER, SITE, "T07")
    lost_at = datetime.now(UTC) - timedelta(hours=1)
    world.service.call(enrolment.report_lost(world.service.platform.database, device.name, lost_at=lost_at))
    results = device.send(loaded(world, time=ago(hours=2)), loaded(world, time=ago(minutes=2)))
    assert [(each["status"], each.get("reason")) for each in results] == [
        ("accepted", None),
        ("quarantined", "device_lost"),
    ]
    assert device.ask("GET", "/v1/runs/current").code == "revoked"


def test_over_500_events_or_one_mebibyte_decoded_is_413_and_the_limits_themselves_are_taken(world: World) -> None:
    assert set(statuses(world.phone.send(*(loaded(world) for _ in range(500))))) == {"accepted"}
    many = world.phone.post(orjson.dumps([loaded(world)] * 501))
    assert (many.status, many.code) == (413, "too_large")
    event = orjson.dumps(loaded(world))
    full = event + b" " * (MIB - len(event))
    for body, status in ((full, 200), (full + b" ", 413)):
        for answer in (
            world.phone.post(body, ONE),
            world.phone.post(body, ONE, chunked=True),
            world.phone.post(gzip.compress(body), ONE, Content_Encoding="gzip"),
        ):
            assert answer.status == status
            if status == 413:
                assert answer.code == "too_large"


def test_an_empty_batch_is_answered_with_a_receipt_of_nothing(world: World) -> None:
    answer = world.phone.post(b"[]")
    assert answer.json()["results"] == []
    receipt = verify(answer.json()["receipt"], world.service.platform.vault.public_key)
    assert receipt is not None
    assert receipt["events"] == []


def test_every_answer_to_a_device_names_the_epoch_of_the_store(world: World) -> None:
    epoch = str(world.service.platform.vault.epoch)
    answers = [
        world.phone.post(orjson.dumps(loaded(world)), ONE),
        world.phone.post(b"{", ONE),
        world.phone.post(b"{}", "text/plain"),
        world.phone.post(b"[" + b"0," * 600 + b"0]"),
        world.service.ask("POST", "/v1/events", b"{}"),
        world.phone.ask("GET", "/v1/runs/current"),
        world.phone.ask("GET", "/v1/nowhere"),
    ]
    assert [answer.status for answer in answers] == [200, 400, 415, 413, 401, 200, 404]
    assert {answer.headers["fieldsvc-store-epoch"] for answer in answers} == {epoch}


def accepted_at(world: World, event: dict[str, Any], **headers: str) -> tuple[datetime, list[str]]:
    (result,) = world.phone.send(event, **headers)
    assert result["status"] == "accepted"
    public = world.operator.event(f"evt_{event['id']}").json()
    return parse_time(public["time"]), result["warnings"]


@pytest.mark.parametrize(("minutes", "suspect"), [(0, []), (3, []), (-3, []), (120, ["clock_suspect"]), (-600, ["clock_suspect"])])  # fmt: skip
def test_a_phones_clock_is_corrected_by_what_it_says_when_it_sends(
    world: World, minutes: int, suspect: list[str]
) -> None:
    now, skew = datetime.now(UTC), timedelta(minutes=minutes)
    happened = now - timedelta(minutes=20)
    event = loaded(world, time=format_time(happened + skew))
    corrected, warnings = accepted_at(world, event, Fieldsvc_Sent_At=format_time(now + skew))
    assert abs(corrected - happened) < timedelta(seconds=10)
    assert warnings == suspect


@pytest.mark.parametrize(("days", "suspect"), [(-2, True), (0, False), (29, False), (31, True), (9000, True)])
def test_the_future_and_more_than_a_month_ago_are_taken_and_doubted(world: World, days: int, suspect: bool) -> None:
    event = loaded(world, time=ago(days=days))
    at, warnings = accepted_at(world, event)
    assert format_time(at) == event["time"]
    assert warnings == (["clock_suspect"] if suspect else [])


def test_an_event_without_a_time_happened_when_it_arrived(world: World) -> None:
    at, warnings = accepted_at(world, loaded(world, time=None))
    assert abs(at - datetime.now(UTC)) < timedelta(seconds=10)
    assert warnings == []


@pytest.mark.parametrize("text", ["yesterday", "2026-11-21T09:42:17", "1700000000", "9999-12-31T23:59:59-14:00"])
def test_a_sent_at_that_is_no_time_never_refuses_the_phone(world: World, text: str) -> None:
    event = loaded(world, time=ago(minutes=5))
    at, warnings = accepted_at(world, event, Fieldsvc_Sent_At=text)
    assert format_time(at) == event["time"]
    assert warnings == ["clock_suspect"]


def test_a_phone_whose_clock_was_never_set_is_understood_by_when_it_says_it_sends(world: World) -> None:
    booted = datetime(1970, 1, 1, tzinfo=UTC)
    sent_at = format_time(booted + timedelta(minutes=90))
    at, warnings = accepted_at(world, loaded(world, time=format_time(booted)), Fieldsvc_Sent_At=sent_at)
    assert abs(datetime.now(UTC) - timedelta(minutes=90) - at) < timedelta(seconds=10)
    assert warnings == ["clock_suspect"]
    at, warnings = accepted_at(world, loaded(world, time=format_time(booted)))
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=10)
    assert warnings == ["clock_suspect"]


@pytest.fixture(scope="module")
def narrow(world: World, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose queue takes five events, and three of one device, and which waits a tenth of a second for a lock."""
    url = new_database(postgres_url)
    service = Service(
        url,
        tmp_path_factory.mktemp("narrow"),
        log=world.service.log,
        queue_events=5,
        queue_events_per_device=3,
        lock_timeout_s=0.1,
    )
    yield service
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def callers(narrow: Service) -> tuple[Caller, Caller]:
    async def make() -> tuple[dict[str, str], dict[str, str]]:
        database = narrow.platform.database
        await create_site(database, SITE)
        device = await enrolment.enrol_device(database, narrow.url, carrier=CARRIER, site=SITE)
        return device, await accounts.create_subscriber(database, "Pharmacie", scopes=["order:medication"])

    device, account = narrow.call(make())
    return Caller(narrow, "phone", device["token"]), Caller(narrow, "pharmacy", account["api_key"])


def test_too_much_of_one_device_is_429_and_a_full_queue_is_503_both_with_retry_after(
    callers: tuple[Caller, Caller],
) -> None:
    phone, pharmacy = callers
    items = [field_event("item.loaded", {"item_id": fresh("RK")}) for _ in range(4)]
    pouches = [field_event("medication.released", {"pouch_id": fresh("P")}) for _ in range(6)]
    for caller, events, status, code in ((phone, items, 429, "too_many_requests"), (pharmacy, pouches, 503, "unavailable")):  # fmt: skip
        answer = caller.post(orjson.dumps(events))
        assert (answer.status, answer.code) == (status, code)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["fieldsvc-store-epoch"]
        assert set(statuses(caller.send(*events[:3]))) == {"accepted"}


def test_a_shard_that_stays_locked_is_503_and_the_whole_request_can_be_sent_again(
    narrow: Service, callers: tuple[Caller, Caller]
) -> None:
    assert narrow.settings.database_url is not None
    url = narrow.settings.database_url.get_secret_value()
    events = [field_event("item.loaded", {"item_id": fresh("RK")}) for _ in range(3)]

    async def lock() -> asyncpg.Connection:
        connection = await asyncpg.connect(url)
        await connection.execute("begin; select 1 from shard for update")
        return connection

    holder = narrow.call(lock())
    answer = callers[0].post(orjson.dumps(events))
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    narrow.call(holder.close())
    assert statuses(callers[0].send(*events)) == ["accepted"] * 3
    assert statuses(callers[0].send(*events)) == ["duplicate"] * 3
