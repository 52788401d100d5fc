"""Whether the compiled parts of this library (the extra `fast`) are there and ready, so that nobody waits for a compiler in between."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_ready: list[ModuleType] = []


def compiled() -> ModuleType | None:
    """Return `geo.fast` once `warm` has made it ready in this process; it never waits."""
    return _ready[0] if _ready else None


def loaded() -> ModuleType:
    """Load `geo.fast`. ImportError where the extra is not installed; RuntimeError: numba and numpy do not fit, or no folder to keep
    what is compiled.
    """
    return import_module("geo.fast")


def warm() -> bool:
    """Make the compiled parts ready for this process: a second, or half a minute the first time. False where they cannot be had."""
    if not _ready and find_spec("numba") is not None:
        try:
            loaded().rehearse()
        except (ImportError, RuntimeError):
            return False
        _ready.append(loaded())
    return bool(_ready)
