import gzip
import itertools
import random
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldsvc.simulate.gps import Fix
from fieldsvc.simulate.ledger import Ledger, read_ledger
from fieldsvc.simulate.phones import Habits, Outbox, Phone, retry_after_s, usual_habits
from fieldsvc.simulate.transport import Answer, HttpTransport, NoAnswer
from fieldsvc.simulate.walking import FieldEvent

NOW = 1_795_248_000.0
TOKEN = "tok-canary-0042"
CALM = Habits(twice_rate=0, lost_rate=0, gzip_rate=0, newest_first_rate=0, backoff_s=0.001)


def event(number, at=NOW):
    fix = Fix(at - 3, 46.07, 6.33, 8.0)
    return FieldEvent(
        at + number, "item.delivered", f"item/RK{number}", {"item_ids": [f"RK{number}"]}, fix, f"st-{number}"
    )


def phone_over(transport, *, habits=CALM, ledger=None, wall=lambda: NOW):
    return Phone("d-1", transport, ledger=ledger or Ledger(), habits=habits, wall=wall)


def record(phone, count):
    return [phone.record(event(number), run_id="run-2026-11-21-T01") for number in range(count)]


async def empty(phone, *, rounds=500):
    for _ in range(rounds):
        if not phone.pending:
            return
        await phone.send()
    raise AssertionError(f"{phone.pending} events are still on the phone")


class Net:
    """A service without a socket: stores what arrives, answers from a script of faults."""

    def __init__(self, script=()):
        self.stored: dict[str, bytes] = {}
        self.script = iter(script)
        self.requests: list[tuple[dict[str, str], list[str]]] = []
        self.epoch = "e1"

    async def get(self, path, *, headers):
        raise NotImplementedError

    async def post(self, path, body, *, headers):
        assert path == "/v1/events"
        raw = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        decoded = orjson.loads(raw)
        events = decoded if isinstance(decoded, list) else [decoded]
        self.requests.append((dict(headers), [each["id"] for each in events]))
        fault = next(self.script, None)
        if isinstance(fault, Answer):
            return fault
        if fault == "refuse":
            raise NoAnswer("refused")
        results = [self.take(each) for each in events]
        if fault == "lose":
            raise NoAnswer("lost on the way back")
        if fault == "half":
            results = results[: len(results) // 2]
        if fault == "garbage":
            return self.answer(b"<html>")
        return self.answer(orjson.dumps({"receipt": "r", "results": results}))

    def take(self, each):
        content = orjson.dumps([each[key] for key in ("type", "subject", "time", "data")])
        known = self.stored.setdefault(each["id"], content)
        status = "duplicate" if each["id"] in getattr(self, "_seen", set()) else "accepted"
        self._seen = getattr(self, "_seen", set()) | {each["id"]}
        return {"id": each["id"], "status": status if known == content else "conflict", "warnings": []}

    def answer(self, body, status=200, **headers):
        return Answer(status, {"fieldsvc-store-epoch": self.epoch, **headers}, body)


def refusal(status, **headers):
    return Answer(status, headers, b'{"code":"told_to_fail"}')


async def test_events_leave_in_batches_of_at_most_fifty_and_five_hundred_after_a_long_outage():
    net = Net()
    phone = phone_over(net)
    record(phone, 80)
    await empty(phone)
    assert [len(ids) for _, ids in net.requests] == [50, 30]
    record(phone, 700)
    await empty(phone)
    assert [len(ids) for _, ids in net.requests[2:]] == [500, 200]


async def test_events_of_a_request_are_in_the_order_they_happened():
    net = Net()
    phone = phone_over(net, habits=Habits(twice_rate=0, lost_rate=0, newest_first_rate=1, backoff_s=0.001))
    made = record(phone, 60)
    await empty(phone)
    assert [ids for _, ids in net.requests] == [made[10:], made[:10]]


async def test_a_503_is_waited_out_for_as_long_as_retry_after_says_and_nothing_is_forgotten():
    net = Net([refusal(503, **{"Retry-After": "7"}), refusal(429, **{"retry-after": "3"})])
    phone = phone_over(net)
    record(phone, 5)
    assert 7 <= await phone.send() <= 8
    assert 3 <= await phone.send() <= 4
    assert phone.pending == 5
    await empty(phone)
    assert len(net.stored) == 5


async def test_without_retry_after_the_waits_grow_with_jitter_up_to_a_minute():
    phone = phone_over(Net(["refuse"] * 12), habits=Habits(twice_rate=0, lost_rate=0, backoff_s=1.0))
    record(phone, 1)
    waits = [await phone.send() for _ in range(12)]
    for number, wait in enumerate(waits):
        ceiling = min(60.0, 2.0**number)
        assert ceiling / 2 <= wait <= ceiling
    assert len(set(waits)) == len(waits)


async def test_a_lost_answer_means_the_same_ids_again_and_a_duplicate_for_each():
    net = Net(["lose"])
    ledger = Ledger()
    phone = phone_over(net, ledger=ledger)
    record(phone, 4)
    assert await phone.send() > 0
    assert phone.pending == 4
    await empty(phone)
    assert net.requests[0][1] == net.requests[1][1]
    counts = ledger.counts()
    assert (counts.duplicate, counts.accepted, counts.taken_in) == (4, 0, 4)


async def test_an_event_without_its_own_result_stays_on_the_phone():
    net = Net(["half", "garbage"])
    phone = phone_over(net)
    made = record(phone, 10)
    await phone.send()
    assert list(phone.outbox.waiting) == made[5:]
    await phone.send()
    assert list(phone.outbox.waiting) == made[5:]
    await empty(phone)


async def test_an_unknown_status_or_a_foreign_id_lets_nothing_be_forgotten():
    phone = phone_over(Net([Answer(200, {}, orjson.dumps({"results": [{"id": "x", "status": "accepted"}]}))] * 2))
    (made,) = record(phone, 1)
    await phone.send()
    phone._transport = Net([Answer(200, {}, orjson.dumps({"results": [{"id": made, "status": "perhaps"}]}))])
    await phone.send()
    assert phone.pending == 1


async def test_quarantined_and_conflicting_events_are_forgotten_and_counted_but_not_kept():
    net, ledger = Net(), Ledger()
    phone = phone_over(net, ledger=ledger)
    made = record(phone, 3)
    statuses = dict(zip(made, ("accepted", "quarantined", "conflict"), strict=True))
    net.take = lambda each: {"id": each["id"], "status": statuses[each["id"]], "reason": "bad_payload"}
    await empty(phone)
    counts = ledger.counts()
    assert (counts.accepted, counts.quarantined, counts.conflict, counts.acked, counts.pending) == (1, 1, 1, 3, 0)
    assert list(phone.outbox.kept) == [made[0]]


async def test_a_new_store_epoch_brings_every_kept_event_back_in_its_order():
    net, ledger = Net(), Ledger()
    phone = phone_over(net, ledger=ledger)
    made = record(phone, 6)
    await empty(phone)
    assert not phone.pending
    net.stored.clear()
    net._seen = set()
    net.epoch = "e2"
    last = phone.record(event(99), run_id=None)
    await empty(phone)
    assert set(net.stored) == {*made, last}
    assert net.requests[-1][1] == made
    counts = ledger.counts()
    assert (counts.generated, counts.acked, counts.sent, counts.sent_again) == (7, 7, 7, 6)


async def test_the_first_epoch_and_the_same_epoch_send_nothing_again():
    net = Net()
    phone = phone_over(net)
    for _ in range(3):
        record(phone, 1)
        await empty(phone)
    assert len(net.requests) == 3


async def test_sent_at_is_stamped_at_each_attempt_by_the_phones_own_clock():
    ticks = itertools.count(NOW, 60)
    net = Net(["refuse"])
    phone = phone_over(net, habits=Habits(skew_s=600, twice_rate=0, lost_rate=0), wall=lambda: next(ticks))
    record(phone, 1)
    await empty(phone)
    sent = [datetime.fromisoformat(headers["Fieldsvc-Sent-At"]).timestamp() for headers, _ in net.requests]
    assert sent[0] == NOW + 600
    assert sent[1] > sent[0]


async def test_a_skewed_clock_shows_in_the_time_and_not_in_the_fix_which_has_the_time_of_the_gps():
    net = Net()
    phone = phone_over(net, habits=Habits(skew_s=-1200))
    body = phone._cloud_event(event(0), "run-1")
    assert datetime.fromisoformat(body["time"]).timestamp() == NOW - 1200
    assert datetime.fromisoformat(body["data"]["fix"]["fixed_at"]).timestamp() == NOW - 3
    assert body["runid"] == "run-1"
    assert body["data"]["stop_id"] == "st-0"


async def test_a_request_that_is_too_large_is_cut_in_half_until_it_fits_and_grows_again():
    net = Net([refusal(413), refusal(413), refusal(400)])
    phone = phone_over(net)
    record(phone, 40)
    for _ in range(4):
        await phone.send()
    assert [len(ids) for _, ids in net.requests] == [40, 20, 10, 5]
    await empty(phone)
    assert len(net.stored) == 40


async def test_a_body_stays_below_a_mebibyte_whatever_the_number_of_events():
    net = Net()
    phone = phone_over(net)
    for number in range(300):
        phone.record(FieldEvent(NOW + number, "x", "s", {"note": "n" * 10_000}), run_id=None)
    await empty(phone)
    assert max(len(ids) for _, ids in net.requests) < 100


async def test_revoked_credentials_keep_everything_and_wait_about_a_minute():
    phone = phone_over(Net([refusal(403), refusal(401)]))
    record(phone, 3)
    assert 48 <= await phone.send() <= 72
    assert 48 <= await phone.send() <= 72
    assert phone.pending == 3


async def test_about_one_upload_in_ten_is_sent_twice_with_one_effect():
    net = Net()
    phone = phone_over(net, habits=Habits(lost_rate=0, backoff_s=0.001))
    for number in range(400):
        phone.record(event(number), run_id=None)
        await empty(phone)
    twice = sum(a[1] == b[1] for a, b in itertools.pairwise(net.requests))
    assert 20 <= twice <= 65
    assert len(net.stored) == 400


faults = st.sampled_from([None, None, "refuse", "lose", "half", "garbage", refusal(503), refusal(500), refusal(413)])


@settings(max_examples=60, deadline=None)
@given(script=st.lists(faults, max_size=40), count=st.integers(1, 150), seed=st.integers(0, 1000))
async def test_whatever_the_network_does_everything_made_is_stored_once_and_acknowledged(script, count, seed):
    net, ledger = Net(script), Ledger()
    habits = Habits(twice_rate=0.3, lost_rate=0.2, gzip_rate=0.5, newest_first_rate=0.2, backoff_s=0.001)
    phone = Phone("d-1", net, ledger=ledger, habits=habits, seed=seed, wall=lambda: NOW)
    made = record(phone, count)
    await empty(phone)
    assert set(net.stored) == set(made)
    counts = ledger.counts()
    assert (counts.generated, counts.acked, counts.taken_in, counts.conflict) == (count, count, count, 0)


async def test_over_http_with_gzip_the_service_gets_the_same_events_and_the_ledger_says_so(service, tmp_path):
    path = tmp_path / "ledger.jsonl"
    service.next_status = [(503, {"Retry-After": "0"}), (500, {})]
    async with aiohttp.ClientSession() as session:
        habits = Habits(gzip_rate=1, lost_rate=0.2, backoff_s=0.001)
        with Ledger(path) as ledger:
            phone = phone_over(HttpTransport(session, service.url, TOKEN), habits=habits, ledger=ledger)
            made = record(phone, 120)
            await empty(phone)
            assert ledger.counts().located == 120
    book = read_ledger(path)
    assert set(book) == set(made) == set(service.stored)
    assert all(entry["generated"] and entry["sent"] >= 1 for entry in book.values())
    assert {entry["status"] for entry in book.values()} <= {"accepted", "duplicate"}
    assert service.uploads[0]["headers"]["Content-Encoding"] == "gzip"


async def test_a_service_that_is_not_there_is_no_answer_and_nothing_is_forgotten():
    async with aiohttp.ClientSession() as session:
        phone = phone_over(HttpTransport(session, "http://127.0.0.1:9", TOKEN))
        record(phone, 2)
        assert await phone.send() > 0
        assert phone.pending == 2


async def test_the_ledger_has_an_event_before_it_is_sent_and_its_answer_before_it_is_forgotten(tmp_path):
    path = tmp_path / "ledger.jsonl"
    seen = []

    class Watched(Outbox):
        def forget(self, event_id, *, keep):
            assert read_ledger(path)[event_id]["status"] == "accepted"
            seen.append("forgotten")
            return super().forget(event_id, keep=keep)

    class Watching(Net):
        async def post(self, path_, body, *, headers):
            seen.append({key: (each["sent"], each["status"]) for key, each in read_ledger(path).items()})
            return await super().post(path_, body, headers=headers)

    with Ledger(path) as ledger:
        phone = phone_over(Watching(), ledger=ledger)
        phone.outbox = Watched(kept_limit=10)
        made = record(phone, 1)
        await empty(phone)
    assert seen == [{made[0]: (1, None)}, "forgotten"]
    assert read_ledger(path)[made[0]]["status"] == "accepted"


async def test_the_token_is_in_no_text_that_could_reach_a_log_or_the_ledger(tmp_path, service):
    path = tmp_path / "ledger.jsonl"
    async with aiohttp.ClientSession() as session:
        transport = HttpTransport(session, service.url, TOKEN)
        with Ledger(path) as ledger:
            phone = phone_over(transport, ledger=ledger)
            record(phone, 2)
            await empty(phone)
    assert TOKEN not in repr(transport) + repr(phone) + str(vars(phone)) + path.read_text()


def test_a_torn_last_line_of_a_ledger_is_left_out(tmp_path):
    path = tmp_path / "ledger.jsonl"
    line = orjson.dumps({"at": 1, "device": "d", "what": "sent", "id": "a"})
    path.write_bytes(line + b"\n" + line[:20])
    assert read_ledger(path) == {"a": {"device": "d", "generated": False, "sent": 1, "status": None}}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("0", 0), ("-3", 0), ("1e9", 86_400), ("nan", None), ("inf", None), ("soon", None), (None, None)],
)
def test_retry_after_is_read_as_seconds_within_a_day(value, seconds):
    assert retry_after_s(value, now=NOW) == seconds


def test_retry_after_is_read_as_an_http_date():
    moment = format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True)
    assert retry_after_s(moment, now=NOW) == pytest.approx(90)


def test_a_few_phones_have_clocks_up_to_twenty_minutes_off_and_most_are_within_seconds():
    skews = [abs(usual_habits(1, f"d-{number}").skew_s) for number in range(600)]
    off = [skew for skew in skews if skew > 15]
    assert 20 < len(off) < 90
    assert max(off) <= 1200


def test_ids_repeat_for_the_same_content_and_differ_for_other_content():
    phones = [Phone("d-1", Net(), ledger=Ledger(), habits=CALM) for _ in range(2)]
    one, two = ([phone.record(event(n), run_id=None) for n in range(3)] for phone in phones)
    assert one == two
    assert len({*one, phones[0].record(FieldEvent(NOW, "x", "s", {"n": random.Random(1).random()}), run_id=None)}) == 4
