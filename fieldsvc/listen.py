"""`fieldsvc listen`: a subscriber's events as they happen, on the developer's screen and at a receiver on their own machine.

It follows the feed, prints a line for each event, and forwards it as the webhook that an endpoint would have sent: the same
body, signed at each attempt (Standard Webhooks), one at a time for a subject. It speaks HTTP only, and keeps nothing but a
cursor.
"""

import argparse
import asyncio
import getpass
import json
import os
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from fieldsvc.errors import UserMistake
from fieldsvc.feed_client import Feed, Heard, Say
from fieldsvc.publishing.signing import new_secret, sign
from fieldsvc.publishing.webhooks import MEDIA_TYPE
from fieldsvc.settings import Settings

RETRIES_S = (1.0, 5.0, 15.0)
MOST_UNDER_WAY = 200  # then the feed waits for the receiver
PATIENCE = aiohttp.ClientTimeout(total=20, sock_connect=5)
LINE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to listen to, and where to forward it."""

    target: URL
    key: str = field(repr=False)
    types: str = ""
    forward: URL | None = None
    secret: str = field(default="", repr=False)
    after: str | None = None  # None: from now on
    cursor_file: Path | None = None


async def listen_and_print(args: argparse.Namespace, settings: Settings) -> None:
    """Do what was typed; UserMistake."""
    await listen(read_plan(args, settings), say=lambda line: print(line, flush=True))  # noqa: T201 - a command's output


def read_plan(args: argparse.Namespace, settings: Settings) -> Plan:
    """Read what was typed; UserMistake."""
    secret = _secret(args.secret_file)
    try:
        sign([secret], "evt", timestamp=0, body=b"")
    except ValueError:
        raise UserMistake("The secret is not one: whsec_ and base64.") from None
    after = args.after
    if args.cursor_file is not None and not args.cursor_file.absolute().parent.is_dir():
        raise UserMistake(f"There is no folder for {args.cursor_file}.")
    if args.cursor_file is not None and args.cursor_file.is_file():
        after = args.cursor_file.read_text().strip() or after
    return Plan(
        target=_url(args.target, "--target"),
        key=_key(args.api_key_file, settings),
        types=args.types,
        forward=_url(args.forward, "--forward") if args.forward else None,
        secret=secret,
        after="" if after == "oldest" else after,
        cursor_file=args.cursor_file,
    )


def _url(text: str, option: str) -> URL:
    try:
        url = URL(text)
    except (ValueError, IndexError):
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UserMistake(f"{option} is an address as http://127.0.0.1:9000/hook.")
    return url


def _key(path: Path | None, settings: Settings) -> str:
    """Find the API key: in the file, in the settings, or by asking; never on the command line, where others see it."""
    if path is not None:
        if not path.is_file():
            raise UserMistake(f"There is no file {path}.")
        key, place = _key_in(path.read_text(errors="replace")), str(path)
    else:
        key, place = settings.api_key.get_secret_value() if settings.api_key else "", "FIELDSVC_API_KEY"
        if not key and sys.stdin.isatty():
            key, place = getpass.getpass("API key: ").strip(), "what was typed"
        elif not key:
            raise UserMistake("No API key: set FIELDSVC_API_KEY, or name a file with --api-key-file.")
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise UserMistake(f"There is no API key in {place}.")
    return key


def _secret(path: Path | None) -> str:
    """Read the signing key of a file, or make one."""
    if path is None:
        return new_secret()
    if not path.is_file():
        raise UserMistake(f"There is no file {path}.")
    return path.read_text(errors="replace").strip()


def _key_in(text: str) -> str:
    """Read a key, or JSON that holds one as `account create` prints it and the demo writes it; empty if there is none."""
    if not text.lstrip().startswith("{"):
        return text.strip()
    try:
        said: Any = json.loads(text)
        return str((said.get("subscriber") or said)["api_key"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return ""


async def listen(plan: Plan, *, say: Say) -> None:
    """Listen until cancelled. UserMistake when the service refuses the key, the types or the cursor, or never answers."""
    async with aiohttp.ClientSession(
        trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=LINE_BYTES, timeout=PATIENCE
    ) as session:
        feed = Feed(session, plan.target, key=plan.key, types=plan.types, after=plan.after)
        await feed.begin()
        say(f"Listening to {plan.target} for {plan.types or 'every type'}; Ctrl-C ends it.")
        if plan.forward:
            say(f"Forwarding to {plan.forward}, signed with  {plan.secret}")
        cursor = Cursor(plan.cursor_file, feed.cursor)
        try:
            async with Lanes(Forwarder(session, plan, say), cursor) as lanes:
                async for heard in feed.follow(say):
                    await lanes.add(heard)
        finally:
            say(f"Go on with  --after {cursor.settled}")


@dataclass(slots=True)
class Step:
    """One place of the feed on the way to being settled."""

    cursor: str
    is_done: bool = False


class Cursor:
    """How far everything is settled: printed, and taken by the receiver or given up."""

    def __init__(self, path: Path | None, settled: str) -> None:
        self.settled = settled
        self._path = path
        self._open: deque[Step] = deque()

    def begin(self, cursor: str) -> Step:
        """Note what comes next in the feed."""
        self._open.append(Step(cursor))
        return self._open[-1]

    def done(self, step: Step) -> None:
        """Settle one; the cursor moves when all before it are settled."""
        step.is_done, before = True, self.settled
        while self._open and self._open[0].is_done:
            self.settled = self._open.popleft().cursor
        if self._path is not None and self.settled != before:
            draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            draft.write_text(self.settled + "\n")
            draft.replace(self._path)


class Forwarder:
    """Prints an event and brings it to the receiver: signed at each attempt, a few times, then given up."""

    def __init__(self, session: aiohttp.ClientSession, plan: Plan, say: Say) -> None:
        self._session = session
        self._plan = plan
        self._say = say

    async def forward(self, heard: Heard) -> None:
        """Forward one event; say how it went."""
        if self._plan.forward is None:
            self._say(heard.line)
            return
        for wait_s in (*RETRIES_S, None):
            is_taken, how = await self._attempt(self._plan.forward, heard)
            if is_taken or wait_s is None:
                self._say(f"{heard.line}  {how}" + ("" if is_taken else ", given up"))
                return
            self._say(f"{heard.line}  {how}, again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)

    async def _attempt(self, url: URL, heard: Heard) -> tuple[bool, str]:
        began, now = time.monotonic(), int(time.time())
        headers = {
            "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
            "webhook-id": heard.id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign([self._plan.secret], heard.id, timestamp=now, body=heard.body),
        }
        try:
            async with self._session.post(url, data=heard.body, headers=headers, allow_redirects=False) as answer:
                taken, how = 200 <= answer.status < 300, str(answer.status)
        except TimeoutError:
            taken, how = False, "no answer in time"
        except (aiohttp.ClientError, OSError):
            taken, how = False, "not reached"
        return taken, f"{how} in {(time.monotonic() - began) * 1000:.0f} ms"


class Lanes:
    """Events under way: of one subject one after the other, of several at once."""

    def __init__(self, forwarder: Forwarder, cursor: Cursor) -> None:
        self._forwarder = forwarder
        self._cursor = cursor
        self._free = asyncio.Semaphore(MOST_UNDER_WAY)
        self._last: dict[str, asyncio.Task[None]] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def add(self, message: Heard | str) -> None:
        """Take the next of the feed; waits while too many are under way. Raises what went wrong with an earlier one."""
        if self._fault is not None:
            raise self._fault
        if isinstance(message, str):
            self._cursor.done(self._cursor.begin(message))
            return
        await self._free.acquire()
        step, before = self._cursor.begin(message.cursor), self._last.get(message.subject)
        job = self._last[message.subject] = asyncio.create_task(self._bring(message, step, before))
        self._jobs.add(job)
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            self._fault = self._fault or job.exception()

    async def _bring(self, heard: Heard, step: Step, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            await self._forwarder.forward(heard)
            self._cursor.done(step)
        finally:
            self._free.release()
            if self._last.get(heard.subject) is asyncio.current_task():
                del self._last[heard.subject]
