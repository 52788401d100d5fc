"""Commands that make sites, phones and accounts, and take them back."""
# ruff: noqa: PLC0415 - a command loads its own rooms when it runs, so that every other starts at once

import sys
from typing import Any

from fieldsvc.access import accounts
from fieldsvc.commands import Args, base_url, command, group, json_option, opened, show
from fieldsvc.settings import Settings


async def site_command(args: Args, settings: Settings) -> None:
    """Make a site: the building where rounds start."""
    from fieldsvc.work import imports

    async with opened(settings) as platform:
        await imports.create_site(platform.database, args.site)
    show({"site": args.site}, as_json=args.json)


async def device_enrol_command(args: Args, settings: Settings) -> None:
    """Enrol a carrier's phone; its credentials are shown this once."""
    from fieldsvc.access import enrolment, provisioning

    async with opened(settings) as platform:
        found = await enrolment.enrol_device(
            platform.database,
            base_url(settings),
            carrier=args.carrier,
            site=args.site,
            round_id=args.round,
            ref_key=platform.vault.derived_key("audit"),
        )
    show(found, as_json=args.json)
    if sys.stdout.isatty() and not args.json:
        print(provisioning.qr_terminal(provisioning.links(found)["owntracks"]["qr_text"]))  # noqa: T201 - to be scanned


async def device_revoke_command(args: Args, settings: Settings) -> None:
    """Refuse a phone from now on."""
    from fieldsvc.access import enrolment

    async with opened(settings) as platform:
        await enrolment.revoke_device(platform.database, args.device)
    show({"device_id": args.device, "revoked": True}, as_json=args.json)


async def account_create_command(args: Args, settings: Settings) -> None:
    """Make an account: `subscriber NAME [--scopes a,b] [--sandbox]`, or `ROLE EMAIL [--site S] [--account A]`."""
    async with opened(settings) as platform:
        if args.role == "subscriber":
            scopes = [scope.strip() for scope in (args.scopes or "").split(",") if scope.strip()]
            found = await accounts.create_subscriber(
                platform.database, args.name, scopes=scopes, is_sandbox=args.sandbox
            )
        else:
            found = await accounts.create_person(
                platform.database, base_url(settings), args.role, email=args.name, site=args.site, parent=args.account
            )
    show(found, as_json=args.json)


async def account_link_command(args: Args, settings: Settings) -> None:
    """Make a new sign-in link for a person: it works once, for 15 minutes."""
    async with opened(settings) as platform:
        link = await accounts.sign_in_link(platform.database, base_url(settings), args.account)
    show({"account_id": args.account, "sign_in_url": link}, as_json=args.json)


async def account_revoke_command(args: Args, settings: Settings) -> None:
    """Refuse an account, and the persons who belong to it, from now on."""
    async with opened(settings) as platform:
        revoked = await accounts.revoke_account(platform.database, args.account)
    show({"account_id": args.account, "revoked": revoked}, as_json=args.json)


def add_parsers(commands: Any) -> None:
    """Add these commands to the command line."""
    site = group(commands, "site", "Sites: the buildings where rounds start.")
    json_option(command(site, "create", site_command)).add_argument("site", metavar="SITE")
    device = group(commands, "device", "Carriers' phones.")
    enrol = json_option(command(device, "enrol", device_enrol_command))
    enrol.add_argument("--carrier", required=True)
    enrol.add_argument("--site", required=True)
    enrol.add_argument("--round")
    json_option(command(device, "revoke", device_revoke_command)).add_argument("device", metavar="DEVICE")
    account = group(commands, "account", "Accounts of subscribers and of people.")
    create = json_option(command(account, "create", account_create_command))
    create.add_argument("role", choices=("subscriber", *accounts.STAFF), metavar="ROLE")
    create.add_argument("name", metavar="NAME|EMAIL")
    create.add_argument("--scopes", help="subscriber: operator, health, order:<service>, comma-separated")
    create.add_argument("--sandbox", action="store_true", help="subscriber: its orders play out by themselves")
    create.add_argument("--site")
    create.add_argument("--account")
    json_option(command(account, "link", account_link_command)).add_argument("account", metavar="ACCOUNT")
    json_option(command(account, "revoke", account_revoke_command)).add_argument("account", metavar="ACCOUNT")
