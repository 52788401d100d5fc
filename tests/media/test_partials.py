"""Uploads that are not complete: continued at any place, unreadable on the disk, one request at a time."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldsvc.errors import TooMany
from fieldsvc.media.errors import UploadBusy
from fieldsvc.media.partials import MOST_OF_A_DEVICE, Partials

KEY = bytes(range(32))


@pytest.fixture
def partials(tmp_path: Path) -> Partials:
    return Partials(tmp_path, KEY)


@given(parts=st.lists(st.binary(min_size=1, max_size=70), min_size=1, max_size=8))
@settings(max_examples=20)
def test_parts_of_any_length_come_back_as_one(parts: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    partials = Partials(tmp_path_factory.mktemp("parts"), KEY)
    for part in parts:
        with partials.open("d-0001", "a" * 64) as partial:
            partial.append(part)
    assert partials.received("d-0001", "a" * 64) == sum(map(len, parts))
    with partials.open("d-0001", "a" * 64) as partial:
        assert partial.read() == b"".join(parts)


def test_nothing_of_a_picture_is_readable_on_the_disk(partials: Partials, tmp_path: Path) -> None:
    with partials.open("d-0001", "a" * 64) as partial:
        partial.append(b"a photo with GPS " * 50)
    (file,) = (tmp_path / "d-0001").iterdir()
    assert b"GPS" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_second_request_for_the_same_upload_is_told_to_wait(partials: Partials) -> None:
    with partials.open("d-0001", "a" * 64) as partial:
        partial.append(b"x")
        with pytest.raises(UploadBusy), partials.open("d-0001", "a" * 64):
            pass
        with partials.open("d-0002", "a" * 64) as other:
            assert other.received == 0


def test_a_phone_cannot_begin_uploads_without_end_and_those_begun_go_on(partials: Partials) -> None:
    for number in range(MOST_OF_A_DEVICE):
        with partials.open("d-0001", f"{number:064x}") as partial:
            partial.append(b"x")
    with pytest.raises(TooMany), partials.open("d-0001", "f" * 64):
        pass
    with partials.open("d-0001", f"{0:064x}") as partial:
        assert partial.received == 1


def test_what_nobody_continued_for_a_day_is_forgotten(partials: Partials, tmp_path: Path) -> None:
    for name in ("a" * 64, "b" * 64):
        with partials.open("d-0001", name) as partial:
            partial.append(b"x")
    yesterday = time.time() - 90_000
    os.utime(tmp_path / "d-0001" / ("a" * 64), (yesterday, yesterday))
    assert partials.forget_old() == 1
    assert [partials.received("d-0001", name * 64) for name in "ab"] == [0, 1]


def test_an_upload_of_nothing_leaves_nothing(partials: Partials, tmp_path: Path) -> None:
    with partials.open("d-0001", "a" * 64):
        pass
    assert list((tmp_path / "d-0001").iterdir()) == []
