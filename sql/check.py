"""Check the form of the SQL files: `python -m sql.check` prints what is wrong and exits with 1.

That every query is valid against the migrated schema is tested with a real server in tests/sql/.
"""

import re
import sys

from sql import catalogue, migrations

_KEYWORD = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|VALUES|RETURNING|CREATE|TABLE|INDEX)\b")


def problems() -> list[str]:
    """List the faults of form, one sentence each."""
    found = []
    for position, migration in enumerate(migrations(), start=1):
        if migration.number != position:
            found.append(f"{migration.name}: the numbers must run without a gap")
        if not migration.text.startswith("-- "):
            found.append(f"{migration.name}: the first line is its title, after two dashes")
        found += _lower_case(migration.name, migration.text)
    for name, entry in catalogue().items():
        if not entry.about or entry.about[-1] not in ".?":
            found.append(f"{name}: one sentence must follow the name")
        if re.search(r"select\s+\*", entry.text):
            found.append(f"{name}: name the columns")
        found += _lower_case(name, entry.text)
    return found


def _lower_case(name: str, text: str) -> list[str]:
    code = "\n".join(line.split("--")[0] for line in text.splitlines())
    return [f"{name}: {word} is lower case here" for word in sorted(set(_KEYWORD.findall(code)))]


if __name__ == "__main__":
    faults = problems()
    for fault in faults:
        print(fault)  # noqa: T201 - a command's output
    sys.exit(1 if faults else 0)
