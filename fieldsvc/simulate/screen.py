"""The one screen of `make run`: links, sign-ins, and a count line that moves."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

RED, BOLD, PLAIN, CLEAR_LINE = "\x1b[31m", "\x1b[1m", "\x1b[0m", "\x1b[K"
TTY_EVERY_S, LINE_EVERY_S = 0.5, 5.0

Labelled = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class CountLine:
    """What the moving line says."""

    taken_in: int
    located: int
    delivered: int
    violations: int = 0
    services: tuple[int, int] | None = None  # of which something was said, of how many


def count_line(counts: CountLine, *, colour: bool = False) -> str:
    """Render `in 1,204 → located 1,198 → delivered 1,190 · order ok`."""
    flow = f"in {counts.taken_in:,} → located {counts.located:,} → delivered {counts.delivered:,}"
    heard = f" · services {counts.services[0]}/{counts.services[1]}" if counts.services else ""
    if not counts.violations:
        return f"{flow} · order ok{heard}"
    verdict = f"{counts.violations:,} violation{'s' if counts.violations > 1 else ''}"
    return f"{flow} · {red(verdict) if colour else verdict}{heard}"


def red(text: str) -> str:
    """Colour text red."""
    return f"{RED}{text}{PLAIN}"


def screen(
    title: str, links: Labelled, *, sign_ins: Labelled = (), notes: Iterable[str] = (), colour: bool = False
) -> str:
    """Render the fixed part of the screen; labels are aligned over both lists."""
    width = max((len(label) for label, _ in (*links, *sign_ins)), default=0)
    lines = ["", f"{BOLD}{title}{PLAIN}" if colour else title, ""]
    lines += [f"  {label:<{width}}  {value}" for label, value in links]
    if sign_ins:
        lines += ["", "  Sign in as", *(f"  {label:<{width}}  {value}" for label, value in sign_ins)]
    lines += ["", *(f"  {note}" for note in notes)]
    return "\n".join(lines).rstrip() + "\n\n"


class Screen:
    """Write the screen to a stream: on a tty the count line is updated in place, elsewhere a line comes every 5 seconds."""

    def __init__(self, stream: TextIO, counts: Callable[[], CountLine]) -> None:
        self._stream = stream
        self._counts = counts
        self._tty = stream.isatty()
        self._open_line = False

    def show(self, title: str, links: Labelled, *, sign_ins: Labelled = (), notes: Iterable[str] = ()) -> None:
        """Write the fixed part once."""
        self._write(screen(title, links, sign_ins=sign_ins, notes=notes, colour=self._tty))

    def violation(self, sentence: str) -> None:
        """Write a violation, red on a tty, above the count line."""
        if self._open_line:
            self._write(f"\r{CLEAR_LINE}")
            self._open_line = False
        self._write(f"{red(sentence) if self._tty else sentence}\n")

    def update(self) -> None:
        """Write the count line."""
        text = count_line(self._counts(), colour=self._tty)
        if not self._tty:
            self._write(text + "\n")
            return
        fits = len(text) < shutil.get_terminal_size().columns
        self._write(
            f"\r{CLEAR_LINE}{text if fits else count_line(self._counts())[: shutil.get_terminal_size().columns - 1]}"
        )
        self._open_line = True

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the count line moving until `stop` is set, and end with a last one."""
        while not stop.is_set():
            self.update()
            try:
                async with asyncio.timeout(TTY_EVERY_S if self._tty else LINE_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        self.update()
        if self._open_line:
            self._write("\n")
            self._open_line = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
