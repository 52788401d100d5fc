"""Secrets come from the environment or from files, are refused when weak, and are seen nowhere afterwards."""

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from fieldsvc.cli import _parser
from fieldsvc.secret_settings import fault_of, secret_names
from fieldsvc.settings import Settings

ROOT = Path(__file__).parents[1]
CANARY = "Zk8-canary-Q4vT"
SECRETS = secret_names(Settings)
EACH = pytest.mark.parametrize("name", SECRETS)
WEAK = (
    "", " \n", "secret", "CHANGEME", "change-me-please", "password", "the 44 characters of openssl", "A" * 44, "<your key>",
    "AKIAIOSFODNN7EXAMPLE", "postgresql://fieldsvc:secret@db.example.org/fieldsvc", "smtps://user:password@mail.example.org",
    "postgresql://fieldsvc:@db/fieldsvc", "postgresql://postgres:postgres@db/fieldsvc", "postgresql://f:${PASSWORD}@db/f",
)  # fmt: skip
GOOD = (
    CANARY,
    f"postgresql://fieldsvc:{CANARY}@db.example.org/fieldsvc",
    "postgresql:///fieldsvc",
    "postgresql://peer@/f",
)


def set_to(monkeypatch: pytest.MonkeyPatch, **values: str | None) -> None:
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(f"FIELDSVC_{name.upper()}", raising=False)
        else:
            monkeypatch.setenv(f"FIELDSVC_{name.upper()}", value)


def test_there_are_secrets_and_every_setting_that_sounds_like_one_is_one() -> None:
    sounding = {name for name in Settings.model_fields if re.search(r"(_|^)(key|secret|password|token)$", name)}
    assert sounding <= set(SECRETS)
    assert {"database_url", "master_key", "smtp_url", "notice_gateway_secret", "media_secret_key", "api_key"} <= set(
        SECRETS
    )


@EACH
def test_a_secret_comes_from_the_environment_or_from_a_file(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_to(monkeypatch, **{name: f" {CANARY}\n"})
    assert getattr(Settings(), name).get_secret_value() == CANARY
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}2\n", encoding="utf-8")
    set_to(monkeypatch, **{name: None, f"{name}_file": str(file)})
    assert getattr(Settings(), name).get_secret_value() == f"{CANARY}2"


@EACH
def test_a_secret_is_refused_when_weak_set_twice_or_its_file_is_not_there(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    for value in WEAK:
        set_to(monkeypatch, **{name: value, f"{name}_file": None})
        assert refused() == {name}, value
        file.write_text(value, encoding="utf-8")
        set_to(monkeypatch, **{name: None, f"{name}_file": str(file)})
        assert refused() == {name}, value
    set_to(monkeypatch, **{name: CANARY, f"{name}_file": str(file)})
    assert refused() == {name}
    file.write_bytes(b"\xff\xfe\x00")
    for path in (file, tmp_path / CANARY, tmp_path):
        set_to(monkeypatch, **{name: None, f"{name}_file": str(path)})
        assert refused() == {name}


def refused() -> set[Any]:
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert CANARY not in str(caught.value)
    return {fault["loc"][0] for fault in caught.value.errors()}


@pytest.mark.parametrize("secret", GOOD)
def test_a_good_secret_or_a_url_without_a_password_is_taken(secret: str) -> None:
    assert fault_of(secret) is None


def test_no_secret_is_seen_in_the_words_of_the_settings_their_output_or_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(**{name: SecretStr(CANARY) for name in SECRETS})
    for seen in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert CANARY not in seen
    environment = {**os.environ, **{f"FIELDSVC_{name.upper()}": f"https://u:{CANARY}@h/" for name in SECRETS}}
    shown = subprocess.run(
        [sys.executable, "-m", "fieldsvc", "config"], env=environment, capture_output=True, text=True, check=True
    )
    assert CANARY not in shown.stdout + shown.stderr
    assert all(json.loads(shown.stdout)[f"FIELDSVC_{name.upper()}"] is True for name in SECRETS)
    failed = subprocess.run(
        [sys.executable, "-m", "fieldsvc", "migrate"],
        check=False,
        env={**environment, "FIELDSVC_DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:9/n"},
        capture_output=True,
        text=True,
    )
    assert failed.returncode != 0
    assert CANARY not in failed.stdout + failed.stderr


def test_no_command_takes_a_secret_as_an_argument() -> None:
    """`verify proof --key` takes a public key, what ends in `-file` a path."""
    options = {option for parser in every_parser() for action in parser._actions for option in action.option_strings}
    sounding = {each for each in options if re.search(r"key|secret|token|passw|credential", each)}
    assert sounding <= {"--key", "--api-key-file", "--secret-file"}, sounding


def every_parser() -> Iterator[Any]:
    waiting = [_parser()]
    while waiting:
        parser = waiting.pop()
        yield parser
        for action in parser._actions:
            if isinstance(action.choices, dict):
                waiting += action.choices.values()


SHAPES = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    "API key of ours": re.compile(r"\bfsk_[A-Za-z0-9_-]{40,}"),
    "signing key": re.compile(r"\bwhsec_[A-Za-z0-9+/]{32,}"),
    "AWS": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub, Slack, Google, Stripe": re.compile(
        r"\b(?:gh[pousr]_\w{30,}|xox[abpr]-[\w-]{10,}|AIza[\w-]{35}|[sr]k_live_\w{16,})"
    ),
    "URL with a password": re.compile(r"\b[a-z][a-z0-9+]{2,}://[^\s/:@{}<>\"'`]+:([^\s/@{}<>\"'`$]{3,})@"),
}
ASSIGNED = re.compile(
    r"(?:secret|SECRET|passw(?:or)?d|PASSWORD|api_?key|API_KEY|master_?key|MASTER_KEY|token|TOKEN)\w*[\"']?\s*[:=]"
    r"\s*[\"']([A-Za-z0-9+/_=-]{20,})[\"']"
)
KNOWN = {  # the published examples of Standard Webhooks
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}  # fmt: skip


def test_nothing_in_the_repository_looks_like_a_secret() -> None:
    found = []
    for path in committed():
        text = path.read_text(encoding="utf-8", errors="ignore")
        for name, shape in SHAPES.items():
            found += [
                (str(path.relative_to(ROOT)), name, match[0][:24])
                for match in shape.finditer(text)
                if match[0] not in KNOWN and not is_example(match[match.lastindex or 0])
            ]
        found += [
            (str(path.relative_to(ROOT)), "assigned", match[1][:12])
            for match in ASSIGNED.finditer(text)
            if match[1] not in KNOWN and entropy(match[1]) > 4.0
        ]
    assert not found


def test_the_scan_finds_what_it_looks_for() -> None:
    assert SHAPES["API key of ours"].search("key = fsk_" + "aB3_" * 11)
    assert SHAPES["URL with a password"].search("postgresql://" + "me:hunter22@db/x")
    assert ASSIGNED.search('MASTER_KEY = "' + "aB3d" * 6 + '"')
    assert entropy("q8Zk3vT0pLw7Xy2RmN5cBd9H") > 4.0
    assert entropy("aaaaaaaaaaaaaaaaaaaaaaaa") < 1.0


def committed() -> Iterator[Path]:
    """Yield every file that is committed, or will be, but for pictures and what is fetched."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.stat().st_size < 1_000_000 and "/vendor/" not in name:
            yield path


def is_example(value: str) -> bool:
    return fault_of(value) is not None or len(set(value)) < 4 or "canary" in value.lower()


def entropy(text: str) -> float:
    """Return the bits of a character, by how often each occurs."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
