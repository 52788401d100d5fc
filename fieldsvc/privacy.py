"""Commands about the mirror: what is kept of persons and why, and what was noted of a visit, for her who was visited."""
# ruff: noqa: PLC0415 - a command loads its own rooms when it runs

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fieldsvc.commands import Args, command, group, json_option, opened, show
from fieldsvc.errors import NotFound
from fieldsvc.settings import Settings
from handlers.story import Fact


async def report_command(args: Args, settings: Settings) -> None:
    """Tell for each purpose its basis, data, recipients and limit, the oldest row, and how many rows are over the limit."""
    from fieldsvc.journal import register

    async with opened(settings) as platform, platform.database.acquire() as connection:
        found = await register.report(connection, datetime.now(UTC))
    if args.json:
        show(found)
    else:
        print("\n".join(register.in_words(found)))  # noqa: T201 - a command's output


async def notes_command(args: Args, settings: Settings) -> None:
    """Tell what was noted of a visit, for the visited person or her proxy to read; that it was read is noted."""
    from fieldsvc.access import audit
    from fieldsvc.journal.stories import Stories

    subject = f"visit/{args.visit}"
    async with opened(settings) as platform:
        handler = platform.registry.handlers.get("home_visit")
        stories = Stories(platform.database, platform.vault)
        found = await stories.of(handler, [subject], datetime.now(UTC)) if handler else {}
        entry = audit.Entry(
            actor="operator (command line)",
            role="operator",
            action="visit.notes_read",
            subject=subject,
            reason=args.reader,
        )
        await audit.note(platform.database, entry)
    if subject not in found:
        raise NotFound("Nothing is kept of this visit: it is unknown, older than its limit, or erased.")
    show({"visit_id": args.visit, "notes": notes_of(found[subject].facts)})


def notes_of(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Return what reports of a visit hold of the person, oldest first."""
    names = ("met", "answers", "needs", "urgent", "cannot_sign", "note")
    reports = [fact for fact in facts if fact.type == "home_visit.completed"]
    return [{"at": fact.at, **{name: fact.data[name] for name in names if name in fact.data}} for fact in reports]


def add_parsers(commands: Any) -> None:
    """Add the commands."""
    about = group(commands, "privacy", "What is kept of persons, and why.")
    json_option(command(about, "report", report_command))
    notes = command(about, "notes", notes_command)
    notes.add_argument("visit", metavar="VISIT")
    notes.add_argument(
        "--reader", required=True, choices=("the visited person", "her proxy"), help="who asked to read them"
    )
