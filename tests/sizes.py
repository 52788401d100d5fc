"""How large samples are: as large as their floors need here; `FIELDSVC_TEST_FULL=1` takes the long form, by hand."""

import os
from typing import TypeVar

T = TypeVar("T")
IS_FULL = os.environ.get("FIELDSVC_TEST_FULL") == "1"


def sized(short: T, full: T) -> T:
    """Choose the size of a sample."""
    return full if IS_FULL else short
