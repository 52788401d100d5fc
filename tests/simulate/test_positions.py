import gzip
from random import Random

import orjson
import pytest

from fieldsvc.simulate.apps import Credentials, app_of
from fieldsvc.simulate.gps import Fix
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.positions import LOST_RATE, PageSender, head_sender
from fieldsvc.simulate.transport import Answer, NoAnswer

NOW = 1_795_248_000.0
WHO = Credentials("d-1", "tok", None)
OK = Answer(200, {}, b"[]")


def plain(body, headers):
    return gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body


class Wire:
    """A network without a socket: answers from a script, then as the service does; keeps what was sent."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []

    async def ask(self, method, path, body, *, headers):
        self.asked.append((method, path, body, dict(headers)))
        told = self.script.pop(0) if self.script else None
        if told == "nobody":
            raise NoAnswer("refused")
        if told is not None:
            return told
        if path != "/v1/positions":
            return OK
        count = len(orjson.loads(plain(body, headers))["fixes"])
        return Answer(200, {}, orjson.dumps({"taken": count - 1, "duplicate": 0, "late": 0, "off_duty_discarded": 1}))


class Sure(Random):
    """A chance in which nothing gets lost on the way."""

    def random(self):
        return max(super().random(), LOST_RATE + 0.05)


def fix(number):
    return Fix(NOW + 30 * number, 48.9, 2.1 + number / 1000, 8.0, 1.2, 90.0)


def page(wire, ledger, rng=None):
    return PageSender(wire, "tok", ledger=ledger, rng=rng or Sure(1), wall=lambda: NOW)


def head(name, wire, ledger, rng=None):
    rng = rng or Sure(1)
    return head_sender(name, wire, app_of(name, WHO, rng), ledger=ledger, rng=rng, skew_s=0.0)


async def emptied(sender, *, rounds=2000):
    waits = []
    for _ in range(rounds):
        if not sender.pending:
            return waits
        waits.append(await sender.send())
    raise AssertionError("positions are left on the phone")


async def test_the_page_sends_at_most_a_thousand_fixes_in_order_and_reads_the_counts():
    wire, ledger = Wire(), Ledger()
    sender = page(wire, ledger)
    for number in range(2300):
        sender.take(fix(number))
    await emptied(sender)
    sizes = [len(orjson.loads(plain(body, headers))["fixes"]) for _, _, body, headers in wire.asked]
    assert sizes == [1000, 1000, 300]
    counts = ledger.counts()
    assert (counts.fixes, counts.fixes_sent, counts.fixes_taken, counts.fixes_off_duty) == (2300, 2300, 2297, 3)
    assert all(headers["Authorization"] == "Bearer tok" for *_, headers in wire.asked)


async def test_the_page_never_says_when_it_sent_because_the_times_of_its_fixes_are_right():
    wire = Wire()
    sender = page(wire, Ledger())
    sender.take(fix(0))
    await emptied(sender)
    assert "Fieldsvc-Sent-At" not in wire.asked[0][3]


async def test_the_page_keeps_a_batch_until_it_is_answered_and_waits_as_it_is_told():
    wire, ledger = Wire("nobody", Answer(503, {"Retry-After": "7"}, b""), Answer(200, {}, b"<html>")), Ledger()
    sender = page(wire, ledger)
    sender.take(fix(0))
    waits = await emptied(sender)
    assert len({plain(body, headers) for _, _, body, headers in wire.asked}) == 1
    assert 0.5 <= waits[0] <= 1
    assert 7 <= waits[1] <= 8
    assert waits[3] == 0
    assert ledger.counts().position_retries == 3


async def test_a_batch_that_is_too_large_is_halved():
    wire = Wire(Answer(413, {}, b""))
    sender = page(wire, Ledger())
    for number in range(20):
        sender.take(fix(number))
    await sender.send()
    await emptied(sender)
    assert len(wire.asked) == 2
    assert sender.pending == 0


async def test_a_fix_taken_while_a_batch_is_under_way_is_kept():
    ledger = Ledger()

    class Slow(Wire):
        async def ask(self, *args, **more):
            if not self.asked:
                sender.take(fix(9))
            return await super().ask(*args, **more)

    sender = page(Slow(), ledger)
    sender.take(fix(1))
    await sender.send()
    assert sender.pending == 1
    await emptied(sender)
    assert ledger.counts().fixes_sent == 2


@pytest.mark.parametrize("name", ["owntracks", "osmand", "traccar"])
async def test_an_app_sends_one_message_a_request_in_order_and_the_head_again_until_a_2xx(name):
    wire, ledger = Wire(Answer(500, {}, b""), "nobody", Answer(503, {"Retry-After": "0"}, b"")), Ledger()
    sender = head(name, wire, ledger)
    for number in range(5):
        sender.take(fix(number))
    await emptied(sender)
    first = wire.asked[0]
    assert wire.asked[:4] == [first] * 4
    assert len({(path, body) for _, path, body, _ in wire.asked}) == len(wire.asked) - 3
    counts = ledger.counts()
    assert (counts.fixes, counts.fixes_sent, counts.position_retries) == (5, 5, 3)


async def test_owntracks_waits_a_second_and_doubles_to_two_minutes_for_a_location():
    sender = head("owntracks", Wire(*[Answer(500, {}, b"")] * 40), Ledger())
    sender.take(fix(0))
    waits = [await sender.send() for _ in range(30)]
    assert waits[:9] == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert max(waits) == 120


async def test_owntracks_gives_up_a_message_that_is_no_location_after_ten_tries_and_a_location_never():
    wire, ledger = Wire(*["nobody"] * 60), Ledger()
    sender = head("owntracks", wire, ledger)
    sender.take(fix(0))
    assert sender.pending == 2, "a waypoint, then the location"
    for _ in range(40):
        await sender.send()
    assert sender.pending == 1
    assert ledger.counts().positions_given_up == 1
    assert b'"location"' in wire.asked[-1][2]


@pytest.mark.parametrize("name", ["osmand", "traccar"])
async def test_the_traccar_family_tries_the_same_point_every_thirty_seconds_for_ever(name):
    sender = head(name, Wire(*["nobody"] * 60), Ledger())
    sender.take(fix(0))
    assert {await sender.send() for _ in range(50)} == {30.0}
    assert sender.pending


async def test_an_unreadable_answer_with_200_is_an_answer_for_the_apps():
    ledger = Ledger()
    sender = head("owntracks", Wire(*[Answer(200, {}, b"")] * 9), ledger)
    sender.take(fix(0))
    assert max(await emptied(sender)) == 0
    assert ledger.counts().fixes_sent == 1


async def test_some_answers_get_lost_so_that_the_service_sees_the_same_fix_again():
    wire, ledger = Wire(), Ledger()
    sender = head("traccar", wire, ledger, Random(4))
    for number in range(400):
        sender.take(fix(number))
    await emptied(sender)
    again = len(wire.asked) - len({body for _, _, body, _ in wire.asked})
    assert 1 <= again <= 25
    assert ledger.counts().fixes_sent == 400


async def test_a_battery_empties_over_the_day_and_the_apps_say_so():
    wire = Wire()
    sender = page(wire, Ledger(), Sure(2))
    for hours in (0, 3, 6, 20):
        sender.take(Fix(NOW + 3600 * hours, 48.9, 2.1, 8.0))
    await emptied(sender)
    _, _, body, headers = wire.asked[0]
    levels = [each["battery"] for each in orjson.loads(plain(body, headers))["fixes"]]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.8
    assert levels[-1] == 0.04


async def test_the_moment_of_the_oldest_position_on_the_phone_is_known():
    sender = page(Wire(), Ledger())
    assert sender.oldest_at is None
    sender.take(fix(3))
    sender.take(fix(4))
    assert sender.oldest_at == NOW + 90
