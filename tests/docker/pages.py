"""Checks of pages for operators against the project: a page that names what is not there is worse than none."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from sql import migrations
from tests.docker.commands import COMMAND, faults_of_command
from tests.docker.images import ENVIRONMENT
from tests.docker.project import ROOT, Project

METRIC = re.compile(r"\bfieldsvc_[a-z][a-z0-9_]*(?:\{[a-z_,]*\})?")
ROUTE = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/[^\s?]*)")
DOTTED = re.compile(r"^[a-z_]+\.[a-z_]+$")


def faults_of_page(text: str, project: Project) -> list[str]:
    """Check a page for operators: the commands, settings, metrics, log lines and routes that it names exist."""
    code, spans = _code(text)
    faults = [
        f"{name} is no setting"
        for name in sorted(set(ENVIRONMENT.findall(text)) - {*project.settings, *project.tests_only})
    ]
    for line in (line for block in (*code, *spans) for line in COMMAND.findall(block)):
        faults += faults_of_command(line.strip(), project.parser)
    for name in sorted(set(METRIC.findall("\n".join((*code, *spans)))) - _database_roles()):
        faults += _metric(name, project.metrics)
    for span in sorted(set(spans)):
        if DOTTED.match(span) and not span.endswith((".md", ".py", ".json", ".txt")) and span not in project.events:
            faults.append(f"`{span}` is no log line and no type of event")
        if (route := ROUTE.match(span)) and not _is_route(route[1], route[2], project.routes):
            faults.append(f"there is no route {span}")
    return faults


def _database_roles() -> set[str]:
    """Name the roles that migrations make: they are written as metrics are."""
    return {role for step in migrations() for role in re.findall(r"create role (fieldsvc_[a-z]+)", step.text)}


def _code(text: str) -> tuple[list[str], list[str]]:
    """Return the fenced blocks and the spans of code."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = [re.sub(r"\\\n\s*", " ", block) for block in blocks]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return blocks, [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]


def _metric(said: str, metrics: Mapping[str, Collection[str]]) -> Iterator[str]:
    name, _, labels = said.partition("{")
    if name not in metrics:
        yield f"{name} is no metric"
        return
    for label in filter(None, labels.rstrip("}").split(",")):
        if label not in metrics[name]:
            yield f"{name} has no label {label}"


def _is_route(method: str, path: str, routes: Collection[tuple[str, str]]) -> bool:
    wanted = re.compile(re.sub(r"…|\\\{[^}]*\\\}", ".+", re.escape(path)))
    return any(method == known and wanted.fullmatch(template) for known, template in routes)


def logged_events(root: Path = ROOT) -> set[str]:
    """Find the name of every log line in the source."""
    found = set()
    for path in (root / "fieldsvc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.args[0].value
                if isinstance(name, str) and DOTTED.match(name):
                    found.add(name)
    return found
