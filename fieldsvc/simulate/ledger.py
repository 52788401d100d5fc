"""What the phones know for certain: which events were made, sent and acknowledged. The oracle of the fault tests."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals over all phones. `acked` are distinct events that may be forgotten: accepted, duplicate, quarantined or conflict.

    `fixes` were taken by the phones, `fixes_sent` have a 2xx; of those that the phone page sent, `fixes_taken` and
    `fixes_off_duty` are what the service said of them (the other apps are told nothing).
    """

    generated: int = 0
    sent: int = 0
    acked: int = 0
    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    conflict: int = 0
    located: int = 0
    requests: int = 0
    retries: int = 0
    sent_again: int = 0
    fixes: int = 0
    fixes_sent: int = 0
    fixes_taken: int = 0
    fixes_off_duty: int = 0
    position_requests: int = 0
    position_retries: int = 0
    positions_given_up: int = 0

    @property
    def taken_in(self) -> int:
        """Events that the service holds: accepted, or a duplicate of what it holds."""
        return self.accepted + self.duplicate

    @property
    def pending(self) -> int:
        """Events still on a phone."""
        return self.generated - self.acked


class Ledger:
    """Count, and when a path is given write one JSON line per fact; with `sync` each write reaches the disk before it returns.

    Lines: `{"at", "device", "what": "generated|sent|acked", "id", …}`; `generated` has type, subject and time, `acked` has
    the answer's status and reason. Tokens and payloads are never written.
    """

    def __init__(self, path: Path | None = None, *, sync: bool = True) -> None:
        self._file = path.open("ab") if path else None
        self._sync = sync
        self._totals: Counter[str] = Counter()

    def counts(self) -> Counts:
        """Return the totals so far."""
        return Counts(**{name: self._totals[name] for name in Counts.__dataclass_fields__})

    def generated(self, device: str, event: Mapping[str, Any]) -> None:
        """Note an event before it is first sent."""
        self._totals["generated"] += 1
        self._write(
            [{"device": device, "what": "generated", **{key: event[key] for key in ("id", "type", "subject", "time")}}]
        )

    def sent(self, device: str, ids: Iterable[str], *, first_time: int) -> None:
        """Note one request; `first_time` of its events were never sent before."""
        self._totals["requests"] += 1
        self._totals["sent"] += first_time
        self._write([{"device": device, "what": "sent", "id": each} for each in ids])

    def acked(self, device: str, results: Iterable[Mapping[str, Any]]) -> None:
        """Note the answers that let the phone forget events; `results` as the service gave them, plus `located` as a flag."""
        lines = []
        for result in results:
            self._totals["acked"] += 1
            self._totals[result["status"]] += 1
            self._totals["located"] += bool(result.get("located"))
            lines.append(
                {
                    "device": device,
                    "what": "acked",
                    "id": result["id"],
                    "status": result["status"],
                    "reason": result.get("reason"),
                }
            )
        self._write(lines)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one of the totals that have no line: `retries`, `sent_again`, and those of positions."""
        self._totals[name] += amount

    def _write(self, lines: list[dict[str, Any]]) -> None:
        if self._file is None or not lines:
            return
        now = round(time.time(), 3)
        self._file.write(
            b"".join(orjson.dumps({"at": now, **line}, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        )
        self._file.flush()
        if self._sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_ledger(path: Path) -> dict[str, dict[str, Any]]:
    """Read a ledger file as `{id: {"generated": bool, "sent": int, "status": str | None, …}}`; a torn last line is left out."""
    events: dict[str, dict[str, Any]] = {}
    for line in path.read_bytes().splitlines():
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        event = events.setdefault(
            entry["id"], {"device": entry["device"], "generated": False, "sent": 0, "status": None}
        )
        if entry["what"] == "generated":
            event.update(generated=True, type=entry["type"], subject=entry["subject"], time=entry["time"])
        elif entry["what"] == "sent":
            event["sent"] += 1
        else:
            event.update(status=entry["status"], reason=entry["reason"])
    return events
