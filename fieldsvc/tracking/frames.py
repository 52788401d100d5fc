"""The words on the wire: a snapshot and deltas as server-sent events, encoded and packed once for all who see the same.

A packed part is deflate of its own, flushed to a byte: whichever parts follow each other behind the gzip header make one valid
stream, readable event by event. So no connection keeps a compressor, and two hundred screens cost one compression.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from fieldsvc.tracking.sight import Place, Raised, Sight, Tick
from handlers.fields import format_time

STALE_AFTER = timedelta(seconds=30)
BYTES_KEPT = 64 * 1024 * 1024
_LEVEL = 3
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of a stream, as text and packed."""

    text: bytes
    packed: bytes

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.text) + len(self.packed)


def frame(text: bytes) -> Frame:
    """Pack a part so that it can follow any other."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Frame(text, packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))


class Unpacked:
    """Writes frames as they are."""

    encoding: str | None = None

    def begin(self) -> bytes:
        """Return what stands before the first frame."""
        return b""

    def part(self, each: Frame) -> bytes:
        """Return a frame's bytes."""
        return each.text

    def end(self) -> bytes:
        """Return what stands behind the last frame."""
        return b""


class Packed(Unpacked):
    """Writes frames as one gzip stream (RFC 1952), whole also at its end."""

    encoding = "gzip"

    def __init__(self) -> None:
        self._sum = self._size = 0

    def begin(self) -> bytes:
        """Return the header."""
        return _GZIP_HEADER

    def part(self, each: Frame) -> bytes:
        """Return a frame's packed bytes, counting its text into the checksum."""
        self._sum = zlib.crc32(each.text, self._sum)
        self._size += len(each.text)
        return each.packed

    def end(self) -> bytes:
        """Return the last, empty block, the checksum and the length."""
        return _LAST_BLOCK + self._sum.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little")


class Frames:
    """Makes frames and remembers them, as far as `bytes_kept` reaches; `encoded` counts what was made."""

    def __init__(self, epoch: str, *, bytes_kept: int = BYTES_KEPT) -> None:
        self._epoch = epoch
        self._bytes_kept = bytes_kept
        self._bytes = 0
        self._made: OrderedDict[Hashable, Frame | None] = OrderedDict()
        self.encoded = 0

    def snapshot(self, sight: Sight, seq: int, *, at: datetime, places: Iterable[Place]) -> Frame:
        """Make the frame of everything in sight."""

        def make() -> Frame:
            runs = [described(place) for place in places if sight.shows(place)]
            return self._event(seq, b"snapshot", {"t": format_time(at), "runs": runs})

        made = self._once((sight, seq, "snapshot"), make)
        if made is None:
            raise ValueError("a snapshot is never empty")
        return made

    def delta(self, tick: Tick, sight: Sight) -> Frame | None:
        """Make the frame of what changed in sight; None if nothing did."""

        def make() -> Frame | None:
            body = delta_body(tick, sight)
            return self._event(tick.seq, b"delta", body) if body else None

        return self._once((sight, tick.seq), make)

    def alerts(self, alarms: Sequence[Raised], seq: int, *, at: datetime) -> Frame:
        """Make a delta that holds open alarms and nothing else."""
        body = {"t": format_time(at), "m": [], "x": [], "a": [_alert(each) for each in alarms]}
        return self._event(seq, b"delta", body)

    def _event(self, seq: int, name: bytes, body: dict[str, Any]) -> Frame:
        self.encoded += 1
        text = b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (self._epoch.encode(), seq, name, orjson.dumps(body))
        return frame(text)

    def _once(self, key: Hashable, make: Callable[[], Frame | None]) -> Frame | None:
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        made = self._made[key] = make()
        self._bytes += made.size if made else 0
        while len(self._made) > 1 and (self._bytes > self._bytes_kept or len(self._made) > 10_000):
            _, old = self._made.popitem(last=False)
            self._bytes -= old.size if old else 0
        return made


def described(place: Place) -> dict[str, Any]:
    """Describe a run as the snapshot does."""
    return {
        "run_id": place.run.run_id,
        "round_id": place.run.round_id,
        "carrier": place.run.carrier,
        "lon": place.lon,
        "lat": place.lat,
        "distance_along_m": place.distance_along_m,
        "status": place.status,
        "seen_at": format_time(place.seen_at) if place.seen_at else None,
    }


def delta_body(tick: Tick, sight: Sight) -> dict[str, Any] | None:
    """Say what changed in sight: `m` moved, `n` appeared or got another carrier, `x` left, `s` last seen, `a` alarms.

    `s` has the runs of `m` whose newest fix is older than 30 s at `t`, null without any; all others were seen at `t`.
    """
    moved, appeared, gone, stale = list[Any](), list[Any](), list[str](), dict[str, str | None]()
    for change in tick.of(sight):
        was = change.before if change.before and sight.shows(change.before) else None
        now = change.after if change.after and sight.shows(change.after) else None
        if now is None:
            if was is not None:
                gone.append(was.run.run_id)
            continue
        if was is None or was.run != now.run:
            appeared.append(described(now))
            continue
        moved.append((now.run.run_id, now.lon, now.lat, now.distance_along_m, now.status))
        if now.seen_at is None or tick.at - now.seen_at > STALE_AFTER:
            stale[now.run.run_id] = format_time(now.seen_at) if now.seen_at else None
    alarms = [_alert(each) for each in tick.alarms(sight)]
    if not (moved or appeared or gone or alarms):
        return None
    body = {"t": format_time(tick.at), "m": moved, "x": gone, "a": alarms}
    return body | ({"n": appeared} if appeared else {}) | ({"s": stale} if stale else {})


def _alert(alarm: Raised) -> dict[str, Any]:
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "level": alarm.level,
        "state": alarm.state,
        "rung": alarm.rung,
        "run_id": alarm.run,
        "raised_at": format_time(alarm.raised_at),
        "acknowledged_at": format_time(alarm.acknowledged_at) if alarm.acknowledged_at else None,
    }
