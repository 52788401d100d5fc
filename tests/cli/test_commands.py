"""The command line, as an operator types it, on one var folder: inside this process, and the long-lived ones as processes."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fieldsvc.settings import Settings
from fieldsvc.simulate.town import Town
from fieldsvc.store.embedded import EmbeddedPostgres
from tests.cli import inside
from tests.cli.inside import Done

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("var")


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return inside.environment(folder)


@pytest.fixture(scope="module")
def fieldsvc(environment: dict[str, str]) -> Run:
    return lambda *words, **more: inside.fieldsvc(words, {**environment, **more})


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[None]:
    """The database server of the folder, which stays up between the commands."""
    held = EmbeddedPostgres(folder)
    held.acquire()
    yield
    held.release()


@pytest.fixture(scope="module")
def town(folder: Path, fieldsvc: Run, server: None) -> Town:
    """A small town imported by the commands."""
    town = Town(seed=5, rounds=2, stops=30)
    (folder / "addresses.csv").write_text(town.addresses_csv())
    (folder / "rounds.geojson").write_text(town.rounds_geojson())
    for what, name in (("addresses", "addresses.csv"), ("rounds", "rounds.geojson")):
        done = fieldsvc("import", what, str(folder / name), "--json")
        assert done.returncode == 0, done.stderr
    return town


def test_creating_commands_print_the_objects_of_the_contract(fieldsvc: Run, town: Town) -> None:
    site, device, account, person = (
        json.loads(fieldsvc(*words, "--json").stdout)
        for words in (
            ("site", "create", "pantin"),
            ("device", "enrol", "--carrier", "Ada", "--site", town.sites[0]),
            ("account", "create", "subscriber", "Pharmacie", "--scopes", "operator,order:medication"),
            ("account", "create", "supervisor", "s@example.org", "--site", town.sites[0]),
        )
    )
    assert site == {"site": "pantin"}
    assert device.keys() == {"device_id", "token", "owntracks", "osmand"}
    assert account.keys() == {"account_id", "api_key"}
    assert person.keys() == {"account_id", "sign_in_url"}


@pytest.mark.parametrize(
    "words",
    [
        ("import", "addresses", "no-such-file.csv"),
        ("device", "enrol", "--carrier", "Ada", "--site", "nowhere"),
        ("account", "create", "subscriber", "X", "--scopes", "everything"),
        ("device", "revoke", "d-9999"),
        ("run", "start", "run-2026-11-21-T99"),
        ("serve", "--roles", "cook"),
        ("simulate", "--target", "http://127.0.0.1:1", "--devices", "no-such-file"),
        ("quarantine", "show", "not-an-id"),
        ("verify", "receipts", "no-such-file"),
    ],
)
def test_a_users_mistake_is_one_plain_line_and_status_2(fieldsvc: Run, server: None, words: tuple[str, ...]) -> None:
    done = fieldsvc(*words)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("fieldsvc: ")
    assert done.stderr.count("\n") == 1


def test_a_command_as_a_process_ends_with_its_status_and_loads_no_room_that_it_does_not_enter(
    environment: dict[str, str],
) -> None:
    """Whatever is imported before a word is printed is paid by every command: the numbers and the pages are not needed."""
    words = [sys.executable, "-X", "importtime", "-m", "fieldsvc"]
    done = subprocess.run([*words, "config"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    loaded = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert (done.returncode, json.loads(done.stdout)["FIELDSVC_VAR_DIR"]) == (0, environment["FIELDSVC_VAR_DIR"])
    assert "fieldsvc.cli" in loaded
    assert loaded.isdisjoint(
        {"numpy", "fpdf", "PIL", "aiohttp", "fieldsvc.app", "fieldsvc.platform", "fieldsvc.bench.suite"}
    )
    done = subprocess.run(
        [*words[:1], "-m", "fieldsvc", "serve", "--roles", "cook"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("fieldsvc: There is no role cook")


def test_a_bad_setting_is_named_and_not_shown(fieldsvc: Run) -> None:
    done = fieldsvc("config", FIELDSVC_PORT="canary-77777")
    assert done.returncode == 2
    assert "FIELDSVC_PORT" in done.stderr
    assert "canary" not in done.stderr


def test_config_shows_secrets_as_true_or_false(fieldsvc: Run) -> None:
    done = fieldsvc("config", FIELDSVC_DATABASE_URL="postgresql://u:canary@h/d")
    shown = json.loads(done.stdout)
    assert shown["FIELDSVC_DATABASE_URL"] is True
    assert shown["FIELDSVC_MASTER_KEY"] is False
    assert "canary" not in done.stdout + done.stderr
    assert shown.keys() == {f"FIELDSVC_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_is_explained(fieldsvc: Run) -> None:
    assert all(json.loads(fieldsvc("config", "--describe").stdout).values())


def test_a_database_by_url_needs_a_master_key_and_an_answer(fieldsvc: Run) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    unkeyed = fieldsvc("migrate", FIELDSVC_DATABASE_URL=url)
    assert (unkeyed.returncode, "FIELDSVC_MASTER_KEY" in unkeyed.stderr) == (2, True)
    weak = fieldsvc("migrate", FIELDSVC_DATABASE_URL=url, FIELDSVC_MASTER_KEY="A" * 43 + "=")
    assert (weak.returncode, "FIELDSVC_MASTER_KEY" in weak.stderr) == (2, True)
    key = base64.b64encode(bytes(range(32))).decode()
    unanswered = fieldsvc("migrate", FIELDSVC_DATABASE_URL=url, FIELDSVC_MASTER_KEY=key)
    assert (unanswered.returncode, unanswered.stderr.count("\n")) == (1, 1)


def test_the_documents_are_printed(fieldsvc: Run) -> None:
    assert json.loads(fieldsvc("openapi").stdout)["openapi"].startswith("3.1")
    assert json.loads(fieldsvc("asyncapi").stdout)["asyncapi"].startswith("3.")


def test_a_run_is_started_and_ended_by_the_operator(fieldsvc: Run, town: Town) -> None:
    run_id = f"run-2026-11-21-{town.carriers[0].round_id}"
    for action, said in (("start", "run.started"), ("end", "run.ended")):
        done = fieldsvc("run", action, run_id, "--json")
        assert json.loads(done.stdout) == {"run_id": run_id, "said": said}
    checked = json.loads(fieldsvc("verify", "journal", "--json").stdout)
    assert checked["faults"] == []
    assert checked["rows"] >= 4


def test_serve_prints_its_address_first_and_ends_cleanly_on_sigterm(environment: dict[str, str], town: Town) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldsvc", "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.fault
def test_the_demo_shows_its_screen_and_moves_and_a_second_run_carries_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for attempt in range(2):
        lines = _demo(environment | {"FIELDSVC_VAR_DIR": str(tmp_path / "var")})
        counts = [line for line in lines if line.startswith("in ")]
        assert counts, lines
        assert all(" · order ok" in line for line in counts), counts
        assert any(not line.startswith("in 0 ") for line in counts), (attempt, counts)
    kept = tmp_path / "var" / "demo.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    shown = json.loads(kept.read_text())
    assert shown.keys() == {"url", "devices", "subscriber", "people", "customer"}
    assert len({device["round"] for device in shown["devices"]}) == 38
    assert len(shown["devices"]) == 40  # two carriers have a spare phone
    assert (tmp_path / "var" / "basemap.geojson").stat().st_size > 100_000
    assert shown["devices"][0].keys() >= {"device_id", "token", "carrier", "round"}


def _demo(environment: dict[str, str]) -> list[str]:
    """Run the demo until its count has moved, then press Ctrl-C; it must end with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldsvc", "demo", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    deadline = time.monotonic() + 60
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            moved = lines[-1].startswith("in ") and not lines[-1].startswith("in 0 ")
            if moved or time.monotonic() > deadline:
                break
        os.killpg(process.pid, signal.SIGINT)
        lines += [line.rstrip("\n") for line in process.stdout]
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return lines
