"""The operator's ground under the map: read once, sent packed, and its faults said when the service starts."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.web.basemap import BadBasemap, read_basemap

GROUND: dict[str, Any] = {"type": "FeatureCollection", "features": []}


def written(folder: Path, body: bytes) -> Path:
    path = folder / "ground.geojson"
    path.write_bytes(body)
    return path


def test_a_file_may_be_plain_or_packed_and_is_the_same_then(tmp_path: Path) -> None:
    raw = orjson.dumps(GROUND)
    plain, packed = (read_basemap(written(tmp_path, body)) for body in (raw, gzip.compress(raw)))
    assert plain.tag == packed.tag
    assert gzip.decompress(plain.packed) == gzip.decompress(packed.packed) == raw


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("© Ici", {"fr": "© Ici", "en": "© Ici"}),
        ({"fr": "Ici", "en": "Here"}, {"fr": "Ici", "en": "Here"}),
        (None, {}),
        (7, {}),
    ],
)
def test_who_made_it_is_said_in_one_text_or_by_language(tmp_path: Path, said: Any, expected: dict[str, str]) -> None:
    body = orjson.dumps({**GROUND, "attribution": said})
    assert read_basemap(written(tmp_path, body)).attribution == expected


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"type":"Feature"}', b"\x1f\x8bnothing", gzip.compress(b"[", mtime=0)]
)
def test_what_is_no_ground_stops_the_start(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BadBasemap):
        read_basemap(written(tmp_path, body))


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadBasemap):
        read_basemap(tmp_path / "none")
