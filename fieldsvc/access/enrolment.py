"""Phones come in and go: at the command line, or by a one-time code from a supervisor.

A carrier reads in `/v1/me/access` that a code for their phone was made and that a phone was enrolled: `ref_key` is the store's key
`derived_key("audit")`, under which they are named in the audit log. Without it the deed is noted, but they do not find it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.access import audit, provisioning, tokens
from fieldsvc.access.audit import COMMAND_LINE, ENROLLED, Entry
from fieldsvc.access.errors import BadCode
from fieldsvc.errors import UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.store import device as devices
from fieldsvc.store import enrolment as codes
from fieldsvc.store import round as rounds
from fieldsvc.store import site as sites
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.store.enrolment import Offer

CODE_LIVES = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A one-time code as it is shown, once."""

    shown: str
    expires_at: datetime


async def enrol_device(
    database: Database,
    base_url: str,
    *,
    carrier: str,
    site: str,
    round_id: str | None = None,
    ref_key: bytes | None = None,
) -> dict[str, Any]:
    """Make a device; return the contract's object with its credentials, which are shown this once.

    `base_url` is how phones reach the service. UserMistake for an unknown site, or a round of another site.
    """
    await _check(database, carrier=carrier, site=site, round_id=round_id)
    token, passphrase = tokens.new_token(), tokens.new_passphrase()
    device_id = await devices.enrol(
        database,
        carrier=carrier.strip(),
        site=site,
        round_id=round_id,
        token_sha256=tokens.digest(token),
        passphrase=passphrase,
    )
    ref = _ref(ref_key, carrier.strip(), site)
    subject = f"device/{device_id}"
    await audit.note(database, Entry(COMMAND_LINE, "operator", ENROLLED, subject, site=site, carrier_ref=ref))
    get_logger().info("device.enrolled", device=device_id, site=site)
    return credentials(base_url, device_id, token=token, passphrase=passphrase)


async def issue_code(
    database: Database,
    *,
    carrier: str,
    site: str,
    round_id: str | None = None,
    created_by: str | None = None,
    replaces: str | None = None,
    ref_key: bytes | None = None,
    lives: timedelta = CODE_LIVES,
) -> IssuedCode:
    """Make a code, and tell when it ends; the phone that it `replaces` is lost from the moment it is used, and gives its round.

    UserMistake for an unknown site, a round of another site, or a phone that is not this carrier's of this site.
    """
    await _check(database, carrier=carrier, site=site, round_id=round_id)
    if replaces is not None:
        old = await _replaced(database, replaces, carrier=carrier.strip(), site=site)
        round_id = round_id or old.round_id
    ticket, secret, shown = tokens.new_code()
    offer = Offer(carrier.strip(), site, round_id, replaces)
    expires_at = datetime.now(UTC) + lives
    await codes.forget_old(database)
    await codes.issue(
        database,
        ticket,
        tokens.secret_digest(ticket, secret),
        offer=offer,
        created_by=created_by,
        expires_at=expires_at,
    )
    actor, role = (created_by, "supervisor") if created_by else (COMMAND_LINE, "operator")
    ref = _ref(ref_key, carrier.strip(), site)
    await audit.note(database, Entry(actor, role, "device.code_issued", f"site/{site}", site=site, carrier_ref=ref))
    get_logger().info("device.code_issued", site=site)
    return IssuedCode(shown, expires_at)


async def redeem_code(database: Database, base_url: str, code: str, *, ref_key: bytes | None = None) -> dict[str, Any]:
    """Turn a code into a device, with what each app on the phone needs: one code serves the phone page and the tracker.

    BadCode if it is wrong, used, expired, or was tried five times wrongly.
    """
    parts = tokens.split_code(code)
    if parts is None:
        raise BadCode
    ticket, secret = parts
    wanted = tokens.secret_digest(ticket, secret)
    token, passphrase = tokens.new_token(), tokens.new_passphrase()
    redeemed = await codes.redeem(
        database,
        ticket,
        is_right=lambda kept: tokens.same(kept, wanted),
        token_sha256=tokens.digest(token),
        passphrase=passphrase,
    )
    if redeemed is None:
        await audit.note(database, Entry("unknown", "unknown", "device.code_refused", "enrolment"), soon=True)
        get_logger().warning("device.enrolment_refused", code=BadCode.code)
        raise BadCode
    device_id, offer = redeemed
    if offer.replaces is not None:
        get_logger().info("device.lost", device=offer.replaces)
    subject = f"device/{device_id}"
    ref = _ref(ref_key, offer.carrier, offer.site)
    await audit.note(database, Entry(subject, "carrier", ENROLLED, subject, site=offer.site, carrier_ref=ref))
    get_logger().info("device.enrolled", device=device_id, site=offer.site)
    made = credentials(base_url, device_id, token=token, passphrase=passphrase)
    about = {"carrier": offer.carrier, "site": offer.site, "round": offer.round_id}
    return {**made, **about, "apps": provisioning.links(made)}


async def revoke_device(database: Database, device_id: str) -> None:
    """Refuse a device from now on. UserMistake if there is none."""
    if not await devices.revoke(database, device_id):
        raise UserMistake(f"There is no device {device_id}.")
    await audit.note(database, Entry(COMMAND_LINE, "operator", "device.revoked", f"device/{device_id}"))
    get_logger().info("device.revoked", device=device_id)


async def report_lost(database: Database, device_id: str, *, lost_at: datetime) -> None:
    """Note since when a device is lost: what it captured before still counts. UserMistake if there is none."""
    if not await devices.report_lost(database, device_id, lost_at):
        raise UserMistake(f"There is no device {device_id}.")
    get_logger().info("device.lost", device=device_id)


def credentials(base_url: str, device_id: str, *, token: str, passphrase: str) -> dict[str, Any]:
    """Write a device's credentials in the form that every kind of phone app needs."""
    base = base_url.rstrip("/")
    return {
        "device_id": device_id,
        "token": token,
        "owntracks": {"url": f"{base}/owntracks", "user": device_id, "password": token, "passphrase": passphrase},
        "osmand": {"url": f"{base}/osmand/{token}"},
    }


def _ref(key: bytes | None, carrier: str, site: str) -> str | None:
    return audit.carrier_ref(key, carrier, site) if key is not None else None


async def _replaced(database: Database, device_id: str, *, carrier: str, site: str) -> Device:
    old = await devices.by_id(database, device_id)
    if old is None or (old.carrier, old.site) != (carrier, site) or old.revoked_at is not None:
        raise UserMistake(f"There is no device {device_id} of this carrier.")
    return old


async def _check(database: Database, *, carrier: str, site: str, round_id: str | None) -> None:
    if not carrier.strip():
        raise UserMistake("A device needs the name of its carrier.")
    if not await sites.exists(database, site):
        raise UserMistake(f"There is no site {site}; `fieldsvc site create {site}` makes it.")
    if round_id is not None:
        found = await rounds.read(database, round_id)
        if found is not None and found.round.site != site:
            raise UserMistake(f"Round {round_id} belongs to site {found.round.site}, not to {site}.")
