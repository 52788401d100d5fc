"""Commands about what is kept of persons, and for how long: erasures, holds, the master key, and a restored store."""
# ruff: noqa: PLC0415 - a command loads its own rooms when it runs

from typing import Any
from uuid import UUID, uuid4

from fieldsvc.commands import Args, command, group, json_option, opened, show
from fieldsvc.errors import UserMistake
from fieldsvc.settings import Settings

_DEED = {"actor": "operator (command line)", "role": "operator"}


async def person_erase_command(args: Args, settings: Settings) -> None:
    """Erase a person: every key of theirs is destroyed, and whoever ordered for them is told."""
    import dataclasses

    person = args.person if "/" in args.person else f"person/{args.account or 'operator'}/{args.person}"
    async with opened(settings) as platform:
        done = await platform.erasing.erase(person)
    further = [f"fieldsvc person erase {place}" for place in done.places]
    show(dataclasses.asdict(done) | ({"next": further} if further else {}), as_json=args.json)


async def keys_rotate_command(args: Args, settings: Settings) -> None:
    """Wrap everything with the current master key; the service may run. Every process has both keys before."""
    import time

    from fieldsvc.access import audit
    from fieldsvc.journal.rotation import rotate

    began = time.monotonic()
    async with opened(settings) as platform:
        done = await rotate(platform.database, platform.vault)
        await audit.note(platform.database, audit.Entry(**_DEED, action="key.rotated", subject="master key"))
    seconds = round(time.monotonic() - began, 1)
    show(
        {"wrapped_anew": dict(done.anew), "opened_by_neither": dict(done.foreign), "seconds": seconds},
        as_json=args.json,
    )
    if done.foreign:
        raise UserMistake(
            "Some values open with neither key: FIELDSVC_MASTER_KEY_PREVIOUS must stay, or is not the right one."
        )


async def restored_command(args: Args, settings: Settings) -> None:
    """Say that this database was restored from a backup: it gets a new epoch, and phones send again what they still have."""
    from fieldsvc.access import audit
    from fieldsvc.journal.erasures import renew

    async with opened(settings, without_erasures=args.without_erasures) as platform:
        epoch = await renew(platform.database)
        reason = "without erasures" if args.without_erasures else None
        entry = audit.Entry(**_DEED, action="store.restored", subject=f"epoch/{epoch}", reason=reason)
        await audit.note(platform.database, entry)
    show({"epoch": str(epoch), "next": "start every process again"}, as_json=args.json)


async def hold_command(args: Args, settings: Settings) -> None:
    """Put a legal hold on a purpose or a person, end one, or list those that stand."""
    from fieldsvc.access import audit
    from fieldsvc.journal import holds

    async with opened(settings) as platform:
        if args.action == "set":
            held = await holds.put(
                platform.database, uuid4(), purpose=args.purpose, person=args.person, reference=args.reference
            )
            entry = audit.Entry(**_DEED, action="hold.set", subject=f"hold/{held}", reason=args.reference)
        elif args.action == "end":
            await holds.end(platform.database, _id(args.hold))
            entry = audit.Entry(**_DEED, action="hold.ended", subject=f"hold/{args.hold}")
        else:
            entry = None
        if entry is not None:
            await audit.note(platform.database, entry)
        found = await holds.standing(platform.database)
    show({"holds": found})


def add_parsers(commands: Any) -> None:
    """Add these commands to the command line."""
    person = group(commands, "person", "Persons about whom something is kept.")
    erase = json_option(command(person, "erase", person_erase_command))
    erase.add_argument(
        "person", metavar="REF", help="the orderer's reference, or the subject of an order that names nobody"
    )
    erase.add_argument("--account", help="whose reference it is; default: the operator's")
    keys = group(commands, "keys", "The master key, which wraps every other key.")
    json_option(command(keys, "rotate", keys_rotate_command))
    restored = json_option(command(commands, "restored", restored_command))
    restored.add_argument(
        "--without-erasures",
        action="store_true",
        help="the folder of erasures is lost: whoever was erased after the backup has to be erased again by you",
    )
    hold = command(commands, "hold", hold_command)
    hold.add_argument("action", choices=("list", "set", "end"))
    hold.add_argument("hold", nargs="?", metavar="ID", help="end: which")
    hold.add_argument("--purpose", help="set: what is let go of no more, by its name in `fieldsvc privacy report`")
    hold.add_argument("--person", metavar="KEY", help="set: who is not erased, as person/<account>/<reference>")
    hold.add_argument("--reference", help="set: the file at court or at yours that it is for")


def _id(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise UserMistake("Name a hold by its id, as `fieldsvc hold list` shows it.") from None
