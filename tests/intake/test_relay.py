"""A sealed queue: who can open it, what becomes of one that was changed, and what the clock in it may say."""

import gzip
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.errors import FieldsvcError, TooLarge
from fieldsvc.intake.relay import (
    HEADER_BYTES,
    LONGEST_HEAD,
    ForeignRelay,
    Opened,
    RelayKey,
    UnreadableRelay,
    open_envelope,
    sent_at,
)
from fieldsvc.journal.sealed import Vault
from tests.sealing import queue, seal

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MOST = 10_000
PLAIN = queue("d-1", "token", [{"id": "x"}], made_at="2026-03-02T08:00:00Z")


def vault(master: bytes = b"m" * 32, content: bytes = b"c" * 32) -> Vault:
    return Vault(master, epoch=UUID(int=1), content_key=content, signing=Ed25519PrivateKey.generate())


KEY = RelayKey.of(vault())
ENVELOPE = seal(KEY.point, PLAIN)


def test_an_envelope_opens_to_what_was_sealed() -> None:
    opened = open_envelope(KEY, ENVELOPE, most_bytes=MOST)
    assert opened == Opened("d-1", "token", datetime(2026, 3, 2, 8, 0, tzinfo=UTC), b'[{"id":"x"}]')


def test_a_new_master_key_or_epoch_leaves_the_key_as_it_is_and_another_store_has_another() -> None:
    later = Vault(b"n" * 32, epoch=UUID(int=2), content_key=b"c" * 32, signing=Ed25519PrivateKey.generate())
    assert open_envelope(RelayKey.of(later), ENVELOPE, most_bytes=MOST).device_id == "d-1"
    with pytest.raises(ForeignRelay):
        open_envelope(RelayKey.of(vault(content=b"d" * 32)), ENVELOPE, most_bytes=MOST)


def test_the_same_queue_sealed_twice_is_never_the_same_envelope() -> None:
    assert seal(KEY.point, PLAIN)[HEADER_BYTES:] != ENVELOPE[HEADER_BYTES:]


@pytest.mark.parametrize("place", range(len(ENVELOPE)))
def test_a_changed_bit_anywhere_is_refused(place: int) -> None:
    changed = bytearray(ENVELOPE)
    changed[place] ^= 1
    with pytest.raises((UnreadableRelay, ForeignRelay)):
        open_envelope(KEY, bytes(changed), most_bytes=MOST)


@given(st.integers(0, len(ENVELOPE) - 1))
def test_a_cut_or_lengthened_one_is_refused(length: int) -> None:
    for each in (ENVELOPE[:length], ENVELOPE + b"\x00"):
        with pytest.raises(UnreadableRelay):
            open_envelope(KEY, each, most_bytes=MOST)


@given(st.binary(max_size=400))
def test_whatever_bytes_come_they_are_refused_by_name(garbage: bytes) -> None:
    for each in (garbage, ENVELOPE[:12] + garbage, seal(KEY.point, garbage), seal(KEY.point, b"", packed=garbage)):
        with pytest.raises(FieldsvcError) as fault:
            open_envelope(KEY, each, most_bytes=MOST)
        assert 400 <= fault.value.status < 500


@pytest.mark.parametrize(
    "head",
    [
        b"[]",
        b"{}",
        b'{"device_id":1,"token":"x"}',
        b'{"device_id":"d-1"}',
        b"null",
        b"x",
        b'"' + b"x" * LONGEST_HEAD + b'"',
    ],
)
def test_a_first_line_that_does_not_say_whose_it_is_is_refused(head: bytes) -> None:
    with pytest.raises(UnreadableRelay):
        open_envelope(KEY, seal(KEY.point, head + b"\n[]"), most_bytes=MOST)


def test_what_unpacks_to_more_than_an_upload_may_hold_is_refused_unread() -> None:
    bomb = gzip.compress(PLAIN + b" " * 50_000_000, 9)
    with pytest.raises(TooLarge):
        open_envelope(KEY, seal(KEY.point, b"", packed=bomb), most_bytes=MOST)


def test_packing_that_ends_early_or_goes_on_is_refused() -> None:
    packed = gzip.compress(PLAIN)
    for each in (packed[:-4], packed + b"more"):
        with pytest.raises(UnreadableRelay):
            open_envelope(KEY, seal(KEY.point, b"", packed=each), most_bytes=MOST)


@pytest.mark.parametrize("made_at", [None, 7, "yesterday", "2026-13-01T00:00:00Z", {}])
def test_a_time_that_is_none_costs_only_itself(made_at: object) -> None:
    plain = b'{"device_id":"d-1","token":"t"}\n[]' if made_at is None else queue("d-1", "t", [], made_at=made_at)
    assert open_envelope(KEY, seal(KEY.point, plain), most_bytes=MOST).made_at is None


@given(off_s=st.integers(-100_000, 100_000), way_s=st.integers(0, 100_000), before_s=st.integers(0, 100_000))
def test_the_clock_of_a_seal_never_puts_an_event_before_its_time_nor_after_its_arrival(
    off_s: int, way_s: int, before_s: int
) -> None:
    off, made = timedelta(seconds=off_s), NOW - timedelta(seconds=way_s)
    happened = made - timedelta(seconds=before_s)
    said = sent_at(Opened("d-1", "t", made + off, b""), NOW)
    skew = said - NOW if said is not None else timedelta()
    corrected = happened + off - skew
    assert corrected <= NOW
    assert corrected >= min(happened, happened + off)
