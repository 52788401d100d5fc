"""Replay schedules: `python -m tests.simulation <part> <first seed> [<how many>]` prints their traces, or what was broken."""

import sys

from tests.simulation import parts


def main(part: str, first: str, count: str = "1") -> None:
    """Run schedules of a part one after the other."""
    if part == "phone":
        print(*parts.phone(int(first), int(count)), sep="\n")
        return
    with parts.simulation():
        for seed in range(int(first), int(first) + int(count)):
            print(seed, parts.run(part, seed))


main(*sys.argv[1:])
