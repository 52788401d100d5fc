"""The story of a fix, from an upload to its answer: told apart, its time corrected, matched by tracking, and forgotten."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.intake import clocks
from fieldsvc.intake.accept import Intake
from fieldsvc.intake.formats.phone import Fault
from fieldsvc.intake.formats.positions import decode
from fieldsvc.journal.submission import Rejected, Submission
from fieldsvc.journal.writer import Writer
from fieldsvc.logs import get_logger
from fieldsvc.store.database import is_unreachable
from fieldsvc.store.device import Device
from fieldsvc.tracking.tracker import Taken, Tracker
from geo import Fix

log = get_logger()


@dataclass(frozen=True, slots=True)
class PositionsUpload:
    """One request, as it came."""

    body: bytes
    media_type: str
    charset: str | None
    device: Device
    received_at: datetime
    sent_at: datetime | None = None


async def take_positions(tracker: Tracker, intake: Intake, upload: PositionsUpload) -> dict[str, int]:
    """Take an upload and return how many of its members ended in which way, once that is committed; old ones wait for their turn.

    Like the times of events those of fixes are corrected by how wrong the phone's clock is, if it says when it sends.
    NotJson, BadRequest, UnsupportedMedia and TooLarge refuse the request; Unavailable and TooMany ask for it again.
    """
    found = decode(upload.body, upload.media_type, upload.charset)
    at = upload.received_at
    fixes = [
        replace(fix, fixed_at=clocks.read(fix.fixed_at, sent_at=upload.sent_at, received_at=at).occurred_at)
        for fix in found.fixes
    ]
    oldest_at = min((fix.fixed_at for fix in fixes if fix.fixed_at is not None), default=None)
    async with intake.backlog.turn(oldest_at, len(fixes), now=at):
        taken, failed = await track(tracker, upload.device, fixes, received_at=at)
    faults = (*found.faults, *failed)
    if faults:
        await _keep_aside(intake.writer, upload, faults)
    return {**asdict(taken), "quarantined": len(faults)}


async def track(
    tracker: Tracker, device: Device, fixes: Sequence[Fix], *, received_at: datetime
) -> tuple[Taken, tuple[Fault, ...]]:
    """Let tracking take fixes; a fault of ours in it becomes one entry of quarantine, for no phone may be stuck on it.

    What is raised asks for the whole upload again: nothing could be committed.
    """
    try:
        return await tracker.take(device, fixes, received_at=received_at), ()
    except (FieldsvcError, TimeoutError):
        raise
    except Exception as error:
        if is_unreachable(error):
            raise
        log.exception("fixes.failed", count=len(fixes))
        return Taken(), (Fault("intake_failed", orjson.dumps({"fixes": len(fixes)})),)


async def _keep_aside(writer: Writer, upload: PositionsUpload, faults: tuple[Fault, ...]) -> None:
    """Keep the shape of what is no fix, each different one once, and nothing of its values."""
    items = [Rejected(None, each.reason, each.kept) for each in dict.fromkeys(faults)]
    log.info("fixes.unfit", count=len(faults), device=upload.device.device_id)
    await writer.submit(Submission(items, upload.device.device_id, upload.device.site, upload.received_at))
