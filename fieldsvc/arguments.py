"""Arguments of the commands that have a module of their own: read without loading it."""

import argparse
from pathlib import Path


def explain_address_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `explain address` takes."""
    parser.add_argument("address", metavar="ADDRESS", help='on one line, as "12 bis rue X, 93140 Bondy"')
    parser.add_argument(
        "--citycode", metavar="CODE", help="the commune assumed when the address names none (INSEE code)"
    )
    parser.add_argument(
        "--online", action="store_true", help="ask the online geocoder too: the address leaves this machine"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def explain_fix_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `explain fix` takes."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--round", metavar="ROUND", help="the planned round")
    which.add_argument("--run", metavar="RUN", help="a run of it: run-<date>-<round>")
    parser.add_argument("--rounds", type=Path, metavar="FILE", help="read the round from GeoJSON or CSV: no database")
    for name, about in (
        ("lat", "degrees"),
        ("lon", "degrees"),
        ("accuracy", "the phone's 68 %% radius in metres; unknown without it"),
        ("after", "metres along the round that were known before"),
        ("speed", "metres a second"),
        ("heading", "degrees clockwise from north"),
    ):
        parser.add_argument(f"--{name}", type=float, help=about)
    parser.add_argument("--at", metavar="TIME", help="when, as 2026-11-21T09:42:12Z; now without it")
    parser.add_argument(
        "--fixes", type=Path, metavar="FILE", help="a whole run: JSON lines of fixes as /v1/positions has"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the round and the run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `listen` takes."""
    parser.add_argument("--target", default="http://127.0.0.1:8080", metavar="URL", help="the service")
    parser.add_argument("--forward", metavar="URL", help="your receiver; without it events are only printed")
    parser.add_argument("--types", default="", metavar="A,B", help="type filters as item.*; default: every type")
    parser.add_argument("--after", metavar="CURSOR", help="a cursor, or oldest; default: from now on")
    parser.add_argument(
        "--cursor-file", type=Path, metavar="FILE", help="go on where this file says, and keep it up to date"
    )
    parser.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help="sign with the key in it (whsec_…); default: one made now, and printed",
    )
    parser.add_argument(
        "--api-key-file", type=Path, metavar="FILE",
        help="the key, or JSON that holds it (demo.json); default: FIELDSVC_API_KEY, else it is asked for",
    )  # fmt: skip


def certify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `certify` takes."""
    parser.add_argument("url", metavar="URL", help="the receiver, as your endpoint would name it")
    parser.add_argument("--report", metavar="URL", help="where your receiver tells what it has applied; else not shown")
    parser.add_argument(
        "--secret-file", type=Path, metavar="FILE", help="two keys, one a line; default: made now, and printed first"
    )
    parser.add_argument(
        "--headers-file",
        type=Path,
        metavar="FILE",
        help="headers of every request, `Name: value` lines, as your gateway wants",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the plan: the same seed makes the same day")
    parser.add_argument("--events", type=int, default=300, help="about so many different events")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long after an event its last copies come")
    parser.add_argument("--batch", action="store_true", help="send batches too")
    parser.add_argument(
        "--wait", type=float, default=120.0, metavar="SECONDS", help="how long to wait for a receiver that has the keys"
    )
    parser.add_argument("--json", action="store_true", help="print the certificate as one JSON object")
