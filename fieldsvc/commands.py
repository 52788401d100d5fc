"""What every command is made of: its parser, the platform it opens, and how it prints."""

import argparse
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fieldsvc.platform import Platform, open_platform
from fieldsvc.serve import database_url
from fieldsvc.settings import Settings

Args = argparse.Namespace
Command = Callable[[Args, Settings], Awaitable[None]]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Platform]:
    """Open the platform of these settings, with the embedded database if none is named."""
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        yield platform


def base_url(settings: Settings) -> str:
    """Return the address under which people and phones reach the service."""
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def show(value: Any, *, as_json: bool = True) -> None:
    """Print an object: as one JSON line, or as `name: value` lines."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not as_json and isinstance(value, dict):
        text = "\n".join(
            f"{key}: {json.dumps(each) if isinstance(each, dict) else each}" for key, each in value.items()
        )
    print(text)  # noqa: T201 - a command's output


def command(commands: Any, name: str, act: Command) -> argparse.ArgumentParser:
    """Add a command; its docstring is its help."""
    about = (act.__doc__ or "").strip()
    found: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    found.set_defaults(command=act)
    return found


def group(commands: Any, name: str, about: str) -> Any:
    """Add a command that has commands of its own."""
    return commands.add_parser(name, help=about, description=about).add_subparsers(required=True, metavar="ACTION")


def json_option(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let a command print its object as JSON."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser
