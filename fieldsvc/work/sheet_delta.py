"""Deltas of sheets: what differs from a version that a phone has, by the digests that were kept of it.

A phone makes the new sheet of the old one: it takes over the members that the delta has, puts the stops of the delta in the
place of its own by their `stop_id`, leaves out those that are `removed`, and if there is an `order`, brings them into it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

Digests = Mapping[str, Any]
_HEAD = ("run_id", "version", "stops")


def digests_of(sheet: Mapping[str, Any]) -> bytes:
    """Digest a sheet: its stops, their order, and every other member."""
    made = {
        "stops": {stop["stop_id"]: _digest(stop) for stop in sheet["stops"]},
        "order": _digest([stop["stop_id"] for stop in sheet["stops"]]),
        "members": {name: _digest(value) for name, value in sheet.items() if name not in _HEAD},
    }
    return orjson.dumps(made)


def delta_of(sheet: Mapping[str, Any], since: int, kept: bytes) -> dict[str, Any] | None:
    """Write what differs from version `since`, whose digests were kept; None where two stops have one name."""
    before, now = orjson.loads(kept), orjson.loads(digests_of(sheet))
    if len(now["stops"]) != len(sheet["stops"]):
        return None
    order = [stop["stop_id"] for stop in sheet["stops"]]
    changed = [stop for stop in sheet["stops"] if before["stops"].get(stop["stop_id"]) != now["stops"][stop["stop_id"]]]
    members = {name: sheet[name] for name, digest in now["members"].items() if before["members"].get(name) != digest}
    return {
        "delta": True,
        "run_id": sheet["run_id"],
        "since": since,
        "version": sheet["version"],
        **members,
        "stops": changed,
        "removed": [stop_id for stop_id in before["stops"] if stop_id not in now["stops"]],
        **({"order": order} if before["order"] != now["order"] else {}),
    }


def _digest(value: Any) -> str:
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
