"""The README's way for a user's own commune, with the real BAN export of Bondy where it is at hand."""

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
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FIELDSVC_")}
    environment = {**kept, "FIELDSVC_VAR_DIR": str(tmp_path / "var"), "FIELDSVC_LOG_LEVEL": "error"}

    def fieldsvc(*words: str) -> str:
        command = [sys.executable, "-m", "fieldsvc", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=True).stdout

    export, count = _export(tmp_path)
    taken = json.loads(fieldsvc("import", "addresses", str(export), "--json"))["taken"]
    fieldsvc("site", "create", "here")
    laid = json.loads(fieldsvc("layout", "rounds", "--site", "here", "--count", str(count), "--json"))
    assert (laid["rounds"], laid["stops"]) == (count, taken)
    devices = [
        fieldsvc(
            "device", "enrol", "--carrier", f"c{n}", "--site", "here", "--round", f"T{n:0{len(str(count))}}", "--json"
        )
        for n in (1, 2, 3)
    ]
    (tmp_path / "devices.jsonl").write_text("".join(devices))
    key = json.loads(fieldsvc("account", "create", "subscriber", "me", "--scopes", "operator", "--json"))["api_key"]
    with _serving(environment) as url:
        counts = json.loads(
            fieldsvc(
                "simulate",
                "--target",
                url,
                "--devices",
                str(tmp_path / "devices.jsonl"),
                "--minutes",
                "0.3",
                "--speed",
                "300",
            )
        )
        assert counts["accepted"] >= 3
        assert counts["conflict"] == counts["quarantined"] == 0
        assert counts["located"] >= 0.9 * counts["accepted"]
        events = _feed(url, key, at_least=counts["accepted"])
    located = [event for event in events if event["data"].get("located", {}).get("round_id", "").startswith("T")]
    assert len(located) >= 3
    assert {event["source"] for event in located} == {"/fieldsvc/here"}


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
