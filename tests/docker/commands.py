"""Walks command lines through the parser of `fieldsvc`: every command, choice and option in them must exist."""

import argparse
import re
import shlex

PLACEHOLDER = re.compile(r"[A-Z…<].*|\$.*|\.\.\.")
COMMAND = re.compile(r"(?:^|[\s/;&|(])\$?(?:fieldsvc[ \t]+)+([a-z][^\n`]*)")


def faults_of_command(line: str, parser: argparse.ArgumentParser) -> list[str]:
    """Walk a command line through the parser: every command, choice and option in it must exist.

    What is missing is no fault: a page may speak of `fieldsvc import roster` alone. WORDS in capitals stand for anything.
    """
    words = shlex.split(re.split(r"\s(?:[|>&#]|2>)|;", line)[0])
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            name, _, value = word.partition("=")
            found = parser._option_string_actions.get(name)
            if found is None:
                return [f"`fieldsvc {line}`: there is no option {name}"]
            if found.nargs is None and not value:
                value = words.pop(0) if words else "…"
            if found.choices and value and not PLACEHOLDER.match(value) and value not in found.choices:
                return [f"`fieldsvc {line}`: {name} cannot be {value}"]
            continue
        positional = _positionals(parser)
        if not positional:
            return [f"`fieldsvc {line}`: {word} is one word too many"]
        parser, fault = _after(parser, positional[0], word)
        if fault:
            return [f"`fieldsvc {line}`: {fault}"]
    return []


class _Rest(argparse.ArgumentParser):
    """A parser whose first positional words were read."""


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _after(
    parser: argparse.ArgumentParser, action: argparse.Action, word: str
) -> tuple[argparse.ArgumentParser, str | None]:
    wanted = word.split("|")
    if action.choices and not PLACEHOLDER.match(word):
        known = list(action.choices)
        unknown = [each for each in wanted if each not in known]
        if unknown:
            return parser, f"there is no {' or '.join(unknown)} among {', '.join(map(str, known))}"
    if isinstance(action, argparse._SubParsersAction):
        return action.choices[wanted[0]], None
    rest = _Rest(add_help=False)
    rest._actions = [each for each in parser._actions if each is not action]
    rest._option_string_actions = parser._option_string_actions
    return rest, None
