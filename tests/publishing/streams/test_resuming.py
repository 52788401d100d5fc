"""Where a shard goes on: one line of the table at a time."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.streams.messages import Mark, account_token, read_mark, subject_of
from fieldsvc.publishing.streams.opening import servers_of
from fieldsvc.publishing.streams.resuming import Diverged, Last, Resume, StreamState, decide
from fieldsvc.store.streams import Acknowledged
from handlers.sandbox import SITE

OURS, BEFORE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
DAY, NOW = date(2026, 11, 21), datetime(2026, 11, 21, 9, tzinfo=UTC)
STREAM, FULL = StreamState("monday", 1), StreamState("monday", 91, is_full=True)


def last(epoch: UUID, pos: int) -> Last:
    return Last(90, Mark(epoch, 1, (DAY, pos)), "evt_x")


def known(epoch: UUID, pos: int, *, sequence: int = 90, made_at: str = "monday") -> Acknowledged:
    return Acknowledged(epoch, (DAY, pos), sequence, made_at)


@pytest.mark.parametrize("remembered", [None, known(OURS, 3), known(OURS, 5), known(OURS, 9)])
def test_the_brokers_last_message_decides_whatever_is_remembered(remembered: Acknowledged | None) -> None:
    assert decide(last(OURS, 5), remembered, STREAM, epoch=OURS) == Resume((DAY, 5), "last_message", check=True)


@pytest.mark.parametrize(("acknowledged", "there", "on"), [(5, 9, 5), (9, 5, 5), (5, 5, 5)])
def test_a_restored_store_goes_on_behind_what_both_had(acknowledged: int, there: int, on: int) -> None:
    found = decide(last(BEFORE, there), known(BEFORE, acknowledged), STREAM, epoch=OURS)
    assert found == Resume((DAY, on), "store_restored")


@pytest.mark.parametrize("remembered", [None, known(OURS, 5), known(BEFORE, 5)])
def test_a_stream_in_which_another_store_writes_is_left_alone(remembered: Acknowledged | None) -> None:
    with pytest.raises(Diverged, match="another_store"):
        decide(last(OTHER, 5), remembered, STREAM, epoch=OURS)
    with pytest.raises(Diverged, match="not_ours"):
        decide(Last(90, None, ""), remembered, STREAM, epoch=OURS)


@pytest.mark.parametrize(
    ("remembered", "stream"),
    [
        (None, FULL),
        (known(OURS, 5, made_at="sunday"), FULL),  # made again, and others have filled it
        (known(OURS, 5), StreamState("monday", 91)),  # emptied; others may have begun to fill it
        (known(OURS, 5, sequence=95), FULL),  # emptied of this shard alone
    ],
)
def test_what_nothing_explains_is_rebuilt_from_the_oldest_row(
    remembered: Acknowledged | None, stream: StreamState
) -> None:
    assert decide(None, remembered, stream, epoch=OURS) == Resume(None, "empty")


def test_what_a_full_stream_let_go_is_not_published_again() -> None:
    assert decide(None, known(OURS, 5), FULL, epoch=OURS) == Resume((DAY, 5), "discarded_by_size")


@given(st.uuids(), st.integers(0, 3), st.dates(), st.integers(0, 2**63 - 1))
def test_a_mark_is_read_as_it_was_written(epoch: UUID, shard: int, day: date, pos: int) -> None:
    mark = Mark(epoch, shard, (day, pos))
    assert read_mark(str(mark)) == mark


@given(st.text())
def test_what_is_no_mark_is_none(text: str) -> None:
    assert read_mark(text) is None
    assert read_mark(f"{OURS}/2:1:2026-11-21:5") is None
    assert read_mark(f"{OURS}/1:1:2026-13-21:5") is None


@given(st.text(min_size=1))
def test_an_account_is_one_token_whatever_it_is_called(account: str) -> None:
    token = account_token(account)
    assert token
    assert token != "-"
    assert not set(token) & set(". *>\r\n\t")
    assert account_token(None) == "-"


def test_servers_are_read_and_what_is_none_is_refused_without_being_told() -> None:
    from fieldsvc.errors import UserMistake

    assert servers_of("nats://u:p@a:4222, tls://b:4222,") == ["nats://u:p@a:4222", "tls://b:4222"]
    for wrong in ("", ",", "https://a:1", "nats://", "nats://u:hush@a:port", "nats://[::1", "a:4222"):
        with pytest.raises(UserMistake, match="FIELDSVC_NATS_URL") as told:
            servers_of(wrong)
        assert "hush" not in str(told.value)


def test_a_sandboxs_events_are_not_among_those_of_the_operator() -> None:
    row = Row(DAY, 2, 5, OURS, 0, "run.started", "run/r1", 1, None, "site-pantin", None, NOW, NOW, b'{"public": {}}')
    assert subject_of(row).startswith("evt.2.-.run.started.")
    assert subject_of(replace(row, site=SITE)).startswith("evt.2.sandbox.run.started.")
    assert subject_of(replace(row, site=SITE, account="acct-1")).startswith("evt.2.acct-1.run.started.")
