"""SQL as source: numbered migrations and named queries, read as text.

`migrations()` lists `migrations/NNNN_name.sql`, whose first line is their title. `query("event.insert_rows")` is the block
`-- name: insert_rows` of `queries/event.sql`, whose first line says what its queries are for: `-- purpose: <name>`, one of the
register of processing. A file that does not say it has no queries that can be run. The text pastes into psql as it is.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_PURPOSE = re.compile(r"-- purpose: ([a-z][a-z ]*)\n")
_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One forward step of the schema."""

    number: int
    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement; `about` is the sentence under its name, `purpose` what its file is for."""

    name: str
    about: str
    text: str
    purpose: str


def migrations() -> list[Migration]:
    """List the migrations in order."""
    found = []
    for file in sorted((files(__name__) / "migrations").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            text = file.read_text(encoding="utf-8")
            title = text.split("\n", 1)[0].removeprefix("--").strip()
            found.append(Migration(int(file.name[:4]), file.name.removesuffix(".sql"), title, text))
    return found


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Query]:
    """Read every named query, keyed `table.name`. ValueError for a name used twice, or a file without a purpose."""
    found: dict[str, Query] = {}
    for file in (files(__name__) / "queries").iterdir():
        if not file.name.endswith(".sql"):
            continue
        table = file.name.removesuffix(".sql")
        said = file.read_text(encoding="utf-8")
        purpose = _PURPOSE.match(said)
        if purpose is None:
            raise ValueError(
                f"{file.name}: its first line names a purpose of fieldsvc/journal/register.py: -- purpose: …"
            )
        parts = _NAME.split(said)
        for name, block in zip(parts[1::2], parts[2::2], strict=True):
            key = f"{table}.{name}"
            if key in found:
                raise ValueError(f"{file.name}: the name {name} is used twice")
            first, _, rest = block.strip().partition("\n")
            text = rest.strip().removesuffix(";")
            found[key] = Query(key, first.removeprefix("--").strip(), text, purpose[1])
    return found


def query(name: str) -> str:
    """Return the text of one named query; KeyError if there is none."""
    return catalogue()[name].text
