"""No lock, no requirement and nothing installed is below a version that mends a published weakness."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ("run", "test", "bench")
FLOORS: Mapping[str, Mapping[str, Any]] = {
    each["package"]: each for each in tomllib.loads((ROOT / "requirements/floors.toml").read_text())["floor"]
}
READS_WHAT_OTHERS_SEND = {"aiohttp", "orjson", "pydantic", "pillow", "cryptography", "pynacl", "jinja2"}


def locked(text: str) -> dict[str, list[str]]:
    """Read the versions of a lock; a package may have one for each Python."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def below(versions: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say which versions are below their floors, and why that matters."""
    for name, version in versions:
        floor = FLOORS.get(name)
        if floor and Version(version) < Version(floor["at_least"]):
            yield f"{name} {version} is below {floor['at_least']}: {floor['advisory']}, {floor['because']}"


def lock(name: str) -> dict[str, list[str]]:
    return locked((ROOT / f"requirements/{name}.txt").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_is_below_a_floor(name: str) -> None:
    found = lock(name)
    assert list(below((package, version) for package, versions in found.items() for version in versions)) == []
    expected = {package for package, floor in FLOORS.items() if not floor.get("when_present")}
    assert expected <= set(found)


def test_nothing_that_is_installed_is_below_a_floor() -> None:
    installed = {each.name.lower().replace("_", "-"): each.version for each in metadata.distributions()}
    assert list(below(installed.items())) == []


def test_pyproject_admits_nothing_below_a_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = [
        (each.name.lower(), bound.version)
        for each in map(Requirement, project["dependencies"])
        for bound in each.specifier
        if bound.operator == ">="
    ]
    assert list(below(least)) == []
    assert {name for name, _ in least} >= READS_WHAT_OTHERS_SEND


def test_whatever_reads_what_others_send_has_a_floor_with_its_advisory() -> None:
    assert set(FLOORS) >= READS_WHAT_OTHERS_SEND
    for floor in FLOORS.values():
        assert re.fullmatch(r"CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}", floor["advisory"])
        assert len(floor["because"]) > 20


def test_a_lock_with_aiohttp_3_14_1_is_found() -> None:
    planted = (ROOT / "requirements/run.txt").read_text()
    planted = re.sub(r"^aiohttp==\S+", "aiohttp==3.14.1", planted, flags=re.MULTILINE)
    (said,) = below((name, version) for name, versions in locked(planted).items() for version in versions)
    assert said.startswith("aiohttp 3.14.1 is below 3.14.3: CVE-2026-69244")
