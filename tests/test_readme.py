"""The README lists every service with the command that shows it."""

import re
from pathlib import Path

import pytest

from fieldsvc.publishing.filters import TypeFilter, checked
from handlers.registry import discover

TEXT = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SHOWN = [pattern.strip("'") for pattern in re.findall(r"\| `see ([^`]+)` \|", TEXT)]


@pytest.mark.parametrize("handler", discover().handlers.values(), ids=lambda handler: handler.name)
def test_every_service_has_a_line_whose_command_shows_it(handler):
    own = {each.name for each in handler.publishes} & {each.name for each in handler.events} or {
        each.name for each in handler.publishes
    }
    filters = [TypeFilter(checked([pattern])) for pattern in SHOWN]
    assert any(found.matches(name) for found in filters for name in own)


def test_every_command_shows_something():
    types = discover().public
    for pattern in SHOWN:
        found = TypeFilter(checked([pattern]))
        assert any(found.matches(name) for name in types), pattern
