"""Sheets: the phone says which version it shows."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.sheet import Seen

RUN = "run-2026-11-21-T07"


def test_a_version_is_said_once_however_often_the_phone_repeats_it(new_story: Any) -> None:
    story = new_story("sheet", f"run/{RUN}")
    for minute, version in ((0, 1), (1, 1), (2, 2), (3, 1)):
        story.add("sheet.seen", {"run_id": RUN, "version": version}, minute)
    assert [each.data["version"] for each in story.everything] == [1, 2]
    assert story.body["now"] == {"version": 2}


def test_seeing_a_version_marks_its_tasks(new_story: Any) -> None:
    decision = new_story("sheet", f"run/{RUN}").add("sheet.seen", {"run_id": RUN, "version": 4})
    told = [("task.mark_seen", (RUN, 4)), ("request.sheet_seen", (RUN, 4))]
    assert [(write.query, write.args[:2]) for write in decision.writes] == told


@pytest.mark.parametrize("version", [-1, 2**53, 1.5, "3", None, True])
def test_a_version_is_a_whole_number(version: Any) -> None:
    with pytest.raises(ValidationError):
        validated(Seen, orjson.dumps({"run_id": RUN, "version": version}))
