import base64
import time
from datetime import UTC, datetime

import aiohttp
import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from fieldsvc.publishing.runs import batch_id
from fieldsvc.simulate.signatures import fault_of, key_of, sign
from fieldsvc.simulate.subscriber import REPLAY_HEADER, Books, Subscriber

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"n" * 32).decode()
OFFICIAL = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
}
OFFICIAL_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OFFICIAL_BODY = b'{"test": 2432232314}'


def event(number, sequence, subject="item/RK1", **more):
    body = {
        "specversion": "1.0",
        "id": f"evt_{number}",
        "type": "fieldsvc.item.delivered.v1",
        "subject": subject,
        "sequence": f"{sequence:020d}",
        "data": {"located": {"method": "stop"}, **more},
    }
    return orjson.dumps(body)


class Sender:
    def __init__(self, session, url):
        self.session, self.url = session, url

    async def send(self, body, *, message_id=None, secret=SECRET, timestamp=None, signature=None, **more):
        message_id = message_id or orjson.loads(body)["id"]
        stamp = str(int(timestamp if timestamp is not None else time.time()))
        given = signature or sign(key_of(secret), message_id=message_id, timestamp=stamp, body=body)
        headers = {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": given, **more}
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def heard():
    return []


@pytest.fixture
async def subscriber(heard, tmp_path):
    one = Subscriber(secrets=[SECRET], on_violation=heard.append, ledger_path=tmp_path / "received.jsonl")
    yield one
    await one.close()


@pytest.fixture
async def sender(subscriber):
    url = await subscriber.start()
    async with aiohttp.ClientSession() as session:
        yield Sender(session, url)


async def test_events_in_order_are_taken_without_a_word(subscriber, sender, heard, tmp_path):
    for number in range(3):
        assert await sender.send(event(number, number + 4)) == 200
    assert await sender.send(event(10, 1, subject="item/RK2")) == 200
    counts = subscriber.counts()
    assert (counts.delivered, counts.located, counts.duplicates, counts.violations) == (4, 4, 0, 0)
    assert heard == []
    lines = [orjson.loads(line) for line in (tmp_path / "received.jsonl").read_bytes().splitlines()]
    assert [line["id"] for line in lines] == ["evt_0", "evt_1", "evt_2", "evt_10"]


async def test_a_planted_bad_signature_is_refused_and_reported(subscriber, sender, heard):
    assert await sender.send(event(1, 1), secret=NEXT_SECRET) == 401
    assert await sender.send(event(1, 1), signature="v1,") == 401
    assert len(heard) == 2
    assert "no signature fits" in heard[0]
    assert subscriber.counts().delivered == 0


async def test_a_body_changed_on_the_way_does_not_fit_its_signature(sender, heard):
    stamp = str(int(time.time()))
    given = sign(key_of(SECRET), message_id="evt_1", timestamp=stamp, body=event(1, 1))
    assert await sender.send(event(1, 2), timestamp=int(stamp), signature=given) == 401
    assert len(heard) == 1


@pytest.mark.parametrize(("off_s", "status"), [(-301, 401), (301, 401), (-290, 200), (290, 200)])
async def test_a_signature_is_good_for_five_minutes_on_each_side(sender, off_s, status):
    assert await sender.send(event(1, 1), timestamp=time.time() + off_s) == status


async def test_an_inverted_order_is_reported(subscriber, sender, heard):
    for number, sequence in ((1, 1), (2, 3), (3, 2)):
        assert await sender.send(event(number, sequence)) == 200
    assert heard == [
        "Event missing: item/RK1 got sequence 3 after 1.",
        "Order broken: item/RK1 got sequence 2 after 3.",
    ]
    assert list(subscriber.violations) == heard


async def test_two_events_with_one_sequence_number_break_the_order(sender, heard):
    await sender.send(event(1, 1))
    await sender.send(event(2, 1))
    assert heard == ["Order broken: item/RK1 got sequence 1 after 1."]


async def test_a_filtered_endpoint_may_see_gaps_but_no_inversion(heard):
    subscriber = Subscriber(secrets=[SECRET], gapless=False, on_violation=heard.append)
    async with aiohttp.ClientSession() as session:
        sender = Sender(session, await subscriber.start())
        for number, sequence in ((1, 2), (2, 9), (3, 8)):
            await sender.send(event(number, sequence))
    await subscriber.close()
    assert heard == ["Order broken: item/RK1 got sequence 8 after 9."]


async def test_a_repetition_with_the_same_body_is_counted_and_allowed_even_late(subscriber, sender, heard):
    for number, sequence in ((1, 1), (2, 2), (1, 1), (1, 1)):
        assert await sender.send(event(number, sequence)) == 200
    counts = subscriber.counts()
    assert (counts.delivered, counts.duplicates) == (2, 2)
    assert heard == []


async def test_a_changed_body_under_the_same_id_is_reported(sender, heard):
    await sender.send(event(1, 1))
    await sender.send(event(1, 1, to="neighbour"))
    assert heard == ["Event evt_1 came again with another body."]


async def test_a_webhook_id_that_is_not_the_events_id_is_refused(sender, heard):
    assert await sender.send(event(1, 1), message_id="evt_2") == 400
    assert await sender.send(b"[]", message_id="evt_3") == 400
    assert await sender.send(orjson.dumps({"id": "evt_4", "subject": "s", "type": "t", "sequence": "x"})) == 400
    assert len(heard) == 3


async def test_during_a_rotation_both_secrets_are_accepted_and_afterwards_only_the_new_one(subscriber, sender, heard):
    subscriber.trust(SECRET, NEXT_SECRET)
    assert await sender.send(event(1, 1), secret=SECRET) == 200
    assert await sender.send(event(2, 2), secret=NEXT_SECRET) == 200
    stamp = str(int(time.time()))
    both = " ".join(
        sign(key_of(secret), message_id="evt_3", timestamp=stamp, body=event(3, 3)) for secret in (SECRET, NEXT_SECRET)
    )
    assert await sender.send(event(3, 3), timestamp=int(stamp), signature=both) == 200
    subscriber.trust(NEXT_SECRET)
    assert await sender.send(event(4, 4), secret=SECRET) == 401
    assert len(heard) == 1


async def test_told_to_fail_for_a_subject_it_refuses_only_that_one_and_keeps_its_order(subscriber, sender, heard):
    subscriber.fail_subject("item/RK1")
    assert await sender.send(event(1, 1)) == 500
    assert await sender.send(event(9, 1, subject="item/RK2")) == 200
    subscriber.heal()
    assert await sender.send(event(1, 1)) == 200
    assert await sender.send(event(2, 2)) == 200
    assert heard == []
    assert subscriber.counts().refused_on_purpose == 1


async def test_an_event_that_overtakes_a_refused_one_is_reported(subscriber, sender, heard):
    await sender.send(event(1, 1))
    subscriber.fail_all()
    assert await sender.send(event(2, 2)) == 500
    subscriber.heal()
    await sender.send(event(3, 3))
    assert heard == ["Event missing: item/RK1 got sequence 3 after 1."]


def batch(*events):
    return b"[" + b",".join(events) + b"]"


async def test_a_batch_is_taken_whole_and_its_copy_counts_as_copies(subscriber, sender, heard):
    three = batch(event(1, 1), event(2, 2), event(3, 1, subject="item/RK2"))
    assert await sender.send(three, message_id=batch_id(["evt_1", "evt_2", "evt_3"])) == 200
    assert await sender.send(three, message_id=batch_id(["evt_1", "evt_2", "evt_3"])) == 200
    assert await sender.send(event(4, 3)) == 200
    counts = subscriber.counts()
    assert (counts.delivered, counts.duplicates) == (4, 3)
    assert heard == []


async def test_a_batch_of_which_one_subject_fails_is_refused_whole(subscriber, sender, heard):
    subscriber.fail_subject("item/RK2")
    both = batch(event(1, 1), event(2, 1, subject="item/RK2"))
    assert await sender.send(both, message_id=batch_id(["evt_1", "evt_2"])) == 500
    assert subscriber.counts().delivered == 0
    assert await sender.send(event(1, 1)) == 200
    assert heard == []


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (batch(event(1, 1), event(2, 2)), "evt_1"),
        (batch(event(1, 1), event(2, 2)), "evt_1_b2"),
        (batch(event(1, 1), event(2, 2)), batch_id(["evt_1", "evt_3"])),
        (batch(event(1, 1), b"7"), "evt_1_b2"),
        (b"[]", "evt_1_b0"),
    ],
)
async def test_a_batch_that_is_not_what_its_id_says_is_refused(subscriber, sender, heard, body, message_id):
    assert await sender.send(body, message_id=message_id) == 400
    assert subscriber.counts().delivered == 0
    assert len(heard) == 1


async def test_test_events_and_replays_stand_beside_the_order(subscriber, sender, heard):
    await sender.send(event(1, 5))
    for number in (2, 3):
        assert await sender.send(event(number, 0, subject="endpoint/ep_1")) == 200
    assert await sender.send(event(4, 3), **{REPLAY_HEADER: "rp_1"}) == 200
    assert await sender.send(event(5, 6)) == 200
    assert subscriber.counts().delivered == 5
    assert heard == []


async def told_by(sender):
    async with sender.session.get(sender.url.replace("/hook", "/report")) as answer:
        return answer.status, await answer.json() if answer.status == 200 else None


async def test_without_books_it_reports_nothing(sender):
    assert (await told_by(sender))[0] == 404


async def test_its_books_hold_what_it_applied_and_forget_who_is_erased(heard):
    subscriber = Subscriber(secrets=[SECRET], on_violation=heard.append, books=Books())
    async with aiohttp.ClientSession() as session:
        sender = Sender(session, await subscriber.start())
        await sender.send(event(1, 1, person="ref-1", words="hers"))
        await sender.send(event(2, 2, person="ref-2", words="his"))
        await sender.send(event(3, 1, subject="item/RK9", words="nobody named"))
        await sender.send(event(3, 1, subject="item/RK9", words="nobody named"))
        assert (await told_by(sender))[1]["erased"] == []
        for number, person in ((4, "ref-1"), (5, "RK9")):
            tombstone = orjson.loads(event(number, 1, subject=f"person/acct/{person}", person=person))
            assert await sender.send(orjson.dumps({**tombstone, "type": "fieldsvc.person.erased.v1"})) == 200
        await sender.send(event(2, 2, erased=True))
        _, found = await told_by(sender)
    await subscriber.close()
    assert [each["id"] for each in found["applied"]] == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]
    assert found["erased"] == ["ref-1", "RK9"]
    assert not any(words in str(found) for words in ("hers", "his", "nobody named"))
    assert heard == []


async def test_before_it_knows_a_secret_it_asks_for_patience():
    subscriber = Subscriber()
    async with aiohttp.ClientSession() as session:
        sender = Sender(session, await subscriber.start())
        assert await sender.send(event(1, 1)) == 503
    await subscriber.close()
    assert subscriber.counts().violations == 0


async def test_registering_creates_the_endpoint_and_trusts_its_secret():
    asked = []

    async def endpoints(request):
        asked.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"id": "ep-1", "secret": SECRET}, status=201 if len(asked) == 1 else 403)

    app = web.Application()
    app.router.add_post("/v1/endpoints", endpoints)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"http://127.0.0.1:{runner.addresses[0][1]}"
    subscriber = Subscriber()
    url = await subscriber.start()
    assert await subscriber.register(target, "key-1", url=url) == "ep-1"
    async with aiohttp.ClientSession() as session:
        assert await Sender(session, url).send(event(1, 1)) == 200
    with pytest.raises(RuntimeError, match="403"):
        await subscriber.register(target, "key-1", url=url)
    await subscriber.close()
    await runner.cleanup()
    assert asked[0] == ("Bearer key-1", {"url": url, "types": ["*"]})


def test_the_official_vector_verifies():
    key = key_of(OFFICIAL["secret"])
    assert (
        sign(key, message_id=OFFICIAL["id"], timestamp=OFFICIAL["timestamp"], body=OFFICIAL_BODY) == OFFICIAL_SIGNATURE
    )
    headers = {
        "webhook-id": OFFICIAL["id"],
        "webhook-timestamp": OFFICIAL["timestamp"],
        "webhook-signature": f"v1,AAAA v2,xyz {OFFICIAL_SIGNATURE} v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
    }
    now = float(OFFICIAL["timestamp"])
    assert fault_of(headers, OFFICIAL_BODY, keys=[key], now=now) is None
    for missing in headers:
        rest = {name: value for name, value in headers.items() if name != missing}
        assert fault_of(rest, OFFICIAL_BODY, keys=[key], now=now) is not None
    assert fault_of({**headers, "webhook-timestamp": "soon"}, OFFICIAL_BODY, keys=[key], now=now) is not None


def test_what_the_reference_library_signs_is_accepted():
    moment = datetime.now(UTC)
    body = event(1, 1)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", moment, body.decode()),
    }
    assert fault_of(headers, body, keys=[key_of(SECRET)], now=moment.timestamp()) is None


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***"])
def test_an_empty_or_broken_secret_is_refused(secret):
    with pytest.raises(ValueError, match="secret"):
        key_of(secret)
