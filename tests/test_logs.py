import json

import pytest
import structlog

from fieldsvc import logs


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> object:
    before = structlog.get_config()
    logs.configure(level="info", form="json")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    structlog.configure(**before)


def test_a_field_that_is_not_allowed_is_dropped(lines) -> None:
    logs.get_logger().info("event.accepted", event_id="e-1", addressee="canary", payload={"note": "canary"})
    (line,) = lines()
    assert line["event"] == "event.accepted"
    assert line["event_id"] == "e-1"
    assert "canary" not in str(line)


def test_an_exception_is_named_with_its_place_and_never_with_its_text(lines) -> None:
    try:
        int("canary 12 rue des Lilas")
    except ValueError:
        logs.get_logger().exception("job.failed", type="tail")
    (line,) = lines()
    assert line["error"].startswith("ValueError at test_logs.py:")
    assert "canary" not in str(line)


def test_a_level_below_the_one_set_says_nothing(lines) -> None:
    logs.configure(level="error", form="json")
    logs.get_logger().warning("journal.busy")
    assert lines() == []
