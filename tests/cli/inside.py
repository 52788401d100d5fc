"""The command line inside this process, through the entry point of the program: what a process of its own would print."""

import base64
import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import structlog

from fieldsvc.cli import main
from fieldsvc.settings import without_settings


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def environment(var_dir: Path, **more: str) -> dict[str, str]:
    """Make an environment with no setting of whoever runs the tests."""
    return {**without_settings(), "FIELDSVC_VAR_DIR": str(var_dir), "FIELDSVC_LOG_LEVEL": "error", **more}


def on_database(url: str) -> dict[str, str]:
    """Name a database of the tests' own server, and a key for it."""
    return {"FIELDSVC_DATABASE_URL": url, "FIELDSVC_MASTER_KEY": base64.b64encode(os.urandom(32)).decode()}


def fieldsvc(words: tuple[str, ...], settings: dict[str, str]) -> Done:
    """Run a command under these settings; logs are afterwards as they were."""
    before, out, errors, status = structlog.get_config(), io.StringIO(), io.StringIO(), 0
    try:
        with patch.dict(os.environ, settings, clear=True), redirect_stdout(out), redirect_stderr(errors):
            main(words)
    except SystemExit as left:
        status = int(left.code or 0)
    finally:
        structlog.configure(**before)
    return Done(status, out.getvalue(), errors.getvalue())
