"""What the operator's commands do, below the command line."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fieldsvc.access import audit, audit_heads
from fieldsvc.errors import NotFound, UserMistake
from fieldsvc.intake.abouts import Abouts
from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.intake.corrections import Originals
from fieldsvc.intake.location import Locator
from fieldsvc.intake.points import Points
from fieldsvc.journal import receipts
from fieldsvc.journal import verify as verifying
from fieldsvc.journal.quarantine import Entry, Quarantine
from fieldsvc.journal.submission import Submission
from fieldsvc.journal.timers import command_of
from fieldsvc.journal.upkeep import AUDIT_DAYS
from fieldsvc.platform import Platform
from fieldsvc.settings import Settings
from fieldsvc.store import device as devices
from fieldsvc.store import pilot as pilots
from fieldsvc.store import site as site_store
from fieldsvc.work import proof_document
from handlers.story import Actor

SETTLED = frozenset({"accepted", "duplicate"})
_NOTED = {"show": "shown", "retry": "retried", "discard": "discarded"}


def report_of(what: str, found: Any) -> dict[str, Any]:
    """Describe what an import did."""
    if isinstance(found, int):
        return {what: found}
    return {key: value for key, value in dataclasses.asdict(found).items() if value not in ([], None)}


async def move_run(platform: Platform, run_id: str, name: str) -> dict[str, Any]:
    """Start or end a run. UserMistake when there is none."""
    plan = await platform.rounds.run_plan(run_id)
    if plan is None:
        raise UserMistake(f"There is no run {run_id}: its form is run-<date>-<round>.")
    actor = Actor("operator", entered_by="cli")
    await platform.commands.send(name, {"run_id": run_id}, actor=actor, site=plan.site, run=run_id)
    return {"run_id": run_id, "said": name}


async def pilot(platform: Platform, action: str, *, service: str | None, sites: list[str]) -> dict[str, Any]:
    """List, set or end pilots of services. UserMistake for an unknown service or site."""
    if action != "list":
        if service is None or service not in platform.registry.handlers:
            raise UserMistake(f"Name a service: {', '.join(sorted(platform.registry.handlers))}.")
        if action == "end" and not await pilots.end(platform.database, service):
            raise UserMistake(f"{service} is not piloted.")
        if action == "set":
            if missing := [each for each in sites if not await site_store.exists(platform.database, each)]:
                raise UserMistake(f"There is no site {', '.join(missing)}.")
            await pilots.put(platform.database, service, sites)
    return {name: sorted(where) for name, where in (await pilots.every(platform.database)).items()}


async def verify(platform: Platform, what: str, path: Path | None) -> tuple[dict[str, Any], bool]:
    """Check the journal, or a file against this store's key; the report and whether all is well."""
    if what == "journal":
        return await verify_journal(platform)
    if what == "audit":
        return await verify_audit(platform, path)
    if what == "proof":
        return verify_proof(path, None, platform.vault.public_key)
    return await verify_receipts(platform, path)


async def verify_journal(platform: Platform) -> tuple[dict[str, Any], bool]:
    """Walk every chain; the report and whether all is well."""
    report = await verifying.verify_journal(platform.database)
    return {"rows": report.rows, "faults": report.faults, "heads": report.heads}, not report.faults


async def verify_audit(platform: Platform, path: Path | None) -> tuple[dict[str, Any], bool]:
    """Check the audit log with its signed links, also those in a file: the one given, else the one that the service writes."""
    file, oldest = path or audit_heads.heads_file(platform.settings), audit_heads.kept_since(AUDIT_DAYS)
    if path is not None and not path.is_file():
        raise UserMistake("There is no such file of signed links.")
    report = await audit_heads.check(platform.database, platform.vault, file, oldest=oldest)
    if report.heads and not file.is_file():
        report.faults.append("The file of signed links is gone: FIELDSVC_AUDIT_HEADS names it.")
    return dataclasses.asdict(report), not report.faults


async def verify_receipts(platform: Platform, path: Path | None) -> tuple[dict[str, Any], bool]:
    """Check receipts, one a line, and that every event they name is in the journal."""
    if path is None or not path.is_file():
        raise UserMistake("Name a file with one receipt a line.")
    bodies = [
        receipts.verify(line.strip(), platform.vault.public_key)
        for line in path.read_text().splitlines()
        if line.strip()
    ]
    genuine = [body for body in bodies if body is not None]
    ids = {UUID(event[0]) for body in genuine for event in body["events"]}
    known = await verifying.known_ids(platform.database, ids)
    found = {
        "receipts": len(bodies),
        "not_genuine": len(bodies) - len(genuine),
        "events": len(ids),
        "missing": sorted(str(each) for each in ids - known),
    }
    return found, len(genuine) == len(bodies) and ids == known


def verify_proof(
    path: Path | None, key: str | None, own: Ed25519PublicKey | None = None
) -> tuple[dict[str, Any], bool]:
    """Check a proof of delivery, JSON or PDF, with nothing but a key: given as text or as a file, else this store's own."""
    if path is None or not path.is_file():
        raise UserMistake("Name a file with a proof, JSON or PDF.")
    try:
        given = Path(key).read_text() if key and len(key) < 256 and Path(key).is_file() else key
        public = proof_document.read_key(given) if given else own
    except (ValueError, OSError):
        raise UserMistake("The key is a file or a text: Ed25519, in base64, hexadecimal or PEM.") from None
    if public is None:
        raise UserMistake("Name a key with --key.")
    checked = proof_document.check(path.read_bytes(), public)
    proof = checked.proof or {}
    told = {
        name: proof[name] for name in ("item", "event", "handed_over", "shows", "lacks", "issued_at") if name in proof
    }
    return {"genuine": checked.proof is not None, "faults": list(checked.faults), **told}, checked.proof is not None


async def quarantine(platform: Platform, action: str, entry: str | None, *, settled_too: bool) -> list[dict[str, Any]]:
    """List entries, or show, retry or discard one."""
    kept = Quarantine(platform.database, platform.vault)
    if action == "list":
        return [_described(each) for each in await kept.entries(settled_too=settled_too)]
    found = await kept.read(_entry_id(entry))
    done = f"quarantine.{_NOTED[action]}"
    await audit.note(platform.database, audit.Entry(audit.COMMAND_LINE, "operator", done, f"quarantine/{found.id}"))
    if action == "show":
        return [{**_described(found), "body": found.body.decode(errors="replace")}]
    if action == "discard":
        return [{"id": str(found.id), "discarded": await kept.settle(found.id, "discarded")}]
    result = await _retry(platform, found)
    if result.get("status") in SETTLED:
        await kept.settle(found.id, "retried")
    return [{"id": str(found.id), **result}]


async def _retry(platform: Platform, entry: Entry) -> dict[str, Any]:
    """Send an entry again as it came, from the same device."""
    said = _object(entry.body)
    if "timer" in said:
        outcome = await platform.writer.submit(Submission([command_of(platform.commands, said)]))
        return {"status": outcome.results[0].status, "reason": outcome.results[0].reason}
    device = await devices.by_id(platform.database, entry.device) if entry.device else None
    caller = Caller(Actor("device" if device else "operator"), device=device, site=entry.site)
    intake = Intake(
        platform.writer,
        platform.vault,
        platform.registry,
        platform.rounds,
        platform.placer,
        Locator(),
        Originals(platform.database, platform.registry),
        Abouts(platform.reader),
        Points(platform.database),
    )
    upload = Upload(entry.body, "application/json", None, caller, datetime.now(UTC))
    result: dict[str, Any] = (await accept(intake, upload))["results"][0]
    return result


def document(name: str, settings: Settings) -> dict[str, Any]:
    """Build the OpenAPI or AsyncAPI document without a database."""
    from fieldsvc.web import documents  # noqa: PLC0415 - every route, which no other command needs

    del settings
    return documents.openapi() if name == "openapi" else documents.asyncapi()


def _described(entry: Entry) -> dict[str, Any]:
    found = {"id": str(entry.id), "at": entry.at.isoformat(), "reason": entry.reason, "device": entry.device}
    return {**found, "site": entry.site, "bytes": entry.size, "settled_as": entry.settled_as}


def _entry_id(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise UserMistake("Name an entry by its id, as `fieldsvc quarantine list` shows it.") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        raise NotFound("What is kept there is no JSON: it can only be discarded.") from None
    return value if isinstance(value, dict) else {}
