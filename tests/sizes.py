"""How large samples are: as large as their floors need here; `FIELDSVC_TEST_FULL=1` takes the long form, by hand."""

import os
from typing import TypeVar

T = TypeVar("T")
IS_FULL = os.environ.get("FIELDSVC_TEST_FULL") == "1"
LONG = ("FAULT_CYCLES", "FUZZ_EXAMPLES", "FUZZ_SECONDS", "POINTS", "TEST_FULL", "TEST_KEYS")


def is_long() -> bool:
    """Tell whether anything is asked for in its long form, which may take its time."""
    return any(f"FIELDSVC_{name}" in os.environ for name in LONG)


def sized(short: T, full: T) -> T:
    """Choose the size of a sample."""
    return full if IS_FULL else short
