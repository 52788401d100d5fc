"""V16: what is noted of a visited person is short, in neutral words, sealed, kept 90 days, and hers to read."""

import base64
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from pydantic import ValidationError

from fieldsvc.errors import NotFound
from fieldsvc.journal.retention import find
from fieldsvc.platform import open_platform
from fieldsvc.privacy import notes_command
from fieldsvc.settings import Settings
from handlers.base import validated
from handlers.home_visit import COMPLETED, NEEDS
from handlers.registry import Registry
from handlers.story import Actor
from tests.handlers.conftest import Story

REPORT = {"visit_id": "V-1", "met": "person", "answers": {"eats": True}, "presence": "tag"}
SECRET = "Asks whether her son could call on Sunday"


def test_needs_are_said_in_neutral_words_and_others_are_warned_of(registry: Registry) -> None:
    visit = registry.handlers["home_visit"]
    warned = [
        Story(visit, "visit/V-1").add(COMPLETED.name, {**REPORT, "needs": [need]}).warnings
        for need in (*NEEDS, "confused and dirty")
    ]
    assert [("words_not_neutral" in each) for each in warned] == [False] * len(NEEDS) + [True]


def test_a_note_of_281_characters_is_refused() -> None:
    assert validated(COMPLETED.payload, json.dumps({**REPORT, "note": "x" * 280}).encode())
    with pytest.raises(ValidationError):
        validated(COMPLETED.payload, json.dumps({**REPORT, "note": "x" * 281}).encode())


def test_visits_are_kept_90_days() -> None:
    kept = find("visits and medicines")
    assert kept is not None
    assert {each.days for each in kept.tables} == {90}
    assert {"sealed_health", "state", "task"} <= {each.table for each in kept.tables}


async def test_the_visited_person_can_read_what_was_noted_and_that_is_noted(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(
        database_url=database_url, master_key=base64.b64encode(os.urandom(32)).decode(), var_dir=tmp_path
    )
    async with open_platform(settings, database_url) as platform:
        said = {**REPORT, "needs": ["shopping"], "note": SECRET}
        await platform.commands.send("home_visit.completed", said, actor=Actor("supervisor"), site="pantin")
    await notes_command(Namespace(visit="V-1", reader="the visited person"), settings)
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert (note["note"], note["needs"], note["answers"]) == (SECRET, ["shopping"], {"eats": True})
    with pytest.raises(NotFound):
        await notes_command(Namespace(visit="V-2", reader="her proxy"), settings)
    async with open_platform(settings, database_url) as platform, platform.database.acquire() as connection:
        looked = await connection.fetch(
            "select subject, reason from audit where action = 'visit.notes_read' order by pos"
        )
        kept = await connection.fetch("select ciphertext from sealed where purpose = 'health'")
        told = await connection.fetch("select public from event")
    assert [tuple(row) for row in looked] == [("visit/V-1", "the visited person"), ("visit/V-2", "her proxy")]
    assert kept
    assert not [row for rows in (kept, told) for row in rows if SECRET.encode() in bytes(row[0])]


def test_the_command_says_who_may_ask() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fieldsvc", "privacy", "notes", "V-1"], capture_output=True, check=False, text=True
    )
    assert done.returncode == 2
    assert "--reader" in done.stderr
