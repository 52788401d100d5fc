"""What every command is made of: its parser, the platform it opens, and how it prints."""
# ruff: noqa: PLC0415 - a command that opens nothing starts without the platform

import argparse
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from fieldsvc.process import database_url
from fieldsvc.settings import Settings

if TYPE_CHECKING:
    from fieldsvc.platform import Platform

Args = argparse.Namespace
Command = Callable[[Args, Settings], Awaitable[None]]


@asynccontextmanager
async def opened(settings: Settings, *, without_erasures: bool = False) -> "AsyncIterator[Platform]":
    """Open the platform of these settings, with the embedded database if none is named."""
    from fieldsvc.platform import open_platform

    async with (
        database_url(settings) as url,
        open_platform(settings, url, without_erasures=without_erasures) as platform,
    ):
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


def settings_in_force(settings: Settings) -> dict[str, Any]:
    """Show every setting; a secret only as whether it is set."""
    shown = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        secret = "SecretStr" in str(field.annotation)
        shown[f"FIELDSVC_{name.upper()}"] = value is not None if secret else _plain(value)
    return shown


def described_settings(settings: Settings) -> dict[str, Any]:
    """Explain every setting."""
    return {f"FIELDSVC_{name.upper()}": field.description for name, field in type(settings).model_fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return True
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path | IPv4Network | IPv6Network) else value


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
