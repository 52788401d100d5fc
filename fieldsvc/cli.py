"""The command line. A command's docstring is its help; a user's mistake is one plain line and exit status 2."""
# ruff: noqa: PLC0415 - a command loads its own rooms when it runs, so that every other starts at once

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from fieldsvc import creating, keeping, logs, privacy
from fieldsvc.arguments import certify_arguments, explain_address_arguments, explain_fix_arguments, listen_arguments
from fieldsvc.bench import BENCHES
from fieldsvc.commands import Args, command, described_settings, group, json_option, opened, settings_in_force, show
from fieldsvc.errors import FieldsvcError, UserMistake
from fieldsvc.process import ROLES, run, stop_event
from fieldsvc.settings import Settings
from fieldsvc.simulate import APPS

if TYPE_CHECKING:
    from fieldsvc.platform import Platform


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    args = _parser().parse_args(argv)
    try:
        settings = _settings(args)
        logs.configure(level=settings.log_level, form=settings.log_format)
        run(args.command(args, settings))
    except UserMistake as error:
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
        faults = error.errors(include_input=False)
        words = {fault["loc"][0]: f" ({fault['msg']})" if fault["type"] == "secret" else "" for fault in faults}
        names = ", ".join(f"FIELDSVC_{str(name).upper()}{word}" for name, word in words.items())
        raise UserMistake(f"This setting is not valid: {names}. `fieldsvc config --describe` explains them.") from None


async def demo_command(args: Args, settings: Settings) -> None:
    """Run a fictional town: database, service, simulated phones and a subscriber, on one screen."""
    from fieldsvc import demo

    del args
    await demo.run_demo(settings)


async def serve_command(args: Args, settings: Settings) -> None:
    """Run the service, or one of its roles."""
    from fieldsvc.serve import serve

    roles = frozenset(args.roles.split(",")) if args.roles else ROLES
    if unknown := roles - ROLES:
        raise UserMistake(f"There is no role {', '.join(sorted(unknown))}: the roles are {', '.join(sorted(ROLES))}.")
    await serve(settings, roles=roles)


async def migrate_command(args: Args, settings: Settings) -> None:
    """Bring the database to this version's schema."""
    del args
    async with opened(settings):
        show({"migrated": True})


async def import_command(args: Args, settings: Settings) -> None:
    """Import addresses (BAN, BANO), rounds (GeoJSON, CSV), a roster (CSV) or tasks (JSONL, CSV) from a file."""
    from fieldsvc import admin
    from fieldsvc.work import imports

    path: Path = args.file
    if not path.is_file():
        raise UserMistake(f"There is no file {path}.")
    async with opened(settings) as platform:
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


async def _import_lines(platform: "Platform", args: Args, lines: Any, progress: Any) -> Any:
    from fieldsvc.work import imports
    from fieldsvc.work.task_import import TaskImport

    if args.what == "addresses":
        return await imports.import_addresses(platform.database, lines, progress=progress)
    if args.what == "roster":
        days = await imports.roster_days(platform.database, lines, progress=progress)
        await platform.runs.tell_changes(days)
        return len(days)
    importer = TaskImport(
        platform.tasks, opener=platform.opener, registry=platform.registry, zone=platform.settings.zone
    )
    return await importer.run(lines, account=args.account, progress=progress)


async def layout_command(args: Args, settings: Settings) -> None:
    """Lay walkable rounds of a site over the imported addresses."""
    from fieldsvc import admin
    from fieldsvc.work import imports

    async with opened(settings) as platform:
        found = await imports.layout_rounds(
            platform.database, site=args.site, count=args.count, zone=settings.zone, mode=args.mode
        )
    show(admin.report_of("rounds", found), as_json=args.json)


async def pilot_command(args: Args, settings: Settings) -> None:
    """Pilot a service at some sites only, end its pilot so that it is everywhere, or list the pilots."""
    from fieldsvc import admin

    async with opened(settings) as platform:
        show(await admin.pilot(platform, args.action, service=args.service, sites=args.sites), as_json=args.json)


async def run_command(args: Args, settings: Settings) -> None:
    """Start or end a run for a carrier whose phone cannot say so."""
    from fieldsvc import admin

    async with opened(settings) as platform:
        found = await admin.move_run(platform, args.run, "run.started" if args.action == "start" else "run.ended")
    show(found, as_json=args.json)


async def simulate_command(args: Args, settings: Settings) -> None:
    """Let simulated carriers work against a service."""
    from fieldsvc.simulate.run import BadInput, load_devices, simulate

    del settings
    try:
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
    except BadInput as error:
        raise UserMistake(str(error)) from None
    show({name: getattr(found, name) for name in found.__dataclass_fields__})


async def bench_command(args: Args, settings: Settings) -> None:
    """Measure this machine and this version; JSON lines, each speed as a ratio to a limit measured beside it."""
    from fieldsvc.bench import faults, suite

    del settings
    cycles = args.cycles if args.cycles is not None else 1 if args.what == "all" and not args.full else 3
    if args.what == "faults":
        only = [each.strip() for each in (args.only or "").split(",") if each.strip()]
        limits = faults.Limits(only, args.seconds, args.seed)
        await faults.run(cycles=cycles, full=args.full, show=show, limits=limits)
        return
    if args.only or args.seconds is not None or args.seed is not None:
        raise UserMistake("--only, --seconds and --seed belong to `bench faults`.")
    await suite.run(args.what, cycles=cycles, full=args.full, show=show)


async def verify_command(args: Args, settings: Settings) -> None:
    """Check the journal's chains, the audit log, receipts that a phone was given, or a proof of delivery (with --key offline)."""
    from fieldsvc import admin

    if args.what == "proof" and args.key:
        found, good = admin.verify_proof(args.file, args.key)
    else:
        async with opened(settings) as platform:
            found, good = await admin.verify(platform, args.what, args.file)
    show(found, as_json=args.json)
    if not good:
        raise FieldsvcError("The check found faults.")


async def quarantine_command(args: Args, settings: Settings) -> None:
    """Look at what could not be taken: list, show, retry, or discard."""
    from fieldsvc import admin

    async with opened(settings) as platform:
        for found in await admin.quarantine(platform, args.action, args.entry, settled_too=args.all):
            show(found)


async def explain_address_command(args: Args, settings: Settings) -> None:
    """Explain how an address is read, which known addresses are like it, and which round would serve it."""
    from fieldsvc import explain

    explain.check(args, settings)
    async with opened(settings) as platform:
        report, words = await explain.explain(args, platform.placer, settings)
    if args.json:
        show(report)
    else:
        print("\n".join(words))  # noqa: T201 - a command's output


async def explain_fix_command(args: Args, settings: Settings) -> None:
    """Explain why a fix is where it is on its round, and draw the round and the run."""
    from fieldsvc import explain_fix

    explain_fix.check(args)
    if args.rounds is not None:
        planned = explain_fix.round_of_file(args)
    else:
        async with opened(settings) as platform:
            planned = await explain_fix.planned_round(args, platform.rounds)
    report, words = explain_fix.explain(args, planned)
    if args.json:
        show(report)
    else:
        print("\n".join(words))  # noqa: T201 - a command's output


async def listen_command(args: Args, settings: Settings) -> None:
    """Follow a subscriber's events, and forward them, signed, to a receiver of your own."""
    from fieldsvc import listen

    await listen.listen_and_print(args, settings)


async def certify_command(args: Args, settings: Settings) -> None:
    """Run a hostile day against a receiver of your own, and grade it; 0 passed, 1 failed, 3 not everything was shown."""
    from fieldsvc import certify

    del settings
    if status := await certify.certify_and_print(args):
        sys.exit(status)


async def openapi_command(args: Args, settings: Settings) -> None:
    """Print the OpenAPI or AsyncAPI document."""
    from fieldsvc import admin

    show(await asyncio.to_thread(admin.document, args.name, settings))


async def config_command(args: Args, settings: Settings) -> None:
    """Print the settings in force; secrets as true or false."""
    show(described_settings(settings) if args.describe else settings_in_force(settings))


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
    command(commands, "demo", demo_command).add_argument("--port", type=int)
    _serve_parser(command(commands, "serve", serve_command))
    command(commands, "migrate", migrate_command)
    _import_parser(command(commands, "import", import_command))
    _layout_parser(command(commands, "layout", layout_command))
    creating.add_parsers(commands)
    keeping.add_parsers(commands)
    privacy.add_parsers(commands)
    _run_parser(json_option(command(commands, "run", run_command)))
    _simulate_parser(command(commands, "simulate", simulate_command))
    listen_arguments(command(commands, "listen", listen_command))
    certify_arguments(command(commands, "certify", certify_command))
    _operator_parsers(commands)
    _explain_parsers(commands)
    return parser


def _serve_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--roles", help=f"some of {','.join(sorted(ROLES))}; default: all")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0 takes a free one")


def _import_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("addresses", "rounds", "roster", "tasks"))
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--account", help="tasks: the account they belong to; default: the operator")
    json_option(parser)


def _layout_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("rounds",))
    parser.add_argument("--site", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--mode", choices=("foot", "bike", "van"), default="foot")
    json_option(parser)


def _run_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("start", "end"))
    parser.add_argument("run", metavar="RUN")


def _simulate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, metavar="URL")
    parser.add_argument("--devices", required=True, type=Path, metavar="FILE")
    parser.add_argument("--carriers", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--app", metavar="|".join(APPS), default="cloudevents", help="what sends the positions")
    parser.add_argument("--speed", type=float, default=60.0, help="replay a past shift so much faster, until now")
    parser.add_argument("--seed", type=int, default=1)


def _operator_parsers(commands: Any) -> None:
    bench = command(commands, "bench", bench_command)
    bench.add_argument("what", choices=(*BENCHES, "all"))
    bench.add_argument("--cycles", type=int, help="how often each is measured: 3 times, with `all` once")
    bench.add_argument("--json", action="store_true", help="the only form there is")
    bench.add_argument("--full", action="store_true", help="longer, for a quieter figure; faults: no limit of time")
    bench.add_argument("--only", metavar="F01,F02", help="faults: only these, of docs/reliability.md")
    bench.add_argument("--seconds", type=float, help="faults: how long, at most, beside the start and the last check")
    bench.add_argument("--seed", type=int, help="faults: play another order of moments")
    verify = json_option(command(commands, "verify", verify_command))
    verify.add_argument("what", choices=("journal", "audit", "receipts", "proof"))
    verify.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="receipts: one a line; a proof: JSON or PDF; audit: a kept copy of the signed links",
    )
    verify.add_argument("--key", help="proof: the public key, or a file with it; needs no database")
    entries = command(commands, "quarantine", quarantine_command)
    entries.add_argument("action", choices=("list", "show", "retry", "discard"))
    entries.add_argument("entry", nargs="?", metavar="ID")
    entries.add_argument("--all", action="store_true", help="list: also what was settled")
    pilot = json_option(command(commands, "pilot", pilot_command))
    pilot.add_argument("action", choices=("list", "set", "end"))
    pilot.add_argument("service", nargs="?")
    pilot.add_argument("sites", nargs="*", metavar="SITE", help="set: where it is; none for nowhere yet")
    for name in ("openapi", "asyncapi"):
        command(commands, name, openapi_command).set_defaults(name=name)
    command(commands, "config", config_command).add_argument("--describe", action="store_true")


def _explain_parsers(commands: Any) -> None:
    why = group(commands, "explain", "Why the service says what it says.")
    explain_address_arguments(command(why, "address", explain_address_command))
    explain_fix_arguments(command(why, "fix", explain_fix_command))
