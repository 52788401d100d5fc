"""The words of the pages beside the live one: every alert has its own, and every phrase of a script is there."""

import re
from typing import get_args

from fieldsvc.web.pages.files import FOLDER
from fieldsvc.web.pages.words import words_of
from handlers.alarm import Raised
from handlers.registry import discover

SAID = re.compile(r'\bt\("([a-z0-9_]+)"')
COUNTED = re.compile(r'\bcount\("([a-z0-9_]+)"')
SCRIPTS = ("board", "morning", "alerts", "replays", "addresses", "reports", "health")


def test_every_kind_of_alert_of_every_service_has_its_words_and_what_to_do() -> None:
    kinds = set(get_args(Raised.model_fields["kind"].annotation))
    for handler in discover().handlers.values():
        for said in handler.publishes:
            if said.alert:
                kinds.add(f"timed_task.{said.name.split('.')[1]}" if handler.discreet else said.name)
    assert len(kinds) > 15
    for language in ("fr", "en"):
        words = words_of(language)
        for kind in kinds:
            key = kind.replace(".", "_")
            assert {f"board.js.kind_{key}", f"board.js.next_{key}"} <= words.keys(), kind


def test_every_phrase_that_a_script_says_is_there() -> None:
    known = {
        key.removeprefix(prefix)
        for prefix in ("supervision.js.", "board.js.")
        for key in words_of("fr")
        if key.startswith(prefix)
    }
    paths = [path for name in SCRIPTS for path in (FOLDER / "supervision" / name).glob("*.js")]
    assert {path.parent.name for path in paths} == set(SCRIPTS)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        counted = set(COUNTED.findall(text))
        missing = (set(SAID.findall(text)) | counted | {f"{each}_one" for each in counted}) - known
        assert not missing, path.name
        assert len(text.splitlines()) <= 250, path.name
