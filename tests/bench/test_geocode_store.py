"""The lines of the geocoder over PostgreSQL, as small as they get, on an invented district."""

from typing import Any

import pytest

from fieldsvc.bench import geocode_store
from fieldsvc.bench.geocode import invented_district


async def test_imports_searches_and_first_answers_are_told_beside_what_they_are_compared_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"SEARCHES": 40, "BIG_STREETS": 60, "BIG_NUMBERS": 20}.items():
        monkeypatch.setattr(geocode_store, name, value)
    lines: list[dict[str, Any]] = []
    await geocode_store.run({"invented": invented_district()}, cycles=1, show=lines.append)
    said = [(line["metric"], line["ratio_to"]) for line in lines]
    assert said == [
        ("import_rows_per_s", "copy_limit"),
        ("postgresql_searches_per_s", "select_1_per_s"),
        ("postgresql_searches_per_s", "select_1_per_s"),
        ("first_answer_in_a_commune_ms", "whole_commune_read_ms"),
    ]
    assert all(line["bench"] == "geocode" and line["value"] > 0 and line["ratio"] > 0 for line in lines)
    exact, typo = (line["conditions"] for line in lines[1:3])
    assert exact["right_percent"] >= 97
    assert typo["right_percent"] >= 85
    assert exact["pg_trgm_per_s"] > 0
