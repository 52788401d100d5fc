"""The README's way for a user's own commune, with the real BAN export of Bondy where it is at hand.

The service is a process of its own; the commands run in this one.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldsvc.simulate.town import Town
from handlers.base import short_type
from tests.cli import inside

PLACED = frozenset({"run.started", "item.loaded", "item.delivered", "object.signalled"})  # said with a fix or at a stop
TRIES = 5  # a busy machine walks a shorter way in the same seconds; the same walk again goes on


def _export(folder: Path) -> tuple[Path, int]:
    """Return an address file and how many rounds to lay: Bondy, else a generated commune (one line says so)."""
    data = os.environ.get("FIELDSVC_TEST_DATA")
    if data:
        return Path(data) / "ban_bondy" / "adresse_ban_bondy_93010.csv", 15
    print("FIELDSVC_TEST_DATA is not set: a generated commune stands in for Bondy")
    path = folder / "addresses.csv"
    path.write_text(Town(seed=3, rounds=4, stops=200).addresses_csv())
    return path, 4


def test_addresses_become_rounds_that_carriers_walk_and_subscribers_hear(tmp_path: Path) -> None:
    settings = inside.environment(tmp_path / "var")

    def fieldsvc(*words: str) -> str:
        done = inside.fieldsvc(words, settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    export, count = _export(tmp_path)
    with _serving(settings) as url:
        taken = json.loads(fieldsvc("import", "addresses", str(export), "--json"))["taken"]
        fieldsvc("site", "create", "here")
        laid = json.loads(fieldsvc("layout", "rounds", "--site", "here", "--count", str(count), "--json"))
        assert (laid["rounds"], laid["stops"]) == (count, taken)
        names = [f"T{n:0{len(str(count))}}" for n in (1, 2, 3)]
        enrol = ("device", "enrol", "--site", "here", "--json")
        devices = [fieldsvc(*enrol, "--carrier", f"of {name}", "--round", name) for name in names]
        (tmp_path / "devices.jsonl").write_text("".join(devices))
        key = json.loads(fieldsvc("account", "create", "subscriber", "me", "--scopes", "operator", "--json"))["api_key"]
        walk = ("--devices", str(tmp_path / "devices.jsonl"), "--minutes", "0.2", "--speed", "300")
        for _ in range(TRIES):
            counts = json.loads(fieldsvc("simulate", "--target", url, *walk))
            assert counts["conflict"] == counts["quarantined"] == 0
            events = _feed(url, key, at_least=counts["accepted"])
            placed = [event for event in events if short_type(event["type"]) in PLACED]
            if len(placed) >= 3:
                break
    assert len(placed) >= 3
    assert {event["data"]["located"]["round_id"] for event in placed} <= set(names)
    assert "none" not in {event["data"]["located"]["method"] for event in placed}
    assert {event["source"] for event in placed} == {"/fieldsvc/here"}


@contextlib.contextmanager
def _serving(environment: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "fieldsvc", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _feed(url: str, key: str, *, at_least: int) -> list[Any]:
    """Read the whole feed until it has so many events."""
    deadline = time.monotonic() + 20
    while True:
        request = urllib.request.Request(f"{url}/v1/feed?limit=1000", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            events: list[Any] = json.load(answer)["events"]
        if len(events) >= at_least or time.monotonic() > deadline:
            return events


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
