"""Checks of docker/ against the project. Each returns the faults it found as sentences."""

import fnmatch
import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.docker.commands import COMMAND, faults_of_command
from tests.docker.project import Project

ENVIRONMENT = re.compile(r"\bFIELDSVC_[A-Z][A-Z0-9_]*")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile; `stage` counts from 0."""

    stage: int
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """Its words: of the JSON form, or split as a shell would."""
        if self.value.lstrip().startswith("["):
            return [str(word) for word in json.loads(self.value)]
        return shlex.split(self.value)


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile: comments out, continued lines joined, stages counted."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found: list[Instruction] = []
    stage = -1
    for line in filter(str.strip, joined.splitlines()):
        name, _, value = line.strip().partition(" ")
        stage += name.upper() == "FROM"
        found.append(Instruction(stage, name.upper(), value.strip()))
    return found


def is_ignored(path: str, ignore: str) -> bool:
    """Tell whether the build context leaves a path out: the last pattern that matches it or a folder above decides."""
    out = False
    parts = path.strip("/").split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for line in filter(None, map(str.strip, ignore.splitlines())):
        pattern = line.lstrip("!").strip("/")
        names = [pattern, pattern.removeprefix("**/")] if pattern.startswith("**/") else [pattern]
        tried = above if not pattern.startswith("**/") else [*above, *parts]
        if any(
            fnmatch.fnmatchcase(each, name) and each.count("/") == name.count("/") for each in tried for name in names
        ):
            out = not line.startswith("!")
    return out


@dataclass(frozen=True)
class Image:
    """What a Dockerfile makes of its last stage."""

    ports: frozenset[int] = frozenset()
    volumes: frozenset[str] = frozenset()
    command: tuple[str, ...] = ()


def image_of(text: str) -> Image:
    """Return what the last stage exposes, keeps and runs."""
    every = instructions(text)
    last = [each for each in every if each.stage == every[-1].stage]
    return Image(
        frozenset(int(port.split("/")[0]) for each in last if each.name == "EXPOSE" for port in each.words),
        frozenset(word for each in last if each.name == "VOLUME" for word in each.words),
        tuple(word for name in ("ENTRYPOINT", "CMD") for each in last if each.name == name for word in each.words),
    )


def faults_of_dockerfile(text: str, ignore: str, project: Project) -> list[str]:
    """Check a Dockerfile against the project: sources, base images, command, settings, assets, user and health."""
    every = instructions(text)
    return [
        *_image_tags(each.value.split()[0] for each in every if each.name == "FROM"),
        *(fault for each in every if each.name in {"COPY", "ADD"} for fault in _copied(each, ignore, project.root)),
        *_environment_names(text, project.settings),
        *_assets(every),
        *_last_stage([each for each in every if each.stage == every[-1].stage], project),
    ]


def _image_tags(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        tag = name.rpartition("/")[2].partition(":")[2]
        if tag in {"", "latest"}:
            yield f"image {name} has no tag"


def _copied(step: Instruction, ignore: str, root: Path) -> Iterator[str]:
    if any(word.startswith("--from=") for word in step.words):
        return
    for source in [word for word in step.words if not word.startswith("--")][:-1]:
        if not (root / source).exists():
            yield f"COPY {source}: the project has no such file or folder"
        elif is_ignored(source, ignore):
            yield f"COPY {source}: Dockerfile.dockerignore leaves it out of the build"


def _environment_names(text: str, settings: Collection[str]) -> Iterator[str]:
    for name in sorted(set(ENVIRONMENT.findall(text)) - set(settings)):
        yield f"{name} is no setting"


def _assets(every: Sequence[Instruction]) -> Iterator[str]:
    """The wheel is built in the image, and carries the map library only if that was fetched before."""
    runs = [each.value for each in every if each.name == "RUN"]
    fetched = next((n for n, run in enumerate(runs) if "fieldsvc.web.pages.assets" in run), None)
    built = next((n for n, run in enumerate(runs) if re.search(r"pip install .*\s\.$", run)), None)
    if built is None:
        yield "nothing installs the project itself"
    if fetched is None or (built is not None and fetched > built):
        yield "the front-end assets are not fetched before the project is installed"
    if not any(each.name == "COPY" and "requirements/assets.txt" in each.words for each in every):
        yield "the locked npm that fetches the assets (requirements/assets.txt) is not copied"


def _last_stage(last: Sequence[Instruction], project: Project) -> Iterator[str]:
    users = [each.value for each in last if each.name == "USER"]
    if not users or users[-1].split(":")[0] in {"root", "0"}:
        yield "the image runs as root"
    health = [each.value for each in last if each.name == "HEALTHCHECK"]
    image = image_of("\n".join(f"{each.name} {each.value}" for each in last))
    if not health or "/readyz" not in health[-1]:
        yield "no health check asks /readyz"
    elif any(str(port) not in health[-1] for port in image.ports):
        yield "the health check asks another port than the exposed one"
    if image.command[:1] != ("fieldsvc",):
        yield "the image does not run fieldsvc"
        return
    yield from faults_of_command(shlex.join(image.command[1:]), project.parser)
    if "--port" not in image.command or {int(_next(image.command, "--port"))} != image.ports:
        yield "the exposed port is not the one that the command listens on"
    if "--host" in image.command and _next(image.command, "--host") != "0.0.0.0":
        yield "the command listens where nothing outside the container reaches it"


def _next(words: Sequence[str], name: str) -> str:
    return words[words.index(name) + 1]


def faults_of_compose(
    text: str, image: Image, project: Project, *, others: Mapping[str, Image] | None = None
) -> list[str]:
    """Check a compose file against its images and the project: settings, commands, files, ports, volumes, secrets, order.

    `others`: what is built here from another Dockerfile, by its path.
    """
    said: dict[str, Any] = yaml.safe_load(text)
    services: dict[str, dict[str, Any]] = said["services"]
    faults = [*_environment_names(text, project.settings), *_image_tags(_images(services))]
    for name, service in services.items():
        faults += [f"{name}: {fault}" for fault in _declared(service, said, project.root)]
        faults += [
            f"{name} waits for {other}, which is no service"
            for other in service.get("depends_on") or {}
            if other not in services
        ]
        if "build" in service:
            other = (others or {}).get(service["build"]["dockerfile"])
            faults += [f"{name}: {fault}" for fault in _built(service, other or image, project)]
            if other is None:
                faults += [f"{name}: {fault}" for fault in _ours(service, project)]
    faults += [fault for line in COMMAND.findall(_comments(text)) for fault in faults_of_command(line, project.parser)]
    return faults


def _images(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from (str(service["image"]) for service in services.values() if "image" in service)


def _declared(service: Mapping[str, Any], said: Mapping[str, Any], root: Path) -> Iterator[str]:
    """Volumes, networks and secrets are declared; a file that is mounted exists."""
    for each in service.get("volumes", []):
        source = str(each).split(":")[0]
        if "/" not in source and source not in (said.get("volumes") or {}):
            yield f"volume {source} is not declared"
        elif "/" in source and not (root / source).is_file():
            yield f"{source} is no file of the project"
    for kind in ("secrets", "networks"):
        yield from (
            f"{kind}: {each} is not declared" for each in service.get(kind, []) if each not in (said.get(kind) or {})
        )


def _built(service: Mapping[str, Any], image: Image, project: Project) -> Iterator[str]:
    build = service["build"]
    context = (project.root / "docker" / build["context"]).resolve()
    if context != project.root.resolve() or not (context / build["dockerfile"]).is_file():
        yield "it is not built from the project's root and a Dockerfile that is there"
    inside = {int(str(each).rpartition(":")[2]) for each in service.get("ports", [])}
    if inside - image.ports:
        yield f"it publishes port {sorted(inside - image.ports)}, which the image does not expose"
    kept = {str(each).split(":")[1] for each in service.get("volumes", [])}
    if kept != image.volumes:
        yield f"it keeps {sorted(kept)}, and the image {sorted(image.volumes)}"


def _ours(service: Mapping[str, Any], project: Project) -> Iterator[str]:
    """Command and settings of the service itself."""
    if command := service.get("command"):
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        yield from faults_of_command(shlex.join(words), project.parser)
    entries = service.get("environment", {})
    for name in entries if isinstance(entries, dict) else [str(each).split("=")[0] for each in entries]:
        if name not in project.settings:
            yield f"{name} is no setting"


def _comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
