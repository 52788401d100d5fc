"""The command line. A command's docstring is its help; a user's mistake is one plain line and exit status 2."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from fieldsvc import admin, demo, explain, explain_fix, logs
from fieldsvc.access import accounts, enrolment, provisioning
from fieldsvc.app import ROLES, Platform, open_platform
from fieldsvc.bench import suite
from fieldsvc.errors import FieldsvcError, UserMistake
from fieldsvc.serve import database_url, run, serve, stop_event
from fieldsvc.settings import Settings
from fieldsvc.simulate.apps import APPS
from fieldsvc.simulate.run import BadInput, load_devices, simulate
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport

Args = argparse.Namespace
Command = Callable[[Args, Settings], Awaitable[None]]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    args = _parser().parse_args(argv)
    try:
        settings = _settings(args)
        logs.configure(level=settings.log_level, form=settings.log_format)
        run(args.command(args, settings))
    except (UserMistake, BadInput) as error:
        _fail(str(error), 2)
    except FieldsvcError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
    sys.exit(0)


def _fail(sentence: str, status: int) -> NoReturn:
    print(f"fieldsvc: {sentence}", file=sys.stderr)  # noqa: T201 - a command's own word
    sys.exit(status)


def _settings(args: Args) -> Settings:
    given = {name: getattr(args, name) for name in ("host", "port") if getattr(args, name, None) is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        names = ", ".join(f"FIELDSVC_{str(fault['loc'][0]).upper()}" for fault in error.errors(include_input=False))
        raise UserMistake(f"This setting is not valid: {names}. `fieldsvc config --describe` explains them.") from None


@asynccontextmanager
async def _platform(settings: Settings) -> AsyncIterator[Platform]:
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        yield platform


def _base_url(settings: Settings) -> str:
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def show(value: Any, *, as_json: bool = True) -> None:
    """Print an object: as one JSON line, or as `name: value` lines."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not as_json and isinstance(value, dict):
        text = "\n".join(
            f"{key}: {json.dumps(each) if isinstance(each, dict) else each}" for key, each in value.items()
        )
    print(text)  # noqa: T201 - a command's output


async def demo_command(args: Args, settings: Settings) -> None:
    """Run a fictional town: database, service, simulated phones and a subscriber, on one screen."""
    del args
    await demo.run_demo(settings)


async def serve_command(args: Args, settings: Settings) -> None:
    """Run the service, or one of its roles."""
    roles = frozenset(args.roles.split(",")) if args.roles else ROLES
    if unknown := roles - ROLES:
        raise UserMistake(f"There is no role {', '.join(sorted(unknown))}: the roles are {', '.join(sorted(ROLES))}.")
    await serve(settings, roles=roles)


async def migrate_command(args: Args, settings: Settings) -> None:
    """Bring the database to this version's schema."""
    del args
    async with _platform(settings):
        show({"migrated": True})


async def import_command(args: Args, settings: Settings) -> None:
    """Import addresses (BAN, BANO), rounds (GeoJSON, CSV), a roster (CSV) or tasks (JSONL, CSV) from a file."""
    path: Path = args.file
    if not path.is_file():
        raise UserMistake(f"There is no file {path}.")
    async with _platform(settings) as platform:
        with progress_bar() as progress:
            if args.what == "rounds":
                found: Any = await imports.import_rounds(platform.database, path, zone=settings.zone, progress=progress)
            else:
                with imports.open_lines(path) as lines:
                    found = await _import_lines(platform, args, lines, progress)
    report = admin.report_of(args.what, found)
    refused = [] if args.json else report.pop("bad", [])
    show(report, as_json=args.json)
    for row in refused:
        print(f"line {row['line_no']}: {row['reason']}", file=sys.stderr)  # noqa: T201 - what the person has to mend


async def _import_lines(platform: Platform, args: Args, lines: Any, progress: Any) -> Any:
    if args.what == "addresses":
        return await imports.import_addresses(platform.database, lines, progress=progress)
    if args.what == "roster":
        return await imports.import_roster(platform.database, lines, progress=progress)
    importer = TaskImport(
        platform.tasks, opener=platform.opener, registry=platform.registry, zone=platform.settings.zone
    )
    return await importer.run(lines, account=args.account, progress=progress)


async def layout_command(args: Args, settings: Settings) -> None:
    """Lay walkable rounds of a site over the imported addresses."""
    async with _platform(settings) as platform:
        found = await imports.layout_rounds(
            platform.database, site=args.site, count=args.count, zone=settings.zone, mode=args.mode
        )
    show(admin.report_of("rounds", found), as_json=args.json)


async def site_command(args: Args, settings: Settings) -> None:
    """Make a site: the building where rounds start."""
    async with _platform(settings) as platform:
        await imports.create_site(platform.database, args.site)
    show({"site": args.site}, as_json=args.json)


async def device_enrol_command(args: Args, settings: Settings) -> None:
    """Enrol a carrier's phone; its credentials are shown this once."""
    async with _platform(settings) as platform:
        found = await enrolment.enrol_device(
            platform.database, _base_url(settings), carrier=args.carrier, site=args.site, round_id=args.round
        )
    show(found, as_json=args.json)
    if sys.stdout.isatty() and not args.json:
        print(provisioning.qr_terminal(provisioning.links(found)["owntracks"]["qr_text"]))  # noqa: T201 - to be scanned


async def device_revoke_command(args: Args, settings: Settings) -> None:
    """Refuse a phone from now on."""
    async with _platform(settings) as platform:
        await enrolment.revoke_device(platform.database, args.device)
    show({"device_id": args.device, "revoked": True}, as_json=args.json)


async def account_create_command(args: Args, settings: Settings) -> None:
    """Make an account: `subscriber NAME [--scopes a,b]`, or `ROLE EMAIL [--site S] [--account A]`."""
    async with _platform(settings) as platform:
        if args.role == "subscriber":
            scopes = [scope.strip() for scope in (args.scopes or "").split(",") if scope.strip()]
            found = await accounts.create_subscriber(platform.database, args.name, scopes=scopes)
        else:
            found = await accounts.create_person(
                platform.database, _base_url(settings), args.role, email=args.name, site=args.site, parent=args.account
            )
    show(found, as_json=args.json)


async def account_link_command(args: Args, settings: Settings) -> None:
    """Make a new sign-in link for a person: it works once, for 15 minutes."""
    async with _platform(settings) as platform:
        link = await accounts.sign_in_link(platform.database, _base_url(settings), args.account)
    show({"account_id": args.account, "sign_in_url": link}, as_json=args.json)


async def account_revoke_command(args: Args, settings: Settings) -> None:
    """Refuse an account, and the persons who belong to it, from now on."""
    async with _platform(settings) as platform:
        revoked = await accounts.revoke_account(platform.database, args.account)
    show({"account_id": args.account, "revoked": revoked}, as_json=args.json)


async def run_command(args: Args, settings: Settings) -> None:
    """Start or end a run for a carrier whose phone cannot say so."""
    async with _platform(settings) as platform:
        found = await admin.move_run(platform, args.run, "run.started" if args.action == "start" else "run.ended")
    show(found, as_json=args.json)


async def simulate_command(args: Args, settings: Settings) -> None:
    """Let simulated carriers work against a service."""
    del settings
    found = await simulate(
        args.target,
        load_devices(args.devices),
        stop=stop_event(),
        carriers=args.carriers,
        minutes=args.minutes,
        app=args.app,
        speed=args.speed,
        seed=args.seed,
    )
    show({name: getattr(found, name) for name in found.__dataclass_fields__})


async def bench_command(args: Args, settings: Settings) -> None:
    """Measure this machine and this version; JSON lines, each speed as a ratio to a limit measured beside it."""
    del settings
    await suite.run(args.what, cycles=args.cycles, full=args.full, show=show)


async def verify_command(args: Args, settings: Settings) -> None:
    """Check the journal's chains, or receipts that a phone was given."""
    async with _platform(settings) as platform:
        if args.what == "journal":
            found, good = await admin.verify_journal(platform)
        else:
            found, good = await admin.verify_receipts(platform, args.file)
    show(found, as_json=args.json)
    if not good:
        raise FieldsvcError("The check found faults.")


async def quarantine_command(args: Args, settings: Settings) -> None:
    """Look at what could not be taken: list, show, retry, or discard."""
    async with _platform(settings) as platform:
        for found in await admin.quarantine(platform, args.action, args.entry, settled_too=args.all):
            show(found)


async def explain_address_command(args: Args, settings: Settings) -> None:
    """Explain how an address is read, which known addresses are like it, and which round would serve it."""
    explain.check(args, settings)
    async with _platform(settings) as platform:
        report, words = await explain.explain(args, platform.placer, settings)
    if args.json:
        show(report)
    else:
        print("\n".join(words))  # noqa: T201 - a command's output


async def explain_fix_command(args: Args, settings: Settings) -> None:
    """Explain why a fix is where it is on its round, and draw the round and the run."""
    explain_fix.check(args)
    if args.rounds is not None:
        planned = explain_fix.round_of_file(args)
    else:
        async with _platform(settings) as platform:
            planned = await explain_fix.planned_round(args, platform.rounds)
    report, words = explain_fix.explain(args, planned)
    if args.json:
        show(report)
    else:
        print("\n".join(words))  # noqa: T201 - a command's output


async def openapi_command(args: Args, settings: Settings) -> None:
    """Print the OpenAPI or AsyncAPI document."""
    show(await asyncio.to_thread(admin.document, args.name, settings))


async def config_command(args: Args, settings: Settings) -> None:
    """Print the settings in force; secrets as true or false."""
    show(admin.described_settings(settings) if args.describe else admin.settings_in_force(settings))


@contextmanager
def progress_bar() -> Iterator[Callable[[int], None]]:
    """Show a count on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return

    def shown(count: int) -> None:
        sys.stderr.write(f"\r{count:,} rows")
        sys.stderr.flush()

    yield shown
    sys.stderr.write("\r\x1b[K")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fieldsvc", description="Event platform for postal carriers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "demo", demo_command).add_argument("--port", type=int)
    _serve_parser(_command(commands, "serve", serve_command))
    _command(commands, "migrate", migrate_command)
    _import_parser(_command(commands, "import", import_command))
    _layout_parser(_command(commands, "layout", layout_command))
    _creating_parsers(commands)
    _simulate_parser(_command(commands, "simulate", simulate_command))
    _operator_parsers(commands)
    _explain_parsers(commands)
    return parser


def _command(commands: Any, name: str, act: Command) -> argparse.ArgumentParser:
    about = (act.__doc__ or "").strip()
    found: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    found.set_defaults(command=act)
    return found


def _group(commands: Any, name: str, about: str) -> Any:
    return commands.add_parser(name, help=about, description=about).add_subparsers(required=True, metavar="ACTION")


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _serve_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--roles", help=f"some of {','.join(sorted(ROLES))}; default: all")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0 takes a free one")


def _import_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("addresses", "rounds", "roster", "tasks"))
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--account", help="tasks: the account they belong to; default: the operator")
    _json(parser)


def _layout_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("rounds",))
    parser.add_argument("--site", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--mode", choices=("foot", "bike", "van"), default="foot")
    _json(parser)


def _creating_parsers(commands: Any) -> None:
    site = _group(commands, "site", "Sites: the buildings where rounds start.")
    _json(_command(site, "create", site_command)).add_argument("site", metavar="SITE")
    device = _group(commands, "device", "Carriers' phones.")
    enrol = _json(_command(device, "enrol", device_enrol_command))
    enrol.add_argument("--carrier", required=True)
    enrol.add_argument("--site", required=True)
    enrol.add_argument("--round")
    _json(_command(device, "revoke", device_revoke_command)).add_argument("device", metavar="DEVICE")
    account = _group(commands, "account", "Accounts of subscribers and of people.")
    create = _json(_command(account, "create", account_create_command))
    create.add_argument("role", choices=("subscriber", *accounts.ROLES), metavar="ROLE")
    create.add_argument("name", metavar="NAME|EMAIL")
    create.add_argument("--scopes", help="subscriber: operator, health, order:<service>, comma-separated")
    create.add_argument("--site")
    create.add_argument("--account")
    _json(_command(account, "link", account_link_command)).add_argument("account", metavar="ACCOUNT")
    _json(_command(account, "revoke", account_revoke_command)).add_argument("account", metavar="ACCOUNT")
    runs = _json(_command(commands, "run", run_command))
    runs.add_argument("action", choices=("start", "end"))
    runs.add_argument("run", metavar="RUN")


def _simulate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, metavar="URL")
    parser.add_argument("--devices", required=True, type=Path, metavar="FILE")
    parser.add_argument("--carriers", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--app", metavar="|".join(APPS), default="cloudevents", help="what sends the positions")
    parser.add_argument("--speed", type=float, default=60.0, help="replay a past shift so much faster, until now")
    parser.add_argument("--seed", type=int, default=1)


def _operator_parsers(commands: Any) -> None:
    bench = _command(commands, "bench", bench_command)
    bench.add_argument("what", choices=(*suite.BENCHES, "all"))
    bench.add_argument("--cycles", type=int, default=3)
    bench.add_argument("--json", action="store_true", help="the only form there is")
    bench.add_argument("--full", action="store_true", help="longer, for a quieter figure")
    verify = _json(_command(commands, "verify", verify_command))
    verify.add_argument("what", choices=("journal", "receipts"))
    verify.add_argument("file", nargs="?", type=Path, help="receipts: one a line")
    entries = _command(commands, "quarantine", quarantine_command)
    entries.add_argument("action", choices=("list", "show", "retry", "discard"))
    entries.add_argument("entry", nargs="?", metavar="ID")
    entries.add_argument("--all", action="store_true", help="list: also what was settled")
    for name in ("openapi", "asyncapi"):
        _command(commands, name, openapi_command).set_defaults(name=name)
    _command(commands, "config", config_command).add_argument("--describe", action="store_true")


def _explain_parsers(commands: Any) -> None:
    why = _group(commands, "explain", "Why the service says what it says.")
    explain.add_arguments(_command(why, "address", explain_address_command))
    explain_fix.add_arguments(_command(why, "fix", explain_fix_command))
