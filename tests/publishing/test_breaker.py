"""The breaker opens for an endpoint, never for a few subjects of it."""

from datetime import UTC, datetime, timedelta

from fieldsvc.publishing.breaker import Breaker, Limits
from fieldsvc.publishing.outage import Outage

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_ten_failures_over_many_subjects_open_it_for_thirty_seconds():
    breaker = Breaker(Limits())
    for number in range(10):
        assert breaker.is_closed
        breaker.failed(f"s{number}", at(number), unreachable=False)
    assert not breaker.is_closed
    assert not breaker.may_send(at(38))
    assert breaker.may_send(at(39))


def test_one_subject_that_fails_for_ever_never_opens_it():
    breaker = Breaker(Limits())
    for number in range(200):
        breaker.failed("item/poison", at(number), unreachable=False)
    assert breaker.is_closed


def test_two_poisoned_subjects_among_healthy_ones_never_open_it():
    breaker = Breaker(Limits())
    for number in range(200):
        breaker.failed(f"poison{number % 2}", at(number), unreachable=False)
        if number % 10 == 0:
            breaker.succeeded(f"good{number}", at(number))
    assert breaker.is_closed


def test_three_refused_connections_open_it_since_no_content_causes_them():
    breaker = Breaker(Limits())
    for _ in range(2):
        breaker.failed("s", NOW, unreachable=True)
    breaker.succeeded("s", NOW)
    for _ in range(2):
        breaker.failed("s", NOW, unreachable=True)
    assert breaker.is_closed
    breaker.failed("s", NOW, unreachable=True)
    assert not breaker.is_closed


def test_each_failed_probe_doubles_the_wait_up_to_ten_minutes():
    breaker, moment, waits = Breaker(Limits()), NOW, []
    for _ in range(3):
        breaker.failed("s", moment, unreachable=True)
    for _ in range(8):
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - moment).total_seconds())
        moment = breaker.probe_at
        breaker.failed("s", moment, unreachable=True)
    assert waits == [30, 60, 120, 240, 480, 600, 600, 600]


def test_failures_of_requests_that_were_in_flight_when_it_opened_do_not_lengthen_the_wait():
    breaker = Breaker(Limits())
    for _ in range(8):
        breaker.failed("s", NOW, unreachable=True)
    assert breaker.probe_at == at(30)


def test_five_probes_in_a_row_close_it_and_tell_how_long_it_was_open():
    breaker = Breaker(Limits())
    for _ in range(3):
        breaker.failed("s", NOW, unreachable=True)
    assert [breaker.succeeded("s", at(60)) for _ in range(4)] == [None] * 4
    breaker.failed("s", at(61), unreachable=False)
    assert [breaker.succeeded("s", at(200)) for _ in range(5)] == [None] * 4 + [timedelta(seconds=200)]
    assert breaker.is_closed
    assert breaker.may_send(at(200))


def test_a_receiver_that_asks_for_time_gets_it_although_the_breaker_is_closed():
    breaker = Breaker(Limits())
    breaker.hold(at(60))
    assert not breaker.may_send(at(59))
    assert breaker.may_send(at(60))


def test_a_shorter_wait_asked_for_meanwhile_does_not_end_a_longer_one():
    breaker = Breaker(Limits())
    breaker.hold(at(60))
    breaker.hold(at(10))
    assert not breaker.may_send(at(59))
    breaker.hold(at(90))
    assert breaker.next_at() == at(90)


def test_a_probe_that_the_receiver_puts_off_waits_for_the_later_of_both():
    breaker = Breaker(Limits())
    for _ in range(3):
        breaker.failed("s", NOW, unreachable=True)
    breaker.hold(at(3_600))
    assert not breaker.may_send(at(3_599))
    assert breaker.may_send(at(3_600))


def test_what_is_kept_brings_it_back_as_it_was():
    breaker = Breaker(Limits())
    for number in range(3):
        breaker.failed("s", at(number), unreachable=True)
    opened_at, probe_at, step, held_until, *outage = breaker.kept
    again = Breaker(Limits(), opened_at, probe_at, step, held_until, Outage(*outage))
    assert again.kept == breaker.kept
    assert (again.opened_at, again.outage.failing_since) == (at(2), NOW)


def test_its_times_follow_a_shorter_schedule():
    limits = Limits.for_schedule((0, 0.1, 0.2, 0.5))
    assert (limits.first_open_s, limits.longest_open_s) == (0.2, 0.5)
    usual = Limits.for_schedule((0, 5, 300, 1800))
    assert (usual.first_open_s, usual.longest_open_s) == (30, 600)


def test_ten_subjects_that_fail_with_no_success_between_open_it_however_long_that_took():
    breaker = Breaker(Limits())
    for number in range(9):
        breaker.failed(f"s{number}", at(3_600 * number), unreachable=False)
    breaker.succeeded("well", at(3_600 * 9))
    for number in range(10):
        assert breaker.is_closed
        breaker.failed(f"s{number}", at(3_600 * (10 + number)), unreachable=False)
    assert not breaker.is_closed
