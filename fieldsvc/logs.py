"""Logging: structlog, console on a terminal and JSON otherwise. Event names are static and dotted, ids are fields.

An allow-list keeps everything else out: a field that is not named here is dropped, so that no payload can slip into a log.
"""

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    "event level timestamp exception request_id route method status ms count reason code device site endpoint account "
    "event_id evt_id replay type shard pos day attempt port url_host pid table field setting version seconds path size "
    "receipt handler error lag run round timer missing".split()
)


class _Lines:
    """Writes each entry as one line to what stderr is at that moment."""

    def msg(self, line: str) -> None:
        """Write a line; a closed stderr loses it and nothing else."""
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return a logger; bind ids once with `.bind(...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def configure(*, level: str = "info", form: str = "auto") -> None:
    """Set up logging for the process; `form` is console, json or auto."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_the_error,
            _only_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_names: _Lines(),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def _name_the_error(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep an exception's type and the place it was raised, never its text: a message may quote a value."""
    if info := entry.pop("exc_info", None):
        error = info if isinstance(info, BaseException) else sys.exc_info()[1]
        if error is not None:
            trace, place = error.__traceback__, ""
            while trace is not None:
                place = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
                trace = trace.tb_next
            entry["error"] = f"{type(error).__name__} at {place}"
    return entry


def _only_allowed(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in entry.items() if key in ALLOWED}
