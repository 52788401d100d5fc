"""What the project really has, for checks of what is written but not run."""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """What is real."""

    parser: argparse.ArgumentParser
    settings: Collection[str]
    root: Path = ROOT
    tests_only: Collection[str] = ("FIELDSVC_TEST_DATA", "FIELDSVC_REQUIRE_BROWSER")
    metrics: Mapping[str, Collection[str]] = field(default_factory=dict)
    events: Collection[str] = ()
    routes: Collection[tuple[str, str]] = ()
